"""The report says at once everything that could end or spoil a run."""

import json
import re
from pathlib import Path

import pytest
from support.spoiled_data import NAN, TRAIN, config

from mspn_plugin import config_path
from mspn_plugin.checks import faults
from mspn_plugin.checks.annotations import examine
from mspn_plugin.checks.report import check, in_words
from mspn_plugin.checks.sources import sources


class TestConfig:
    def test_a_data_set_of_validation_and_test_is_looked_at_once(self, rendered):
        train, both = sources(config(rendered))
        assert train.settings == ['train_dataloader.dataset'] and train.training
        assert both.settings == ['val_dataloader.dataset', 'test_dataloader.dataset']
        assert both.evaluation and not both.training and both.metrics

    def test_everything_that_does_not_fit_is_said_at_once(self, rendered, tmp_path):
        report = check(
            config(
                rendered,
                **{
                    'model.head.out_channels': 16,
                    'model.head.num_stages': 3,
                    'load_from': str(tmp_path / 'none.pth'),
                    'train_dataloader.dataset.type': 'NoSuchDataset',
                    'val_evaluator.ann_file': str(tmp_path / 'none.json'),
                    'test_evaluator.ann_file': str(tmp_path / 'none.json'),
                },
            ),
            images=False,
            cost=False,
        )
        said = in_words(report)
        assert 'backbone.num_stages is 2 and model.head.num_stages is 3' in said
        assert "CocoDataset's number of keypoints is 17 and model.head.out_channels is 16" in said
        assert 'NoSuchDataset' in said
        assert str(tmp_path / 'none.pth') in said and str(tmp_path / 'none.json') in said

    def test_the_metrics_of_an_evaluator_are_looked_at(self, rendered):
        cfg = config(rendered)
        cfg.test_evaluator = dict(type='Evaluator', metrics=[cfg.test_evaluator])
        assert not check(cfg, images=False, cost=False).errors()

    def test_the_transforms_of_joined_data_sets_are_looked_at(self, rendered):
        cfg = config(rendered)
        part = cfg.train_dataloader.dataset
        step = dict(type='TopdownAffine', input_size=(64, 64))
        cfg.train_dataloader.dataset = dict(
            type='CombinedDataset', datasets=[part], metainfo={}, pipeline=[step]
        )
        said = in_words(check(cfg, images=False, cost=False))
        assert 'train_dataloader.dataset.pipeline, TopdownAffine: input_size is (64, 64)' in said

    def test_a_loader_without_a_data_set_is_named_beside_the_other_findings(self, rendered):
        cfg = config(rendered, **{'model.head.num_stages': 3})
        del cfg.train_dataloader['dataset']
        said = in_words(check(cfg, images=False, cost=False))
        assert 'train_dataloader has no `dataset`' in said
        assert 'backbone.num_stages is 2 and model.head.num_stages is 3' in said

    @pytest.mark.parametrize('part', ['Hand', 'Face'])
    def test_classes_with_boxes_of_their_own_are_left_to_them(self, part):
        content = dict(images=[], annotations=[])
        assert examine(content, 21, f'CocoWholeBody{part}Dataset') is None

    def test_detections_are_looked_at(self, rendered, tmp_path):
        known = json.loads((rendered / TRAIN.replace('train', 'val')).read_text())['images'][0][
            'id'
        ]
        detection = {'image_id': known, 'category_id': 1, 'bbox': [1, NAN, 30, 40], 'score': 0.5}
        file = tmp_path / 'boxes.json'
        file.write_text(json.dumps([detection]))
        options = {f'{split}_dataloader.dataset.bbox_file': str(file) for split in ('val', 'test')}
        report = check(config(rendered, **options), images=False, cost=False)
        (found,) = report.findings['val_dataloader.dataset, test_dataloader.dataset']
        assert found == (faults.DETECTION_MALFORMED, 'error', ['[0]'])


class TestCommand:
    def test_clean_data_give_status_0_and_the_cost(self, mspn, rendered, monkeypatch):
        monkeypatch.setenv('COCO_ROOT', str(rendered))
        options = ['train_dataloader.batch_size=4', 'train_dataloader.num_workers=0']
        arguments = ['--seconds', '0', '--workers', '1', '--device', 'cpu']
        arguments += ['--cfg-options', *options]
        ended = mspn('check', config_path('mspn_synthetic'), *arguments)
        said = ended.stdout
        assert ended.exit_code == 0, ended.output
        assert 'GiB for a step of 4 persons on cpu' in said
        assert re.search(r'for \d+ epochs', said) and 'kinds of errors: 0' in said

    @pytest.mark.parametrize(
        'arguments, message',
        [
            (['none.py'], 'there is no config none.py'),
            (['empty.py'], 'has no `model`'),
            (['broken.py'], 'cannot be read as a config'),
            (['empty.py', '--workers', '0'], '0 is not in the range x>=1'),
        ],
    )
    def test_what_cannot_be_checked_gives_status_2(
        self, mspn, arguments, message, tmp_path, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        Path('empty.py').write_text('a = 1\n')
        Path('broken.py').write_text('a = (\n')
        ended = mspn('check', *arguments)
        assert ended.exit_code == 2 and message in ended.stderr
