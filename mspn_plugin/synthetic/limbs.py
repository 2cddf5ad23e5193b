"""Arms and legs of a rendered person."""

import numpy as np

from .canvas import Colour, Stroke, capsule, mix, shade
from .skeleton import Figure

Ends = tuple[np.ndarray, np.ndarray]


def add_taper(
    figure: Figure, stroke: Stroke, ends: Ends, radii: tuple[float, float], colour: Colour
) -> None:
    """Add a limb between two points in the world, lit from one side, to a stroke.

    Radii are parts of the body's height.
    """
    a, b = figure.project(np.array(ends))[:, :2]
    ra, rb = np.multiply(radii, figure.height)
    # The dark rim begins inside of the limb, so that elbows and knees show no seam.
    stroke.add(capsule(a + 0.12 * (b - a), b, ra, rb), shade(colour, 0.58))
    highlight = mix(colour, (255, 255, 255), 0.1)
    for shift, width, tone in ((0.16, 0.86, colour), (0.42, 0.36, highlight)):
        towards = shift * figure.light
        stroke.add(capsule(a + towards * ra, b + towards * rb, ra * width, rb * width), tone)


def _add_clothed(
    figure: Figure,
    stroke: Stroke,
    ends: Ends,
    radii: tuple[float, float],
    covered: float,
    cloth: Colour,
) -> None:
    """Add a limb with a sleeve from its first end on, which covers a part of its length."""
    (a, b), (ra, rb) = ends, np.multiply(radii, figure.body.girth)
    if covered < 1:
        add_taper(figure, stroke, ends, (ra, rb), figure.outfit.skin)
    if covered > 0:
        covered = min(covered, 1)
        cuff, rc = a + covered * (b - a), ra + covered * (rb - ra)
        add_taper(figure, stroke, (a, cuff), (1.13 * ra, 1.13 * rc), cloth)


def arm(figure: Figure, side: str) -> list[Stroke]:
    """Upper arm, forearm and hand of the 'left' or 'right' side."""
    outfit, height = figure.outfit, figure.height
    shoulder, elbow, wrist, hand = figure.of_side(side, 'shoulder', 'elbow', 'wrist', 'hand')
    upper = Stroke((shoulder[2] + elbow[2]) / 2 + 0.012 * height, f'{side}_upper_arm')
    lower = Stroke((elbow[2] + wrist[2]) / 2 + 0.014 * height, f'{side}_forearm')
    palm = Stroke(lower.depth + 0.001 * height, f'{side}_hand')
    cloth = outfit.accent if outfit.pattern == 'yoke' else outfit.top
    _add_clothed(figure, upper, (shoulder, elbow), (0.038, 0.031), outfit.sleeve, cloth)
    _add_clothed(figure, lower, (elbow, wrist), (0.031, 0.023), outfit.sleeve - 1, cloth)
    add_taper(figure, palm, (wrist, hand), (0.024, 0.028), outfit.skin)
    return [upper, lower, palm]


def leg(figure: Figure, side: str) -> list[Stroke]:
    """Thigh, shin and foot of the 'left' or 'right' side."""
    outfit, height = figure.outfit, figure.height
    hip, knee, ankle, heel, toe = figure.of_side(side, 'hip', 'knee', 'ankle', 'heel', 'toe')
    thigh = Stroke((hip[2] + knee[2]) / 2 - 0.02 * height, f'{side}_thigh')
    shin = Stroke((knee[2] + ankle[2]) / 2 - 0.025 * height, f'{side}_shin')
    foot = Stroke((heel[2] + toe[2]) / 2 - 0.01 * height, f'{side}_foot')
    # A thigh begins inside of the trunk, which is no wider than its hips.
    _add_clothed(figure, thigh, (0.86 * hip, knee), (0.062, 0.044), outfit.trouser, outfit.bottom)
    _add_clothed(figure, shin, (knee, ankle), (0.044, 0.029), outfit.trouser - 1, outfit.bottom)
    add_taper(figure, foot, (heel, toe), (0.029, 0.024), outfit.shoe)
    return [thigh, shin, foot]
