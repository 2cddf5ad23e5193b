"""The losses of the supervision: the mean squared error of every keypoint, and OHKM.

OHKM, online hard keypoint mining, is the cascaded pyramid network's (arXiv 1711.07319): only the
keypoints that an instance's heatmaps get most wrong add to the loss. MSPN's release applies it to
the last unit of each stage.
"""

import torch.nn.functional as F
from mmpose.registry import MODELS
from torch import Tensor, nn

from ..errors import SettingError
from ..settings import check_counts


def keypoint_errors(output: Tensor, target: Tensor, target_weights: Tensor | None) -> Tensor:
    """The mean squared error over the pixels of each heatmap, times the keypoint's weight.

    Output and target are heatmaps (B, K, H, W), targets from 0 to 255; weights are (B, K), and None
    counts all alike. The errors (B, K) are computed in float32 whatever the heatmaps are (float64
    for float64): the square of an error of 256 is beyond float16.
    """
    # PyTorch would stretch the one to fit the other.
    weighted = output.shape[:2] if target_weights is None else target_weights.shape
    if output.shape != target.shape or output.shape[:2] != weighted:
        raise SettingError(
            'output and target must be heatmaps of one shape (B, K, H, W) and target_weights (B, '
            f'K), got {tuple(output.shape)}, {tuple(target.shape)} and {tuple(weighted)}'
        )
    if target.is_floating_point() and target.itemsize < 4:
        target = target.float()
    # The prediction is promoted to the target's type.
    errors = F.mse_loss(output, target, reduction='none').mean((2, 3))
    return errors if target_weights is None else errors * target_weights.to(errors.dtype)


@MODELS.register_module()
class JointMSELoss(nn.Module):
    """The mean of all keypoints' weighted squared errors.

    It equals MMPose's ``KeypointMSELoss(use_target_weight=True)``, also for weights between 0 and
    1, in float32 whatever the heatmaps are.

    Args:
        loss_weight (float): A factor on the result. Defaults to 1.0.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(
        self, output: Tensor, target: Tensor, target_weights: Tensor | None = None
    ) -> Tensor:
        """Compute the loss, a scalar, of what :func:`keypoint_errors` takes."""
        return keypoint_errors(output, target, target_weights).mean() * self.loss_weight


@MODELS.register_module()
class OHKMLoss(nn.Module):
    """The mean of each instance's largest weighted keypoint errors (online hard keypoint mining).

    A drop-in for MMPose's ``KeypointOHKMMSELoss(use_target_weight=True)`` in any heatmap head.
    For weights 0 and 1 values and gradients are the same. A weight in between multiplies the
    squared error, as in :class:`JointMSELoss` and MMPose's ``KeypointMSELoss``; MMPose's OHKM
    multiplies both heatmaps by it and so squares it, which would make one keypoint's weight mean
    two things within one network.

    Args:
        topk (int): How many keypoints of each instance count. With fewer keypoints all of them do.
            Defaults to 8, the authors' choice for COCO's 17.
        loss_weight (float): A factor on the result. Defaults to 1.0.

    Raises:
        SettingError: If ``topk`` is not a whole number of at least 1.
    """

    def __init__(self, topk: int = 8, loss_weight: float = 1.0) -> None:
        super().__init__()
        check_counts(topk=topk)
        self.topk = topk
        self.loss_weight = loss_weight

    def forward(
        self, output: Tensor, target: Tensor, target_weights: Tensor | None = None
    ) -> Tensor:
        """Compute the loss, a scalar, of what :func:`keypoint_errors` takes.

        A NaN in ``output`` is a keypoint's largest error, so it reaches the result.
        """
        errors = keypoint_errors(output, target, target_weights)
        hardest = errors.topk(min(self.topk, errors.shape[1]), dim=1, sorted=False).values
        return hardest.mean() * self.loss_weight
