"""Checkpoints that survive a kill, and going on from the newest one that is whole.

MMEngine 0.10.7 writes a checkpoint straight to its final name, deletes the outdated one before
that, and resumes from whatever ``last_checkpoint`` names. A run that is killed at the wrong moment
is left with half a file, or with none.
"""

import os
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import barrier, is_main_process
from mmengine.fileio import LocalBackend, get_file_backend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, Runner
from mmpose.registry import HOOKS

from ..errors import SettingError, first_few
from ..files import remove_unfinished, write_bytes, writing
from ..weights.loading import is_intact


class WholeFileBackend(LocalBackend):
    """Local files that appear whole or not at all, and are on disk when they do.

    MMEngine writes through it when a hook has ``backend_args=dict(backend='mspn_whole')``.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write a file; its folder is made if it is missing."""
        write_bytes(Path(filepath), obj)


register_backend('mspn_whole', WholeFileBackend)


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """MMEngine's ``CheckpointHook``, for runs that can be killed at any moment.

    Its arguments and files are those of ``CheckpointHook``. What differs:

    - a checkpoint appears whole or not at all, and an outdated one is deleted only afterwards;
    - ``--resume`` takes the newest checkpoint that is whole, names those that are not, and deletes
      those that a kill has left beyond ``max_keep_ckpts``;
    - a validation that a kill has cut off is done again, so that the best checkpoint is the one
      that it would have been;
    - weights that are not finite are never saved.

    Checkpoints in a remote storage are left to its own backend; only the last two points hold then.
    """

    file_backend: Any

    def before_run(self, runner: Runner) -> None:
        """Let a run that resumes start from a whole checkpoint, or end if there is none."""
        folder = self._folder(runner)
        if not runner._resume or runner._load_from is not None or folder is None:
            return
        if is_main_process():
            newest, damaged = newest_whole(folder, self.filename_tmpl)
            if damaged and newest is None:
                raise SettingError(
                    f'no checkpoint in {folder} is whole, so there is nothing to resume from: '
                    f'{first_few([path.name for path in damaged])}. Without --resume training '
                    'starts anew'
                )
            for path in damaged:
                runner.logger.warning(
                    f'{path} is damaged or incomplete and was passed over; the run resumes from '
                    f'{newest}'
                )
            if newest is not None:
                # This is where MMEngine looks.
                with writing(Path(runner.work_dir, 'last_checkpoint')) as unfinished:
                    unfinished.write_text(str(newest))
        barrier()

    def before_train(self, runner: Runner) -> None:
        """Prepare for saving, and validate if a kill has kept the resumed checkpoint from it."""
        super().before_train(runner)
        self._message_hub = runner.message_hub
        self._outdated: dict[str, int] = {}
        if type(self.file_backend) is LocalBackend:
            self.backend_args = dict(backend='mspn_whole')
            self.file_backend = get_file_backend(backend_args=self.backend_args)
            # CheckpointHook deletes before it saves.
            self.file_backend.remove = self._remove_later
            if is_main_process():
                remove_unfinished(Path(self.out_dir), '.pth')
                if runner._load_from is None:  # the resumed checkpoint is of this folder
                    self._remove_left_over()
        if runner.iter > 0:
            self.last_ckpt = runner.message_hub.runtime_info.get('last_ckpt')
            if _validation_is_due(runner):
                runner.logger.info('The validation of the resumed checkpoint is done again.')
                runner.val_loop.run()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, Any]) -> None:
        """Save the best checkpoint, and note in the newest one that it has been validated."""
        if not isinstance(runner._train_loop, BaseLoop):
            return  # nothing is trained
        runner.message_hub.update_info('last_val_iter', runner.iter)
        self._is_noted = False
        super().after_val_epoch(runner, metrics)
        self._remove_outdated()
        step = runner.epoch if self.by_epoch else runner.iter
        path = self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(step))
        if not self._is_noted and self.last_ckpt == path:
            meta = dict(epoch=runner.epoch, iter=runner.iter)
            self._save_checkpoint_with_step(runner, step, meta)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Refuse weights that are not finite, before anything is overwritten or deleted."""
        broken = [
            name
            for name, value in checkpoint['state_dict'].items()
            if value.is_floating_point() and not torch.isfinite(value).all()
        ]
        if broken:
            raise SettingError(
                f'after iteration {checkpoint["meta"]["iter"]} the weights are not finite, and '
                f'were not saved: {first_few(broken)}. Checkpoints from before are kept. Lower the '
                'learning rate (optim_wrapper.optimizer.lr), or clip gradients '
                '(optim_wrapper.clip_grad.max_norm)'
            )

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, int]) -> None:
        super()._save_checkpoint_with_step(runner, step, meta)
        self._is_noted = True
        self._remove_outdated()

    def _remove_later(self, path: str) -> None:
        self._outdated[path] = os.stat(path).st_mtime_ns
        # The checkpoint that is saved next tells a run that resumes it what a kill may have left.
        self._message_hub.update_info('outdated_ckpts', list(self._outdated))

    def _remove_outdated(self) -> None:
        for path, time in self._outdated.items():
            # A best checkpoint can have been replaced under its own name.
            if os.path.isfile(path) and os.stat(path).st_mtime_ns == time:
                os.remove(path)
        self._outdated.clear()
        self._message_hub.update_info('outdated_ckpts', [])

    def _remove_left_over(self) -> None:
        """Delete what a kill has kept from being deleted."""
        saved = self._message_hub.runtime_info
        best = [Path(saved[key]).name for key in saved if key.startswith('best_ckpt')]
        for name in {Path(path).name for path in saved.get('outdated_ckpts', [])}.difference(best):
            Path(self.out_dir, name).unlink(missing_ok=True)

    def _folder(self, runner: Runner) -> Path | None:
        """Where the checkpoints of a run lie, before ``before_train`` has set ``out_dir``."""
        if '://' in str(self.out_dir or runner.work_dir):
            return None
        if self.out_dir is None or self.out_dir == runner.work_dir:
            return Path(runner.work_dir)
        return Path(self.out_dir, os.path.basename(runner.work_dir.rstrip(os.sep)))


def newest_whole(folder: Path, filename_tmpl: str) -> tuple[Path | None, list[Path]]:
    """Find the checkpoint that was saved last, among those that are whole, and those found damaged.

    When a file was saved is read from its inside, because copying a folder changes the times of its
    files, and an earlier run may have left files with higher numbers. Files older than the newest
    whole one are only looked at so far as to learn their age.
    """
    dated, damaged = [], []
    for path in sorted(folder.glob(filename_tmpl.replace('{}', '[0-9]*'))):
        try:
            meta = torch.load(path, map_location='cpu', weights_only=True, mmap=True)['meta']
            dated.append((meta['time'], meta['iter'], path))
        except Exception:
            # Half a file makes torch and pickle raise nearly anything.
            damaged.append(path)
    for _, _, path in sorted(dated, reverse=True):
        if is_intact(path):
            return path, damaged
        damaged.append(path)
    return None, damaged


def _validation_is_due(runner: Runner) -> bool:
    """Whether the resumed checkpoint should have been validated and was not."""
    validated = runner.message_hub.runtime_info.get('last_val_iter')
    if runner.val_loop is None or runner.iter == validated:
        return False
    loop = runner.train_loop
    if isinstance(loop, EpochBasedTrainLoop):
        done, end = loop.epoch, loop.max_epochs
    else:
        done, end = loop.iter, loop.max_iters
    return done >= loop.val_begin and (done % loop.val_interval == 0 or done == end)
