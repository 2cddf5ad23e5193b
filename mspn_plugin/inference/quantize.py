"""An ONNX file whose network computes in int8, calibrated and checked on a user's photographs.

ONNX Runtime's static quantisation measures what range each feature takes, and writes it into the
file (operators ``QuantizeLinear`` and ``DequantizeLinear``), which OpenVINO reads too. Weights have
a range per channel and 7 bits: with 8, the instructions of processors without VNNI overflow. What
normalises and decodes, and the first and the last convolution stay in float32.
"""

import contextlib
import io
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import SettingError
from ..files import read_json, writing
from .boxes import Boxes, BoxFile, whole_image
from .engines import ENGINES, EngineEstimator, installed_engines, needed
from .fused import FusedEstimator
from .images import find_images, is_video, read_image
from .onnx import export_onnx
from .predictor import PosePredictor, Poses
from .results import coco_results

MIN_PERSONS, MAX_PERSONS = 32, 300
"""How many persons a calibration needs, and how many it takes at most."""
MOVED_LIMIT = 0.03
"""The most that keypoints may move on average, in parts of the crop's longer side."""
AP_LIMIT = 0.02
"""The most AP that may be lost on the calibration's photographs, where AP is from 0 to 1."""
SURE_SCORE = 0.6
"""Keypoints with lower scores in float32 have no clear peak, and may move anywhere."""

_QUANTIZED = ['Conv', 'Relu', 'Add', 'MaxPool', 'Resize']
_BATCH = 8


class Person(NamedTuple):
    """A person of the photographs."""

    crop: dict[str, Any]  # what the test pipeline made of it
    boxes: Boxes  # its box, alone
    image_id: int | None  # in the annotations


class Difference(NamedTuple):
    """What int8 changes in one engine."""

    mean: float  # how far sure keypoints move on average, in pixels of the crop
    most: float  # what 95% of them stay below
    ap: tuple[float, float] | None  # in float32 and in int8, where there are annotations


def find_persons(
    estimator: FusedEstimator, sources: Sequence[str], boxes: Path | None
) -> list[Person]:
    """Cut the persons out of photographs, up to :data:`MAX_PERSONS` from all over the images.

    Args:
        estimator (FusedEstimator): Whose config says how.
        sources (Sequence[str]): Images, folders and patterns.
        boxes (Path, optional): A file of boxes; without it each image is one person. Images that
            it does not know are left out.

    Raises:
        SettingError: If there are no images, or fewer persons than :data:`MIN_PERSONS`.
    """
    box_file = BoxFile(boxes, min_score=0.3) if boxes else None
    predictor = PosePredictor(estimator)
    paths = [path for path in find_images(sources) if not is_video(path)]
    if box_file:
        paths = [path for path in paths if box_file.image_id(path) is not None]
    persons: list[Person] = []
    for path in _spread(paths):
        image = read_image(path)
        height, width = image.shape[:2]
        found = box_file.boxes_of(path, width, height) if box_file else whole_image(width, height)
        image_id = box_file.image_id(path) if box_file else None
        for index in np.flatnonzero(found.overlapping(width, height)):
            alone = Boxes(found.corners[index : index + 1], found.scores[index : index + 1])
            crop = predictor.crop(image, alone.corners[0], float(alone.scores[0]))
            persons.append(Person(crop, alone, image_id))
    if len(persons) < MIN_PERSONS:
        count = f'only {len(persons)} persons' if persons else 'no person'
        where = f' with a box in {boxes}' if boxes else ''
        raise SettingError(
            f'the {len(paths)} calibration images in {", ".join(sources)} have {count}{where}; '
            f'int8 needs at least {MIN_PERSONS}, and 100 to {MAX_PERSONS} are better'
        )
    return _spread(persons)


