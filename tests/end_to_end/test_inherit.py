"""A stranger's project: it inherits an installed config, and MMPose's commands and tools run it."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
import torch
from support.pages import REPO, blocks, filled

NAME = 'td-hm_4xmspn50_8xb32-210e_coco-256x192'
CONFIG = f"""
_base_ = [__import__('mspn_plugin').config_path('{NAME}')]

num_stages = 2
joints = ['nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear']
skeleton = dict(
    dataset_name='faces',
    paper_info=dict(),
    keypoint_info={{
        i: dict(name=joint, id=i, color=[255, 0, 0], type='upper', swap=swap)
        for i, (joint, swap) in enumerate(
            zip(joints, ['', 'right_eye', 'left_eye', 'right_ear', 'left_ear'])
        )
    }},
    skeleton_info={{}},
    joint_weights=[1.0] * 5,
    sigmas=[0.03] * 5,
)
model = dict(
    backbone=dict(
        num_stages=num_stages,
        stem_channels=8,
        unit_channels=16,
        num_blocks=[1, 1, 1, 1],
        init_cfg=None,
    ),
    head=dict(num_stages=num_stages, unit_channels=16, out_channels=5),
)
train_cfg = dict(max_epochs=1, val_interval=1)
default_hooks = dict(checkpoint=dict(interval=1), logger=dict(interval=1))
train_dataloader = dict(
    batch_size=3,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root='mine', ann_file='train.json', data_prefix=dict(img='train2017/'),
                 metainfo=skeleton),
)
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root='mine', ann_file='val.json', data_prefix=dict(img='val2017/'),
                 metainfo=skeleton, bbox_file=None),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='mine/val.json')
test_evaluator = val_evaluator
work_dir = 'runs/faces'
"""


def project_in(folder, rendered):
    """A user's project with five joints of rendered people, and no copy of any of our files."""
    (folder / 'mine').mkdir(parents=True)
    (folder / 'my.py').write_text(CONFIG)
    for split in ('train', 'val'):
        file = rendered / 'annotations' / f'person_keypoints_{split}2017.json'
        content = json.loads(file.read_text())
        for annotation in content['annotations']:
            annotation['keypoints'] = annotation['keypoints'][:15]
            annotation['num_keypoints'] = sum(v > 0 for v in annotation['keypoints'][2::3])
        content['annotations'] = [a for a in content['annotations'] if a['num_keypoints']]
        (folder / 'mine' / f'{split}.json').write_text(json.dumps(content))
        (folder / 'mine' / f'{split}2017').symlink_to(rendered / f'{split}2017')
    return folder


def second_environment(folder):
    """An environment that has what ours has, but not the plugin."""
    venv.create(folder, with_pip=False)
    python = folder / 'bin' / 'python'
    found = subprocess.run(
        [python, '-c', 'import sysconfig; print(sysconfig.get_path("purelib"))'],
        check=True,
        capture_output=True,
        text=True,
    )
    # A .pth file inside a folder that a .pth file names is not read, so ours stays hidden.
    ours = sysconfig.get_path('purelib')
    Path(found.stdout.strip(), 'ours.pth').write_text(f'{ours}\n')
    return python


def run(*command, cwd, first_on_path=Path(sys.executable).parent):
    """Run a command that must succeed, without the modules that PYTHONPATH would bring along."""
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    path = f'{first_on_path}:{os.environ["PATH"]}'
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**environment, 'OMP_NUM_THREADS': '1', 'PATH': path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f'{command}\n{done.stdout[-3000:]}\n{done.stderr[-5000:]}'
    return done


def pip(python, *arguments, cwd):
    quietly = ('--no-deps', '--no-index', '--no-build-isolation', '-q')
    run(sys.executable, '-m', 'pip', '--python', python, 'install', *quietly, *arguments, cwd=cwd)


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """A clone, so that building leaves nothing in this one."""
    clone = tmp_path_factory.mktemp('source')
    for name in ('setup.py', 'pyproject.toml', 'README.md', 'LICENSE', 'mspn_cli.py'):
        shutil.copy(REPO / name, clone)
    for name in ('configs', 'mspn_plugin'):
        shutil.copytree(
            REPO / name, clone / name, ignore=shutil.ignore_patterns('__pycache__', '*.egg-info')
        )
    return clone


WHERE = 'import importlib.util; print(importlib.util.find_spec("mspn_plugin").origin)'


@pytest.mark.slow
def test_a_project_on_the_wheel_trains_predicts_and_uses_the_tools(
    tmp_path, source, rendered, warm
):
    python = second_environment(tmp_path / 'environment')
    wheels = tmp_path / 'wheels'
    build = ('wheel', '-q', '--no-deps', '--no-index', '--no-build-isolation', '-w', wheels)
    run(sys.executable, '-m', 'pip', *build, source, cwd=tmp_path)
    (wheel,) = wheels.glob('*.whl')
    pip(python, wheel, cwd=tmp_path)
    project = project_in(tmp_path / 'project', rendered)

    package = run(python, '-c', WHERE, cwd=project).stdout.strip()
    assert Path(package).is_relative_to(tmp_path / 'environment')

    mim = (python, '-c', 'from mim.cli import cli; cli()')
    run(*mim, 'train', 'mmpose', 'my.py', cwd=project)
    first = project / 'runs' / 'faces' / 'epoch_1.pth'
    weights = torch.load(first, weights_only=True)['state_dict']
    assert weights['head.predict_layers.7.conv_layers.1.conv.weight'].shape[0] == 5
    assert 'head.predict_layers.8.conv_layers.1.conv.weight' not in weights

    shutil.copy(sorted((rendered / 'val2017').iterdir())[0], project / 'person.jpg')
    run(python.with_name('mspn'), 'predict', 'person.jpg', '--out', 'found', cwd=project)
    (person,) = json.loads((project / 'found' / 'keypoints.json').read_text())
    assert len(person['keypoints']) == 3 * 17

    # MMPose's tools are the same for a wheel: they need no fresh process.
    words = {
        'CHECKPOINT': str(first),
        'work_dirs/my/epoch_210.pth': str(first),
        'work_dirs/my': 'runs/faces',
    }
    for block in blocks('docs/tools.md'):
        run('bash', '-e', '-c', filled(block.text, words), cwd=project, first_on_path=warm)
    for made in (
        'browse/*.jpg',
        'crops/*.jpg',
        'loss.png',
        'mspn-*.pth',
        'poses.jpg',
        'poses/*.jpg',
    ):
        assert [file for file in project.glob(made) if file.stat().st_size], made
