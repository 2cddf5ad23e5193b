"""What each trick of the fused network is worth: prediction with all of them, and without one.

    python benchmarks/bench_tricks.py [--quick]

A user waits for an image's instances: crops, two-stage network with the flip test, decoding. Each
trick is taken out alone, for one instance and for eight. A trick that costs less than 2% of either
when it is out is not worth its code. ``ours_ms`` is the time with all, ``mmpose_ms`` without the
one.
"""

import contextlib
import copy
import functools
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
from bench_inference import ours
from mmcv.cnn import fuse_conv_bn
from mmpose.structures import PoseDataSample
from rows import interleaved, make_row, run_topic
from torch import Tensor, nn

from mspn_plugin.inference import fused, onednn
from mspn_plugin.inference.boxes import Boxes
from mspn_plugin.inference.fused import FusedEstimator, fuse
from mspn_plugin.inference.onednn import fuse_convolutions
from mspn_plugin.inference.predictor import PosePredictor
from mspn_plugin.model.head import average_flip

FOLDED = 'batch norms are part of the convolutions before them'
ORDERED = 'oneDNN computes sums and ReLU with the convolutions'
FIRST = 'the 1x1 convolution of the way up works before the enlarging'
LAYOUT = 'channels-last memory'
UNREAD = 'heads that nobody reads are left out'
FLIPPED = 'a flip test goes through the network in one pass'
PARTS = 'a large batch goes through in parts that fit the caches'
BATCHED = 'a batch is decoded at once'


class EveryHead(nn.Module):
    """A fused network which runs the heads of all units, of which the last is read."""

    def __init__(self, network: Any, head: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.head = fuse_conv_bn(copy.deepcopy(head).eval()).to(memory_format=torch.channels_last)
        fuse_convolutions(self.head)

    def forward(self, images: Tensor) -> Tensor:
        """Predict the last unit's heatmaps."""
        return self.head(self.network.backbone(images))[-1].contiguous()


def two_passes(estimator: FusedEstimator, inputs: Tensor, samples: list[PoseDataSample]) -> Tensor:
    """Run a flip test as two calls of the network."""
    heatmaps, mirrored = estimator.network(inputs), estimator.network(inputs.flip(-1))
    return average_flip(heatmaps, mirrored, samples, estimator.test_cfg)


def without(trick: str, trained: Any) -> Any:
    """Make a fused estimator of which one trick is taken out."""
    changed: Any = contextlib.nullcontext()
    if trick == FOLDED:
        changed = mock.patch.object(fused, 'fuse_conv_bn', lambda module: module)
    elif trick == FIRST:
        changed = mock.patch.object(onednn, 'FusedUpUnit', lambda unit: unit)
    with changed:
        estimator: Any = fuse(trained)
    if trick == LAYOUT:
        estimator.network.backbone.channels_last = False
        estimator.network.to(memory_format=torch.contiguous_format)
    elif trick == ORDERED:
        public_only = mock.patch.object(onednn, '_HAS_OPERATORS', False)
        estimator.network.forward = public_only(estimator.network.forward)
    elif trick == UNREAD:
        estimator.network = EveryHead(estimator.network, trained.head)
    elif trick == FLIPPED:
        estimator.heatmaps = functools.partial(two_passes, estimator)
    elif trick == PARTS:
        estimator.network.feature_bytes = 1
    elif trick == BATCHED:
        decode = estimator.head.decoder.decode
        estimator.head.decoder = SimpleNamespace(support_batch_decoding=False, decode=decode)
    return estimator


def run(quick: bool) -> list[dict[str, Any]]:
    """Measure everything, or less of it; the rows are of :func:`rows.make_row`."""
    trained = ours(2)
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    tricks = [FOLDED, ORDERED, FIRST, LAYOUT, UNREAD, FLIPPED, PARTS, BATCHED]
    predictors = {trick: PosePredictor(without(trick, trained)) for trick in ['', *tricks]}
    rows = []
    for count in (1, 2 if quick else 8):
        corners = np.float32([[9 * i, 9 * i, 9 * i + 150, 9 * i + 300] for i in range(count)])
        boxes = Boxes(corners, np.ones(count, np.float32))
        times = interleaved(
            {name: functools.partial(p, image, boxes) for name, p in predictors.items()},
            repeats=1 if quick else 5,
            warmup=1,
        )
        everything = times.pop('').median
        rows += [
            make_row('tricks', trick, everything, timing.median, f'{count} in an image')
            for trick, timing in times.items()
        ]
    return rows


if __name__ == '__main__':
    run_topic(__doc__, run, beside='without')
