"""What training by a config would cost on this machine, by a short measurement."""

import copy
import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner
from torch import nn

from ..errors import SettingError
from ..measure.cost import kept_by_training, peak_memory
from ..measure.machine import cores
from ..measure.timing import clock, summarise


@dataclass(frozen=True)
class RunCost:
    """The cost of a training, by one process."""

    device: str
    batch_size: int
    memory: int  # bytes: the most that tensors take in a step
    network: float  # seconds of a step of the network, its batch being ready
    loading: float  # seconds in which one process reads and augments a batch
    workers: int  # how many processes do that; 0 is the training's own
    steps: int  # of an epoch
    total_steps: int  # of the whole schedule
    cores: int  # that this process may use

    @property
    def loading_apart(self) -> float:
        """Seconds for a batch from all workers, which can't be more than the cores."""
        return self.loading / max(1, min(self.workers, self.cores))

    @property
    def step(self) -> float:
        """Seconds of a step with its data.

        Workers load while a GPU computes, so that the slower of the two counts. On the CPU they
        share the cores with the network, and without workers one waits for the other.
        """
        if self.workers == 0:
            return self.network + self.loading
        if self.device.startswith('cuda'):
            return max(self.network, self.loading_apart)
        return self.network + self.loading / self.cores


def measure(cfg: Config, model: nn.Module, device: str, seconds: float = 10.0) -> RunCost:
    """Measure some steps of a training on its own data.

    The weights of the model are changed; a learning rate near 0 keeps them finite. The network is
    measured for so many seconds, and again the loading, but at least twice.

    Raises:
        SettingError: If there is no batch.
        RuntimeError: Whatever training raises, such as that memory is short.
    """
    settings = copy.deepcopy(cfg.train_dataloader)
    settings.update(num_workers=0, persistent_workers=False)
    settings.pop('prefetch_factor', None)
    loader = Runner.build_dataloader(settings, seed=0)
    if not len(loader):
        raise SettingError('train_dataloader gives no batch; batch_size is above its persons')
    stream = itertools.chain.from_iterable(itertools.repeat(loader))
    batches: list[Any] = []
    loading = _repeated(lambda: batches.append(next(stream)), seconds, 'cpu')
    turn = itertools.cycle(batches[-2:])
    trained: Any = model.to(device).train()
    optimizer = build_optim_wrapper(model, copy.deepcopy(cfg.optim_wrapper))
    for group in optimizer.param_groups:
        group['lr'] = 1e-6

    def step() -> None:
        trained.train_step(next(turn), optimizer)

    step()  # the optimizer's state is there after the first
    model.zero_grad(set_to_none=True)
    memory = peak_memory(step, kept_by_training(model, optimizer.optimizer), device)
    steps, epochs = len(loader), cfg.train_cfg.get('max_epochs')
    return RunCost(
        device=device,
        batch_size=loader.batch_size,
        memory=memory,
        network=_repeated(step, seconds, device),
        loading=loading,
        workers=cfg.train_dataloader.get('num_workers', 0),
        steps=steps,
        total_steps=steps * epochs if epochs else cfg.train_cfg.get('max_iters', steps),
        cores=cores(),
    )


def _repeated(call: Callable[[], object], seconds: float, device: str) -> float:
    """The median time of a call that is repeated for some seconds, 2 to 20 times."""
    samples: list[float] = []
    deadline = time.perf_counter() + seconds
    while len(samples) < 2 or (time.perf_counter() < deadline and len(samples) < 20):
        samples.append(clock(call, device))
    return summarise(samples).median


def in_words(run: RunCost) -> list[str]:
    """A run's cost in sentences, as lines to print."""
    of = ''
    if run.device.startswith('cuda'):
        of = f' of {torch.cuda.get_device_properties(run.device).total_memory / 2**30:.1f} GiB'
    by = f'{run.workers} workers' if run.workers else 'the same process'
    longer = 'the network' if run.network >= run.loading_apart else 'loading the data'
    return [
        f'memory   {run.memory / 2**30:.2f} GiB{of} for a step of {run.batch_size} persons '
        f'on {run.device}',
        f'a step   {_time(run.step)}: network {_time(run.network)}, loading '
        f'{_time(run.loading_apart)} by {by}; {longer} takes longer',
        f'an epoch {_time(run.step * run.steps)} for {run.steps} steps, without validation',
        f'the run  {_time(run.step * run.total_steps)} for '
        f'{math.ceil(run.total_steps / run.steps)} epochs ({run.total_steps} steps) in one process',
    ]


def _time(seconds: float) -> str:
    if seconds < 1:
        return f'{1000 * seconds:.0f} ms'
    if seconds < 90:
        return f'{seconds:.2f} s'
    return f'{seconds / 60:.0f} min' if seconds < 5400 else f'{seconds / 3600:.1f} h'
