"""Side-by-side timing: interleaved repeats, medians and the middle half."""

import statistics
import time
from dataclasses import dataclass
from typing import Callable, Dict, List, Mapping

import torch


@dataclass(frozen=True)
class Timing:
    """Seconds of one contender over all repeats.

    Attributes:
        median (float): The median.
        low (float): The first quartile.
        high (float): The third quartile.
        samples (list[float]): Every measured repeat, in order.
    """

    median: float
    low: float
    high: float
    samples: List[float]


def interleaved(
    contenders: Mapping[str, Callable[[], object]], repeats: int = 15, warmup: int = 2
) -> Dict[str, Timing]:
    """Time callables in turn, A B C A B C, so that a noisy machine disturbs all of them alike.

    Args:
        contenders (Mapping[str, Callable]): Name to a callable without arguments. Work that was
            queued on a GPU is waited for before the clock is read.
        repeats (int): How often each contender is measured.
        warmup (int): Rounds that are run and thrown away first.

    Returns:
        dict[str, Timing]: Name to its timing in seconds, in the order given.
    """
    samples: Dict[str, List[float]] = {name: [] for name in contenders}
    for round_index in range(warmup + repeats):
        for name, call in contenders.items():
            _wait_for_device()
            start = time.perf_counter()
            call()
            _wait_for_device()
            if round_index >= warmup:
                samples[name].append(time.perf_counter() - start)
    return {name: _summary(values) for name, values in samples.items()}


def _wait_for_device() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _summary(samples: List[float]) -> Timing:
    if len(samples) < 2:
        return Timing(samples[0], samples[0], samples[0], samples)
    low, median, high = statistics.quantiles(samples, n=4, method='inclusive')
    return Timing(median, low, high, samples)
