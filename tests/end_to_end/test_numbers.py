"""Losses that are no numbers stop a run and cost nothing, and half precision has none."""

import numpy as np
import pytest
from support.small_run import MIM, NO_WORKERS, config_in, load, losses, run, run_here

from mspn_plugin import SettingError

SHORT = {'train_cfg.max_epochs': 2, **NO_WORKERS}


def jump(iteration, factor):
    """A schedule that multiplies the learning rate at an iteration."""
    step = dict(type='MultiStepLR', milestones=[iteration], gamma=factor, by_epoch=False)
    return {'param_scheduler': [step]}


@pytest.mark.slow
def test_an_exploding_loss_stops_the_run_and_keeps_the_last_checkpoint(
    tmp_path, rendered, monkeypatch
):
    config, work_dir = config_in(tmp_path), tmp_path / 'run'
    with pytest.raises(SettingError) as error:
        run_here(config, work_dir, rendered, monkeypatch, **SHORT, **jump(4, 1e20))
    said = str(error.value)
    assert 'not finite at iteration 6 (epoch 2), in stage 1 and 2: ' in said
    assert 'kpt_stage1=nan' in said and 'optim_wrapper.optimizer.lr' in said
    assert f'{work_dir / "epoch_1.pth"} is from before' in said
    assert len(losses(work_dir)) == 5
    kept = load(work_dir / 'epoch_1.pth')
    assert all(value.isfinite().all() for value in kept['state_dict'].values())


@pytest.mark.slow
def test_weights_that_are_not_finite_never_replace_good_ones(tmp_path, rendered, monkeypatch):
    config, work_dir = config_in(tmp_path), tmp_path / 'run'
    only_one = {'default_hooks.checkpoint.max_keep_ckpts': 1}
    # The last step of the second epoch ruins the weights, after its loss was seen.
    ruin = {'optim_wrapper.optimizer': dict(type='SGD', lr=1e-9), **jump(7, 3e47)}
    with pytest.raises(SettingError, match=r'after iteration 8 the weights are not finite'):
        run_here(config, work_dir, rendered, monkeypatch, **SHORT, **only_one, **ruin)
    assert [path.name for path in work_dir.glob('*.pth')] == ['epoch_1.pth']
    assert (work_dir / 'last_checkpoint').read_text() == str(work_dir / 'epoch_1.pth')
    kept = load(work_dir / 'epoch_1.pth')
    assert all(value.isfinite().all() for value in kept['state_dict'].values())


@pytest.mark.slow
def test_half_precision_trains_through_the_command_line(tmp_path, rendered, warm):
    options = {'optim_wrapper.dtype': 'float16', **NO_WORKERS, 'train_cfg.max_epochs': 1}
    options['train_dataloader.dataset.indices'] = 8
    mim = [warm / 'mim', *MIM[1:]]
    run(mim, config_in(tmp_path), tmp_path / 'run', '--amp', coco_root=rendered, options=options)
    steps = losses(tmp_path / 'run').values()
    assert len(steps) == 2 and np.isfinite([step['loss'] for step in steps]).all()
    saved = load(tmp_path / 'run' / 'epoch_1.pth')
    assert saved['optimizer']['loss_scaler']['scale'] > 1
    assert all(value.isfinite().all() for value in saved['state_dict'].values())
