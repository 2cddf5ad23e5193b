"""Measure MMPose models side by side: ``mspn benchmark CONFIG [CONFIG...]``.

A config is a file, a name such as ``mmpose::body_2d_keypoint/.../td-hm_res50_8xb64-...py``, or the
file name alone of a config of this plugin or else of MMPose. Each becomes a row: parameters,
multiply-adds, latency, throughput, training steps per second, peak memory, and average precision
where a checkpoint and data are given.

**How it is measured.** Repeats are interleaved, A B C A B C, so that a noisy machine disturbs all
alike. On each visit of a model the first call is thrown away. Medians and the middle half of all
calls are reported, and ratios to the first config.

**What a figure includes.**

- *Data pipeline*: the config's validation pipeline for one person of a 640x480 JPEG: reading,
  decoding, cropping, packing.
- *Latency* and *throughput*: ``model.test_step`` on a batch that is ready: normalisation, network,
  decoding to image coordinates. The config's flip test is left out unless ``--flip-test`` is given.
  Decoding (``head.decode``) is clocked inside the same calls, and the rest is called network.
- *Training step*: ``model.train_step`` on a batch that the config's training pipeline made:
  normalisation, forward pass, targets drawn on the device if any, losses and their logs, backward
  pass, step of the config's optimizer (at a tiny learning rate, so that the weights stay finite).
  Loading the data isn't included.
- *Memory*: see :func:`mspn_plugin.measure.cost.peak_memory`; a batch of the same size, predicting
  and training.

Images and keypoints are random, and so are weights without a checkpoint: files that a config would
download for its ``init_cfg`` are left out, because times don't depend on them.
"""

import contextlib
import copy
import functools
import io
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.runner import Runner, load_checkpoint
from mmpose.registry import MODELS
from mmpose.utils import register_all_modules
from torch import nn
from tqdm import tqdm

from ..config_files import find_config, read_config
from ..errors import SettingError, quiet
from ..measure import cost
from ..measure.machine import describe, matrix_rate
from ..measure.timing import clock, summarise
from .samples import Samples, write_images

MEASURES = ('predicting', 'training', 'memory', 'pipeline')
"""What can be left out of a run."""

# Tiny, so that weights that started at random stay finite.
_LEARNING_RATE = 1e-6


@dataclass
class Subject:
    """A model to measure.

    Attributes:
        config (str): See :func:`mspn_plugin.config_files.find_config`.
        checkpoint (str, optional): A file or URL.
        name (str): The row's name; the config's file name without one.
        options (dict): Values that replace the config's, by dotted keys as in ``--cfg-options``.
        change (Callable, optional): Turns the built model, in evaluation mode, into the one that
            is measured.
        skip (tuple[str]): Members of :data:`MEASURES` that aren't measured for this model.
    """

    config: str
    checkpoint: str | None = None
    name: str = ''
    options: Mapping[str, Any] = field(default_factory=dict)
    change: Callable[[nn.Module], nn.Module] | None = None
    skip: tuple[str, ...] = ()


