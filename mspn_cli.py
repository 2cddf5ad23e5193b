"""The command ``mspn``.

It stands beside the package, because importing the package imports PyTorch and MMPose, and
``mspn --help`` should not wait for them. Each subcommand is a module of ``mspn_plugin.commands``.
"""

from __future__ import annotations

import importlib

import click

SUBCOMMANDS = {
    'predict': 'Find the poses of persons in images and videos.',
    'export': 'Write an ONNX file, checked against PyTorch.',
    'convert': 'Turn foreign checkpoints and data sets into those of MMPose.',
    'check': 'Look for what could end or spoil a training before it starts.',
    'benchmark': 'Measure MMPose configs side by side on this machine.',
    'synthetic': "Render people in COCO's layout.",
    'tools': "Run one of MMPose's own tools or demos.",
}


class LazyGroup(click.Group):
    """Subcommands that are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the order in which the help lists them."""
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import a subcommand."""
        if name not in SUBCOMMANDS:
            return None
        return importlib.import_module(f'mspn_plugin.commands.{name}').command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands without importing them."""
        with formatter.section('Commands'):
            formatter.write_dl(list(SUBCOMMANDS.items()))


@click.group(name='mspn', cls=LazyGroup, context_settings=dict(show_default=True))
def main() -> None:
    """MSPN, the Multi-Stage Pose estimation Network, for MMPose.

    `mspn COMMAND --help` describes each command.
    """
