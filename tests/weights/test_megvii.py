"""Checkpoints from elsewhere: the authors' release, MMPose 1.x and MMPose 0.x."""

import ast
import pickle
import random
import zlib

import numpy as np
import pytest
import torch

from mspn_plugin import SettingError, convert_megvii_checkpoint
from mspn_plugin.commands.convert import convert_megvii_file

# After the plugin, which lets mmpose import.
from mmengine.runner import load_checkpoint  # isort: skip
from mmpose.models import build_pose_estimator  # isort: skip


def release_weights(golden, num_stages):
    """The release's state dict with the values that the golden figures' README fixes."""
    weights = {}
    listing = (golden / f'megvii_state_dict_{num_stages}stage.txt').read_text()
    for key, shape in (line.split('\t') for line in listing.splitlines()):
        shape = tuple(ast.literal_eval(shape))
        rng = np.random.RandomState(zlib.crc32(key.encode()) & 0xFFFFFFFF)
        if key.endswith('num_batches_tracked'):
            value = np.zeros(shape)
        elif key.endswith(('.running_var', '.bn.weight')):
            value = 0.5 + rng.random_sample(shape)
        elif key.endswith(('.bn.bias', '.running_mean', '.conv.bias')):
            value = 0.1 * rng.standard_normal(shape)
        else:
            value = rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
        weights[key] = torch.from_numpy(np.asarray(value, dtype=np.float32))
    return weights


@pytest.fixture(scope='module')
def one_stage(golden):
    return release_weights(golden, 1)


def estimator(num_stages, ours=True):
    codec = {
        'type': 'CoarseToFineHeatmap' if ours else 'MegviiHeatmap',
        'input_size': (192, 256),
        'heatmap_size': (48, 64),
    }
    if ours:
        backbone = {'type': 'MSPNBackbone', 'num_stages': num_stages}
        head = {'type': 'MultiStageHeatmapHead', 'num_stages': num_stages, 'decoder': codec}
    else:
        backbone = {'type': 'MSPN', 'num_stages': num_stages, 'num_blocks': [3, 4, 6, 3]}
        head = {
            'type': 'MSPNHead',
            'num_stages': num_stages,
            'level_indices': [0] * 4 * num_stages,
            'decoder': {**codec, 'kernel_size': 5},
        }
    return build_pose_estimator(
        {'type': 'TopdownPoseEstimator', 'backbone': backbone, 'head': head}
    ).eval()


class TestAgainstTheRelease:
    @pytest.mark.parametrize('num_stages', [1, 2, pytest.param(4, marks=pytest.mark.slow)])
    def test_the_converted_network_gives_the_releases_heatmaps(self, golden, num_stages):
        figures = np.load(golden / f'megvii_model_{num_stages}stage.npz')
        rng = np.random.RandomState(int(figures['input_seed']))
        bgr = torch.from_numpy(rng.standard_normal((1, 3, 256, 192)).astype(np.float32))
        model = estimator(num_stages)
        model.load_state_dict(
            convert_megvii_checkpoint(release_weights(golden, num_stages)), strict=True
        )
        with torch.no_grad():
            heatmaps = torch.stack(model(bgr.flip(1), None, mode='tensor'))
        heatmaps = heatmaps.reshape(num_stages, 4, 17, 64, 48).numpy()
        expected = figures['heatmaps']
        if num_stages == 4:
            heatmaps = heatmaps[-1:, -1:]
        np.testing.assert_allclose(heatmaps, expected, rtol=0, atol=1e-5 * abs(expected).max())

    def test_the_file_wrapper_and_prefixes_change_nothing(self, one_stage):
        plain = convert_megvii_checkpoint(one_stage)
        wrapped = {'model': {f'module.{k}': v for k, v in one_stage.items()}, 'iteration': 96000}
        again = convert_megvii_checkpoint(wrapped)
        assert list(again) == list(plain)
        assert all(torch.equal(again[key], value) for key, value in plain.items())

    def test_the_releases_weights_are_left_as_they_were(self, one_stage):
        before = {key: value.clone() for key, value in one_stage.items()}
        for value in convert_megvii_checkpoint(one_stage).values():
            value.zero_()
        assert all(torch.equal(one_stage[key], value) for key, value in before.items())

    def test_the_number_of_joints_and_channels_is_read_off(self, one_stage):
        def resized(key, value):
            if '.res_conv2.' in key and value.dim():
                return value[:14]
            return value

        converted = convert_megvii_checkpoint({k: resized(k, v) for k, v in one_stage.items()})
        assert converted['head.predict_layers.3.conv_layers.1.conv.weight'].shape[0] == 14


