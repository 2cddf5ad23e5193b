"""The losses of the supervision: the mean squared error of every joint, and OHKM.

OHKM, online hard keypoint mining, is the cascaded pyramid network's (arXiv 1711.07319): only the
joints that a person's heatmaps get most wrong add to the loss. MSPN's release applies it to the
last unit of each stage.
"""

from typing import Any

import torch
import torch.nn.functional as F
from mmpose.registry import MODELS
from torch import Tensor, nn

from ..errors import SettingError
from ..settings import is_whole


def joint_errors(output: Tensor, target: Tensor, target_weights: Tensor | None) -> Tensor:
    """The mean squared error over the pixels of each joint's heatmap, times the joint's weight.

    It is computed in float32 whatever the heatmaps are: targets reach 255, and the square of an
    error of 256 is beyond float16.

    Args:
        output (Tensor): Predicted heatmaps of shape (B, K, H, W).
        target (Tensor): Target heatmaps of the same shape, 0 to 255.
        target_weights (Tensor, optional): Weights of shape (B, K); None counts all alike.

    Returns:
        Tensor: Errors of shape (B, K), float32 (float64 for float64 heatmaps).

    Raises:
        SettingError: If the shapes do not fit each other.
    """
    if output.dim() != 4 or output.shape != target.shape:
        raise SettingError(
            'output and target must be heatmaps of one shape (B, K, H, W), got '
            f'{tuple(output.shape)} and {tuple(target.shape)}'
        )
    if target_weights is not None and target_weights.shape != output.shape[:2]:
        raise SettingError(
            f'target_weights must have shape (B, K) = {tuple(output.shape[:2])}, got '
            f'{tuple(target_weights.shape)}'
        )
    errors = _JointErrors.apply(output, target)
    return errors if target_weights is None else errors * target_weights.to(errors.dtype)


class _JointErrors(torch.autograd.Function):
    """The mean squared error over the last two dimensions, with one temporary at a time.

    PyTorch's own operations pass over memory about twice as often: the gradient of a mean is
    written out for every pixel, and that of ``mse_loss`` is filled with zeros before it is
    computed. Nothing is kept for the backward pass but the heatmaps, which exist anyway.
    """

    @staticmethod
    def forward(output: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(output, _comparable(target), reduction='none').mean((2, 3))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None]:
        output, target = ctx.saved_tensors
        scale = grad * (2 / (output.shape[2] * output.shape[3]))
        grad_output = (output - _comparable(target)).mul_(scale[:, :, None, None])
        grad_target = -grad_output if ctx.needs_input_grad[1] else None
        return grad_output.to(output.dtype), grad_target


def _comparable(target: Tensor) -> Tensor:
    """Give targets of half precision as float32, to which a prediction is then promoted."""
    return target.float() if target.dtype in (torch.float16, torch.bfloat16) else target


@MODELS.register_module()
class JointMSELoss(nn.Module):
    """The mean of all joints' weighted squared errors.

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
        """Compute the loss.

        Args:
            output (Tensor): Predicted heatmaps of shape (B, K, H, W).
            target (Tensor): Target heatmaps of the same shape.
            target_weights (Tensor, optional): Weights of shape (B, K).

        Returns:
            Tensor: A scalar.

        Raises:
            SettingError: If the shapes do not fit each other.
        """
        return joint_errors(output, target, target_weights).mean() * self.loss_weight


@MODELS.register_module()
class OHKMLoss(nn.Module):
    """The mean of each person's largest weighted joint errors (online hard keypoint mining).

    A drop-in for MMPose's ``KeypointOHKMMSELoss(use_target_weight=True)`` in any heatmap head.
    For weights 0 and 1 values and gradients are the same. A weight in between multiplies the
    squared error, as in :class:`JointMSELoss` and MMPose's ``KeypointMSELoss``; MMPose's OHKM
    multiplies both heatmaps by it and so squares it, which would make one joint's weight mean two
    things within one network.

    Args:
        topk (int): How many joints of each person count. With fewer joints all of them do.
            Defaults to 8, the authors' choice for COCO's 17.
        loss_weight (float): A factor on the result. Defaults to 1.0.

    Raises:
        SettingError: If ``topk`` is not a positive integer.
    """

    def __init__(self, topk: int = 8, loss_weight: float = 1.0) -> None:
        super().__init__()
        if not is_whole(topk) or topk < 1:
            raise SettingError(
                f'topk={topk!r} of OHKMLoss must be a positive integer, the number of joints per '
                'person that count'
            )
        self.topk = topk
        self.loss_weight = loss_weight

    def forward(
        self, output: Tensor, target: Tensor, target_weights: Tensor | None = None
    ) -> Tensor:
        """Compute the loss.

        A NaN in ``output`` is a joint's largest error, so it reaches the result.

        Args:
            output (Tensor): Predicted heatmaps of shape (B, K, H, W).
            target (Tensor): Target heatmaps of the same shape.
            target_weights (Tensor, optional): Weights of shape (B, K).

        Returns:
            Tensor: A scalar.

        Raises:
            SettingError: If the shapes do not fit each other.
        """
        errors = joint_errors(output, target, target_weights)
        hardest = errors.topk(min(self.topk, errors.shape[1]), dim=1, sorted=False).values
        return hardest.mean() * self.loss_weight
