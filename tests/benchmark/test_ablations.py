"""The ablations on photographs: equal cost, one schedule, no run twice, and honest verdicts."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from scipy.stats import ttest_rel

import mspn_plugin  # noqa: F401
from mspn_plugin.measure.machine import describe

REPO = Path(__file__).resolve().parents[2]
PYTHON = sys.executable
sys.path.insert(0, str(REPO / 'benchmarks'))
import ablations  # noqa: E402
import ablations_page  # noqa: E402

HALF = dict(dtype='bfloat16', loss_scale=dict(enabled=False))


def run_of(variant, seed, ap, **changes):
    """A line as a run leaves it."""
    return dict(
        variant=variant,
        seed=seed,
        asked_steps=ablations.STEPS,
        steps=ablations.STEPS,
        **{'AP': ap, 'PCK@0.1': ap + 0.3, 'PCK@0.2': ap + 0.5},
        seconds=600.0,
        multiply_adds=50_000_000,
        parameters=1_500_000,
        commit='0123456789ab',
        machine_name='a-machine',
        machine=describe(),
        **changes,
    )


def runs_of(**aps):
    """Runs by variant and seed, of each variant's APs."""
    return {
        (name.replace('_', '-'), seed): run_of(name.replace('_', '-'), seed, ap)
        for name, values in aps.items()
        for seed, ap in enumerate(values)
    }


def augmentation_of(cfg):
    """What a config does to a sample before and after its targets are made."""
    steps = [step for step in cfg.train_pipeline if step['type'] != 'GenerateTarget']
    assert len(steps) == len(cfg.train_pipeline) - 1
    return steps


@pytest.fixture(scope='module')
def costs():
    return ablations.costs()


class TestADifference:
    def test_is_paired_and_has_the_interval_of_students_paired_test(self):
        ours, theirs = [0.31, 0.34, 0.36], [0.30, 0.31, 0.35]
        found = ablations_page.difference(runs_of(full=ours, wide=theirs), 'full', 'wide')
        interval = ttest_rel(ours, theirs).confidence_interval(0.95)
        assert found.mean == pytest.approx(0.05 / 3)
        assert (found.low, found.high) == pytest.approx(tuple(interval))

    def test_takes_the_seeds_that_both_have(self):
        runs = runs_of(full=[0.5, 0.6], wide=[0.4, 0.4, 0.9])
        found = ablations_page.difference(runs, 'full', 'wide')
        assert found.seeds == 2 and found.mean == pytest.approx(0.15)

    @pytest.mark.parametrize(
        ('ours', 'verdict'),
        [
            ([0.32, 0.33, 0.325], 'seen'),
            ([0.28, 0.27, 0.275], 'the other way round'),
            ([0.32, 0.29, 0.31], 'not seen at this size'),
            ([0.32], 'one seed, no interval'),
            ([], 'not run yet'),
        ],
    )
    def test_gives_the_verdict_by_whether_its_interval_excludes_zero(self, ours, verdict):
        runs = runs_of(full=ours, wide=[0.3, 0.3, 0.3])
        assert ablations_page.verdict(ablations_page.difference(runs, 'full', 'wide')) == verdict


class TestTheVariants:
    def test_of_equal_cost_have_the_multiply_adds_of_the_full_model(self, costs):
        full = costs['full']['multiply_adds']
        equal = [name for name, variant in ablations.VARIANTS.items() if variant.equal_cost]
        assert {'wide', 'hourglass', 'no-aggregation-wider', 'mmpose-supervision'} <= set(equal)
        assert all(costs[name]['multiply_adds'] == pytest.approx(full, rel=0.03) for name in equal)

    def test_of_another_cost_than_they_should_have_are_refused(self, monkeypatch):
        wider = ablations.mspn('', stem_channels=24)
        some = {'full': ablations.VARIANTS['full'], 'hourglass': wider}
        monkeypatch.setattr(ablations, 'VARIANTS', some)
        with pytest.raises(SystemExit, match='hourglass has'):
            ablations.costs()

    def test_have_one_schedule_one_augmentation_and_one_evaluation(self, rendered, monkeypatch):
        monkeypatch.setenv('COCO_ROOT', str(rendered))
        configs = {n: ablations.config(v, 1, 7, 'cpu') for n, v in ablations.VARIANTS.items()}
        for name, cfg in configs.items():
            for same in ('train_cfg', 'param_scheduler', 'val_evaluator', 'val_pipeline'):
                assert cfg[same] == configs['full'][same], (name, same)
            assert augmentation_of(cfg) == augmentation_of(configs['full']), name
            if ablations.VARIANTS[name].lr is None and name != 'bfloat16':
                assert cfg.optim_wrapper == configs['full'].optim_wrapper, name
        assert configs['full'].train_cfg == dict(by_epoch=True, max_epochs=7, val_interval=7)
        half, full = configs['bfloat16'].optim_wrapper, configs['full'].optim_wrapper
        assert half == {**full, 'type': 'AmpOptimWrapper', **HALF}

    def test_that_are_compared_exist(self):
        compared = {name for _, *names in ablations_page.CLAIMS for name in names}
        assert compared <= set(ablations.VARIANTS)


