"""The network beside MMPose's: forward, training step, and memory with recomputation.

Run ``python benchmarks/bench_backbone.py [--quick]``. Both networks have the same weights and get
the same images. Times are medians of interleaved runs.

Memory is what PyTorch's allocator reports: the highest sum of all that a training step (forward
and backward) allocates and has not freed yet, beyond the weights and their gradients, which are
there before. It counts activations, gradients of activations and temporaries alike.
"""

from typing import Any

import torch
from rows import interleaved, make_row, run_topic
from torch import Tensor, nn

from mspn_plugin import MSPNBackbone
from mspn_plugin.measure import cost

# After the plugin, which lets mmpose import.
from mmpose.models import MSPN  # isort: skip

MIB = 2**20


def pair(num_stages: int, **settings: Any) -> dict[str, nn.Module]:
    """Build our network and MMPose's with the same weights."""
    ours = MSPNBackbone(num_stages=num_stages, **settings)
    theirs = MSPN(num_stages=num_stages, num_blocks=[3, 4, 6, 3])
    theirs.load_state_dict(ours.state_dict())
    return {'ours': ours, 'mmpose': theirs}


def train_step(network: nn.Module, images: Tensor) -> None:
    """Run forward and backward, with the mean square of all features for a loss."""
    features = [f for stage in network(images) for f in stage]
    torch.stack([f.square().mean() for f in features]).sum().backward()


def peak_memory(network: nn.Module, images: Tensor) -> int:
    """Measure a training step's highest memory in bytes, beyond weights and gradients."""
    for p in network.parameters():
        p.grad = torch.zeros_like(p)
    return cost.peak_memory(lambda: train_step(network, images))


def row(what: str, networks: dict[str, nn.Module], call: Any, repeats: int) -> dict[str, Any]:
    """Time both networks in turn."""
    times = interleaved(
        {name: lambda n=n: call(n) for name, n in networks.items()}, repeats=repeats, warmup=1
    )
    return make_row('backbone', what, times['ours'].median, times['mmpose'].median)


def memory(height: int, width: int, batch: int = 2) -> str:
    """Compare a 4-stage training step's peak memory with and without recomputation, in words."""
    images = torch.randn(batch, 3, height, width)
    peaks = {
        with_cp: peak_memory(MSPNBackbone(num_stages=4, with_cp=with_cp), images) / MIB
        for with_cp in (False, True)
    }
    return (
        f'peak memory {peaks[True]:.0f} MiB, without with_cp {peaks[False]:.0f} MiB: '
        f'{1 - peaks[True] / peaks[False]:.0%} less'
    )


def run(quick: bool) -> list[dict[str, Any]]:
    """Measure everything, or less of it; the rows are of :func:`rows.make_row`."""
    torch.manual_seed(0)
    height, width = (128, 96) if quick else (256, 192)
    repeats = 3 if quick else 9
    image = torch.randn(1, 3, height, width)
    batch = torch.randn(2, 3, height, width)
    size = f'{width}x{height}'

    @torch.inference_mode()
    def forward(network: nn.Module) -> None:
        network.eval()
        network(image)

    def step(network: nn.Module) -> None:
        network.train()
        train_step(network, batch)

    trained = 1 if quick else 4
    networks = pair(trained)
    rows = [row(f'training step, stages: {trained}, images: 2 of {size}', networks, step, repeats)]
    networks = pair(trained, with_cp=True)
    rows.append(
        row(f'the same with_cp, stages: {trained}, images: 2 of {size}', networks, step, repeats)
    )
    rows[-1]['note'] = f'stages: 4, images: 2 of {size}: {memory(height, width)}'

    networks = pair(trained, channels_last=True)
    what = f'the same with channels_last, stages: {trained}, images: 2 of {size}'
    rows.append(row(what, networks, step, repeats))

    networks = pair(1)
    rows.append(row(f'forward, stages: 1, image: {size}', networks, forward, repeats))
    networks = pair(4)
    rows.append(row(f'forward, stages: 4, image: {size}', networks, forward, repeats))
    networks['ours'].active_stages = 2  # type: ignore[assignment]
    rows.append(row(f'forward, the first 2 of 4, image: {size}', networks, forward, repeats))
    rows[-1]['note'] = 'MMPose has no way to stop early and runs all 4'
    return rows


if __name__ == '__main__':
    run_topic(__doc__, run)
