"""People in COCO's layout and format, rendered instead of photographed.

``mspn synthetic --out DIR --train N --val M --seed S`` writes::

    DIR/train2017/*.jpg
    DIR/val2017/*.jpg
    DIR/annotations/person_keypoints_train2017.json
    DIR/annotations/person_keypoints_val2017.json

which MMPose's ``CocoDataset`` and ``CocoMetric`` read as they read COCO.

**Figures.** A person is a kinematic chain in three dimensions (proportions, pose and clothing are
drawn at random), turned to any side, projected, and painted part by part from far to near. A map
of part numbers is painted along with the colours. It says which joints are hidden, and it gives
the masks, areas and boxes.

**Labels** follow the custom of COCO's annotators. ``v = 2``: the body part that owns the joint is
what the picture shows there. ``v = 1``: something else covers it (another limb, the trunk, hair, an
object, another person), and a neighbour in sight says about where it is. ``v = 0``: it is outside
of the picture or anyone's guess, or it belongs to a face or an ear that is turned away.
Coordinates are pixels, with (0, 0) at the centre of the upper left pixel.

**Left and right** are the person's own, and the picture tells them apart as a photograph does: by
the direction that the person faces. Faces, necklines, open jackets and buttons show fronts; hair,
seams and rucksacks show backs; thumbs and shoes point. Mirroring a picture and swapping the
labels gives one that is exactly as likely: the last step of rendering an image mirrors all of it,
labels swapped, in one of two cases, and nothing that is drawn or labelled depends on that choice
(see :func:`render_image`).

**Determinism.** An image depends on the seed, its split and its index alone, so neither the number
of images nor that of worker processes changes it.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import signal
from collections.abc import Generator, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as coco_mask
from tqdm import tqdm

from ..datasets.coco import FLIP_INDICES, KEYPOINTS, SKELETON, image_folder, write_annotations
from ..errors import SettingError
from ..files import new_folder

SPLITS = ('train', 'val')

SIDES = (('left', 1.0), ('right', -1.0))
PARTS = ('torso', 'pelvis', 'skirt', 'neck', 'head', 'hair', 'hat', 'rucksack') + tuple(
    f'{side}_{part}'
    for side, _ in SIDES
    for part in ('upper_arm', 'forearm', 'hand', 'thigh', 'shin', 'foot')
)
FACE = ('nose', 'eye', 'ear')
TRUNK = ('torso', 'pelvis', 'skirt')
# The parts that show a joint rather than hide it.
OWNERS = {
    'nose': ('head',),
    'eye': ('head',),
    'ear': ('head',),
    'shoulder': ('torso', '{}_upper_arm'),
    'elbow': ('{}_upper_arm', '{}_forearm'),
    'wrist': ('{}_forearm', '{}_hand'),
    'hip': ('torso', 'pelvis', 'skirt', '{}_thigh'),
    'knee': ('skirt', '{}_thigh', '{}_shin'),
    'ankle': ('{}_shin', '{}_foot'),
}

# Numbers in the map of parts: 0 is the background, person p begins at 1 + p * len(PARTS).
CROWD, OBJECT = 250, 255
MAX_PERSONS = 4

# A person with fewer joints in sight is in the annotations without keypoints, as in COCO.
MIN_VISIBLE = 4

SIZES = ((480, 360), (480, 320), (400, 300), (360, 360), (360, 480), (320, 240), (300, 400))
SUPERSAMPLING = 2
SUBPIXEL_BITS = 4

Colour = tuple[float, float, float]


def palette(text: str) -> tuple[Colour, ...]:
    """Colours from a list of RRGGBB, in OpenCV's order: blue, green, red."""
    return tuple(_as_colour(tuple(bytes.fromhex(code))[::-1]) for code in text.split())


def _as_colour(channels: Iterable[float]) -> Colour:
    blue, green, red = (float(channel) for channel in channels)
    return blue, green, red


SKIN = palette('f6d3be eec4aa e6b494 daa07a cc8c64 b27652 986242 7a4c34 603c2a 4c3024')
HAIR = palette('1a1616 30241e 4e3422 744c2e b07846 dcb878 a84e2e 989696 d0cece')
CLOTH = palette(
    'c8343c 2c5cb4 388a48 e8b034 ececec 36363a 804896 40a0b0 d87454 84b0c8 3c3c78 '
    '969696 d28cbe 806040 aabe78 782424'
)
LEATHER = palette('221e1e 583422 e6e6e6 a02c2c 285096 5e5a5a')
SKY = palette('a9cbe8 c8dcea dfe4e6 8fb4d9 e9d9c3 b7c3cf')
GROUND = palette('6f9a55 8aa85c a8a294 b9a583 7d8288 c9b78e')
WALL = palette('d8d2c4 c4cdd3 cfc3b4 b8c4b4 d9c0b4 a9b3bf e2dccb b7a99a')
FLOOR = palette('9a7654 b08d66 7c6a5c 8d8f93 6e7f86 a79c8c')


# ---------------------------------------------------------------------------------------------
# Geometry. World axes: x to the right of the picture, y up, z towards the viewer. A person's own
# axes: x to its left, y up, z forward; unturned, it faces the viewer.


_CIRCLE = np.stack([f(np.linspace(0, 2 * np.pi, 20, endpoint=False)) for f in (np.cos, np.sin)], 1)
_TURN = np.stack([f(np.linspace(0, 2 * np.pi, 28, endpoint=False)) for f in (np.cos, np.sin)], 1)
_NEAR, _FAR = np.linspace(-1, 1, 8), np.linspace(0, 1, 8)


def rotation(axis: str, degrees: float) -> np.ndarray:
    """Right-handed rotation about 'x', 'y' or 'z', a (3, 3) matrix."""
    angle = np.deg2rad(degrees)
    c, s = np.cos(angle), np.sin(angle)
    rows = {
        'x': ((1, 0, 0), (0, c, -s), (0, s, c)),
        'y': ((c, 0, s), (0, 1, 0), (-s, 0, c)),
        'z': ((c, -s, 0), (s, c, 0), (0, 0, 1)),
    }
    return np.array(rows[axis])


def swung(side: float, abduction: float, flexion: float) -> np.ndarray:
    """Direction of a limb that hangs down at (0, 0), for angles in degrees."""
    a, f = np.deg2rad(abduction), np.deg2rad(flexion)
    return np.array((side * np.sin(a), -np.cos(a) * np.cos(f), np.cos(a) * np.sin(f)))


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)


def tangents(direction: np.ndarray) -> np.ndarray:
    """Two unit vectors, (2, 3), at right angles to a unit vector and to each other."""
    x, y, z = direction
    n = max(np.sqrt(y * y + z * z), 1e-9)
    return np.array(((n, -x * y / n, -x * z / n), (0, z / n, -y / n)))


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


# ---------------------------------------------------------------------------------------------
# Who: proportions, pose and clothing. Lengths are parts of the standing height.


@dataclass(frozen=True)
class Body:
    """Proportions; ``height`` in pixels, all else as parts of it."""

    height: float
    head: float
    trunk: float
    shoulder: float
    hip: float
    upper_arm: float
    forearm: float
    thigh: float
    shin: float
    foot: float
    girth: float

    @classmethod
    def draw(cls, rng: np.random.Generator, height: float) -> Body:
        vary = functools.partial(rng.uniform, 0.92, 1.08)
        slim = rng.normal(0, 1)
        return cls(
            height=height,
            head=rng.uniform(0.106, 0.126),
            trunk=0.27 * vary(),
            shoulder=0.12 * vary(),
            hip=0.066 * vary(),
            upper_arm=0.158 * vary(),
            forearm=0.146 * vary(),
            thigh=0.215 * vary(),
            shin=0.212 * vary(),
            foot=0.105 * vary(),
            girth=float(np.clip(1.18 + 0.11 * slim, 0.97, 1.45)),
        )


# Ranges of both ends in degrees. Arms: abduction and flexion at the shoulder, flexion of the elbow,
# how far the forearm folds inward rather than forward, and (no angle) how far it folds upward.
Ranges = tuple[tuple[float, float], ...]
ARMS: dict[str, Ranges] = {
    'hanging': ((8, 24), (-12, 14), (3, 30), (0, 50), (0, 0)),
    'on hip': ((36, 52), (-28, -8), (85, 110), (70, 92), (0, 0)),
    'folded': ((2, 14), (14, 34), (88, 108), (60, 84), (0, 0.1)),
    'in pocket': ((14, 26), (-16, -2), (30, 52), (50, 80), (0, 0)),
    'behind': ((10, 26), (-44, -24), (25, 70), (95, 120), (0, 0)),
    'reaching': ((0, 30), (55, 105), (0, 50), (0, 50), (0, 0.6)),
    'offering': ((2, 22), (5, 40), (55, 100), (-20, 40), (0, 0.3)),
    'raised': ((5, 45), (140, 178), (0, 60), (0, 90), (0, 0)),
    'waving': ((65, 110), (0, 30), (45, 115), (0, 20), (1.5, 3)),
    'sideways': ((60, 105), (-10, 15), (0, 25), (0, 40), (0, 1)),
    'to face': ((5, 35), (40, 72), (112, 140), (25, 50), (0.3, 0.8)),
    'swung forward': ((2, 16), (15, 48), (15, 95), (0, 40), (0, 0.2)),
    'swung back': ((4, 20), (-52, -15), (8, 80), (0, 30), (0, 0)),
}
# Legs: abduction and flexion at the hip, flexion of the knee, toes outward, toes down.
LEGS: dict[str, Ranges] = {
    'straight': ((0, 8), (-5, 7), (0, 10), (0, 25), (0, 0)),
    'relaxed': ((4, 16), (4, 22), (10, 34), (5, 35), (0, 8)),
    'astride': ((12, 28), (-4, 8), (0, 8), (5, 35), (0, 0)),
    'step ahead': ((0, 6), (14, 34), (2, 24), (0, 12), (-18, 4)),
    'step behind': ((0, 6), (-26, -8), (8, 44), (0, 12), (0, 20)),
    'knee up': ((0, 10), (42, 88), (55, 110), (0, 15), (0, 20)),
    'heel up': ((0, 8), (-28, 0), (35, 95), (0, 10), (10, 35)),
    'seated': ((2, 18), (72, 94), (65, 102), (0, 25), (0, 8)),
    'squatting': ((10, 30), (95, 122), (108, 132), (5, 30), (0, 10)),
    'lunge ahead': ((0, 10), (55, 82), (62, 95), (0, 10), (0, 0)),
    'lunge behind': ((0, 10), (-36, -15), (12, 45), (0, 10), (15, 40)),
    'kneeling': ((0, 10), (-8, 12), (80, 100), (0, 10), (30, 60)),
    'kicking': ((0, 22), (38, 88), (0, 32), (0, 10), (0, 30)),
    'raised aside': ((32, 62), (-6, 20), (0, 30), (0, 20), (10, 40)),
}


