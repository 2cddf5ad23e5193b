"""Checks of single settings that the network and the head share."""

from collections.abc import Iterable
from typing import Any

from mmcv.cnn import build_norm_layer

from .errors import SettingError


def is_whole(value: Any) -> bool:
    """Tell whether a value is a whole number; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def check_counts(**counts: Any) -> None:
    """Check settings that count something.

    Args:
        **counts: The settings by name.

    Raises:
        SettingError: If one is not a whole number of at least 1.
    """
    for name, count in counts.items():
        if not is_whole(count) or count < 1:
            raise SettingError(f'{name}={count!r} must be at least 1, and a whole number')


def check_switches(**switches: Any) -> None:
    """Check settings that are on or off.

    A command line's ``with_cp=no`` is the text ``'no'``, which Python takes for true.

    Args:
        **switches: The settings by name.

    Raises:
        SettingError: If one is neither True nor False.
    """
    for name, switch in switches.items():
        if switch not in (True, False):
            raise SettingError(f'{name}={switch!r} must be True or False')


def check_norm(norm_cfg: Any, widths: Iterable[int]) -> None:
    """Check that a norm layer can be made for each number of channels.

    Args:
        norm_cfg (dict): The norm layer's config.
        widths (Iterable[int]): The numbers of channels.

    Raises:
        SettingError: If there is none for one of them.
    """
    for width in sorted(set(widths)):
        try:
            build_norm_layer(norm_cfg, width)
        except Exception as error:  # layers refuse their arguments in ways of their own
            raise SettingError(
                f'norm_cfg={norm_cfg} gives no norm layer for {width} channels ({error}); '
                "dict(type='BN'), dict(type='SyncBN') or a dict(type='GN', num_groups=...) that "
                'divides them fit'
            ) from error
