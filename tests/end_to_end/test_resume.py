"""A run that is killed goes on as if nothing had been, and the same seed gives the same run."""

import os
import random
import signal
import time
from types import SimpleNamespace

import pytest
import torch
from support.checkpoints import saved_at
from support.small_run import (
    MIM,
    NO_WORKERS,
    TRAIN,
    config_in,
    differing,
    load,
    losses,
    run,
    run_here,
    start,
)

from mspn_plugin import SettingError
from mspn_plugin.hooks.checkpoint import newest_whole


def checkpoints(folder):
    return sorted(path.name for path in folder.glob('*.pth'))


def unfinished(folder):
    return sorted(path.name for path in folder.glob('.*.pth'))


def kill(process):
    """SIGKILL to a run and all its workers."""
    assert process.poll() is None, 'the run ended before it could be killed'
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for(found, process):
    while not found() and process.poll() is None:
        time.sleep(0.0005)


@pytest.fixture(scope='module')
def project(tmp_path_factory, rendered):
    folder = tmp_path_factory.mktemp('project')
    return SimpleNamespace(folder=folder, config=config_in(folder), data=dict(coco_root=rendered))


@pytest.fixture(scope='module')
def uninterrupted(project, warm):
    folder = project.folder / 'uninterrupted'
    run([warm / 'mim', *MIM[1:]], project.config, folder, **project.data)
    return folder


