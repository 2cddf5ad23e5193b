"""Parts that don't fit together are named."""

import json
import shutil

import pytest
from mmengine.registry import init_default_scope
from mmpose.datasets import CocoDataset
from mmpose.evaluation import CocoMetric
from support.small_model import CODEC, estimator

from mspn_plugin import SettingError
from mspn_plugin.checks.fit import (
    check_annotations,
    check_files,
    check_fit,
    check_images,
    check_metric,
    check_model,
)
from mspn_plugin.checks.sources import Source


@pytest.fixture(autouse=True)
def mmpose_scope():
    init_default_scope('mmpose')


def pipeline(codec=CODEC, crop=(96, 128)):
    return [
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale'),
        dict(type='TopdownAffine', input_size=crop),
        dict(type='GenerateTarget', encoder=codec),
        dict(type='PackPoseInputs'),
    ]


def settings(folder, **changes):
    return dict(
        dict(
            data_root=str(folder),
            ann_file='annotations/person_keypoints_train2017.json',
            data_prefix=dict(img='train2017/'),
        ),
        **changes,
    )


def training_set(folder, codec=CODEC, crop=(96, 128)):
    return CocoDataset(**settings(folder, pipeline=pipeline(codec, crop)))


@pytest.fixture
def folder(rendered, tmp_path):
    """A copy of the rendered people that a test may spoil."""
    return shutil.copytree(rendered, tmp_path / 'coco')


def test_parts_that_fit_pass(rendered):
    dataset, model = training_set(rendered), estimator()
    check_model(model)
    check_images(dataset, 'train')
    check_fit(dataset, model, 'train')


def test_another_number_of_stages_names_both_settings():
    with pytest.raises(SettingError, match=r'backbone\.num_stages is 1 .*head\.num_stages is 2'):
        check_model(estimator(num_stages=2))


def test_another_number_of_keypoints_names_both_settings(rendered):
    with pytest.raises(SettingError, match=r"CocoDataset's .* is 17 .*out_channels is 16"):
        check_fit(training_set(rendered), estimator(out_channels=16), 'train_dataloader.dataset')


def test_another_crop_names_both_settings(rendered):
    dataset = training_set(rendered, crop=(192, 256))
    with pytest.raises(SettingError, match=r'input_size is \(192, 256\).*\(96, 128\)'):
        check_fit(dataset, estimator(), 'train_dataloader.dataset')


def test_two_codecs_in_one_config_are_told_apart(rendered):
    dataset = training_set(rendered, codec=dict(CODEC, kernel_sizes=(11, 9, 7, 5, 3)))
    with pytest.raises(
        SettingError, match=r'encoder.kernel_sizes is \(11, .*decoder.kernel_sizes is \(15, '
    ):
        check_fit(dataset, estimator(), 'train_dataloader.dataset')


def test_a_list_is_as_good_as_a_tuple(rendered):
    codec = dict(type='MegviiHeatmap', heatmap_size=[24, 32], kernel_size=11)
    head = dict(coarse_to_fine=False, decoder=dict(codec, input_size=(96, 128)))
    dataset = training_set(rendered, codec=dict(codec, input_size=[96, 128]))
    check_fit(dataset, estimator(**head), 'train_dataloader.dataset')


def test_another_skeleton_is_counted_as_its_converter_gives_it(rendered):
    converter = dict(type='KeypointConverter', num_keypoints=5, mapping=[(0, 0), (1, 1)])
    dataset = CocoDataset(**settings(rendered, pipeline=[converter]))
    check_fit(dataset, estimator(out_channels=5), 'train_dataloader.dataset')
    with pytest.raises(SettingError, match=r'keypoints is 5 .*out_channels is 17'):
        check_fit(dataset, estimator(), 'train_dataloader.dataset')


