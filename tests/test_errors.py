"""A user's mistake reaches the user as one message, and no other error is touched."""

import json
import pickle
import subprocess
import sys

import cv2
import pytest

from mspn_plugin.errors import SettingError, plain_message


def die(statement, **environment):
    code = f'from mspn_plugin.errors import SettingError, show_plainly\nshow_plainly()\n{statement}'
    return subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, env=environment or None
    )


def test_a_command_prints_the_message_and_no_traceback():
    done = die('raise SettingError("num_stages is 0; it takes 1 or more")')
    assert done.returncode == 1
    assert 'mspn_plugin: num_stages is 0; it takes 1 or more' in done.stderr
    assert 'Traceback' not in done.stderr


def test_the_traceback_is_there_on_request():
    assert 'Traceback' in die('raise SettingError("no")', MSPN_TRACEBACK='1').stderr


def test_other_errors_keep_their_traceback():
    assert 'Traceback' in die('open("there is no such file")').stderr


def test_a_setting_error_is_found_behind_the_error_that_a_framework_made_of_it():
    with pytest.raises(RuntimeError) as caught:
        try:
            raise SettingError('kernel_sizes is (4,); it takes odd numbers')
        except SettingError as error:
            raise RuntimeError('while building') from error
    assert plain_message(caught.value) == 'kernel_sizes is (4,); it takes odd numbers'


def test_a_missing_annotation_file_names_the_file_and_the_setting(tmp_path):
    from mmpose.datasets import CocoDataset

    with pytest.raises((AssertionError, FileNotFoundError)) as caught:
        CocoDataset(data_root=str(tmp_path), ann_file='annotations/none.json')
    message = plain_message(caught.value)
    assert str(tmp_path / 'annotations/none.json') in message
    assert 'COCO_ROOT' in message and 'data_root' in message


def test_a_missing_checkpoint_names_the_file(tmp_path):
    import torch
    from mmengine.runner.checkpoint import load_checkpoint

    with pytest.raises(FileNotFoundError) as caught:
        load_checkpoint(torch.nn.Linear(1, 1), str(tmp_path / 'none.pth'))
    message = plain_message(caught.value)
    assert str(tmp_path / 'none.pth') in message and 'load_from' in message


def test_annotations_without_keypoints_are_recognised(rendered, tmp_path):
    from mmpose.datasets import CocoDataset

    source = rendered / 'annotations' / 'person_keypoints_train2017.json'
    content = json.loads(source.read_text())
    for annotation in content['annotations']:
        del annotation['keypoints']
    (tmp_path / 'boxes.json').write_text(json.dumps(content))

    with pytest.raises(ValueError) as caught:
        CocoDataset(ann_file=str(tmp_path / 'boxes.json'))
    message = plain_message(caught.value)
    assert str(tmp_path / 'boxes.json') in message and 'keypoints' in message


@pytest.mark.parametrize(
    'spoil, place',
    [
        (lambda person: person.pop('category_id'), ''),
        (lambda person: person.update(bbox=[1, 2, 3]), 'annotation {id} of '),
    ],
)
def test_annotations_that_a_data_set_class_cannot_read_are_named(rendered, tmp_path, spoil, place):
    from mmpose.datasets import CocoDataset

    source = rendered / 'annotations' / 'person_keypoints_train2017.json'
    content = json.loads(source.read_text())
    spoil(content['annotations'][2])
    (tmp_path / 'persons.json').write_text(json.dumps(content))
    with pytest.raises((KeyError, ValueError)) as caught:
        CocoDataset(ann_file=str(tmp_path / 'persons.json'))
    message = plain_message(caught.value)
    place = place.format(**content['annotations'][2])
    assert message.startswith(f'{place}{tmp_path / "persons.json"} cannot be loaded')
    assert 'mspn check' in message


def first_loaded(samples):
    from mmpose.datasets.transforms import LoadImage

    return LoadImage().transform(samples[0])


@pytest.mark.parametrize('content', ['<html>', ''])
@pytest.mark.parametrize('workers', [0, 1])
def test_a_picture_that_cannot_be_read_is_named(tmp_path, content, workers):
    from torch.utils.data import DataLoader

    file = tmp_path / 'page.jpg'
    file.write_text(content)
    loader = DataLoader([{'img_path': str(file)}], collate_fn=first_loaded, num_workers=workers)
    with pytest.raises((AssertionError, cv2.error)) as caught:
        list(loader)
    assert plain_message(caught.value).startswith(f'{file} cannot be read as a picture')


@pytest.mark.parametrize(
    'content, said', [(b'', 'is it complete'), (b'no checkpoint', 'it is refused')]
)
def test_a_checkpoint_that_cannot_be_read_is_named(tmp_path, content, said):
    import torch
    from mmengine.runner.checkpoint import load_checkpoint

    file = tmp_path / 'cut.pth'
    file.write_bytes(content)
    with pytest.raises((EOFError, pickle.UnpicklingError)) as caught:
        load_checkpoint(torch.nn.Linear(1, 1), str(file))
    message = plain_message(caught.value)
    assert message.startswith(str(file)) and said in message and 'load_from' in message
