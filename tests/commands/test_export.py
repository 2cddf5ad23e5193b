"""``mspn export``."""

import json

import pytest

onnxruntime = pytest.importorskip('onnxruntime')


def test_a_file_is_written_and_compared_with_pytorch(mspn, network, tmp_path):
    ended = mspn('export', tmp_path / 'a.onnx', '--stages', 1, '--heatmaps', *network)
    assert ended.exit_code == 0 and 'of the largest heatmap value from PyTorch' in ended.stdout
    (output,) = onnxruntime.InferenceSession(tmp_path / 'a.onnx').get_outputs()
    assert output.name == 'heatmaps'
    assert mspn('export', tmp_path / 'b.onnx', *network).exit_code == 0
    assert (tmp_path / 'a.onnx').stat().st_size < 0.7 * (tmp_path / 'b.onnx').stat().st_size


def test_a_file_of_normalised_crops_says_how_they_are_normalised(mspn, network, tmp_path):
    ended = mspn('export', tmp_path / 'a.onnx', '--normalised-input', *network)
    assert ended.exit_code == 0, ended.stderr
    session = onnxruntime.InferenceSession(tmp_path / 'a.onnx')
    assert session.get_inputs()[0].type == 'tensor(float)'
    said = session.get_modelmeta().custom_metadata_map
    assert json.loads(said['channels']) == 'RGB'
    assert json.loads(said['mean']) == pytest.approx([123.675, 116.28, 103.53])


def test_targets_are_looked_at_before_any_work(mspn, tmp_path):
    (tmp_path / 'a.onnx').touch()
    for name, said in [
        ('a.onnx', '--overwrite'),
        ('none/a.onnx', 'does not exist'),
        ('a.model', 'is to end in .onnx'),
    ]:
        ended = mspn('export', tmp_path / name, '--config', 'none', '--checkpoint', 'none')
        assert ended.exit_code == 2 and said in ended.stderr


def test_int8_goes_with_images_and_keypoints(mspn, network, tmp_path):
    target = tmp_path / 'a.onnx'
    for options, said in [
        (['--int8', tmp_path, '--heatmaps'], 'does not go with'),
        (['--boxes', tmp_path / 'boxes.json'], '--int8, which is not given'),
        (['--int8', tmp_path / 'none.jpg'], 'none.jpg: '),
    ]:
        ended = mspn('export', target, *network, *options)
        assert ended.exit_code == 2 and said in ended.stderr
    assert not target.exists()
