"""The network's weights: from a ResNet, from a checkpoint, and how they start without either."""

import pytest
import torch
from support.small_backbone import tiny
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mspn_plugin import MSPNBackbone, SettingError

# After the plugin, which lets mmpose import.
from mmengine.runner import load_state_dict  # isort: skip
from mmpose.models import MSPN, ResNet  # isort: skip


@pytest.fixture
def resnet_file(tmp_path):
    """A ResNet in torchvision's layout with the blocks of ``SMALL``."""

    def save(depth=50, num_blocks=(1, 2), stem_channels=64):
        # MMPose's ResNet has torchvision's names.
        torch.manual_seed(7)
        resnet = ResNet(depth, stem_channels=stem_channels, base_channels=stem_channels)
        weights = {
            key: torch.randn_like(value) if value.is_floating_point() else value
            for key, value in resnet.state_dict().items()
            if not key.startswith('layer')
            or (
                int(key[5]) <= len(num_blocks)
                and int(key.split('.')[1]) < num_blocks[int(key[5]) - 1]
            )
        }
        weights['fc.weight'] = torch.zeros(1000, 256)
        path = tmp_path / f'resnet{depth}.pth'
        torch.save(weights, path)
        return str(path), weights

    return save


class TestPretrained:
    SMALL = {'num_units': 2, 'num_blocks': (1, 2), 'unit_channels': 8}

    def build(self, checkpoint, num_stages=2, stages=None, **settings):
        init_cfg = {'type': 'Pretrained', 'checkpoint': checkpoint}
        if stages:
            init_cfg['stages'] = stages
        network = MSPNBackbone(
            num_stages=num_stages, init_cfg=init_cfg, **{**self.SMALL, **settings}
        )
        network.init_weights()
        return network

    @pytest.mark.parametrize('stages, filled', [(None, {0, 1}), ('all', {0, 1}), ('first', {0})])
    def test_a_resnet_fills_the_stem_and_the_stages_asked_for(self, resnet_file, stages, filled):
        path, weights = resnet_file()
        network = self.build(path, stages=stages)
        assert torch.equal(network.top.top[0].conv.weight, weights['conv1.weight'])
        assert torch.equal(network.top.top[0].bn.running_var, weights['bn1.running_var'])
        for s in range(2):
            down = network.multi_stage_mspn[s].downsample
            same = torch.equal(down['layer2'][1].conv2.weight, weights['layer2.1.conv2.weight'])
            assert same is (s in filled)
            shortcut = down['layer1'][0].downsample
            same = torch.equal(shortcut.conv.weight, weights['layer1.0.downsample.0.weight'])
            assert same is (s in filled)
            same = torch.equal(shortcut.bn.bias, weights['layer1.0.downsample.1.bias'])
            assert same is (s in filled)

    def test_mmengines_other_arguments_change_nothing(self, resnet_file):
        path, weights = resnet_file()
        init_cfg = dict(type='Pretrained', checkpoint=path, prefix=None, map_location='cpu')
        network = MSPNBackbone(num_stages=1, init_cfg=init_cfg, **self.SMALL)
        network.init_weights()
        assert torch.equal(network.top.top[0].conv.weight, weights['conv1.weight'])

    @pytest.mark.parametrize(
        'given, said', [(dict(checkpoint='a.pth', stage='first'), 'stage;'), ({}, 'no checkpoint;')]
    )
    def test_other_arguments_are_named(self, given, said):
        init_cfg = dict(type='Pretrained', **given)
        network = MSPNBackbone(num_stages=1, init_cfg=init_cfg, **self.SMALL)
        with pytest.raises(SettingError, match=f'init_cfg has {said} it takes checkpoint, stages'):
            network.init_weights()

    def test_the_same_weights_are_taken_as_by_mmpose(self, resnet_file):
        path, _ = resnet_file()
        theirs = MSPN(
            num_stages=2,
            init_cfg={'type': 'Pretrained', 'checkpoint': path},
            **self.SMALL,
        )
        theirs.init_weights()
        ours = self.build(path).state_dict()
        for key, value in theirs.state_dict().items():
            if 'downsample.layer' in key or key.startswith('top.'):
                assert torch.equal(ours[key], value), key

    @pytest.mark.slow
    @pytest.mark.parametrize(
        'depth, num_blocks', [(50, (3, 4, 6, 3)), (101, (3, 4, 23, 3)), (152, (3, 8, 36, 3))]
    )
    def test_whole_resnets_fit(self, resnet_file, depth, num_blocks):
        path, weights = resnet_file(depth, num_blocks)
        network = self.build(path, num_stages=1, num_units=4, num_blocks=num_blocks)
        own = network.multi_stage_mspn[0].downsample.state_dict()
        assert sum(key.startswith('layer') for key in weights) == len(own)
        assert torch.equal(own['layer3.5.conv1.weight'], weights['layer3.5.conv1.weight'])

    def test_layers_without_a_unit_are_left_out(self, resnet_file):
        path, weights = resnet_file(num_blocks=(1, 2, 1))
        network = self.build(path)
        assert torch.equal(
            network.multi_stage_mspn[1].downsample['layer2'][1].conv3.weight,
            weights['layer2.1.conv3.weight'],
        )

    @pytest.mark.parametrize(
        'wrap',
        [
            lambda w: w,
            lambda w: {'state_dict': {f'backbone.{k}': v for k, v in w.items()}, 'meta': {}},
            lambda w: {'state_dict': {f'module.backbone.{k}': v for k, v in w.items()}},
            lambda w: {'model': w, 'epoch': 3},
        ],
    )
    def test_the_networks_own_checkpoints_load_too(self, wrap, tmp_path):
        source = MSPNBackbone(num_stages=2, **self.SMALL)
        torch.save(wrap(source.state_dict()), tmp_path / 'own.pth')
        network = self.build(str(tmp_path / 'own.pth'))
        for key, value in network.state_dict().items():
            assert torch.equal(value, source.state_dict()[key])

    @pytest.mark.parametrize(
        'file, settings, message',
        [
            ({'num_blocks': (2, 2)}, {}, r'resnet50.pth: .*\[2, 2\] .*num_blocks=\[1, 2\]'),
            ({'depth': 18}, {}, r'conv1\.weight \[64, 64, 3, 3\] instead of'),
            ({}, {'stem_channels': 32}, r'stem_channels.*top.top.0.conv.weight \[64, 3, 7, 7\]'),
            ({}, {'double_channels': False}, 'double_channels'),
            ({}, {'norm_cfg': {'type': 'GN', 'num_groups': 2}}, 'norm_cfg'),
            ({}, {'stages': 'second'}, "stages='second'.*'all' or 'first'"),
        ],
    )
    def test_a_file_that_does_not_fit_is_refused(self, resnet_file, file, settings, message):
        path, _ = resnet_file(**file)
        with pytest.raises(SettingError, match=message):
            self.build(path, **settings)

    def test_another_models_file_is_refused(self, tmp_path):
        torch.save({'features.0.weight': torch.zeros(3)}, tmp_path / 'vgg.pth')
        with pytest.raises(SettingError, match=r'vgg\.pth.*neither.*features\.0\.weight'):
            self.build(str(tmp_path / 'vgg.pth'))

    def test_a_missing_file_is_an_error(self, tmp_path):
        with pytest.raises(SettingError, match=r'nowhere\.pth'):
            self.build(str(tmp_path / 'nowhere.pth'))


