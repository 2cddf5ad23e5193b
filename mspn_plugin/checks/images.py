"""Looks for faults in image files, by reading every one as the training does."""

import io
from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from typing import Any

from mmengine import fileio
from PIL import Image, UnidentifiedImageError
from tqdm.contrib.concurrent import thread_map

from . import faults
from .annotations import Size
from .faults import Found, Kind


def examine_images(
    images: Mapping[str, Size | None], loader: Any, workers: int, name: str
) -> Found:
    """Read images, of which the annotations state width and height, and look for faults.

    The pipeline's ``loader`` reads them, in threads: decoders let go of Python's lock.
    """
    found: Found = defaultdict(list)
    progress: dict[str, Any] = dict(max_workers=workers, unit='img', desc=name, leave=False)
    look = partial(_fault_of, loader=loader)
    for fault in thread_map(look, images, images.values(), **progress):
        if fault is not None:
            found[fault[0]].append(fault[1])
    return found


def _fault_of(path: str, size: Size | None, loader: Any) -> tuple[Kind, str] | None:
    try:
        content = fileio.get(path, backend_args=loader.backend_args)
        height, width = loader.transform(dict(img_path=path))['img'].shape[:2]
    except FileNotFoundError:
        return faults.IMAGE_MISSING, path
    except Exception:  # each decoder has errors of its own
        return faults.IMAGE_BROKEN, path
    if _is_truncated(content):
        return faults.IMAGE_BROKEN, path
    if size and (width, height) != tuple(size):
        return faults.IMAGE_RESIZED, f'{path}: {width}x{height} instead of {size[0]}x{size[1]}'
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
