"""The authors' boxes: their test crop to the pixel, and the ranges of their augmentation."""

import numpy as np
import pytest
from mmpose.datasets.transforms import TopdownAffine

from mspn_plugin import MegviiTestBBox, MegviiTrainBBox, SettingError

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


def test_boxes_of_training_stay_in_the_ranges_of_the_release():
    np.random.seed(0)
    jitter = MegviiTrainBBox(half_body_prob=0)
    samples = [jitter.transform(person()) for _ in range(2000)]
    sizes = np.stack([s['bbox_scale'][0] for s in samples]) / (80, 200) / 1.05 / 0.8
    assert (sizes >= 0.75 - 1e-5).all()
    assert (sizes <= np.array([1.6, 1.8]) * 1.25 + 1e-5).all()
    assert sizes.min() < 0.8 and sizes[:, 0].max() > 1.9 and sizes[:, 1].max() > 2.1
    rotations = np.stack([s['bbox_rotation'][0] for s in samples])
    assert 0.45 < (rotations == 0).mean() < 0.55
    assert 43 < rotations.max() <= 45 and -45 <= rotations.min() < -43
    assert all((s['bbox_center'] == (140, 150)).all() for s in samples)


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


def test_half_bodies_come_as_often_as_asked_for():
    np.random.seed(0)
    jitter = MegviiTrainBBox()
    centers = [jitter.transform(person())['bbox_center'][0, 1] for _ in range(2000)]
    assert 0.26 < np.mean([y != 150 for y in centers]) < 0.34


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


@pytest.mark.parametrize(
    'setting',
    [
        dict(rotation_prob=1.5),
        dict(scale_range=(1.25, 0.75)),
        dict(shrink=0),
        dict(random_extension=0.6),
        dict(extension=-1),
    ],
)
def test_a_setting_that_does_not_fit_is_named(setting):
    with pytest.raises(SettingError, match=next(iter(setting))):
        MegviiTrainBBox(**setting)


def test_an_extension_of_one_number_is_refused():
    with pytest.raises(SettingError, match=r'extension=0\.1 must be two numbers'):
        MegviiTestBBox(extension=0.1)
