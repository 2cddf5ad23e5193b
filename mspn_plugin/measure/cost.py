"""What a network costs, counted rather than timed: multiply-adds and memory."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim import Optimizer
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode


def multiply_adds(call: Callable[[], object]) -> int:
    """Count the multiply-adds of convolutions and matrix products in a call.

    Element-wise work, such as normalisation and activation, isn't counted, as is the custom in the
    field's tables.
    """
    counter = FlopCounterMode(display=False)
    # The fused attention of the CPU is not among the operators that are counted; its plain form,
    # two matrix products, is.
    with sdpa_kernel(SDPBackend.MATH), torch.no_grad(), counter:
        call()
    return counter.get_total_flops() // 2


def kept_by_training(model: nn.Module, optimizer: Optimizer) -> list[Tensor]:
    """Parameters, buffers and the state of an optimizer that has made a step."""
    state = [
        value
        for values in optimizer.state.values()
        for value in values.values()
        if torch.is_tensor(value)
    ]
    return [*model.parameters(), *model.buffers(), *state]


def peak_memory(
    call: Callable[[], object], held: Iterable[Tensor] = (), device: str = 'cpu'
) -> int:
    """The most memory that tensors take during a call.

    On CUDA it is ``torch.cuda.max_memory_allocated`` less what was allocated before. On the CPU
    it is the highest sum of what torch's allocator handed out during the call, read from the
    profiler. Both leave out what libraries keep for themselves.

    Args:
        call (Callable): A callable without arguments.
        held (Iterable[Tensor]): Tensors that are there before the call and belong to its cost:
            the model's parameters and buffers, an optimizer's state. Their size is added.
        device (str): The torch device that the call runs on.

    Returns:
        int: Bytes.
    """
    before = sum(tensor.numel() * tensor.element_size() for tensor in held)
    if device.startswith('cuda'):
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before -= torch.cuda.memory_allocated(device)
        call()
        torch.cuda.synchronize(device)
        return before + torch.cuda.max_memory_allocated(device)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        call()
    changes = [
        (event.start_ns(), event.nbytes())
        for event in recorded.profiler.kineto_results.events()
        if event.name() == '[memory]'
    ]
    now = highest = 0
    for _, change in sorted(changes, key=lambda item: item[0]):
        now += change
        highest = max(highest, now)
    return before + highest
