"""Write docs/ablations.md and its plot from the runs that ablations.py has done."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from scipy.stats import t as student

from mspn_plugin.benchmark.report import machine_line, markdown_table, save_figure
from mspn_plugin.files import write_bytes

SEEDS = 3
Runs = Mapping[tuple[str, int], Mapping[str, Any]]

# What the paper, or this plugin, claims; the variant that should be better; the other.
CLAIMS = (
    ('Two stages are better than one of the same width', 'full', 'stages-1'),
    ('Three stages are better than two', 'stages-3', 'full'),
    ('Four stages are better than three', 'stages-4', 'stages-3'),
    ('Two stages are better than one wide stage of their cost', 'full', 'wide'),
    ('Channels that double are better than equal ones, at equal cost', 'full', 'hourglass'),
    ('Aggregation is better than none, at equal widths', 'full', 'no-aggregation'),
    ('Aggregation is better than none, at equal cost', 'full', 'no-aggregation-wider'),
    (
        'Coarse-to-fine supervision is better than the finest level for all units',
        'full',
        'no-coarse-to-fine',
    ),
    ('OHKM is better than the mean over all keypoints', 'full', 'no-ohkm'),
    ("Exact coding is better than the authors' (not the paper's claim)", 'full', 'megvii-coding'),
    (
        "Exact coding is better than MMPose's targets, head and losses (not the paper's claim)",
        'full',
        'mmpose-supervision',
    ),
    (
        "With the authors' coding ours is better than MMPose's targets, head and losses (not the "
        "paper's claim)",
        'megvii-coding',
        'mmpose-supervision',
    ),
    (
        "In bfloat16 exact coding is better than MMPose's targets, head and losses in float32 (not "
        "the paper's claim)",
        'bfloat16',
        'mmpose-supervision',
    ),
)

_INTRODUCTION = """# The paper's observations on photographs

