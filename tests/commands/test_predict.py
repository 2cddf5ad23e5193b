"""``mspn predict``: images and boxes in, results and drawings out."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpose.apis import init_model

from mspn_plugin.commands import predict
from mspn_plugin.inference import engines as engines_module
from mspn_plugin.inference.detector import Detector
from mspn_plugin.inference.images import read_image


@pytest.fixture
def run(mspn, network):
    return lambda *arguments: mspn('predict', *arguments, *network)


@pytest.fixture
def images(images_and_boxes):
    return images_and_boxes[0]


def results(folder):
    return json.loads((folder / 'keypoints.json').read_text())


def test_the_command_predicts_what_mmpose_does(run, network, images, tmp_path):
    from mmpose.apis import inference_topdown, init_model

    out = tmp_path / 'out'
    boxes = tmp_path / 'boxes.json'
    assert run(images, '--boxes', boxes, '--out', out, '--batch-size', '2').exit_code == 0
    found = results(out)
    assert [r['image_id'] for r in found] == [3, 3, 7]
    assert sorted(p.name for p in out.iterdir()) == [
        '000000000003.jpg',
        '000000000007.jpg',
        'keypoints.json',
    ]
    sample = inference_topdown(
        init_model(*network[1::2], 'cpu'),
        str(images / '000000000003.png'),
        np.float32([[10, 10, 70, 100]]),
    )[0]
    mine = np.array(found[0]['keypoints']).reshape(17, 3)
    assert np.abs(mine[:, :2] - sample.pred_instances.keypoints[0]).max() < 0.05
    assert np.abs(mine[:, 2] - sample.pred_instances.keypoint_scores[0]).max() < 0.01


def test_without_boxes_a_image_is_one_person_and_a_pattern_finds_it(run, images, tmp_path):
    out = tmp_path / 'out'
    assert run(images / '*7.png', '--out', out, '--no-pictures', '--stages', '1').exit_code == 0
    assert [r['bbox'] for r in results(out)] == [[0, 0, 160, 120]]
    assert [p.name for p in out.iterdir()] == ['keypoints.json']


def test_stages_are_shown_side_by_side(run, images, tmp_path):
    out = tmp_path / 'out'
    assert run(images / '000000000003.png', '--out', out, '--show-stages').exit_code == 0
    figure = read_image(out / '000000000003.stages.png')
    assert figure.shape[1] > 1000 and figure.std() > 1


@pytest.mark.parametrize('least, is_drawn', [(0, True), (9, False)])
def test_keypoints_are_drawn_from_a_score_on(run, images, tmp_path, least, is_drawn):
    image, out = images / '000000000003.png', tmp_path / 'out'
    assert run(image, '--out', out, '--min-joint-score', least).exit_code == 0
    drawn = read_image(out / '000000000003.jpg').astype(int)
    assert (np.abs(drawn - read_image(image)).max() > 100) == is_drawn


def test_it_stops_after_the_stages_that_are_asked_for(run, images, tmp_path):
    found = []
    for name, options in (('all', []), ('one', ['--stages', 1])):
        assert run(images, '--out', tmp_path / name, '--no-pictures', *options).exit_code == 0
        found.append([result['keypoints'] for result in results(tmp_path / name)])
    assert found[0] != found[1]


def test_a_video_becomes_a_video(run, images, tmp_path):
    clip, out = tmp_path / 'clip_1.mp4', tmp_path / 'out'
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*'mp4v'), 10, (160, 120))
    for _ in range(3):
        writer.write(read_image(images / '000000000003.png'))
    writer.release()
    assert run(clip, images / '000000000003.png', '--out', out).exit_code == 0
    *frames, image = results(out)
    assert [r['frame'] for r in frames] == [0, 1, 2]
    assert len({r['image_id'] for r in frames} - {image['image_id']}) == 3
    assert cv2.VideoCapture(str(out / 'clip_1.mp4')).get(cv2.CAP_PROP_FRAME_COUNT) == 3


def test_an_unreadable_image_is_skipped_and_the_rest_is_done(run, images, tmp_path):
    (images / '000000000005.jpg').write_bytes(b'no image')
    (images / '000000000006.jpg').write_bytes(b'')
    out = tmp_path / 'out'
    ended = run(images, images / 'missing.jpg', '--out', out, '--no-pictures')
    assert ended.exit_code == 3
    assert [r['image_id'] for r in results(out)] != [] and len(results(out)) == 2
    for name in ('000000000005.jpg cannot', '000000000006.jpg cannot', 'missing.jpg: No such'):
        assert name in ended.stderr
    assert '3 skipped' in ended.stdout


def test_an_image_that_no_jpeg_can_hold_is_not_drawn_and_the_rest_is_done(run, images, tmp_path):
    cv2.imwrite(str(images / '000000000004.png'), np.zeros((2, 70000, 3), np.uint8))
    out = tmp_path / 'out'
    ended = run(images, '--out', out)
    assert ended.exit_code == 3 and '000000000004.png is too large to be drawn' in ended.stderr
    assert [r['image_id'] for r in results(out)] == [3, 4, 7]
    assert (out / '000000000007.jpg').exists()


def test_a_name_may_be_as_long_as_names_can_be(run, images, tmp_path):
    name = 'x' * 251
    (images / '000000000003.png').rename(images / f'{name}.png')
    assert run(images / f'{name}.png', '--out', tmp_path / 'out').exit_code == 0
    assert (tmp_path / 'out' / f'{name}.jpg').exists()


@pytest.mark.parametrize(
    'options, said',
    [
        (['--out', 'notes.txt/poses'], 'notes.txt/poses: Not a directory'),
        (['--device', 'gpu'], 'torch has no gpu here'),
    ],
)
def test_a_place_that_is_none_is_named(run, images, tmp_path, options, said, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'notes.txt').touch()
    ended = run(images, *options)
    assert ended.exit_code == 2 and said in ended.stderr


def test_what_is_there_is_not_replaced(run, images, tmp_path):
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'keypoints.json').write_text('mine')
    ended = run(images, '--out', out)
    assert (out / 'keypoints.json').read_text() == 'mine'
    assert ended.exit_code == 2 and '--overwrite' in ended.stderr


def test_the_file_of_boxes_is_not_replaced_either(run, images, tmp_path):
    out = tmp_path / 'out'
    assert run(images, '--out', out, '--no-pictures').exit_code == 0
    before = results(out)
    arguments = ('--boxes', out / 'keypoints.json', '--out', out, '--overwrite')
    ended = run(images / '000000000003.png', *arguments)
    assert ended.exit_code == 2 and 'is to be read; change --out' in ended.stderr
    assert results(out) == before


def test_a_box_outside_of_its_image_is_left_out_with_a_word(run, images, tmp_path):
    person = dict(image_id=3, category_id=1, score=0.9)
    boxes = [dict(person, bbox=bbox) for bbox in ([1, 1, 90, 90], [500, 20, 50, 50])]
    (tmp_path / 'found.json').write_text(json.dumps(boxes))
    arguments = ('--boxes', tmp_path / 'found.json', '--out', tmp_path / 'out', '--no-pictures')
    ended = run(images / '000000000003.png', *arguments)
    assert ended.exit_code == 3 and '160x120' in ended.stderr
    assert [r['bbox'] for r in results(tmp_path / 'out')] == [[1, 1, 90, 90]]


def test_images_of_one_name_get_targets_of_their_own(run, images, tmp_path):
    (tmp_path / 'more').mkdir()
    (images / '000000000003.png').rename(tmp_path / 'more' / '000000000007.png')
    assert run(images, tmp_path / 'more', '--out', tmp_path / 'out').exit_code == 0
    names = sorted(p.name for p in (tmp_path / 'out').iterdir())
    assert names == ['000000000007-2.jpg', '000000000007.jpg', 'keypoints.json']
    assert [r['image_id'] for r in results(tmp_path / 'out')] == [1, 2]


def test_another_network_of_mmpose_predicts_too(mspn, network, images, tmp_path):
    config = Config.fromfile(network[1])
    blocks = config.model.backbone.num_blocks
    config.model.backbone = dict(type='MSPN', unit_channels=16, num_stages=2, num_blocks=blocks)
    config.dump(tmp_path / 'other.py')
    estimator = init_model(Config.fromfile(tmp_path / 'other.py'), None, 'cpu')
    torch.save({'state_dict': estimator.state_dict()}, tmp_path / 'other.pth')
    other = ['--config', tmp_path / 'other.py', '--checkpoint', tmp_path / 'other.pth']
    ended = mspn('predict', images, *other, '--out', tmp_path / 'out', '--no-pictures')
    assert ended.exit_code == 0 and len(results(tmp_path / 'out')) == 2
    ended = mspn('predict', images, *other, '--out', tmp_path / 'stages', '--stages', 1)
    assert ended.exit_code == 2 and 'need the backbone MSPNBackbone' in ended.stderr


def test_a_detector_finds_the_boxes(run, detector, images, tmp_path):
    out = tmp_path / 'out'
    ended = run(images, *detector, '--min-box-score', 0.001, '--out', out, '--no-pictures')
    assert ended.exit_code == 0
    found = results(out)
    assert {r['image_id'] for r in found} == {3, 7}
    boxes = Detector(*detector[1::2], min_score=0.001)(read_image(images / '000000000003.png'))
    of_first = [r for r in found if r['image_id'] == 3]
    widths_and_heights = boxes.corners[:, 2:] - boxes.corners[:, :2]
    assert np.allclose(
        [r['bbox'] for r in of_first], np.hstack([boxes.corners[:, :2], widths_and_heights])
    )
    assert np.allclose([r['bbox_score'] for r in of_first], boxes.scores)


def test_a_detector_looks_at_every_frame_of_a_video(run, detector, images, tmp_path):
    clip, out = tmp_path / 'clip.mp4', tmp_path / 'out'
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*'mp4v'), 10, (160, 120))
    for name in ('000000000003.png', '000000000007.png'):
        writer.write(read_image(images / name))
    writer.release()
    options = ('--min-box-score', 0.001, '--no-pictures')
    assert run(clip, *detector, *options, '--out', out).exit_code == 0
    assert {r['frame'] for r in results(out)} == {0, 1}


def test_an_image_without_a_found_person_has_no_pose(run, detector, images, tmp_path):
    out = tmp_path / 'out'
    assert run(images, *detector, '--out', out).exit_code == 0
    assert results(out) == []
    assert len(list(out.iterdir())) == 3


def test_a_detector_wants_its_weights_and_no_boxes(run, detector, images, tmp_path):
    for options in (detector[:2], detector[2:], [*detector, '--boxes', tmp_path / 'boxes.json']):
        ended = run(images, *options, '--out', tmp_path / 'out')
        assert ended.exit_code == 2 and '--detector goes with' in ended.stderr


def test_int8_is_not_made_of_weights(run, images, tmp_path):
    ended = run(images, '--out', tmp_path / 'out', '--precision', 'int8')
    assert ended.exit_code == 2 and 'needs a file of `mspn export --int8`' in ended.stderr


def test_an_exported_file_predicts_in_an_engine_alone(mspn, network, images, tmp_path):
    pytest.importorskip('onnxruntime')
    path, arguments = tmp_path / 'a.onnx', ['--out', tmp_path / 'out', '--no-pictures']
    assert mspn('export', path, *network).exit_code == 0
    arguments = [images, *network[:2], '--checkpoint', path, *arguments]
    assert mspn('predict', *arguments, '--engine', 'onnxruntime').exit_code == 0
    assert len(results(tmp_path / 'out')) == 2
    arguments.append('--overwrite')
    for options, said in [
        (['--engine', 'torch'], 'leave --engine out'),
        (['--stages', 1], 'need weights'),
        (['--precision', 'int8'], 'computes in fp32, not in int8'),
    ]:
        ended = mspn('predict', *arguments, *options)
        assert ended.exit_code == 2 and said in ended.stderr


@pytest.fixture
def chosen(monkeypatch):
    """The engines that networks were written for."""
    engines, write = [], predict.on_engine

    def on_engine(network, engine, precision):
        engines.append(engine)
        return write(network, engine, precision)

    monkeypatch.setattr(predict, 'on_engine', on_engine)
    monkeypatch.setattr(engines_module, 'installed_engines', lambda: ['onnxruntime'])
    return engines


def test_many_images_go_to_the_fastest_engine(run, images, tmp_path, chosen, monkeypatch):
    pytest.importorskip('onnxruntime')
    for many, expected in ((3, []), (2, ['onnxruntime'])):
        monkeypatch.setattr(predict, 'MANY_IMAGES', many)
        out = tmp_path / str(many)
        assert run(images, '--out', out, '--no-pictures', '--device', 'cpu').exit_code == 0
        assert chosen == expected


def test_torch_runs_what_an_engine_cannot_unless_it_is_named(
    mspn, network, images, tmp_path, monkeypatch
):
    pytest.importorskip('onnxruntime')
    monkeypatch.setattr(predict, 'MANY_IMAGES', 1)
    config = Config.fromfile(network[1])
    config.model.test_cfg.update(flip_test=True, shift_heatmap=True)  # no exported file has it
    config.dump(tmp_path / 'shifted.py')
    arguments = ['predict', images, '--config', tmp_path / 'shifted.py', *network[2:]]
    arguments += ['--out', tmp_path / 'out', '--no-pictures', '--device', 'cpu']
    assert mspn(*arguments).exit_code == 0 and len(results(tmp_path / 'out')) == 2
    ended = mspn(*arguments, '--overwrite', '--engine', 'onnxruntime')
    assert ended.exit_code == 2 and 'only the flip test' in ended.stderr


def test_a_file_without_a_config_is_of_the_plugins_network(mspn, images, tmp_path):
    pytest.importorskip('onnxruntime')
    path, out = tmp_path / 'a.onnx', tmp_path / 'out'
    assert mspn('export', path).exit_code == 0
    assert mspn('predict', images, '--checkpoint', path, '--out', out).exit_code == 0
    assert len(results(out)) == 2
