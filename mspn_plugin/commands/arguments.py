"""Arguments that several commands share."""

import argparse

from mmengine.config import DictAction


def positive(text: str) -> int:
    """Read a whole number from 1 up, as ``type=`` of an argument.

    Args:
        text (str): What stands on the command line.

    Returns:
        int: The number.

    Raises:
        ArgumentTypeError: If it is below 1.
        ValueError: If it is no whole number; ``argparse`` says so in its own words.
    """
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'{number} is not a whole number from 1 up')
    return number


def add_cfg_options(parser: argparse.ArgumentParser, what: str) -> None:
    """Add ``--cfg-options`` as MMPose's tools have it.

    Args:
        parser (ArgumentParser): The command's parser.
        what (str): The help text.
    """
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help=what
    )
