"""What is counted is right."""

import pytest
import torch
from torch import nn

from mspn_plugin.measure import cost


@pytest.mark.parametrize(
    'layer, shape, by_hand',
    [
        (nn.Conv2d(4, 6, 3), (1, 4, 9, 9), 6 * 7 * 7 * 4 * 3 * 3),
        (nn.Conv2d(4, 6, 3, stride=2, padding=1), (1, 4, 9, 9), 6 * 5 * 5 * 4 * 3 * 3),
        (nn.Conv2d(4, 6, 3, groups=2), (1, 4, 9, 9), 6 * 7 * 7 * 2 * 3 * 3),
        (nn.Conv2d(4, 4, 3, groups=4), (1, 4, 9, 9), 4 * 7 * 7 * 3 * 3),
        (nn.ConvTranspose2d(4, 6, 4, 2, 1), (1, 4, 5, 5), 4 * 5 * 5 * 6 * 4 * 4),
        (nn.Linear(5, 7), (2, 3, 5), 2 * 3 * 5 * 7),
        (nn.BatchNorm2d(4), (1, 4, 9, 9), 0),
    ],
    ids=['conv', 'strided', 'grouped', 'depthwise', 'transposed', 'linear', 'norm'],
)
def test_multiply_adds_of_a_layer_are_those_by_hand(layer, shape, by_hand):
    assert cost.multiply_adds(lambda: layer(torch.rand(shape))) == by_hand


def test_multiply_adds_of_attention_are_those_of_its_two_products():
    query, key = torch.rand(2, 3, 6, 4), torch.rand(2, 3, 5, 4)

    def attend():
        return nn.functional.scaled_dot_product_attention(query, key, key)

    assert cost.multiply_adds(attend) == 2 * 3 * (6 * 5 * 4 + 6 * 4 * 5)
    assert cost.multiply_adds(lambda: query @ key.transpose(2, 3)) == 2 * 3 * 6 * 5 * 4


def test_peak_memory_counts_what_lives_at_once():
    mebi = 2**18  # float32 values in a MiB

    def call():
        first = torch.zeros(3 * mebi)
        second = torch.zeros(5 * mebi)
        del first
        third = torch.zeros(2 * mebi)
        return second, third

    assert cost.peak_memory(call) == 8 * 2**20
    assert cost.peak_memory(call, [torch.zeros(mebi)]) == 9 * 2**20
