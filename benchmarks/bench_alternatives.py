"""Simpler ways to a faster network: do they suffice?

Run ``python benchmarks/bench_alternatives.py [--quick]``. All contenders are MMPose's own MSPN of
two stages with the same weights, in evaluation mode: as it is, in channels-last memory, with batch
norms folded by mmcv's tool, and both. ``ours_ms`` is the alternative's time and ``mmpose_ms`` that
of the network as it is. What the plugin does instead (``mspn_plugin.inference.fused``) is measured
elsewhere.
"""

import copy
import functools
from typing import Any

import torch
from mmengine.config import Config
from rows import interleaved, make_row, run_topic
from torch import Tensor, nn

from mspn_plugin.config_files import find_config

# After the plugin, which lets mmpose import.
from mmcv.cnn.utils import fuse_conv_bn  # isort: skip
from mmpose.apis import init_model  # isort: skip

CONFIG = 'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_2xmspn50_8xb32-210e_coco-256x192'


def networks() -> dict[str, nn.Module]:
    """Build the network as it is, and what is tried."""
    plain = init_model(Config.fromfile(find_config(CONFIG)), device='cpu')
    folded = fuse_conv_bn(copy.deepcopy(plain))
    both = copy.deepcopy(folded).to(memory_format=torch.channels_last)
    return {
        'as it is': plain,
        'channels last': copy.deepcopy(plain).to(memory_format=torch.channels_last),
        'batch norms folded': folded,
        'channels last, batch norms folded': both,
    }


@torch.no_grad()
def heatmaps(model: nn.Module, images: Tensor) -> Tensor:
    """Run the backbone and all heads, as MMPose does when it predicts."""
    return model.head(model.extract_feat(images))[-1]


def run(quick: bool) -> list[dict[str, Any]]:
    """Measure everything, or less of it; the rows are of :func:`rows.make_row`."""
    images = torch.rand(1 if quick else 8, 3, 256, 192)
    calls = {}
    for name, model in networks().items():
        layout = torch.channels_last if 'channels last' in name else torch.contiguous_format
        calls[name] = functools.partial(heatmaps, model, images.to(memory_format=layout))
    times = {
        name: timing.median
        for name, timing in interleaved(calls, repeats=3 if quick else 9, warmup=1).items()
    }
    base = times.pop('as it is')
    return [
        make_row('tried', f'{name}, 2 stages, batch {len(images)}', time, base)
        for name, time in times.items()
    ]


if __name__ == '__main__':
    run_topic(__doc__, run, beside='as it is')
