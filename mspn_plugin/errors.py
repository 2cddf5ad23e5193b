"""The error that a wrong setting raises, and how a command shows it.

A mistake in a config or a missing file should reach its author as one message. In a command, that
message is all that is printed; in a program or a notebook nothing changes, and the exception and
its traceback are there as always.
"""

import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType

from mmengine.logging import MMLogger


class SettingError(ValueError):
    """A config value, an argument or a file that does not fit.

    Its text is one message for the person who wrote the setting: what was given, what fits, and
    which setting or file to change. It is a :class:`ValueError`, so code that expects one works.
    """


@contextmanager
def naming(subject: str) -> Iterator[None]:
    """Put the name of a setting or file in front of what a :class:`SettingError` says."""
    try:
        yield
    except SettingError as error:
        raise SettingError(f'{subject}: {error}') from error


def first_few(names: Sequence[str], shown: int = 4) -> str:
    """Name the first few of many in a message."""
    more = f' and {len(names) - shown} more' if len(names) > shown else ''
    return (', '.join(names[:shown]) or 'none') + more


def in_one_line(error: BaseException, length: int = 300) -> str:
    """An error of another package in a message: its type and the start of its text."""
    return f'{type(error).__name__}: {" ".join(str(error).split())[:length]}'


def plain_message(error: BaseException) -> str | None:
    """The one message that an error amounts to, where it is a user's to mend.

    It is what a :class:`SettingError` says, or that ``LoadImage`` could not read an image; of what
    the error is or was raised from. None for any other error, whose traceback is needed.
    """
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, SettingError):
            # A worker of PyTorch's loader puts its traceback before the text.
            return str(link).rpartition(f'{__name__}.SettingError: ')[2].strip()
        if image := re.search(r'occurs when loading `([^`]+)`\.Please check', str(link)):
            return (
                f'{image[1]} cannot be read as an image. `mspn check CONFIG` finds all such files '
                'in advance.'
            )
        link = link.__cause__ or link.__context__
    return None


def reason(error: BaseException) -> str:
    """What ended an attempt, for a report that goes on: a user's message, or the error's text."""
    return plain_message(error) or in_one_line(error)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what data sets and models log and warn of while they are built out of a report."""
    # The profiler that counts memory reports its starts and stops.
    os.environ.setdefault('KINETO_LOG_LEVEL', '99')
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('ERROR')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)


def show_plainly() -> None:
    """Make a command that ends in a user's error print its one message, and no traceback.

    ``sys.excepthook`` is wrapped: it only decides what is printed when a program dies. The
    environment variable ``MSPN_TRACEBACK=1`` brings the traceback back.
    """
    show = sys.excepthook
    if show.__module__ == __name__:
        return

    def show_message(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        message = None if os.environ.get('MSPN_TRACEBACK') else plain_message(error)
        if message is None:
            show(kind, error, trace)
        else:
            print(f'\nmspn_plugin: {message}', file=sys.stderr)
            print('(MSPN_TRACEBACK=1 shows where this was raised.)', file=sys.stderr)

    sys.excepthook = show_message
