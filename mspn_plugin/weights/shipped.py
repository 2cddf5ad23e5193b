"""The network that comes with the plugin, and the form of its file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..config_files import config_path
from .loading import weights_in

NAME = 'td-hm_2xmspn-small_1xb32-16e_photographs-160x160'


def shipped_network() -> tuple[str, str]:
    """The config and the checkpoint of the network of ``docs/model-card.md``, two files."""
    return config_path(NAME), str(Path(__file__).with_name(f'{NAME}.pth'))


def in_half_precision(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Keep a checkpoint's weights and its data set's names; halve what the weights take.

    Convolutions become float16; norms, whose statistics may go beyond its range, stay as they are.
    """
    meta = checkpoint.get('meta', {})
    return dict(
        meta={key: meta[key] for key in ('dataset_meta',) if key in meta},
        state_dict={key: _halved(value) for key, value in weights_in(checkpoint).items()},
    )


def _halved(weight: Tensor) -> Tensor:
    return weight.half() if weight.dim() > 1 else weight
