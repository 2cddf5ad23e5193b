"""``mspn check``."""

from typing import Any

import click

from ..checks.report import check, in_words
from ..config_files import read_config
from ..measure.machine import cores
from .arguments import Command, cfg_options, device


@click.command('check', cls=Command)
@click.argument('config', metavar='CONFIG')
@click.option(
    '--images/--no-images', default=True, help='Read every image, or look only that they exist.'
)
@click.option(
    '--cost/--no-cost', default=True, help='Measure memory and time, if there are no errors.'
)
@click.option(
    '--workers', type=click.IntRange(1), default=cores(), help='Threads that read images.'
)
@click.option('--seconds', default=10.0, help='How long to measure the network, and the loading.')
@device
@cfg_options("Replace values of the config, as MMPose's tools do.")
def command(config: str, cfg_options: dict[str, Any], **options: Any) -> int:
    """Look for what could end or spoil a run of CONFIG, in its data, model and checkpoint.

    It also measures what training would cost. Exit status: 0 if there are no errors, 1 if there
    are, 2 if nothing could be checked.
    """
    report = check(read_config(config, cfg_options), **options)
    click.echo(in_words(report))
    return 1 if report.errors() else 0
