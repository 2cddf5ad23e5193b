"""An estimator for prediction only, equal to the trained one and faster.

Six things make it faster, and none changes what is computed: batch norms become part of the
convolutions before them; sums and ReLU are computed with these by oneDNN; on the way up, the 1x1
convolution works before the enlarging instead of after it (:mod:`.onednn`); the heads that nobody
reads are left out, and so is all that the last stage would make for a next one; the images of a
flip test go through the network in one pass; and on a CPU a large batch goes through in parts that
fit its caches.
"""

import copy
import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from mmcv.cnn import fuse_conv_bn
from mmengine.model import BaseModel
from mmengine.structures import PixelData
from mmpose.models.pose_estimators import TopdownPoseEstimator
from mmpose.structures import PoseDataSample
from torch import Tensor, nn

from ..errors import SettingError
from ..model.backbone import MSPNBackbone
from ..model.head import MultiStageHeatmapHead, UnitHead, average_flip
from ..model.stage import Stage, enlarge
from .onednn import fuse_convolutions

PART_BYTES = 12 * 2**20
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


class FusedNetwork(nn.Module):
    """From images to the final heatmaps, those of the last unit of so many stages."""

    def __init__(
        self, backbone: MSPNBackbone, head: MultiStageHeatmapHead, stages: int, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.backbone = copy.deepcopy(backbone)
        self.backbone.active_stages = self.backbone.num_stages = stages
        self.backbone.multi_stage_mspn = self.backbone.multi_stage_mspn[:stages]
        self.backbone.channels_last = True
        self.backbone.with_cp = False
        unit_head = cast(UnitHead, head.predict_layers[stages * head.num_units - 1])
        self.head, self.size = copy.deepcopy(unit_head.conv_layers), unit_head.size
        fuse_conv_bn(self.eval())
        for stage in cast(Sequence[Stage], self.backbone.multi_stage_mspn):
            stage.with_cp = False
        for unit in cast(Any, self.backbone.multi_stage_mspn[-1]).upsample.values():
            unit.out_skip1 = unit.out_skip2 = unit.cross_conv = None
        fuse_convolutions(self)
        # Of one image's feature at the finest scale.
        self.feature_bytes = head.unit_channels * math.prod(self.size) * dtype.itemsize
        self.dtype = dtype
        self.requires_grad_(False)
        cast(Any, self).to(dtype=dtype, memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Predict float32 heatmaps (B, K, H, W) from normalised images (B, 3, h, w).

        On a CPU a large batch goes through in parts that fit the caches.
        """
        recorded = torch.jit.is_tracing() or torch.compiler.is_compiling()
        parts = math.ceil(len(images) / max(1, PART_BYTES // self.feature_bytes))
        if recorded or images.device.type != 'cpu' or parts <= 1:
            return self._run(images)
        return torch.cat([self._run(part) for part in images.tensor_split(parts)])

    def _run(self, images: Tensor) -> Tensor:
        features = self.backbone(images.to(self.dtype))
        return enlarge(self.head(features[-1][-1]), self.size).float().contiguous()


class FusedEstimator(TopdownPoseEstimator):
    """What :func:`fuse` makes: MMPose's interface around a :class:`FusedNetwork`."""

    def __init__(self, estimator: nn.Module, stages: int | None, dtype: torch.dtype) -> None:
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
        self.test_cfg = copy.deepcopy(given.test_cfg)
        for name in ('cfg', 'dataset_meta'):
            if hasattr(given, name):
                setattr(self, name, getattr(given, name))
        self.head = copy.copy(head)
        self.head._modules = {'predict_layers': nn.ModuleList()}
        self.network = FusedNetwork(backbone, head, count, dtype).eval()

    def heatmaps(self, inputs: Tensor, samples: Sequence[PoseDataSample]) -> Tensor:
        """Predict what the network does, and average with mirrored images for a flip test.

        That needs the ``flip_indices`` of the samples.
        """
        if not self.test_cfg.get('flip_test', False):
            return self.network(inputs)
        heatmaps, mirrored = self.network(torch.cat((inputs, inputs.flip(-1)))).chunk(2)
        return average_flip(heatmaps, mirrored, samples, self.test_cfg)

    def predict(self, inputs: Tensor, data_samples: list[PoseDataSample]) -> list[PoseDataSample]:
        """Predict poses, as ``TopdownPoseEstimator.predict`` does."""
        with torch.no_grad():
            heatmaps = self.heatmaps(inputs, data_samples)
        fields = None
        if self.test_cfg.get('output_heatmaps', False):
            fields = [PixelData(heatmaps=maps) for maps in heatmaps]
        return self.add_pred_to_datasample(self.head.decode(heatmaps), fields, data_samples)

    def loss(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Not there: train the estimator that was given to :func:`fuse`."""
        raise RuntimeError('a fused estimator cannot be trained; train the one that was fused')

    def _forward(self, inputs: Tensor, data_samples: Any = None) -> Tensor:
        return self.network(inputs)
