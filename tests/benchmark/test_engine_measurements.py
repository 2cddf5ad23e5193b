"""The measurements of the engines: accuracy on a data set, and time from files to keypoints."""

import sys
from pathlib import Path

import pytest

pytest.importorskip('onnxruntime')
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'benchmarks'))
import bench_engines
import engines_accuracy

from mspn_plugin.inference.engines import installed_engines
from mspn_plugin.synthetic.coco import render_dataset
from mspn_plugin.weights.shipped import shipped_network

pytestmark = pytest.mark.slow


def test_each_engine_is_compared_with_torch_in_fp32(tmp_path):
    render_dataset(tmp_path / 'coco', train=24, val=8, seed=1)
    rows = engines_accuracy.run(tmp_path / 'coco', *shipped_network(), persons=8, bf16=False)
    kinds = [f'{engine} {kind}' for engine in installed_engines() for kind in ('fp32', 'int8')]
    assert [row['what'] for row in rows] == ['torch fp32', *kinds]
    for row in rows:
        for value, (low, high) in zip(row['values'], row['intervals']):
            assert 0 <= low <= value <= high <= 100
    moved = {row['what']: row['moved'][0] for row in rows[1:]}
    for engine in installed_engines():
        assert moved[f'{engine} fp32'] < 0.05 < moved[f'{engine} int8'] < 4
    assert engines_accuracy.table(rows).count('\n') == len(rows) + 1


def test_files_go_to_keypoints_in_each_engine():
    rows = bench_engines.run(quick=True)
    kinds = [f'{engine} {kind}' for engine in installed_engines() for kind in ('fp32', 'int8')]
    named = {row['what'] for row in rows}
    for kind in ('torch fp32', *kinds):
        assert f'image files to keypoints, {kind}, without flip test' in named
    assert all(row['ours_ms'] > 0 and row['mmpose_ms'] > 0 for row in rows)
