"""Export, quantise, and predict in every engine that is installed, through the shell."""

import json
import subprocess
from importlib.util import find_spec

import numpy as np
import pytest

from mspn_plugin.inference import quantize

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not find_spec('onnxruntime'), reason='needs onnxruntime'),
]
INSTALLED = [engine for engine in ('onnxruntime', 'openvino') if find_spec(engine)]


@pytest.fixture(scope='module')
def shell(warm):
    """Runs ``mspn`` in a process of its own."""

    def run(*arguments):
        command = [warm / 'mspn', *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope='module')
def photographs(tmp_path_factory):
    """As many persons as a calibration needs."""
    from mspn_plugin.synthetic.coco import render_dataset

    folder = tmp_path_factory.mktemp('rendered') / 'coco'
    render_dataset(folder, train=1, val=24, seed=1)
    return folder / 'val2017', folder / 'annotations' / 'person_keypoints_val2017.json'


@pytest.fixture(scope='module')
def predict(shell, network, photographs, tmp_path_factory):
    """Predicts, and returns keypoints and scores (N, K, 3)."""

    def run(*options, checkpoint=network[3]):
        out = tmp_path_factory.mktemp('out')
        arguments = [photographs[0], '--boxes', photographs[1], '--out', out, '--no-pictures']
        arguments += [*network[:2], '--checkpoint', checkpoint, '--overwrite', *options]
        shell('predict', *arguments, '--device', 'cpu')
        results = json.loads((out / 'keypoints.json').read_text())
        return np.array([result['keypoints'] for result in results]).reshape(len(results), -1, 3)

    return run


def moved(found, expected):
    """How far the sure keypoints are from where they are expected, in pixels of the images."""
    away = np.linalg.norm((found - expected)[..., :2], axis=-1)
    return away[expected[..., 2] >= 0.6]


def test_each_engine_predicts_what_torch_does(predict):
    expected = predict()
    for engine in INSTALLED:
        assert (moved(predict('--engine', engine), expected) < 0.1).mean() > 0.98, engine


def test_int8_is_checked_and_runs_in_each_engine(
    shell, mspn, predict, network, photographs, tmp_path, monkeypatch
):
    exact, int8 = tmp_path / 'fp32.onnx', tmp_path / 'int8.onnx'
    shell('export', exact, *network, '--flip-test')
    # An untrained network has no clear peaks that int8 could leave in their places.
    monkeypatch.setattr(quantize, 'MOVED_LIMIT', 1.0)
    options = ['--flip-test', '--int8', photographs[0], '--boxes', photographs[1]]
    done = mspn('export', int8, *network, *options)
    assert done.exit_code == 0, done.output
    for engine in INSTALLED:
        assert f'  {engine}: keypoints move by ' in done.stdout
    assert done.stdout.count('; AP ') == len(INSTALLED)
    assert int8.stat().st_size < 0.6 * exact.stat().st_size

    expected = predict()
    assert (moved(predict(checkpoint=exact), expected) < 0.1).mean() > 0.98
    for engine in INSTALLED:
        found = predict('--engine', engine, checkpoint=int8)
        assert np.median(moved(found, expected)) < 2, engine
        peaks, heights = expected[..., 2] - 0.5, found[..., 2] - 0.5
        assert np.abs(heights - peaks).mean() < 0.1 * np.abs(peaks).mean(), engine
