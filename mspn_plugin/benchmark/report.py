"""How the figures of a benchmark are shown: tables in Markdown and a figure."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ..files import writing

Row = Mapping[str, Any]


def markdown(result: Mapping[str, Any]) -> str:
    """All tables of what ``compare.run`` returned, and the reasons for what is missing."""
    lines: list[str] = []
    for title, columns in _tables(result).items():
        cells = [[_cell(column, row) for column in columns.values()] for row in result['rows']]
        lines += [f'**{title}**', '', *markdown_table(list(columns), cells), '']
    for row in result['rows']:
        lines += [f'- {row["name"]}, {what}: {why}' for what, why in row['reasons'].items()]
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
        f'{machine["threads"]} threads; {machine["system"]}. {versions}.'
    )


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Draw AP, or multiply-adds where no AP is known, against latency."""
    key, unit, label = 'AP', 1.0, 'AP'
    if not any('AP' in row for row in result['rows']):
        key, unit, label = 'multiply_adds', 1e9, 'multiply-adds of one person (G)'
    figure = Figure((8.2, 5), layout='constrained')
    axis = figure.subplots()
    for index, row in enumerate(result['rows']):
        if {'latency', key} <= set(row):
            x, low, high = (row['latency'][name] * 1000 for name in ('median', 'low', 'high'))
            axis.errorbar(
                *(x, row[key] / unit),
                xerr=[[x - low], [high - x]],
                fmt='osD^vP*X'[index // 10 % 8],
                color=f'C{index % 10}',
                label=row['name'],
            )
    axis.set(xlabel='latency of one person (ms), median and middle half', ylabel=label)
    axis.set_xlim(left=0)
    axis.grid(alpha=0.3)
    figure.legend(loc='outside right center', fontsize=8)
    machine = result['machine']
    figure.suptitle(f'{machine["device"]}, {machine["processor"]}, {machine["threads"]} threads')
    save_figure(figure, path)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as a whole; folders that are missing are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path) as unfinished:
        figure.savefig(unfinished, dpi=110)


def significant(value: float, digits: int = 3) -> str:
    """A number with so many significant digits, in plain notation."""
    if value == 0 or not math.isfinite(value):
        return str(value)
    return f'{value:.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}'


def spread(seconds: Mapping[str, float]) -> str:
    """The median and the middle half of a timing in milliseconds."""
    median, low, high = (significant(seconds[name] * 1000) for name in ('median', 'low', 'high'))
    return f'{median} [{low} to {high}]'


def _tables(result: Mapping[str, Any]) -> dict[str, dict[str, Callable[[Row], str]]]:
    """The tables by their titles: columns by their names, and what gives a row's cell."""
    size = result['settings']['batch_size']
    first: Row = result['rows'][0]

    def ratio(key: str) -> Callable[[Row], str]:
        return lambda row: f'{first[key]["median"] / row[key]["median"]:.2f}'

    def number(key: str, unit: float) -> Callable[[Row], str]:
        return lambda row: significant(row[key] / unit)

    def rate(key: str, amount: int) -> Callable[[Row], str]:
        return lambda row: significant(amount / row[key]['median'])

    return {
        'Speed (median [middle half]; ratio to the first, higher is faster)': {
            'config': lambda row: row['name'],
            'AP': lambda row: f'{row["AP"]:.3f}',
            'latency ms': lambda row: spread(row['latency']),
            'latency ratio': ratio('latency'),
            f'persons/s, batch {size}': rate('batch', size),
            'persons ratio': ratio('batch'),
            f'training steps/s, batch {size}': rate('training', 1),
            'steps ratio': ratio('training'),
        },
        'Cost': {
            'config': lambda row: row['name'],
            'input': lambda row: 'x'.join(map(str, row['input_size'])),
            'parameters M': number('parameters', 1e6),
            'multiply-adds G': number('multiply_adds', 1e9),
            'data pipeline ms': lambda row: spread(row['pipeline']),
            f'MiB predicting, batch {size}': number('predicting_bytes', 2**20),
            f'MiB training, batch {size}': number('training_bytes', 2**20),
        },
    }


def _cell(column: Callable[[Row], str], row: Row) -> str:
    """A row's cell, or a dash where it was not measured."""
    try:
        return column(row)
    except KeyError:
        return '—'
