"""Leeds Sports Pose Extended in COCO's layout and format.

The public ``lspet_dataset.zip`` holds photographs of sports with one annotated person each,
``images/im00001.jpg`` onward, and ``joints.mat``. Photographs keep their names and bytes; the
number in the name is the id of the image and of its annotation. ``CocoMetric`` needs
``use_area=False``.

**Keypoints** are COCO's. The 12 of the limbs are LSPET's; the five of the face are never labelled
(``v = 0``). LSPET marks a keypoint as labelled or not and says nothing of those out of sight, so a
labelled one gets ``v = 2``. Left and right are the person's own.

**Coordinates** are taken over as they are: pixels, with (0, 0) at the centre of the upper left
pixel. The file doesn't say whether it counts from 0 or 1, but its labels lie as close to 0 as to
the size less one; counted from 1 they would keep away from 0 and reach the size.

**Boxes** hold all labelled keypoints, neck and top of the head among them, which COCO doesn't have.
"""

import io
import itertools
import os
import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image
from scipy.io import loadmat
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from ..errors import SettingError
from ..files import new_folder
from .coco import KEYPOINTS, image_folder, write_annotations

# The rows of joints.mat; neck and top of the head come after them.
_LIMBS = (
    *('right_ankle', 'right_knee', 'right_hip', 'left_hip', 'left_knee', 'left_ankle'),
    *('right_wrist', 'right_elbow', 'right_shoulder', 'left_shoulder', 'left_elbow', 'left_wrist'),
)
_INFO = dict(
    description='Leeds Sports Pose Extended. S. Johnson and M. Everingham: Learning '
    'Effective Human Pose Estimation from Inaccurate Annotation, CVPR 2011',
    url='http://sam.johnson.io/research/lspet.html',
    version='1.0',
    year=2011,
    contributor='S. Johnson and M. Everingham',
)
_LICENSE = dict(id=1, name='free for research; photographs from Flickr', url='')

_MIN_LABELLED = 6
_PADDING = 0.1
_AREA_OF_BOX = 0.53

# Near duplicates are photographs of one scene: copies, and the frames of a series. A difference
# hash alone takes flat skies for each other, and alike colours alone one gym for another; both
# together find 60 pairs among the public set's first 6,000, some 45 of them of one scene.
_HASH_SIZE = 16
_MAX_DISTANCE = 84  # of 256 bits
_MIN_CORRELATION = 0.8


class LspetSummary(NamedTuple):
    """Numbers of a conversion."""

    train: int  # persons, one in each photograph
    val: int
    left_out: int  # persons with fewer than six labelled keypoints, who are in neither
    dropped_labels: int  # labels outside of their photograph
    duplicate_pairs: int  # pairs of near-duplicate photographs, which were kept together


def convert_lspet(
    source: str | Path, target: str | Path, val: int = 500, seed: int = 0
) -> LspetSummary:
    """Convert the zip of Leeds Sports Pose Extended, or a part of it, to COCO's layout.

    Args:
        source (str | Path): ``lspet_dataset.zip``.
        target (str | Path): Folder that is new or empty. It stays so if anything goes wrong.
        val (int): Number of persons for validation, at least 1 and less than there are.
        seed (int): Chooses them, not negative. The same seed gives the same files.

    Returns:
        LspetSummary: Numbers of persons, dropped labels and near duplicates.

    Raises:
        SettingError: If the zip isn't LSPET's or is damaged, if ``target`` isn't new or empty, or
            if ``val`` doesn't fit.
    """
    with _reading(f'{source}'):
        archive = zipfile.ZipFile(source)
    with archive, new_folder(target) as folder:
        for name in archive.namelist():
            path = PurePosixPath(name.replace('\\', '/'))
            if path.is_absolute() or '..' in path.parts:
                raise SettingError(f'{source}: its member {name} would leave the target folder')
        return _convert(archive, folder, val, seed)


