"""The supervision beside MMPose's: all unit losses, a head's whole loss, and its prediction.

Run ``python benchmarks/bench_supervision.py [--quick]``. Both sides get the same heatmaps, targets
and weights, and their losses are compared before they are timed. Times are medians of interleaved
runs, the first call of each turn thrown away, on the CPU and on a GPU where there is one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData
from rows import interleaved, make_row, run_topic
from torch import Tensor, nn

from mspn_plugin import CoarseToFineHeatmap, JointMSELoss, MultiStageHeatmapHead, OHKMLoss

# After the plugin, which lets mmpose import.
from mmpose.models.heads import MSPNHead  # isort: skip
from mmpose.models.losses import KeypointMSELoss, KeypointOHKMMSELoss  # isort: skip
from mmpose.structures import MultilevelPixelData, PoseDataSample  # isort: skip

STAGES, UNITS, KEYPOINTS = 4, 4, 17
WIDTH, HEIGHT = 48, 64
CODEC = dict(type='CoarseToFineHeatmap')
LEVELS = [0, 1, 2, 3] * (STAGES - 1) + [1, 2, 3, 4]
MMPOSE_LOSSES = [dict(type='KeypointMSELoss', use_target_weight=True, loss_weight=0.25)] * 3
MMPOSE_LOSSES.append(dict(type='KeypointOHKMMSELoss', use_target_weight=True))

Contenders = Mapping[str, Callable[[], Tensor]]


def samples(persons: int, device: str) -> list[PoseDataSample]:
    """Make what a loader hands over for persons with keypoints anywhere, 3 of 10 unlabelled."""
    rng = np.random.default_rng(0)
    codec = CoarseToFineHeatmap()
    result = []
    for _ in range(persons):
        keypoints = rng.uniform(0, 190, (1, KEYPOINTS, 2)).astype(np.float32)
        labels = codec.encode(keypoints, (rng.random((1, KEYPOINTS)) > 0.3).astype(np.float32))
        sample = PoseDataSample(metainfo=dict(flip_indices=list(range(KEYPOINTS))))
        sample.gt_fields = MultilevelPixelData(heatmaps=labels.pop('heatmaps')).to_tensor()
        sample.gt_instance_labels = InstanceData(**labels).to_tensor()
        result.append(sample.to(device))
    return result


def unit_losses(maps: Sequence[Tensor], batch: Sequence[PoseDataSample]) -> Contenders:
    """Every unit's loss module, forward and backward, on targets that are stacked already."""
    targets = [torch.stack([s.gt_fields[i].heatmaps for s in batch]) for i in range(5)]
    weights = torch.cat([s.gt_instance_labels.keypoint_weights[0] for s in batch])
    modules = {
        'ours': (JointMSELoss(loss_weight=0.25), OHKMLoss()),
        'mmpose': (
            KeypointMSELoss(use_target_weight=True, loss_weight=0.25),
            KeypointOHKMMSELoss(use_target_weight=True),
        ),
    }

    def step(unit_loss: nn.Module, final_loss: nn.Module) -> Tensor:
        total = torch.zeros((), device=weights.device)
        for i, heatmaps in enumerate(maps):
            loss = final_loss if i % UNITS == UNITS - 1 else unit_loss
            total = total + loss(heatmaps, targets[LEVELS[i]], weights)
        torch.autograd.grad(total, maps)
        return total

    return {name: lambda m=m: step(*m) for name, m in modules.items()}


def heads(channels: int, device: str) -> dict[str, nn.Module]:
    """Build our head and MMPose's with the same weights."""
    ours = MultiStageHeatmapHead(STAGES, CODEC, unit_channels=channels)
    theirs = MSPNHead(
        STAGES,
        UNITS,
        (HEIGHT, WIDTH),
        channels,
        KEYPOINTS,
        level_indices=LEVELS,
        loss=MMPOSE_LOSSES * STAGES,
        decoder=dict(
            type='MegviiHeatmap', input_size=(192, 256), heatmap_size=(WIDTH, HEIGHT), kernel_size=5
        ),
    )
    theirs.load_state_dict(ours.state_dict())
    return {'ours': ours.to(device).eval(), 'mmpose': theirs.to(device).eval()}


def whole_loss(maps: Sequence[Tensor], batch: Sequence[PoseDataSample]) -> Contenders:
    """Each head's ``loss`` on given heatmaps: stacks targets, losses, accuracy, and backward."""
    by_stage = [list(maps[i : i + UNITS]) for i in range(0, len(maps), UNITS)]
    both = heads(KEYPOINTS, maps[0].device.type)
    for head in both.values():
        head.predict_layers = nn.ModuleList(nn.Identity() for _ in maps)

    def step(head: Any) -> Tensor:
        loss = head.loss(by_stage, batch)['loss_kpt']
        torch.autograd.grad(loss, maps)
        return loss

    return {name: lambda h=h: step(h) for name, h in both.items()}


def prediction(persons: int, batch: Sequence[PoseDataSample], device: str) -> Contenders:
    """Each head's ``predict`` with the flip test, from the features of 4 stages on."""
    channels = 256
    feats = [
        [
            torch.randn(persons, channels, HEIGHT >> i, WIDTH >> i, device=device)
            for i in reversed(range(UNITS))
        ]
        for _ in range(STAGES)
    ]

    @torch.inference_mode()
    def step(head: Any) -> Tensor:
        test_cfg = dict(flip_test=True, output_heatmaps=True)
        _, fields = head.predict([feats, feats], batch[:persons], test_cfg)
        return torch.stack([f.heatmaps for f in fields])

    return {name: lambda h=h: step(h) for name, h in heads(channels, device).items()}


def row(what: str, contenders: Contenders, repeats: int, note: str = '') -> dict[str, Any]:
    """Check that both sides compute the same, then time them in turn."""
    torch.testing.assert_close(
        contenders['ours'](), contenders['mmpose'](), rtol=1e-5, atol=1e-5, check_stride=False
    )
    times = interleaved(contenders, repeats=repeats, settle=1)
    return make_row('supervision', what, times['ours'].median, times['mmpose'].median, note)


def run(quick: bool) -> list[dict[str, Any]]:
    """Measure everything, or less of it; the rows are of :func:`rows.make_row`."""
    persons, predicted, repeats = (4, 1, 3) if quick else (32, 8, 21)
    rows = []
    for device in ['cpu', 'cuda'] if torch.cuda.is_available() else ['cpu']:
        torch.manual_seed(0)
        batch = samples(persons, device)
        maps = [
            (torch.randn(persons, KEYPOINTS, HEIGHT, WIDTH, device=device) * 30).requires_grad_()
            for _ in range(STAGES * UNITS)
        ]
        where = torch.cuda.get_device_name() if device == 'cuda' else 'CPU'
        rows += [
            row(
                f'{STAGES * UNITS} unit losses, forward and backward, persons: {persons}, {where}',
                unit_losses(maps, batch),
                repeats,
            ),
            row(
                f"a head's loss on given heatmaps, persons: {persons}, {where}",
                whole_loss(maps, batch),
                repeats,
                'stacking the targets, all unit losses, accuracy and backward',
            ),
            row(
                f"a head's prediction with the flip test, persons: {predicted}, {where}",
                prediction(predicted, batch, device),
                3 if quick else 7,
                'ours runs 1 of 16 unit heads; decoding included',
            ),
        ]
    return rows


if __name__ == '__main__':
    run_topic(__doc__, run)
