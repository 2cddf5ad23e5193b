"""What the network and the head share: the start of their weights, and settings checked."""

from collections.abc import Iterable
from typing import Any

from mmcv.cnn import build_norm_layer
from mmpose.registry import MODELS
from torch import nn

from .errors import SettingError

DEFAULT_INIT = (
    {'type': 'Kaiming', 'layer': 'Conv2d'},
    {'type': 'Constant', 'layer': ['_BatchNorm', 'GroupNorm'], 'val': 1},
)
"""Convolutions start by Kaiming's rule, and norms as the identity."""


def is_whole(value: Any) -> bool:
    """Tell whether a value is a whole number; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def check_counts(**counts: Any) -> None:
    """Raise a :class:`SettingError` for a setting that is no whole number of at least 1."""
    for name, count in counts.items():
        if not is_whole(count) or count < 1:
            raise SettingError(f'{name}={count!r} must be a whole number of at least 1')


def build_module(setting: str, cfg: Any) -> nn.Module:
    """Build a loss or an activation; a :class:`SettingError` says which setting makes none."""
    try:
        return MODELS.build(dict(cfg))
    except (KeyError, TypeError, ValueError) as error:
        raise SettingError(f'{setting}={cfg!r} makes no module of a network ({error})') from error


def check_norm(norm_cfg: Any, channels: Iterable[int]) -> None:
    """Raise a :class:`SettingError` if a norm layer can't be made for one of the channels."""
    for width in sorted(set(channels)):
        try:
            build_norm_layer(norm_cfg, width)
        except Exception as error:  # layers refuse their arguments in ways of their own
            raise SettingError(
                f'norm_cfg={norm_cfg} gives no norm layer for {width} channels ({error}); '
                "dict(type='BN'), dict(type='SyncBN') or a dict(type='GN', num_groups=...) that "
                'divides them fit'
            ) from error
