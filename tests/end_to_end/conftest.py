"""``mim`` for the tests that need no fresh process."""

from functools import partial

import pytest
from support import shell


@pytest.fixture(scope='session')
def mim(warm):
    """Runs ``mim COMMAND mmpose ...``, made small, and returns the finished process."""
    return partial(shell.mim, program=warm / 'mim')
