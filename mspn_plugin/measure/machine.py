"""The machine that something is measured on: what it is, and its versions."""

import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

_ENGINES = {'onnxruntime', 'openvino'}
_PACKAGES = {'mspn_plugin', 'mmpose', 'mmengine', 'mmcv', 'numpy', 'opencv-python', *_ENGINES}


def describe(device: str = 'cpu') -> dict[str, Any]:
    """What the figures of a run on a torch device, ``cpu`` or ``cuda...``, depend on.

    MMEngine's ``collect_env`` has neither the processor nor most of these packages.

    Returns:
        dict: ``processor`` (model and vector instructions), ``cores`` (that this process may use),
        ``threads`` (of torch), ``system``, ``device`` (``cpu``, or the GPU's model) and
        ``versions`` (package to version, installed ones only).
    """
    versions = {'python': platform.python_version(), 'torch': torch.__version__}
    for distribution in metadata.distributions():
        if distribution.name.removeprefix('onedl-').removesuffix('-lite') in _PACKAGES:
            versions[distribution.name] = distribution.version
    is_cuda = device.startswith('cuda')
    if is_cuda:
        versions['cuda'] = str(torch.version.cuda)
    return dict(
        processor=_processor(),
        cores=cores(),
        threads=torch.get_num_threads(),
        system=platform.platform(terse=True),
        device=torch.cuda.get_device_name(device) if is_cuda else 'cpu',
        versions=versions,
    )


def short_name(machine: dict[str, Any]) -> str:
    """A file name for what :func:`describe` returned, such as ``amd-epyc-avx2-2-threads``.

    Results of different machines never meet: a GPU's model stands in front.
    """
    words = f'{machine["processor"]} {machine["threads"]} threads'
    if machine['device'] != 'cpu':
        words = f'{machine["device"]} {words}'
    return re.sub(r'[^a-z0-9]+', '-', words.lower()).strip('-')


def cores() -> int:
    """How many processor cores this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8')
    except OSError:
        lines = ''
    found = re.search(r'^model name\s*: (.+)$', lines, re.MULTILINE)
    model = found[1].strip() if found else platform.processor() or platform.machine()
    # Clouds give processors of several generations one name.
    return f'{model} {torch.backends.cpu.get_cpu_capability()}'
