"""The head: heatmaps from every unit of every stage, each supervised (arXiv 1901.00148, 3.3)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmengine.structures import PixelData
from mmpose.models.heads import BaseHead
from mmpose.models.utils.tta import flip_heatmaps
from mmpose.registry import KEYPOINT_CODECS, MODELS
from mmpose.structures import PoseDataSample
from torch import Tensor, nn

from ..errors import SettingError
from ..settings import DEFAULT_INIT, build_module, check_counts, check_norm, is_whole
from .stage import enlarge
from .supervision import BatchTargets, pck_accuracy, schedule_levels

Config = Mapping[str, Any]
StageFeatures = Sequence[Sequence[Tensor]]
"""Features of S stages, U units each, coarsest first: (B, unit_channels, h_u, w_u) each."""


class UnitHead(nn.Module):
    """What turns one unit's feature into heatmaps: a 1x1 and a 3x3 convolution, then resizing."""

    def __init__(
        self,
        unit_channels: int,
        out_channels: int,
        heatmap_size: tuple[int, int],
        norm_cfg: Config,
    ) -> None:
        super().__init__()
        self.size = (heatmap_size[1], heatmap_size[0])
        self.conv_layers = nn.Sequential(
            ConvModule(unit_channels, unit_channels, 1, norm_cfg=dict(norm_cfg)),
            ConvModule(
                unit_channels, out_channels, 3, padding=1, norm_cfg=dict(norm_cfg), act_cfg=None
            ),
        )

    def forward(self, feature: Tensor) -> Tensor:
        """Predict heatmaps (B, K, H, W) from a feature (B, unit_channels, h, w)."""
        return enlarge(self.conv_layers(feature), self.size)


