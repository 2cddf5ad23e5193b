"""The codec: targets and decoding against the authors', OpenCV, MMPose, and itself."""

import pickle

import cv2
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mspn_plugin import CoarseToFineHeatmap

from mmpose.datasets.transforms import GenerateTarget, PackPoseInputs  # isort: skip
from mmpose.models import MSPNHead  # isort: skip
from mmpose.registry import KEYPOINT_CODECS  # isort: skip

KERNELS = (15, 11, 9, 7, 5)
CODEC = dict(type='CoarseToFineHeatmap', input_size=(192, 256), heatmap_size=(48, 64))
quick = settings(deadline=None, max_examples=25)


def random_joints(count, size=(192, 256), seed=0):
    return (np.random.default_rng(seed).random((count, 17, 2)) * size).astype(np.float32)


def opencv_target(pixel, size, kernel_size):
    """Draw as the release's description says, by OpenCV and in its own words."""
    width, height = size
    x, y = pixel
    heatmap = np.zeros((height, width), np.float32)
    heatmap[y, x] = 1
    heatmap = cv2.GaussianBlur(heatmap, (kernel_size, kernel_size), 0)
    return heatmap * (255 / heatmap.max())


def opencv_decode(heatmap, stride=(4, 4), kernel_size=5):
    """Decode as the release's description says, by OpenCV and in its own words.

    Returns the keypoint, its score, and the least difference between the three highest pixels: if
    there is hardly any, the keypoint depends on how a computer rounds.
    """
    height, width = heatmap.shape
    blurred = np.zeros((height + 20, width + 20), np.float32)
    blurred[10:-10, 10:-10] = heatmap
    blurred = cv2.GaussianBlur(blurred, (kernel_size, kernel_size), 0)
    highest = np.sort(blurred, axis=None)[:-4:-1]
    lead = np.abs(np.diff(highest)).min() if highest[1] > 0 else np.inf
    first = np.unravel_index(blurred.argmax(), blurred.shape)
    blurred[first] = 0
    second = np.unravel_index(blurred.argmax(), blurred.shape)
    first, second = np.array(first[::-1]) - 10, np.array(second[::-1]) - 10
    distance = np.linalg.norm(second - first)
    place = first + 0.25 * (second - first) / distance if distance else first
    place = np.clip(place, 0, [width - 1, height - 1])
    x, y = np.rint(place).astype(int)
    return (place + 0.5) * stride, heatmap[y, x] / 255 + 0.5, lead


def pack(codec, keypoints, keypoints_visible):
    """Take one person through MMPose's own last two steps of a pipeline."""
    results = dict(
        img=np.zeros((256, 192, 3), np.uint8),
        keypoints=keypoints,
        transformed_keypoints=keypoints,
        keypoints_visible=keypoints_visible,
        dataset_keypoint_weights=np.ones_like(keypoints_visible),
    )
    results = GenerateTarget(encoder=codec).transform(results)
    return PackPoseInputs(meta_keys=()).transform(results)['data_samples']


# Against the authors' release.


def test_targets_equal_the_release(golden):
    data = np.load(golden / 'megvii_targets.npz')
    codec = CoarseToFineHeatmap((192, 256), (48, 64), data['kernels'].tolist())
    for joints, visible, heatmaps in zip(data['joints'], data['visible'], data['heatmaps']):
        drawn = codec.encode(joints[None], visible[None])['heatmaps']
        np.testing.assert_allclose(np.stack(drawn), heatmaps, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ('figures', 'codec'),
    [
        ('megvii_decode.npz', CoarseToFineHeatmap()),
        (
            'megvii_decode_mpii.npz',
            CoarseToFineHeatmap((256, 256), (64, 64), blur_kernel_size=9),
        ),
    ],
    ids=['coco', 'mpii'],
)
def test_decoding_equals_the_release(golden, figures, codec):
    data = np.load(golden / figures)
    keypoints, scores = codec.batch_decode(torch.from_numpy(data['heatmaps']))
    size = data['scales_in_200px'][:, None] * 200
    corner = data['centers'][:, None] - size / 2
    in_image = np.concatenate(keypoints) / codec.input_size * size + corner
    np.testing.assert_allclose(in_image, data['keypoints'], rtol=0, atol=1e-3)
    np.testing.assert_allclose(np.concatenate(scores), data['scores'], rtol=0, atol=1e-5)
    for person, heatmaps in enumerate(data['heatmaps']):
        one_keypoints, one_scores = codec.decode(heatmaps)
        np.testing.assert_array_equal(one_keypoints, keypoints[person])
        np.testing.assert_array_equal(one_scores, scores[person])


