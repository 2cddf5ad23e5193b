"""From image files to keypoints in every engine and precision, beside MMPose's inferencer.

    python benchmarks/bench_engines.py [--quick]

Two-stage MSPN-50, with the weights of one random initialisation on all sides; each file is one
person. MMPose's inferencer takes one image at a time; here its own steps are called with as many
as ours takes. Reading, cropping, network, flip test and decoding are included, drawing isn't.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import torch
from bench_inference import builtin, ours
from bench_pipeline import MMPOSE
from rows import interleaved, make_row, run_topic

from mspn_plugin.compat import has_bfloat16
from mspn_plugin.config_files import find_config
from mspn_plugin.inference.boxes import whole_image
from mspn_plugin.inference.engines import ENGINES, EngineEstimator, installed_engines
from mspn_plugin.inference.fused import fuse
from mspn_plugin.inference.images import read_image
from mspn_plugin.inference.onnx import export_onnx
from mspn_plugin.inference.predictor import PosePredictor
from mspn_plugin.inference.quantize import quantize
from mspn_plugin.synthetic.coco import render_image

# After the plugin, which lets mmpose import.
from mmpose.apis.inferencers import Pose2DInferencer  # isort: skip

BATCH = 16
SMALL = {'num_blocks': [1, 1, 1, 1]}


def by_mmpose(model: Any, files: list[str]) -> Callable[[], object]:
    """MMPose's inferencer on files, in batches."""
    inferencer = Pose2DInferencer(find_config(MMPOSE), device='cpu', det_model='whole_image')
    inferencer.model = model

    def predict() -> None:
        for first in range(0, len(files), BATCH):
            crops = [
                crop
                for index, file in enumerate(files[first : first + BATCH])
                for crop in inferencer.preprocess_single(file, index)
            ]
            inferencer.forward(inferencer.collate_fn(crops), merge_results=False)

    return predict


def by_us(network: Any, files: list[str]) -> Callable[[], object]:
    """Our predictor on the same files."""
    predictor = PosePredictor(network, BATCH)

    def predict() -> None:
        images = (read_image(Path(file)) for file in files)
        for _ in predictor.stream((None, i, whole_image(i.shape[1], i.shape[0])) for i in images):
            pass

    return predict


def engines(model: Any, folder: Path, files: list[str], flip_test: bool) -> dict[str, Any]:
    """Our network in PyTorch and in every engine that is installed, by engine and precision."""
    fused = fuse(model)
    half = has_bfloat16()
    found: dict[str, Any] = {'torch fp32': fused}
    if half:
        found['torch bf16'] = fuse(model, dtype=torch.bfloat16)
    exact, int8 = (folder / f'{name}-{flip_test}.onnx' for name in ('fp32', 'int8'))
    export_onnx(fused, exact, flip_test=flip_test)
    predictor = PosePredictor(fused)
    crops = []
    for file in files[:32]:
        image = read_image(Path(file))
        box = whole_image(image.shape[1], image.shape[0])
        crops.append(predictor.crop(image, box.corners[0], 1.0)['inputs'].numpy())
    quantize(exact, int8, crops)
    for name in installed_engines():
        kinds = [('fp32', exact, 'fp32'), ('int8', int8, 'fp32')]
        kinds += [('bf16', exact, 'bf16')] if half and name == 'openvino' else []
        for kind, file, precision in kinds:
            session = ENGINES[name](file, precision)
            found[f'{name} {kind}'] = EngineEstimator(session, fused.cfg, fused.dataset_meta)
    return found


def run(quick: bool) -> list[dict[str, Any]]:
    """Measure everything, or less of it; the rows are of :func:`rows.make_row`."""
    rows = []
    options = SMALL if quick else {}
    model = ours(2, options)
    theirs = builtin(model, options)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [str(folder / f'{index}.jpg') for index in range(4 if quick else 100)]
        for index, file in enumerate(files):
            cv2.imwrite(file, render_image(0, 'val', index)[0])
        for flip_test in [False] if quick else [False, True]:
            for each in (model, theirs):
                each.test_cfg['flip_test'] = flip_test
            found = engines(model, folder, files, flip_test)
            times = interleaved(
                {
                    'MMPose': by_mmpose(theirs, files),
                    **{what: by_us(network, files) for what, network in found.items()},
                },
                repeats=1 if quick else 3,
                warmup=0,  # a call is 100 persons; the median leaves the first one out
            )
            note = f'{len(files)} persons, {torch.get_num_threads()} threads; MMPose in fp32'
            flipped = 'with' if flip_test else 'without'
            rows += [
                make_row(
                    'engines',
                    f'image files to keypoints, {what}, {flipped} flip test',
                    times[what].median,
                    times['MMPose'].median,
                    note,
                )
                for what in found
            ]
    return rows


if __name__ == '__main__':
    run_topic(__doc__, run)
