"""``mspn synthetic``."""

from pathlib import Path

import click

from ..measure.machine import cores
from ..synthetic.coco import render_dataset
from .arguments import Command


@click.command('synthetic', cls=Command)
@click.option('--out', required=True, type=Path, metavar='DIR', help='Folder, new or empty.')
@click.option('--train', required=True, type=click.IntRange(1), help='Number of training images.')
@click.option('--val', required=True, type=click.IntRange(1), help='Number of validation images.')
@click.option(
    '--seed', type=click.IntRange(0), default=0, help='The same seed gives the same bytes.'
)
@click.option('--workers', type=click.IntRange(1), default=cores(), help='Number of processes.')
def command(out: Path, train: int, val: int, seed: int, workers: int) -> None:
    """Render people in COCO's layout and format."""
    persons = render_dataset(out, train, val, seed, workers)
    click.echo(
        f'{out}: {train} training images with {persons["train"]} labelled persons, '
        f'{val} validation images with {persons["val"]}'
    )
