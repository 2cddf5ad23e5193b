"""Looks at data, model, codec and checkpoint together before the first step."""

import functools
from collections.abc import Callable
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, Runner
from mmpose.registry import HOOKS

from ..checks import fit
from ..checks.sources import SPLITS, sources
from ..errors import first_few, naming
from ..weights.loading import check_estimator_weights


@HOOKS.register_module()
class PreflightHook(Hook):
    """Stops a run before its first step when its parts don't fit together.

    MMEngine builds data sets and model apart and never compares them, so that a wrong number of
    keypoints or a missing image shows up as a tensor of another shape, or hours later. This hook
    compares them, for every loader of the run, and raises one :class:`SettingError` that names
    both settings. It reads the annotation files, and looks that images in local files exist;
    ``mspn check CONFIG`` reads them too.

    Args:
        check_annotations (bool): Whether to look for faults in the annotation files that would end
            the run later or spoil it, such as a keypoint that is NaN. Defaults to True.
    """

    priority = 'VERY_HIGH'

    def __init__(self, check_annotations: bool = True) -> None:
        self.check_annotations = check_annotations

    def before_build(self, runner: Runner, splits: tuple[str, ...]) -> None:
        """Check the files of the data sets that are about to be built."""
        for source in sources(runner.cfg, splits):
            fit.check_files(source)
            if self.check_annotations and is_main_process():
                fit.check_annotations(source)

    def before_run(self, runner: Runner) -> None:
        """Check every data set that this run has built, and the model."""
        model = _model(runner)
        fit.check_model(model)
        declared = runner.cfg.get('num_stages')
        stages = getattr(getattr(model, 'backbone', None), 'num_stages', declared)
        if declared not in (None, stages):
            runner.logger.warning(
                f'num_stages={declared} of the config changes nothing, and the network has '
                f'{stages} stages: a config that inherits sets model.backbone.num_stages and '
                'model.head.num_stages'
            )
        for split in SPLITS:
            loop = getattr(runner, f'_{split}_loop', None)
            if not isinstance(loop, BaseLoop):
                continue  # it is not built
            built = loop.dataloader.dataset
            name = f'{split}_dataloader.dataset'
            for dataset in fit.parts(built):
                fit.check_fit(dataset, model, name)
                fit.check_images(dataset, name)
            for metric in loop.evaluator.metrics if split != 'train' else []:
                fit.check_metric(built, metric, f'{split}_evaluator')

    def after_load_checkpoint(self, runner: Runner, checkpoint: Any) -> None:
        """Check that a checkpoint is of this network, and say what of it will be skipped.

        If the run trains, and does not resume, only the backbone has to fit.
        """
        trains = isinstance(runner._train_loop, BaseLoop)
        name = runner._load_from or f'the checkpoint of {runner.work_dir}'
        with naming(name):
            skipped = check_estimator_weights(
                checkpoint, _model(runner), whole=not trains or runner._resume
            )
        if skipped:
            runner.logger.warning(
                f'{name}: {len(skipped)} weights are skipped, and start at random: '
                f'{first_few(skipped)}'
            )


def _model(runner: Runner) -> Any:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def _checking(run: Callable[[Runner], Any], *splits: str) -> Callable[[Runner], Any]:
    """Let the hook look at files before data sets are built from them.

    MMEngine builds them before it calls any hook, and MMPose's data set classes then end in errors
    that don't name the file.
    """

    @functools.wraps(run)
    def check_and_run(runner: Runner) -> Any:
        for hook in runner.hooks:
            if isinstance(hook, PreflightHook):
                hook.before_build(runner, splits)
        return run(runner)

    return check_and_run


Runner.train = _checking(Runner.train, 'train', 'val')
Runner.val = _checking(Runner.val, 'val')
Runner.test = _checking(Runner.test, 'test')
