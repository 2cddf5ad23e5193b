"""``mspn predict``: it writes poses as COCO keypoint results, and draws them."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import count, groupby
from pathlib import Path
from typing import Any, NamedTuple

import click
import cv2
import mmcv
import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from ..config_files import read_config
from ..errors import SettingError
from ..files import write_bytes
from ..inference.boxes import Boxes, BoxFile, image_ids, whole_image
from ..inference.detector import Detector
from ..inference.engines import ENGINES, EngineEstimator, choose_engine, supported_precision
from ..inference.fused import FusedEstimator, fuse
from ..inference.images import find_images, is_video, read_image, read_video, writing_video
from ..inference.onnx import on_engine, open_exported
from ..inference.predictor import PosePredictor, load_estimator
from ..inference.results import coco_results, draw_poses
from ..inference.stage_figure import draw_stages
from ..model.backbone import MSPNBackbone
from .arguments import Command, device, network_options

RESULTS = 'keypoints.json'

MANY_IMAGES = 200
"""From so many images on it pays to write the network for an engine, which takes seconds."""

PRECISIONS = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}


@click.command('predict', cls=Command)
@click.argument('sources', nargs=-1, required=True, metavar='IMAGE...')
@network_options
@click.option(
    '--boxes',
    type=Path,
    metavar='FILE',
    help="COCO annotations or detection results with the persons' boxes (without it or a "
    'detector each image is one person).',
)
@click.option('--detector', metavar='CONFIG', help="MMDetection's config of what finds persons.")
@click.option('--detector-weights', metavar='CHECKPOINT', help='Its weights.')
@click.option(
    '--nms-threshold',
    type=click.FloatRange(0, 1),
    default=0.3,
    metavar='T',
    help='Of found boxes that overlap more than T, take the best only.',
)
@click.option('--out', type=Path, default='poses', metavar='DIR', help='Folder for all files.')
@click.option('--overwrite', is_flag=True, help='Replace what is in DIR.')
@click.option('--pictures/--no-pictures', default=True, help=f'Draw, or write {RESULTS} only.')
@click.option('--stages', type=int, metavar='K', help='Stop after K stages (default: run all).')
@click.option(
    '--show-stages',
    is_flag=True,
    help='Write the heatmaps of every stage and unit, side by side, as NAME.stages.png.',
)
@click.option(
    '--engine',
    type=click.Choice(['auto', 'torch', *ENGINES]),
    default='auto',
    help='What runs the network (default: auto, the fastest that is installed; of weights that is '
    f'torch for fewer than {MANY_IMAGES} images, because others take seconds to start).',
)
@click.option(
    '--precision',
    type=click.Choice([*PRECISIONS, 'int8']),
    help='What the network computes in (default: fp32, or what a file of `mspn export` does).',
)
@click.option('--min-box-score', default=0.3, metavar='S', help='Leave out detections below it.')
@click.option(
    '--min-joint-score',
    default=0.6,
    metavar='S',
    help='Draw no keypoints below it: 0.5 is a heatmap without a peak, 1.5 a perfect one.',
)
@click.option('--batch-size', type=click.IntRange(1), default=16, help='Persons in one batch.')
@device
def command(
    sources: tuple[str, ...],
    config: str,
    checkpoint: str,
    boxes: Path | None,
    detector: str | None,
    detector_weights: str | None,
    nms_threshold: float,
    out: Path,
    overwrite: bool,
    pictures: bool,
    stages: int | None,
    show_stages: bool,
    engine: str,
    precision: str | None,
    min_box_score: float,
    min_joint_score: float,
    batch_size: int,
    device: str,
) -> int:
    """Find the poses of persons in IMAGEs: files, folders, patterns or videos.

    Exit status: 0 if everything was done, 2 if a setting is wrong, 3 if something was skipped.
    """
    paths = find_images(sources)
    if any(map(is_video, paths)) and (boxes or show_stages):
        raise SettingError('--boxes and --show-stages go with images, not with videos')
    if (detector is None) != (detector_weights is None) or (detector and boxes):
        raise SettingError('--detector goes with --detector-weights, and without --boxes')
    reader = Reader(BoxFile(boxes, min_box_score) if boxes else None)
    ids = image_ids(paths, reader.box_file)
    frame_ids = count(1 + max(filter(None, ids.values()), default=0))
    targets = choose_targets(paths, out)
    written = [out / RESULTS, *(targets.values() if pictures else [])]
    written += map(stages_target, targets.values()) if show_stages else []
    check_targets(written, [*paths, *([boxes] if boxes else [])], overwrite)
    if detector and detector_weights:
        # Before the estimator: each sets the scope in which MMEngine looks for names.
        reader.detector = Detector(detector, detector_weights, device, min_box_score, nms_threshold)
    estimator: Any
    network: Any
    if checkpoint.endswith('.onnx'):
        if stages or show_stages:
            raise SettingError(f'--stages and --show-stages need weights, and not {checkpoint}')
        estimator = network = open_network(config, checkpoint, engine, precision)
    else:
        if precision == 'int8':
            raise SettingError(
                '--precision int8 needs a file of `mspn export --int8` as --checkpoint, because '
                'int8 has to be calibrated on photographs'
            )
        precision = announced(precision or 'fp32', device)
        estimator = network = load_estimator(config, checkpoint, device)
        if isinstance(getattr(estimator, 'backbone', None), MSPNBackbone):
            is_much = len(paths) >= MANY_IMAGES or any(map(is_video, paths))
            if engine == 'auto' and not is_much:
                engine = 'torch'
            network = fast_network(estimator, stages, precision, engine, device)
        elif stages or show_stages or precision != 'fp32' or engine in ENGINES:
            raise SettingError(
                '--stages, --show-stages, --precision and --engine need the backbone MSPNBackbone, '
                f'and {config} has another'
            )
    predictor = PosePredictor(network, batch_size)
    if show_stages and stages:
        estimator.backbone.active_stages = stages

    out.mkdir(parents=True, exist_ok=True)
    results: list[dict[str, Any]] = []
    poses_of_frames = predictor.stream(reader.read(paths))
    for (path, video), frames in groupby(poses_of_frames, lambda item: item[0][:2]):
        drawing: Any = nullcontext()
        if video and pictures:
            drawing = writing_video(targets[path], video.fps or 25, video.resolution)
        with drawing as writer:
            for frame, poses in frames:
                common: dict[str, Any] = dict(image_id=ids[path], file_name=path.name)
                if video:
                    common.update(image_id=next(frame_ids), frame=frame.number)
                results += coco_results(poses, **common)
                if pictures:
                    meta = estimator.dataset_meta
                    drawn = draw_poses(frame.image, poses, meta, min_joint_score)
                    if writer:
                        writer.write(drawn)
                    elif (jpeg := cv2.imencode('.jpg', drawn))[0]:
                        write_bytes(targets[path], jpeg[1].tobytes())
                    else:
                        reader.skip(f'{path} is too large to be drawn as a JPEG')
                if show_stages:
                    figure = draw_stages(PosePredictor(estimator), frame.image, poses.boxes)
                    write_bytes(stages_target(targets[path]), figure)
    write_bytes(out / RESULTS, json.dumps(results).encode())
    skipped = f'; {reader.num_skipped} skipped, see above' if reader.num_skipped else ''
    click.echo(f'{out / RESULTS}: the poses of {len(results)} persons{skipped}')
    return 3 if reader.num_skipped else 0


def fast_network(
    estimator: nn.Module, stages: int | None, precision: str, engine: str, device: str
) -> FusedEstimator | EngineEstimator:
    """The estimator fused, and in an engine; torch runs what an engine that nobody named can't."""
    chosen = choose_engine(engine, precision, device)
    if chosen != 'torch':
        try:
            return on_engine(fuse(estimator, stages), chosen, precision)
        except SettingError:
            if engine != 'auto':
                raise
    return fuse(estimator, stages, PRECISIONS[precision])


