"""The checkpoints of the authors' own release, turned into ours by name.

The release (megvii-detection/MSPN) has one module of its own for every convolution, norm and
activation; its convolutions have a bias in front of the batch norm, and its images are BGR.
"""

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import SettingError, first_few
from .loading import describe_keys

NUM_BLOCKS = (3, 4, 6, 3)
"""Bottlenecks of each down unit: the release's network has ResNet-50's, and no other."""

STEM_CHANNELS = 64

_KINDS = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64)
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
            The number of stages, of keypoints and of unit channels are read off it.

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
        weight = weight.flip(1) if layer.theirs == 'top.conv' else weight
        converted[f'{layer.conv}.weight'] = weight.clone()
        for name in ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked'):
            converted[f'{layer.norm}.{name}'] = source[f'{layer.theirs}.bn.{name}'].clone()
        converted[f'{layer.norm}.running_mean'] -= source[f'{layer.theirs}.conv.bias']
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
        hint = ''
        if 'state_dict' in source or any('multi_stage_mspn.' in key for key in source):
            hint = '. These are the names of MMPose: such a file loads as it is'
        raise SettingError(
            "this is no checkpoint of the authors' release, whose keys start with stage0.; "
            f'its keys: {first_few(list(source))}{hint}'
        )
    return source


def _layers(source: Mapping[str, Any]) -> Iterator[_Layer]:
    """Yield every layer that the release's network has, for the sizes that ``source`` shows."""
    matches = (re.match(r'stage(\d+)\.', key) for key in source)
    stages = sorted({int(match[1]) for match in matches if match})
    last = len(stages) - 1
    if stages[-1] != last:
        raise SettingError(
            f'the stages of this checkpoint do not go from stage0 to stage{last}: it has '
            + first_few([f'stage{stage}' for stage in stages])
        )
    width = _outputs(source, 'stage0.upsample.up1.res_conv1.conv.weight', 256)
    keypoints = _outputs(source, 'stage0.upsample.up1.res_conv2.conv.weight', 17)
    yield _conv_module('top.conv', 'backbone.top.top.0', STEM_CHANNELS, 3, 7)
    for stage in stages:
        theirs, ours = f'stage{stage}.', f'backbone.multi_stage_mspn.{stage}.'
        for unit, blocks in enumerate(NUM_BLOCKS):
            channels = STEM_CHANNELS * 2**unit
            inputs = 2 * channels if unit else STEM_CHANNELS
            for block in range(blocks):
                name = f'downsample.layer{unit + 1}.{block}.'
                yield from _bottleneck(theirs + name, ours + name, channels, inputs, block == 0)
                inputs = 4 * channels
        for unit in range(len(NUM_BLOCKS)):
            name = f'upsample.up{unit + 1}.'
            up, our_up = theirs + name, ours + name
            down = 4 * STEM_CHANNELS * 2 ** (len(NUM_BLOCKS) - 1 - unit)
            yield _conv_module(f'{up}u_skip', f'{our_up}in_skip', width, down)
            if unit > 0:
                yield _conv_module(f'{up}up_conv', f'{our_up}up_conv', width, width)
            if stage < last:
                yield _conv_module(f'{up}skip1', f'{our_up}out_skip1', down, down)
                yield _conv_module(f'{up}skip2', f'{our_up}out_skip2', down, width)
            if stage < last and unit == len(NUM_BLOCKS) - 1:
                yield _conv_module(f'{up}cross_conv', f'{our_up}cross_conv', STEM_CHANNELS, width)
            head = f'head.predict_layers.{stage * len(NUM_BLOCKS) + unit}.conv_layers.'
            yield _conv_module(f'{up}res_conv1', f'{head}0', width, width)
            yield _conv_module(f'{up}res_conv2', f'{head}1', keypoints, width, 3)


def _conv_module(theirs: str, ours: str, outputs: int, inputs: int, size: int = 1) -> _Layer:
    return _Layer(theirs, f'{ours}.conv', f'{ours}.bn', (outputs, inputs, size, size))


def _bottleneck(
    theirs: str, ours: str, channels: int, inputs: int, is_first: bool
) -> Iterator[_Layer]:
    outputs = 4 * channels
    if is_first:
        yield _conv_module(f'{theirs}downsample', f'{ours}downsample', outputs, inputs)
    shapes = ((channels, inputs, 1, 1), (channels, channels, 3, 3), (outputs, channels, 1, 1))
    for n, shape in enumerate(shapes, start=1):
        yield _Layer(f'{theirs}conv_bn_relu{n}', f'{ours}conv{n}', f'{ours}bn{n}', shape)


def _outputs(source: Mapping[str, Any], key: str, default: int) -> int:
    value = source.get(key)
    return value.shape[0] if isinstance(value, Tensor) and value.dim() == 4 else default


def _check(source: Mapping[str, Any], layers: Sequence[_Layer]) -> None:
    expected: dict[str, tuple[int, ...]] = {}
    for layer in layers:
        expected[f'{layer.theirs}.conv.weight'] = layer.shape
        for name in ('conv.bias', 'bn.weight', 'bn.bias', 'bn.running_mean', 'bn.running_var'):
            expected[f'{layer.theirs}.{name}'] = layer.shape[:1]
        expected[f'{layer.theirs}.bn.num_batches_tracked'] = ()
    wrong = describe_keys(
        {
            'missing': [key for key in expected if key not in source],
            'unknown': [key for key in source if key not in expected],
            'of another shape': [
                f'{key}: {_form(source[key])} instead of {list(shape)}'
                for key, shape in expected.items()
                if key in source and _form(source[key]) != str(list(shape))
            ],
        },
        shown=8,
    )
    if wrong:
        raise SettingError(
            "this checkpoint does not fit the authors' network, keys are\n  " + '\n  '.join(wrong)
        )


def _form(value: Any) -> str:
    """A value's shape, or where it is no tensor of plain numbers what it is instead."""
    if not isinstance(value, Tensor):
        return type(value).__name__
    shape = str(list(value.shape))
    if value.is_meta or value.layout != torch.strided or value.dtype not in _KINDS:
        layout = 'meta' if value.is_meta else value.layout
        return f'{value.dtype} {layout} {shape}'.replace('torch.', '')
    return shape
