"""Looks at data, model, codec and checkpoint together before the first step."""

import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import PretrainedInit, is_model_wrapper
from mmengine.runner import BaseLoop, Runner
from mmpose.registry import HOOKS

from ..checks.annotations import examine_files
from ..checks.faults import errors, findings
from ..errors import SettingError, about
from ..weights.loading import (
    check_estimator_weights,
    check_origin,
    read_checkpoint,
    shape_of,
    some,
    weights_in,
)


@HOOKS.register_module()
class PreflightHook(Hook):
    """Stops a run before its first step when its parts don't fit together.

    MMEngine builds data sets and model apart and never compares them, so that a wrong number of
    joints or a missing picture shows up as a tensor of another shape, or hours later. This hook
    compares them, for every loader of the run, and raises one :class:`SettingError` that names
    both settings. It reads the annotation files and folders' listings, but no pictures;
    ``mspn check CONFIG`` does that.

    Args:
        check_images (bool): Whether to look that every picture exists. It lists each folder once;
            switch it off where even that is slow. Pictures that don't lie in local files are never
            looked for. Defaults to True.
        check_annotations (bool): Whether to look for faults in the annotation files that would end
            the run later or spoil it, such as a joint that is NaN. Defaults to True.
    """

    priority = 'VERY_HIGH'

    def __init__(self, check_images: bool = True, check_annotations: bool = True) -> None:
        self.check_images = check_images
        self.check_annotations = check_annotations

    def before_run(self, runner: Runner) -> None:
        """Check every data set that this run has built, and the model.

        Args:
            runner (Runner): The runner, with its loops built.

        Raises:
            SettingError: If anything does not fit.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        check_model(model)
        if isinstance(runner._train_loop, BaseLoop):
            check_init_cfg(model)
        for name, dataset in _datasets(runner):
            check_fit(dataset, model, name)
            check_dataset(dataset, name, self.check_images)
            if self.check_annotations and is_main_process():
                check_annotations(dataset, name, name.startswith('train'), _with_area(runner))
        for split in ('val', 'test'):
            loop: Any = getattr(runner, f'_{split}_loop', None)
            if isinstance(loop, BaseLoop) and isinstance(loop.dataloader.dataset, BaseDataset):
                for metric in loop.evaluator.metrics:
                    check_metric(loop.dataloader.dataset, metric, f'{split}_evaluator')

    def after_load_checkpoint(self, runner: Runner, checkpoint: Any) -> None:
        """Check that a checkpoint is of this network, and say what of it will be skipped.

        Args:
            runner (Runner): The runner. If it trains, and does not resume, only the backbone has to
                fit.
            checkpoint: What was read.

        Raises:
            SettingError: If it does not fit.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        trains = isinstance(runner._train_loop, BaseLoop)
        name = runner._load_from or 'the checkpoint'
        with about(name):
            skipped = check_estimator_weights(checkpoint, model, not trains or runner._resume)
        if skipped:
            runner.logger.warning(
                f'{name}: {len(skipped)} weights are skipped, and start at random: {some(skipped)}'
            )


def check_model(model: Any) -> None:
    """Check that backbone and head have the same stages, units and channels.

    Args:
        model (nn.Module): A pose estimator.

    Raises:
        SettingError: Naming both settings.
    """
    backbone, head = getattr(model, 'backbone', None), getattr(model, 'head', None)
    for field in ('num_stages', 'num_units', 'unit_channels'):
        ours, theirs = getattr(backbone, field, None), getattr(head, field, None)
        if ours is not None and theirs is not None and ours != theirs:
            raise SettingError(
                f'model.backbone.{field} is {ours} and model.head.{field} is {theirs}; '
                'they must be equal'
            )


