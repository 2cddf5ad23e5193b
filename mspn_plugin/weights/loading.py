"""Weights from files: reading them, which fit the network, and what to say of those that don't."""

import functools
import pickle
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

from ..errors import SettingError, first_few, in_one_line


def is_intact(path: str | Path) -> bool:
    """Tell whether a file that PyTorch saved is complete and fits its checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except Exception:  # damage makes zipfile raise nearly anything
        return False


def _explained(load: Callable[..., Any]) -> Callable[..., Any]:
    """A loader of MMEngine that turns whatever ends the reading into one message."""

    @functools.wraps(load)
    def load_explained(filename: str, *args: Any, **kwargs: Any) -> Any:
        path = Path(filename).expanduser()
        if '://' not in filename and not path.is_file():
            raise SettingError(f'there is no checkpoint {filename}')
        try:
            # PyTorch looks at no checksum, and would take any number that a broken disk has left.
            is_damaged = zipfile.is_zipfile(path) and not is_intact(path)
            loaded = None if is_damaged else load(filename, *args, **kwargs)
        except pickle.UnpicklingError as error:
            raise SettingError(
                f'{filename} holds more than tensors and plain values, so that loading it could '
                f'run code, and it is refused ({in_one_line(error, 200)})'
            ) from error
        except Exception as error:  # half a file makes torch and pickle raise nearly anything
            hint = 'can it be reached from here' if '://' in filename else 'is it complete'
            raise SettingError(
                f'{filename} cannot be read as a checkpoint; {hint}? ({in_one_line(error)})'
            ) from error
        if is_damaged:
            raise SettingError(f'{filename} is damaged: a checksum in it does not fit')
        return loaded

    return load_explained


# All that MMEngine loads comes through these: load_from, --resume, init_cfg, init_model.
for prefix, load in list(CheckpointLoader._schemes.items()):
    CheckpointLoader.register_scheme(prefix, _explained(load), force=True)


def read_checkpoint(checkpoint: str | Path) -> Any:
    """Read a checkpoint, a file, a URL or ``torchvision://NAME``, as MMEngine does.

    Raises:
        SettingError: If there is none, or it is damaged or could run code.
    """
    return CheckpointLoader.load_checkpoint(str(checkpoint), 'cpu')


def weights_in(
    checkpoint: Any, wrappers: Sequence[str] = ('state_dict', 'model')
) -> dict[str, Any]:
    """The weights of what a file held, without wrappers of these names and a prefix ``module.``.

    MMEngine knows the wrapper ``state_dict`` alone.
    """
    for wrapper in wrappers:
        if isinstance(checkpoint, Mapping):
            checkpoint = checkpoint.get(wrapper, checkpoint)
    if not isinstance(checkpoint, Mapping):
        raise SettingError(f'it holds a {type(checkpoint).__name__}, not weights by their names')
    return {str(key).removeprefix('module.'): value for key, value in checkpoint.items()}


def check_estimator_weights(checkpoint: Any, model: nn.Module, whole: bool) -> list[str]:
    """Compare a checkpoint with the estimator that it is to be loaded into.

    MMEngine skips what does not fit. That is wanted for the last layers of the head, when another
    number of keypoints is trained from a trained network; anything else is a mistake. For a test
    and to resume a training the whole estimator must get its weights, otherwise only its backbone.

    Returns:
        list[str]: The weights that will be skipped or keep their start, in words.

    Raises:
        SettingError: If the checkpoint is a mistake; it says what does not fit, and what to do.
    """
    check_origin(weights_in(checkpoint))
    # MMPose 0.x called the head so; MMPose renames it while loading.
    weights = {
        key.replace('keypoint_head', 'head'): value
        for key, value in weights_in(checkpoint, ['state_dict']).items()
    }
    own = model.state_dict()
    check_backbone_weights(weights_below(weights, 'backbone.'), weights_below(own, 'backbone.'))
    missing = [key for key in own if key not in weights and not key.endswith('batches_tracked')]
    misshapen = shape_differences(weights, own)
    part = '' if whole else 'backbone.'
    parts = describe_keys(
        {
            'missing': [key for key in missing if key.startswith(part)],
            'of another shape': [key for key in misshapen if key.startswith(part)],
        }
    )
    if parts:
        parts += describe_keys({'not known': [key for key in weights if key not in own]})
        name = 'network' if whole else 'backbone'
        raise SettingError(
            f'it is of another {name} than the config describes ({"; ".join(parts)}); use the '
            f'config that it was trained with, or a checkpoint of this {name}. A backbone alone is '
            'for `init_cfg` of the backbone'
        )
    fitting = own.keys() & weights.keys() - {text.split(' ', 1)[0] for text in misshapen}
    spoiled = [key for key in own if key in fitting and not weights[key].isfinite().all()]
    if spoiled:
        raise SettingError(f'it holds numbers that are NaN or infinite: {first_few(spoiled)}')
    return [*misshapen, *(f'{key} (missing)' for key in missing)]


def check_origin(weights: Mapping[str, Any]) -> None:
    """Refuse weights of the authors' release, and name the command that converts them."""
    if any(re.match(r'stage\d+\.(down|up)sample\.', key) for key in weights):
        raise SettingError(
            "it is a checkpoint of the authors' release; convert it once with "
            '`mspn convert megvii IN OUT`, and use OUT'
        )


