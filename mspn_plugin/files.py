"""Reading and writing files: JSON, and what appears whole or not at all."""

import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine import fileio

from .errors import SettingError


def read_json(path: str | Path) -> Any:
    """Read a JSON file, local or a URL, with ``NaN`` and ``Infinity``, as MMPose's readers do.

    Raises:
        SettingError: If there is none, or it is not JSON.
    """
    try:
        return json.loads(fileio.get(str(path)))
    except OSError as error:
        raise SettingError(f'{path}: {error.strerror or error}') from error
    except ValueError as error:
        raise SettingError(f'{path} is not a whole JSON file ({error})') from error


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Write a file as a whole: what was there stays until all of the new one is on disk.

    It is written under the name that is given, which becomes ``path`` if the block ends well.
    """
    # It ends as the file does, because many libraries choose a format by the suffix, and is no
    # longer than names may be.
    unfinished = path.with_name(f'.{path.stem[:40]}.{os.getpid()}{path.suffix}')
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """Fill a folder that is new or empty as a whole: it stays as it was if the block fails.

    What is written to the folder that is given, a hidden one, stands in ``path`` afterwards.

    Raises:
        SettingError: If ``path`` is a file or not empty.
    """
    path = Path(path).expanduser().resolve()
    exists = path.exists()
    if exists and (not path.is_dir() or any(path.iterdir())):
        raise SettingError(
            f'{path} is a file or not empty, and nothing in it was touched; name a folder that is '
            'new or empty'
        )
    # An empty folder stays: it may be someone's working directory, or a mounted disk.
    parent = path if exists else path.parent
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='.unfinished-', dir=parent) as unfinished:
        folder = Path(unfinished, path.name)
        folder.mkdir()
        yield folder
        if exists:
            for part in sorted(folder.iterdir()):
                os.replace(part, path / part.name)
        else:
            os.replace(folder, path)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file as a whole, to disk; folders that are missing are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path) as unfinished, unfinished.open('wb') as file:
        file.write(content)
        # A machine that loses power may otherwise keep the new name and lose the content.
        file.flush()
        os.fsync(file.fileno())


def remove_unfinished(folder: Path, suffix: str) -> None:
    """Delete the files of a suffix that processes were killed in writing.

    No other process may be writing in the folder.
    """
    for path in folder.glob(f'.*{suffix}'):
        if re.fullmatch(rf'\..+\.\d+{re.escape(suffix)}', path.name):
            path.unlink()


def check_target(path: Path, overwrite: bool) -> None:
    """Refuse a file that can't or must not be written, before any work.

    Raises:
        SettingError: If it is a folder, exists without ``overwrite``, or its own folder does not.
    """
    if path.is_dir():
        raise SettingError(f'{path} is a folder')
    if path.exists() and not overwrite:
        raise SettingError(f'{path} exists already; --overwrite replaces it')
    if not path.parent.is_dir():
        raise SettingError(f'{path} cannot be written: the folder {path.parent} does not exist')
    if not os.access(path.parent, os.W_OK):
        raise SettingError(f'{path} cannot be written: {path.parent} is not yours to write to')
