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

import numpy as np
import onnxruntime
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from rows import make_row, run_topic
from torch import nn

import mspn_plugin  # noqa: F401

from mmpose.apis import inference_topdown  # isort: skip
from mmpose.models import build_pose_estimator  # isort: skip
from mspn_plugin.inference.boxes import Boxes
from mspn_plugin.inference.fused import fuse
from mspn_plugin.inference.predictor import PosePredictor
from mspn_plugin.measure.timing import Timing, interleaved

CONFIG = Path(__file__).resolve().parent.parent / 'configs' / 'mspn_coco.py'
BATCH = 8


def ours(num_stages: int) -> nn.Module:
    """Our estimator, settled with plausible statistics."""
    config = Config.fromfile(CONFIG)
    config.model.backbone.update(num_stages=num_stages, init_cfg=None)
    config.model.head.update(num_stages=num_stages)
    init_default_scope('mmpose')
    torch.manual_seed(0)
    model: Any = build_pose_estimator(config.model)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.3, 0.7)
    model.cfg = config
    return model.eval()


def builtin(model: Any) -> nn.Module:
    """MMPose's built-in MSPN with the same weights."""
    stages, config = model.backbone.num_stages, model.cfg
    levels = [i for s in range(stages) for i in range(s == stages - 1, 4 + (s == stages - 1))]
    theirs: Any = build_pose_estimator(
        dict(
            type='TopdownPoseEstimator',
            data_preprocessor=config.model.data_preprocessor,
            backbone=dict(
                type='MSPN',
                num_stages=stages,
                num_units=4,
                num_blocks=[3, 4, 6, 3],
                norm_cfg=dict(type='BN'),
            ),
            head=dict(
                type='MSPNHead',
                out_shape=(64, 48),
                unit_channels=256,
                out_channels=17,
                num_stages=stages,
                num_units=4,
                norm_cfg=dict(type='BN'),
                level_indices=levels,
                loss=[dict(type='KeypointMSELoss', use_target_weight=True)] * (4 * stages),
                decoder=dict(
                    type='MegviiHeatmap',
                    input_size=(192, 256),
                    heatmap_size=(48, 64),
                    kernel_size=11,
                ),
            ),
            test_cfg=config.model.test_cfg,
        )
    )
    theirs.load_state_dict(model.state_dict())
    theirs.train(False)
    for module in theirs.modules():  # its backbone's train() forgets some
        module.training = False
    theirs.cfg = config
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
    """Measure.

    Args:
        quick (bool): Fewer repeats and persons.

    Returns:
        list[dict]: Rows of topic, what, ours_ms, mmpose_ms, ratio and note.
    """
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

    persons = 8 if quick else 100
    two.dataset_meta = mspn_meta(two.cfg)
    theirs.dataset_meta = fused.dataset_meta = two.dataset_meta
    picture = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    corners = np.float32([[i, i, i + 150, i + 300] for i in range(persons)])
    boxes = Boxes(corners, np.ones(persons, np.float32))
    predictor = PosePredictor(fused)
    size = predictor.batch_size
    times = interleaved(
        {
            'mmpose': lambda: inference_topdown(theirs, picture, corners),
            'mmpose in batches': lambda: [
                inference_topdown(theirs, picture, corners[i : i + size])
                for i in range(0, persons, size)
            ],
            'ours': lambda: predictor(picture, boxes),
        },
        2 if quick else 3,
        0,
    )
    note = f'{persons} persons, flip test, fp32'
    row('picture to joints', times['ours'], times['mmpose'], f'{note}; MMPose takes all at once')
    row(
        'picture to joints, beside batches',
        times['ours'],
        times['mmpose in batches'],
        f'{note}; MMPose is called with {size} persons at a time, as many as ours takes',
    )
    return rows


def mspn_meta(config: Config) -> dict[str, Any]:
    """The data set's description, as MMPose's functions want it."""
    from mmpose.apis.inference import dataset_meta_from_config

    meta = dataset_meta_from_config(config)
    assert meta is not None
    return meta


if __name__ == '__main__':
    run_topic(__doc__, run)
