"""The data sets of a config, and where their files lie."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmengine.config import Config
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS, TRANSFORMS

from ..errors import SettingError
from ..files import read_json
from . import faults
from .annotations import Examined, examine, examine_detections
from .faults import Found

SPLITS = ('train', 'val', 'test')


@dataclass
class Source:
    """A data set of a config, and what it is used for."""

    settings: list[str]  # that describe it, such as train_dataloader.dataset
    cfg: dict[str, Any]
    training: bool = False
    evaluation: bool = False
    joined: bool = False  # with others, so that each metric may know some images only
    metrics: list[dict[str, Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The settings in one line."""
        return ', '.join(self.settings)

    @property
    def ann_file(self) -> str:
        """The path of its annotations, joined as MMEngine does."""
        return self._joined(self.cfg.get('ann_file') or '')

    @property
    def image_folder(self) -> str:
        """The folder of its images."""
        return self._joined((self.cfg.get('data_prefix') or {}).get('img', ''))

    @property
    def num_keypoints(self) -> int | None:
        """How many keypoints its class or ``metainfo`` declares, if that can be told."""
        kind = self.cfg.get('type')
        try:
            dataset: Any = DATASETS.get(kind) if isinstance(kind, str) else kind
            metainfo = self.cfg.get('metainfo') or dataset.METAINFO
            return parse_pose_metainfo(dict(metainfo)).get('num_keypoints')
        except Exception:  # building the data set says what is wrong
            return None

    @property
    def image_loader(self) -> Any:
        """The step of its pipeline that reads images."""
        for step in self.cfg.get('pipeline') or []:
            if step['type'] in ('LoadImage', 'LoadImageFromFile'):
                return TRANSFORMS.build(step)
        return TRANSFORMS.build(dict(type='LoadImage'))

    def examine(self) -> tuple[Examined | None, Found]:
        """Look for every fault of its files.

        Returns:
            tuple: What was found in its annotations (None for a format other than COCO's), and in
            its detections (``bbox_file``).
        """
        kind = self.cfg.get('type')
        with_area = any(
            'Coco' in str(metric.get('type')) and metric.get('use_area', True)
            for metric in self.metrics
        )
        examined = examine(
            read_json(self.ann_file),
            self.num_keypoints,
            getattr(kind, '__name__', str(kind)).rpartition('.')[2],
            with_area,
        )
        bbox_file = self.cfg.get('bbox_file')
        if examined is None or not bbox_file:
            return examined, {}
        # It takes images from the annotations, and no persons.
        examined.found.pop(faults.NO_INSTANCE, None)
        return examined, examine_detections(read_json(bbox_file), examined.ids)

    def _joined(self, path: str) -> str:
        root = self.cfg.get('data_root') or ''
        return path if os.path.isabs(path) or '://' in path else os.path.join(root, path)


def sources(cfg: Config, splits: Sequence[str] = SPLITS) -> list[Source]:
    """The data sets that a config names, each once; parts of combined ones by themselves."""
    found: list[Source] = []
    for split in splits:
        loader = cfg.get(f'{split}_dataloader')
        if not loader:
            continue
        if 'dataset' not in loader:
            raise SettingError(f'{split}_dataloader has no `dataset`')
        metrics = cfg.get(f'{split}_evaluator') or []
        if isinstance(metrics, dict):
            metrics = metrics.get('metrics', metrics)  # of an Evaluator
        metrics = metrics if isinstance(metrics, list) else [metrics]
        for setting, part in _parts(f'{split}_dataloader.dataset', loader['dataset']):
            source = next((source for source in found if source.cfg == part), None)
            if source is None:
                source = Source([], part)
                found.append(source)
            source.settings.append(setting)
            source.training |= split == 'train'
            source.evaluation |= split != 'train'
            source.joined |= '.datasets[' in setting
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
