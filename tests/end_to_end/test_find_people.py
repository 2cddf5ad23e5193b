"""A detector and an estimator, as a user types them, with mmcv-lite."""

import json
import subprocess

import pytest


@pytest.fixture
def mspn_in_shell(warm):
    def run(*arguments):
        command = [warm / 'mspn', *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, f'{done.stdout[-3000:]}\n{done.stderr[-5000:]}'

    return run


@pytest.fixture
def photo(images_and_boxes):
    return images_and_boxes[0] / '000000000003.png'


@pytest.mark.slow
def test_people_are_found_then_their_poses(network, detector, photo, tmp_path, mspn_in_shell):
    out = tmp_path / 'out'
    mspn_in_shell('predict', photo, *network, *detector, '--min-box-score', 0.001, '--out', out)
    found = json.loads((out / 'keypoints.json').read_text())
    assert found and all(len(r['keypoints']) == 51 and len(r['bbox']) == 4 for r in found)
    assert (out / '000000000003.jpg').is_file()


@pytest.mark.slow
def test_mmposes_demo_with_a_detector_runs(network, detector, photo, tmp_path, mspn_in_shell):
    mspn_in_shell(
        *('tools', 'topdown_demo_with_mmdet', *detector[1::2], *network[1::2], '--input', photo),
        *('--output-root', tmp_path / 'out', '--save-predictions', '--device', 'cpu'),
        *('--det-cat-id', 1, '--bbox-thr', 0.001),
    )
    (saved,) = (tmp_path / 'out').glob('*.json')
    assert json.loads(saved.read_text())['instance_info']


@pytest.mark.slow
def test_mmposes_inferencer_with_a_detector_runs(network, detector, photo, tmp_path, mspn_in_shell):
    mspn_in_shell(
        *('tools', 'inferencer_demo', photo, '--pose2d', network[1]),
        *('--pose2d-weights', network[3], '--det-model', detector[1]),
        *('--det-weights', detector[3], '--det-cat-ids', 1, '--bbox-thr', 0.001),
        *('--pred-out-dir', tmp_path / 'out', '--device', 'cpu'),
    )
    (saved,) = (tmp_path / 'out').glob('*.json')
    boxes = [person['bbox'][0] for person in json.loads(saved.read_text())]
    assert boxes and [0, 0, 160, 120] not in boxes, 'the whole image was taken for one person'
