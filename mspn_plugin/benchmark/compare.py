"""Measure MMPose models side by side; docs/benchmarks.md says how, and what a figure includes."""

import contextlib
import copy
import functools
import io
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.runner import Runner, load_checkpoint
from mmpose.registry import MODELS
from mmpose.utils import register_all_modules
from torch import nn
from tqdm import tqdm

from ..config_files import find_config, read_config
from ..errors import quiet, reason
from ..measure import cost
from ..measure.machine import describe
from ..measure.timing import clock, summarise
from .samples import Samples, write_image

MEASURES = ('predicting', 'training', 'memory', 'pipeline')
"""What can be left out of a run."""

# Tiny, so that weights that started at random stay finite.
_LEARNING_RATE = 1e-6


@dataclass
class Subject:
    """A model to measure."""

    config: str  # as find_config takes it
    checkpoint: str | None = None
    name: str = ''  # the row's; the config's file name without one
    options: Mapping[str, Any] = field(default_factory=dict)  # as of --cfg-options
    # Turns the built model, in evaluation mode, into the one that is measured.
    change: Callable[[nn.Module], Any] = lambda model: model


@dataclass
class Settings:
    """How to measure."""

    device: str = 'cpu'
    batch_size: int = 8  # for throughput, training and memory
    repeats: int = 5  # rounds over all models
    seconds: float = 0.3  # a call is repeated so long in a round, at most ten times
    flip_test: bool = False  # whether the config's is left on
    skip: Sequence[str] = ()  # members of MEASURES


def run(
    subjects: Sequence[Subject],
    settings: Settings,
    after_round: Callable[[dict[str, Any]], object] = lambda result: None,
) -> dict[str, Any]:
    """Measure models side by side, with a progress bar.

    Args:
        subjects (Sequence[Subject]): The models. Ratios are to the first.
        settings (Settings): How to measure.
        after_round (Callable): Is called with all that was measured so far, after every round.

    Returns:
        dict: ``machine``, ``settings``, ``started``, ``complete`` and ``rows``, one for each
        subject in order; see :class:`Contender`.
    """
    register_all_modules(init_default_scope=False)
    result: dict[str, Any] = dict(
        machine=describe(settings.device),
        started=time.strftime('%Y-%m-%d %H:%M:%S'),
        settings=asdict(settings),
        complete=False,
    )
    visit = {
        'predicting': Contender.time_predicting,
        'pipeline': Contender.time_pipeline,
        'training': Contender.time_training,
    }
    visits = [visit] * settings.repeats
    rounds = [{'building': Contender.build}, *visits, {'AP': Contender.measure_accuracy}]
    with (
        tempfile.TemporaryDirectory() as folder,
        DefaultScope.overwrite_default_scope('mmpose'),
        quiet(),
        tqdm(total=len(subjects) * len(rounds)) as progress,
    ):
        contenders = [Contender(subject, settings, folder) for subject in subjects]
        result['rows'] = [contender.row for contender in contenders]
        for index, measures in enumerate(rounds, start=1):
            for contender in contenders:
                progress.set_description(contender.row['name'])
                for what, measure in measures.items():
                    contender.attempt(what, measure)
                progress.update()
            result['complete'] = index == len(rounds)
            after_round(result)
    return result


