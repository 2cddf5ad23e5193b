"""Parts that don't fit together are named before the first step."""

import json
import shutil

import pytest
from mmengine.registry import init_default_scope
from mmpose.datasets import CocoDataset
from mmpose.registry import MODELS

from mspn_plugin.errors import SettingError
from mspn_plugin.preflight import check_dataset, check_fit, check_model

CODEC = dict(type='CoarseToFineHeatmap', input_size=(96, 128), heatmap_size=(24, 32))


@pytest.fixture(autouse=True)
def mmpose_scope():
    init_default_scope('mmpose')


def estimator(**head):
    backbone = dict(
        type='MSPNBackbone', num_stages=1, stem_channels=8, unit_channels=16, num_blocks=[1] * 4
    )
    head = dict(dict(num_stages=1, unit_channels=16, out_channels=17, decoder=CODEC), **head)
    return MODELS.build(
        dict(
            type='TopdownPoseEstimator',
            backbone=backbone,
            head=dict(type='MultiStageHeatmapHead', **head),
        )
    )


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
