"""The pages say what is true: their commands run as printed, and what they name exists."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, MODELS
from scipy.io import loadmat, savemat
from support.pages import PAGES, REPO, SMALL, blocks, filled, shortened
from support.small_detector import write_detector

import mspn_cli
from mspn_plugin import config_names, config_path
from mspn_plugin.checks.fit import check_fit, check_model

NOT_RUN = [
    ('README.md', 'make demo', 'installs from the network, trains for minutes, runs all tests'),
    ('README.md', 'pip install --no-deps .', 'test_inherit.py installs into an environment'),
    ('docs/checkpoints.md', 'load_from', "downloads MMPose's weights"),
    (
        'docs/install.md',
        'pip install --no-deps .',
        'test_inherit.py installs into an environment',
    ),
    (
        'docs/inference.md',
        'python benchmarks/engines_accuracy.py',
        'test_engine_measurements.py runs it',
    ),
    ('docs/inference.md', 'python benchmarks/detector.py', 'trains for minutes'),
    (
        'docs/inference.md',
        'python benchmarks/bench_engines.py',
        'test_engine_measurements.py runs it with less',
    ),
    (
        'docs/inference.md',
        'mspn export OUT.onnx --config CONFIG --checkpoint CHECKPOINT --int8',
        'test_predict_in_engines.py runs it',
    ),
    ('docs/install.md', 'pip install torch', 'installs from the network; make matrix runs it'),
    ('docs/install.md', 'uv pip install', 'installs gigabytes from the network'),
    ('docs/install.md', 'pip uninstall', 'compiles for twelve minutes'),
    ('docs/model-card.md', 'make weights', 'trains for hours'),
    ('docs/model-card.md', 'mspn predict IMAGES', 'test_shipped.py scores photographs so'),
    ('docs/reliability.md', '# one machine', 'needs GPUs; test_distributed.py runs two processes'),
    ('docs/reliability.md', 'mspn synthetic', 'test_numbers.py trains in half'),
    ('docs/results.md', 'make demo', 'trains for minutes'),
    ('docs/results.md', 'mspn synthetic', 'tests what make demo has trained'),
    ('docs/results.md', '# COCO_ROOT holds', 'trains for hours'),
    ('docs/results.md', '# data/lspet is of the public zip', 'trains for hours'),
    ('docs/tools.md', 'mspn tools', 'test_inherit.py runs the page'),
    (
        'docs/train-on-coco.md',
        'COCO_ROOT=/data/coco mim train',
        'needs eight GPUs; README.md tests so',
    ),
]
"""Blocks that are not run here: page, how they begin, and why."""


def why_not_run(page, block):
    """The rows of ``NOT_RUN`` that mean a block."""
    return [row for row in NOT_RUN if row[0] == page and block.text.startswith(row[1])]


@pytest.fixture(scope='module')
def coco(tmp_path_factory, rendered):
    """Rendered people where COCO is looked for, with the boxes of a detector."""
    folder = tmp_path_factory.mktemp('coco')
    for part in rendered.iterdir():
        (folder / part.name).symlink_to(part)
    truth = json.loads((folder / 'annotations' / 'person_keypoints_val2017.json').read_text())
    found = [
        dict(image_id=person['image_id'], category_id=1, bbox=person['bbox'], score=0.9)
        for person in truth['annotations']
    ]
    (folder / 'person_detection_results').mkdir()
    detections = 'person_detection_results/COCO_val2017_detections_AP_H_56_person.json'
    (folder / detections).write_text(json.dumps(found))
    return folder


@pytest.fixture(scope='module')
def trained(tmp_path_factory, coco):
    """A config and a checkpoint of a small network, and a checkpoint of the release's form."""
    folder = tmp_path_factory.mktemp('trained')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('COCO_ROOT', str(coco))
        cfg = Config.fromfile(config_path('mspn_coco'))
    cfg.merge_from_dict(SMALL)
    cfg.dump(folder / 'my.py')
    init_default_scope('mmpose')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    torch.save(dict(meta={}, state_dict=model.state_dict()), folder / 'CHECKPOINT')
    listing = (REPO / 'tests' / 'golden' / 'megvii_state_dict_1stage.txt').read_text()
    shapes = (line.split('\t') for line in listing.splitlines())
    release = {key: torch.zeros(json.loads(shape)) for key, shape in shapes}
    torch.save(dict(model=release), folder / 'IN.pth')
    write_detector(folder)
    return folder


