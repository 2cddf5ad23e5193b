"""The code blocks of the documentation, and what a test puts in the place of placeholders."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

REPO = Path(__file__).resolve().parents[2]
PAGES = ['README.md', *sorted(f'docs/{file.name}' for file in (REPO / 'docs').glob('*.md'))]

SMALL = {
    'model.backbone.init_cfg': None,
    'model.backbone.num_stages': 2,
    'model.backbone.stem_channels': 8,
    'model.backbone.unit_channels': 16,
    'model.backbone.num_blocks': [1, 1, 1, 1],
    'model.head.num_stages': 2,
    'model.head.unit_channels': 16,
    'train_cfg.max_epochs': 1,
    'train_cfg.val_interval': 1,
    'default_hooks.logger.interval': 1,
    'train_dataloader.batch_size': 4,
    'train_dataloader.dataset.indices': 8,
    'val_dataloader.dataset.indices': 8,
    'test_dataloader.dataset.indices': 8,
    **{
        f'{loader}_dataloader.{setting}': value
        for loader in ('train', 'val', 'test')
        for setting, value in (('num_workers', 0), ('persistent_workers', False))
    },
}
"""What makes a config's network and its training small. ``mim`` is given it before a page's own
``--cfg-options``; nothing else of a command is changed but placeholders."""


class Block(NamedTuple):
    """A fenced block of a page.

    Attributes:
        language (str): What stands behind the fence.
        text (str): The lines.
    """

    language: str
    text: str


def blocks(page):
    """All fenced blocks of a page, in their order."""
    fenced = re.findall(r'^```(.*)\n((?:.*\n)*?)```$', (REPO / page).read_text(), re.MULTILINE)
    return [Block(*found) for found in fenced]


def filled(text, words):
    """A block's text with its placeholders replaced.

    Args:
        text (str): The text.
        words (dict[str, str]): What stands for each placeholder, which is replaced where no letter
            or digit is next to it.
    """
    for placeholder, value in words.items():
        text = re.sub(rf'(?<!\w){re.escape(placeholder)}(?!\w)', value, text)
    return text


def shortened(script):
    """A script in which every ``mim train`` and ``mim test`` is given ``SMALL``.

    A network that is small already stays as it is. Few photographs are held out for validation,
    and ``mspn check`` opens none: both have tests of their own.
    """
    script = re.sub(r'\bmspn convert lspet .*', r'\g<0> --val 40', script)
    script = re.sub(r'\bmspn check \$RECIPE.*', r'\g<0> --no-images', script)
    keep = 'mspn-small' in script
    settings = {k: v for k, v in SMALL.items() if not (keep and k.startswith('model.'))}
    options = shlex.join(
        ['--cfg-options', *(f'{k}={v}'.replace(' ', '') for k, v in settings.items())]
    )

    def small(command):
        if '--cfg-options' in command[0]:
            return command[0].replace('--cfg-options', options)
        return f'{command[0]} {options}'

    return re.sub(r'\bmim (train|test) (\\\n|[^\n])*', small, script)