def _convert(archive: zipfile.ZipFile, folder: Path, val: int, seed: int) -> LspetSummary:
    all_keypoints = _read_keypoints(archive)
    train_images, val_images = (image_folder(folder, split) for split in ('train', 'val'))
    train_images.mkdir()
    val_images.mkdir()
    images, annotations, thumbnails, dropped = [], [], [], 0
    for number, keypoints in enumerate(tqdm(all_keypoints, 'converting LSPET', unit='img'), 1):
        name = f'im{number:05d}.jpg'
        with _reading(f'{archive.filename}: images/{name}'):
            content = archive.read(f'images/{name}')
            # Pillow reports a file that ends early; OpenCV fills it up with grey.
            photograph = Image.open(io.BytesIO(content), formats=['JPEG'])
            pixels = np.asarray(photograph.convert('RGB'))
        height, width = pixels.shape[:2]
        marked = keypoints[:, 2] == 1
        labelled = marked & ((keypoints[:, :2] >= 0) & (keypoints[:, :2] < (width, height))).all(1)
        dropped += int(marked.sum() - labelled.sum())
        if labelled.sum() >= _MIN_LABELLED:
            image = dict(id=number, file_name=name, width=width, height=height, license=1)
            images.append(image)
            annotations.append(_annotation(image, keypoints[:, :2], labelled))
            # One column wider than high: a hash compares neighbours.
            size = (_HASH_SIZE + 1, _HASH_SIZE)
            thumbnails.append(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
            (train_images / name).write_bytes(content)
    if len(images) <= val:
        raise SettingError(
            f'{archive.filename} has {len(images)} persons with {_MIN_LABELLED} labelled '
            f'keypoints or more, and val is {val}; it takes less than there are'
        )
    pairs = _near_duplicates(thumbnails)
    held_out = _choose(len(images), pairs, val, seed)
    for index in np.flatnonzero(held_out):
        name = images[index]['file_name']
        os.replace(train_images / name, val_images / name)
    for split, chosen in (('train', ~held_out), ('val', held_out)):
        own_images, own_annotations = (
            list(itertools.compress(records, chosen)) for records in (images, annotations)
        )
        write_annotations(folder, split, own_images, own_annotations, _INFO, _LICENSE)
    left_out = len(all_keypoints) - len(images)
    return LspetSummary(len(images) - val, val, left_out, dropped, len(pairs))


@contextmanager
def _reading(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the libraries raise whatever the bytes lead them to
        raise SettingError(
            f'{what} cannot be read ({error}); is it of the whole zip of Leeds Sports Pose '
            'Extended?'
        ) from error


def _read_keypoints(archive: zipfile.ZipFile) -> np.ndarray:
    """Read all keypoints, (N, 14, 3), of photographs 1 to N."""
    where = f'{archive.filename}: joints.mat'
    with _reading(where):
        keypoints = np.asarray(loadmat(io.BytesIO(archive.read('joints.mat')))['joints'], float)
    if keypoints.ndim != 3 or keypoints.shape[:2] != (14, 3):
        raise SettingError(f'{where} has joints in shape {keypoints.shape}; LSPET has (14, 3, N)')
    keypoints = keypoints.transpose(2, 0, 1)
    found = {name for name in archive.namelist() if re.fullmatch(r'images/.+\.jpe?g', name, re.I)}
    if found != {f'images/im{number:05d}.jpg' for number in range(1, len(keypoints) + 1)}:
        raise SettingError(
            f'{where} has the joints of {len(keypoints)} photographs, and there are {len(found)}; '
            'each takes one, images/im00001.jpg onward'
        )
    return keypoints


def _annotation(image: dict[str, Any], xy: np.ndarray, labelled: np.ndarray) -> dict[str, Any]:
    """COCO's record of a person, from LSPET's coordinates (14, 2) and which of them are labels."""
    low, high = xy[labelled].min(0), xy[labelled].max(0)
    padding = _PADDING * (high - low).max()
    low = np.maximum(low - padding, 0)
    extent = np.minimum(high + padding, (image['width'], image['height'])) - low
    keypoints = [0.0] * 15  # of the face
    for name in KEYPOINTS[5:]:
        row = _LIMBS.index(name)
        keypoints += [*xy[row].round(2).tolist(), 2] if labelled[row] else [0, 0, 0]
    return dict(
        id=image['id'],
        image_id=image['id'],
        category_id=1,
        iscrowd=0,
        bbox=[*low.round(2).tolist(), *extent.round(2).tolist()],
        area=round(_AREA_OF_BOX * float(extent.prod()), 2),
        num_keypoints=int(labelled[: len(_LIMBS)].sum()),
        keypoints=keypoints,
    )


def _near_duplicates(thumbnails: Sequence[np.ndarray]) -> np.ndarray:
    """Pairs of indices, (P, 2), of thumbnails that show one scene."""
    rgb = np.array(thumbnails, np.float32)
    # With bits of -1 and 1 a product of matrices counts those that agree less those that don't.
    bits = np.where(np.diff(rgb.mean(-1)) > 0, np.float32(1), np.float32(-1)).reshape(len(rgb), -1)
    colours = rgb.reshape(len(rgb), -1)
    colours -= colours.mean(1, keepdims=True)
    colours /= np.maximum(np.linalg.norm(colours, axis=1, keepdims=True), 1e-6)
    least = bits.shape[1] - 2 * _MAX_DISTANCE
    pairs = []
    for start in range(0, len(rgb), 1000):  # a matrix of all pairs may not fit into memory
        rows = slice(start, start + 1000)
        near = (bits[rows] @ bits.T >= least) & (colours[rows] @ colours.T >= _MIN_CORRELATION)
        pairs.append(np.argwhere(np.triu(near, start + 1)) + (start, 0))
    return np.concatenate(pairs)


def _choose(count: int, pairs: np.ndarray, val: int, seed: int) -> np.ndarray:
    """Draw ``val`` of ``count`` photographs, bool (count,), without parting any of the pairs."""
    links = coo_matrix((np.ones(len(pairs)), pairs.T), (count, count))
    groups, group = connected_components(links, directed=False)
    sizes = np.bincount(group)
    chosen, missing = np.zeros(groups, bool), val
    for index in np.random.default_rng(seed).permutation(groups):
        if sizes[index] <= missing:
            chosen[index] = True
            missing -= sizes[index]
    if missing:
        raise SettingError(
            f'val is {val}, and near-duplicate photographs, which are kept together, leave '
            f'{val - missing}; another number or seed fits'
        )
    return chosen[group]
