"""Steps of the loader's pipeline: COCO's three kinds of visibility, and the authors' boxes.

The boxes stand where MMPose's ``GetBBoxCenterScale`` stands and only choose the part of the image:
wider than the box, and jittered. MMPose's ``TopdownAffine`` after them widens it to the aspect
ratio of the network's input and cuts it out; its warp equals the release's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmpose.registry import TRANSFORMS

from .errors import SettingError

WHOLE_BODY = ('keypoints', 'foot_kpts', 'face_kpts', 'lefthand_kpts', 'righthand_kpts')
"""The parts in which an annotation of COCO-WholeBody has its keypoints."""


@TRANSFORMS.register_module()
class KeepVisibility(BaseTransform):
    """Carry COCO's visibility v through the pipeline: 0 unlabelled, 1 occluded, 2 clearly visible.

    MMPose's data sets read v as min(v, 1). Its transforms do carry a second value per keypoint
    through flips and crops, ``GenerateTarget`` calls it ``keypoints_visible_weights``, and this
    transform fills it in. ``MultiStageHeatmapHead(empty_occluded=True)`` needs it.

    It stands in front of ``RandomFlip``, because the annotation is not mirrored with the image.

    Required Keys:

        - raw_ann_info, unless all are clear
        - keypoints_visible, of shape (N, K)

    Modified Keys:

        - keypoints_visible, of shape (N, K, 2): whether the keypoint is labelled (what was there),
          and 1 where it is clearly visible, else 0

    Args:
        all_clear (bool): Whether every labelled keypoint counts as clearly visible, as in the
            release for MPII, whose annotations don't tell. Defaults to False.
    """

    def __init__(self, all_clear: bool = False) -> None:
        self.all_clear = all_clear

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the second value.

        Raises:
            SettingError: If the transform stands in the wrong place, or the data set has no v.
        """
        if results.get('flip') is not None:
            raise SettingError(
                'KeepVisibility must stand before RandomFlip in the pipeline: the annotation that '
                'it reads is not mirrored'
            )
        labelled = results['keypoints_visible']
        if self.all_clear:
            results['keypoints_visible'] = np.stack([labelled, labelled], axis=-1)
            return results
        instances = results.get('raw_ann_info')
        if instances is None:
            raise SettingError(
                "KeepVisibility needs COCO's annotation of the instance (raw_ann_info), and the "
                f'data set {results.get("dataset_name", "in use")} gives none'
            )
        instances = [instances] if isinstance(instances, Mapping) else instances
        values = [_annotated_visibility(instance, labelled.shape[1]) for instance in instances]
        clear = (np.stack(values) >= 2).astype(labelled.dtype)
        results['keypoints_visible'] = np.stack([labelled, clear], axis=-1)
        return results


def _annotated_visibility(instance: Mapping[str, Any], num_keypoints: int) -> np.ndarray:
    triples: list[float] = []
    for part in WHOLE_BODY:
        if len(triples) < 3 * num_keypoints:
            triples.extend(instance.get(part, []))
    if len(triples) != 3 * num_keypoints:
        raise SettingError(
            f'KeepVisibility found {len(triples) / 3:g} keypoints in the annotation of an '
            f'instance, and the data set has {num_keypoints}: its annotation is not as in COCO'
        )
    return np.array(triples[2::3])


_MIN_HALF_BODY = 3
"""A half of the body with this many keypoints or fewer gives way to the other one."""


