"""A rendered person as a kinematic chain in three dimensions.

World axes: x to the right of the image, y up, z towards the viewer. A person's own axes: x to its
left, y up, z forward; unturned, it faces the viewer.
"""

import numpy as np
from scipy.spatial.transform import Rotation

from ..datasets.coco import KEYPOINTS
from .parts import SIDES
from .person import Body, Outfit, Pose

# The image's y points down.
_TO_IMAGE = np.array((1.0, -1.0, 1.0))
# Direction in the head's own axes, and distance from its middle in units of its surface.
_FEATURES = (
    ('nose', (0, -0.12, 1), 1.1),
    ('left_eye', (0.42, 0.16, 1), 1.0),
    ('right_eye', (-0.42, 0.16, 1), 1.0),
    ('left_ear', (1, -0.02, -0.08), 1.02),
    ('right_ear', (-1, -0.02, -0.08), 1.02),
)
# How far a keypoint's side of the body may turn away from the viewer (1 faces it). The trunk hides
# a shoulder or a hip of its far side, the head its far features. The nose sticks out.
_FACING = {'shoulder': -0.55, 'hip': -0.55, 'nose': -0.2, 'eye': 0.0, 'ear': 0.0}


def rotation(axes: str, *degrees: float) -> np.ndarray:
    """Turns about the world's axes, one after the other, as one (3, 3) matrix."""
    # SciPy 1.15, the last for Python 3.10, makes a list of matrices of a single axis.
    return Rotation.from_euler(axes, degrees, degrees=True).as_matrix().reshape(3, 3)


def swung(side: float, abduction: float, flexion: float) -> np.ndarray:
    """Direction of a limb that hangs down at (0, 0), for angles in degrees."""
    a, f = np.deg2rad(abduction), np.deg2rad(flexion)
    return np.array((side * np.sin(a), -np.cos(a) * np.cos(f), np.cos(a) * np.sin(f)))


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)


class Figure:
    """A person placed in an image.

    Attributes:
        light (np.ndarray): Offset (x, y) in the image, about 1 long, towards the light.
        points (dict[str, np.ndarray]): Keypoints, crown, hands, heels and toes by name, in the
            world, as seen from the middle of the hips.
        facing (dict[str, bool]): Whether the keypoints of head and trunk face the viewer.
        hip_axes, chest_axes, head_axes (np.ndarray): The own axes of these parts, as columns.
        head_radii (np.ndarray): Of the head along its own axes.
        origin (np.ndarray): (x, y, 0) of the middle of the hips in the image.
    """

    def __init__(self, body: Body, pose: Pose, outfit: Outfit, light: np.ndarray) -> None:
        self.body, self.pose, self.outfit, self.light = body, pose, outfit, light
        self.height = height = body.height
        self.origin = np.zeros(3)
        self.hip_axes = root = rotation('yxz', pose.turn, pose.tilt, pose.roll)
        self.chest_axes = chest = root @ rotation('yzx', pose.twist, pose.lean, pose.bend)
        self.head_axes = chest @ rotation('zxy', *pose.look)

        trunk = body.trunk * height
        self.waist = root @ rotation('x', 0.45 * pose.bend) @ np.array((0, 0.45 * trunk, 0))
        self.neck = self.waist + chest @ np.array((0, 0.55 * trunk, 0))
        head_height = body.head * height
        self.head_radii = np.array((0.76, 1, 0.88)) * head_height
        self.head_centre = (
            self.neck
            + chest @ np.array((0, 0.026, 0.01)) * height
            + self.head_axes @ np.array((0, 1.06 * head_height, 0.016 * height))
        )

        crown = self.head_centre + self.head_axes @ np.array((0, head_height, 0))
        self.points: dict[str, np.ndarray] = dict(crown=crown)
        normals = {}
        for name, direction, out in _FEATURES:
            leaving = unit(np.array(direction))
            self.points[name] = self.head_centre + self.head_axes @ (
                self.head_radii * leaving * out
            )
            normals[name] = self.head_axes @ (leaving / self.head_radii)
        for i, (side, s) in enumerate(SIDES):
            self._bend_arm(side, s, pose.arms[i])
            self._bend_leg(side, s, pose.legs[i])
            normals[f'{side}_shoulder'] = s * chest[:, 0]
            normals[f'{side}_hip'] = s * root[:, 0]
        self.facing = {
            name: unit(normal)[2] > _FACING[name.rpartition('_')[2]]
            for name, normal in normals.items()
        }

    def move(self, x: float, y: float) -> None:
        """Put the middle of the hips at (x, y)."""
        self.origin = np.array((x, y, 0.0))

    @property
    def keypoints(self) -> np.ndarray:
        """(17, 3), in pixels; z grows towards the viewer."""
        return self.project(np.array([self.points[name] for name in KEYPOINTS]))

    @property
    def box(self) -> np.ndarray:
        """(x1, y1, x2, y2) of the keypoints, hands, feet and head."""
        corners = self.project(np.array([*self.points.values()]))[:, :2]
        return np.concatenate((corners.min(0), corners.max(0)))

    def project(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) of the world as (x, y, z) in the image."""
        return points * _TO_IMAGE + self.origin

    def of_side(self, side: str, *names: str) -> list[np.ndarray]:
        """Points of the left or right side."""
        return [self.points[f'{side}_{name}'] for name in names]

    def _bend_arm(self, side: str, s: float, angles: np.ndarray) -> None:
        body, height, chest, points = self.body, self.height, self.chest_axes, self.points
        abduction, flexion, elbow, inward, upward = angles
        raised = np.clip((max(abduction, flexion) - 70) / 90, 0, 1)
        shoulder = np.array((s * (body.shoulder - 0.015 * raised), 0.03 * raised - 0.012, 0))
        upper = swung(s, abduction, flexion)
        inward, elbow = np.deg2rad((inward, elbow))
        fold = np.array((-s * np.sin(inward), upward, np.cos(inward)))
        fold = unit(fold - fold @ upper * upper)
        lower = np.cos(elbow) * upper + np.sin(elbow) * fold
        points[f'{side}_shoulder'] = self.neck + chest @ shoulder * height
        points[f'{side}_elbow'] = (
            points[f'{side}_shoulder'] + chest @ upper * body.upper_arm * height
        )
        wrist = points[f'{side}_elbow'] + chest @ lower * body.forearm * height
        points[f'{side}_wrist'] = wrist
        points[f'{side}_hand'] = wrist + chest @ lower * 0.034 * height

    def _bend_leg(self, side: str, s: float, angles: np.ndarray) -> None:
        body, height, root, points = self.body, self.height, self.hip_axes, self.points
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
