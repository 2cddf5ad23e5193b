"""The head against the authors' figures and MMPose's ``MSPNHead``, and its settings one by one."""

import copy

import numpy as np
import pytest
import torch
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import OptimWrapper
from mmengine.structures import InstanceData
from support.small_head import CHANNELS, build, features, mmpose_samples_of, persons, samples_of
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mspn_plugin import SettingError

from mmpose.models.heads import MSPNHead  # isort: skip
from mmpose.structures import MultilevelPixelData, PoseDataSample  # isort: skip


def mmpose_head(num_stages, joints, **settings):
    topk = min(8, joints)
    losses = [dict(type='KeypointMSELoss', use_target_weight=True, loss_weight=0.25)] * 3
    losses.append(dict(type='KeypointOHKMMSELoss', use_target_weight=True, topk=topk))
    return MSPNHead(
        num_stages,
        4,
        (16, 12),
        CHANNELS,
        joints,
        level_indices=[0, 1, 2, 3] * (num_stages - 1) + [1, 2, 3, 4],
        loss=losses * num_stages,
        decoder=dict(
            type='MegviiHeatmap', input_size=(48, 64), heatmap_size=(12, 16), kernel_size=5
        ),
        **settings,
    )


def pair(num_stages, joints, **settings):
    """Our head and MMPose's with the same weights and running statistics."""
    ours = build(num_stages, out_channels=joints, **settings)
    theirs = mmpose_head(num_stages, joints)
    for module in ours.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 5, 30)
            nn.init.uniform_(module.running_var, 50, 500)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    return ours, theirs


class TestAgainstTheAuthors:
    """The release's own losses and their gradient (``tests/golden/megvii_loss.npz``)."""

    @staticmethod
    def head(ohkm, ctf):
        """A head whose heatmaps are the features themselves."""
        settings = {} if ohkm else dict(final_loss=dict(type='JointMSELoss'))
        head = build(
            unit_channels=17,
            # Without its OHKM the release treats the last unit like the others, and its
            # coarse-to-fine switch turns off only what sets the last stage apart.
            empty_occluded=True if ohkm else 'all',
            coarse_to_fine=True if ctf else [[0, 1, 2, 3], [0, 1, 2, 3]],
            **settings,
        )
        head.predict_layers = nn.ModuleList(nn.Identity() for _ in range(8))
        return head

    @staticmethod
    def samples(figures):
        samples = []
        for labels, v in zip(figures['labels'], figures['valids'][..., 0], strict=True):
            v = torch.from_numpy(v)
            sample = PoseDataSample()
            sample.gt_fields = MultilevelPixelData(heatmaps=list(torch.from_numpy(labels)))
            sample.gt_instance_labels = InstanceData(
                keypoint_weights=(v > 0).float().expand(5, 1, 17),
                keypoints_visible_weights=(v > 1).float().expand(5, 1, 17),
            )
            samples.append(sample)
        return samples

    @pytest.mark.parametrize('ctf', [0, 1])
    @pytest.mark.parametrize('ohkm', [0, 1])
    def test_loss(self, golden, ohkm, ctf):
        figures = np.load(golden / 'megvii_loss.npz')
        outputs = torch.from_numpy(figures['outputs'])
        losses = self.head(ohkm, ctf).loss([list(s) for s in outputs], self.samples(figures))
        expected = float(figures[f'loss_ohkm{ohkm}_ctf{ctf}'])
        assert losses['loss_kpt'].item() == pytest.approx(expected, rel=1e-6)

    def test_gradient(self, golden):
        figures = np.load(golden / 'megvii_loss.npz')
        outputs = torch.from_numpy(figures['outputs']).requires_grad_()
        losses = self.head(1, 1).loss([list(s) for s in outputs], self.samples(figures))
        losses['loss_kpt'].backward()
        expected = torch.from_numpy(figures['grad_ohkm1_ctf1'])
        scale = expected.abs().max()
        torch.testing.assert_close(outputs.grad / scale, expected / scale, rtol=0, atol=1e-6)


