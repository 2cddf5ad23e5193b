"""``mspn convert``."""

from pathlib import Path

import click
import torch

from ..datasets.lspet import convert_lspet
from ..errors import naming
from ..files import check_target, writing
from ..weights.loading import read_checkpoint
from ..weights.megvii import convert_megvii_checkpoint
from ..weights.shipped import in_half_precision
from .arguments import Command


def convert_megvii_file(source: str | Path, target: str | Path, overwrite: bool = False) -> int:
    """Convert a file of the authors' release, and return its number of stages.

    A :class:`SettingError` says what is wrong with the source or the target.
    """
    target = Path(target)
    check_target(target, overwrite)
    loaded = read_checkpoint(source)
    with naming(str(source)):
        converted = convert_megvii_checkpoint(loaded)
    with writing(target) as unfinished:
        torch.save({'meta': {}, 'state_dict': converted}, unfinished)
    return len({key.split('.')[2] for key in converted if '.multi_stage_mspn.' in key})


@click.group('convert')
def command() -> None:
    """Turn foreign checkpoints and data sets into those of MMPose.

    MMPose's own need no conversion.
    """


@command.command('megvii', cls=Command)
@click.argument('source', type=Path, metavar='IN')
@click.argument('target', type=Path, metavar='OUT')
@click.option('--overwrite', is_flag=True, help='Replace OUT if it exists.')
def megvii(source: Path, target: Path, overwrite: bool) -> None:
    """Turn IN, a checkpoint of the authors' release, into one that load_from takes."""
    stages = convert_megvii_file(source, target, overwrite)
    click.echo(
        f'{target}: an estimator of {stages} stage{"s" if stages > 1 else ""}, '
        'for load_from of a config with as many'
    )


@command.command('lspet', cls=Command)
@click.argument('source', type=Path, metavar='ZIP')
@click.option('--out', required=True, type=Path, metavar='DIR', help='Folder, new or empty.')
@click.option(
    '--val', type=click.IntRange(1), default=500, help='Number of persons for validation.'
)
@click.option(
    '--seed', type=click.IntRange(0), default=0, help='The same seed gives the same split.'
)
def lspet(source: Path, out: Path, val: int, seed: int) -> None:
    """Turn ZIP, lspet_dataset.zip of Leeds Sports Pose Extended, into COCO's layout."""
    done = convert_lspet(source, out, val, seed)
    click.echo(
        f'{out}: {done.train} persons for training and {done.val} for validation; '
        f'{done.left_out} left out with too few labels, {done.dropped_labels} labels outside of '
        f'their photograph dropped, {done.duplicate_pairs} pairs of near duplicates kept together'
    )


@command.command('half', cls=Command)
@click.argument('source', type=Path, metavar='IN')
@click.argument('target', type=Path, metavar='OUT')
@click.option('--overwrite', is_flag=True, help='Replace OUT if it exists.')
def half(source: Path, target: Path, overwrite: bool) -> None:
    """Keep the weights of IN, a training's checkpoint, in half precision: a sixth of its size."""
    check_target(target, overwrite)
    loaded = read_checkpoint(source)
    with naming(str(source)):
        checkpoint = in_half_precision(loaded)
    with writing(target) as unfinished:
        torch.save(checkpoint, unfinished)
    click.echo(f'{target}: {target.stat().st_size / 1e6:.1f} MB')
