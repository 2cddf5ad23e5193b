"""From images and boxes to poses: the estimator, and batches of instances across images."""

import math
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from mmpose.models import TopdownPoseEstimator
from mmpose.structures import PoseDataSample
from torch import nn

from ..config_files import read_config
from ..errors import SettingError, in_one_line, naming
from ..weights.loading import check_estimator_weights, read_checkpoint, weights_in
from .boxes import Boxes


def load_estimator(
    config: str | Path | Config,
    checkpoint: str | Path,
    device: str = 'cpu',
) -> nn.Module:
    """Build a pose estimator and load all of its weights.

    It is MMPose's ``init_model``, but for a checkpoint of another network, which raises an error
    here, while MMPose would fill the part that fits and go on.

    Args:
        config (str | Path | Config): A config of a top-down network of MMPose.
        checkpoint (str | Path): A checkpoint of MMEngine: a file or a URL.
        device (str): ``'cpu'``, ``'cuda'``, ``'cuda:1'``, ...

    Returns:
        nn.Module: In evaluation mode, with ``cfg`` and ``dataset_meta`` for MMPose's functions.

    Raises:
        SettingError: If a file is missing, or the two don't fit.
    """
    from mmpose.apis import init_model  # imports detectors and plots, which export has no use for

    if not isinstance(config, Config):
        config = read_config(config)
    estimator = init_model(config, None, 'cpu')
    if not isinstance(estimator, TopdownPoseEstimator) or 'test_dataloader' not in config:
        missing = '' if 'test_dataloader' in config else ' and no `test_dataloader`'
        raise SettingError(
            f"{config.filename} does not predict by a person's box, which takes a "
            'TopdownPoseEstimator and a `test_dataloader`: it has a '
            f'{type(estimator).__name__}{missing}'
        )
    loaded = read_checkpoint(checkpoint)
    with naming(str(checkpoint)):
        check_estimator_weights(loaded, estimator, whole=True)
    try:
        estimator.load_state_dict(weights_in(loaded, ['state_dict']))
    except RuntimeError as error:
        raise SettingError(
            f'{checkpoint} does not fit the config {config.filename} ({in_one_line(error)})'
        ) from error
    meta = loaded.get('meta', {}) if 'state_dict' in loaded else {}
    estimator.dataset_meta = meta.get('dataset_meta', estimator.dataset_meta)
    return estimator.to(device)


class Poses(NamedTuple):
    """The poses of an image's N instances."""

    keypoints: np.ndarray  # float32 (N, K, 2), in the image's pixels
    scores: np.ndarray  # float32 (N, K), of the keypoints
    boxes: Boxes


class PosePredictor:
    """Predicts poses in batches that may reach over several images.

    Crops are made by the test pipeline of the estimator's config, and the estimator's own
    ``test_step`` predicts, so that results are those of ``inference_topdown`` and ``mim test``.

    Args:
        estimator (nn.Module): From :func:`load_estimator` or MMPose's ``init_model``, fused or not.
        batch_size (int): How many instances the network is given at most at a time.
    """

    def __init__(self, estimator: Any, batch_size: int = 16) -> None:
        self.estimator = estimator
        self.batch_size = batch_size
        init_default_scope(estimator.cfg.get('default_scope', 'mmpose'))
        self.pipeline = Compose(estimator.cfg.test_dataloader.dataset.pipeline)

    def __call__(self, image: np.ndarray, boxes: Boxes) -> Poses:
        """Predict the poses of one image's instances; the image is uint8 BGR."""
        return next(self.stream([(None, image, boxes)]))[1]

    def stream(
        self, images: Iterable[tuple[Any, np.ndarray, Boxes]]
    ) -> Iterator[tuple[Any, Poses]]:
        """Predict the poses of many images' instances.

        Args:
            images (Iterable): Of anything that the caller knows an image by, the image (uint8 BGR)
                and its instances. It is read as far as a batch needs.

        Yields:
            tuple: What the image is known by, and its poses; in the order given.
        """
        waiting: list[tuple[Any, Boxes]] = []
        crops: list[dict[str, Any]] = []
        for key, image, boxes in images:
            waiting.append((key, boxes))
            crops += [self.crop(image, *box) for box in zip(*boxes)]
            # Images without instances must not pile up.
            if max(len(crops), len(waiting)) >= self.batch_size:
                yield from self.predict(waiting, crops)
                waiting, crops = [], []
        yield from self.predict(waiting, crops)

    def predict(
        self, waiting: list[tuple[Any, Boxes]], crops: list[dict[str, Any]]
    ) -> Iterator[tuple[Any, Poses]]:
        """Predict all crops in batches of about the same size, and give them to their images."""
        bounds = np.linspace(0, len(crops), math.ceil(len(crops) / self.batch_size) + 1).astype(int)
        samples: list[PoseDataSample] = []
        for first, last in pairwise(bounds):
            with torch.inference_mode():
                samples += self.estimator.test_step(pseudo_collate(crops[first:last]))
        num_keypoints = len(self.estimator.dataset_meta['keypoint_id2name'])
        for key, boxes in waiting:
            count = len(boxes.corners)
            instances = [sample.pred_instances for sample in samples[:count]]
            del samples[:count]
            keypoints = np.array([i.keypoints[0] for i in instances], np.float32)
            scores = np.array([i.keypoint_scores[0] for i in instances], np.float32)
            shape = (count, num_keypoints)
            yield key, Poses(keypoints.reshape(*shape, 2), scores.reshape(shape), boxes)

    def crop(self, image: np.ndarray, corners: np.ndarray, score: float) -> dict[str, Any]:
        """Cut an instance out, as MMPose's data sets do: ``inputs`` and ``data_samples``.

        Its box has the corners left, top, right and bottom, in pixels of the uint8 BGR image.
        """
        instance = dict(
            img=image,
            bbox=np.asarray(corners, np.float32)[None],
            bbox_score=np.array([score], np.float32),
            **self.estimator.dataset_meta,
        )
        return self.pipeline(instance)