# Targets in general.


@st.composite
def drawings(draw):
    """A codec with any sizes and kernels, joints in and around its input, and visibility."""
    heatmap_size = draw(st.tuples(*[st.integers(1, 40)] * 2))
    stride = draw(st.tuples(*[st.integers(1, 8)] * 2))
    kernels = draw(st.lists(st.integers(0, 15).map(lambda n: 2 * n + 1), min_size=1, max_size=4))
    input_size = tuple(s * n for s, n in zip(heatmap_size, stride))
    codec = CoarseToFineHeatmap(input_size, heatmap_size, sorted(kernels, reverse=True))
    coordinates = [st.floats(-n / 4 - 1, n * 5 / 4 + 1, width=32) for n in input_size]
    joint = st.tuples(*coordinates, st.sampled_from([0.0, 0.4, 0.5, 1.0]))
    joints = np.array(draw(st.lists(joint, min_size=1, max_size=5)), np.float32)
    return codec, joints[None, :, :2], joints[None, :, 2]


@quick
@given(drawings())
def test_targets_equal_opencv(drawing):
    codec, joints, visible = drawing
    encoded = codec.encode(joints, visible)
    stride = np.float32(codec.input_size) / np.float32(codec.heatmap_size)
    assert len(encoded['heatmaps']) == codec.num_levels
    for k, joint in enumerate(joints[0]):
        pixel = np.floor(joint / stride).astype(int)
        drawn = (pixel >= 0).all() and (pixel < codec.heatmap_size).all() and visible[0, k] >= 0.5
        weight = visible[0, k] if drawn else 0
        np.testing.assert_array_equal(encoded['keypoint_weights'][:, 0, k], weight)
        for kernel, heatmaps in zip(codec.kernel_sizes, encoded['heatmaps']):
            expected = opencv_target(pixel, codec.heatmap_size, kernel) if drawn else 0
            np.testing.assert_allclose(heatmaps[k], expected + 0 * heatmaps[k], rtol=0, atol=1e-3)


def test_a_joint_a_hair_outside_is_rounded_alike_on_the_device():
    joints = np.full((1, 1, 2), -1e-45, np.float32)
    for sizes in (dict(input_size=(4, 4), heatmap_size=(1, 1)), dict(heatmap_size=(192, 256))):
        codec = CoarseToFineHeatmap(**sizes)
        labels = codec.encode(joints)
        weights = torch.from_numpy(labels['keypoint_weights'][0])
        drawn = codec.draw(torch.from_numpy(joints), torch.ones_like(weights), 0)
        assert (drawn.amax() > 0) == (labels['heatmaps'][0].max() > 0) == (weights > 0)


@quick
@given(drawings(), st.booleans())
def test_the_device_draws_what_the_loader_draws(drawing, unbiased):
    codec, joints, visible = drawing
    settings = dict(kernel_sizes=codec.kernel_sizes, unbiased=unbiased)
    size = codec.input_size, codec.heatmap_size
    assume(not unbiased or min(codec.heatmap_size) >= 3)
    loader = CoarseToFineHeatmap(*size, **settings)
    device = CoarseToFineHeatmap(*size, draw_on_device=True, **settings)
    encoded, labels = loader.encode(joints, visible), device.encode(joints, visible)
    assert set(labels) == {'keypoint_labels', 'keypoint_weights'}
    assert sum(label.nbytes for label in labels.values()) < 1024
    weights = torch.from_numpy(labels['keypoint_weights'])
    keypoints = torch.from_numpy(labels['keypoint_labels'])
    for level, heatmaps in enumerate(encoded['heatmaps']):
        np.testing.assert_array_equal(encoded['keypoint_weights'][level], weights)
        drawn = device.draw(keypoints, weights, level)
        assert drawn.dtype == torch.float32
        np.testing.assert_allclose(drawn[0].numpy(), heatmaps, rtol=0, atol=1e-3)
        # Straight from the joints too, without what encode has done to them.
        drawn = device.draw(torch.from_numpy(joints), weights, level)
        np.testing.assert_allclose(drawn[0].numpy(), heatmaps, rtol=0, atol=1e-3)