def check_init_cfg(model: Any) -> None:
    """Check the files that ``init_cfg`` of the estimator or its head names.

    ``MSPNBackbone`` checks its own; MMEngine skips what does not fit.

    Args:
        model (nn.Module): A pose estimator.

    Raises:
        SettingError: If a file cannot be read, or is of another network.
    """
    head: Any = getattr(model, 'head', None)
    for setting, module in (('model', model), ('model.head', head)):
        given = getattr(module, 'init_cfg', None) or []
        for cfg in [given] if isinstance(given, dict) else given:
            if cfg['type'] not in ('Pretrained', PretrainedInit):
                continue
            start = f'{setting}.init_cfg: {cfg["checkpoint"]}'
            loaded = read_checkpoint(cfg['checkpoint'], start)
            with about(start):
                if module is model and not cfg.get('prefix'):
                    check_estimator_weights(loaded, model, False)
                    continue
                weights = weights_in(loaded, ['state_dict'])
                check_origin(weights)
            prefix = cfg.get('prefix') or ''
            prefix = prefix and prefix.rstrip('.') + '.'
            own = module.state_dict()
            if not any(shape_of(weights.get(prefix + key)) == list(own[key].shape) for key in own):
                raise SettingError(
                    f'{start}: nothing of it fits {setting}; its keys: {some(list(weights))}'
                )


def check_dataset(dataset: BaseDataset, name: str, check_images: bool = True) -> None:
    """Check that annotations have the joints that the class declares, and that pictures exist.

    Args:
        dataset (BaseDataset): A loaded data set.
        name (str): The setting that it was built from, for messages.
        check_images (bool): Whether to look for the pictures.

    Raises:
        SettingError: Naming the first annotation with another number of joints; or the folder, how
            many pictures are missing, and the first of them.
    """
    declared = dataset.metainfo.get('num_keypoints')
    paths: dict[str, None] = {}
    for info in records(dataset):
        given = np.shape(info.get('keypoints'))[1:2]
        if declared and given and given[0] != declared:
            raise SettingError(
                f'{name}: annotation {info.get("id")} in {dataset.ann_file} has {given[0]} '
                f'keypoints, and {type(dataset).__name__} declares {declared} (its `metainfo`); '
                'use a data set class or a `metainfo` with the joints of the file'
            )
        path = info.get('img_path')
        if check_images and path and '://' not in path:
            paths[path] = None
    for folder in {os.path.dirname(path) for path in paths}:
        if not os.path.isdir(folder or '.'):
            raise SettingError(
                f'{name}: the folder of pictures {folder} does not exist; it follows from '
                '`data_root` and `data_prefix` of the data set'
            )
    missing = missing_files(paths)
    if missing:
        raise SettingError(
            f'{name}: {len(missing)} of {len(paths)} pictures that {dataset.ann_file} names do not '
            f'exist: {some(missing, 5)}'
        )


def records(dataset: BaseDataset) -> Iterator[Any]:
    """Go through the records of a data set, each unpacked once.

    MMPose's own ``get_data_info`` copies the skeleton into every record too, which takes longer
    than unpacking it.

    Args:
        dataset (BaseDataset): A loaded data set.

    Yields:
        dict: What the data set class has read of a person or a picture.
    """
    for index in range(len(dataset)):
        yield BaseDataset.get_data_info(dataset, index)


def missing_files(paths: Iterable[str]) -> list[str]:
    """Tell which files are missing, by one look at each folder.

    Args:
        paths (Iterable[str]): Local paths. What lies elsewhere (``s3://...``) is not looked for.

    Returns:
        list[str]: Those that there is no file of.
    """
    names: dict[str, set[str]] = {}
    missing = []
    for path in paths:
        folder, name = os.path.split(path)
        if folder not in names:
            there = '://' not in folder and os.path.isdir(folder or '.')
            names[folder] = set(os.listdir(folder or '.')) if there else set()
        if '://' not in path and name not in names[folder]:
            missing.append(path)
    return missing


def check_annotations(
    dataset: BaseDataset, name: str, training: bool, with_area: bool = True
) -> None:
    """Check that a data set's files have no faults that would end a run later, or spoil it.

    Args:
        dataset (BaseDataset): A data set of local files.
        name (str): The setting that it was built from, for messages.
        training (bool): Whether it is trained on; otherwise it is evaluated on.
        with_area (bool): Whether evaluation needs ``area``, as COCO's does.

    Raises:
        SettingError: Naming the files, the faults and the ids of the first that have them.
    """
    path = str(dataset.ann_file)
    if '://' in path or not path.endswith('.json'):
        return
    joints = dataset.metainfo.get('num_keypoints')
    boxes = getattr(dataset, 'bbox_file', None)
    seen = examine_files(path, boxes, joints, type(dataset).__name__, with_area)
    if seen is None:
        return
    examined, detections = seen
    said = [
        f'{file}: {"; ".join(map(str, wrong))}'
        for file, kinds in ((path, examined.found), (boxes, detections))
        if (wrong := errors(findings(kinds, training, not training)))
    ]
    if said:
        raise SettingError(
            f'{name} has faults that would end the run later, or spoil it. {". ".join(said)}. '
            '`mspn check CONFIG` says more, and looks at the pictures too; '
            '`check_annotations=False` of PreflightHook goes on all the same'
        )


