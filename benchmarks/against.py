"""Time this checkout beside another commit, in turn: what a user waits for, before and after.

    python benchmarks/against.py COMMIT [--rounds 4]

A round runs each commit in a process of its own: one sample of the training loader, a training step
of four persons, and the fused prediction of one and of eight, all of two-stage MSPN-50 on the same
persons. Printed are the medians over the rounds, and the ratios: below 1 the checkout is faster.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent


def milliseconds(call: Callable[[], object], repeats: int) -> float:
    """The median time of a call after one that is thrown away."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:]) * 1e3


def measure(root: str) -> dict[str, float]:
    """Measure the package that the path names, on persons in COCO's layout below ``root``."""
    import logging

    import numpy as np
    import torch
    from mmengine.config import Config
    from mmengine.dataset import pseudo_collate
    from mmengine.registry import init_default_scope

    from mspn_plugin import config_path, fuse

    # After the plugin, which lets mmpose import.
    from mmengine.optim import build_optim_wrapper  # isort: skip
    from mmpose.registry import DATASETS, MODELS  # isort: skip

    logging.disable(logging.WARNING)
    init_default_scope('mmpose')
    config = Config.fromfile(config_path('mspn_coco'))
    config.model.backbone.init_cfg = None
    config.train_dataloader.dataset.data_root = root
    persons = DATASETS.build(config.train_dataloader.dataset)
    np.random.seed(0)
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a loader's worker
    times = {'loader, a sample': milliseconds(lambda: [persons[i] for i in range(40)], 15) / 40}
    torch.set_num_threads(threads)
    estimator = MODELS.build(config.model)
    estimator.init_weights()
    wrapper = build_optim_wrapper(estimator, config.optim_wrapper)
    batch = pseudo_collate([persons[i] for i in range(8)])
    four = pseudo_collate([persons[i] for i in range(4)])
    estimator.train()
    times['training step, 4 persons'] = milliseconds(lambda: estimator.train_step(four, wrapper), 4)
    estimator.eval().test_cfg['flip_test'] = False
    fused = fuse(estimator)
    one = pseudo_collate([persons[0]])
    with torch.inference_mode():
        times['prediction, 1 person'] = milliseconds(lambda: fused.test_step(one), 12)
        times['prediction, 8 persons'] = milliseconds(lambda: fused.test_step(batch), 6)
    return times


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').split('\n')[0])
    parser.add_argument('commit', help='what this checkout is compared with')
    parser.add_argument('--rounds', type=int, default=4)
    parser.add_argument('--persons', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.persons:  # one round of the package on the path
        print(json.dumps(measure(args.persons)))
        return
    from bench_pipeline import data_root

    with tempfile.TemporaryDirectory() as folder:
        other, root = Path(folder) / 'other', data_root(folder)
        subprocess.run(['git', 'worktree', 'add', '-q', other, args.commit], cwd=REPO, check=True)
        try:
            rounds: dict[Path, list[dict[str, float]]] = {other: [], REPO: []}
            for _ in range(args.rounds):
                for package, results in rounds.items():
                    output = subprocess.check_output(
                        [sys.executable, __file__, args.commit, '--persons', root],
                        env={**os.environ, 'PYTHONPATH': str(package)},
                        cwd=folder,
                        stderr=subprocess.DEVNULL,
                        text=True,
                    )
                    results.append(json.loads(output.splitlines()[-1]))
        finally:
            subprocess.run(['git', 'worktree', 'remove', '--force', other], cwd=REPO, check=True)
    for name in rounds[REPO][0]:
        before, after = (statistics.median(one[name] for one in rounds[p]) for p in (other, REPO))
        print(f'{name:26} {before:9.1f} ms before {after:9.1f} ms here   x{after / before:.2f}')


if __name__ == '__main__':
    main()
