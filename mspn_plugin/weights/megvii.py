"""The checkpoints of the authors' own release, turned into ours by name.

The release (megvii-detection/MSPN) has one module of its own for every convolution, norm and
activation; its convolutions have a bias in front of the batch norm, and its images are BGR.
"""

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from mmpose.registry import MODELS
from torch import Tensor

from ..errors import SettingError, first_few
from .loading import describe_keys, shape_differences, weights_in

_RENAMES = (
    # Not a weight of ours: the convolution's bias, beside the norm that it is folded into.
    (r'\.conv\.bias$', '.bn.conv_bias'),
    (r'^top\.conv\.', 'backbone.top.top.0.'),
    (r'^stage(\d+)\.', r'backbone.multi_stage_mspn.\1.'),
    (r'\.conv_bn_relu(\d)\.(conv|bn)\.', r'.\2\1.'),
    (r'\.u_skip\.', '.in_skip.'),
    (r'\.skip(\d)\.', r'.out_skip\1.'),
)


def convert_megvii_checkpoint(state_dict: Mapping[str, Any]) -> OrderedDict[str, Tensor]:
    """Turn a checkpoint of the authors' release into the state dict of an MMPose estimator.

    The outcome fits a ``TopdownPoseEstimator`` of ``MSPNBackbone`` and ``MultiStageHeatmapHead``
    (or MMPose's ``MSPN`` and ``MSPNHead``) with as many stages, strictly, and gives the release's
    heatmaps in evaluation mode. A convolution's bias is folded into its batch norm's running mean.
    The first convolution's input channels are turned from BGR to RGB, as MMPose's
    ``bgr_to_rgb=True`` gives them; the release's mean and standard deviation are MMPose's.

    Args:
        state_dict (Mapping): What ``torch.load`` gave for the release's file: the state dict, or
            a dict that holds it under ``'model'``. A prefix ``module.`` on keys is dropped.
            The number of stages, of keypoints and of unit channels are read off it.

    Returns:
        OrderedDict[str, Tensor]: Keys ``backbone.*`` and ``head.*``.

    Raises:
        SettingError: If keys are missing or left over, or shapes don't fit; it lists them.
    """
    source = weights_in(state_dict)
    if not any(re.match(r'stage\d+\.', key) for key in source):
        hint = ''
        if any('multi_stage_mspn.' in key for key in source):
            hint = '. These are the names of MMPose: such a file loads as it is'
        raise SettingError(
            "this is no checkpoint of the authors' release, whose keys start with stage0.; "
            f'its keys: {first_few(list(source))}{hint}'
        )
    weights = {_our_name(key): value for key, value in source.items()}
    own = _network(source)
    biases = {key: _bias_name(key) for key in own if key.endswith('.running_mean')}
    expected = {**own, **{bias: own[mean] for mean, bias in biases.items()}}
    wrong = describe_keys(
        {
            'missing': [key for key in expected if key not in weights],
            'unknown': [key for key in weights if key not in expected],
            'of another shape': shape_differences(weights, expected),
        }
    )
    if wrong:
        raise SettingError(
            "this checkpoint does not fit the authors' network; by MMPose's names, keys are\n  "
            + '\n  '.join(wrong)
        )
    converted = OrderedDict((key, weights[key].clone()) for key in own)
    for mean, bias in biases.items():
        converted[mean] -= weights[bias]
    first = 'backbone.top.top.0.conv.weight'
    converted[first] = converted[first].flip(1)
    return converted


def _our_name(key: str) -> str:
    for theirs, ours in _RENAMES:
        key = re.sub(theirs, ours, key)
    return re.sub(
        r'^backbone\.multi_stage_mspn\.(\d+)\.upsample\.up([1-4])\.res_conv([12])\.',
        lambda m: (
            f'head.predict_layers.{4 * int(m[1]) + int(m[2]) - 1}.conv_layers.{int(m[3]) - 1}.'
        ),
        key,
    )


def _bias_name(running_mean: str) -> str:
    return running_mean.replace('.running_mean', '.conv_bias')


def _network(source: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights, without values, of the release's network in the sizes that ``source`` shows."""

    def outputs(layer: str, default: int) -> int:
        value = source.get(f'stage0.upsample.up1.{layer}.conv.weight')
        return value.shape[0] if isinstance(value, Tensor) and value.dim() == 4 else default

    stages = {match[1] for key in source if (match := re.match(r'stage(\d+)\.', key))}
    sizes = dict(num_stages=len(stages), unit_channels=outputs('res_conv1', 256))
    head = dict(
        type='MultiStageHeatmapHead',
        out_channels=outputs('res_conv2', 17),
        decoder=dict(type='CoarseToFineHeatmap'),
        **sizes,
    )
    backbone = dict(type='MSPNBackbone', **sizes)
    with torch.device('meta'):
        network = MODELS.build(dict(type='TopdownPoseEstimator', backbone=backbone, head=head))
    return network.state_dict()
