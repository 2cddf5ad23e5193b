"""Prediction beside MMPose's built-in MSPN and ONNX Runtime: same weights, same run.

    python benchmarks/bench_inference.py [--quick]

Every network has the weights of one random initialisation, whose names are the same in both. They
take turns; the first call of each turn is thrown away.
"""

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from bench_pipeline import MMPOSE
from mmengine.config import Config
from rows import interleaved, make_row, run_topic
from torch import nn

from mspn_plugin import config_path
from mspn_plugin.config_files import find_config
from mspn_plugin.inference.fused import fuse
from mspn_plugin.measure.timing import Timing

# After the plugin, which lets mmpose import.
from mmpose.apis import init_model  # isort: skip

BATCH = 8


def ours(num_stages: int, backbone: dict[str, Any] = {}) -> Any:
    """Our estimator, settled with plausible statistics."""
    config = Config.fromfile(config_path('mspn_coco'))
    config.model.backbone.update(num_stages=num_stages, init_cfg=None, **backbone)
    config.model.head.update(num_stages=num_stages)
    torch.manual_seed(0)
    model = init_model(config, device='cpu')
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.3, 0.7)
    return model


def builtin(model: nn.Module, backbone: dict[str, Any] = {}) -> Any:
    """MMPose's built-in MSPN of two stages with the same weights."""
    config = Config.fromfile(find_config(MMPOSE))
    config.model.backbone.update(backbone)
    theirs = init_model(config, device='cpu')
    theirs.load_state_dict(model.state_dict())
    for module in theirs.modules():  # its backbone's train() forgets some
        module.training = False
    return theirs


class _Tensors(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor) -> Any:
        return self.model(x, None, mode='tensor')


def onnx_call(model: nn.Module, x: torch.Tensor, path: Path) -> Callable[[], object]:
    """A network's tensor mode in ONNX Runtime, with as many threads as torch has."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.onnx.export(
            _Tensors(model).eval(),
            (x,),
            str(path),
            input_names=['x'],
            opset_version=17,
            dynamo=False,
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
    feed = {'x': x.numpy()}
    return lambda: session.run(None, feed)


def run(quick: bool) -> list[dict[str, Any]]:
    """Measure everything, or less of it; the rows are of :func:`rows.make_row`."""
    rows: list[dict[str, Any]] = []

    def row(what: str, mine: Timing, theirs: Timing, note: str = '') -> None:
        rows.append(make_row('inference', what, mine.median, theirs.median, note))

    repeats = 3 if quick else 9
    two = ours(2)
    theirs = builtin(two)
    x = torch.randn(BATCH, 3, 256, 192)
    fused, fused16 = fuse(two), fuse(two, dtype=torch.bfloat16)
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        reference = theirs(x, None, mode='tensor')[-1]
        gap = (fused(x, None) - reference).abs().max() / reference.abs().max()
        assert gap < 1e-4, f'the two networks differ by {gap}'
        times = interleaved(
            {
                'mmpose': lambda: theirs(x, None, mode='tensor'),
                'mmpose in ort': onnx_call(theirs, x, Path(folder, 'theirs.onnx')),
                'fused': lambda: fused(x, None),
                'fused bf16': lambda: fused16(x, None),
                'fused in ort': onnx_call(fused, x, Path(folder, 'ours.onnx')),
            },
            repeats,
            warmup=1,
            settle=1,
        )
    note = f'2 stages, batch {BATCH}, {torch.get_num_threads()} threads'
    row('network, fp32', times['fused'], times['mmpose'], note)
    row('network, bf16', times['fused bf16'], times['mmpose'], f'{note}; MMPose in fp32')
    row(
        'network, fp32, beside ONNX Runtime',
        times['fused'],
        times['mmpose in ort'],
        f'{note}; MMPose in ONNX Runtime',
    )
    row('ONNX Runtime', times['fused in ort'], times['mmpose in ort'], note)

    with torch.inference_mode():
        early = fuse(ours(4), stages=2)
        times = interleaved(
            {'early': lambda: early(x, None), 'two': lambda: fused(x, None)},
            repeats,
            warmup=1,
            settle=1,
        )
    row('4 stages, --stages 2', times['early'], times['two'], 'beside a fused 2-stage model')
    return rows


if __name__ == '__main__':
    run_topic(__doc__, run)
