"""The configs that come with the plugin, wherever it is installed.

A config of one's own inherits one of them with

    _base_ = __import__('mspn_plugin').config_path('NAME')
"""

import difflib
from pathlib import Path

from .errors import SettingError


def config_path(name: str) -> str:
    """Where a config of the plugin lies.

    Args:
        name (str): The config's name, with or without ``.py``.

    Returns:
        str: The path of the file.

    Raises:
        SettingError: If there is no such config; it names similar ones.
    """
    file = _folder() / f'{name.removesuffix(".py")}.py'
    if not file.is_file():
        similar = difflib.get_close_matches(name.removesuffix('.py'), config_names(), 3, 0.3)
        raise SettingError(
            f'mspn_plugin has no config {name!r}; similar: {", ".join(similar) or "none"} '
            '(mspn_plugin.config_names() lists all)'
        )
    return str(file)


def config_names() -> list[str]:
    """The names of all configs of the plugin, sorted.

    Returns:
        list[str]: Names as :func:`config_path` takes them.
    """
    return sorted(file.stem for file in _folder().glob('*.py'))


def _folder() -> Path:
    package = Path(__file__).resolve().parent
    installed = package / 'configs'
    return installed if installed.is_dir() else package.parent / 'configs'
