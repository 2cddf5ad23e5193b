"""`make bench`: the project's own measurements, and the page that is written from them."""

import importlib
import json
import sys
from pathlib import Path

from mspn_plugin.config_files import find_config
from mspn_plugin.measure.machine import describe, short_name

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / 'benchmarks'))
import neighbours  # noqa: E402
import run_all  # noqa: E402
import scaling  # noqa: E402
import write_docs  # noqa: E402
from rows import interleaved  # noqa: E402


def test_make_bench_measures_and_writes_the_page(tmp_path):
    docs = tmp_path / 'docs'
    status = run_all.main(
        ['--size', 'tiny', '--device', 'cpu', '--only', 'pipeline', 'models', 'scaling']
        + ['gpu-training', 'gpu-prediction']
        + ['--results', str(docs / 'benchmarks'), '--docs', str(docs / 'benchmarks.md')]
    )
    assert status == 0
    stem = short_name(describe('cpu'))
    names = {path.name for path in (docs / 'benchmarks').iterdir()}
    assert names == {f'{stem}.json', f'{stem}-models.png', f'{stem}-scaling.png'}
    result = json.loads((docs / 'benchmarks' / f'{stem}.json').read_text())
    assert result['complete'] and result['machine']['versions']['mmpose']
    parts = result['parts']
    for topic, count in dict(pipeline=2, **{'gpu-training': 3, 'gpu-prediction': 2}).items():
        rows = parts[topic]['rows']
        assert len(rows) == count
        assert all(row['ours_ms'] > 0 and row['mmpose_ms'] > 0 for row in rows)
    assert [row['name'] for row in parts['models']['models']['rows']] == ['MSPN, tiny', 'absent']
    variables = {table['variable']: table['rows'] for table in parts['scaling']['tables']}
    assert set(variables) == {'stages', 'input size', 'batch', 'persons in an image'}
    for rows in variables.values():
        assert len(rows) == 2
        assert 0 < rows[0]['multiply_adds'] < rows[1]['multiply_adds']
        assert all(row['seconds']['median'] > 0 for row in rows)
    text = (docs / 'benchmarks.md').read_text()
    for image in ('models', 'scaling'):
        assert f'(benchmarks/{stem}-{image}.png)' in text


def test_a_part_that_is_measured_alone_keeps_the_others(tmp_path):
    target = tmp_path / 'machine.json'
    machine = describe()
    earlier = dict(machine=machine, parts=dict(codec=dict(rows=[])))
    target.write_text(json.dumps(earlier))
    assert run_all.kept(target, machine) == earlier['parts']
    assert run_all.kept(target, {**machine, 'system': 'another build'}) == earlier['parts']
    assert run_all.kept(target, {**machine, 'versions': {}}) == {}
    assert run_all.kept(tmp_path / 'none.json', machine) == {}


def test_every_topic_can_be_gathered():
    assert run_all.topics()
    for path in run_all.topics():
        assert callable(importlib.import_module(path.stem).run), path


def test_every_neighbour_has_a_config():
    subjects = neighbours.subjects((1, 2, 3, 4))
    for subject in subjects:
        assert Path(find_config(subject.config)).is_file()
    names = [subject.name for subject in subjects]
    assert len(set(names)) == len(names) >= 14


def test_published_accuracy_comes_with_its_source():
    config = neighbours.OTHERS['HRNet-W32']
    assert neighbours.published(config)['AP'] == 0.746
    assert 'hrnet_coco.yml' in neighbours.published(config)['source']
    assert 'not measured here' in neighbours.published(neighbours.our_mspn(2).config)['source']
    assert neighbours.published('mspn_coco') == {}


def test_contenders_take_turns_and_warm_up_is_thrown_away():
    calls = []
    contenders = {name: lambda name=name: calls.append(name) for name in 'AB'}
    timings = interleaved(contenders, repeats=3, warmup=1)
    assert calls == list('ABABABAB')
    assert [len(timings[name].samples) for name in 'AB'] == [3, 3]
    calls.clear()
    timings = interleaved(contenders, repeats=2, warmup=0, settle=1)
    assert calls == list('AABBAABB')
    assert [len(timings[name].samples) for name in 'AB'] == [2, 2]


def test_the_matrix_rate_is_a_rate():
    assert scaling.matrix_rate(size=64, seconds=0.0) > 0


def test_claims_pair_our_network_with_mmposes():
    def row(name, seconds):
        timing = dict(median=seconds, low=seconds, high=seconds)
        return dict(name=name, latency=timing, batch=timing, training=timing)

    rows = [row('MMPose MSPN, 2 stages', 3.0), row('MSPN, 2 stages', 1.5), row('MSPN, 1 stage', 1)]
    claims = neighbours.claims(rows, batch_size=8)
    assert [claim['topic'] for claim in claims] == ['network', 'network', 'training step']
    assert [claim['what'][-7:] for claim in claims] == ['batch 1', 'batch 8', 'batch 8']
    assert all(claim['ratio'] == 2 and claim['mmpose_ms'] == 3000 for claim in claims)


def test_the_page_says_what_is_slower_and_what_failed():
    claims = [
        dict(topic='t', what=what, ours_ms=1.0, mmpose_ms=ratio, ratio=ratio, note='')
        for what, ratio in (('fast', 2.0), ('same', 1.01), ('slow', 0.5))
    ]
    parts = dict(measured=dict(rows=claims), other=dict(failed='no'))
    text = '\n'.join(write_docs.claims(parts))
    assert 'Slower than MMPose: t, slow (0.50).' in text
    assert 'within 5%: t, same (1.01).' in text
    assert 'other failed: no' in text
