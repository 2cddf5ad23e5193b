"""``mspn export``."""

from pathlib import Path

import click

from ..errors import SettingError
from ..files import check_target
from ..inference.engines import supported_precision
from ..inference.fused import fuse
from ..inference.onnx import export_onnx
from ..inference.predictor import load_estimator
from ..inference.quantize import Difference, export_int8, find_persons
from .arguments import Command, network_options


@click.command('export', cls=Command)
@click.argument('target', type=Path, metavar='OUT.onnx')
@network_options
@click.option('--heatmaps', is_flag=True, help='Put out heatmaps instead of keypoints.')
@click.option(
    '--normalised-input',
    is_flag=True,
    help='Take normalised float32 crops (B, 3, h, w) instead of uint8 BGR (B, h, w, 3).',
)
@click.option('--flip-test', is_flag=True, help='Predict the mirrored crops too: twice the work.')
@click.option('--stages', type=int, metavar='K', help='Stop after K stages (default: run all).')
@click.option(
    '--int8',
    multiple=True,
    metavar='IMAGE...',
    help='Compute in int8, calibrated on the persons in photographs: files, folders or patterns.',
)
@click.option(
    '--boxes',
    type=Path,
    metavar='FILE',
    help='The boxes of those persons: COCO annotations or detection results (default: each image '
    'is one person).',
)
@click.option('--overwrite', is_flag=True, help='Replace OUT.onnx if it exists.')
def command(
    target: Path,
    config: str,
    checkpoint: str,
    heatmaps: bool,
    normalised_input: bool,
    flip_test: bool,
    stages: int | None,
    int8: tuple[str, ...],
    boxes: Path | None,
    overwrite: bool,
) -> None:
    """Write an ONNX file that finds keypoints in crops, checked against PyTorch."""
    check_target(target, overwrite)
    if target.suffix != '.onnx' or checkpoint.endswith('.onnx'):
        raise SettingError(
            f'{target} is to end in .onnx, and {checkpoint} to hold weights: `mspn predict` knows '
            'an exported file by its name'
        )
    if int8 and (heatmaps or normalised_input):
        raise SettingError('--int8 does not go with --heatmaps or --normalised-input')
    if boxes and not int8:
        raise SettingError('--boxes are those of the photographs of --int8, which is not given')
    estimator = fuse(load_estimator(config, checkpoint), stages)
    if int8:
        if message := supported_precision('int8', 'cpu')[1]:
            click.echo(message, err=True)
        persons = find_persons(estimator, int8, boxes)
        differences = export_int8(estimator, target, persons, flip_test, boxes)
        said = f'int8, checked on {len(persons)} persons'
    else:
        difference = export_onnx(estimator, target, not normalised_input, not heatmaps, flip_test)
        differences = {}
        what = 'of the largest heatmap value' if heatmaps else 'pixels'
        said = f'at most {difference:.1g} {what} from PyTorch'
    click.echo(f'{target}: {target.stat().st_size / 1e6:.1f} MB; {said}')
    for engine, each in differences.items():
        click.echo(f'  {engine}: {in_words(each)}')


def in_words(difference: Difference) -> str:
    """What int8 changes, in a line."""
    words = (
        f'keypoints move by {difference.mean:.2f} pixels of the crop on average, 95% by less than '
        f'{difference.most:.2f}'
    )
    if difference.ap:
        words += f'; AP {difference.ap[1]:.4f}, and {difference.ap[0]:.4f} in fp32'
    return words
