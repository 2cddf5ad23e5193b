"""An estimator for prediction only, equal to the trained one and faster.

Five things make it faster, and none changes what is computed: batch norms become part of the
convolutions before them; the heads that nobody reads are left out, and so is all that the last
stage would make for a next one; on the way up, the 1x1 convolution works before the enlarging
instead of after it; the images of a flip test go through the network in one pass; and on a CPU a
large batch goes through in parts that fit its caches.
"""

import copy
import math
from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmengine.structures import PixelData
from mmpose.models.pose_estimators import TopdownPoseEstimator
from mmpose.models.utils.tta import flip_heatmaps
from mmpose.structures import PoseDataSample
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..errors import SettingError
from ..model.backbone import MSPNBackbone
from ..model.head import MultiStageHeatmapHead, UnitHead
from ..model.stage import Aggregated, Bottleneck, Stage, UpUnit

_PART_BYTES = 12 * 2**20
"""On a CPU, the most that one feature of the images that go through together takes. It keeps what a
layer reads and writes in the caches, and blocks below 32 MiB, above which the C library fetches
each anew from the system. For 256 channels of 64x48 it is 4 images in float32, 8 in bfloat16."""


def fuse(
    estimator: nn.Module, stages: int | None = None, dtype: torch.dtype = torch.float32
) -> 'FusedEstimator':
    """Make an estimator for prediction of a trained one.

    The result takes the place of the trained one wherever MMPose predicts: ``inference_topdown``,
    an inferencer's ``model``, a runner's ``model`` for testing. It can't be trained.

    Args:
        estimator (nn.Module): A ``TopdownPoseEstimator`` of ``MSPNBackbone`` and
            ``MultiStageHeatmapHead``. It is left as it is; the weights are copied.
        stages (int, optional): Predict after this many stages. Defaults to all active ones.
        dtype (torch.dtype): What the network computes in: float32, bfloat16 or float16. Heatmaps
            are decoded in float32 always.

    Returns:
        FusedEstimator: On the same device, in evaluation mode.

    Raises:
        SettingError: If the estimator is another one, or has fewer stages.
    """
    return FusedEstimator(estimator, stages, dtype).eval()


class FusedConv(nn.Module):
    """A convolution with what follows it: batch norm, a sum, ReLU.

    On CPUs oneDNN computes all in one go, from weights that are brought into its order once.
    Elsewhere, and while a graph is recorded, PyTorch's public operators do the same.

    Args:
        conv (nn.Conv2d): The convolution.
        norm (nn.Module, optional): The norm after it, in evaluation mode. Batch norms are folded
            into the convolution, others are kept.
        activate (nn.Module, optional): The activation after it.
    """

    def __init__(self, conv: nn.Conv2d, norm: nn.Module | None, activate: nn.Module | None) -> None:
        super().__init__()
        if isinstance(norm, _BatchNorm):
            conv, norm = fuse_conv_bn_eval(copy.deepcopy(conv).eval(), norm.eval()), None
        self.conv = copy.deepcopy(conv).requires_grad_(False)
        self.norm = copy.deepcopy(norm)
        self.activate = copy.deepcopy(activate)
        self._ordered: Tensor | None = None

    @classmethod
    def of(cls, module: nn.Module) -> 'FusedConv':
        """Take over a ``ConvModule`` of mmcv."""
        conv = cast(Any, module)
        return cls(
            conv.conv,
            conv.norm if conv.with_norm else None,
            conv.activate if conv.with_activation else None,
        )

    @property
    def is_affine(self) -> bool:
        """Whether it is a 1x1 convolution and nothing else."""
        return self.conv.kernel_size == (1, 1) and self.norm is None and self.activate is None

    def forward(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        """Compute activation(norm(conv(x)) + added).

        Args:
            x (Tensor): Shape (B, C, h, w).
            added (Tensor, optional): Of the output's shape. It may be overwritten.

        Returns:
            Tensor: Shape (B, C', h', w').
        """
        if self._by_onednn(x):
            return self._run_onednn(x, added)
        x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x)
        if added is not None:
            x = x + added if _recording() else x.add_(added)
        return x if self.activate is None else self.activate(x)

    def _by_onednn(self, x: Tensor) -> bool:
        return (
            x.device.type == 'cpu'
            and x.dtype in (torch.float32, torch.bfloat16)
            and self.norm is None
            and (self.activate is None or type(self.activate) is nn.ReLU)
            and not _recording()
            and x.is_contiguous(memory_format=torch.channels_last)
            and hasattr(torch.ops.mkldnn, '_convolution_pointwise')
            and torch.backends.mkldnn.is_available()
        )

    def _run_onednn(self, x: Tensor, added: Tensor | None) -> Tensor:
        conv, ops = self.conv, torch.ops.mkldnn
        how = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)
        if self._ordered is None:
            self._ordered = ops._reorder_convolution_weight(conv.weight, *how, list(x.shape))
        then = 'none' if self.activate is None else 'relu'
        if added is None:
            return ops._convolution_pointwise(x, self._ordered, conv.bias, *how, then, [], '')
        return ops._convolution_pointwise_(
            added, x, self._ordered, conv.bias, *how, 'add', 1.0, then, [], ''
        )

    def _apply(self, *args: Any, **kwargs: Any) -> 'FusedConv':
        self._ordered = None  # the weights move or change their type
        return super()._apply(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, '_ordered': None}


