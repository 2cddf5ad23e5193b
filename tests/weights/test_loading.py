"""Strangers' checkpoints: what does not fit is said, and what would run code is refused."""

import copy

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, load_checkpoint
from mmpose.apis import init_model
from support.checkpoints import RunsCode
from support.small_model import estimator, small_config

from mspn_plugin import SettingError, config_path, load_estimator
from mspn_plugin.inference.detector import Detector
from mspn_plugin.weights.loading import check_estimator_weights, read_checkpoint

RELEASE = {
    'top.conv.conv.weight': torch.zeros(64, 3, 7, 7),
    'stage0.downsample.layer1.0.conv_bn_relu1.conv.weight': torch.zeros(64, 64, 1, 1),
}


@pytest.fixture(autouse=True)
def mmpose_scope():
    init_default_scope('mmpose')


@pytest.fixture(scope='module')
def weights():
    init_default_scope('mmpose')
    return {key: value + 0.5 for key, value in estimator().state_dict().items()}


def refusal(checkpoint, model, whole=False):
    with pytest.raises(SettingError) as error:
        check_estimator_weights(checkpoint, model, whole)
    return str(error.value)


class TestLoadFrom:
    def test_all_weights_fit_under_every_name_that_mmengine_loads(self, weights):
        for given in (
            weights,
            {'state_dict': weights},
            {f'module.{key}': value for key, value in weights.items()},
            {key.replace('head.', 'keypoint_head.'): value for key, value in weights.items()},
        ):
            assert check_estimator_weights(given, estimator(), True) == []

    def test_another_number_of_joints_skips_the_last_layers_and_lists_them(self, weights):
        skipped = check_estimator_weights(weights, estimator(out_channels=5), False)
        last = 'head.predict_layers.3.conv_layers.1.conv.weight [17, 16, 3, 3] instead of [5, '
        assert any(text.startswith(last) for text in skipped)
        assert all(text.startswith('head.predict_layers.') for text in skipped)

    def test_a_backbone_without_a_head_is_taken_and_the_head_listed(self, weights):
        given = {key: value for key, value in weights.items() if key.startswith('backbone.')}
        skipped = check_estimator_weights(given, estimator(), False)
        assert skipped and all('(missing)' in text for text in skipped)

    def test_a_whole_network_needs_every_weight(self, weights):
        said = refusal(weights, estimator(out_channels=5), whole=True)
        assert 'another network' in said and 'of another shape: head.' in said

    @pytest.mark.parametrize('wrap', [lambda w: w, lambda w: {'model': w}], ids=['plain', 'model'])
    def test_the_authors_release_names_the_command_that_converts_it(self, wrap):
        assert 'mspn convert megvii' in refusal(wrap(RELEASE), estimator())

    def test_a_bare_backbone_names_the_setting_that_takes_it(self, weights):
        bare = {
            key.removeprefix('backbone.'): value
            for key, value in weights.items()
            if key.startswith('backbone.')
        }
        assert 'init_cfg' in refusal(bare, estimator())

    def test_weights_of_something_else_are_listed(self, weights):
        said = refusal({'layer.weight': torch.zeros(3)}, estimator())
        assert 'missing: backbone.' in said and 'not known: layer.weight' in said
        cut = {k: v for k, v in weights.items() if 'backbone.top' not in k}
        assert 'missing: backbone.top' in refusal(cut, estimator())

    def test_weights_under_a_wrapper_that_mmengine_does_not_open_are_refused(self, weights):
        assert 'not known: model' in refusal({'model': weights}, estimator())

    def test_weights_that_are_not_finite_are_named(self, weights):
        spoiled = copy.deepcopy(weights)
        key = next(key for key in spoiled if key.startswith('backbone.'))
        spoiled[key].view(-1)[0] = float('nan')
        assert f'NaN or infinite: {key}' in refusal(spoiled, estimator())

    def test_what_holds_no_weights_is_described(self):
        assert 'holds a list' in refusal([1, 2], estimator())

    def test_a_training_takes_what_fits_and_stops_at_anything_else(self, rendered, tmp_path):
        cfg = small_config(rendered, tmp_path / 'work')
        runner = Runner.from_cfg(cfg)
        trained = runner.model.state_dict()
        torch.save({'state_dict': trained, 'meta': {}}, tmp_path / 'fits.pth')
        torch.save(RELEASE, tmp_path / 'release.pth')

        runner._load_from = str(tmp_path / 'release.pth')
        with pytest.raises(SettingError, match=r'release\.pth: .*megvii IN OUT'):
            runner.load_or_resume()
        runner._load_from = str(tmp_path / 'fits.pth')
        runner.load_or_resume()
        assert runner._has_loaded


class TestInitCfg:
    def test_an_unconverted_release_is_refused_by_the_backbone(self, tmp_path):
        torch.save(RELEASE, tmp_path / 'release.pth')
        model = estimator()
        model.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'release.pth'))
        with pytest.raises(SettingError, match='megvii IN OUT'):
            model.backbone.init_weights()