def test_a_batch_is_drawn_as_its_persons_are():
    codec = CoarseToFineHeatmap()
    joints = torch.from_numpy(random_joints(3))
    weights = torch.ones(3, 17)
    weights[1] = 0
    batch = codec.draw(joints, weights, 2)
    assert batch.shape == (3, 17, 64, 48)
    assert batch[1].abs().max() == 0
    for person in (0, 2):
        drawn = codec.encode(joints[person][None].numpy())['heatmaps'][2]
        np.testing.assert_allclose(batch[person].numpy(), drawn, rtol=0, atol=1e-3)


@pytest.mark.parametrize('unbiased', [False, True])
def test_a_person_nobody_sees_has_empty_maps(unbiased):
    codec = CoarseToFineHeatmap(unbiased=unbiased)
    encoded = codec.encode(np.full((1, 17, 2), np.nan), np.zeros((1, 17)))
    assert not any(heatmaps.any() for heatmaps in encoded['heatmaps'])
    assert not encoded['keypoint_weights'].any()


def test_levels_go_from_wide_to_narrow():
    heatmaps = CoarseToFineHeatmap().encode(np.full((1, 1, 2), 100.0))['heatmaps']
    areas = [(level > 127).sum() for level in heatmaps]
    assert areas == sorted(areas, reverse=True)
    assert areas[0] > 3 * areas[-1]


# Decoding in general.


