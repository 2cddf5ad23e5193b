"""The network: the paper's structure, its switches, training options and weights."""

import copy
import itertools
from collections import Counter

import pytest
import torch
from support.small_backbone import TINY, tiny
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mspn_plugin import MSPNBackbone, SettingError

# After the plugin, which lets mmpose import.
from mmpose.models import MSPN, MSPNHead  # isort: skip
from mmpose.registry import MODELS  # isort: skip


def images(batch=2, height=32, width=24, seed=1):
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


def total(features):
    return sum(
        (f * torch.linspace(-1, 1, f.shape[-1])).square().mean()
        for stage in features
        for f in stage
    )


def flat(features):
    return [f for stage in features for f in stage]


def names_of_trained(network):
    return {name for name, p in network.named_parameters() if p.requires_grad}


def names_with_gradient(network):
    return {name for name, p in network.named_parameters() if p.grad is not None}


class TestAgainstMMPose:
    @pytest.mark.parametrize('num_stages', [1, 2, 3, 4])
    def test_same_heatmaps_on_the_same_weights_loaded_strictly_both_ways(self, num_stages):
        sizes = {'num_stages': num_stages, 'unit_channels': 32}
        torch.manual_seed(num_stages)
        theirs = MSPN(num_blocks=[1, 2, 1, 1], **sizes)
        ours = MSPNBackbone(num_blocks=[1, 2, 1, 1], **sizes)
        head = MSPNHead(level_indices=[0] * 4 * num_stages, out_shape=(16, 12), **sizes).eval()

        ours.load_state_dict(theirs.state_dict(), strict=True)
        theirs.eval(), ours.eval()
        with torch.no_grad():
            expected = head(theirs(images(1, 64, 48)))
            for heatmap, wanted in zip(head(ours(images(1, 64, 48))), expected, strict=True):
                torch.testing.assert_close(
                    heatmap, wanted, rtol=0, atol=1e-5 * float(wanted.abs().max())
                )

            for p in ours.parameters():
                p.mul_(1.1)
            theirs.load_state_dict(ours.state_dict(), strict=True)
            for heatmap, wanted in zip(
                head(ours(images(1, 64, 48))), head(theirs(images(1, 64, 48))), strict=True
            ):
                torch.testing.assert_close(
                    heatmap, wanted, rtol=0, atol=1e-5 * float(wanted.abs().max())
                )

    def test_same_gradients_in_training(self):
        torch.manual_seed(0)
        theirs = MSPN(num_stages=2, num_units=2, num_blocks=[1, 1], unit_channels=8)
        ours = MSPNBackbone(num_stages=2, num_units=2, num_blocks=[1, 1], unit_channels=8)
        ours.load_state_dict(theirs.state_dict())
        total(theirs(images())).backward()
        total(ours(images())).backward()
        wanted = dict(theirs.named_parameters())
        for name, p in ours.named_parameters():
            torch.testing.assert_close(p.grad, wanted[name].grad)

    @pytest.mark.parametrize(
        'num_stages, parameters, multiply_adds',
        [(1, 25.1, 5.1), (2, 56.8, 11.3), (3, 88.5, 17.5), (4, 120.2, 23.6)],
    )
    def test_sizes_are_the_published_ones(self, num_stages, parameters, multiply_adds):
        with torch.device('meta'):
            backbone = MSPNBackbone(num_stages=num_stages).eval()
            head = MSPNHead(num_stages=num_stages, level_indices=[0] * 4 * num_stages).eval()
            image = torch.empty(1, 3, 256, 192)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            head(backbone(image))
        count = sum(p.numel() for m in (backbone, head) for p in m.parameters())
        assert round(count / 1e6, 1) == parameters
        assert round(counter.get_total_flops() / 2e9, 1) == multiply_adds


