"""People in COCO's layout and format, rendered instead of photographed.

**Labels** follow the custom of COCO's annotators. ``v = 2``: the body part that owns the keypoint
is what the image shows there. ``v = 1``: something else covers it (another limb, the trunk, hair,
an object, another person), and a neighbour in sight says about where it is. ``v = 0``: it is
outside of the image or anyone's guess, or it belongs to a face or an ear that is turned away.
Coordinates are pixels, with (0, 0) at the centre of the upper left pixel.

**Left and right** are the person's own, and the image tells them apart as a photograph does: by
the direction that the person faces. Faces, necklines, open jackets and buttons show fronts; hair,
seams and rucksacks show backs; shoes point. The draws favour neither side.

**Determinism.** An image depends on the seed, its split and its index alone, so neither the number
of images nor that of worker processes changes it.
"""

import functools
import itertools
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
from tqdm import tqdm

from ..datasets.coco import image_folder, write_annotations
from ..files import new_folder
from .scene import Person, render_scene

SPLITS = ('train', 'val')
_LICENSE = dict(id=1, name='CC0 1.0', url='https://creativecommons.org/publicdomain/zero/1.0/')


def render_dataset(
    out: str | Path, train: int, val: int, seed: int = 0, workers: int = 1
) -> dict[str, int]:
    """Render a data set in COCO's layout, and count the labelled persons in 'train' and 'val'.

    Args:
        out (str | Path): Folder that is new or empty. It stays so if anything goes wrong.
        train, val (int): Numbers of images, at least 1.
        seed (int): Not negative. The same seed gives the same bytes.
        workers (int): Number of processes. The bytes don't depend on it.

    Raises:
        SettingError: If ``out`` is not new or empty.
    """
    persons = {}
    with new_folder(out) as folder:
        for split, count in zip(SPLITS, (train, val), strict=True):
            render = functools.partial(_render_file, folder, seed, split)
            images, found = zip(*_in_order(render, count, workers, f'rendering {split}'))
            annotations = list(itertools.chain(*found))
            persons[split] = sum(record['num_keypoints'] > 0 for record in annotations)
            info = dict(description=f'Rendered people: {split}, seed {seed}', version='1.0')
            write_annotations(folder, split, list(images), annotations, info, _LICENSE)
    return persons


def render_image(seed: int, split: str, index: int) -> tuple[np.ndarray, list[Person]]:
    """Render one image of a split: uint8 BGR, (height, width, 3), and the labels of its people."""
    return render_scene(np.random.default_rng((seed, SPLITS.index(split), index)))


def _in_order(call: Callable[[int], Any], count: int, workers: int, title: str) -> list[Any]:
    """Call with 0, 1, ... in processes, and return the results in order."""
    bar = functools.partial(tqdm, desc=title, total=count, unit='img')
    if workers == 1:
        return list(bar(map(call, range(count))))
    # Threads don't survive a fork: a child that inherits OpenCV's pool waits for it at its end. The
    # children inherit the setting, too: their own threads would only compete with each other.
    threads = cv2.getNumThreads()
    cv2.setNumThreads(0)
    # An interrupt is for the parent to handle.
    with ProcessPoolExecutor(
        workers, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)
    ) as pool:
        try:
            return list(bar(pool.map(call, range(count), chunksize=8)))
        finally:
            pool.shutdown(cancel_futures=True)
            cv2.setNumThreads(threads)


def _render_file(
    folder: Path, seed: int, split: str, index: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Write an image, and return COCO's records of it and of its people."""
    image, persons = render_image(seed, split, index)
    height, width = image.shape[:2]
    # The identifiers of the two splits never meet, as in COCO.
    image_id = 1 + len(SPLITS) * index + SPLITS.index(split)
    name = f'{image_id:012d}.jpg'
    path = image_folder(folder, split) / name
    mmcv.imwrite(image, str(path), (cv2.IMWRITE_JPEG_QUALITY, 92))
    return (
        dict(id=image_id, file_name=name, width=width, height=height, license=1),
        [annotation(person, image_id, number) for number, person in enumerate(persons)],
    )


def annotation(person: Person, image_id: int, number: int) -> dict[str, Any]:
    """COCO's record of a person or a crowd, whose mask is run lengths column by column."""
    columns = person.mask.T.ravel().astype(np.int8)
    edges = np.flatnonzero(np.diff(columns, prepend=0))
    counts = np.diff(edges, prepend=0, append=columns.size).tolist()
    rows = person.keypoints.tolist()
    return dict(
        id=image_id * 10 + number,
        image_id=image_id,
        category_id=1,
        iscrowd=int(person.is_crowd),
        num_keypoints=int(np.count_nonzero(person.keypoints[:, 2])),
        area=int(person.mask.sum()),
        bbox=cv2.boundingRect(person.mask.astype(np.uint8)),
        keypoints=[n for x, y, v in rows for n in (round(x, 2), round(y, 2), int(v))],
        segmentation=dict(size=person.mask.shape, counts=counts),
    )
