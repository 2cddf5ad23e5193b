"""``mspn predict``: it writes poses as COCO keypoint results, and draws them."""

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from ..errors import SettingError
from ..inference.boxes import Boxes, BoxFile, number_in, whole_picture
from ..inference.fused import fuse
from ..inference.images import (
    VideoWriter,
    draw_skeletons,
    find,
    frames,
    is_video,
    read,
    video_facts,
    write,
    write_bytes,
)
from ..inference.predictor import PosePredictor, Poses, load_estimator
from ..inference.stage_figure import StageHeatmaps
from ..model.backbone import MSPNBackbone
from .arguments import Command, device

RESULTS = 'keypoints.json'

PRECISIONS = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}

KEYPOINT_SCORE_THR = 0.2
"""Joints with lower scores don't count in a person's score, as in MMPose's ``CocoMetric``."""


class Frame(NamedTuple):
    """A picture or a video's frame that is being worked on.

    Attributes:
        source (Path): The file that it comes from.
        number (int | None): Which frame of the video; None for a picture.
        image_id (int): Its number in the results.
        picture (np.ndarray): uint8 BGR, (height, width, 3).
    """

    source: Path
    number: int | None
    image_id: int
    picture: np.ndarray


class Problems:
    """Counts what could not be done, and says so at once."""

    def __init__(self) -> None:
        self.count = 0

    def report(self, message: str) -> None:
        """Print a message beside a running progress bar."""
        self.count += 1
        tqdm.write(f'skipped: {message}', file=sys.stderr)


def result_of(frame: Frame, poses: Poses) -> Iterator[dict[str, Any]]:
    """A picture's persons as COCO keypoint results, with the scores that ``CocoMetric`` gives.

    Args:
        frame (Frame): The picture.
        poses (Poses): Its persons.

    Yields:
        dict: ``image_id``, ``category_id``, ``keypoints`` (x, y, score of each joint), ``score``,
        and beyond COCO's own ``bbox`` (left, top, width, height), ``file_name``, and for a video
        ``frame``, counted from 0.
    """
    persons = zip(poses.keypoints, poses.scores, poses.boxes.corners, poses.boxes.scores)
    for keypoints, scores, corners, box_score in persons:
        sure = scores[scores > KEYPOINT_SCORE_THR]
        left, top, right, bottom = corners.tolist()
        result = dict(
            image_id=frame.image_id,
            category_id=1,
            keypoints=np.column_stack((keypoints, scores)).ravel().astype(float).round(3).tolist(),
            score=float(box_score * sure.mean()) if len(sure) else 0.0,
            bbox=[left, top, right - left, bottom - top],
            file_name=frame.source.name,
        )
        if frame.number is not None:
            result['frame'] = frame.number
        yield result


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
    return run(Options(**options))


def run(options: Options) -> int:
    """Do what the command line asks."""
    sources = find(options.sources)
    box_file = BoxFile(options.boxes, options.min_box_score) if options.boxes else None
    targets = _targets(sources, options)
    estimator = load_estimator(options.config, options.checkpoint, options.device)
    predictor = PosePredictor(_fused(estimator, options), options.batch_size)
    stages = StageHeatmaps(estimator, options.stages) if options.show_stages else None
    options.out.mkdir(parents=True, exist_ok=True)

    problems = Problems()
    results: list[dict[str, Any]] = []
    writer = _Writer(targets, predictor.estimator.dataset_meta, options.min_joint_score)
    total = sum(video_facts(s)[1] if is_video(s) else 1 for s in sources)
    with tqdm(total=total, unit='img') as progress, contextlib.closing(writer):
        pictures = _pictures(sources, box_file, problems, progress)
        for frame, poses in predictor.stream(pictures):
            results += result_of(frame, poses)
            if options.pictures:
                writer.add(frame, poses)
            if stages is not None:
                figure = stages.figure(frame.picture, poses.boxes)
                write_bytes(_stages_target(targets[frame.source]), figure)
            progress.update()
        writer.finish()
    write_bytes(options.out / RESULTS, json.dumps(results).encode())
    skipped = f'; {problems.count} skipped, see above' if problems.count else ''
    print(f'{options.out / RESULTS}: the poses of {len(results)} persons{skipped}')
    return 3 if problems.count else 0


