"""Measure what this project claims, and write docs/benchmarks.md from the figures: `make bench`.

    python benchmarks/run_all.py [--size quick|medium|full]

Every topic's module, ``bench_*.py`` in this folder, is run beside MMPose's counterpart, in a
process of its own; then all models of the comparison, and how the cost grows. The figures go to one
JSON file for each machine (docs/benchmarks/MACHINE.json), after every step, so that an interrupted
run leaves what it has. docs/benchmarks.md is then written from all machines' files.
"""

import argparse
import dataclasses
import importlib
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import gpu  # noqa: E402
import neighbours  # noqa: E402
import scaling  # noqa: E402
import write_docs  # noqa: E402

from mspn_plugin.benchmark import compare  # noqa: E402
from mspn_plugin.benchmark.report import draw  # noqa: E402
from mspn_plugin.files import write_bytes  # noqa: E402
from mspn_plugin.measure.machine import describe, short_name  # noqa: E402


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
    settings: compare.Settings
    stages: Sequence[int] = (1, 2, 3, 4)
    others: Mapping[str, str] = dataclasses.field(default_factory=lambda: neighbours.OTHERS)
    scaling: Mapping[str, Any] = dataclasses.field(default_factory=dict)


SIZES = {
    # Checks that everything runs; its times mean nothing.
    'tiny': Size(
        quick=True,
        settings=compare.Settings(batch_size=1, repeats=1, seconds=0.0, skip=('memory',)),
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
        settings=compare.Settings(batch_size=2, repeats=1, seconds=0.0, skip=('memory',)),
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
        settings=compare.Settings(batch_size=4, repeats=3, seconds=0.1),
        scaling=dict(repeats=5),
    ),
    'full': Size(
        quick=False,
        settings=compare.Settings(batch_size=8, repeats=7),
        scaling=dict(batches=(1, 2, 4, 8, 16, 32), persons=(1, 2, 5, 10, 20, 50), repeats=7),
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status, 1 where a topic failed, 130 after an interrupt."""
    args = _parse(arguments)
    size = SIZES[args.size]
    settings = dataclasses.replace(size.settings, device=args.device or size.settings.device)
    machine = describe(settings.device)
    target = Path(args.results) / f'{short_name(machine)}.json'
    result: dict[str, Any] = dict(machine=machine, complete=False, parts={})
    if args.only is not None:
        result['parts'] = kept(target, machine)

    def save() -> None:
        write_bytes(target, (json.dumps(result, indent=1) + '\n').encode())

    def measure(name: str, call: Callable[[dict[str, Any]], None]) -> None:
        if args.only is not None and name not in args.only:
            return
        print(f'{name} ...', flush=True)
        part: dict[str, Any] = dict(
            started=time.strftime('%Y-%m-%d %H:%M:%S'),
            size=args.size,
            load=round(os.getloadavg()[0], 2),
        )
        result['parts'][name] = part
        begin = time.perf_counter()
        try:
            call(part)
        except Exception as error:
            part['failed'] = f'{type(error).__name__}: {error}'
            print(f'  failed: {error}', flush=True)
        part['seconds'] = round(time.perf_counter() - begin, 1)
        save()

    def measure_models(part: dict[str, Any]) -> None:
        def keep(measured: dict[str, Any]) -> None:
            part['models'] = measured
            save()

        compare.run(neighbours.subjects(size.stages, size.others), settings, keep)
        for row in part['models']['rows']:
            if 'building' not in row['reasons']:
                row.update(neighbours.published(row['config']))
        part['rows'] = neighbours.claims(part['models']['rows'], settings.batch_size)
        draw(part['models'], target.with_name(f'{target.stem}-models.png'))

    def measure_scaling(part: dict[str, Any]) -> None:
        part.update(scaling.run(**{**size.scaling, 'device': settings.device}))
        scaling.draw(part, target.with_name(f'{target.stem}-scaling.png'))

    try:
        for path in topics():
            measure(
                path.stem.removeprefix('bench_'),
                lambda part, path=path: part.update(
                    rows=alone(measure_topic, path.stem, size.quick)
                ),
            )
        if args.only:  # by `make gpu` alone
            work = gpu.TINY if args.size == 'tiny' else gpu.Work()
            for name, call in (('training', gpu.training), ('prediction', gpu.prediction)):
                measure(
                    f'gpu-{name}',
                    lambda part, call=call: part.update(rows=call(work, settings.device)),
                )
        measure('models', measure_models)
        measure('scaling', measure_scaling)
        failed = any('failed' in part for part in result['parts'].values())
        result['complete'] = not failed
        status = int(failed)
    except KeyboardInterrupt:
        status = 130
    save()
    page = write_docs.page(Path(args.results), Path(args.docs).parent)
    write_bytes(Path(args.docs), page.encode())
    print(f'written: {target} and {args.docs}')
    return status


def topics() -> list[Path]:
    """The topics' modules."""
    return sorted(HERE.glob('bench_*.py'))


def kept(target: Path, machine: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of an earlier run, if it was on the same machine with the same versions.

    The build of the kernel may differ: a virtual machine gets another one each time.
    """
    if not target.is_file():
        return {}
    earlier = json.loads(target.read_text(encoding='utf-8'))
    return earlier['parts'] if earlier['machine'] | {'system': machine['system']} == machine else {}


def alone(call: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a process of its own.

    What an earlier topic did to the memory and the caches of this one made short calls up to 1.4
    times as long.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context('spawn')) as pool:
        return pool.submit(call, *arguments).result()


def measure_topic(name: str, quick: bool) -> list[dict[str, Any]]:
    """Run a topic's module."""
    return importlib.import_module(name).run(quick)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or '').split('\n')[0])
    parser.add_argument('--size', choices=SIZES, default='quick', help='default: %(default)s')
    parser.add_argument('--device', help='cpu, cuda or cuda:N, for the comparison of models')
    parser.add_argument(
        '--only',
        nargs='+',
        metavar='TOPIC',
        help='models, scaling, gpu-training, gpu-prediction, or a module of this folder without '
        'its bench_; all else is kept',
    )
    parser.add_argument('--results', default=str(HERE.parent / 'docs' / 'benchmarks'))
    parser.add_argument('--docs', default=str(HERE.parent / 'docs' / 'benchmarks.md'))
    return parser.parse_args(arguments)


if __name__ == '__main__':
    raise SystemExit(main())