@pytest.fixture
def project(tmp_path, trained, coco):
    """A folder in which a reader of the pages works: a clone, data, an image and a network."""
    for name in ('configs', 'examples', 'benchmarks'):
        (tmp_path / name).symlink_to(REPO / name)
    (tmp_path / 'YOUR_PROJECT').mkdir()
    for file in trained.iterdir():
        (tmp_path / file.name).symlink_to(file)
    image = sorted((coco / 'val2017').iterdir())[0]
    for name in ('person.jpg', 'photo.jpg'):
        shutil.copy(image, tmp_path / name)
    annotations = json.loads((coco / 'annotations' / 'person_keypoints_val2017.json').read_text())
    annotations['images'][0]['file_name'] = 'person.jpg'
    (tmp_path / 'boxes.json').write_text(json.dumps(annotations))
    return tmp_path


def placeholders(coco):
    """What stands for the words that a reader replaces."""
    return {
        '/data/coco': str(coco),
        'CONFIG': 'my.py',
        'IMAGE': 'person.jpg',
        'FILE': 'boxes.json',
        'DETECTOR_CONFIG': 'detector.py',
        'DETECTOR_WEIGHTS': 'detector.pth',
        'LEFT TOP WIDTH HEIGHT': '20 10 130 280',
        'best_coco_AP_epoch_210.pth': 'best_coco_AP_epoch_1.pth',
    }


def to_run(page):
    """The blocks of a page that are run."""
    return [block for block in blocks(page) if block.language and not why_not_run(page, block)]


@pytest.mark.slow
@pytest.mark.parametrize('page', [page for page in PAGES if to_run(page)])
def test_the_blocks_of_a_page_run_as_printed(page, project, coco, warm, request, monkeypatch):
    if 'lspet_dataset.zip' in (REPO / page).read_text():
        photographs = request.getfixturevalue('shared_data')  # skips where there are none
        pack_some_of(photographs / 'lspet' / 'lspet_dataset.zip', project / 'lspet_dataset.zip')
    monkeypatch.chdir(project)
    monkeypatch.setenv('PATH', str(Path(sys.executable).parent), prepend=os.pathsep)
    if page != 'README.md':  # whose commands begin in fresh processes, as a reader's do
        monkeypatch.setenv('PATH', str(warm), prepend=os.pathsep)
    for block in to_run(page):
        RUN[block.language](filled(block.text, placeholders(coco)))


def pack_some_of(source, target, number=100):
    """Write a zip of the first photographs; test_lspet.py converts all."""
    with zipfile.ZipFile(source) as given, zipfile.ZipFile(target, 'w') as some:
        joints = loadmat(given.open('joints.mat'))['joints']
        savemat(target.with_name('joints.mat'), dict(joints=joints[..., :number]))
        some.write(target.with_name('joints.mat'), 'joints.mat')
        for name in (f'images/im{i:05d}.jpg' for i in range(1, number + 1)):
            some.writestr(name, given.read(name))