@dataclass(frozen=True)
class Stance:
    """What the legs do, what arms go with it and how far the trunk bends forward, in degrees."""

    likelihood: float
    legs: tuple[str, str]
    arms: tuple[str, ...]
    bend: tuple[float, float]
    seated: bool = False


QUIET = ('hanging',) * 5 + (
    'on hip',
    'on hip',
    'folded',
    'in pocket',
    'behind',
    'offering',
    'to face',
)
LIVELY = ('raised', 'waving', 'sideways', 'reaching', 'hanging', 'on hip')
SWINGING = ('swung forward', 'swung back')
STANCES = (
    Stance(6, ('straight', 'straight'), QUIET, (-5, 8)),
    Stance(4, ('straight', 'relaxed'), QUIET + LIVELY, (-5, 10)),
    Stance(4, ('astride', 'astride'), QUIET + LIVELY, (-6, 12)),
    Stance(4, ('step ahead', 'step behind'), SWINGING, (-2, 14)),
    Stance(1, ('knee up', 'heel up'), SWINGING, (6, 22)),
    Stance(2, ('seated', 'seated'), QUIET + ('reaching', 'waving'), (-8, 20), seated=True),
    Stance(0.5, ('squatting', 'squatting'), ('reaching', 'folded', 'offering'), (15, 40)),
    Stance(0.8, ('lunge ahead', 'lunge behind'), LIVELY + SWINGING, (-5, 25)),
    Stance(0.4, ('lunge ahead', 'kneeling'), QUIET + LIVELY, (-5, 20)),
    Stance(0.8, ('straight', 'kicking'), LIVELY + SWINGING, (-15, 10)),
    Stance(0.8, ('straight', 'raised aside'), LIVELY, (-10, 10)),
    Stance(0.7, ('straight', 'straight'), ('reaching', 'hanging', 'offering'), (30, 75)),
    Stance(1.5, ('astride', 'astride'), ('raised', 'sideways', 'waving'), (-5, 10)),
)


@dataclass(frozen=True)
class Pose:
    """Angles in degrees; arms and legs as (left, right), in the order of ``ARMS`` and ``LEGS``."""

    turn: float
    tilt: float
    roll: float
    bend: float
    lean: float
    twist: float
    look: tuple[float, float, float]
    arms: tuple[np.ndarray, np.ndarray]
    legs: tuple[np.ndarray, np.ndarray]
    seated: bool

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Pose:
        weights = np.array([stance.likelihood for stance in STANCES])
        stance = STANCES[rng.choice(len(STANCES), p=weights / weights.sum())]
        if stance.arms is SWINGING:
            arm_names = list(SWINGING)
        else:
            arm_names = [stance.arms[i] for i in rng.integers(len(stance.arms), size=2)]
            if rng.random() < 0.5:
                arm_names[1] = arm_names[0]
        arms = [np.array([rng.uniform(*r) for r in ARMS[name]]) for name in arm_names]
        legs = [np.array([rng.uniform(*r) for r in LEGS[name]]) for name in stance.legs]
        if rng.random() < 0.5:
            # Walkers swing the arm that is opposite to the leg.
            arms.reverse()
            legs.reverse()
        if arm_names != list(SWINGING) and rng.random() < 0.5:
            arms.reverse()
        bend = rng.uniform(*stance.bend)
        turn = rng.choice(
            (rng.normal(0, 24), rng.normal(180, 20), rng.uniform(0, 360)), p=(0.74, 0.12, 0.14)
        )
        return cls(
            turn=float(turn),
            tilt=rng.uniform(-3, 10),
            roll=rng.normal(0, 3),
            bend=bend,
            lean=rng.normal(0, 5),
            twist=rng.normal(0, 9),
            look=(
                float(np.clip(rng.normal(0, 12), -45, 45)),
                rng.normal(0, 8) - 0.55 * max(bend, 0),
                rng.normal(0, 6),
            ),
            arms=(arms[0], arms[1]),
            legs=(legs[1], legs[0]),
            seated=stance.seated,
        )


@dataclass(frozen=True)
class Outfit:
    """Clothing, hair and their colours; sleeves and legs as parts of the limb that they cover."""

    skin: Colour
    hair: Colour
    top: Colour
    accent: Colour
    bottom: Colour
    shoe: Colour
    sleeve: float
    trouser: float
    skirt: float
    pattern: str
    front: str
    hair_style: str
    hat: str
    beard: bool
    glasses: bool
    gloves: bool
    rucksack: bool
    looseness: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Outfit:
        def pick(colours: tuple[Colour, ...]) -> Colour:
            jitter = rng.uniform(0.85, 1.15) * rng.uniform(0.93, 1.07, 3)
            return tuple(np.clip(np.array(colours[rng.integers(len(colours))]) * jitter, 8, 250))

        def one_of(**likelihoods: float) -> str:
            return str(rng.choice(list(likelihoods), p=list(likelihoods.values())))

        skin = pick(SKIN)
        top = pick(CLOTH)
        lower = one_of(trousers=0.56, shorts=0.24, skirt=0.13, dress=0.07)
        return cls(
            skin=skin,
            hair=pick(HAIR),
            top=top,
            accent=pick(CLOTH),
            bottom=top if lower == 'dress' else pick(CLOTH),
            shoe=pick(LEATHER),
            sleeve=float(rng.choice((0, 0.5, 1, 2), p=(0.08, 0.3, 0.07, 0.55))),
            trouser={'trousers': 1.9, 'shorts': rng.uniform(0.55, 0.95)}.get(lower, 0.0),
            skirt=rng.uniform(0.6, 1.25) if lower in ('skirt', 'dress') else 0.0,
            pattern=one_of(plain=0.4, hoops=0.12, stripes=0.07, checks=0.05, dots=0.06, yoke=0.3),
            front=one_of(none=0.35, buttons=0.2, jacket=0.2, badge=0.13, tie=0.12),
            hair_style=one_of(bald=0.1, short=0.46, long=0.22, bun=0.1, tail=0.12),
            hat=one_of(none=0.78, cap=0.11, beanie=0.06, brim=0.05),
            beard=rng.random() < 0.08,
            glasses=rng.random() < 0.08,
            gloves=rng.random() < 0.06,
            rucksack=rng.random() < 0.08,
            looseness=rng.uniform(1.05, 1.24),
        )


# ---------------------------------------------------------------------------------------------
# A person, from the joints to the paint.

# The picture's y points down.
_TO_PICTURE = np.array((1.0, -1.0, 1.0))
# Widths of a limb's dark rim, of its lit side and of the highlight.
_LAYERS = np.array((1, 0.86, 0.36))
# Height above the hips as a part of the trunk's length, half width and half depth of its slices
# as parts of the body's height.
_TRUNK_SLICES = np.array(
    (
        (-0.16, 0.096, 0.070),
        (0.08, 0.110, 0.077),
        (0.42, 0.095, 0.066),
        (0.74, 0.118, 0.076),
        (0.92, 0.116, 0.066),
        (1.03, 0.070, 0.044),
    )
)
# Direction in the head's own axes, and distance from its middle in units of its surface.
_FEATURES = (
    ('nose', (0, -0.12, 1), 1.1),
    ('left_eye', (0.42, 0.16, 1), 1.0),
    ('right_eye', (-0.42, 0.16, 1), 1.0),
    ('left_ear', (1, -0.02, -0.08), 1.02),
    ('right_ear', (-1, -0.02, -0.08), 1.02),
)


@dataclass
class Stroke:
    """Outlines with their colours, painted together at one depth as one part."""

    depth: float
    part: str
    outlines: list[tuple[np.ndarray, Colour, bool]] = field(default_factory=list)

    def add(self, outline: np.ndarray | None, colour: Colour, convex: bool = True) -> None:
        if outline is not None:
            self.outlines.append((outline, colour, convex))


