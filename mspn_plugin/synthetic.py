"""People in COCO's layout and format, rendered instead of photographed.

``python -m mspn_plugin.synthetic --out DIR --train N --val M --seed S`` writes::

    DIR/train2017/*.jpg
    DIR/val2017/*.jpg
    DIR/annotations/person_keypoints_train2017.json
    DIR/annotations/person_keypoints_val2017.json

which MMPose's ``CocoDataset`` and ``CocoMetric`` read as they read COCO.

**Figures.** A person is a kinematic chain in three dimensions (proportions, pose and clothing are
drawn at random), turned to any side, projected, and painted part by part from far to near. A map
of part numbers is painted along with the colours. It says which joints are hidden, and it gives
the masks, areas and boxes.

**Labels.** ``v = 2``: the body part that owns the joint is what the picture shows there. ``v = 1``:
something else covers it (another limb, the trunk, hair, an object, another person). ``v = 0``: the
joint is outside of the picture, or the person is so hidden that COCO would not label it.
Coordinates are pixels, with (0, 0) at the centre of the upper left pixel.

**Left and right** are the person's own, and the picture tells them apart as a photograph does: by
the direction that the person faces. Faces, open jackets, buttons and shoe tips show fronts; hair,
hoods and rucksacks show backs; thumbs and shoes point. Mirroring a picture and swapping the
labels gives one that is exactly as likely: the last step of rendering an image mirrors all of it,
labels swapped, in one of two cases, and nothing that is drawn or labelled depends on that choice
(see :func:`render_image`).

**Determinism.** An image depends on the seed, its split and its index alone, so neither the number
of images nor that of worker processes changes it.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as coco_mask
from tqdm import tqdm

from mspn_plugin.errors import SettingError

KEYPOINTS = (
    'nose',
    'left_eye',
    'right_eye',
    'left_ear',
    'right_ear',
    'left_shoulder',
    'right_shoulder',
    'left_elbow',
    'right_elbow',
    'left_wrist',
    'right_wrist',
    'left_hip',
    'right_hip',
    'left_knee',
    'right_knee',
    'left_ankle',
    'right_ankle',
)
"""COCO's keypoints in COCO's order."""

FLIP_INDICES = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
"""For each keypoint the index of its mirror image."""

# COCO numbers the keypoints of its skeleton from 1.
SKELETON = (
    (16, 14),
    (14, 12),
    (17, 15),
    (15, 13),
    (12, 13),
    (6, 12),
    (7, 13),
    (6, 7),
    (6, 8),
    (7, 9),
    (8, 10),
    (9, 11),
    (2, 3),
    (1, 2),
    (1, 3),
    (2, 4),
    (3, 5),
    (4, 6),
    (5, 7),
)

SPLITS = ('train', 'val')

SIDES = (('left', 1.0), ('right', -1.0))
PARTS = ('torso', 'pelvis', 'skirt', 'neck', 'head', 'hair', 'hat', 'rucksack') + tuple(
    f'{side}_{part}'
    for side, _ in SIDES
    for part in ('upper_arm', 'forearm', 'hand', 'thigh', 'shin', 'foot')
)
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

# Numbers in the map of parts; those of person p begin at 1 + p * len(PARTS).
NOTHING, CROWD, OBJECT = 0, 250, 255
MAX_PERSONS = 4

# A person with fewer joints in sight is in the annotations without keypoints, as in COCO.
MIN_VISIBLE = 4

SIZES = ((480, 360), (480, 320), (400, 300), (360, 360), (360, 480), (320, 240), (300, 400))
SUPERSAMPLING = 2
SUBPIXEL_BITS = 4

Colour = tuple[float, float, float]

# Blue, green, red, as OpenCV has them.
SKIN: tuple[Colour, ...] = (
    (190, 211, 246),
    (170, 196, 238),
    (148, 180, 230),
    (122, 160, 218),
    (100, 140, 204),
    (82, 118, 178),
    (66, 98, 152),
    (52, 76, 122),
    (42, 60, 96),
    (36, 48, 76),
)
HAIR: tuple[Colour, ...] = (
    (22, 22, 26),
    (30, 36, 48),
    (34, 52, 78),
    (46, 76, 116),
    (70, 120, 176),
    (120, 184, 220),
    (46, 78, 168),
    (150, 150, 152),
    (206, 206, 208),
)
CLOTH: tuple[Colour, ...] = (
    (60, 52, 200),
    (180, 92, 44),
    (72, 138, 56),
    (52, 176, 232),
    (236, 236, 236),
    (58, 54, 54),
    (150, 72, 128),
    (176, 160, 64),
    (84, 116, 216),
    (200, 176, 132),
    (120, 60, 60),
    (150, 150, 150),
    (190, 140, 210),
    (64, 96, 128),
    (120, 190, 170),
    (36, 36, 120),
)
LEATHER: tuple[Colour, ...] = (
    (30, 30, 34),
    (34, 52, 88),
    (230, 230, 230),
    (44, 44, 160),
    (150, 80, 40),
    (90, 90, 94),
)


# ---------------------------------------------------------------------------------------------
# Geometry. World axes: x to the right of the picture, y up, z towards the viewer. A person's own
# axes: x to its left, y up, z forward; unturned, it faces the viewer.


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


def shade(colour: Colour, factor: float) -> Colour:
    return tuple(min(max(channel * factor, 0.0), 255.0) for channel in colour)  # type: ignore


def mix(one: Colour, other: Colour, part: float) -> Colour:
    return tuple(a + (b - a) * part for a, b in zip(one, other))  # type: ignore


def circle(centre: np.ndarray, radius: float, corners: int = 20) -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return centre[:2] + radius * np.stack((np.cos(angles), np.sin(angles)), 1)


def capsule(a: np.ndarray, b: np.ndarray, ra: float, rb: float) -> np.ndarray:
    """Outline (corners, 2) of the hull of a circle at ``a`` and one at ``b``."""
    dx, dy = float(b[0] - a[0]), float(b[1] - a[1])
    length = np.hypot(dx, dy)
    if length <= abs(ra - rb) + 1e-6:
        return circle(a, ra) if ra > rb else circle(b, rb)
    along, tangent = np.arctan2(dy, dx), np.arccos((ra - rb) / length)
    near = along + np.linspace(-tangent, tangent, 8)
    far = along + np.linspace(tangent, 2 * np.pi - tangent, 8)
    return np.concatenate(
        (
            b[:2] + rb * np.stack((np.cos(near), np.sin(near)), 1),
            a[:2] + ra * np.stack((np.cos(far), np.sin(far)), 1),
        )
    )


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
            head=rng.uniform(0.074, 0.096),
            trunk=0.275 * vary(),
            shoulder=0.112 * vary(),
            hip=0.062 * vary(),
            upper_arm=0.165 * vary(),
            forearm=0.150 * vary(),
            thigh=0.235 * vary(),
            shin=0.232 * vary(),
            foot=0.105 * vary(),
            girth=float(np.clip(1.05 + 0.13 * slim, 0.85, 1.4)),
        )


# Ranges of both ends in degrees. Arms: abduction and flexion at the shoulder, flexion of the elbow,
# how far the forearm folds inward rather than forward, and (no angle) how far it folds upward.
Ranges = tuple[tuple[float, float], ...]
ARMS: dict[str, Ranges] = {
    'hanging': ((4, 18), (-12, 14), (3, 30), (0, 50), (0, 0)),
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


QUIET = ('hanging', 'hanging', 'on hip', 'folded', 'in pocket', 'behind', 'offering', 'to face')
LIVELY = ('raised', 'waving', 'sideways', 'reaching', 'to face', 'hanging', 'on hip')
SWINGING = ('swung forward', 'swung back')
STANCES = (
    Stance(4, ('straight', 'straight'), QUIET, (-6, 8)),
    Stance(3, ('straight', 'relaxed'), QUIET + LIVELY, (-6, 10)),
    Stance(3, ('astride', 'astride'), QUIET + LIVELY, (-8, 12)),
    Stance(3, ('step ahead', 'step behind'), SWINGING, (-2, 14)),
    Stance(2, ('knee up', 'heel up'), SWINGING, (6, 24)),
    Stance(3, ('seated', 'seated'), QUIET + ('reaching', 'waving'), (-8, 25), seated=True),
    Stance(1.2, ('squatting', 'squatting'), ('reaching', 'folded', 'offering'), (15, 45)),
    Stance(1.2, ('lunge ahead', 'lunge behind'), LIVELY + SWINGING, (-5, 30)),
    Stance(0.8, ('lunge ahead', 'kneeling'), QUIET + LIVELY, (-5, 25)),
    Stance(1.2, ('straight', 'kicking'), LIVELY + SWINGING, (-20, 10)),
    Stance(1, ('straight', 'raised aside'), LIVELY, (-10, 10)),
    Stance(1.6, ('straight', 'straight'), ('reaching', 'hanging', 'offering'), (30, 80)),
    Stance(1, ('astride', 'astride'), ('raised', 'sideways', 'waving'), (-5, 10)),
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
            (rng.normal(0, 28), rng.normal(180, 28), rng.uniform(0, 360)), p=(0.45, 0.2, 0.35)
        )
        return cls(
            turn=float(turn),
            tilt=rng.uniform(-4, 14),
            roll=rng.normal(0, 3),
            bend=bend,
            lean=rng.normal(0, 5),
            twist=rng.normal(0, 9),
            look=(
                float(np.clip(rng.normal(0, 24), -60, 60)),
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
            sleeve=float(rng.choice((0, 0.5, 1, 2), p=(0.12, 0.38, 0.1, 0.4))),
            trouser={'trousers': 1.9, 'shorts': rng.uniform(0.55, 0.95)}.get(lower, 0.0),
            skirt=rng.uniform(0.6, 1.25) if lower in ('skirt', 'dress') else 0.0,
            pattern=one_of(plain=0.5, hoops=0.18, stripes=0.1, checks=0.07, dots=0.08, yoke=0.07),
            front=one_of(none=0.35, buttons=0.2, jacket=0.2, badge=0.13, tie=0.12),
            hair_style=one_of(bald=0.1, short=0.46, long=0.22, bun=0.1, tail=0.12),
            hat=one_of(none=0.72, cap=0.13, beanie=0.09, brim=0.06),
            beard=rng.random() < 0.12,
            glasses=rng.random() < 0.12,
            gloves=rng.random() < 0.06,
            rucksack=rng.random() < 0.08,
            looseness=rng.uniform(1.08, 1.3),
        )


# ---------------------------------------------------------------------------------------------
# A person, from the joints to the paint.


@dataclass
class Stroke:
    """Outlines with their colours, painted together at one depth as one part."""

    depth: float
    part: str
    outlines: list[tuple[np.ndarray, Colour, bool]] = field(default_factory=list)


class Figure:
    """A person placed in the picture.

    Args:
        body: Proportions.
        pose: Angles.
        outfit: Clothing.
        light: Offset (x, y) in the picture, about 1 long, towards the light.

    Attributes:
        joints: (17, 3), pixels, in the order of ``KEYPOINTS``; z grows towards the viewer. The
            pelvis is at (0, 0) until :meth:`move`.
        facing: (17,) booleans: false where the body itself turns the joint away from the viewer.
    """

    def __init__(self, body: Body, pose: Pose, outfit: Outfit, light: np.ndarray) -> None:
        self.body, self.pose, self.outfit, self.light = body, pose, outfit, light
        self.origin = np.zeros(3)
        self._solve()

    # The picture's y points down.
    def _project(self, points: np.ndarray) -> np.ndarray:
        return points * (1, -1, 1) + self.origin

    def _solve(self) -> None:
        body, pose, height = self.body, self.pose, self.body.height
        root = rotation('z', pose.roll) @ rotation('x', pose.tilt) @ rotation('y', pose.turn)
        half_bend = rotation('x', 0.45 * pose.bend)
        chest = (
            root @ rotation('x', pose.bend) @ rotation('z', pose.lean) @ rotation('y', pose.twist)
        )
        look, nod, sway = pose.look
        head = chest @ rotation('y', look) @ rotation('x', nod) @ rotation('z', sway)
        self.root, self.chest, self.head_frame = root, chest, head

        trunk = body.trunk * height
        self.waist = root @ half_bend @ np.array((0, 0.45 * trunk, 0))
        self.neck = self.waist + chest @ np.array((0, 0.55 * trunk, 0))
        h = body.head * height
        self.head_axes = np.array((0.76 * h, h, 0.88 * h))
        self.head_centre = (
            self.neck
            + chest @ np.array((0, 0.026 * height, 0.01 * height))
            + (head @ np.array((0, 1.06 * h, 0.016 * height)))
        )

        world: dict[str, np.ndarray] = {}
        normals: dict[str, np.ndarray] = {}

        def on_head(name: str, direction: tuple[float, float, float], out: float = 1.0) -> None:
            v = unit(np.array(direction))
            world[name] = self.head_centre + head @ (self.head_axes * v * out)
            normals[name] = head @ (v / self.head_axes)

        on_head('nose', (0, -0.12, 1), 1.1)
        self.limbs: dict[str, np.ndarray] = {}
        for i, (side, s) in enumerate(SIDES):
            on_head(f'{side}_eye', (0.42 * s, 0.16, 1))
            on_head(f'{side}_ear', (s, -0.02, -0.08), 1.02)
            abduct, flex, elbow, inward, upward = pose.arms[i]
            shrug = 0.03 * height * np.clip((max(abduct, flex) - 70) / 90, 0, 1)
            shoulder = self.neck + chest @ np.array(
                (s * (body.shoulder * height - 0.5 * shrug), shrug - 0.012 * height, 0)
            )
            upper = swung(s, abduct, flex)
            fold = np.array((-s * np.sin(np.deg2rad(inward)), upward, np.cos(np.deg2rad(inward))))
            fold = unit(fold - fold @ upper * upper)
            lower = np.cos(np.deg2rad(elbow)) * upper + np.sin(np.deg2rad(elbow)) * fold
            world[f'{side}_shoulder'] = shoulder
            world[f'{side}_elbow'] = shoulder + chest @ upper * body.upper_arm * height
            world[f'{side}_wrist'] = world[f'{side}_elbow'] + chest @ lower * body.forearm * height
            self.limbs[f'{side}_hand'] = world[f'{side}_wrist'] + chest @ lower * 0.034 * height
            # A thumb points where the elbow folds, and towards the middle.
            self.limbs[f'{side}_thumb'] = (
                world[f'{side}_wrist']
                + chest
                @ (0.034 * lower + 0.028 * unit(fold + np.array((-0.6 * s, 0, 0.4))))
                * height
            )

            abduct, flex, knee, out, down = pose.legs[i]
            hip = root @ np.array((s * body.hip * height, 0, 0))
            world[f'{side}_hip'] = hip
            world[f'{side}_knee'] = hip + root @ swung(s, abduct, flex) * body.thigh * height
            world[f'{side}_ankle'] = (
                world[f'{side}_knee']
                + root @ swung(s, 0.7 * abduct, flex - knee) * body.shin * height
            )
            forward = root @ swung(s, 0.5 * abduct + out, flex - knee + 90 - down)
            sole = root @ swung(s, 0.7 * abduct, flex - knee) * 0.018 * height
            self.limbs[f'{side}_heel'] = world[f'{side}_ankle'] + sole - forward * 0.016 * height
            self.limbs[f'{side}_toe'] = (
                world[f'{side}_ankle'] + 1.5 * sole + forward * body.foot * 0.8 * height
            )
            normals[f'{side}_shoulder'] = s * chest[:, 0]
            normals[f'{side}_hip'] = s * root[:, 0]

        self.world = world
        self.limbs.update(world)
        points = np.array(list(self.limbs.values()))
        top = (self.head_centre + head @ np.array((0, h, 0)))[None]
        points = np.concatenate((points, top))
        self.extent = np.array(
            (points[:, 0].min(), -points[:, 1].max(), points[:, 0].max(), -points[:, 1].min())
        )

        # The trunk hides a shoulder or hip of its far side; the head its far features.
        limit = {'shoulder': -0.55, 'hip': -0.55}
        self.facing = np.array(
            [
                name not in normals or unit(normals[name])[2] > limit.get(name.split('_')[-1], 0.0)
                for name in KEYPOINTS
            ]
        )
        if self.ears_hidden:
            self.facing[3:5] = False

    @property
    def ears_hidden(self) -> bool:
        return self.outfit.hair_style == 'long' or self.outfit.hat == 'beanie'

    def move(self, x: float, y: float) -> None:
        """Puts the pelvis at (x, y)."""
        self.origin = np.array((x, y, 0.0))

    @property
    def joints(self) -> np.ndarray:
        return self._project(np.array([self.world[name] for name in KEYPOINTS]))

    @property
    def box(self) -> np.ndarray:
        """(x1, y1, x2, y2) of the joints, the feet and the head."""
        return self.extent + np.tile(self.origin[:2], 2)

    # -- strokes ------------------------------------------------------------------------------

    def strokes(self) -> list[Stroke]:
        """The parts of the person from far to near."""
        strokes = [*self._trunk(), *self._head()]
        for side, s in SIDES:
            strokes += self._arm(side)
            strokes += self._leg(side)
        return sorted(strokes, key=lambda stroke: stroke.depth)

    def paint(self, canvas: Canvas, first: int | None) -> None:
        """Paints the person; its parts get the numbers from ``first`` on.

        Args:
            canvas: What to paint on.
            first: Number of the first of ``PARTS``; None makes all of it part of a crowd.
        """
        for stroke in self.strokes():
            part = CROWD if first is None else first + PARTS.index(stroke.part)
            for outline, colour, convex in stroke.outlines:
                canvas.paint(outline, colour, part, convex)

    def _limb(
        self, stroke: Stroke, a: np.ndarray, b: np.ndarray, ra: float, rb: float, colour: Colour
    ) -> None:
        """Adds a tapered limb, darker on the side away from the light."""
        height = self.body.height
        a, b = self._project(a), self._project(b)
        ra, rb = ra * height, rb * height
        along = b[:2] - a[:2]
        length = float(np.hypot(*along))
        # The dark rim begins inside of the limb, so that joints show no seam.
        begin = a[:2] + along * min(0.5 * ra / max(length, 1e-6), 0.5)
        shift = 0.16 * self.light
        stroke.outlines.append((capsule(begin, b, ra, rb), shade(colour, 0.66), True))
        stroke.outlines.append(
            (capsule(a[:2] + shift * ra, b[:2] + shift * rb, 0.86 * ra, 0.86 * rb), colour, True)
        )
        if ra > 2.5:
            stroke.outlines.append(
                (
                    capsule(
                        a[:2] + 2.6 * shift * ra, b[:2] + 2.6 * shift * rb, 0.36 * ra, 0.36 * rb
                    ),
                    mix(colour, (255, 255, 255), 0.10),
                    True,
                )
            )

    def _depth(self, *names: str) -> float:
        return float(np.mean([self.limbs[name][2] for name in names]))

    def _arm(self, side: str) -> list[Stroke]:
        outfit, girth, height = self.outfit, self.body.girth, self.body.height
        shoulder, elbow, wrist, hand, thumb = (
            self.limbs[f'{side}_{name}'] for name in ('shoulder', 'elbow', 'wrist', 'hand', 'thumb')
        )
        radii = np.array((0.034, 0.026, 0.018)) * girth
        sleeve_radii = radii * outfit.looseness
        bias = 0.012 * height
        upper = Stroke(self._depth(f'{side}_shoulder', f'{side}_elbow') + bias, f'{side}_upper_arm')
        lower = Stroke(
            self._depth(f'{side}_elbow', f'{side}_wrist') + 1.2 * bias, f'{side}_forearm'
        )
        palm = Stroke(lower.depth + 0.1 * bias, f'{side}_hand')
        sleeve = self.sleeve_colour
        if outfit.sleeve < 1:
            self._limb(upper, shoulder, elbow, radii[0], radii[1], outfit.skin)
        if outfit.sleeve > 0:
            end = min(outfit.sleeve, 1.0)
            self._limb(
                upper,
                shoulder,
                shoulder + end * (elbow - shoulder),
                sleeve_radii[0],
                sleeve_radii[0] + end * (sleeve_radii[1] - sleeve_radii[0]),
                sleeve,
            )
            if outfit.pattern == 'hoops':
                self._hoops(
                    upper,
                    shoulder,
                    shoulder + end * (elbow - shoulder),
                    sleeve_radii[0],
                    sleeve_radii[1],
                )
        if outfit.sleeve > 1:
            self._limb(lower, elbow, wrist, sleeve_radii[1], 1.1 * sleeve_radii[2], sleeve)
            if outfit.pattern == 'hoops':
                self._hoops(lower, elbow, wrist, sleeve_radii[1], sleeve_radii[2])
        else:
            self._limb(lower, elbow, wrist, radii[1], radii[2], outfit.skin)
        glove = outfit.accent if outfit.gloves else outfit.skin
        self._limb(palm, wrist + 0.3 * (hand - wrist), thumb, 0.012, 0.0085, glove)
        self._limb(palm, wrist, hand, 0.019, 0.0205, glove)
        return [upper, lower, palm]

    def _hoops(self, stroke: Stroke, a: np.ndarray, b: np.ndarray, ra: float, rb: float) -> None:
        height = self.body.height
        a, b = self._project(a)[:2], self._project(b)[:2]
        along = b - a
        length = float(np.hypot(*along))
        if length < 0.04 * height:
            return
        across = np.array((-along[1], along[0])) / length
        step = 0.056 * height / length
        for t in np.arange(0.25 * step, 1 - 0.5 * step, step):
            band = []
            for u, sign in ((t, 1), (t, -1), (t + 0.45 * step, -1), (t + 0.45 * step, 1)):
                radius = (ra + u * (rb - ra)) * height * 0.97
                band.append(a + u * along + sign * radius * across)
            stroke.outlines.append((np.array(band), self.outfit.accent, True))

    @property
    def sleeve_colour(self) -> Colour:
        return self.outfit.accent if self.outfit.pattern == 'yoke' else self.outfit.top

    def _leg(self, side: str) -> list[Stroke]:
        outfit, girth, height = self.outfit, self.body.girth, self.body.height
        hip, knee, ankle, heel, toe = (
            self.limbs[f'{side}_{name}'] for name in ('hip', 'knee', 'ankle', 'heel', 'toe')
        )
        radii = np.array((0.056, 0.036, 0.021)) * girth
        cloth = radii * (0.5 + 0.5 * outfit.looseness)
        thigh = Stroke(self._depth(f'{side}_hip', f'{side}_knee') - 0.02 * height, f'{side}_thigh')
        shin = Stroke(self._depth(f'{side}_knee', f'{side}_ankle') - 0.025 * height, f'{side}_shin')
        foot = Stroke(self._depth(f'{side}_heel', f'{side}_toe') - 0.01 * height, f'{side}_foot')
        # A thigh begins inside of the trunk, which is no wider than its hips.
        start = hip * 0.86
        if outfit.trouser < 1:
            self._limb(thigh, start, knee, radii[0], radii[1], outfit.skin)
        if outfit.trouser > 0:
            end = min(outfit.trouser, 1.0)
            self._limb(
                thigh,
                start,
                start + end * (knee - start),
                cloth[0],
                cloth[0] + end * (cloth[1] - cloth[0]),
                outfit.bottom,
            )
        if outfit.trouser > 1:
            end = outfit.trouser - 1
            self._limb(shin, knee, ankle, radii[1], radii[2], outfit.skin)
            self._limb(
                shin, knee, knee + end * (ankle - knee), cloth[1], 1.25 * cloth[2], outfit.bottom
            )
        else:
            self._limb(shin, knee, ankle, radii[1], radii[2], outfit.skin)
        self._limb(foot, heel, toe, 0.023, 0.018, outfit.shoe)
        ankle_top = ankle + 0.15 * (knee - ankle)
        self._limb(
            shin if foot.depth < shin.depth else foot, ankle_top, ankle, 0.022, 0.025, outfit.shoe
        )
        return [thigh, shin, foot]

    # -- trunk --------------------------------------------------------------------------------

    # Height above the hips as a part of the trunk, half width and half depth of the slices.
    _SLICES = np.array(
        (
            (-0.16, 0.088, 0.062),
            (0.08, 0.100, 0.068),
            (0.42, 0.084, 0.058),
            (0.74, 0.108, 0.068),
            (0.92, 0.108, 0.058),
            (1.03, 0.066, 0.040),
        )
    )

    def _surface(self, t: np.ndarray, angle: np.ndarray) -> np.ndarray:
        """Points of the trunk's surface, (..., 3) in the picture, at heights and angles.

        Angles in degrees: 0 is the person's left, 90 its front.
        """
        t, angle = np.broadcast_arrays(np.asarray(t, float), np.deg2rad(angle))
        girth, body = self.body.girth, self.body
        breadth = np.interp(t, (0, 1), (body.hip / 0.062, body.shoulder / 0.112))
        width = np.interp(t, self._SLICES[:, 0], self._SLICES[:, 1]) * breadth
        depth = np.interp(t, self._SLICES[:, 0], self._SLICES[:, 2])
        # Girth shows at the belly more than at the shoulders.
        fat = np.interp(t, (0, 0.4, 1), (1, 1.15, 0.25)) * (girth - 1) + 1
        width, depth = width * fat * body.height, depth * fat * body.height
        # A quadratic curve from the hips to the neck that leaves along each end's own axis.
        middle = 2 * self.waist - 0.5 * self.neck
        u = t[..., None]
        centre = 2 * u * (1 - u) * middle + u * u * self.neck
        blend = np.clip(u, 0, 1)
        x = self.root[:, 0] + blend * (self.chest[:, 0] - self.root[:, 0])
        z = self.root[:, 2] + blend * (self.chest[:, 2] - self.root[:, 2])
        points = (
            centre + x * (width * np.cos(angle))[..., None] + z * (depth * np.sin(angle))[..., None]
        )
        return self._project(points)

    def _slice(self, low: float, high: float) -> np.ndarray:
        """Outline of the trunk between two heights."""
        angles = np.linspace(0, 360, 16, endpoint=False)
        return hull(self._surface(np.array((low, high))[:, None], angles).reshape(-1, 3))

    def _front_angles(
        self, low: float, high: float, upper: bool = True
    ) -> tuple[float, float] | None:
        """The part of a range of angles that the viewer sees, or None."""
        frame = self.chest if upper else self.root
        towards = np.rad2deg(np.arctan2(frame[2, 2] / 0.065, frame[2, 0] / 0.1))
        centre = (low + high) / 2
        towards += 360 * np.round((centre - towards) / 360)
        low, high = max(low, towards - 88), min(high, towards + 88)
        return (low, high) if high - low > 2 else None

    def _patch(self, bottom: float, top: float, low: float, high: float) -> np.ndarray | None:
        """Outline of a patch of the trunk's surface, as far as the viewer sees it."""
        seen = self._front_angles(low, high)
        if seen is None:
            return None
        heights = np.linspace(bottom, top, 5)
        angles = np.linspace(*seen, max(2, int((seen[1] - seen[0]) / 20) + 1))
        return np.concatenate(
            (
                self._surface(heights, np.full(5, seen[0])),
                self._surface(np.full(len(angles), top), angles),
                self._surface(heights[::-1], np.full(5, seen[1])),
                self._surface(np.full(len(angles), bottom), angles[::-1]),
            )
        )

    def _trunk(self) -> list[Stroke]:
        outfit, height = self.outfit, self.body.height
        skirt_like = outfit.skirt > 0
        pelvis = Stroke(-0.03 * height, 'pelvis')
        pelvis.outlines.append((self._slice(-0.16, 0.02), shade(outfit.bottom, 0.8), True))
        pelvis.outlines.append((self._slice(0.02, 0.14), outfit.bottom, True))

        torso = Stroke(float(0.5 * self.neck[2]), 'torso')
        edges = (-0.03, 0.08, 0.25, 0.42, 0.6, 0.76, 0.92, 1.03)
        for low, high in zip(edges[:-1], edges[1:]):
            torso.outlines.append((self._slice(low, high), shade(outfit.top, 0.72), True))
        self._decorate(torso)

        neck = Stroke(
            torso.depth + 0.3 * (self.head_centre[2] - self.neck[2]) - 0.004 * height, 'neck'
        )
        if self.head_centre[2] > self.neck[2]:
            neck.depth = torso.depth + 0.001 * height
        self._limb(
            neck,
            self.neck - self.chest @ np.array((0, 0.01 * height, 0)),
            self.head_centre - self.head_frame @ np.array((0, 0.5 * self.head_axes[1], 0)),
            0.034,
            0.030,
            shade(outfit.skin, 0.9),
        )
        strokes = [pelvis, torso, neck]
        if skirt_like:
            strokes.append(self._skirt())
        if outfit.rucksack:
            strokes.append(self._rucksack(torso))
        return strokes

    def _decorate(self, torso: Stroke) -> None:
        """What the shirt shows: light, pattern, and how front and back differ."""
        outfit = self.outfit

        def patch(bottom: float, top: float, low: float, high: float, colour: Colour) -> None:
            outline = self._patch(bottom, top, low, high)
            if outline is not None:
                torso.outlines.append((outline, colour, False))

        towards = np.rad2deg(np.arctan2(self.chest[2, 2] / 0.065, self.chest[2, 0] / 0.1))
        # The body's left is the picture's right only for a person that faces the viewer.
        lit = towards + 34 * (-1 if self.light[0] > 0 else 1)
        patch(-0.02, 1.0, lit - 52, lit + 52, outfit.top)
        if outfit.pattern == 'hoops':
            for t in np.arange(0.04, 0.92, 0.2):
                patch(t, t + 0.09, towards - 88, towards + 88, outfit.accent)
        elif outfit.pattern == 'yoke':
            patch(0.72, 1.0, towards - 88, towards + 88, outfit.accent)
        if outfit.pattern in ('stripes', 'checks'):
            for angle in range(0, 360, 30):
                patch(-0.02, 0.98, angle - 5, angle + 5, outfit.accent)
        if outfit.pattern == 'checks':
            for t in np.arange(0.04, 0.92, 0.18):
                patch(t, t + 0.05, towards - 88, towards + 88, mix(outfit.top, outfit.accent, 0.6))
        if outfit.pattern == 'dots':
            for row, t in enumerate(np.arange(0.05, 0.95, 0.15)):
                for angle in range(15 * (row % 2), 360, 30):
                    patch(t, t + 0.05, angle - 5, angle + 5, outfit.accent)

        if outfit.front == 'jacket':
            patch(-0.02, 0.98, 64, 116, mix(outfit.accent, (240, 240, 240), 0.5))
            patch(0.8, 1.02, 40, 64, shade(outfit.top, 0.6))
            patch(0.8, 1.02, 116, 140, shade(outfit.top, 0.6))
        elif outfit.front == 'buttons':
            patch(-0.02, 0.98, 87, 93, shade(outfit.top, 0.6))
            for t in np.arange(0.08, 0.95, 0.17):
                patch(t, t + 0.045, 94, 104, (245, 245, 245))
        elif outfit.front == 'tie':
            patch(0.25, 0.93, 84, 96, shade(outfit.accent, 0.8))
        elif outfit.front == 'badge':
            patch(0.6, 0.84, 72, 108, outfit.accent)
        # The neckline is low in front; at the back a seam runs across the shoulders.
        patch(0.9, 1.03, 62, 118, outfit.skin)
        patch(0.8, 0.825, 205, 335, shade(outfit.top, 0.62))
        if outfit.skirt == 0:
            patch(-0.04, 0.02, towards - 88, towards + 88, shade(outfit.shoe, 0.8))

    def _skirt(self) -> Stroke:
        outfit, height = self.outfit, self.body.height
        skirt = Stroke(
            max(self._depth(f'{side}_hip', f'{side}_knee') for side, _ in SIDES) - 0.015 * height,
            'skirt',
        )
        angles = np.linspace(0, 360, 16, endpoint=False)
        points = [self._surface(np.array((-0.02, 0.1))[:, None], angles).reshape(-1, 3)[:, :2]]
        bright = []
        for side, _ in SIDES:
            hip, knee, ankle = (self.limbs[f'{side}_{name}'] for name in ('hip', 'knee', 'ankle'))
            end = (
                hip
                + min(outfit.skirt, 1.0) * (knee - hip)
                + max(outfit.skirt - 1, 0.0) * (ankle - knee)
            )
            points.append(circle(self._project(end), 0.068 * height * self.body.girth))
            bright.append(self._project(end)[:2])
        outline = hull(np.concatenate(points))
        skirt.outlines.append((outline, shade(outfit.bottom, 0.75), True))
        centre = outline.mean(0)
        skirt.outlines.append(
            ((outline - centre) * 0.82 + centre + self.light * 0.012 * height, outfit.bottom, True)
        )
        waist = self._surface(np.array(0.0), np.array(90.0))[:2]
        for end in bright:
            skirt.outlines.append(
                (
                    capsule(waist + 0.3 * (end - waist), end, 0.3, 0.006 * height),
                    shade(outfit.bottom, 0.75),
                    True,
                )
            )
        return skirt

    def _rucksack(self, torso: Stroke) -> Stroke:
        """A rucksack at the back; its straps go over the shoulders to the front."""
        outfit, height = self.outfit, self.body.height
        colour = shade(outfit.accent, 0.8)
        for low, high in ((38, 52), (128, 142)):
            outline = self._patch(0.45, 1.0, low, high)
            if outline is not None:
                torso.outlines.append((outline, colour, False))
        centre = (
            self.neck
            - 0.36 * self.body.trunk * height * self.chest[:, 1]
            - (0.098 * height * self.chest[:, 2])
        )
        sack = Stroke(float(torso.depth - 0.1 * height * self.chest[2, 2]), 'rucksack')
        up = 0.082 * height * self.chest[:, 1]
        across = 0.036 * height * self.chest[:, 0]
        ends = [self._project(centre + a * up + b * across) for a in (-1, 1) for b in (-1, 1)]
        radius = 0.046 * height
        sack.outlines.append(
            (hull(np.concatenate([circle(e, radius) for e in ends])), shade(colour, 0.65), True)
        )
        sack.outlines.append(
            (
                hull(
                    np.concatenate(
                        [circle(e[:2] + 0.2 * radius * self.light, 0.82 * radius) for e in ends]
                    )
                ),
                colour,
                True,
            )
        )
        if self.chest[2, 2] < 0:
            pocket = [
                self._project(centre - a * up + b * across) for a in (0.1, 1) for b in (-0.8, 0.8)
            ]
            sack.outlines.append(
                (
                    hull(np.concatenate([circle(e, 0.5 * radius) for e in pocket])),
                    shade(colour, 0.8),
                    True,
                )
            )
        return sack

    # -- head ---------------------------------------------------------------------------------

    def _on_head(self, directions: np.ndarray, out: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """Points (n, 3) of the picture where directions (n, 3) leave the head, and their normals'
        share towards the viewer."""
        v = directions / np.linalg.norm(directions, axis=1, keepdims=True)
        points = self._project(self.head_centre + (self.head_axes * v * out) @ self.head_frame.T)
        return points, (v / self.head_axes) @ self.head_frame[2]

    def _cap(
        self, centre: np.ndarray, across: np.ndarray, along: np.ndarray, out: float = 1.0
    ) -> np.ndarray | None:
        """Outline of the visible part of a patch of the head.

        Args:
            centre: Direction of the patch's centre in the head's own axes.
            across: Vector from the centre to the patch's side, in units of the centre's length.
            along: Vector from the centre to the patch's end.
            out: Size of the surface, 1 for the head's own.
        """
        turn = np.linspace(0, 2 * np.pi, 28, endpoint=False)[:, None]
        directions = centre + np.cos(turn) * across + np.sin(turn) * along
        points, facing = self._on_head(directions, out)
        seen = facing > 0
        if seen.all():
            return points[:, :2]
        if not seen.any():
            return None
        # What is hidden ends at the head's own outline: follow it from where the patch leaves it
        # to where the patch comes back.
        shape = self._head_shape() * out
        start = int(np.flatnonzero(seen & ~np.roll(seen, 1))[0])
        points, seen = np.roll(points, -start, 0), np.roll(seen, -start)
        arc = points[seen][:, :2]
        middle = self._project(self.head_centre)[:2]
        plane = np.linalg.solve(shape, (arc[[-1, 0]] - middle).T).T
        first, last = np.arctan2(plane[:, 1], plane[:, 0])
        last += 2 * np.pi * np.round((first - last) / (2 * np.pi))
        angles = np.linspace(first, last, 10)
        rim = middle + np.stack((np.cos(angles), np.sin(angles)), 1) @ shape.T
        return np.concatenate((arc, rim))

    def _head_shape(self) -> np.ndarray:
        """(2, 2) matrix that takes the unit circle to the head's outline around its centre."""
        rows = (self.head_frame * self.head_axes)[:2] * np.array((1, -1))[:, None]
        return np.linalg.cholesky(rows @ rows.T)

    def _head(self) -> list[Stroke]:
        outfit, height, h = self.outfit, self.body.height, self.head_axes[1]
        frame = self.head_frame
        head = Stroke(float(self.head_centre[2]) + 0.03 * height, 'head')
        hair = Stroke(float((self.head_centre - 0.9 * h * frame[:, 2])[2]), 'hair')
        if frame[2, 2] < 0:
            hair.depth = max(hair.depth, head.depth + 0.001)
        hat = Stroke(head.depth + 0.002, 'hat')
        middle = self._project(self.head_centre)[:2]
        shape = self._head_shape()
        angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)
        ring = np.stack((np.cos(angles), np.sin(angles)), 1) @ shape.T
        bald = outfit.hair_style == 'bald'
        skin, dark_skin = outfit.skin, shade(outfit.skin, 0.72)
        scalp = skin if bald else outfit.hair

        def add(
            outline: np.ndarray | None, colour: Colour, stroke: Stroke = head, convex: bool = False
        ) -> None:
            if outline is not None:
                stroke.outlines.append((outline, colour, convex))

        ears = []
        for i, (side, s) in enumerate(SIDES):
            ear, away = self._on_head(np.array(((s, -0.02, -0.08),)), 1.02)
            flap = 0.03 * height * (frame[:, 1] * (1, -1, 1))[:2]
            ears.append(
                (
                    away[0],
                    capsule(
                        ear[0][:2] + 0.35 * flap,
                        ear[0][:2] - 0.35 * flap,
                        0.0145 * height,
                        0.011 * height,
                    ),
                    circle(ear[0], 0.006 * height, 10),
                )
            )
        if not self.ears_hidden:
            for away, flap, inner in ears:
                if away <= 0:
                    add(flap, dark_skin, convex=True)
        nose, nose_away = self._on_head(np.array(((0, -0.12, 1), (0, 0.14, 1))))
        tip = self._on_head(np.array(((0, -0.12, 1),)), 1.1)[0][0]
        bridge = nose[1]
        nose_shape = capsule(bridge, tip, 0.004 * height, 0.0125 * height)
        if abs(frame[2, 2]) < 0.8 and nose_away[0] > -0.006:
            add(nose_shape, shade(skin, 0.92), convex=True)

        add(middle + ring, shade(scalp, 0.8), convex=True)
        add(middle + 0.86 * ring + 0.1 * h * self.light, scalp, convex=True)
        x, y, z = np.eye(3)
        # The face: from the hairline down to the neck.
        chin = self._cap(z - 0.5 * y, 1.45 * x, 1.02 * y)
        add(chin, dark_skin)
        add(self._cap(z - 0.42 * y, 1.28 * x, 0.95 * y), skin)
        if outfit.beard:
            add(self._cap(z - 0.78 * y, 0.95 * x, 0.42 * y), outfit.hair)
        back = self._cap(-z - 1.15 * y, 0.9 * x, 0.5 * y)
        if outfit.hair_style != 'long':
            add(back, dark_skin)
        add(self._cap(z - 0.52 * y, 0.3 * x, 0.07 * y), (72, 66, 150))
        for s in (1.0, -1.0):
            add(self._cap(z + 0.16 * y + 0.42 * s * x, 0.2 * x, 0.13 * y), (244, 244, 244))
            add(self._cap(z + 0.16 * y + 0.42 * s * x, 0.10 * x, 0.12 * y), (36, 30, 28))
            add(
                self._cap(z + 0.38 * y + 0.42 * s * x, 0.24 * x, 0.045 * y),
                shade(outfit.hair if not bald else dark_skin, 0.8),
            )
        if outfit.glasses:
            for s in (1.0, -1.0):
                add(self._cap(z + 0.16 * y + 0.42 * s * x, 0.3 * x, 0.2 * y), (40, 36, 36))
            add(self._cap(z + 0.2 * y, 0.3 * x, 0.04 * y), (40, 36, 36))
        if nose_away[0] > 0:
            add(nose_shape, shade(skin, 0.84), convex=True)
        if not self.ears_hidden:
            for away, flap, inner in ears:
                if away > 0:
                    add(flap, shade(skin, 0.86), convex=True)
                    add(inner, shade(skin, 0.62), convex=True)

        self._long_hair(hair, frame)
        self._hat(hat, add)
        return [stroke for stroke in (hair, head, hat) if stroke.outlines]

    def _long_hair(self, hair: Stroke, frame: np.ndarray) -> None:
        outfit, height, h = self.outfit, self.body.height, self.head_axes[1]
        centre, up, out = self.head_centre, frame[:, 1], -frame[:, 2]
        # Hair hangs down, and along the back of a person that bends.
        down = unit(np.array((0, -1.0, 0)) - 0.6 * self.chest[:, 1])
        if outfit.hair_style == 'long':
            low = centre + 0.55 * h * out + 1.55 * h * down
            top = centre + 0.16 * h * out + 0.15 * h * up
            self._limb(hair, top, low, 0.98 * h / height, 0.72 * h / height, outfit.hair)
        elif outfit.hair_style == 'tail':
            root = centre + 0.95 * h * out + 0.3 * h * up
            self._limb(
                hair,
                root,
                root + 0.35 * h * out + 1.3 * h * down,
                0.2 * h / height,
                0.12 * h / height,
                outfit.hair,
            )
        elif outfit.hair_style == 'bun':
            bun = centre + 0.75 * h * out + 0.75 * h * up
            self._limb(
                hair, bun, bun + 0.05 * h * out, 0.36 * h / height, 0.34 * h / height, outfit.hair
            )

    def _hat(self, hat: Stroke, add) -> None:  # type: ignore[no-untyped-def]
        outfit = self.outfit
        x, y, z = np.eye(3)
        colour = outfit.accent
        if outfit.hat == 'none':
            return
        turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)[:, None]
        if outfit.hat == 'brim':
            ring = 0.5 * y + 1.45 * (np.cos(turn) * x + np.sin(turn) * z)
            points = self._project(self.head_centre + (self.head_axes * ring) @ self.head_frame.T)
            add(hull(points), shade(colour, 0.7), hat, True)
        elif outfit.hat == 'cap':
            arc = np.linspace(-1.1, 1.1, 9)[:, None]
            visor = np.concatenate(
                (
                    0.42 * y + 1.62 * np.cos(0.55 * arc) * z + 0.72 * np.sin(arc) * x,
                    0.5 * y + 0.85 * np.cos(arc) * z + 0.95 * np.sin(arc) * x,
                )
            )
            points = self._project(self.head_centre + (self.head_axes * visor) @ self.head_frame.T)
            if self.head_frame[2, 2] > -0.1:
                add(hull(points), shade(colour, 0.6), hat, True)
        reach = 2.1 if outfit.hat != 'beanie' else 2.9
        add(self._cap(y, reach * x, reach * z, 1.07), shade(colour, 0.78), hat)
        add(
            self._cap(
                y + 0.25 * (self.light[0] * self.head_frame[0]),
                0.8 * reach * x,
                0.8 * reach * z,
                1.03,
            ),
            colour,
            hat,
        )


