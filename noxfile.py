"""``make matrix``: docs/install.md's commands, the quick tests and a training in each environment.

Each row installs into an empty environment, runs, writes its line of the table in docs/install.md,
and deletes the environment, which takes gigabytes with a CUDA build of torch.
"""

import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import nox

nox.options.default_venv_backend = 'venv'
nox.options.stop_on_first_error = False

PAGE = Path('docs/install.md')
TORCHVISION = {'2.13.0': '0.28.0', '2.14.1': '0.29.1', '2.15.0': '0.29.2'}
"""The release of torchvision that belongs to a torch; pins.txt has that of the first."""
ENGINES = {'mmengine': '0.10.7', 'onedl-mmengine': '0.10.12'}
ROWS = {
    ('2.13.0', 'mmengine'): ['3.10', '3.11', '3.12', '3.13'],
    ('2.14.1', 'mmengine'): ['3.10'],
    ('2.15.0', 'mmengine'): ['3.11', '3.12', '3.13'],
    ('2.13.0', 'onedl-mmengine'): ['3.11'],
}
"""The Pythons on which a torch is tried: the pinned one, and the newest that each can have."""
VERSIONS = """
import json, platform, cv2, numpy, torch
versions = [package.__version__ for package in (torch, numpy, cv2)]
print(json.dumps([platform.python_version(), *versions]))
"""


def register(torch: str, engine: str, pythons: list[str]) -> None:
    """Make a session of each Python."""

    @nox.session(python=pythons, name=f'torch-{torch}-{engine}')
    def row(session: nox.Session) -> None:
        try:
            install(session, torch, engine)
            versions = json.loads(session.run('python', '-c', VERSIONS, silent=True))
            tested = test(session)
            trained = train(session)
            write([*versions, f'{engine} {ENGINES[engine]}', tested, trained])
            if 'failed' in tested + trained:
                session.error(f'tests: {tested}; training: {trained}')
        finally:
            shutil.rmtree(session.virtualenv.location)


for (torch, engine), pythons in ROWS.items():
    register(torch, engine, pythons)


def install(session: nox.Session, torch: str, engine: str) -> None:
    """Install as docs/install.md says for pip, then what the row has otherwise, and the tools."""
    session.install(f'torch=={torch}')
    pins = ['-r', 'requirements/pins.txt', './requirements/xtcocotools', '-e', '.']
    session.install('--no-deps', *pins)
    if torch != next(iter(TORCHVISION)):
        session.install('--no-deps', f'torchvision=={TORCHVISION[torch]}')
    if engine != 'mmengine':
        session.run('python', '-m', 'pip', 'uninstall', '-q', '-y', 'mmengine')
        session.install('--no-deps', f'{engine}=={ENGINES[engine]}')
    tools = Path(session.create_tmp(), 'tools.txt').resolve()
    tools.write_text(without_pinned(Path('requirements/lock.txt').read_text()))
    session.install('--no-deps', '-r', str(tools))


def without_pinned(lock: str) -> str:
    """The entries of lock.txt that pins.txt lacks: the tools."""
    pinned = re.findall(r'^([\w-]+)==', Path('requirements/pins.txt').read_text(), re.MULTILINE)
    entries = re.split(r'^(?=\w)', lock, flags=re.MULTILINE)
    return ''.join(entry for entry in entries if entry.partition('==')[0] not in pinned)


def test(session: nox.Session) -> str:
    """Run the quick tests, and count them."""
    report = Path(session.create_tmp(), 'tests.xml').resolve()
    options = ['-q', '-m', 'not slow', '-p', 'no:cacheprovider', f'--junitxml={report}']
    session.run('pytest', *options, *session.posargs, success_codes=range(256))
    suite = ElementTree.parse(report).getroot()[0]
    total, skipped, *broken = (
        int(suite.get(name)) for name in ('tests', 'skipped', 'failures', 'errors')
    )
    counts = dict(passed=total - skipped - sum(broken), failed=sum(broken), skipped=skipped)
    return ', '.join(f'{count} {name}' for name, count in counts.items() if count)


def train(session: nox.Session) -> str:
    """Train an epoch on rendered people by command, and evaluate."""
    folder = Path(session.create_tmp()).resolve()
    people, runs = folder / 'people', folder / 'runs'
    for left in (people, runs):
        shutil.rmtree(left, ignore_errors=True)
    session.run('mspn', 'synthetic', '--out', str(people), '--train', '64', '--val', '16')
    session.run(
        *('mim', 'train', 'mmpose', 'configs/mspn_synthetic.py', '--work-dir', str(runs)),
        *('--cfg-options', 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1'),
        env=dict(COCO_ROOT=str(people)),
        success_codes=range(256),
    )
    return 'an epoch' if list(runs.glob('best_coco_AP_epoch_1.pth')) else 'failed'


def write(cells: list[str]) -> None:
    """Put a line into the page's table, in place of an older one with the same versions."""
    begin, end = '<!-- make matrix -->\n', '\n<!-- -->'
    before, rest = PAGE.read_text().split(begin)
    table, after = rest.split(end)
    head, rule, *rows = table.splitlines()
    key = f'| {" | ".join(cells[:5])} |'
    rows = [row for row in rows if not row.startswith(key)] + [f'| {" | ".join(cells)} |']
    rows.sort(key=lambda row: [int(part) for part in re.findall(r'\d+', row)])
    PAGE.write_text(before + begin + '\n'.join([head, rule, *rows]) + end + after)
