"""Which unit learns what, the losses of it, and the accuracy."""

import copy

import numpy as np
import pytest
import torch
from mmengine.model import BaseModel
from mmengine.structures import InstanceData, PixelData
from support.small_head import (
    CODEC,
    KERNELS,
    build,
    features,
    mmpose_samples_of,
    persons,
    samples_of,
)
from torch import nn

from mspn_plugin import SettingError
from mspn_plugin.model.supervision import pck_accuracy

from mmpose.evaluation.functional import pose_pck_accuracy  # isort: skip


class TestSchedule:
    """Which level each unit learns."""

    def test_last_stage_is_one_level_finer(self):
        assert build(1).schedule == [[1, 2, 3, 4]]
        assert build(4).schedule == [[0, 1, 2, 3]] * 3 + [[1, 2, 3, 4]]

    def test_last_unit_learns_the_finest_level_of_any_codec(self):
        codec = dict(CODEC, kernel_sizes=(11, 9, 7, 5))
        assert build(1, codec).schedule == [[0, 1, 2, 3]]
        assert build(2, codec, num_units=3).schedule == [[0, 1, 2], [1, 2, 3]]

    def test_last_active_stage_counts_as_the_last(self):
        assert build(3, active_stages=2).schedule[:2] == [[0, 1, 2, 3], [1, 2, 3, 4]]

    def test_off_all_learn_the_finest(self):
        assert build(2, coarse_to_fine=False).schedule == [[4] * 4] * 2

    def test_any_can_be_given(self):
        schedule = [[0, 0, 1, 1], [2, 2, 4, 4]]
        assert build(2, coarse_to_fine=schedule).schedule == schedule

    def test_targets_follow_it(self):
        """With heatmaps equal to one level's targets only the units that learn it are right."""
        samples = samples_of(persons())
        levels = [torch.stack([s.gt_fields[level].heatmaps for s in samples]) for level in range(5)]
        schedule = [[3, 0, 2, 1], [1, 4, 0, 2]]
        head = build(unit_channels=17, coarse_to_fine=schedule)
        head.predict_layers = nn.ModuleList(nn.Identity() for _ in range(8))
        right = [[levels[level] for level in stage] for stage in schedule]
        assert head.loss(right, samples)['loss_kpt'] == 0
        for s in range(2):
            for u in range(4):
                wrong = copy.deepcopy(right)
                wrong[s][u] = levels[(schedule[s][u] + 1) % 5]
                losses = head.loss(wrong, samples)
                assert losses[f'kpt_stage{s + 1}'] > 0
                assert losses[f'kpt_stage{2 - s}'] == 0

    @pytest.mark.parametrize(
        ('num_stages', 'kernels', 'schedule', 'message'),
        [
            (2, (9, 7, 5), True, r'needs 5 levels, and the codec has 3'),
            (2, (11, 9, 7, 5), True, r'needs 5 levels, and the codec has 4'),
            (2, (9, 7, 5), [[0, 1, 2, 3]] * 2, r'from 0 \(coarsest\) to 2'),
            (2, KERNELS, [[-1, 1, 2, 3]] * 2, r'from 0 \(coarsest\) to 4'),
            (2, KERNELS, [[0, 1, 2, 3]], 'for each of num_stages=2'),
            (2, KERNELS, [[0, 1, 2]] * 2, 'each of num_units=4'),
        ],
    )
    def test_refuses_one_that_does_not_fit(self, num_stages, kernels, schedule, message):
        with pytest.raises(SettingError, match=message):
            build(num_stages, dict(CODEC, kernel_sizes=kernels), coarse_to_fine=schedule)


