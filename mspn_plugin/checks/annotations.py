"""Looks for faults in annotation files, before a data set class reads them.

MMPose's classes take what a file says: a fault shows up as an error in the middle of a run, or
nowhere. Here all faults of a file are collected, by the ids of their annotations.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine import fileio

from ..errors import SettingError
from ..settings import is_whole
from . import faults
from .faults import Found, Kind

JOINT_FIELDS = {
    'CocoWholeBodyDataset': (
        'keypoints',
        'foot_kpts',
        'face_kpts',
        'lefthand_kpts',
        'righthand_kpts',
    )
}
"""Where data set classes of MMPose read joints, if not in ``keypoints`` alone."""


class Examined(NamedTuple):
    """What was found in a file of annotations.

    Attributes:
        found (dict[Kind, list[str]]): Places by kind of fault.
        sizes (dict[str, tuple[int, int]]): Width and height of each picture by its file name,
            where the file states them.
        ids (set[int]): The ids of the images.
        annotations (int): How many annotations there are.
        persons (int): How many of them can be trained on.
        crowds (int): How many are crowd regions, which COCO ignores.
    """

    found: Found
    sizes: dict[str, tuple[int, int]]
    ids: set[int]
    annotations: int = 0
    persons: int = 0
    crowds: int = 0


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Args:
        path (str | Path): The file, or a URL.

    Returns:
        Its content. ``NaN`` and ``Infinity`` are read as numbers, as MMPose's readers do.

    Raises:
        SettingError: If there is none, or it is not JSON.
    """
    try:
        return json.loads(fileio.get(str(path)))
    except OSError as error:
        raise SettingError(f'{path}: {error.strerror or error}') from error
    except ValueError as error:
        raise SettingError(f'{path} is not a whole JSON file ({error})') from error


def examine_files(
    ann_file: str,
    bbox_file: str | None = None,
    joints: int | None = None,
    dataset: str = 'CocoDataset',
    with_area: bool = True,
) -> tuple[Examined, Found] | None:
    """Look for every fault of the files of a data set.

    Args:
        ann_file (str): Its annotations.
        bbox_file (str, optional): Its detections. Then it takes pictures from the annotations, and
            no persons.
        joints, dataset, with_area: See :func:`examine`.

    Returns:
        tuple[Examined, dict] | None: What was found in the annotations, and in the detections; None
        for a format other than COCO's and MPII's.

    Raises:
        SettingError: If a file cannot be read.
    """
    examined = examine(read_json(ann_file), joints, dataset, with_area)
    if examined is None or not bbox_file:
        return examined and (examined, {})
    examined.found.pop(faults.NO_PERSON, None)
    return examined, examine_detections(read_json(bbox_file), examined.ids)


def examine(
    content: Any, joints: int | None = None, dataset: str = 'CocoDataset', with_area: bool = True
) -> Examined | None:
    """Look for every fault of a file of annotations.

    Args:
        content: What :func:`read_json` gave.
        joints (int, optional): How many joints the data set class declares; not compared without.
        dataset (str): The data set class, which says where joints are looked for.
        with_area (bool): Whether evaluation needs ``area``, as COCO's does.

    Returns:
        Examined | None: The faults; None for a format other than COCO's and MPII's.
    """
    if isinstance(content, dict) and all(
        isinstance(content.get(part), list) for part in ('images', 'annotations')
    ):
        return _coco(content, joints, JOINT_FIELDS.get(dataset, ('keypoints',)), with_area)
    if (
        isinstance(content, list)
        and content
        and all(isinstance(entry, dict) and 'joints' in entry for entry in content)
    ):
        return _mpii(content, joints)
    return None


