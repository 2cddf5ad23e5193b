"""What ``requirements/`` pins is what ``pyproject.toml`` asks for, on each Python."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPO = Path(__file__).resolve().parent.parent
PYTHONS = ['3.10', '3.11', '3.12', '3.13']
INSTALLED_BESIDE = {'torch', 'xtcocotools'}


def requirements(file: str) -> list[Requirement]:
    """The requirements that a file of ``requirements/`` lists, without their hashes."""
    lines = (REPO / 'requirements' / file).read_text().splitlines()
    return [Requirement(line.rstrip('\\')) for line in lines if re.match(r'\w', line)]


def pinned(file: str, python: str) -> dict[str, str]:
    """Versions by name, as one Python on Linux gets them."""
    environment = dict(
        python_version=python, python_full_version=f'{python}.0', sys_platform='linux'
    )
    return {
        canonicalize_name(pin.name): str(pin.specifier).removeprefix('==')
        for pin in requirements(file)
        if pin.marker is None or pin.marker.evaluate(environment)
    }


def asked_for() -> list[Requirement]:
    """The dependencies of ``pyproject.toml``."""
    tomllib = pytest.importorskip('tomllib', reason='Python 3.10 has no tomllib')
    project = tomllib.loads((REPO / 'pyproject.toml').read_text())['project']
    return [Requirement(line) for line in project['dependencies']]


@pytest.mark.parametrize('python', PYTHONS)
def test_pins_are_what_the_package_asks_for(python):
    pins = pinned('pins.txt', python)
    for wanted in asked_for():
        if wanted.name not in INSTALLED_BESIDE:
            assert wanted.specifier.contains(pins[canonicalize_name(wanted.name)]), wanted


@pytest.mark.parametrize('python', PYTHONS)
def test_make_installs_what_users_are_told_to_install(python):
    assert pinned('pins.txt', python).items() <= pinned('lock.txt', python).items()
