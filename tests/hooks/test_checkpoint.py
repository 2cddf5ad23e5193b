"""What checkpoints a run leaves in its folder."""

import os

import pytest
import torch
from mmengine.runner import Runner
from support.small_model import small_config


class Killed(BaseException):
    """Stands for a kill."""


def train(rendered, work_dir, epochs):
    options = {
        'train_cfg.max_epochs': epochs,
        'train_dataloader.batch_size': 16,
        'default_hooks.checkpoint': dict(
            type='SafeCheckpointHook', interval=1, max_keep_ckpts=2, save_best=None
        ),
        'resume': True,
    }
    Runner.from_cfg(small_config(rendered, work_dir, **options)).train()


def checkpoints(folder):
    return sorted(path.name for path in folder.glob('*.pth'))


@pytest.mark.slow
def test_a_kill_before_the_outdated_one_is_deleted_leaves_none_too_many_after_a_resume(
    rendered, tmp_path, monkeypatch
):
    train(rendered, tmp_path, 2)
    older_run = tmp_path / 'epoch_90.pth'
    torch.save({'meta': {'time': '20000101_000000', 'iter': 1}, 'state_dict': {}}, older_run)

    remove = os.remove

    def killed(path):
        if str(path).endswith('epoch_1.pth'):
            raise Killed
        remove(path)

    monkeypatch.setattr(os, 'remove', killed)
    with pytest.raises(Killed):
        train(rendered, tmp_path, 3)
    monkeypatch.undo()
    kept = ['epoch_2.pth', 'epoch_3.pth', 'epoch_90.pth']
    assert checkpoints(tmp_path) == ['epoch_1.pth', *kept]

    train(rendered, tmp_path, 3)
    assert checkpoints(tmp_path) == kept
    train(rendered, tmp_path, 4)
    assert checkpoints(tmp_path) == ['epoch_3.pth', 'epoch_4.pth', 'epoch_90.pth']
