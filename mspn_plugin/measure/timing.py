"""Side-by-side timing: interleaved repeats, medians and the middle half."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

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
    samples: list[float]


def interleaved(
    contenders: Mapping[str, Callable[[], object]],
    repeats: int = 15,
    warmup: int = 2,
    settle: int = 0,
) -> dict[str, Timing]:
    """Time callables in turn, A B C A B C, so that a noisy machine disturbs all of them alike.

    Args:
        contenders (Mapping[str, Callable]): Name to a callable without arguments. Work that was
            queued on a GPU is waited for before the clock is read.
        repeats (int): How often each contender is measured.
        warmup (int): Rounds that are run and thrown away first.
        settle (int): Calls that are thrown away in every turn before the one that counts. Without,
            each contender finds caches and free memory as the one before has left them.

    Returns:
        dict[str, Timing]: Name to its timing in seconds, in the order given.
    """
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for round_index in range(warmup + repeats):
        for name, call in contenders.items():
            for _ in range(settle):
                call()
            seconds = clock(call)
            if round_index >= warmup:
                samples[name].append(seconds)
    return {name: summarise(values) for name, values in samples.items()}


def clock(call: Callable[[], object], device: str = '') -> float:
    """Seconds of one call.

    Args:
        call (Callable): A callable without arguments.
        device (str): A CUDA device, whose own clock is read then: an event before the call, one
            after it, and a wait for both. Otherwise it is the processor's clock, with what is
            queued on a GPU waited for on both sides.

    Returns:
        float: The time in seconds.
    """
    if device.startswith('cuda'):
        with torch.cuda.device(device):
            start = torch.cuda.Event(enable_timing=True)
            end = torch.cuda.Event(enable_timing=True)
            torch.cuda.synchronize()
            start.record()
            call()
            end.record()
            torch.cuda.synchronize()
        return start.elapsed_time(end) / 1000
    wait = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    wait()
    begin = time.perf_counter()
    call()
    wait()
    return time.perf_counter() - begin


def summarise(samples: Sequence[float]) -> Timing:
    """The median and the middle half of measured seconds."""
    samples = list(samples)
    if len(samples) < 2:
        return Timing(samples[0], samples[0], samples[0], samples)
    low, median, high = statistics.quantiles(samples, n=4, method='inclusive')
    return Timing(median, low, high, samples)
