"""Random persons in a random image, through the pipelines of a config."""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import FUNCTIONS
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS

_IMAGE_SIZE = (640, 480)  # (w, h)


class Samples:
    """Makes what the loaders of a config would make of an image, always the same."""

    def __init__(self, cfg: Config, image: str) -> None:
        self.cfg, self.image = cfg, image

    def pipeline(self, split: str) -> Callable[[dict[str, Any]], Any]:
        """The pipeline of ``'train'`` or ``'val'``."""
        steps = _holder(self.cfg[f'{split}_dataloader'].dataset, 'pipeline').pipeline
        # Albumentation needs a package of its own, and leaves the shapes as they are.
        return Compose([s for s in copy.deepcopy(steps) if s['type'] != 'Albumentation'])

    def persons(self, count: int) -> list[dict[str, Any]]:
        """What a data set would hand to its pipeline."""
        rng = np.random.RandomState(0)
        meta = metainfo(self.cfg.val_dataloader.dataset)
        return [random_person(self.image, meta, rng) for _ in range(count)]

    def batch(self, split: str, count: int) -> Any:
        """Persons as the loader packs them."""
        pipeline = self.pipeline(split)
        np.random.seed(0)
        collate = self.cfg[f'{split}_dataloader'].get('collate_fn')
        collate = FUNCTIONS.get(collate['type']) if collate else pseudo_collate
        return collate([pipeline(person) for person in self.persons(count)])


def write_image(folder: str) -> str:
    """Write a JPEG file of cloudy noise, which compresses about as well as a photograph."""
    rng = np.random.RandomState(0)
    image = cv2.resize(rng.randint(0, 256, (60, 80, 3)).astype(np.uint8), _IMAGE_SIZE)
    noise = rng.randint(-8, 9, image.shape)
    path = str(Path(folder) / 'image.jpg')
    cv2.imwrite(path, np.clip(image + noise, 0, 255).astype(np.uint8))
    return path


def metainfo(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """The keypoints, skeleton and flip pairs of the data set that a config describes."""
    dataset = _holder(dataset, 'metainfo')
    kind = dataset['type']
    own = (DATASETS.get(kind) if isinstance(kind, str) else kind).METAINFO
    return parse_pose_metainfo(dict(dataset.get('metainfo') or own))


def random_person(image: str, meta: dict[str, Any], rng: np.random.RandomState) -> dict[str, Any]:
    """What a data set hands to its pipeline; ``meta`` is of :func:`metainfo`."""
    width, height = _IMAGE_SIZE
    corner = rng.uniform((0, 0), (width / 2, height / 4), (1, 2))
    size = rng.uniform((width / 6, height / 2), (width / 2, height * 3 / 4), (1, 2))
    shape = (1, meta['num_keypoints'])
    keypoints = corner[:, None] + size[:, None] * rng.uniform(0.05, 0.95, (*shape, 2))
    return dict(
        copy.deepcopy(meta),
        img_id=0,
        id=0,
        img_path=image,
        bbox=np.concatenate((corner, corner + size), 1).astype(np.float32),
        bbox_score=np.ones(1, np.float32),
        keypoints=keypoints.astype(np.float32),
        keypoints_visible=np.ones(shape, np.float32),
        area=size.prod(1).astype(np.float32),
        category_id=np.ones(1, np.int64),
        iscrowd=0,
        segmentation=None,
        raw_ann_info=dict(keypoints=[2] * 3 * shape[1]),
    )


def _holder(dataset: Any, key: str) -> Any:
    """A data set's config, or the one inside of it that has a key."""
    while key not in dataset and 'dataset' in dataset:
        dataset = dataset['dataset']
    return dataset
