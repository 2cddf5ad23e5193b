"""Whether data, model, codec and checkpoint fit each other.

Each check raises a :class:`SettingError` that names the file or both settings. The ``name`` of a
data set or a metric is the setting that it was built from.
"""

import os
from collections.abc import Iterable, Iterator
from typing import Any

from mmengine.dataset import BaseDataset

from ..errors import SettingError, first_few, naming
from .faults import errors, findings
from .sources import Source

CODEC_FIELDS = ('input_size', 'heatmap_size', 'kernel_sizes', 'unbiased')
"""What the encoder and the decoder of a config must have in common."""


def check_files(source: Source) -> None:
    """Check that the files that a data set and its metrics are to be read from exist."""
    files = [('ann_file', source.cfg.get('ann_file') and source.ann_file)]
    files += [('bbox_file', source.cfg.get('bbox_file'))]
    files += [("its metric's ann_file", metric.get('ann_file')) for metric in source.metrics]
    for setting, path in files:
        if path and '://' not in path and not os.path.exists(path):
            hint = '; None takes the boxes of the annotations' if setting == 'bbox_file' else ''
            raise SettingError(
                f'{source.name}: {setting}, {path}, does not exist{hint}. Configs of this plugin '
                'take the folder of their data from an environment variable (COCO_ROOT for COCO, '
                'MY_DATA in mspn_custom; docs/configs.md has all), and data/ without it'
            )


def check_annotations(source: Source) -> None:
    """Check that a data set's local JSON files have no faults that would end or spoil a run."""
    if '://' in source.ann_file or not source.ann_file.endswith('.json'):
        return
    with naming(source.name):
        examined, detections = source.examine()
    if examined is None:
        return
    faulty = [
        f'{file}: {"; ".join(map(str, wrong))}'
        for file, found in (
            (source.ann_file, examined.found),
            (source.cfg.get('bbox_file'), detections),
        )
        if (wrong := errors(findings(found, source.training, source.evaluation)))
    ]
    if faulty:
        raise SettingError(
            f'{source.name} has faults that would end the run, or spoil it. {". ".join(faulty)}. '
            '`mspn check CONFIG` says more, and looks at the images too; '
            '`check_annotations=False` of PreflightHook goes on all the same'
        )


def check_model(model: Any) -> None:
    """Check that backbone and head have the same stages, units and channels."""
    backbone, head = getattr(model, 'backbone', None), getattr(model, 'head', None)
    for field in ('num_stages', 'num_units', 'unit_channels'):
        first, second = getattr(backbone, field, None), getattr(head, field, None)
        _check_equal(f'model.backbone.{field}', first, f'model.head.{field}', second)


def parts(dataset: Any) -> Iterator[Any]:
    """A data set, and those that it joins or repeats."""
    yield dataset
    for part in getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]:
        if part is not None:
            yield from parts(part)


def check_fit(dataset: Any, model: Any, name: str) -> None:
    """Check a data set's keypoints and pipeline against the head and its codec."""
    head = getattr(model, 'head', None)
    steps = getattr(getattr(dataset, 'pipeline', None), 'transforms', [])
    count = getattr(dataset, 'metainfo', {}).get('num_keypoints')
    for step in steps:
        count = getattr(step, 'num_keypoints', count)  # KeypointConverter's
    kind = f"{name}: {type(dataset).__name__}'s number of keypoints"
    _check_equal(kind, count, 'model.head.out_channels', getattr(head, 'out_channels', None))
    check_pipeline(steps, model, name)


def check_pipeline(steps: Iterable[Any], model: Any, name: str) -> None:
    """Check the crop and the codec of a data set's transforms against the head's codec."""
    decoder = getattr(getattr(model, 'head', None), 'decoder', None)
    for step in steps:
        encoder = getattr(step, 'encoder', None)
        compared = [('', step, 'input_size')]
        if type(encoder) is type(decoder):
            compared += [('encoder.', encoder, field) for field in CODEC_FIELDS]
        for prefix, part, field in compared:
            first, second = getattr(part, field, None), getattr(decoder, field, None)
            setting = f'{name}.pipeline, {type(step).__name__}: {prefix}{field}'
            _check_equal(setting, first, f'model.head.decoder.{field}', second)


def _check_equal(first_name: str, first: Any, second_name: str, second: Any) -> None:
    """Compare two settings, if both are there; a list is as good as a tuple."""
    first, second = (tuple(v) if isinstance(v, list) else v for v in (first, second))
    if first is not None and second is not None and first != second:
        raise SettingError(
            f'{first_name} is {first} and {second_name} is {second}; they must be equal'
        )


def check_images(dataset: Any, name: str) -> None:
    """Check that a data set's images exist."""
    paths = list(dict.fromkeys(info.get('img_path') or '' for info in records(dataset)))
    missing = missing_files(paths)
    if missing:
        raise SettingError(
            f'{name}: {len(missing)} of {len(paths)} images that {dataset.ann_file} names do not '
            f'exist: {first_few(missing)}. Their folder follows from `data_root` and `data_prefix`'
        )


def records(dataset: Any) -> Iterator[Any]:
    """Go through what a data set class has read of each person or image; one that joins has none.

    MMPose's own ``get_data_info`` copies the skeleton into every record too, which takes longer
    than unpacking it.
    """
    if isinstance(dataset, BaseDataset) and not hasattr(dataset, 'datasets'):
        for index in range(len(dataset)):
            yield BaseDataset.get_data_info(dataset, index)


def missing_files(paths: Iterable[str]) -> list[str]:
    """Tell which local files are missing."""
    return [path for path in paths if path and '://' not in path and not os.path.exists(path)]


def check_metric(dataset: Any, metric: Any, name: str) -> None:
    """Check that a metric with annotations of its own knows the images that it will be given."""
    known = getattr(getattr(metric, 'coco', None), 'imgs', None)
    if known is None:
        return
    ids = {info['img_id'] for info in records(dataset)}
    unknown = sorted(ids.difference(known))
    if unknown:
        raise SettingError(
            f'{name}: the annotations of the {type(metric).__name__} lack {len(unknown)} of '
            f'{len(ids)} images of {dataset.ann_file}, with the ids '
            f'{first_few(list(map(str, unknown)))}; `ann_file` of both must be one file'
        )
