"""Write docs/benchmarks.md from the figures that run_all.py measured."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mspn_plugin.benchmark.report import machine_line, markdown, markdown_table, significant, spread

NOTES = Path(__file__).resolve().parent / 'notes.md'
HOW_TO_MEASURE = NOTES.with_name('how_to_measure.md')
# Ratios this close to 1 are called equal.
TOLERANCE = 0.05

_INTRODUCTION = """# Benchmarks

This page is written by `make bench` from the figures in [benchmarks/](benchmarks); no number in its
tables was typed. `make bench SIZE=quick` takes minutes, `SIZE=full` longer; each machine has a
section of its own, and its file is replaced by the next run on it. `run_all.py --only` replaces the
parts that it names; the kernel's build is then that of the latest.

Every ratio is MMPose's time divided by ours, from the same run on the same data: above 1 ours is
faster."""


def page(results: Path, docs: Path) -> str:
    """The page's Markdown.

    Args:
        results (Path): The folder of the machines' JSON files and images.
        docs (Path): The folder that the page will lie in.

    Returns:
        str: The text.
    """
    machines = [json.loads(p.read_text(encoding='utf-8')) for p in sorted(results.glob('*.json'))]
    stems = [p.stem for p in sorted(results.glob('*.json'))]
    parts = [_INTRODUCTION]
    if not any(machine['machine']['device'] != 'cpu' for machine in machines):
        parts.append('`make gpu` measures on a GPU. None was at hand for the figures below.')
    for stem, machine in zip(stems, machines):
        images = {
            name: (results / f'{stem}-{name}.png').relative_to(docs).as_posix()
            for name in ('models', 'scaling')
            if (results / f'{stem}-{name}.png').is_file() and results.is_relative_to(docs)
        }
        parts += _section(machine, images)
    parts += ['## Tricks', NOTES.read_text(encoding='utf-8').strip()]
    for machine in machines:
        parts += _tricks(machine)
    parts += ['## How to measure other models', HOW_TO_MEASURE.read_text(encoding='utf-8').strip()]
    return '\n\n'.join(parts) + '\n'


def _section(result: Mapping[str, Any], images: Mapping[str, str]) -> list[str]:
    parts = result['parts']
    blocks = [f'## {_title(result["machine"])}', machine_line(result['machine']), _when(parts)]
    if not result['complete']:
        blocks.append('This run did not finish; what it had is below.')
    blocks += claims(parts)
    if 'models' in parts.get('models', {}):
        blocks += ['### Models side by side', _models(parts['models']['models'])]
        if 'models' in images:
            blocks.append(f'![Accuracy against latency]({images["models"]})')
    if 'tables' in parts.get('scaling', {}):
        blocks += ['### How the cost grows', _scaling(parts['scaling'])]
        if 'scaling' in images:
            blocks.append(f'![Time against stages, size, batch, persons]({images["scaling"]})')
    return blocks


def _when(parts: Mapping[str, Any]) -> str:
    """When each part was measured, and how busy the machine was just before."""
    return 'Measured: {}.'.format(
        '; '.join(
            f'{name} {part["started"]} (size {part["size"]}, load {part["load"]})'
            for name, part in parts.items()
        )
    )


def _rows(parts: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [row for part in parts.values() for row in part.get('rows', [])]


def claims(parts: Mapping[str, Any]) -> list[str]:
    blocks = [
        f'{name} failed: {part["failed"]}' for name, part in parts.items() if 'failed' in part
    ]
    rows = [row for row in _rows(parts) if row['topic'] != 'tricks']
    if not rows:
        return blocks
    lines = markdown_table(
        ['topic', 'what', 'ours ms', 'MMPose ms', 'ratio', 'note'],
        [
            [
                row['topic'],
                row['what'],
                _milliseconds(row['ours_ms']),
                _milliseconds(row['mmpose_ms']),
                '—' if row['ratio'] is None else f'{row["ratio"]:.2f}',
                row['note'],
            ]
            for row in rows
        ],
    )
    blocks += ['### Ours beside MMPose', '\n'.join(lines)]
    compared = [row for row in rows if row['ratio'] is not None]
    slower = [row for row in compared if row['ratio'] < 1 - TOLERANCE]
    equal = [row for row in compared if abs(row['ratio'] - 1) <= TOLERANCE]
    blocks.append(
        f'Slower than MMPose: {_list(slower)}.'
        if slower
        else 'Nothing of these was slower than MMPose.'
    )
    if equal:
        blocks.append(f'As fast as MMPose, within {TOLERANCE:.0%}: {_list(equal)}.')
    return blocks


def _tricks(result: Mapping[str, Any]) -> list[str]:
    rows = [row for row in _rows(result['parts']) if row['topic'] == 'tricks']
    if not rows:
        return []
    lines = markdown_table(
        ['taken out alone', 'instances', 'with it ms', 'without ms', 'costs'],
        [
            [
                row['what'],
                row['note'],
                _milliseconds(row['ours_ms']),
                _milliseconds(row['mmpose_ms']),
                f'{row["ratio"] - 1:+.0%}',
            ]
            for row in rows
        ],
    )
    day = result['parts']['tricks']['started'].split()[0]
    title = f'{_title(result["machine"])}, measured on {day} (`bench_tricks.py`):'
    return [title, '\n'.join(lines)]


def _title(machine: Mapping[str, Any]) -> str:
    name = machine['processor'] if machine['device'] == 'cpu' else machine['device']
    return f'{name}, {machine["threads"]} threads'


def _list(rows: list[dict[str, Any]]) -> str:
    return '; '.join(
        f'{row["topic"]}, {row["what"]} ({row["ratio"]:.2f}{"; " * bool(row["note"])}{row["note"]})'
        for row in rows
    )


def _milliseconds(value: Any) -> str:
    return '—' if value is None else significant(value)


def _models(result: Mapping[str, Any]) -> str:
    sources: dict[str, list[str]] = {}
    for row in result['rows']:
        if 'source' in row:
            sources.setdefault(row['source'], []).append(row['name'])
    rounds = result['settings']['repeats']
    lines = [
        f'Rounds over all models: {rounds}. With a single one, differences of a few tenths mean '
        'nothing.',
        '',
        markdown(result),
        '',
        'AP was not measured here. It is what was published, on COCO val2017 with flip test and '
        'detected boxes; the times are without flip test. The rows called MSPN are this plugin. '
        'The network is the same as in the rows called MMPose MSPN, and loads the same '
        "checkpoints. Where AP is from, by the configs' metafiles:",
        '',
        *(f'- {", ".join(names)}: {source}' for source, names in sources.items()),
    ]
    return '\n'.join(lines)


def _scaling(result: Mapping[str, Any]) -> str:
    rate = result['matrix_multiply_adds_per_second']
    lines = [
        f'This machine multiplies square float32 matrices at {significant(rate / 1e9)} G '
        'multiply-adds a second, measured with torch.mm or a 1x1 convolution, the faster of both; '
        'the last column is the share of it that is reached. Convolutions that save '
        'multiplications can exceed it.',
        '',
    ]
    for table in result['tables']:
        lines += [f'**{table["variable"]}** ({table["unit"]})', '']
        lines += markdown_table(
            [
                table['variable'],
                'multiply-adds G',
                'ms [middle half]',
                'ms an image',
                'of the rate',
            ],
            [
                [
                    str(row['value']),
                    significant(row['multiply_adds'] / 1e9),
                    spread(row['seconds']),
                    significant(row['seconds']['median'] * 1000 / row['images']),
                    f'{row["multiply_adds"] / row["seconds"]["median"] / rate:.0%}',
                ]
                for row in table['rows']
            ],
        )
        lines.append('')
    return '\n'.join(lines).strip()
