"""A small head, features for it, and the persons that it is to learn."""

import numpy as np
import torch
from mmengine.structures import InstanceData

from mspn_plugin import MultiStageHeatmapHead

from mmpose.codecs import MegviiHeatmap  # isort: skip
from mmpose.registry import KEYPOINT_CODECS  # isort: skip
from mmpose.structures import MultilevelPixelData, PoseDataSample  # isort: skip

CHANNELS = 8
KERNELS = (15, 11, 9, 7, 5)
CODEC = dict(type='CoarseToFineHeatmap', input_size=(48, 64), heatmap_size=(12, 16))
COARSEST_FIRST = ((2, 2), (4, 3), (8, 6), (16, 12))


def build(num_stages=2, decoder=CODEC, **settings):
    torch.manual_seed(0)
    settings.setdefault('unit_channels', CHANNELS)
    return MultiStageHeatmapHead(num_stages, decoder, **settings)


def features(stages=2, persons=3, seed=0, channels=CHANNELS, scale=30.0):
    generator = torch.Generator().manual_seed(seed)
    return [
        [
            torch.randn(persons, channels, h, w, generator=generator) * scale
            for h, w in COARSEST_FIRST
        ]
        for _ in range(stages)
    ]


def persons(joints=17, count=3, seed=0):
    """Joints in pixels of a 48x64 input, some outside, and COCO's v."""
    rng = np.random.default_rng(seed)
    keypoints = rng.uniform(-4, 52, (count, 1, joints, 2)).astype(np.float32)
    v = rng.integers(0, 3, (count, 1, joints))
    v[:, :, 0] = 2
    return list(zip(keypoints, v, strict=True))


def samples_of(people, **codec):
    """What the loader makes of these persons with our codec."""
    codec = KEYPOINT_CODECS.build({**CODEC, **codec})
    samples = []
    for keypoints, v in people:
        labels = codec.encode(keypoints, (v > 0).astype(np.float32), (v > 1).astype(np.float32))
        sample = PoseDataSample(metainfo=dict(flip_indices=_flip_indices(keypoints.shape[1])))
        if 'heatmaps' in labels:
            sample.gt_fields = MultilevelPixelData(heatmaps=labels.pop('heatmaps')).to_tensor()
        sample.gt_instance_labels = InstanceData(**labels).to_tensor()
        samples.append(sample)
    return samples


def _flip_indices(joints):
    """Joints 0 and 1, 2 and 3 and so on are each other's mirror images; an odd one is its own."""
    return [min(i ^ 1, joints - 1) for i in range(joints)]


def mmpose_samples_of(people):
    """What the loader makes of these persons with MMPose's five codecs."""
    codecs = [MegviiHeatmap((48, 64), (12, 16), kernel) for kernel in KERNELS]
    samples = []
    for keypoints, v in people:
        levels = [c.encode(keypoints, (v > 0).astype(np.float32)) for c in codecs]
        joints = keypoints.shape[1]
        sample = PoseDataSample(metainfo=dict(flip_indices=_flip_indices(joints)))
        sample.gt_fields = MultilevelPixelData(
            heatmaps=[level['heatmaps'] for level in levels]
        ).to_tensor()
        weights = np.stack([level['keypoint_weights'] for level in levels])
        sample.gt_instance_labels = InstanceData(keypoint_weights=weights).to_tensor()
        samples.append(sample)
    return samples
