"""Augmentation that is the same in every run with a seed, interrupted or not."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner, set_random_seed
from mmpose.registry import HOOKS
from torch.utils.data import get_worker_info


@HOOKS.register_module()
class SampleSeedHook(Hook):
    """Makes a sample's augmentation follow from the seed, the epoch and the sample's index alone.

    MMEngine seeds each worker of a data loader once, and its random numbers then depend on all that
    it has drawn before: a resumed run, or one with other workers or processes, augments otherwise.
    With this hook neither matters. A resumed run also gets the order of the data that it had, and
    at the start of each epoch the generators of PyTorch are seeded, for a model that draws.

    It is for epochs. An ``IterBasedTrainLoop`` repeats all drawing up to the iteration that it
    resumes from, and so comes to the same numbers by itself if ``randomness.seed`` is set.
    """

    priority = 'HIGH'

    def before_run(self, runner: Runner) -> None:
        """Remember the seed that the samplers were built with."""
        self._seed = runner.seed

    def before_train(self, runner: Runner) -> None:
        """Take over the loading of the training data."""
        loop, loader = runner.train_loop, runner.train_dataloader
        # A resumed run has the seed of its checkpoint, and a sampler of the seed before that.
        has_other_seed = runner.seed != self._seed
        if not isinstance(loop, EpochBasedTrainLoop):
            if has_other_seed:
                runner.logger.warning(
                    'This run draws its data in another order than the one that it resumes; '
                    f'set randomness=dict(seed={runner.seed}) to go on in the same order'
                )
            return
        sampler = getattr(loader.batch_sampler, 'sampler', loader.sampler)
        if has_other_seed and getattr(sampler, 'seed', None) == self._seed:
            sampler.seed = runner.seed
        self._samples = _SeededSamples(loader.dataset, runner.seed)
        # PyTorch's loaders ask a data set for whole batches where it has this method.
        loader.dataset.__getitems__ = self._samples

    def before_train_epoch(self, runner: Runner) -> None:
        """Tell the workers which epoch it is."""
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            self._samples.epoch.fill_(runner.epoch)
            set_random_seed(_mixed(runner.seed, runner.epoch))


class _SeededSamples:
    """Gets samples from a data set, each with random generators of its own."""

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed
        # Workers that outlive an epoch see the next one through shared memory.
        self.epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def __call__(self, indices: Sequence[int]) -> list[Any]:
        samples = []
        for index in indices:
            number = _mixed(self.seed, int(self.epoch), index)
            np.random.seed(number)
            random.seed(number)
            if get_worker_info() is not None:  # without workers the model draws from the same
                torch.manual_seed(number)
            samples.append(self.dataset[index])
        return samples


def _mixed(*parts: int) -> int:
    """Mix numbers to one of 32 bits that looks random."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