class Figure:
    """A person placed in the picture.

    Args:
        body: Proportions.
        pose: Angles.
        outfit: Clothing.
        light: Offset (x, y) in the picture, about 1 long, towards the light.

    Attributes:
        facing: (17,) booleans: false where the body itself turns the joint away from the viewer.
    """

    def __init__(self, body: Body, pose: Pose, outfit: Outfit, light: np.ndarray) -> None:
        self.body, self.pose, self.outfit, self.light = body, pose, outfit, light
        self._origin = np.zeros(3)
        self._solve()

    def move(self, x: float, y: float) -> None:
        """Puts the middle of the hips at (x, y)."""
        self._origin = np.array((x, y, 0.0))

    @property
    def position(self) -> np.ndarray:
        """(x, y) of the middle of the hips."""
        return self._origin[:2]

    @property
    def joints(self) -> np.ndarray:
        """(17, 3), in pixels, in the order of ``KEYPOINTS``; z grows towards the viewer."""
        return self.project(np.array([self.points[name] for name in KEYPOINTS]))

    @property
    def box(self) -> np.ndarray:
        """(x1, y1, x2, y2) of the joints, hands, feet and head."""
        return self._extent + np.tile(self._origin[:2], 2)

    def project(self, points: np.ndarray) -> np.ndarray:
        """World points (..., 3) in pixels from the hips, as (x, y, z) in the picture."""
        return points * _TO_PICTURE + self._origin

    def paint(self, canvas: Canvas, first: int | None) -> None:
        """Paints the person from far to near.

        Args:
            canvas: What to paint on.
            first: Number of the first of ``PARTS``; None makes all of it part of a crowd.
        """
        strokes = self._trunk() + self._head()
        for side, _ in SIDES:
            strokes += self._arm(side) + self._leg(side)
        for stroke in sorted(strokes, key=lambda stroke: stroke.depth):
            part = CROWD if first is None else first + PARTS.index(stroke.part)
            # Less light reaches what is far behind.
            dim = 1 + 0.9 * min(max(stroke.depth / self.body.height, -0.2), 0)
            for outline, colour, convex in stroke.outlines:
                canvas.paint(outline, shade(colour, dim), part, convex)

    # -- joints -------------------------------------------------------------------------------

    def _solve(self) -> None:
        body, pose, height = self.body, self.pose, self.body.height
        root = rotation('z', pose.roll) @ rotation('x', pose.tilt) @ rotation('y', pose.turn)
        chest = rotation('x', pose.bend) @ rotation('z', pose.lean) @ rotation('y', pose.twist)
        chest = root @ chest
        look, nod, sway = pose.look
        head = rotation('y', look) @ rotation('x', nod) @ rotation('z', sway)
        self._root, self._chest, self._head_frame = root, chest, chest @ head

        trunk = body.trunk * height
        self._waist = root @ rotation('x', 0.45 * pose.bend) @ np.array((0, 0.45 * trunk, 0))
        self._neck = self._waist + chest @ np.array((0, 0.55 * trunk, 0))
        h = body.head * height
        self._head_axes = np.array((0.76, 1, 0.88)) * h
        self._head_centre = (
            self._neck
            + chest @ np.array((0, 0.026, 0.01)) * height
            + self._head_frame @ np.array((0, 1.06 * h, 0.016 * height))
        )

        # On the head, scaled to a sphere, the viewer sees the side of `_view`; `_rim` holds two
        # axes of the great circle around that side.
        self._view = unit(self._head_frame[2] / self._head_axes)
        self._rim = tangents(self._view)

        # Also hands and feet, which carry no label.
        points: dict[str, np.ndarray] = {}
        normals = {}
        for name, direction, out in _FEATURES:
            leaving = unit(np.array(direction))
            points[name] = self._head_centre + self._head_frame @ (self._head_axes * leaving * out)
            normals[name] = self._head_frame @ (leaving / self._head_axes)
        for i, (side, s) in enumerate(SIDES):
            self._solve_arm(points, side, s, pose.arms[i])
            self._solve_leg(points, side, s, pose.legs[i])
            normals[f'{side}_shoulder'] = s * chest[:, 0]
            normals[f'{side}_hip'] = s * root[:, 0]
        self.points = points

        crown = self._head_centre + self._head_frame @ np.array((0, h, 0))
        cloud = np.array([*points.values(), crown]) * _TO_PICTURE
        self._extent = np.concatenate((cloud.min(0)[:2], cloud.max(0)[:2]))

        # The trunk hides a shoulder or a hip of its far side, the head its far features. The nose
        # sticks out.
        limits = {'shoulder': -0.55, 'hip': -0.55, 'nose': -0.2}
        self.facing = np.ones(len(KEYPOINTS), bool)
        for i, name in enumerate(KEYPOINTS):
            if name in normals:
                limit = limits.get(name.rpartition('_')[2], 0.0)
                self.facing[i] = unit(normals[name])[2] > limit

    def _solve_arm(
        self, points: dict[str, np.ndarray], side: str, s: float, angles: np.ndarray
    ) -> None:
        body, height, chest = self.body, self.body.height, self._chest
        abduction, flexion, elbow, inward, upward = angles
        raised = np.clip((max(abduction, flexion) - 70) / 90, 0, 1)
        shoulder = np.array((s * (body.shoulder - 0.015 * raised), 0.03 * raised - 0.012, 0))
        upper = swung(s, abduction, flexion)
        inward, elbow = np.deg2rad((inward, elbow))
        fold = np.array((-s * np.sin(inward), upward, np.cos(inward)))
        fold = unit(fold - fold @ upper * upper)
        lower = np.cos(elbow) * upper + np.sin(elbow) * fold
        # A thumb points where the elbow folds, and towards the middle.
        thumb = 0.036 * lower + 0.036 * unit(fold + np.array((-0.6 * s, 0, 0.4)))
        points[f'{side}_shoulder'] = self._neck + chest @ shoulder * height
        points[f'{side}_elbow'] = (
            points[f'{side}_shoulder'] + chest @ upper * body.upper_arm * height
        )
        wrist = points[f'{side}_elbow'] + chest @ lower * body.forearm * height
        points[f'{side}_wrist'] = wrist
        points[f'{side}_hand'] = wrist + chest @ lower * 0.034 * height
        points[f'{side}_thumb'] = wrist + chest @ thumb * height

    def _solve_leg(
        self, points: dict[str, np.ndarray], side: str, s: float, angles: np.ndarray
    ) -> None:
        body, height, root = self.body, self.body.height, self._root
        abduction, flexion, knee, outward, down = angles
        hip = root @ np.array((s * body.hip, 0, 0)) * height
        lower = root @ swung(s, 0.7 * abduction, flexion - knee)
        forward = root @ swung(s, 0.5 * abduction + outward, flexion - knee + 90 - down)
        points[f'{side}_hip'] = hip
        points[f'{side}_knee'] = hip + root @ swung(s, abduction, flexion) * body.thigh * height
        ankle = points[f'{side}_knee'] + lower * body.shin * height
        points[f'{side}_ankle'] = ankle
        points[f'{side}_heel'] = ankle + (0.018 * lower - 0.016 * forward) * height
        points[f'{side}_toe'] = ankle + (0.027 * lower + 0.8 * body.foot * forward) * height

    def _depth(self, *names: str) -> float:
        return float(np.mean([self.points[name][2] for name in names]))

    # -- limbs --------------------------------------------------------------------------------

    def _limb(
        self,
        stroke: Stroke,
        a: np.ndarray,
        b: np.ndarray,
        ra: float,
        rb: float,
        colour: Colour,
        flat: bool = False,
    ) -> None:
        """Adds a tapered limb, lit from one side.

        Args:
            stroke: What to add to.
            a: One end in the world.
            b: The other end.
            ra: Radius at ``a`` as a part of the body's height.
            rb: Radius at ``b``.
            colour: Of its lit side.
            flat: Whether it is cut off at ``b``, as a sleeve is.
        """
        a, b = self.project(a)[:2], self.project(b)[:2]
        ra, rb = ra * self.body.height, rb * self.body.height
        along = b - a
        # The dark rim begins inside of the limb, so that joints show no seam.
        begin = a + along * min(0.5 * ra / max(float(np.hypot(*along)), 1e-6), 0.5)
        towards = 0.16 * self.light
        outlines = capsules(
            np.array((begin, a + towards * ra, a + 2.6 * towards * ra)),
            np.array((b, b + towards * rb, b + 2.6 * towards * rb)),
            ra * _LAYERS,
            rb * _LAYERS,
            flat,
        )
        stroke.add(outlines[0], shade(colour, 0.58))
        stroke.add(outlines[1], colour)
        stroke.add(outlines[2], mix(colour, (255, 255, 255), 0.1))

    def _hoops(self, stroke: Stroke, a: np.ndarray, b: np.ndarray, ra: float, rb: float) -> None:
        """Adds stripes across a sleeve."""
        height = self.body.height
        a, b = self.project(a)[:2], self.project(b)[:2]
        along = b - a
        length = float(np.hypot(*along))
        if length < 0.04 * height:
            return
        across = np.array((-along[1], along[0])) / length
        step = 0.056 * height / length
        for t in np.arange(0.25 * step, 1 - 0.5 * step, step):
            u = np.array((t, t, t + 0.45 * step, t + 0.45 * step))[:, None]
            radius = (ra + u * (rb - ra)) * height * 0.97
            stroke.add(
                a + u * along + radius * across * np.array(((1,), (-1,), (-1,), (1,))),
                self.outfit.accent,
            )

    def _arm(self, side: str) -> list[Stroke]:
        outfit, height = self.outfit, self.body.height
        shoulder, elbow, wrist, hand, thumb = (
            self.points[f'{side}_{name}']
            for name in ('shoulder', 'elbow', 'wrist', 'hand', 'thumb')
        )
        bare = np.array((0.038, 0.031, 0.023)) * self.body.girth
        loose = bare * outfit.looseness
        upper = Stroke(
            self._depth(f'{side}_shoulder', f'{side}_elbow') + 0.012 * height, f'{side}_upper_arm'
        )
        lower = Stroke(
            self._depth(f'{side}_elbow', f'{side}_wrist') + 0.014 * height, f'{side}_forearm'
        )
        palm = Stroke(lower.depth + 0.001 * height, f'{side}_hand')
        cloth = outfit.accent if outfit.pattern == 'yoke' else outfit.top

        if outfit.sleeve < 1:
            self._limb(upper, shoulder, elbow, bare[0], bare[1], outfit.skin)
        if outfit.sleeve > 0:
            end = min(outfit.sleeve, 1.0)
            cuff = shoulder + end * (elbow - shoulder)
            radius = loose[0] + end * (loose[1] - loose[0])
            self._limb(upper, shoulder, cuff, loose[0], radius, cloth, flat=end < 1)
            if outfit.pattern == 'hoops':
                self._hoops(upper, shoulder, cuff, loose[0], radius)
        if outfit.sleeve > 1:
            self._limb(lower, elbow, wrist, loose[1], 1.1 * loose[2], cloth)
            if outfit.pattern == 'hoops':
                self._hoops(lower, elbow, wrist, loose[1], 1.1 * loose[2])
        else:
            self._limb(lower, elbow, wrist, bare[1], bare[2], outfit.skin)
        glove = outfit.accent if outfit.gloves else outfit.skin
        self._limb(palm, wrist + 0.3 * (hand - wrist), thumb, 0.014, 0.011, glove)
        self._limb(palm, wrist, hand, 0.024, 0.028, glove)
        return [upper, lower, palm]

    def _leg(self, side: str) -> list[Stroke]:
        outfit, height = self.outfit, self.body.height
        hip, knee, ankle, heel, toe = (
            self.points[f'{side}_{name}'] for name in ('hip', 'knee', 'ankle', 'heel', 'toe')
        )
        bare = np.array((0.062, 0.044, 0.029)) * self.body.girth
        loose = bare * (0.5 + 0.5 * outfit.looseness)
        thigh = Stroke(self._depth(f'{side}_hip', f'{side}_knee') - 0.02 * height, f'{side}_thigh')
        shin = Stroke(self._depth(f'{side}_knee', f'{side}_ankle') - 0.025 * height, f'{side}_shin')
        foot = Stroke(self._depth(f'{side}_heel', f'{side}_toe') - 0.01 * height, f'{side}_foot')
        # A thigh begins inside of the trunk, which is no wider than its hips.
        hip = 0.86 * hip
        if outfit.trouser < 1:
            self._limb(thigh, hip, knee, bare[0], bare[1], outfit.skin)
        if outfit.trouser > 0:
            end = min(outfit.trouser, 1.0)
            radius = loose[0] + end * (loose[1] - loose[0])
            self._limb(
                thigh, hip, hip + end * (knee - hip), loose[0], radius, outfit.bottom, end < 1
            )
        self._limb(shin, knee, ankle, bare[1], bare[2], outfit.skin)
        if outfit.trouser > 1:
            hem = knee + (outfit.trouser - 1) * (ankle - knee)
            self._limb(shin, knee, hem, loose[1], 1.25 * loose[2], outfit.bottom, flat=True)
        self._limb(foot, heel, toe, 0.029, 0.024, outfit.shoe)
        self._limb(
            shin if foot.depth < shin.depth else foot,
            ankle + 0.15 * (knee - ankle),
            ankle,
            0.030,
            0.031,
            outfit.shoe,
        )
        return [thigh, shin, foot]

    # -- trunk --------------------------------------------------------------------------------

    def _surface(self, t: np.ndarray, angle: np.ndarray) -> np.ndarray:
        """Points (n, 2) in the picture of the trunk's surface.

        Args:
            t: Heights (n,) over the hips as parts of the trunk.
            angle: Angles (n,) around it in degrees: 0 is the person's left, 90 its front.
        """
        body, slices = self.body, _TRUNK_SLICES
        # Girth shows at the belly more than at the shoulders.
        fat = np.interp(t, (0, 0.4, 1), (1, 1.15, 0.25)) * (body.girth - 1) + 1
        broad = np.interp(t, (0, 1), (body.hip / 0.066, body.shoulder / 0.12))
        width = np.interp(t, slices[:, 0], slices[:, 1]) * fat * broad * body.height
        depth = np.interp(t, slices[:, 0], slices[:, 2]) * fat * body.height
        angle = np.deg2rad(angle)
        across, ahead = width * np.cos(angle), depth * np.sin(angle)
        # The spine leaves the hips along their axis and reaches the neck along the chest's.
        u = t[:, None]
        spine = 2 * u * (1 - u) * (2 * self._waist - 0.5 * self._neck) + u * u * self._neck
        blend = np.clip(u, 0, 1)
        points = (
            spine
            + across[:, None] * ((1 - blend) * self._root[:, 0] + blend * self._chest[:, 0])
            + ahead[:, None] * ((1 - blend) * self._root[:, 2] + blend * self._chest[:, 2])
        )
        return self.project(points)[:, :2]

    def _bands(self, *edges: float) -> list[np.ndarray]:
        """Outlines of the trunk between each height and the next."""
        angles = np.tile(np.linspace(0, 360, 16, endpoint=False), len(edges))
        rings = self._surface(np.repeat(edges, 16), angles).reshape(len(edges), 16, 2)
        return [hull(np.concatenate(pair)) for pair in itertools.pairwise(rings)]

    def _patch(self, bottom: float, top: float, low: float, high: float) -> np.ndarray | None:
        """Outline of a patch of the trunk's surface, as far as the viewer sees it."""
        towards = self._towards_viewer + 360 * np.round(
            ((low + high) / 2 - self._towards_viewer) / 360
        )
        low, high = max(low, towards - 88), min(high, towards + 88)
        if high - low < 2:
            return None
        heights = np.linspace(bottom, top, max(2, round((top - bottom) / 0.2) + 1))
        angles = np.linspace(low, high, max(2, round((high - low) / 20) + 1))
        m, n = len(heights), len(angles)
        return self._surface(
            np.concatenate((heights, np.full(n, top), heights[::-1], np.full(n, bottom))),
            np.concatenate((np.full(m, low), angles, np.full(m, high), angles[::-1])),
        )

    @property
    def _towards_viewer(self) -> float:
        """The angle around the chest of what the viewer sees in its middle."""
        return float(np.rad2deg(np.arctan2(self._chest[2, 2] / 0.065, self._chest[2, 0] / 0.1)))

    def _trunk(self) -> list[Stroke]:
        outfit, height = self.outfit, self.body.height
        pelvis = Stroke(-0.03 * height, 'pelvis')
        for band, tone in zip(self._bands(-0.16, 0.02, 0.14), (0.8, 1.0), strict=True):
            pelvis.add(band, shade(outfit.bottom, tone))
        torso = Stroke(0.5 * float(self._neck[2]), 'torso')
        for band in self._bands(-0.03, 0.08, 0.25, 0.42, 0.6, 0.76, 0.92, 1.03):
            torso.add(band, shade(outfit.top, 0.72))
        self._decorate(torso)

        neck = Stroke(min(torso.depth, float(self._head_centre[2])) + 0.001 * height, 'neck')
        self._limb(
            neck,
            self._neck - self._chest[:, 1] * 0.01 * height,
            self._head_centre - self._head_frame[:, 1] * 0.5 * self._head_axes[1],
            0.034,
            0.030,
            shade(outfit.skin, 0.9),
        )
        strokes = [pelvis, torso, neck]
        if outfit.skirt > 0:
            strokes.append(self._skirt())
        if outfit.rucksack:
            strokes.append(self._rucksack(torso))
        return strokes

    def _decorate(self, torso: Stroke) -> None:
        """Adds what the shirt shows: light, its pattern, and how its front and back differ."""
        outfit, top, accent = self.outfit, self.outfit.top, self.outfit.accent

        def patch(bottom: float, top: float, low: float, high: float, colour: Colour) -> None:
            torso.add(self._patch(bottom, top, low, high), colour, convex=False)

        def around(bottom: float, top: float, colour: Colour) -> None:
            patch(bottom, top, self._towards_viewer - 90, self._towards_viewer + 90, colour)

        # The body's angles run from the right of the picture to its left.
        lit = self._towards_viewer - 34 * np.sign(self.light[0])
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
        if outfit.pattern in ('stripes', 'checks'):
            for angle in range(0, 360, 30):
                patch(-0.02, 0.98, angle - 5, angle + 5, accent)
        if outfit.pattern == 'checks':
            for t in np.arange(0.04, 0.92, 0.18):
                around(t, t + 0.05, mix(top, accent, 0.6))

        if outfit.front == 'jacket':
            patch(-0.02, 0.98, 64, 116, mix(accent, (240, 240, 240), 0.5))
            patch(0.78, 1.0, 44, 64, shade(top, 0.6))
            patch(0.78, 1.0, 116, 136, shade(top, 0.6))
        elif outfit.front == 'buttons':
            patch(-0.02, 0.98, 87, 93, shade(top, 0.6))
            for t in np.arange(0.08, 0.95, 0.17):
                patch(t, t + 0.045, 94, 104, (245, 245, 245))
        elif outfit.front == 'tie':
            patch(0.25, 0.93, 84, 96, shade(accent, 0.8))
        elif outfit.front == 'badge':
            patch(0.6, 0.84, 72, 108, accent)
        # The neckline is low in front; at the back a seam runs across the shoulders.
        patch(0.9, 1.03, 62, 118, outfit.skin)
        patch(0.8, 0.825, 205, 335, shade(top, 0.62))
        if outfit.skirt == 0:
            around(-0.04, 0.02, shade(outfit.shoe, 0.8))

    def _skirt(self) -> Stroke:
        outfit, height = self.outfit, self.body.height
        dark = shade(outfit.bottom, 0.75)
        depth = max(self._depth(f'{side}_hip', f'{side}_knee') for side, _ in SIDES)
        skirt = Stroke(depth - 0.015 * height, 'skirt')
        ends = []
        for side, _ in SIDES:
            hip, knee, ankle = (self.points[f'{side}_{name}'] for name in ('hip', 'knee', 'ankle'))
            end = hip + min(outfit.skirt, 1.0) * (knee - hip)
            end += max(outfit.skirt - 1, 0.0) * (ankle - knee)
            ends.append(self.project(end)[:2])
        hem = [circle(end, 0.068 * height * self.body.girth) for end in ends]
        outline = hull(np.concatenate((*self._bands(-0.02, 0.1), *hem)))
        centre = outline.mean(0)
        skirt.add(outline, dark)
        skirt.add(0.82 * outline + 0.18 * centre + self.light * 0.012 * height, outfit.bottom)
        for end in ends:
            fold = self.position + 0.3 * (end - self.position)
            skirt.add(capsule(fold, end, 0.3, 0.006 * height), dark)
        return skirt

    def _rucksack(self, torso: Stroke) -> Stroke:
        """A rucksack at the back, whose straps go over the shoulders to the front."""
        height, chest = self.body.height, self._chest
        colour = shade(self.outfit.accent, 0.8)
        torso.add(self._patch(0.45, 1.0, 38, 52), colour, convex=False)
        torso.add(self._patch(0.45, 1.0, 128, 142), colour, convex=False)
        sack = Stroke(float(torso.depth - 0.1 * height * chest[2, 2]), 'rucksack')
        centre = self._neck - 0.36 * self.body.trunk * height * chest[:, 1]
        centre = centre - 0.098 * height * chest[:, 2]

        def cushion(low: float, high: float, wide: float, radius: float, colour: Colour) -> None:
            corners = [
                centre + height * (0.082 * up * chest[:, 1] + 0.036 * side * chest[:, 0])
                for up in (low, high)
                for side in (-wide, wide)
            ]
            circles = [
                circle(corner[:2] + 0.006 * height * self.light, radius * height)
                for corner in self.project(np.array(corners))
            ]
            sack.add(hull(np.concatenate(circles)), colour)

        cushion(-1, 1, 1, 0.046, shade(colour, 0.65))
        cushion(-1, 1, 1, 0.038, colour)
        if chest[2, 2] < 0:
            cushion(-1, 0, 0.8, 0.023, shade(colour, 0.8))
        return sack

    # -- head ---------------------------------------------------------------------------------

    @property
    def ears_covered(self) -> bool:
        """Whether hair or a hat covers both ears."""
        return self.outfit.hair_style == 'long' or self.outfit.hat == 'beanie'

    def _on_head(self, directions: np.ndarray, out: float = 1.0) -> np.ndarray:
        """Points (n, 2) in the picture where unit vectors (n, 3), in the head's own axes, leave
        the head, or a surface ``out`` times its size."""
        return self.project(
            self._head_centre + (self._head_axes * directions * out) @ self._head_frame.T
        )[:, :2]

    def _cap(
        self, centre: tuple[float, float, float], across: float, along: float, out: float = 1.0
    ) -> np.ndarray | None:
        """Outline of the visible part of an oval patch of the head.

        Args:
            centre: Direction of the patch's middle in the head's own axes.
            across: Degrees from the middle to the side.
            along: Degrees from the middle to the upper or lower end.
            out: Size of the surface, 1 for the head's own.
        """
        middle = unit(np.array(centre))
        reach = np.deg2rad(1 / np.hypot(_TURN[:, 0] / across, _TURN[:, 1] / along))[:, None]
        directions = np.cos(reach) * middle + np.sin(reach) * (_TURN @ tangents(middle))
        seen = directions @ self._view > 0
        if seen.all():
            return self._on_head(directions, out)
        if not seen.any():
            return self._on_head(_TURN @ self._rim, out) if middle @ self._view > 0 else None
        # What is hidden ends at the head's own outline: follow that from where the patch leaves
        # it to where the patch comes back, on the patch's side.
        start = int(np.flatnonzero(seen & ~np.roll(seen, 1))[0])
        arc = np.roll(directions, -start, 0)[np.roll(seen, -start)]
        last, first = (np.arctan2(*(self._rim @ arc[i])[::-1]) for i in (-1, 0))
        sweep = (first - last) % (2 * np.pi)
        halfway = last + sweep / 2
        if middle @ (np.array((np.cos(halfway), np.sin(halfway))) @ self._rim) < 0:
            sweep -= 2 * np.pi
        angles = last + np.linspace(0, sweep, 12)
        rim = np.stack((np.cos(angles), np.sin(angles)), 1) @ self._rim
        return self._on_head(np.concatenate((arc, rim)), out)

    def _head(self) -> list[Stroke]:
        outfit, height, h = self.outfit, self.body.height, self._head_axes[1]
        skin, hair = outfit.skin, outfit.hair
        forward = self._head_frame[2, 2]
        depth = float(self._head_centre[2]) + 0.03 * height
        head, hat = Stroke(depth, 'head'), Stroke(depth + 0.002 * height, 'hat')

        def add(outline: np.ndarray | None, colour: Colour, convex: bool = False) -> None:
            head.add(outline, colour, convex)

        ears = []
        if not self.ears_covered:
            up = self.project(self._head_frame[:, 1])[:2] - self._origin[:2]
            for side, _ in SIDES:
                ear = self.project(self.points[f'{side}_ear'])[:2]
                lobe = 0.011 * height * up
                near = self.points[f'{side}_ear'][2] > self._head_centre[2]
                flap = capsule(ear + lobe, ear - lobe, 0.0145 * height, 0.011 * height)
                ears.append((near, flap, circle(ear, 0.006 * height)))
        for near, flap, _ in ears:
            if not near:
                add(flap, shade(skin, 0.72), convex=True)
        nose = capsule(
            self._on_head(np.array(((0, 0.14, 0.99),)))[0],
            self.project(self.points['nose'])[:2],
            0.004 * height,
            0.0125 * height,
        )
        # In profile the nose sticks out of the head's outline.
        if -0.25 < forward < 0.8:
            add(nose, shade(skin, 0.9), convex=True)
        ring = self._on_head(_TURN @ self._rim)
        add(ring, shade(skin, 0.72), convex=True)
        add(0.88 * ring + 0.12 * ring.mean(0) + 0.09 * h * self.light, skin, convex=True)

        if outfit.beard:
            add(self._cap((0, -1, 0.75), 58, 30), hair)
        add(self._cap((0, -0.5, 1), 15, 3.5), (72, 66, 150))
        for s in (1.0, -1.0):
            eye = (0.42 * s, 0.16, 1)
            add(self._cap(eye, 11, 7), (244, 244, 244))
            add(self._cap(eye, 5.5, 6.5), (36, 30, 28))
            add(self._cap((0.42 * s, 0.4, 1), 13, 2.5), shade(hair, 0.7))
            if outfit.glasses:
                add(self._cap(eye, 17, 11), (40, 36, 36))
        if outfit.glasses:
            add(self._cap((0, 0.18, 1), 14, 2), (40, 36, 36))
        if outfit.hair_style != 'bald':
            low = 12 if outfit.hair_style == 'long' else 0
            add(self._cap((0, 0.77, -0.64), 83 + low, 94 + low), shade(hair, 0.75))
            add(self._cap((0.3 * self.light[0] * self._head_frame[0, 0], 0.9, -0.5), 62, 70), hair)
        if forward > -0.1:
            add(nose, shade(skin, 0.84), convex=True)
        for near, flap, inner in ears:
            if near:
                add(flap, shade(skin, 0.88), convex=True)
                add(inner, shade(skin, 0.64), convex=True)
        self._wear(hat)
        return [head, hat, *self._loose_hair(head.depth)]

    def _loose_hair(self, depth: float) -> list[Stroke]:
        """Hair that leaves the head: long, a tail or a bun."""
        outfit, height, h = self.outfit, self.body.height, self._head_axes[1]
        up, back = self._head_frame[:, 1], -self._head_frame[:, 2]
        centre = self._head_centre
        hair = Stroke(float((centre + 0.9 * h * back)[2]), 'hair')
        if back[2] > 0:
            hair.depth = max(hair.depth, depth + 0.001 * height)
        # Hair hangs down, and along the back of a person that bends.
        down = unit(np.array((0, -1.0, 0)) - 0.6 * self._chest[:, 1])
        h_part = h / height
        if outfit.hair_style == 'long':
            top = centre + h * (0.16 * back + 0.15 * up)
            low = centre + h * (0.55 * back + 1.55 * down)
            self._limb(hair, top, low, 0.98 * h_part, 0.72 * h_part, outfit.hair)
        elif outfit.hair_style == 'tail':
            top = centre + h * (0.95 * back + 0.3 * up)
            low = top + h * (0.35 * back + 1.3 * down)
            self._limb(hair, top, low, 0.2 * h_part, 0.12 * h_part, outfit.hair)
        elif outfit.hair_style == 'bun':
            bun = centre + h * (0.75 * back + 0.75 * up)
            self._limb(hair, bun, bun + 0.05 * h * back, 0.36 * h_part, 0.34 * h_part, outfit.hair)
        return [hair] if hair.outlines else []

    def _wear(self, hat: Stroke) -> None:
        """Adds the crown of a hat, and the brim or visor that it has."""
        style, colour = self.outfit.hat, self.outfit.accent
        if style == 'none':
            return
        across, ahead = _TURN.T
        if style == 'brim':
            brim = np.stack((1.45 * across, np.full_like(across, 0.5), 1.45 * ahead), 1)
            hat.add(hull(self._on_head(brim)), shade(colour, 0.7))
        elif style == 'cap' and self._head_frame[2, 2] > -0.1:
            # From the front of the crown to the tip of the visor.
            front = np.maximum(ahead, 0)
            visor = np.stack((0.9 * across, 0.55 - 0.13 * front, 0.35 + 1.25 * front), 1)
            hat.add(hull(self._on_head(visor)), shade(colour, 0.6))
        reach = 72 if style == 'beanie' else 64
        hat.add(self._cap((0, 1, 0), reach, reach, 1.07), shade(colour, 0.78), convex=False)
        hat.add(self._cap((0, 1, 0), reach - 8, reach - 8, 1.03), colour, convex=False)


