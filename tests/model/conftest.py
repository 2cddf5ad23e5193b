"""A group of processes that is one process."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch


@pytest.fixture
def process_group(tmp_path: Path) -> Iterator[None]:
    """Let distributed training run in this process alone.

    The group ends when the test's model is gone: a model that holds the last of it would wait for
    the group's threads with Python's lock in its hands, which they may need.
    """
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1
    )
    yield
    torch.distributed.destroy_process_group()
