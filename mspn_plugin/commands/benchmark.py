"""``mspn benchmark``."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markdown import Markdown

from ..benchmark.compare import MEASURES, Settings, Subject, run
from ..benchmark.report import draw, machine_line, markdown
from ..errors import SettingError
from ..files import write_bytes
from ..measure.machine import describe, short_name
from .arguments import Command, cfg_options, device


@click.command('benchmark', cls=Command)
@click.argument('configs', nargs=-1, required=True, metavar='CONFIG...')
@click.option(
    '--checkpoint', multiple=True, metavar='FILE...', help='One for each config; - for none.'
)
@click.option('--batch-size', type=click.IntRange(1), default=8, metavar='N')
@click.option('--repeats', type=click.IntRange(1), default=5, help='Rounds over all configs.')
@click.option('--seconds', default=0.3, help='A call is repeated so long, at most ten times.')
@device
@click.option('--flip-test', is_flag=True, help='Leave the flip test of the configs on.')
@click.option('--skip', multiple=True, type=click.Choice(MEASURES), help='Leave out.')
@click.option('--out', type=Path, default='work_dirs/benchmark', metavar='DIR')
@cfg_options('Replace values of every config.')
def command(
    configs: tuple[str, ...],
    checkpoint: tuple[str, ...],
    cfg_options: dict[str, Any],
    out: Path,
    **settings: Any,
) -> int:
    """Measure MMPose models side by side.

    CONFIG is a file, mmpose::PATH, or the name of a config of mspn_plugin. docs/benchmarks.md says
    what a figure includes. Files are written after every round, and stay after an interrupt. Exit
    status: 0, 1 where a config could not be built or run.
    """
    if checkpoint and len(checkpoint) != len(configs):
        raise SettingError(
            f'--checkpoint names {len(checkpoint)} files for {len(configs)} configs; '
            'give one for each, - for none'
        )
    subjects = [
        Subject(config, None if file == '-' else file, options=cfg_options)
        for config, file in zip(configs, checkpoint or ['-'] * len(configs), strict=True)
    ]
    machine = short_name(describe(settings['device']))
    target = out / time.strftime(f'{machine}_%Y%m%d_%H%M%S')

    def save(result: dict[str, Any]) -> None:
        page = f'{result["started"]}, {machine_line(result["machine"])}\n\n{markdown(result)}\n'
        write_bytes(target.with_suffix('.json'), json.dumps(result, indent=1).encode())
        write_bytes(target.with_suffix('.md'), page.encode())
        draw(result, target.with_suffix('.png'))

    result = run(subjects, Settings(**settings), save)
    Console(width=None if sys.stdout.isatty() else 160).print(Markdown(markdown(result)))
    click.echo(f'written: {target}.json, .md and .png')
    return int(any({'building', 'predicting'} & set(row['reasons']) for row in result['rows']))