def run_shell(text):
    """Run commands as a reader would, with the training cut short; each must succeed."""
    done = subprocess.run(
        ['bash', '-e', '-c', shortened(text)],
        env={**os.environ, 'PYTHONPATH': str(REPO), 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f'{text}\n{done.stdout[-3000:]}\n{done.stderr[-5000:]}'


def run_python(text):
    """Run a program, or train a step and predict by what is a part of a config."""
    if re.match(r'(import|from) ', text):
        exec(compile(text, 'block', 'exec'), {})
    else:
        train_a_step_and_predict(text)


RUN = {'bash': run_shell, 'python': run_python}


def train_a_step_and_predict(text):
    """Read a config of the block, or of the block on top of ours, and use it."""
    if not text.startswith('_base_'):
        text = f"_base_ = [__import__('mspn_plugin').config_path('mspn_coco')]\n{text}"
    Path('block.py').write_text(text)
    cfg = Config.fromfile('block.py')
    cfg.merge_from_dict(SMALL)
    data = Config.fromfile('my.py').train_dataloader.dataset
    data.pipeline = cfg.train_pipeline
    model = MODELS.build(cfg.model)
    people = DATASETS.build(data)
    check_model(model)
    batch = pseudo_collate([people[0], people[1]])
    if model.head.decoder.__class__.__name__ == 'CoarseToFineHeatmap':  # else it is for testing
        check_fit(people, model, 'train_dataloader.dataset')
        losses = model.train().train_step(batch, build_optim_wrapper(model, cfg.optim_wrapper))
        assert np.isfinite(losses['loss'].item())
    for person in model.eval().test_step(batch):
        assert np.isfinite(person.pred_instances.keypoints).all()


def test_what_is_not_run_is_a_block_that_exists():
    for row in NOT_RUN:
        assert any(row in why_not_run(row[0], block) for block in blocks(row[0])), row


@pytest.mark.parametrize('page', PAGES)
def test_commands_stand_in_blocks_that_are_run(page):
    commands = r'(\$ )?(python|mim|pip|make|bash|sh|cp|export|torchrun|[A-Z_]+=\S+ )\b'
    for block in blocks(page):
        assert block.language in ('', *RUN), f'{block} is neither run nor plain text'
        assert block.language or not re.search(rf'^{commands}', block.text, re.MULTILINE), block
    assert not re.search(rf'^(    |\t){commands}', outside_blocks(page), re.MULTILINE)


def outside_blocks(page):
    return re.sub(r'^```(.*\n)*?```$', '', (REPO / page).read_text(), flags=re.MULTILINE)


def anchors(page):
    """The anchors that GitHub gives a page's headings."""
    headings = re.findall(r'^#+ (.*)$', outside_blocks(page), re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}


@pytest.mark.parametrize('page', PAGES)
def test_links_lead_somewhere(page):
    for link in re.findall(r'\]\(([^)\s]+)\)', outside_blocks(page)):
        if '://' in link:
            continue
        path, _, anchor = link.partition('#')
        target = (REPO / page).parent / path if path else REPO / page
        assert target.exists(), f'{page} links to {link}'
        if anchor:
            name = str(target.resolve().relative_to(REPO))
            assert anchor in anchors(name), f'{page} links to {link}; {name} has {anchors(name)}'


@pytest.mark.parametrize('page', PAGES)
def test_files_and_configs_that_are_named_exist(page):
    text = (REPO / page).read_text()
    folders = r'(?:mspn_plugin|configs|tests|benchmarks|examples|requirements|docs)'
    for path in re.findall(rf'(?<![\w./]){folders}/[\w./*-]*[\w*]', text):
        found = [*REPO.glob(path), *(REPO / page).parent.glob(path)]
        assert found, f'{page} names {path}'
    own = set(config_names())
    theirs = {file.stem for file in mmpose_configs()}
    for name in re.findall(r'td-hm_(?:[\w-]|\.\d)+(?![\w*-])', text):
        assert name in own | theirs or name.endswith('-'), f'{page} names the config {name}'


def mmpose_configs():
    import mmpose

    return (Path(mmpose.__file__).parent / '.mim' / 'configs').rglob('td-hm_*.py')


def help_of(mspn, name):
    """What ``mspn NAME --help`` prints, with its subcommands' help."""
    command = mspn_cli.main.get_command(None, name)
    subcommands = getattr(command, 'commands', {})
    helps = [(name,), *((name, subcommand) for subcommand in subcommands)]
    return ''.join(mspn(*words, '--help').stdout for words in helps)


def test_options_that_are_named_exist(mspn):
    known = {}
    for page in PAGES:
        joined = (REPO / page).read_text().replace('\\\n', ' ')
        for module, rest in re.findall(r'\bmspn ([a-z]+)\b([^`\n]*)', joined):
            if module not in mspn_cli.SUBCOMMANDS:
                continue
            if module not in known:
                known[module] = help_of(mspn, module)
            if module == 'tools':  # the rest is MMPose's own
                continue
            for option in re.findall(r' (--[\w-]+)', rest):
                assert option in known[module], f'{page}: {module} has no {option}'
    table = re.findall(
        r'^\| (`--.*?) \|', (REPO / 'docs' / 'inference.md').read_text(), re.MULTILINE
    )
    named = {option for row in table for option in re.findall(r'--[\w-]+', row)}
    assert len(named) > 8 and all(option in known['predict'] for option in named)
