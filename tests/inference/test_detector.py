"""People found by a detector of MMDetection."""

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmpose.utils import adapt_mmdet_pipeline
from support.small_detector import write_detector

from mspn_plugin import SettingError
from mspn_plugin.inference.detector import Detector


@pytest.fixture(scope='module')
def image():
    return np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)


def test_boxes_are_those_of_mmposes_demo(detector, image):
    """The lines of ``topdown_demo_with_mmdet`` between the image and the estimator."""
    from mmdet.apis import inference_detector, init_detector
    from mmpose.evaluation.functional import nms

    model = init_detector(*detector[1::2], device='cpu')
    model.cfg = adapt_mmdet_pipeline(model.cfg)
    found = inference_detector(model, image).pred_instances.cpu().numpy()
    boxes = np.concatenate((found.bboxes, found.scores[:, None]), axis=1)
    boxes = boxes[np.logical_and(found.labels == 1, found.scores > 0.001)]
    boxes = boxes[nms(boxes, 0.3)]

    init_default_scope('mmpose')  # as the estimator's code leaves it
    mine = Detector(*detector[1::2], min_score=0.001)(image)
    assert len(boxes) and np.array_equal(mine.corners, boxes[:, :4])
    assert np.array_equal(mine.scores, boxes[:, 4])


def test_options_leave_boxes_out(detector, image):
    every = Detector(*detector[1::2], min_score=0.0, nms_threshold=1.0)(image)
    apart = Detector(*detector[1::2], min_score=0.0, nms_threshold=0.0)(image)
    assert len(apart.corners) < len(every.corners)
    assert len(Detector(*detector[1::2], min_score=0.9)(image).corners) == 0


def test_a_detector_of_other_things_is_refused(tmp_path):
    options = write_detector(tmp_path, classes=('dog', 'cat'))
    with pytest.raises(SettingError, match='finds no class `person`, but dog, cat'):
        Detector(*options[1::2])


@pytest.mark.parametrize(
    'content, said',
    [
        ({'state_dict': {'backbone.stem.0.conv.weight': torch.zeros(1)}}, 'another network'),
        ([1, 2], 'not weights by their names'),
    ],
)
def test_weights_of_something_else_are_refused(detector, tmp_path, content, said):
    torch.save(content, tmp_path / 'other.pth')
    with pytest.raises(SettingError, match=rf'other\.pth.*{said}'):
        Detector(detector[1], str(tmp_path / 'other.pth'))


def test_missing_files_are_named(detector, tmp_path):
    with pytest.raises(SettingError, match=r'none\.py'):
        Detector('none.py', detector[3])
    with pytest.raises(SettingError, match=r'there is no checkpoint none\.pth'):
        Detector(detector[1], 'none.pth')
