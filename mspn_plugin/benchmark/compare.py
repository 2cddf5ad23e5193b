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

Pictures and joints are random, and so are weights without a checkpoint: files that a config would
download for its ``init_cfg`` are left out, because times don't depend on them.
"""

import contextlib
import copy
import functools
import io
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.logging import MMLogger
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import FUNCTIONS, DefaultScope
from mmengine.runner import CheckpointLoader, Runner
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS, MODELS, TRANSFORMS
from mmpose.utils import register_all_modules
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from torch import nn

from ..config_files import config_names, config_path
from ..errors import SettingError
from ..measure import cost
from ..measure.machine import describe, matrix_rate
from ..measure.timing import clock, summarise

MEASURES = ('predicting', 'training', 'memory', 'pipeline')
"""What can be left out of a run."""

_IMAGE_SIZE = (640, 480)  # (w, h) of the pictures that the pipelines read
_META_KEYS = (
    'dataset_name',
    'upper_body_ids',
    'lower_body_ids',
    'flip_pairs',
    'dataset_keypoint_weights',
    'flip_indices',
    'skeleton_links',
)
# Tiny, so that weights that started at random stay finite.
_LEARNING_RATE = 1e-6


@dataclass
class Subject:
    """A model to measure.

    Attributes:
        config (str): See :func:`find_config`.
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
        seed (int): Of the random pictures, joints and weights.
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
    console: Console | None = None,
) -> dict[str, Any]:
    """Measure models side by side.

    Args:
        subjects (Sequence[Subject]): The models. Ratios are to the first.
        settings (Settings): How to measure.
        after_round (Callable): Is called with all that was measured so far, after every round.
        console (Console, optional): Where a progress bar is shown.

    Returns:
        dict: ``machine``, ``settings``, ``matrix_multiply_adds_per_second``, ``started``,
        ``complete`` and ``rows``, one for each subject in order; see :class:`Contender`. An
        interrupt from the keyboard ends the run early, with ``complete`` False.
    """
    register_all_modules(init_default_scope=False)
    progress = Progress(
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=console is None,
    )
    result: dict[str, Any] = dict(
        machine=describe(settings.device),
        started=time.strftime('%Y-%m-%d %H:%M:%S'),
        settings=asdict(settings),
        matrix_multiply_adds_per_second=matrix_rate(
            settings.device, seconds=min(1.0, 3 * settings.seconds)
        ),
        complete=False,
        rows=[],
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        DefaultScope.overwrite_default_scope('mmpose'),
        _quiet(),
        progress,
    ):
        bar = progress.add_task('', total=len(subjects) * (1 + settings.repeats))
        contenders = [
            Contender(subject, settings, _pictures(folder, settings.seed)) for subject in subjects
        ]
        try:
            for contender in contenders:
                progress.update(bar, description=f'build {contender.name}')
                contender.build()
                progress.advance(bar)
            for round_index in range(settings.repeats):
                for contender in contenders:
                    progress.update(
                        bar,
                        description=f'round {round_index + 1}/{settings.repeats} {contender.name}',
                    )
                    contender.visit()
                    progress.advance(bar)
                result['rows'] = [contender.row() for contender in contenders]
                after_round(result)
            for contender in contenders:
                progress.update(bar, description=f'AP of {contender.name}')
                contender.measure_accuracy(folder)
            result['complete'] = True
        except KeyboardInterrupt:
            pass
        result['rows'] = [contender.row() for contender in contenders]
    after_round(result)
    return result