class TestWhatIsWrong:
    def spoiled(self, weights, missing=(), extra=(), misshapen=()):
        spoiled = {key: value for key, value in weights.items() if key not in missing}
        spoiled.update({key: torch.zeros(3) for key in (*extra, *misshapen)})
        return spoiled

    def test_every_kind_of_fault_is_listed_with_its_keys(self, one_stage):
        missing = 'stage0.downsample.layer3.5.conv_bn_relu2.bn.running_var'
        misshapen = 'stage0.upsample.up2.up_conv.conv.weight'
        with pytest.raises(SettingError) as error:
            convert_megvii_checkpoint(
                self.spoiled(one_stage, [missing], ['stage0.gate.weight'], [misshapen])
            )
        message = str(error.value)
        stage = 'backbone.multi_stage_mspn.0'
        assert f'1 missing: {stage}.downsample.layer3.5.bn2.running_var' in message
        assert f'1 unknown: {stage}.gate.weight' in message
        assert f'{stage}.upsample.up2.up_conv.conv.weight [3] instead of [256, 256, 1' in message

    def test_a_convolution_without_its_bias_is_refused(self, one_stage):
        cut = self.spoiled(one_stage, ['top.conv.conv.bias'])
        with pytest.raises(SettingError, match=r'1 missing: backbone\.top\.top\.0\.bn\.conv_bias'):
            convert_megvii_checkpoint(cut)

    def test_a_checkpoint_that_lost_its_last_stage_is_refused(self, golden):
        cut = {k: v for k, v in release_weights(golden, 2).items() if not k.startswith('stage1')}
        with pytest.raises(SettingError, match=r'63 unknown: .*up1\.out_skip1.* and 59 more'):
            convert_megvii_checkpoint(cut)

    def test_a_tensor_that_is_none_is_refused(self, one_stage):
        with pytest.raises(SettingError, match=r'top\.0\.bn\.bias NoneType instead of \[64\]'):
            convert_megvii_checkpoint({**one_stage, 'top.conv.bn.bias': None})

    def test_a_stage_that_is_far_off_is_refused_at_once(self, one_stage):
        with pytest.raises(SettingError, match=r'1 unknown: .*mspn\.999999999999\.x'):
            convert_megvii_checkpoint({**one_stage, 'stage999999999999.x': torch.zeros(1)})

    @pytest.mark.parametrize(
        'given, message',
        [
            ({}, 'its keys: none'),
            ({'conv1.weight': torch.zeros(1)}, r'its keys: conv1\.weight'),
            ({'state_dict': {'backbone.multi_stage_mspn.0.x': 0}}, 'loads as it is'),
            ([1, 2], 'holds a list'),
        ],
    )
    def test_something_else_is_described(self, given, message):
        with pytest.raises(SettingError, match=message):
            convert_megvii_checkpoint(given)


