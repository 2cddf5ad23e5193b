"""From pictures and boxes to poses: the estimator, and batches of persons across pictures."""

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import (
    Any,
    NamedTuple,
    TypeVar,
)

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from torch import nn

from ..errors import SettingError, in_one_line, naming
from ..weights.loading import check_estimator_weights, read_checkpoint, weights_in
from .boxes import Boxes

Key = TypeVar('Key')


def load_estimator(
    config: str | Path | Config,
    checkpoint: str | Path,
    device: str = 'cpu',
    cfg_options: dict[str, Any] | None = None,
) -> nn.Module:
    """Build a pose estimator and load all of its weights.

    It is MMPose's ``init_model``, but for a checkpoint of another network, which raises an error
    here, while MMPose would fill the part that fits and go on.

    Args:
        config (str | Path | Config): A config of MMPose.
        checkpoint (str | Path): A checkpoint of MMEngine: a file or a URL.
        device (str): ``'cpu'``, ``'cuda'``, ``'cuda:1'``, ...
        cfg_options (dict, optional): Settings that replace the config's, by dotted names.

    Returns:
        nn.Module: The estimator in evaluation mode, with ``cfg`` and ``dataset_meta`` as
        MMPose's functions expect them.

    Raises:
        SettingError: If a file is missing, or the two don't fit.
    """
    from mmpose.apis import init_model  # imports detectors and plots, which export has no use for

    if isinstance(config, (str, Path)):
        if not Path(config).is_file():
            raise SettingError(f'there is no config {config}')
        config = Config.fromfile(config)
    if torch.device(device).type == 'cuda' and not torch.cuda.is_available():
        raise SettingError(f'device={device!r}, but torch sees no GPU here; use cpu')
    if 'model' not in config:
        raise SettingError(f'the config {config.filename} has no `model`')
    estimator = init_model(config, None, 'cpu', cfg_options)
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
    """The poses of a picture's persons.

    Attributes:
        keypoints (np.ndarray): float32 joints in the picture's pixels, (N, K, 2).
        scores (np.ndarray): float32 scores of the joints, (N, K).
        boxes (Boxes): The persons' boxes.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    boxes: Boxes


class PosePredictor:
    """Predicts the poses of persons, in batches that may reach over several pictures.

    Crops are made by the test pipeline of the estimator's config, and the estimator's own
    ``test_step`` predicts, so that results are those of ``inference_topdown`` and ``mim test``.

    Args:
        estimator (nn.Module): From :func:`load_estimator` or MMPose's ``init_model``, fused or not.
        batch_size (int): How many persons the network is given at a time.
    """

    def __init__(self, estimator: Any, batch_size: int = 16) -> None:
        if batch_size < 1:
            raise SettingError(f'batch_size={batch_size} must be at least 1')
        self.estimator: Any = estimator
        self.batch_size = batch_size
        init_default_scope(self.estimator.cfg.get('default_scope', 'mmpose'))
        self.pipeline = Compose(self.estimator.cfg.test_dataloader.dataset.pipeline)

    def __call__(self, picture: np.ndarray, boxes: Boxes) -> Poses:
        """Predict the poses of one picture's persons.

        Args:
            picture (np.ndarray): uint8 BGR, (height, width, 3).
            boxes (Boxes): The persons.

        Returns:
            Poses: Their poses, in the order of the boxes.
        """
        return next(iter(self.stream([(None, picture, boxes)])))[1]

    def stream(
        self, pictures: Iterable[tuple[Key, np.ndarray, Boxes]]
    ) -> Iterator[tuple[Key, Poses]]:
        """Predict the poses of many pictures' persons.

        Args:
            pictures (Iterable): Of anything that the caller knows a picture by, the picture
                (uint8 BGR) and its persons. It is read as far as a batch needs.

        Yields:
            tuple: What the picture is known by, and its poses; in the order given.
        """
        waiting: deque[tuple[Key, Boxes]] = deque()
        crops: list[dict[str, Any]] = []
        found: deque[tuple[np.ndarray, np.ndarray]] = deque()
        for key, picture, boxes in pictures:
            waiting.append((key, boxes))
            crops += [
                self.crop(picture, corners, score)
                for corners, score in zip(boxes.corners, boxes.scores)
            ]
            while len(crops) >= self.batch_size:
                found += self.predict(crops[: self.batch_size])
                del crops[: self.batch_size]
            # Pictures without persons must not pile up behind one that waits for its batch.
            if len(waiting) > self.batch_size:
                found += self.predict(crops)
                crops.clear()
            yield from self._complete(waiting, found)
        found += self.predict(crops)
        yield from self._complete(waiting, found)

    def _complete(
        self,
        waiting: deque[tuple[Key, Boxes]],
        found: deque[tuple[np.ndarray, np.ndarray]],
    ) -> Iterator[tuple[Key, Poses]]:
        while waiting and len(waiting[0][1].corners) <= len(found):
            key, boxes = waiting.popleft()
            persons = [found.popleft() for _ in boxes.corners]
            joints = len(self.estimator.dataset_meta['keypoint_id2name'])
            keypoints = np.array([k for k, _ in persons], np.float32).reshape(-1, joints, 2)
            scores = np.array([s for _, s in persons], np.float32).reshape(-1, joints)
            yield key, Poses(keypoints, scores, boxes)

    def crop(self, picture: np.ndarray, corners: np.ndarray, score: float) -> dict[str, Any]:
        """Cut a person out, by the config's test pipeline.

        Args:
            picture (np.ndarray): uint8 BGR, (height, width, 3).
            corners (np.ndarray): left, top, right and bottom of its box in pixels, (4,).
            score (float): The box's score.

        Returns:
            dict: ``inputs`` and ``data_samples``, as MMPose's data sets give them.
        """
        person = dict(
            img=picture,
            bbox=np.asarray(corners, np.float32)[None],
            bbox_score=np.array([score], np.float32),
            **self.estimator.dataset_meta,
        )
        return self.pipeline(person)

    def predict(self, crops: list[dict[str, Any]]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Predict one batch.

        Args:
            crops (list[dict]): Of :meth:`crop`.

        Returns:
            list: Per person joints in the picture's pixels, (K, 2), and their scores, (K,).
        """
        if not crops:
            return []
        with torch.inference_mode():
            samples = self.estimator.test_step(pseudo_collate(crops))
        return [
            (s.pred_instances.keypoints[0], s.pred_instances.keypoint_scores[0]) for s in samples
        ]
