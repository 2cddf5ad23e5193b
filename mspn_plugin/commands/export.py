"""``mspn export``."""

from pathlib import Path

import click

from ..files import check_target
from ..inference.fused import fuse
from ..inference.onnx import export_onnx
from ..inference.predictor import load_estimator
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
@click.option('--overwrite', is_flag=True, help='Replace OUT.onnx if it exists.')
def command(
    target: Path,
    config: str,
    checkpoint: str,
    heatmaps: bool,
    normalised_input: bool,
    flip_test: bool,
    stages: int | None,
    overwrite: bool,
) -> None:
    """Write an ONNX file that finds keypoints in crops, checked against PyTorch."""
    check_target(target, overwrite)
    estimator = fuse(load_estimator(config, checkpoint), stages)
    difference = export_onnx(estimator, target, not normalised_input, not heatmaps, flip_test)
    what = 'of the largest heatmap value' if heatmaps else 'pixels'
    megabytes = target.stat().st_size / 1e6
    click.echo(f'{target}: {megabytes:.1f} MB; at most {difference:.1g} {what} from PyTorch')
