"""How the figures of a benchmark are shown: tables for the terminal, Markdown and a picture."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..files import writing

Row = Mapping[str, Any]
Column = tuple[str, Callable[[Row, Row | None], str]]


def write(path: Path, text: str) -> None:
    """Write a file as a whole: what was there stays until all of the new text is on disk.

    Args:
        path (Path): The file; folders that are missing are made.
        text (str): Its content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path) as unfinished:
        unfinished.write_text(text, encoding='utf-8')


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure of matplotlib as a whole, and close it.

    Args:
        figure (Figure): The figure.
        path (Path): The file; folders that are missing are made.
    """
    from matplotlib import pyplot

    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path) as unfinished:
        figure.savefig(unfinished, dpi=110)
    pyplot.close(figure)


def print_tables(result: Mapping[str, Any], console: Console) -> None:
    """Print all tables and the reasons for what is missing."""
    for title, columns in _tables(result):
        table = Table(title=Text(title))
        for index, (name, _) in enumerate(columns):
            table.add_column(name, justify='right' if index else 'left', overflow='fold')
        for cells in _cells(result, columns):
            table.add_row(*map(Text, cells))
        console.print(table)
    for line in _reasons(result):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def markdown(result: Mapping[str, Any]) -> str:
    """All tables and the reasons for what is missing, as Markdown."""
    lines: list[str] = []
    for title, columns in _tables(result):
        lines += [f'**{title}**', '']
        lines += markdown_table([name for name, _ in columns], _cells(result, columns)) + ['']
    reasons = _reasons(result)
    if reasons:
        lines += [f'- {line}' for line in reasons] + ['']
    return '\n'.join(lines).strip()


def markdown_table(names: list[str], rows: list[list[str]]) -> list[str]:
    """The lines of a Markdown table, the first column to the left and the others to the right."""
    rule = '| --- |' + ' ---: |' * (len(names) - 1)
    return (
        [f'| {" | ".join(cells)} |' for cells in [names]]
        + [rule]
        + [f'| {" | ".join(cells)} |' for cells in rows]
    )


def machine_line(machine: Mapping[str, Any]) -> str:
    """What :func:`~mspn_plugin.measure.machine.describe` found, in a sentence."""
    versions = ', '.join(f'{name} {version}' for name, version in machine['versions'].items())
    return (
        f'{machine["device"]}; {machine["processor"]}, {machine["cores"]} cores, '
        f'{machine["threads"]} threads, {machine["memory_gib"]} GiB; {machine["system"]}; '
        f'load before the run {machine["load"]}, nice {machine["nice"]}. {versions}.'
    )


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Draw accuracy, where any is known, and multiply-adds against latency.

    Args:
        result (dict): What :func:`mspn_plugin.benchmark.compare.run` returned.
        path (Path): The picture that is written. With no row that has a latency none is.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    rows = [row for row in result['rows'] if 'latency' in row]
    if not rows:
        return
    panels: list[tuple[str, Callable[[Row], float | None]]] = [
        ('multiply-adds of one person (G)', lambda row: row['multiply_adds'] / 1e9)
    ]
    if any(_accuracy(row) for row in rows):
        panels.insert(0, ('AP', lambda row: (_accuracy(row) or (None, ''))[0]))
    figure, axes = pyplot.subplots(
        1, len(panels), figsize=(5.2 * len(panels) + 3, 5), squeeze=False, layout='constrained'
    )
    for axis, (label, value) in zip(axes[0], panels):
        for index, row in enumerate(rows):
            height = value(row)
            if height is None:
                continue
            x, low, high = (row['latency'][key] * 1000 for key in ('median', 'low', 'high'))
            axis.errorbar(
                x,
                height,
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
    figure.legend(*axes[0][-1].get_legend_handles_labels(), loc='outside right center', fontsize=8)
    machine = result['machine']
    figure.suptitle(f'{machine["device"]}, {machine["processor"]}, {machine["threads"]} threads')
    save_figure(figure, path)


def _tables(result: Mapping[str, Any]) -> list[tuple[str, list[Column]]]:
    size = result['settings']['batch_size']
    rate = result['matrix_multiply_adds_per_second']
    speed: list[Column] = [
        ('config', lambda row, first: row['name']),
        ('AP', lambda row, first: _accuracy_cell(row)),
        ('latency ms', lambda row, first: _milliseconds(row, 'latency')),
        ('ratio', lambda row, first: _ratio(row, first, 'latency')),
        (f'persons/s, batch {size}', lambda row, first: _rate(row, 'batch', size)),
        ('ratio', lambda row, first: _ratio(row, first, 'batch')),
        (f'training steps/s, batch {size}', lambda row, first: _rate(row, 'training', 1)),
        ('ratio', lambda row, first: _ratio(row, first, 'training')),
    ]
    costs: list[Column] = [
        ('config', lambda row, first: row['name']),
        ('input', lambda row, first: 'x'.join(map(str, row.get('input_size', '—')))),
        ('parameters M', lambda row, first: _number(row.get('parameters'), 1e6)),
        ('multiply-adds G', lambda row, first: _number(row.get('multiply_adds'), 1e9)),
        ('G when predicting', lambda row, first: _number(row.get('predicting_multiply_adds'), 1e9)),
        (f'MiB predicting, batch {size}', lambda row, first: _mebibytes(row, 'predicting_bytes')),
        (f'MiB training, batch {size}', lambda row, first: _mebibytes(row, 'training_bytes')),
    ]
    parts: list[Column] = [
        ('config', lambda row, first: row['name']),
        ('data pipeline ms', lambda row, first: _milliseconds(row, 'pipeline')),
        ('network ms', lambda row, first: _network(row, 'latency')),
        ('decoding ms', lambda row, first: _milliseconds(row, 'latency_decoding')),
        (f'network ms/person, batch {size}', lambda row, first: _network(row, 'batch', size)),
        ('decoding ms/person', lambda row, first: _milliseconds(row, 'batch_decoding', size)),
        ('of the matrix rate', lambda row, first: _fraction(row, size, rate)),
    ]
    return [
        ('Speed (median [middle half]; ratio to the first, higher is faster)', speed),
        ('Cost', costs),
        ('Where the time goes, one person', parts),
    ]


def _cells(result: Mapping[str, Any], columns: list[Column]) -> list[list[str]]:
    first = next(iter(result['rows']), None)
    return [[cell(row, first) for _, cell in columns] for row in result['rows']]


def _reasons(result: Mapping[str, Any]) -> list[str]:
    return [
        f'{row["name"]}, {what}: {reason}'
        for row in result['rows']
        for what, reason in [*row['reasons'].items(), *row['notes'].items()]
    ]


def _accuracy(row: Row) -> tuple[float, str] | None:
    """AP and where it is from: measured, or else published."""
    metrics: dict[str, float] = (row.get('accuracy') or {}).get('metrics', {})
    for key, value in metrics.items():
        if key.split('/')[-1] == 'AP':
            return value, 'measured'
    if row.get('published'):
        return row['published']['AP'], 'published'
    return None


def _accuracy_cell(row: Row) -> str:
    known = _accuracy(row)
    return f'{known[0]:.3f} {known[1]}' if known else '—'


def _number(value: float | None, unit: float) -> str:
    return '—' if value is None else significant(value / unit)


def _mebibytes(row: Row, key: str) -> str:
    return f'{row[key] / 2**20:.0f}' if key in row else '—'


def significant(value: float, digits: int = 3) -> str:
    """A number with so many significant digits, in plain notation."""
    if value == 0 or not math.isfinite(value):
        return str(value)
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f'{value:.{decimals}f}'


def _milliseconds(row: Row, key: str, share: int = 1) -> str:
    if key not in row:
        return '—'
    median, low, high = (
        significant(row[key][name] * 1000 / share) for name in ('median', 'low', 'high')
    )
    return f'{median} [{low} to {high}]'


def _network(row: Row, key: str, share: int = 1) -> str:
    if key not in row or f'{key}_decoding' not in row:
        return '—'
    return significant((row[key]['median'] - row[f'{key}_decoding']['median']) * 1000 / share)


def _rate(row: Row, key: str, amount: int) -> str:
    return significant(amount / row[key]['median']) if key in row else '—'


def _ratio(row: Row, first: Row | None, key: str) -> str:
    if key not in row or first is None or key not in first:
        return '—'
    return f'{first[key]["median"] / row[key]["median"]:.2f}'


def _fraction(row: Row, size: int, rate: float) -> str:
    if 'batch' not in row or 'batch_decoding' not in row:
        return '—'
    seconds = row['batch']['median'] - row['batch_decoding']['median']
    return f'{row["predicting_multiply_adds"] * size / seconds / rate:.0%}'
