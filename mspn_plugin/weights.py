"""Weights for the backbone from files: which fit it, and what to say of those that don't."""

import pickle
import re
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence

from mmengine.runner import CheckpointLoader
from torch import Tensor

from .errors import SettingError


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn whatever ends the reading of a checkpoint into one message.

    A damaged file makes torch and pickle raise nearly anything, so nothing is told apart but a file
    that was refused.

    Args:
        name (str): How the message calls the checkpoint.

    Raises:
        SettingError: If the block raises an error.
    """
    try:
        yield
    except SettingError:
        raise
    except pickle.UnpicklingError as error:
        raise SettingError(
            f'{name} is no checkpoint of tensors and plain values alone, so that loading it could '
            f'run code, and it is refused ({" ".join(str(error).split())[:200]})'
        ) from error
    except Exception as error:
        raise SettingError(
            f'{name} cannot be read as a checkpoint; is it complete? '
            f'({type(error).__name__}: {error})'
        ) from error


def read_backbone_weights(
    checkpoint: str, prefix: Optional[str] = None, map_location: str = 'cpu'
) -> Dict[str, Tensor]:
    """Read a file's weights, without what stands in front of a backbone's names.

    Args:
        checkpoint (str): A file, a URL or ``torchvision://NAME``, as MMEngine takes them.
        prefix (str, optional): Only keys that start with it are taken, without it. By default it is
            ``backbone.`` if the file has such keys.
        map_location (str): The device to load to.

    Returns:
        dict[str, Tensor]: The weights.
    """
    loaded = CheckpointLoader.load_checkpoint(checkpoint, map_location)
    for wrapper in ('state_dict', 'model'):
        loaded = loaded.get(wrapper, loaded)
    weights = {re.sub(r'^module\.', '', key): value for key, value in loaded.items()}
    if prefix is None and any(key.startswith('backbone.') for key in weights):
        prefix = 'backbone.'
    if prefix is None:
        return weights
    prefix = prefix.rstrip('.') + '.'
    return {key[len(prefix) :]: value for key, value in weights.items() if key.startswith(prefix)}


def is_mspn(weights: Mapping[str, Any]) -> bool:
    """Tell whether the keys are those of ``MSPNBackbone`` or of MMPose's ``MSPN``."""
    return any(key.startswith('multi_stage_mspn.') for key in weights)


def is_resnet(weights: Mapping[str, Any]) -> bool:
    """Tell whether the keys are those of a ResNet in torchvision's layout."""
    return 'conv1.weight' in weights and 'layer1.0.conv1.weight' in weights


def convert_resnet(
    weights: Mapping[str, Tensor], stages: Sequence[int], num_units: int
) -> Dict[str, Tensor]:
    """Name a ResNet's weights, in torchvision's layout, as ``MSPNBackbone`` names them.

    A stage's way down has the blocks of a ResNet, so that weights trained on ImageNet fit the stem
    and every stage. The classifier is left out, and so are layers that a stage has no units for.

    Args:
        weights (Mapping[str, Tensor]): A ResNet of bottlenecks, such as ResNet-50.
        stages (Sequence[int]): Indices of the stages that are to get the weights.
        num_units (int): The number of down units of a stage.

    Returns:
        dict[str, Tensor]: The stem's and these stages' weights.
    """
    converted: Dict[str, Tensor] = {}
    for key, value in weights.items():
        if key.startswith(('conv1.', 'bn1.')):
            converted['top.top.0.' + key.replace('1.', '.', 1)] = value
            continue
        match = re.match(r'layer(\d+)\.', key)
        if match and int(match[1]) <= num_units:
            name = key.replace('downsample.0.', 'downsample.conv.')
            name = name.replace('downsample.1.', 'downsample.bn.')
            for stage in stages:
                converted[f'multi_stage_mspn.{stage}.downsample.{name}'] = value
    return converted


class _Settings(NamedTuple):
    """The backbone's settings that the names of its weights give away."""

    num_stages: int
    num_blocks: List[int]
    aggregation: bool


def check_backbone_weights(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Refuse weights of a network that was built with other settings.

    Args:
        weights (Mapping[str, Tensor]): The weights to load, under the backbone's names. Without
            any of a stage they are not judged.
        own (Mapping[str, Tensor]): The backbone's own.

    Raises:
        SettingError: If they are of another network; it names the setting.
    """
    if not is_mspn(weights):
        return
    given, present = _settings(weights), _settings(own)
    for name, theirs, ours in zip(_Settings._fields, given, present, strict=True):
        if theirs != ours:
            hint = f', with num_units={len(given.num_blocks)}' if name == 'num_blocks' else ''
            if name == 'num_stages':
                hint = ' in the backbone and the head'
                if given.num_stages > present.num_stages:
                    hint += (
                        f', and active_stages={ours} in both to run only the first '
                        f'{"stages" if present.num_stages > 1 else "stage"}'
                    )
            raise SettingError(
                f'the checkpoint has {name}={theirs} and the backbone {name}={ours}; '
                f'set {name}={theirs}{hint}'
            )
    _check_stem_and_shapes(weights, own)


def check_resnet(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Refuse a ResNet whose weights have no place in the backbone.

    Args:
        weights (Mapping[str, Tensor]): What :func:`convert_resnet` gave.
        own (Mapping[str, Tensor]): The backbone's own weights.

    Raises:
        SettingError: If it has other blocks or shapes; it names the setting.
    """
    theirs, ours = _num_blocks(weights), _num_blocks(own)
    if theirs != ours[: len(theirs)]:
        raise SettingError(
            f'the ResNet has {theirs} blocks and the backbone num_blocks={ours}; set the one to '
            'fit the other'
        )
    if not any(key.endswith('.conv3.weight') for key in weights):
        raise SettingError(
            'the ResNet has blocks of two convolutions, as ResNet-18 and 34 have; the stages are '
            'made of bottlenecks, as ResNet-50, 101 and 152 are'
        )
    _check_stem_and_shapes(weights, own)


def some(names: Sequence[str], shown: int = 4) -> str:
    """Name the first few of many in a message."""
    more = f' and {len(names) - shown} more' if len(names) > shown else ''
    return (', '.join(names[:shown]) or 'none') + more


def misshapen(given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> List[str]:
    """List the weights that both have in different shapes, in words."""
    return [
        f'{key} {list(given[key].shape)} instead of {list(own[key].shape)}'
        for key in own
        if key in given and given[key].shape != own[key].shape
    ]


def _check_stem_and_shapes(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    strangers = [key for key in weights if key.startswith('top.') and key not in own]
    if strangers:
        raise SettingError(
            f'norm_cfg gives the backbone other norm layers than the file has: {some(strangers)}'
        )
    wrong = misshapen(weights, own)
    if wrong:
        raise SettingError(
            'unit_channels, stem_channels or double_channels give the backbone other channels '
            f'than the file has: {some(wrong)}'
        )


def _settings(weights: Mapping[str, Any]) -> _Settings:
    stages = {int(key.split('.')[1]) for key in weights if key.startswith('multi_stage_mspn.')}
    aggregation = any('.out_skip1.' in key for key in weights)
    return _Settings(1 + max(stages), _num_blocks(weights), aggregation)


def _num_blocks(weights: Mapping[str, Any]) -> List[int]:
    blocks: Dict[int, int] = {}
    for key in weights:
        match = re.search(r'\.downsample\.layer(\d+)\.(\d+)\.', key)
        if match:
            unit, block = int(match[1]), int(match[2])
            blocks[unit] = max(blocks.get(unit, 0), block + 1)
    return [blocks[unit] for unit in sorted(blocks)]
