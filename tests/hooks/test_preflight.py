"""Parts that don't fit together are named before the first step."""

import json
import shutil

import pytest
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpose.datasets import CocoDataset
from support.small_model import CODEC, estimator, small_config

from mspn_plugin import config_path
from mspn_plugin.errors import SettingError
from mspn_plugin.hooks.preflight import check_annotations, check_dataset, check_fit, check_model


@pytest.fixture(autouse=True)
def mmpose_scope():
    init_default_scope('mmpose')


def training_set(folder, codec=CODEC, crop=(96, 128)):
    return CocoDataset(
        data_root=str(folder),
        ann_file='annotations/person_keypoints_train2017.json',
        data_prefix=dict(img='train2017/'),
        pipeline=[
            dict(type='LoadImage'),
            dict(type='GetBBoxCenterScale'),
            dict(type='TopdownAffine', input_size=crop),
            dict(type='GenerateTarget', encoder=codec),
            dict(type='PackPoseInputs'),
        ],
    )


@pytest.fixture
def folder(rendered, tmp_path):
    """A copy of the rendered people that a test may spoil."""
    return shutil.copytree(rendered, tmp_path / 'coco')


def rewrite(folder, change):
    """Change every annotation of the training set in place."""
    file = folder / 'annotations' / 'person_keypoints_train2017.json'
    content = json.loads(file.read_text())
    for annotation in content['annotations']:
        change(annotation)
    file.write_text(json.dumps(content))


def test_parts_that_fit_pass(rendered):
    dataset, model = training_set(rendered), estimator()
    check_model(model)
    check_dataset(dataset, 'train')
    check_fit(dataset, model, 'train')


def test_another_number_of_stages_names_both_settings():
    with pytest.raises(SettingError, match=r'backbone\.num_stages is 1 .*head\.num_stages is 2'):
        check_model(estimator(num_stages=2))


def test_another_number_of_joints_names_both_settings(rendered):
    with pytest.raises(SettingError, match=r'CocoDataset has 17 joints .*out_channels is 16'):
        check_fit(training_set(rendered), estimator(out_channels=16), 'train_dataloader.dataset')


def test_another_crop_names_both_settings(rendered):
    dataset = training_set(rendered, crop=(192, 256))
    with pytest.raises(SettingError, match=r'input_size is \(192, 256\).*\(96, 128\)'):
        check_fit(dataset, estimator(), 'train_dataloader.dataset')


def test_two_codecs_in_one_config_are_told_apart(rendered):
    dataset = training_set(rendered, codec=dict(CODEC, kernel_sizes=(11, 9, 7, 5, 3)))
    with pytest.raises(SettingError, match=r'kernel_sizes=\(11, .*kernel_sizes=\(15, '):
        check_fit(dataset, estimator(), 'train_dataloader.dataset')


def test_annotations_with_other_joints_name_the_first_one(folder):
    rewrite(folder, lambda annotation: annotation.update(keypoints=annotation['keypoints'][:48]))
    with pytest.raises(SettingError, match=r'annotation \d+ in .*train2017.json has 16 keypoints'):
        check_dataset(training_set(folder), 'train_dataloader.dataset')


def test_missing_pictures_are_counted_and_named(folder):
    dataset = training_set(folder)
    gone = dataset.get_data_info(0)['img_path']
    (folder / 'train2017' / gone.rsplit('/', 1)[1]).unlink()
    with pytest.raises(SettingError, match=rf'1 of \d+ pictures .* do not exist: {gone}'):
        check_dataset(dataset, 'train_dataloader.dataset')


def test_a_missing_folder_of_pictures_is_named(folder):
    dataset = training_set(folder)
    shutil.rmtree(folder / 'train2017')
    with pytest.raises(SettingError, match=r'folder of pictures .*train2017 does not exist'):
        check_dataset(dataset, 'train_dataloader.dataset')


def spoil_first(folder, **fields):
    """Change fields of the first annotation of the training set, and give its id."""
    file = folder / 'annotations' / 'person_keypoints_train2017.json'
    content = json.loads(file.read_text())
    content['annotations'][0].update(fields)
    file.write_text(json.dumps(content))
    return content['annotations'][0]['id']


def test_annotations_that_would_spoil_training_are_named_by_their_ids(folder):
    number = spoil_first(folder, keypoints=[float('nan'), 1, 2] * 17)
    with pytest.raises(SettingError) as error:
        check_annotations(training_set(folder), 'train_dataloader.dataset', training=True)
    message = str(error.value)
    assert message.startswith('train_dataloader.dataset has faults')
    assert 'person_keypoints_train2017.json: 1 annotation: a labelled joint' in message
    assert f'(id {number})' in message and 'mspn check CONFIG' in message


def test_what_only_evaluation_needs_stops_no_training(folder):
    spoil_first(folder, area=None)
    dataset = training_set(folder)
    check_annotations(dataset, 'train_dataloader.dataset', training=True)
    check_annotations(dataset, 'val_dataloader.dataset', training=False, with_area=False)
    with pytest.raises(SettingError, match='`area` is missing'):
        check_annotations(dataset, 'val_dataloader.dataset', training=False)


def test_the_hook_stops_a_run_before_its_first_step(folder, tmp_path):
    nine = dict(CODEC, kernel_sizes=(9, 9, 9, 7, 5), unbiased=True)
    number = spoil_first(folder, bbox=[float('nan'), 1, 2, 3])
    for options, names in (
        ({'model.head.out_channels': 16}, ['CocoDataset has 17', 'out_channels is 16']),
        ({'model.head.decoder': nine}, ['GenerateTarget', 'kernel_sizes', 'model.head.decoder']),
        ({'model.head.num_stages': 3}, ['backbone.num_stages is 2', 'head.num_stages is 3']),
        ({}, ['bbox', f'id {number}', 'person_keypoints_train2017.json']),
    ):
        runner = Runner.from_cfg(small_config(folder, tmp_path / 'work', **options))
        with pytest.raises(SettingError) as error:
            runner.train()
        assert all(name in str(error.value) for name in names), str(error.value)
        assert runner.iter == 0


@pytest.mark.slow
def test_a_codec_that_does_not_fit_the_head_ends_the_command_in_one_message(folder, tmp_path):
    from support.shell import GROUND_TRUTH_BOXES, message, mim

    shutil.copy(config_path('mspn_coco'), tmp_path / 'mspn_coco.py')
    options = [*GROUND_TRUTH_BOXES, 'model.head.decoder.kernel_sizes=(9,9,9,7,5)']
    said = message(mim('train', 'mspn_coco.py', cwd=tmp_path, coco_root=folder, options=options))
    assert 'train_dataloader.dataset.pipeline, GenerateTarget' in said
    assert 'kernel_sizes=(15, 11, 9, 7, 5)' in said and 'kernel_sizes=(9, 9, 9, 7, 5)' in said


def test_a_metric_that_lacks_the_pictures_is_named(rendered):
    from mmpose.evaluation import CocoMetric

    from mspn_plugin.hooks.preflight import check_metric

    dataset = training_set(rendered)
    annotations = rendered / 'annotations'
    check_metric(dataset, CocoMetric(str(annotations / 'person_keypoints_train2017.json')), 'a')
    other = CocoMetric(str(annotations / 'person_keypoints_val2017.json'))
    with pytest.raises(SettingError, match=r'val_evaluator: the annotations .* lack 8 of 8'):
        check_metric(dataset, other, 'val_evaluator')