def _spread(items: Sequence[Any]) -> list[Any]:
    """At most :data:`MAX_PERSONS`, from all over a list."""
    count = min(len(items), MAX_PERSONS)
    return [items[i * len(items) // count] for i in range(count)]


def export_int8(
    estimator: FusedEstimator,
    target: str | Path,
    persons: Sequence[Person],
    flip_test: bool = False,
    annotations: Path | None = None,
) -> dict[str, Difference]:
    """Write an ONNX file in int8, and check it on the calibration before it gets its name.

    Args:
        estimator (FusedEstimator): From :func:`~mspn_plugin.inference.fused.fuse`, in float32 on
            the CPU.
        target (str | Path): The file, of uint8 crops in and keypoints out.
        persons (Sequence[Person]): From :func:`find_persons`.
        flip_test (bool): Whether the mirrored crops are predicted too.
        annotations (Path, optional): The persons' file of boxes. Where it has keypoints, AP is
            compared.

    Returns:
        dict[str, Difference]: For each installed engine, the difference from float32.

    Raises:
        SettingError: If the estimator can't be exported, a package is missing, or int8 moves
            keypoints or lowers AP by more than :data:`MOVED_LIMIT` and :data:`AP_LIMIT`. There is
            no file then.
    """
    needed('onnx')
    needed('onnxruntime')
    waiting = [(None, person.boxes) for person in persons]
    crops = [person.crop for person in persons]

    def predict(path: Path, engine: str) -> list[Poses]:
        stand_in = EngineEstimator(ENGINES[engine](path), estimator.cfg, estimator.dataset_meta)
        return [poses for _, poses in PosePredictor(stand_in, _BATCH).predict(waiting, crops)]

    with tempfile.TemporaryDirectory() as folder, writing(Path(target)) as unfinished:
        exact = Path(folder, 'fp32.onnx')
        export_onnx(estimator, exact, flip_test=flip_test)
        quantize(exact, unfinished, [crop['inputs'].numpy() for crop in crops])
        before = predict(exact, 'onnxruntime')
        precision = _average_precision(annotations, persons, estimator) if annotations else None
        exact_ap = precision(before) if precision else 0.0
        differences: dict[str, Difference] = {}
        for name in installed_engines():
            after = predict(unfinished, name)
            aps = (exact_ap, precision(after)) if precision else None
            mean, most = _moves(before, after, persons)
            differences[name] = Difference(mean, most, aps)
        longer = max(estimator.head.decoder.input_size)
        for name, (mean, _, ap) in differences.items():
            if mean > MOVED_LIMIT * longer or (ap and ap[0] - ap[1] > AP_LIMIT):
                lost = f', and AP falls from {ap[0]:.4f} to {ap[1]:.4f}' if ap else ''
                raise SettingError(
                    f'int8 in {name} moves keypoints by {mean:.2f} pixels of the crop on '
                    f'average{lost}; at most {MOVED_LIMIT * longer:.2f} pixels and {AP_LIMIT} are '
                    'allowed, and no file is left. Calibrate on photographs like those that it is '
                    'for, and on more of them'
                )
    return differences


def quantize(source: Path, target: Path, crops: Sequence[np.ndarray]) -> None:
    """Turn a file of :func:`~mspn_plugin.inference.onnx.export_onnx` into one in int8.

    It takes uint8 crops, as do the arrays to calibrate with: BGR in shape (3, h, w).
    """
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    batches = (
        np.stack(crops[first : first + _BATCH]).transpose(0, 2, 3, 1)
        for first in range(0, len(crops), _BATCH)
    )

    class Reader(quantization.CalibrationDataReader):
        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(batches, None)
            return None if batch is None else {'image': np.ascontiguousarray(batch)}

    properties = {p.key: p.value for p in onnx.load(str(source)).metadata_props}
    with tempfile.TemporaryDirectory() as folder:
        prepared = str(Path(folder, 'prepared.onnx'))
        quant_pre_process(str(source), prepared, skip_symbolic_shape=True)
        # Tracing names nodes by modules.
        nodes = [
            node
            for node in onnx.load(prepared).graph.node
            if node.name.startswith('/network') and node.op_type in _QUANTIZED
        ]
        convolutions = [node for node in nodes if node.op_type == 'Conv']
        # A flip test has the network twice, with the same weights.
        kept = {convolutions[0].input[1], convolutions[-1].input[1]}
        quantization.quantize_static(
            prepared,
            str(target),
            Reader(),
            op_types_to_quantize=_QUANTIZED,
            nodes_to_quantize=[n.name for n in nodes if not kept & set(n.input)],
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
    model = onnx.load(str(target))
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {**properties, 'precision': json.dumps('int8')})
    onnx.save(model, str(target))


def _moves(
    before: Sequence[Poses], after: Sequence[Poses], persons: Sequence[Person]
) -> tuple[float, float]:
    """How far sure keypoints move on average, and what 95% stay below."""
    moves = []
    for fp32, int8, person in zip(before, after, persons):
        meta = person.crop['data_samples'].metainfo
        to_crop = meta['input_size'] / meta['input_scale']
        moves.append(np.linalg.norm((int8.keypoints - fp32.keypoints)[0] * to_crop, axis=-1))
    moved = np.concatenate(moves)
    is_sure = np.concatenate([poses.scores[0] for poses in before]) >= SURE_SCORE
    moved = moved[is_sure] if is_sure.any() else moved
    return float(moved.mean()), float(np.quantile(moved, 0.95))


def _average_precision(
    annotations: Path, persons: Sequence[Person], estimator: FusedEstimator
) -> Callable[[Sequence[Poses]], float] | None:
    """What measures AP on the persons' images; None if the file has no keypoints for it."""
    from xtcocotools.coco import COCO
    from xtcocotools.cocoeval import COCOeval

    content = read_json(annotations)
    labelled = [] if isinstance(content, list) else content['annotations']
    sigmas = np.asarray(estimator.dataset_meta['sigmas'])
    labelled = [a for a in labelled if len(a.get('keypoints', [])) == 3 * len(sigmas)]
    if not any(annotation.get('num_keypoints') for annotation in labelled):
        return None
    has_areas = all('area' in annotation for annotation in labelled)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(annotations))

    def measure(poses: Sequence[Poses]) -> float:
        results = [
            result
            for found, person in zip(poses, persons)
            for result in coco_results(found, image_id=person.image_id)
        ]
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = COCOeval(coco, coco.loadRes(results), 'keypoints', sigmas, has_areas)
            evaluation.params.imgIds = sorted({person.image_id for person in persons})
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return float(evaluation.stats[0])

    return measure
