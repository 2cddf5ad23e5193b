"""Random persons in random images, through the pipelines of a config."""

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import FUNCTIONS
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS, TRANSFORMS

_IMAGE_SIZE = (640, 480)  # (w, h)


class Samples:
    """Makes what the loaders of a config would make.

    Args:
        cfg (Config): A config of MMPose.
        images (Sequence[str]): Files of :func:`write_images`.
        batch_size (int): Samples in a batch.
        seed (int): Of the keypoints and the augmentation.

    Attributes:
        notes (dict[str, str]): The transforms that are not installed and were left out of the
            training pipeline, and why. Batches are made outside of the clock, and augmentation
            leaves their shapes alone.
    """

    def __init__(self, cfg: Config, images: Sequence[str], batch_size: int, seed: int) -> None:
        self.cfg, self.images, self.batch_size, self.seed = cfg, images, batch_size, seed
        self.notes: dict[str, str] = {}

    def persons(self, split: str) -> list[dict[str, Any]]:
        """What the data set of ``'train'`` or ``'val'`` would hand to its pipeline."""
        rng = np.random.RandomState(self.seed)
        meta = metainfo(self.cfg.val_dataloader.dataset)
        dataset = self.cfg[f'{split}_dataloader'].dataset
        count = 1 if dataset.get('data_mode', 'topdown') == 'topdown' else 3
        return [
            random_persons(self.images[index % len(self.images)], meta, count, rng)
            for index in range(self.batch_size)
        ]

    def pipeline(self, split: str) -> Callable[[dict[str, Any]], Any]:
        """The pipeline of ``'train'`` or ``'val'``."""
        steps = []
        for step in copy.deepcopy(
            _holder(self.cfg[f'{split}_dataloader'].dataset, 'pipeline').pipeline
        ):
            try:
                steps.append(TRANSFORMS.build(step))
            except (ImportError, RuntimeError) as error:
                if split != 'train':
                    raise
                self.notes[f'{step["type"]} left out of the training pipeline'] = str(error)
        return Compose(steps)

    def batch(self, split: str, count: int | None = None) -> Any:
        """The first ``count`` persons, or all, as the loader packs them."""
        pipeline = self.pipeline(split)
        np.random.seed(self.seed)
        collate = self.cfg[f'{split}_dataloader'].get('collate_fn')
        collate = FUNCTIONS.get(collate['type']) if collate else pseudo_collate
        return collate([pipeline(person) for person in self.persons(split)[:count]])


def write_images(folder: str, seed: int) -> list[str]:
    """Write four JPEG files of cloudy noise, which compresses about as well as a photograph."""
    rng = np.random.RandomState(seed)
    paths = [str(Path(folder) / f'{index}.jpg') for index in range(4)]
    for path in paths:
        image = cv2.resize(rng.randint(0, 256, (60, 80, 3)).astype(np.uint8), _IMAGE_SIZE)
        noise = rng.randint(-8, 9, image.shape)
        cv2.imwrite(path, np.clip(image + noise, 0, 255).astype(np.uint8))
    return paths


def metainfo(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """The keypoints, skeleton and flip pairs of the data set that a config describes."""
    dataset = _holder(dataset, 'metainfo')
    kind = dataset['type']
    return parse_pose_metainfo(
        dict(
            dataset.get('metainfo')
            or (DATASETS.get(kind) if isinstance(kind, str) else kind).METAINFO
        )
    )


def random_persons(
    image: str, meta: Mapping[str, Any], count: int, rng: np.random.RandomState
) -> dict[str, Any]:
    """What a data set hands to its pipeline.

    Args:
        image (str): The image's file.
        meta (Mapping): Of :func:`metainfo`.
        count (int): How many persons are in the image.
        rng (np.random.RandomState): Where they are.

    Returns:
        dict: One sample.
    """
    width, height = _IMAGE_SIZE
    corner = rng.uniform((0, 0), (width / 2, height / 4), (count, 2))
    size = rng.uniform((width / 6, height / 2), (width / 2, height * 3 / 4), (count, 2))
    shape = (count, meta['num_keypoints'])
    keypoints = corner[:, None] + size[:, None] * rng.uniform(0.05, 0.95, (*shape, 2))
    return dict(
        copy.deepcopy(dict(meta)),
        img_id=0,
        id=0,
        img_path=image,
        bbox=np.concatenate((corner, corner + size), 1).astype(np.float32),
        bbox_score=np.ones(count, np.float32),
        keypoints=keypoints.astype(np.float32),
        keypoints_visible=np.ones(shape, np.float32),
        area=size.prod(1).astype(np.float32),
        category_id=np.ones(count, np.int64),
        iscrowd=0,
        segmentation=None,
        raw_ann_info=dict(keypoints=[2] * 3 * shape[1]),
    )


def _holder(dataset: Any, key: str) -> Any:
    """A data set's config, or the one inside of it that has a key."""
    while key not in dataset and 'dataset' in dataset:
        dataset = dataset['dataset']
    return dataset
