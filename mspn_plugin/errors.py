"""The error that a wrong setting raises, and how a command shows it.

A mistake in a config or a missing file should reach its author as one message. In a command, that
message is all that is printed; in a program or a notebook nothing changes, and the exception and
its traceback are there as always.
"""

import os
import pickle
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

ShowException = Callable[[type[BaseException], BaseException, TracebackType | None], object]

# Where MMPose and MMEngine open the files that a config names, and what the user can do about one
# that is not there.
_READERS = {
    'mmpose.datasets.datasets': (
        'The data is looked for under `data_root` of the config; configs of this plugin take it '
        'from the environment variable COCO_ROOT, and data/coco/ without it.'
    ),
    'mmpose.evaluation': (
        'It is the `ann_file` of `val_evaluator` or `test_evaluator`, below `data_root`, which '
        'configs of this plugin take from the environment variable COCO_ROOT.'
    ),
    'mmengine.runner.checkpoint': (
        'It was named on the command line, or by `load_from` or an `init_cfg` of the config.'
    ),
}


class SettingError(ValueError):
    """A config value, an argument or a file that does not fit.

    Its text is one message for the person who wrote the setting: what was given, what fits, and
    which setting or file to change. It is a :class:`ValueError`, so code that expects one works.
    """


@contextmanager
def about(what: str) -> Iterator[None]:
    """Put the name of a setting or file in front of what a :class:`SettingError` says.

    Args:
        what (str): The name.

    Raises:
        SettingError: If the block raises one.
    """
    try:
        yield
    except SettingError as error:
        raise SettingError(f'{what}: {error}') from error


def plain_message(error: BaseException) -> str | None:
    """The one message that an error amounts to, where it is a user's to mend.

    Args:
        error (BaseException): An exception that was raised, with its traceback.

    Returns:
        str | None: The message; None for any other error, whose traceback is needed.
    """
    for link in _chain(error):
        if isinstance(link, SettingError):
            return str(link)
        if isinstance(link, ValueError) and (ann_file := _nobody_in(link.__traceback__)):
            return (
                f'No person in {ann_file} can be used. A data set for training or ground-truth '
                'boxes needs COCO keypoint annotations (person_keypoints_*.json, not '
                'instances_*.json): persons with `keypoints`, a box, and a labelled joint.'
            )
        text = ' '.join(str(link).split())
        if picture := re.search(r'occurs when loading `([^`]+)`\.Please check', text):
            return (
                f'{picture[1]} cannot be read as a picture. `mspn check CONFIG` '
                'finds all such files in advance.'
            )
        advice = _advice(link.__traceback__)
        if advice is None:
            continue
        if isinstance(link, FileNotFoundError) or (
            isinstance(link, AssertionError) and 'does not exist' in text
        ):
            return f'{text}. {advice}'
        if place := _unloadable(link.__traceback__):
            return (
                f'{place} cannot be loaded ({type(link).__name__}: {text}). '
                '`mspn check CONFIG` lists every fault of the data.'
            )
        checkpoint = _checkpoint(link.__traceback__)
        if isinstance(link, pickle.UnpicklingError):
            return (
                f'{checkpoint or "The checkpoint"} holds more than tensors and plain values, so '
                f'that loading it could run code, and it is refused. {advice} ({text})'
            )
        if checkpoint:
            return (
                f'{checkpoint} cannot be read as a checkpoint; is it complete? {advice} '
                f'({type(link).__name__}: {text})'
            )
    return None


def show_plainly() -> None:
    """Make a command that ends in a user's error print its one message, and no traceback.

    ``sys.excepthook`` is wrapped: it only decides what is printed when a program dies. The
    environment variable ``MSPN_TRACEBACK=1`` brings the traceback back.
    """
    if isinstance(sys.excepthook, _PlainExceptHook):
        return
    sys.excepthook = _PlainExceptHook(sys.excepthook)


class _PlainExceptHook:
    def __init__(self, otherwise: ShowException) -> None:
        self.otherwise = otherwise

    def __call__(
        self,
        kind: type[BaseException],
        error: BaseException,
        trace: TracebackType | None,
    ) -> None:
        message = None if os.environ.get('MSPN_TRACEBACK') else plain_message(error)
        if message is None:
            self.otherwise(kind, error, trace)
        else:
            print(f'\nmspn_plugin: {message}', file=sys.stderr)
            print('(MSPN_TRACEBACK=1 shows where this was raised.)', file=sys.stderr)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it was raised from, the last one first."""
    link: BaseException | None = error
    seen = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _nobody_in(trace: TracebackType | None) -> str | None:
    """The annotation file of a data set that MMEngine could not pack, because it is empty."""
    for frame, _ in traceback.walk_tb(trace):
        dataset: Any = frame.f_locals.get('self')
        if frame.f_code.co_name == '_serialize_data' and not dataset.data_list:
            return dataset.ann_file
    return None


def _unloadable(trace: TracebackType | None) -> str | None:
    """The annotation, or else the file, at which a data set class of MMPose gave up."""
    place = None
    for frame, _ in traceback.walk_tb(trace):
        function = frame.f_code.co_name
        ann_file = getattr(frame.f_locals.get('self'), 'ann_file', None)
        if function == 'load_data_list' and ann_file:
            place = str(ann_file)
        raw = frame.f_locals.get('raw_data_info')
        if function == 'parse_data_info' and isinstance(raw, dict):
            annotation = raw.get('raw_ann_info')
            number = annotation.get('id') if isinstance(annotation, dict) else None
            place = f'annotation {number} of {ann_file}'
    return place


def _checkpoint(trace: TracebackType | None) -> str | None:
    """The file that MMEngine was reading as a checkpoint."""
    for frame, _ in traceback.walk_tb(trace):
        module = str(frame.f_globals.get('__name__', ''))
        if module == 'mmengine.runner.checkpoint' and frame.f_code.co_name.startswith('load_from'):
            return frame.f_locals.get('filename')
    return None


def _advice(trace: TracebackType | None) -> str | None:
    for frame, _ in traceback.walk_tb(trace):
        module = str(frame.f_globals.get('__name__', ''))
        for reader, advice in _READERS.items():
            if module.startswith(reader):
                return advice
    return None
