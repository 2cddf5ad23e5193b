"""Weights of several trainings are averaged by a program, through the shell."""

import json
import math
import subprocess
import sys
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS

from mspn_plugin import config_path

PROGRAM = Path(__file__).resolve().parents[2] / 'examples' / 'average_weights.py'


def test_weights_are_averaged_and_norms_measured_on_the_training_crops(
    rendered, tmp_path, monkeypatch
):
    monkeypatch.setenv('COCO_ROOT', str(rendered))
    config = Config.fromfile(config_path('mspn_synthetic'))
    config.train_dataloader.batch_size = 4
    config.dump(tmp_path / 'config.py')
    init_default_scope('mmpose')
    networks = [MODELS.build(config.model).state_dict() for _ in range(2)]
    for name, network in zip('ab', networks):
        torch.save(dict(meta=dict(name=name), state_dict=network), tmp_path / name)

    def run(*arguments):
        command = [sys.executable, PROGRAM, 'config.py', *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    forgotten = run('a', 'b')
    assert forgotten.returncode == 1 and 'a exists already; --overwrite' in forgotten.stderr
    ended = run('out.pth', 'a', 'b')
    assert ended.returncode == 0, ended.stderr
    averaged = torch.load(tmp_path / 'out.pth')
    assert averaged['meta'] == dict(name='b')
    statistics = ('running_mean', 'running_var', 'num_batches_tracked')
    for name, weight in averaged['state_dict'].items():
        if not name.endswith(statistics):
            torch.testing.assert_close(weight, (networks[0][name] + networks[1][name]) / 2)

    # Nothing but the crops tells the first norm what the images are like: its own start is 0 and 1.
    stem = 'backbone.top.top.0.bn.'
    measured = {name: averaged['state_dict'][stem + name] for name in statistics}
    annotations = rendered / 'annotations' / 'person_keypoints_train2017.json'
    persons = sum(
        p['num_keypoints'] > 0 for p in json.loads(annotations.read_text())['annotations']
    )
    assert measured['num_batches_tracked'] == math.ceil(persons / 4)
    assert measured['running_mean'].abs().min() > 0
    assert (measured['running_var'] != 1).all()
