"""A build backend (PEP 517) that has pip fetch and build the source on the index."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """Build the wheel into a folder, and return its name."""
    subprocess.run(
        [sys.executable, '-m', 'pip', 'wheel', '--no-deps', '--no-build-isolation']
        + ['--require-hashes', '--no-binary', 'xtcocotools', '--wheel-dir', wheel_directory]
        + ['--requirement', str(HERE / 'source.txt')],
        env={**os.environ, 'PYTHONPATH': search_path()},
        check=True,
    )
    return next(Path(wheel_directory).glob('xtcocotools-*.whl')).name


def search_path():
    """``PYTHONPATH``, led by what Python runs at its start where the source needs a remedy."""
    folders = [os.environ.get('PYTHONPATH')]
    if sys.version_info >= (3, 13):
        folders.insert(0, str(HERE / 'python313'))
    return os.pathsep.join(filter(None, folders))
