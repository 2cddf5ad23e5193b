"""The codec beside MMPose's: drawing targets, reading joints, and the whole training pipeline.

Run ``python benchmarks/bench_codec.py [--quick]``. Times are per person, medians of interleaved
runs. Heatmaps to read are those of the parity test, tests/golden/megvii_decode.npz: peaks, some
low, on noise, and noise alone. The pipeline reads COCO photographs from the folder data/coco in
``MSPN_SHARED``, or in ../shared beside the clone, and is left out where there are none.
"""

import argparse
import os
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np
import torch

from mspn_plugin import CoarseToFineHeatmap
from mspn_plugin.timing import interleaved

# After the plugin, which lets mmpose import.
import mmpose  # isort: skip
from mmpose.codecs import MegviiHeatmap  # isort: skip
from mmpose.datasets import CocoDataset  # isort: skip
from mmpose.utils import register_all_modules  # isort: skip

REPO = Path(__file__).resolve().parent.parent
SIZE = dict(input_size=(192, 256), heatmap_size=(48, 64))
KERNELS = (15, 11, 9, 7, 5)
OURS = dict(type='CoarseToFineHeatmap', **SIZE)
MMPOSE = [dict(type='MegviiHeatmap', **SIZE, kernel_size=kernel) for kernel in KERNELS]


def rows(
    contenders: Dict[str, Callable[[], object]], persons: int, repeats: int
) -> List[Dict[str, Any]]:
    """Time contenders, the first of which is MMPose's, for a number of persons in each call."""
    times = interleaved(contenders, repeats=repeats)
    theirs, *ours = ((name, timing.median / persons * 1e3) for name, timing in times.items())
    return [
        {
            'topic': 'codec',
            'what': name,
            'ours_ms': milliseconds,
            'mmpose_ms': theirs[1],
            'ratio': theirs[1] / milliseconds,
            'note': f'beside {theirs[0]}',
        }
        for name, milliseconds in ours
    ]


def drawing(repeats: int) -> List[Dict[str, Any]]:
    """Draw five levels of 17 joints."""
    rng = np.random.default_rng(0)
    people = [(rng.random((1, 17, 2)) * SIZE['input_size']).astype(np.float32) for _ in range(32)]
    visible = np.ones((1, 17), np.float32)

    def draw(*codecs: Any) -> Callable[[], object]:
        def call() -> None:
            for person in people:
                for codec in codecs:
                    codec.encode(person, visible)

        return call

    contenders = {
        'five MegviiHeatmap': draw(*(MegviiHeatmap(**SIZE, kernel_size=k) for k in KERNELS)),
        'draw five levels': draw(CoarseToFineHeatmap(**SIZE)),
        'draw five levels, unbiased': draw(CoarseToFineHeatmap(**SIZE, unbiased=True)),
        'leave drawing to the device': draw(CoarseToFineHeatmap(**SIZE, draw_on_device=True)),
    }
    return rows(contenders, len(people), repeats)


def reading(repeats: int) -> List[Dict[str, Any]]:
    """Read the joints of a batch of 32 persons."""
    maps = np.load(REPO / 'tests' / 'golden' / 'megvii_decode.npz')['heatmaps']
    maps = np.concatenate([maps] * 6)[:32]
    batch = torch.from_numpy(maps)
    mmpose_codec = MegviiHeatmap(**SIZE, kernel_size=5)
    contenders = {'MegviiHeatmap.decode': lambda: [mmpose_codec.decode(m) for m in maps]}
    codecs = {
        '': CoarseToFineHeatmap(**SIZE),
        ', unbiased': CoarseToFineHeatmap(**SIZE, unbiased=True),
        ", decoding='mmpose'": CoarseToFineHeatmap(**SIZE, decoding='mmpose'),
    }
    for name, codec in codecs.items():
        contenders[f'read a batch of 32{name}'] = lambda c=codec: c.batch_decode(batch)
    if torch.cuda.is_available():
        on_gpu = batch.cuda()
        for name, codec in codecs.items():
            what = f'read a batch of 32 on the GPU{name}'
            contenders[what] = lambda c=codec: c.batch_decode(on_gpu)
    return rows(contenders, len(maps), repeats)


def pipeline(repeats: int) -> List[Dict[str, Any]]:
    """Take people on photographs through a training pipeline: load, flip, crop, encode, pack."""
    photos = Path(os.environ.get('MSPN_SHARED', REPO.parent / 'shared')) / 'data' / 'coco'
    if not photos.is_dir():
        print(f'no photographs at {photos}, so the pipeline is not measured')
        return []
    register_all_modules()

    def load(**encoder: Any) -> Callable[[], object]:
        people = CocoDataset(
            data_root=str(photos),
            data_mode='topdown',
            ann_file='annotations/person_keypoints_train2017.json',
            data_prefix=dict(img='train2017'),
            pipeline=[
                dict(type='LoadImage'),
                dict(type='GetBBoxCenterScale'),
                dict(type='RandomFlip', direction='horizontal'),
                dict(type='TopdownAffine', input_size=SIZE['input_size']),
                dict(type='GenerateTarget', **encoder),
                dict(type='PackPoseInputs'),
            ],
        )
        indices = range(0, len(people), len(people) // 16)[:16]

        def call() -> None:
            np.random.seed(0)
            for index in indices:
                people[index]

        return call

    contenders = {
        'the same with five MegviiHeatmap': load(encoder=MMPOSE, multilevel=True),
        'training pipeline on photographs': load(encoder=OURS),
        'training pipeline, drawing left to the device': load(
            encoder=dict(OURS, draw_on_device=True)
        ),
    }
    return rows(contenders, 16, repeats)


def run(quick: bool) -> List[Dict[str, Any]]:
    """Measure everything.

    Args:
        quick (bool): Whether to take fewer repeats.

    Returns:
        list[dict]: Rows with ``topic``, ``what``, ``ours_ms`` and ``mmpose_ms`` (both for one
        person), ``ratio`` (how many times faster ours is) and ``note`` (what MMPose's is).
    """
    repeats = 7 if quick else 31
    return drawing(repeats) + reading(repeats) + pipeline(repeats)


def main() -> None:
    """Print the rows as a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').split('\n')[0])
    parser.add_argument('--quick', action='store_true', help='fewer repeats')
    options = parser.parse_args()
    print(
        f'torch {torch.__version__}, {torch.get_num_threads()} threads, mmpose {mmpose.__version__}'
    )
    for r in run(options.quick):
        print(
            f'{r["what"]:46} ours {r["ours_ms"]:7.3f} ms   MMPose {r["mmpose_ms"]:7.3f} ms   '
            f'{r["ratio"]:5.1f} times as fast'
        )


if __name__ == '__main__':
    main()
