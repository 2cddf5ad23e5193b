"""Average the weights of trainings that went on from one another, and measure the norms again.

    python examples/average_weights.py CONFIG OUT CHECKPOINT CHECKPOINT ... [--overwrite]

The average of the norms' statistics does not fit the average of the weights. They are measured in
an epoch of the training crops of CONFIG, those of its end where its pipeline switches. CONFIG is
one in which all norms train.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpose.registry import MODELS
from torch.optim.swa_utils import update_bn

from mspn_plugin.files import check_target, writing
from mspn_plugin.weights.loading import read_checkpoint, weights_in


def main(arguments: list[str] | None = None) -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').split('\n')[0])
    parser.add_argument('config', metavar='CONFIG')
    parser.add_argument('out', type=Path, metavar='OUT')
    parser.add_argument('checkpoints', nargs='+', metavar='CHECKPOINT')
    parser.add_argument('--overwrite', action='store_true', help='replace OUT')
    options = parser.parse_args(arguments)
    check_target(options.out, options.overwrite)

    config = Config.fromfile(options.config)
    init_default_scope('mmpose')
    loader = config.train_dataloader
    for hook in config.get('custom_hooks', []):
        if hook['type'] == 'mmdet.PipelineSwitchHook':
            loader.dataset.pipeline = hook['switch_pipeline']

    checkpoints = [read_checkpoint(path) for path in options.checkpoints]
    networks = [weights_in(checkpoint) for checkpoint in checkpoints]
    estimator = MODELS.build(config.model)
    estimator.load_state_dict(
        {
            name: torch.stack([network[name].float() for network in networks]).mean(0)
            for name in networks[0]
        }
    )
    batches = Runner.build_dataloader(loader, seed=0)
    update_bn(
        (estimator.data_preprocessor(batch, True)['inputs'] for batch in batches),
        torch.nn.Sequential(estimator.backbone, estimator.head),
    )
    averaged = dict(meta=checkpoints[-1].get('meta', {}), state_dict=estimator.state_dict())
    with writing(options.out) as unfinished:
        torch.save(averaged, unfinished)


if __name__ == '__main__':
    main()