class TestAgainstMMPose:
    """Everything that MMPose's ``MSPNHead`` gives, from the same weights and targets."""

    @pytest.mark.parametrize('num_stages', [1, 2, 4])
    def test_state_dicts_load_both_ways(self, num_stages):
        ours, theirs = build(num_stages), mmpose_head(num_stages, 17)
        ours.load_state_dict(theirs.state_dict(), strict=True)
        theirs.load_state_dict(ours.state_dict(), strict=True)

    @pytest.mark.parametrize(
        ('joints', 'num_stages'), [(1, 2), (4, 2), (17, 1), (17, 2), (17, 4), (133, 2)]
    )
    def test_heatmaps_losses_gradients_and_accuracy(self, joints, num_stages):
        ours, theirs = pair(num_stages, joints)
        feats, samples = features(num_stages), mmpose_samples_of(persons(joints))
        results = []
        for head in (ours, theirs):
            given = [[f.clone().requires_grad_() for f in stage] for stage in feats]
            losses = head.loss(given, samples)
            losses['loss_kpt'].backward()
            gradients = [p.grad for p in head.parameters()]
            gradients += [f.grad for stage in given for f in stage]
            results.append((losses, gradients))
        (losses, gradients), (expected, expected_gradients) = results
        torch.testing.assert_close(losses['loss_kpt'], expected['loss_kpt'], rtol=1e-6, atol=0)
        assert losses['acc_pose'].item() == pytest.approx(expected['acc_pose'].item(), abs=1e-6)
        for ours_, theirs_ in zip(gradients, expected_gradients, strict=True):
            scale = theirs_.abs().max().clamp(min=1e-6)
            torch.testing.assert_close(ours_ / scale, theirs_ / scale, rtol=0, atol=1e-5)
        ours.eval()
        theirs.eval()
        for a, b in zip(ours(feats), theirs(feats), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-5)

    @pytest.mark.parametrize('shift', [False, True])
    @pytest.mark.parametrize('flip', [False, True])
    @pytest.mark.parametrize('joints', [1, 4, 17, 133])
    def test_predictions(self, joints, flip, shift):
        codec = dict(
            type='MegviiHeatmap', input_size=(48, 64), heatmap_size=(12, 16), kernel_size=5
        )
        heads = pair(2, joints, decoder=codec, coarse_to_fine=False)
        ours, theirs = (head.eval() for head in heads)
        feats, samples = features(), mmpose_samples_of(persons(joints))
        if flip:
            feats = [feats, features(seed=1)]
        test_cfg = dict(flip_test=flip, shift_heatmap=shift, output_heatmaps=True)
        with torch.no_grad():
            preds, fields = ours.predict(feats, samples, test_cfg)
            expected, expected_fields = theirs.predict(feats, samples, test_cfg)
        for a, b in zip(fields, expected_fields, strict=True):
            torch.testing.assert_close(a.heatmaps, b.heatmaps, rtol=0, atol=1e-5)
        for a, b in zip(preds, expected, strict=True):
            np.testing.assert_allclose(a.keypoints, b.keypoints, atol=1e-3)
            np.testing.assert_allclose(a.keypoint_scores, b.keypoint_scores, rtol=1e-4)


