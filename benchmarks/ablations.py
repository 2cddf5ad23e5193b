"""Train the paper's ablations on photographs, with several seeds each, and write docs/ablations.md.

    mspn convert lspet lspet_dataset.zip --out data/lspet
    python benchmarks/ablations.py [--device cuda --jobs 8]

Every run is a training by MMPose's own tool in a process of its own, from the recipe for
photographs made smaller. A run that has ended is a line of docs/ablations/runs.jsonl and is never
done again; one that was killed goes on from its last epoch when the program is started again.

Sizes. The recipe's two-stage network needs 282 M multiply-adds for 128x128 images and 52 ms of one
AVX2 core per sample of training, beside other work on the machine. With 64x96 images, 16 channels
of the stem, 48 of the units and one block per unit it is 50 M and 12 ms; the 15 variants, of which
those of 1, 3 and 4 stages need 6, 19 and 26 ms, come to 205 ms, and to 240 ms with the loading. A
run sees 60,445 samples: 3784 steps of 16, 11 epochs of 5,495 persons. Three seeds of all variants
are then 12.1 hours of one core, or about six hours with a training on each of two cores, which
leaves two of the eight for whatever else they do. On a GPU such small steps wait for the processor,
so that several trainings share it (--jobs 8).
"""

import argparse
import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import ablations_page  # noqa: E402
import mmpose  # noqa: E402
import torch  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.hub import get_config  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402
from mmpose.registry import MODELS  # noqa: E402

from mspn_plugin import config_path  # noqa: E402
from mspn_plugin.errors import SettingError  # noqa: E402
from mspn_plugin.measure.cost import multiply_adds  # noqa: E402
from mspn_plugin.measure.machine import cores, describe, short_name  # noqa: E402

TRAIN = Path(mmpose.__file__).parent / '.mim' / 'tools' / 'train.py'
MMPOSE = 'mmpose::body_2d_keypoint'
RECIPE = 'td-hm_2xmspn-small_1xb32-66e_lspet-160x160'
STEPS = 3784
BATCH = 16
INPUT_SIZE = (64, 96)
HEATMAP_SIZE = (16, 24)
SIZES = dict(input_size=INPUT_SIZE, heatmap_size=HEATMAP_SIZE)
KERNEL_SIZES = (13, 11, 9, 7, 5)
TOLERANCE = 0.03
"""Multiply-adds of variants of equal cost differ by at most this part from the full model's."""


class Variant(NamedTuple):
    """A network and how it is trained.

    Attributes:
        differs (str): What it is, for the page.
        model (dict): Its ``backbone``, ``head`` and, if not as in the recipe, ``test_cfg``.
        target (dict): The transform that makes its targets.
        equal_cost (bool): Whether its multiply-adds must be the full model's.
        lr (float, optional): A learning rate for all weights, in place of the recipe's rates.
        duration (float): How many times the full model's steps it is trained.
        bfloat16 (bool): Whether it trains as the recipe does, in bfloat16 where the hardware has
            it, and not in float32.
    """

    differs: str
    model: dict[str, Any]
    target: dict[str, Any]
    equal_cost: bool = True
    lr: float | None = None
    duration: float = 1.0
    bfloat16: bool = False


def mspn(
    differs: str,
    *,
    num_stages: int = 2,
    stem_channels: int = 16,
    unit_channels: int = 48,
    codec: Mapping[str, Any] = {},
    head: Mapping[str, Any] = {},
    equal_cost: bool = True,
    **backbone: Any,
) -> Variant:
    """The full model, but for what is given."""
    codec = dict(
        type='CoarseToFineHeatmap',
        kernel_sizes=KERNEL_SIZES,
        draw_on_device=True,
        **{**SIZES, 'unbiased': True, **codec},
    )
    width = dict(num_stages=num_stages, unit_channels=unit_channels)
    model = dict(
        backbone=dict(
            type='MSPNBackbone',
            stem_channels=stem_channels,
            num_blocks=[1, 1, 1, 1],
            channels_last=True,
            **width,
            **backbone,
        ),
        head=dict(type='MultiStageHeatmapHead', out_channels=17, decoder=codec, **width, **head),
    )
    return Variant(differs, model, dict(type='GenerateTarget', encoder=codec), equal_cost)


