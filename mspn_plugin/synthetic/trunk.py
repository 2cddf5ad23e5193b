"""Trunk of a rendered person: torso, pelvis and neck, a skirt and a rucksack."""

import itertools

import numpy as np

from .canvas import Colour, Stroke, circle, hull, mix, shade
from .limbs import add_taper
from .parts import SIDES
from .skeleton import Figure

# Height above the hips as a part of the trunk's length, half width and half depth of its slices
# as parts of the body's height.
_SLICES = np.array(
    (
        (-0.16, 0.096, 0.070),
        (0.08, 0.110, 0.077),
        (0.42, 0.095, 0.066),
        (0.74, 0.118, 0.076),
        (0.92, 0.116, 0.066),
        (1.03, 0.070, 0.044),
    )
)


class _Surface:
    """The surface of the trunk.

    Its points have a height over the hips, as a part of the trunk's length, and an angle around the
    trunk in degrees: 0 is the person's left, 90 its front. The viewer sees ``towards_viewer`` in
    the middle.
    """

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        forward = figure.chest_axes[2]
        self.towards_viewer = float(np.rad2deg(np.arctan2(forward[2] / 0.065, forward[0] / 0.1)))

    def points(self, t: np.ndarray, angle: np.ndarray) -> np.ndarray:
        """Points (n, 2) in the image, from heights (n,) and angles (n,)."""
        figure, body = self.figure, self.figure.body
        # Girth shows at the belly more than at the shoulders.
        fat = np.interp(t, (0, 0.4, 1), (1, 1.15, 0.25)) * (body.girth - 1) + 1
        broad = np.interp(t, (0, 1), (body.hip / 0.066, body.shoulder / 0.12))
        width = np.interp(t, _SLICES[:, 0], _SLICES[:, 1]) * fat * broad * body.height
        depth = np.interp(t, _SLICES[:, 0], _SLICES[:, 2]) * fat * body.height
        angle = np.deg2rad(angle)
        across, ahead = width * np.cos(angle), depth * np.sin(angle)
        # The spine leaves the hips along their axis and reaches the neck along the chest's.
        u = t[:, None]
        spine = 2 * u * (1 - u) * (2 * figure.waist - 0.5 * figure.neck) + u * u * figure.neck
        blend = np.clip(u, 0, 1)
        hips, chest = figure.hip_axes, figure.chest_axes
        points = (
            spine
            + across[:, None] * ((1 - blend) * hips[:, 0] + blend * chest[:, 0])
            + ahead[:, None] * ((1 - blend) * hips[:, 2] + blend * chest[:, 2])
        )
        return figure.project(points)[:, :2]

    def bands(self, *edges: float) -> list[np.ndarray]:
        """Outlines of the trunk between each height and the next."""
        angles = np.tile(np.linspace(0, 360, 16, endpoint=False), len(edges))
        rings = self.points(np.repeat(edges, 16), angles).reshape(len(edges), 16, 2)
        return [hull(np.concatenate(pair)) for pair in itertools.pairwise(rings)]

    def patch(self, bottom: float, top: float, low: float, high: float) -> np.ndarray | None:
        """Outline of a patch between two heights and two angles, as far as the viewer sees it."""
        turns = np.round(((low + high) / 2 - self.towards_viewer) / 360)
        towards = self.towards_viewer + 360 * turns
        low, high = max(low, towards - 88), min(high, towards + 88)
        if high - low < 2:
            return None
        heights = np.linspace(bottom, top, max(2, round((top - bottom) / 0.2) + 1))
        angles = np.linspace(low, high, max(2, round((high - low) / 20) + 1))
        m, n = len(heights), len(angles)
        return self.points(
            np.concatenate((heights, np.full(n, top), heights[::-1], np.full(n, bottom))),
            np.concatenate((np.full(m, low), angles, np.full(m, high), angles[::-1])),
        )


