"""What could end or spoil a run: ``mspn check``.

It reads the annotations and every picture of a config's data sets, builds its data sets and its
model, compares them, and measures for some seconds what training would cost. Nothing is written.
"""

import contextlib
import io
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS, METRICS, MODELS
from mmpose.utils import register_all_modules
from torch import nn
from tqdm import tqdm

from ..errors import SettingError, plain_message
from ..hooks import preflight
from ..weights.loading import check_estimator_weights, read_checkpoint
from . import cost as run_cost
from . import faults
from .annotations import Examined, examine_files
from .faults import ERROR, Finding, Found, errors, findings
from .images import Loader, Picture, examine_pictures

SPLITS = ('train', 'val', 'test')


@dataclass
class Source:
    """A data set of a config.

    Attributes:
        settings (list[str]): The settings that describe it, such as ``train_dataloader.dataset``.
        cfg (dict): Its config.
        training (bool): Whether it is trained on.
        evaluation (bool): Whether it is evaluated on.
        metrics (list[dict]): The configs of its metrics.
    """

    settings: list[str]
    cfg: dict[str, Any]
    training: bool = False
    evaluation: bool = False
    metrics: list[dict[str, Any]] = field(default_factory=list)

    @property
    def with_area(self) -> bool:
        """Whether its evaluation divides by ``area``."""
        return any(
            'Coco' in str(metric['type']) and metric.get('use_area', True)
            for metric in self.metrics
        )

    @property
    def name(self) -> str:
        """The settings in one line."""
        return ', '.join(self.settings)

    @property
    def ann_file(self) -> str:
        """The path of its annotations, joined as MMEngine does."""
        return self._joined(self.cfg.get('ann_file') or '')

    @property
    def folder(self) -> str:
        """The folder of its pictures."""
        return self._joined((self.cfg.get('data_prefix') or {}).get('img', ''))

    @property
    def joints(self) -> int | None:
        """How many joints its class or ``metainfo`` declares, if that can be told."""
        kind = self.cfg.get('type')
        try:
            given = self.cfg.get('metainfo')
            found: Any = DATASETS.get(kind) if isinstance(kind, str) else kind
            return parse_pose_metainfo(dict(given or found.METAINFO)).get('num_keypoints')
        except Exception:  # building the data set says what is wrong
            return None

    @property
    def loader(self) -> Loader:
        """How its pipeline reads pictures."""
        for step in self.cfg.get('pipeline') or []:
            if step['type'] in ('LoadImage', 'LoadImageFromFile'):
                return Loader(**{k: step[k] for k in Loader._fields if k in step})
        return Loader()

    def _joined(self, path: str) -> str:
        root = self.cfg.get('data_root') or ''
        return path if os.path.isabs(path) or '://' in path else os.path.join(root, path)


@dataclass
class Report:
    """What was found.

    Attributes:
        findings (dict[str, list[Finding]]): By what was looked at, a data set or the config.
        facts (dict[str, str]): A line on each of them.
        cost (RunCost | None): What training would cost.
    """

    findings: dict[str, list[Finding]] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    cost: run_cost.RunCost | None = None

    def errors(self) -> list[Finding]:
        """The findings that would end or spoil a run."""
        return errors(finding for part in self.findings.values() for finding in part)


def check(
    cfg: Config,
    images: bool = True,
    cost: bool = True,
    workers: int = 1,
    device: str = 'cpu',
    seconds: float = 10.0,
) -> Report:
    """Look for what could end or spoil a run of a config.

    Args:
        cfg (Config): A config of MMPose.
        images (bool): Whether to read every picture.
        cost (bool): Whether to measure what training would cost, if nothing stands against it.
        workers (int): How many processes read pictures.
        device (str): The torch device to measure on.
        seconds (float): How long to measure the network, and again the loading.

    Returns:
        Report: All that was found.
    """
    register_all_modules(init_default_scope=False)
    init_default_scope(cfg.get('default_scope', 'mmpose'))
    report = Report()
    with _quiet():
        model = _model(cfg, report)
        for source in sources(cfg):
            _check_source(source, model, images, workers, report)
        if cost and model is not None and 'train_dataloader' in cfg and not report.errors():
            try:
                report.cost = run_cost.measure(cfg, model, device, seconds)
            except Exception as error:
                _add(report, 'train_cfg', f'a training step fails: {_reason(error)}')
    return report


