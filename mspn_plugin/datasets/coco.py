"""COCO's keypoints, and its layout of files::

    DIR/train2017/*.jpg
    DIR/val2017/*.jpg
    DIR/annotations/person_keypoints_train2017.json
    DIR/annotations/person_keypoints_val2017.json

MMPose's ``CocoDataset`` and ``CocoMetric`` read what is written here as they read COCO.
"""

import json
from pathlib import Path
from typing import Any

from mmpose.datasets.datasets import CocoDataset
from mmpose.datasets.datasets.utils import parse_pose_metainfo

_METAINFO = parse_pose_metainfo(CocoDataset.METAINFO)

KEYPOINTS: tuple[str, ...] = tuple(_METAINFO['keypoint_id2name'].values())
"""The names of COCO's 17 keypoints, in its order."""

SKELETON: tuple[tuple[int, int], ...] = tuple(_METAINFO['skeleton_links'])
"""The links between keypoints, as pairs of indices from 0."""


def image_folder(root: Path, split: str) -> Path:
    """The folder of the images of 'train' or 'val'; it need not exist."""
    return root / f'{split}2017'


def write_annotations(
    root: Path,
    split: str,
    images: list[dict[str, Any]],
    annotations: list[dict[str, Any]],
    info: dict[str, Any],
    license: dict[str, Any],
) -> None:
    """Write COCO's records of one split, 'train' or 'val', below the data set's folder.

    The annotations are of persons, category 1, and all images have one license.
    """
    category = dict(
        id=1,
        name='person',
        supercategory='person',
        keypoints=KEYPOINTS,
        skeleton=[(a + 1, b + 1) for a, b in SKELETON],  # COCO counts from 1 here
    )
    content = dict(
        info=info,
        licenses=[license],
        images=images,
        annotations=annotations,
        categories=[category],
    )
    path = root / 'annotations' / f'person_keypoints_{split}2017.json'
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content), encoding='utf-8')