@st.composite
def noisy_maps(draw):
    """Heatmaps of any size: peaks of any height on noise of any strength, or noise alone."""
    width, height = draw(st.integers(1, 60)), draw(st.sampled_from([1, 3, 8, 13, 24, 64]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    maps = rng.standard_normal((6, height, width)) * draw(st.sampled_from([0.1, 2, 10]))
    for k in range(6):
        for _ in range(draw(st.integers(0, 2))):
            pixel = rng.integers(width), rng.integers(height)
            maps[k] += rng.random() * opencv_target(pixel, (width, height), int(rng.choice((5, 9))))
    return (maps + draw(st.sampled_from([0, -3]))).astype(np.float32)


@settings(quick, max_examples=60)
@given(noisy_maps(), st.sampled_from([1, 3, 5, 9, 19]))
def test_decoding_equals_opencv(maps, kernel_size):
    height, width = maps.shape[1:]
    codec = CoarseToFineHeatmap(
        (width * 4, height * 3), (width, height), blur_kernel_size=kernel_size
    )
    keypoints, scores = codec.decode(maps)
    for k, heatmap in enumerate(maps):
        place, score, lead = opencv_decode(heatmap, (4, 3), kernel_size)
        if lead > 1e-4:
            np.testing.assert_allclose(keypoints[0, k], place, rtol=0, atol=1e-3)
            np.testing.assert_allclose(scores[0, k], score, rtol=0, atol=1e-5)


def test_decoding_symmetric_maps_equals_opencv():
    # The four neighbours of a target's highest pixel are equally high.
    codec = CoarseToFineHeatmap()
    heatmaps = codec.encode(random_joints(1))['heatmaps'][-1]
    expected = [opencv_decode(heatmap)[0] for heatmap in heatmaps]
    np.testing.assert_array_equal(codec.decode(heatmaps)[0][0], expected)


@pytest.mark.parametrize('codec', [dict(), dict(unbiased=True), dict(blur_kernel_size=9)])
@pytest.mark.parametrize('value', [0.0, 1.0, 300.0, np.nan, np.inf, -np.inf])
def test_any_map_gives_finite_joints_inside_the_input(codec, value):
    maps = np.full((4, 64, 48), value, np.float32)
    maps[1, 20, 10] = 100
    maps[2, 40, 30] = np.nan
    maps[3, 63, 47] = -np.inf
    keypoints, scores = CoarseToFineHeatmap(**codec).decode(maps)
    assert (keypoints >= 0).all() and (keypoints < [192, 256]).all()
    assert not np.isnan(scores).any()


def test_the_score_is_the_value_at_the_joint():
    maps = np.zeros((1, 64, 48), np.float32)
    maps[0, 20:23, 10:13] = 51
    assert CoarseToFineHeatmap().decode(maps)[1] == pytest.approx(0.7)
    assert CoarseToFineHeatmap(unbiased=True).decode(maps)[1] == pytest.approx(0.7)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_heatmaps_of_any_precision_are_read_in_float32(dtype):
    codec = CoarseToFineHeatmap()
    heatmaps = codec.draw(torch.from_numpy(random_joints(2)), torch.ones(2, 17), 4).to(dtype)
    keypoints, scores = codec.locate(heatmaps)
    assert keypoints.dtype == scores.dtype == torch.float32
    torch.testing.assert_close(keypoints, codec.locate(heatmaps.float())[0])


# The unbiased coding.


@pytest.mark.parametrize(
    ('input_size', 'heatmap_size'),
    [((192, 256), (48, 64)), ((288, 384), (72, 96)), ((256, 256), (64, 64)), ((96, 128), (48, 32))],
)
@pytest.mark.parametrize('level', [0, 2, 4])
def test_unbiased_coding_recovers_joints_and_agrees_with_the_flip(input_size, heatmap_size, level):
    codec = CoarseToFineHeatmap(input_size, heatmap_size, KERNELS, unbiased=True)
    joints = torch.from_numpy(random_joints(20, input_size))
    heatmaps = codec.draw(joints, torch.ones(20, 17), level)
    keypoints, _ = codec.locate(heatmaps)
    assert torch.linalg.norm(keypoints - joints, dim=-1).mean() < 0.05

    flipped = joints * torch.tensor([-1, 1]) + torch.tensor([input_size[0] - 1, 0])
    flipped_heatmaps = codec.draw(flipped, torch.ones(20, 17), level)
    torch.testing.assert_close(flipped_heatmaps, heatmaps.flip(-1), rtol=0, atol=1e-2)
    flipped_keypoints, _ = codec.locate(heatmaps.flip(-1))
    assert torch.linalg.norm(flipped_keypoints - flipped, dim=-1).mean() < 0.05


def test_the_authors_coding_loses_what_the_documentation_says():
    codec = CoarseToFineHeatmap()
    joints = torch.from_numpy(random_joints(60))
    keypoints, _ = codec.locate(codec.draw(joints, torch.ones(60, 17), 4))
    assert torch.linalg.norm(keypoints - joints, dim=-1).mean() == pytest.approx(1.7, abs=0.1)


def test_unbiased_decoding_stands_noise_and_wider_peaks():
    targets = CoarseToFineHeatmap(unbiased=True, kernel_sizes=(7,))
    joints = torch.from_numpy(random_joints(60, (184, 248)) + 4)
    heatmaps = 0.6 * targets.draw(joints, torch.ones(60, 17), 0)
    heatmaps += torch.randn(heatmaps.shape, generator=torch.Generator().manual_seed(0)) * 3
    keypoints, _ = CoarseToFineHeatmap(unbiased=True).locate(heatmaps)
    assert torch.linalg.norm(keypoints - joints, dim=-1).mean() < 0.5


# Beside MMPose.


def test_one_dict_is_encoder_and_decoder():
    codec = KEYPOINT_CODECS.build(CODEC)
    assert codec.support_batch_decoding
    assert GenerateTarget(encoder=CODEC).encoder.kernel_sizes == codec.kernel_sizes == KERNELS


def test_mmpose_packs_the_targets_as_levels():
    joints = random_joints(1)
    sample = pack(CODEC, joints, np.ones((1, 17), np.float32))
    assert sample.gt_fields.nlevel == 5
    assert sample.gt_instance_labels.keypoint_weights.shape == (5, 1, 17)
    encoded = KEYPOINT_CODECS.build(CODEC).encode(joints)
    for level in range(5):
        np.testing.assert_array_equal(sample.gt_fields[level].heatmaps, encoded['heatmaps'][level])


def test_mmpose_packs_joints_to_draw_on_the_device():
    visible = np.ones((1, 17), np.float32)
    visible[0, 3] = 0
    sample = pack(dict(CODEC, draw_on_device=True), random_joints(1), visible)
    assert 'gt_fields' not in sample
    labels = sample.gt_instance_labels
    assert labels.keypoint_labels.shape == (1, 17, 2)
    assert labels.keypoint_weights.tolist() == visible.tolist()


@pytest.mark.parametrize('draw_on_device', [False, True])
def test_mmpose_packs_which_joints_are_clearly_visible(draw_on_device):
    visible = np.stack([np.ones((1, 17)), np.arange(17)[None] % 2], axis=-1).astype(np.float32)
    sample = pack(dict(CODEC, draw_on_device=draw_on_device), random_joints(1), visible)
    labels = sample.gt_instance_labels
    assert labels.keypoints_visible_weights.shape == labels.keypoint_weights.shape
    assert (labels.keypoints_visible_weights == torch.arange(17) % 2).all()


def test_mmposes_head_trains_on_the_targets():
    torch.manual_seed(0)
    head = MSPNHead(
        num_stages=2,
        num_units=4,
        out_shape=(64, 48),
        unit_channels=8,
        out_channels=17,
        level_indices=[0, 1, 2, 3, 1, 2, 3, 4],
        loss=[dict(type='KeypointMSELoss', use_target_weight=True)] * 8,
        decoder=CODEC,
    )
    feats = [[torch.randn(2, 8, 8 * 2**u, 6 * 2**u) for u in range(4)] for _ in range(2)]
    samples = [pack(CODEC, j[None], np.ones((1, 17), np.float32)) for j in random_joints(2)]
    optimizer = torch.optim.SGD(head.parameters(), lr=1e-3)
    losses = []
    for _ in range(2):
        losses.append(head.loss(feats, samples)['loss_kpt'])
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[1] < losses[0]
    predictions = head.predict(feats, samples)
    assert predictions[0].keypoints.shape == (1, 17, 2)
    assert predictions[0].keypoint_scores.shape == (1, 17)


# Where it has to run.


@pytest.mark.parametrize('codec', [dict(), dict(unbiased=True), dict(blur_kernel_size=9)])
def test_locate_exports_to_onnx(golden, tmp_path, codec):
    onnxruntime = pytest.importorskip('onnxruntime')
    pytest.importorskip('onnx')
    codec = CoarseToFineHeatmap(**codec)
    heatmaps = torch.from_numpy(np.load(golden / 'megvii_decode.npz')['heatmaps'])

    class Locate(torch.nn.Module):
        def forward(self, x):
            return codec.locate(x)

    file = tmp_path / 'locate.onnx'
    torch.onnx.export(
        Locate(),
        (heatmaps[:1],),
        str(file),
        input_names=['heatmaps'],
        dynamic_axes={'heatmaps': {0: 'batch'}},
        dynamo=False,
    )
    session = onnxruntime.InferenceSession(str(file), providers=['CPUExecutionProvider'])
    keypoints, scores = session.run(None, {'heatmaps': heatmaps.numpy()})
    expected_keypoints, expected_scores = codec.locate(heatmaps)
    np.testing.assert_allclose(keypoints, expected_keypoints, rtol=0, atol=1e-3)
    np.testing.assert_allclose(scores, expected_scores, rtol=0, atol=1e-5)


@pytest.mark.parametrize('codec', [dict(), dict(unbiased=True), dict(blur_kernel_size=9)])
def test_locate_and_draw_compile_as_one_graph(golden, codec):
    codec = CoarseToFineHeatmap(**codec)
    heatmaps = torch.from_numpy(np.load(golden / 'megvii_decode.npz')['heatmaps'])
    locate = torch.compile(codec.locate, fullgraph=True, backend='aot_eager')
    for compiled, expected in zip(locate(heatmaps), codec.locate(heatmaps)):
        torch.testing.assert_close(compiled, expected, rtol=0, atol=1e-4)
    joints, weights = torch.from_numpy(random_joints(2)), torch.ones(2, 17)
    draw = torch.compile(codec.draw, fullgraph=True, backend='aot_eager')
    torch.testing.assert_close(draw(joints, weights, 1), codec.draw(joints, weights, 1))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('codec', [dict(), dict(unbiased=True), dict(blur_kernel_size=9)])
def test_a_gpu_draws_and_reads_the_same(golden, codec):
    codec = CoarseToFineHeatmap(**codec)
    heatmaps = torch.from_numpy(np.load(golden / 'megvii_decode.npz')['heatmaps'])
    for on_gpu, expected in zip(codec.locate(heatmaps.cuda()), codec.locate(heatmaps)):
        torch.testing.assert_close(on_gpu.cpu(), expected, rtol=0, atol=1e-4)
    joints, weights = torch.from_numpy(random_joints(2)), torch.ones(2, 17)
    for level in range(codec.num_levels):
        on_gpu = codec.draw(joints.cuda(), weights.cuda(), level)
        expected = codec.draw(joints, weights, level)
        torch.testing.assert_close(on_gpu.cpu(), expected, rtol=0, atol=1e-3)


def test_a_used_codec_goes_to_worker_processes():
    codec = CoarseToFineHeatmap()
    joints = random_joints(1)
    heatmaps = codec.encode(joints)['heatmaps']
    codec.draw(torch.from_numpy(joints), torch.ones(1, 17), 0)
    copy = pickle.loads(pickle.dumps(codec))
    np.testing.assert_array_equal(copy.encode(joints)['heatmaps'], heatmaps)


# Bad input.


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(kernel_sizes=(15, 11, 8)), r'kernel_sizes=\(15, 11, 8\) must be one odd positive'),
        (dict(kernel_sizes=(5, -3)), r'kernel_sizes=\(5, -3\) must be one odd positive'),
        (dict(kernel_sizes=()), 'one odd positive number for each level'),
        (dict(kernel_sizes=(5.0,)), 'one odd positive number for each level'),
        (dict(kernel_sizes=5), 'kernel_sizes=5 must be one odd positive number for each level'),
        (dict(kernel_sizes=(5, 7, 15)), r'kernel_sizes=\(5, 7, 15\) must .* from coarse to fine'),
        (dict(input_size=(190, 256)), r'\(48, 64\) does not divide input_size=\(190, 256\)'),
        (dict(input_size=192), r'input_size=192 is not \(width, height\)'),
        (dict(heatmap_size=(48, 0)), r'heatmap_size=\(48, 0\) is not \(width, height\)'),
        (dict(heatmap_size=(48.0, 64.0)), 'heatmap_size=.* is not'),
        (dict(blur_kernel_size=4), 'blur_kernel_size=4 must be an odd number from 1 to 19'),
        (dict(blur_kernel_size='9'), "blur_kernel_size='9' must be an odd number"),
    ],
)
def test_a_wrong_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        CoarseToFineHeatmap(**settings)


