"""One training sample through the whole data pipeline, beside MMPose's own MSPN config.

Run ``python benchmarks/bench_pipeline.py [--quick]``. Both configs read the same persons in COCO's
layout: those below ``COCO_ROOT``, or in the photographs that the tests use, or else rendered
people. A sample is read, decoded, augmented with the same random numbers, cropped, encoded and
packed, in one process. Ours leaves the drawing of targets to the head, as configured, or draws them
as MMPose's does. A repeat takes several persons.
"""

import contextlib
import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from rows import interleaved, make_row, run_topic

from mspn_plugin.config_files import find_config
from mspn_plugin.synthetic.coco import render_dataset

# After the plugin, which lets mmpose import.
from mmengine.registry import DefaultScope  # isort: skip
from mmpose.registry import DATASETS  # isort: skip
from mmpose.utils import register_all_modules  # isort: skip

REPO = Path(__file__).resolve().parent.parent
NAME = 'td-hm_2xmspn50_8xb32-210e_coco-256x192'
MMPOSE = f'mmpose::body_2d_keypoint/topdown_heatmap/coco/{NAME}'
OURS = str(REPO / 'configs' / f'{NAME}.py')


def data_root(folder: str) -> str:
    """Find people in COCO's layout, or render some into a folder."""
    shared = Path(os.environ.get('MSPN_SHARED', REPO.parent / 'shared'))
    for root in (os.environ.get('COCO_ROOT'), shared / 'data' / 'coco'):
        if root and (Path(root) / 'annotations/person_keypoints_train2017.json').is_file():
            return str(root)
    rendered = Path(folder) / 'rendered'
    render_dataset(rendered, train=32, val=1, workers=1)
    return str(rendered)


def sampling(
    config: str, root: str, persons: int, drawn_by_loader: bool = False
) -> Callable[[], list[Any]]:
    """Make a call that takes a config's first training samples."""
    settings = Config.fromfile(find_config(config)).train_dataloader.dataset
    settings.data_root = root
    if drawn_by_loader:
        (step,) = (step for step in settings.pipeline if step.type == 'GenerateTarget')
        step.encoder.draw_on_device = False
    with DefaultScope.overwrite_default_scope('mmpose'), contextlib.redirect_stdout(io.StringIO()):
        dataset = DATASETS.build(settings)

    def take() -> list[Any]:
        np.random.seed(0)
        return [dataset.prepare_data(index % len(dataset)) for index in range(persons)]

    return take


def run(quick: bool) -> list[dict[str, Any]]:
    """Measure everything, or less of it; the rows are of :func:`rows.make_row`."""
    register_all_modules(init_default_scope=False)
    persons = 8 if quick else 32
    with tempfile.TemporaryDirectory() as folder:
        root = data_root(folder)
        calls = {
            'MMPose': sampling(MMPOSE, root, persons),
            'as configured': sampling(OURS, root, persons),
            'targets drawn by the loader': sampling(OURS, root, persons, drawn_by_loader=True),
        }
        times = {
            name: timing.median / persons
            for name, timing in interleaved(calls, repeats=5 if quick else 15, warmup=1).items()
        }
    theirs = times.pop('MMPose')
    source = 'rendered people' if Path(root).name == 'rendered' else 'photographs'
    note = f'{source}; reading, augmenting, cropping, encoding, packing'
    return [
        make_row('pipeline', f'one training sample, {name}', ours, theirs, note)
        for name, ours in times.items()
    ]


if __name__ == '__main__':
    run_topic(__doc__, run)
