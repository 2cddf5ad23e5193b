"""Persons' boxes from files: COCO annotations or detection results."""

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import SettingError

PERSON = 1
"""The category of persons in COCO's detection results, which carry no names."""


class Boxes(NamedTuple):
    """The persons of one picture.

    Attributes:
        corners (np.ndarray): float32 left, top, right and bottom in pixels, (N, 4).
        scores (np.ndarray): float32 scores of the boxes, (N,), 1 where a file has none.
        complaints (list[str]): One message for each box that could not be used.
    """

    corners: np.ndarray
    scores: np.ndarray
    complaints: list[str]


def whole_picture(width: int, height: int) -> Boxes:
    """One box around everything."""
    return Boxes(np.array([[0, 0, width, height]], np.float32), np.ones(1, np.float32), [])


class BoxFile:
    """What a file of boxes says, picture by picture.

    A file of COCO annotations names its pictures. Detection results have the numbers of pictures
    only, and those are looked for in the file names, as COCO's pictures have them
    (``000000397133.jpg``); results of ``mspn_plugin.commands.predict`` carry a ``file_name`` too.

    Args:
        path (str | Path): A JSON file of COCO annotations, in which crowds and categories other
            than those with joints are left out, or of COCO detection results, in which categories
            other than 1 (person) are.
        min_score (float): Detections below it are left out.

    Raises:
        SettingError: If it is no such file.
    """

    def __init__(self, path: str | Path, min_score: float = 0.0) -> None:
        self.path = Path(path)
        self.is_annotation = False
        self._ids: dict[str, list[tuple[str, int]]] = defaultdict(list)
        self._persons: dict[int, list[tuple[Sequence[float], float]]] = defaultdict(list)
        content = self._read()
        if isinstance(content, dict) and {'images', 'annotations'} <= set(content):
            self.is_annotation = True
            self._take_annotations(content)
        elif isinstance(content, list) and all(isinstance(entry, dict) for entry in content):
            self._take_detections(content, min_score)
        else:
            kind = 'a list' if isinstance(content, list) else f'a {type(content).__name__}'
            if isinstance(content, dict):
                kind = f'an object with {", ".join(list(content)[:5]) or "nothing in it"}'
            raise SettingError(
                f'{self.path} holds {kind}; boxes are read from COCO annotations (an object with '
                'images and annotations) or from COCO detection results (a list of objects with '
                'image_id, category_id, bbox and score)'
            )

    def _read(self) -> Any:
        try:
            return json.loads(self.path.read_text(encoding='utf-8'))
        except OSError as error:
            raise SettingError(f'the file of boxes {self.path}: {error.strerror}') from error
        except ValueError as error:
            raise SettingError(
                f'the file of boxes {self.path} is not JSON ({error}); COCO annotations or '
                'detection results fit'
            ) from error

    def _take_annotations(self, content: dict[str, Any]) -> None:
        categories = [c for c in content.get('categories', []) if c.get('keypoints')]
        wanted = {category['id'] for category in categories}
        for index, image in enumerate(content['images']):
            self._name(index, 'images', image.get('file_name'), image.get('id'))
        for index, annotation in enumerate(content['annotations']):
            if annotation.get('iscrowd') or (
                wanted and annotation.get('category_id') not in wanted
            ):
                continue
            box = self._box('annotations', index, annotation)
            self._persons[annotation['image_id']].append((box, 1.0))

    def _take_detections(self, content: list[dict[str, Any]], min_score: float) -> None:
        for index, entry in enumerate(content):
            if entry.get('category_id', PERSON) != PERSON:
                continue
            box, score = self._box('entry', index, entry), entry.get('score', 1.0)
            if not isinstance(score, (int, float)):
                raise SettingError(f'{self.path}, entry {index}: score is {score!r}, not a number')
            if 'file_name' in entry:
                self._name(index, 'entry', entry['file_name'], entry['image_id'])
            if score >= min_score:
                self._persons[entry['image_id']].append((box, float(score)))

    def _name(self, index: int, where: str, file_name: Any, image_id: Any) -> None:
        if not isinstance(file_name, str) or not isinstance(image_id, int):
            raise SettingError(
                f'{self.path}, {where} {index}: a picture needs a file_name and a whole number as '
                f'its id, and has {file_name!r} and {image_id!r}'
            )
        named = (file_name, image_id)
        if named not in self._ids[Path(file_name).name]:
            self._ids[Path(file_name).name].append(named)

    def _box(self, where: str, index: int, entry: dict[str, Any]) -> list[float]:
        box, image_id = entry.get('bbox'), entry.get('image_id')
        try:
            numbers = [float(number) for number in box or []]
        except (TypeError, ValueError):
            numbers = []
        if len(numbers) != 4 or not np.isfinite(numbers).all() or not isinstance(image_id, int):
            raise SettingError(
                f'{self.path}, {where} {index}: bbox={box!r}, image_id={image_id!r}; a box is '
                '[left, top, width, height] in pixels, and a picture has a whole number'
            )
        return numbers

    def image_id(self, picture: Path) -> int | None:
        """The number that the file has for a picture, or that stands in the picture's name.

        Args:
            picture (Path): Where the picture lies.

        Returns:
            int | None: The number; None where the file can't be about this picture.
        """
        named = self._ids.get(picture.name, [])
        if len(named) > 1:
            place = picture.resolve().as_posix()
            named = [(name, image_id) for name, image_id in named if place.endswith('/' + name)]
        if named:
            return named[0][1]
        return None if self.is_annotation else number_in(picture)

    def of(self, picture: Path, width: int, height: int) -> Boxes | None:
        """The persons of a picture, where they lie inside of it at least in part.

        Args:
            picture (Path): Where the picture lies.
            width (int): Its width in pixels.
            height (int): Its height in pixels.

        Returns:
            Boxes | None: Its persons; None where the file can't be about this picture.
        """
        image_id = self.image_id(picture)
        if image_id is None:
            return None
        corners, scores, complaints = [], [], []
        for (x, y, w, h), score in self._persons.get(image_id, []):
            left, top, right, bottom = x, y, x + w, y + h
            if self.is_annotation:  # as MMPose's data sets do
                left, right = np.clip((left, right), 0, width - 1)
                top, bottom = np.clip((top, bottom), 0, height - 1)
            if min(right, width) <= max(left, 0) or min(bottom, height) <= max(top, 0):
                complaints.append(
                    f'the box {[x, y, w, h]} has nothing of the picture, which has '
                    f'{width}x{height} pixels; it is left out'
                )
                continue
            corners.append((left, top, right, bottom))
            scores.append(score)
        return Boxes(
            np.array(corners, np.float32).reshape(-1, 4), np.array(scores, np.float32), complaints
        )


def number_in(picture: Path) -> int | None:
    """The number that a picture's name is, or ends in: ``COCO_val2014_000000000042.jpg``."""
    match = re.search(r'(?:^|_)(\d+)$', picture.stem)
    return int(match[1]) if match else None
