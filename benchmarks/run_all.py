"""Measure what this project claims, and write docs/benchmarks.md from the figures: `make bench`.

    python benchmarks/run_all.py [--size quick|medium|full]

Every topic's module, ``bench_*.py`` in this folder, is run beside MMPose's counterpart; then all
models of the comparison, and how the cost grows. The figures go to one JSON file for each machine
(docs/benchmarks/MACHINE.json), after every step, so that an interrupted run leaves what it has.
docs/benchmarks.md is then written from all machines' files.
"""

import argparse
import dataclasses
import importlib.util
import json
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, List, Mapping, Optional, Sequence

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import neighbours  # noqa: E402
import scaling  # noqa: E402
import write_docs  # noqa: E402
from rich.console import Console  # noqa: E402

from mspn_plugin import benchmark  # noqa: E402
from mspn_plugin.benchmark_report import draw, write  # noqa: E402
from mspn_plugin.machine import describe, short_name  # noqa: E402


@dataclasses.dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        quick (bool): What the topics' modules are told.
        settings (Settings): For the comparison of models.
        stages (Sequence[int]): Stages of MSPN in the comparison.
        others (Mapping[str, str]): Other models in it, name to config.
        scaling (Mapping): Arguments of :func:`scaling.run`.
    """

    quick: bool
    settings: benchmark.Settings
    stages: Sequence[int] = (1, 2, 3, 4)
    others: Mapping[str, str] = dataclasses.field(default_factory=lambda: neighbours.OTHERS)
    scaling: Mapping[str, Any] = dataclasses.field(default_factory=dict)


SIZES = {
    # Checks that everything runs; its times mean nothing.
    'tiny': Size(
        quick=True,
        settings=benchmark.Settings(batch_size=1, repeats=1, seconds=0.0, skip=('memory',)),
        stages=(),
        others={'MSPN, tiny': 'mspn_synthetic', 'absent': 'absent'},
        scaling=dict(
            config='mspn_synthetic',
            options={'model.backbone.unit_channels': 8, 'model.head.unit_channels': 8},
            stages=(1, 2),
            sizes=((32, 32), (64, 64)),
            batches=(1, 2),
            persons=(1, 2),
            repeats=1,
        ),
    ),
    'quick': Size(
        quick=True,
        settings=benchmark.Settings(batch_size=2, repeats=1, seconds=0.0, skip=('memory',)),
        stages=(1, 2),
        scaling=dict(
            stages=(1, 2, 4),
            sizes=((96, 128), (192, 256)),
            batches=(1, 2, 4),
            persons=(1, 2, 5),
            repeats=2,
        ),
    ),
    'medium': Size(
        quick=False,
        settings=benchmark.Settings(batch_size=4, repeats=3, seconds=0.1),
        scaling=dict(repeats=5),
    ),
    'full': Size(
        quick=False,
        settings=benchmark.Settings(batch_size=8, repeats=7),
        scaling=dict(batches=(1, 2, 4, 8, 16, 32), persons=(1, 2, 5, 10, 20, 50), repeats=7),
    ),
}


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run the command; returns the exit status, 1 where a topic failed, 130 after an interrupt."""
    args = _parse(arguments)
    console = Console()
    size = SIZES[args.size]
    if args.device:
        size = dataclasses.replace(
            size, settings=dataclasses.replace(size.settings, device=args.device)
        )
    machine = describe(size.settings.device)
    target = Path(args.results) / f'{short_name(machine)}.json'
    result: Dict[str, Any] = dict(
        machine=machine,
        started=time.strftime('%Y-%m-%d %H:%M:%S'),
        size=args.size,
        complete=False,
        claims=[],
        failed={},
    )

    def save() -> None:
        write(target, json.dumps(result, indent=1) + '\n')

    try:
        for path in topics(args.only):
            console.print(f'{path.stem} ...', highlight=False)
            begin = time.perf_counter()
            try:
                result['claims'] += _module(path).run(size.quick)
            except Exception as error:
                result['failed'][path.stem] = f'{type(error).__name__}: {error}'
                console.print(f'  failed: {error}', highlight=False, markup=False)
            result.setdefault('seconds', {})[path.stem] = round(time.perf_counter() - begin, 1)
            save()
        if args.only is None or 'neighbours' in args.only:
            begin = time.perf_counter()

            def keep(measured: Dict[str, Any]) -> None:
                result['neighbours'] = measured
                save()

            subjects = neighbours.subjects(size.stages, size.others)
            keep(benchmark.run(subjects, size.settings, keep, console))
            result.setdefault('seconds', {})['neighbours'] = round(time.perf_counter() - begin, 1)
            if not result['neighbours']['complete']:
                raise KeyboardInterrupt
            result['claims'] += neighbours.claims(
                result['neighbours']['rows'], size.settings.batch_size
            )
            draw(result['neighbours'], target.with_name(f'{target.stem}-models.png'))
        if args.only is None or 'scaling' in args.only:
            console.print('scaling ...')
            begin = time.perf_counter()
            result['scaling'] = scaling.run(**{**size.scaling, 'device': size.settings.device})
            result.setdefault('seconds', {})['scaling'] = round(time.perf_counter() - begin, 1)
            scaling.draw(result['scaling'], target.with_name(f'{target.stem}-scaling.png'))
        result['complete'] = not result['failed']
        status = int(bool(result['failed']))
    except KeyboardInterrupt:
        status = 130
    save()
    write(Path(args.docs), write_docs.page(Path(args.results), Path(args.docs).parent))
    console.print(f'written: {target} and {args.docs}', highlight=False, soft_wrap=True)
    return status


def topics(only: Optional[Sequence[str]] = None) -> List[Path]:
    """The modules to run: all, or those whose name without ``bench_`` is asked for."""
    found = sorted(HERE.glob('bench_*.py'))
    return [p for p in found if only is None or p.stem.removeprefix('bench_') in only]


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _parse(arguments: Optional[Sequence[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or '').split('\n')[0])
    parser.add_argument('--size', choices=SIZES, default='quick', help='default: %(default)s')
    parser.add_argument('--device', help='cpu, cuda or cuda:N, for the comparison of models')
    parser.add_argument(
        '--only',
        nargs='+',
        metavar='TOPIC',
        help='neighbours, scaling, or a module of this folder without its bench_',
    )
    parser.add_argument('--results', default=str(HERE.parent / 'docs' / 'benchmarks'))
    parser.add_argument('--docs', default=str(HERE.parent / 'docs' / 'benchmarks.md'))
    return parser.parse_args(arguments)


if __name__ == '__main__':
    raise SystemExit(main())
