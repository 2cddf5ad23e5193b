"""A training of seconds on rendered people, for the tests of whole runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import mmpose
import torch
from mmengine.config import Config
from mmengine.runner import Runner

MIM = [str(Path(sys.executable).with_name('mim')), 'train', 'mmpose']
# What `mim train` starts, for runs that are killed: mim would leave it behind.
TRAIN = [sys.executable, str(Path(mmpose.__file__).parent / '.mim' / 'tools' / 'train.py')]

# EPE, the mean distance of the predicted joints, changes with every validation; AP would stay 0.
CONFIG = """
_base_ = [__import__('mspn_plugin').config_path('mspn_coco')]
model = dict(
    backbone=dict(stem_channels=8, unit_channels=16, num_blocks=[1, 1, 1, 1], init_cfg=None),
    head=dict(unit_channels=16),
)
param_scheduler = [dict(type='LinearLR', begin=0, end=10, start_factor=0.1, by_epoch=False)]
train_cfg = dict(max_epochs=4, val_interval=2)
train_dataloader = dict(batch_size=4, num_workers=2)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(bbox_file=None))
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='EPE')
test_evaluator = val_evaluator
default_hooks = dict(
    checkpoint=dict(interval=1, max_keep_ckpts=2, save_best='EPE', rule='less'),
    logger=dict(interval=1),
)
# Each line of the log is of one iteration.
log_processor = dict(window_size=1)
randomness = dict(seed=3)
"""
NO_WORKERS = {'train_dataloader.num_workers': 0, 'train_dataloader.persistent_workers': False}


def config_in(folder):
    """Write the config into a folder and give its path."""
    file = folder / 'run.py'
    file.write_text(CONFIG)
    return file


def environment(coco_root):
    return {**os.environ, 'COCO_ROOT': str(coco_root), 'OMP_NUM_THREADS': '1'}


def start(command, config, work_dir, *arguments, coco_root, options=None):
    """Start a training in a process group of its own, logging to a file beside its folder."""
    settings = [f'{name}={value}' for name, value in (options or {}).items()]
    if settings:
        settings.insert(0, '--cfg-options')
    with Path(f'{work_dir}.log').open('a') as log:
        return subprocess.Popen(
            [*map(str, command), str(config), '--work-dir', str(work_dir), *arguments, *settings],
            cwd=config.parent,
            env=environment(coco_root),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def run(command, config, work_dir, *arguments, **settings):
    """Train to the end, and give what was printed."""
    process = start(command, config, work_dir, *arguments, **settings)
    status = process.wait()
    said = Path(f'{work_dir}.log').read_text()
    assert status == 0, said[-5000:]
    return said


def run_here(config, work_dir, coco_root, monkeypatch, **settings):
    """Train in this process, and give the runner."""
    monkeypatch.setenv('COCO_ROOT', str(coco_root))
    cfg = Config.fromfile(config)
    # MMEngine keeps one visualizer of each name in a process, and its folder.
    names = {'experiment_name': work_dir.name, 'visualizer.name': str(work_dir)}
    cfg.merge_from_dict({'work_dir': str(work_dir), **names, **settings})
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the other processes
    try:
        runner = Runner.from_cfg(cfg)
        runner.train()
    finally:
        torch.set_num_threads(threads)
    return runner


def losses(work_dir):
    """The terms of the loss at each iteration, by all runs in a folder, the last that wrote it."""
    logged = {}
    for file in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        for line in map(json.loads, file.read_text().splitlines()):
            if 'loss' in line:
                terms = ('loss', 'loss_kpt', 'kpt_stage1', 'kpt_stage2', 'acc_pose', 'lr')
                logged[line['step']] = {name: line[name] for name in terms}
    return logged


def load(file):
    return torch.load(file, weights_only=True)


def differing(ours, theirs):
    """The names of the weights that are not the same, bit for bit."""
    assert ours['state_dict'].keys() == theirs['state_dict'].keys()
    other = theirs['state_dict']
    return [name for name, value in ours['state_dict'].items() if not value.equal(other[name])]
