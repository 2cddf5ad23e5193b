"""What the units of the stages learn: targets, and the accuracy that is logged."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.structures import PixelData
from mmpose.structures import PoseDataSample
from torch import Tensor

from ..errors import SettingError


class _Targets:
    """What the samples of a batch say that their joints' heatmaps should be.

    Args:
        samples (list[PoseDataSample]): The batch's samples, see :meth:`MultiStageHeatmapHead.loss`.
        codec (BaseKeypointCodec): What draws the samples that carry joints but no heatmaps.
        num_levels (int): The levels L that the samples must have.
        num_joints (int): The joints K that they must have.
    """

    def __init__(
        self, samples: Sequence[PoseDataSample], codec: Any, num_levels: int, num_joints: int
    ) -> None:
        self.codec = codec
        self.labels = [sample.gt_instance_labels for sample in samples]
        self.fields = [s.gt_fields for s in samples if getattr(s, 'gt_fields', None) is not None]
        if self.fields:
            given = {getattr(f, 'nlevel', 1) for f in self.fields}
            if given != {num_levels}:
                raise SettingError(
                    f'the samples have heatmaps of {sorted(given)} levels, and the codec of the '
                    f'head has {num_levels}: give GenerateTarget and the head the same codec'
                )
        elif 'keypoint_labels' not in self.labels[0]:
            raise SettingError(
                'the samples have neither heatmaps nor keypoint_labels to draw them from: the '
                "pipeline needs GenerateTarget with the head's codec as its encoder"
            )
        self.weights = self._joined('keypoint_weights').expand(num_levels, -1, -1)
        if self.weights.shape[-1] != num_joints:
            raise SettingError(
                f'the samples have {self.weights.shape[-1]} joints, and the head has out_channels='
                f'{num_joints}'
            )

    def level(self, level: int) -> tuple[Tensor, Tensor]:
        """Gather or draw one level.

        Args:
            level (int): The level, 0 the coarsest.

        Returns:
            tuple: Heatmaps (B, K, H, W) and weights (B, K).
        """
        weights = self.weights[level]
        if not self.fields:
            joints = torch.cat([label.keypoint_labels for label in self.labels])
            return self.codec.draw(joints, weights, level), weights
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
        """Tell which joints are clearly visible.

        Returns:
            Tensor: Shape (B, K), 1 where COCO's v is 2 and 0 elsewhere.

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


def pck_accuracy(
    output: Tensor, target: Tensor, visible: Tensor, threshold: float = 0.05
) -> Tensor:
    """The share of joints whose highest pixel is near the target's, without leaving the device.

    It equals what MMPose's ``pose_pck_accuracy`` gives, which scales x by the height and y by the
    width.

    Args:
        output (Tensor): Predicted heatmaps of shape (B, K, H, W).
        target (Tensor): Target heatmaps of the same shape.
        visible (Tensor): Which joints count, bool of shape (B, K).
        threshold (float): The distance, in heatmap sizes, below which a joint is right.

    Returns:
        Tensor: A scalar from 0 to 1: averaged over persons for each joint, then over the joints
        that somebody has. 0 if nobody has any.
    """
    height, width = output.shape[2:]
    x, y = _peaks(output)
    target_x, target_y = _peaks(target)
    distance = torch.hypot((x - target_x) / height, (y - target_y) / width)
    count = visible.sum(0)
    right = ((distance < threshold) & visible).sum(0) / count.clamp(min=1)
    return right.sum() / (count > 0).sum().clamp(min=1)


def _peaks(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    value, index = heatmaps.flatten(2).max(dim=2)
    width = heatmaps.shape[3]
    nowhere = value <= 0
    x = torch.where(nowhere, -1, index % width)
    y = torch.where(nowhere, -1, index // width)
    return x, y
