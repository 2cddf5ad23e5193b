"""A tiny network that predicts, and images of persons."""

import pytest

from mspn_plugin.inference.predictor import load_estimator


@pytest.fixture(scope='session')
def trained(network):
    return load_estimator(*network[1::2])
