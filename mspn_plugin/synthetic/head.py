"""Head of a rendered person: face, hair and hat."""

import numpy as np

from .canvas import Colour, Stroke, capsule, circle, hull, shade
from .limbs import add_taper
from .parts import SIDES
from .skeleton import Figure, unit

_TURN = np.stack([f(np.linspace(0, 2 * np.pi, 28, endpoint=False)) for f in (np.cos, np.sin)], 1)

# Of hair that leaves the head, in units of the head's height: how far behind and above the middle
# it begins, how far back and down it goes from there, and its radii at both ends.
_LOCKS = {
    'long': (0.16, 0.15, 0.39, 1.5, 0.98, 0.72),
    'tail': (0.95, 0.3, 0.35, 1.3, 0.2, 0.12),
    'bun': (0.75, 0.75, 0.05, 0.0, 0.36, 0.34),
}


def _tangents(direction: np.ndarray) -> np.ndarray:
    """Two unit vectors, (2, 3), at right angles to a unit vector and to each other."""
    x, y, z = direction
    n = max(np.sqrt(y * y + z * z), 1e-9)
    return np.array(((n, -x * y / n, -x * z / n), (0, z / n, -y / n)))


class _Surface:
    """The surface of the head, whose points are unit vectors in the head's own axes.

    The viewer sees the side of ``view``; ``rim`` holds the directions (28, 3) around it.
    """

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.view = unit(figure.head_axes[2] / figure.head_radii)
        self.rim = _TURN @ _tangents(self.view)

    def points(self, directions: np.ndarray, out: float = 1.0) -> np.ndarray:
        """Points (n, 2) in the image of directions (n, 3), on a surface ``out`` times as large."""
        figure = self.figure
        scaled = (figure.head_radii * directions * out) @ figure.head_axes.T
        return figure.project(figure.head_centre + scaled)[:, :2]

    def patch(
        self, centre: tuple[float, float, float], across: float, along: float, out: float = 1.0
    ) -> np.ndarray | None:
        """Outline of the visible part of an oval patch.

        ``centre`` is the direction of its middle; ``across`` and ``along`` are degrees from there
        to its side and to its upper or lower end; ``out`` is as of :meth:`points`.
        """
        middle = unit(np.array(centre))
        tangents = _tangents(middle)
        reach = np.deg2rad(1 / np.hypot(*(_TURN / (across, along)).T))[:, None]
        edge = np.cos(reach) * middle + np.sin(reach) * (_TURN @ tangents)
        # What is hidden ends at the head's own outline.
        x, y = tangents @ self.rim.T
        inside = np.rad2deg(np.arccos(self.rim @ middle)) * np.hypot(x / across, y / along)
        corners = np.concatenate((edge[edge @ self.view > 0], self.rim[inside < np.hypot(x, y)]))
        return hull(self.points(corners, out)) if len(corners) > 2 else None


def head(figure: Figure) -> list[Stroke]:
    """The head with its face and hair, hair that leaves it, and a hat."""
    outfit, height = figure.outfit, figure.height
    skin, hair = outfit.skin, outfit.hair
    surface = _Surface(figure)
    stroke = Stroke(figure.head_centre[2] + 0.03 * height, 'head')

    def patch(
        centre: tuple[float, float, float], across: float, along: float, colour: Colour
    ) -> None:
        stroke.add(surface.patch(centre, across, along), colour)

    ring = surface.points(surface.rim)
    stroke.add(ring, shade(skin, 0.72))
    lit = 0.88 * ring + 0.12 * ring.mean(0) + 0.09 * figure.head_radii[1] * figure.light
    stroke.add(lit, skin)
    if outfit.beard:
        patch((0, -1, 0.75), 58, 30, hair)
    patch((0, -0.5, 1), 15, 3.5, (72, 66, 150))
    for s in (1.0, -1.0):
        eye = (0.42 * s, 0.16, 1)
        patch(eye, 11, 7, (244, 244, 244))
        patch(eye, 5.5, 6.5, (36, 30, 28))
        if outfit.glasses:
            patch(eye, 17, 11, (40, 36, 36))
    if outfit.hair_style != 'bald':
        low = 12 if outfit.hair_style == 'long' else 0
        patch((0, 0, -1), 84 + low, 75 + low, shade(hair, 0.75))
        patch((0, 1, -0.25), 64 + low, 66, hair)
    if figure.head_axes[2, 2] > -0.2:
        bridge = surface.points(np.array(((0, 0.14, 0.99),)))[0]
        tip = figure.project(figure.points['nose'])[:2]
        nose = capsule(bridge, tip, 0.004 * height, 0.0125 * height)
        stroke.add(nose, shade(skin, 0.84))
    for side, _ in SIDES:
        (ear,) = figure.of_side(side, 'ear')
        if not outfit.ears_covered and ear[2] > figure.head_centre[2] - 0.02 * height:
            stroke.add(circle(figure.project(ear)[:2], 0.016 * height), shade(skin, 0.8))
    return [stroke, _hat(figure, surface, stroke.depth), _loose_hair(figure, stroke.depth)]


def _loose_hair(figure: Figure, head_depth: float) -> Stroke:
    """Hair that leaves the head."""
    height, h = figure.height, figure.head_radii[1]
    up, back = figure.head_axes[:, 1], -figure.head_axes[:, 2]
    hair = Stroke((figure.head_centre + 0.9 * h * back)[2], 'hair')
    if back[2] > 0:
        hair.depth = max(hair.depth, head_depth + 0.001 * height)
    if lock := _LOCKS.get(figure.outfit.hair_style):
        behind, above, farther, drop, wide, narrow = np.multiply(lock, h)
        # Hair hangs down, and along the back of a person that bends.
        down = unit(np.array((0, -1.0, 0)) - 0.6 * figure.chest_axes[:, 1])
        top = figure.head_centre + behind * back + above * up
        low = top + farther * back + drop * down
        add_taper(figure, hair, (top, low), (wide / height, narrow / height), figure.outfit.hair)
    return hair


def _hat(figure: Figure, surface: _Surface, head_depth: float) -> Stroke:
    """A beanie, or a cap with its visor; nothing for a bare head."""
    style, colour = figure.outfit.hat, figure.outfit.accent
    hat = Stroke(head_depth + 0.002 * figure.height, 'hat')
    if style == 'none':
        return hat
    if style == 'cap' and figure.head_axes[2, 2] > -0.1:
        # From the front of the crown to the tip of the visor.
        across, ahead = _TURN.T
        front = np.maximum(ahead, 0)
        visor = np.stack((0.9 * across, 0.55 - 0.13 * front, 0.35 + 1.25 * front), 1)
        hat.add(hull(surface.points(visor)), shade(colour, 0.6))
    reach = 72 if style == 'beanie' else 64
    hat.add(surface.patch((0, 1, 0), reach, reach, 1.07), shade(colour, 0.78))
    hat.add(surface.patch((0, 1, 0), reach - 8, reach - 8, 1.03), colour)
    return hat
