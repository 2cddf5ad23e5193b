"""People found by a detector of MMDetection."""

from typing import Any

import numpy as np
from mmpose.evaluation.functional import nms
from mmpose.utils import adapt_mmdet_pipeline

from ..config_files import find_config, read_config
from ..errors import SettingError, naming, quiet
from ..weights.loading import check_estimator_weights, read_checkpoint, weights_in
from .boxes import Boxes


class Detector:
    """Finds the persons of an image, as MMPose's ``topdown_demo_with_mmdet`` does.

    With mmcv-lite it runs what needs no compiled operator but ``nms``: the one-stage detectors,
    RTMDet among them.

    Args:
        config (str): The detector's config of MMDetection: a file or ``mmdet::PATH``.
        checkpoint (str): Its weights: a file or a URL.
        device (str): ``'cpu'``, ``'cuda'``, ``'cuda:1'``, ...
        min_score (float): Boxes with lower scores are left out.
        nms_threshold (float): The intersection over union beyond which a box with a better one is
            left out.

    Raises:
        SettingError: If a file is missing, the two don't fit, or no class is named ``person``.
    """

    def __init__(
        self,
        config: str,
        checkpoint: str,
        device: str = 'cpu',
        min_score: float = 0.3,
        nms_threshold: float = 0.3,
    ) -> None:
        from mmdet.apis import init_detector  # takes seconds

        self.min_score = min_score
        self.nms_threshold = nms_threshold
        loaded = read_checkpoint(checkpoint)
        with naming(checkpoint):
            weights_in(loaded)  # MMDetection's message names no file
        with quiet():
            cfg = read_config(find_config(config))
            self.model: Any = init_detector(cfg, checkpoint, device=device)
        with naming(checkpoint):
            # MMDetection fills the part that fits and goes on.
            check_estimator_weights(loaded, self.model, whole=True)
        self.model.cfg = adapt_mmdet_pipeline(cfg)
        classes = self.model.dataset_meta['classes']
        if 'person' not in classes:
            raise SettingError(
                f'the detector of {config} finds no class `person`, but {", ".join(classes)}'
            )
        self.person = classes.index('person')

    def __call__(self, image: np.ndarray) -> Boxes:
        """Find the persons of an image, uint8 BGR."""
        from mmdet.apis import inference_detector

        found = inference_detector(self.model, image).pred_instances.cpu().numpy()
        is_person = (found.labels == self.person) & (found.scores >= self.min_score)
        scored = np.column_stack([found.bboxes, found.scores])[is_person].astype(np.float32)
        scored = scored[nms(scored, self.nms_threshold)]
        boxes = Boxes(scored[:, :4], scored[:, 4])
        height, width = image.shape[:2]
        inside = boxes.overlapping(width, height)
        return Boxes(boxes.corners[inside], boxes.scores[inside])
