"""Non-maximum suppression with mmcv-lite gives the boxes of mmcv's compiled operator."""

import importlib.util

import numpy as np
import pytest
import torch
from mmcv.ops import batched_nms, nms

from mspn_plugin import compat

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec('mmcv._ext') is not None, reason='full mmcv is installed'
)


def random_boxes(number, seed):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 100, (number, 2, 2))
    return np.sort(corners, axis=1).reshape(number, 4), rng.uniform(size=number)


def grid_boxes(number, seed):
    """Boxes of whole pixels and scores of one decimal: equal overlaps, equal scores, no area."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 6, (number, 2, 2))
    return np.sort(corners, axis=1).reshape(number, 4), rng.integers(0, 4, number) / 10


CASES = {
    'none': (np.zeros((0, 4)), np.zeros(0)),
    'one': ([[1, 2, 3, 4]], [0.5]),
    'the same twice, the same score': ([[0, 0, 9, 9]] * 2, [0.5, 0.5]),
    'no area': ([[5, 5, 5, 5]] * 3 + [[0, 5, 9, 5], [0, 0, 9, 9]], [0.1, 0.2, 0.3, 0.9, 0.8]),
    'an overlap of exactly the threshold': ([[0, 0, 10, 5], [0, 0, 10, 10]], [0.9, 0.8]),
    'an overlap of 0.6 in float32': ([[0, 0, 10, 6], [0, 0, 10, 10]], [0.9, 0.8]),
    'a chain': ([[i, 0, i + 10, 10] for i in range(0, 40, 3)], np.linspace(0.9, 0.1, 14)),
    'corners in the wrong order': ([[9, 9, 0, 0], [0, 0, 9, 9], [1, 1, 9, 9]], [0.9, 0.8, 0.7]),
    'far outside': ([[-1e6, -1e6, 1e6, 1e6], [1e7, 1e7, 1e7 + 8, 1e7 + 8]], [0.1, 0.2]),
    **{f'random {seed}': random_boxes(80, seed) for seed in range(5)},
    **{f'grid {seed}': grid_boxes(60, seed) for seed in range(5)},
}
THRESHOLDS = (0.0, 0.3, 0.5, 0.6, 0.65, 1.0)


def tensors(case):
    boxes, scores = CASES[case]
    return torch.tensor(np.float32(boxes)), torch.tensor(np.float32(scores))


def slow_nms(boxes, scores, threshold, offset=0, stable=False):
    """One pair of boxes after another, in float32 as the operator is written."""
    one, none = np.float32(offset), np.float32(0)

    def area(box):
        return (box[2] - box[0] + one) * (box[3] - box[1] + one)

    def overlap(a, b):
        width = max(none, min(a[2], b[2]) - max(a[0], b[0]) + one)
        height = max(none, min(a[3], b[3]) - max(a[1], b[1]) + one)
        shared = width * height
        with np.errstate(invalid='ignore', divide='ignore'):
            return shared / (area(a) + area(b) - shared)

    kept = []
    for i in scores.sort(descending=True, stable=stable)[1].tolist():
        box = boxes[i].numpy()
        if not any(overlap(boxes[k].numpy(), box) > np.float32(threshold) for k in kept):
            kept.append(i)
    return kept


@pytest.fixture
def without_torchvision(monkeypatch):
    monkeypatch.setattr(compat, 'torchvision_works', lambda device: False)


@pytest.mark.parametrize('case', CASES)
def test_boxes_are_those_of_a_slow_reference(case):
    boxes, scores = tensors(case)
    for threshold in THRESHOLDS:
        for offset in (0, 1):
            found, kept = nms(boxes, scores, threshold, offset)
            assert kept.tolist() == slow_nms(boxes, scores, threshold, offset), (threshold, offset)
            assert torch.equal(found, torch.cat([boxes[kept], scores[kept, None]], 1))


def test_torchvision_is_asked_where_it_works(monkeypatch):
    def operator(boxes, scores, threshold):
        """As torchvision: equal scores in their order, the threshold in float64."""
        asked.append(threshold)
        return torch.tensor(slow_nms(boxes, scores, threshold, stable=True), dtype=torch.long)

    asked = []
    monkeypatch.setattr(compat, 'torchvision_works', lambda device: True)
    monkeypatch.setattr(torch.ops.torchvision, 'nms', operator, raising=False)
    boxes, scores = tensors('an overlap of 0.6 in float32')
    assert nms(boxes, scores, 0.6)[1].tolist() == [0, 1]
    assert asked == [float(np.float32(0.6))]
    nms(boxes, scores, 0.6, offset=1)
    assert len(asked) == 1, 'torchvision has no offset'
    boxes, scores = tensors('grid 0')
    assert nms(boxes, scores, 0.0)[1].tolist() == slow_nms(boxes, scores, 0.0)


def test_scores_and_numbers_can_be_limited(without_torchvision):
    boxes, scores = tensors('random 0')
    every = nms(boxes, scores, 0.5)[1]
    assert nms(boxes, scores, 0.5, max_num=3)[1].tolist() == every[:3].tolist()
    above = nms(boxes, scores, 0.5, score_threshold=0.5)[1]
    assert above.tolist() == [i for i in every.tolist() if scores[i] > 0.5]


def test_arrays_give_arrays():
    boxes, scores = (value.numpy() for value in tensors('random 1'))
    found, kept = nms(boxes, scores, 0.5)
    assert isinstance(found, np.ndarray) and isinstance(kept, np.ndarray)


@pytest.mark.parametrize('case', ['random 2', 'grid 2', 'the same twice, the same score'])
def test_classes_do_not_suppress_each_other(case):
    boxes, scores = tensors(case)
    classes = torch.arange(len(boxes)) % 3
    found, kept = batched_nms(boxes, scores, classes, dict(type='nms', iou_threshold=0.5))
    shifted = boxes + (classes * (boxes.max() + 1))[:, None]  # mmcv's way of keeping them apart
    assert kept.tolist() == slow_nms(shifted, scores, 0.5)
    assert torch.equal(found[:, :4], boxes[kept])
    alone = batched_nms(boxes, scores, classes, dict(type='nms', iou_threshold=0.5), True)[1]
    assert alone.tolist() == slow_nms(boxes, scores, 0.5)


def test_many_boxes_are_split_by_class():
    boxes, scores = tensors('random 3')
    classes = torch.arange(len(boxes)) % 4
    split = dict(type='nms', iou_threshold=0.5, split_thr=10)
    whole = dict(type='nms', iou_threshold=0.5)
    assert torch.equal(
        batched_nms(boxes, scores, classes, split)[1], batched_nms(boxes, scores, classes, whole)[1]
    )
