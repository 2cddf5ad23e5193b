"""Faults of image files are found, and named by their files."""

import re

import pytest
from support.spoiled_data import (
    HARMLESS_IMAGES,
    SPOILED_IMAGES,
    Data,
    as_jpeg,
    config,
    orientation,
)

from mspn_plugin.checks import faults
from mspn_plugin.checks.report import check


@pytest.fixture(scope='module')
def found(rendered, tmp_path_factory):
    """The places by kind of fault of data with every kind of image."""
    data = Data(rendered, tmp_path_factory.mktemp('images') / 'coco')
    for number, (name, (write, _)) in enumerate(SPOILED_IMAGES.items(), 2000):
        data.add_image(number, name, write)
    for number, (name, write) in enumerate(HARMLESS_IMAGES.items(), 3000):
        data.add_image(number, name, write)
    report = check(config(data.save()), cost=False)
    return {kind: places for kind, _, places in report.findings['train_dataloader.dataset']}


@pytest.mark.parametrize('name', SPOILED_IMAGES)
def test_every_fault_is_named_by_its_file(found, name):
    _, expected = SPOILED_IMAGES[name]
    kinds = [kind for kind, places in found.items() if any(f'/{name}' in p for p in places)]
    assert kinds == [expected]


@pytest.mark.parametrize('name', HARMLESS_IMAGES)
def test_what_mmpose_reads_rightly_is_no_fault(found, name):
    assert not any(f'/{name}' in place for places in found.values() for place in places)


def test_sizes_are_said_as_they_are_and_as_they_should_be(found):
    half, turned = found[faults.IMAGE_RESIZED]
    assert re.search(r': (\d+)x(\d+) instead of \d+x\d+$', half)
    assert re.search(r': (\d+)x(\d+) instead of \2x\1$', turned)


def test_a_loader_that_ignores_exif_turns_nothing(rendered, tmp_path):
    data = Data(rendered, tmp_path / 'coco')
    data.add_image(2000, 'turned.jpg', as_jpeg(exif=orientation(6)))
    pipeline = config(data.save()).train_dataloader.dataset.pipeline
    pipeline[0].color_type = 'color_ignore_orientation'
    options = {'train_dataloader.dataset.pipeline': pipeline}
    assert not check(config(data.folder, **options), cost=False).errors()
