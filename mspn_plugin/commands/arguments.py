"""What the subcommands share: how they end, and arguments that several have."""

import argparse
import functools
from collections.abc import Callable
from typing import Any

import click
import torch
from mmengine.config import DictAction

from ..errors import SettingError, in_one_line
from ..weights.shipped import shipped_network


class Command(click.Command):
    """A subcommand whose function returns its exit status, or None for 0.

    A :class:`SettingError`, or a file that can't be read or written, ends it with one message and
    status 2, an interrupt with status 130.
    Options that may be given several times take several values at once, as MMPose's tools do:
    ``--cfg-options A=1 B=2``.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat such an option's name before each of its values."""
        many = {
            name
            for parameter in self.params
            if isinstance(parameter, click.Option) and parameter.multiple
            for name in parameter.opts
        }
        repeated: list[str] = []
        option = None
        for arg in args:
            if arg.startswith('-') and arg != '-':
                option = arg if arg in many else None
                repeated += [] if option else [arg]
            else:
                repeated += [option, arg] if option else [arg]
        return super().parse_args(ctx, repeated)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the function."""
        try:
            status = super().invoke(ctx)
        except SettingError as error:
            click.echo(f'Error: {error}', err=True)
            status = 2
        except OSError as error:
            if error.filename is None:
                raise
            click.echo(f'Error: {error.filename}: {error.strerror}', err=True)
            status = 2
        except KeyboardInterrupt:
            click.echo('\ninterrupted', err=True)
            status = 130
        ctx.exit(status or 0)


def cfg_options(what: str) -> Callable[[Any], Any]:
    """The option ``--cfg-options`` as MMPose's tools have it; the function gets a dict."""

    def as_dict(ctx: click.Context, parameter: click.Parameter, values: Any) -> dict[str, Any]:
        parser = argparse.ArgumentParser(exit_on_error=False)
        parser.add_argument('--cfg-options', nargs='*', action=DictAction, default={})
        try:
            return parser.parse_args(['--cfg-options', *values]).cfg_options
        except ValueError as error:
            raise click.BadParameter(f'{" ".join(values)} is not KEY=VALUE') from error

    return click.option(
        '--cfg-options', multiple=True, metavar='KEY=VALUE...', callback=as_dict, help=what
    )


def network_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options ``--config`` and ``--checkpoint``; without both, the network of the plugin.

    A file of ``mspn export`` without a config is one of that network.
    """

    @functools.wraps(command)
    def with_network(*, config: str | None, checkpoint: str | None, **others: Any) -> Any:
        is_exported = bool(checkpoint and checkpoint.endswith('.onnx'))
        if (config is None) != (checkpoint is None) and not (is_exported and config is None):
            raise SettingError(
                'give --config and --checkpoint together, or neither for the network that comes '
                'with mspn_plugin'
            )
        if config is None:
            config, weights = shipped_network()
            checkpoint = checkpoint or weights
        return command(config=config, checkpoint=checkpoint, **others)

    for option in (
        click.option(
            '--checkpoint',
            metavar='CHECKPOINT',
            help='Its weights; to predict also a file of `mspn export`.',
        ),
        click.option(
            '--config',
            metavar='CONFIG',
            help="MMPose's config of the network (default: the one that comes with the plugin).",
        ),
    ):
        with_network = option(with_network)
    return with_network


def _existing_device(ctx: click.Context, parameter: click.Parameter, name: str | None) -> str:
    if name is None:
        return 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        torch.empty(0, device=name)
    except Exception as error:  # each kind of device has errors of its own
        raise click.BadParameter(f'torch has no {name} here ({in_one_line(error, 100)})') from error
    return name


device = click.option(
    '--device', callback=_existing_device, help='cpu, cuda, cuda:1, ... (default: a GPU if any)'
)
"""The option that names the torch device."""
