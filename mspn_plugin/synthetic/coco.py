"""People in COCO's layout and format, rendered instead of photographed.

``mspn synthetic --out DIR --train N --val M --seed S`` writes::

    DIR/train2017/*.jpg
    DIR/val2017/*.jpg
    DIR/annotations/person_keypoints_train2017.json
    DIR/annotations/person_keypoints_val2017.json

which MMPose's ``CocoDataset`` and ``CocoMetric`` read as they read COCO.

**Figures.** A person is a kinematic chain in three dimensions (proportions, pose and clothing are
drawn at random), turned to any side, projected, and painted part by part from far to near. A map
of part numbers is painted along with the colours. It says which joints are hidden, and it gives
the masks, areas and boxes.

**Labels** follow the custom of COCO's annotators. ``v = 2``: the body part that owns the joint is
what the picture shows there. ``v = 1``: something else covers it (another limb, the trunk, hair, an
object, another person), and a neighbour in sight says about where it is. ``v = 0``: it is outside
of the picture or anyone's guess, or it belongs to a face or an ear that is turned away.
Coordinates are pixels, with (0, 0) at the centre of the upper left pixel.

**Left and right** are the person's own, and the picture tells them apart as a photograph does: by
the direction that the person faces. Faces, necklines, open jackets and buttons show fronts; hair,
seams and rucksacks show backs; thumbs and shoes point. Mirroring a picture and swapping the
labels gives one that is exactly as likely: the last step of rendering an image mirrors all of it,
labels swapped, in one of two cases, and nothing that is drawn or labelled depends on that choice
(see :func:`render_image`).

**Determinism.** An image depends on the seed, its split and its index alone, so neither the number
of images nor that of worker processes changes it.
"""

from __future__ import annotations

import contextlib
import itertools
import signal
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as coco_mask
from tqdm import tqdm

from ..datasets.coco import KEYPOINTS, image_folder, write_annotations
from ..errors import SettingError
from ..files import new_folder
from .scene import Person, mirrored, render_scene

SPLITS = ('train', 'val')


def render_image(seed: int, split: str, index: int) -> tuple[np.ndarray, list[Person]]:
    """Renders one image of a data set.

    Mirroring comes last and is decided by a draw of its own, so a scene and its mirror image are
    equally likely.

    Args:
        seed: Of the data set, not negative.
        split: 'train' or 'val'.
        index: Of the image in its split, from 0.

    Returns:
        The picture (height, width, 3), 8 bits, BGR, and the labels of its people.
    """
    scene, side = image_streams(seed, split, index)
    image, persons = render_scene(scene)
    return mirrored(image, persons) if side.random() < 0.5 else (image, persons)


def image_streams(
    seed: int, split: str, index: int
) -> tuple[np.random.Generator, np.random.Generator]:
    """The random streams of one image: of its scene, and of whether that is mirrored."""
    sequence = np.random.SeedSequence(seed, spawn_key=(SPLITS.index(split), index))
    scene, side = sequence.spawn(2)
    return np.random.default_rng(scene), np.random.default_rng(side)


def polygons(mask: np.ndarray) -> list[list[float]]:
    """COCO's polygons around the regions of a mask, without their holes.

    Coordinates are COCO's: (0, 0) is the upper left corner of the picture.
    """
    # At three times the size a contour through pixel centres runs close to the pixels' edges.
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    region = np.pad(mask[y : y + h, x : x + w].astype(np.uint8).repeat(3, 0).repeat(3, 1), 1)
    contours, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outlines = []
    for contour in contours:
        outline = cv2.approxPolyDP(contour, 1.2, True)[:, 0]
        if len(outline) > 2:
            corners = (outline - 0.5) / 3 + (x, y)
            outlines.append(np.round(corners, 2).ravel().tolist())
    return outlines


def annotation(person: Person, image_id: int, number: int) -> dict | None:
    """COCO's annotation of a person or a crowd, or None if it covers next to nothing."""
    height, width = person.mask.shape
    segmentation: dict | list
    if person.keypoints is None:
        rle = coco_mask.encode(np.asfortranarray(person.mask, np.uint8))
        segmentation = {'size': rle['size'], 'counts': rle['counts'].decode('ascii')}
        keypoints = np.zeros((len(KEYPOINTS), 3))
    else:
        segmentation = polygons(person.mask)
        if not segmentation:
            return None
        rle = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
        keypoints = person.keypoints
    area = int(coco_mask.area(rle))
    if area == 0:
        return None
    rows = [[round(float(x), 2), round(float(y), 2), int(v)] for x, y, v in keypoints]
    return dict(
        id=image_id * 10 + number,
        image_id=image_id,
        category_id=1,
        iscrowd=int(person.keypoints is None),
        num_keypoints=int(np.count_nonzero(keypoints[:, 2])),
        area=area,
        bbox=[float(value) for value in coco_mask.toBbox(rle)],
        keypoints=[value for row in rows for value in row],
        segmentation=segmentation,
    )