class TestThePage:
    @pytest.fixture
    def write(self, tmp_path, costs):
        def write(runs):
            page = tmp_path / 'ablations.md'
            ablations_page.write_page(page, ablations.VARIANTS, costs, runs)
            return page.read_text()

        return write

    def test_names_the_runs_that_are_missing(self, write):
        text = write(runs_of(full=[0.3, 0.31, 0.32], wide=[0.2]))
        missing = next(line for line in text.splitlines() if 'Runs are missing' in line)
        assert 'wide (seed 1, 2)' in missing and 'rtmpose (seed 0, 1, 2)' in missing
        assert 'full' not in missing

    def test_without_runs_has_no_verdict_and_no_plot(self, write, tmp_path):
        text = write({})
        assert text.count('not run yet') == len(ablations_page.CLAIMS)
        assert '![' not in text and not list(tmp_path.glob('*/*.png'))

    def test_of_all_runs_has_every_variant_the_verdicts_and_the_plot(self, write, tmp_path):
        aps = {name: [0.30, 0.31, 0.32] for name in ablations.VARIANTS}
        aps['stages-1'] = [0.20, 0.21, 0.22]
        aps['no-ohkm'] = [0.33, 0.34, 0.351]
        text = write({(n, s): run_of(n, s, ap) for n, v in aps.items() for s, ap in enumerate(v)})
        assert 'missing' not in text and 'not run yet' not in text
        lines = text.splitlines()
        assert next(
            line for line in lines if line.startswith('| Two stages are better than one of')
        )
        assert any('full - stages-1' in line and line.endswith('| seen |') for line in lines)
        assert any('full - no-ohkm' in line and 'the other way round' in line for line in lines)
        assert all(f'| `{name}`: ' in text for name in ablations.VARIANTS)
        assert '0.3100 ± 0.0100' in text and '+0.0303' in text
        assert '](ablations/ap.png)' in text and (tmp_path / 'ablations' / 'ap.png').is_file()
        assert f'a-machine, {3 * len(aps)} runs at 0123456789ab' in text


@pytest.fixture
def grid(tmp_path, rendered, warm, costs, monkeypatch):
    """The program on rendered people, its results in a folder; and the lines that it has left."""
    monkeypatch.setattr(ablations, 'costs', lambda: costs)
    monkeypatch.setenv('COCO_ROOT', str(rendered))  # the program sets it
    monkeypatch.setenv('PYTHONPATH', str(REPO), prepend=os.pathsep)
    monkeypatch.setattr(sys, 'executable', str(warm / 'python'))
    options = ['--data', rendered, '--work-dir', tmp_path / 'work', '--page', tmp_path / 'page.md']

    def lines():
        file = tmp_path / 'page' / 'runs.jsonl'
        return list(map(json.loads, file.read_text().splitlines())) if file.exists() else []

    def run(*more):
        return [str(word) for word in (*options, '--jobs', 1, *more)]

    return run, lines


@pytest.mark.slow
def test_a_killed_run_goes_on_from_its_checkpoint_leaves_a_line_and_is_never_done_again(
    grid, tmp_path
):
    arguments, lines = grid
    words = arguments('--steps', 12, '--seeds', 1, '--only', 'mmpose-supervision')
    program = [PYTHON, str(REPO / 'benchmarks' / 'ablations.py'), *words]
    process = subprocess.Popen(program, start_new_session=True)
    while process.poll() is None and not list(tmp_path.glob('work/*/epoch_*.pth')):
        time.sleep(0.05)
    assert process.poll() is None, 'the run ended before it could be killed'
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (output,) = tmp_path.glob('work/*/output.txt')
    with output.open('a') as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # until the training is gone too
    assert not lines()

    ablations.main(words)
    assert [(line['variant'], line['seed']) for line in lines()] == [('mmpose-supervision', 0)]
    for line in lines():
        assert line['steps'] == 12 and line['seconds'] > 0 and 0 <= line['PCK@0.1'] <= 1
        assert line['machine_name'] and line['commit'] and line['parameters'] > 100_000
    assert 'resumed epoch:' in output.read_text()
    assert 'full (seed 0, 1, 2)' in (tmp_path / 'page.md').read_text()

    before = sorted((tmp_path / 'work').rglob('*'))
    ablations.main(words)
    assert len(lines()) == 1 and sorted((tmp_path / 'work').rglob('*')) == before


@pytest.mark.slow
def test_a_run_that_fails_is_told_and_leaves_no_line(grid, tmp_path, capsys):
    arguments, lines = grid
    folder = tmp_path / 'work' / 'stages-1-2-epochs-seed-0'
    folder.mkdir(parents=True)
    (folder / 'epoch_1.pth').write_bytes(b'half a file')
    with pytest.raises(SystemExit) as end:
        ablations.main(arguments('--steps', 2, '--seeds', 1, '--only', 'stages-1'))
    assert end.value.code == 1 and not lines()
    assert 'the training failed' in capsys.readouterr().out
    assert 'stages-1 (seed 0, 1, 2)' in (tmp_path / 'page.md').read_text()


def test_data_that_is_not_there_is_told(grid):
    arguments, _ = grid
    with pytest.raises(SystemExit, match='mspn convert lspet'):
        ablations.main([*arguments(), '--data', 'nowhere'])
