"""Poses as COCO keypoint results, and drawn into images."""

from collections.abc import Mapping
from typing import Any

import mmcv
import numpy as np
from mmengine.structures import InstanceData
from mmpose.visualization import FastVisualizer

from .predictor import Poses

KEYPOINT_SCORE_THR = 0.2
"""Keypoints with lower scores don't count in an instance's score, as in ``CocoMetric``."""


def coco_results(poses: Poses, **common: Any) -> list[dict[str, Any]]:
    """An image's instances as COCO keypoint results, with the scores that ``CocoMetric`` gives.

    Args:
        poses (Poses): The instances.
        common: What stands in all results, such as ``image_id``.

    Returns:
        list[dict]: ``category_id``, ``keypoints`` (x, y, score of each), ``score``, beyond COCO's
        own ``bbox`` (left, top, width, height) and its ``bbox_score``, and what is common.
    """
    results = []
    for keypoints, scores, corners, box_score in zip(*poses[:2], *poses.boxes):
        flat = np.column_stack((keypoints, scores)).ravel()
        sure = scores[scores > KEYPOINT_SCORE_THR]
        left, top, right, bottom = corners.tolist()
        results.append(
            dict(
                category_id=1,
                keypoints=flat.astype(float).round(3).tolist(),
                score=float(box_score * sure.mean()) if len(sure) else 0.0,
                bbox=[left, top, right - left, bottom - top],
                bbox_score=float(box_score),
                **common,
            )
        )
    return results


def draw_poses(
    image: np.ndarray, poses: Poses, dataset_meta: Mapping[str, Any], min_score: float
) -> np.ndarray:
    """Draw skeletons into a copy of an image (uint8 BGR), with lines as thick as fits each box.

    MMPose's ``FastVisualizer`` draws, by the skeleton and the colours of ``dataset_meta``.
    Keypoints below ``min_score``, and their links, are left out.
    """
    drawn = mmcv.bgr2rgb(image)  # the colours are RGB
    for keypoints, scores, corners in zip(poses.keypoints, poses.scores, poses.boxes.corners):
        width = int(np.clip((corners[2:] - corners[:2]).max() / 80, 1, 8))
        visualizer = FastVisualizer(dataset_meta, width + 1, width, min_score)
        instance = InstanceData(keypoints=keypoints[None], keypoint_scores=scores[None])
        visualizer.draw_pose(drawn, instance)
    return mmcv.rgb2bgr(drawn)
