"""COCO's visibility through MMPose's real pipeline, on real photographs."""

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose

from mspn_plugin import KeepVisibility, MultiStageHeatmapHead, SettingError

from mmpose.datasets import CocoDataset, CocoWholeBodyDataset  # isort: skip
from mmpose.registry import TRANSFORMS  # isort: skip

INPUT = (192, 256)
CODEC = dict(type='CoarseToFineHeatmap', input_size=INPUT, heatmap_size=(48, 64))


@pytest.fixture(scope='module')
def people(coco_photos):
    return CocoDataset(
        data_root=str(coco_photos),
        ann_file='annotations/person_keypoints_train2017.json',
        data_prefix=dict(img='train2017/'),
        pipeline=[],
    )


def compose(*steps):
    return Compose([TRANSFORMS.build(step) for step in steps])


def pipeline(flip=0.0, half_body=0.0, **codec):
    return compose(
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale'),
        dict(type='KeepVisibility'),
        dict(type='RandomFlip', prob=flip),
        dict(type='RandomHalfBody', min_total_keypoints=1, prob=half_body),
        dict(type='TopdownAffine', input_size=INPUT),
        dict(type='GenerateTarget', encoder=dict(CODEC, **codec)),
        dict(type='PackPoseInputs'),
    )


def annotated(people, index):
    """COCO's v of a person, from its annotation."""
    info = people.get_data_info(index)
    return np.array(info['raw_ann_info']['keypoints'][2::3]), info['flip_indices']


def packed(people, index, **settings):
    sample = pipeline(**settings)(people.get_data_info(index))['data_samples']
    return sample.gt_instance_labels


def some_of_each(people):
    """The persons with the most of each kind of joint."""
    counts = [np.bincount(annotated(people, i)[0], minlength=3).min() for i in range(len(people))]
    return np.argsort(counts)[-3:]


@pytest.mark.parametrize('half_body', [0.0, 1.0])
@pytest.mark.parametrize('flip', [0.0, 1.0])
@pytest.mark.parametrize('draw_on_device', [False, True])
def test_v_reaches_the_head(people, flip, half_body, draw_on_device):
    for index in some_of_each(people):
        v, flip_indices = annotated(people, index)
        assert set(v) == {0, 1, 2}
        if flip:
            v = v[flip_indices]
        labels = packed(
            people, index, flip=flip, half_body=half_body, draw_on_device=draw_on_device
        )
        clear = labels.keypoints_visible_weights.reshape(-1, 17)
        weights = labels.keypoint_weights.reshape(-1, 17)
        for level in range(1 if draw_on_device else 5):
            assert clear[level].tolist() == (v == 2).tolist()
            drawn = weights[level].numpy() > 0
            if half_body:  # leaves joints outside the crop
                assert not (drawn & (v == 0)).any()
            else:
                assert drawn.tolist() == (v > 0).tolist()


def test_half_body_crops_as_without_it(people):
    """MMPose counts the labelled joints, of which the first value still tells."""
    index = int(some_of_each(people)[-1])
    steps = [
        dict(type='GetBBoxCenterScale'),
        dict(type='RandomHalfBody', min_total_keypoints=1, prob=1.0),
    ]
    boxes = []
    for extra in ([], [dict(type='KeepVisibility')]):
        np.random.seed(0)
        results = compose(*extra, *steps)(people.get_data_info(index))
        boxes.append((results['bbox_center'], results['bbox_scale']))
    np.testing.assert_array_equal(boxes[0], boxes[1])


def test_a_batch_of_photographs_trains_the_head(people):
    samples = [
        pipeline(flip=0.5)(people.get_data_info(int(i)))['data_samples']
        for i in some_of_each(people)
    ]
    head = MultiStageHeatmapHead(1, CODEC, unit_channels=4, empty_occluded=True)
    feats = [[torch.randn(3, 4, h, h * 3 // 4) for h in (8, 16, 32, 64)]]
    loss = head.loss(feats, samples)['loss_kpt']
    loss.backward()
    assert torch.isfinite(loss) and loss > 0


def test_whole_body_annotations_are_joined(shared_data):
    people = CocoWholeBodyDataset(
        data_root=str(shared_data / 'coco_wholebody'),
        ann_file='test_coco_wholebody.json',
        data_prefix=dict(img=''),
        pipeline=[],
    )
    for index in range(len(people)):
        info = people.get_data_info(index)
        labelled = info['keypoints_visible'].copy()
        ann = info['raw_ann_info']
        v = ann['keypoints'][2::3] + ann['foot_kpts'][2::3] + ann['face_kpts'][2::3]
        v += ann['lefthand_kpts'][2::3] + ann['righthand_kpts'][2::3]
        visible = KeepVisibility()(info)['keypoints_visible']
        assert visible.shape == (1, 133, 2)
        np.testing.assert_array_equal(visible[..., 0], labelled)
        np.testing.assert_array_equal(visible[0, :, 1], np.array(v) == 2)


def sample_of(v, **more):
    triples = np.stack([np.zeros_like(v), np.zeros_like(v), v], axis=-1)
    return dict(
        keypoints_visible=np.minimum(1, v)[None].astype(np.float32),
        raw_ann_info=dict(keypoints=triples.ravel().tolist()),
        **more,
    )


def test_several_persons_in_one_sample():
    samples = [sample_of(np.array(v)) for v in ([0, 1, 2], [2, 2, 1])]
    results = dict(
        keypoints_visible=np.concatenate([s['keypoints_visible'] for s in samples]),
        raw_ann_info=[s['raw_ann_info'] for s in samples],
    )
    visible = KeepVisibility()(results)['keypoints_visible']
    assert visible[..., 0].tolist() == [[0, 1, 1], [1, 1, 1]]
    assert visible[..., 1].tolist() == [[0, 0, 1], [1, 1, 0]]
    assert visible.dtype == np.float32


class TestBadInput:
    def test_after_the_flip(self):
        for flip in (False, True):
            with pytest.raises(SettingError, match='before RandomFlip'):
                KeepVisibility()(sample_of(np.array([0, 1, 2]), flip=flip))

    def test_twice(self):
        once = KeepVisibility()(sample_of(np.array([0, 1, 2])))
        with pytest.raises(SettingError, match=r'\(1, 3, 2\): it must stand once'):
            KeepVisibility()(once)

    def test_a_data_set_without_cocos_annotations(self):
        results = sample_of(np.array([0, 1, 2]), dataset_name='mpii')
        del results['raw_ann_info']
        with pytest.raises(SettingError, match='the data set mpii gives none'):
            KeepVisibility()(results)

    def test_annotations_of_other_joints(self):
        results = sample_of(np.array([0, 1, 2]))
        results['keypoints_visible'] = np.ones((1, 4), np.float32)
        with pytest.raises(SettingError, match=r'3 joints .* the data set has 4'):
            KeepVisibility()(results)

    def test_annotations_of_other_persons(self):
        results = sample_of(np.array([0, 1, 2]))
        results['keypoints_visible'] = np.ones((2, 3), np.float32)
        with pytest.raises(SettingError, match='1 persons for 2'):
            KeepVisibility()(results)
