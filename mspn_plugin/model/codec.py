"""Coarse-to-fine heatmaps: the targets of the paper's section 3.3.

The same keypoints are drawn once per level, with a wide Gaussian for early stages and coarse units
and a narrow one for late stages and fine units. One codec draws all levels, in the data loader or
on the model's device, and turns the network's heatmaps into keypoints.
"""

import operator
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmpose.codecs.base import BaseKeypointCodec
from mmpose.registry import KEYPOINT_CODECS
from torch import Tensor

from ..errors import SettingError
from .decoding import locate_exact, locate_shifted

PEAK = 255.0
"""The highest value of a target."""

_LOWEST_EXPONENT = -40.0
"""Keeps a Gaussian's tail from numbers so small (denormal) that processors slow down."""

_CPU = torch.device('cpu')

_LARGEST_BLUR = 19
"""The release blurs a map with a border of 10 pixels, more than half of such a kernel."""


@KEYPOINT_CODECS.register_module()
class CoarseToFineHeatmap(BaseKeypointCodec):
    """Draw keypoints as one heatmap per level, coarse to fine, and read them from heatmaps.

    One dict of this codec serves as ``GenerateTarget(encoder=...)`` and as the head's
    ``decoder``. Coordinates are pixels of the network's input, x before y, and whole numbers are
    pixel centres. ``docs/codec.md`` compares the codings.

    Args:
        input_size (tuple[int, int]): Width and height of the network's input.
        heatmap_size (tuple[int, int]): Width and height of a heatmap. Each divides its side of
            ``input_size``; the two quotients may differ.
        kernel_sizes (Sequence[int]): For each level, coarsest first, the size of OpenCV's
            Gaussian kernel in heatmap pixels: odd, positive, never growing. Defaults to the
            authors' kernels.
        unbiased (bool): Whether to draw Gaussians at the exact positions and to recover those.
            By default keypoints are put into whole heatmap pixels and read as the authors do.
        draw_on_device (bool): Whether :meth:`encode` leaves the drawing to the head, which calls
            :meth:`draw`.
        blur_kernel_size (int): The size of the kernel that heatmaps are blurred with before the
            authors' decoding: odd, up to 19. The authors have 5 for COCO and 9 for MPII. Not used
            with ``unbiased``.

    Raises:
        SettingError: If an argument does not fit; its text says what does.
    """

    field_mapping_table = dict(heatmaps='heatmaps')
    label_mapping_table = dict(
        keypoint_labels='keypoint_labels',
        keypoint_weights='keypoint_weights',
        keypoints_visible_weights='keypoints_visible_weights',
    )
    auxiliary_encode_keys = {'keypoints_visible_weights'}

    def __init__(
        self,
        input_size: tuple[int, int] = (192, 256),
        heatmap_size: tuple[int, int] = (48, 64),
        kernel_sizes: Sequence[int] = (15, 11, 9, 7, 5),
        unbiased: bool = False,
        draw_on_device: bool = False,
        blur_kernel_size: int = 5,
    ) -> None:
        super().__init__()
        self.input_size = _size('input_size', input_size)
        self.heatmap_size = _size('heatmap_size', heatmap_size)
        if any(pixels % cells for pixels, cells in zip(self.input_size, self.heatmap_size)):
            raise SettingError(
                f'heatmap_size={self.heatmap_size} does not divide input_size={self.input_size}: '
                'a heatmap pixel must be a whole number of input pixels wide and high, as with '
                '(48, 64) and (192, 256)'
            )
        if blur_kernel_size not in range(1, _LARGEST_BLUR + 1, 2):
            raise SettingError(
                f'blur_kernel_size={blur_kernel_size!r} must be an odd number from 1 to '
                f'{_LARGEST_BLUR}, such as 5 or 9'
            )
        self.kernel_sizes = _kernel_sizes(kernel_sizes)
        self.num_levels = len(self.kernel_sizes)
        self.unbiased = bool(unbiased)
        self.draw_on_device = bool(draw_on_device)
        self.blur_kernel_size = blur_kernel_size
        self._stride = tuple(p // c for p, c in zip(self.input_size, self.heatmap_size))
        kernel = cv2.getGaussianKernel(blur_kernel_size, 0)[:, 0].tolist()
        self._blur_kernel = kernel[blur_kernel_size // 2 :]  # from its middle to one end
        # What drawing needs, on each device that it was asked for.
        self._constants = {
            _CPU: {
                'stride': torch.tensor(self._stride),
                'input_size': torch.tensor(self.input_size),
                'heatmap_size': torch.tensor(self.heatmap_size),
                'decays': torch.tensor([_decay(kernel) for kernel in self.kernel_sizes]),
                'columns': _impulse_profiles(self.heatmap_size[0], self.kernel_sizes),
                'rows': _impulse_profiles(self.heatmap_size[1], self.kernel_sizes),
            }
        }

    def encode(
        self,
        keypoints: np.ndarray,
        keypoints_visible: np.ndarray | None = None,
        keypoints_visible_weights: np.ndarray | None = None,
    ) -> dict:
        """Draw one instance's keypoints on every level.

        A keypoint is drawn if its visibility is at least 0.5 and it lies inside the input. Any
        other has weight 0 and an empty map, and an invisible one may have any coordinates. Inside
        means 0 <= x < width; with ``unbiased`` -1 < x < width, so that flipping keeps keypoints
        inside.

        Args:
            keypoints (np.ndarray): Keypoints in input pixels, shape (1, K, 2).
            keypoints_visible (np.ndarray, optional): Visibility of shape (1, K). By default all
                keypoints are visible.
            keypoints_visible_weights (np.ndarray, optional): Shape (1, K), 1 where a keypoint is
                clearly visible: what ``GenerateTarget`` splits off ``keypoints_visible`` of shape
                (1, K, 2). It is handed on.

        Returns:
            dict: For L levels and heatmaps of W x H pixels

            - heatmaps (list[np.ndarray]): Per level float32 targets from 0 to 255, shape
              (K, H, W). Not with ``draw_on_device``.
            - keypoint_labels (np.ndarray): The keypoints, float32 of shape (1, K, 2), at 0 where
              the weight is 0. Only with ``draw_on_device``.
            - keypoint_weights (np.ndarray): The visibility of drawn keypoints and 0 for others,
              float32 of shape (L, 1, K), or (1, K) with ``draw_on_device``.
            - keypoints_visible_weights (np.ndarray): If given, in the shape of
              ``keypoint_weights``.

        Raises:
            SettingError: If a shape does not fit, or a visible keypoint is NaN or infinite.
        """
        keypoints, visible = _one_instance(keypoints, keypoints_visible)
        cells, inside = self._cells(torch.from_numpy(keypoints))
        drawn = inside.numpy() & (visible >= 0.5)
        labels = dict(keypoint_weights=np.where(drawn, visible, np.float32(0)))
        if keypoints_visible_weights is not None:
            labels['keypoints_visible_weights'] = np.asarray(keypoints_visible_weights)
        if self.draw_on_device:
            return dict(keypoint_labels=np.where(drawn[..., None], keypoints, 0), **labels)
        maps = self._draw(cells, torch.from_numpy(drawn), slice(None))
        # MMEngine wants all labels of a sample to be equally long, and MMPose's head a weight for
        # every level.
        return dict(
            heatmaps=list(maps.squeeze(1).numpy()),
            **{name: np.repeat(label[None], self.num_levels, 0) for name, label in labels.items()},
        )

    def draw(self, keypoints: Tensor, weights: Tensor, level: int) -> Tensor:
        """Draw a batch of instances on one level, on the keypoints' device, as :meth:`encode` does.

        Keypoints (B, K, 2) are in input pixels; one with weight 0 of the weights (B, K), or outside
        of the input, has an empty map. Level 0 is the coarsest. The targets are float32 from 0 to
        255, in shape (B, K, H, W).
        """
        cells, inside = self._cells(keypoints.float())
        return self._draw(cells, inside & (weights > 0), slice(level, level + 1)).squeeze(0)

    def _cells(self, keypoints: Tensor) -> tuple[Tensor, Tensor]:
        """Keypoints (B, K, 2) in heatmap pixels, and which are inside the input, (B, K)."""
        constants = self._constants_on(keypoints.device)
        if self.unbiased:
            cells = (keypoints + 0.5) / constants['stride'] - 0.5
            inside = (keypoints > -1) & (keypoints < constants['input_size'])
        else:
            cells = torch.floor(keypoints / constants['stride'])
            inside = (cells >= 0) & (cells < constants['heatmap_size'])
        return cells, inside.all(dim=-1)

    def _draw(self, cells: Tensor, drawn: Tensor, levels: slice) -> Tensor:
        """Heatmaps (L, B, K, H, W) of cells (B, K, 2), empty but for those to be drawn (B, K)."""
        constants = self._constants_on(cells.device)
        column, row = torch.where(drawn[..., None], cells, 0).unbind(dim=-1)
        if self.unbiased:
            decays = constants['decays'][levels, None, None, None]
            x, y = (
                _gaussians(cell, size, decays)
                for cell, size in zip((column, row), self.heatmap_size)
            )
        else:
            x = constants['columns'][levels, column.long()]
            y = constants['rows'][levels, row.long()]
        return (y * (PEAK * drawn)[..., None])[..., :, None] * x[..., None, :]

    def _constants_on(self, device: torch.device) -> dict[str, Tensor]:
        if device not in self._constants:  # each copy would wait for a GPU
            self._constants[device] = {
                name: value.to(device) for name, value in self._constants[_CPU].items()
            }
        return self._constants[device]

    def decode(self, encoded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Read one instance's keypoints from its heatmaps (K, H, W), as :meth:`locate` does.

        Returns:
            tuple[np.ndarray, np.ndarray]: Keypoints (1, K, 2) in input pixels and scores (1, K).
        """
        keypoints, scores = self.locate(torch.from_numpy(np.ascontiguousarray(encoded))[None])
        return keypoints.numpy(), scores.numpy()

    def batch_decode(self, batch_encoded: Tensor) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Do what :meth:`decode` does for the heatmaps (B, K, H, W) of a batch, in a list each."""
        keypoints, scores = self.locate(batch_encoded.detach())
        return list(keypoints[:, None].cpu().numpy()), list(scores[:, None].cpu().numpy())

    def locate(self, heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        """Read keypoints from heatmaps by tensor operations, on the heatmaps' device.

        A GPU isn't waited for, and it exports to ONNX and compiles. Whatever the heatmaps hold,
        the keypoints are finite and inside the input.

        Args:
            heatmaps (Tensor): Heatmaps of shape (B, K, H, W) and any floating point type.

        Returns:
            tuple[Tensor, Tensor]: float32 keypoints in input pixels, shape (B, K, 2), and float32
            scores, shape (B, K): the heatmap's value there / 255 + 0.5, where NaN counts as 0.

        Raises:
            SettingError: If the shape does not fit.
        """
        width, height = self.heatmap_size
        if heatmaps.dim() != 4 or heatmaps.shape[2:] != (height, width):
            raise SettingError(
                f'heatmaps have shape {tuple(heatmaps.shape)}, and heatmap_size='
                f'{self.heatmap_size} needs instances x keypoints x {height} x {width}'
            )
        maps = heatmaps.float().reshape(-1, height, width)
        if self.unbiased:
            x, y, values = locate_exact(maps, self.heatmap_size)
            x, y = (
                ((cell + 0.5) * stride - 0.5).clamp(0, pixels - 1)
                for cell, stride, pixels in zip((x, y), self._stride, self.input_size)
            )
        else:
            x, y, values = locate_shifted(maps, self.heatmap_size, self._blur_kernel)
            x, y = ((cell + 0.5) * stride for cell, stride in zip((x, y), self._stride))
        scores = torch.where(values.isnan(), 0, values) / PEAK + 0.5
        return (
            torch.stack((x, y), dim=-1).view(*heatmaps.shape[:2], 2),
            scores.view(heatmaps.shape[:2]),
        )


def _gaussians(cells: Tensor, size: int, decays: Tensor) -> Tensor:
    """Gaussians at exact places (B, K) of a line, for decays (L, 1, 1, 1): (L, B, K, size)."""
    pixels = torch.arange(size, device=cells.device)
    exponents = decays * (pixels - cells[..., None]).square()
    return exponents.clamp(min=_LOWEST_EXPONENT).exp()


def _decay(kernel_size: int) -> float:
    """-1 / (2 sigma^2) of the sigma that OpenCV gives a Gaussian kernel of this size."""
    sigma = 0.3 * ((kernel_size - 1) * 0.5 - 1) + 0.8
    return -0.5 / sigma**2


def _impulse_profiles(size: int, kernel_sizes: Sequence[int]) -> Tensor:
    """What OpenCV's Gaussian blurs make of a single 1 on a line, (kernels, size, size).

    Row i is for a 1 at i. The blur is separable: a blurred pixel is the product of such a profile
    for its column and one for its row. At its ends the line is reflected without repeating the last
    pixel.
    """
    place = np.arange(size)[:, None]
    period = max(2 * (size - 1), 1)
    profiles = np.zeros((len(kernel_sizes), size, size))
    for level, kernel_size in enumerate(kernel_sizes):
        source = (place + np.arange(kernel_size) - kernel_size // 2) % period
        source = np.minimum(source, period - source)
        np.add.at(profiles[level], (source, place), cv2.getGaussianKernel(kernel_size, 0)[:, 0])
    return torch.from_numpy(profiles / profiles.max(axis=2, keepdims=True)).float()


def _size(name: str, value: Sequence[int]) -> tuple[int, int]:
    try:
        width, height = (operator.index(side) for side in value)
    except (TypeError, ValueError):
        width = height = 0
    if width < 1 or height < 1:
        raise SettingError(f'{name}={value!r} is not (width, height) in whole positive pixels')
    return width, height


def _kernel_sizes(value: Sequence[int]) -> tuple[int, ...]:
    try:
        sizes = tuple(operator.index(size) for size in value)
    except TypeError:
        sizes = ()
    are_odd = all(size > 0 and size % 2 == 1 for size in sizes)
    if not sizes or not are_odd or sizes != tuple(sorted(sizes, reverse=True)):
        raise SettingError(
            f'kernel_sizes={value!r} must be one odd positive number for each level, from coarse '
            'to fine, such as (15, 11, 9, 7, 5)'
        )
    return sizes


def _one_instance(
    keypoints: np.ndarray, keypoints_visible: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (1, K, 2) and their visibility (1, K), float32."""
    keypoints = np.ascontiguousarray(keypoints, dtype=np.float32)
    shape = (1, *keypoints.shape[1:2])
    visible = np.ones(shape) if keypoints_visible is None else np.asarray(keypoints_visible)
    if keypoints.shape != (*shape, 2) or visible.shape != shape:
        raise SettingError(
            f'keypoints have shape {keypoints.shape} and keypoints_visible {visible.shape} instead '
            'of (1, K, 2) and (1, K), one instance with K keypoints'
        )
    wrong = ~np.isfinite(keypoints).all(axis=2) & (visible >= 0.5)
    if wrong.any():
        raise SettingError(
            f'keypoints {np.flatnonzero(wrong).tolist()} are visible and not finite: '
            f'{keypoints[wrong].tolist()}; a keypoint without a position needs visibility 0'
        )
    return keypoints, visible.astype(np.float32)
