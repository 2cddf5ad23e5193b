"""Faults of annotation files are found, and named by the ids of their annotations."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.spoiled_data import HARMLESS_PERSONS, NAN, SPOILED_PERSONS, Data

from mspn_plugin.checks import faults
from mspn_plugin.checks.annotations import examine, examine_detections
from mspn_plugin.checks.faults import findings

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize('training', [True, False], ids=['training', 'evaluation'])
def test_every_fault_is_named_by_its_id_and_judged_by_its_use(rendered, tmp_path, training):
    data = Data(rendered, tmp_path / 'coco')
    for number, (change, *_) in SPOILED_PERSONS.items():
        data.add_person(number, change)
    found = findings(examine(data.content, 17).found, training, not training)
    named = {(finding.kind, finding.severity, place) for finding in found for place in finding[2]}
    expected = {
        (kind, in_training if training else in_evaluation, f'id {number}')
        for number, (_, kind, in_training, in_evaluation) in SPOILED_PERSONS.items()
    }
    assert named == {entry for entry in expected if entry[1] is not None}


def test_what_mmpose_reads_rightly_is_no_fault(rendered, tmp_path):
    data = Data(rendered, tmp_path / 'coco')
    before = examine(data.content, 17)
    for number, change in HARMLESS_PERSONS.items():
        data.add_person(number, change)
    examined = examine(data.content, 17)
    assert not findings(examined.found, True, True)
    assert examined.usable == before.usable + 3


def test_ids_that_stand_twice_are_named(rendered, tmp_path):
    data = Data(rendered, tmp_path / 'coco')
    data.add_person(data.person['id'])
    data.content['images'].append(dict(data.image))
    data.content['images'].append({**data.content['images'][1], 'file_name': 'other.jpg'})
    assert examine(data.content, 17).found == {
        faults.DUPLICATE_ID: [f'id {data.person["id"]}'],
        faults.DUPLICATE_ENTRY: [f'id {data.content["images"][1]["id"]}'],
    }


def test_entries_that_are_no_annotations_or_images_are_named_by_their_place():
    found = examine({'images': [{'file_name': 'a.jpg'}], 'annotations': [[1], {}]}).found
    assert found[faults.ENTRY_MALFORMED] == ['images[0]']
    assert found[faults.MALFORMED] == ['annotations[0]', 'annotations[1]']
    assert faults.NO_CATEGORIES in found and faults.NO_INSTANCE in found


@pytest.mark.parametrize(
    'file, dataset, num_keypoints, with_area',
    [
        ('coco/annotations/person_keypoints_train2017.json', 'CocoDataset', 17, True),
        ('coco_wholebody/test_coco_wholebody.json', 'CocoWholeBodyDataset', 133, True),
        ('crowdpose/test_crowdpose.json', 'CrowdPoseDataset', 14, False),
        ('ap10k/test_ap10k.json', 'AP10KDataset', 17, True),
    ],
)
def test_real_annotations_have_no_faults(shared_data, file, dataset, num_keypoints, with_area):
    content = json.loads((shared_data / file).read_text())
    examined = examine(content, num_keypoints, dataset, with_area)
    assert examined.usable and not findings(examined.found, True, True)


def test_another_format_is_not_judged():
    assert examine([{'joints': [[1, 2]], 'image': '1.jpg'}]) is None
    assert examine({'images': {}, 'annotations': []}) is None


def test_faulty_detections_are_named_by_their_place():
    good = {'image_id': 1, 'category_id': 1, 'bbox': [1, 2, 30, 40], 'score': 0.5}
    detections = [
        good,
        {**good, 'image_id': 4242},
        {**good, 'bbox': [1, NAN, 3, 4]},
        {**good, 'category_id': 2, 'bbox': None},
    ]
    assert examine_detections(detections, {1}) == {
        faults.DETECTION_UNKNOWN: ['[1]'],
        faults.DETECTION_MALFORMED: ['[2]'],
    }
    assert examine_detections(detections[3:], {1}) == {faults.NO_DETECTION: ['1 detections']}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_nothing_that_json_can_hold_ends_the_examination(data):
    person = dict(
        id=1,
        image_id=1,
        category_id=1,
        bbox=[1.0, 2.0, 3.0, 4.0],
        keypoints=[1.0, 2.0, 2.0] * 2,
        num_keypoints=2,
        area=5.0,
        iscrowd=0,
    )
    content = {
        'images': [dict(id=1, file_name='a.jpg', width=10, height=10)],
        'annotations': [person, dict(person, id=2)],
        'categories': [dict(id=1)],
    }
    for _ in range(data.draw(st.integers(1, 4))):
        part = data.draw(st.sampled_from(sorted(content)))
        entry = content[part][-1]
        entry[data.draw(st.sampled_from(sorted(entry)))] = data.draw(JSON)
    found = examine(content, 2).found
    assert all(places for places in found.values())
