"""MSPN, the Multi-Stage Pose estimation Network, as a plugin for MMPose.

Importing the package registers the network (``MSPNBackbone``), its head
(``MultiStageHeatmapHead``), its loss (``OHKMLoss``) and its codec (``CoarseToFineHeatmap``) in
MMPose's registries, so that a config with ``custom_imports = dict(imports=['mspn_plugin'])`` can
name them. The paper is "Rethinking on Multi-Stage Networks for Human Pose Estimation",
arXiv 1901.00148.
"""

from . import compat
from .errors import SettingError, show_plainly

compat.apply()
show_plainly()

from .config_files import config_names, config_path  # noqa: E402
from .hooks.checkpoint import SafeCheckpointHook  # noqa: E402
from .hooks.finite_loss import FiniteLossHook  # noqa: E402
from .hooks.preflight import PreflightHook  # noqa: E402
from .hooks.sample_seed import SampleSeedHook  # noqa: E402
from .inference.fused import fuse  # noqa: E402
from .inference.predictor import load_estimator  # noqa: E402
from .model.backbone import MSPNBackbone  # noqa: E402
from .model.codec import CoarseToFineHeatmap  # noqa: E402
from .model.head import MultiStageHeatmapHead  # noqa: E402
from .model.loss import JointMSELoss, OHKMLoss  # noqa: E402
from .transforms import KeepVisibility, MegviiTestBBox, MegviiTrainBBox  # noqa: E402
from .weights.megvii import convert_megvii_checkpoint  # noqa: E402

__all__ = [
    'CoarseToFineHeatmap',
    'FiniteLossHook',
    'JointMSELoss',
    'KeepVisibility',
    'MSPNBackbone',
    'MegviiTestBBox',
    'MegviiTrainBBox',
    'MultiStageHeatmapHead',
    'OHKMLoss',
    'PreflightHook',
    'SafeCheckpointHook',
    'SampleSeedHook',
    'SettingError',
    'config_names',
    'config_path',
    'convert_megvii_checkpoint',
    'fuse',
    'load_estimator',
]
