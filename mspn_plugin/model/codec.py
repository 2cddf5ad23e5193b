"""Coarse-to-fine heatmaps: the targets of the paper's section 3.3, and joints read from heatmaps.

The same joints are drawn once per level, with a wide Gaussian for early stages and coarse units
and a narrow one for late stages and fine units. One codec draws all levels, in the data loader or
on the model's device, and turns the network's heatmaps into joints.
"""

import operator
from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmpose.codecs.base import BaseKeypointCodec
from mmpose.registry import KEYPOINT_CODECS
from torch import Tensor

from ..errors import SettingError
from ..settings import check_switches
from .decoding import _blur, _highest, _two_highest

PEAK = 255.0
"""The highest value of a target."""


DECODINGS = {False: ('megvii', 'mmpose'), True: ('unbiased',)}
"""The values of ``decoding`` that fit ``unbiased``, the default first."""


@KEYPOINT_CODECS.register_module()
class CoarseToFineHeatmap(BaseKeypointCodec):
    """Draw joints as one heatmap per level, coarse to fine, and read joints from heatmaps.

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
            By default joints are put into whole heatmap pixels, as the authors do.
        decoding (str, optional): How joints are read: ``'megvii'`` as the authors do, or
            ``'mmpose'`` as MMPose's ``MegviiHeatmap`` with the last of ``kernel_sizes`` does; with
            ``unbiased`` only ``'unbiased'``. Defaults to the first that fits.
        draw_on_device (bool): Whether :meth:`encode` leaves the drawing to the head, which calls
            :meth:`draw`.

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
        decoding: str | None = None,
        draw_on_device: bool = False,
    ) -> None:
        super().__init__()
        check_switches(unbiased=unbiased, draw_on_device=draw_on_device)
        self.input_size = _size('input_size', input_size)
        self.heatmap_size = _size('heatmap_size', heatmap_size)
        if any(pixels % cells for pixels, cells in zip(self.input_size, self.heatmap_size)):
            raise SettingError(
                f'heatmap_size={self.heatmap_size} does not divide input_size={self.input_size}: '
                'a heatmap pixel must be a whole number of input pixels wide and high, as with '
                '(48, 64) and (192, 256)'
            )
        if unbiased and min(self.heatmap_size) < 3:
            raise SettingError(
                f'heatmap_size={self.heatmap_size} is too small for unbiased=True, which needs at '
                'least 3 pixels each way'
            )
        self.kernel_sizes = _kernel_sizes(kernel_sizes)
        self.unbiased = bool(unbiased)
        self.decoding = DECODINGS[self.unbiased][0] if decoding is None else decoding
        if self.decoding not in DECODINGS[self.unbiased]:
            fitting = ' or '.join(map(repr, DECODINGS[self.unbiased]))
            raise SettingError(
                f'decoding={decoding!r} does not fit unbiased={self.unbiased}, which takes '
                f'{fitting}'
            )
        self.draw_on_device = bool(draw_on_device)

        self._stride = tuple(p // c for p, c in zip(self.input_size, self.heatmap_size))
        self._stride_array = np.array(self._stride, np.float32)
        self._pixels = [np.arange(size, dtype=np.float32) for size in self.heatmap_size]
        # Per axis, (level, joint's pixel, pixel).
        self._profiles = [
            np.stack([_impulse_profiles(size, kernel) for kernel in self.kernel_sizes])
            for size in self.heatmap_size
        ]
        self._profiles[1] *= PEAK
        self._device_profiles: dict[torch.device, list[Tensor]] = {}
        widest = self.kernel_sizes[0]
        self._window_starts = [_window_starts(size, widest) for size in self.heatmap_size]
        self._representatives = [_representatives(size, widest) for size in self.heatmap_size]
        self._windows: dict[tuple[int, int], np.ndarray] = {}
        self._mmpose_kernel = _half_kernel(self.kernel_sizes[-1])

    @property
    def num_levels(self) -> int:
        """The number of levels."""
        return len(self.kernel_sizes)

    def encode(
        self,
        keypoints: np.ndarray,
        keypoints_visible: np.ndarray | None = None,
        keypoints_visible_weights: np.ndarray | None = None,
    ) -> dict:
        """Draw one person's joints on every level.

        A joint is drawn if its visibility is at least 0.5 and it lies inside the input. Any other
        has weight 0 and an empty map, and an invisible one may have any coordinates. Inside means
        0 <= x < width; with ``unbiased`` -1 < x < width, so that flipping keeps joints inside.

        Args:
            keypoints (np.ndarray): Joints in input pixels, shape (1, K, 2).
            keypoints_visible (np.ndarray, optional): Visibility of shape (1, K). By default all
                joints are visible.
            keypoints_visible_weights (np.ndarray, optional): Shape (1, K), 1 where a joint is
                clearly visible: what ``GenerateTarget`` splits off ``keypoints_visible`` of shape
                (1, K, 2). It is handed on.

        Returns:
            dict: For L levels and heatmaps of W x H pixels

            - heatmaps (list[np.ndarray]): Per level float32 targets from 0 to 255, shape
              (K, H, W). Not with ``draw_on_device``.
            - keypoint_labels (np.ndarray): The joints, float32 of shape (1, K, 2), at 0 where the
              weight is 0. Only with ``draw_on_device``.
            - keypoint_weights (np.ndarray): The visibility of drawn joints and 0 for others,
              float32 of shape (L, 1, K), or (1, K) with ``draw_on_device``.
            - keypoints_visible_weights (np.ndarray): If given, in the shape of
              ``keypoint_weights``.

        Raises:
            SettingError: If a shape does not fit, or a visible joint is NaN or infinite.
        """
        joints, visible = _one_person(keypoints, keypoints_visible)
        cells, inside = self._cells(joints)
        drawn = inside & (visible >= 0.5)
        labels = dict(keypoint_weights=np.where(drawn, visible, np.float32(0))[None])
        if keypoints_visible_weights is not None:
            labels['keypoints_visible_weights'] = np.asarray(keypoints_visible_weights)
        if self.draw_on_device:
            return dict(keypoint_labels=np.where(drawn[:, None], joints, 0)[None], **labels)
        draw = self._draw_gaussians if self.unbiased else self._draw_cells
        # MMEngine wants all labels of a sample to be equally long, and MMPose's head a weight for
        # every level.
        return dict(
            heatmaps=list(draw(cells, np.flatnonzero(drawn))),
            **{name: np.repeat(label[None], self.num_levels, 0) for name, label in labels.items()},
        )

    def _cells(self, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The joints (K, 2) in heatmap pixels, and whether they are inside the input, (K,)."""
        if self.unbiased:
            inside = (joints > -1) & (joints < self.input_size)
            cells = (joints + 0.5) / self._stride_array - 0.5
        else:
            cells = np.floor(joints / self._stride_array)
            inside = (cells >= 0) & (cells < self.heatmap_size)
        return cells, np.all(inside, axis=1)

    def _draw_cells(self, cells: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """Draw the joints with indices ``drawn`` in whole pixels, as (L, K, H, W)."""
        width, height = self.heatmap_size
        maps = np.zeros((self.num_levels, len(cells), height, width), np.float32)
        for joint, (x, y) in zip(drawn.tolist(), cells[drawn].astype(int).tolist()):
            key = (self._representatives[0][x], self._representatives[1][y])
            window = self._windows.get(key)
            if window is None:
                window = self._make_window(*key)
            left, top = self._window_starts[0][x], self._window_starts[1][y]
            rows, columns = window.shape[1:]
            maps[:, joint, top : top + rows, left : left + columns] = window
        return maps

    def _make_window(self, x: int, y: int) -> np.ndarray:
        """Draw and keep all that a joint at a pixel draws, as (L, rows, columns)."""
        if len(self._windows) >= _KEPT_WINDOWS:
            self._windows.clear()
        across, down = (
            profiles[:, pixel, starts[pixel] : starts[pixel] + self.kernel_sizes[0]]
            for profiles, starts, pixel in zip(self._profiles, self._window_starts, (x, y))
        )
        window = (down[:, :, None] * across[:, None, :]).astype(np.float32)
        self._windows[x, y] = window
        return window

    def _draw_gaussians(self, cells: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """Draw the joints with indices ``drawn`` at their exact places, as (L, K, H, W)."""
        centres = np.zeros_like(cells)
        centres[drawn] = cells[drawn]
        peaks = np.zeros((len(cells), 1), np.float32)
        peaks[drawn] = PEAK
        decays = np.array([_decay(kernel) for kernel in self.kernel_sizes], np.float32)
        x, y = (
            np.exp(
                np.maximum(
                    decays[:, None, None] * (pixels - centre[:, None]) ** 2, _LOWEST_EXPONENT
                )
            )
            for pixels, centre in zip(self._pixels, centres.T)
        )
        return np.einsum('lky,lkx->lkyx', y * peaks, x)

    def draw(self, keypoints: Tensor, weights: Tensor, level: int) -> Tensor:
        """Draw a batch of persons on one level, on the joints' device.

        The heatmaps equal those of :meth:`encode`.

        Args:
            keypoints (Tensor): Joints in input pixels, shape (B, K, 2), such as stacked
                ``keypoint_labels``.
            weights (Tensor): Weights of shape (B, K). A joint with weight 0, or outside the
                input, has an empty map.
            level (int): The level, 0 for the coarsest.

        Returns:
            Tensor: float32 targets from 0 to 255, shape (B, K, H, W).

        Raises:
            SettingError: If the shapes do not fit each other, or there is no such level.
        """
        if keypoints.shape[-1:] != (2,) or keypoints.shape[:-1] != weights.shape:
            raise SettingError(
                f'keypoints have shape {tuple(keypoints.shape)} and weights '
                f'{tuple(weights.shape)}: (B, K, 2) and (B, K) fit'
            )
        if not 0 <= level < self.num_levels:
            raise SettingError(
                f'level={level} does not exist: kernel_sizes={self.kernel_sizes} make the levels '
                f'0 to {self.num_levels - 1}'
            )
        places: Sequence[Tensor] = keypoints.float().unbind(dim=-1)
        if self.unbiased:
            inside = [(p > -1) & (p < size) for p, size in zip(places, self.input_size)]
        else:
            # Whole heatmap pixels, as the loader rounds.
            places = [torch.floor(p / stride) for p, stride in zip(places, self._stride)]
            inside = [(p >= 0) & (p < size) for p, size in zip(places, self.heatmap_size)]
        drawn = inside[0] & inside[1] & (weights > 0)
        places = [torch.where(drawn, p, 0) for p in places]
        if self.unbiased:
            x, y = (
                self._gaussian(p, axis, level).clamp(min=_LOWEST_EXPONENT).exp()
                for axis, p in enumerate(places)
            )
            y = y * PEAK
        else:
            tables = self._profiles_on(keypoints.device)
            x, y = (table[level][p.long()] for table, p in zip(tables, places))
        return (y * drawn[..., None])[..., :, None] * x[..., None, :]

    def _gaussian(self, joints: Tensor, axis: int, level: int) -> Tensor:
        """The exponents of a Gaussian at each pixel of one axis."""
        centres = (joints + 0.5) / self._stride[axis] - 0.5
        pixels = torch.arange(self.heatmap_size[axis], device=joints.device)
        return _decay(self.kernel_sizes[level]) * (pixels - centres[..., None]).square()

    def _profiles_on(self, device: torch.device) -> list[Tensor]:
        if device not in self._device_profiles:
            self._device_profiles[device] = [
                torch.from_numpy(profiles).float().to(device) for profiles in self._profiles
            ]
        return self._device_profiles[device]

    def decode(self, encoded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Read one person's joints from its heatmaps, as :meth:`locate` does.

        Args:
            encoded (np.ndarray): Heatmaps of shape (K, H, W).

        Returns:
            tuple[np.ndarray, np.ndarray]: Joints in input pixels, shape (1, K, 2), and scores,
            shape (1, K).

        Raises:
            SettingError: If the shape does not fit.
        """
        keypoints, scores = self.locate(torch.from_numpy(np.ascontiguousarray(encoded))[None])
        return keypoints.numpy(), scores.numpy()

    def batch_decode(self, batch_encoded: Tensor) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Read a batch's joints from its heatmaps, as :meth:`locate` does.

        Args:
            batch_encoded (Tensor): Heatmaps of shape (B, K, H, W).

        Returns:
            tuple[list[np.ndarray], list[np.ndarray]]: For each person joints in input pixels,
            shape (1, K, 2), and scores, shape (1, K).

        Raises:
            SettingError: If the shape does not fit.
        """
        keypoints, scores = self.locate(batch_encoded.detach())
        return list(keypoints[:, None].cpu().numpy()), list(scores[:, None].cpu().numpy())

    def locate(self, heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        """Read joints from heatmaps by tensor operations, on the heatmaps' device.

        A GPU isn't waited for, and it exports to ONNX and compiles. Whatever the heatmaps hold,
        the joints are finite; they are inside the input, save that ``decoding='mmpose'`` puts a
        joint without a positive value one heatmap pixel outside, as MMPose does.

        Args:
            heatmaps (Tensor): Heatmaps of shape (B, K, H, W) and any floating point type.

        Returns:
            tuple[Tensor, Tensor]: float32 joints in input pixels, shape (B, K, 2), and float32
            scores, shape (B, K): the heatmap's value there / 255 + 0.5, where NaN counts as 0.

        Raises:
            SettingError: If the shape does not fit.
        """
        width, height = self.heatmap_size
        if heatmaps.dim() != 4 or heatmaps.shape[2:] != (height, width):
            raise SettingError(
                f'heatmaps have shape {tuple(heatmaps.shape)}, and heatmap_size='
                f'{self.heatmap_size} needs persons x joints x {height} x {width}'
            )
        maps = heatmaps.float().reshape(-1, height, width)
        if self.decoding == 'megvii':
            x, y, values = self._locate_megvii(maps)
        elif self.decoding == 'mmpose':
            x, y, values = self._locate_mmpose(maps)
        else:
            x, y, values = self._locate_unbiased(maps)
        scores = torch.where(values.isnan(), 0, values) / PEAK + 0.5
        return (
            torch.stack((x, y), dim=-1).view(*heatmaps.shape[:2], 2),
            scores.view(heatmaps.shape[:2]),
        )

    def _locate_megvii(self, maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """From the highest pixel a quarter towards the second highest, in blurred maps.

        Args:
            maps (Tensor): float32 of shape (N, H, W).

        Returns:
            tuple[Tensor, Tensor, Tensor]: x and y in input pixels, and the map's value there.
        """
        width, height = self.heatmap_size
        first, second = _two_highest(maps, self.heatmap_size).unbind(dim=1)
        apart = (second - first).float()
        step = 0.25 / apart.square().sum(dim=1, keepdim=True).sqrt().clamp(min=1)
        x, y = (first + apart * step).unbind(dim=1)
        x, y = x.clamp(0, width - 1), y.clamp(0, height - 1)
        index = y.round() * width + x.round()
        values = maps.flatten(1).gather(1, index.long()[:, None]).squeeze(1)
        stride_x, stride_y = self._stride
        return (x + 0.5) * stride_x, (y + 0.5) * stride_y, values

    def _locate_mmpose(self, maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What MMPose 1.3.2's ``MegviiHeatmap.decode`` gives, as :meth:`_locate_megvii`."""
        width, height = self.heatmap_size
        reach = len(self._mmpose_kernel) - 1
        blurred = _blur(F.pad(maps, (reach,) * 4), self._mmpose_kernel)
        blurred = blurred * (maps.amax((1, 2)) / blurred.amax((1, 2)))[:, None, None]
        flat = blurred.flatten(1)
        values, index = _highest(flat, height)
        x, y = index % width, index // width
        shifted = (x > 1) & (x < width - 1) & (y > 1) & (y < height - 1)
        places = []
        for cell, step, stride in ((x, 1, self._stride[0]), (y, width, self._stride[1])):
            after = flat.gather(1, (index + step).clamp(max=width * height - 1))
            before = flat.gather(1, (index - step).clamp(min=0))
            place = torch.where(shifted, cell + torch.sign(after - before) * 0.25 + 0.5, cell)
            places.append(torch.where(values <= 0, -1, place).squeeze(1) * stride)
        return places[0], places[1], values.squeeze(1)

    def _locate_unbiased(self, maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The centre of the Gaussian at the highest pixel, as :meth:`_locate_megvii`.

        The logarithm of a Gaussian is a parabola, and three neighbours determine it, whatever the
        Gaussian's height and width. Along one axis the three are sums over three rows (or
        columns) weighted 1 2 1: that averages noise, and changes nothing else, because a Gaussian
        has the same profile in all rows.
        """
        width, height = self.heatmap_size
        flat = maps.flatten(1)
        values, index = _highest(flat, height)
        peak = torch.cat((index % width, index // width), dim=1)
        # On a border the parabola goes through the three pixels next to it.
        middle = torch.cat(
            (peak[:, :1].clamp(1, width - 2), peak[:, 1:].clamp(1, height - 2)), dim=1
        )
        around = torch.arange(-1, 2, device=maps.device)
        rows, columns = middle[:, 1:] + around, middle[:, :1] + around
        index = (rows[:, :, None] * width + columns[:, None, :]).flatten(1)
        patch = flat.gather(1, index).unflatten(1, (3, 3))
        along_x = patch[:, 0] + 2 * patch[:, 1] + patch[:, 2]
        along_y = patch[..., 0] + 2 * patch[..., 1] + patch[..., 2]
        profiles = torch.stack((along_x, along_y), dim=1)
        floor = (profiles.amax(dim=-1, keepdim=True) * 1e-6).clamp(min=1e-30)
        before, here, after = torch.log(torch.maximum(profiles, floor)).unbind(dim=-1)
        curvature = 2 * here - before - after
        centre = middle + (after - before) / (2 * curvature)
        is_peak = (curvature > 1e-6) & ((centre - peak).abs() <= 1)
        centre = torch.where(is_peak, centre, peak)
        x, y = (
            ((centre[:, axis] + 0.5) * stride - 0.5).clamp(0, self.input_size[axis] - 1)
            for axis, stride in enumerate(self._stride)
        )
        return x, y, values.squeeze(1)


_KEPT_WINDOWS = 1024
"""How many drawn windows a codec keeps; the kernels of the authors make at most 17 x 17."""


_LOWEST_EXPONENT = -40.0
"""Keeps a Gaussian's tail from numbers so small (denormal) that processors slow down."""


def _decay(kernel_size: int) -> float:
    """-1 / (2 sigma^2) of the sigma that OpenCV gives a Gaussian kernel of this size."""
    sigma = 0.3 * ((kernel_size - 1) * 0.5 - 1) + 0.8
    return -0.5 / sigma**2


def _half_kernel(kernel_size: int) -> list[float]:
    """OpenCV's Gaussian kernel from its middle to one end."""
    return cv2.getGaussianKernel(kernel_size, 0)[kernel_size // 2 :, 0].tolist()


def _impulse_profiles(size: int, kernel_size: int) -> np.ndarray:
    """What OpenCV's Gaussian blur makes of a single 1 on a line, for each place of the 1.

    The blur is separable: a blurred pixel is the product of such a profile for its column and one
    for its row. At its ends the line is reflected without repeating the last pixel.

    Returns:
        np.ndarray: float64 of shape (size, size). Row i is for a 1 at i and has the maximum 1.
    """
    kernel = cv2.getGaussianKernel(kernel_size, 0)[:, 0]
    place = np.arange(size)[:, None]
    reach = np.arange(kernel_size) - kernel_size // 2
    period = max(2 * (size - 1), 1)
    source = (place + reach) % period
    source = np.minimum(source, period - source)
    profiles = np.zeros((size, size))
    np.add.at(profiles, (source, place), kernel)
    return profiles / profiles.max(axis=1, keepdims=True)


def _window_starts(size: int, kernel_size: int) -> list[int]:
    """Where the window of a kernel's size around each pixel starts, moved inside the map."""
    last = max(size - kernel_size, 0)
    return [min(max(pixel - kernel_size // 2, 0), last) for pixel in range(size)]


def _representatives(size: int, kernel_size: int) -> list[int]:
    """For each pixel the one whose window has the same content: away from borders all have."""
    reach = kernel_size // 2
    return [min(reach + 1, pixel) if pixel < size - 1 - reach else pixel for pixel in range(size)]


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
    if not sizes or any(size < 1 or size % 2 == 0 for size in sizes):
        raise SettingError(
            f'kernel_sizes={value!r} must be one odd positive number for each level, such as '
            '(15, 11, 9, 7, 5)'
        )
    coarse_to_fine = tuple(sorted(sizes, reverse=True))
    if sizes != coarse_to_fine:
        raise SettingError(
            f'kernel_sizes={value!r} do not go from coarse to fine, which would be {coarse_to_fine}'
        )
    return sizes


def _one_person(
    keypoints: np.ndarray, keypoints_visible: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """One person's joints (K, 2) and their visibility (K,), float32."""
    joints = np.asarray(keypoints, dtype=np.float32)
    if joints.ndim != 3 or joints.shape[0] != 1 or joints.shape[2] != 2:
        raise SettingError(
            f'keypoints have shape {joints.shape} instead of (1, K, 2), one person with K joints'
        )
    if keypoints_visible is None:
        visible = np.ones(joints.shape[:2], np.float32)
    else:
        visible = np.asarray(keypoints_visible, dtype=np.float32)
    if visible.shape != joints.shape[:2]:
        raise SettingError(
            f'keypoints_visible has shape {visible.shape} instead of {joints.shape[:2]}, one '
            f'value for each of the keypoints of shape {joints.shape}'
        )
    joints, visible = joints[0], visible[0]
    if not np.isfinite(joints).all():
        wrong = np.flatnonzero(~np.isfinite(joints).all(axis=1) & (visible >= 0.5))
        if len(wrong):
            raise SettingError(
                f'keypoints {wrong.tolist()} are visible and not finite: '
                f'{joints[wrong].tolist()}; a joint without a position needs visibility 0'
            )
    return joints, visible