@pytest.mark.parametrize(
    ('keypoints', 'visible', 'message'),
    [
        (np.ones((17, 2)), None, r'keypoints have shape \(17, 2\) .* instead of \(1, K, 2\)'),
        (np.ones((2, 17, 2)), None, r'\(2, 17, 2\)'),
        (np.ones((1, 17, 3)), None, r'\(1, 17, 3\)'),
        (np.ones((1, 17, 2)), np.ones((1, 16)), r'keypoints_visible \(1, 16\) instead'),
        (np.full((1, 3, 2), np.inf), np.array([[0, 1, 0]]), r'keypoints \[1\] .* not finite'),
        (np.full((1, 3, 2), np.nan), None, r'keypoints \[0, 1, 2\] .* not finite'),
    ],
)
def test_a_wrong_person_is_named(keypoints, visible, message):
    for draw_on_device in (False, True):
        with pytest.raises(ValueError, match=message):
            CoarseToFineHeatmap(draw_on_device=draw_on_device).encode(keypoints, visible)


def test_wrong_tensors_are_named():
    codec = CoarseToFineHeatmap()
    with pytest.raises(ValueError, match=r'\(1, 17, 48, 64\).*instances x keypoints x 64 x 48'):
        codec.locate(torch.zeros(1, 17, 48, 64))
    with pytest.raises(ValueError, match=r'\(1, 64, 48, 1\)'):
        codec.decode(np.zeros((64, 48, 1), np.float32))
