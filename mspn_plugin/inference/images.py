"""Images and videos in and out: finding, reading and writing them."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from glob import glob, has_magic
from pathlib import Path

import cv2
import mmcv
import numpy as np

from ..errors import SettingError
from ..files import writing

IMAGES = {'.bmp', '.jfif', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp'}
VIDEOS = {'.avi', '.m4v', '.mkv', '.mov', '.mp4', '.webm'}


def find_images(names: Sequence[str]) -> list[Path]:
    """Find images and videos, each once; a file that was named and isn't there is among them.

    Names are of files; of folders, of which all are taken, in the order of their names; and
    patterns such as ``'photos/*.jpg'``.

    Raises:
        SettingError: If a folder or pattern holds none.
    """
    found: dict[Path, None] = {}
    for name in names:
        paths = [Path(name)]
        if os.path.isdir(name):
            paths = sorted(p for p in Path(name).iterdir() if p.suffix.lower() in IMAGES | VIDEOS)
        elif has_magic(name) and not os.path.exists(name):
            paths = [Path(path) for path in sorted(glob(name, recursive=True))]
        if not paths:
            raise SettingError(f'{name} holds no images ({", ".join(sorted(IMAGES | VIDEOS))})')
        found.update(dict.fromkeys(paths))
    return list(found)


def is_video(path: Path) -> bool:
    """Whether a file's name is that of a video."""
    return path.suffix.lower() in VIDEOS


def read_image(path: Path) -> np.ndarray:
    """Read an image, uint8 BGR, as MMPose does: turned by its EXIF data, without transparency.

    Raises:
        SettingError: If it can't be read.
    """
    try:
        image = mmcv.imread(path)
    except OSError as error:
        raise SettingError(f'{path}: {error.strerror or error}') from error
    except cv2.error:  # of an empty file
        image = None
    if image is None:
        raise SettingError(f'{path} cannot be read as an image')
    return image


def read_video(path: Path) -> mmcv.VideoReader:
    """Open a video, whose frames are uint8 BGR.

    Raises:
        SettingError: If it can't be read, or has no frames.
    """
    if not path.is_file():
        raise SettingError(f'{path}: no such file')
    video = mmcv.VideoReader(str(path), cache_capacity=1)
    if video.read() is None:
        raise SettingError(f'{path} cannot be read as a video')
    return video


@contextmanager
def writing_video(path: Path, fps: float, size: tuple[int, int]) -> Iterator[cv2.VideoWriter]:
    """Write an MP4 video of frames of a (width, height), whole or not at all."""
    with writing(path) as unfinished:
        writer = cv2.VideoWriter(str(unfinished), cv2.VideoWriter.fourcc(*'mp4v'), fps, size)
        try:
            yield writer
        finally:
            writer.release()
