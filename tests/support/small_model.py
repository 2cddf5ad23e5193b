"""A tiny network, and a config whose training takes a moment."""

from mmengine.config import Config
from mmpose.registry import MODELS

from mspn_plugin import config_path

CODEC = dict(type='CoarseToFineHeatmap', input_size=(96, 128), heatmap_size=(24, 32))


def estimator(**head):
    backbone = dict(
        type='MSPNBackbone', num_stages=1, stem_channels=8, unit_channels=16, num_blocks=[1] * 4
    )
    head = dict(dict(num_stages=1, unit_channels=16, out_channels=17, decoder=CODEC), **head)
    return MODELS.build(
        dict(
            type='TopdownPoseEstimator',
            backbone=backbone,
            head=dict(type='MultiStageHeatmapHead', **head),
        )
    )


def small_config(root, work_dir, **options):
    """A config whose training takes a moment."""
    cfg = Config.fromfile(config_path('mspn_synthetic'))
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = work_dir.parent.name
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].dataset.data_root = f'{root}/'
    cfg.merge_from_dict(
        {
            'model.backbone.stem_channels': 8,
            'model.backbone.unit_channels': 16,
            'model.head.unit_channels': 16,
            'train_cfg.max_epochs': 1,
            'train_dataloader.num_workers': 0,
            'train_dataloader.persistent_workers': False,
            'val_cfg': None,
            'val_dataloader': None,
            'val_evaluator': None,
            'test_cfg': None,
            'test_dataloader': None,
            'test_evaluator': None,
            'log_level': 'ERROR',
            **options,
        }
    )
    return cfg