def weights_below(weights: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The weights whose names start with a prefix, without it."""
    return {key[len(prefix) :]: value for key, value in weights.items() if key.startswith(prefix)}


def is_mspn(weights: Mapping[str, Any]) -> bool:
    """Tell whether the keys are those of ``MSPNBackbone`` or of MMPose's ``MSPN``."""
    return any(key.startswith('multi_stage_mspn.') for key in weights)


def convert_resnet(
    weights: Mapping[str, Tensor], stages: Sequence[int], num_units: int
) -> dict[str, Tensor]:
    """Name a ResNet's weights, in torchvision's layout, as ``MSPNBackbone`` names them.

    A stage's way down has the blocks of a ResNet, so that weights trained on ImageNet fit the stem
    and every stage; the stages of these indices get them. The classifier is left out, and so are
    layers that a stage has no units for.
    """
    converted: dict[str, Tensor] = {}
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


def check_backbone_weights(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Refuse weights of a backbone that was built with other settings, and name the setting.

    Weights without any of a stage are not judged.
    """
    if not is_mspn(weights) or not is_mspn(own):
        return
    theirs, ours = _settings(weights), _settings(own)
    hints = {
        'num_stages': ' in the backbone and the head',
        'num_blocks': f', with num_units={len(theirs["num_blocks"])}',
    }
    stages = ours['num_stages']
    if theirs['num_stages'] > stages:
        hints['num_stages'] += f', and active_stages={stages} in both to run only so many'
    for name in theirs:
        if theirs[name] != ours[name]:
            raise SettingError(
                f'the checkpoint has {name}={theirs[name]} and the backbone {name}={ours[name]}; '
                f'set {name}={theirs[name]}{hints.get(name, "")}'
            )
    _check_layers(weights, own)


def check_resnet(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Refuse what :func:`convert_resnet` made of a ResNet with other blocks or channels."""
    theirs, ours = _num_blocks(weights), _num_blocks(own)
    if theirs != ours[: len(theirs)]:
        raise SettingError(
            f'the ResNet has {theirs} blocks and the backbone num_blocks={ours}; set the one to '
            'fit the other'
        )
    _check_layers(weights, own)


def describe_keys(keys: Mapping[str, Sequence[str]]) -> list[str]:
    """Say of each kind of keys how many there are and which; kinds without any are left out."""
    return [f'{len(names)} {kind}: {first_few(names)}' for kind, names in keys.items() if names]


def shape_differences(weights: Mapping[str, Any], own: Mapping[str, Tensor]) -> list[str]:
    """List the weights that both have in different shapes, in words that start with the key."""
    return [
        f'{key} {shape_of(weights[key])} instead of {shape_of(own[key])}'
        for key in own
        if key in weights and shape_of(weights[key]) != shape_of(own[key])
    ]


def shape_of(value: Any) -> Any:
    """A tensor's shape as a list, and of anything else the name of its type."""
    return list(value.shape) if isinstance(value, Tensor) else type(value).__name__


def _check_layers(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    strangers = [key for key in weights if key.startswith('top.') and key not in own]
    if different := strangers or shape_differences(weights, own):
        raise SettingError(
            'norm_cfg, unit_channels, stem_channels or double_channels give the backbone other '
            f'layers than the file has: {first_few(different)}'
        )


def _settings(weights: Mapping[str, Any]) -> dict[str, Any]:
    """The backbone's settings that the names of its weights give away."""
    stages = {int(key.split('.')[1]) for key in weights if key.startswith('multi_stage_mspn.')}
    aggregation = any('.out_skip1.' in key for key in weights)
    blocks = _num_blocks(weights)
    return dict(num_stages=1 + max(stages), num_blocks=blocks, aggregation=aggregation)


def _num_blocks(weights: Mapping[str, Any]) -> list[int]:
    matches = (re.search(r'\.downsample\.layer(\d+)\.(\d+)\.', key) for key in weights)
    blocks = {(int(match[1]), int(match[2])) for match in matches if match}
    counts = Counter(unit for unit, _ in blocks)
    return [counts[unit] for unit in sorted(counts)]
