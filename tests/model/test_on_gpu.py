"""What training and prediction do on a GPU: ``make gpu``. Without one, the CPU does less of it."""

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import DefaultScope
from mmengine.runner import set_random_seed
from support.small_head import build, features, persons, samples_of

from mspn_plugin import config_path, fuse
from mspn_plugin.benchmark.samples import Samples, write_image

from mmpose.registry import MODELS  # isort: skip

pytestmark = pytest.mark.cuda
HAS_GPU = torch.cuda.is_available()
DEVICE = 'cuda' if HAS_GPU else 'cpu'
STEPS = 200 if HAS_GPU else 12


@pytest.fixture(scope='module')
def config():
    config = Config.fromfile(config_path('mspn_synthetic'))
    config.model.backbone.update(stem_channels=8, unit_channels=16)
    config.model.head.unit_channels = 16
    return config


@pytest.fixture(scope='module')
def batch(config, tmp_path_factory):
    image = write_image(str(tmp_path_factory.mktemp('image')))
    with DefaultScope.overwrite_default_scope('mmpose'):
        return Samples(config, image).batch('train', 4)


def network(config, **settings):
    set_random_seed(0)
    model = Config(config.model.to_dict())
    model.merge_from_dict(settings)
    with DefaultScope.overwrite_default_scope('mmpose'):
        built = MODELS.build(model)
    built.init_weights()
    return built.to(DEVICE).train()


def optimizer(model, kind=OptimWrapper, lr=1e-3, **settings):
    return kind(optimizer=torch.optim.Adam(model.parameters(), lr), **settings)


def losses(model, wrapper, batch, steps):
    return torch.stack([model.train_step(batch, wrapper)['loss'] for _ in range(steps)])


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
def test_half_precision_learns_without_a_nan(config, batch, dtype):
    model = network(config)
    wrapper = optimizer(model, AmpOptimWrapper, lr=0.2, dtype=dtype)
    values = losses(model, wrapper, batch, STEPS)
    assert values.isfinite().all()
    assert values[-1] < 0.97 * values[0]


def test_synchronised_norms_train_on_one_device(config, batch):
    sync = dict(type='SyncBN')
    model = network(config, **{'backbone.norm_cfg': sync, 'head.norm_cfg': sync})
    assert any(isinstance(m, torch.nn.SyncBatchNorm) for m in model.modules())
    if not HAS_GPU:  # they refuse a CPU's tensors
        model = torch.nn.Module.apply(model, lambda m: m.eval())
    assert losses(model, optimizer(model), batch, 2).isfinite().all()


def test_a_seed_gives_the_same_weights_again(config, batch, monkeypatch):
    monkeypatch.setenv('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
    monkeypatch.setattr(torch.backends.cudnn, 'benchmark', False)
    torch.use_deterministic_algorithms(True)
    try:
        weights = []
        for _ in range(2):
            model = network(config)
            losses(model, optimizer(model), batch, 2)
            weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(*weights)


def test_a_compiled_backbone_learns_the_same(config, batch):
    backend = 'inductor' if HAS_GPU else 'eager'
    torch.compiler.reset()  # what other tests compiled counts towards a limit
    values = []
    for compiles in (False, True):
        model = network(config)
        if compiles:
            model.backbone.compile(backend=backend)
        values.append(losses(model, optimizer(model), batch, 2))
    torch.compiler.reset()
    torch.testing.assert_close(*values, rtol=1e-3, atol=0)


def test_a_fused_network_predicts_the_same(config, batch):
    model = network(config)
    losses(model, optimizer(model), batch, 2)
    model.eval()
    images = model.data_preprocessor(batch, False)['inputs']
    with torch.no_grad():
        expected = model(images, None, mode='tensor')[-1]
        given = fuse(model)(images, None, mode='tensor')
    torch.testing.assert_close(given, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.skipif(not HAS_GPU, reason='needs a GPU')
def test_the_loss_does_not_wait_for_the_gpu():
    head = build().cuda()
    feats = [[unit.cuda() for unit in stage] for stage in features()]
    samples = [sample.to('cuda') for sample in samples_of(persons())]
    torch.cuda.set_sync_debug_mode('error')
    try:
        head.loss(feats, samples)
    finally:
        torch.cuda.set_sync_debug_mode('default')
