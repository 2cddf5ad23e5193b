"""A tiny RTMDet of MMDetection with random weights."""

import torch
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import DefaultScope

SMALL = {
    'model.backbone.widen_factor': 0.125,
    'model.backbone.init_cfg': None,
    'model.neck.in_channels': [32, 64, 128],
    'model.neck.out_channels': 16,
    'model.bbox_head.in_channels': 16,
    'model.bbox_head.feat_channels': 16,
    'model.bbox_head.num_classes': 2,
    'model.test_cfg.max_per_img': 8,
}


def write_detector(folder, classes=('dog', 'person')):
    """Write a config and a checkpoint, and return the options that name them."""
    from mmdet.registry import MODELS

    config = Config(get_config('mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py').to_dict())
    config.merge_from_dict(SMALL)
    config.dump(folder / 'detector.py')
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(config.model)
    model.init_weights()
    for level in range(3):  # boxes of some pixels, and scores that differ
        torch.nn.init.constant_(model.bbox_head.rtm_reg[level].bias, 4)
        torch.nn.init.normal_(model.bbox_head.rtm_cls[level].weight)
    meta = dict(dataset_meta=dict(classes=classes))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), folder / 'detector.pth')
    return [
        *('--detector', str(folder / 'detector.py')),
        *('--detector-weights', str(folder / 'detector.pth')),
    ]
