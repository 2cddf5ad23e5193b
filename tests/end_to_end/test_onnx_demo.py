"""A file of ``mspn export`` is run by a program without PyTorch, through the shell."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmpose.registry import MODELS

from mspn_plugin import config_path, fuse, load_estimator
from mspn_plugin.inference.boxes import whole_image
from mspn_plugin.inference.onnx import export_onnx
from mspn_plugin.inference.predictor import PosePredictor

pytest.importorskip('onnxruntime')
DEMO = Path(__file__).resolve().parents[2] / 'examples' / 'onnx_demo.py'
WITHOUT_PYTORCH = """
import runpy, sys
sys.modules['torch'] = None  # importing it fails
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
assert not any(name.startswith(('torch.', 'mmpose')) for name in sys.modules)
"""


@pytest.mark.parametrize(
    'recipe', ['mspn_coco', 'td-hm_2xmspn50_megvii-8xb32-96k_coco-256x192'], ids=['ours', 'authors']
)
def test_the_demo_finds_the_keypoints_that_pytorch_does(recipe, network, tmp_path):
    rng = np.random.default_rng(1)
    image = cv2.resize(rng.integers(0, 255, (6, 8, 3), np.uint8), (160, 120))
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    config = Config.fromfile(config_path(recipe))
    estimator = fuse(load_estimator(*network[1::2]))
    estimator.cfg.test_dataloader.dataset.pipeline = config.val_pipeline
    estimator.data_preprocessor = MODELS.build(config.model.data_preprocessor)  # RGB or BGR
    export_onnx(estimator, tmp_path / 'pose.onnx')

    files = [tmp_path / name for name in ('pose.onnx', 'a.png', 'out.png')]
    command = [sys.executable, '-c', WITHOUT_PYTORCH, DEMO, *files]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'out.png').is_file()
    printed = np.array([line.split()[1:] for line in done.stdout.splitlines()], float)
    estimator.test_cfg = dict(flip_test=False)
    poses = PosePredictor(estimator)(image, whole_image(160, 120))
    near = np.abs(printed[:, :2] - poses.keypoints[0]).max(axis=1) < 1.0
    assert near.mean() > 0.8


def test_the_demo_is_short():
    assert len(DEMO.read_text().splitlines()) <= 40
