"""Coarse-to-fine supervision (arXiv 1901.00148, section 3.3): which unit learns what.

Early stages and coarse units learn wide Gaussians, late and fine ones narrow ones. Here are the
level that each unit learns, the targets of a batch on each level, and the accuracy that is logged.
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.structures import PixelData
from mmpose.structures import PoseDataSample
from torch import Tensor

from ..errors import SettingError


def schedule_levels(
    coarse_to_fine: bool | Sequence[Sequence[int]],
    num_stages: int,
    active_stages: int,
    num_units: int,
    num_levels: int,
) -> list[list[int]]:
    """Say which level each unit of each stage learns: a list for each stage, coarsest unit first.

    ``coarse_to_fine`` is that of :class:`MultiStageHeatmapHead`. Only the active stages run, and
    the last of these counts as the last.

    Raises:
        SettingError: If the codec does not draw the levels that are asked for.
    """
    if coarse_to_fine is False:
        return [[num_levels - 1] * num_units for _ in range(num_stages)]
    if coarse_to_fine is True:
        first = num_levels - num_units
        schedule = [
            [first - (s < active_stages - 1) + u for u in range(num_units)]
            for s in range(num_stages)
        ]
        if schedule[0][0] < 0:
            needed = num_units + (active_stages > 1)
            raise SettingError(
                f'coarse_to_fine=True with {active_stages} stages of {num_units} units needs '
                f'{needed} levels, and the codec has {num_levels}: give it {needed} kernel_sizes, '
                'or set coarse_to_fine to False or to a list of levels'
            )
        return schedule
    fits = isinstance(coarse_to_fine, Sequence) and len(coarse_to_fine) == num_stages
    for row in coarse_to_fine if fits else []:
        fits &= isinstance(row, Sequence) and len(row) == num_units
        fits = fits and all(level in range(num_levels) for level in row)
    if not fits:
        raise SettingError(
            f'coarse_to_fine={coarse_to_fine!r} must be True, False, or hold for each of '
            f'num_stages={num_stages} stages a list with the level of each of num_units='
            f'{num_units} units, from 0 (coarsest) to {num_levels - 1} (the finest of the codec)'
        )
    return [list(row) for row in coarse_to_fine]


class BatchTargets:
    """What the samples of a batch say that their heatmaps should be.

    The samples are those of :meth:`MultiStageHeatmapHead.loss`. The codec draws those that carry
    keypoints but no heatmaps.

    Raises:
        SettingError: If the samples have no targets, or of other levels or keypoints.
    """

    def __init__(
        self, samples: Sequence[PoseDataSample], codec: Any, num_levels: int, num_keypoints: int
    ) -> None:
        self.codec = codec
        self.labels = [sample.gt_instance_labels for sample in samples]
        self.fields = [s.gt_fields for s in samples if getattr(s, 'gt_fields', None) is not None]
        if self.fields:
            drawn = {getattr(f, 'nlevel', 1) for f in self.fields}
            if drawn != {num_levels}:
                raise SettingError(
                    f'the samples have heatmaps of {sorted(drawn)} levels, and the codec of the '
                    f'head has {num_levels}: give GenerateTarget and the head the same codec'
                )
        elif 'keypoint_labels' not in self.labels[0]:
            raise SettingError(
                'the samples have neither heatmaps nor keypoint_labels to draw them from: the '
                "pipeline needs GenerateTarget with the head's codec as its encoder"
            )
        self.weights = self._joined('keypoint_weights').expand(num_levels, -1, -1)
        if self.weights.shape[-1] != num_keypoints:
            raise SettingError(
                f'the samples have {self.weights.shape[-1]} keypoints, and the head has '
                f'out_channels={num_keypoints}'
            )

    def level(self, level: int) -> tuple[Tensor, Tensor]:
        """Gather or draw a level's heatmaps (B, K, H, W), 0 the coarsest, and their weights (B, K).

        Raises:
            SettingError: If the heatmaps have another size than the codec's.
        """
        weights = self.weights[level]
        if not self.fields:
            keypoints = torch.cat([label.keypoint_labels for label in self.labels])
            return self.codec.draw(keypoints, weights, level), weights
        maps = [f if isinstance(f, PixelData) else f[level] for f in self.fields]
        target = torch.stack([m.heatmaps for m in maps])
        width, height = self.codec.heatmap_size
        if target.shape[2:] != (height, width):
            raise SettingError(
                f'the targets have {target.shape[3]}x{target.shape[2]} pixels, and the codec of '
                f'the head has heatmap_size={(width, height)}: give GenerateTarget and the head '
                'the same codec'
            )
        return target, weights

    def clearly_visible(self) -> Tensor:
        """Tell which keypoints are clearly visible: 1 where COCO's v is 2, else 0, shape (B, K).

        Raises:
            SettingError: If the samples do not say.
        """
        if any('keypoints_visible_weights' not in label for label in self.labels):
            raise SettingError(
                "empty_occluded=True needs COCO's v in the samples, as keypoints_visible_weights: "
                'put KeepVisibility before RandomFlip, and give GenerateTarget the codec '
                'CoarseToFineHeatmap'
            )
        return self._joined('keypoints_visible_weights')[0]

    def _joined(self, name: str) -> Tensor:
        """Join labels (L, 1, K), or (1, K) for all levels, to (L, B, K) or (1, B, K)."""
        values = [label[name] for label in self.labels]
        return torch.cat([v if v.dim() == 3 else v[None] for v in values], dim=1)


def pck_accuracy(output: Tensor, target: Tensor, visible: Tensor) -> Tensor:
    """The share of keypoints whose highest pixel is near the target's, without leaving the device.

    It equals what MMPose's ``pose_pck_accuracy`` gives, which scales x by the height and y by the
    width; near is within 5% of them. Heatmaps are (B, K, H, W), ``visible`` (B, K) is True where a
    keypoint counts. The result, a scalar from 0 to 1, is averaged over instances for each keypoint,
    then over the keypoints that some instance has; it is 0 if none has any.
    """
    height, width = output.shape[2:]
    x, y = _peaks(output)
    target_x, target_y = _peaks(target)
    distance = torch.hypot((x - target_x) / height, (y - target_y) / width)
    count = visible.sum(0)
    right = ((distance < 0.05) & visible).sum(0) / count.clamp(min=1)
    return right.sum() / (count > 0).sum().clamp(min=1)


def _peaks(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    value, index = heatmaps.flatten(2).max(dim=2)
    width = heatmaps.shape[3]
    nowhere = value <= 0
    x = torch.where(nowhere, -1, index % width)
    y = torch.where(nowhere, -1, index // width)
    return x, y