@pytest.fixture(scope='module')
def interrupted(project, warm):
    """A run killed at a random moment, then while it writes, that then loses its newest file."""
    folder = project.folder / 'interrupted'
    command = (TRAIN, project.config, folder, '--resume')

    process = start(*command, **project.data)
    wait_for((folder / 'epoch_2.pth').exists, process)
    time.sleep(random.uniform(0, 0.3))
    kill(process)

    already = unfinished(folder)
    process = start(*command, **project.data)
    wait_for(lambda: set(unfinished(folder)) - set(already), process)
    kill(process)
    half_written = unfinished(folder)

    newest, _ = newest_whole(folder, 'epoch_{}.pth')
    os.truncate(newest, newest.stat().st_size * 2 // 3)

    mim = [warm / 'mim', *MIM[1:]]
    said = run(mim, project.config, folder, '--resume', **project.data)
    return SimpleNamespace(folder=folder, said=said, damaged=newest, half_written=half_written)


@pytest.mark.slow
class TestAKilledRun:
    def test_was_killed_in_the_middle_of_a_file(self, interrupted):
        assert interrupted.half_written

    def test_names_the_damaged_checkpoint_and_passes_it_over(self, interrupted):
        assert f'{interrupted.damaged} is damaged or incomplete' in interrupted.said

    def test_has_the_losses_of_the_uninterrupted_one(self, interrupted, uninterrupted):
        ours, theirs = losses(interrupted.folder), losses(uninterrupted)
        assert len(theirs) == 4 * 4
        assert ours == theirs

    def test_ends_with_its_weights_and_its_optimizer(self, interrupted, uninterrupted):
        ours, theirs = (load(f / 'epoch_4.pth') for f in (interrupted.folder, uninterrupted))
        assert not differing(ours, theirs)
        for index, state in theirs['optimizer']['state'].items():
            for name, value in state.items():
                assert torch.equal(value, ours['optimizer']['state'][index][name])

    def test_has_its_best_checkpoint(self, interrupted, uninterrupted):
        assert checkpoints(uninterrupted)[0].startswith('best_EPE_epoch_')
        assert set(checkpoints(uninterrupted)) <= set(checkpoints(interrupted.folder))
        hubs = [
            load(folder / 'epoch_4.pth')['message_hub']['runtime_info']
            for folder in (interrupted.folder, uninterrupted)
        ]
        assert hubs[0]['best_score'] == hubs[1]['best_score']
        best = load(interrupted.folder / checkpoints(uninterrupted)[0])
        assert not differing(best, load(uninterrupted / checkpoints(uninterrupted)[0]))

    def test_leaves_nothing_half_written(self, interrupted):
        assert not unfinished(interrupted.folder)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run_with_and_without_workers(
    project, uninterrupted, rendered, tmp_path, monkeypatch
):
    short = {'train_cfg.max_epochs': 2, **NO_WORKERS}
    for name in ('first', 'second'):
        run_here(project.config, tmp_path / name, rendered, monkeypatch, **short)

    first, second = losses(tmp_path / 'first'), losses(tmp_path / 'second')
    assert first == second and len(first) == 2 * 4
    assert not differing(*(load(tmp_path / n / 'epoch_2.pth') for n in ('first', 'second')))
    with_workers = losses(uninterrupted)
    assert first == {step: with_workers[step] for step in first}


@pytest.mark.slow
def test_a_resumed_run_without_a_seed_of_its_own_keeps_the_order_of_the_data(
    project, rendered, tmp_path, monkeypatch
):
    def train(name, epochs, seed=None, resume=False):
        settings = {'train_cfg.max_epochs': epochs, 'randomness.seed': seed, 'resume': resume}
        folder = tmp_path / name
        return run_here(project.config, folder, rendered, monkeypatch, **settings, **NO_WORKERS)

    seed = train('resumed', 1).seed
    train('resumed', 2, resume=True)
    train('uninterrupted', 2, seed)
    assert losses(tmp_path / 'resumed') == losses(tmp_path / 'uninterrupted')


@pytest.mark.slow
@pytest.mark.parametrize('cut_off', [True, False])
def test_a_validation_is_done_again_if_it_was_cut_off(
    cut_off, project, uninterrupted, rendered, tmp_path, monkeypatch
):
    # All epochs are done. Before the validation of the last one its checkpoint knew nothing of it.
    checkpoint = load(uninterrupted / 'epoch_4.pth')
    known = checkpoint['message_hub']['runtime_info']
    if cut_off:
        for name in ('last_val_iter', 'best_score', 'best_ckpt'):
            known.pop(name)
    (tmp_path / 'run').mkdir()
    torch.save(checkpoint, tmp_path / 'run' / 'epoch_4.pth')

    run_here(project.config, tmp_path / 'run', rendered, monkeypatch, resume=True, **NO_WORKERS)
    assert ('best_EPE_epoch_4.pth' in checkpoints(tmp_path / 'run')) == cut_off


ITERATIONS = """
_base_ = ['run.py']
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=6, val_interval=4)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=3, max_keep_ckpts=-1))
log_processor = dict(by_epoch=False)
"""


@pytest.mark.slow
def test_a_run_of_iterations_resumes_with_its_losses(project, rendered, tmp_path, monkeypatch):
    config = project.folder / 'iterations.py'
    config.write_text(ITERATIONS)
    run_here(config, tmp_path / 'all', rendered, monkeypatch, **NO_WORKERS)
    middle = dict(resume=True, load_from=str(tmp_path / 'all' / 'iter_3.pth'), **NO_WORKERS)
    run_here(config, tmp_path / 'resumed', rendered, monkeypatch, **middle)

    ours, theirs = losses(tmp_path / 'resumed'), losses(tmp_path / 'all')
    assert list(theirs) == [1, 2, 3, 4, 5, 6] and list(ours) == [4, 5, 6]
    assert ours == {step: theirs[step] for step in ours}
    files = (load(tmp_path / name / 'iter_6.pth') for name in ('all', 'resumed'))
    assert not differing(*files)


@pytest.mark.slow
class TestARunThatHasNothingToResumeFrom:
    def test_is_refused_if_all_checkpoints_are_damaged(
        self, project, rendered, tmp_path, monkeypatch
    ):
        cut = saved_at(tmp_path / 'run' / 'epoch_1.pth', '20260101_000000')
        os.truncate(cut, 100)
        settings = dict(resume=True, **NO_WORKERS)
        with pytest.raises(SettingError, match=r'no checkpoint in .*run is whole.*: epoch_1\.pth'):
            run_here(project.config, tmp_path / 'run', rendered, monkeypatch, **settings)

    def test_is_refused_if_the_file_it_names_is_damaged(
        self, project, rendered, tmp_path, monkeypatch
    ):
        cut = saved_at(tmp_path / 'epoch_1.pth', '20260101_000000')
        os.truncate(cut, 100)
        settings = dict(resume=True, load_from=str(cut), **NO_WORKERS)
        with pytest.raises(
            SettingError, match=r'epoch_1\.pth cannot be read as a checkpoint; is it complete'
        ):
            run_here(project.config, tmp_path / 'run', rendered, monkeypatch, **settings)
