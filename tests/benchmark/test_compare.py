"""The benchmark: what it counts is right, and every config gets its row."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import mspn_plugin  # noqa: F401
from mspn_plugin.benchmark import compare as benchmark
from mspn_plugin.benchmark.compare import Settings, Subject
from mspn_plugin.errors import SettingError
from mspn_plugin.measure import cost, timing
from mspn_plugin.measure.machine import describe, matrix_rate, short_name

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / 'benchmarks'))
import run_all  # noqa: E402
import write_docs  # noqa: E402

MMPOSE_CONFIGS = 'mmpose::body_2d_keypoint/topdown_heatmap/coco/'
TINY = {
    'model.backbone.unit_channels': 8,
    'model.backbone.stem_channels': 8,
    'model.head.unit_channels': 8,
}


def tiny(**changes) -> Subject:
    return Subject(**{**dict(config='mspn_synthetic', options=TINY), **changes})


def quickly(**changes) -> Settings:
    return Settings(**{**dict(batch_size=2, repeats=1, seconds=0.0), **changes})


@pytest.mark.parametrize(
    'layer, shape, by_hand',
    [
        (nn.Conv2d(4, 6, 3), (1, 4, 9, 9), 6 * 7 * 7 * 4 * 3 * 3),
        (nn.Conv2d(4, 6, 3, stride=2, padding=1), (1, 4, 9, 9), 6 * 5 * 5 * 4 * 3 * 3),
        (nn.Conv2d(4, 6, 3, groups=2), (1, 4, 9, 9), 6 * 7 * 7 * 2 * 3 * 3),
        (nn.Conv2d(4, 4, 3, groups=4), (1, 4, 9, 9), 4 * 7 * 7 * 3 * 3),
        (nn.ConvTranspose2d(4, 6, 4, 2, 1), (1, 4, 5, 5), 4 * 5 * 5 * 6 * 4 * 4),
        (nn.Linear(5, 7), (2, 3, 5), 2 * 3 * 5 * 7),
        (nn.BatchNorm2d(4), (1, 4, 9, 9), 0),
    ],
    ids=['conv', 'strided', 'grouped', 'depthwise', 'transposed', 'linear', 'norm'],
)
def test_multiply_adds_of_a_layer_are_those_by_hand(layer, shape, by_hand):
    assert cost.multiply_adds(lambda: layer(torch.rand(shape))) == by_hand


def test_multiply_adds_of_attention_are_those_of_its_two_products():
    query, key = torch.rand(2, 3, 6, 4), torch.rand(2, 3, 5, 4)

    def attend():
        return nn.functional.scaled_dot_product_attention(query, key, key)

    assert cost.multiply_adds(attend) == 2 * 3 * (6 * 5 * 4 + 6 * 4 * 5)
    assert cost.multiply_adds(lambda: query @ key.transpose(2, 3)) == 2 * 3 * 6 * 5 * 4


def test_multiply_adds_of_a_fused_convolution_are_those_by_hand():
    ops = torch.ops.mkldnn
    if not hasattr(ops, '_convolution_pointwise'):
        pytest.skip('this torch has no fused convolutions for CPUs')
    image = torch.rand(1, 16, 9, 9).to(memory_format=torch.channels_last)
    weight, bias, settings = torch.rand(8, 16, 3, 3), torch.rand(8), ([1, 1], [1, 1], [1, 1], 1)
    into = torch.rand(1, 8, 9, 9).to(memory_format=torch.channels_last)
    by_hand = 8 * 9 * 9 * 16 * 3 * 3

    def plain():
        return ops._convolution_pointwise(image, weight, bias, *settings, 'relu', [], '')

    def added():
        return ops._convolution_pointwise_(
            into, image, weight, bias, *settings, 'add', 1.0, 'relu', [], ''
        )

    assert cost.multiply_adds(plain) == cost.multiply_adds(added) == by_hand


def test_peak_memory_counts_what_lives_at_once():
    mebi = 2**18  # float32 values in a MiB

    def call():
        first = torch.zeros(3 * mebi)
        second = torch.zeros(5 * mebi)
        del first
        third = torch.zeros(2 * mebi)
        return second, third

    assert cost.peak_memory(call) == 8 * 2**20
    assert cost.peak_memory(call, [torch.zeros(mebi)]) == 9 * 2**20


def test_contenders_take_turns_and_warm_up_is_thrown_away():
    calls = []
    contenders = {name: lambda name=name: calls.append(name) for name in 'AB'}
    timings = timing.interleaved(contenders, repeats=3, warmup=1)
    assert calls == list('ABABABAB')
    assert [len(timings[name].samples) for name in 'AB'] == [3, 3]
    calls.clear()
    timings = timing.interleaved(contenders, repeats=2, warmup=0, settle=1)
    assert calls == list('AABBAABB')
    assert [len(timings[name].samples) for name in 'AB'] == [2, 2]


def test_middle_half_encloses_the_median():
    summary = timing.summarise([5.0, 1.0, 2.0, 4.0, 3.0])
    assert (summary.low, summary.median, summary.high) == (2.0, 3.0, 4.0)


def test_machines_do_not_share_file_names():
    machine = describe()
    gpu = {**machine, 'device': 'NVIDIA H100'}
    other = {**machine, 'processor': 'Another CPU @ 3.0GHz'}
    names = {short_name(m) for m in (machine, gpu, other)}
    assert len(names) == 3
    assert all(name == Path(name).name and ' ' not in name for name in names)
    assert machine['versions']['torch'] == torch.__version__
    assert matrix_rate(size=64, seconds=0.0) > 0


def test_a_config_is_found_by_path_package_and_file_name():
    name = 'td-hm_res50_8xb64-210e_coco-256x192'
    ours = REPO / 'configs' / 'mspn_coco.py'
    assert Path(benchmark.find_config(str(ours))) == ours
    assert Path(benchmark.find_config('mspn_coco.py')).samefile(ours)
    in_mmpose = benchmark.find_config(f'{MMPOSE_CONFIGS}{name}.py')
    assert benchmark.find_config(name) == in_mmpose
    assert benchmark.find_config(f'{MMPOSE_CONFIGS}{name}') == in_mmpose


@pytest.mark.parametrize(
    'name, named',
    [
        ('no_such_config', 'no_such_config'),
        ('mmpose::no/such.py', 'mmpose has no such config'),
        ('nobody::x.py', 'nobody is not installed'),
    ],
)
def test_a_config_that_is_missing_is_named(name, named):
    with pytest.raises(SettingError, match=named):
        benchmark.find_config(name)


def test_published_accuracy_comes_with_its_source():
    path = benchmark.find_config(f'{MMPOSE_CONFIGS}td-hm_4xmspn50_8xb32-210e_coco-256x192')
    known = benchmark.published(path)
    assert 0.7 < known['AP'] < 0.8
    assert known['source'].startswith('mmpose 1.') and 'mspn_coco.yml' in known['source']
    assert benchmark.published(str(REPO / 'configs' / 'mspn_coco.py')) is None


def test_files_for_initial_weights_are_left_out_and_nothing_else():
    given = dict(
        backbone=dict(depth=50, init_cfg=dict(type='Pretrained', checkpoint='http://x')),
        neck=[dict(init_cfg=[dict(type='Pretrained', checkpoint='y'), dict(type='Kaiming')])],
    )
    left = benchmark._without_downloads(given)
    assert left == dict(backbone=dict(depth=50), neck=[dict(init_cfg=[dict(type='Kaiming')])])


def test_the_command_measures_what_it_can_and_explains_the_rest(mspn, tmp_path):
    broken = tmp_path / 'broken.py'
    broken.write_text("_base_ = ['mspn_synthetic.py']\nmodel = dict(backbone=dict(num_stages=0))\n")
    for name in ('mspn_coco.py', 'mspn_synthetic.py'):
        (tmp_path / name).write_bytes((REPO / 'configs' / name).read_bytes())
    options = [f'{key}={value}' for key, value in TINY.items()]
    ended = mspn(
        *('benchmark', tmp_path / 'mspn_synthetic.py', broken, 'absent'),
        *('--batch-size', 2, '--repeats', 2, '--seconds', 0, '--device', 'cpu'),
        *('--out', tmp_path / 'out', '--cfg-options', *options),
    )
    assert ended.exit_code == 1, ended.output
    files = {path.suffix: path for path in (tmp_path / 'out').iterdir()}
    assert set(files) == {'.json', '.md', '.png'}
    result = json.loads(files['.json'].read_text())
    assert result['complete']
    good, wrong, absent = result['rows']
    assert good['reasons'] == {}
    assert good['input_size'] == [96, 128]
    for key in ('latency', 'latency_decoding', 'batch', 'batch_decoding', 'training', 'pipeline'):
        assert len(good[key]['samples']) == 2
        assert 0 < good[key]['low'] <= good[key]['median'] <= good[key]['high']
    assert good['latency_decoding']['median'] < good['latency']['median']
    assert 0 < good['predicting_multiply_adds'] <= good['multiply_adds']
    assert 0 < good['predicting_bytes'] < good['training_bytes']
    assert 'num_stages' in wrong['reasons']['building']
    assert 'no such file' in absent['reasons']['building']
    text = files['.md'].read_text()
    assert 'no such file' in text and '| 1.00 |' in text


def test_multiply_adds_and_parameters_do_not_depend_on_the_batch():
    subject = tiny()
    settings = dict(skip=('predicting', 'training', 'pipeline'))
    rows = [
        benchmark.run([subject], quickly(batch_size=size, **settings))['rows'][0] for size in (1, 3)
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
    result = benchmark.run([tiny()], settings, after_round)
    assert not result['complete']
    assert seen == [1, 1]
    assert len(result['rows'][0]['latency']['samples']) == 1


def test_a_missing_package_is_named():
    row = benchmark.run([tiny(options={'model.backbone.type': 'absentpackage.Net'})], quickly())[
        'rows'
    ][0]
    assert 'pip install --no-deps absentpackage' in row['reasons']['building']


def test_accuracy_is_measured_with_checkpoint_and_data(tmp_path, coco_photos):
    built = []
    skip = ('predicting', 'training', 'pipeline')
    benchmark.run([tiny(change=lambda model: built.append(model) or model)], quickly(skip=skip))
    file = str(tmp_path / 'weights.pth')
    torch.save(dict(state_dict=built[0].state_dict(), meta={}), file)
    few = {
        **TINY,
        'test_dataloader.dataset.indices': 8,
        'test_dataloader.num_workers': 0,
        'test_dataloader.persistent_workers': False,
    }
    wide = {**TINY, 'model.head.unit_channels': 16, 'model.backbone.unit_channels': 16}
    good, wrong = benchmark.run(
        [tiny(checkpoint=file, options=few), tiny(checkpoint=file, options=wide)],
        quickly(skip=skip, data=str(coco_photos)),
    )['rows']
    assert 0 <= good['accuracy']['metrics']['coco/AP'] <= 1
    assert good['accuracy']['boxes'] == 'ground truth'
    assert set(wrong['reasons']) == {'checkpoint'} and 'accuracy' not in wrong


def test_wrong_arguments_are_refused(mspn):
    for arguments, named in (
        (['a', 'b', '--checkpoint', 'x'], '1 files for 2 configs'),
        (['a', '--repeats', '0'], 'not in the range'),
    ):
        ended = mspn('benchmark', *arguments)
        assert ended.exit_code == 2 and named in ended.stderr


def test_any_number_of_joints_and_persons_reaches_the_pipeline():
    meta = benchmark._metainfo(dict(type='CocoWholeBodyDataset'))
    person = benchmark._persons_in('x.jpg', meta, 3, np.random.RandomState(0))
    assert person['keypoints'].shape == (3, 133, 2)
    assert person['keypoints_visible'].shape == (3, 133)
    assert person['bbox'].shape == (3, 4)


def test_make_bench_measures_and_writes_the_page(tmp_path):
    docs = tmp_path / 'docs'
    status = run_all.main(
        ['--size', 'tiny', '--only', 'codec', 'models', 'scaling', '--device', 'cpu']
        + ['--results', str(docs / 'benchmarks'), '--docs', str(docs / 'benchmarks.md')]
    )
    assert status == 0
    stem = short_name(describe('cpu'))
    names = {path.name for path in (docs / 'benchmarks').iterdir()}
    assert names == {f'{stem}.json', f'{stem}-models.png', f'{stem}-scaling.png'}
    result = json.loads((docs / 'benchmarks' / f'{stem}.json').read_text())
    assert result['complete'] and result['machine']['versions']['mmpose']
    parts = result['parts']
    assert all(row['ours_ms'] > 0 and row['mmpose_ms'] > 0 for row in parts['codec']['rows'])
    assert [row['name'] for row in parts['models']['models']['rows']] == ['MSPN, tiny', 'absent']
    variables = {table['variable']: table['rows'] for table in parts['scaling']['tables']}
    assert set(variables) == {'stages', 'input size', 'batch', 'persons in a picture'}
    for rows in variables.values():
        assert len(rows) == 2
        assert 0 < rows[0]['multiply_adds'] < rows[1]['multiply_adds']
        assert all(row['seconds']['median'] > 0 for row in rows)
    text = (docs / 'benchmarks.md').read_text()
    for picture in ('models', 'scaling'):
        assert f'(benchmarks/{stem}-{picture}.png)' in text


def test_a_part_that_is_measured_alone_keeps_the_others(tmp_path):
    target = tmp_path / 'machine.json'
    machine = describe()
    earlier = dict(machine={**machine, 'load': 99}, parts=dict(codec=dict(rows=[])))
    target.write_text(json.dumps(earlier))
    assert run_all._kept(target, machine) == earlier['parts']
    assert run_all._kept(target, {**machine, 'versions': {}}) == {}
    assert run_all._kept(tmp_path / 'none.json', machine) == {}


def test_every_topic_can_be_gathered():
    assert run_all.topics()
    for path in run_all.topics():
        assert callable(run_all._module(path).run), path


def test_every_neighbour_has_a_config():
    subjects = run_all.neighbours.subjects((1, 2, 3, 4))
    for subject in subjects:
        assert Path(benchmark.find_config(subject.config)).is_file()
    names = [subject.name for subject in subjects]
    assert len(set(names)) == len(names) >= 14


def test_claims_pair_our_network_with_mmposes():
    def row(name, seconds):
        timing = dict(median=seconds, low=seconds, high=seconds)
        return dict(name=name, latency=timing, batch=timing, training=timing)

    rows = [row('MMPose MSPN, 2 stages', 3.0), row('MSPN, 2 stages', 1.5), row('MSPN, 1 stage', 1)]
    claims = run_all.neighbours.claims(rows, batch_size=8)
    assert [claim['topic'] for claim in claims] == ['network', 'network', 'training step']
    assert [claim['what'][-7:] for claim in claims] == ['batch 1', 'batch 8', 'batch 8']
    assert all(claim['ratio'] == 2 and claim['mmpose_ms'] == 3000 for claim in claims)


def test_the_page_says_what_is_slower_and_what_failed():
    claims = [
        dict(topic='t', what=what, ours_ms=1.0, mmpose_ms=ratio, ratio=ratio, note='')
        for what, ratio in (('fast', 2.0), ('same', 1.01), ('slow', 0.5))
    ]
    parts = dict(measured=dict(rows=claims), other=dict(failed='no'))
    text = '\n'.join(write_docs._claims(parts))
    assert 'Slower than MMPose: t, slow (0.50).' in text
    assert 'within 5%: t, same (1.01).' in text
    assert 'other failed: no' in text
