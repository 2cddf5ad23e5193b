"""Pictures and boxes in, poses out: the command and MMPose's own interfaces."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import mspn_plugin  # noqa: F401
from mspn_plugin import SettingError
from mspn_plugin.inference.boxes import BoxFile, number_in, whole_picture
from mspn_plugin.inference.fused import fuse
from mspn_plugin.inference.images import find, read
from mspn_plugin.inference.predictor import PosePredictor, load_estimator

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture
def pictures(tmp_path):
    """Two pictures and COCO annotations of three persons in them."""
    folder = tmp_path / 'in'
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ('000000000003.png', '000000000007.png'):
        cv2.imwrite(
            str(folder / name),
            cv2.resize(
                rng.integers(0, 255, (6, 8, 3), np.uint8), (160, 120), interpolation=cv2.INTER_CUBIC
            ),
        )
    category = dict(id=1, name='person', keypoints=['nose'])
    annotations = [
        dict(id=1, image_id=3, category_id=1, iscrowd=0, bbox=[10, 10, 60, 90]),
        dict(id=2, image_id=3, category_id=1, iscrowd=0, bbox=[90, 20, 100, 90]),
        dict(id=3, image_id=7, category_id=1, iscrowd=0, bbox=[20, 5, 70, 100]),
        dict(id=4, image_id=7, category_id=1, iscrowd=1, bbox=[0, 0, 50, 50]),
    ]
    images = [dict(id=i, file_name=f'{i:012d}.png') for i in (3, 7)]
    content = dict(images=images, annotations=annotations, categories=[category])
    (tmp_path / 'boxes.json').write_text(json.dumps(content))
    return folder


@pytest.fixture
def run(mspn, network):
    return lambda *arguments: mspn('predict', *arguments, *network)


def results(folder):
    return json.loads((folder / 'keypoints.json').read_text())


def test_the_command_predicts_what_mmpose_does(run, trained, pictures, tmp_path):
    from mmpose.apis import inference_topdown

    out = tmp_path / 'out'
    boxes = tmp_path / 'boxes.json'
    assert run(pictures, '--boxes', boxes, '--out', out, '--batch-size', '2').exit_code == 0
    found = results(out)
    assert [r['image_id'] for r in found] == [3, 3, 7]
    assert sorted(p.name for p in out.iterdir()) == [
        '000000000003.jpg',
        '000000000007.jpg',
        'keypoints.json',
    ]
    sample = inference_topdown(
        trained, str(pictures / '000000000003.png'), np.float32([[10, 10, 70, 100]])
    )[0]
    mine = np.array(found[0]['keypoints']).reshape(17, 3)
    assert np.abs(mine[:, :2] - sample.pred_instances.keypoints[0]).max() < 0.05
    assert np.abs(mine[:, 2] - sample.pred_instances.keypoint_scores[0]).max() < 0.01


def test_without_boxes_a_picture_is_one_person_and_a_pattern_finds_it(run, pictures, tmp_path):
    out = tmp_path / 'out'
    assert run(pictures / '*7.png', '--out', out, '--no-pictures', '--stages', '1').exit_code == 0
    assert [r['bbox'] for r in results(out)] == [[0, 0, 160, 120]]
    assert [p.name for p in out.iterdir()] == ['keypoints.json']


def test_stages_are_shown_side_by_side(run, pictures, tmp_path):
    out = tmp_path / 'out'
    assert run(pictures / '000000000003.png', '--out', out, '--show-stages').exit_code == 0
    figure = read(out / '000000000003.stages.png')
    assert figure.shape[1] > 1000 and figure.std() > 1


def test_a_video_becomes_a_video(run, pictures, tmp_path):
    clip, out = tmp_path / 'clip.mp4', tmp_path / 'out'
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*'mp4v'), 10, (160, 120))
    for _ in range(3):
        writer.write(read(pictures / '000000000003.png'))
    writer.release()
    assert run(clip, '--out', out).exit_code == 0
    assert [r['frame'] for r in results(out)] == [0, 1, 2]
    assert cv2.VideoCapture(str(out / 'clip.mp4')).get(cv2.CAP_PROP_FRAME_COUNT) == 3


def test_an_unreadable_picture_is_skipped_and_the_rest_is_done(run, pictures, tmp_path):
    (pictures / '000000000005.jpg').write_bytes(b'no picture')
    (pictures / '000000000006.jpg').write_bytes(b'')
    out = tmp_path / 'out'
    ended = run(pictures, pictures / 'missing.jpg', '--out', out, '--no-pictures')
    assert ended.exit_code == 3
    assert [r['image_id'] for r in results(out)] != [] and len(results(out)) == 2
    for name in ('000000000005.jpg cannot', '000000000006.jpg is empty', 'missing.jpg: No such'):
        assert name in ended.stderr
    assert '3 skipped' in ended.stdout


def test_what_is_there_is_not_replaced(run, pictures, tmp_path):
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'keypoints.json').write_text('mine')
    ended = run(pictures, '--out', out)
    assert (out / 'keypoints.json').read_text() == 'mine'
    assert ended.exit_code == 2 and '--overwrite' in ended.stderr


def test_a_checkpoint_of_another_network_is_refused(network, tmp_path):
    strange = tmp_path / 'strange.pth'
    torch.save({'state_dict': {'backbone.conv1.weight': torch.zeros(1)}}, strange)
    with pytest.raises(SettingError, match=r'of another network.*missing.*not known'):
        load_estimator(network[1], strange)
    with pytest.raises(SettingError, match='no checkpoint'):
        load_estimator(network[1], tmp_path / 'none.pth')
    strange.write_bytes(b'rubbish')
    with pytest.raises(SettingError, match='cannot be read as a checkpoint'):
        load_estimator(network[1], strange)


def test_grey_deep_and_transparent_pictures_are_read_as_colours(tmp_path):
    grey = np.tile(np.arange(0, 250, 10, np.uint8), (20, 1))
    kinds = dict(
        grey=grey,
        deep=grey.astype(np.uint16) * 257,
        alpha=np.dstack([grey, grey, grey, np.full_like(grey, 9)]),
    )
    for name, picture in kinds.items():
        path = tmp_path / f'{name}.png'
        cv2.imwrite(str(path), picture)
        assert read(path).dtype == np.uint8
        assert np.abs(read(path).astype(int) - grey[..., None]).max() <= 1


def test_boxes_outside_are_left_out_with_a_word(tmp_path):
    path = tmp_path / 'found.json'
    path.write_text(
        json.dumps(
            [
                dict(image_id=3, category_id=1, bbox=[-20, -20, 50, 50], score=0.9),
                dict(image_id=3, category_id=1, bbox=[500, 20, 50, 50], score=0.9),
                dict(image_id=3, category_id=1, bbox=[5, 5, 0, 50], score=0.9),
                dict(image_id=3, category_id=1, bbox=[1, 1, 50, 50], score=0.1),
                dict(image_id=3, category_id=18, bbox=[1, 1, 50, 50], score=0.9),
            ]
        )
    )
    boxes = BoxFile(path, min_score=0.3).of(Path('x/000000000003.jpg'), 160, 120)
    assert boxes.corners.tolist() == [[-20, -20, 30, 30]]
    assert len(boxes.complaints) == 2 and '160x120' in boxes.complaints[0]
    assert BoxFile(path).of(Path('holiday.jpg'), 160, 120) is None


@pytest.mark.parametrize(
    'content',
    ['{"a": 1}', '[1, 2]', 'x,y', '[{"image_id": 1}]', '[{"image_id": 1, "bbox": [1, 2, 3]}]'],
)
def test_a_file_without_boxes_is_refused(content, tmp_path):
    path = tmp_path / 'boxes.json'
    path.write_text(content)
    with pytest.raises(SettingError, match=r'boxes\.json'):
        BoxFile(path)


def test_numbers_are_taken_from_cocos_names_only():
    assert number_in(Path('000000000042.jpg')) == 42
    assert number_in(Path('COCO_val2014_000000000042.jpg')) == 42
    assert number_in(Path('IMG2041.jpg')) is None


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(SettingError, match='holds no pictures'):
        find([str(tmp_path)])


def test_persons_of_many_pictures_come_back_in_order(trained, pictures):
    picture = read(pictures / '000000000003.png')
    one, none = whole_picture(160, 120), whole_picture(160, 120)
    none = none._replace(corners=none.corners[:0], scores=none.scores[:0])
    predictor = PosePredictor(trained, batch_size=2)
    given = [(0, picture, none), (1, picture, one), (2, picture, none), (3, picture[::-1], one)]
    found = list(predictor.stream(given))
    assert [key for key, _ in found] == [0, 1, 2, 3]
    assert [len(poses.keypoints) for _, poses in found] == [0, 1, 0, 1]
    assert np.allclose(found[1][1].keypoints, predictor(picture, one).keypoints, atol=0.05)


def test_mmposes_inferencer_takes_config_checkpoint_and_fused_model(network, pictures):
    from mmpose.apis import MMPoseInferencer

    inferencer = MMPoseInferencer(
        pose2d=network[1], pose2d_weights=network[3], det_model='whole_image', device='cpu'
    )
    picture = str(pictures / '000000000003.png')
    before = next(inferencer(picture))['predictions'][0][0]['keypoints']
    inferencer.inferencer.model = fuse(inferencer.inferencer.model)
    after = next(inferencer(picture))['predictions'][0][0]['keypoints']
    assert np.abs(np.array(before) - after).max() < 0.05
