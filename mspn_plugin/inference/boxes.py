"""Boxes of instances from files: COCO annotations or detection results."""

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import SettingError
from ..files import read_json

PERSON = 1
"""The category of persons in COCO's detection results, which carry no names."""


class Boxes(NamedTuple):
    """The instances of one image.

    Attributes:
        corners (np.ndarray): float32 left, top, right and bottom in pixels, (N, 4).
        scores (np.ndarray): float32 scores of the boxes, (N,), 1 where a file has none.
    """

    corners: np.ndarray
    scores: np.ndarray

    def overlapping(self, width: int, height: int) -> np.ndarray:
        """Which boxes have a part of an image of this size, (N,)."""
        left, top = np.maximum(self.corners[:, :2], 0).T
        right, bottom = np.minimum(self.corners[:, 2:], (width, height)).T
        return (left < right) & (top < bottom)


def whole_image(width: int, height: int) -> Boxes:
    """One box around everything."""
    return Boxes(np.array([[0, 0, width, height]], np.float32), np.ones(1, np.float32))


class BoxFile:
    """What a file of boxes says, image by image.

    A file of COCO annotations names its images. Detection results have the numbers of images only,
    and those are looked for in the file names, as COCO's images have them (``000000397133.jpg``);
    results of ``mspn predict`` carry a ``file_name`` too.

    Args:
        path (str | Path): A JSON file of COCO annotations, in which crowds and categories other
            than those with keypoints are left out, or of COCO detection results, in which
            categories other than 1 (person) are.
        min_score (float): Detections below it are left out.

    Raises:
        SettingError: If it is no such file.
    """

    def __init__(self, path: str | Path, min_score: float = 0.0) -> None:
        self.path = Path(path)
        # The ids of images by the last part of their names, then by their names.
        self._ids: dict[str, dict[str, int]] = defaultdict(dict)
        # Left, top, width, height and score by the ids of images.
        self._boxes: dict[int, list[list[float]]] = defaultdict(list)
        content = read_json(self.path)
        self.is_annotation = isinstance(content, dict)
        if isinstance(content, list):
            for index, entry in enumerate(content):
                self._read_detection(f'entry {index}', entry, min_score)
        elif isinstance(content, dict) and {'images', 'annotations'} <= set(content):
            self._read_annotations(content)
        else:
            raise SettingError(
                f'{self.path} holds neither COCO annotations (an object with images and '
                'annotations) nor COCO detection results (a list of objects with image_id, '
                'category_id, bbox and score)'
            )

    def _read_annotations(self, content: Mapping[str, Any]) -> None:
        wanted = {c['id'] for c in content.get('categories', []) if c.get('keypoints')}
        try:
            for image in content['images']:
                self._name(image['file_name'], image['id'])
        except (KeyError, TypeError) as error:
            raise SettingError(f'{self.path}: an image without file_name or id') from error
        for index, annotation in enumerate(content['annotations']):
            is_wanted = not wanted or annotation.get('category_id') in wanted
            if is_wanted and not annotation.get('iscrowd'):
                self._add(f'annotations {index}', {**annotation, 'score': 1.0})

    def _read_detection(self, where: str, entry: Any, min_score: float) -> None:
        if not isinstance(entry, dict):
            raise SettingError(f'{self.path}, {where}: {entry!r} is no detection')
        if entry.get('category_id', PERSON) == PERSON:
            self._add(where, entry, min_score)
            if 'file_name' in entry:
                self._name(entry['file_name'], entry['image_id'])

    def _name(self, file_name: str, image_id: int) -> None:
        self._ids[Path(file_name).name][file_name] = image_id

    def _add(self, where: str, entry: Mapping[str, Any], min_score: float = 0.0) -> None:
        try:
            x, y, width, height = map(float, entry['bbox'])
            image_id, score = int(entry['image_id']), float(entry.get('score', 1.0))
            is_finite = math.isfinite(x + y + width + height + score)
        except (KeyError, TypeError, ValueError):
            is_finite = False
        if not is_finite:
            raise SettingError(
                f'{self.path}, {where}: {entry}; an instance needs an image_id, a bbox [left, top, '
                'width, height] in pixels and a score'
            )
        if score >= min_score:
            self._boxes[image_id].append([x, y, width, height, score])

    def image_id(self, path: Path) -> int | None:
        """The number that the file has for an image, or that stands in the image's name.

        Args:
            path (Path): Where the image lies.

        Returns:
            int | None: The number; None where the file can't be about this image.
        """
        ids = self._ids.get(path.name, {})
        if len(ids) > 1:
            place = path.resolve().as_posix()
            ids = {name: image_id for name, image_id in ids.items() if place.endswith(f'/{name}')}
        if ids:
            return next(iter(ids.values()))
        return None if self.is_annotation else number_in(path)

    def boxes_of(self, path: Path, width: int, height: int) -> Boxes:
        """The boxes of an image, those of annotations cut to it as MMPose's data sets do.

        Args:
            path (Path): Where the image lies.
            width (int): Its width in pixels.
            height (int): Its height in pixels.

        Returns:
            Boxes: Its instances, those outside of it included.

        Raises:
            SettingError: If the file can't be about this image.
        """
        image_id = self.image_id(path)
        if image_id is None:
            raise SettingError(
                f'{path}: {self.path} has no image of this name'
                if self.is_annotation
                else f'{path} has no number in its name, by which {self.path} could mean it'
            )
        rows = np.array(self._boxes.get(image_id, []), np.float64).reshape(-1, 5)
        corners = np.concatenate((rows[:, :2], rows[:, :2] + rows[:, 2:4]), axis=1)
        if self.is_annotation:
            corners = corners.clip(0, [width - 1, height - 1] * 2)
        return Boxes(corners.astype(np.float32), rows[:, 4].astype(np.float32))


def number_in(path: Path) -> int | None:
    """The number that an image's name is, or ends in: ``COCO_val2014_000000000042.jpg``."""
    match = re.search(r'(?:^|_)(\d+)$', path.stem)
    return int(match[1]) if match else None


def image_ids(paths: Sequence[Path], box_file: BoxFile | None) -> dict[Path, int]:
    """The numbers of images for results.

    Args:
        paths (Sequence[Path]): Where the images lie.
        box_file (BoxFile, optional): Its numbers are taken.

    Returns:
        dict[Path, int]: Numbers of the file, or else of the names; none at all where not every
        image has one of its own in its name.
    """
    ids = {path: box_file.image_id(path) if box_file else number_in(path) for path in paths}
    known = {path: number for path, number in ids.items() if number is not None}
    is_clear = len(set(known.values())) == len(paths)
    return known if box_file or is_clear else {}
