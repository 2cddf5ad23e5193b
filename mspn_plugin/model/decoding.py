"""Keypoints read from heatmaps, as the authors' release does and without its rounding.

Maps are float32 of shape (N, H, W) and (W, H) is ``size``: in a graph that is recorded only the
latter are plain numbers. What comes back are x and y in heatmap pixels and the map's value at the
keypoint, each of shape (N,). All of it stays on the maps' device.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def locate_shifted(
    maps: Tensor, size: tuple[int, int], half_kernel: Sequence[float]
) -> tuple[Tensor, Tensor, Tensor]:
    """From the highest pixel a quarter towards the second highest, in blurred maps.

    This is the release's decoding. The kernel blurs both ways, and is given from its middle to an
    end.
    """
    width, height = size
    first, second = _two_highest(maps, width, half_kernel).unbind(dim=1)
    apart = (second - first).float()
    step = 0.25 / apart.square().sum(dim=1, keepdim=True).sqrt().clamp(min=1)
    x, y = (first + apart * step).unbind(dim=1)
    x, y = x.clamp(0, width - 1), y.clamp(0, height - 1)
    index = y.round() * width + x.round()
    return x, y, maps.flatten(1).gather(1, index.long()[:, None]).squeeze(1)


def locate_exact(maps: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """The centre of the Gaussian at the highest pixel, in maps of at least 3 x 3.

    The logarithm of a Gaussian is a parabola, and three neighbours determine it, whatever the
    Gaussian's height and width. Along one axis the three are sums over three rows (or columns)
    weighted 1 2 1: that averages noise, and changes nothing else, because a Gaussian has the same
    profile in all rows.
    """
    width, height = size
    flat = maps.flatten(1)
    values, index = flat.max(dim=1, keepdim=True)
    peak = torch.cat((index % width, index // width), dim=1)
    # On a border the parabola goes through the three pixels next to it.
    middle = torch.cat((peak[:, :1].clamp(1, width - 2), peak[:, 1:].clamp(1, height - 2)), dim=1)
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
    x, y = torch.where(is_peak, centre, peak).unbind(dim=1)
    return x, y, values.squeeze(1)


def _two_highest(maps: Tensor, width: int, half_kernel: Sequence[float]) -> Tensor:
    """x and y of the highest and of the second highest pixel of blurred maps, int64 (N, 2, 2).

    The second may be outside of the map, by half a kernel. Both are at -10 where nothing is
    positive: the release searches a map with a border of 10 zeros, whose first pixel is there.
    """
    reach = len(half_kernel) - 1
    flat = _blur(F.pad(maps, (2 * reach,) * 4), half_kernel).flatten(1)
    first, index = flat.max(dim=1, keepdim=True)
    second, next_index = flat.scatter(1, index, 0.0).max(dim=1, keepdim=True)
    index = torch.cat((index, next_index), dim=1)
    columns = width + 2 * reach
    places = torch.stack((index % columns, index // columns), dim=-1) - reach
    found = torch.cat((first, second), dim=1) > 0
    return torch.where(found[..., None], places, -10)


def _blur(maps: Tensor, half_kernel: Sequence[float]) -> Tensor:
    """Blur maps with a symmetric kernel both ways, and lose its reach on each side.

    On symmetric maps the keypoint depends on which neighbours are equally high to the last bit. For
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