class TestSwitches:
    @pytest.mark.parametrize(
        'settings',
        [
            {'num_stages': 1},
            {'num_stages': 3},
            {'num_units': 1, 'num_blocks': (1,)},
            {'num_units': 3, 'num_blocks': (1, 1, 2)},
            {'num_units': 5, 'num_blocks': (1, 1, 1, 1, 1)},
            {'aggregation': False},
            {'double_channels': False},
            {'stem_channels': 6, 'unit_channels': 10},
            {'norm_cfg': {'type': 'GN', 'num_groups': 2}},
            {'norm_cfg': {'type': 'IN', 'affine': True}},
            {'act_cfg': {'type': 'LeakyReLU', 'negative_slope': 0.1}},
            {'act_cfg': {'type': 'SiLU'}},
            {'act_cfg': {'type': 'GELU'}},
            {'norm_eval': True},
            {'with_cp': True},
        ],
        ids=str,
    )
    def test_shapes_and_a_gradient_in_every_parameter(self, settings):
        settings = {'num_stages': 2, **TINY, **settings}
        network = MSPNBackbone(**settings)
        units = settings['num_units']
        features = network(images(2, 64, 128))
        assert [len(stage) for stage in features] == [units] * settings['num_stages']
        for stage in features:
            assert [tuple(f.shape) for f in stage] == [
                (2, settings['unit_channels'], 64 // 2 ** (s + 2), 128 // 2 ** (s + 2))
                for s in reversed(range(units))
            ]
        total(features).backward()
        assert names_of_trained(network) == names_with_gradient(network)
        assert names_of_trained(network) == {name for name, _ in network.named_parameters()}

    def test_default_is_four_stages_of_resnet50(self):
        with torch.device('meta'):
            network = MSPNBackbone()
        assert [len(unit) for unit in network.multi_stage_mspn[3].downsample.values()] == [
            3,
            4,
            6,
            3,
        ]

    @pytest.mark.parametrize('double, expected', [(True, [16, 32, 64]), (False, [16, 16, 16])])
    def test_channels_double_on_the_way_down_or_stay(self, double, expected):
        network = tiny(1, num_units=3, num_blocks=(1, 1, 1), double_channels=double)
        widths = []
        for unit in network.multi_stage_mspn[0].downsample.values():
            unit.register_forward_hook(lambda _, __, out: widths.append(out.shape[1]))
        network(images())
        assert widths == expected

    @pytest.mark.parametrize('aggregation', [True, False])
    def test_aggregation_is_the_only_other_way_into_the_next_stage(self, aggregation):
        network = tiny(aggregation=aggregation).eval()
        finest = network.multi_stage_mspn[0].upsample['up2']
        finest.cross_conv.register_forward_hook(lambda _, __, out: torch.zeros_like(out))
        with torch.no_grad():
            one, other = network(images(seed=1)), network(images(seed=2))
        assert not any(map(torch.equal, one[0], other[0]))
        assert all(map(torch.equal, one[1], other[1])) is not aggregation

    def test_each_scale_takes_in_down_and_up_features_of_the_same_scale(self):
        network = tiny().eval()
        network.multi_stage_mspn[0].upsample['up2'].cross_conv.register_forward_hook(
            lambda _, __, out: torch.zeros_like(out)
        )
        added = {}
        second = network.multi_stage_mspn[1]
        for i, (up, down) in enumerate([('up2', 'layer1'), ('up1', 'layer2')]):
            unit = network.multi_stage_mspn[0].upsample[up]
            for part in ('out_skip1', 'out_skip2'):
                getattr(unit, part).register_forward_hook(
                    lambda _, __, out, key=(down, part): added.update({key: out})
                )
            last_block = second.downsample[down][-1]
            last_block.register_forward_hook(
                lambda _, __, out, key=(down, 'own'): added.update({key: out.clone()})
            )
            second.downsample[down].register_forward_hook(
                lambda _, __, out, key=(down, 'sum'): added.update({key: out})
            )
            assert unit.out_skip1.conv.in_channels == TINY['stem_channels'] * 4 * 2**i
        with torch.no_grad():
            network(images())
        for down in ('layer1', 'layer2'):
            torch.testing.assert_close(
                added[down, 'sum'],
                added[down, 'own'] + added[down, 'out_skip1'] + added[down, 'out_skip2'],
            )
            assert added[down, 'out_skip1'].min() >= 0 and added[down, 'out_skip2'].min() >= 0

    @pytest.mark.parametrize(
        'norm_cfg, kind',
        [
            ({'type': 'SyncBN'}, nn.SyncBatchNorm),
            ({'type': 'GN', 'num_groups': 2}, nn.GroupNorm),
        ],
    )
    def test_norm_cfg_reaches_every_norm_layer(self, norm_cfg, kind):
        plain = sum(isinstance(m, nn.BatchNorm2d) for m in tiny().modules())
        network = tiny(norm_cfg=norm_cfg)
        assert sum(isinstance(m, kind) for m in network.modules()) == plain
        assert not any(isinstance(m, nn.BatchNorm2d) for m in network.modules())

    def test_act_cfg_reaches_every_activation(self):
        network = tiny(act_cfg={'type': 'SiLU'})
        kinds = Counter(type(m) for m in network.modules())
        assert kinds[nn.SiLU] == Counter(type(m) for m in tiny().modules())[nn.ReLU]
        assert kinds[nn.ReLU] == 0

    def test_a_config_builds_it_and_keeps_its_dicts(self):
        config = {
            'type': 'MSPNBackbone',
            'num_stages': 1,
            **TINY,
            'norm_cfg': {'type': 'BN', 'requires_grad': True},
            'act_cfg': {'type': 'ReLU'},
            'init_cfg': [{'type': 'Kaiming', 'layer': 'Conv2d'}],
        }
        before = copy.deepcopy(config)
        network = MODELS.build(config)
        network.init_weights()
        assert isinstance(network, MSPNBackbone)
        assert config == before


class TestTraining:
    def test_train_and_eval_return_the_module(self):
        network = tiny()
        assert network.eval() is network and not network.training
        assert network.train() is network and network.training

    @pytest.mark.parametrize('frozen', [-1, 0, 1, 2])
    def test_frozen_stages_stay_as_they_are_and_the_rest_learns(self, frozen):
        network = tiny(frozen_stages=frozen).train()
        before = {k: v.clone() for k, v in network.state_dict().items()}
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1, weight_decay=0.1)
        total(network(images())).backward() if frozen < 2 else network(images())
        optimizer.step()
        changed = {k for k, v in network.state_dict().items() if not torch.equal(v, before[k])}
        prefixes = ['top.', 'multi_stage_mspn.0.', 'multi_stage_mspn.1.']
        for prefix in prefixes[: frozen + 1]:
            assert not any(key.startswith(prefix) for key in changed)
        for prefix in prefixes[frozen + 1 :]:
            assert {k for k in before if k.startswith(prefix)} <= changed
        assert names_of_trained(network) == names_with_gradient(network)

    def test_norm_eval_keeps_running_statistics_and_trains_weights(self):
        network = tiny(norm_eval=True).train()
        before = {k: v.clone() for k, v in network.named_buffers()}
        total(network(images())).backward()
        assert all(torch.equal(v, before[k]) for k, v in network.named_buffers())
        assert names_with_gradient(network) == {k for k, _ in network.named_parameters()}

    @pytest.mark.parametrize('settings', [{}, {'frozen_stages': 1}, {'aggregation': False}])
    def test_with_cp_gives_the_same_gradients_and_statistics(self, settings):
        plain, thrifty = tiny(**settings), tiny(with_cp=True, **settings)
        for network in (plain, thrifty):
            for _ in range(2):
                total(network(images())).backward()
        for (name, p), q in zip(plain.named_parameters(), thrifty.parameters(), strict=True):
            assert (p.grad is None) == (q.grad is None), name
            if p.grad is not None:
                assert torch.equal(p.grad, q.grad), name
        for (name, p), q in zip(plain.named_buffers(), thrifty.buffers(), strict=True):
            assert torch.equal(p, q), name

    @pytest.mark.parametrize('settings', [{}, {'with_cp': True}])
    def test_channels_last_gives_the_same_but_for_rounding(self, settings):
        plain, network = tiny(**settings), tiny(channels_last=True, **settings)
        network.load_state_dict(plain.state_dict())
        for features in (flat(plain(images())), given := flat(network(images()))):
            sum(f.square().mean() for f in features).backward()
        assert all(f.is_contiguous(memory_format=torch.channels_last) for f in given)
        torch.testing.assert_close(given, flat(plain(images())), rtol=1e-4, atol=1e-4)
        for (name, p), q in zip(plain.named_parameters(), network.parameters(), strict=True):
            torch.testing.assert_close(q.grad, p.grad, rtol=1e-3, atol=1e-4, msg=name)

    def test_with_cp_keeps_at_most_60_percent_of_the_memory_at_the_peak(self):
        def peak(network):
            for p in network.parameters():
                p.grad = torch.zeros_like(p)
            with torch.profiler.profile(profile_memory=True) as profiler:
                total(network(images(1, 128, 96))).backward()
            events = [
                e for e in profiler.profiler.kineto_results.events() if e.name() == '[memory]'
            ]
            return max(
                itertools.accumulate(e.nbytes() for e in sorted(events, key=lambda e: e.start_ns()))
            )

        settings = {
            'num_stages': 4,
            'num_units': 4,
            'num_blocks': (3, 4, 6, 3),
            'stem_channels': 8,
            'unit_channels': 32,
        }
        assert peak(MSPNBackbone(with_cp=True, **settings)) <= 0.6 * peak(MSPNBackbone(**settings))

    @pytest.mark.parametrize('settings', [{}, {'with_cp': True}])
    def test_compiles_without_a_graph_break(self, settings):
        network, twin = tiny(**settings), tiny(**settings)
        compiled = torch.compile(twin, fullgraph=True, backend='aot_eager')
        for mode in (True, False):
            network.train(mode), twin.train(mode)
            expected, features = network(images()), compiled(images())
            for f, wanted in zip(flat(features), flat(expected), strict=True):
                torch.testing.assert_close(f, wanted)
        total(features).backward()
        assert names_with_gradient(twin) == {k for k, _ in twin.named_parameters()}
        for p, wanted in zip(twin.buffers(), network.buffers(), strict=True):
            torch.testing.assert_close(p, wanted)
        twin.active_stages = 1
        assert len(compiled(images())) == 1

    @pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
    def test_autocast_trains(self, dtype):
        network = tiny()
        with torch.autocast('cpu', dtype=dtype):
            features = network(images())
        assert {f.dtype for f in flat(features)} == {dtype}
        expected = flat(tiny()(images()))
        for f, wanted in zip(flat(features), expected, strict=True):
            assert (f.float() - wanted).norm() < 0.1 * wanted.norm()
        total([[f.float() for f in stage] for stage in features]).backward()
        assert all(p.grad.isfinite().all() for p in network.parameters())

    @pytest.mark.parametrize(
        'settings',
        [{}, {'active_stages': 1}, {'frozen_stages': 1}, {'aggregation': False, 'with_cp': True}],
    )
    def test_distributed_training_finds_no_unused_parameter(self, settings, process_group):
        network = nn.parallel.DistributedDataParallel(
            tiny(3, **settings), find_unused_parameters=False
        )
        for _ in range(3):  # an unused parameter makes the second pass fail
            total(network(images())).backward()
            trained = network.module.active_stages
            network.module.active_stages = 1  # a quick validation in between
            with torch.no_grad():
                network.module(images())
            network.module.active_stages = trained

    def test_copies_and_pickles(self, tmp_path):
        network = tiny(active_stages=1).eval()
        torch.save(network, tmp_path / 'network.pth')
        again = torch.load(tmp_path / 'network.pth', weights_only=False)
        for twin in (copy.deepcopy(network), again):
            assert torch.equal(twin(images())[0][0], network(images())[0][0])
            twin.active_stages = 2
            assert names_of_trained(twin) == {k for k, _ in twin.named_parameters()}
        assert network.active_stages == 1


