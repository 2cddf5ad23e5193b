"""Pictures and videos in and out: finding, reading and writing them, and drawing on them."""

import os
from collections.abc import Iterator, Mapping, Sequence
from glob import glob, has_magic
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import SettingError
from ..files import unfinished_name, writing

PICTURES = {'.bmp', '.jfif', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp'}
VIDEOS = {'.avi', '.m4v', '.mkv', '.mov', '.mp4', '.webm'}


def find(names: Sequence[str]) -> list[Path]:
    """Find pictures and videos.

    Args:
        names (Sequence[str]): Files; folders, of which all pictures and videos are taken, in the
            order of their names; and patterns such as ``'photos/*.jpg'``.

    Returns:
        list[Path]: Files, each once. One that was named and isn't there is among them.

    Raises:
        SettingError: If a folder or pattern holds none.
    """
    found: dict[Path, None] = {}
    for name in names:
        if os.path.isdir(name):
            paths = sorted(p for p in Path(name).iterdir() if p.suffix.lower() in PICTURES | VIDEOS)
        elif has_magic(name) and not os.path.exists(name):
            paths = [Path(path) for path in sorted(glob(name, recursive=True))]
        else:
            paths = [Path(name)]
        if not paths:
            raise SettingError(f'{name} holds no pictures ({", ".join(sorted(PICTURES | VIDEOS))})')
        found.update(dict.fromkeys(paths))
    return list(found)


def is_video(path: Path) -> bool:
    """Whether a file's name is that of a video."""
    return path.suffix.lower() in VIDEOS


def read(path: Path) -> np.ndarray:
    """Read a picture as MMPose does: turned as its EXIF data say, and without transparency.

    Args:
        path (Path): A picture of 8 or 16 bits, grey or in colours, with or without alpha.

    Returns:
        np.ndarray: uint8 BGR in shape (height, width, 3).

    Raises:
        SettingError: If it can't be read; it says why.
    """
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise SettingError(f'{path}: {error.strerror or error}') from error
    if not content.size:
        raise SettingError(f'{path} is empty')
    try:
        picture = cv2.imdecode(content, cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise SettingError(f'{path} cannot be read as a picture ({error.err})') from error
    if picture is None or not picture.size:
        raise SettingError(f'{path} cannot be read as a picture')
    return picture


def write(path: Path, picture: np.ndarray) -> None:
    """Write a picture, whole or not at all.

    Args:
        path (Path): The target, whose suffix says the format.
        picture (np.ndarray): uint8 BGR.
    """
    done, content = cv2.imencode(path.suffix, picture)
    if not done:
        raise SettingError(f'{path}: OpenCV cannot write this format')
    write_bytes(path, content.tobytes())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    with writing(path) as unfinished:
        unfinished.write_bytes(content)


def frames(path: Path) -> Iterator[np.ndarray]:
    """Read a video's frames.

    Args:
        path (Path): A video.

    Yields:
        np.ndarray: uint8 BGR in shape (height, width, 3).

    Raises:
        SettingError: If it can't be read, or has no frames.
    """
    if not path.is_file():
        raise SettingError(f'{path}: no such file')
    video = cv2.VideoCapture(str(path))
    try:
        done, frame = video.read()
        if not done:
            raise SettingError(f'{path} cannot be read as a video')
        while done:
            yield frame
            done, frame = video.read()
    finally:
        video.release()


def video_facts(path: Path) -> tuple[float, int]:
    """A video's frames per second and number of frames, where it states them, else 25 and 0."""
    video = cv2.VideoCapture(str(path))
    try:
        rate, count = video.get(cv2.CAP_PROP_FPS), video.get(cv2.CAP_PROP_FRAME_COUNT)
    finally:
        video.release()
    return (rate if 0 < rate < 1000 else 25.0), max(int(count), 0)


class VideoWriter:
    """Writes a video frame by frame; the file appears when :meth:`close` is called.

    Args:
        path (Path): The target, ``.mp4``.
        rate (float): Frames per second.
    """

    def __init__(self, path: Path, rate: float) -> None:
        self.path, self.rate = path, rate
        self._unfinished = unfinished_name(path)
        self._writer: Any = None

    def add(self, frame: np.ndarray) -> None:
        """Append a frame, uint8 BGR, all of one size."""
        if self._writer is None:
            height, width = frame.shape[:2]
            code = cv2.VideoWriter.fourcc(*'mp4v')
            self._writer = cv2.VideoWriter(str(self._unfinished), code, self.rate, (width, height))
        self._writer.write(frame)

    def close(self, keep: bool = True) -> None:
        """Finish the file, or with ``keep=False`` forget it."""
        if self._writer is not None:
            self._writer.release()
            self._writer = None
        if keep and self._unfinished.exists():
            os.replace(self._unfinished, self.path)
        self._unfinished.unlink(missing_ok=True)


def draw_skeletons(
    picture: np.ndarray,
    keypoints: np.ndarray,
    scores: np.ndarray,
    dataset_meta: Mapping[str, Any],
    min_score: float,
) -> np.ndarray:
    """Draw persons' joints and limbs, each person's as thick as fits its size.

    Args:
        picture (np.ndarray): uint8 BGR, (height, width, 3). It is left as it is.
        keypoints (np.ndarray): Joints in the picture's pixels, (N, K, 2).
        scores (np.ndarray): Their scores, (N, K).
        dataset_meta (Mapping): MMPose's, of which ``skeleton_links``, ``skeleton_link_colors`` and
            ``keypoint_colors`` (RGB) are used.
        min_score (float): Joints below it, and their limbs, are left out.

    Returns:
        np.ndarray: The picture with drawings.
    """
    drawn = picture.copy()
    # OpenCV takes places in 1/16 pixel.
    places = np.round(np.nan_to_num(keypoints) * 16).clip(-(2**24), 2**24).astype(int)
    joint_colours = [_bgr(colour) for colour in dataset_meta['keypoint_colors']]
    limbs = [
        (a, b, _bgr(colour))
        for (a, b), colour in zip(
            dataset_meta['skeleton_links'], dataset_meta['skeleton_link_colors']
        )
    ]
    for joints, place, score in zip(keypoints, places, scores):
        seen = score >= min_score
        if not seen.any():
            continue
        extent = np.ptp(joints[seen], axis=0).max()
        thickness = int(np.clip(round(extent / 80), 1, 8))
        for edge, widen in ((True, 2), (False, 0)):
            for a, b, colour in limbs:
                if seen[a] and seen[b]:
                    colour = (0, 0, 0) if edge else colour
                    cv2.line(
                        drawn,
                        tuple(place[a]),
                        tuple(place[b]),
                        colour,
                        thickness + widen,
                        cv2.LINE_AA,
                        shift=4,
                    )
            for at, colour, is_seen in zip(place, joint_colours, seen):
                if is_seen:
                    radius = round((1.2 * thickness + 0.5 * widen + 0.5) * 16)
                    colour = (0, 0, 0) if edge else colour
                    cv2.circle(drawn, tuple(at), radius, colour, -1, cv2.LINE_AA, shift=4)
    return drawn


def _bgr(rgb: Sequence[float]) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in rgb)
    return blue, green, red
