"""How the cost of MSPN grows: with stages, input size, batch and persons in an image."""

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmpose.apis import inference_topdown, init_model
from rows import interleaved
from torch import nn

from mspn_plugin.benchmark.report import save_figure
from mspn_plugin.config_files import find_config
from mspn_plugin.measure import cost
from mspn_plugin.measure.timing import clock


def run(
    stages: Sequence[int] = (1, 2, 3, 4),
    sizes: Sequence[tuple[int, int]] = ((96, 128), (144, 192), (192, 256), (288, 384)),
    batches: Sequence[int] = (1, 2, 4, 8, 16),
    persons: Sequence[int] = (1, 2, 5, 10, 20),
    repeats: int = 3,
    config: str = 'mspn_coco',
    options: Mapping[str, Any] = {},
    device: str = 'cpu',
) -> dict[str, Any]:
    """Measure all four, one variable at a time and the others at the config's values.

    Args:
        stages (Sequence[int]): Numbers of stages, at batch 1.
        sizes (Sequence[tuple[int, int]]): Input sizes (w, h), at batch 1.
        batches (Sequence[int]): Images in a batch.
        persons (Sequence[int]): Persons in an image of 640x480.
        repeats (int): Interleaved repeats of each.
        config (str): The config's name.
        options (Mapping): Values that replace the config's.
        device (str): The torch device.

    Returns:
        dict: ``matrix_multiply_adds_per_second`` of this machine, and ``tables``: each with
        ``variable``, ``unit`` and ``rows`` of ``value``, ``images`` (that went through the
        network), ``multiply_adds`` (of the network, for all of them) and ``seconds`` (``median``,
        ``low``, ``high``).
    """
    path = find_config(config)
    build = functools.partial(_build, path, options, device)
    model = build({})
    width, height = model.cfg.input_size
    tables = [
        _network_table(
            'stages',
            {n: (build(_staged(n)), (1, 3, height, width)) for n in stages},
            repeats,
        ),
        _network_table(
            'input size',
            {f'{w}x{h}': (build(_sized(w, h)), (1, 3, h, w)) for w, h in sizes},
            repeats,
        ),
        _network_table('batch', {n: (model, (n, 3, height, width)) for n in batches}, repeats),
        _persons_table(model, persons, repeats),
    ]
    return dict(matrix_multiply_adds_per_second=matrix_rate(device), tables=tables)


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Draw each table's time for one image against its variable."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    tables = result['tables']
    figure, axes = pyplot.subplots(
        1, len(tables), figsize=(4.2 * len(tables), 3.6), squeeze=False, layout='constrained'
    )
    for axis, table in zip(axes[0], tables):
        rows = table['rows']
        for name, divide, style in (('all images', False, 'o-'), ('one image', True, 's--')):
            if divide and all(row['images'] == 1 for row in rows):
                continue
            by = [row['images'] if divide else 1 for row in rows]
            median, low, high = (
                np.array([row['seconds'][key] * 1000 / n for row, n in zip(rows, by)])
                for key in ('median', 'low', 'high')
            )
            axis.errorbar(
                range(len(rows)), median, yerr=[median - low, high - median], fmt=style, label=name
            )
        axis.set_xticks(range(len(rows)), [str(row['value']) for row in rows])
        axis.set_xlabel(table['variable'])
        axis.set_ylabel('ms')
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        if len(axis.containers) > 1:
            axis.legend()
    save_figure(figure, path)


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


def _build(
    path: str, options: Mapping[str, Any], device: str, more: Mapping[str, Any]
) -> nn.Module:
    cfg = Config.fromfile(path)
    cfg.merge_from_dict({**options, **more})
    cfg.model.backbone.init_cfg = None
    cfg.model.test_cfg.flip_test = False
    return init_model(cfg, device=device)


def _staged(stages: int) -> dict[str, Any]:
    return {'model.backbone.num_stages': stages, 'model.head.num_stages': stages}


def _sized(width: int, height: int) -> dict[str, Any]:
    return {
        'input_size': (width, height),
        'model.head.decoder.input_size': (width, height),
        'model.head.decoder.heatmap_size': (width // 4, height // 4),
    }


def _network_table(
    variable: str, cases: Mapping[Any, tuple[nn.Module, tuple[int, ...]]], repeats: int
) -> dict[str, Any]:
    calls: dict[str, Callable[[], object]] = {}
    counts: list[int] = []
    for value, (model, shape) in cases.items():
        calls[str(value)] = functools.partial(
            _heatmaps, model, torch.rand(shape, device=_device(model))
        )
        counts.append(cost.multiply_adds(calls[str(value)]))
    timings = interleaved(calls, repeats, warmup=1)
    return dict(
        variable=variable,
        unit='network, to the heatmaps of the last unit',
        rows=[
            dict(value=value, images=shape[0], multiply_adds=count, seconds=_seconds(timing))
            for (value, (_, shape)), count, timing in zip(cases.items(), counts, timings.values())
        ],
    )


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


@torch.no_grad()
def _heatmaps(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """What a prediction computes before it decodes."""
    head = model.head
    last = head.predict_layers[-1]
    return last(model.extract_feat(images)[-1][-1])


def _persons_table(model: nn.Module, persons: Sequence[int], repeats: int) -> dict[str, Any]:
    rng = np.random.RandomState(0)
    image = rng.randint(0, 256, (480, 640, 3)).astype(np.uint8)
    corners = rng.uniform((0, 0), (400, 200), (max(persons), 2))
    boxes = np.concatenate((corners, corners + rng.uniform(100, 240, corners.shape)), 1)
    calls = {str(n): functools.partial(inference_topdown, model, image, boxes[:n]) for n in persons}
    width, height = model.cfg.input_size
    one = cost.multiply_adds(
        functools.partial(_heatmaps, model, torch.rand(1, 3, height, width, device=_device(model)))
    )
    timings = interleaved(calls, repeats, warmup=1)
    return dict(
        variable='persons in an image',
        unit='image and boxes to keypoints: cropping, network, decoding (inference_topdown)',
        rows=[
            dict(value=n, images=n, multiply_adds=n * one, seconds=_seconds(timing))
            for n, timing in zip(persons, timings.values())
        ],
    )


def _seconds(timing: Any) -> dict[str, float]:
    return dict(median=timing.median, low=timing.low, high=timing.high)