@dataclass
class Settings:
    """How to measure.

    Attributes:
        device (str): ``cpu`` or a CUDA device.
        batch_size (int): Persons in a batch for throughput, training and memory.
        repeats (int): Rounds over all models.
        seconds (float): Calls of one kind are repeated within a visit for about this long, at
            least once and at most ten times.
        flip_test (bool): Whether the config's flip test is left on.
        skip (tuple[str]): Members of :data:`MEASURES` that aren't measured.
        data (str, optional): Root of a data set in the layout that the configs expect, for AP.
        seed (int): Of the random images, keypoints and weights.
    """

    device: str = 'cpu'
    batch_size: int = 8
    repeats: int = 5
    seconds: float = 0.3
    flip_test: bool = False
    skip: tuple[str, ...] = ()
    data: str | None = None
    seed: int = 0


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
        dict: ``machine``, ``settings``, ``matrix_multiply_adds_per_second``, ``started``,
        ``complete`` and ``rows``, one for each subject in order; see :meth:`Contender.row`. An
        interrupt from the keyboard ends the run early, with ``complete`` False.
    """
    register_all_modules(init_default_scope=False)
    seconds = min(1.0, 3 * settings.seconds)
    result: dict[str, Any] = dict(
        machine=describe(settings.device),
        started=time.strftime('%Y-%m-%d %H:%M:%S'),
        settings=asdict(settings),
        matrix_multiply_adds_per_second=matrix_rate(settings.device, seconds=seconds),
        complete=False,
        rows=[],
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        DefaultScope.overwrite_default_scope('mmpose'),
        quiet(),
        tqdm(total=len(subjects) * (2 + settings.repeats)) as progress,
    ):
        images = write_images(folder, settings.seed)
        contenders = [Contender(subject, settings, images) for subject in subjects]

        def each(what: str, call: Callable[[Contender], object]) -> None:
            for contender in contenders:
                progress.set_description(f'{what} {contender.name}')
                call(contender)
                progress.update()
            result['rows'] = [contender.row() for contender in contenders]

        try:
            each('build', Contender.build)
            for index in range(settings.repeats):
                each(f'round {index + 1}/{settings.repeats}', Contender.visit)
                after_round(result)
            each('AP of', functools.partial(Contender.measure_accuracy, work_dir=folder))
            result['complete'] = True
        except KeyboardInterrupt:
            result['rows'] = [contender.row() for contender in contenders]
    after_round(result)
    return result


class Contender:
    """A model among those that are measured, and its row of figures.

    Args:
        subject (Subject): The model.
        settings (Settings): How to measure.
        images (list[str]): JPEG files for the pipelines.
    """

    def __init__(self, subject: Subject, settings: Settings, images: Sequence[str]) -> None:
        self.subject = subject
        self.settings = settings
        self.images = images
        self.skip = {*settings.skip, *subject.skip}
        package, separator, _ = subject.config.rpartition('::')
        self.name = subject.name or package + separator + Path(subject.config).stem
        self.reasons: dict[str, str] = {}
        self.notes: dict[str, str] = {}
        self.training_batch: Any = None
        self.figures: dict[str, Any] = {}
        self.seconds: dict[str, list[float]] = {}

    def row(self) -> dict[str, Any]:
        """All that is known so far.

        Returns:
            dict: ``name``, ``config``, ``checkpoint``, ``options``; ``reasons`` (what could not be
            measured, and why); ``notes`` (what was measured otherwise than said, and why); where
            measured ``input_size`` (w, h), ``parameters``, ``multiply_adds`` (of all that the
            network can put out, one person), ``predicting_multiply_adds`` (of what a call of
            ``test_step`` runs, for one person), ``predicting_bytes``, ``training_bytes``,
            ``published`` and ``accuracy``; and timings in seconds, each with ``median``, ``low``,
            ``high`` and ``samples``: ``pipeline`` (one person), ``latency``, ``latency_decoding``,
            ``batch``, ``batch_decoding``, and ``training``, a step.
        """
        return dict(
            name=self.name,
            config=self.subject.config,
            checkpoint=self.subject.checkpoint,
            options=dict(self.subject.options),
            reasons=dict(self.reasons),
            notes=dict(self.notes),
            **self.figures,
            **{name: asdict(summarise(seconds)) for name, seconds in self.seconds.items()},
        )

    def build(self) -> None:
        """Build the model and its batches, and count what needs no clock."""
        self._attempt('building', self._build)

    def visit(self) -> None:
        """Take one round's samples."""
        if 'building' in self.reasons:
            return
        self._attempt('predicting', self._time_predicting)
        self._attempt('pipeline', self._time_pipeline)
        self._attempt('training', self._time_training)

    def measure_accuracy(self, work_dir: str) -> None:
        """Measure AP, where a checkpoint was given and its data are there."""
        if self.subject.checkpoint and not {'building', 'checkpoint'} & set(self.reasons):
            self._attempt('AP', lambda: self._measure_accuracy(work_dir))

    def _attempt(self, what: str, call: Callable[[], object]) -> None:
        if what in self.reasons or what in self.skip:
            return
        try:
            call()
        except Exception as error:
            if os.environ.get('MSPN_TRACEBACK'):
                raise
            name = '' if isinstance(error, SettingError) else f'{type(error).__name__}: '
            self.reasons[what] = ' '.join(f'{name}{error}'.split())[:300]

    def _build(self) -> None:
        path = find_config(self.subject.config)
        self.cfg = read_config(path, self.subject.options)
        self.figures['published'] = published(path)
        torch.manual_seed(self.settings.seed)
        model = revert_sync_batchnorm(MODELS.build(self.cfg.model))
        for module in model.modules():
            if 'Pretrained' in str(getattr(module, 'init_cfg', None)):
                module.init_cfg = []
        model.init_weights()
        if self.subject.checkpoint:
            load = functools.partial(load_checkpoint, model, map_location='cpu', strict=True)
            self._attempt('checkpoint', lambda: load(self.subject.checkpoint))
        if not self.settings.flip_test and getattr(model, 'test_cfg', None):
            model.test_cfg['flip_test'] = False
        model.eval()
        if self.subject.change is not None:
            model = self.subject.change(model)
        self.model = model.to(self.settings.device)

        self.samples = Samples(self.cfg, self.images, self.settings.batch_size, self.settings.seed)
        self.notes = self.samples.notes
        self.batch = self.samples.batch('val')
        self.single = self.samples.batch('val', count=1)
        inputs = self.model.data_preprocessor(copy.deepcopy(self.single), False)
        images, data_samples = inputs['inputs'], inputs['data_samples']
        self.figures['input_size'] = list(images.shape[:1:-1])
        self.figures['parameters'] = cost.parameters(self.model)
        self.figures['multiply_adds'] = cost.multiply_adds(
            lambda: self.model(images, data_samples, mode='tensor')
        )
        decoding: list[int] = []
        with self._decoding(lambda call: decoding.append(cost.multiply_adds(call))):
            whole = cost.multiply_adds(lambda: self.model.test_step(self.single))
        self.figures['predicting_multiply_adds'] = whole - sum(decoding)

    def _time_predicting(self) -> None:
        with torch.no_grad():
            self._time_test_step('latency', self.single)
            self._time_test_step('batch', self.batch)
            weights = [*self.model.parameters(), *self.model.buffers()]
            test = functools.partial(self.model.test_step, self.batch)
            self._measure_memory('predicting', test, lambda: weights)

    def _time_test_step(self, name: str, data: Any) -> None:
        decoding: list[float] = []
        with self._decoding(lambda call: decoding.append(self._clock(call))):
            self._time(name, functools.partial(self.model.test_step, data))
        if decoding:
            self.seconds.setdefault(f'{name}_decoding', []).extend(decoding[1:])

    def _time_pipeline(self) -> None:
        pipeline, persons = (
            self.samples.pipeline('val'),
            itertools.cycle(self.samples.persons('val')),
        )
        self._time('pipeline', lambda: pipeline(copy.deepcopy(next(persons))))

    def _time_training(self) -> None:
        model = self.model
        if self.training_batch is None:
            self.training_batch = self.samples.batch('train')
        model.train()
        # Some constructors print their settings.
        with contextlib.redirect_stdout(io.StringIO()):
            wrapper = build_optim_wrapper(model, copy.deepcopy(self.cfg.optim_wrapper))
        for group in wrapper.optimizer.param_groups:
            group['lr'] = _LEARNING_RATE
        step = functools.partial(model.train_step, self.training_batch, wrapper)
        try:
            self._time('training', step)
            model.zero_grad(set_to_none=True)
            kept = functools.partial(cost.kept_by_training, model, wrapper.optimizer)
            self._measure_memory('training', step, kept)
        finally:
            # The models that are measured next need the memory.
            model.zero_grad(set_to_none=True)
            model.eval()

    def _time(self, name: str, call: Callable[[], object]) -> None:
        """Take a visit's samples of a call, after a first one that is thrown away."""
        first = self._clock(call)
        calls = min(10, max(1, round(self.settings.seconds / first)))
        self.seconds.setdefault(name, []).extend(self._clock(call) for _ in range(calls))

    def _clock(self, call: Callable[[], object]) -> float:
        return round(clock(call, self.settings.device), 7)

    def _measure_memory(
        self, what: str, call: Callable[[], object], kept: Callable[[], list[torch.Tensor]]
    ) -> None:
        if 'memory' not in self.skip and f'{what}_bytes' not in self.figures:
            peak = cost.peak_memory(call, kept(), self.settings.device)
            self.figures[f'{what}_bytes'] = peak

    @contextlib.contextmanager
    def _decoding(self, measure: Callable[[Callable[[], object]], object]) -> Iterator[None]:
        """Hand each call of the head's ``decode`` to ``measure``, which calls it."""
        head: Any = getattr(self.model, 'head', None)
        decode: Any = getattr(head, 'decode', None)

        def measured(*args: Any, **kwargs: Any) -> Any:
            results: list[Any] = []
            measure(lambda: results.append(decode(*args, **kwargs)))
            return results[0]

        if decode is not None:
            head.decode = measured
        try:
            yield
        finally:
            if decode is not None:
                del head.decode

    def _measure_accuracy(self, work_dir: str) -> None:
        cfg = copy.deepcopy(self.cfg)
        boxes = use_data(cfg, self.settings.data)
        cfg.load_from = self.subject.checkpoint
        cfg.work_dir = work_dir
        cfg.experiment_name = f'benchmark-{time.time_ns()}'
        cfg.log_level = 'ERROR'
        # The metric prints its own table.
        with contextlib.redirect_stdout(io.StringIO()):
            metrics = Runner.from_cfg(cfg).test()
        self.figures['accuracy'] = dict(
            metrics={key: float(value) for key, value in metrics.items()},
            data=str(cfg.test_dataloader.dataset.get('data_root', '')),
            boxes=boxes,
        )