def _render_file(seed: int, split: str, index: int, folder: str) -> tuple[dict, list[dict]]:
    image, persons = render_image(seed, split, index)
    height, width = image.shape[:2]
    # The identifiers of the two splits never meet, as in COCO.
    image_id = 1 + len(SPLITS) * index + SPLITS.index(split)
    name = f'{image_id:012d}.jpg'
    _, data = cv2.imencode('.jpg', image, (cv2.IMWRITE_JPEG_QUALITY, 92))
    Path(folder, name).write_bytes(data.tobytes())
    annotations = [annotation(person, image_id, n) for n, person in enumerate(persons)]
    return (
        dict(id=image_id, file_name=name, width=width, height=height, license=1),
        [a for a in annotations if a is not None],
    )


def _render_files(
    jobs: list[tuple[int, str, int, str]], workers: int
) -> Generator[tuple[dict, list[dict]], None, None]:
    if workers == 1:
        yield from itertools.starmap(_render_file, jobs)
        return
    # Threads don't survive a fork: a child that inherits OpenCV's pool waits for it at its end. The
    # children inherit the setting, too: their own threads would only compete with each other.
    threads = cv2.getNumThreads()
    cv2.setNumThreads(0)
    try:
        # An interrupt is for the parent to handle.
        with ProcessPoolExecutor(
            workers, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)
        ) as pool:
            try:
                yield from pool.map(_render_file, *zip(*jobs, strict=True), chunksize=8)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    finally:
        cv2.setNumThreads(threads)


def render_dataset(
    out: str | Path,
    train: int,
    val: int,
    seed: int = 0,
    workers: int = 1,
    progress: bool = True,
) -> dict[str, int]:
    """Renders a data set in COCO's layout.

    A hidden folder takes the files until all are there; an error or an interrupt removes it and
    leaves ``out`` as it was.

    Args:
        out: Folder that is new or empty.
        train: Number of training images, at least 1.
        val: Number of validation images, at least 1.
        seed: Not negative. The same seed gives the same bytes.
        workers: Number of processes. The bytes don't depend on it.
        progress: Whether to show a progress bar.

    Returns:
        The number of labelled persons in 'train' and in 'val'.

    Raises:
        SettingError: For a number out of its range, or an ``out`` that is not new or empty.
    """
    for name, number, least in (
        ('train', train, 1),
        ('val', val, 1),
        ('seed', seed, 0),
        ('workers', workers, 1),
    ):
        if number < least:
            raise SettingError(f'{name} is {number}; it takes a whole number from {least} up')
    # A process is not worth its start for a few images.
    workers = min(workers, 1 + (train + val) // 16)
    with new_folder(out) as folder:
        return _render_into(folder, {'train': train, 'val': val}, seed, workers, progress)


def _render_into(
    folder: Path, counts: dict[str, int], seed: int, workers: int, progress: bool
) -> dict[str, int]:
    jobs = []
    for split, count in counts.items():
        images = image_folder(folder, split)
        images.mkdir()
        jobs += [(seed, split, index, str(images)) for index in range(count)]
    with contextlib.closing(_render_files(jobs, workers)) as rendered:
        records = list(
            tqdm(rendered, 'rendering people', len(jobs), unit='img', disable=not progress)
        )
    persons = {}
    for split, count in counts.items():
        own, records = records[:count], records[count:]
        annotations = [a for _, found in own for a in found]
        persons[split] = sum(a['num_keypoints'] > 0 for a in annotations)
        write_annotations(
            folder,
            split,
            [image for image, _ in own],
            annotations,
            info=dict(
                description=f'Rendered people: {split}, seed {seed}',
                version='1.0',
                year=2026,
                contributor='mspn_plugin',
                url='',
                date_created='2026/01/01',
            ),
            license=dict(
                id=1, name='CC0 1.0', url='https://creativecommons.org/publicdomain/zero/1.0/'
            ),
        )
    return persons
