"""Calibrations that are too small are refused, and so are files in int8 that lose too much."""

import json

import cv2
import numpy as np
import pytest

from mspn_plugin import SettingError
from mspn_plugin.inference import quantize
from mspn_plugin.inference.fused import fuse
from mspn_plugin.inference.quantize import MIN_PERSONS, export_int8, find_persons

pytest.importorskip('onnxruntime')


@pytest.fixture
def photographs(tmp_path):
    """As many images as are needed."""
    folder = tmp_path / 'photographs'
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(1, MIN_PERSONS + 1):
        coarse = rng.integers(0, 255, (6, 8, 3), np.uint8)
        cv2.imwrite(str(folder / f'{number:012d}.png'), cv2.resize(coarse, (160, 120)))
    return folder


def test_too_few_images_are_refused_with_the_number_needed(trained, photographs):
    for path in sorted(photographs.iterdir())[3:]:
        path.unlink()
    with pytest.raises(SettingError, match=f'only 3 persons; int8 needs at least {MIN_PERSONS}'):
        find_persons(fuse(trained), [str(photographs)], None)


def test_images_without_persons_are_refused(trained, photographs, tmp_path):
    (tmp_path / 'boxes.json').write_text(json.dumps([]))
    with pytest.raises(SettingError, match=r'have no person with a box in .*boxes\.json'):
        find_persons(fuse(trained), [str(photographs)], tmp_path / 'boxes.json')


def test_persons_are_taken_from_all_over_the_images(trained, photographs, tmp_path, monkeypatch):
    monkeypatch.setattr(quantize, 'MAX_PERSONS', MIN_PERSONS)
    boxes = [
        dict(image_id=number, category_id=1, score=1, bbox=[0, 0, 9, 9])
        for number in range(1, MIN_PERSONS + 1)
        for _ in range(2)
    ]
    (tmp_path / 'boxes.json').write_text(json.dumps(boxes))
    persons = find_persons(fuse(trained), [str(photographs)], tmp_path / 'boxes.json')
    assert [person.image_id for person in persons] == list(range(1, MIN_PERSONS + 1))


def test_no_images_are_refused(trained, tmp_path):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(SettingError, match='holds no images'):
        find_persons(fuse(trained), [str(tmp_path / 'empty')], None)


def test_int8_that_moves_keypoints_far_leaves_no_file(trained, photographs, monkeypatch, tmp_path):
    monkeypatch.setattr(quantize, 'MOVED_LIMIT', 0.0)
    persons = find_persons(fuse(trained), [str(photographs)], None)
    with pytest.raises(SettingError, match=r'of the crop on average; at most 0\.00'):
        export_int8(fuse(trained), tmp_path / 'a.onnx', persons)
    assert list(tmp_path.iterdir()) == [photographs]
