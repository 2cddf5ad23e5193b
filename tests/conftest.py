"""Fixtures that several test modules share."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from mmengine.config import Config
from support.plain_configs import leave_configs_plain
from support.small_detector import write_detector
from support.warm import warm_commands

import mspn_cli
import mspn_plugin  # noqa: F401  (its remedies come before any import of mmpose)

leave_configs_plain()
REPO = Path(__file__).resolve().parent.parent
TINY = {
    'model.backbone.init_cfg': None,
    'model.backbone.stem_channels': 8,
    'model.backbone.unit_channels': 16,
    'model.backbone.num_blocks': [1, 1, 1, 1],
    'model.head.unit_channels': 16,
}


@pytest.fixture(scope='session')
def golden() -> Path:
    """The folder of figures that the authors' release computed."""
    return Path(__file__).parent / 'golden'


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """The folder of real photographs, which the project does not ship.

    It is looked for in ``MSPN_SHARED`` and beside the clone. A user's clone has none, and the
    tests that need photographs are skipped there; with ``CI`` set a missing folder is a failure.
    """
    folder = Path(os.environ.get('MSPN_SHARED', REPO.parent / 'shared')) / 'data'
    if not folder.is_dir():
        if os.environ.get('CI'):
            pytest.fail(f'CI must test on the photographs, and {folder} does not exist')
        pytest.skip(f'no photographs at {folder}; set MSPN_SHARED to the folder that holds data/')
    return folder


@pytest.fixture(scope='session')
def coco_photos(shared_data: Path) -> Path:
    """Real COCO photographs and their annotations, in COCO's own layout."""
    return shared_data / 'coco'


@pytest.fixture(scope='session')
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few rendered people in COCO's layout, as the command writes them."""
    from mspn_plugin.synthetic.coco import render_dataset

    folder = tmp_path_factory.mktemp('rendered') / 'coco'
    render_dataset(folder, train=8, val=4, seed=1)
    return folder


@pytest.fixture(scope='session')
def mspn() -> Callable[..., Result]:
    """The command ``mspn`` in this process; its arguments may be of any type."""

    def run(*arguments: object) -> Result:
        result = CliRunner().invoke(mspn_cli.main, [str(argument) for argument in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture(scope='session')
def warm(tmp_path_factory) -> Iterator[Path]:
    """A folder of ``mim``, ``mspn`` and ``python`` that have imported everything already."""
    with warm_commands(tmp_path_factory.mktemp('commands')) as folder:
        yield folder


@pytest.fixture(scope='session')
def network(tmp_path_factory):
    """The options that name the config and the checkpoint of a tiny network."""
    from mmpose.apis import init_model

    folder = tmp_path_factory.mktemp('network')
    config = Config.fromfile(REPO / 'configs' / 'mspn_coco.py')
    config.merge_from_dict(TINY)
    config.dump(folder / 'config.py')
    torch.manual_seed(0)
    estimator = init_model(Config.fromfile(folder / 'config.py'), None, 'cpu')
    for norm in estimator.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_var.uniform_(0.5, 2)
    last = estimator.head.predict_layers[-1].conv_layers[-1].bn
    torch.nn.init.constant_(last.weight, 200.0)
    torch.save({'state_dict': estimator.state_dict()}, folder / 'checkpoint.pth')
    return [
        *('--config', str(folder / 'config.py')),
        *('--checkpoint', str(folder / 'checkpoint.pth')),
    ]


@pytest.fixture
def images_and_boxes(tmp_path):
    """A folder of two images, and COCO annotations of three persons in them."""
    folder = tmp_path / 'in'
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ('000000000003.png', '000000000007.png'):
        coarse = rng.integers(0, 255, (6, 8, 3), np.uint8)
        cv2.imwrite(str(folder / name), cv2.resize(coarse, (160, 120)))
    category = dict(id=1, name='person', keypoints=['nose'])
    annotations = [
        dict(id=1, image_id=3, category_id=1, iscrowd=0, bbox=[10, 10, 60, 90]),
        dict(id=2, image_id=3, category_id=1, iscrowd=0, bbox=[90, 20, 100, 90]),
        dict(id=3, image_id=7, category_id=1, iscrowd=0, bbox=[20, 5, 70, 100]),
        dict(id=4, image_id=7, category_id=1, iscrowd=1, bbox=[0, 0, 50, 50]),
    ]
    listed = [dict(id=i, file_name=f'{i:012d}.png') for i in (3, 7)]
    content = dict(images=listed, annotations=annotations, categories=[category])
    (tmp_path / 'boxes.json').write_text(json.dumps(content))
    return folder, tmp_path / 'boxes.json'


@pytest.fixture(autouse=True)
def no_visualizer_of_another_test() -> None:
    """Forget visualizers: MMEngine keeps one of each name in a process, with its folder.

    A runner in a later test would write to the folder of an earlier one, which may be gone.
    """
    from mmengine.visualization import Visualizer
    from mmpose.visualization import PoseLocalVisualizer

    for kind in (Visualizer, PoseLocalVisualizer):
        kind._instance_dict.clear()


@pytest.fixture(scope='session')
def detector(tmp_path_factory):
    """The options that name the config and the checkpoint of a tiny RTMDet of random weights."""
    return write_detector(tmp_path_factory.mktemp('detector'))
