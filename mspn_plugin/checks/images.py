"""Looks for faults in picture files, by reading every one as the training does."""

import io
import multiprocessing
import os
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import BaseContext
from typing import Any, NamedTuple

import cv2
import mmcv
import numpy as np
from mmengine import fileio
from PIL import Image, UnidentifiedImageError

from . import faults
from .faults import Found, Kind

_ORIENTATION = 274  # the EXIF tag
_TURNED_BY_90 = (5, 6, 7, 8)
_NEARLY_BLACK = 16

_COMPLAINTS: Any = None
"""In a worker process, what the decoders print, which they have no other way to say."""


class Picture(NamedTuple):
    """A picture to look at.

    Attributes:
        path (str): Where it lies.
        size (tuple[int, int] | None): Width and height that the annotations state.
    """

    path: str
    size: tuple[int, int] | None = None


class Loader(NamedTuple):
    """How the pipeline's ``LoadImage`` reads pictures; its arguments of the same names."""

    color_type: str = 'color'
    imdecode_backend: str = 'cv2'
    backend_args: dict | None = None


def examine_pictures(
    pictures: Sequence[Picture],
    loader: Loader | None = None,
    workers: int = 1,
    advance: Callable[[int], object] = lambda count: None,
) -> Found:
    """Read pictures in other processes and look for faults.

    Args:
        pictures (Sequence[Picture]): The pictures.
        loader (Loader, optional): How to read them, by default as ``LoadImage`` without
            arguments does.
        workers (int): How many processes.
        advance (Callable): Is called with the number of pictures that were done, again and again.

    Returns:
        dict[Kind, list[str]]: Places by kind of fault.
    """
    found: Found = defaultdict(list)
    with ProcessPoolExecutor(workers, _processes(), initializer=_start_worker) as pool:
        parts = [pictures[start : start + 16] for start in range(0, len(pictures), 16)]
        for part, reports in zip(
            parts, pool.map(_look_at, parts, [loader or Loader()] * len(parts))
        ):
            for kind, place in reports:
                found[kind].append(place)
            advance(len(part))
    return found


def _processes() -> BaseContext:
    """How to start processes: from one without threads, since OpenCV's don't survive a fork."""
    if 'forkserver' not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context('spawn')
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload([__name__])
    return context


def _start_worker() -> None:
    global _COMPLAINTS
    _COMPLAINTS = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the process)
    os.dup2(_COMPLAINTS.fileno(), 2)
    cv2.setNumThreads(1)
    # The limit guards against pictures from strangers; training would read them too.
    Image.MAX_IMAGE_PIXELS = None


def _look_at(pictures: Sequence[Picture], loader: Loader) -> list[tuple[Kind, str]]:
    return [report for picture in pictures for report in _faults_of(picture, loader)]


def _faults_of(picture: Picture, loader: Loader) -> Iterator[tuple[Kind, str]]:
    path = picture.path
    try:
        content = fileio.get(path, backend_args=loader.backend_args)
    except FileNotFoundError:
        yield faults.PICTURE_MISSING, path
        return
    except OSError as error:
        yield faults.PICTURE_BROKEN, f'{path}: {error.strerror or error}'
        return
    if not content:
        yield faults.PICTURE_BROKEN, f'{path}: it is empty'
        return
    decoded, complaint = _decoded(content, loader)
    orientation, transparent, trouble = _second_look(content)
    if decoded is None or 'truncated' in trouble:
        yield faults.PICTURE_BROKEN, path
        return
    if complaint or trouble:
        yield faults.PICTURE_DAMAGED, f'{path}: {complaint or trouble}'
    height, width = decoded.shape[:2]
    turned = orientation > 1 and 'ignore_orientation' not in loader.color_type
    if picture.size and (width, height) != tuple(picture.size):
        why = ', turned by EXIF' if turned else ''
        given = f'{picture.size[0]}x{picture.size[1]}'
        yield faults.PICTURE_RESIZED, f'{path}: {width}x{height}{why} instead of {given}'
    elif turned and (orientation not in _TURNED_BY_90 or width == height):
        yield faults.PICTURE_TURNED, f'{path}: orientation {orientation}'
    if transparent:
        yield faults.PICTURE_ALPHA, path
    sample = decoded[::4, ::4]
    contrast = np.ptp(sample.reshape(len(sample), -1, 3), axis=(0, 1)).max()
    if sample.max() < _NEARLY_BLACK or contrast <= 2:
        yield faults.PICTURE_DARK, path


def _decoded(content: bytes, loader: Loader) -> tuple[np.ndarray | None, str]:
    """The picture as ``LoadImage`` decodes it, and what the decoder complained of."""
    _COMPLAINTS.seek(0)
    _COMPLAINTS.truncate()
    try:
        decoded = mmcv.imfrombytes(content, flag=loader.color_type, backend=loader.imdecode_backend)
    except Exception:  # each decoder has errors of its own
        return None, ''
    _COMPLAINTS.seek(0)
    said = _COMPLAINTS.read().decode(errors='replace').splitlines()
    # libpng also warns of colour profiles, which nobody reads here.
    damage = [line for line in said if 'Corrupt JPEG' in line or 'Premature end' in line]
    return decoded, ' '.join(damage[:1])


def _second_look(content: bytes) -> tuple[int, bool, str]:
    """EXIF orientation, whether there are transparent parts, and what is wrong, by Pillow.

    Pillow says of a JPEG that its end is missing, which OpenCV 4 fills up with grey.
    """
    orientation, transparent = 1, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            with Image.open(io.BytesIO(content)) as image:
                orientation = image.getexif().get(_ORIENTATION, 1)
                image.draft(None, (1, 1))  # a JPEG is read to its end and painted small
                image.load()
                if image.mode in ('RGBA', 'LA', 'PA') or 'transparency' in image.info:
                    alpha = np.asarray(image.convert('RGBA').getchannel('A'))
                    transparent = bool(alpha.min() < 255)
    except UnidentifiedImageError:
        pass  # a format of which only the other reader knows
    except Exception as error:  # each format has errors of its own
        return orientation, transparent, ' '.join(str(error).split()) or type(error).__name__
    return (orientation if isinstance(orientation, int) else 1), transparent, ''
