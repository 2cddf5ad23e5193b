"""The machine that a benchmark ran on: what it is, its versions, and how fast it multiplies."""

import importlib
import os
import platform
import re
import time
from collections.abc import Callable
from importlib import metadata
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
    'torch',
    'torchvision',
    'onnxruntime',
    'numpy',
    'opencv-python',
)


def describe(device: str = 'cpu') -> dict[str, Any]:
    """What the figures of a run depend on.

    Args:
        device (str): The torch device that is measured, ``cpu`` or ``cuda...``.

    Returns:
        dict: ``processor`` (model), ``cores`` (that this process may use), ``threads`` (of
        torch), ``memory_gib``, ``system``, ``device`` (``cpu``, or the GPU's model), ``load`` (jobs
        that ran or waited in the last minute), ``nice`` (the priority of this process, -20 is the
        highest) and ``versions`` (package to version, installed ones only).
    """
    versions = {'python': platform.python_version()}
    for package in _PACKAGES:
        version = _version(package)
        if version is not None:
            versions[package] = version
    versions['torch'] = torch.__version__  # with its build, which the package's version may lack
    if device.startswith('cuda'):
        versions['cuda'] = str(torch.version.cuda)
    return dict(
        processor=_processor(),
        cores=cores(),
        threads=torch.get_num_threads(),
        memory_gib=_memory_gib(),
        system=platform.platform(terse=True),
        device=torch.cuda.get_device_name(device) if device.startswith('cuda') else 'cpu',
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


def matrix_rate(
    device: str = 'cpu',
    dtype: torch.dtype = torch.float32,
    size: int | None = None,
    seconds: float = 1.0,
) -> float:
    """The rate at which this machine multiplies square matrices: the ceiling for a network.

    The product is taken as ``torch.mm`` and as a 1x1 convolution in channels-last memory, because
    two libraries compute them and either can be the faster. Convolutions that save multiplications
    (Winograd's way) can exceed the ceiling.

    Args:
        device (str): The torch device.
        dtype (torch.dtype): The numbers' type.
        size (int, optional): Rows and columns; 2048, on a GPU 8192.
        seconds (float): How long to measure. The fastest product counts.

    Returns:
        float: Multiply-adds per second.
    """
    if size is None:
        size = 8192 if device.startswith('cuda') else 2048
    a = torch.rand(size, size, device=device).to(dtype)
    b = torch.rand(size, size, device=device).to(dtype)
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


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        pass
    try:
        return str(importlib.import_module(package).__version__)
    except (ImportError, AttributeError):
        return None


def _processor() -> str:
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as file:
            for line in file:
                if line.startswith('model name'):
                    return line.split(':', 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cores() -> int:
    """How many processor cores this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_gib() -> float | None:
    try:
        total = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    except (AttributeError, ValueError, OSError):
        return None
    return round(total / 2**30, 1)
