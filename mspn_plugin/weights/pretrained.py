"""What ``init_cfg=dict(type='Pretrained', checkpoint=FILE)`` of the backbone loads."""

from typing import Any

from torch import nn

from ..errors import SettingError, first_few, naming
from .loading import (
    check_origin,
    check_resnet,
    convert_resnet,
    is_mspn,
    read_checkpoint,
    weights_below,
    weights_in,
)


def load_pretrained(
    backbone: nn.Module,
    checkpoint: str = '',
    stages: str = 'all',
    prefix: str | None = None,
    map_location: Any = None,
    **others: Any,
) -> None:
    """Load a ResNet or a network of its own kind into an ``MSPNBackbone``.

    The file is a ResNet in torchvision's layout, or this network, alone or inside of an estimator.
    A ResNet goes into ``'all'`` stages or only into the ``'first'``. If the file has weights whose
    names start with ``prefix`` (``backbone.`` by default), only these are taken. Where MMEngine
    would put them first does not matter.

    Raises:
        SettingError: If the file is missing or does not fit the network; it names the file.
    """
    if others or not checkpoint:
        given = ', '.join(others) or 'no checkpoint'
        raise SettingError(f'init_cfg has {given}; it takes checkpoint, stages and prefix')
    if stages not in ('all', 'first'):
        raise SettingError(f"stages={stages!r} of init_cfg must be 'all' or 'first'")
    network: Any = backbone
    with naming(f'init_cfg names the checkpoint {checkpoint}'):
        weights = weights_in(read_checkpoint(checkpoint))
        weights = weights_below(weights, (prefix or 'backbone').rstrip('.') + '.') or weights
        check_origin(weights)
        if is_mspn(weights):
            network.load_state_dict(weights)
            return
        if 'conv1.weight' not in weights or 'layer1.0.conv1.weight' not in weights:
            raise SettingError(
                "it holds neither a ResNet in torchvision's layout nor this network; its keys: "
                + first_few(list(weights))
            )
        filled = range(network.num_stages if stages == 'all' else 1)
        weights = convert_resnet(weights, filled, network.num_units)
        own = network.state_dict()
        check_resnet(weights, own)
    for key, value in weights.items():
        own[key].copy_(value)
