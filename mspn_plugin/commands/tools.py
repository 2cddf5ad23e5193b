"""MMPose's own tools and demos, started with what they need on today's Python.

``python -m mspn_plugin.tools NAME ...`` runs the script NAME that MMPose was installed with, as
``mim run mmpose NAME ...`` does, with the plugin imported first (``compat.py`` says what that
mends). It finds the demos too, which ``mim run`` does not.
"""

import argparse
import importlib.util
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Dict, List, Optional

import mmpose


def scripts() -> Dict[str, Path]:
    """MMPose's scripts by name.

    Returns:
        dict[str, Path]: The file of each tool and demo.
    """
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


def main(arguments: Optional[List[str]] = None) -> None:
    """Run the command.

    Args:
        arguments (list[str], optional): The command line, without the program's name.
    """
    found = scripts()
    parser = argparse.ArgumentParser(
        prog='python -m mspn_plugin.tools',
        description="Run one of MMPose's tools or demos.",
        epilog='NAME is one of: ' + ', '.join(found),
    )
    parser.add_argument('name', metavar='NAME', choices=list(found), help='the script')
    parser.add_argument('rest', metavar='...', nargs=argparse.REMAINDER, help='its own arguments')
    args = parser.parse_args(arguments)
    script = str(found[args.name])
    if args.name == 'analyze_logs':
        style_without_seaborn()
    previous, sys.argv = sys.argv, [script, *args.rest]
    try:
        runpy.run_path(script, run_name='__main__')
    finally:
        sys.argv = previous


if __name__ == '__main__':
    main()