def published(config: str) -> dict[str, Any] | None:
    """The AP that a config's own metafile states.

    Args:
        config (str): The config's file.

    Returns:
        dict | None: ``AP`` (0 to 1) and ``source`` (what the metafile says of it, or else the
        package and the metafile); None where no metafile beside the config has an AP for it.
    """
    path = Path(config).resolve()
    for metafile in sorted(path.parent.glob('*.yml')):
        content = yaml.safe_load(metafile.read_text(encoding='utf-8'))
        for model in content.get('Models', []) if isinstance(content, dict) else []:
            if Path(str(model.get('Config', ''))).name != path.name:
                continue
            for results in model.get('Results') or []:
                if 'AP' not in (results.get('Metrics') or {}):
                    continue
                is_installed = '.mim' in path.parts
                package = path.parts[path.parts.index('.mim') - 1] if is_installed else ''
                package += f' {version(package)} ' if package else ''
                return dict(
                    AP=float(results['Metrics']['AP']),
                    source=str(model.get('Source') or f'{package}{metafile.name}'),
                )
    return None


def use_data(cfg: Config, data: str | None) -> str:
    """Let a config test on the data below another folder.

    Args:
        cfg (Config): The config, which is changed.
        data (str, optional): The folder; the config's own by default.

    Returns:
        str: Which boxes it tests with, ``detected`` or ``ground truth``.

    Raises:
        SettingError: If there are no annotations.
    """
    dataset = cfg.test_dataloader.dataset
    before = str(dataset.get('data_root') or '')

    def moved(path: str) -> str:
        return str(Path(data) / path[len(before) :]) if data and path.startswith(before) else path

    annotations = Path(data or before) / str(dataset.ann_file)
    if not annotations.is_file():
        raise SettingError(f'no AP, because {annotations} is missing; --data names the data')
    dataset.data_root = data or before
    if dataset.get('bbox_file'):
        file = moved(dataset.bbox_file)
        dataset.bbox_file = file if Path(file).is_file() else None
    evaluators = cfg.test_evaluator
    for evaluator in evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]:
        if evaluator.get('ann_file'):
            evaluator.ann_file = moved(evaluator.ann_file)
    return 'detected' if dataset.get('bbox_file') else 'ground truth'