# ---------------------------------------------------------------------------------------------
# What is around the people.


def pick_colour(rng: np.random.Generator) -> Colour:
    """Any colour that a thing may have, those of skin and clothing among them."""
    palette_ = (SKIN, CLOTH, None)[rng.integers(3)]
    if palette_ is None:
        return _as_colour(rng.uniform(30, 225, 3))
    return palette_[rng.integers(len(palette_))]


def box(x1: float, y1: float, x2: float, y2: float) -> np.ndarray:
    """Outline of an upright rectangle."""
    return np.array(((x1, y1), (x2, y1), (x2, y2), (x1, y2)), float)


def paint_ball(
    canvas: Canvas, centre: np.ndarray, radius: float, colour: Colour, part: int | None = None
) -> None:
    canvas.paint(circle(centre, radius), shade(colour, 0.7), part)
    canvas.paint(circle(centre - (0, 0.15 * radius), 0.8 * radius), colour)


def paint_bar(
    canvas: Canvas,
    a: np.ndarray,
    b: np.ndarray,
    radius: float,
    colour: Colour,
    part: int | None = None,
) -> None:
    canvas.paint(capsule(a, b, radius, radius), shade(colour, 0.7), part)
    canvas.paint(capsule(a, b, 0.7 * radius, 0.7 * radius), colour)


