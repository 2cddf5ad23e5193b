"""Configs: those that come with the plugin, wherever it is installed, and any that has a name.

A config of one's own inherits one of them with

    _base_ = __import__('mspn_plugin').config_path('NAME')
"""

import difflib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hub import get_config

from .errors import SettingError


def config_path(name: str) -> str:
    """The path of a config of the plugin, from its name with or without ``.py``.

    Raises:
        SettingError: If there is no such config; it names similar ones.
    """
    file = _folder() / f'{name.removesuffix(".py")}.py'
    if not file.is_file():
        similar = difflib.get_close_matches(name.removesuffix('.py'), config_names(), 3, 0.3)
        raise SettingError(
            f'no file and no config of mspn_plugin is called {name!r}; similar: '
            f'{", ".join(similar) or "none"} (mspn_plugin.config_names() lists all)'
        )
    return str(file)


def config_names() -> list[str]:
    """The names of all configs of the plugin, sorted, as :func:`config_path` takes them."""
    return sorted(file.stem for file in _folder().glob('*.py'))


def find_config(name: str) -> str:
    """The path of a file, of ``package::path`` as MMEngine takes it, or of a config of the plugin.

    Raises:
        SettingError: If there is no such file.
    """
    package, separator, _ = name.partition('::')
    if separator:
        if find_spec(package) is None:  # MMEngine would install it
            raise SettingError(f'config {name}: the package {package} is not installed')
        try:
            return str(get_config(f'{name.removesuffix(".py")}.py').filename)
        except (AssertionError, OSError, ValueError) as error:
            raise SettingError(f'config {name}: {error}') from error
    return name if Path(name).is_file() else config_path(name)


def read_config(file: str | Path, cfg_options: Mapping[str, Any] = {}) -> Config:
    """Read a model's config, and replace settings of it by dotted names.

    Raises:
        SettingError: If there is no such file, or it is no config of a model.
    """
    if not Path(file).is_file():
        raise SettingError(f'there is no config {file}')
    try:
        cfg = Config.fromfile(file)
        cfg.merge_from_dict(dict(cfg_options))
    except Exception as error:  # a config is a program
        raise SettingError(
            f'{file} cannot be read as a config ({type(error).__name__}: {error})'
        ) from error
    if 'model' not in cfg:
        raise SettingError(f'the config {file} has no `model`')
    return cfg


def _folder() -> Path:
    package = Path(__file__).resolve().parent
    installed = package / 'configs'
    return installed if installed.is_dir() else package.parent / 'configs'