def mmpose_supervision() -> Variant:
    """The full model's network with targets, head and losses of MMPose's own MSPN."""
    theirs = get_config(f'{MMPOSE}/topdown_heatmap/coco/td-hm_2xmspn50_8xb32-210e_coco-256x192.py')
    codec = [
        dict(theirs.codec[0], kernel_size=kernel_size, **SIZES) for kernel_size in KERNEL_SIZES
    ]
    head = {**theirs.model.head, 'out_shape': HEATMAP_SIZE[::-1], 'unit_channels': 48}
    model = dict(mspn('').model, head={**head, 'decoder': codec[-1]})
    target = dict(type='GenerateTarget', multilevel=True, encoder=codec)
    return Variant("MMPose's targets, head and losses on our network", model, target)


def simple_baseline() -> Variant:
    """MMPose's SimpleBaseline with exact coding (DARK), its Gaussian as wide as our finest."""
    theirs = get_config(
        f'{MMPOSE}/topdown_heatmap/coco/td-hm_res50_dark-8xb64-210e_coco-256x192.py'
    )
    codec = {**theirs.codec, 'sigma': 1.1, 'blur_kernel_size': 5, **SIZES}
    model = theirs.model
    model.backbone = dict(type='ResNet', depth=18, stem_channels=26, base_channels=26)
    model.head.update(in_channels=8 * 26, deconv_out_channels=(64, 64, 64), decoder=codec)
    target = dict(type='GenerateTarget', encoder=codec)
    differs = "MMPose's SimpleBaseline, ResNet-18 made narrower"
    return Variant(differs, model, target, lr=1e-3, duration=1.3)