def _coco(
    content: dict[str, Any], joints: int | None, fields: Sequence[str], with_area: bool
) -> Examined:
    found: Found = defaultdict(list)
    sizes, names = _images(content['images'], found)
    categories = content.get('categories')
    known = None
    if isinstance(categories, list):
        known = {c['id'] for c in categories if isinstance(c, dict) and is_whole(c.get('id'))}
    else:
        found[faults.NO_CATEGORIES].append('`categories`')

    kept: list[tuple[str, dict[str, Any], list[float]]] = []  # place, annotation, x y v ...
    seen: dict[Any, int] = {}
    crowds = 0
    for index, entry in enumerate(content['annotations']):
        if not isinstance(entry, dict):
            found[faults.NOT_AN_OBJECT].append(f'annotations[{index}]')
            continue
        number, image_id = entry.get('id'), entry.get('image_id')
        place = f'id {number}' if 'id' in entry else f'annotations[{index}]'
        if not (is_whole(number) and is_whole(image_id) and is_whole(entry.get('category_id'))):
            found[faults.LACKS_FIELDS].append(place)
            continue
        seen[number] = seen.get(number, 0) + 1
        if seen[number] == 2:
            found[faults.DUPLICATE_ID].append(place)
        if image_id not in sizes:
            found[faults.UNKNOWN_IMAGE].append(place)
        if known is not None and entry['category_id'] not in known:
            found[faults.UNKNOWN_CATEGORY].append(place)
        crowd = entry.get('iscrowd', 0)
        if crowd not in (0, 1):
            found[faults.CROWD_MALFORMED].append(place)
        crowds += crowd == 1
        if with_area and not _number(entry.get('area')):
            found[faults.AREA_MISSING].append(place)
        if any(field not in entry for field in fields):
            found[faults.KEYPOINTS_MISSING].append(place)
            continue
        flat = _joined(entry, fields)
        if flat is None or len(flat) % 3 or not flat or (joints and len(flat) != 3 * joints):
            found[faults.KEYPOINTS_MALFORMED].append(place)
            continue
        if 'bbox' not in entry:
            found[faults.BBOX_MISSING].append(place)
            continue
        box = entry['bbox']
        if not (isinstance(box, list) and len(box) == 4 and all(map(_number, box))):
            found[faults.BBOX_NOT_FINITE].append(place)
            continue
        kept.append((place, entry, flat))

    # Files may mix skeletons where no number of joints is declared.
    by_length: dict[int, list[tuple[str, dict[str, Any], list[float]]]] = defaultdict(list)
    for person in kept:
        by_length[len(person[2])].append(person)
    persons = sum(_people(people, sizes, with_area, found) for people in by_length.values())
    if not persons:
        found[faults.NO_PERSON].append(f'{len(content["annotations"])} annotations')
    return Examined(found, names, set(sizes), len(content['annotations']), persons, crowds)


def _images(
    images: Sequence[Any], found: Found
) -> tuple[dict[int, tuple[int, int]], dict[str, tuple[int, int]]]:
    """Width and height of each image by its id, and by its file name."""
    sizes: dict[int, tuple[int, int]] = {}
    names: dict[str, tuple[int, int]] = {}
    entries: dict[int, Any] = {}
    for index, image in enumerate(images):
        given: dict[str, Any] = image if isinstance(image, dict) else {}
        number: Any = given.get('id')
        size: tuple[Any, Any] = given.get('width'), given.get('height')
        place = f'id {number}' if 'id' in given else f'images[{index}]'
        if (
            not is_whole(number)
            or not isinstance(given.get('file_name'), str)
            or not all(_number(length) and length > 0 for length in size)
        ):
            found[faults.IMAGE_MALFORMED].append(place)
        if not is_whole(number):
            continue
        if number in entries:
            same = entries[number] == given
            found[faults.REPEATED_IMAGE if same else faults.DUPLICATE_IMAGE].append(place)
        entries[number] = given
        sizes[number] = size if all(map(_number, size)) else (0, 0)
        if isinstance(given.get('file_name'), str):
            names[given['file_name']] = sizes[number]
    return sizes, names


def _people(
    people: Sequence[tuple[str, dict[str, Any], list[float]]],
    sizes: dict[int, tuple[int, int]],
    with_area: bool,
    found: Found,
) -> int:
    """Look at the numbers of many persons at once; returns how many can be trained on."""
    places = [place for place, _, _ in people]
    entries = [entry for _, entry, _ in people]
    joints = np.array([flat for _, _, flat in people], float).reshape(len(people), -1, 3)
    boxes = np.array([entry['bbox'] for entry in entries], float)
    size = np.array([sizes.get(entry['image_id'], (np.inf, np.inf)) for entry in entries], float)
    crowd = np.array([entry.get('iscrowd') == 1 for entry in entries])
    counted = np.array([_count(entry.get('num_keypoints')) for entry in entries], float)

    def report(kind: Kind, wrong: np.ndarray) -> None:
        if wrong.any():
            found[kind] += [places[i] for i in np.flatnonzero(wrong)]

    xy, v = joints[..., :2], joints[..., 2]
    with np.errstate(invalid='ignore'):
        labelled, finite = v > 0, np.isfinite(xy).all(-1)
        labels = labelled.sum(1)
        corner = np.clip(boxes[:, :2], 0, np.maximum(size - 1, 0))
        opposite = np.clip(boxes[:, :2] + boxes[:, 2:], 0, np.maximum(size - 1, 0))
        empty = (opposite <= corner).any(1)
        outside = ((xy < 0) | (xy > size[:, None])).any(-1)
    report(faults.JOINT_NOT_FINITE, ((labelled & ~finite) | ~np.isfinite(v)).any(1))
    report(faults.BLANK_JOINT_NOT_FINITE, (~labelled & ~finite & np.isfinite(v)).any(1))
    report(faults.STRANGE_VISIBILITY, (np.isfinite(v) & ~np.isin(v, (0, 1, 2))).any(1))
    report(faults.JOINT_AT_ZERO, (labelled & (xy == 0).all(-1)).any(1))
    report(faults.JOINT_OUTSIDE, (labelled & finite & outside).any(1))
    person = ~crowd & (labels > 0)
    report(faults.BBOX_EMPTY, person & empty)
    report(faults.WRONG_COUNT, ((counted == 0) != (labels == 0)) & ~np.isinf(counted) & ~crowd)
    if with_area:
        area = np.array([a if _number(a := entry.get('area')) else 1 for entry in entries], float)
        report(faults.AREA_NOT_POSITIVE, person & (area <= 0))
    in_a_picture = np.array([entry['image_id'] in sizes for entry in entries])
    return int((person & ~empty & (counted != 0) & in_a_picture).sum())