def trunk(figure: Figure) -> list[Stroke]:
    """All of the trunk, with a skirt and a rucksack if the person has them."""
    outfit, height = figure.outfit, figure.height
    surface = _Surface(figure)
    pelvis = Stroke(-0.03 * height, 'pelvis')
    for band in surface.bands(-0.16, 0.02, 0.14):
        pelvis.add(band, shade(outfit.bottom, 0.9))
    torso = Stroke(0.5 * figure.neck[2], 'torso')
    for band in surface.bands(-0.03, 0.08, 0.25, 0.42, 0.6, 0.76, 0.92, 1.03):
        torso.add(band, shade(outfit.top, 0.72))
    _decorate(figure, surface, torso)

    neck = Stroke(min(torso.depth, figure.head_centre[2]) + 0.001 * height, 'neck')
    high = figure.head_centre - figure.head_axes[:, 1] * 0.5 * figure.head_radii[1]
    add_taper(figure, neck, (figure.neck, high), (0.034, 0.030), shade(outfit.skin, 0.9))
    strokes = [pelvis, torso, neck]
    if outfit.skirt > 0:
        strokes.append(_skirt(figure, surface))
    if outfit.rucksack:
        ahead = figure.chest_axes[:, 2]
        sack = Stroke(torso.depth - 0.1 * height * ahead[2], 'rucksack')
        top, low = np.outer((0.9, 0.5), figure.neck) - 0.098 * height * ahead
        add_taper(figure, sack, (top, low), (0.07, 0.08), shade(outfit.accent, 0.8))
        strokes.append(sack)
    return strokes


def _decorate(figure: Figure, surface: _Surface, torso: Stroke) -> None:
    """Add what the shirt shows: light, its pattern, and how its front and back differ."""
    outfit, top, accent = figure.outfit, figure.outfit.top, figure.outfit.accent
    middle = surface.towards_viewer

    def patch(bottom: float, top: float, low: float, high: float, colour: Colour) -> None:
        torso.add(surface.patch(bottom, top, low, high), colour)

    def around(bottom: float, top: float, colour: Colour) -> None:
        patch(bottom, top, middle - 90, middle + 90, colour)

    # The body's angles run from the right of the image to its left.
    lit = middle - 34 * np.sign(figure.light[0])
    patch(-0.02, 1.0, lit - 52, lit + 52, top)
    if outfit.pattern == 'hoops':
        for t in np.arange(0.04, 0.92, 0.2):
            around(t, t + 0.09, accent)
    elif outfit.pattern == 'yoke':
        around(0.72, 1.0, accent)
    elif outfit.pattern == 'dots':
        for row, t in enumerate(np.arange(0.05, 0.95, 0.15)):
            for angle in range(15 * (row % 2), 360, 30):
                patch(t, t + 0.05, angle - 5, angle + 5, accent)
    elif outfit.pattern == 'stripes':
        for angle in range(0, 360, 30):
            patch(-0.02, 0.98, angle - 5, angle + 5, accent)

    if outfit.front == 'jacket':
        patch(-0.02, 0.98, 64, 116, mix(accent, (240, 240, 240), 0.5))
    elif outfit.front == 'buttons':
        for t in np.arange(0.08, 0.95, 0.17):
            patch(t, t + 0.06, 85, 95, (245, 245, 245))
    elif outfit.front == 'tie':
        patch(0.25, 0.93, 84, 96, shade(accent, 0.8))
    elif outfit.front == 'badge':
        patch(0.6, 0.84, 72, 108, accent)
    if outfit.rucksack:
        for angle in (45, 135):
            patch(0.45, 1.0, angle - 7, angle + 7, shade(accent, 0.8))
    # The neckline is low in front; at the back a seam runs across the shoulders.
    patch(0.9, 1.03, 62, 118, outfit.skin)
    patch(0.8, 0.825, 205, 335, shade(top, 0.62))
    if outfit.skirt == 0:
        around(-0.04, 0.02, shade(outfit.shoe, 0.8))


def _skirt(figure: Figure, surface: _Surface) -> Stroke:
    outfit, height = figure.outfit, figure.height
    ends, depths = [], []
    for side, _ in SIDES:
        hip, knee = figure.of_side(side, 'hip', 'knee')
        ends.append(figure.project(hip + outfit.skirt * (knee - hip))[:2])
        depths.append((hip[2] + knee[2]) / 2)
    skirt = Stroke(max(depths) - 0.015 * height, 'skirt')
    hem = [circle(end, 0.068 * height * figure.body.girth) for end in ends]
    outline = hull(np.concatenate((*surface.bands(-0.02, 0.1), *hem)))
    skirt.add(outline, shade(outfit.bottom, 0.75))
    lit = 0.82 * outline + 0.18 * outline.mean(0) + figure.light * 0.012 * height
    skirt.add(lit, outfit.bottom)
    return skirt