class TestPredict:
    def test_runs_only_the_last_unit_of_the_last_stage_given(self):
        head, samples = build(4).eval(), samples_of(persons())
        ran = []
        for index, layer in enumerate(head.predict_layers):
            layer.register_forward_hook(lambda *_, index=index: ran.append(index))
        head.predict(features(4), samples)
        assert ran == [15]
        ran.clear()
        head.predict(features(2), samples)
        assert ran == [7]
        ran.clear()
        head.predict([features(3), features(3)], samples, dict(flip_test=True))
        assert ran == [11, 11]

    def test_puts_joints_in_pixels_of_the_input(self):
        head = build(1, unit_channels=17).eval()
        head.predict_layers = nn.ModuleList(nn.Identity() for _ in range(4))
        people = [(np.full((1, 17, 2), 30.0, np.float32), np.full((1, 17), 2))]
        samples = samples_of(people)
        heatmaps = samples[0].gt_fields[4].heatmaps[None]
        (pred,) = head.predict([[heatmaps] * 4], samples)
        assert pred.keypoints.shape == (1, 17, 2)
        np.testing.assert_allclose(pred.keypoints, 30, atol=2)
        np.testing.assert_allclose(pred.keypoint_scores, 1.5, atol=1e-5)

    def test_gives_the_final_heatmaps_on_request(self):
        head, samples, feats = build(3).eval(), samples_of(persons()), features(3)
        with torch.no_grad():
            _, fields = head.predict(feats, samples, dict(output_heatmaps=True))
            final = head(feats)[-1]
        for person, field in enumerate(fields):
            assert torch.equal(field.heatmaps, final[person])

    def test_gives_no_heatmaps_unasked(self):
        preds = build().eval().predict(features(), samples_of(persons()))
        assert [type(p) for p in preds] == [InstanceData] * 3

    def test_half_precision_is_decoded(self):
        head = build().to(torch.bfloat16).eval()
        feats = [[f.bfloat16() for f in stage] for stage in features()]
        (first, *_) = head.predict(feats, samples_of(persons()))
        assert np.isfinite(first.keypoints).all()


class TestTraining:
    @pytest.mark.parametrize(
        ('settings', 'trained'),
        [
            ({}, {0, 1, 2}),
            (dict(frozen_stages=-1), {0, 1, 2}),
            (dict(frozen_stages=1), {1, 2}),
            (dict(active_stages=2), {0, 1}),
            (dict(frozen_stages=1, active_stages=2), {1}),
        ],
    )
    def test_frozen_and_early_stopped_stages_have_no_loss(self, settings, trained):
        head = build(3, **settings)
        before = copy.deepcopy(head.state_dict())
        losses = head.loss(features(settings.get('active_stages', 3)), samples_of(persons()))
        assert {int(k[-1]) - 1 for k in losses if k.startswith('kpt_stage')} == trained
        losses['loss_kpt'].backward()
        head.train()(features(3))  # must leave the running statistics of the others alone
        for s in range(3):
            layers = head.predict_layers[4 * s : 4 * s + 4]
            for parameter in layers.parameters():
                assert parameter.requires_grad == (s in trained)
                assert (parameter.grad is not None) == (s in trained)
            mean = f'predict_layers.{4 * s}.conv_layers.0.bn.running_mean'
            assert torch.equal(head.state_dict()[mean], before[mean]) == (s not in trained)

    @pytest.mark.parametrize('settings', [{}, dict(frozen_stages=1), dict(active_stages=1)])
    def test_ddp_finds_no_unused_parameter(self, settings, process_group):
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.head = build(2, **settings)

            def forward(self, feats, samples):
                return self.head.loss(feats, samples)['loss_kpt']

        model = DistributedDataParallel(Model(), find_unused_parameters=False)
        feats = features(settings.get('active_stages', 2))
        for _ in range(2):  # an unused parameter shows in the second step
            model(feats, samples_of(persons())).backward()

    def test_gradient_accumulation_and_ema(self):
        head, samples = build(), samples_of(persons())
        averaged = ExponentialMovingAverage(head, momentum=0.5)
        start = averaged.module.loss(features(), samples)['loss_kpt']
        wrapper = OptimWrapper(torch.optim.SGD(head.parameters(), lr=1e-3), accumulative_counts=2)
        wrapper.initialize_count_status(head, 0, 4)
        losses = []
        for _ in range(4):
            with wrapper.optim_context(head):
                losses.append(head.loss(features(), samples)['loss_kpt'])
            wrapper.update_params(losses[-1])
            averaged.update_parameters(head)
        assert losses[0] == losses[1] == start
        assert losses[2] == losses[3] < start
        assert averaged.module.loss(features(), samples)['loss_kpt'] < start

    def test_compiles(self):
        head, feats = build().eval(), features()
        compiled = torch.compile(head, backend='eager', fullgraph=True)
        for a, b in zip(compiled(feats), head(feats), strict=True):
            torch.testing.assert_close(a, b)

    def test_train_and_eval_return_the_head(self):
        head = build()
        assert head.eval() is head
        assert head.train() is head