@MODELS.register_module()
class MultiStageHeatmapHead(BaseHead):
    """The supervision and the prediction of a multi-stage network (arXiv 1901.00148, section 3.3).

    Its parameters have the names of MMPose's ``MSPNHead``, so that state dicts load both ways.

    Which level of the codec a unit learns is worked out from the numbers of stages, units and
    levels: the last unit of the last stage learns the finest level, each unit before it the next
    coarser one, and a unit of an earlier stage the level one coarser than the same unit of the last
    stage. With four units and five levels, stage s, unit u learns level u, in the last stage u + 1.

    :meth:`loss` returns ``loss_kpt``, the total over all units; ``kpt_stageN``, each stage's part
    of it, under a name that MMEngine does not add to the total; and ``acc_pose``.

    Args:
        num_stages (int): The number of stages S.
        decoder (dict): The codec. It says how large the heatmaps are and which levels there are,
            and decodes; it draws the targets too where the loader left that to the head.
            A codec of MMPose's own draws a single level, and wants ``coarse_to_fine=False``.
        num_units (int): The number of units U of each stage. Defaults to 4.
        unit_channels (int): Channels of each unit's feature. Defaults to 256.
        out_channels (int): The number of keypoints K. Defaults to 17.
        coarse_to_fine (bool | list[list[int]]): True works out the levels as above; False lets
            every unit learn the finest level (the paper's ablation). A list gives for each stage
            the level of each unit, 0 the coarsest. Defaults to True.
        unit_loss (dict): The loss of each stage's units but the last. Any loss that takes
            ``(output, target, target_weights)`` fits. Defaults to :class:`JointMSELoss` with
            weight 1/4, as in the authors' release.
        final_loss (dict): The loss of each stage's last unit. Defaults to :class:`OHKMLoss`.
        empty_occluded (bool | str): The authors' treatment of occluded keypoints: for all units but
            the last of each stage, a keypoint that is not clearly visible (COCO's v below 2) has an
            empty map as its target, and weighs as much as the others. ``'all'`` includes the last
            unit, as the release does when it runs without OHKM. It needs :class:`KeepVisibility`
            in the loader's pipeline. Defaults to False, which is MMPose's treatment: unlabelled
            keypoints have no weight, occluded ones count as visible.
        frozen_stages (int): This many first stages have no loss and are not trained. Defaults to 0.
        active_stages (int, optional): How many stages the backbone puts out in training; the
            others are not trained, and the last active one counts as the last. Defaults to all.
        norm_cfg (dict): The norm layers. Defaults to ``dict(type='BN')``.
        init_cfg (dict | list[dict], optional): The initialisation. By default convolutions start
            by Kaiming's rule and norms as the identity.

    Raises:
        SettingError: If a setting does not fit the others.
    """

    def __init__(
        self,
        num_stages: int,
        decoder: Config,
        num_units: int = 4,
        unit_channels: int = 256,
        out_channels: int = 17,
        coarse_to_fine: bool | Sequence[Sequence[int]] = True,
        unit_loss: Config = {'type': 'JointMSELoss', 'loss_weight': 0.25},
        final_loss: Config = {'type': 'OHKMLoss', 'topk': 8},
        empty_occluded: bool | str = False,
        frozen_stages: int = 0,
        active_stages: int | None = None,
        norm_cfg: Config = {'type': 'BN'},
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg if init_cfg else list(DEFAULT_INIT))
        check_counts(
            num_stages=num_stages,
            num_units=num_units,
            unit_channels=unit_channels,
            out_channels=out_channels,
        )
        check_norm(norm_cfg, {unit_channels, out_channels})
        active = num_stages if active_stages is None else active_stages
        if not is_whole(active) or not 1 <= active <= num_stages:
            raise SettingError(
                f'active_stages={active!r} must be from 1 to num_stages={num_stages}'
            )
        if not is_whole(frozen_stages) or not -1 <= frozen_stages < active:
            raise SettingError(
                f'frozen_stages={frozen_stages!r} must leave one of the {active} active stages to '
                'train'
            )
        if empty_occluded not in (False, True, 'all'):
            raise SettingError(f"empty_occluded={empty_occluded!r} must be False, True or 'all'")
        self.num_stages = num_stages
        self.num_units = num_units
        self.unit_channels = unit_channels
        self.out_channels = out_channels
        self.empty_occluded = empty_occluded
        self.active_stages = active
        self.frozen_stages = max(frozen_stages, 0)

        self.decoder = KEYPOINT_CODECS.build(decoder)
        self.num_levels: int = getattr(self.decoder, 'num_levels', 1)
        self.heatmap_size: tuple[int, int] = tuple(self.decoder.heatmap_size)
        self.schedule = schedule_levels(
            coarse_to_fine, num_stages, active, num_units, self.num_levels
        )

        self.predict_layers = nn.ModuleList(
            UnitHead(unit_channels, out_channels, self.heatmap_size, norm_cfg)
            for _ in range(num_stages * num_units)
        )
        self.unit_loss = build_module('unit_loss', unit_loss)
        self.final_loss = build_module('final_loss', final_loss)
        for layer in self._untrained():
            layer.requires_grad_(False)

    def _untrained(self) -> Iterator[nn.Module]:
        for index, layer in enumerate(self.predict_layers):
            if not self.frozen_stages <= index // self.num_units < self.active_stages:
                yield layer

    def train(self, mode: bool = True) -> 'MultiStageHeatmapHead':
        """Set training mode, but for the stages that are not trained."""
        super().train(mode)
        for layer in self._untrained():
            layer.eval()
        return self

    def forward(self, feats: StageFeatures) -> list[Tensor]:
        """Predict the heatmaps (B, K, H, W) of every unit, stage by stage, coarsest unit first.

        The features are those of 1 to ``num_stages`` stages.

        Raises:
            SettingError: If the numbers of stages, units or channels do not fit.
        """
        self._check_features(feats)
        return [
            self._unit_head(s, u)(feature)
            for s, units in enumerate(feats)
            for u, feature in enumerate(units)
        ]

    def _unit_head(self, stage: int, unit: int) -> nn.Module:
        return self.predict_layers[stage * self.num_units + unit]

    def _check_features(self, feats: StageFeatures) -> None:
        if torch.jit.is_tracing():  # sizes are tensors there
            return
        channels = [[feature.shape[1] for feature in units] for units in feats]
        fitting = [self.unit_channels] * self.num_units
        if not 1 <= len(feats) <= self.num_stages or any(units != fitting for units in channels):
            raise SettingError(
                f'the features of {len(feats)} stages, with {channels} channels in their units, do '
                f'not fit the head of num_stages={self.num_stages}, num_units={self.num_units} and '
                f'unit_channels={self.unit_channels}'
            )

    def predict(
        self,
        feats: StageFeatures | Sequence[StageFeatures],
        batch_data_samples: Sequence[PoseDataSample],
        test_cfg: Config | None = None,
    ) -> Any:
        """Predict keypoints from the last unit of the last stage given; no other head is run.

        Args:
            feats (list): Features as for :meth:`forward`; with ``flip_test`` a list of two, of the
                images and of the mirrored images.
            batch_data_samples (list[PoseDataSample]): Of which ``flip_test`` needs the first one's
                ``flip_indices``.
            test_cfg (dict, optional): ``flip_test``, ``flip_mode`` and ``shift_heatmap`` mean what
                they do in MMPose. ``output_heatmaps=True`` returns the final heatmaps too. Those
                of every unit are what :meth:`forward` gives.

        Returns:
            list[InstanceData] | tuple[list[InstanceData], list[PixelData]]: Per instance
            ``keypoints`` (1, K, 2) in pixels of the input and ``keypoint_scores`` (1, K); where
            heatmaps were asked for also per instance a field ``heatmaps`` (K, H, W).

        Raises:
            SettingError: If the features do not fit.
        """
        test_cfg = test_cfg or {}
        passes: list[Any] = list(feats) if test_cfg.get('flip_test', False) else [feats]
        for stages in passes:
            self._check_features(stages)
        unit_head = self._unit_head(len(passes[0]) - 1, self.num_units - 1)
        heatmaps = [unit_head(stages[-1][-1]) for stages in passes]
        final = heatmaps[0]
        if len(heatmaps) == 2:
            final = average_flip(heatmaps[0], heatmaps[1], batch_data_samples, test_cfg)
        preds = self.decode(final.detach().float())
        if not test_cfg.get('output_heatmaps', False):
            return preds
        return preds, [PixelData(heatmaps=maps) for maps in final.detach()]

    def loss(
        self,
        feats: StageFeatures,
        batch_data_samples: Sequence[PoseDataSample],
        train_cfg: Config | None = None,
    ) -> dict[str, Tensor]:
        """Compute the losses of all units of the trained stages, and the accuracy.

        Nothing waits for the device.

        Args:
            feats (list[list[Tensor]]): Features of the ``active_stages`` stages.
            batch_data_samples (list[PoseDataSample]): Each has either ``gt_fields`` with the
                heatmaps of every level or ``gt_instance_labels.keypoint_labels`` (1, K, 2),
                keypoints in pixels of the input, from which the codec draws here; and
                ``gt_instance_labels.keypoint_weights`` (L, 1, K) or (1, K).
            train_cfg (dict, optional): Not used.

        Returns:
            dict[str, Tensor]: Scalars ``loss_kpt``, ``kpt_stageN`` and ``acc_pose``: the share of
            keypoints that the last stage's last unit puts within 5% of the heatmap's size of the
            target, averaged over the keypoints that somebody in the batch has (as MMPose's
            ``pose_pck_accuracy``).

        Raises:
            SettingError: If features or targets do not fit the head.
        """
        if len(feats) != self.active_stages:
            raise SettingError(
                f'the features of {len(feats)} stages were given to a head of active_stages='
                f'{self.active_stages}: give the backbone and the head the same active_stages'
            )
        self._check_features(feats)
        targets = BatchTargets(batch_data_samples, self.decoder, self.num_levels, self.out_channels)
        heatmaps = {
            (s, u): self._unit_head(s, u)(feats[s][u])
            for s in range(self.frozen_stages, self.active_stages)
            for u in range(self.num_units)
        }
        parts: dict[tuple[int, int], Tensor] = {}
        finest = self.num_levels - 1
        # Level by level, so that each is stacked or drawn once, whichever units learn it.
        for level in sorted({self.schedule[s][u] for s, u in heatmaps} | {finest}):
            learners = [(s, u) for s, u in heatmaps if self.schedule[s][u] == level]
            target, weights = targets.level(level)
            if level == finest:
                final = heatmaps[self.active_stages - 1, self.num_units - 1].detach()
                accuracy = pck_accuracy(final, target, weights > 0)
            emptied, ones = target, weights
            if self.empty_occluded:
                emptied = target * targets.clearly_visible()[:, :, None, None]
                ones = torch.ones_like(weights)
            for s, u in learners:
                is_final = u == self.num_units - 1
                loss = self.final_loss if is_final else self.unit_loss
                if is_final and self.empty_occluded != 'all':
                    parts[s, u] = loss(heatmaps[s, u], target, weights)
                else:
                    parts[s, u] = loss(heatmaps[s, u], emptied, ones)

        shares = {
            s: torch.stack([parts[s, u] for u in range(self.num_units)]).sum()
            for s in range(self.frozen_stages, self.active_stages)
        }
        losses = {'loss_kpt': torch.stack(list(shares.values())).sum()}
        losses.update({f'kpt_stage{s + 1}': share.detach() for s, share in shares.items()})
        losses['acc_pose'] = accuracy
        return losses


def average_flip(
    heatmaps: Tensor, mirrored: Tensor, samples: Sequence[PoseDataSample], test_cfg: Config
) -> Tensor:
    """Average the heatmaps (B, K, H, W) of images with those of the mirrored images.

    The first sample has ``flip_indices``; ``test_cfg`` is that of :meth:`predict`.
    """
    flipped = flip_heatmaps(
        mirrored,
        flip_indices=samples[0].metainfo['flip_indices'],
        flip_mode=test_cfg.get('flip_mode', 'heatmap'),
        shift_heatmap=test_cfg.get('shift_heatmap', False),
    )
    return (heatmaps + flipped) * 0.5
