"""The pipeline's steps: COCO's visibility on real photographs, and the authors' boxes."""

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from scipy.stats import ks_2samp

from mspn_plugin import (
    KeepVisibility,
    MegviiTestBBox,
    MegviiTrainBBox,
    MultiStageHeatmapHead,
    SettingError,
)

from mmpose.datasets import CocoDataset, CocoWholeBodyDataset  # isort: skip
from mmpose.datasets.transforms import TopdownAffine  # isort: skip
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


def test_all_labelled_keypoints_can_count_as_clearly_visible():
    results = sample_of(np.array([0, 1, 2]))
    del results['raw_ann_info']
    visible = KeepVisibility(all_clear=True)(results)['keypoints_visible']
    assert visible[..., 0].tolist() == visible[..., 1].tolist() == [[0, 1, 1]]


class TestBadInput:
    def test_after_the_flip(self):
        for flip in (False, True):
            with pytest.raises(SettingError, match='before RandomFlip'):
                KeepVisibility()(sample_of(np.array([0, 1, 2]), flip=flip))

    def test_a_data_set_without_cocos_annotations(self):
        results = sample_of(np.array([0, 1, 2]), dataset_name='mpii')
        del results['raw_ann_info']
        with pytest.raises(SettingError, match='the data set mpii gives none'):
            KeepVisibility()(results)

    def test_annotations_of_other_joints(self):
        results = sample_of(np.array([0, 1, 2]))
        results['keypoints_visible'] = np.ones((1, 4), np.float32)
        with pytest.raises(SettingError, match=r'3 keypoints .* the data set has 4'):
            KeepVisibility()(results)


# The authors' boxes.

BOX = np.array([[100, 50, 180, 250]], np.float32)  # 80 wide, 200 high


def person(visible=17, size=(1, 17)):
    """A person of 17 joints whose box is BOX, with the first ones labelled."""
    labelled = np.zeros(size, np.float32)
    labelled[:, :visible] = 1
    joints = np.stack(
        [np.linspace(110, 170, 17), np.linspace(60, 240, 17)], axis=-1, dtype=np.float32
    )
    return dict(
        bbox=BOX.copy(),
        keypoints=joints[None],
        keypoints_visible=labelled,
        upper_body_ids=list(range(11)),
    )


def test_the_test_crop_is_that_of_the_release(golden):
    figures = np.load(golden / 'megvii_crop.npz')
    corners = figures['boxes_xywh'].copy()
    corners[:, 2:] += corners[:, :2]
    affine = TopdownAffine(input_size=(192, 256))
    image = np.zeros((8, 8, 3), np.uint8)
    pixels = np.array([[[0, 0], [640, 0], [0, 480], [640, 480]]], np.float32)
    for index, box in enumerate(corners):
        sample = MegviiTestBBox().transform(dict(bbox=box[None].astype(np.float32)))
        sample = affine.transform(dict(sample, img=image, keypoints=pixels))
        assert sample['input_center'] == pytest.approx(figures['centers'][index], abs=1e-3)
        assert sample['input_scale'] == pytest.approx(figures['scales_px'][index], abs=1e-3)
        warp = figures['warp'][index]
        expected = pixels[0] @ warp[:, :2].T + warp[:, 2]
        assert sample['transformed_keypoints'][0] == pytest.approx(expected, abs=1e-3)


LOWEST_P_VALUE = 1e-3


def draws_of_the_release(figures, bbox_of):
    """Each instance's keypoints and bbox, and the release's 4,000 draws of its training crop."""
    data = np.load(figures)
    for index, (joints, draws) in enumerate(zip(data['joints'], data['draws'])):
        yield bbox_of(data, index).astype(np.float32)[None], joints[None], draws


def coco_bbox(data, index):
    x, y, width, height = data['boxes_xywh'][index]
    return np.array([x, y, x + width, y + height])


def mpii_bbox(data, index):
    center, half = data['centers'][index], data['scales_in_200px'][index] * 100
    return np.concatenate([center - half, center + half])


