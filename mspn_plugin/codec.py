"""Coarse-to-fine heatmaps: the targets of the paper's section 3.3, and how joints are read back.

The same joints are drawn once per level, with a wide Gaussian for early stages and coarse units
and a narrow one for late and fine ones. One codec draws all levels (in the data loader or on the
model's device) and turns the network's heatmaps into joints.
"""

import operator
from typing import Dict, List, Optional, Sequence, Tuple, Union

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmpose.codecs.base import BaseKeypointCodec
from mmpose.registry import KEYPOINT_CODECS
from torch import Tensor

from .errors import SettingError

PEAK = 255.0
"""The highest value of a target."""

DECODINGS = {False: ('megvii', 'mmpose'), True: ('unbiased',)}
"""The decodings that fit the targets of ``unbiased=False`` and of ``unbiased=True``."""


@KEYPOINT_CODECS.register_module()
class CoarseToFineHeatmap(BaseKeypointCodec):
    """Draw joints as one heatmap per level, coarse to fine, and read them back from heatmaps.

    One dict of this codec serves as ``GenerateTarget(encoder=...)`` and as the head's
    ``decoder``. Level 0 is the coarsest. Coordinates are pixels of the network's input, where
    whole numbers are pixel centres, x before y. ``docs/codec.md`` explains the two codings.

    Args:
        input_size (tuple[int, int]): Width and height of the network's input in pixels.
        heatmap_size (tuple[int, int]): Width and height of a heatmap. Each has to divide its
            side of ``input_size``; the two quotients may differ.
        kernel_sizes (Sequence[int]): Per level the size of OpenCV's Gaussian kernel in heatmap
            pixels: odd, positive, never growing. The default is the authors' (section 4.2.3).
        unbiased (bool): Draw Gaussians at the joint's exact position and recover it, in place
            of the authors' way, which keeps whole heatmap pixels only.
        decoding (str, optional): ``'megvii'``, the authors' way: towards the second highest
            pixel; ``'mmpose'``, that of MMPose's ``MegviiHeatmap``, with the last level's
            kernel; ``'unbiased'``, the only one for ``unbiased=True``. By default the one that
            the targets were made for: ``'megvii'`` or ``'unbiased'``.
        draw_on_device (bool): Let the loader hand over coordinates, and the head draw the
            targets with :meth:`draw`.

    Raises:
        SettingError: If an argument does not fit; the message says what would.
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
        input_size: Tuple[int, int] = (192, 256),
        heatmap_size: Tuple[int, int] = (48, 64),
        kernel_sizes: Sequence[int] = (15, 11, 9, 7, 5),
        unbiased: bool = False,
        decoding: Optional[str] = None,
        draw_on_device: bool = False,
    ) -> None:
        super().__init__()
        self.input_size = _size('input_size', input_size)
        self.heatmap_size = _size('heatmap_size', heatmap_size)
        for pixels, cells in zip(self.input_size, self.heatmap_size):
            if pixels % cells:
                raise SettingError(
                    f'heatmap_size {self.heatmap_size} does not divide input_size '
                    f'{self.input_size}: both sides need a whole number of input pixels for '
                    'each heatmap pixel, such as (48, 64) in (192, 256)'
                )
        self.kernel_sizes = _kernels(kernel_sizes)
        self.unbiased = bool(unbiased)
        fitting = DECODINGS[self.unbiased]
        self.decoding = fitting[0] if decoding is None else decoding
        if self.decoding not in fitting:
            raise SettingError(
                f'decoding={decoding!r} does not fit unbiased={self.unbiased}, whose targets '
                f'are read back by {" or ".join(map(repr, fitting))}'
            )
        self.draw_on_device = bool(draw_on_device)

        self._stride = np.float32(self.input_size) / np.float32(self.heatmap_size)
        width, height = self.heatmap_size
        self._profiles_x = np.stack([_impulse_profiles(width, k) for k in self.kernel_sizes])
        self._profiles_y = PEAK * np.stack([_impulse_profiles(height, k) for k in self.kernel_sizes])
        self._device_profiles: Dict[torch.device, Tuple[Tensor, Tensor]] = {}
        self._index_patches()

    @property
    def num_levels(self) -> int:
        """The number of levels, coarsest first."""
        return len(self.kernel_sizes)

    def _index_patches(self) -> None:
        """Tabulate the rows that a joint touches, over all levels, for each row and column.

        A joint at row y fills ``kernel_size`` rows per level. They are kept as one list over all
        levels, so that drawing is a single product and a single assignment.
        """
        width, height = self.heatmap_size
        levels, rows = [], []
        for level, kernel_size in enumerate(self.kernel_sizes):
            count = min(kernel_size, height)
            top = np.clip(np.arange(height) - kernel_size // 2, 0, height - count)
            levels += [level] * count
            rows.append(top[:, None] + np.arange(count))
        self._patch_levels = np.array(levels)
        self._patch_rows = np.concatenate(rows, axis=1)
        self._patch_x = np.ascontiguousarray(
            self._profiles_x[self._patch_levels].swapaxes(0, 1).astype(np.float32))
        at_row = np.arange(height)[:, None]
        self._patch_y = self._profiles_y[self._patch_levels, at_row, self._patch_rows].astype(
            np.float32)[..., None]

    # ------------------------------------------------------------------ drawing

    def encode(
        self,
        keypoints: np.ndarray,
        keypoints_visible: Optional[np.ndarray] = None,
        keypoints_visible_weights: Optional[np.ndarray] = None,
    ) -> dict:
        """Draw one person's joints at every level.

        A joint is drawn if its visibility is at least 0.5 and it lies inside the input; any
        other gets weight 0 and an empty map, and its coordinates may be anything.

        Args:
            keypoints (np.ndarray): Joints in input pixels, in shape (1, K, 2).
            keypoints_visible (np.ndarray, optional): Visibility in shape (1, K). All joints are
                visible by default.
            keypoints_visible_weights (np.ndarray, optional): 1 where a joint is clearly visible,
                in shape (1, K), as ``GenerateTarget`` splits it off ``keypoints_visible`` of
                shape (1, K, 2). It is handed on.

        Returns:
            dict: With L levels and a heatmap of W x H pixels

            - heatmaps (list[np.ndarray]): float32 targets per level in shape (K, H, W), from 0
              to 255. Missing with ``draw_on_device``.
            - keypoint_labels (np.ndarray): float32 joints in shape (1, K, 2). Only with
              ``draw_on_device``.
            - keypoint_weights (np.ndarray): float32 visibility of the joints that are drawn, 0
              for the others, in shape (L, 1, K), or (1, K) with ``draw_on_device``.
            - keypoints_visible_weights (np.ndarray): In the shape of ``keypoint_weights``, if
              given.

        Raises:
            SettingError: If a shape does not fit, or a visible joint is not finite.
        """
        joints, visible = _one_person(keypoints, keypoints_visible)
        cells, inside = self._cells(joints)
        weights = np.where(inside, visible, np.float32(0))[None]
        labels = dict(keypoint_weights=weights)
        if keypoints_visible_weights is not None:
            labels['keypoints_visible_weights'] = np.asarray(keypoints_visible_weights)
        if self.draw_on_device:
            return dict(keypoint_labels=joints[None], **labels)

        # A sample's labels must agree in their first length, which is L for MMPose's heads.
        labels = {name: np.repeat(v[None], self.num_levels, axis=0) for name, v in labels.items()}
        drawn = np.flatnonzero(weights[0])
        draw = self._draw_exact if self.unbiased else self._draw_cells
        return dict(heatmaps=list(draw(cells, drawn)), **labels)

    def _cells(self, joints: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """Positions (K, 2) in heatmap pixels, and which of them (K,) can be drawn."""
        if self.unbiased:
            # A joint that is inside must be so flipped, x -> w - 1 - x, too.
            inside = (joints > -1) & (joints < self.input_size)
            return (joints + 0.5) / self._stride - np.float32(0.5), inside.all(axis=1)
        cells = np.floor(joints / self._stride)
        return cells, ((cells >= 0) & (cells < self.heatmap_size)).all(axis=1)

    def _draw_cells(self, cells: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """Draw whole heatmap pixels in the authors' way, as (L, K, H, W)."""
        width, height = self.heatmap_size
        count = len(cells)
        maps = np.zeros((self.num_levels, count, height, width), np.float32)
        x, y = cells[drawn].astype(np.intp).T
        rows = self._patch_rows[y] + (self._patch_levels * count + drawn[:, None]) * height
        maps.reshape(-1, width)[rows] = self._patch_x[x] * self._patch_y[y]
        return maps

    def _draw_exact(self, cells: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """Draw Gaussians at their exact centres, as (L, K, H, W)."""
        decay = np.float32([-0.5 / sigma(k) ** 2 for k in self.kernel_sizes])[:, None, None]
        x, y = (
            np.exp(decay * np.square(np.arange(size, dtype=np.float32) - centre[:, None]))
            for size, centre in zip(self.heatmap_size, cells.T)
        )
        visible = np.zeros(len(cells), np.float32)
        visible[drawn] = PEAK
        return np.einsum('lky,lkx->lkyx', y * visible[:, None], x)

    def draw(self, keypoints: Tensor, weights: Tensor, level: int) -> Tensor:
        """Draw a batch of persons at one level, on the device of ``keypoints``.

        The maps equal those of :meth:`encode`.

        Args:
            keypoints (Tensor): ``keypoint_labels`` in input pixels, in shape (B, K, 2).
            weights (Tensor): ``keypoint_weights`` in shape (B, K). A joint with weight 0, or
                outside the input, gets an empty map.
            level (int): The level, 0 for the coarsest.

        Returns:
            Tensor: float32 targets from 0 to 255, in shape (B, K, H, W).
        """
        joints = keypoints.float()
        drawn = weights > 0
        profiles = []
        for axis, (pixels, size) in enumerate(zip(self.input_size, self.heatmap_size)):
            joint = joints[..., axis]
            stride = pixels // size
            if self.unbiased:
                drawn = drawn & (joint > -1) & (joint < pixels)
                centre = (joint + 0.5) / stride - 0.5
                grid = torch.arange(size, device=joint.device)
                decay = -0.5 / sigma(self.kernel_sizes[level]) ** 2
                profiles.append(torch.exp(decay * (grid - centre[..., None]).square()))
            else:
                cell = torch.floor(joint / stride)
                inside = (cell >= 0) & (cell < size)
                drawn = drawn & inside
                table = self._profiles_on(joint.device)[axis][level]
                profiles.append(table[torch.where(inside, cell, 0).long()])
        x, y = profiles
        if self.unbiased:
            y = y * PEAK
        y = torch.where(drawn[..., None], y, 0)
        return y[..., :, None] * torch.where(drawn[..., None], x, 0)[..., None, :]

    def _profiles_on(self, device: torch.device) -> Tuple[Tensor, Tensor]:
        if device not in self._device_profiles:
            x, y = (torch.from_numpy(p.astype(np.float32)).to(device)
                    for p in (self._profiles_x, self._profiles_y))
            self._device_profiles[device] = (x, y)
        return self._device_profiles[device]

    # ------------------------------------------------------------------ reading back

    def decode(self, encoded: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """Read one person's joints from its heatmaps.

        Args:
            encoded (np.ndarray): Heatmaps in shape (K, H, W).

        Returns:
            tuple[np.ndarray, np.ndarray]: Joints in input pixels, (1, K, 2), and scores, (1, K),
            as :meth:`locate` gives them.
        """
        keypoints, scores = self.locate(torch.from_numpy(np.asarray(encoded))[None])
        return keypoints.numpy(), scores.numpy()

    def batch_decode(
        self, batch_encoded: Tensor
    ) -> Tuple[List[np.ndarray], List[np.ndarray]]:
        """Read a batch's joints, on the device of its heatmaps.

        Args:
            batch_encoded (Tensor): Heatmaps in shape (B, K, H, W).

        Returns:
            tuple[list[np.ndarray], list[np.ndarray]]: Per person the joints in input pixels,
            (1, K, 2), and scores, (1, K), as :meth:`locate` gives them.
        """
        keypoints, scores = self.locate(batch_encoded.detach())
        return list(keypoints[:, None].cpu().numpy()), list(scores[:, None].cpu().numpy())

    def locate(self, heatmaps: Tensor) -> Tuple[Tensor, Tensor]:
        """Find the joints in heatmaps with tensor operations only.

        It runs where the heatmaps are, waits for nothing, exports to ONNX and compiles. Whatever
        the maps hold (NaN, infinities, one value everywhere), the coordinates are finite.

        Args:
            heatmaps (Tensor): Heatmaps of targets' scale in shape (B, K, H, W), in any floating
                point type.

        Returns:
            tuple[Tensor, Tensor]: float32 joints in input pixels, (B, K, 2), inside the input,
            and float32 scores, (B, K): the map's value at the joint / 255 + 0.5.
        """
        batch, joints = heatmaps.shape[:2]
        maps = heatmaps.float().flatten(0, 1)
        find = dict(megvii=self._find_megvii, mmpose=self._find_mmpose,
                    unbiased=self._find_exact)[self.decoding]
        x, y, value = find(maps)
        scores = torch.nan_to_num(value, nan=0.0, posinf=float('inf'), neginf=float('-inf')) / PEAK + 0.5
        return (torch.stack((x, y), dim=-1).view(batch, joints, 2), scores.view(batch, joints))

    def _find_megvii(self, maps: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """The authors' way: x and y in input pixels and the value there, of maps (N, H, W)."""
        height, width = maps.shape[-2:]
        blurred = _blur(maps, rim=2)
        rows, columns = blurred.shape[-2:]
        flat = blurred.flatten(1)
        places = []
        for _ in range(2):
            index = _highest(flat, rows)
            value = flat.gather(1, index)
            # The authors search a map padded by 10, which is zero beyond the blur's reach: where
            # nothing is positive they find its first pixel.
            found = value > 0
            places.append((torch.where(found, index % columns - 2, -10).squeeze(1).float(),
                           torch.where(found, index // columns - 2, -10).squeeze(1).float()))
            flat = flat.scatter(1, index, 0.0)
        (x, y), (second_x, second_y) = places
        dx, dy = second_x - x, second_y - y
        step = 0.25 / torch.sqrt(dx * dx + dy * dy).clamp(min=1)
        x = (x + dx * step).clamp(0, width - 1)
        y = (y + dy * step).clamp(0, height - 1)
        index = torch.round(y).long() * width + torch.round(x).long()
        value = maps.flatten(1).gather(1, index[:, None]).squeeze(1)
        stride_x, stride_y = self._stride.tolist()
        return (x + 0.5) * stride_x, (y + 0.5) * stride_y, value

    def _find_mmpose(self, maps: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        raise NotImplementedError

    def _find_exact(self, maps: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        raise NotImplementedError


def sigma(kernel_size: int) -> float:
    """The width in heatmap pixels that OpenCV gives a Gaussian kernel of this size."""
    return 0.3 * ((kernel_size - 1) * 0.5 - 1) + 0.8


def _impulse_profiles(size: int, kernel_size: int) -> np.ndarray:
    """What a blur makes of a single 1 on a line, for each place of the 1.

    A Gaussian blur is separable, so a blurred joint is the product of one row of this for its
    column and one for its row. OpenCV reflects the line at its ends, without repeating them.

    Returns:
        np.ndarray: float64 (size, size): row i is the response to a 1 at i, its highest value
        scaled to 1.
    """
    kernel = cv2.getGaussianKernel(kernel_size, 0)[:, 0]
    source = np.arange(size)[:, None] + np.arange(kernel_size) - kernel_size // 2
    period = max(2 * (size - 1), 1)
    source = np.abs((source + size - 1) % period - (size - 1)) if size > 1 else source * 0
    profiles = np.zeros((size, size))
    np.add.at(profiles, (source, np.arange(size)[:, None]), kernel)
    return profiles / profiles.max(axis=1, keepdims=True)


def _blur(maps: Tensor, rim: int) -> Tensor:
    """256 times OpenCV's Gaussian blur of size 5, whose kernel is 1 4 6 4 1, of (N, H, W).

    Four sums of neighbours make that kernel. They treat both directions alike, so that what is
    symmetric stays so to the last bit, and equal neighbours stay equal.

    Returns:
        Tensor: (N, H + 2 * rim, W + 2 * rim), with zeros assumed around the maps.
    """
    sums = F.pad(maps, (rim + 2,) * 4)
    for _ in range(4):
        sums = sums[:, 1:] + sums[:, :-1]
    for _ in range(4):
        sums = sums[..., 1:] + sums[..., :-1]
    return sums


def _highest(flat: Tensor, rows: int) -> Tensor:
    """The first highest of each row of (N, C), as (N, 1), searched in blocks for speed."""
    blocks = flat.unflatten(1, (max(n for n in range(1, 17) if rows % n == 0), -1))
    block = blocks.amax(dim=-1).argmax(dim=-1, keepdim=True)
    size = blocks.shape[-1]
    values = blocks.gather(1, block[..., None].expand(-1, -1, size)).squeeze(1)
    return block * size + values.argmax(dim=-1, keepdim=True)


def _size(name: str, value: Union[Sequence[int], np.ndarray]) -> Tuple[int, int]:
    try:
        width, height = (operator.index(side) for side in value)
    except (TypeError, ValueError):
        width = height = 0
    if width < 1 or height < 1:
        raise SettingError(f'{name}={value!r} is not (width, height) in whole positive pixels')
    return width, height


def _kernels(value: Sequence[int]) -> Tuple[int, ...]:
    try:
        kernels = tuple(operator.index(size) for size in value)
    except TypeError:
        kernels = ()
    if not kernels or any(size < 1 or size % 2 == 0 for size in kernels):
        raise SettingError(
            f'kernel_sizes={value!r}: one odd positive whole number per level is needed, such as '
            '(15, 11, 9, 7, 5)'
        )
    if list(kernels) != sorted(kernels, reverse=True):
        raise SettingError(
            f'kernel_sizes={value!r} are not ordered from coarse to fine; that would be '
            f'{tuple(sorted(kernels, reverse=True))}'
        )
    return kernels


def _one_person(
    keypoints: np.ndarray, keypoints_visible: Optional[np.ndarray]
) -> Tuple[np.ndarray, np.ndarray]:
    """Joints (K, 2) and visibility (K,) as float32, both 0 where a joint isn't visible."""
    given = np.asarray(keypoints, dtype=np.float32)
    if given.ndim != 3 or given.shape[0] != 1 or given.shape[2] != 2:
        raise SettingError(
            f'keypoints have shape {given.shape}, and (1, K, 2) fits: the joints of one person'
        )
    joints = given[0]
    if keypoints_visible is None:
        return joints, np.ones(len(joints), np.float32)
    visible = np.asarray(keypoints_visible, dtype=np.float32)
    if visible.shape != given.shape[:2]:
        raise SettingError(
            f'keypoints_visible has shape {visible.shape}, and keypoints of shape {given.shape} '
            f'need {given.shape[:2]}'
        )
    return joints, visible[0]