class Contender:
    """A model among those that are measured, and its row of figures.

    Args:
        subject (Subject): The model.
        settings (Settings): How to measure.
        pictures (list[str]): JPEG files for the pipelines.
    """

    def __init__(self, subject: Subject, settings: Settings, pictures: Sequence[str]) -> None:
        self.subject = subject
        self.settings = settings
        self.pictures = pictures
        self.skip = {*settings.skip, *subject.skip}
        package, separator, _ = subject.config.rpartition('::')
        self.name = subject.name or package + separator + Path(subject.config).stem
        self.reasons: dict[str, str] = {}
        self.notes: dict[str, str] = {}
        self.training_batch: Any = None
        self.figures: dict[str, Any] = {}
        self.samples: dict[str, list[float]] = {}

    def row(self) -> dict[str, Any]:
        """All that is known so far.

        Returns:
            dict: ``name``, ``config``, ``checkpoint``, ``options``; ``reasons`` (what could not be
            measured, and why); ``notes`` (what was measured otherwise than said, and why); where
            measured ``input_size`` (w, h), ``parameters``,
            ``multiply_adds`` (of all that the network can put out, one person),
            ``predicting_multiply_adds`` (of what a call of ``test_step`` runs, for one person),
            ``predicting_bytes``, ``training_bytes``, ``published`` and ``accuracy``; and timings
            in seconds, each with ``median``, ``low``, ``high`` and ``samples``: ``pipeline`` (one
            person), ``latency``, ``latency_decoding``, ``batch``, ``batch_decoding``, and
            ``training``, a step.
        """
        timings = {
            name: asdict(summarise([round(sample, 7) for sample in samples]))
            for name, samples in self.samples.items()
        }
        return dict(
            name=self.name,
            config=self.subject.config,
            checkpoint=self.subject.checkpoint,
            options=dict(self.subject.options),
            reasons=dict(self.reasons),
            notes=dict(self.notes),
            **self.figures,
            **timings,
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
            self.reasons[what] = _reason(error)

    def _build(self) -> None:
        path = find_config(self.subject.config)
        self.cfg = Config.fromfile(path)
        self.cfg.merge_from_dict(dict(self.subject.options))
        self.figures['published'] = published(path)
        _check_packages(self.cfg.model)
        torch.manual_seed(self.settings.seed)
        model = MODELS.build(_without_downloads(self.cfg.model))
        model.init_weights()
        model = revert_sync_batchnorm(model)
        if self.subject.checkpoint:
            self._attempt('checkpoint', lambda: _load(model, str(self.subject.checkpoint)))
        if not self.settings.flip_test and getattr(model, 'test_cfg', None):
            model.test_cfg['flip_test'] = False
        model.eval()
        if self.subject.change is not None:
            model = self.subject.change(model)
        self.model = model.to(self.settings.device)

        self.predicting_persons = self._persons('val')
        self.single = self._batch('val', self.predicting_persons[:1])
        self.batch = self._batch('val', self.predicting_persons)
        inputs = self.model.data_preprocessor(copy.deepcopy(self.single), False)
        images, samples = inputs['inputs'], inputs['data_samples']
        self.figures['input_size'] = list(images.shape[:1:-1])
        self.figures['parameters'] = cost.parameters(self.model)
        self.figures['multiply_adds'] = cost.multiply_adds(
            lambda: self.model(images, samples, mode='tensor')
        )
        decoding: list[int] = []
        with self._decoding(lambda call: decoding.append(cost.multiply_adds(call))):
            whole = cost.multiply_adds(lambda: self.model.test_step(self.single))
        self.figures['predicting_multiply_adds'] = whole - sum(decoding)

    def _persons(self, split: str) -> list[dict[str, Any]]:
        dataset = self.cfg[f'{split}_dataloader'].dataset
        topdown = dataset.get('data_mode', 'topdown') == 'topdown'
        rng = np.random.RandomState(self.settings.seed)
        meta = _metainfo(self.cfg.val_dataloader.dataset)
        return [
            _persons_in(self.pictures[index % len(self.pictures)], meta, 1 if topdown else 3, rng)
            for index in range(self.settings.batch_size)
        ]

    def _pipeline(self, split: str) -> Callable[[dict[str, Any]], Any]:
        dataset = self.cfg[f'{split}_dataloader'].dataset
        while 'pipeline' not in dataset and 'dataset' in dataset:
            dataset = dataset.dataset
        steps = []
        for step in copy.deepcopy(dataset.pipeline):
            try:
                steps.append(TRANSFORMS.build(step))
            except (ImportError, RuntimeError) as error:
                if split != 'train':
                    raise
                # The batch is made outside the clock, and augmentation leaves its shapes alone.
                self.notes[f'{step["type"]} left out of the training pipeline'] = _reason(error)
        return Compose(steps)

    def _batch(self, split: str, persons: Sequence[dict[str, Any]]) -> Any:
        pipeline = self._pipeline(split)
        np.random.seed(self.settings.seed)
        collate = self.cfg[f'{split}_dataloader'].get('collate_fn')
        collate = pseudo_collate if collate is None else FUNCTIONS.get(collate['type'])
        return collate([pipeline(copy.deepcopy(person)) for person in persons])

    def _time_predicting(self) -> None:
        self.model.eval()
        with torch.no_grad():
            self._time_test_step('latency', self.single)
            self._time_test_step('batch', self.batch)
            if 'memory' not in self.skip and 'predicting_bytes' not in self.figures:
                self.figures['predicting_bytes'] = cost.peak_memory(
                    lambda: self.model.test_step(self.batch),
                    [*self.model.parameters(), *self.model.buffers()],
                    self.settings.device,
                )

    def _time_test_step(self, name: str, data: Any) -> None:
        decoding: list[float] = []
        with self._decoding(lambda call: decoding.append(clock(call, self.settings.device))):
            calls = self._calls(lambda: self.model.test_step(data))
            decoding.clear()
            for _ in range(calls):
                self._sample(name, lambda: self.model.test_step(data))
        if decoding:
            self.samples.setdefault(f'{name}_decoding', []).extend(decoding)

    def _time_pipeline(self) -> None:
        pipeline = self._pipeline('val')
        persons = self.predicting_persons
        calls = self._calls(lambda: pipeline(copy.deepcopy(persons[0])))
        for index in range(calls):
            person = copy.deepcopy(persons[index % len(persons)])
            self._sample('pipeline', functools.partial(pipeline, person))

    def _time_training(self) -> None:
        model = self.model
        if self.training_batch is None:
            self.training_batch = self._batch('train', self._persons('train'))
        batch = self.training_batch
        model.train()
        # Some constructors print their settings.
        with contextlib.redirect_stdout(io.StringIO()):
            wrapper = build_optim_wrapper(model, copy.deepcopy(self.cfg.optim_wrapper))
        for group in wrapper.optimizer.param_groups:
            group['lr'] = _LEARNING_RATE
        try:
            calls = self._calls(lambda: model.train_step(batch, wrapper))
            for _ in range(calls):
                self._sample('training', lambda: model.train_step(batch, wrapper))
            if 'memory' not in self.skip and 'training_bytes' not in self.figures:
                model.zero_grad(set_to_none=True)
                self.figures['training_bytes'] = cost.peak_memory(
                    lambda: model.train_step(batch, wrapper),
                    cost.kept_by_training(model, wrapper.optimizer),
                    self.settings.device,
                )
        finally:
            # The models that are measured next need the memory.
            model.zero_grad(set_to_none=True)
            model.eval()

    def _calls(self, call: Callable[[], object]) -> int:
        """How often to measure a call within a visit, from a first one that is thrown away."""
        first = clock(call, self.settings.device)
        return min(10, max(1, round(self.settings.seconds / first)))

    def _sample(self, name: str, call: Callable[[], object]) -> None:
        seconds = clock(call, self.settings.device)
        self.samples.setdefault(name, []).append(seconds)

    @contextlib.contextmanager
    def _decoding(self, measure: Callable[[Callable[[], object]], object]) -> Iterator[None]:
        """Hand each call of the head's ``decode`` to ``measure``, which calls it."""
        head = getattr(self.model, 'head', None)
        decode = getattr(head, 'decode', None)
        if head is None or decode is None:
            yield
            return

        def measured(*args: Any, **kwargs: Any) -> Any:
            results: list[Any] = []
            measure(lambda: results.append(decode(*args, **kwargs)))
            return results[0]

        head.decode = measured
        try:
            yield
        finally:
            del head.decode

    def _measure_accuracy(self, work_dir: str) -> None:
        cfg = copy.deepcopy(self.cfg)
        boxes = _point_to(cfg, self.settings.data)
        cfg.model = _without_downloads(cfg.model)
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


def find_config(name: str) -> str:
    """The file that a config's name stands for.

    Args:
        name (str): A file; ``package::path``, with the path below the package's configs; or a
            file name alone, of a config of this plugin or, where it has none of that name, of
            MMPose. The suffix ``.py`` can be left out.

    Returns:
        str: The file's path.

    Raises:
        SettingError: If there is no such file, or several.
    """
    file_name = name if name.endswith('.py') else f'{name}.py'
    if '::' in name:
        package, _, inner = file_name.partition('::')
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise SettingError(f'config {name}: the package {package} is not installed')
        path = Path(spec.submodule_search_locations[0]) / '.mim' / 'configs' / inner
        if not path.is_file():
            raise SettingError(f'config {name}: {package} has no such config, {path} is missing')
        return str(path)
    if Path(file_name).is_file():
        return file_name
    stem = Path(file_name).stem
    if Path(file_name).name == file_name:
        if stem in config_names():
            return config_path(stem)
        spec = find_spec('mmpose')
        if spec is not None and spec.submodule_search_locations:
            folder = Path(spec.submodule_search_locations[0]) / '.mim' / 'configs'
            found = sorted(folder.rglob(file_name))
            if len(found) > 1:
                raise SettingError(
                    f'config {name}: several have that name: {", ".join(map(str, found))}'
                )
            if found:
                return str(found[0])
    raise SettingError(
        f'config {name}: no such file here, among the configs of mspn_plugin or those of MMPose; '
        'name a file, mmpose::PATH, or the file name of a config of either'
    )


def published(config: str) -> dict[str, Any] | None:
    """The AP that a config's own metafile states.

    Args:
        config (str): The config's file.

    Returns:
        dict | None: ``AP`` (0 to 1), ``dataset``, ``source`` (what the metafile says of it, or
        else the package and the metafile) and ``weights``; None where no metafile beside the
        config names it and has an AP.
    """
    path = Path(config)
    for metafile in sorted(path.parent.glob('*.yml')):
        content = yaml.safe_load(metafile.read_text(encoding='utf-8'))
        models = content.get('Models', []) if isinstance(content, dict) else []
        for model in models:
            if Path(str(model.get('Config', ''))).name != path.name:
                continue
            for results in model.get('Results') or []:
                value = (results.get('Metrics') or {}).get('AP')
                if value is not None:
                    return dict(
                        AP=float(value),
                        dataset=results.get('Dataset'),
                        source=str(model.get('Source') or f'{_package(path)} {metafile.name}'),
                        weights=model.get('Weights'),
                    )
    return None


def _package(config: Path) -> str:
    """The package that a config was installed with, and its version."""
    parts = config.resolve().parts
    if '.mim' not in parts:
        return ''
    name = parts[parts.index('.mim') - 1]
    return f'{name} {version(name)}'


def _reason(error: BaseException) -> str:
    text = ' '.join(str(error).split())
    if len(text) > 300:
        text = f'{text[:300]}...'
    return text if isinstance(error, SettingError) else f'{type(error).__name__}: {text}'


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what models say while they are built and run out of the table's way."""
    # The profiler that counts memory reports its starts and stops.
    os.environ.setdefault('KINETO_LOG_LEVEL', '99')
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('ERROR')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)