def _fused(estimator: nn.Module, options: Options) -> nn.Module:
    is_ours = isinstance(getattr(estimator, 'backbone', None), MSPNBackbone)
    if is_ours:
        return fuse(estimator, options.stages, PRECISIONS[options.precision])
    if options.stages or options.show_stages or options.precision != 'fp32':
        raise SettingError(
            f'--stages, --show-stages and --precision need the backbone MSPNBackbone, and '
            f'{options.config} has another'
        )
    return estimator


def _stages_target(target: Path) -> Path:
    return target.with_name(f'{target.stem}.stages.png')


class _Writer:
    """Draws pictures, and collects a video's frames in one file."""

    def __init__(
        self, targets: dict[Path, Path], dataset_meta: dict[str, Any], min_score: float
    ) -> None:
        self.targets, self.dataset_meta, self.min_score = targets, dataset_meta, min_score
        self.video: VideoWriter | None = None

    def add(self, frame: Frame, poses: Poses) -> None:
        drawn = draw_skeletons(
            frame.picture, poses.keypoints, poses.scores, self.dataset_meta, self.min_score
        )
        target = self.targets[frame.source]
        if frame.number is None:
            self.finish()
            write(target, drawn)
            return
        if self.video is None or self.video.path != target:
            self.finish()
            self.video = VideoWriter(target, video_facts(frame.source)[0])
        self.video.add(drawn)

    def finish(self) -> None:
        if self.video is not None:
            self.video.close()
        self.video = None

    def close(self) -> None:
        if self.video is not None:
            self.video.close(keep=False)


def _pictures(
    sources: Sequence[Path], box_file: BoxFile | None, problems: Problems, progress: tqdm
) -> Iterator[tuple[Frame, np.ndarray, Boxes]]:
    ids = _image_ids(sources, box_file)
    for source in sources:
        try:
            if not is_video(source):
                picture = read(source)
                boxes = _boxes(source, picture, box_file)
                for complaint in boxes.complaints:
                    problems.report(f'{source}: {complaint}')
                frame = Frame(source, None, next(ids[source]), picture)
                yield frame, picture, boxes
                continue
            for index, picture in enumerate(frames(source)):
                frame = Frame(source, index, next(ids[source]), picture)
                yield frame, picture, _boxes(source, picture, None)
        except SettingError as error:
            problems.report(str(error))
            progress.update()


def _boxes(source: Path, picture: np.ndarray, box_file: BoxFile | None) -> Boxes:
    height, width = picture.shape[:2]
    if box_file is None:
        return whole_picture(width, height)
    boxes = box_file.of(source, width, height)
    if boxes is None:
        raise SettingError(
            f'{source}: {box_file.path} has no picture of this name'
            if box_file.is_annotation
            else f'{source} has no number in its name, by which {box_file.path} could mean it'
        )
    return boxes


def _image_ids(sources: Sequence[Path], box_file: BoxFile | None) -> dict[Path, Iterator[int]]:
    """Numbers for the results: those of the box file or in the names, else 1, 2, 3, ..."""
    number = box_file.image_id if box_file else number_in
    numbers = [None if is_video(source) else number(source) for source in sources]
    if box_file is not None or (None not in numbers and len(set(numbers)) == len(numbers)):
        return {source: iter([n or 0]) for source, n in zip(sources, numbers)}
    return dict.fromkeys(sources, count(1))


def _targets(sources: Sequence[Path], options: Options) -> dict[Path, Path]:
    """Where each picture goes, in ``--out``, with names made different where two are alike."""
    out = options.out
    if out.exists() and not out.is_dir():
        raise SettingError(f'--out {out} is a file; it names a folder')
    if options.boxes and any(map(is_video, sources)):
        raise SettingError('--boxes goes with pictures; a video is taken frame by frame, whole')
    targets: dict[Path, Path] = {}
    taken = {RESULTS}
    for source in sources:
        suffix = '.mp4' if is_video(source) else '.jpg'
        names = (f'{source.stem}{f"-{n}" if n > 1 else ""}{suffix}' for n in count(1))
        name = next(name for name in names if name not in taken)
        taken.add(name)
        targets[source] = out / name
    written = [out / RESULTS]
    if options.pictures:
        written += targets.values()
    if options.show_stages:
        if any(map(is_video, sources)):
            raise SettingError('--show-stages goes with pictures, not with videos')
        written += map(_stages_target, targets.values())
    inputs = {source.resolve() for source in sources}
    for target in written:
        if target.resolve() in inputs:
            raise SettingError(f'--out {out} would replace {target}, which is to be read')
        if target.exists() and not options.overwrite:
            raise SettingError(f'{target} exists already; --overwrite replaces it')
    return targets