class Contender:
    """A model among those that are measured; files may be written to the folder.

    Attributes:
        row (dict): ``name``, ``config``, ``checkpoint``, ``options``; ``reasons`` (what could not
            be measured, and why); where measured ``input_size`` (w, h), ``parameters``,
            ``multiply_adds`` (of one person), ``predicting_bytes``, ``training_bytes``, ``AP`` and
            ``metrics``; and timings in seconds, each with ``median``, ``low``, ``high`` and
            ``samples``: ``pipeline`` (one person), ``latency``, ``batch``, and ``training``, a
            step.
    """

    def __init__(self, subject: Subject, settings: Settings, folder: str) -> None:
        self.subject, self.settings, self.folder = subject, settings, folder
        package, separator, _ = subject.config.rpartition('::')
        self.row: dict[str, Any] = dict(
            name=subject.name or package + separator + Path(subject.config).stem,
            config=subject.config,
            checkpoint=subject.checkpoint,
            options=dict(subject.options),
            reasons={},
        )

    def attempt(self, what: str, measure: Callable[['Contender'], None]) -> None:
        """Measure something, unless it is skipped or failed before; note why it fails."""
        if what in self.settings.skip or {what, 'building'} & set(self.row['reasons']):
            return
        try:
            measure(self)
        except Exception as error:
            self.row['reasons'][what] = reason(error)

    def build(self) -> None:
        """Build the model and its batches, and count what needs no clock."""
        settings = self.settings
        self.cfg = read_config(find_config(self.subject.config), self.subject.options)
        torch.manual_seed(0)
        model: Any = revert_sync_batchnorm(MODELS.build(self.cfg.model))
        if self.subject.checkpoint:
            load_checkpoint(model, self.subject.checkpoint, map_location='cpu', strict=True)
        if not settings.flip_test and getattr(model, 'test_cfg', None):
            model.test_cfg['flip_test'] = False
        self.model = self.subject.change(model.eval()).to(settings.device)
        self.samples = Samples(self.cfg, write_image(self.folder))
        self.single = self.samples.batch('val', 1)
        self.batch = self.samples.batch('val', settings.batch_size)
        data = self.model.data_preprocessor(copy.deepcopy(self.single), False)
        self.row.update(
            input_size=list(data['inputs'].shape[:1:-1]),
            parameters=sum(parameter.numel() for parameter in self.model.parameters()),
            multiply_adds=cost.multiply_adds(lambda: self.model(**data, mode='tensor')),
        )

    def time_predicting(self) -> None:
        """Take a round's samples of predictions, and measure their memory once."""
        test = functools.partial(self.model.test_step, self.batch)
        with torch.no_grad():
            self._time('latency', lambda: self.model.test_step(self.single))
            self._time('batch', test)
            weights = [*self.model.parameters(), *self.model.buffers()]
            self._measure_memory('predicting', test, weights)

    def time_pipeline(self) -> None:
        """Take a round's samples of reading a person."""
        pipeline, (person,) = self.samples.pipeline('val'), self.samples.persons(1)
        self._time('pipeline', lambda: pipeline(copy.deepcopy(person)))

    def time_training(self) -> None:
        """Take a round's samples of training steps, and measure their memory once."""
        model = self.model
        # Some constructors print their settings.
        with contextlib.redirect_stdout(io.StringIO()):
            wrapper = build_optim_wrapper(model, copy.deepcopy(self.cfg.optim_wrapper))
        for group in wrapper.optimizer.param_groups:
            group['lr'] = _LEARNING_RATE
        batch = self.samples.batch('train', self.settings.batch_size)
        step = functools.partial(model.train_step, batch, wrapper)
        model.train()
        try:
            self._time('training', step)
            model.zero_grad(set_to_none=True)
            kept = cost.kept_by_training(model, wrapper.optimizer)
            self._measure_memory('training', step, kept)
        finally:
            # The models that are measured next need the memory.
            model.zero_grad(set_to_none=True)
            model.eval()

    def _time(self, name: str, call: Callable[[], object]) -> None:
        """Take a visit's samples of a call, after a first one that is thrown away."""
        first = clock(call, self.settings.device)
        calls = min(10, max(1, round(self.settings.seconds / first)))
        samples = [round(clock(call, self.settings.device), 7) for _ in range(calls)]
        earlier = self.row[name]['samples'] if name in self.row else []
        self.row[name] = summarise([*earlier, *samples])._asdict()

    def _measure_memory(
        self, what: str, call: Callable[[], object], kept: list[torch.Tensor]
    ) -> None:
        if 'memory' not in self.settings.skip and f'{what}_bytes' not in self.row:
            self.row[f'{what}_bytes'] = cost.peak_memory(call, kept, self.settings.device)

    def measure_accuracy(self) -> None:
        """Measure AP, where a checkpoint was given."""
        if self.subject.checkpoint is None:
            return
        cfg = copy.deepcopy(self.cfg)
        cfg.load_from = self.subject.checkpoint
        cfg.work_dir = self.folder
        cfg.experiment_name = f'benchmark-{time.time_ns()}'
        cfg.log_level = 'ERROR'
        # The metric prints its own table.
        with contextlib.redirect_stdout(io.StringIO()):
            metrics = Runner.from_cfg(cfg).test()
        self.row['metrics'] = {key: float(value) for key, value in metrics.items()}
        for key, value in self.row['metrics'].items():
            if key.endswith('/AP'):
                self.row['AP'] = value
