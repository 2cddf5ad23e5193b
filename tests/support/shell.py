"""``mim`` as a user types it, made small by the command line."""

import os
import subprocess
import sys
from pathlib import Path

MIM = str(Path(sys.executable).with_name('mim'))

SMALL = [
    'model.backbone.init_cfg=None',
    'model.backbone.stem_channels=8',
    'model.backbone.unit_channels=16',
    'model.backbone.num_blocks=[1,1,1,1]',
    'model.head.unit_channels=16',
    'train_dataloader.batch_size=8',
    'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
    'val_dataloader.num_workers=0',
    'val_dataloader.persistent_workers=False',
    'test_dataloader.num_workers=0',
    'test_dataloader.persistent_workers=False',
    'train_cfg.val_interval=1',
    'default_hooks.checkpoint.interval=1',
    'default_hooks.logger.interval=1',
]
GROUND_TRUTH_BOXES = [
    'val_dataloader.dataset.bbox_file=None',
    'test_dataloader.dataset.bbox_file=None',
]


def mim(command, *arguments, cwd, coco_root, options=(), program=MIM):
    """Run ``mim COMMAND mmpose ...`` and return the finished process."""
    settings = ['--cfg-options', *SMALL, *options]
    return subprocess.run(
        [program, command, 'mmpose', *map(str, arguments), *settings],
        cwd=cwd,
        env={**os.environ, 'COCO_ROOT': str(coco_root), 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
    )


def succeeded(done):
    assert done.returncode == 0, f'{done.stdout[-3000:]}\n{done.stderr[-5000:]}'
    return done


def message(done):
    """The one message of a run that was refused, without the launcher's own last words."""
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith('mspn_plugin: ')]
    assert len(said) == 1, done.stderr[-3000:]
    assert 'train.py' not in done.stderr.split('mspn_plugin: ')[0], 'a traceback came first'
    return said[0]
