"""Accuracy of a network in each engine and precision: AP and PCK with intervals, and joints moved.

    python benchmarks/engines_accuracy.py DATA [--config CONFIG --checkpoint CHECKPOINT] \
        [--persons N] [--bf16] [--json FILE]

DATA is a folder in COCO's layout. 300 persons of its train2017 calibrate int8, and those of its
val2017 are predicted by their annotated boxes. Of a difference to fp32 in PyTorch the interval is
that of the same bootstrap samples of images on both sides. Moves are in pixels of the network's
input, of keypoints that score 0.6 or more in fp32.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools.coco import COCO
from score import average_precision, bootstrap, distances, evaluated, interval, share_within
from tqdm import tqdm

from mspn_plugin.benchmark.report import markdown_table
from mspn_plugin.compat import has_bfloat16
from mspn_plugin.inference.boxes import BoxFile
from mspn_plugin.inference.engines import ENGINES, EngineEstimator, installed_engines
from mspn_plugin.inference.fused import fuse
from mspn_plugin.inference.images import read_image
from mspn_plugin.inference.onnx import bbox_padding, export_onnx
from mspn_plugin.inference.predictor import PosePredictor, load_estimator
from mspn_plugin.inference.quantize import SURE_SCORE, export_int8, find_persons
from mspn_plugin.inference.results import coco_results
from mspn_plugin.weights.shipped import shipped_network

Results = list[dict[str, Any]]


def networks(
    config: str, checkpoint: str, data: Path, folder: Path, bf16: bool
) -> dict[str, Callable[[], Any]]:
    """What is compared, by its name: first fp32 in PyTorch, then all that is installed."""
    fused = fuse(load_estimator(config, checkpoint))
    flip_test = fused.test_cfg.get('flip_test', False)
    export_onnx(fused, folder / 'fp32.onnx', flip_test=flip_test)
    persons = find_persons(
        fused,
        [str(data / 'train2017')],
        data / 'annotations' / 'person_keypoints_train2017.json',
    )
    print(f'{len(persons)} persons calibrate', flush=True)
    export_int8(fused, folder / 'int8.onnx', persons, flip_test)

    def in_engine(engine: str, file: str, precision: str) -> EngineEstimator:
        session = ENGINES[engine](folder / file, precision)
        return EngineEstimator(session, fused.cfg, fused.dataset_meta)

    found: dict[str, Callable[[], Any]] = {'torch fp32': lambda: fused}
    if bf16:
        found['torch bf16'] = lambda: fuse(load_estimator(config, checkpoint), dtype=torch.bfloat16)
    for engine in installed_engines():
        found[f'{engine} fp32'] = lambda e=engine: in_engine(e, 'fp32.onnx', 'fp32')
        if bf16 and engine == 'openvino' and has_bfloat16():
            found['openvino bf16'] = lambda: in_engine('openvino', 'fp32.onnx', 'bf16')
        found[f'{engine} int8'] = lambda e=engine: in_engine(e, 'int8.onnx', 'fp32')
    return found


def predict(network: Any, annotations: COCO, boxes: BoxFile, images: Path) -> Results:
    """Keypoint results of all annotated persons, in the order of the images."""
    listed = annotations.loadImgs(annotations.getImgIds())

    def read() -> Any:
        for image in tqdm(listed, unit='img'):
            pixels = read_image(images / image['file_name'])
            height, width = pixels.shape[:2]
            path = images / image['file_name']
            yield image['id'], pixels, boxes.boxes_of(path, width, height)

    return [
        result
        for image_id, poses in PosePredictor(network).stream(read())
        for result in coco_results(poses, image_id=image_id)
    ]


def moved(found: Results, expected: Results, cfg: Any) -> np.ndarray:
    """How far the sure keypoints moved, in pixels of the network's input."""
    pipeline = cfg.test_dataloader.dataset.pipeline
    padding = np.array(bbox_padding(pipeline))
    size = next(step['input_size'] for step in pipeline if 'input_size' in step)
    moves = []
    for result, other in zip(found, expected, strict=True):
        scale = (np.array(size) / (np.array(result['bbox'][2:]) * padding)).min()
        mine, theirs = (np.array(r['keypoints']).reshape(-1, 3) for r in (result, other))
        away = np.linalg.norm(mine[:, :2] - theirs[:, :2], axis=1) * scale
        moves.append(away[theirs[:, 2] >= SURE_SCORE])
    return np.concatenate(moves)


