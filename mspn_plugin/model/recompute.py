"""Activation checkpointing that leaves running statistics as they are without it."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def recompute(unit: nn.Module, *inputs: Any) -> Any:
    """Run a unit without keeping its inner activations; the backward pass computes them again.

    The second computation leaves the running statistics of batch norms alone, so that training
    with and without it gives the same network.
    """
    if not torch.is_grad_enabled():
        return unit(*inputs)
    how: dict[str, Any] = dict(use_reentrant=False, preserve_rng_state=False)
    if not torch.compiler.is_compiling():  # the compiler never repeats a buffer's update
        how['context_fn'] = lambda: (nullcontext(), _statistics_kept(unit))
    return checkpoint(unit, *inputs, **how)


@contextmanager
def _statistics_kept(unit: nn.Module) -> Iterator[None]:
    norms = [m for m in unit.modules() if isinstance(m, _BatchNorm) and m.training]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
