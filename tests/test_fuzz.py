"""Drawn checkpoints and drawn settings: what fits works, anything else ends in one message."""

import io
import json
import pickle
import random
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, MODELS
from support.pages import REPO

from mspn_plugin import SettingError, config_path, convert_megvii_checkpoint
from mspn_plugin.checks.fit import check_fit, check_model
from mspn_plugin.commands.convert import convert_megvii_file

# The same examples on every run; raise max_examples and take derandomize out to look for more.
drawn = settings(
    deadline=None,
    derandomize=True,
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


# The converter. Each weight of this checkpoint is one number all over, kept once in memory and in
# the file, so that a conversion is judged by numbers.


@cache
def release():
    """A checkpoint of the release with one stage."""
    listing = (REPO / 'tests' / 'golden' / 'megvii_state_dict_1stage.txt').read_text()
    weights = {}
    for number, line in enumerate(listing.splitlines(), start=1):
        key, shape = line.split('\t')
        weights[key] = torch.tensor(float(number)).expand(json.loads(shape))
    return weights


@cache
def converted():
    """The right conversion, as one number for each weight."""
    return {key: value.max().item() for key, value in convert_megvii_checkpoint(release()).items()}


def assert_right(state_dict):
    """The conversion is that of the whole checkpoint."""
    assert list(state_dict) == list(converted())
    for key, value in state_dict.items():
        expected = pytest.approx(converted()[key], rel=0.01)
        assert value.min().item() == expected == value.max().item(), key


def one_message(error):
    """What a user reads is short enough to be read."""
    assert type(error) is SettingError
    assert len(str(error)) < 3000


KEYS = st.sampled_from(sorted(release()))
STRANGE_KEYS = st.one_of(
    st.text(max_size=20),
    st.integers(),
    st.none(),
    st.integers(0, 10**12).map('stage{}.downsample.layer1.0.conv_bn_relu1.conv.weight'.format),
    KEYS.map(lambda key: key.replace('stage0', 'stage1')),
    KEYS.map(lambda key: f'module.{key}'),
    KEYS.map(lambda key: key[:-1]),
)
SHAPES = st.lists(st.integers(0, 5), min_size=1, max_size=5)  # none that a weight has
NO_WEIGHTS = st.one_of(
    st.none(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.just({}),
    SHAPES.map(lambda shape: torch.zeros(shape)),
    SHAPES.map(lambda shape: np.zeros(shape)),
)
KINDS = [torch.float64, torch.float16, torch.bfloat16]


@st.composite
def changes(draw):
    """One change to a checkpoint of the release, in place; gives what it has become."""
    kind = draw(st.sampled_from(['cut', 'add', 'rename', 'value', 'kind', 'wrap', 'all']))
    key, strange, value = draw(KEYS), draw(STRANGE_KEYS), draw(NO_WEIGHTS)
    dtype = draw(st.sampled_from(KINDS))
    prefix = draw(st.sampled_from(['module.', 'module.module.', 'model.', '']))
    wrapper = draw(st.sampled_from(['model', 'state_dict', 'weights']))

    def change(weights):
        if not isinstance(weights.get(key), torch.Tensor):
            return weights
        if kind == 'cut':
            del weights[key]
        elif kind == 'add':
            weights[strange] = value
        elif kind == 'rename':
            weights[strange] = weights.pop(key)
        elif kind == 'value':
            weights[key] = value
        elif kind == 'kind' and weights[key].dtype == torch.float32:
            weights[key] = weights[key].to(dtype)
        elif kind == 'wrap':
            return {wrapper: weights, 'iteration': value}
        elif kind == 'all':
            return {f'{prefix}{k}': v for k, v in weights.items()}
        return weights

    return change


@drawn
@given(st.lists(changes(), max_size=3))
def test_a_changed_checkpoint_is_converted_right_or_refused(several):
    given_weights = dict(release())
    for change in several:
        given_weights = change(given_weights)
    try:
        state_dict = convert_megvii_checkpoint(given_weights)
    except SettingError as error:
        one_message(error)
    else:
        assert_right(state_dict)


@cache
def release_bytes(as_zip):
    content = io.BytesIO()
    torch.save({'model': release()}, content, _use_new_zipfile_serialization=as_zip)
    return content.getvalue()


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('as_zip', [True, False], ids=['zip', 'legacy'])
@drawn
@given(
    seed=st.integers(0, 2**32), bytes_changed=st.integers(0, 3), kept=st.none() | st.floats(0, 1)
)
def test_a_damaged_file_is_converted_right_or_refused(tmp_path, as_zip, seed, bytes_changed, kept):
    source, target = tmp_path / 'IN.pth', tmp_path / 'OUT.pth'
    target.unlink(missing_ok=True)
    content = bytearray(release_bytes(as_zip))
    if kept is not None:
        del content[int(kept * len(content)) :]
    rng = random.Random(seed)
    for _ in range(bytes_changed if content else 0):
        content[rng.randrange(len(content))] = rng.randrange(256)
    source.write_bytes(content)
    try:
        convert_megvii_file(source, target)
    except SettingError as error:
        one_message(error)
        assert 'IN.pth' in str(error)
        assert [file.name for file in tmp_path.iterdir()] == ['IN.pth']
    else:
        written = torch.load(target, weights_only=True)['state_dict']
        if as_zip:  # an older file has no checksum by which another number could be told
            assert_right(written)
        assert sorted(file.name for file in tmp_path.iterdir()) == ['IN.pth', 'OUT.pth']


@pytest.mark.filterwarnings('ignore')
@drawn
@given(
    st.recursive(
        NO_WEIGHTS,
        lambda inner: st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3),
    )
)
def test_any_other_content_of_a_file_is_refused(tmp_path, content):
    source = tmp_path / 'IN.pth'
    torch.save(content, source)
    with pytest.raises(SettingError, match=r'IN\.pth'):
        convert_megvii_file(source, tmp_path / 'OUT.pth')
    source.write_bytes(pickle.dumps(content))
    with pytest.raises(SettingError, match=r'IN\.pth'):
        convert_megvii_file(source, tmp_path / 'OUT.pth')
    assert [file.name for file in tmp_path.iterdir()] == ['IN.pth']


# Overrides of mspn_coco.py, each at the places that a user has to change together, or at some of
# them only. A tiny network on the rendered people takes a step with what comes out.

HEAD, BACKBONE = 'model.head', 'model.backbone'
CODECS = ('model.head.decoder', 'train_dataloader.dataset.pipeline.6.encoder')
CROPS = ('train_dataloader.dataset.pipeline.5', 'val_dataloader.dataset.pipeline.2')
TINY = {
    f'{BACKBONE}.init_cfg': None,
    f'{BACKBONE}.stem_channels': 4,
    f'{BACKBONE}.unit_channels': 8,
    f'{BACKBONE}.num_blocks': [1, 1, 1, 1],
    f'{HEAD}.unit_channels': 8,
    **{f'{place}.input_size': (48, 64) for place in (*CODECS, *CROPS)},
    **{f'{place}.heatmap_size': (12, 16) for place in CODECS},
}

WRONG = st.sampled_from([None, 0, -1, 2.5, '2', 'no', [], [1, 'a'], float('nan'), True])
SIZES = st.tuples(st.sampled_from([16, 32, 48, 64]), st.sampled_from([16, 32, 64, 96]))
LOSSES = st.one_of(
    st.builds(dict, type=st.just('OHKMLoss'), topk=st.integers(-1, 20) | WRONG),
    st.builds(dict, type=st.just('JointMSELoss'), loss_weight=st.floats(0, 2)),
    st.just(dict(type='KeypointMSELoss', use_target_weight=True)),
)
SETTINGS = {
    'num_stages': ((BACKBONE, HEAD), st.integers(1, 3)),
    'num_units': ((BACKBONE, HEAD), st.integers(1, 5)),
    'unit_channels': ((BACKBONE, HEAD), st.integers(1, 9)),
    'stem_channels': ((BACKBONE,), st.integers(1, 6)),
    'num_blocks': ((BACKBONE,), st.lists(st.integers(0, 2), min_size=1, max_size=5)),
    'double_channels': ((BACKBONE,), st.booleans()),
    'aggregation': ((BACKBONE,), st.booleans()),
    'with_cp': ((BACKBONE,), st.booleans()),
    'norm_eval': ((BACKBONE,), st.booleans()),
    'norm_cfg': (
        (BACKBONE, HEAD),
        st.sampled_from(['BN', 'SyncBN', 'IN', 'XN']).map(lambda kind: dict(type=kind))
        | st.builds(dict, type=st.just('GN'), num_groups=st.integers(0, 4)),
    ),
    'act_cfg': ((BACKBONE,), st.sampled_from([dict(type='LeakyReLU'), dict(type='XReLU')])),
    'frozen_stages': ((BACKBONE, HEAD), st.integers(-2, 3)),
    'active_stages': ((BACKBONE, HEAD), st.integers(0, 3)),
    'out_channels': ((HEAD,), st.integers(16, 18)),
    'coarse_to_fine': (
        (HEAD,),
        st.booleans()
        | st.lists(st.lists(st.integers(-1, 5), min_size=3, max_size=4), min_size=1, max_size=3),
    ),
    'empty_occluded': ((HEAD,), st.sampled_from([True, False, 'all', 'none'])),
    'unit_loss': ((HEAD,), LOSSES),
    'final_loss': ((HEAD,), LOSSES),
    'input_size': ((*CODECS, *CROPS), SIZES),
    'heatmap_size': (CODECS, SIZES.map(lambda size: (size[0] // 4, size[1] // 4))),
    'kernel_sizes': (
        CODECS,
        st.lists(st.integers(1, 9), min_size=1, max_size=7)
        | st.sampled_from([(7, 5, 5, 3), (9, 7, 5), (15, 11, 9, 7, 5, 3), (401, 1)]),
    ),
    'unbiased': (CODECS, st.booleans()),
    'blur_kernel_size': ((CODECS[0],), st.integers(-1, 25)),
    'draw_on_device': (CODECS, st.booleans()),
    'flip_test': (('model.test_cfg',), st.booleans()),
    'flip_mode': (('model.test_cfg',), st.just('heatmap')),
    'shift_heatmap': (('model.test_cfg',), st.booleans()),
    'output_heatmaps': (('model.test_cfg',), st.booleans()),
}


@st.composite
def overrides(draw):
    """Settings for ``--cfg-options``: one to four, mostly right and everywhere."""
    given = {}
    for name in draw(
        st.lists(st.sampled_from(sorted(SETTINGS)), min_size=1, max_size=4, unique=True)
    ):
        places, right = SETTINGS[name]
        value = draw(WRONG) if draw(st.integers(0, 3)) == 0 else draw(right)
        if draw(st.integers(0, 3)) == 0:
            places = draw(st.lists(st.sampled_from(places), min_size=1, unique=True))
        given.update({f'{place}.{name}': value for place in places})
    return given


def step_and_predict(people, given):
    """What a run does with a config: it checks, takes a step, and predicts."""
    cfg = Config.fromfile(config_path('mspn_coco'))
    cfg.merge_from_dict(TINY)
    cfg.merge_from_dict(given)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    data = dict(cfg.train_dataloader.dataset, data_root=f'{people}/')
    train = DATASETS.build(data)
    val = DATASETS.build(dict(data, pipeline=cfg.val_dataloader.dataset.pipeline, test_mode=True))
    check_model(model)
    for name, dataset in (('train', train), ('val', val)):
        check_fit(dataset, model, f'{name}_dataloader.dataset')
    batch = pseudo_collate([train[0], train[1]])
    losses = model.train().train_step(batch, build_optim_wrapper(model, cfg.optim_wrapper))
    return model, losses, model.eval().test_step(pseudo_collate([val[0]]))


@pytest.mark.filterwarnings('ignore')
@drawn
@given(overrides())
def test_overridden_settings_train_and_predict_or_are_named(rendered, given):
    torch.manual_seed(0)
    np.random.seed(0)
    try:
        model, losses, (person,) = step_and_predict(rendered, given)
    except (ValueError, AssertionError) as error:  # the latter is TopdownAffine's, of MMPose
        assert len(str(error)) < 3000
        assert any(key.rsplit('.', 1)[1] in str(error) for key in given)
    else:
        assert all(np.isfinite(value.item()) for value in losses.values())
        assert person.pred_instances.keypoints.shape == (1, 17, 2)
        assert np.isfinite(person.pred_instances.keypoints).all()
        for key, value in given.items():
            place, name = key.rsplit('.', 1)
            part = {BACKBONE: model.backbone, HEAD: model.head}.get(place)
            if value is not None and isinstance(getattr(part, name, None), (int, str)):
                assert getattr(part, name) == value, f'{key}={value!r} is taken as something else'