def sources(cfg: Config) -> list[Source]:
    """The data sets that a config names, each once.

    Args:
        cfg (Config): The config.

    Returns:
        list[Source]: Those of training, validation and test; parts of combined ones by themselves.
    """
    found: list[Source] = []
    for split in SPLITS:
        loader = cfg.get(f'{split}_dataloader')
        if not loader:
            continue
        evaluators = cfg.get(f'{split}_evaluator') or []
        metrics = [evaluators] if isinstance(evaluators, dict) else list(evaluators)
        for setting, part in _parts(f'{split}_dataloader.dataset', loader['dataset']):
            for source in found:
                if source.cfg == part:
                    source.settings.append(setting)
                    break
            else:
                source = Source([setting], part)
                found.append(source)
            source.training |= split == 'train'
            source.evaluation |= split != 'train'
            source.metrics += [metric for metric in metrics if metric not in source.metrics]
    return found


def _parts(setting: str, dataset: Any) -> Iterator[tuple[str, Any]]:
    if 'datasets' in dataset:
        for index, part in enumerate(dataset['datasets']):
            yield from _parts(f'{setting}.datasets[{index}]', part)
    elif isinstance(dataset.get('dataset'), dict):
        yield from _parts(f'{setting}.dataset', dataset['dataset'])
    else:
        yield setting, dataset


def _model(cfg: Config, report: Report) -> nn.Module | None:
    try:
        model = MODELS.build(cfg.model)
    except Exception as error:
        _add(report, 'model', _reason(error))
        return None
    for setting, examine_model in (
        ('model', lambda: preflight.check_model(model)),
        ('init_cfg', lambda: _check_init_cfg(model)),
        ('load_from', lambda: _check_load_from(cfg, model)),
    ):
        try:
            examine_model()
        except Exception as error:
            _add(report, setting, _reason(error))
    return model


def _check_init_cfg(model: Any) -> None:
    preflight.check_init_cfg(model)
    if _is_local(getattr(getattr(model, 'backbone', None), 'init_cfg', None)):
        model.backbone.init_weights()


def _check_load_from(cfg: Config, model: nn.Module) -> None:
    if cfg.get('load_from'):
        loaded = read_checkpoint(cfg.load_from)
        check_estimator_weights(loaded, model, bool(cfg.get('resume')))


def _is_local(init_cfg: Any) -> bool:
    """Whether ``init_cfg`` names files only that lie here, so that nothing is downloaded."""
    given = [init_cfg] if isinstance(init_cfg, dict) else init_cfg or []
    return all('://' not in str(cfg.get('checkpoint', '')) for cfg in given)


def _check_source(
    source: Source, model: nn.Module | None, images: bool, workers: int, report: Report
) -> None:
    found: Found = {}
    examined = _examine_files(source, found)
    listed = findings(found, source.training, source.evaluation)
    report.findings.setdefault(source.name, []).extend(listed)
    report.facts[source.name] = _facts(source, examined)
    dataset = None
    try:
        dataset = DATASETS.build(source.cfg)
    except Exception as error:
        if faults.UNREADABLE not in found:
            _add(report, source.name, f'the data set cannot be built: {_reason(error)}')
    if dataset is not None and model is not None:
        try:
            preflight.check_fit(dataset, model, source.name)
        except SettingError as error:
            _add(report, source.name, str(error))
    for metric in source.metrics if dataset is not None else []:
        try:
            preflight.check_metric(dataset, METRICS.build(metric), 'the evaluator')
        except Exception as error:
            _add(report, source.name, _reason(error))
    seen = examine_pictures_of(source, dataset, examined, images, workers)
    report.findings[source.name] += findings(seen, source.training, source.evaluation)


