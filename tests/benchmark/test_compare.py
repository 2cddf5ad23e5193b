"""Models are measured side by side."""

from pathlib import Path

import torch

from mspn_plugin.benchmark import compare
from mspn_plugin.benchmark.compare import Settings, Subject
from mspn_plugin.config_files import find_config

REPO = Path(__file__).resolve().parents[2]
MMPOSE_CONFIGS = 'mmpose::body_2d_keypoint/topdown_heatmap/coco/'
TINY = {
    'model.backbone.unit_channels': 8,
    'model.backbone.stem_channels': 8,
    'model.head.unit_channels': 8,
}
COUNTING_ALONE = ('predicting', 'training', 'pipeline')


def tiny(**changes) -> Subject:
    return Subject(**{**dict(config='mspn_synthetic', options=TINY), **changes})


def quickly(**changes) -> Settings:
    return Settings(**{**dict(batch_size=2, repeats=1, seconds=0.0), **changes})


def test_published_accuracy_comes_with_its_source():
    path = find_config(f'{MMPOSE_CONFIGS}td-hm_4xmspn50_8xb32-210e_coco-256x192')
    known = compare.published(path)
    assert 0.7 < known['AP'] < 0.8
    assert known['source'].startswith('mmpose 1.') and 'mspn_coco.yml' in known['source']
    assert compare.published(str(REPO / 'configs' / 'mspn_coco.py')) is None


def test_multiply_adds_and_parameters_do_not_depend_on_the_batch():
    subject = tiny()
    settings = dict(skip=COUNTING_ALONE)
    rows = [
        compare.run([subject], quickly(batch_size=size, **settings))['rows'][0] for size in (1, 3)
    ]
    for key in ('parameters', 'multiply_adds', 'predicting_multiply_adds'):
        assert rows[0][key] == rows[1][key] > 0
    assert 'latency' not in rows[0]


def test_an_interrupted_run_keeps_the_finished_rounds():
    seen = []

    def after_round(result):
        seen.append(len(result['rows'][0]['latency']['samples']))
        if len(seen) == 1:
            raise KeyboardInterrupt

    settings = quickly(repeats=3, skip=('training', 'pipeline', 'memory'))
    result = compare.run([tiny()], settings, after_round)
    assert not result['complete']
    assert seen == [1, 1]
    assert len(result['rows'][0]['latency']['samples']) == 1


def test_a_package_that_is_missing_is_named():
    row = compare.run([tiny(options={'model.backbone.type': 'absentpackage.Net'})], quickly())[
        'rows'
    ][0]
    assert 'absentpackage' in row['reasons']['building']


def test_accuracy_is_measured_with_checkpoint_and_data(tmp_path, coco_photos):
    built = []
    skip = COUNTING_ALONE
    compare.run([tiny(change=lambda model: built.append(model) or model)], quickly(skip=skip))
    file = str(tmp_path / 'weights.pth')
    torch.save(dict(state_dict=built[0].state_dict(), meta={}), file)
    few = {
        **TINY,
        'test_dataloader.dataset.indices': 8,
        'test_dataloader.num_workers': 0,
        'test_dataloader.persistent_workers': False,
    }
    wide = {**TINY, 'model.head.unit_channels': 16, 'model.backbone.unit_channels': 16}
    good, wrong = compare.run(
        [tiny(checkpoint=file, options=few), tiny(checkpoint=file, options=wide)],
        quickly(skip=skip, data=str(coco_photos)),
    )['rows']
    assert 0 <= good['accuracy']['metrics']['coco/AP'] <= 1
    assert good['accuracy']['boxes'] == 'ground truth'
    assert set(wrong['reasons']) == {'checkpoint'} and 'accuracy' not in wrong


def test_files_for_initial_weights_are_not_fetched():
    options = {**TINY, 'model.backbone.init_cfg.checkpoint': 'no/such/file.pth'}
    subject = tiny(config='mspn_coco', options=options)
    (row,) = compare.run([subject], quickly(skip=COUNTING_ALONE))['rows']
    assert row['reasons'] == {} and row['parameters'] > 0