@pytest.mark.parametrize(
    ('figures', 'bbox_of', 'aspect_ratio', 'settings'),
    [
        ('megvii_train_crop.npz', coco_bbox, 192 / 256, dict(upper_body_ids=range(13))),
        (
            'megvii_train_crop_mpii.npz',
            mpii_bbox,
            1.0,
            dict(
                extension=0.25,
                random_extension=(0.0, 0.0),
                shrink=1.0,
                max_rotation=60.0,
                half_body_prob=0.5,
                half_body_min_joints=8,
                half_body_extension=(0.6, 0.6),
                upper_body_ids=range(7, 16),
            ),
        ),
    ],
    ids=['coco', 'mpii'],
)
def test_training_crops_are_drawn_as_by_the_release(
    golden, figures, bbox_of, aspect_ratio, settings
):
    jitter = MegviiTrainBBox(**settings)
    np.random.seed(0)
    for bbox, joints, expected in draws_of_the_release(golden / figures, bbox_of):
        drawn = []
        for _ in range(len(expected)):
            sample = dict(bbox=bbox, keypoints=joints[..., :2], keypoints_visible=joints[..., 2])
            sample = jitter.transform(sample)
            width, height = sample['bbox_scale'][0]
            fitted = max(width, height * aspect_ratio), max(height, width / aspect_ratio)
            drawn.append([*sample['bbox_center'][0], *fitted, sample['bbox_rotation'][0]])
        for value, ours, theirs in zip(
            ('x', 'y', 'width', 'height', 'rotation'), np.transpose(drawn), expected.T
        ):
            # Values that do not vary differ in float32's rounding, which this hides.
            ours, theirs = (v + np.random.uniform(-0.05, 0.05, len(v)) for v in (ours, theirs))
            assert ks_2samp(ours, theirs).pvalue > LOWEST_P_VALUE, value


def test_the_test_crop_of_mpii_is_the_box_and_a_quarter():
    sample = MegviiTestBBox(extension=(0.25, 0.25)).transform(dict(bbox=BOX))
    assert sample['bbox_center'].tolist() == [[140, 150]]
    assert sample['bbox_scale'].tolist() == [[100, 250]]


@pytest.mark.parametrize('upper_body_prob, joints', [(1, slice(0, 11)), (0, slice(11, 17))])
def test_a_half_body_is_centred_on_its_own_joints(upper_body_prob, joints):
    jitter = MegviiTrainBBox(half_body_prob=1, upper_body_prob=upper_body_prob, shrink=1)
    sample = person()
    low, high = sample['keypoints'][0, joints].min(0), sample['keypoints'][0, joints].max(0)
    out = jitter.transform(sample)
    assert out['bbox_center'][0] == pytest.approx((low + high) / 2)
    factors = out['bbox_scale'][0] / (high - low)
    assert (factors >= 0.75 - 1e-5).all()
    assert (factors <= np.array([1.6, 1.8]) * 1.25 + 1e-5).all()


def test_only_labelled_joints_make_a_half_body():
    sample = person(visible=4)
    out = MegviiTrainBBox(half_body_prob=1).transform(sample)
    joints = sample['keypoints'][0, :4]
    assert out['bbox_center'][0] == pytest.approx((joints.min(0) + joints.max(0)) / 2)


def test_a_person_with_three_labelled_joints_is_left_whole():
    out = MegviiTrainBBox(half_body_prob=1).transform(person(visible=3))
    assert (out['bbox_center'] == (140, 150)).all()


def test_the_hips_may_count_to_the_upper_body():
    jitter = MegviiTrainBBox(half_body_prob=1, upper_body_prob=1, upper_body_ids=range(13))
    sample = person()
    joints = sample['keypoints'][0, :13]
    out = jitter.transform(sample)
    assert out['bbox_center'][0] == pytest.approx((joints.min(0) + joints.max(0)) / 2)


def test_the_second_value_of_visibility_is_let_alone():
    sample = person()
    sample['keypoints_visible'] = np.repeat(sample['keypoints_visible'][..., None], 2, axis=-1)
    out = MegviiTrainBBox(half_body_prob=1).transform(sample)
    assert out['keypoints_visible'].shape == (1, 17, 2)