class TestCommand:
    @pytest.fixture
    def release_file(self, one_stage, tmp_path):
        path = tmp_path / 'release.pth'
        torch.save({'model': one_stage, 'optimizer': {'state': {}}, 'iteration': 96000}, path)
        return path

    def test_a_file_is_converted_for_load_from(self, mspn, release_file, one_stage, tmp_path):
        target = tmp_path / 'mspn.pth'
        assert '1 stage' in mspn('convert', 'megvii', release_file, target).stdout
        model = estimator(1)
        load_checkpoint(model, str(target), map_location='cpu', strict=True)
        expected = convert_megvii_checkpoint(one_stage)
        assert all(torch.equal(v, expected[k]) for k, v in model.state_dict().items())
        assert sorted(p.name for p in tmp_path.iterdir()) == ['mspn.pth', 'release.pth']

    def test_an_existing_file_is_kept_unless_told_otherwise(self, mspn, release_file, tmp_path):
        target = tmp_path / 'mspn.pth'
        target.write_text('precious')
        with pytest.raises(SettingError, match=r'mspn\.pth exists.*--overwrite'):
            convert_megvii_file(release_file, target)
        assert target.read_text() == 'precious'
        mspn('convert', 'megvii', release_file, target, '--overwrite')
        assert 'state_dict' in torch.load(target, weights_only=True)

    @pytest.mark.parametrize(
        'spoil, message',
        [
            (lambda path: path.unlink(), 'no checkpoint'),
            (lambda path: path.write_bytes(b''), 'cannot be read'),
            (lambda path: path.write_bytes(path.read_bytes()[:5000]), 'cannot be read'),
            (lambda path: path.write_text('not a checkpoint'), 'refused'),
            (lambda path: torch.save({'model': {'a': torch.zeros(1)}}, path), 'its keys: a'),
        ],
    )
    def test_a_bad_source_names_the_file_and_leaves_nothing(
        self, release_file, spoil, message, tmp_path
    ):
        spoil(release_file)
        before = sorted(tmp_path.iterdir())
        with pytest.raises(SettingError, match=rf'release\.pth.*{message}|{message}.*release\.pth'):
            convert_megvii_file(release_file, tmp_path / 'mspn.pth')
        assert sorted(tmp_path.iterdir()) == before

    @pytest.mark.filterwarnings('ignore:Detected pickle protocol')
    @pytest.mark.parametrize('as_zip', [True, False], ids=['zip', 'legacy'])
    def test_damage_anywhere_in_a_file_gives_one_message(self, as_zip, tmp_path):
        source, target = tmp_path / 'release.pth', tmp_path / 'mspn.pth'
        torch.save({'model': {'a': torch.zeros(3)}}, source, _use_new_zipfile_serialization=as_zip)
        whole = source.read_bytes()
        draw = random.Random(0)
        for _ in range(150):
            damaged = bytearray(whole)
            for _ in range(3):
                damaged[draw.randrange(len(whole))] = draw.randrange(256)
            source.write_bytes(damaged)
            with pytest.raises(SettingError, match=r'release\.pth'):
                convert_megvii_file(source, target)
        assert not target.exists()

    def test_another_number_in_a_file_is_noticed_by_its_checksum(self, release_file, tmp_path):
        content = bytearray(release_file.read_bytes())
        content[len(content) // 2] ^= 1
        release_file.write_bytes(content)
        with pytest.raises(SettingError, match=r'release\.pth is damaged: .*checksum'):
            convert_megvii_file(release_file, tmp_path / 'mspn.pth')

    def test_a_folder_that_does_not_exist_is_named(self, release_file, tmp_path):
        with pytest.raises(SettingError, match=r'folder .*nowhere does not exist'):
            convert_megvii_file(release_file, tmp_path / 'nowhere' / 'mspn.pth')

    @pytest.mark.filterwarnings('ignore:Detected pickle protocol')
    def test_a_file_that_would_run_code_is_refused_and_not_run(self, tmp_path):
        class Trap:
            def __reduce__(self):
                return (open, (str(tmp_path / 'sprung'), 'w'))

        source = tmp_path / 'release.pth'
        torch.save({'model': Trap()}, source)
        with pytest.raises(SettingError, match=r'release\.pth .*could run code'):
            convert_megvii_file(source, tmp_path / 'mspn.pth')
        source.write_bytes(pickle.dumps({'model': Trap()}))
        with pytest.raises(SettingError, match=r'release\.pth .*could run code'):
            convert_megvii_file(source, tmp_path / 'mspn.pth')
        assert [p.name for p in tmp_path.iterdir()] == ['release.pth']


class TestMMPose:
    @pytest.mark.parametrize('num_stages', [1, pytest.param(4, marks=pytest.mark.slow)])
    def test_whole_estimators_load_strictly_both_ways(self, num_stages):
        ours, theirs = estimator(num_stages), estimator(num_stages, ours=False)
        ours.load_state_dict(theirs.state_dict(), strict=True)
        image = torch.randn(1, 3, 256, 192)
        with torch.no_grad():
            for heatmap, expected in zip(ours(image, None), theirs(image, None), strict=True):
                torch.testing.assert_close(
                    heatmap, expected, rtol=0, atol=1e-5 * float(expected.abs().max())
                )
        theirs.load_state_dict(ours.state_dict(), strict=True)

    def test_names_of_mmpose_0_load_from_a_file(self, tmp_path):
        theirs = estimator(1, ours=False)
        old = {
            key.replace('head.', 'keypoint_head.'): value
            for key, value in theirs.state_dict().items()
        }
        torch.save({'meta': {'mmpose_version': '0.10.0'}, 'state_dict': old}, tmp_path / 'zoo.pth')
        ours = estimator(1)
        load_checkpoint(ours, str(tmp_path / 'zoo.pth'), map_location='cpu', strict=True)
        for key, value in theirs.state_dict().items():
            assert torch.equal(ours.state_dict()[key], value), key
