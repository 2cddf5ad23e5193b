"""``mspn predict``: it writes poses as COCO keypoint results, and draws them."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import count, groupby
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from ..errors import SettingError
from ..files import write_bytes
from ..inference.boxes import Boxes, BoxFile, image_ids, whole_image
from ..inference.fused import fuse
from ..inference.images import (
    find_images,
    is_video,
    read_image,
    read_video,
    write_image,
    writing_video,
)
from ..inference.predictor import PosePredictor, Poses, load_estimator
from ..inference.results import coco_results, draw_poses
from ..inference.stage_figure import StageHeatmaps
from ..model.backbone import MSPNBackbone
from .arguments import Command, device

RESULTS = 'keypoints.json'

PRECISIONS = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}


@dataclass(frozen=True)
class Options:
    """What the command line asks for; the options' help says what each is."""

    sources: tuple[str, ...]
    config: str
    checkpoint: str
    boxes: Path | None
    out: Path
    overwrite: bool
    pictures: bool
    stages: int | None
    show_stages: bool
    precision: str
    min_box_score: float
    min_joint_score: float
    batch_size: int
    device: str


@click.command('predict', cls=Command)
@click.argument('sources', nargs=-1, required=True, metavar='IMAGE...')
@click.option('--config', required=True, metavar='CONFIG', help="MMPose's config of the network.")
@click.option('--checkpoint', required=True, metavar='CHECKPOINT', help='Its weights.')
@click.option(
    '--boxes',
    type=Path,
    metavar='FILE',
    help="COCO annotations or detection results with the persons' boxes (default: each image is "
    'one person).',
)
@click.option(
    '--out',
    type=Path,
    default='poses',
    show_default=True,
    metavar='DIR',
    help=f'Folder for {RESULTS} and the images.',
)
@click.option('--overwrite', is_flag=True, help='Replace what is in DIR.')
@click.option('--pictures/--no-pictures', default=True, help=f'Draw, or write {RESULTS} only.')
@click.option('--stages', type=int, metavar='K', help='Stop after K stages (default: run all).')
@click.option(
    '--show-stages',
    is_flag=True,
    help='Write the heatmaps of every stage and unit, side by side, as NAME.stages.png.',
)
@click.option(
    '--precision',
    type=click.Choice(list(PRECISIONS)),
    default='fp32',
    show_default=True,
    help='What the network computes in.',
)
@click.option(
    '--min-box-score',
    default=0.3,
    show_default=True,
    metavar='S',
    help='Leave out detections below it.',
)
@click.option(
    '--min-joint-score',
    default=0.6,
    show_default=True,
    metavar='S',
    help='Draw no keypoints below it: 0.5 is a heatmap without a peak, 1.5 a perfect one.',
)
@click.option(
    '--batch-size', default=16, show_default=True, metavar='N', help='Persons in one batch.'
)
@device
def command(**options: Any) -> int:
    """Find the poses of persons in IMAGEs: files, folders, patterns or videos.

    Exit status: 0 if everything was done, 2 if a setting is wrong, 3 if something was skipped.
    """
    return Prediction(Options(**options)).run()