class FusedBottleneck(nn.Module):
    """A :class:`~mspn_plugin.model.stage.Bottleneck` of fused convolutions."""

    def __init__(self, block: Bottleneck) -> None:
        super().__init__()
        self.conv1 = FusedConv(block.conv1, getattr(block, block.norm1_name), block.activate)
        self.conv2 = FusedConv(block.conv2, getattr(block, block.norm2_name), block.activate)
        self.conv3 = FusedConv(block.conv3, getattr(block, block.norm3_name), block.activate)
        self.downsample = None if block.downsample is None else FusedConv.of(block.downsample)

    def forward(self, x: Tensor, keep: bool = False) -> Tensor:
        """Compute the block's output.

        Args:
            x (Tensor): The input, which is overwritten unless it goes through ``downsample``.
            keep (bool): Whether somebody else reads the input too.

        Returns:
            Tensor: As of the block.
        """
        out = self.conv2(self.conv1(x))
        if self.downsample is not None:
            return self.conv3(out, self.downsample(x))
        return self.conv3(out, x.clone() if keep else x)


class FusedDownUnit(nn.ModuleList):
    """A :class:`~mspn_plugin.model.stage.DownUnit` of fused bottlenecks."""

    def forward(self, x: Tensor, aggregated: Aggregated | None) -> Tensor:
        """Compute this scale's feature; ``x`` is left as it is."""
        for index, block in enumerate(self):
            x = block(x, keep=index == 0)
        if aggregated is None:
            return x
        if _recording():
            return x + aggregated.down + aggregated.up
        return x.add_(aggregated.down).add_(aggregated.up)


class FusedUpUnit(nn.Module):
    """An :class:`~mspn_plugin.model.stage.UpUnit` that convolves before it enlarges.

    Enlarging by ``align_corners=True`` makes means whose weights sum to 1, the same for all
    channels, and a 1x1 convolution with its norm makes sums over channels, the same for all pixels:
    the two may change places. In front, the convolution has a quarter of the pixels.

    Args:
        unit (UpUnit): The unit.
        hand_on (bool): Whether a next stage runs.
    """

    def __init__(self, unit: UpUnit, hand_on: bool) -> None:
        super().__init__()
        self.in_skip = FusedConv.of(unit.in_skip)
        self.in_skip.activate = copy.deepcopy(unit.activate)
        self.up_conv = None if unit.up_conv is None else FusedConv.of(unit.up_conv)
        handing = [unit.out_skip1, unit.out_skip2, unit.cross_conv]
        self.out_skip1, self.out_skip2, self.cross_conv = (
            FusedConv.of(conv) if hand_on and conv is not None else None for conv in handing
        )

    def forward(
        self, down: Tensor, coarser: Tensor | None = None
    ) -> tuple[Tensor, Aggregated | None, Tensor | None]:
        """Compute what the unit computes, with the same arguments and results."""
        added = None
        if self.up_conv is not None and coarser is not None:
            size = down.shape[2:]
            if self.up_conv.is_affine:
                added = enlarge(self.up_conv(coarser), size)
            else:
                added = self.up_conv(enlarge(coarser, size))
        up = self.in_skip(down, added)
        aggregated = None
        if self.out_skip1 is not None and self.out_skip2 is not None:
            aggregated = Aggregated(self.out_skip1(down), self.out_skip2(up))
        return up, aggregated, None if self.cross_conv is None else self.cross_conv(up)


