"""Two processes, started as a user starts them, do what one does with the whole batch."""

import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.small_run import MIM, config_in, load, run, run_here

ONE = """
_base_ = ['run.py']
model = dict(
    backbone=dict(norm_cfg=dict(type='SyncBN')), head=dict(norm_cfg=dict(type='SyncBN'))
)
# One step of SGD, after which the momentum of each weight is its gradient.
optim_wrapper = dict(optimizer=dict(_delete_=True, type='SGD', lr=1e-9, momentum=0.9))
train_cfg = dict(max_epochs=1, val_interval=1)
train_dataloader = dict(
    batch_size=8, num_workers=0, persistent_workers=False, dataset=dict(indices=8)
)
val_dataloader = dict(batch_size=2, dataset=dict(indices=7))
val_evaluator = [
    dict(type='EPE'),
    # What the processes have collected, before a metric looks at it.
    dict(type='DumpResults', out_file_path='collected.pkl'),
]
"""
TWO = """
_base_ = ['one.py']
custom_imports = dict(imports=['mspn_plugin', 'exact'], allow_failed_imports=False)
train_dataloader = dict(batch_size=4)
"""


@pytest.fixture(scope='module')
def ran(tmp_path_factory, rendered):
    """The same step by one process and by two, and the same evaluation."""
    folder = tmp_path_factory.mktemp('distributed')
    config_in(folder)
    (folder / 'one.py').write_text(ONE)
    (folder / 'two.py').write_text(TWO)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        torch.set_default_dtype(torch.float64)
        try:
            run_here(folder / 'one.py', folder / 'one', rendered, monkeypatch)
        finally:
            torch.set_default_dtype(torch.float32)
        (folder / 'collected.pkl').rename(folder / 'one' / 'collected.pkl')
        monkeypatch.setenv('PYTHONPATH', str(Path(__file__).parents[1] / 'support'), prepend=':')
        launcher = ('--launcher', 'pytorch', '--gpus', '2')
        run(MIM, folder / 'two.py', folder / 'two', *launcher, coco_root=rendered)
        (folder / 'collected.pkl').rename(folder / 'two' / 'collected.pkl')
    return SimpleNamespace(one=folder / 'one', two=folder / 'two')


def checkpoint(folder):
    loaded = load(folder / 'epoch_1.pth')
    assert loaded['meta']['iter'] == 1
    return loaded


@pytest.mark.slow
class TestTwoProcesses:
    def test_have_the_gradients_of_one_with_the_whole_batch(self, ran):
        ours, theirs = (checkpoint(f)['optimizer']['state'] for f in (ran.two, ran.one))
        assert len(ours) == len(theirs) > 200
        for index, state in theirs.items():
            gradient = state['momentum_buffer']
            difference = (ours[index]['momentum_buffer'] - gradient).abs().max()
            assert difference <= 1e-9 * gradient.abs().max()

    def test_have_the_statistics_of_the_whole_batch(self, ran):
        ours, theirs = (checkpoint(f)['state_dict'] for f in (ran.two, ran.one))
        statistics = [name for name in theirs if 'running' in name]
        assert len(statistics) > 100
        for name in statistics:
            torch.testing.assert_close(ours[name], theirs[name], rtol=1e-9, atol=1e-9)

    def test_collect_each_person_once_where_their_number_does_not_divide(self, ran):
        collected = [pickle.loads((f / 'collected.pkl').read_bytes()) for f in (ran.two, ran.one)]
        ours, theirs = ([sample['id'] for sample in samples] for samples in collected)
        assert ours == theirs and len(set(ours)) == len(ours) == 7
        for two, one in zip(*collected, strict=True):
            ours, theirs = (sample['pred_instances']['keypoints'] for sample in (two, one))
            np.testing.assert_allclose(ours, theirs, atol=1e-6)
