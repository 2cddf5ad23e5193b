"""Boxes are read from COCO annotations and from detection results."""

import json
from pathlib import Path

import numpy as np
import pytest

from mspn_plugin import SettingError
from mspn_plugin.inference.boxes import BoxFile, image_ids, number_in


def test_annotations_give_their_persons_without_crowds_cut_to_the_image(images_and_boxes):
    folder, boxes = images_and_boxes
    found = BoxFile(boxes).boxes_of(folder / '000000000003.png', 160, 120)
    assert found.corners.tolist() == [[10, 10, 70, 100], [90, 20, 159, 110]]
    assert found.scores.tolist() == [1, 1]
    with pytest.raises(SettingError, match='has no image of this name'):
        BoxFile(boxes).boxes_of(folder / '000000000004.png', 160, 120)


def test_images_of_one_name_are_told_apart_by_their_folders(tmp_path):
    images = [dict(id=i, file_name=f'{folder}/a.jpg') for i, folder in enumerate('xy', start=1)]
    path = tmp_path / 'boxes.json'
    path.write_text(json.dumps(dict(images=images, annotations=[])))
    file = BoxFile(path)
    assert file.image_id(tmp_path / 'y' / 'a.jpg') == 2
    assert file.image_id(tmp_path / 'z' / 'a.jpg') is None


def test_detections_of_persons_are_taken_from_a_score_on(tmp_path):
    path = tmp_path / 'found.json'
    person = dict(image_id=3, category_id=1, score=0.9)
    entries = [
        dict(person, bbox=[-20, -20, 50, 50]),
        dict(person, bbox=[500, 20, 50, 50]),
        dict(person, bbox=[5, 5, 0, 50]),
        dict(person, bbox=[1, 1, 50, 50], score=0.1),
        dict(person, bbox=[1, 1, 50, 50], category_id=18),
    ]
    path.write_text(json.dumps(entries))
    file = BoxFile(path, min_score=0.3)
    boxes = file.boxes_of(Path('x/000000000003.jpg'), 160, 120)
    assert boxes.corners.tolist() == [[-20, -20, 30, 30], [500, 20, 550, 70], [5, 5, 5, 55]]
    assert boxes.overlapping(160, 120).tolist() == [True, False, False]
    with pytest.raises(SettingError, match='no number in its name'):
        file.boxes_of(Path('holiday.jpg'), 160, 120)


def poses(*named, **fields):
    """What ``mspn predict`` writes of images of these names and numbers."""
    box = dict(category_id=1, bbox=[1, 2, 30, 40], bbox_score=0.9, score=0.2)
    return [dict(box, file_name=name, image_id=number, **fields) for name, number in named]


def test_earlier_results_keep_the_scores_of_their_boxes_and_go_by_names_alone(tmp_path):
    path = tmp_path / 'keypoints.json'
    path.write_text(json.dumps(poses(('x.jpg', 1)) + poses(('clip.mp4', 2), frame=0)))
    file = BoxFile(path, min_score=0.3)
    assert file.boxes_of(Path('x.jpg'), 160, 120).scores.tolist() == [np.float32(0.9)]
    with pytest.raises(SettingError, match='has no image of this name'):
        file.boxes_of(Path('photo_1.jpg'), 160, 120)


def test_earlier_results_of_two_images_of_one_name_are_refused(tmp_path):
    path = tmp_path / 'keypoints.json'
    path.write_text(json.dumps(poses(('x.jpg', 1), ('x.jpg', 2))))
    with pytest.raises(SettingError, match='there are two images x'):
        BoxFile(path)


def test_numbers_of_images_may_be_text(tmp_path):
    path = tmp_path / 'found.json'
    path.write_text('[{"image_id": "000000000139", "bbox": [1, 2, 3, 4], "score": 1}]')
    assert len(BoxFile(path).boxes_of(Path('000000000139.jpg'), 160, 120).corners) == 1


def test_a_link_is_known_by_its_own_name(tmp_path):
    path = tmp_path / 'boxes.json'
    path.write_text(json.dumps(dict(images=[dict(id=4, file_name='a.jpg')], annotations=[])))
    (tmp_path / 'a.jpg').symlink_to(tmp_path / '3f9a')
    assert BoxFile(path).image_id(tmp_path / 'a.jpg') == 4


@pytest.mark.parametrize(
    'content',
    [
        '{"a": 1}',
        '{"images": [{}], "annotations": []}',
        '[1, 2]',
        'x,y',
        '[{"image_id": 1}]',
        '[{"image_id": 1, "bbox": [1, 2, 3]}]',
    ],
)
def test_a_file_without_boxes_is_refused(content, tmp_path):
    path = tmp_path / 'boxes.json'
    path.write_text(content)
    with pytest.raises(SettingError, match=r'boxes\.json'):
        BoxFile(path)


def test_numbers_are_taken_from_cocos_names_only():
    assert number_in(Path('000000000042.jpg')) == 42
    assert number_in(Path('COCO_val2014_000000000042.jpg')) == 42
    assert number_in(Path('IMG2041.jpg')) is None


def test_images_without_clear_numbers_are_counted():
    clear = [Path('000000000003.jpg'), Path('a_7.jpg')]
    assert list(image_ids(clear, None).values()) == [3, 7]
    assert list(image_ids([*clear, Path('holiday.jpg')], None).values()) == [1, 2, 3]
    assert list(image_ids([*clear, Path('b_7.jpg')], None).values()) == [1, 2, 3]
