"""The network that comes with the plugin, and the form of its file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..config_files import config_path
from ..errors import SettingError, first_few
from .loading import weights_in

NAME = 'td-hm_2xmspn-small_1xb32-17e_photographs-160x160'


def shipped_network() -> tuple[str, str]:
    """The config and the checkpoint of the network of ``docs/model-card.md``, two files."""
    return config_path(NAME), str(Path(__file__).with_name(f'{NAME}.pth'))


def in_half_precision(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Keep a checkpoint's weights and its data set's names; halve what the weights take.

    Convolutions become float16; norms, whose statistics may go beyond its range, stay as they are.

    Raises:
        SettingError: If it holds anything but weights.
    """
    weights = weights_in(checkpoint)
    if others := [key for key, value in weights.items() if not isinstance(value, Tensor)]:
        raise SettingError(f'it holds more than weights by their names: {first_few(others)}')
    meta = checkpoint.get('meta') or {}
    return dict(
        meta={key: meta[key] for key in ('dataset_meta',) if key in meta},
        state_dict={
            key: value.half() if value.dim() > 1 else value for key, value in weights.items()
        },
    )
