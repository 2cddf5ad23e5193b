"""What rendered people are painted with: colours, outlines, and an image that knows its parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np

SUPERSAMPLING = 2

SUBPIXEL_BITS = 4

Colour = tuple[float, float, float]


def palette(text: str) -> tuple[Colour, ...]:
    """Colours from a list of RRGGBB, in OpenCV's order: blue, green, red."""
    return tuple(as_colour(tuple(bytes.fromhex(code))[::-1]) for code in text.split())


def as_colour(channels: Iterable[float]) -> Colour:
    blue, green, red = (float(channel) for channel in channels)
    return blue, green, red


_CIRCLE = np.stack([f(np.linspace(0, 2 * np.pi, 20, endpoint=False)) for f in (np.cos, np.sin)], 1)

_NEAR, _FAR = np.linspace(-1, 1, 8), np.linspace(0, 1, 8)


def shade(colour: Colour, factor: float) -> Colour:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def mix(one: Colour, other: Colour, part: float) -> Colour:
    """Colour between two, at ``part`` of the way."""
    blue, green, red = (a + (b - a) * part for a, b in zip(one, other, strict=True))
    return blue, green, red


def circle(centre: np.ndarray, radius: float) -> np.ndarray:
    """Outline (corners, 2) of a circle."""
    return centre[:2] + radius * _CIRCLE


def capsules(
    a: np.ndarray, b: np.ndarray, ra: np.ndarray, rb: np.ndarray, flat: bool = False
) -> np.ndarray:
    """Outlines (n, corners, 2) of the hulls of circles at ``a`` and at ``b``.

    Args:
        a: Centres (n, 2).
        b: Centres (n, 2).
        ra: Radii (n,) at ``a``.
        rb: Radii (n,) at ``b``.
        flat: Whether the outlines are cut off at ``b``, as a sleeve is.
    """
    along = b - a
    length = np.hypot(along[:, 0], along[:, 1])
    # Where one circle lies in the other the outline is that of the larger one, or nearly so.
    tangent = np.arccos(np.clip((ra - rb) / np.maximum(length, 1e-6), -0.95, 0.95))
    direction = np.arctan2(along[:, 1], along[:, 0])
    angles = np.concatenate(
        (tangent[:, None] * _NEAR, tangent[:, None] + (2 * np.pi - 2 * tangent)[:, None] * _FAR), 1
    )
    if flat:
        angles = angles[:, len(_NEAR) - 1 :]
        angles = np.concatenate((-tangent[:, None], angles), 1)
    near_corners = 2 if flat else len(_NEAR)
    angles += direction[:, None]
    corners = np.stack((np.cos(angles), np.sin(angles)), 2)
    corners[:, :near_corners] *= rb[:, None, None]
    corners[:, :near_corners] += b[:, None]
    corners[:, near_corners:] *= ra[:, None, None]
    corners[:, near_corners:] += a[:, None]
    return corners


def capsule(a: np.ndarray, b: np.ndarray, ra: float, rb: float) -> np.ndarray:
    """Outline (corners, 2) of one of :func:`capsules`."""
    return capsules(a[None, :2], b[None, :2], np.array((ra,)), np.array((rb,)))[0]


def hull(points: np.ndarray) -> np.ndarray:
    return cv2.convexHull(np.ascontiguousarray(points[:, :2], np.float32))[:, 0]


class Canvas:
    """A picture, and the number of the part that each of its pixels shows.

    Both are painted at ``SUPERSAMPLING`` times the size. Coordinates are those of the labels.

    Args:
        width: Of the picture, in pixels.
        height: Of the picture, in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        shape = (height * SUPERSAMPLING, width * SUPERSAMPLING)
        self.colours = np.zeros((*shape, 3), np.uint8)
        self.parts = np.zeros(shape, np.uint8)

    def paint(
        self, outline: np.ndarray, colour: Colour, part: int | None = None, convex: bool = True
    ) -> None:
        """Fills an outline (corners, 2); without ``part`` the map of parts stays as it is."""
        corners = outline[:, :2] * SUPERSAMPLING + (SUPERSAMPLING - 1) / 2
        fixed = np.rint(corners * (1 << SUBPIXEL_BITS)).astype(np.int32)
        if convex:
            cv2.fillConvexPoly(self.colours, fixed, colour, cv2.LINE_AA, SUBPIXEL_BITS)
        else:
            cv2.fillPoly(self.colours, [fixed], colour, cv2.LINE_AA, SUBPIXEL_BITS)
        if part is not None:
            if convex:
                cv2.fillConvexPoly(self.parts, fixed, part, cv2.LINE_8, SUBPIXEL_BITS)
            else:
                cv2.fillPoly(self.parts, [fixed], part, cv2.LINE_8, SUBPIXEL_BITS)


@dataclass
class Stroke:
    """Outlines with their colours, painted together at one depth as one part."""

    depth: float
    part: str
    outlines: list[tuple[np.ndarray, Colour, bool]] = field(default_factory=list)

    def add(self, outline: np.ndarray | None, colour: Colour, convex: bool = True) -> None:
        if outline is not None:
            self.outlines.append((outline, colour, convex))


def box(x1: float, y1: float, x2: float, y2: float) -> np.ndarray:
    """Outline of an upright rectangle."""
    return np.array(((x1, y1), (x2, y1), (x2, y2), (x1, y2)), float)