class FusedStage(nn.Module):
    """A stage of the backbone made of fused units; it puts out its finest unit only."""

    def __init__(self, stage: Stage, hand_on: bool) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            FusedDownUnit(FusedBottleneck(block) for block in cast(Any, unit))
            for unit in stage.downsample.values()
        )
        self.up = nn.ModuleList(
            FusedUpUnit(cast(UpUnit, unit), hand_on) for unit in stage.upsample.values()
        )

    def forward(
        self, x: Tensor, given: Sequence[Aggregated | None] | None
    ) -> tuple[Tensor, Tensor | None, list[Aggregated | None]]:
        """Run the stage.

        Args:
            x (Tensor): The feature that it starts from.
            given (Sequence, optional): What the previous stage's scales give, finest first.

        Returns:
            tuple: The finest unit's feature, the feature that starts the next stage (or None), and
            what each scale gives the next stage, finest first.
        """
        downs = []
        for scale, unit in enumerate(self.down):
            x = unit(x, None if given is None else given[scale])
            downs.append(x)
        up = handed = None
        gives: list[Aggregated | None] = []
        for unit, down in zip(self.up, reversed(downs)):
            up, aggregated, handed = unit(down, up)
            gives.insert(0, aggregated)
        return cast(Tensor, up), handed, gives