class Prediction:
    """A run of the command.

    Args:
        options (Options): What the command line asks for.

    Raises:
        SettingError: If something in it is wrong.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.sources = find_images(options.sources)
        has_video = any(map(is_video, self.sources))
        if has_video and (options.boxes or options.show_stages):
            raise SettingError('--boxes and --show-stages go with images, not with videos')
        self.box_file = BoxFile(options.boxes, options.min_box_score) if options.boxes else None
        self.ids = {} if has_video else image_ids(self.sources, self.box_file)
        self.free_ids = count(1)
        self.targets = choose_targets(self.sources, options)
        estimator = load_estimator(options.config, options.checkpoint, options.device)
        self.predictor = PosePredictor(fuse_for(options, estimator), options.batch_size)
        self.stages = StageHeatmaps(estimator, options.stages) if options.show_stages else None
        self.results: list[dict[str, Any]] = []
        self.num_skipped = 0

    def run(self) -> int:
        """Do it; returns the exit status."""
        out = self.options.out
        out.mkdir(parents=True, exist_ok=True)
        for video, sources in groupby(self.sources, lambda path: path if is_video(path) else None):
            if video:
                self.predict_video(video)
            else:
                self.predict_images(list(sources))
        write_bytes(out / RESULTS, json.dumps(self.results).encode())
        skipped = f'; {self.num_skipped} skipped, see above' if self.num_skipped else ''
        click.echo(f'{out / RESULTS}: the poses of {len(self.results)} persons{skipped}')
        return 3 if self.num_skipped else 0

    def predict_images(self, paths: Sequence[Path]) -> None:
        """Predict images, and draw them."""

        def read() -> Iterator[tuple[tuple[Path, np.ndarray], np.ndarray, Boxes]]:
            for path in tqdm(paths, unit='img'):
                try:
                    image = read_image(path)
                    yield (path, image), image, self.boxes_of(path, image)
                except SettingError as error:
                    self.skip(str(error))

        for (path, image), poses in self.predictor.stream(read()):
            image_id = self.ids[path] if path in self.ids else next(self.free_ids)
            self.results += coco_results(poses, image_id=image_id, file_name=path.name)
            if self.options.pictures:
                write_image(self.targets[path], self.draw(image, poses))
            if self.stages is not None:
                figure = self.stages.figure(image, poses.boxes)
                write_bytes(stages_target(self.targets[path]), figure)

    def predict_video(self, path: Path) -> None:
        """Predict a video frame by frame, each one person, and draw it."""
        try:
            video = read_video(path)
        except SettingError as error:
            self.skip(str(error))
            return
        frames = tqdm(video, path.name, total=max(0, video.frame_cnt), unit='img')
        images = ((frame, frame, self.boxes_of(path, frame)) for frame in frames)
        drawing = writing_video(self.targets[path], video) if self.options.pictures else None
        with drawing or nullcontext() as writer:
            for index, (frame, poses) in enumerate(self.predictor.stream(images)):
                common = dict(image_id=next(self.free_ids), file_name=path.name, frame=index)
                self.results += coco_results(poses, **common)
                if writer is not None:
                    writer.write(self.draw(frame, poses))

    def boxes_of(self, path: Path, image: np.ndarray) -> Boxes:
        """The persons of an image."""
        height, width = image.shape[:2]
        if self.box_file is None:
            return whole_image(width, height)
        boxes = self.box_file.boxes_of(path, width, height)
        is_usable = boxes.overlapping(width, height)
        for corners in boxes.corners[~is_usable]:
            self.skip(
                f'{path}: the box {corners.tolist()} has nothing of its {width}x{height} pixels'
            )
        return Boxes(boxes.corners[is_usable], boxes.scores[is_usable])

    def draw(self, image: np.ndarray, poses: Poses) -> np.ndarray:
        """An image with its skeletons."""
        meta = self.predictor.estimator.dataset_meta
        return draw_poses(image, poses, meta, self.options.min_joint_score)

    def skip(self, message: str) -> None:
        """Count what can't be done, and say so beside a running progress bar."""
        self.num_skipped += 1
        tqdm.write(f'skipped: {message}', file=sys.stderr)


def fuse_for(options: Options, estimator: nn.Module) -> nn.Module:
    """The estimator that predicts: a fused one, but for another network than MSPN."""
    if isinstance(getattr(estimator, 'backbone', None), MSPNBackbone):
        return fuse(estimator, options.stages, PRECISIONS[options.precision])
    if options.stages or options.show_stages or options.precision != 'fp32':
        raise SettingError(
            '--stages, --show-stages and --precision need the backbone MSPNBackbone, and '
            f'{options.config} has another'
        )
    return estimator


def choose_targets(sources: Sequence[Path], options: Options) -> dict[Path, Path]:
    """Where each image goes, in ``--out``, with names made different where two are alike."""
    out = options.out
    if out.exists() and not out.is_dir():
        raise SettingError(f'--out {out} is a file; it names a folder')
    taken: dict[Path, Path] = {}
    for source in sources:
        suffix = '.mp4' if is_video(source) else '.jpg'
        names = (out / f'{source.stem}{f"-{n}" if n > 1 else ""}{suffix}' for n in count(1))
        taken[next(name for name in names if name not in taken)] = source
    targets = {source: target for target, source in taken.items()}
    written = [out / RESULTS]
    written += taken if options.pictures else []
    written += map(stages_target, taken) if options.show_stages else []
    inputs = {source.resolve() for source in sources}
    for target in written:
        if target.resolve() in inputs:
            raise SettingError(f'--out {out} would replace {target}, which is to be read')
        if target.exists() and not options.overwrite:
            raise SettingError(f'{target} exists already; --overwrite replaces it')
    return targets


def stages_target(target: Path) -> Path:
    """Where the heatmaps of an image go."""
    return target.with_name(f'{target.stem}.stages.png')
