"""What could end or spoil a run: ``mspn check``.

It reads the annotations and every image of a config's data sets, builds its data sets and its
model, compares them, and measures for some seconds what training would cost. Nothing is written.
"""

import contextlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mmengine.config import Config
from mmengine.dataset import BaseDataset, Compose
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, METRICS, MODELS
from mmpose.utils import register_all_modules
from torch import nn

from ..errors import SettingError, naming, quiet, reason
from ..weights.loading import check_estimator_weights, read_checkpoint
from . import cost as run_cost
from . import faults, fit
from .annotations import Examined, Size
from .faults import ERROR, WARNING, Finding, Found, errors, findings
from .images import examine_images
from .sources import SPLITS, Source, sources


@dataclass
class Report:
    """What was found, by what was looked at: a data set or a setting."""

    findings: dict[str, list[Finding]] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)  # a line on each data set
    cost: run_cost.RunCost | None = None

    def errors(self) -> list[Finding]:
        """The findings that would end or spoil a run."""
        return errors(finding for part in self.findings.values() for finding in part)

    @contextlib.contextmanager
    def attempt(self, name: str) -> Iterator[None]:
        """Put whatever ends the block under the name of what is looked at, and go on."""
        try:
            yield
        except Exception as error:  # a config can make MMPose raise anything
            finding = Finding(faults.SETTING, ERROR, [reason(error)])
            self.findings.setdefault(name, []).append(finding)


def check(
    cfg: Config,
    images: bool = True,
    cost: bool = True,
    workers: int = 1,
    device: str = 'cpu',
    seconds: float = 10.0,
) -> Report:
    """Look for what could end or spoil a run of a config of MMPose.

    Every image is read by so many threads, or only looked for. The cost is measured, for some
    seconds, if nothing stands against a training.
    """
    register_all_modules(init_default_scope=False)
    init_default_scope(cfg.get('default_scope', 'mmpose'))
    report = Report()
    with quiet(), contextlib.redirect_stdout(io.StringIO()):
        model = _check_model(cfg, report)
        with report.attempt('data sets'):
            for source in sources(cfg):
                _check_source(source, model, images, workers, report)
        _check_joined(cfg, model, report)
        if cost and model is not None and 'train_dataloader' in cfg and not report.errors():
            with report.attempt('a step of the training'):
                report.cost = run_cost.measure(cfg, model, device, seconds)
    return report


def _check_model(cfg: Config, report: Report) -> nn.Module | None:
    model: Any = None
    with report.attempt('model'):
        model = MODELS.build(cfg.model)
        fit.check_model(model)
    if model is None:
        return None
    with report.attempt('init_cfg'):
        backbone: Any = getattr(model, 'backbone', None)
        # Nothing is downloaded.
        if hasattr(backbone, 'init_weights') and '://' not in str(backbone.init_cfg):
            backbone.init_weights()
    if cfg.get('load_from'):
        with report.attempt('load_from'), naming(cfg.load_from):
            check_estimator_weights(
                read_checkpoint(cfg.load_from), model, whole=bool(cfg.get('resume'))
            )
    return model


def _check_source(
    source: Source, model: nn.Module | None, images: bool, workers: int, report: Report
) -> None:
    name = source.name
    examined, found = _examine(source)
    report.findings[name] = findings(found, source.training, source.evaluation)
    report.facts[name] = source.ann_file
    if examined is not None:
        report.facts[name] += (
            f': {examined.annotations} annotations, {examined.usable} usable persons'
        )
    dataset = None
    if faults.UNREADABLE not in found:
        with report.attempt(name):
            dataset = DATASETS.build(source.cfg)
    if dataset is not None:
        if model is not None:
            with report.attempt(name):
                fit.check_fit(dataset, model, name)
        for metric in [] if source.joined else source.metrics:
            with report.attempt(name):
                fit.check_metric(dataset, METRICS.build(metric), 'the evaluator')
    in_images = _examine_images(source, dataset, examined, images, workers)
    report.findings[name] += findings(in_images, source.training, source.evaluation)


def _check_joined(cfg: Config, model: nn.Module | None, report: Report) -> None:
    """Check the transforms that follow those of the parts of a combined data set."""
    for split in SPLITS:
        name = f'{split}_dataloader.dataset'
        dataset = (cfg.get(f'{split}_dataloader') or {}).get('dataset', {})
        if 'datasets' in dataset:
            with report.attempt(name):
                fit.check_pipeline(Compose(dataset.get('pipeline', [])).transforms, model, name)


def _examine(source: Source) -> tuple[Examined | None, Found]:
    try:
        examined, detections = source.examine()
    except SettingError as error:
        return None, {faults.UNREADABLE: [str(error)]}
    return examined, {**(examined.found if examined else {}), **detections}


def _examine_images(
    source: Source,
    dataset: BaseDataset | None,
    examined: Examined | None,
    read: bool,
    workers: int,
) -> Found:
    """Look at the images that the data set uses, or all that its file names if it isn't built."""
    sizes = examined.sizes if examined else {}
    images: dict[str, Size | None] = {
        os.path.join(source.image_folder, name): size for name, size in sizes.items()
    }
    if dataset is not None:
        paths = [info['img_path'] for info in fit.records(dataset)]
        images = {path: images.get(path) for path in paths if path}
    if not read:
        return {faults.IMAGE_MISSING: fit.missing_files(images)}
    return examine_images(images, source.image_loader, workers, source.settings[0])


def in_words(report: Report) -> str:
    """A report as text, grouped by what was looked at; errors first."""
    lines: list[str] = []
    for name, listed in report.findings.items():
        lines += [name, f'  {report.facts[name]}'] if name in report.facts else [name]
        for finding in sorted(listed, key=lambda finding: finding.severity != ERROR):
            text = finding.places[0] if finding.kind is faults.SETTING else str(finding)
            lines.append(f'  {finding.severity:<8}{text}')
        lines += [''] if listed else ['  nothing found', '']
    if report.cost is not None:
        lines += ['cost', *(f'  {line}' for line in run_cost.in_words(report.cost)), '']
    severities = [finding.severity for part in report.findings.values() for finding in part]
    return '\n'.join(lines) + (
        f'\nkinds of errors: {severities.count(ERROR)}, of warnings: {severities.count(WARNING)}'
    )