def open_network(config: str, path: str, engine: str, precision: str | None) -> EngineEstimator:
    """A file of `mspn export` in an engine; PyTorch runs none."""
    if engine == 'torch':
        raise SettingError(f'--engine torch runs weights, and not {path}; leave --engine out')
    if precision:
        precision = announced(precision, 'cpu')
    return open_exported(path, read_config(config), engine, precision)


def announced(precision: str, device: str) -> str:
    """What is computed in, with a word where the processor has no instructions for it."""
    precision, message = supported_precision(precision, device)
    if message:
        click.echo(message, err=True)
    return precision


class Frame(NamedTuple):
    """An image, or a frame of a video."""

    path: Path
    video: mmcv.VideoReader | None
    image: np.ndarray
    number: int = 0


@dataclass
class Reader:
    """Reads images and videos with the boxes of their persons."""

    box_file: BoxFile | None  # without it and a detector each image is one person
    detector: Detector | None = None  # what finds the boxes instead
    num_skipped: int = 0  # images and boxes that had to be left out

    def read(self, paths: Sequence[Path]) -> Iterator[tuple[Frame, np.ndarray, Boxes]]:
        """Read what can be read, with progress bars."""
        for path in tqdm(paths, unit='img'):
            try:
                if is_video(path):
                    video = read_video(path)
                    images = tqdm(video, path.name, max(0, video.frame_cnt), unit='img')
                    for number, image in enumerate(images):
                        yield Frame(path, video, image, number), image, self.boxes_of(path, image)
                else:
                    image = read_image(path)
                    yield Frame(path, None, image), image, self.boxes_of(path, image)
            except SettingError as error:
                self.skip(str(error))

    def boxes_of(self, path: Path, image: np.ndarray) -> Boxes:
        """The persons of an image."""
        height, width = image.shape[:2]
        if self.detector:
            return self.detector(image)
        if self.box_file is None:
            return whole_image(width, height)
        boxes = self.box_file.boxes_of(path, width, height)
        is_usable = boxes.overlapping(width, height)
        for corners in boxes.corners[~is_usable].tolist():
            self.skip(f'{path}: the box {corners} has nothing of its {width}x{height} pixels')
        return Boxes(boxes.corners[is_usable], boxes.scores[is_usable])

    def skip(self, message: str) -> None:
        """Count what can't be done, and say so beside a running progress bar."""
        self.num_skipped += 1
        tqdm.write(f'skipped: {message}', file=sys.stderr)


def choose_targets(paths: Sequence[Path], out: Path) -> dict[Path, Path]:
    """Where each image goes, with names made different where two are alike."""
    if out.is_file():
        raise SettingError(f'--out {out} is a file; it names a folder')
    sources: dict[Path, Path] = {}
    for path in paths:
        suffix = '.mp4' if is_video(path) else '.jpg'
        names = (out / f'{path.stem}{f"-{n}" if n > 1 else ""}{suffix}' for n in count(1))
        sources[next(name for name in names if name not in sources)] = path
    return {path: target for target, path in sources.items()}


def stages_target(target: Path) -> Path:
    """Where the heatmaps of an image go."""
    return target.with_name(f'{target.stem}.stages.png')


def check_targets(written: Sequence[Path], paths: Sequence[Path], overwrite: bool) -> None:
    """Refuse to write over what is to be read, or what exists."""
    inputs = {path.resolve() for path in paths}
    for target in written:
        if target.resolve() in inputs:
            raise SettingError(f'{target} would be replaced, and is to be read; change --out')
        if target.exists() and not overwrite:
            raise SettingError(f'{target} exists already; --overwrite replaces it')