def check_metric(dataset: BaseDataset, metric: Any, name: str) -> None:
    """Check that a metric of COCO knows the pictures that it will be given.

    Args:
        dataset (BaseDataset): The data set that is evaluated on.
        metric: Its metric. One without annotations of its own is not judged.
        name (str): The setting that the metric was built from, for messages.

    Raises:
        SettingError: If a picture's id is not among its annotations.
    """
    known = getattr(getattr(metric, 'coco', None), 'imgs', None)
    if known is None:
        return
    given = {info['img_id'] for info in records(dataset)}
    strange = sorted(given.difference(known))
    if strange:
        raise SettingError(
            f'{name}: the annotations of the {type(metric).__name__} lack {len(strange)} of '
            f'{len(given)} pictures of {dataset.ann_file}, with the ids '
            f'{some([str(number) for number in strange])}; `ann_file` of both must be one file'
        )


def _with_area(runner: Runner) -> bool:
    """Whether a metric of the run divides by the area that the annotations state."""
    for name in ('val', 'test'):
        loop: Any | None = getattr(runner, f'_{name}_loop', None)
        metrics = getattr(getattr(loop, 'evaluator', None), 'metrics', [])
        if any(getattr(metric, 'use_area', False) for metric in metrics):
            return True
    return False


def check_fit(dataset: BaseDataset, model: Any, name: str) -> None:
    """Check a data set's joints and pipeline against the head and its codec.

    Args:
        dataset (BaseDataset): A loaded data set.
        model (nn.Module): A pose estimator.
        name (str): The setting that the data set was built from, for messages.

    Raises:
        SettingError: Naming both settings.
    """
    head = getattr(model, 'head', None)
    joints, channels = dataset.metainfo.get('num_keypoints'), getattr(head, 'out_channels', None)
    if joints and channels and joints != channels:
        raise SettingError(
            f'{name}: {type(dataset).__name__} has {joints} joints and model.head.out_channels is '
            f'{channels}; they must be equal'
        )
    decoder = getattr(head, 'decoder', None)
    for step in getattr(getattr(dataset, 'pipeline', None), 'transforms', []):
        step_name = f'{name}.pipeline, {type(step).__name__}'
        crop = getattr(step, 'input_size', None)
        expected = getattr(decoder, 'input_size', None)
        if crop is not None and expected is not None and tuple(crop) != tuple(expected):
            raise SettingError(
                f'{step_name}: input_size is {tuple(crop)} and that of model.head.decoder is '
                f'{tuple(expected)}; they must be equal'
            )
        encoder = getattr(step, 'encoder', None)
        if type(encoder) is type(decoder) and encoder is not None:
            _check_codecs(encoder, decoder, step_name)


def _check_codecs(encoder: Any, decoder: Any, step_name: str) -> None:
    for field in ('input_size', 'heatmap_size', 'kernel_sizes', 'unbiased', 'draw_on_device'):
        ours, theirs = getattr(encoder, field, None), getattr(decoder, field, None)
        if ours != theirs:
            raise SettingError(
                f'{step_name}: the encoder has {field}={ours} and model.head.decoder has '
                f'{field}={theirs}; use one codec for both'
            )


def _datasets(runner: Runner) -> Iterator[tuple[str, BaseDataset]]:
    """Each data set that the runner has built, with the setting that it came from."""
    for name in ('train', 'val', 'test'):
        loop: Any | None = getattr(runner, f'_{name}_loop', None)
        dataset = getattr(getattr(loop, 'dataloader', None), 'dataset', None)
        if dataset is None:
            continue
        parts: list[Any] = getattr(dataset, 'datasets', [dataset])
        for part in parts:
            if isinstance(part, BaseDataset):
                yield f'{name}_dataloader.dataset', part
