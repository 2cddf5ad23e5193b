"""Poses become COCO results and drawings."""

import numpy as np
import pytest
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from mspn_plugin.inference.boxes import Boxes
from mspn_plugin.inference.predictor import Poses
from mspn_plugin.inference.results import coco_results, draw_poses


@pytest.fixture
def poses():
    keypoints = np.stack([np.linspace(20, 80, 17), np.linspace(10, 90, 17)], 1)[None]
    scores = np.full((1, 17), 0.9)
    scores[0, :7] = 0.1
    boxes = Boxes(np.float32([[10, 5, 90, 95]]), np.float32([0.5]))
    return Poses(keypoints.astype(np.float32), scores.astype(np.float32), boxes)


def test_a_result_is_scored_as_by_cocometric(poses):
    (result,) = coco_results(poses, image_id=3)
    assert result['image_id'] == 3 and result['category_id'] == 1
    assert result['keypoints'][:3] == [20, 10, 0.1] and len(result['keypoints']) == 51
    assert result['bbox'] == [10, 5, 80, 90]
    assert result['score'] == pytest.approx(0.5 * 0.9)


def test_only_sure_keypoints_are_drawn_in_the_colours_of_the_data_set(poses):
    meta = parse_pose_metainfo(dict(from_file='configs/_base_/datasets/coco.py'))
    image = np.full((100, 100, 3), 40, np.uint8)
    drawn = draw_poses(image, poses, meta, min_score=0.6)
    assert (image == 40).all()
    assert (drawn[:35] == 40).all()
    x, y = poses.keypoints[0, 16].round().astype(int)
    assert drawn[y, x].tolist() == meta['keypoint_colors'][16][::-1].tolist()
    assert (draw_poses(image, poses, meta, min_score=1) == image).all()