def _examine_files(source: Source, found: Found) -> Examined | None:
    try:
        seen = examine_files(
            source.ann_file,
            source.cfg.get('bbox_file'),
            source.joints,
            str(source.cfg.get('type')),
            source.with_area,
        )
    except SettingError as error:
        found[faults.UNREADABLE] = [str(error)]
        return None
    if seen is None:
        return None
    examined, detections = seen
    found.update(examined.found)
    found.update(detections)
    return examined


def _facts(source: Source, examined: Examined | None) -> str:
    if examined is None:
        return f'{source.ann_file}'
    return (
        f'{source.ann_file}: {examined.annotations} annotations, {examined.persons} usable '
        f'persons, {examined.crowds} crowd regions, which COCO ignores'
    )


def examine_pictures_of(
    source: Source,
    dataset: BaseDataset | None,
    examined: Examined | None,
    images: bool,
    workers: int,
) -> Found:
    """Look at a data set's pictures.

    Args:
        source (Source): The data set.
        dataset (BaseDataset | None): The same, built, whose pictures are looked at; without it
            those that the annotation file names.
        examined (Examined | None): What was found in its annotation file.
        images (bool): Whether to read them, or to look only that they exist.
        workers (int): How many processes read.

    Returns:
        dict[Kind, list[str]]: Places by kind of fault.
    """
    sizes = examined.sizes if examined else {}
    pictures = {
        (path := os.path.join(source.folder, name)): Picture(path, size)
        for name, size in sizes.items()
    }
    if dataset is not None:
        used = {info['img_path']: None for info in preflight.records(dataset)}
        pictures = {path: pictures.get(path, Picture(path)) for path in used if path}
    if not images:
        return {faults.PICTURE_MISSING: preflight.missing_files(pictures)}
    with tqdm(total=len(pictures), unit='img', desc=source.settings[0], leave=False) as progress:
        return examine_pictures(
            list(pictures.values()), source.loader, workers, lambda count: progress.update(count)
        )


def _add(report: Report, where: str, message: str) -> None:
    report.findings.setdefault(where, []).append(Finding(faults.SETTING, ERROR, [message]))


def _reason(error: BaseException) -> str:
    said = plain_message(error)
    return said or f'{type(error).__name__}: {" ".join(str(error).split())[:300]}'


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what data sets and models say while they are built out of the report."""
    os.environ.setdefault('KINETO_LOG_LEVEL', '99')
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)


def in_words(report: Report) -> str:
    """A report as text, grouped by what was looked at; errors first.

    Args:
        report (Report): The report.

    Returns:
        str: Lines to print.
    """
    lines: list[str] = []
    for where, listed in report.findings.items():
        lines += [where, f'  {report.facts[where]}'] if where in report.facts else [where]
        for finding in sorted(listed, key=lambda finding: finding.severity != ERROR):
            label = f'  {finding.severity:<8}'
            if finding.kind is faults.SETTING:
                lines += [f'{label}{place}' for place in finding.places]
            else:
                lines += [f'{label}{finding}', f'          {finding.kind.effect}']
        if not listed:
            lines.append('  nothing found')
        lines.append('')
    if report.cost is not None:
        memory = None
        if report.cost.device.startswith('cuda'):
            memory = torch.cuda.get_device_properties(report.cost.device).total_memory
        lines += ['cost', *(f'  {line}' for line in run_cost.in_words(report.cost, memory)), '']
    counts = {ERROR: 0, faults.WARNING: 0}
    for listed in report.findings.values():
        for finding in listed:
            counts[finding.severity] += 1
    lines.append(f'kinds of errors: {counts[ERROR]}, of warnings: {counts[faults.WARNING]}')
    return '\n'.join(lines)
