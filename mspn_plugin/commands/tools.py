"""``mspn tools NAME ...``: one of MMPose's tools or demos, with the plugin imported first.

``compat.py`` says what that mends. ``mim run mmpose NAME ...`` does without, and finds no demos.
"""

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
    """Let ``analyze_logs`` draw without seaborn, of which it takes ``set_style`` alone."""
    if importlib.util.find_spec('seaborn') is None:
        import matplotlib.pyplot as plt

        seaborn = ModuleType('seaborn')
        seaborn.__dict__['set_style'] = lambda style: plt.style.use(f'seaborn-v0_8-{style}')
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
    sys.argv = [str(scripts()[name]), *rest]
    runpy.run_path(sys.argv[0], run_name='__main__')