def _joined(entry: dict[str, Any], fields: Sequence[str]) -> list[float] | None:
    """All joints of an annotation, x, y, v, ...; None if they aren't numbers."""
    flat: list[float] = []
    for field in fields:
        part = entry[field]
        if not isinstance(part, list):
            return None
        flat += part
    if not set(map(type, flat)) <= {int, float}:
        return None
    try:
        return list(map(float, flat))
    except OverflowError:  # whole numbers have no limit in JSON
        return None


def _mpii(content: Sequence[dict[str, Any]], joints: int | None) -> Examined:
    found: Found = defaultdict(list)
    names: Counter = Counter()
    for index, entry in enumerate(content):
        place = f'[{index}]'
        name = entry.get('image')
        if not isinstance(name, str) or not name.split('.')[0].isdigit():
            found[faults.IMAGE_MALFORMED].append(place)
        else:
            names[name] += 1
        try:
            box = np.array([*entry['center'], entry['scale']], float)
            xy = np.array(entry['joints'], float)
            visible = np.array(entry['joints_vis'], float)
        except (KeyError, TypeError, ValueError):
            found[faults.KEYPOINTS_MALFORMED].append(place)
            continue
        if box.shape != (3,) or not np.isfinite(box).all():
            found[faults.BBOX_NOT_FINITE].append(place)
        elif box[2] <= 0:
            found[faults.BBOX_EMPTY].append(place)
        if xy.shape != (joints or len(xy), 2) or visible.shape != (len(xy),):
            found[faults.KEYPOINTS_MALFORMED].append(place)
        elif not np.isfinite(xy[visible > 0]).all() or not np.isfinite(visible).all():
            found[faults.JOINT_NOT_FINITE].append(place)
    return Examined(found, {}, set(), len(content), len(content))


def examine_detections(content: Any, images: set[int]) -> Found:
    """Look for every fault of a file of COCO detection results (``bbox_file``).

    Args:
        content: What :func:`read_json` gave.
        images (set[int]): The ids of the images that the annotations have.

    Returns:
        dict[Kind, list[str]]: Places by kind of fault.
    """
    found: Found = defaultdict(list)
    if not isinstance(content, list):
        found[faults.UNREADABLE].append('a list of detections is expected')
        return found
    persons = 0
    for index, entry in enumerate(content):
        place = f'[{index}]'
        given = entry if isinstance(entry, dict) else {}
        box = given.get('bbox')
        if 'category_id' in given and given['category_id'] != 1:
            continue
        persons += 1
        if (
            'category_id' not in given
            or not _number(given.get('score'))
            or not (isinstance(box, list) and len(box) >= 4 and all(map(_number, box[:4])))
        ):
            found[faults.DETECTION_MALFORMED].append(place)
        elif box[2] <= 0 or box[3] <= 0:
            found[faults.DETECTION_EMPTY].append(place)
        if given.get('image_id') not in images:
            found[faults.DETECTION_UNKNOWN].append(place)
    if not persons:
        found[faults.NO_DETECTION].append(f'{len(content)} detections')
    return found


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and abs(value) < 2**63  # False for NaN


def _count(value: Any) -> float:
    """``num_keypoints``; infinity where it is left out, and MMPose counts itself."""
    return np.inf if value is None else value if _number(value) else np.nan
