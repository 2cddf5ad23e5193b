"""A training step as a user gets it, beside MMPose's: samples, forward, loss, backward, update.

Run ``python benchmarks/bench_training.py [--quick]``. Both sides train two-stage MSPN-50 on the
same persons with the optimizer of their config. Ours does so as ``configs/mspn_coco.py`` is, and
with what the small configs add for a CPU: channels-last memory, targets drawn by the head, and
bfloat16 where the processor has it.
"""

import tempfile
from collections.abc import Callable
from typing import Any

import torch
from bench_pipeline import MMPOSE, OURS, data_root, sampling
from mmengine.config import Config
from rows import interleaved, make_row, run_topic

from mspn_plugin.config_files import find_config

# After the plugin, which lets mmpose import.
from mmengine.dataset import pseudo_collate  # isort: skip
from mmengine.optim import build_optim_wrapper  # isort: skip
from mmengine.registry import DefaultScope  # isort: skip
from mmpose.registry import MODELS  # isort: skip
from mmpose.utils import register_all_modules  # isort: skip

FAST = {
    'model.backbone.channels_last': True,
    'optim_wrapper.type': 'AmpOptimWrapper',
    'optim_wrapper.dtype': 'bfloat16',
    'optim_wrapper.loss_scale': dict(enabled=False),
}
SMALL = {'model.backbone.num_blocks': [1, 1, 1, 1]}


def training(config: str, root: str, persons: int, options: dict[str, Any]) -> Callable[[], object]:
    """Make a call that takes a batch of a config's training samples and trains a step on it."""
    cfg = Config.fromfile(find_config(config))
    cfg.merge_from_dict({'model.backbone.init_cfg': None, **options})
    take = sampling(config, root, persons)
    with DefaultScope.overwrite_default_scope('mmpose'):
        torch.manual_seed(0)
        model = MODELS.build(cfg.model).train()
        wrapper = build_optim_wrapper(model, cfg.optim_wrapper)

    def step() -> None:
        model.train_step(pseudo_collate(take()), wrapper)

    return step


def run(quick: bool) -> list[dict[str, Any]]:
    """Measure everything, or less of it; the rows are of :func:`rows.make_row`."""
    register_all_modules(init_default_scope=False)
    persons = 2 if quick else 8
    network = SMALL if quick else {}
    with tempfile.TemporaryDirectory() as folder:
        root = data_root(folder)
        times = interleaved(
            {
                'MMPose': training(MMPOSE, root, persons, network),
                'as configured': training(OURS, root, persons, network),
                'with channels_last and bfloat16 where there is any': training(
                    OURS, root, persons, {**network, **FAST}
                ),
            },
            repeats=2 if quick else 7,
            warmup=1,
        )
    theirs = times.pop('MMPose').median
    what = f'two stages, {persons} persons'
    return [
        make_row('training', f'a training step, {what}, {name}', timing.median, theirs)
        for name, timing in times.items()
    ]


if __name__ == '__main__':
    run_topic(__doc__, run)
