"""The fused estimator equals the trained one, step by step and as a whole."""

import copy

import pytest
import torch
from mmengine.registry import init_default_scope
from torch import nn

import mspn_plugin  # noqa: F401

from mmpose.models import build_pose_estimator  # isort: skip
from mmpose.structures import PoseDataSample  # isort: skip
from mmengine.structures import InstanceData

from mspn_plugin import SettingError
from mspn_plugin.inference.fused import fuse

BN = dict(type='BN')


def settle(module):
    """Give batch norms what a training leaves in them."""
    torch.manual_seed(0)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_(0, 0.2)
            norm.running_var.uniform_(0.5, 2)
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, 0, 0.2)
    return module.eval()


def estimator(num_stages=2, norm_cfg=BN, flip_test=True, unit_channels=17, **backbone):
    init_default_scope('mmpose')
    codec = dict(
        type='CoarseToFineHeatmap',
        input_size=(48, 64),
        heatmap_size=(12, 16),
        kernel_sizes=(11, 9, 7, 5, 3),
    )
    shape = dict(num_stages=num_stages, unit_channels=unit_channels, norm_cfg=norm_cfg)
    model = build_pose_estimator(
        dict(
            type='TopdownPoseEstimator',
            data_preprocessor=dict(type='PoseDataPreprocessor'),
            backbone=dict(
                type='MSPNBackbone', num_blocks=[1, 2, 1, 1], stem_channels=8, **shape, **backbone
            ),
            head=dict(type='MultiStageHeatmapHead', decoder=codec, **shape),
            test_cfg=dict(flip_test=flip_test, output_heatmaps=True),
        )
    )
    return settle(model)


def samples(count):
    order = [0] + [i + 1 if i % 2 else i - 1 for i in range(1, 17)]
    made = []
    for _ in range(count):
        sample = PoseDataSample(
            metainfo=dict(
                flip_indices=order,
                input_center=torch.tensor([24.0, 32.0]).numpy(),
                input_scale=torch.tensor([48.0, 64.0]).numpy(),
                input_size=(48, 64),
            )
        )
        box = torch.zeros(1, 4).numpy()
        sample.gt_instances = InstanceData(bboxes=box, bbox_scores=box[:, 0])
        made.append(sample)
    return made


def close(actual, expected):
    assert actual.shape == expected.shape
    assert (actual - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.fixture
def images():
    return torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize('stages', [1, 2, 3])
@torch.no_grad()
def test_unread_heads_are_dropped_and_stages_after_the_last_are_not_run(stages, images):
    trained = estimator(3)
    every_unit = trained(images, None, mode='tensor')
    fused = fuse(trained, stages)
    close(fused(images, None, mode='tensor'), every_unit[4 * stages - 1])
    left = fused.network.backbone.multi_stage_mspn
    assert len(left) == stages
    assert not any('out_skip' in name for name, _ in left[-1].named_parameters())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fused.modules())


def test_settings_of_training_do_not_matter(images):
    trained = estimator(3, with_cp=True, frozen_stages=1, active_stages=2, norm_eval=True)
    close(fuse(trained)(images, None), trained(images, None)[-1])


@torch.no_grad()
def test_other_norms_work_too(images):
    trained = estimator(2, dict(type='GN', num_groups=1))
    close(fuse(trained)(images, None, mode='tensor'), trained(images, None, mode='tensor')[-1])


def test_the_flip_test_in_one_pass_predicts_what_two_do(images):
    trained = estimator()
    expected = trained(images, samples(2), mode='predict')
    passes = []
    fused = fuse(trained)
    fused.network.register_forward_hook(lambda module, given, out: passes.append(len(out)))
    for mine, theirs in zip(fused(images, samples(2), mode='predict'), expected):
        close(mine.pred_fields.heatmaps, theirs.pred_fields.heatmaps)
        assert abs(mine.pred_instances.keypoints - theirs.pred_instances.keypoints).max() < 0.05
        assert (
            abs(mine.pred_instances.keypoint_scores - theirs.pred_instances.keypoint_scores).max()
            < 1e-3
        )
    assert passes == [4]


@torch.no_grad()
def test_the_trained_estimator_is_left_as_it_was(images):
    trained = estimator()
    before = copy.deepcopy(trained.state_dict())
    fuse(trained)(images, None)
    assert all(torch.equal(before[key], value) for key, value in trained.state_dict().items())


@torch.no_grad()
def test_the_same_input_gives_the_same_output_twice_and_in_a_copy(images):
    fused = fuse(estimator())
    first = fused(images, None)
    assert torch.equal(fused(images, None), first)
    assert torch.equal(copy.deepcopy(fused)(images, None), first)
    assert torch.equal(fused.float()(images, None), first)


@torch.no_grad()
def test_bfloat16_stays_near(images):
    trained = estimator()
    exact, rough = fuse(trained)(images, None), fuse(trained, dtype=torch.bfloat16)(images, None)
    assert rough.dtype == torch.float32
    assert 0 < (exact - rough).abs().max() < 0.05 * exact.abs().max()


def test_what_cannot_be_fused_is_refused():
    with pytest.raises(SettingError, match='NoneType and NoneType cannot be'):
        fuse(nn.Linear(1, 1))
    with pytest.raises(SettingError, match=r'stages=3 must be from 1 to num_stages=2'):
        fuse(estimator(), stages=3)
    with pytest.raises(RuntimeError, match='cannot be trained'):
        fuse(estimator()).loss(None, None)


def test_a_batch_that_goes_through_in_parts_gives_the_same(monkeypatch):
    fused = fuse(estimator())
    images = torch.randn(5, 3, 64, 48)
    whole = fused(images, None)
    parts = []
    fused.network.backbone.top.register_forward_pre_hook(
        lambda _, given: parts.append(len(given[0]))
    )
    monkeypatch.setattr('mspn_plugin.inference.fused.PART_BYTES', 2 * fused.network.feature_bytes)
    torch.testing.assert_close(fused(images, None), whole, rtol=1e-5, atol=1e-5)
    assert parts == [2, 2, 1]
    assert fused(images[:0], None).shape == (0, 17, 16, 12)