# ---------------------------------------------------------------------------------------------
# What is around the people.


def pick_colour(rng: np.random.Generator) -> Colour:
    """Any colour that clutter may have, those of skin and clothing among them."""
    source = rng.integers(4)
    if source == 0:
        return SKIN[rng.integers(len(SKIN))]
    if source == 1:
        return CLOTH[rng.integers(len(CLOTH))]
    return tuple(rng.uniform(30, 225, 3))


def box(x1: float, y1: float, x2: float, y2: float) -> np.ndarray:
    return np.array(((x1, y1), (x2, y1), (x2, y2), (x1, y2)), float)


def paint_background(canvas: Canvas, rng: np.random.Generator, horizon: float) -> None:
    """A wall or a sky above the horizon, a floor below, both uneven, and things."""
    w, h = canvas.width, canvas.height
    upper, lower = np.array(pick_colour(rng)), np.array(pick_colour(rng))
    outdoors = rng.random() < 0.5
    if outdoors:
        upper = np.array((rng.uniform(170, 245), rng.uniform(150, 215), rng.uniform(110, 200)))
        lower = np.array(
            ((70, 130, 110), (110, 120, 125), (120, 165, 190), (60, 110, 70), (150, 150, 155))[
                rng.integers(5)
            ]
        ) * rng.uniform(0.7, 1.2)
    else:
        upper = 0.5 * upper + 0.5 * rng.uniform(90, 210)
        lower = 0.6 * lower + 0.4 * rng.uniform(60, 170)
    rows = np.arange(h, dtype=np.float32)
    fade = np.interp(
        rows,
        (0, horizon, horizon + 1, h),
        (1 + rng.uniform(-0.2, 0.2), 1, 0.85, 1 + rng.uniform(-0.1, 0.25)),
    )
    column = np.where(rows[:, None] < horizon, upper, lower) * fade[:, None]
    blotches = rng.normal(0, rng.uniform(2, 14), (6, 8, 3)).astype(np.float32)
    grain = rng.normal(0, rng.uniform(1, 10), (h // 6, w // 6, 1)).astype(np.float32)
    field_ = cv2.resize(blotches, (w, h), interpolation=cv2.INTER_CUBIC)
    field_ += cv2.resize(grain, (w, h), interpolation=cv2.INTER_LINEAR)[..., None]
    field_ += column[:, None].astype(np.float32)
    canvas.colours[:] = cv2.resize(
        np.clip(field_, 0, 255).astype(np.uint8),
        canvas.colours.shape[1::-1],
        interpolation=cv2.INTER_LINEAR,
    )
    if outdoors:
        paint_outdoors(canvas, rng, horizon)
    else:
        paint_indoors(canvas, rng, horizon)
    for _ in range(rng.integers(1, 7)):
        paint_clutter(canvas, rng, horizon)


def paint_outdoors(canvas: Canvas, rng: np.random.Generator, horizon: float) -> None:
    w = canvas.width
    for _ in range(rng.integers(0, 4)):
        x, width = rng.uniform(-0.1 * w, w), rng.uniform(0.1, 0.35) * w
        top = horizon - rng.uniform(0.1, 0.8) * horizon
        wall = mix(pick_colour(rng), (160, 160, 160), 0.5)
        canvas.paint(box(x, top, x + width, horizon + 2), wall)
        size = rng.uniform(6, 14)
        for wx in np.arange(x + size * 0.6, x + width - size, size * 1.7):
            for wy in np.arange(top + size * 0.6, horizon - size, size * 2):
                canvas.paint(box(wx, wy, wx + size, wy + 1.2 * size), shade(wall, 0.6))
    for _ in range(rng.integers(0, 4)):
        x, base = rng.uniform(0, w), horizon + rng.uniform(0, 20)
        tall, thick = rng.uniform(40, 0.9 * horizon + 41), rng.uniform(3, 8)
        foot, top = np.array((x, base)), np.array((x + rng.uniform(-8, 8), base - tall))
        canvas.paint(capsule(foot, top, thick, 0.6 * thick), (50, 72, 98))
        leaf = (rng.uniform(30, 80), rng.uniform(90, 160), rng.uniform(40, 130))
        for _ in range(5):
            centre = top + rng.normal(0, 0.16 * tall, 2)
            canvas.paint(
                circle(centre, rng.uniform(0.12, 0.26) * tall), shade(leaf, rng.uniform(0.75, 1.15))
            )
    for _ in range(rng.integers(0, 3)):
        y = rng.uniform(horizon + 4, canvas.height)
        canvas.paint(
            capsule(np.array((-5.0, y)), np.array((w + 5.0, y + rng.uniform(-30, 30))), 1.5, 2.5),
            (225, 225, 225),
        )


def paint_indoors(canvas: Canvas, rng: np.random.Generator, horizon: float) -> None:
    w = canvas.width
    skirting = tuple(rng.uniform(60, 220, 3))
    canvas.paint(box(-1, horizon - 4, w + 1, horizon + 2), skirting)
    for _ in range(rng.integers(1, 5)):
        x, y = rng.uniform(0, w), rng.uniform(0, 0.7 * horizon)
        dx, dy = rng.uniform(18, 70), rng.uniform(18, 60)
        canvas.paint(box(x - 3, y - 3, x + dx + 3, y + dy + 3), shade(skirting, 0.7))
        canvas.paint(box(x, y, x + dx, y + dy), pick_colour(rng))
        for _ in range(rng.integers(0, 3)):
            canvas.paint(
                circle(
                    np.array((x, y)) + rng.uniform(0.2, 0.8, 2) * (dx, dy),
                    rng.uniform(0.1, 0.22) * min(dx, dy),
                ),
                pick_colour(rng),
            )
    if rng.random() < 0.5:
        gap, tone = rng.uniform(16, 44), float(rng.uniform(0.75, 1.2))
        vanish = w * rng.uniform(0.2, 0.8)
        colour = shade(tuple(map(float, canvas.colours[-1, 0])), tone)
        for x in np.arange(-w, 2 * w, gap):
            far = vanish + (x - vanish) * 0.5
            canvas.paint(
                capsule(np.array((far, horizon + 2)), np.array((x, canvas.height + 5.0)), 0.4, 1),
                colour,
            )
    if rng.random() < 0.5:
        x, width = rng.uniform(-20, w), rng.uniform(50, 130)
        top, colour = horizon - rng.uniform(20, 60), pick_colour(rng)
        canvas.paint(box(x, top, x + width, horizon + 25), shade(colour, 0.7))
        canvas.paint(box(x - 3, top - 5, x + width + 3, top + 3), colour)
        for _ in range(rng.integers(0, 4)):
            canvas.paint(
                circle(np.array((x + rng.uniform(0, width), top - 12)), rng.uniform(5, 9)),
                pick_colour(rng),
            )


def paint_clutter(canvas: Canvas, rng: np.random.Generator, horizon: float) -> None:
    """Something that a careless eye takes for a limb or a head."""
    w, h = canvas.width, canvas.height
    place = np.array((rng.uniform(0, w), rng.uniform(0.1 * h, h)))
    colour, thick = pick_colour(rng), rng.uniform(2.5, 8)
    kind = rng.integers(4)
    if kind == 0:
        points = [place]
        for _ in range(rng.integers(1, 4)):
            angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(18, 55)
            points.append(points[-1] + length * np.array((np.cos(angle), np.sin(angle))))
        for a, b in zip(points[:-1], points[1:]):
            canvas.paint(capsule(a, b, thick, 0.85 * thick), shade(colour, 0.7))
            canvas.paint(capsule(a, b, 0.7 * thick, 0.6 * thick), colour)
    elif kind == 1:
        top = np.array((place[0], rng.uniform(0.1, 0.6) * h))
        canvas.paint(capsule(place + (0, 40), top, 0.5 * thick, 0.4 * thick), shade(colour, 0.7))
        canvas.paint(circle(top, 2 * thick), colour)
    elif kind == 2:
        canvas.paint(circle(place, 2.5 * thick), shade(colour, 0.7))
        canvas.paint(circle(place - 0.15 * thick, 2.1 * thick), colour)
    else:
        tall = rng.uniform(20, 60)
        canvas.paint(
            capsule(place, place - (0, tall), 1.6 * thick, 1.4 * thick), shade(colour, 0.75)
        )
        canvas.paint(capsule(place, place - (0, tall), 1.2 * thick, 1.1 * thick), colour)


def paint_seat(canvas: Canvas, rng: np.random.Generator, figure: Figure) -> None:
    """A stool or a bench under a seated person."""
    x, y = figure.origin[:2]
    height = figure.body.height
    ground = figure.box[3] - 0.02 * height
    half, colour = rng.uniform(0.1, 0.2) * height, mix(pick_colour(rng), (60, 70, 90), 0.4)
    top = y + 0.055 * height
    if rng.random() < 0.5:
        canvas.paint(box(x - half, top, x + half, ground), shade(colour, 0.7), OBJECT)
    else:
        for leg in (-0.8, 0.8):
            canvas.paint(
                capsule(
                    np.array((x + leg * half, top)),
                    np.array((x + 1.1 * leg * half, ground)),
                    0.014 * height,
                    0.012 * height,
                ),
                shade(colour, 0.6),
                OBJECT,
            )
    canvas.paint(
        box(x - 1.05 * half, top - 0.02 * height, x + 1.05 * half, top + 0.035 * height),
        colour,
        OBJECT,
    )


def paint_held(canvas: Canvas, rng: np.random.Generator, figure: Figure) -> None:
    """A ball, a bag, a stick or a sign in one hand."""
    side = SIDES[rng.integers(2)][0]
    hand, height = figure.limbs[f'{side}_hand'], figure.body.height
    place, colour = figure._project(hand)[:2], pick_colour(rng)
    kind = rng.integers(4)
    if kind == 0:
        radius = rng.uniform(0.03, 0.065) * height
        centre = place + (0, -0.4 * radius)
        canvas.paint(circle(centre, radius), shade(colour, 0.7), OBJECT)
        canvas.paint(circle(centre + 0.15 * radius * figure.light, 0.8 * radius), colour, OBJECT)
    elif kind == 1:
        wide, tall = rng.uniform(0.05, 0.09) * height, rng.uniform(0.09, 0.15) * height
        canvas.paint(capsule(place, place + (0, 0.04 * height), 1, 1), shade(colour, 0.6), OBJECT)
        canvas.paint(
            box(
                place[0] - wide,
                place[1] + 0.035 * height,
                place[0] + wide,
                place[1] + 0.035 * height + tall,
            ),
            colour,
            OBJECT,
        )
    elif kind == 2:
        angle = rng.uniform(0, 2 * np.pi)
        reach = np.array((np.cos(angle), np.sin(angle))) * rng.uniform(0.15, 0.35) * height
        canvas.paint(
            capsule(place - 0.15 * reach, place + reach, 0.008 * height, 0.006 * height),
            colour,
            OBJECT,
        )
    else:
        tall, wide = 0.035 * height, 0.018 * height
        canvas.paint(
            box(place[0] - wide, place[1] - tall, place[0] + wide, place[1] + 0.4 * tall),
            (45, 42, 40),
            OBJECT,
        )


def paint_obstacle(canvas: Canvas, rng: np.random.Generator, ground: float) -> None:
    """Something that stands before the people painted so far."""
    w, h = canvas.width, canvas.height
    x, colour = rng.uniform(0, w), mix(pick_colour(rng), (110, 120, 130), 0.3)
    kind = rng.integers(5)
    if kind == 0:
        thick = rng.uniform(2.5, 6)
        canvas.paint(
            capsule(np.array((x, ground)), np.array((x, -20.0)), thick, thick),
            shade(colour, 0.7),
            OBJECT,
        )
        canvas.paint(
            capsule(
                np.array((x - 0.2 * thick, ground)),
                np.array((x - 0.2 * thick, -20.0)),
                0.6 * thick,
                0.6 * thick,
            ),
            colour,
        )
    elif kind == 1:
        wide, tall = rng.uniform(25, 70), rng.uniform(0.1, 0.24) * h
        canvas.paint(
            box(x - wide, ground - tall, x + wide, ground + 2), shade(colour, 0.75), OBJECT
        )
        canvas.paint(
            box(x - wide - 3, ground - tall - 6, x + wide + 3, ground - tall + 2), colour, OBJECT
        )
    elif kind == 2:
        for _ in range(9):
            leaf = np.array((x, ground - 12)) + rng.normal(0, 1, 2) * (16, 11)
            canvas.paint(
                circle(leaf, rng.uniform(7, 14)),
                (rng.uniform(40, 80), rng.uniform(100, 160), rng.uniform(50, 110)),
                OBJECT,
            )
    elif kind == 3:
        radius = rng.uniform(10, 22)
        canvas.paint(circle(np.array((x, ground - radius)), radius), shade(colour, 0.7), OBJECT)
        canvas.paint(circle(np.array((x - 2, ground - radius - 2)), 0.8 * radius), colour, OBJECT)
    else:
        y, wide = ground - rng.uniform(0.12, 0.25) * h, rng.uniform(60, 160)
        for rail in (0, 16):
            canvas.paint(box(x - wide, y + rail, x + wide, y + rail + 4), colour, OBJECT)
        for post in np.linspace(x - wide, x + wide, 5):
            canvas.paint(box(post - 2.5, y - 5, post + 2.5, ground), shade(colour, 0.85), OBJECT)


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
    cut = rng.random() < 0.16
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
        if max(overlaps, default=0.0) < rng.choice((0.1, 0.3, 0.5)):
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
    for i, (name, (x, y, _)) in enumerate(zip(KEYPOINTS, figure.joints)):
        if not (0 <= x <= width - 1 and 0 <= y <= height - 1):
            continue
        side, _, joint = name.rpartition('_')
        owners = [owner.format(side) for owner in OWNERS[joint]]
        shown = int(parts[round(y), round(x)]) - first
        part = PARTS[shown] if 0 <= shown < len(PARTS) else ''
        # The trunk shows the joints of its near side only; an arm or leg shows its own.
        turned_away = not figure.facing[i] and (part in TRUNK or part == 'head')
        keypoints[i] = x, y, 2 if part in owners and not turned_away else 1
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
    w, h = canvas.width, canvas.height
    horizon = h * rng.uniform(0.35, 0.7)
    light = np.array((rng.uniform(0.3, 1), -rng.uniform(0.5, 1)))
    paint_background(canvas, rng, horizon)
    if rng.random() < 0.1:
        paint_crowd(canvas, rng, horizon, light)

    figures: list[Figure] = []
    taken: list[np.ndarray] = []
    for _ in range(rng.choice(MAX_PERSONS, p=(0.3, 0.35, 0.22, 0.13)) + 1):
        tall = float(np.clip(h * rng.uniform(0.42, 0.9), 105, 300))
        figure = Figure(Body.draw(rng, tall), Pose.draw(rng), Outfit.draw(rng), light)
        if place(figure, rng, canvas, taken):
            figures.append(figure)
    figures.sort(key=lambda figure: figure.box[3])
    for i, figure in enumerate(figures):
        if figure.pose.seated:
            paint_seat(canvas, rng, figure)
        figure.paint(canvas, 1 + i * len(PARTS))
        if rng.random() < 0.18:
            paint_held(canvas, rng, figure)
        if rng.random() < 0.13:
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
    blur = rng.uniform(-0.5, 0.9)
    if blur > 0.3:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    gain = cv2.resize(
        rng.uniform(0.82, 1.14, (3, 4)).astype(np.float32), (w, h), interpolation=cv2.INTER_LINEAR
    )
    cast = (rng.uniform(0.85, 1.12) * rng.uniform(0.94, 1.06, 3)).astype(np.float32)
    noise = rng.standard_normal((h, w), np.float32) * np.float32(rng.uniform(0, 7))
    pixels = image * (gain[..., None] * cast)
    pixels += noise[..., None]
    return np.clip(pixels, 0, 255).astype(np.uint8)


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
    sequence = np.random.SeedSequence(seed, spawn_key=(SPLITS.index(split), index))
    scene, side = (np.random.default_rng(child) for child in sequence.spawn(2))
    image, persons = render_scene(scene)
    return mirrored(image, persons) if side.random() < 0.5 else (image, persons)


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
) -> Iterable[tuple[dict, list[dict]]]:
    if workers == 1:
        yield from (_render_file(*job) for job in jobs)
        return
    # One thread each: OpenCV's own threads would compete with the other workers.
    with ProcessPoolExecutor(workers, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        try:
            yield from pool.map(_render_file, *zip(*jobs), chunksize=8)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def check_target(out: Path) -> None:
    """Raises :class:`SettingError` unless ``out`` is missing or an empty folder."""
    if out.exists() and not out.is_dir():
        raise SettingError(f'{out} is a file; --out takes a folder that is new or empty')
    if out.is_dir() and any(out.iterdir()):
        raise SettingError(
            f'{out} is not empty, and nothing in it was touched; --out takes a folder that is new '
            'or empty'
        )


def render_dataset(
    out: str | Path,
    train: int,
    val: int,
    seed: int = 0,
    workers: int | None = None,
    progress: bool = True,
) -> dict[str, int]:
    """Renders a data set in COCO's layout.

    The folder appears when all of it is there; before that a folder of a temporary name beside it
    takes the files, which is removed on failure.

    Args:
        out: Folder that is new or empty.
        train: Number of training images, at least 1.
        val: Number of validation images, at least 1.
        seed: The same seed gives the same bytes; not negative.
        workers: Number of processes; as many as processor cores by default. The bytes don't
            depend on it.
        progress: Whether to show a progress bar.

    Returns:
        The number of labelled persons in each split.

    Raises:
        SettingError: For a number out of its range, or an ``out`` that is not new or empty.
    """
    for name, number, least in (
        ('--train', train, 1),
        ('--val', val, 1),
        ('--seed', seed, 0),
        ('--workers', workers or 1, 1),
    ):
        if number < least:
            raise SettingError(f'{name} is {number}; it takes a whole number from {least} up')
    out = Path(out).expanduser().absolute()
    check_target(out)
    workers = min(workers or os.cpu_count() or 1, train + val)
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f'.{out.name}-unfinished-', dir=out.parent))
    try:
        persons = _render_into(unfinished, {'train': train, 'val': val}, seed, workers, progress)
        # mkdtemp makes a folder that only its owner may read.
        umask = os.umask(0)
        os.umask(umask)
        unfinished.chmod(0o777 & ~umask)
        check_target(out)
        if out.exists():
            out.rmdir()
        os.replace(unfinished, out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return persons


def _render_into(
    folder: Path, counts: dict[str, int], seed: int, workers: int, progress: bool
) -> dict[str, int]:
    (folder / 'annotations').mkdir()
    jobs = []
    for split, count in counts.items():
        images = folder / f'{split}2017'
        images.mkdir()
        jobs += [(seed, split, index, str(images)) for index in range(count)]
    done = iter(
        tqdm(
            _render_files(jobs, workers),
            'rendering people',
            len(jobs),
            unit='img',
            disable=not progress,
        )
    )
    persons = {}
    for split, count in counts.items():
        records = [next(done) for _ in range(count)]
        annotations = [a for _, found in records for a in found]
        persons[split] = sum(a['num_keypoints'] > 0 for a in annotations)
        content = dict(
            info=dict(
                description=f'Rendered people: {split}, seed {seed}',
                version='1.0',
                year=2026,
                contributor='mspn_plugin',
                url='',
                date_created='2026/01/01',
            ),
            licenses=[
                dict(id=1, name='CC0 1.0', url='https://creativecommons.org/publicdomain/zero/1.0/')
            ],
            images=[image for image, _ in records],
            annotations=annotations,
            categories=[
                dict(
                    id=1,
                    name='person',
                    supercategory='person',
                    keypoints=list(KEYPOINTS),
                    skeleton=[list(e) for e in SKELETON],
                )
            ],
        )
        path = folder / 'annotations' / f'person_keypoints_{split}2017.json'
        path.write_text(json.dumps(content), encoding='utf-8')
    # The bar ends only when its source does.
    next(done, None)
    return persons


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog='python -m mspn_plugin.synthetic',
        description="Render people in COCO's layout and format.",
    )
    parser.add_argument(
        '--out', required=True, type=Path, metavar='DIR', help='folder that is new or empty'
    )
    parser.add_argument(
        '--train', required=True, type=int, metavar='N', help='number of training images'
    )
    parser.add_argument(
        '--val', required=True, type=int, metavar='M', help='number of validation images'
    )
    parser.add_argument(
        '--seed',
        default=0,
        type=int,
        metavar='S',
        help='the same seed gives the same bytes (default: %(default)s)',
    )
    parser.add_argument(
        '--workers',
        type=int,
        metavar='W',
        help='number of processes (default: one for each processor core)',
    )
    args = parser.parse_args(arguments)
    try:
        persons = render_dataset(args.out, args.train, args.val, args.seed, args.workers)
    except SettingError as error:
        parser.error(str(error))
    print(
        f'{args.out}: {args.train} training images with {persons["train"]} labelled persons, '
        f'{args.val} validation images with {persons["val"]}'
    )


if __name__ == '__main__':
    main(sys.argv[1:])