class TestLoss:
    def test_total_is_the_sum_of_the_stages(self):
        losses = build(3).loss(features(3), samples_of(persons()))
        assert set(losses) == {'loss_kpt', 'kpt_stage1', 'kpt_stage2', 'kpt_stage3', 'acc_pose'}
        stages = sum(losses[f'kpt_stage{s}'] for s in (1, 2, 3))
        torch.testing.assert_close(losses['loss_kpt'], stages)
        assert not losses['kpt_stage1'].requires_grad

    def test_mmengine_counts_no_stage_twice(self):
        losses = build().loss(features(), samples_of(persons()))
        total, logged = BaseModel.parse_losses(None, losses)
        assert total == losses['loss_kpt']
        assert set(losses) < set(logged)

    def test_default_weighs_all_units_but_the_last_by_a_quarter(self):
        samples, feats = samples_of(persons()), features()
        by_default = build().loss(feats, samples)['loss_kpt']
        spelt_out = build(
            unit_loss=dict(type='KeypointMSELoss', use_target_weight=True, loss_weight=0.25),
            final_loss=dict(type='KeypointOHKMMSELoss', use_target_weight=True),
        ).loss(feats, samples)['loss_kpt']
        torch.testing.assert_close(by_default, spelt_out, rtol=1e-6, atol=0)

    def test_drawing_on_the_device_gives_the_same(self):
        people, feats = persons(), features()
        for occluded in (False, True, 'all'):
            loaded = build(empty_occluded=occluded).loss(feats, samples_of(people))
            drawn = build(decoder=dict(CODEC, draw_on_device=True), empty_occluded=occluded).loss(
                feats, samples_of(people, draw_on_device=True)
            )
            for name, value in loaded.items():
                torch.testing.assert_close(drawn[name], value, rtol=1e-5, atol=0)

    def test_occluded_joints_are_empty_for_all_but_the_last_unit(self):
        """With v = 1 for all, MMPose's way teaches all units, the authors' only the last."""
        people = [(keypoints, np.ones_like(v)) for keypoints, v in persons()]
        samples = samples_of(people)
        level = [torch.stack([s.gt_fields[i].heatmaps for s in samples]) for i in range(5)]
        head = build(1, unit_channels=17, empty_occluded=True)
        head.predict_layers = nn.ModuleList(nn.Identity() for _ in range(4))
        empty = torch.zeros_like(level[0])
        assert head.loss([[empty, empty, empty, level[4]]], samples)['loss_kpt'] == 0
        assert head.loss([[level[1], empty, empty, level[4]]], samples)['loss_kpt'] > 0
        assert head.loss([[empty] * 4], samples)['loss_kpt'] > 0
        head.empty_occluded = 'all'
        assert head.loss([[empty] * 4], samples)['loss_kpt'] == 0

    def test_unlabelled_joints_count_as_empty_only_with_the_authors_treatment(self):
        people = [(keypoints, np.zeros_like(v)) for keypoints, v in persons()]
        samples, feats = samples_of(people), features()
        assert build().loss(feats, samples)['loss_kpt'] == 0
        assert build(empty_occluded=True).loss(feats, samples)['loss_kpt'] > 0

    @pytest.mark.parametrize('joints', [1, 4, 17, 133])
    def test_nobody_visible_gives_zero_and_finite_zero_gradients(self, joints):
        people = [(keypoints, np.zeros_like(v)) for keypoints, v in persons(joints)]
        head = build(out_channels=joints)
        losses = head.loss(features(), samples_of(people))
        assert losses['loss_kpt'] == 0
        assert losses['acc_pose'] == 0
        losses['loss_kpt'].backward()
        for parameter in head.parameters():
            assert torch.equal(parameter.grad, torch.zeros_like(parameter))

    def test_a_prediction_that_is_no_number_is_not_hidden(self):
        feats = features()
        feats[0][2][1, 3, 4, 4] = float('nan')
        assert torch.isnan(build().eval().loss(feats, samples_of(persons()))['loss_kpt'])

    @pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
    def test_half_precision_gives_a_float32_loss(self, dtype):
        """Errors above 256 have squares above float16's 65504."""
        head = build().to(dtype)
        feats = [[f.to(dtype) for f in stage] for stage in features()]
        for layer in head.predict_layers:
            layer.conv_layers[1].bn.bias.data.fill_(-200)
        losses = head.loss(feats, samples_of(persons()))
        assert losses['loss_kpt'].dtype == torch.float32
        assert 65504 < losses['loss_kpt'] < float('inf')
        losses['loss_kpt'].backward()
        assert all(torch.isfinite(p.grad).all() for p in head.parameters())

    def test_autocast_gives_nearly_the_same(self):
        head, feats, samples = build(), features(), samples_of(persons())
        expected = head.loss(feats, samples)['loss_kpt']
        with torch.autocast('cpu', dtype=torch.bfloat16):
            loss = head.loss(feats, samples)['loss_kpt']
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, expected, rtol=0.02, atol=0)

    @pytest.mark.parametrize('on_device', [False, True])
    @pytest.mark.parametrize('empty_occluded', [False, True])
    def test_nothing_waits_for_the_device(self, on_device, empty_occluded):
        """On the meta device there are no values, so that whatever looks at one raises."""
        codec = dict(CODEC, draw_on_device=on_device)
        head = build(decoder=codec, empty_occluded=empty_occluded).to('meta')
        samples = [s.to('meta') for s in samples_of(persons(), draw_on_device=on_device)]
        losses = head.loss([[f.to('meta') for f in s] for s in features()], samples)
        assert all(value.is_meta and value.dim() == 0 for value in losses.values())
        losses['loss_kpt'].backward()

    def test_single_level_targets_of_mmpose_serve_without_coarse_to_fine(self):
        decoder = dict(
            type='MegviiHeatmap', input_size=(48, 64), heatmap_size=(12, 16), kernel_size=5
        )
        samples = mmpose_samples_of(persons())
        for sample in samples:
            finest = sample.gt_fields[4].heatmaps
            weights = sample.gt_instance_labels.keypoint_weights[4]
            del sample.gt_fields
            sample.gt_fields = PixelData(heatmaps=finest)
            sample.gt_instance_labels = InstanceData(keypoint_weights=weights)
        feats = features()
        loss = build(decoder=decoder, coarse_to_fine=False).loss(feats, samples)['loss_kpt']
        expected = build(coarse_to_fine=False).loss(feats, mmpose_samples_of(persons()))
        torch.testing.assert_close(loss, expected['loss_kpt'])


class TestAccuracy:
    @pytest.mark.parametrize('joints', [1, 4, 17, 133])
    def test_equals_mmposes(self, joints):
        rng = np.random.default_rng(joints)
        target = rng.random((5, joints, 20, 15)).astype(np.float32)
        output = target + rng.random(target.shape).astype(np.float32) * 0.1
        output[0] = -1  # nothing found
        visible = rng.random((5, joints)) > 0.5
        visible[:, -1] = False  # nobody has this joint
        visible[0, 0] = True
        _, expected, _ = pose_pck_accuracy(output, target, visible.copy())
        accuracy = pck_accuracy(*map(torch.from_numpy, (output, target, visible)))
        assert accuracy.item() == pytest.approx(expected, abs=1e-6)

    def test_is_1_for_the_targets_and_0_for_nobody(self):
        target = torch.rand(3, 17, 16, 12)
        visible = torch.ones(3, 17, dtype=torch.bool)
        assert pck_accuracy(target, target, visible) == 1
        assert pck_accuracy(target, target, ~visible) == 0
