"""How long calls take: clocks of the processor and the GPU, medians and the middle half."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch


class Timing(NamedTuple):
    """Seconds of a call that was repeated."""

    median: float
    low: float  # the first quartile
    high: float  # the third quartile
    samples: list[float]


def clock(call: Callable[[], object], device: str = '') -> float:
    """Seconds of one call, and of what it queues on a GPU: of a device, or else the current one."""
    gpu = device if device.startswith('cuda') else None

    def now() -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize(gpu)
        return time.perf_counter()

    begin = now()
    call()
    return now() - begin


def summarise(samples: Sequence[float]) -> Timing:
    """The median and the middle half of measured seconds."""
    low, median, high = np.quantile(samples, (0.25, 0.5, 0.75)).tolist()
    return Timing(median, low, high, list(samples))