def rtmpose() -> Variant:
    """MMPose's RTMPose-t from random weights, with our augmentation."""
    theirs = get_config(f'{MMPOSE}/rtmpose/coco/rtmpose-t_8xb256-420e_coco-256x192.py')
    # Their sigmas are in proportion to the roots of the sizes.
    codec = {**theirs.codec, 'input_size': INPUT_SIZE, 'sigma': (2.83, 3.46)}
    model = theirs.model
    model.backbone.update(norm_cfg=dict(type='BN'), init_cfg=None)
    features = tuple(side // 32 for side in INPUT_SIZE)
    model.head.update(input_size=INPUT_SIZE, in_featuremap_size=features, decoder=codec)
    target = dict(type='GenerateTarget', encoder=codec)
    return Variant("MMPose's RTMPose-t", model, target, equal_cost=False, lr=1e-3)


MEGVII = dict(unbiased=False)
# Widths were searched for equal multiply-adds, which costs() checks, among multiples of 8: others
# take as long as the next one.
VARIANTS = {
    'full': mspn('2 stages, all of the paper, exact coding'),
    'stages-1': mspn('1 stage', num_stages=1, equal_cost=False),
    'stages-3': mspn('3 stages', num_stages=3, equal_cost=False),
    'stages-4': mspn('4 stages', num_stages=4, equal_cost=False),
    'wide': mspn('1 stage, wider', num_stages=1, stem_channels=24, unit_channels=88),
    'hourglass': mspn(
        'channels equal at all scales, wider',
        stem_channels=24,
        unit_channels=56,
        double_channels=False,
    ),
    'no-aggregation': mspn('no aggregation', aggregation=False, equal_cost=False),
    'no-aggregation-wider': mspn(
        'no aggregation, the way up wider', unit_channels=64, aggregation=False
    ),
    'no-coarse-to-fine': mspn('all units learn the finest level', head=dict(coarse_to_fine=False)),
    'no-ohkm': mspn('no OHKM', head=dict(final_loss=dict(type='JointMSELoss'))),
    'megvii-coding': mspn("the authors' coding (whole heatmap pixels)", codec=MEGVII),
    'bfloat16': mspn('trained in bfloat16')._replace(bfloat16=True),
    'mmpose-supervision': mmpose_supervision(),
    'simple-baseline': simple_baseline(),
    'rtmpose': rtmpose(),
}


def config(variant: Variant, seed: int, epochs: int, device: str) -> Config:
    """The recipe for a run; ``COCO_ROOT`` says where the photographs are."""
    cfg = Config.fromfile(config_path(RECIPE))
    for part in ('backbone', 'head', 'test_cfg'):
        cfg.model[part] = deepcopy(variant.model.get(part, cfg.model[part]))
    for pipeline, target in ((cfg.train_pipeline, [variant.target]), (cfg.val_pipeline, [])):
        position = [step.type for step in pipeline].index('TopdownAffine')
        pipeline[position].input_size = INPUT_SIZE
        pipeline[position + 1 :] = [*deepcopy(target), dict(type='PackPoseInputs')]
    cfg.train_dataloader.batch_size = BATCH
    # MMPose's heads give their heatmaps to NumPy, which has no bfloat16.
    if not variant.bfloat16:
        cfg.optim_wrapper.type = 'OptimWrapper'
        for name in ('dtype', 'loss_scale'):
            del cfg.optim_wrapper[name]
    cfg.train_dataloader.dataset.pipeline = cfg.train_pipeline
    cfg.val_dataloader.dataset.pipeline = cfg.val_pipeline
    cfg.test_dataloader = cfg.val_dataloader
    if device == 'cuda':
        cfg.train_dataloader.update(num_workers=1, persistent_workers=True)
    cfg.update(input_size=INPUT_SIZE, heatmap_size=HEATMAP_SIZE, codec=None, max_epochs=epochs)
    cfg.train_cfg.update(max_epochs=epochs, val_interval=epochs)
    cfg.param_scheduler[1].end = epochs
    if variant.lr:
        cfg.optim_wrapper.optimizer.lr = variant.lr
        cfg.optim_wrapper.paramwise_cfg = dict(norm_decay_mult=0)
    cfg.default_hooks.checkpoint.save_best = None
    cfg.randomness = dict(seed=seed)
    return cfg


def costs() -> dict[str, dict[str, int]]:
    """Count ``multiply_adds`` and ``parameters`` of every variant.

    Raises:
        SystemExit: If a variant of equal cost has another than the full model.
    """
    init_default_scope('mmpose')
    found = {}
    for name, variant in VARIANTS.items():
        backbone, head = (MODELS.build(deepcopy(variant.model[p])) for p in ('backbone', 'head'))
        network = torch.nn.Sequential(backbone, head).eval()
        images = torch.zeros(1, 3, *INPUT_SIZE[::-1])
        found[name] = dict(
            multiply_adds=multiply_adds(lambda n=network, x=images: n(x)),
            parameters=sum(weights.numel() for weights in network.parameters()),
        )
        share = found[name]['multiply_adds'] / found['full']['multiply_adds']
        if variant.equal_cost and abs(share - 1) > TOLERANCE:
            raise SystemExit(f'{name} has {share:.3f} times the multiply-adds of the full model')
    return found


_READING = threading.Lock()
"""MMEngine changes ``sys.path`` while it reads a config."""


class Grid(NamedTuple):
    """What is to be run, and where its results lie.

    Attributes:
        steps (int): Steps that were asked for; a training takes the nearest whole epochs.
        costs (dict): What :func:`costs` found.
        runs (Path): The JSON lines.
        work_dir (Path): Where the trainings lie.
        device (str): ``cpu`` or ``cuda``.
        threads (int): Threads of each training.
        steps_per_epoch (int): Of the training data; 0 if nothing is to be trained.
    """

    steps: int
    costs: dict[str, dict[str, int]]
    runs: Path
    work_dir: Path
    device: str
    threads: int
    steps_per_epoch: int

    def done(self) -> dict[tuple[str, int], dict[str, Any]]:
        """The lines of this grid by variant and seed; lines of other settings are left out."""
        text = self.runs.read_text() if self.runs.exists() else ''
        return {
            (line['variant'], line['seed']): line
            for line in map(json.loads, text.splitlines())
            if line['asked_steps'] == self.steps
            and line['multiply_adds'] == self.costs.get(line['variant'], {}).get('multiply_adds')
        }

    def run(self, name: str, seed: int) -> dict[str, Any]:
        """Train a variant to its end, from its last checkpoint if there is one.

        Returns:
            dict: The run's line.

        Raises:
            SettingError: If the training failed, or another process is at it.
        """
        variant, trained_at = VARIANTS[name], commit()
        epochs = max(1, round(self.steps * variant.duration / self.steps_per_epoch))
        steps = epochs * self.steps_per_epoch
        folder = self.work_dir / f'{name}-{epochs}-epochs-seed-{seed}'
        folder.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            'OMP_NUM_THREADS': str(self.threads),
            'PYTHONPATH': os.pathsep.join([str(HERE.parent), os.environ.get('PYTHONPATH', '')]),
            **({} if self.device == 'cuda' else {'CUDA_VISIBLE_DEVICES': ''}),
        }
        with (folder / 'output.txt').open('a') as output:
            try:
                fcntl.flock(output, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SettingError(f'{folder} is being trained by another process') from None
            with _READING:
                config(variant, seed, epochs, self.device).dump(folder / 'run.py')
            # The training inherits the lock, and keeps it if this program is killed.
            status = subprocess.run(
                [sys.executable, TRAIN, folder / 'run.py', '--work-dir', folder, '--resume'],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            ).returncode
        if status:
            raise SettingError(f'the training failed with status {status}; see {output.name}')
        machine = {**describe(self.device), 'threads': self.threads}
        return dict(
            variant=name,
            seed=seed,
            asked_steps=self.steps,
            steps=steps,
            **measured(folder, steps),
            **self.costs[name],
            commit=trained_at,
            machine_name=short_name(machine),
            machine=machine,
        )


def measured(folder: Path, steps: int) -> dict[str, float]:
    """What a training logged: ``AP``, ``PCK@0.1``, ``PCK@0.2``, and the ``seconds`` of its steps.

    The time of a step is the mean over those logged, so that interruptions don't count.
    """
    times, metrics = {}, {}
    for file in sorted(folder.glob('*/vis_data/scalars.json')):
        for line in map(json.loads, file.read_text().splitlines()):
            if 'loss' in line:
                times[line['step']] = line['time']
            elif 'coco/AP' in line:
                metrics = line
    return {
        'AP': round(metrics['coco/AP'], 5),
        'PCK@0.1': round(metrics['pck_0.1/PCK'], 5),
        'PCK@0.2': round(metrics['pck_0.2/PCK'], 5),
        'seconds': round(steps * sum(times.values()) / len(times), 1),
    }


def commit() -> str:
    """The commit of this clone, marked where what is trained differs from it."""

    def git(*words: str) -> str:
        done = subprocess.run(['git', *words], cwd=HERE.parent, capture_output=True, text=True)
        return done.stdout.strip()

    changed = git('status', '--porcelain', '--', 'mspn_plugin', 'benchmarks', 'configs')
    return git('rev-parse', '--short=12', 'HEAD') + ('-changed' if changed else '')


def steps_per_epoch(data: Path) -> int:
    """Steps that go over all labelled persons of the training data once.

    Raises:
        SystemExit: If there is no such data.
    """
    file = data / 'annotations' / 'person_keypoints_train2017.json'
    if not file.is_file():
        raise SystemExit(f'{file} does not exist; `mspn convert lspet` writes it (--data)')
    persons = json.loads(file.read_text())['annotations']
    return -(-sum(person['num_keypoints'] > 0 for person in persons) // BATCH)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program.

    Raises:
        SystemExit: If a training failed; the others have been done.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or '').split('\n')[0])
    parser.add_argument('--data', type=Path, default=Path('data/lspet'), help='converted LSPET')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/ablations'))
    parser.add_argument('--page', type=Path, default=HERE.parent / 'docs' / 'ablations.md')
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument('--jobs', type=int, default=2, help='trainings at a time')
    parser.add_argument('--steps', type=int, default=STEPS, help='rounded to whole epochs')
    parser.add_argument('--seeds', type=int, default=3, help='0 only writes the page')
    parser.add_argument('--only', nargs='+', choices=list(VARIANTS), default=list(VARIANTS))
    options = parser.parse_args(arguments)
    if options.device == 'cuda' and not torch.cuda.is_available():
        raise SystemExit('--device cuda: PyTorch finds no GPU')
    os.environ['COCO_ROOT'] = str(options.data.resolve())
    grid = Grid(
        steps=options.steps,
        costs=costs(),
        runs=options.page.with_suffix('') / 'runs.jsonl',
        work_dir=options.work_dir.resolve(),
        device=options.device,
        threads=max(1, cores() // options.jobs),
        steps_per_epoch=steps_per_epoch(options.data) if options.seeds else 0,
    )
    grid.runs.parent.mkdir(parents=True, exist_ok=True)
    done = grid.done()
    # All variants with one seed come before the next seed.
    missing = [(n, s) for s in range(options.seeds) for n in options.only if (n, s) not in done]
    failed = False
    with ThreadPoolExecutor(options.jobs) as pool:
        running = {pool.submit(grid.run, name, seed): (name, seed) for name, seed in missing}
        for finished, future in enumerate(as_completed(running), 1):
            name, seed = running[future]
            print(f'{finished} of {len(missing)}: {name}, seed {seed}: ', end='')
            try:
                line = future.result()
            except SettingError as error:
                failed = True
                print(error, flush=True)
                continue
            with grid.runs.open('a') as file:
                file.write(json.dumps(line) + '\n')
            print(f'AP {line["AP"]:.4f}, {line["seconds"]:.0f} s', flush=True)
            ablations_page.write_page(options.page, VARIANTS, grid.costs, grid.done())
    ablations_page.write_page(options.page, VARIANTS, grid.costs, grid.done())
    if failed:
        raise SystemExit(1)


if __name__ == '__main__':
    main()
