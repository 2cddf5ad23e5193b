"""The weights that come with the plugin: their file, and what they find in photographs."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mspn_plugin.weights.shipped import in_half_precision, shipped_network

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / 'benchmarks'))
import score  # noqa: E402


def figure_of_the_card(people):
    """The AP that the card's table has for some people."""
    (row,) = re.findall(
        rf'^\| {people}[^|]*\| ([\d.]+)', (REPO / 'docs/model-card.md').read_text(), re.M
    )
    return float(row)


class TestHalfPrecision:
    def test_keeps_the_weights_and_the_names_of_the_keypoints_alone(self):
        checkpoint = dict(
            meta=dict(dataset_meta=dict(dataset_name='coco'), cfg='text', epoch=3),
            state_dict={'module.conv.weight': torch.full((2, 3, 1, 1), 0.1)},
            optimizer=dict(state={}),
        )
        kept = in_half_precision(checkpoint)
        assert kept['meta'] == dict(dataset_meta=dict(dataset_name='coco'))
        (name, weight), *others = kept['state_dict'].items()
        assert name == 'conv.weight' and weight.dtype == torch.float16 and not others
        assert set(kept) == {'meta', 'state_dict'}

    def test_leaves_the_statistics_of_norms_that_would_not_fit(self):
        halved = in_half_precision({'bn.running_var': torch.tensor([1e6])})
        assert halved['state_dict']['bn.running_var'] == 1e6

    @pytest.mark.parametrize(
        'content, said',
        [
            ([1], 'a list, not weights'),
            (dict(weights={'a': torch.zeros(1)}, epoch=3), 'more than weights .*: weights, epoch'),
        ],
    )
    def test_is_not_made_of_what_is_no_checkpoint(self, mspn, tmp_path, content, said):
        torch.save(content, tmp_path / 'a.pth')
        ended = mspn('convert', 'half', tmp_path / 'a.pth', tmp_path / 'b.pth')
        assert ended.exit_code == 2 and re.search(f'a.pth: .*{said}', ended.stderr)
        assert not (tmp_path / 'b.pth').exists()


class TestTheShippedFile:
    def test_is_small_and_in_half_precision(self):
        file = Path(shipped_network()[1])
        assert file.stat().st_size <= 8e6
        weights = torch.load(file, weights_only=True)['state_dict']
        assert {w.dtype for w in weights.values() if w.dim() > 1} == {torch.float16}

    def test_finds_the_poses_that_its_card_says(self, mspn, coco_photos, tmp_path):
        annotations = coco_photos / 'annotations' / 'person_keypoints_val2017.json'
        predicted = mspn(
            *('predict', coco_photos / 'val2017', '--boxes', annotations),
            *('--out', tmp_path, '--no-pictures'),
        )
        assert predicted.exit_code == 0, predicted.stderr
        scores = score.score(annotations, tmp_path / 'keypoints.json')
        assert scores['persons'] == 68
        assert scores['AP'][0] == pytest.approx(figure_of_the_card('COCO photographs'), abs=0.01)

    def test_is_exported_where_no_network_is_named(self, mspn, tmp_path):
        onnxruntime = pytest.importorskip('onnxruntime')
        exported = mspn('export', tmp_path / 'pose.onnx')
        assert exported.exit_code == 0, exported.stderr
        session = onnxruntime.InferenceSession(tmp_path / 'pose.onnx')
        (crop,) = session.get_inputs()
        assert crop.shape[1:] == [160, 160, 3] and crop.type == 'tensor(uint8)'
        keypoints, scores = session.run(None, {crop.name: np.zeros((1, 160, 160, 3), np.uint8)})
        assert keypoints.shape == (1, 17, 2) and scores.shape == (1, 17)


def test_a_config_without_its_checkpoint_is_refused(mspn):
    ended = mspn('predict', 'photo.jpg', '--config', 'my.py')
    assert ended.exit_code == 2 and '--config and --checkpoint together' in ended.stderr
