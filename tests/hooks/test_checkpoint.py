"""What checkpoints a run leaves in its folder."""

import os

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from support.checkpoints import saved_at
from support.small_model import small_config

from mspn_plugin import config_path
from mspn_plugin.hooks.checkpoint import newest_whole


class Killed(BaseException):
    """Stands for a kill."""


def train(rendered, work_dir, epochs, hook={}, **more):
    options = {
        'train_cfg.max_epochs': epochs,
        'train_dataloader.batch_size': 16,
        'default_hooks.checkpoint': dict(
            type='SafeCheckpointHook', interval=1, max_keep_ckpts=2, save_best=None, **hook
        ),
        'resume': True,
        **more,
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


@pytest.mark.slow
def test_a_run_that_goes_on_from_another_folder_deletes_nothing_in_its_own(rendered, tmp_path):
    first, second = tmp_path / 'first', tmp_path / 'second'
    train(rendered, first, 3)
    assert checkpoints(first) == ['epoch_2.pth', 'epoch_3.pth']
    second.mkdir()
    (second / 'epoch_1.pth').write_bytes(b'mine')
    train(rendered, second, 4, load_from=str(first / 'epoch_3.pth'))
    assert checkpoints(second) == ['epoch_1.pth', 'epoch_4.pth']


def test_a_validation_without_a_training_passes(rendered, tmp_path):
    cfg = Config.fromfile(config_path('mspn_synthetic'))
    data = cfg.val_dataloader
    data.update(num_workers=0, persistent_workers=False)
    data.dataset.update(data_root=str(rendered), indices=2)
    options = {
        'val_cfg': {},
        'val_dataloader': data,
        'val_evaluator': dict(type='EPE', _delete_=True),
    }
    options['default_hooks.checkpoint.save_best'] = None
    assert Runner.from_cfg(small_config(rendered, tmp_path / 'work', **options)).val()['EPE'] > 0


@pytest.mark.slow
def test_a_damaged_checkpoint_in_another_folder_is_passed_over(rendered, tmp_path):
    elsewhere = {'out_dir': str(tmp_path / 'elsewhere')}
    train(rendered, tmp_path / 'work', 2, hook=elsewhere)
    folder = tmp_path / 'elsewhere' / 'work'
    os.truncate(folder / 'epoch_2.pth', 100)
    train(rendered, tmp_path / 'work', 3, hook=elsewhere)
    assert 'epoch_3.pth' in checkpoints(folder)


class TestTheNewestWholeCheckpoint:
    def test_is_the_one_that_was_saved_last_whatever_its_number(self, tmp_path):
        saved_at(tmp_path / 'epoch_210.pth', '20260101_000000')
        newest = saved_at(tmp_path / 'epoch_3.pth', '20260201_000000')
        saved_at(tmp_path / 'epoch_2.pth', '20260131_235900')
        saved_at(tmp_path / 'best_coco_AP_epoch_2.pth', '20260301_000000')
        assert newest_whole(tmp_path, 'epoch_{}.pth') == (newest, [])

    @pytest.mark.parametrize('share', [0, 0.01, 0.5, 0.999])
    def test_is_not_a_truncated_one(self, tmp_path, share):
        whole = saved_at(tmp_path / 'iter_10.pth', '20260101_000000')
        cut = saved_at(tmp_path / 'iter_20.pth', '20260101_000001')
        os.truncate(cut, int(cut.stat().st_size * share))
        assert newest_whole(tmp_path, 'iter_{}.pth') == (whole, [cut])

    def test_is_not_one_with_a_changed_byte(self, tmp_path):
        whole = saved_at(tmp_path / 'iter_10.pth', '20260101_000000')
        changed = saved_at(tmp_path / 'iter_20.pth', '20260101_000001')
        content = bytearray(changed.read_bytes())
        content[len(content) // 2] ^= 1
        changed.write_bytes(content)
        assert newest_whole(tmp_path, 'iter_{}.pth') == (whole, [changed])

    def test_is_none_in_an_empty_folder(self, tmp_path):
        assert newest_whole(tmp_path, 'epoch_{}.pth') == (None, [])
