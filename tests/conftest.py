"""Fixtures that several test modules share."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import mspn_cli
import mspn_plugin  # noqa: F401  (its remedies come before any import of mmpose)

REPO = Path(__file__).resolve().parent.parent


@pytest.fixture(scope='session')
def golden() -> Path:
    """The folder of figures that the authors' release computed."""
    return Path(__file__).parent / 'golden'


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """The folder of real photographs, which the project does not ship.

    It is looked for in ``MSPN_SHARED`` and beside the clone. A user's clone has none, and the
    tests that need photographs are skipped there; with ``CI`` set a missing folder is a failure.
    """
    folder = Path(os.environ.get('MSPN_SHARED', REPO.parent / 'shared')) / 'data'
    if not folder.is_dir():
        if os.environ.get('CI'):
            pytest.fail(f'CI must test on the photographs, and {folder} does not exist')
        pytest.skip(f'no photographs at {folder}; set MSPN_SHARED to the folder that holds data/')
    return folder


@pytest.fixture(scope='session')
def coco_photos(shared_data: Path) -> Path:
    """Real COCO photographs and their annotations, in COCO's own layout."""
    return shared_data / 'coco'


@pytest.fixture(scope='session')
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few rendered people in COCO's layout, as the command writes them."""
    from mspn_plugin.synthetic.coco import render_dataset

    folder = tmp_path_factory.mktemp('rendered') / 'coco'
    render_dataset(folder, train=8, val=4, seed=1, progress=False)
    return folder


@pytest.fixture(scope='session')
def mspn() -> Callable[..., Result]:
    """The command ``mspn`` in this process; its arguments may be of any type."""

    def run(*arguments: object) -> Result:
        result = CliRunner().invoke(mspn_cli.main, [str(argument) for argument in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture(autouse=True)
def no_visualizer_of_another_test() -> None:
    """Forget visualizers: MMEngine keeps one of each name in a process, with its folder.

    A runner in a later test would write to the folder of an earlier one, which may be gone.
    """
    from mmengine.visualization import Visualizer
    from mmpose.visualization import PoseLocalVisualizer

    for kind in (Visualizer, PoseLocalVisualizer):
        kind._instance_dict.clear()
