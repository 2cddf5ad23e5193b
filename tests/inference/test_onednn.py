"""Fused convolutions give what the modules give in whose place they stand."""

import copy
import pickle

import pytest
import torch
from mmcv.cnn import ConvModule, fuse_conv_bn
from torch import nn

import mspn_plugin  # noqa: F401
from mspn_plugin.inference.onednn import (
    FusedBottleneck,
    FusedConv,
    FusedUpUnit,
    fuse_convolutions,
)
from mspn_plugin.model.stage import Bottleneck, UpUnit

BN = dict(type='BN')
RELU = dict(type='ReLU')


def channels_last(x):
    return x.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize('rectify', [False, True])
@pytest.mark.parametrize('order', [torch.clone, channels_last], ids=['channels first', 'last'])
@torch.no_grad()
def test_a_sum_and_relu_follow_the_convolution(order, rectify):
    conv = nn.Conv2d(6, 8, 3, stride=2, padding=1)
    x, added = order(torch.randn(2, 6, 9, 8)), order(torch.randn(2, 8, 5, 4))
    expected, expected_sum = conv(x), conv(x) + added
    fused = FusedConv(conv, rectify)
    torch.testing.assert_close(fused(x), expected.relu() if rectify else expected)
    torch.testing.assert_close(fused(x, added), expected_sum.relu() if rectify else expected_sum)


@torch.no_grad()
def test_weights_can_change_their_type_and_be_copied_after_use():
    conv, x = FusedConv(nn.Conv2d(6, 8, 3), True), channels_last(torch.randn(2, 6, 9, 8))
    expected = conv(x)
    for again in (copy.deepcopy(conv), pickle.loads(pickle.dumps(conv)), conv.double().float()):
        assert torch.equal(again(x), expected)


@pytest.mark.parametrize(('in_channels', 'stride'), [(32, 1), (16, 2)])
@torch.no_grad()
def test_a_bottleneck_is_the_same(in_channels, stride):
    block = nn.Sequential(fuse_conv_bn(Bottleneck(in_channels, 8, stride, BN, RELU).eval()))
    x = channels_last(torch.randn(2, in_channels, 8, 6))
    expected = block(x)
    fuse_convolutions(block)
    assert isinstance(block[0], FusedBottleneck)
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize('has_coarser', [False, True])
@pytest.mark.parametrize('hand_on', [False, True])
@torch.no_grad()
def test_an_up_unit_is_the_same_though_it_convolves_before_it_enlarges(has_coarser, hand_on):
    unit = UpUnit(16, 8, has_coarser, True, 4, BN, RELU).eval()
    for norm in (module for module in unit.modules() if isinstance(module, nn.BatchNorm2d)):
        nn.init.normal_(norm.running_mean)
    down, coarser = channels_last(torch.randn(2, 16, 9, 7)), channels_last(torch.randn(2, 8, 4, 3))
    inputs = (down, coarser if has_coarser else None, hand_on)
    expected = unit(*inputs)
    units = nn.Sequential(fuse_conv_bn(unit))
    fuse_convolutions(units)
    assert isinstance(units[0], FusedUpUnit)
    torch.testing.assert_close(units[0](*inputs), expected)


@pytest.mark.parametrize(
    'kept', [dict(norm_cfg=dict(type='GN', num_groups=2)), dict(act_cfg=dict(type='LeakyReLU'))]
)
@torch.no_grad()
def test_other_norms_and_activations_stay(kept):
    settings = {**dict(norm_cfg=BN, act_cfg=RELU), **kept}
    block, unit = Bottleneck(16, 8, 1, **settings), UpUnit(32, 8, False, True, 4, **settings)
    modules = nn.Sequential(ConvModule(6, 16, 1, **settings), block, unit).eval()
    x = channels_last(torch.randn(2, 6, 8, 6))
    fuse_conv_bn(modules)
    expected = modules(x)
    fuse_convolutions(modules)
    assert isinstance(modules[0], ConvModule) and modules[1] is block and modules[2] is unit
    torch.testing.assert_close(modules(x), expected)
