"""Models are measured side by side."""

import torch

from mspn_plugin.benchmark import compare
from mspn_plugin.benchmark.compare import Settings, Subject
from mspn_plugin.benchmark.report import markdown

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


def test_multiply_adds_and_parameters_do_not_depend_on_the_batch():
    subject = tiny()
    settings = dict(skip=COUNTING_ALONE)
    rows = [
        compare.run([subject], quickly(batch_size=size, **settings))['rows'][0] for size in (1, 3)
    ]
    for key in ('parameters', 'multiply_adds'):
        assert rows[0][key] == rows[1][key] > 0
    assert 'latency' not in rows[0]


def test_what_was_measured_is_handed_over_after_every_round():
    seen = []
    result = compare.run(
        [tiny()],
        quickly(repeats=2, skip=('training', 'pipeline', 'memory')),
        lambda result: seen.append((result['complete'], 'latency' in result['rows'][0])),
    )
    assert seen == [(False, False), (False, True), (False, True), (True, True)]
    assert len(result['rows'][0]['latency']['samples']) == 2


def test_a_package_that_is_missing_is_named():
    row = compare.run([tiny(options={'model.backbone.type': 'absentpackage.Net'})], quickly())[
        'rows'
    ][0]
    assert 'absentpackage' in row['reasons']['building']


def test_accuracy_is_measured_with_checkpoint_and_data(tmp_path, coco_photos, monkeypatch):
    monkeypatch.setenv('COCO_ROOT', str(coco_photos))
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
        quickly(skip=skip),
    )['rows']
    assert 0 <= good['AP'] == good['metrics']['coco/AP'] <= 1
    assert set(wrong['reasons']) == {'building'} and 'AP' not in wrong


def test_files_for_initial_weights_are_not_fetched():
    options = {**TINY, 'model.backbone.init_cfg.checkpoint': 'no/such/file.pth'}
    subject = tiny(config='mspn_coco', options=options)
    (row,) = compare.run([subject], quickly(skip=COUNTING_ALONE))['rows']
    assert row['reasons'] == {} and row['parameters'] > 0


def test_ratios_are_to_the_first_and_higher_is_faster():
    def row(name, seconds):
        timing = dict(median=seconds, low=seconds, high=seconds)
        return dict(name=name, reasons={}, latency=timing, batch=timing, training=timing)

    text = markdown(dict(settings=dict(batch_size=8), rows=[row('slow', 2.0), row('fast', 1.0)]))
    assert '| fast | — | 1000 [1000 to 1000] | 2.00 | 8.00 | 2.00 | 1.00 | 2.00 |' in text


def test_the_flip_test_is_left_out_unless_it_is_asked_for():
    seen = []

    def note(model):
        seen.append(model.test_cfg['flip_test'])
        return model

    for flip_test in (False, True):
        compare.run([tiny(change=note)], quickly(skip=COUNTING_ALONE, flip_test=flip_test))
    assert seen == [False, True]