class TestLoadEstimator:
    CONFIG = config_path('mspn_synthetic')

    @pytest.fixture(scope='class')
    def synthetic_weights(self):
        return init_model(self.CONFIG, None, 'cpu').state_dict()

    def refusal(self, file, content):
        torch.save(content, file)
        with pytest.raises(SettingError, match=file.name) as error:
            load_estimator(self.CONFIG, file)
        return str(error.value)

    def test_all_weights_are_loaded(self, synthetic_weights, tmp_path):
        changed = {key: value + 1 for key, value in synthetic_weights.items()}
        torch.save({'state_dict': changed, 'meta': {}}, tmp_path / 'whole.pth')
        loaded = load_estimator(self.CONFIG, tmp_path / 'whole.pth').state_dict()
        assert all(torch.equal(value, changed[key]) for key, value in loaded.items())

    def test_an_unconverted_release_names_the_command_that_converts_it(self, tmp_path):
        assert 'megvii IN OUT' in self.refusal(tmp_path / 'release.pth', {'model': RELEASE})

    @pytest.mark.parametrize('number', [float('nan'), float('inf')])
    def test_weights_that_are_not_finite_are_refused(self, synthetic_weights, tmp_path, number):
        spoiled = {key: value.clone() for key, value in synthetic_weights.items()}
        spoiled['head.predict_layers.0.conv_layers.0.conv.weight'].view(-1)[0] = number
        said = self.refusal(tmp_path / 'spoiled.pth', {'state_dict': spoiled})
        assert 'NaN or infinite: head.predict_layers.0' in said

    def test_weights_that_are_missing_or_not_known_are_named(self, synthetic_weights, tmp_path):
        cut = dict(synthetic_weights)
        del cut['backbone.top.top.0.conv.weight']
        said = self.refusal(tmp_path / 'cut.pth', cut)
        assert '1 missing: backbone.top.top.0.conv.weight' in said
        more = {**synthetic_weights, 'neck.weight': torch.zeros(1)}
        said = self.refusal(tmp_path / 'more.pth', more)
        assert 'neck.weight' in said and self.CONFIG in said


class TestReading:
    @pytest.mark.parametrize('name', ['torchvision://resnet5', 'http://localhost:1/a.pth'])
    def test_what_cannot_be_fetched_is_named(self, name):
        with pytest.raises(SettingError, match=f'^{name} cannot be read .* be reached from here'):
            read_checkpoint(name)

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(SettingError, match=r'no checkpoint .*none\.pth'):
            read_checkpoint(tmp_path / 'none.pth')

    @pytest.mark.parametrize(
        'content, text', [(b'', 'is it complete'), (b'no checkpoint', 'it is refused')]
    )
    def test_what_is_no_checkpoint_is_named(self, tmp_path, content, text):
        (tmp_path / 'cut.pth').write_bytes(content)
        with pytest.raises(SettingError, match=rf'cut\.pth .*{text}'):
            read_checkpoint(tmp_path / 'cut.pth')

    def test_mmengine_reads_by_the_same_rules(self, tmp_path):
        torch.save({'weight': torch.zeros(1000)}, tmp_path / 'changed.pth')
        content = bytearray((tmp_path / 'changed.pth').read_bytes())
        content[len(content) // 2] ^= 1
        (tmp_path / 'changed.pth').write_bytes(content)
        with pytest.raises(SettingError, match=r'changed\.pth is damaged: a checksum'):
            load_checkpoint(torch.nn.Linear(1, 1), str(tmp_path / 'changed.pth'))


class TestHostileFiles:
    @pytest.fixture
    def trap(self, tmp_path):
        """A file that creates another one when it is unpickled."""
        file = tmp_path / 'hostile.pth'
        call = RunsCode(open, str(tmp_path / 'sprung'), 'w')
        torch.save({'state_dict': {}, 'meta': call}, file)
        return file

    def test_every_door_refuses_them(self, mspn, trap, rendered, detector, tmp_path):
        def init_cfg(part):
            model = estimator()
            module = model if part == 'model' else getattr(model, part)
            module.init_cfg = dict(type='Pretrained', checkpoint=str(trap))
            model.init_weights()

        def run(resume):
            options = {'load_from': str(trap), 'resume': resume}
            Runner.from_cfg(small_config(rendered, tmp_path / 'work', **options)).train()

        out = str(tmp_path / 'out')
        network = ['--config', config_path('mspn_synthetic'), '--checkpoint', str(trap)]
        doors = {
            'load_from': lambda: run(False),
            'resume': lambda: run(True),
            'init_cfg of the backbone': lambda: init_cfg('backbone'),
            'init_cfg of the head': lambda: init_cfg('head'),
            'init_cfg of the estimator': lambda: init_cfg('model'),
            'convert': lambda: mspn('convert', 'megvii', trap, out),
            'predict': lambda: mspn('predict', *network, rendered / 'val2017', '--out', out),
            'the detector': lambda: Detector(detector[1], str(trap)),
            'export': lambda: mspn('export', *network, f'{out}.onnx'),
        }
        for door, enter in doors.items():
            try:
                ended = enter()
                said = ended.stderr if ended is not None and ended.exit_code == 2 else ''
            except SettingError as refused:
                said = str(refused)
            assert 'could run code' in said and 'hostile.pth' in said, (door, said)
            assert not (tmp_path / 'sprung').exists(), door