@TRANSFORMS.register_module()
class MegviiTestBBox(BaseTransform):
    """Choose the box as the authors' release does for testing: the given one, made wider.

    Required Keys:

        - bbox

    Added Keys:

        - bbox_center, of shape (N, 2), in image pixels
        - bbox_scale, of shape (N, 2): width and height in image pixels

    Args:
        extension (tuple[float, float]): The part of the box's width and height that is added.
            Defaults to (0.09, 0.135), from the release's ``attribute.py``.
    """

    def __init__(self, extension: tuple[float, float] = (0.09, 0.135)) -> None:
        self.extension = np.asarray(extension, np.float32)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the centre and the size."""
        center, size = _center_and_size(results['bbox'])
        results['bbox_center'] = center
        results['bbox_scale'] = size * (1 + self.extension)
        return results


@TRANSFORMS.register_module()
class MegviiTrainBBox(BaseTransform):
    """Choose the box as the authors' release does for training.

    The box is extended by a fixed and a random part. Of an instance with enough labelled keypoints
    it is now and then replaced by one around the upper or the lower body. It is then scaled and
    rotated at random. ``RandomFlip`` comes after it. The defaults are those of the release for
    COCO, and what is drawn is distributed as in the release, for its MPII settings too.

    It takes the place of ``GetBBoxCenterScale``, ``RandomHalfBody`` and ``RandomBBoxTransform``.

    Required Keys:

        - bbox
        - keypoints
        - keypoints_visible, of shape (N, K) or (N, K, 2)
        - upper_body_ids, unless it is given as an argument

    Added Keys:

        - bbox_center, of shape (N, 2), in image pixels
        - bbox_scale, of shape (N, 2): width and height in image pixels
        - bbox_rotation, of shape (N,), in degrees

    Args:
        extension (float): The part of the box's width and height that is always added.
        random_extension (tuple[float, float]): The most that is added at random to the width and to
            the height after that.
        scale_range (tuple[float, float]): The factors between which the size is drawn.
        shrink (float): A factor on the size besides.
        max_rotation (float): Degrees, to either side.
        rotation_prob (float): How often the box is rotated.
        half_body_prob (float): How often the box of a half of the body is tried.
        half_body_min_joints (int): A person with this many labelled keypoints or fewer is left
            whole.
        half_body_extension (tuple[float, float]): The most that is added at random to the width and
            to the height of the half body's keypoints.
        upper_body_prob (float): How often the upper body is preferred. The release compares a draw
            from the normal distribution with 0.5, which comes to 0.69.
        upper_body_ids (Sequence[int], optional): The keypoints of the upper body; all others are of
            the lower body. The release counts COCO's hips to the upper body, ``range(13)``. By
            default the data set's.
    """

    def __init__(
        self,
        extension: float = 0.05,
        random_extension: tuple[float, float] = (0.6, 0.8),
        scale_range: tuple[float, float] = (0.75, 1.25),
        shrink: float = 0.8,
        max_rotation: float = 45.0,
        rotation_prob: float = 0.5,
        half_body_prob: float = 0.3,
        half_body_min_joints: int = 3,
        half_body_extension: tuple[float, float] = (0.6, 0.8),
        upper_body_prob: float = 0.6915,
        upper_body_ids: Sequence[int] | None = None,
    ) -> None:
        self.extension = extension
        self.random_extension = np.asarray(random_extension, np.float32)
        self.scale_range = scale_range
        self.shrink = shrink
        self.max_rotation = max_rotation
        self.rotation_prob = rotation_prob
        self.half_body_prob = half_body_prob
        self.half_body_min_joints = half_body_min_joints
        self.half_body_extension = np.asarray(half_body_extension, np.float32)
        self.upper_body_prob = upper_body_prob
        self.upper_body_ids = upper_body_ids

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the centre, the size and the rotation."""
        center, size = _center_and_size(results['bbox'])
        size *= (1 + self.extension) * _random_extension(self.random_extension, len(size))

        visible = results['keypoints_visible']
        visible = visible if visible.ndim == 2 else visible[..., 0]
        upper = results['upper_body_ids'] if self.upper_body_ids is None else self.upper_body_ids
        for instance, labelled in enumerate(visible > 0):
            if labelled.sum() <= self.half_body_min_joints or not _happens(self.half_body_prob):
                continue
            half = self._half_body(labelled, upper)
            if half.sum() >= _MIN_HALF_BODY:
                keypoints = results['keypoints'][instance][half, :2]
                low, high = keypoints.min(axis=0), keypoints.max(axis=0)
                center[instance] = (low + high) / 2
                size[instance] = (high - low) * _random_extension(self.half_body_extension)

        size *= self.shrink * np.random.uniform(*self.scale_range, size=(len(size), 1))
        rotation = np.random.uniform(-self.max_rotation, self.max_rotation, size=len(size))
        rotated = np.random.random(len(size)) < self.rotation_prob
        results['bbox_center'] = center
        results['bbox_scale'] = size.astype(np.float32)
        results['bbox_rotation'] = np.where(rotated, rotation, 0).astype(np.float32)
        return results

    def _half_body(self, labelled: np.ndarray, upper_body_ids: Sequence[int]) -> np.ndarray:
        """Which labelled keypoints (K,) are of the half that is chosen."""
        is_upper = np.zeros(len(labelled), bool)
        is_upper[list(upper_body_ids)] = True
        upper, lower = labelled & is_upper, labelled & ~is_upper
        if _happens(self.upper_body_prob) and upper.sum() > _MIN_HALF_BODY:
            return upper
        return lower if lower.sum() > _MIN_HALF_BODY else upper


def _center_and_size(bbox: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centres and sizes, both (N, 2) in image pixels, of boxes (N, 4) of two corners."""
    corners = np.asarray(bbox, np.float32).reshape(-1, 2, 2)
    return corners.mean(axis=1), corners[:, 1] - corners[:, 0]


def _random_extension(most: np.ndarray, *shape: int) -> np.ndarray:
    """Factors (*shape, 2) from 1 to 1 + most."""
    return 1 + np.random.random((*shape, 2)) * most


def _happens(probability: float) -> bool:
    return bool(np.random.random() < probability)
