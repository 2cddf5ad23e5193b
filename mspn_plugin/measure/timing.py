"""How long calls take: clocks of the processor and the GPU, medians and the middle half."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch


class Timing(NamedTuple):
    """Seconds of a call that was repeated."""

    median: float
    low: float  # the first quartile
    high: float  # the third quartile
    samples: list[float]


def clock(call: Callable[[], object], device: str = '') -> float:
    """Seconds of one call.

    For a CUDA device they are between two events on it; otherwise they are the processor's, and
    what is queued on a GPU is waited for.
    """
    if device.startswith('cuda'):
        with torch.cuda.device(device):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
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