def first_images(annotation_file: Path, count: int | None, folder: Path) -> Path:
    """Annotations of so many persons with labelled keypoints, each image as a whole."""
    content = json.loads(annotation_file.read_text())
    persons, kept = 0, []
    for image in content['images']:
        if count is not None and persons >= count:
            break
        persons += sum(
            a['image_id'] == image['id'] and a['num_keypoints'] > 0 for a in content['annotations']
        )
        kept.append(image)
    ids = {image['id'] for image in kept}
    content['annotations'] = [a for a in content['annotations'] if a['image_id'] in ids]
    target = folder / 'annotations.json'
    target.write_text(json.dumps({**content, 'images': kept}))
    return target


def run(
    data: Path, config: str, checkpoint: str, persons: int | None, bf16: bool
) -> list[dict[str, Any]]:
    """Measure all; the rows have values and intervals in points, and moves in pixels."""
    rows: list[dict[str, Any]] = []
    reference: Any = None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = data / 'annotations' / 'person_keypoints_val2017.json'
        file = first_images(source, persons, folder)
        with contextlib.redirect_stdout(io.StringIO()):
            annotations = COCO(str(file))
        boxes = BoxFile(file)
        count = len(annotations.getImgIds())
        everything = np.arange(count)
        for what, make in networks(config, checkpoint, data, folder, bf16).items():
            print(what, flush=True)
            network = make()
            results = predict(network, annotations, boxes, data / 'val2017')
            evaluation, per_image = evaluated(annotations, results), distances(annotations, results)

            def measure(images: np.ndarray, e: Any = evaluation, p: Any = per_image) -> np.ndarray:
                return 100 * np.concatenate((average_precision(e, images), share_within(p, images)))

            value, values = measure(everything), bootstrap(measure, count)
            row = dict(what=what, values=value.tolist(), intervals=interval(values).T.tolist())
            if reference:
                first, first_values, first_results = reference
                moves = moved(results, first_results, network.cfg)
                row.update(
                    difference=float(value[0] - first[0]),
                    difference_interval=interval(values[:, 0] - first_values[:, 0]).tolist(),
                    moved=[float(moves.mean()), float(np.quantile(moves, 0.95))],
                )
            else:
                reference = value, values, results
            rows.append(row)
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows in Markdown."""

    def within(value: float, interval: Sequence[float], sign: str = '') -> str:
        low, high = interval
        return f'{value:{sign}.2f} [{low:{sign}.2f}, {high:{sign}.2f}]'

    cells = []
    for row in rows:
        cells.append([row['what'], *map(within, row['values'], row['intervals'])])
        if 'moved' in row:
            cells[-1] += [
                within(row['difference'], row['difference_interval'], '+'),
                *(f'{move:.2f}' for move in row['moved']),
            ]
        else:
            cells[-1] += ['', '', '']
    names = ['engine', 'AP', 'AP50', 'PCK@0.1', 'PCK@0.2', 'AP to torch fp32', 'moved', '95% below']
    return '\n'.join(markdown_table(names, cells))


def main(arguments: list[str] | None = None) -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').split('\n')[0])
    parser.add_argument('data', type=Path, metavar='DATA')
    parser.add_argument('--config', help='default: the network that comes with the plugin')
    parser.add_argument('--checkpoint')
    parser.add_argument('--persons', type=int, metavar='N', help='stop after N of val2017')
    parser.add_argument('--bf16', action='store_true', help='also in bfloat16')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the rows there too')
    options = parser.parse_args(arguments)
    config, checkpoint = shipped_network()
    config, checkpoint = options.config or config, options.checkpoint or checkpoint
    rows = run(options.data, config, checkpoint, options.persons, options.bf16)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + '\n')
    print(table(rows))


if __name__ == '__main__':
    main()
