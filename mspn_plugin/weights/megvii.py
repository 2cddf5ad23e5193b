"""The checkpoints of the authors' own release, turned into ours by name.

The release (megvii-detection/MSPN) has one module of its own for every convolution, norm and
activation; its convolutions have a bias in front of the batch norm, and its images are BGR.
"""

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import SettingError, first_few
from .loading import describe_keys

NUM_BLOCKS = (3, 4, 6, 3)
"""Bottlenecks of each down unit: the release's network has ResNet-50's, and no other."""

STEM_CHANNELS = 64

_KINDS = ('float16', 'bfloat16', 'float32', 'float64', 'int64')
"""What weights are kept in; a norm counts its batches in int64."""


class _Layer(NamedTuple):
    """A convolution with its batch norm: what both sides call it, and its weight's shape."""

    theirs: str
    conv: str
    norm: str
    shape: tuple[int, int, int, int]


def convert_megvii_checkpoint(state_dict: Mapping[str, Any]) -> OrderedDict[str, Tensor]:
    """Turn a checkpoint of the authors' release into the state dict of an MMPose estimator.

    The outcome fits a ``TopdownPoseEstimator`` of ``MSPNBackbone`` and ``MultiStageHeatmapHead``
    (or MMPose's ``MSPN`` and ``MSPNHead``) with as many stages, strictly, and gives the release's
    heatmaps in evaluation mode. A convolution's bias is folded into its batch norm's running mean.
    The first convolution's input channels are turned from BGR to RGB, as MMPose's
    ``bgr_to_rgb=True`` gives them; the release's mean and standard deviation are MMPose's.

    Args:
        state_dict (Mapping): What ``torch.load`` gave for the release's file: the state dict, or
            a dict that holds it under ``'model'``. A prefix ``module.`` on all keys is dropped.
            The number of stages, of joints and of unit channels are read off it.

    Returns:
        OrderedDict[str, Tensor]: Keys ``backbone.*`` and ``head.*``.

    Raises:
        SettingError: If keys are missing or left over, or shapes don't fit; it lists them.
    """
    source = _unwrapped(state_dict)
    layers = list(_layers(source))
    _check(source, layers)

    converted: OrderedDict[str, Tensor] = OrderedDict()
    for layer in layers:
        weight = source[f'{layer.theirs}.conv.weight']
        if layer.theirs == 'top.conv':
            weight = weight.flip(1)
        bias = source[f'{layer.theirs}.conv.bias']
        converted[f'{layer.conv}.weight'] = weight.clone()
        for name in ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked'):
            value = source[f'{layer.theirs}.bn.{name}']
            converted[f'{layer.norm}.{name}'] = (
                value - bias if name == 'running_mean' else value.clone()
            )
    return converted