class TestStoppingEarly:
    def test_gives_the_first_stages_of_the_whole_network(self):
        network = tiny(3).eval()
        with torch.no_grad():
            whole = network(images())
            for count in (1, 2, 3):
                network.active_stages = count
                part = network(images())
                assert len(part) == count
                assert all(map(torch.equal, flat(part), flat(whole[:count])))

    @pytest.mark.parametrize('at_build', [True, False])
    def test_computes_nothing_of_the_others(self, at_build):
        network = tiny(3, active_stages=2 if at_build else None)
        network.active_stages = 2
        ran = set()
        for name, module in network.named_modules():
            module.register_forward_hook(lambda *_, name=name: ran.add(name))
        network(images())
        assert not any(name.startswith('multi_stage_mspn.2') for name in ran)
        assert 'multi_stage_mspn.0.upsample.up2.cross_conv' in ran
        assert not any(
            name.startswith('multi_stage_mspn.1.upsample') and part in name
            for name in ran
            for part in ('out_skip', 'cross_conv')
        )

    def test_trains_what_runs_and_only_that(self):
        network = tiny(3, active_stages=2)
        total(network(images())).backward()
        assert names_of_trained(network) == names_with_gradient(network)
        assert any('stage_mspn.1.' in name for name in names_of_trained(network))
        assert not any('stage_mspn.2.' in name for name in names_of_trained(network))

    def test_what_the_user_froze_stays_frozen(self):
        network = tiny(3)
        network.multi_stage_mspn[2].requires_grad_(False)
        frozen_by_hand = names_of_trained(network)
        for count in (1, 2, 3):
            network.active_stages = count
        assert names_of_trained(network) == frozen_by_hand

    def test_the_state_dict_stays_whole(self):
        tiny(3).load_state_dict(tiny(3, active_stages=1).state_dict(), strict=True)

    @pytest.mark.parametrize('count', [0, 4, -1])
    def test_refuses_a_number_of_stages_it_does_not_have(self, count):
        with pytest.raises(SettingError, match=f'active_stages={count} .* num_stages=3'):
            tiny(3, active_stages=count)
        with pytest.raises(SettingError, match=f'active_stages={count} .* num_stages=3'):
            tiny(3).active_stages = count


