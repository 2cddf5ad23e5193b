"""People in COCO's layout and format, rendered instead of photographed.

**Labels** follow the custom of COCO's annotators. ``v = 2``: the body part that owns the keypoint
is what the image shows there. ``v = 1``: something else covers it (another limb, the trunk, hair,
an object, another person), and a neighbour in sight says about where it is. ``v = 0``: it is
outside of the image or anyone's guess, or it belongs to a face or an ear that is turned away.
Coordinates are pixels, with (0, 0) at the centre of the upper left pixel.

**Left and right** are the person's own, and the image tells them apart as a photograph does: by
the direction that the person faces. Faces, necklines, open jackets and buttons show fronts; hair,
seams and rucksacks show backs; shoes point. An image and its mirror image, labels
swapped, are equally likely.

**Determinism.** An image depends on the seed, its split and its index alone, so neither the number
of images nor that of worker processes changes it.
"""

import functools
import itertools
import signal
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
from tqdm import tqdm

from ..datasets.coco import KEYPOINTS, image_folder, write_annotations
from ..files import new_folder
from .scene import Person, mirrored, render_scene

SPLITS = ('train', 'val')
_LICENSE = dict(id=1, name='CC0 1.0', url='https://creativecommons.org/publicdomain/zero/1.0/')


def render_dataset(
    out: str | Path, train: int, val: int, seed: int = 0, workers: int = 1
) -> dict[str, int]:
    """Render a data set in COCO's layout.

    Args:
        out (str | Path): Folder that is new or empty. It stays so if anything goes wrong.
        train (int): Number of training images, at least 1.
        val (int): Number of validation images, at least 1.
        seed (int): Not negative. The same seed gives the same bytes.
        workers (int): Number of processes. The bytes don't depend on it.

    Returns:
        dict[str, int]: The number of labelled persons in 'train' and in 'val'.

    Raises:
        SettingError: If ``out`` is not new or empty.
    """
    counts = {'train': train, 'val': val}
    persons = {}
    with new_folder(out) as folder:
        jobs = [(folder, seed, split, i) for split in SPLITS for i in range(counts[split])]
        records = _render_files(jobs, workers)
        for split, count in counts.items():
            own, records = records[:count], records[count:]
            annotations = [record for _, found in own for record in found]
            persons[split] = sum(record['num_keypoints'] > 0 for record in annotations)
            info = dict(description=f'Rendered people: {split}, seed {seed}', version='1.0')
            images = [image for image, _ in own]
            write_annotations(folder, split, images, annotations, info, _LICENSE)
    return persons


def render_image(seed: int, split: str, index: int) -> tuple[np.ndarray, list[Person]]:
    """Render one image of a data set.

    Mirroring comes last and is decided by a draw of its own, so that nothing else depends on it.

    Args:
        seed (int): Of the data set, not negative.
        split (str): 'train' or 'val'.
        index (int): Of the image in its split, from 0.

    Returns:
        tuple[np.ndarray, list[Person]]: The image (height, width, 3), 8 bits, BGR, and the labels
        of its people.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(SPLITS.index(split), index))
    scene, side = map(np.random.default_rng, sequence.spawn(2))
    image, persons = render_scene(scene)
    return mirrored(image, persons) if side.random() < 0.5 else (image, persons)


def _render_files(
    jobs: list[tuple[Path, int, str, int]], workers: int
) -> list[tuple[dict, list[dict]]]:
    """Run jobs, each the arguments of :func:`_render_file`, and return their results in order."""
    bar = functools.partial(tqdm, desc='rendering people', total=len(jobs), unit='img')
    # A process is not worth its start for a few images.
    workers = min(workers, 1 + len(jobs) // 16)
    if workers == 1:
        return list(bar(itertools.starmap(_render_file, jobs)))
    # Threads don't survive a fork: a child that inherits OpenCV's pool waits for it at its end. The
    # children inherit the setting, too: their own threads would only compete with each other.
    threads = cv2.getNumThreads()
    cv2.setNumThreads(0)
    # An interrupt is for the parent to handle.
    with ProcessPoolExecutor(
        workers, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)
    ) as pool:
        try:
            return list(bar(pool.map(_render_file, *zip(*jobs), chunksize=8)))
        finally:
            pool.shutdown(cancel_futures=True)
            cv2.setNumThreads(threads)


def _render_file(folder: Path, seed: int, split: str, index: int) -> tuple[dict, list[dict]]:
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
    keypoints = np.zeros((len(KEYPOINTS), 3)) if person.keypoints is None else person.keypoints
    columns = person.mask.T.ravel().astype(np.int8)
    edges = np.flatnonzero(np.diff(columns, prepend=0))
    counts = np.diff(edges, prepend=0, append=columns.size).tolist()
    return dict(
        id=image_id * 10 + number,
        image_id=image_id,
        category_id=1,
        iscrowd=int(person.keypoints is None),
        num_keypoints=int(np.count_nonzero(keypoints[:, 2])),
        area=int(person.mask.sum()),
        bbox=cv2.boundingRect(person.mask.astype(np.uint8)),
        keypoints=[n for x, y, v in keypoints.tolist() for n in (round(x, 2), round(y, 2), int(v))],
        segmentation=dict(size=person.mask.shape, counts=counts),
    )
