"""What the OpenMMLab releases need on today's Python, and that it gives no protection away."""

import builtins
import fractions
import importlib.util
import os
import pickle
import warnings

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import checkpoint
from mmengine.runner.checkpoint import load_checkpoint
from support.checkpoints import RunsCode

from mspn_plugin import SettingError, compat


def test_mmpose_and_mmdet_models_import():
    import mmdet.models
    import mmpose.models

    assert mmpose.models.TopdownPoseEstimator and mmdet.models.FasterRCNN


def test_a_missing_operator_says_what_to_install_when_it_is_called():
    if importlib.util.find_spec('mmcv._ext'):
        pytest.skip('full mmcv is installed, and no operator is missing')
    from mmcv.ops import soft_nms

    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    with pytest.raises(RuntimeError, match=r'softnms.*mmcv-lite.*install full mmcv'):
        soft_nms(boxes, torch.ones(1))


def test_full_mmcv_is_left_alone(monkeypatch):
    from mmcv.utils import ext_loader

    monkeypatch.setattr(ext_loader, 'load_ext', before := object())
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: object())
    compat.replace_mmcv_ops()
    assert ext_loader.load_ext is before


def test_applying_twice_changes_nothing():
    from mmengine.dist import utils
    from mmengine.model import MMDistributedDataParallel
    from mmengine.runner import amp
    from mmpose.visualization.opencv_backend_visualizer import OpencvBackendVisualizer

    def replaced():
        wrap, draw = MMDistributedDataParallel.__init__, OpencvBackendVisualizer.draw_circles
        return amp.autocast, utils._init_dist_pytorch, wrap, draw

    before, admitted = replaced(), torch.serialization.get_safe_globals()
    compat.apply()
    assert replaced() == before
    assert set(map(str, torch.serialization.get_safe_globals())) == set(map(str, admitted))


def test_a_checkpoint_with_mmengine_message_hub_loads(tmp_path):
    hub = MessageHub('test_compat')
    hub.update_scalar('train/loss', 2.5)
    hub.update_scalar('train/lr', np.float64(0.1))
    hub.update_info('epoch', np.int64(3))
    torch.save({'message_hub': hub.state_dict(), 'state_dict': {}}, tmp_path / 'ours.pth')

    loaded = torch.load(tmp_path / 'ours.pth', weights_only=True)['message_hub']

    buffer = loaded['log_scalars']['train/loss']
    assert isinstance(buffer, HistoryBuffer)
    assert buffer.current() == 2.5 and buffer.statistics('mean') == 2.5
    assert loaded['runtime_info']['epoch'] == 3


@pytest.mark.parametrize(
    'payload',
    [
        RunsCode(os.system, 'touch {path}'),
        RunsCode(eval, "open('{path}', 'w')"),
        RunsCode(builtins.getattr, torch.nn.Module, '__subclasses__'),
        RunsCode(builtins.getattr, HistoryBuffer, '__init__'),
        RunsCode(builtins.getattr, HistoryBuffer, '__subclasses__'),
        RunsCode(fractions.Fraction, 1),
    ],
    ids=[
        'system',
        'eval',
        'getattr of another class',
        'getattr of init',
        'getattr of subclasses',
        'class',
    ],
)
def test_a_checkpoint_that_names_another_callable_is_refused(tmp_path, payload):
    function, arguments = payload.call
    trace = tmp_path / 'it_ran'
    arguments = tuple(a.format(path=trace) if isinstance(a, str) else a for a in arguments)
    file = tmp_path / 'hostile.pth'
    torch.save({'state_dict': {}, 'meta': RunsCode(function, *arguments)}, file)

    with pytest.raises(SettingError, match=r'hostile\.pth .*could run code'):
        load_checkpoint(torch.nn.Linear(1, 1), str(file))
    assert not trace.exists()


