"""What rendered people are painted with: colours, outlines, and an image that knows its parts.

Colours are blue, green and red, as OpenCV has them. An outline is an array (corners, 2) of pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

SUPERSAMPLING = 2
SUBPIXEL_BITS = 4

Colour = tuple[float, ...]
Point = np.ndarray | tuple[float, float]

_CIRCLE = np.stack([f(np.linspace(0, 2 * np.pi, 20, endpoint=False)) for f in (np.cos, np.sin)], 1)
_NEAR, _FAR = np.linspace(-1, 1, 8), np.linspace(0, 1, 8)


def palette(text: str) -> tuple[Colour, ...]:
    """Colours from a list of RRGGBB."""
    return tuple(tuple(bytes.fromhex(code))[::-1] for code in text.split())


def shade(colour: Colour, factor: float) -> Colour:
    return tuple(channel * factor for channel in colour)


def mix(one: Colour, other: Colour, part: float) -> Colour:
    """Colour between two, at ``part`` of the way."""
    return tuple(a + (b - a) * part for a, b in zip(one, other, strict=True))


def circle(centre: Point, radius: float) -> np.ndarray:
    return centre + radius * _CIRCLE


def box(x1: float, y1: float, x2: float, y2: float) -> np.ndarray:
    """Outline of an upright rectangle."""
    return np.array(((x1, y1), (x2, y1), (x2, y2), (x1, y2)), float)


def capsule(a: Point, b: Point, ra: float, rb: float, flat: bool = False) -> np.ndarray:
    """Outline around a circle at ``a`` and one at ``b``, or cut off at ``b``, as a sleeve is."""
    along = np.subtract(b, a)
    # Where one circle lies in the other the outline is that of the larger one, or nearly so.
    tangent = np.arccos(np.clip((ra - rb) / max(np.hypot(*along), 1e-6), -0.95, 0.95))
    near = tangent * (_NEAR[[0, -1]] if flat else _NEAR)
    far = tangent + (2 * np.pi - 2 * tangent) * _FAR
    angles = np.concatenate((near, far)) + np.arctan2(along[1], along[0])
    corners = np.stack((np.cos(angles), np.sin(angles)), 1)
    return np.concatenate((b + rb * corners[: len(near)], a + ra * corners[len(near) :]))


def hull(points: np.ndarray) -> np.ndarray:
    return cv2.convexHull(np.ascontiguousarray(points, np.float32))[:, 0]


class Canvas:
    """An image, and the number of the part that each of its pixels shows.

    Both are painted at ``SUPERSAMPLING`` times the size. Coordinates are those of the labels.

    Args:
        width (int): Of the image, in pixels.
        height (int): Of the image, in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        shape = (height * SUPERSAMPLING, width * SUPERSAMPLING)
        self.colours = np.zeros((*shape, 3), np.uint8)
        self.parts = np.zeros(shape, np.uint8)

    def paint(
        self, outline: np.ndarray, colour: Colour, part: int | None = None, convex: bool = True
    ) -> None:
        """Fill an outline; without ``part`` the map of parts stays as it is."""
        corners = outline * SUPERSAMPLING + (SUPERSAMPLING - 1) / 2
        fixed = np.rint(corners * (1 << SUBPIXEL_BITS)).astype(np.int32)
        fill: Callable[..., Any] = cv2.fillConvexPoly if convex else cv2.fillPoly
        polygon = fixed if convex else [fixed]
        fill(self.colours, polygon, colour, cv2.LINE_AA, SUBPIXEL_BITS)
        if part is not None:
            fill(self.parts, polygon, part, cv2.LINE_8, SUBPIXEL_BITS)


@dataclass
class Stroke:
    """Outlines with their colours, painted together at one depth as one part."""

    depth: float
    part: str
    outlines: list[tuple[np.ndarray, Colour, bool]] = field(default_factory=list)

    def add(self, outline: np.ndarray | None, colour: Colour, convex: bool = True) -> None:
        if outline is not None:
            self.outlines.append((outline, colour, convex))
