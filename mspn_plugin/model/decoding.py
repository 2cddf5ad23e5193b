"""Keypoints read from heatmaps."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

_HALF_KERNEL_5 = (0.375, 0.25, 0.0625)
"""OpenCV's Gaussian kernel of size 5, from its middle to one end."""


_FEW_MAPS = 32
"""Up to so many, blurring all costs less than the operations that find out what to blur."""


_LOWEST_BAND = 4
"""The rows that a band of :func:`_two_highest_near_peak` has at least."""


def _two_highest(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """The two highest pixels of maps blurred in the authors' way, with kernel 5.

    Args:
        maps (Tensor): float32 of shape (N, H, W).
        size (tuple[int, int]): W and H.

    Returns:
        Tensor: int64 of shape (N, 2, 2): x and y of the highest pixel and of the second highest,
        which may be up to 2 pixels outside the map. All are -10 where nothing is positive: the
        authors search a map with a border of 10 zeros, and its first pixel is there.
    """
    same_work = torch.jit.is_tracing() or torch.compiler.is_compiling()
    few = len(maps) <= _FEW_MAPS
    if maps.device.type != 'cpu' or same_work or few or size[1] < _LOWEST_BAND:
        return _two_highest_anywhere(maps, size)
    places, certain = _two_highest_near_peak(maps, size)
    rest = (~certain).nonzero().squeeze(1)
    if len(rest):
        places[rest] = _two_highest_anywhere(maps.index_select(0, rest), size)
    return places


def _two_highest_anywhere(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """:func:`_two_highest` from a blur of everything."""
    places, _ = _two_highest_blurred(F.pad(maps, (4, 4, 4, 4)), (size[0] + 4, size[1] + 4), -2, -2)
    return places


def _two_highest_near_peak(maps: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """:func:`_two_highest` from a blur of the highest pixel's surroundings, and if that is enough.

    Blurred pixels are means of those up to 2 away, so none is above all of these. If the second
    highest that is found is above every pixel that counts outside the blurred surroundings, it is
    the second highest of the whole map.

    Returns:
        tuple[Tensor, Tensor]: int64 places of shape (N, 2, 2), and bool of shape (N,): whether they
        are certain to be those of the whole map.
    """
    width, height = size
    # The rows are searched in bands. The surroundings are the peak's band, the one above and the
    # one below with 2 more rows each, and the peak's column with 4 on each side. What is blurred
    # outside them counts rows of other bands (if bands have 4 rows or more) or columns over 2 away.
    band = next(rows for rows in range(_LOWEST_BAND, height + 1) if height % rows == 0)
    count = height // band
    bands = maps.reshape(-1, count, band * width).amax(dim=-1)
    # Much faster than argmax.
    peak_band = bands.max(dim=-1, keepdim=True).indices
    around = torch.arange(-6, max(7, 5 * band), device=maps.device)
    top = (peak_band - 2) * band
    y = top + around[6 : 6 + 5 * band]
    inner_y = y.clamp(0, height - 1)
    rows = torch.arange(len(maps), device=maps.device)[:, None] * height + inner_y
    strips = maps.reshape(-1, width).index_select(0, rows.flatten())
    columns = strips.view(-1, 5, band * width)[:, 1:4].amax(dim=1).view(-1, band, width).amax(dim=1)
    peak_x = columns.max(dim=-1, keepdim=True).indices

    x = peak_x + around[:13]
    inner_x = x.clamp(0, width - 1)
    surroundings = strips.view(-1, 5 * band, width).gather(
        2, inner_x[:, None, :].expand(-1, 5 * band, -1)
    )
    surroundings *= (y == inner_y).float()[:, :, None]
    surroundings *= (x == inner_x).float()[:, None, :]
    places, second = _two_highest_blurred(surroundings, (9, 5 * band - 4), peak_x - 4, top + 2)

    near = torch.cat(
        (
            (peak_band + around[5:8]).clamp(0, count - 1),
            (peak_x + around[4:9]).clamp(0, width - 1) + count,
        ),
        dim=1,
    )
    others = torch.cat((bands, columns), dim=1).scatter(1, near, 0.0).amax(dim=1)
    # The margin is wider than the blur's rounding.
    return places, others * 1.0001 < second


def _two_highest_blurred(
    maps: Tensor, size: tuple[int, int], left: int | Tensor, top: int | Tensor
) -> tuple[Tensor, Tensor]:
    """Blur maps (N, rows + 4, columns + 4) with kernel 5 and find the two highest pixels.

    Args:
        maps (Tensor): float32 maps. The blur leaves out 2 pixels on each side.
        size (tuple[int, int]): columns and rows of the blurred maps.
        left (int | Tensor): x of their first column, or int64 (N, 1).
        top (int | Tensor): y of their first row, likewise.

    Returns:
        tuple[Tensor, Tensor]: int64 places of shape (N, 2, 2) as of :func:`_two_highest`, and the
        second highest blurred value, shape (N,).
    """
    columns, rows = size
    flat = _blur(maps, _HALF_KERNEL_5).flatten(1)
    first, index = _highest(flat, rows)
    second, next_index = _highest(flat.scatter(1, index, 0.0), rows)
    index = torch.cat((index, next_index), dim=1)
    places = torch.stack((index % columns + left, index // columns + top), dim=-1)
    found = torch.cat((first, second), dim=1) > 0
    return torch.where(found[..., None], places, -10), second.squeeze(1)


def _highest(flat: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """The highest value of each map and its first place.

    In large maps only the best block of rows is searched for it, because finding where the highest
    value is takes several times as long as finding the value.

    Args:
        flat (Tensor): Maps of shape (N, rows * columns).
        rows (int): The number of rows.

    Returns:
        tuple[Tensor, Tensor]: Values, and int64 indices, both of shape (N, 1).
    """
    count = next(n for n in range(max(rows // 4, 1), 0, -1) if rows % n == 0)
    if count < 8:
        value, index = flat.max(dim=1, keepdim=True)
        return value, index
    blocks = flat.unflatten(1, (count, -1))
    block = blocks.amax(dim=-1).argmax(dim=-1, keepdim=True)
    size = blocks.shape[-1]
    values = blocks.gather(1, block[..., None].expand(-1, -1, size)).squeeze(1)
    value, index = values.max(dim=1, keepdim=True)
    return value, block * size + index


def _blur(maps: Tensor, half_kernel: Sequence[float]) -> Tensor:
    """Blur maps (N, H, W) with a symmetric kernel both ways, and lose its reach on each side.

    On symmetric maps the joint depends on which neighbours are equally high to the last bit. For
    kernels up to 5 the sums are therefore made in OpenCV's order: along rows it starts with the
    nearest pair, and fuses the product for the middle into a sum, which ``alpha`` does too.
    """
    reach = len(half_kernel) - 1
    for axis in (2, 1):
        size = maps.shape[axis] - 2 * reach
        middle = maps.narrow(axis, reach, size)
        pairs = (
            maps.narrow(axis, reach - offset, size) + maps.narrow(axis, reach + offset, size)
            for offset in range(1, reach + 1)
        )
        if axis == 2 and reach:
            sums = (next(pairs) * half_kernel[1]).add_(middle, alpha=half_kernel[0])
            weights = half_kernel[2:]
        else:
            sums = middle * half_kernel[0]
            weights = half_kernel[1:]
        for pair, weight in zip(pairs, weights):
            sums.add_(pair, alpha=weight)
        maps = sums
    return maps