class TestBadInput:
    @pytest.mark.parametrize(
        ('settings', 'message'),
        [
            (dict(num_stages=0), 'num_stages=0 must be a whole number of at least 1'),
            (dict(num_units=0), 'num_units=0 must be a whole number'),
            (dict(out_channels=None), 'out_channels=None must be'),
            (dict(active_stages='2'), "active_stages='2' must be"),
            (dict(coarse_to_fine=None), 'coarse_to_fine=None must be'),
            (dict(unit_loss=0), 'unit_loss=0 makes no module'),
            (dict(final_loss=[1, 'a']), r"final_loss=\[1, 'a'\] makes no module"),
            (dict(final_loss=dict(type='OHKMLoss', topk=0)), 'final_loss=.* no module .*topk=0'),
            (dict(final_loss=dict(type='NoLoss')), "final_loss={'type': 'NoLoss'} makes no module"),
            (dict(norm_cfg=dict(type='GN', num_groups=32)), 'norm_cfg=.* for .* channels'),
            (dict(active_stages=3), 'active_stages=3 must be from 1 to num_stages=2'),
            (dict(active_stages=0), 'active_stages=0 must be from 1 to num_stages=2'),
            (dict(frozen_stages=2), 'frozen_stages=2 must leave one of the 2'),
            (dict(frozen_stages=1, active_stages=1), 'frozen_stages=1 must leave one of the 1'),
            (dict(empty_occluded='some'), "empty_occluded='some' must be False, True or 'all'"),
        ],
    )
    def test_settings(self, settings, message):
        with pytest.raises(ValueError, match=message):
            build(**settings)

    def test_features_of_the_wrong_number_of_stages(self):
        head, samples = build(2), samples_of(persons())
        with pytest.raises(SettingError, match=r'features of 3 stages, .*num_stages=2'):
            head(features(3))
        with pytest.raises(SettingError, match=r'features of 1 stages .*active_stages=2'):
            head.loss(features(1), samples)

    def test_features_of_the_wrong_number_of_units(self):
        feats = features()
        feats[1] = feats[1][1:]
        with pytest.raises(SettingError, match=r'\[8, 8, 8\]\] channels .*num_units=4'):
            build()(feats)

    def test_features_of_the_wrong_number_of_channels(self):
        with pytest.raises(SettingError, match=r'9\]\] channels .*unit_channels=8'):
            build()(features(channels=9))

    def test_targets_of_another_size(self):
        samples = samples_of(persons(), heatmap_size=(24, 32))
        with pytest.raises(SettingError, match=r'24x32 pixels.*heatmap_size=\(12, 16\)'):
            build().loss(features(), samples)

    def test_targets_of_another_number_of_levels(self):
        samples = samples_of(persons(), kernel_sizes=(9, 7, 5))
        with pytest.raises(SettingError, match=r'heatmaps of \[3\] levels.*head has 5'):
            build().loss(features(), samples)

    def test_targets_of_another_number_of_joints(self):
        with pytest.raises(SettingError, match='16 keypoints, and the head has out_channels=17'):
            build().loss(features(), samples_of(persons(joints=16)))

    def test_samples_without_targets(self):
        samples = samples_of(persons())
        for sample in samples:
            del sample.gt_fields
        with pytest.raises(SettingError, match='neither heatmaps nor keypoint_labels'):
            build().loss(features(), samples)

    def test_samples_without_cocos_v(self):
        with pytest.raises(SettingError, match='put KeepVisibility before RandomFlip'):
            build(empty_occluded=True).loss(features(), mmpose_samples_of(persons()))