def _unwrapped(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(state_dict, Mapping):
        raise SettingError(
            f'a checkpoint of the release is a dict, and this is a {type(state_dict).__name__}'
        )
    if isinstance(state_dict.get('model'), Mapping):
        state_dict = state_dict['model']
    source = {str(key): value for key, value in state_dict.items()}
    if all(key.startswith('module.') for key in source):
        source = {key.removeprefix('module.'): value for key, value in source.items()}
    if not any(re.match(r'stage\d+\.', key) for key in source):
        hint = (
            '. These are the names of MMPose: such a file loads as it is, without conversion'
            if any('multi_stage_mspn.' in key for key in source) or 'state_dict' in source
            else ''
        )
        raise SettingError(
            "this is no checkpoint of the authors' release, whose keys start with stage0.; "
            f'its keys: {first_few(list(source))}{hint}'
        )
    return source


def _layers(source: Mapping[str, Any]) -> Iterator[_Layer]:
    """Yield every layer that the release's network has, for the sizes that ``source`` shows."""
    matches = (re.match(r'stage(\d+)\.', key) for key in source)
    stages = {int(match[1]) for match in matches if match}
    num_stages = len(stages)
    if max(stages) >= num_stages:
        raise SettingError(
            f'the stages of this checkpoint do not go from stage0 to stage{num_stages - 1}: it has '
            + first_few([f'stage{stage}' for stage in sorted(stages)])
        )
    unit_channels = _outputs(source, 'stage0.upsample.up1.res_conv1.conv.weight', 256)
    joints = _outputs(source, 'stage0.upsample.up1.res_conv2.conv.weight', 17)

    yield _Layer(
        'top.conv', 'backbone.top.top.0.conv', 'backbone.top.top.0.bn', (STEM_CHANNELS, 3, 7, 7)
    )
    for s in range(num_stages):
        for i in range(len(NUM_BLOCKS)):
            yield from _down_unit(s, i)
        for i in range(len(NUM_BLOCKS)):
            yield from _up_unit(s, i, s == num_stages - 1, unit_channels, joints)


def _down_unit(stage: int, index: int) -> Iterator[_Layer]:
    mid = STEM_CHANNELS * 2**index
    out = 4 * mid
    for b in range(NUM_BLOCKS[index]):
        theirs = f'stage{stage}.downsample.layer{index + 1}.{b}'
        ours = f'backbone.multi_stage_mspn.{stage}.downsample.layer{index + 1}.{b}'
        inputs = out
        if b == 0:
            inputs = STEM_CHANNELS if index == 0 else out // 2
            yield _Layer(
                f'{theirs}.downsample',
                f'{ours}.downsample.conv',
                f'{ours}.downsample.bn',
                (out, inputs, 1, 1),
            )
        shapes = ((mid, inputs, 1, 1), (mid, mid, 3, 3), (out, mid, 1, 1))
        for n, shape in enumerate(shapes, start=1):
            yield _Layer(f'{theirs}.conv_bn_relu{n}', f'{ours}.conv{n}', f'{ours}.bn{n}', shape)


def _up_unit(
    stage: int, index: int, is_last_stage: bool, unit_channels: int, joints: int
) -> Iterator[_Layer]:
    num_units = len(NUM_BLOCKS)
    down = 4 * STEM_CHANNELS * 2 ** (num_units - 1 - index)
    theirs = f'stage{stage}.upsample.up{index + 1}'
    ours = f'backbone.multi_stage_mspn.{stage}.upsample.up{index + 1}'
    head = f'head.predict_layers.{stage * num_units + index}.conv_layers'

    def layer(their_name: str, our_path: str, outputs: int, inputs: int, size: int = 1) -> _Layer:
        return _Layer(
            f'{theirs}.{their_name}',
            f'{our_path}.conv',
            f'{our_path}.bn',
            (outputs, inputs, size, size),
        )

    yield layer('u_skip', f'{ours}.in_skip', unit_channels, down)
    if index > 0:
        yield layer('up_conv', f'{ours}.up_conv', unit_channels, unit_channels)
    if not is_last_stage:
        yield layer('skip1', f'{ours}.out_skip1', down, down)
        yield layer('skip2', f'{ours}.out_skip2', down, unit_channels)
        if index == num_units - 1:
            yield layer('cross_conv', f'{ours}.cross_conv', STEM_CHANNELS, unit_channels)
    yield layer('res_conv1', f'{head}.0', unit_channels, unit_channels)
    yield layer('res_conv2', f'{head}.1', joints, unit_channels, size=3)


def _outputs(source: Mapping[str, Any], key: str, default: int) -> int:
    value = source.get(key)
    return value.shape[0] if isinstance(value, Tensor) and value.dim() == 4 else default


def _check(source: Mapping[str, Any], layers: list[_Layer]) -> None:
    expected: dict[str, tuple[int, ...]] = {}
    for layer in layers:
        expected[f'{layer.theirs}.conv.weight'] = layer.shape
        for name in ('conv.bias', 'bn.weight', 'bn.bias', 'bn.running_mean', 'bn.running_var'):
            expected[f'{layer.theirs}.{name}'] = layer.shape[:1]
        expected[f'{layer.theirs}.bn.num_batches_tracked'] = ()

    missing = [key for key in expected if key not in source]
    extra = [key for key in source if key not in expected]
    misshapen = [
        f'{key}: {_form(source[key])} instead of {list(shape)}'
        for key, shape in expected.items()
        if key in source and _form(source[key]) != str(list(shape))
    ]
    wrong = describe_keys({'missing': missing, 'unknown': extra, 'of another shape': misshapen}, 8)
    if wrong:
        raise SettingError(
            "this checkpoint does not fit the authors' network, keys are\n  " + '\n  '.join(wrong)
        )


def _form(value: Any) -> str:
    """A value's shape, or where it is no tensor of plain numbers what it is instead."""
    if not isinstance(value, Tensor):
        return type(value).__name__
    kind = str(value.dtype).removeprefix('torch.')
    if value.layout != torch.strided or value.is_meta or kind not in _KINDS:
        layout = 'meta' if value.is_meta else str(value.layout).removeprefix('torch.')
        return f'{kind} {layout} {list(value.shape)}'
    return str(list(value.shape))