class TestLoading:
    def estimator(self, num_stages, **settings):
        return nn.ModuleDict({'backbone': tiny(num_stages, **settings)})

    @pytest.mark.parametrize(
        'load',
        [
            lambda model, weights: model.load_state_dict(weights, strict=False),
            lambda model, weights: load_state_dict(model, weights, strict=False),
        ],
        ids=['torch', 'mmengine'],
    )
    @pytest.mark.parametrize(
        'theirs, ours, message',
        [
            (
                {'num_stages': 4},
                {'num_stages': 2},
                'num_stages=4 .*num_stages=2; set num_stages=4 .*active_stages=2',
            ),
            ({'num_stages': 1}, {'num_stages': 3}, 'num_stages=1 .*num_stages=3; set num_stages=1'),
            ({'num_blocks': (1, 1)}, {}, r'num_blocks=\[1, 1\] .*num_blocks=\[1, 2\]'),
            (
                {'num_units': 3, 'num_blocks': (1, 2, 1)},
                {},
                r'num_blocks=\[1, 2, 1\], with num_units=3',
            ),
            ({'aggregation': False}, {}, 'set aggregation=False'),
            ({'unit_channels': 16}, {}, 'unit_channels.*instead of'),
            ({'norm_cfg': {'type': 'GN', 'num_groups': 2}}, {}, 'norm_cfg'),
        ],
    )
    def test_weights_of_other_settings_are_refused_with_the_setting(
        self, load, theirs, ours, message
    ):
        weights = self.estimator(**{'num_stages': 2, **theirs}).state_dict()
        model = self.estimator(**{'num_stages': 2, **ours})
        before = {k: v.clone() for k, v in model.state_dict().items()}
        with pytest.raises(SettingError, match=message):
            load(model, weights)
        assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())

    def test_weights_of_fewer_modules_still_load_leniently(self):
        model = tiny()
        model.load_state_dict({'top.top.0.conv.weight': torch.ones(4, 3, 7, 7)}, strict=False)
        assert (model.top.top[0].conv.weight == 1).all()

    def test_every_norm_starts_at_one_and_convolutions_differ(self):
        network = tiny()
        network.init_weights()
        for module in network.modules():
            if isinstance(module, _BatchNorm):
                assert (module.weight == 1).all() and (module.bias == 0).all()
            elif isinstance(module, nn.Conv2d):
                assert module.weight.std() > 0