def paint_background(canvas: Canvas, rng: np.random.Generator, horizon: float) -> None:
    """Paints a wall or a sky, a floor from the horizon down, and things."""
    w, h = canvas.width, canvas.height
    outdoors = rng.random() < 0.5
    above, below = (SKY, GROUND) if outdoors else (WALL, FLOOR)
    upper, lower = (
        np.array(colours[rng.integers(len(colours))]) * rng.uniform(0.9, 1.15)
        for colours in (above, below)
    )
    rows = np.arange(0, h, 2)
    fade = np.interp(
        rows,
        (0, horizon, horizon + 1, h),
        (rng.uniform(0.75, 1.1), 1, 0.85, rng.uniform(0.9, 1.15)),
    )
    column = np.where(rows[:, None] < horizon, upper, lower) * fade[:, None]
    # At half the size: all of it is soft.
    size = (w // 2, len(rows))
    blotches = rng.normal(0, rng.uniform(1, 8), (5, 7, 1)) + rng.normal(0, 2.5, (5, 7, 3))
    grain = rng.standard_normal((h // 6, w // 6), np.float32) * np.float32(rng.uniform(1, 6))
    tones = cv2.resize(blotches, size, interpolation=cv2.INTER_CUBIC)
    tones = tones + cv2.resize(grain, size)[..., None]
    tones += column[:, None]
    cv2.resize(np.clip(tones, 0, 255).astype(np.uint8), canvas.colours.shape[1::-1], canvas.colours)
    if outdoors:
        paint_outdoors(canvas, rng, horizon)
    else:
        paint_indoors(canvas, rng, horizon)
    for _ in range(rng.integers(0, 6)):
        paint_clutter(canvas, rng, horizon)


def paint_outdoors(canvas: Canvas, rng: np.random.Generator, horizon: float) -> None:
    """Paints hills, houses, trees and lines on the ground."""
    w = canvas.width
    if rng.random() < 0.5:
        green = GROUND[rng.integers(len(GROUND))]
        for tone in (0.95, 0.8):
            x, wide, tall = rng.uniform(0, w), rng.uniform(0.5, 1.2) * w, rng.uniform(20, 70)
            hill = circle(np.zeros(2), 1.0) * (wide, tall) + (x, horizon)
            canvas.paint(np.minimum(hill, (np.inf, horizon)), shade(green, tone))
    for _ in range(rng.integers(0, 4)):
        x, wide = rng.uniform(-0.1 * w, w), rng.uniform(0.1, 0.35) * w
        top = rng.uniform(0.2, 0.9) * horizon
        wall = WALL[rng.integers(len(WALL))]
        canvas.paint(box(x, top, x + wide, horizon + 2), shade(wall, 0.85))
        size = rng.uniform(6, 14)
        for wx in np.arange(x + 0.6 * size, x + wide - size, 1.7 * size):
            for wy in np.arange(top + 0.6 * size, horizon - size, 2 * size):
                canvas.paint(box(wx, wy, wx + size, wy + 1.2 * size), shade(wall, 0.55))
    for _ in range(rng.integers(0, 4)):
        foot = np.array((rng.uniform(0, w), horizon + rng.uniform(0, 20)))
        tall, thick = rng.uniform(40, 0.9 * horizon + 41), rng.uniform(3, 8)
        crown = foot + (rng.uniform(-8, 8), -tall)
        canvas.paint(capsule(foot, crown, thick, 0.6 * thick), (50, 72, 98))
        leaf = (rng.uniform(30, 80), rng.uniform(90, 160), rng.uniform(40, 130))
        for tone in (0.72, 0.8, 0.9, 1.0, 1.1):
            spot = crown + rng.normal(0, 0.14 * tall, 2) - (0, 12 * tone)
            canvas.paint(circle(spot, rng.uniform(0.12, 0.26) * tall), shade(leaf, tone))
    for _ in range(rng.integers(0, 3)):
        y = rng.uniform(horizon + 4, canvas.height)
        ends = np.array(((-5.0, y), (w + 5.0, y + rng.uniform(-30, 30))))
        canvas.paint(capsule(ends[0], ends[1], 1.5, 2.5), (225, 225, 225))


def paint_indoors(canvas: Canvas, rng: np.random.Generator, horizon: float) -> None:
    """Paints a skirting board, pictures, floorboards and a sideboard."""
    w, h = canvas.width, canvas.height
    trim = WALL[rng.integers(len(WALL))]
    canvas.paint(box(-1, horizon - 5, w + 1, horizon + 2), shade(trim, 0.9))
    if rng.random() < 0.6:
        board = _as_colour(canvas.colours[-1, 0] * float(rng.uniform(0.75, 1.15)))
        vanish, gap = rng.uniform(0.2, 0.8) * w, rng.uniform(16, 44)
        for x in np.arange(-w, 2 * w, gap):
            ends = np.array((((vanish + x) / 2, horizon + 2), (x, h + 5.0)))
            canvas.paint(capsule(ends[0], ends[1], 0.4, 1.0), board)
    for _ in range(rng.integers(1, 5)):
        corner = np.array((rng.uniform(0, w), rng.uniform(0, 0.7 * horizon)))
        size = rng.uniform(18, 70, 2)
        canvas.paint(box(*(corner - 3), *(corner + size + 3)), shade(trim, 0.6))
        canvas.paint(box(*corner, *(corner + size)), pick_colour(rng))
        for _ in range(rng.integers(0, 3)):
            place = corner + rng.uniform(0.25, 0.75, 2) * size
            canvas.paint(circle(place, rng.uniform(0.1, 0.22) * size.min()), pick_colour(rng))
    if rng.random() < 0.5:
        x, wide = rng.uniform(-20, w), rng.uniform(50, 130)
        top, colour = horizon - rng.uniform(20, 60), pick_colour(rng)
        canvas.paint(box(x, top, x + wide, horizon + 25), shade(colour, 0.7))
        canvas.paint(box(x - 3, top - 5, x + wide + 3, top + 3), colour)
        for _ in range(rng.integers(0, 4)):
            radius = rng.uniform(5, 9)
            place = np.array((x + rng.uniform(0, wide), top - 5 - radius))
            paint_ball(canvas, place, radius, pick_colour(rng))


def paint_clutter(canvas: Canvas, rng: np.random.Generator, horizon: float) -> None:
    """Paints something that a careless eye takes for a limb or a head."""
    w, h = canvas.width, canvas.height
    foot = np.array((rng.uniform(0, w), rng.uniform(horizon, h)))
    high = np.array((rng.uniform(0, w), rng.uniform(0.08, 0.7) * h))
    colour, thick = pick_colour(rng), rng.uniform(2.5, 8)
    kind = rng.integers(5)
    if kind == 0:  # a bent pipe or branch
        point = high
        for _ in range(rng.integers(2, 4)):
            angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(18, 55)
            end = point + length * np.array((np.cos(angle), np.sin(angle)))
            paint_bar(canvas, point, end, thick, colour)
            point = end
    elif kind == 1:  # a lamp post
        top = np.array((foot[0], rng.uniform(0.1, 0.5) * h))
        paint_bar(canvas, foot, top, 0.5 * thick, shade(colour, 0.8))
        paint_ball(canvas, top, 2 * thick, pick_colour(rng))
    elif kind == 2:  # a balloon
        string = high + (rng.uniform(-15, 15), rng.uniform(50, 110))
        canvas.paint(capsule(high, string, 0.5, 0.5), (70, 70, 70))
        paint_ball(canvas, high, 2.4 * thick, colour)
    elif kind == 3:  # a ball
        paint_ball(canvas, foot, 2 * thick, colour)
    else:  # a bollard
        paint_bar(canvas, foot, foot - (0, rng.uniform(20, 60)), 1.5 * thick, colour)


def paint_shadow(canvas: Canvas, figure: Figure) -> None:
    """Darkens the ground under a person."""
    height = figure.body.height * SUPERSAMPLING
    x = figure.position[0] + 0.5 * (
        figure.points['left_ankle'][0] + figure.points['right_ankle'][0]
    )
    centre = np.array((x, figure.box[3] - 0.012 * figure.body.height)) * SUPERSAMPLING
    size = np.array((0.19, 0.042)) * height
    rows, columns = canvas.parts.shape
    x1, y1 = np.clip(centre - size, 0, (columns, rows)).astype(int)
    x2, y2 = np.clip(centre + size, 0, (columns, rows)).astype(int)
    away = ((np.arange(x1, x2) - centre[0]) / size[0]) ** 2 + (
        ((np.arange(y1, y2) - centre[1]) / size[1]) ** 2
    )[:, None]
    ground = canvas.colours[y1:y2, x1:x2]
    ground[:] = ground * (1 - 0.45 * np.clip(1.2 - 1.2 * away, 0, 1))[..., None]


def paint_seat(canvas: Canvas, rng: np.random.Generator, figure: Figure) -> None:
    """Paints a box or a stool under a seated person."""
    x, y = figure.position
    height = figure.body.height
    ground, top = figure.box[3] - 0.02 * height, y + 0.055 * height
    half, colour = rng.uniform(0.1, 0.2) * height, mix(pick_colour(rng), (60, 70, 90), 0.4)
    if rng.random() < 0.5:
        canvas.paint(box(x - half, top, x + half, ground), shade(colour, 0.7), OBJECT)
    else:
        for side in (-1, 1):
            ends = np.array(((x + 0.8 * side * half, top), (x + 0.9 * side * half, ground)))
            canvas.paint(
                capsule(ends[0], ends[1], 0.014 * height, 0.012 * height),
                shade(colour, 0.6),
                OBJECT,
            )
    seat = box(x - 1.05 * half, top - 0.02 * height, x + 1.05 * half, top + 0.035 * height)
    canvas.paint(seat, colour, OBJECT)


def paint_held(canvas: Canvas, rng: np.random.Generator, figure: Figure) -> None:
    """Paints a ball, a bag, a stick or a phone in one hand."""
    side, _ = SIDES[rng.integers(2)]
    hand = figure.project(figure.points[f'{side}_hand'])[:2]
    height, colour = figure.body.height, pick_colour(rng)
    kind = rng.integers(4)
    if kind == 0:
        radius = rng.uniform(0.03, 0.06) * height
        paint_ball(canvas, hand - (0, 0.4 * radius), radius, colour, OBJECT)
    elif kind == 1:
        wide, tall = rng.uniform(0.05, 0.08) * height, rng.uniform(0.08, 0.13) * height
        top = hand[1] + 0.035 * height
        canvas.paint(capsule(hand, hand + (0, 0.04 * height), 1, 1), shade(colour, 0.6), OBJECT)
        canvas.paint(box(hand[0] - wide, top, hand[0] + wide, top + tall), colour, OBJECT)
    elif kind == 2:
        angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.35) * height
        reach = np.array((np.cos(angle), np.sin(angle))) * length
        paint_bar(canvas, hand - 0.15 * reach, hand + reach, 0.008 * height, colour, OBJECT)
    else:
        wide, tall = 0.018 * height, 0.035 * height
        phone = box(hand[0] - wide, hand[1] - tall, hand[0] + wide, hand[1] + 0.4 * tall)
        canvas.paint(phone, (45, 42, 40), OBJECT)


def paint_obstacle(canvas: Canvas, rng: np.random.Generator, ground: float) -> None:
    """Paints something that stands before the people painted so far."""
    x, h = rng.uniform(0, canvas.width), canvas.height
    colour = mix(pick_colour(rng), (110, 120, 130), 0.3)
    kind = rng.integers(5)
    if kind == 0:  # a pole
        paint_bar(
            canvas, np.array((x, ground)), np.array((x, -20)), rng.uniform(2.5, 6), colour, OBJECT
        )
    elif kind == 1:  # a table
        wide, top = rng.uniform(25, 70), ground - rng.uniform(0.1, 0.24) * h
        canvas.paint(box(x - wide, top, x + wide, ground + 2), shade(colour, 0.75), OBJECT)
        canvas.paint(box(x - wide - 3, top - 6, x + wide + 3, top + 2), colour, OBJECT)
    elif kind == 2:  # a bush
        for tone in np.linspace(0.7, 1.15, 9):
            place = np.array((x, ground - 4 - 8 * tone)) + rng.normal(0, 1, 2) * (16, 10)
            canvas.paint(circle(place, rng.uniform(7, 14)), shade((60, 130, 80), tone), OBJECT)
    elif kind == 3:  # a ball
        radius = rng.uniform(10, 22)
        paint_ball(canvas, np.array((x, ground - radius)), radius, colour, OBJECT)
    else:  # a fence
        top, wide = ground - rng.uniform(0.12, 0.25) * h, rng.uniform(60, 160)
        for rail in (0, 16):
            canvas.paint(box(x - wide, top + rail, x + wide, top + rail + 4), colour, OBJECT)
        for post in np.linspace(x - wide, x + wide, 5):
            canvas.paint(box(post - 2.5, top - 5, post + 2.5, ground), shade(colour, 0.85), OBJECT)


# ---------------------------------------------------------------------------------------------
# A picture and its labels.


@dataclass
class Person:
    """Labels of one person or one crowd, in pixels of the picture.

    Attributes:
        mask: (height, width) booleans, the pixels that show the person.
        keypoints: (17, 3) as x, y, v; None for a crowd.
    """

    mask: np.ndarray
    keypoints: np.ndarray | None


def place(
    figure: Figure, rng: np.random.Generator, canvas: Canvas, taken: list[np.ndarray]
) -> bool:
    """Finds room for a person; false if all that was tried hides too much of another one."""
    w, h = canvas.width, canvas.height
    x1, y1, x2, y2 = figure.box
    cut = rng.random() < 0.1
    lowest = h * rng.uniform(0.86, 0.985)
    # At a larger scale the feet are nearer, hence lower.
    tall = figure.body.height / h
    lowest -= max(0.62 - tall, 0) * rng.uniform(0.2, 0.7) * h
    if cut:
        lowest = h + rng.uniform(0.05, 0.4) * (y2 - y1)
    lowest = max(lowest, (y2 - y1) + 3.0)
    for _ in range(8):
        margin = -0.25 * (x2 - x1) if cut else 0.0
        low, high = margin - x1, w - margin - x2
        if low > high:
            low, high = high, low
        x = rng.uniform(low, high)
        own = np.array((x1 + x, lowest + y1 - y2, x2 + x, lowest))
        overlaps = [
            max(min(own[2], o[2]) - max(own[0], o[0]), 0.0) / min(own[2] - own[0], o[2] - o[0])
            for o in taken
        ]
        if max(overlaps, default=0.0) < rng.choice((0.05, 0.1, 0.3)):
            figure.move(x, lowest - y2)
            taken.append(own)
            return True
    return False


def label(figure: Figure, first: int, parts: np.ndarray) -> np.ndarray:
    """Keypoints (17, 3) of a person from the map of parts of the finished picture.

    Args:
        figure: The person.
        first: Number of the person's first part.
        parts: (height, width) part numbers.
    """
    height, width = parts.shape
    keypoints = np.zeros((len(KEYPOINTS), 3))
    for i, (name, (x, y, _)) in enumerate(zip(KEYPOINTS, figure.joints, strict=True)):
        side, _, joint = name.rpartition('_')
        inside = 0 <= x <= width - 1 and 0 <= y <= height - 1
        if not inside or (joint in FACE and not figure.facing[i]):
            continue
        shown = int(parts[round(y), round(x)]) - first
        part = PARTS[shown] if 0 <= shown < len(PARTS) else ''
        visible = part in (owner.format(side) for owner in OWNERS[joint])
        # The trunk shows the joints of its near side only; an arm or leg shows its own.
        visible &= bool(figure.facing[i]) or part not in TRUNK
        visible &= joint != 'ear' or not figure.ears_covered
        keypoints[i] = x, y, 2 if visible else 1
    # A hidden joint is labelled where a neighbour in sight says about where it is.
    seen = keypoints[:, 2] == 2
    told = {i for a, b in SKELETON for i in (a, b) if seen[a] or seen[b]}
    keypoints[[i not in told for i in range(len(KEYPOINTS))]] = 0
    return keypoints


def mirrored(image: np.ndarray, persons: Iterable[Person]) -> tuple[np.ndarray, list[Person]]:
    """The mirror image, where each person's left is its right.

    Args:
        image: (height, width, 3).
        persons: Labels of the picture.

    Returns:
        The mirrored picture and its labels.
    """
    width = image.shape[1]
    swapped = []
    for person in persons:
        keypoints = person.keypoints
        if keypoints is not None:
            keypoints = keypoints[list(FLIP_INDICES)]
            labelled = keypoints[:, 2] > 0
            keypoints[labelled, 0] = width - 1 - keypoints[labelled, 0]
        swapped.append(Person(np.ascontiguousarray(person.mask[:, ::-1]), keypoints))
    return np.ascontiguousarray(image[:, ::-1]), swapped


def render_scene(rng: np.random.Generator) -> tuple[np.ndarray, list[Person]]:
    """Draws and paints a scene.

    Returns:
        The picture (height, width, 3), 8 bits, BGR, and the labels of its people.
    """
    canvas = Canvas(*SIZES[rng.integers(len(SIZES))])
    h = canvas.height
    horizon = h * rng.uniform(0.35, 0.7)
    light = np.array((rng.uniform(0.3, 1), -rng.uniform(0.5, 1)))
    paint_background(canvas, rng, horizon)
    if rng.random() < 0.1:
        paint_crowd(canvas, rng, horizon, light)

    figures: list[Figure] = []
    taken: list[np.ndarray] = []
    for _ in range(rng.choice(MAX_PERSONS, p=(0.4, 0.35, 0.17, 0.08)) + 1):
        tall = float(np.clip(h * rng.uniform(0.42, 0.9), 105, 300))
        figure = Figure(Body.draw(rng, tall), Pose.draw(rng), Outfit.draw(rng), light)
        if place(figure, rng, canvas, taken):
            figures.append(figure)
    figures.sort(key=lambda figure: figure.box[3])
    for i, figure in enumerate(figures):
        paint_shadow(canvas, figure)
        if figure.pose.seated:
            paint_seat(canvas, rng, figure)
        figure.paint(canvas, 1 + i * len(PARTS))
        if rng.random() < 0.12:
            paint_held(canvas, rng, figure)
        if rng.random() < 0.1:
            paint_obstacle(canvas, rng, figure.box[3] + rng.uniform(0, 10))

    # Every second row and column of the map, those nearest to the labels' pixel centres.
    parts = canvas.parts[::SUPERSAMPLING, ::SUPERSAMPLING]
    persons = []
    for i, figure in enumerate(figures):
        first = 1 + i * len(PARTS)
        mask = (parts >= first) & (parts < first + len(PARTS))
        if not mask.any():
            continue
        keypoints = label(figure, first, parts)
        if np.count_nonzero(keypoints[:, 2] == 2) < MIN_VISIBLE:
            keypoints[:] = 0
        persons.append(Person(mask, keypoints))
    crowd = parts == CROWD
    if np.count_nonzero(crowd) > 100:
        persons.append(Person(crowd, None))
    return develop(canvas, rng), persons


def paint_crowd(
    canvas: Canvas, rng: np.random.Generator, horizon: float, light: np.ndarray
) -> None:
    """A group of small people far away, too many to be labelled one by one."""
    middle, count = rng.uniform(0.15, 0.85) * canvas.width, int(rng.integers(6, 12))
    size = rng.uniform(36, 56)
    feet = np.sort(horizon + rng.uniform(2, 14, count))
    for foot in feet:
        figure = Figure(
            Body.draw(rng, size * rng.uniform(0.85, 1.1)), Pose.draw(rng), Outfit.draw(rng), light
        )
        figure.move(middle + rng.normal(0, 0.7 * size), foot - figure.box[3])
        figure.paint(canvas, None)


def develop(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """The picture at its own size, with uneven light, a colour cast, blur and noise."""
    w, h = canvas.width, canvas.height
    image = cv2.resize(canvas.colours, (w, h), interpolation=cv2.INTER_AREA)
    blur = rng.uniform(-0.6, 0.8)
    if blur > 0.3:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    cast = rng.uniform(0.88, 1.14) * rng.uniform(0.95, 1.05, 3)
    gain = (rng.uniform(0.84, 1.12, (3, 4, 1)) * cast).astype(np.float32)
    noise = rng.standard_normal((h, w), np.float32) * np.float32(rng.uniform(0, 5))
    bright = cv2.multiply(image, cv2.resize(gain, (w, h)), dtype=cv2.CV_32F)
    return cv2.add(bright, cv2.merge((noise, noise, noise)), dtype=cv2.CV_8U)


def render_image(seed: int, split: str, index: int) -> tuple[np.ndarray, list[Person]]:
    """Renders one image of a data set.

    Mirroring comes last and is decided by a draw of its own, so a scene and its mirror image are
    equally likely.

    Args:
        seed: Of the data set, not negative.
        split: 'train' or 'val'.
        index: Of the image in its split, from 0.

    Returns:
        The picture (height, width, 3), 8 bits, BGR, and the labels of its people.
    """
    scene, side = image_streams(seed, split, index)
    image, persons = render_scene(scene)
    return mirrored(image, persons) if side.random() < 0.5 else (image, persons)


def image_streams(
    seed: int, split: str, index: int
) -> tuple[np.random.Generator, np.random.Generator]:
    """The random streams of one image: of its scene, and of whether that is mirrored."""
    sequence = np.random.SeedSequence(seed, spawn_key=(SPLITS.index(split), index))
    scene, side = sequence.spawn(2)
    return np.random.default_rng(scene), np.random.default_rng(side)


# ---------------------------------------------------------------------------------------------
# COCO's files.


def polygons(mask: np.ndarray) -> list[list[float]]:
    """COCO's polygons around the regions of a mask, without their holes.

    Coordinates are COCO's: (0, 0) is the upper left corner of the picture.
    """
    # At three times the size a contour through pixel centres runs close to the pixels' edges.
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    region = np.pad(mask[y : y + h, x : x + w].astype(np.uint8).repeat(3, 0).repeat(3, 1), 1)
    contours, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outlines = []
    for contour in contours:
        outline = cv2.approxPolyDP(contour, 1.2, True)[:, 0]
        if len(outline) > 2:
            corners = (outline - 0.5) / 3 + (x, y)
            outlines.append(np.round(corners, 2).ravel().tolist())
    return outlines


def annotation(person: Person, image_id: int, number: int) -> dict | None:
    """COCO's annotation of a person or a crowd, or None if it covers next to nothing."""
    height, width = person.mask.shape
    segmentation: dict | list
    if person.keypoints is None:
        rle = coco_mask.encode(np.asfortranarray(person.mask, np.uint8))
        segmentation = {'size': rle['size'], 'counts': rle['counts'].decode('ascii')}
        keypoints = np.zeros((len(KEYPOINTS), 3))
    else:
        segmentation = polygons(person.mask)
        if not segmentation:
            return None
        rle = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
        keypoints = person.keypoints
    area = int(coco_mask.area(rle))
    if area == 0:
        return None
    rows = [[round(float(x), 2), round(float(y), 2), int(v)] for x, y, v in keypoints]
    return dict(
        id=image_id * 10 + number,
        image_id=image_id,
        category_id=1,
        iscrowd=int(person.keypoints is None),
        num_keypoints=int(np.count_nonzero(keypoints[:, 2])),
        area=area,
        bbox=[float(value) for value in coco_mask.toBbox(rle)],
        keypoints=[value for row in rows for value in row],
        segmentation=segmentation,
    )


def _render_file(seed: int, split: str, index: int, folder: str) -> tuple[dict, list[dict]]:
    image, persons = render_image(seed, split, index)
    height, width = image.shape[:2]
    # The identifiers of the two splits never meet, as in COCO.
    image_id = 1 + len(SPLITS) * index + SPLITS.index(split)
    name = f'{image_id:012d}.jpg'
    _, data = cv2.imencode('.jpg', image, (cv2.IMWRITE_JPEG_QUALITY, 92))
    Path(folder, name).write_bytes(data.tobytes())
    annotations = [annotation(person, image_id, n) for n, person in enumerate(persons)]
    return (
        dict(id=image_id, file_name=name, width=width, height=height, license=1),
        [a for a in annotations if a is not None],
    )


def _render_files(
    jobs: list[tuple[int, str, int, str]], workers: int
) -> Generator[tuple[dict, list[dict]], None, None]:
    if workers == 1:
        yield from itertools.starmap(_render_file, jobs)
        return
    # Threads don't survive a fork: a child that inherits OpenCV's pool waits for it at its end. The
    # children inherit the setting, too: their own threads would only compete with each other.
    threads = cv2.getNumThreads()
    cv2.setNumThreads(0)
    try:
        # An interrupt is for the parent to handle.
        with ProcessPoolExecutor(
            workers, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)
        ) as pool:
            try:
                yield from pool.map(_render_file, *zip(*jobs, strict=True), chunksize=8)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    finally:
        cv2.setNumThreads(threads)


def render_dataset(
    out: str | Path,
    train: int,
    val: int,
    seed: int = 0,
    workers: int = 1,
    progress: bool = True,
) -> dict[str, int]:
    """Renders a data set in COCO's layout.

    A hidden folder takes the files until all are there; an error or an interrupt removes it and
    leaves ``out`` as it was.

    Args:
        out: Folder that is new or empty.
        train: Number of training images, at least 1.
        val: Number of validation images, at least 1.
        seed: Not negative. The same seed gives the same bytes.
        workers: Number of processes. The bytes don't depend on it.
        progress: Whether to show a progress bar.

    Returns:
        The number of labelled persons in 'train' and in 'val'.

    Raises:
        SettingError: For a number out of its range, or an ``out`` that is not new or empty.
    """
    for name, number, least in (
        ('train', train, 1),
        ('val', val, 1),
        ('seed', seed, 0),
        ('workers', workers, 1),
    ):
        if number < least:
            raise SettingError(f'{name} is {number}; it takes a whole number from {least} up')
    # A process is not worth its start for a few images.
    workers = min(workers, 1 + (train + val) // 16)
    with new_folder(out) as folder:
        return _render_into(folder, {'train': train, 'val': val}, seed, workers, progress)


def _render_into(
    folder: Path, counts: dict[str, int], seed: int, workers: int, progress: bool
) -> dict[str, int]:
    jobs = []
    for split, count in counts.items():
        images = image_folder(folder, split)
        images.mkdir()
        jobs += [(seed, split, index, str(images)) for index in range(count)]
    with contextlib.closing(_render_files(jobs, workers)) as rendered:
        records = list(
            tqdm(rendered, 'rendering people', len(jobs), unit='img', disable=not progress)
        )
    persons = {}
    for split, count in counts.items():
        own, records = records[:count], records[count:]
        annotations = [a for _, found in own for a in found]
        persons[split] = sum(a['num_keypoints'] > 0 for a in annotations)
        write_annotations(
            folder,
            split,
            [image for image, _ in own],
            annotations,
            info=dict(
                description=f'Rendered people: {split}, seed {seed}',
                version='1.0',
                year=2026,
                contributor='mspn_plugin',
                url='',
                date_created='2026/01/01',
            ),
            license=dict(
                id=1, name='CC0 1.0', url='https://creativecommons.org/publicdomain/zero/1.0/'
            ),
        )
    return persons
