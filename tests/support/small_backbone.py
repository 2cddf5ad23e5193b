"""A tiny network."""

import torch

from mspn_plugin import MSPNBackbone

TINY = {'num_units': 2, 'num_blocks': (1, 2), 'stem_channels': 4, 'unit_channels': 8}


def tiny(num_stages=2, **settings):
    torch.manual_seed(0)
    return MSPNBackbone(num_stages=num_stages, **{**TINY, **settings})