def _without_downloads(model: Any) -> Any:
    """A copy of a model's config without files that ``init_cfg`` would load."""
    if isinstance(model, dict):
        kept = {}
        for key, value in model.items():
            if key == 'init_cfg':
                entries = value if isinstance(value, (list, tuple)) else [value]
                entries = [e for e in entries if e and e.get('type') != 'Pretrained']
                if not entries:
                    continue
                value = entries
            kept[key] = _without_downloads(value)
        return kept
    if isinstance(model, (list, tuple)):
        return type(model)(_without_downloads(value) for value in model)
    return copy.deepcopy(model)


def _check_packages(model: Any) -> None:
    """Name the package that a model's config takes parts from, where it isn't installed."""
    if isinstance(model, dict):
        kind = model.get('type')
        scope = model.get('_scope_')
        if isinstance(kind, str) and '.' in kind:
            scope = kind.split('.')[0]
        if scope and find_spec(scope) is None:
            raise SettingError(
                f'{kind} is a part of {scope}, which is not installed: '
                f'pip install --no-deps {scope}'
            )
    if isinstance(model, (dict, list, tuple)):
        for value in model.values() if isinstance(model, dict) else model:
            _check_packages(value)


def _load(model: nn.Module, checkpoint: str) -> None:
    content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    missing, _ = model.load_state_dict(content.get('state_dict', content), strict=False)
    if missing:
        raise SettingError(
            f'checkpoint {checkpoint} lacks {len(missing)} of the values of this model, the first '
            f'is {missing[0]}; is it of another config?'
        )


