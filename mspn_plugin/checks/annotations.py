"""Looks for faults in annotation files, before a data set class reads them.

MMPose's classes take what a file says: a fault shows up as an error in the middle of a run, or
nowhere. Here all faults of a file are collected, by the ids of their annotations.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..settings import is_whole
from ..transforms import WHOLE_BODY
from . import faults
from .faults import Found

KEYPOINT_FIELDS: dict[str, Sequence[str] | None] = {
    'CocoWholeBodyDataset': WHOLE_BODY,
    'CocoWholeBodyFaceDataset': None,
    'CocoWholeBodyHandDataset': None,
}
"""Where data set classes of MMPose read keypoints, if not in ``keypoints`` alone; None for those
that have boxes of their own."""

Size = tuple[float, float]


class Examined(NamedTuple):
    """What was found in a file of annotations."""

    found: Found
    sizes: dict[str, Size]  # width and height of each image by its file name
    ids: set[int]  # of the images
    annotations: int
    usable: int  # annotations that can be trained on


def examine(
    content: Any,
    num_keypoints: int | None = None,
    dataset: str = 'CocoDataset',
    with_area: bool = True,
) -> Examined | None:
    """Look for every fault of a file of annotations; None for a format other than COCO's.

    The data set class says how many keypoints there are (not compared without) and where they
    stand. ``with_area`` tells whether evaluation needs ``area``, as COCO's does.
    """
    if not isinstance(content, dict):
        return None
    if not all(isinstance(content.get(part), list) for part in ('images', 'annotations')):
        return None
    fields = KEYPOINT_FIELDS.get(dataset, ('keypoints',))
    if fields is None:
        return None
    found: Found = defaultdict(list)
    sizes, sizes_by_name = _image_sizes(content['images'], found)
    categories = content.get('categories')
    if not isinstance(categories, list):
        found[faults.NO_CATEGORIES].append('`categories`')
        categories = None
    category_ids = [c.get('id') for c in categories or [] if isinstance(c, dict)]
    seen: Counter = Counter()
    usable = 0
    for index, entry in enumerate(content['annotations']):
        entry = entry if isinstance(entry, dict) else {}
        place = f'id {entry["id"]}' if 'id' in entry else f'annotations[{index}]'
        if not all(is_whole(entry.get(key)) for key in ('id', 'image_id', 'category_id')):
            found[faults.MALFORMED].append(place)
            continue
        seen[entry['id']] += 1
        if seen[entry['id']] == 2:
            found[faults.DUPLICATE_ID].append(place)
        if categories is not None and entry['category_id'] not in category_ids:
            found[faults.UNKNOWN_CATEGORY].append(place)
        is_crowd = entry.get('iscrowd', 0)
        if is_crowd not in (0, 1):
            found[faults.CROWD_MALFORMED].append(place)
        if 'bbox' not in entry or any(field not in entry for field in fields):
            found[faults.INCOMPLETE].append(place)
            continue
        keypoints = _keypoints(entry, fields, num_keypoints)
        if keypoints is None:
            found[faults.KEYPOINTS_MALFORMED].append(place)
            continue
        x, y, visible = keypoints
        labelled, is_finite = visible > 0, np.isfinite(x) & np.isfinite(y)
        if not (is_finite | ~labelled).all() or not np.isfinite(visible).all():
            found[faults.KEYPOINT_NOT_FINITE].append(place)
        if (labelled & (x == 0) & (y == 0)).any():
            found[faults.KEYPOINT_AT_ZERO].append(place)
        box = entry['bbox']
        if not (isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))):
            found[faults.BBOX_NOT_FINITE].append(place)
            continue
        is_person = bool(labelled.any()) and is_crowd != 1
        area: Any = entry.get('area')
        if with_area and (not _is_number(area) or (is_person and area <= 0)):
            found[faults.AREA_NOT_POSITIVE].append(place)
        size = sizes.get(entry['image_id'])
        if is_person and (
            entry.get('num_keypoints') == 0 or size is None or not _overlaps(box, size)
        ):
            found[faults.LEFT_OUT].append(place)
        else:
            usable += is_person
    if not usable:
        found[faults.NO_INSTANCE].append(f'{len(content["annotations"])} annotations')
    return Examined(found, sizes_by_name, set(sizes), len(content['annotations']), usable)


def _image_sizes(images: Sequence[Any], found: Found) -> tuple[dict[int, Size], dict[str, Size]]:
    """Width and height of each image by its id, and by its file name."""
    entries: dict[int, Any] = {}
    for index, entry in enumerate(images):
        entry = entry if isinstance(entry, dict) else {}
        place = f'id {entry["id"]}' if 'id' in entry else f'images[{index}]'
        size: tuple[Any, Any] = entry.get('width'), entry.get('height')
        if (
            not is_whole(entry.get('id'))
            or not isinstance(entry.get('file_name'), str)
            or not all(_is_number(length) and length > 0 for length in size)
        ):
            found[faults.ENTRY_MALFORMED].append(place)
            continue
        if entries.setdefault(entry['id'], entry) != entry:
            found[faults.DUPLICATE_ENTRY].append(place)
    sizes = {number: (entry['width'], entry['height']) for number, entry in entries.items()}
    return sizes, {entry['file_name']: sizes[number] for number, entry in entries.items()}


def _keypoints(
    entry: dict[str, Any], fields: Sequence[str], num_keypoints: int | None
) -> np.ndarray | None:
    """x, y and v of all keypoints of an annotation, (3, K); None if they aren't numbers."""
    parts = [entry[field] for field in fields]
    if not all(isinstance(part, list) for part in parts):
        return None
    flat = [value for part in parts for value in part]
    if len(flat) % 3 or not flat or (num_keypoints and len(flat) != 3 * num_keypoints):
        return None
    if not set(map(type, flat)) <= {int, float}:
        return None
    return np.array(flat, float).reshape(-1, 3).T


def _overlaps(box: Sequence[float], size: Size) -> bool:
    """Whether MMPose, which cuts boxes to their image, has something left of one."""
    x, y, width, height = box
    return all(
        min(max(start, 0), end - 1) < min(max(start + length, 0), end - 1)
        for start, length, end in ((x, width, size[0]), (y, height, size[1]))
    )


def examine_detections(content: Any, image_ids: set[int]) -> Found:
    """Look for every fault of a file of COCO detection results (``bbox_file``)."""
    found: Found = defaultdict(list)
    if not isinstance(content, list):
        found[faults.UNREADABLE].append('a list of detections is expected')
        return found
    persons = 0
    for index, entry in enumerate(content):
        entry = entry if isinstance(entry, dict) else {}
        if entry.get('category_id', 1) != 1:
            continue
        persons += 1
        box = entry.get('bbox')
        if (
            'category_id' not in entry
            or not _is_number(entry.get('score'))
            or not (isinstance(box, list) and len(box) >= 4 and all(map(_is_number, box[:4])))
        ):
            found[faults.DETECTION_MALFORMED].append(f'[{index}]')
        if not is_whole(entry.get('image_id')) or entry['image_id'] not in image_ids:
            found[faults.DETECTION_UNKNOWN].append(f'[{index}]')
    if not persons:
        found[faults.NO_DETECTION].append(f'{len(content)} detections')
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and abs(value) < 2**63  # False for NaN
