"""A run whose parts don't fit together stops before its first step, with one message."""

import json
import shutil

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from support.small_model import CODEC, small_config

from mspn_plugin import SettingError, config_path

TRAIN = 'annotations/person_keypoints_train2017.json'


@pytest.fixture
def folder(rendered, tmp_path):
    """A copy of the rendered people that a test may spoil."""
    return shutil.copytree(rendered, tmp_path / 'coco')


def refusal(folder, **options):
    """The message that ends a training, which has made no step."""
    runner = Runner.from_cfg(small_config(folder, folder / 'work', **options))
    runner.model.train_step = lambda *args: pytest.fail('the run went on')
    with pytest.raises(SettingError) as error:
        runner.train()
    return str(error.value)


def test_settings_that_do_not_fit_are_named(folder):
    said = refusal(folder, **{'model.head.out_channels': 16})
    assert "CocoDataset's number of keypoints is 17" in said and 'out_channels is 16' in said
    said = refusal(folder, **{'model.head.decoder': dict(CODEC, kernel_sizes=(9, 9, 9, 7, 5))})
    assert 'GenerateTarget: encoder.kernel_sizes' in said and 'model.head.decoder' in said
    said = refusal(folder, **{'model.head.num_stages': 3})
    assert 'backbone.num_stages is 2' in said and 'head.num_stages is 3' in said


@pytest.mark.parametrize(
    'spoil, text',
    [
        (lambda person: person.update(bbox=[float('nan'), 1, 2, 3]), 'four finite numbers'),
        (lambda person: person.update(bbox=[1, 2, 3]), 'four finite numbers'),
        (lambda person: person.pop('category_id'), 'category_id'),
    ],
)
def test_faulty_annotations_are_named_though_mmpose_cannot_read_them(folder, spoil, text):
    content = json.loads((folder / TRAIN).read_text())
    spoil(content['annotations'][0])
    (folder / TRAIN).write_text(json.dumps(content))
    said = refusal(folder)
    assert text in said and str(folder / TRAIN) in said
    assert f'(id {content["annotations"][0]["id"]})' in said


def test_annotations_without_keypoints_are_named(folder):
    content = json.loads((folder / TRAIN).read_text())
    for annotation in content['annotations']:
        del annotation['keypoints']
    (folder / TRAIN).write_text(json.dumps(content))
    said = refusal(folder)
    assert str(folder / TRAIN) in said and 'no person with a box, `keypoints`' in said


def test_missing_files_are_named(folder):
    shutil.rmtree(folder / 'train2017')
    assert f'do not exist: {folder / "train2017"}' in refusal(folder)
    (folder / TRAIN).unlink()
    said = refusal(folder)
    assert f'ann_file, {folder / TRAIN}, does not exist' in said and 'COCO_ROOT' in said


def test_a_test_names_the_missing_files_of_its_data_and_its_metric(folder, tmp_path):
    data = dict(
        batch_size=1,
        sampler=dict(type='DefaultSampler'),
        dataset=dict(
            type='CocoDataset',
            data_root=str(folder),
            ann_file='annotations/person_keypoints_val2017.json',
            data_prefix=dict(img='val2017/'),
            test_mode=True,
        ),
    )
    metric = dict(type='CocoMetric', ann_file=str(tmp_path / 'none.json'))
    options = dict(test_cfg={}, test_dataloader=data, test_evaluator=metric)
    cfg = small_config(folder, tmp_path / 'work', **options)
    with pytest.raises(SettingError, match=r"its metric's ann_file, .*none\.json, does not exist"):
        Runner.from_cfg(cfg).test()
    cfg.test_dataloader.dataset.ann_file = 'annotations/gone.json'
    with pytest.raises(SettingError, match=r'test_dataloader.*gone\.json, does not exist'):
        Runner.from_cfg(cfg).test()


def test_a_switch_lets_a_run_go_on_with_faulty_annotations(folder):
    content = json.loads((folder / TRAIN).read_text())
    content['annotations'].append(content['annotations'][0])
    (folder / TRAIN).write_text(json.dumps(content))
    hooks = [dict(type='PreflightHook', check_annotations=False)]
    cfg = small_config(folder, folder / 'work', custom_hooks=hooks)
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter > 0


def joined(part, pipeline):
    """A data set that has another one as its part, and a pipeline."""
    return dict(
        type='CombinedDataset',
        metainfo=dict(from_file='configs/_base_/datasets/coco.py'),
        datasets=[dict(part, pipeline=[])],
        pipeline=pipeline,
        _delete_=True,
    )


@pytest.mark.parametrize('kind', ['CombinedDataset', 'RepeatDataset'])
def test_transforms_of_joined_and_repeated_data_sets_are_compared_too(folder, kind):
    cfg = small_config(folder, folder / 'work')
    other = [dict(step) for step in cfg.train_dataloader.dataset.pipeline]
    (step,) = (step for step in other if step['type'] == 'GenerateTarget')
    step['encoder'] = dict(step['encoder'], kernel_sizes=(9, 9, 9, 7, 5))
    part = dict(cfg.train_dataloader.dataset, pipeline=other)
    data = joined(part, other)
    if kind == 'RepeatDataset':
        data = dict(type=kind, dataset=part, times=2, _delete_=True)
    said = refusal(folder, **{'train_dataloader.dataset': data})
    assert 'GenerateTarget: encoder.kernel_sizes' in said


def test_a_joined_data_set_is_evaluated_by_a_metric_with_a_file(rendered, tmp_path):
    cfg = Config.fromfile(config_path('mspn_synthetic'))
    data = cfg.val_dataloader
    data.update(num_workers=0, persistent_workers=False)
    data.dataset.update(data_root=f'{rendered}/')
    metric = dict(ann_file=f'{rendered}/{TRAIN.replace("train", "val")}')
    data.dataset = joined(data.dataset, data.dataset.pipeline)
    options = {'val_cfg': {}, 'val_dataloader': data, 'val_evaluator': metric}
    assert 'coco/AP' in Runner.from_cfg(small_config(rendered, tmp_path / 'work', **options)).val()


@pytest.mark.parametrize('stages', [2, 4])
def test_a_number_of_stages_that_changes_nothing_is_told(folder, stages, monkeypatch):
    runner = Runner.from_cfg(small_config(folder, folder / 'work', num_stages=stages))
    warnings = []
    monkeypatch.setattr(runner.logger, 'warning', warnings.append)
    runner.train()
    told = [text for text in warnings if text.startswith('num_stages=4 of the config changes')]
    assert len(told) == (stages == 4)


@pytest.mark.parametrize('trains', [True, False])
def test_a_training_starts_from_a_backbone_and_a_test_needs_every_weight(
    folder, trains, monkeypatch
):
    runner = Runner.from_cfg(small_config(folder, folder / 'work'))
    weights = runner.model.state_dict()
    backbone = {key: value for key, value in weights.items() if key.startswith('backbone.')}
    torch.save({'state_dict': backbone, 'meta': {}}, folder / 'backbone.pth')
    runner._load_from = str(folder / 'backbone.pth')
    told = []
    monkeypatch.setattr(runner.logger, 'warning', told.append)
    if trains:
        runner._train_loop = runner.build_train_loop(runner._train_loop)
        runner.load_or_resume()
        assert any('weights are skipped, and start at random' in text for text in told)
    else:
        with pytest.raises(SettingError, match='of another network'):
            runner.load_or_resume()
