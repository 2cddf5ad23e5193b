"""A machine is described by what its figures depend on."""

from pathlib import Path

import torch

from mspn_plugin.measure.machine import describe, short_name


def test_machines_do_not_share_file_names():
    machine = describe()
    gpu = {**machine, 'device': 'NVIDIA H100'}
    other = {**machine, 'processor': 'Another CPU @ 3.0GHz'}
    names = {short_name(m) for m in (machine, gpu, other)}
    assert len(names) == 3
    assert all(name == Path(name).name and ' ' not in name for name in names)


def test_versions_are_of_what_is_installed():
    versions = describe()['versions']
    assert versions['torch'] == torch.__version__ and versions['mmpose'].startswith('1.')
    assert {'numpy', 'opencv-python'} <= set(versions)
    assert {'mmengine', 'onedl-mmengine'} & set(versions)


def test_a_processor_says_what_vector_instructions_it_has():
    assert describe()['processor'].endswith(torch.backends.cpu.get_cpu_capability())
