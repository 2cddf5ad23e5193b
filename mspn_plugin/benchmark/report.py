"""How the figures of a benchmark are shown: tables in Markdown and a figure."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ..files import writing

Row = Mapping[str, Any]
NONE = '—'


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as a whole; folders that are missing are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path) as unfinished:
        figure.savefig(unfinished, dpi=110)


def markdown(result: Mapping[str, Any]) -> str:
    """All tables and the reasons for what is missing.

    Args:
        result (Mapping): What :func:`mspn_plugin.benchmark.compare.run` returned.

    Returns:
        str: Markdown.
    """
    lines: list[str] = []
    for title, columns in _tables(result).items():
        cells = [[cell(row) for cell in columns.values()] for row in result['rows']]
        lines += [f'**{title}**', '', *markdown_table(list(columns), cells), '']
    for row in result['rows']:
        for what, reason in [*row['reasons'].items(), *row['notes'].items()]:
            lines.append(f'- {row["name"]}, {what}: {reason}')
    return '\n'.join(lines).strip()


def markdown_table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table, the first column to the left and the others to the right."""
    rule = ['---', *['---:'] * (len(names) - 1)]
    return [f'| {" | ".join(cells)} |' for cells in (names, rule, *rows)]


def machine_line(machine: Mapping[str, Any]) -> str:
    """What :func:`~mspn_plugin.measure.machine.describe` found, in a sentence."""
    versions = ', '.join(f'{name} {version}' for name, version in machine['versions'].items())
    return (
        f'{machine["device"]}; {machine["processor"]}, {machine["cores"]} cores, '
        f'{machine["threads"]} threads; {machine["system"]}; '
        f'load before the run {machine["load"]}, nice {machine["nice"]}. {versions}.'
    )


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Draw accuracy, where any is known, and multiply-adds against latency.

    Args:
        result (Mapping): What :func:`mspn_plugin.benchmark.compare.run` returned.
        path (Path): The image that is written. With no row that has a latency none is.
    """
    rows = [row for row in result['rows'] if 'latency' in row]
    if not rows:
        return
    panels: dict[str, Callable[[Row], float | None]] = {}
    if any(map(_accuracy, rows)):
        panels['AP'] = lambda row: (_accuracy(row) or (None,))[0]
    panels['multiply-adds of one person (G)'] = lambda row: row['multiply_adds'] / 1e9
    figure = Figure((5.2 * len(panels) + 3, 5), layout='constrained')
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (label, value) in zip(axes, panels.items()):
        for index, row in enumerate(rows):
            x, low, high = (row['latency'][key] * 1000 for key in ('median', 'low', 'high'))
            if (y := value(row)) is not None:
                axis.errorbar(
                    *(x, y),
                    xerr=[[x - low], [high - x]],
                    fmt='osD^vP*X'[index // 10 % 8],
                    color=f'C{index % 10}',
                    label=row['name'],
                )
        axis.set_xlabel('latency of one person (ms), median and middle half')
        axis.set_ylabel(label)
        axis.set_xlim(left=0)
        axis.grid(alpha=0.3)
    # The last panel has all rows.
    figure.legend(*axes[-1].get_legend_handles_labels(), loc='outside right center', fontsize=8)
    machine = result['machine']
    figure.suptitle(f'{machine["device"]}, {machine["processor"]}, {machine["threads"]} threads')
    save_figure(figure, path)


def significant(value: float, digits: int = 3) -> str:
    """A number with so many significant digits, in plain notation."""
    if value == 0 or not math.isfinite(value):
        return str(value)
    return f'{value:.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}'


def spread(seconds: Mapping[str, float], share: int = 1) -> str:
    """The median and the middle half of a timing in milliseconds, divided by ``share``."""
    median, low, high = (
        significant(seconds[name] * 1000 / share) for name in ('median', 'low', 'high')
    )
    return f'{median} [{low} to {high}]'


def _tables(result: Mapping[str, Any]) -> dict[str, dict[str, Callable[[Row], str]]]:
    """The tables by their titles: columns by their names, and what gives a row's cell."""
    size = result['settings']['batch_size']
    rate = result['matrix_multiply_adds_per_second']
    first: Row = next(iter(result['rows']), {})

    def column(needed: str, cell: Callable[[Row], str]) -> Callable[[Row], str]:
        """A column of what rows have that have all that is needed."""
        return lambda row: cell(row) if set(needed.split()) <= set(row) else NONE

    def number(key: str, unit: float) -> Callable[[Row], str]:
        return column(key, lambda row: significant(row[key] / unit))

    def mebibytes(key: str) -> Callable[[Row], str]:
        return column(key, lambda row: f'{row[key] / 2**20:.0f}')

    def milliseconds(key: str, share: int = 1) -> Callable[[Row], str]:
        return column(key, lambda row: spread(row[key], share))

    def per_second(key: str, amount: int) -> Callable[[Row], str]:
        return column(key, lambda row: significant(amount / row[key]['median']))

    def ratio(key: str) -> Callable[[Row], str]:
        known = column(key, lambda row: f'{first[key]["median"] / row[key]["median"]:.2f}')
        return known if key in first else lambda row: NONE

    def network(key: str, cell: Callable[[Row, float], str]) -> Callable[[Row], str]:
        def seconds(row: Row) -> float:
            return row[key]['median'] - row[f'{key}_decoding']['median']

        return column(f'{key} {key}_decoding', lambda row: cell(row, seconds(row)))

    def share_of_rate(row: Row, seconds: float) -> str:
        return f'{row["predicting_multiply_adds"] * size / seconds / rate:.0%}'

    return {
        'Speed (median [middle half]; ratio to the first, higher is faster)': {
            'config': lambda row: row['name'],
            'AP': _accuracy_cell,
            'latency ms': milliseconds('latency'),
            'latency ratio': ratio('latency'),
            f'persons/s, batch {size}': per_second('batch', size),
            'persons ratio': ratio('batch'),
            f'training steps/s, batch {size}': per_second('training', 1),
            'steps ratio': ratio('training'),
        },
        'Cost': {
            'config': lambda row: row['name'],
            'input': column('input_size', lambda row: 'x'.join(map(str, row['input_size']))),
            'parameters M': number('parameters', 1e6),
            'multiply-adds G': number('multiply_adds', 1e9),
            'G when predicting': number('predicting_multiply_adds', 1e9),
            f'MiB predicting, batch {size}': mebibytes('predicting_bytes'),
            f'MiB training, batch {size}': mebibytes('training_bytes'),
        },
        'Where the time goes, one person': {
            'config': lambda row: row['name'],
            'data pipeline ms': milliseconds('pipeline'),
            'network ms': network('latency', lambda _, seconds: significant(seconds * 1e3)),
            'decoding ms': milliseconds('latency_decoding'),
            f'network ms/person, batch {size}': network(
                'batch', lambda _, seconds: significant(seconds * 1e3 / size)
            ),
            'decoding ms/person': milliseconds('batch_decoding', size),
            'of the matrix rate': network('batch', share_of_rate),
        },
    }


def _accuracy(row: Row) -> tuple[float, str] | None:
    """AP and where it is from: measured, or else published."""
    metrics: dict[str, float] = (row.get('accuracy') or {}).get('metrics', {})
    for key, value in metrics.items():
        if key.split('/')[-1] == 'AP':
            return value, 'measured'
    return (row['published']['AP'], 'published') if row.get('published') else None


def _accuracy_cell(row: Row) -> str:
    known = _accuracy(row)
    return f'{known[0]:.3f} {known[1]}' if known else NONE