@pytest.fixture
def careless_engine(monkeypatch):
    """A loader as onedl-mmengine has it, which calls what a safe load has refused."""

    def load(file, map_location=None, weights_only=None):
        try:
            with torch.serialization.safe_globals([getattr]):
                return torch.load(file, map_location, weights_only=True)
        except pickle.UnpicklingError:
            return torch.load(file, map_location, weights_only=False)

    monkeypatch.setattr(checkpoint, '_safe_torch_load', load, raising=False)
    monkeypatch.setattr(
        checkpoint, 'load_from_local', lambda name, where: checkpoint._safe_torch_load(name, where)
    )


def test_an_engine_that_loads_what_was_refused_is_made_safe(tmp_path, careless_engine):
    file, trace = tmp_path / 'hostile.pth', tmp_path / 'it_ran'
    torch.save(RunsCode(open, str(trace), 'w'), file)
    compat.refuse_other_checkpoints()
    with pytest.raises(pickle.UnpicklingError):
        checkpoint.load_from_local(str(file), 'cpu')
    assert not trace.exists()


def test_an_engine_that_cannot_be_made_safe_is_warned_of(monkeypatch):
    def load(name, where):
        return torch.load(name, where, weights_only=False)

    monkeypatch.setattr(checkpoint, 'load_from_local', load)
    with pytest.warns(UserWarning, match=r'NOT SAFE.*only checkpoints that you trust'):
        compat.refuse_other_checkpoints()


def test_an_engine_that_refuses_is_not_warned_of():
    # Of other kinds are those of files that are collected as garbage just then.
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        compat.refuse_other_checkpoints()


def test_a_checkpoint_with_an_empty_array_is_read(tmp_path):
    file = tmp_path / 'checkpoint.pth'
    torch.save({'meta': {'skeleton_link_colors': np.zeros(0, np.uint8)}}, file)
    loaded = torch.load(file, weights_only=True)
    assert loaded['meta']['skeleton_link_colors'].shape == (0,)


def test_joints_are_drawn_whatever_numpy_is_installed():
    from mmpose.visualization import PoseLocalVisualizer

    visualizer = PoseLocalVisualizer()
    visualizer.set_image(np.zeros((20, 20, 3), np.uint8))
    visualizer.draw_circles(
        np.array([10.0, 10.0]), radius=np.array([3]), face_colors=(255, 0, 0), alpha=0.5
    )
    assert visualizer.get_image()[10, 10].any()


def test_an_accelerator_is_left_alone(monkeypatch):
    import mmengine.device
    from mmengine.dist import utils
    from mmengine.runner import amp

    monkeypatch.setattr(mmengine.device, 'get_device', lambda: 'cuda')
    monkeypatch.setattr(amp, 'autocast', autocast := lambda: None)
    monkeypatch.setattr(utils, '_init_dist_pytorch', launch := lambda: None)
    compat.apply()
    assert amp.autocast is autocast and utils._init_dist_pytorch is launch


@pytest.mark.skipif(torch.cuda.is_available(), reason='the remedy is for machines without a GPU')
@pytest.mark.parametrize('dtype', ['float16', 'bfloat16', 'float32'])
def test_half_precision_scales_and_casts_on_a_cpu(dtype):
    from mmengine.optim import AmpOptimWrapper

    layer = torch.nn.Linear(4, 4)
    wrapper = AmpOptimWrapper(dtype=dtype, optimizer=torch.optim.SGD(layer.parameters(), lr=0.1))
    with wrapper.optim_context(layer):
        output = layer(torch.ones(2, 4))
    # bfloat16 is left to processors that have it.
    left_out = dtype == 'bfloat16' and not compat.has_bfloat16()
    assert output.dtype == (torch.float32 if left_out else getattr(torch, dtype))
    before = layer.weight.detach().clone()
    wrapper.update_params(output.float().mean())
    torch.testing.assert_close(before - layer.weight, torch.full((4, 4), 0.025))
    assert wrapper.loss_scaler.get_scale() == 2.0**16
