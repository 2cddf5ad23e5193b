"""The codec beside MMPose's: drawing all targets of a person, and reading keypoints in heatmaps.

Run ``python benchmarks/bench_codec.py [--quick]``. MMPose's side is one ``MegviiHeatmap`` for each
level, as its MSPN configs have them. Both sides get the same persons and the same heatmaps: clear
peaks on noise, and where it says so the parity test's, in which some peaks are low or twofold and
some maps are noise alone. A single batch is read with caches that other work has filled, as after
a network; ten in a row are read with warm ones. On a machine with a GPU, reading there is measured
too.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rows import interleaved, make_row, run_topic
from torch import Tensor

from mspn_plugin import CoarseToFineHeatmap

# After the plugin, which lets mmpose import.
from mmpose.codecs import MegviiHeatmap  # isort: skip

INPUT, HEATMAP, KEYPOINTS = (192, 256), (48, 64), 17
KERNELS = (15, 11, 9, 7, 5)
PARITY = Path(__file__).resolve().parent.parent / 'tests' / 'golden' / 'megvii_decode.npz'


def persons(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Make keypoints (count, 1, K, 2) anywhere in the input, nine of ten visible (count, 1, K)."""
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(0, INPUT, (count, 1, KEYPOINTS, 2)).astype(np.float32)
    return keypoints, (rng.random((count, 1, KEYPOINTS)) < 0.9).astype(np.float32)


def predicted(keypoints: np.ndarray, visible: np.ndarray) -> Tensor:
    """Make heatmaps (B, K, H, W) such as a network predicts: peaks and noise."""
    codec = CoarseToFineHeatmap(INPUT, HEATMAP, KERNELS)
    maps = [codec.encode(*person)['heatmaps'][-1] for person in zip(keypoints, visible)]
    noise = np.random.default_rng(1).normal(0, 4, (len(maps), *maps[0].shape))
    return torch.from_numpy((np.stack(maps) + noise).astype(np.float32))


def row(
    what: str,
    calls: dict[str, Callable[[], object]],
    repeats: int,
    persons_each: Sequence[int],
    note: str = '',
) -> dict[str, Any]:
    """Time two contenders in turn and divide by the persons that each takes."""
    times = interleaved(calls, repeats=repeats)
    ours, theirs = (timing.median / count for timing, count in zip(times.values(), persons_each))
    return make_row('codec', what, ours, theirs, note)


def run(quick: bool) -> list[dict[str, Any]]:
    """Measure everything, or less of it; the rows are of :func:`rows.make_row`."""
    repeats = 7 if quick else 31
    keypoints, visible = persons(32)
    theirs = [MegviiHeatmap(INPUT, HEATMAP, kernel) for kernel in KERNELS]

    def draw(codecs: Sequence[Any]) -> None:
        for person in zip(keypoints, visible):
            for codec in codecs:
                codec.encode(*person)

    rows = []
    for name, settings in (('', {}), (', unbiased', dict(unbiased=True))):
        codec = CoarseToFineHeatmap(INPUT, HEATMAP, KERNELS, **settings)
        calls = {
            'ours': functools.partial(draw, [codec]),
            'mmpose': functools.partial(draw, theirs),
        }
        rows.append(row(f'drawing five levels of a person{name}', calls, repeats, (32, 32)))
    on_device = CoarseToFineHeatmap(INPUT, HEATMAP, KERNELS)
    batch = torch.from_numpy(keypoints[:, 0]), torch.from_numpy(visible[:, 0])

    def draw_batch() -> None:
        for level in range(len(KERNELS)):
            on_device.draw(*batch, level)

    calls = {'ours': draw_batch, 'mmpose': functools.partial(draw, theirs)}
    rows.append(row('drawing five levels on the device, batch 32', calls, repeats, (32, 32)))

    clear = predicted(keypoints, visible)
    hard = torch.from_numpy(np.concatenate([np.load(PARITY)['heatmaps']] * 6)[:32])
    devices = ['cpu', 'cuda'] if torch.cuda.is_available() else ['cpu']
    for unbiased, heatmaps, batches, name in (
        (False, clear, ((1, 1), (32, 1), (32, 10)), ''),
        (False, hard, ((32, 1), (32, 10)), ', low peaks and noise'),
        (True, clear, ((1, 1), (32, 1), (32, 10)), ''),
    ):
        codec = CoarseToFineHeatmap(INPUT, HEATMAP, KERNELS, unbiased)
        for (size, times), device in itertools.product(batches, devices):
            maps = heatmaps[:size].to(device)

            def ours(codec: Any = codec, maps: Tensor = maps, times: int = times) -> None:
                for _ in range(times):
                    codec.batch_decode(maps)

            def mmpose(maps: Tensor = heatmaps[:size], times: int = times) -> None:
                for _ in range(times):
                    for person in maps.numpy():
                        theirs[-1].decode(person)

            what = f'decoding{", unbiased" if unbiased else ""}, batch {size}{name}'
            what += ', ten in a row' if times == 10 else ''
            what += ' on the GPU' if device == 'cuda' else ''
            count = size * times
            rows.append(row(what, {'ours': ours, 'mmpose': mmpose}, repeats, (count, count)))
    return rows


if __name__ == '__main__':
    run_topic(__doc__, run)
