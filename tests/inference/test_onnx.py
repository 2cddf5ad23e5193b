"""The ONNX file computes what PyTorch does, and says how it is used."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose

from mspn_plugin import SettingError, config_path
from mspn_plugin.inference.engines import OnnxRuntime
from mspn_plugin.inference.fused import fuse
from mspn_plugin.inference.onnx import PoseGraph, bbox_padding, check, crops, export_onnx

onnxruntime = pytest.importorskip('onnxruntime')


@pytest.fixture(scope='module')
def exported(trained, tmp_path_factory):
    target = tmp_path_factory.mktemp('onnx') / 'pose.onnx'
    export_onnx(fuse(trained), target)
    return target


def session(path):
    return onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])


def test_the_file_says_how_it_is_used(exported):
    meta = session(exported).get_modelmeta().custom_metadata_map
    meta = {name: json.loads(value) for name, value in meta.items()}
    assert meta['input_size'] == [192, 256] and meta['padding'] == [1.25, 1.25]
    assert meta['keypoints'][:2] == ['nose', 'left_eye'] and len(meta['keypoints']) == 17
    assert [1, 2] in meta['flip_pairs'] and [15, 13] in meta['skeleton']
    assert list(exported.parent.iterdir()) == [exported]


@pytest.mark.parametrize('recipe', ['mspn_coco', 'td-hm_2xmspn50_megvii-8xb32-96k_coco-256x192'])
def test_the_padding_gives_the_crop_of_the_pipeline(recipe):
    cfg = Config.fromfile(config_path(recipe))
    width, height = cfg.input_size
    wider, higher = bbox_padding(cfg.val_pipeline)
    crop = Compose(cfg.val_pipeline[1:])
    for w, h in ((50, 200), (120, 130), (300, 60)):
        sample = crop(
            dict(img=np.zeros((300, 400, 3), np.uint8), bbox=np.float32([[9, 9, 9 + w, 9 + h]]))
        )
        side = max(wider * w / width, higher * h / height)
        scale = sample['data_samples'].metainfo['input_scale']
        assert scale == pytest.approx([side * width, side * height])


def test_a_pipeline_of_unknown_crops_is_not_exported():
    with pytest.raises(SettingError, match='neither GetBBoxCenterScale nor MegviiTestBBox'):
        bbox_padding([dict(type='LoadImage'), dict(type='TopdownAffine', input_size=(48, 64))])


@pytest.mark.parametrize('normalise', [True, False])
def test_any_batch_gives_pytorchs_heatmaps(trained, tmp_path, normalise):
    fused = fuse(trained, stages=1)
    target = tmp_path / 'maps.onnx'
    worst = export_onnx(fused, target, normalise=normalise, decode=False, flip_test=True)
    assert worst <= 1e-4
    graph = PoseGraph(fused, normalise, False, True)
    with torch.no_grad():
        expected = graph(crops(graph, 2))
    given = session(target).run(None, {'image': crops(graph, 2).numpy()})[0]
    assert np.abs(given - expected.numpy()).max() <= 1e-4 * expected.abs().max()


def test_a_file_that_computes_something_else_is_found_out(exported, trained):
    other = fuse(trained)
    with torch.no_grad():
        other.network.head[-1].conv.weight.mul_(-1)
    with pytest.raises(RuntimeError, match='differ by'):
        check(PoseGraph(other, True, True, False), OnnxRuntime(exported))
