"""The losses against MMPose's, and in the cases where MMPose's fail or differ."""

import pytest
import torch
from mmengine.structures import InstanceData, PixelData

import mspn_plugin
from mspn_plugin import JointMSELoss, OHKMLoss

from mmpose.models.heads import HeatmapHead  # isort: skip
from mmpose.models.losses import KeypointMSELoss, KeypointOHKMMSELoss  # isort: skip
from mmpose.structures import PoseDataSample  # isort: skip


def maps(keypoints, batch=3, height=16, width=12, seed=0):
    """Predicted heatmaps, targets up to 255 and weights 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    output = torch.randn(batch, keypoints, height, width, generator=generator) * 30
    target = torch.rand(batch, keypoints, height, width, generator=generator) ** 8 * 255
    weights = (torch.rand(batch, keypoints, generator=generator) > 0.4).float()
    return output.requires_grad_(), target, weights


def value_and_gradient(loss, output, target, weights):
    value = loss(output, target, weights)
    (gradient,) = torch.autograd.grad(value, output)
    return value.detach(), gradient


def assert_same(ours, theirs, output, target, weights):
    value, gradient = value_and_gradient(ours, output, target, weights)
    expected, expected_gradient = value_and_gradient(theirs, output, target, weights)
    torch.testing.assert_close(value, expected, rtol=1e-6, atol=0)
    scale = expected_gradient.abs().max()
    torch.testing.assert_close(gradient / scale, expected_gradient / scale, rtol=0, atol=1e-6)


@pytest.mark.parametrize('keypoints', [1, 4, 17, 133])
def test_ohkm_equals_mmpose_for_weights_0_and_1(keypoints):
    topk = min(8, keypoints)
    theirs = KeypointOHKMMSELoss(use_target_weight=True, topk=topk, loss_weight=0.7)
    assert_same(OHKMLoss(topk=topk, loss_weight=0.7), theirs, *maps(keypoints))


@pytest.mark.parametrize('keypoints', [1, 4, 17, 133])
def test_mse_equals_mmpose_for_any_weight(keypoints):
    output, target, weights = maps(keypoints)
    weights = weights * torch.rand(weights.shape)
    theirs = KeypointMSELoss(use_target_weight=True, loss_weight=0.25)
    assert_same(JointMSELoss(loss_weight=0.25), theirs, output, target, weights)


def test_ohkm_takes_a_weight_as_it_is_where_mmpose_squares_it():
    output, target, weights = maps(17)
    whole, theirs = OHKMLoss(), KeypointOHKMMSELoss(use_target_weight=True)
    half = weights / 2
    value = whole(output, target, half)
    torch.testing.assert_close(value, whole(output, target, weights) / 2)
    torch.testing.assert_close(theirs(output, target, half), value / 2)


def test_without_weights_all_keypoints_count():
    output, target, weights = maps(17)
    ones = torch.ones_like(weights)
    for loss in (OHKMLoss(), JointMSELoss()):
        assert torch.equal(loss(output, target), loss(output, target, ones))


def test_topk_above_the_number_of_keypoints_uses_all_of_them():
    output, target, weights = maps(4)
    torch.testing.assert_close(
        OHKMLoss(topk=8)(output, target, weights), JointMSELoss()(output, target, weights)
    )


def test_only_the_hardest_keypoints_get_a_gradient():
    output, target, _ = maps(17)
    _, gradient = value_and_gradient(OHKMLoss(topk=8), output, target, None)
    errors = (output - target).square().mean((2, 3))
    has_gradient = gradient.abs().amax((2, 3)) > 0
    assert has_gradient.sum(1).tolist() == [8, 8, 8]
    for error, mined in zip(errors, has_gradient, strict=True):
        assert error[mined].min() > error[~mined].max()


@pytest.mark.parametrize('loss', [OHKMLoss(), JointMSELoss()])
def test_nobody_visible_gives_zero_and_zero_gradients(loss):
    output, target, weights = maps(17)
    value, gradient = value_and_gradient(loss, output, target, torch.zeros_like(weights))
    assert value == 0
    assert torch.equal(gradient, torch.zeros_like(gradient))


@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
@pytest.mark.parametrize('loss', [OHKMLoss(topk=2), JointMSELoss()])
def test_a_prediction_that_is_no_number_is_not_hidden(loss, bad):
    output, target, _ = maps(17)
    output = output.detach().clone()
    output[1, 5, 3, 3] = bad
    assert not torch.isfinite(loss(output, target, torch.ones(3, 17)))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('loss', [OHKMLoss(), JointMSELoss()])
def test_half_precision_heatmaps_are_compared_in_float32(loss, dtype):
    output, target, weights = maps(17)
    output, target = (output.detach() - 255).to(dtype).requires_grad_(), target.to(dtype)
    value, gradient = value_and_gradient(loss, output, target, weights)
    full = output.detach().float().requires_grad_()
    expected, expected_gradient = value_and_gradient(loss, full, target.float(), weights)
    assert value > 65504 / 2  # float16 would be at its end
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, expected, rtol=1e-6, atol=0)
    assert gradient.dtype == dtype
    torch.testing.assert_close(gradient, expected_gradient.to(dtype), rtol=1e-2, atol=1e-6)


def test_autocast_changes_nothing():
    output, target, weights = maps(17)
    for loss in (OHKMLoss(), JointMSELoss()):
        with torch.autocast('cpu', dtype=torch.bfloat16):
            value, gradient = value_and_gradient(loss, output, target, weights)
        expected, expected_gradient = value_and_gradient(loss, output, target, weights)
        assert torch.equal(value, expected)
        assert torch.equal(gradient, expected_gradient)


def test_second_derivatives_are_right():
    generator = torch.Generator().manual_seed(0)
    output = torch.randn(2, 3, 2, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.randn(2, 3, 2, 2, generator=generator, dtype=torch.float64)
    weights = torch.rand(2, 3, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda o: OHKMLoss(2)(o, target, weights), output)
    assert torch.autograd.gradgradcheck(lambda o: OHKMLoss(2)(o, target, weights), output)


@pytest.mark.parametrize('loss', [OHKMLoss(), JointMSELoss()])
def test_nothing_waits_for_the_device(loss):
    """On the meta device there are no values, so that whatever looks at one raises."""
    output = torch.empty(3, 17, 16, 12, device='meta', requires_grad=True)
    value = loss(output, torch.empty_like(output), torch.empty(3, 17, device='meta'))
    value.backward()
    assert output.grad.shape == output.shape


def test_compiles_without_a_graph_break():
    output, target, weights = maps(17)
    loss = OHKMLoss()
    compiled = torch.compile(loss, backend='aot_eager', fullgraph=True)
    assert_same(compiled, loss, output, target, weights)


def test_serves_mmposes_heatmap_head():
    def build(loss):
        torch.manual_seed(0)
        return HeatmapHead(8, 17, deconv_out_channels=None, loss=loss)

    _, target, weights = maps(17)
    samples = []
    for person_target, person_weights in zip(target, weights, strict=True):
        sample = PoseDataSample()
        sample.gt_instance_labels = InstanceData(keypoint_weights=person_weights[None])
        sample.gt_fields = PixelData(heatmaps=person_target)
        samples.append(sample)
    features = [torch.randn(3, 8, 16, 12, generator=torch.Generator().manual_seed(1))]
    ours, theirs = (
        build(dict(type=kind, **settings)).loss(features, samples)['loss_kpt']
        for kind, settings in [
            ('OHKMLoss', {}),
            ('KeypointOHKMMSELoss', dict(use_target_weight=True)),
        ]
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)


@pytest.mark.parametrize('topk', [0, -1, 2.5, True, None])
def test_refuses_a_topk_that_is_no_positive_number(topk):
    with pytest.raises(mspn_plugin.SettingError, match=r'topk=.* whole number'):
        OHKMLoss(topk=topk)


@pytest.mark.parametrize(
    ('target', 'weights', 'message'),
    [
        ((3, 17, 16, 11), (3, 17), r'\(3, 17, 16, 12\), \(3, 17, 16, 11\) and'),
        ((3, 1, 16, 12), (3, 17), r'\(3, 17, 16, 12\), \(3, 1, 16, 12\) and'),
        ((3, 17, 16, 12), (17, 3), r'and \(17, 3\)'),
        ((3, 17, 16, 12), (3, 17, 1), r'and \(3, 17, 1\)'),
    ],
)
def test_refuses_shapes_that_do_not_fit(target, weights, message):
    for loss in (OHKMLoss(), JointMSELoss()):
        with pytest.raises(ValueError, match=message):
            loss(torch.zeros(3, 17, 16, 12), torch.zeros(target), torch.zeros(weights))
