"""What a step costs follows from who loads the data."""

import pytest

from mspn_plugin.checks.cost import RunCost


@pytest.mark.parametrize(
    'device, workers, seconds', [('cpu', 0, 5), ('cpu', 4, 3), ('cuda', 4, 2), ('cuda', 1, 4)]
)
def test_workers_load_beside_a_gpu_and_share_the_cores_of_a_cpu(device, workers, seconds):
    run = RunCost(
        device=device,
        batch_size=1,
        memory=0,
        network=1,
        loading=4,
        workers=workers,
        steps=1,
        total_steps=1,
        cores=2,
    )
    assert run.step == seconds
