"""A tiny network that predicts."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mspn_plugin.inference.predictor import load_estimator

REPO = Path(__file__).resolve().parents[2]
SMALL = {
    'model.backbone.init_cfg': None,
    'model.backbone.stem_channels': 8,
    'model.backbone.unit_channels': 16,
    'model.backbone.num_blocks': [1, 1, 1, 1],
    'model.head.unit_channels': 16,
}


@pytest.fixture(scope='session')
def network(tmp_path_factory):
    """The options that name the config and the checkpoint of a tiny network."""
    from mmpose.apis import init_model

    folder = tmp_path_factory.mktemp('network')
    config = Config.fromfile(REPO / 'configs' / 'mspn_coco.py')
    config.merge_from_dict(SMALL)
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


@pytest.fixture(scope='session')
def trained(network):
    return load_estimator(*network[1::2])
