"""What is installed and what the processor can do decide on the engine; all predict the same."""

import os
import signal
import sys

import numpy as np
import pytest
import torch

from mspn_plugin import SettingError
from mspn_plugin.config_files import read_config
from mspn_plugin.inference import engines
from mspn_plugin.inference.boxes import Boxes
from mspn_plugin.inference.engines import ENGINES, choose_engine, needed, supported_precision
from mspn_plugin.inference.fused import fuse
from mspn_plugin.inference.onnx import export_onnx, on_engine, open_exported
from mspn_plugin.inference.predictor import PosePredictor

pytest.importorskip('onnxruntime')


@pytest.fixture
def only_onnxruntime(monkeypatch):
    monkeypatch.setattr(engines, 'installed_engines', lambda: ['onnxruntime'])


def poses(estimator):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (6, 8, 3), np.uint8).repeat(20, 0).repeat(20, 1)
    corners = np.float32([[10, 10, 70, 100], [90, 20, 150, 110]])
    return PosePredictor(estimator)(image, Boxes(corners, np.ones(2, np.float32)))


@pytest.mark.parametrize('engine', ENGINES)
def test_an_engine_predicts_what_torch_does(trained, engine):
    pytest.importorskip(engine)
    expected, found = poses(fuse(trained)), poses(on_engine(fuse(trained), engine, 'fp32'))
    is_near = np.abs(found.keypoints - expected.keypoints).max(-1) < 0.05
    assert is_near.mean() > 0.9  # two places may be equally high but for rounding
    assert np.abs(found.scores - expected.scores).max() < 1e-3


def test_an_engine_that_is_gone_leaves_a_process_that_takes_signals(trained):
    pytest.importorskip('openvino')
    running = [on_engine(fuse(trained), 'openvino', 'fp32') for _ in range(2)]
    while running:
        del running[0]
    if (child := os.fork()) == 0:
        signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
        signal.raise_signal(signal.SIGALRM)
    assert os.waitpid(child, 0)[1] == 0


def test_auto_takes_the_fastest_that_is_there(only_onnxruntime):
    assert choose_engine('auto', 'fp32', 'cpu') == 'onnxruntime'
    assert choose_engine('auto', 'bf16', 'cpu') == 'torch'
    assert choose_engine('auto', 'fp32', 'cuda') == 'torch'


def test_a_file_needs_an_engine_and_one_message_names_it(monkeypatch):
    monkeypatch.setattr(engines, 'installed_engines', lambda: [])
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    monkeypatch.setitem(sys.modules, 'openvino', None)
    for precision, package in (('int8', 'onnxruntime'), ('bf16', 'openvino')):
        with pytest.raises(SettingError, match=f'`pip install onnx {package}`'):
            choose_engine('auto', precision, 'cpu', is_exported=True)
    with pytest.raises(SettingError, match='cannot be computed in fp16'):
        choose_engine('auto', 'fp16', 'cpu', is_exported=True)


def test_what_cannot_be_is_said_with_what_can():
    with pytest.raises(SettingError, match='onnxruntime does not compute in bf16; openvino and'):
        choose_engine('onnxruntime', 'bf16', 'cpu')
    with pytest.raises(SettingError, match='add --device cpu'):
        choose_engine('onnxruntime', 'fp32', 'cuda')
    with pytest.raises(SettingError, match='`pip install onnx no_such_engine`'):
        needed('no_such_engine')


def test_a_processor_without_the_instructions_is_told_what_runs(monkeypatch):
    monkeypatch.setattr(engines, 'has_bfloat16', lambda: False)
    precision, message = supported_precision('bf16', 'cpu')
    assert precision == 'fp32' and 'fp32 runs instead' in message
    assert supported_precision('bf16', 'cuda') == ('bf16', None)
    capabilities = dict(architecture='x86_64', avx512_vnni=False, avx_vnni=False)
    monkeypatch.setattr(torch.cpu, 'get_capabilities', lambda: capabilities, raising=False)
    precision, message = supported_precision('int8', 'cpu')
    assert precision == 'int8' and 'slower ones run instead' in message
    capabilities['avx_vnni'] = True
    assert supported_precision('int8', 'cpu') == ('int8', None)


def test_a_flip_test_that_the_file_cannot_do_stays_with_torch(trained):
    fused = fuse(trained)
    fused.test_cfg = dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True)
    with pytest.raises(SettingError, match='--engine torch has'):
        on_engine(fused, 'onnxruntime', 'fp32')


def test_a_file_is_opened_with_its_own_config_only(trained, network, tmp_path):
    path, config = tmp_path / 'a.onnx', read_config(network[1])
    fused = fuse(trained)
    export_onnx(fused, path)
    fused.test_cfg = dict(flip_test=False)
    found = poses(open_exported(path, config, 'onnxruntime', None))
    assert np.abs(found.scores - poses(fused).scores).max() < 1e-3

    with pytest.raises(SettingError, match='computes in fp32, not in int8'):
        open_exported(path, config, 'onnxruntime', 'int8')
    for step in config.test_dataloader.dataset.pipeline:
        if step['type'] == 'GetBBoxCenterScale':
            step['padding'] = 1.1
    with pytest.raises(SettingError, match='its padding is'):
        open_exported(path, config, 'onnxruntime', None)


@pytest.mark.parametrize('options', [dict(decode=False), dict(normalise=False)])
def test_a_file_of_other_inputs_or_outputs_is_refused(trained, network, tmp_path, options):
    export_onnx(fuse(trained), tmp_path / 'a.onnx', **options)
    with pytest.raises(SettingError, match='export it without --heatmaps'):
        open_exported(tmp_path / 'a.onnx', read_config(network[1]), 'onnxruntime', None)


@pytest.mark.parametrize('content', [None, b'no model', b''])
def test_a_file_of_another_kind_is_named(network, tmp_path, content):
    path = tmp_path / 'a.onnx'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingError, match=r'a\.onnx'):
        open_exported(path, read_config(network[1]), 'onnxruntime', None)