@pytest.mark.parametrize('draw_on_device', [False, True])
def test_the_pipeline_alone_says_who_draws(rendered, draw_on_device):
    codec = dict(CODEC, draw_on_device=draw_on_device)
    dataset = training_set(rendered, codec=codec)
    model = estimator()
    check_fit(dataset, model, 'train_dataloader.dataset')
    sample = dataset[0]
    losses = model.loss(sample['inputs'][None].float(), [sample['data_samples']])
    assert losses['loss_kpt'].isfinite()


def test_missing_images_are_counted_and_named(folder):
    dataset = training_set(folder)
    gone = dataset.get_data_info(0)['img_path']
    (folder / 'train2017' / gone.rsplit('/', 1)[1]).unlink()
    with pytest.raises(SettingError, match=rf'1 of \d+ images .* exist: {gone}.*data_prefix'):
        check_images(dataset, 'train_dataloader.dataset')


def spoil_first(folder, **fields):
    """Change fields of the first annotation of the training set, and give its id."""
    file = folder / 'annotations' / 'person_keypoints_train2017.json'
    content = json.loads(file.read_text())
    content['annotations'][0].update(fields)
    file.write_text(json.dumps(content))
    return content['annotations'][0]['id']


def source(folder, training=True, **cfg):
    cfg = dict(
        type='CocoDataset',
        data_root=str(folder),
        ann_file='annotations/person_keypoints_train2017.json',
        **cfg,
    )
    use = dict(training=True) if training else dict(evaluation=True)
    return Source(['train_dataloader.dataset'], cfg, **use)


def test_annotations_that_would_spoil_training_are_named_by_their_ids(folder):
    number = spoil_first(folder, keypoints=[float('nan'), 1, 2] * 17)
    with pytest.raises(SettingError) as error:
        check_annotations(source(folder))
    message = str(error.value)
    assert message.startswith('train_dataloader.dataset has faults')
    assert 'person_keypoints_train2017.json: 1 annotation: a labelled keypoint' in message
    assert f'(id {number})' in message and 'mspn check CONFIG' in message


def test_annotations_with_other_keypoints_than_the_class_declares_are_named(folder):
    number = spoil_first(folder, keypoints=[1, 1, 2] * 16)
    with pytest.raises(SettingError, match=rf'data set class declares.* \(id {number}\)'):
        check_annotations(source(folder))


def test_what_only_evaluation_needs_stops_no_training(folder):
    spoil_first(folder, area=None)
    evaluated = source(folder, training=False)
    check_annotations(source(folder))
    check_annotations(evaluated)
    evaluated.metrics = [dict(type='CocoMetric')]
    with pytest.raises(SettingError, match='`area` is not a number'):
        check_annotations(evaluated)


@pytest.mark.parametrize('content', ['', '{"images": [', '<html>'])
def test_a_file_that_is_no_json_is_named(folder, content):
    (folder / 'annotations' / 'person_keypoints_train2017.json').write_text(content)
    with pytest.raises(SettingError, match=r'train2017\.json is not a whole JSON file'):
        check_annotations(source(folder))


@pytest.mark.parametrize('field', ['ann_file', 'bbox_file'])
def test_a_missing_file_names_the_setting_and_the_variable_that_sets_its_folder(folder, field):
    data = source(folder)
    data.cfg[field] = str(folder / 'none.json')
    with pytest.raises(SettingError, match=rf'{field}, .*none\.json, does not exist.*COCO_ROOT'):
        check_files(data)


def test_a_metric_that_lacks_the_images_is_named(rendered):
    dataset = training_set(rendered)
    annotations = rendered / 'annotations'
    check_metric(dataset, CocoMetric(str(annotations / 'person_keypoints_train2017.json')), 'a')
    other = CocoMetric(str(annotations / 'person_keypoints_val2017.json'))
    with pytest.raises(SettingError, match=r'val_evaluator: the annotations .* lack 8 of 8'):
        check_metric(dataset, other, 'val_evaluator')