def _pictures(folder: str, seed: int) -> list[str]:
    """Four JPEG files of cloudy noise, which compresses about as well as a photograph."""
    rng = np.random.RandomState(seed)
    paths = [str(Path(folder) / f'{index}.jpg') for index in range(4)]
    for path in paths:
        picture = cv2.resize(rng.randint(0, 256, (60, 80, 3)).astype(np.uint8), _IMAGE_SIZE)
        noise = rng.randint(-8, 9, picture.shape)
        cv2.imwrite(path, np.clip(picture + noise, 0, 255).astype(np.uint8))
    return paths


def _metainfo(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """The joints, skeleton and flip pairs of the data set that a config validates on."""
    while 'metainfo' not in dataset and 'dataset' in dataset:
        dataset = dataset['dataset']
    meta = dataset.get('metainfo')
    if meta is None:
        kind = dataset['type']
        meta = (DATASETS.get(kind) if isinstance(kind, str) else kind).METAINFO
    return parse_pose_metainfo(dict(meta))


def _persons_in(
    picture: str, meta: Mapping[str, Any], count: int, rng: np.random.RandomState
) -> dict[str, Any]:
    """What a data set hands to its pipeline: ``count`` persons of random joints in a picture."""
    width, height = _IMAGE_SIZE
    corner = rng.uniform((0, 0), (width / 2, height / 4), (count, 2))
    size = rng.uniform((width / 6, height / 2), (width / 2, height * 3 / 4), (count, 2))
    shape = (count, meta['num_keypoints'])
    keypoints = corner[:, None] + size[:, None] * rng.uniform(0.05, 0.95, (*shape, 2))
    person = dict(
        img_id=0,
        id=0,
        img_path=picture,
        bbox=np.concatenate((corner, corner + size), 1).astype(np.float32),
        bbox_score=np.ones(count, np.float32),
        keypoints=keypoints.astype(np.float32),
        keypoints_visible=np.ones(shape, np.float32),
        num_keypoints=shape[1],
        area=size.prod(1).astype(np.float32),
        category_id=np.ones(count, np.int64),
        iscrowd=0,
        segmentation=None,
        raw_ann_info=dict(keypoints=[2] * 3 * shape[1]),
    )
    person.update((key, copy.deepcopy(meta[key])) for key in _META_KEYS)
    return person


def _point_to(cfg: Config, data: str | None) -> str:
    """Let a config test on the data below another folder; says which boxes it tests with."""
    dataset = cfg.test_dataloader.dataset
    before = str(dataset.get('data_root') or '')

    def moved(path: str) -> str:
        return str(Path(data) / path[len(before) :]) if data and path.startswith(before) else path

    annotations = Path(data or before) / str(dataset.ann_file)
    if not annotations.is_file():
        raise SettingError(f'no AP, because {annotations} is missing; --data names the data')
    if data:
        dataset.data_root = data
    if dataset.get('bbox_file'):
        dataset.bbox_file = moved(dataset.bbox_file)
        if not Path(dataset.bbox_file).is_file():
            dataset.bbox_file = None
    evaluators = cfg.test_evaluator
    for evaluator in evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]:
        if evaluator.get('ann_file'):
            evaluator.ann_file = moved(evaluator.ann_file)
    return 'detected' if dataset.get('bbox_file') else 'ground truth'
