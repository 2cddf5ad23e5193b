"""Arms and legs of a rendered person."""

import numpy as np

from .canvas import Colour, Stroke, capsule, mix, shade
from .skeleton import Figure


def add_taper(
    figure: Figure,
    stroke: Stroke,
    a: np.ndarray,
    b: np.ndarray,
    ra: float,
    rb: float,
    colour: Colour,
    flat: bool = False,
) -> None:
    """Add a limb from ``a`` to ``b`` in the world, lit from one side, to a stroke.

    Radii are parts of the body's height. A flat limb is cut off at ``b``, as a sleeve is.
    """
    a, b = figure.project(a)[:2], figure.project(b)[:2]
    ra, rb = ra * figure.height, rb * figure.height
    along = b - a
    # The dark rim begins inside of the limb, so that elbows and knees show no seam.
    begin = a + along * min(0.5 * ra / max(float(np.hypot(*along)), 1e-6), 0.5)
    stroke.add(capsule(begin, b, ra, rb, flat), shade(colour, 0.58))
    towards = 0.16 * figure.light
    highlight = mix(colour, (255, 255, 255), 0.1)
    for shift, width, tone in ((towards, 0.86, colour), (2.6 * towards, 0.36, highlight)):
        lit = capsule(a + shift * ra, b + shift * rb, ra * width, rb * width, flat)
        stroke.add(lit, tone)


def _add_hoops(
    figure: Figure, stroke: Stroke, a: np.ndarray, b: np.ndarray, ra: float, rb: float
) -> None:
    """Add stripes across a sleeve."""
    height = figure.height
    a, b = figure.project(a)[:2], figure.project(b)[:2]
    along = b - a
    length = float(np.hypot(*along))
    if length < 0.04 * height:
        return
    across = np.array((-along[1], along[0])) / length
    step = 0.056 * height / length
    for t in np.arange(0.25 * step, 1 - 0.5 * step, step):
        u = np.array((t, t, t + 0.45 * step, t + 0.45 * step))[:, None]
        radius = (ra + u * (rb - ra)) * height * 0.97
        hoop = a + u * along + radius * across * np.array(((1,), (-1,), (-1,), (1,)))
        stroke.add(hoop, figure.outfit.accent)


def arm(figure: Figure, side: str) -> list[Stroke]:
    """Upper arm, forearm and hand of the 'left' or 'right' side."""
    outfit, height = figure.outfit, figure.height
    names = ('shoulder', 'elbow', 'wrist', 'hand', 'thumb')
    shoulder, elbow, wrist, hand, thumb = figure.of_side(side, *names)
    bare = np.array((0.038, 0.031, 0.023)) * figure.body.girth
    loose = bare * outfit.looseness
    upper = Stroke((shoulder[2] + elbow[2]) / 2 + 0.012 * height, f'{side}_upper_arm')
    lower = Stroke((elbow[2] + wrist[2]) / 2 + 0.014 * height, f'{side}_forearm')
    palm = Stroke(lower.depth + 0.001 * height, f'{side}_hand')
    cloth = outfit.accent if outfit.pattern == 'yoke' else outfit.top

    def add_sleeve(
        stroke: Stroke, a: np.ndarray, b: np.ndarray, ra: float, rb: float, flat: bool = False
    ) -> None:
        add_taper(figure, stroke, a, b, ra, rb, cloth, flat)
        if outfit.pattern == 'hoops':
            _add_hoops(figure, stroke, a, b, ra, rb)

    if outfit.sleeve < 1:
        add_taper(figure, upper, shoulder, elbow, bare[0], bare[1], outfit.skin)
    if outfit.sleeve > 0:
        end = min(outfit.sleeve, 1.0)
        cuff = shoulder + end * (elbow - shoulder)
        add_sleeve(upper, shoulder, cuff, loose[0], loose[0] + end * (loose[1] - loose[0]), end < 1)
    if outfit.sleeve > 1:
        add_sleeve(lower, elbow, wrist, loose[1], 1.1 * loose[2])
    else:
        add_taper(figure, lower, elbow, wrist, bare[1], bare[2], outfit.skin)
    glove = outfit.accent if outfit.gloves else outfit.skin
    add_taper(figure, palm, wrist + 0.3 * (hand - wrist), thumb, 0.014, 0.011, glove)
    add_taper(figure, palm, wrist, hand, 0.024, 0.028, glove)
    return [upper, lower, palm]


def leg(figure: Figure, side: str) -> list[Stroke]:
    """Thigh, shin and foot of the 'left' or 'right' side."""
    outfit, height = figure.outfit, figure.height
    hip, knee, ankle, heel, toe = figure.of_side(side, 'hip', 'knee', 'ankle', 'heel', 'toe')
    bare = np.array((0.062, 0.044, 0.029)) * figure.body.girth
    loose = bare * (0.5 + 0.5 * outfit.looseness)
    thigh = Stroke((hip[2] + knee[2]) / 2 - 0.02 * height, f'{side}_thigh')
    shin = Stroke((knee[2] + ankle[2]) / 2 - 0.025 * height, f'{side}_shin')
    foot = Stroke((heel[2] + toe[2]) / 2 - 0.01 * height, f'{side}_foot')
    # A thigh begins inside of the trunk, which is no wider than its hips.
    hip = 0.86 * hip
    if outfit.trouser < 1:
        add_taper(figure, thigh, hip, knee, bare[0], bare[1], outfit.skin)
    if outfit.trouser > 0:
        end = min(outfit.trouser, 1.0)
        hem, radius = hip + end * (knee - hip), loose[0] + end * (loose[1] - loose[0])
        add_taper(figure, thigh, hip, hem, loose[0], radius, outfit.bottom, end < 1)
    add_taper(figure, shin, knee, ankle, bare[1], bare[2], outfit.skin)
    if outfit.trouser > 1:
        hem = knee + (outfit.trouser - 1) * (ankle - knee)
        add_taper(figure, shin, knee, hem, loose[1], 1.25 * loose[2], outfit.bottom, flat=True)
    add_taper(figure, foot, heel, toe, 0.029, 0.024, outfit.shoe)
    shaft = shin if foot.depth < shin.depth else foot
    add_taper(figure, shaft, ankle + 0.15 * (knee - ankle), ankle, 0.030, 0.031, outfit.shoe)
    return [thigh, shin, foot]
