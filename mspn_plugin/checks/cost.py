"""What training by a config would cost on this machine, by a short measurement."""

import copy
import itertools
import math
import time
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner
from torch import nn

from ..measure import cost
from ..measure.machine import cores
from ..measure.timing import clock, summarise


@dataclass(frozen=True)
class RunCost:
    """The cost of a training, by one process.

    Attributes:
        device (str): The torch device that was measured.
        batch_size (int): Persons in a batch.
        memory (int): The most bytes that tensors take in a step.
        network (float): Seconds of a step of the network, its batch being ready.
        loading (float): Seconds in which one process reads and augments a batch.
        workers (int): How many processes do that, ``num_workers``; 0 is the training's own.
        steps (int): Steps of an epoch.
        total_steps (int): Steps of the whole schedule.
        cores (int): Cores that this process may use.
    """

    device: str
    batch_size: int
    memory: int
    network: float
    loading: float
    workers: int
    steps: int
    total_steps: int
    cores: int

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

    @property
    def limit(self) -> str:
        """What takes more of a step: ``'the network'`` or ``'loading the data'``."""
        return 'the network' if self.network >= self.loading_apart else 'loading the data'


def measure(cfg: Config, model: nn.Module, device: str, seconds: float = 10.0) -> RunCost:
    """Measure some steps of a training on its own data.

    The weights of the model are changed; a learning rate near 0 keeps them finite.

    Args:
        cfg (Config): The config, whose data set can be built.
        model (nn.Module): Its model.
        device (str): The torch device to train on.
        seconds (float): How long to measure the network, and again the loading. At least two steps
            and one batch are measured, after a step that is thrown away.

    Returns:
        RunCost: The cost.

    Raises:
        RuntimeError: Whatever training raises, such as that memory is short.
    """
    settings = copy.deepcopy(cfg.train_dataloader)
    settings.update(num_workers=0, persistent_workers=False)
    settings.pop('prefetch_factor', None)
    loader = Runner.build_dataloader(settings, seed=0)
    loading: list[float] = []
    batches: list[Any] = []
    stream = iter(loader)
    deadline = time.perf_counter() + seconds
    while not batches or (time.perf_counter() < deadline and len(loading) < 20):
        begin = time.perf_counter()
        batch = next(stream, None)
        if batch is None:
            break
        loading.append(time.perf_counter() - begin)
        batches = [*batches, batch][-2:]
    trained: Any = model.to(device).train()
    optimizer = build_optim_wrapper(model, copy.deepcopy(cfg.optim_wrapper))
    for group in optimizer.param_groups:
        group['lr'] = 1e-6
    turn = itertools.cycle(batches)

    def step() -> None:
        trained.train_step(next(turn), optimizer)

    step()  # the optimizer's state is there after the first
    model.zero_grad(set_to_none=True)
    kept = cost.kept_by_training(model, optimizer.optimizer)
    memory = cost.peak_memory(step, kept, device)
    network: list[float] = []
    deadline = time.perf_counter() + seconds
    while len(network) < 2 or (time.perf_counter() < deadline and len(network) < 50):
        network.append(clock(step, device))
    loop = cfg.train_cfg
    steps = len(loader)
    epochs: int | None = loop.get('max_epochs')
    return RunCost(
        device=device,
        batch_size=loader.batch_size,
        memory=memory,
        network=summarise(network).median,
        loading=summarise(loading).median,
        workers=cfg.train_dataloader.get('num_workers', 0),
        steps=steps,
        total_steps=steps * epochs if epochs else loop.get('max_iters', steps),
        cores=cores(),
    )


def in_words(given: RunCost, gpu_memory: int | None = None) -> list[str]:
    """A run's cost in sentences.

    Args:
        given (RunCost): The cost.
        gpu_memory (int, optional): Bytes of the GPU.

    Returns:
        list[str]: Lines to print.
    """
    of = f' of {gpu_memory / 2**30:.1f} GiB' if gpu_memory else ''
    by = f'{given.workers} workers' if given.workers else 'the same process'
    epochs = given.total_steps / given.steps
    return [
        f'memory   {given.memory / 2**30:.2f} GiB{of} for a step of {given.batch_size} persons '
        f'on {given.device}',
        f'a step   {_seconds(given.step)}: network {_seconds(given.network)}, loading '
        f'{_seconds(given.loading_apart)} by {by}; {given.limit} takes longer',
        f'an epoch {_hours(given.step * given.steps)} for {given.steps} steps, without validation',
        f'the run  {_hours(given.step * given.total_steps)} for {math.ceil(epochs)} epochs '
        f'({given.total_steps} steps) in one process',
    ]


def _seconds(seconds: float) -> str:
    return f'{seconds:.2f} s' if seconds >= 1 else f'{1000 * seconds:.0f} ms'


def _hours(seconds: float) -> str:
    if seconds < 90:
        return f'{seconds:.0f} s'
    if seconds < 5400:
        return f'{seconds / 60:.0f} min'
    return f'{seconds / 3600:.1f} h'
