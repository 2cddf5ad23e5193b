"""Looks for faults in image files, by reading every one as the training does."""

import io
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import mmcv
from mmengine import fileio
from PIL import Image, UnidentifiedImageError
from tqdm.contrib.concurrent import thread_map

from . import faults
from .faults import Found, Kind


class ImageFile(NamedTuple):
    """An image to look at, and the width and height that the annotations state."""

    path: str
    size: tuple[float, float] | None = None


class Loader(NamedTuple):
    """How the pipeline's ``LoadImage`` reads images; its arguments of the same names."""

    color_type: str = 'color'
    imdecode_backend: str = 'cv2'
    backend_args: dict | None = None


def examine_images(images: Sequence[ImageFile], loader: Loader, workers: int, name: str) -> Found:
    """Read images and look for faults; ``name`` is what the progress is shown as.

    Threads read beside each other, because decoders let go of Python's lock.
    """
    found: Found = defaultdict(list)
    progress: dict[str, Any] = dict(max_workers=workers, unit='img', desc=name, leave=False)
    for fault in thread_map(lambda image: _fault_of(image, loader), images, **progress):
        if fault is not None:
            found[fault[0]].append(fault[1])
    return found


def _fault_of(image: ImageFile, loader: Loader) -> tuple[Kind, str] | None:
    path = image.path
    try:
        content = fileio.get(path, backend_args=loader.backend_args)
        decoded = mmcv.imfrombytes(content, flag=loader.color_type, backend=loader.imdecode_backend)
    except FileNotFoundError:
        return faults.IMAGE_MISSING, path
    except Exception:  # each decoder has errors of its own
        return faults.IMAGE_BROKEN, path
    if decoded is None or _is_truncated(content):
        return faults.IMAGE_BROKEN, path
    height, width = decoded.shape[:2]
    if image.size and (width, height) != tuple(image.size):
        expected = f'{image.size[0]}x{image.size[1]}'
        return faults.IMAGE_RESIZED, f'{path}: {width}x{height} instead of {expected}'
    return None


def _is_truncated(content: bytes) -> bool:
    """Whether the end of an image is missing, which OpenCV 4 fills up with grey."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.draft(None, (1, 1))  # a JPEG is read to its end and painted small
            image.load()
    except UnidentifiedImageError:
        return False  # a format of which only the other reader knows
    except Exception as error:  # each format has errors of its own
        return 'truncated' in str(error)
    return False