class FusedNetwork(nn.Module):
    """From images to the final heatmaps.

    Args:
        backbone (MSPNBackbone): The backbone.
        head (MultiStageHeatmapHead): The head, of which the last unit's of the last stage is used.
        stages (int): How many stages run.
        dtype (torch.dtype): What is computed in.
    """

    def __init__(
        self, backbone: MSPNBackbone, head: MultiStageHeatmapHead, stages: int, dtype: torch.dtype
    ) -> None:
        super().__init__()
        conv, self.pool = backbone.top.top
        self.stem = FusedConv.of(conv)
        self.stages = nn.ModuleList(
            FusedStage(cast(Stage, stage), hand_on=s < stages - 1)
            for s, stage in enumerate(backbone.multi_stage_mspn[:stages])
        )
        unit_head = cast(UnitHead, head.predict_layers[stages * head.num_units - 1])
        self.size = unit_head.size
        # Of one image's feature at the finest scale.
        self.feature_bytes = head.unit_channels * math.prod(self.size) * dtype.itemsize
        self.head = nn.ModuleList(FusedConv.of(c) for c in unit_head.conv_layers)
        self.requires_grad_(False)
        self.dtype = dtype
        cast(Any, self).to(dtype=dtype, memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Predict heatmaps.

        On a CPU a large batch goes through in parts that fit the caches.

        Args:
            images (Tensor): Normalised images, (B, 3, h, w).

        Returns:
            Tensor: float32 heatmaps of the last stage's last unit, (B, K, H, W).
        """
        if images.device.type != 'cpu' or _recording():
            return self._run(images)
        parts = math.ceil(len(images) / max(1, _PART_BYTES // self.feature_bytes))
        if parts <= 1:
            return self._run(images)
        return torch.cat([self._run(part) for part in images.tensor_split(parts)])

    def _run(self, images: Tensor) -> Tensor:
        x = images.to(self.dtype)
        if not _recording():
            x = x.contiguous(memory_format=torch.channels_last)
        x = self.pool(self.stem(x))
        up, given = None, None
        for stage in self.stages:
            up, x, given = stage(x, given)
        for conv in self.head:
            up = conv(up)
        return enlarge(cast(Tensor, up), self.size).float().contiguous()


class FusedEstimator(TopdownPoseEstimator):
    """What :func:`fuse` makes: MMPose's interface around a :class:`FusedNetwork`."""

    def __init__(
        self, estimator: nn.Module, stages: int | None = None, dtype: torch.dtype = torch.float32
    ) -> None:
        backbone, head = getattr(estimator, 'backbone', None), getattr(estimator, 'head', None)
        if not isinstance(backbone, MSPNBackbone) or not isinstance(head, MultiStageHeatmapHead):
            raise SettingError(
                f'an estimator of {type(backbone).__name__} and {type(head).__name__} cannot be '
                'fused; MSPNBackbone and MultiStageHeatmapHead can'
            )
        count = backbone.active_stages if stages is None else stages
        if not 1 <= count <= backbone.num_stages:
            raise SettingError(f'stages={count} must be from 1 to num_stages={backbone.num_stages}')
        given: Any = estimator
        # Its own constructor would build what the trained estimator has.
        BaseModel.__init__(self, copy.deepcopy(given.data_preprocessor))
        self.metainfo = given.metainfo
        self.train_cfg: dict[str, Any] = {}
        self.test_cfg = copy.deepcopy(given.test_cfg)
        for name in ('cfg', 'dataset_meta'):
            if hasattr(given, name):
                setattr(self, name, getattr(given, name))
        self.head = copy.copy(head)
        self.head._modules = {'predict_layers': nn.ModuleList()}
        self.network = FusedNetwork(backbone, head, count, dtype).eval()

    def heatmaps(self, inputs: Tensor, samples: Sequence[PoseDataSample]) -> Tensor:
        """Predict the final heatmaps, as the test settings say.

        Args:
            inputs (Tensor): Normalised images, (B, 3, h, w).
            samples (Sequence[PoseDataSample]): Of which a flip test needs ``flip_indices``.

        Returns:
            Tensor: float32 heatmaps, (B, K, H, W).
        """
        if not self.test_cfg.get('flip_test', False):
            return self.network(inputs)
        heatmaps, mirrored = self.network(torch.cat((inputs, inputs.flip(-1)))).chunk(2)
        mirrored = flip_heatmaps(
            mirrored,
            flip_indices=samples[0].metainfo['flip_indices'],
            flip_mode=self.test_cfg.get('flip_mode', 'heatmap'),
            shift_heatmap=self.test_cfg.get('shift_heatmap', False),
        )
        return (heatmaps + mirrored) * 0.5

    def predict(self, inputs: Tensor, data_samples: list[PoseDataSample]) -> list[PoseDataSample]:
        """Predict poses, as ``TopdownPoseEstimator.predict`` does.

        Args:
            inputs (Tensor): Normalised images, (B, 3, h, w).
            data_samples (list[PoseDataSample]): One for each image.

        Returns:
            list[PoseDataSample]: The same, with ``pred_instances``; and with
            ``output_heatmaps=True`` in ``test_cfg`` with ``pred_fields``.
        """
        with torch.no_grad():
            heatmaps = self.heatmaps(inputs, data_samples)
        fields = None
        if self.test_cfg.get('output_heatmaps', False):
            fields = [PixelData(heatmaps=maps) for maps in heatmaps]
        return self.add_pred_to_datasample(self.head.decode(heatmaps), fields, data_samples)

    def loss(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Not there: train the estimator that was given to :func:`fuse`."""
        raise RuntimeError('a fused estimator cannot be trained; train the one that was fused')

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor]:
        """Not there: the features of most units are not computed."""
        raise RuntimeError('a fused estimator has no features to give; ask the one that was fused')

    def _forward(self, inputs: Tensor, data_samples: Any = None) -> Tensor:
        return self.network(inputs)


def enlarge(x: Tensor, size: Sequence[int]) -> Tensor:
    """Enlarge (B, C, h, w) to a (height, width), with the corners' pixels on each other."""
    if not _recording() and x.shape[2:] == torch.Size(size):
        return x
    return F.interpolate(x, size=tuple(size), mode='bilinear', align_corners=True)


def _recording() -> bool:
    """Whether a graph is made of what is computed, so that nothing may be overwritten."""
    return torch.jit.is_tracing() or torch.compiler.is_compiling()
