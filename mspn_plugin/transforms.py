"""The step of the loader's pipeline that keeps COCO's three kinds of visibility apart."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmpose.registry import TRANSFORMS

from .errors import SettingError

_BODY_PARTS = ('keypoints', 'foot_kpts', 'face_kpts', 'lefthand_kpts', 'righthand_kpts')


@TRANSFORMS.register_module()
class KeepVisibility(BaseTransform):
    """Carry COCO's visibility v through the pipeline: 0 unlabelled, 1 occluded, 2 clearly visible.

    MMPose's data sets read v as min(v, 1). Its transforms do carry a second value per joint through
    flips and crops, ``GenerateTarget`` calls it ``keypoints_visible_weights``, and this transform
    fills it in. ``MultiStageHeatmapHead(empty_occluded=True)`` needs it.

    It stands in front of ``RandomFlip``, because the annotation is not mirrored with the image.

    Required Keys:

        - raw_ann_info
        - keypoints_visible, of shape (N, K)

    Modified Keys:

        - keypoints_visible, of shape (N, K, 2): whether the joint is labelled (what was there), and
          1 where it is clearly visible, else 0
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the second value.

        Args:
            results (dict): What the data set gave for one sample.

        Returns:
            dict: The same, with ``keypoints_visible`` changed.

        Raises:
            SettingError: If the transform stands in the wrong place, or the data set has no v.
        """
        if results.get('flip') is not None:
            raise SettingError(
                'KeepVisibility must stand before RandomFlip in the pipeline: the annotation that '
                'it reads is not mirrored'
            )
        labelled = results['keypoints_visible']
        if labelled.ndim != 2:
            raise SettingError(
                'KeepVisibility needs keypoints_visible of shape (N, K), got '
                f'{labelled.shape}: it must stand once, and no other transform may use the second '
                'value'
            )
        persons = results.get('raw_ann_info')
        if persons is None:
            raise SettingError(
                "KeepVisibility needs COCO's annotation of the person (raw_ann_info), and the data "
                f'set {results.get("dataset_name", "in use")} gives none'
            )
        persons = [persons] if isinstance(persons, Mapping) else persons
        values = np.stack([_values(person, labelled.shape[1]) for person in persons])
        if values.shape != labelled.shape:
            raise SettingError(
                f'KeepVisibility found annotations of {len(values)} persons for '
                f'{len(labelled)} in the sample'
            )
        clear = (values >= 2).astype(labelled.dtype)
        results['keypoints_visible'] = np.stack([labelled, clear], axis=-1)
        return results


def _values(person: Mapping[str, Any], num_joints: int) -> np.ndarray:
    triples: list[float] = []
    for part in _BODY_PARTS:  # COCO-WholeBody's annotation is in parts
        if len(triples) < 3 * num_joints:
            triples.extend(person.get(part, []))
    if len(triples) != 3 * num_joints:
        raise SettingError(
            f'KeepVisibility found {len(triples) / 3:g} joints in the annotation of a person, and '
            f'the data set has {num_joints}: its annotation is not as in COCO'
        )
    return np.array(triples[2::3])
