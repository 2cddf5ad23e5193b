"""A rendered person, from the joints to the paint.

World axes: x to the right of the picture, y up, z towards the viewer. A person's own axes: x to
its left, y up, z forward; unturned, it faces the viewer.
"""

from __future__ import annotations

import itertools

import numpy as np

from ..datasets.coco import KEYPOINTS
from .canvas import Canvas, Colour, Stroke, capsule, capsules, circle, hull, mix, shade
from .parts import CROWD, PARTS, SIDES
from .person import Body, Outfit, Pose

_TURN = np.stack([f(np.linspace(0, 2 * np.pi, 28, endpoint=False)) for f in (np.cos, np.sin)], 1)


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
