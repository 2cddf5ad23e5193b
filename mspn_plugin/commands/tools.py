"""``mspn tools``: MMPose's own tools and demos, started with what they need on today's Python.

``mspn tools NAME ...`` runs the script NAME that MMPose was installed with, as ``mim run mmpose
NAME ...`` does, with the plugin imported first (``compat.py`` says what that mends). It finds the
demos too, which ``mim run`` does not.
"""

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path
from types import ModuleType

import click
import mmpose

from .arguments import Command


def scripts() -> dict[str, Path]:
    """The file of each of MMPose's tools and demos, by name."""
    home = Path(mmpose.__file__).parent / '.mim'
    files = [*home.glob('demo/*.py'), *home.glob('tools/**/*.py')]
    return {file.stem: file for file in sorted(files)}


def style_without_seaborn() -> None:
    """Let ``analyze_logs`` draw where seaborn is not installed.

    It imports seaborn for ``set_style`` alone, and matplotlib has the same styles.
    """
    if importlib.util.find_spec('seaborn') is not None:
        return
    import matplotlib.pyplot as plt

    def set_style(style: str) -> None:
        plt.style.use(f'seaborn-v0_8-{style}')

    seaborn = ModuleType('seaborn')
    seaborn.__dict__['set_style'] = set_style
    sys.modules['seaborn'] = seaborn


@click.command(
    'tools',
    cls=Command,
    context_settings=dict(ignore_unknown_options=True, allow_interspersed_args=False),
    epilog='NAME is one of: ' + ', '.join(scripts()),
)
@click.argument('name', type=click.Choice(list(scripts())), metavar='NAME')
@click.argument('rest', nargs=-1, type=click.UNPROCESSED, metavar='...')
def command(name: str, rest: tuple[str, ...]) -> None:
    """Run one of MMPose's tools or demos, with its own arguments."""
    if name == 'analyze_logs':
        style_without_seaborn()
    script = str(scripts()[name])
    previous, sys.argv = sys.argv, [script, *rest]
    try:
        runpy.run_path(script, run_name='__main__')
    finally:
        sys.argv = previous
