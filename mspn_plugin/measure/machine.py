"""The machine that a benchmark ran on: what it is, its versions, and how fast it multiplies."""

import os
import platform
import re
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from .timing import clock

_PACKAGES = (
    'mspn_plugin',
    'mmpose',
    'mmengine',
    'mmcv',
    'mmcv-lite',
    'mmdet',
    'mmpretrain',
    'torchvision',
    'onnxruntime',
    'numpy',
    'opencv-python',
)


def describe(device: str = 'cpu') -> dict[str, Any]:
    """What the figures of a run depend on.

    MMEngine's ``collect_env`` has neither the processor nor most of these packages.

    Args:
        device (str): The torch device that is measured, ``cpu`` or ``cuda...``.

    Returns:
        dict: ``processor`` (model), ``cores`` (that this process may use), ``threads`` (of
        torch), ``system``, ``device`` (``cpu``, or the GPU's model), ``load`` (jobs that ran or
        waited in the last minute), ``nice`` (the priority of this process, -20 is the highest) and
        ``versions`` (package to version, installed ones only).
    """
    installed = {distribution.name for distribution in metadata.distributions()}
    versions = {'python': platform.python_version(), 'torch': torch.__version__}
    versions |= {name: metadata.version(name) for name in _PACKAGES if name in installed}
    is_cuda = device.startswith('cuda')
    if is_cuda:
        versions['cuda'] = str(torch.version.cuda)
    return dict(
        processor=_processor(),
        cores=cores(),
        threads=torch.get_num_threads(),
        system=platform.platform(terse=True),
        device=torch.cuda.get_device_name(device) if is_cuda else 'cpu',
        load=round(os.getloadavg()[0], 2) if hasattr(os, 'getloadavg') else None,
        nice=os.nice(0) if hasattr(os, 'nice') else None,
        versions=versions,
    )


def short_name(machine: dict[str, Any]) -> str:
    """A file name for a machine, so that results of different machines never meet.

    Args:
        machine (dict): What :func:`describe` returned.

    Returns:
        str: For example ``amd-epyc-2-threads``; with the GPU's model in front where one was
        measured.
    """
    words = f'{machine["processor"]} {machine["threads"]} threads'
    if machine['device'] != 'cpu':
        words = f'{machine["device"]} {words}'
    return re.sub(r'[^a-z0-9]+', '-', words.lower()).strip('-')


def matrix_rate(device: str = 'cpu', size: int | None = None, seconds: float = 1.0) -> float:
    """The rate at which this machine multiplies square float32 matrices: a network's ceiling.

    The product is taken as ``torch.mm`` and as a 1x1 convolution in channels-last memory, because
    two libraries compute them and either can be the faster. Convolutions that save multiplications
    (Winograd's way) can exceed the ceiling.

    Args:
        device (str): The torch device.
        size (int, optional): Rows and columns; 2048, on a GPU 8192.
        seconds (float): How long to measure. The fastest product counts.

    Returns:
        float: Multiply-adds per second.
    """
    size = size or (8192 if device.startswith('cuda') else 2048)
    a, b = torch.rand(2, size, size, device=device)
    # One image whose pixels are the rows of the first matrix.
    image = a.view(1, size, 1, size).permute(0, 3, 1, 2)
    weight = b[:, :, None, None].contiguous(memory_format=torch.channels_last)
    products: list[Callable[[], object]] = [
        lambda: torch.mm(a, b),
        lambda: F.conv2d(image, weight),
    ]
    with torch.no_grad():
        fastest = min(clock(product, device) for product in products)
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            fastest = min(fastest, *(clock(product, device) for product in products))
    return size**3 / fastest


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
    model = re.search(r'^model name\s*: (.+)$', lines, re.MULTILINE)
    return model[1].strip() if model else platform.processor() or platform.machine()