This page is written by `python benchmarks/ablations.py`; no number on it was typed. Every variant
is trained from random weights on Leeds Sports Pose Extended
([train-on-photographs.md](train-on-photographs.md)) with the seeds 0, 1 and 2 and one schedule, and
evaluated once, at the end. A seed gives the first weights, the order of the persons and their
augmentation. Networks and images are small, so that the whole grid takes hours on two cores; the
settings, with the arithmetic, are in `benchmarks/ablations.py`."""

_RULE = """A claim is *seen* if the whole 95% interval of the difference in AP lies above zero,
*the other way round* if it lies below, and else *not seen at this size*. The difference is taken
seed by seed, and the interval is Student's over the seeds: with three of them it is wide, and a
small effect is not seen. No correction is made for there being several claims."""

_SIZE = """The size is images of {input_size} pixels, heatmaps of {heatmap_size} and {steps} steps,
a small part of the paper's training, after which AP still rises fast. A verdict speaks of that. The
authors chose their Gaussians for heatmaps of 48x64; on these the widest covers most of a person.
OHKM trains on the keypoints with the largest errors, and some of those are wrong labels, which
LSPET has more of than COCO. Both may be why the last unit learns faster without them; neither was
tried apart. In the recipe, at a larger size and for six times as many epochs, the finest level for
all units brought nothing ([results.md](results.md#photographs-of-sports))."""

_TABLE = """AP is over the 12 keypoints of the limbs, with 0.53 of the box for the area; PCK counts
a keypoint within a tenth of the longer side of the box. ± is the standard deviation over seeds.
Equal cost means equal steps, and multiply-adds (one image, all heads, as in training) within 3% of
the full model's. The number of stages, and aggregation at equal widths, change the cost, as the
column says. The last two rows are for orientation: MMPose's networks with their own targets and
losses, a learning rate of 1e-3 that was not tuned, and as many steps as take about the full model's
time on a core. RTMPose-t has its published widths."""


class Difference(NamedTuple):
    """A paired difference over seeds.

    Attributes:
        mean (float): The mean.
        low (float): The 95% interval's lower end; infinite with less than two seeds.
        high (float): Its upper end.
        seeds (int): The number of seeds.
    """

    mean: float
    low: float
    high: float
    seeds: int

    def __str__(self) -> str:
        if self.seeds < 2:
            return f'{self.mean:+.4f}' if self.seeds else '—'
        return f'{self.mean:+.4f} [{self.low:+.4f}, {self.high:+.4f}]'


def difference(runs: Runs, better: str, worse: str, metric: str = 'AP') -> Difference:
    """The difference of two variants over the seeds that both have."""
    seeds = [s for name, s in runs if name == better and (worse, s) in runs]
    values = np.array([runs[better, s][metric] - runs[worse, s][metric] for s in seeds])
    if len(values) < 2:
        mean = float(values[0]) if len(values) else float('nan')
        return Difference(mean, -np.inf, np.inf, len(values))
    mean = float(values.mean())
    half = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return Difference(mean, mean - half, mean + half, len(values))


def verdict(found: Difference) -> str:
    """What a difference says of the claim that it is positive."""
    if found.seeds < 2:
        return 'one seed, no interval' if found.seeds else 'not run yet'
    if found.low > 0:
        return 'seen'
    if found.high < 0:
        return 'the other way round'
    return 'not seen at this size'


def write_page(
    path: Path, variants: Mapping[str, Any], costs: Mapping[str, Any], runs: Runs
) -> None:
    """Write the page, and the plot if there are runs.

    Args:
        path (Path): The page; the plot lies in a folder of its name beside it.
        variants (Mapping[str, Variant]): All variants.
        costs (Mapping): ``multiply_adds`` and ``parameters`` of each.
        runs (Mapping): The lines that are done, by variant and seed.
    """
    parts = [_INTRODUCTION]
    missing = {
        name: [str(seed) for seed in range(SEEDS) if (name, seed) not in runs] for name in variants
    }
    lines = [f'{name} (seed {", ".join(seeds)})' for name, seeds in missing.items() if seeds]
    if lines:
        parts.append(f'**Runs are missing:** {"; ".join(lines)}.')
    claims = [
        [text, f'{better} - {worse}', str(found), verdict(found)]
        for text, better, worse in CLAIMS
        for found in [difference(runs, better, worse)]
    ]
    parts += ['## Claims', _RULE]
    parts.append('\n'.join(markdown_table(['claim', 'compared', 'AP', 'verdict'], claims)))
    if runs:
        codec = variants['full'].target['encoder']
        sizes = {name: 'x'.join(map(str, codec[name])) for name in ('input_size', 'heatmap_size')}
        steps = _joined(line['steps'] for (name, _), line in runs.items() if name == 'full')
        parts.append(_SIZE.format(steps=steps, **sizes))
    parts += ['## Variants', _TABLE, _table(variants, costs, runs)]
    if runs:
        plot = path.with_suffix('') / 'ap.png'
        _draw(plot, variants, runs)
        parts.append(f'![AP of each run]({plot.relative_to(path.parent).as_posix()})')
        parts += ['## Machines', _machines(runs)]
    write_bytes(path, ('\n\n'.join(parts) + '\n').encode())


def _table(variants: Mapping[str, Any], costs: Mapping[str, Any], runs: Runs) -> str:
    rows = []
    for name, variant in variants.items():
        own = [line for (n, _), line in runs.items() if n == name]
        cost = costs[name]['multiply_adds']
        rows.append(
            [
                f'`{name}`: {variant.differs}',
                f'{cost / 1e6:.1f}',
                f'{cost / costs["full"]["multiply_adds"]:.2f}',
                f'{costs[name]["parameters"] / 1e6:.2f}',
                _joined(line['steps'] for line in own),
                _spread([line['AP'] for line in own]),
                _spread([line['PCK@0.1'] for line in own]),
                '' if name == 'full' else str(difference(runs, name, 'full')),
                '' if name == 'full' else str(difference(runs, name, 'full', 'PCK@0.1')),
                str(len(own)),
                f'{np.median([line["seconds"] for line in own]) / 60:.1f}' if own else '—',
            ]
        )
    titles = ['variant', 'multiply-adds M', 'of full', 'parameters M', 'steps', 'AP', 'PCK@0.1']
    titles += ['AP - full [95%]', 'PCK - full [95%]', 'runs', 'minutes']
    return '\n'.join(markdown_table(titles, rows))


def _joined(values: Any) -> str:
    return ', '.join(map(str, sorted(set(values)))) or '—'


def _spread(values: list[float]) -> str:
    if len(values) < 2:
        return f'{values[0]:.4f}' if values else '—'
    return f'{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}'


def _machines(runs: Runs) -> str:
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for line in runs.values():
        by_name.setdefault(line['machine_name'], []).append(line)
    return '\n'.join(
        f'- {name}, {len(lines)} runs at {_joined(line["commit"] for line in lines)}: '
        f'{machine_line(lines[0]["machine"])}'
        for name, lines in by_name.items()
    )


def _draw(path: Path, variants: Mapping[str, Any], runs: Runs) -> None:
    """Draw the AP of every run, with each variant's mean and standard deviation."""
    matplotlib.use('Agg')
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(8, 0.4 * len(variants) + 1), layout='constrained')
    for row, name in enumerate(variants):
        values = [line['AP'] for (n, _), line in runs.items() if n == name]
        if not values:
            continue
        colour = 'C1' if name == 'full' else 'C0'
        axis.plot(values, [row] * len(values), 'o', color=colour, alpha=0.4)
        spread = np.std(values, ddof=1) if len(values) > 1 else 0
        axis.errorbar(np.mean(values), row, xerr=spread, fmt='|', color=colour, markersize=12)
        if name == 'full':
            axis.axvline(np.mean(values), color=colour, alpha=0.4, linewidth=1)
    axis.set_yticks(range(len(variants)), list(variants))
    axis.set_ylim(len(variants) - 0.5, -0.5)
    axis.set_xlabel('AP on held-out persons: each run, mean and standard deviation')
    axis.grid(axis='x', alpha=0.3)
    save_figure(figure, path)
