"""What a GPU is for, beside MMPose's built-in MSPN: training steps and predictions. ``make gpu``.

The rows are measured by ``mspn_plugin.benchmark.compare``, two-stage MSPN-50 with random weights in
both. A training step is measured in each precision that MMEngine's AMP knows: ours as its config
has it, then with channels-last memory and targets drawn on the device, then with the backbone
compiled besides: MMEngine's ``compile=True``, for the whole step, fails at MMPose's samples.
Predictions are measured with small and large batches.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from bench_pipeline import MMPOSE, OURS
from rows import make_row
from torch import nn

from mspn_plugin.benchmark import compare
from mspn_plugin.benchmark.compare import Settings, Subject
from mspn_plugin.inference.fused import fuse


@dataclasses.dataclass(frozen=True)
class Work:
    """How much is measured, and of which network.

    Attributes:
        precisions (Sequence[str]): Of training: float32, float16, bfloat16.
        training_batch (int): Persons in a step.
        prediction_batches (Sequence[int]): Persons in a prediction.
        repeats (int): Rounds over all contenders.
        options (Mapping): Of both configs.
        backend (str): What compiles.
    """

    precisions: Sequence[str] = ('float32', 'float16', 'bfloat16')
    training_batch: int = 64
    prediction_batches: Sequence[int] = (1, 32, 256)
    repeats: int = 3
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    backend: str = 'inductor'


TINY = Work(
    precisions=('float32',),
    training_batch=1,
    prediction_batches=(1,),
    repeats=1,
    options={
        'model.backbone.num_blocks': [1, 1, 1, 1],
        'model.backbone.unit_channels': 16,
        'model.head.unit_channels': 16,
    },
    backend='eager',
)


def training(work: Work, device: str) -> list[dict[str, Any]]:
    """Measure training steps; the rows are of :func:`rows.make_row`."""

    def compiled(model: Any) -> nn.Module:
        model.backbone.compile(backend=work.backend)
        return model

    rows = []
    for precision in work.precisions:
        amp = {'optim_wrapper.type': 'AmpOptimWrapper', 'optim_wrapper.dtype': precision}
        options = {**work.options, **(amp if precision != 'float32' else {})}
        fast = {**options, 'model.backbone.channels_last': True}
        subjects = [
            Subject(MMPOSE, name='MMPose', options=options),
            Subject(OURS, name='as configured', options=options),
            Subject(OURS, name='channels-last', options=fast),
            Subject(OURS, name='that, backbone compiled', options=fast, change=compiled),
        ]
        what = f'training step, {work.training_batch} persons, {precision}'
        skip = ('predicting', 'pipeline')
        settings = Settings(device, work.training_batch, work.repeats, skip=skip)
        rows += _rows(what, 'training', 'training', subjects, settings)
        torch.compiler.reset()
    return rows


def prediction(work: Work, device: str) -> list[dict[str, Any]]:
    """Measure predictions without the flip test; the rows are of :func:`rows.make_row`."""
    rows = []
    for count in work.prediction_batches:
        subjects = [
            Subject(MMPOSE, name='MMPose', options=work.options),
            Subject(OURS, name='fused', options=work.options, change=fuse),
            Subject(
                OURS,
                name='fused, bfloat16',
                options=work.options,
                change=lambda model: fuse(model, dtype=torch.bfloat16),
            ),
        ]
        what = f'prediction, {count} in a batch'
        settings = Settings(device, count, work.repeats, skip=('training', 'pipeline'))
        rows += _rows(what, 'batch', 'predicting', subjects, settings)
    return rows


def _rows(
    what: str, timed: str, memory: str, subjects: Sequence[Subject], settings: Settings
) -> list[dict[str, Any]]:
    """Measure, and set everything beside the first subject."""
    theirs, *ours = compare.run(subjects, settings)['rows']
    rows = []
    for row in ours:
        missing = {**theirs['reasons'], **row['reasons']}
        if missing:
            raise RuntimeError(f'{what}, {row["name"]}: {missing}')
        sizes = ' and '.join(f'{r[f"{memory}_bytes"] / 2**20:.0f}' for r in (row, theirs))
        each = settings.batch_size / row[timed]['median']
        note = f'{each:.0f} persons a second; {sizes} MiB'
        name = f'{what}, {row["name"]}'
        rows.append(make_row('gpu', name, row[timed]['median'], theirs[timed]['median'], note))
    return rows