class TestBadInput:
    @pytest.mark.parametrize(
        'settings, message',
        [
            ({'num_stages': 0}, 'num_stages=0 must be a whole number of at least 1'),
            ({'num_units': 0, 'num_blocks': ()}, 'num_units=0 must be a whole number'),
            ({'num_units': 3}, r'num_blocks=\[1, 2\] .* num_units=3'),
            ({'num_blocks': (1, 0)}, r'num_blocks=\[1, 0\]'),
            ({'unit_channels': 0}, 'unit_channels=0'),
            ({'stem_channels': -4}, 'stem_channels=-4'),
            ({'frozen_stages': 3}, 'frozen_stages=3 .* num_stages=2'),
            ({'frozen_stages': -2}, 'frozen_stages=-2'),
            ({'norm_cfg': {'type': 'NoNorm'}}, "norm_cfg={'type': 'NoNorm'}.*fit"),
            ({'norm_cfg': {'type': 'GN', 'num_groups': 3}}, 'norm_cfg=.* 4 channels'),
            ({'norm_cfg': {'type': 'GN'}}, 'norm_cfg=.*GN'),
            ({'norm_cfg': None}, 'norm_cfg=None'),
            ({'act_cfg': {'type': 'NoAct'}}, "act_cfg={'type': 'NoAct'}"),
            ({'act_cfg': None}, 'act_cfg=None'),
            ({'norm_cfg': {'type': 'GN', 'num_groups': 0}}, 'norm_cfg=.*modulo by zero'),
            ({'num_stages': None}, 'num_stages=None'),
            ({'num_stages': True}, 'num_stages=True'),
            ({'unit_channels': 2.5}, r'unit_channels=2\.5'),
            ({'num_blocks': None}, 'num_blocks=None'),
            ({'num_blocks': [1, 'a']}, r"num_blocks=\[1, 'a'\]"),
            ({'frozen_stages': '2'}, "frozen_stages='2'"),
            ({'active_stages': []}, r'active_stages=\[\]'),
        ],
    )
    def test_settings_that_do_not_fit_are_named(self, settings, message):
        with pytest.raises(SettingError, match=message):
            MSPNBackbone(**{'num_stages': 2, **TINY, **settings})

    @pytest.mark.parametrize('shape', [(2, 3, 32, 31), (2, 3, 16, 64), (2, 1, 64, 64), (3, 64, 64)])
    def test_images_that_do_not_fit_are_described(self, shape):
        network = tiny(1, num_units=4, num_blocks=(1, 1, 1, 1))
        with pytest.raises(
            SettingError, match=rf'shape \({", ".join(map(str, shape))}\).*input_size.*32'
        ):
            network(torch.zeros(shape))

    def test_the_smallest_and_odd_sizes_work(self):
        network = tiny(2, num_units=4, num_blocks=(1, 1, 1, 1)).eval()
        assert network(images(1, 32, 32))[0][0].shape[2:] == (1, 1)
        assert network(images(1, 50, 37))[1][-1].shape[2:] == (13, 10)
