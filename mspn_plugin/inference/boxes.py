"""Boxes of instances from files: COCO annotations or detection results."""

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import SettingError
from ..files import read_json


class Boxes(NamedTuple):
    """The N instances of one image."""

    corners: np.ndarray  # float32 (N, 4): left, top, right and bottom in pixels
    scores: np.ndarray  # float32 (N,), 1 where a file has none

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

    A file of COCO annotations names its images, and so do results of ``mspn predict``. Detection
    results have the numbers of images only, and those are looked for in the file names, as COCO's
    images have them (``000000397133.jpg``).

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
        self._ids: dict[str, int] = {}  # of images, by their names
        # Left, top, right, bottom and score by the ids of images.
        self._boxes: dict[int, list[list[float]]] = defaultdict(list)
        content = read_json(path)
        try:
            self.is_annotation = isinstance(content, dict)
            if self.is_annotation:
                persons = _annotated_persons(content)
                self._ids = {image['file_name']: image['id'] for image in content['images']}
            else:
                of_images = (entry for entry in content if 'frame' not in entry)
                persons = [entry for entry in of_images if entry.get('category_id', 1) == 1]
                for person in persons:
                    person['image_id'] = number = int(person['image_id'])
                    name = person.get('file_name')
                    if name and self._ids.setdefault(name, number) != number:
                        raise ValueError(f'there are two images {name}')
            for person in persons:
                x, y, width, height = map(float, person['bbox'])
                # What `mspn predict` wrote has the pose's score beside the box's.
                score = float(person.get('bbox_score', person.get('score', 1.0)))
                if self.is_annotation or score >= min_score:
                    self._boxes[person['image_id']].append([x, y, x + width, y + height, score])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SettingError(
                f'the file of boxes {self.path} cannot be read ({type(error).__name__}: {error}); '
                'it is to hold COCO annotations (an object with images and annotations) or COCO '
                'detection results (a list of objects with image_id, category_id, bbox and score)'
            ) from error

    def image_id(self, path: Path) -> int | None:
        """The number of an image: the file's, if it has a name that the path ends with.

        Detections without names mean the number in the image's own. None where there is neither.
        """
        parts = Path(os.path.abspath(path)).parts
        for first in range(len(parts)):
            name = Path(*parts[first:]).as_posix()
            if name in self._ids:
                return self._ids[name]
        return None if self.is_annotation or self._ids else number_in(path)

    def boxes_of(self, path: Path, width: int, height: int) -> Boxes:
        """The boxes of an image, those of annotations cut to it as MMPose's data sets do.

        Raises:
            SettingError: If the file can't be about this image.
        """
        image_id = self.image_id(path)
        if image_id is None:
            raise SettingError(
                f'{path}: {self.path} has no image of this name'
                if self.is_annotation or self._ids
                else f'{path} has no number in its name, by which {self.path} could mean it'
            )
        rows = np.array(self._boxes[image_id], np.float32).reshape(-1, 5)
        if self.is_annotation:
            rows[:, :4] = rows[:, :4].clip(0, [width - 1, height - 1] * 2)
        return Boxes(rows[:, :4], rows[:, 4])


def _annotated_persons(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The annotations of what has keypoints, without crowds."""
    with_keypoints = {c['id'] for c in content.get('categories', []) if c.get('keypoints')}
    return [
        annotation
        for annotation in content['annotations']
        if not annotation.get('iscrowd')
        and (not with_keypoints or annotation['category_id'] in with_keypoints)
    ]


def number_in(path: Path) -> int | None:
    """The number that an image's name is, or ends in: ``COCO_val2014_000000000042.jpg``."""
    match = re.search(r'(?:^|_)(\d+)$', path.stem)
    return int(match[1]) if match else None


def image_ids(paths: Sequence[Path], box_file: BoxFile | None) -> dict[Path, int | None]:
    """The numbers of images for results: a file's, or those of the names, or else from 1 on."""
    if box_file:
        return {path: box_file.image_id(path) for path in paths}
    numbers = [number_in(path) for path in paths]
    has_all = None not in numbers and len(set(numbers)) == len(paths)
    return dict(zip(paths, numbers if has_all else range(1, len(paths) + 1)))
