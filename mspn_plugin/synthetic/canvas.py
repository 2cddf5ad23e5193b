"""What rendered people are painted with: colours, outlines, and an image that knows its parts.

Colours are blue, green and red, as OpenCV has them. An outline is an array (corners, 2) of pixels.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np

SUPERSAMPLING = 2
SUBPIXEL_BITS = 4

Colour = tuple[float, ...]
Point = np.ndarray | tuple[float, float]

_CIRCLE = np.stack([f(np.linspace(0, 2 * np.pi, 20, endpoint=False)) for f in (np.cos, np.sin)], 1)


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


def capsule(a: Point, b: Point, ra: float, rb: float) -> np.ndarray:
    """Outline around a circle at ``a`` and one at ``b``."""
    return hull(np.concatenate((circle(a, ra), circle(b, rb))))


def hull(points: np.ndarray) -> np.ndarray:
    return cv2.convexHull(np.ascontiguousarray(points, np.float32))[:, 0]


class Canvas:
    """An image, and the number of the part that each of its pixels shows.

    Both are painted at ``SUPERSAMPLING`` times the size in pixels that is given. Coordinates are
    those of the labels.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        shape = (height * SUPERSAMPLING, width * SUPERSAMPLING)
        self.colours = np.zeros((*shape, 3), np.uint8)
        self.parts = np.zeros(shape, np.uint8)

    def paint(self, outline: np.ndarray, colour: Colour, part: int | None = None) -> None:
        """Fill an outline; without ``part`` the map of parts stays as it is."""
        corners = outline * SUPERSAMPLING + (SUPERSAMPLING - 1) / 2
        polygon = [np.rint(corners * (1 << SUBPIXEL_BITS)).astype(np.int32)]
        cv2.fillPoly(self.colours, polygon, colour, cv2.LINE_AA, SUBPIXEL_BITS)
        if part is not None:
            cv2.fillPoly(self.parts, polygon, (part,), cv2.LINE_8, SUBPIXEL_BITS)


@dataclass
class Stroke:
    """Outlines with their colours, painted together at one depth as one part."""

    depth: float
    part: str
    outlines: list[tuple[np.ndarray, Colour]] = field(default_factory=list)

    def add(self, outline: np.ndarray | None, colour: Colour) -> None:
        if outline is not None:
            self.outlines.append((outline, colour))
