"""Looks for faults in image files, by reading every one as the training does."""

import io
import multiprocessing
import os
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple

import cv2
import mmcv
import numpy as np
from mmengine import fileio
from PIL import ExifTags, Image, UnidentifiedImageError

from . import faults
from .faults import Found, Kind

_TURNED_BY_90 = (5, 6, 7, 8)

_COMPLAINTS: Any = None
"""In a worker process, what the decoders print, which they have no other way to say."""


class ImageFile(NamedTuple):
    """An image to look at.

    Attributes:
        path (str): Where it lies.
        size (tuple[float, float] | None): Width and height that the annotations state.
    """

    path: str
    size: tuple[float, float] | None = None


class Loader(NamedTuple):
    """How the pipeline's ``LoadImage`` reads images; its arguments of the same names."""

    color_type: str = 'color'
    imdecode_backend: str = 'cv2'
    backend_args: dict | None = None


def examine_images(
    images: Sequence[ImageFile],
    loader: Loader = Loader(),  # noqa: B008 (it is immutable)
    workers: int = 1,
    advance: Callable[[int], object] = lambda count: None,
) -> Found:
    """Read images in other processes and look for faults.

    Args:
        images (Sequence[ImageFile]): The images.
        loader (Loader): How to read them, by default as ``LoadImage`` without arguments does.
        workers (int): How many processes.
        advance (Callable): Is called with the number of images that were done, again and again.

    Returns:
        dict[Kind, list[str]]: Places by kind of fault.
    """
    found: Found = defaultdict(list)
    # OpenCV's threads don't survive a fork, so that a process without any starts the others.
    context = multiprocessing.get_context('forkserver' if hasattr(os, 'fork') else 'spawn')
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(workers, context, initializer=_start_worker) as pool:
        parts = [images[start : start + 16] for start in range(0, len(images), 16)]
        for part, reports in zip(parts, pool.map(_look_at, parts, [loader] * len(parts))):
            for kind, place in reports:
                found[kind].append(place)
            advance(len(part))
    return found


def _start_worker() -> None:
    global _COMPLAINTS
    _COMPLAINTS = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the process)
    os.dup2(_COMPLAINTS.fileno(), 2)
    cv2.setNumThreads(1)
    # The limit guards against images from strangers; training would read them too.
    Image.MAX_IMAGE_PIXELS = None


def _look_at(images: Sequence[ImageFile], loader: Loader) -> list[tuple[Kind, str]]:
    return [report for image in images for report in _faults_of(image, loader)]


def _faults_of(image: ImageFile, loader: Loader) -> Iterator[tuple[Kind, str]]:
    path = image.path
    try:
        content = fileio.get(path, backend_args=loader.backend_args)
    except FileNotFoundError:
        yield faults.IMAGE_MISSING, path
        return
    except OSError as error:
        yield faults.IMAGE_BROKEN, f'{path}: {error.strerror or error}'
        return
    decoded, complaint = _decode(content, loader)
    orientation, pillow_error = _examine_with_pillow(content)
    if decoded is None or 'truncated' in pillow_error:
        yield faults.IMAGE_BROKEN, path
        return
    if complaint or pillow_error:
        yield faults.IMAGE_DAMAGED, f'{path}: {complaint or pillow_error}'
    height, width = decoded.shape[:2]
    is_turned = orientation > 1 and 'ignore_orientation' not in loader.color_type
    if image.size and (width, height) != tuple(image.size):
        why = ', turned by EXIF' if is_turned else ''
        expected = f'{image.size[0]}x{image.size[1]}'
        yield faults.IMAGE_RESIZED, f'{path}: {width}x{height}{why} instead of {expected}'
    elif is_turned and (orientation not in _TURNED_BY_90 or width == height):
        # The size does not show whether the annotations mean it so.
        yield faults.IMAGE_TURNED, f'{path}: orientation {orientation}'


def _decode(content: bytes, loader: Loader) -> tuple[np.ndarray | None, str]:
    """The image as ``LoadImage`` decodes it, and what the decoder complained of."""
    _COMPLAINTS.seek(0)
    _COMPLAINTS.truncate()
    try:
        decoded = mmcv.imfrombytes(content, flag=loader.color_type, backend=loader.imdecode_backend)
    except Exception:  # each decoder has errors of its own
        return None, ''
    _COMPLAINTS.seek(0)
    lines = _COMPLAINTS.read().decode(errors='replace').splitlines()
    # libpng also warns of colour profiles, which nobody reads here.
    damage = [line for line in lines if 'Corrupt JPEG' in line or 'Premature end' in line]
    return decoded, ' '.join(damage[:1])


def _examine_with_pillow(content: bytes) -> tuple[int, str]:
    """EXIF orientation, and what is wrong.

    Pillow says of a JPEG that its end is missing, which OpenCV 4 fills up with grey.
    """
    orientation = 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            with Image.open(io.BytesIO(content)) as image:
                orientation = int(image.getexif().get(ExifTags.Base.Orientation, 1))
                image.draft(None, (1, 1))  # a JPEG is read to its end and painted small
                image.load()
    except UnidentifiedImageError:
        pass  # a format of which only the other reader knows
    except Exception as error:  # each format has errors of its own
        return orientation, ' '.join(str(error).split()) or type(error).__name__
    return orientation, ''
