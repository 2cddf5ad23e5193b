"""A model file for production.

The file is checked against PyTorch before it gets its name. What it needs beside itself is in its
metadata: examples/onnx_demo.py runs it with onnxruntime, NumPy and OpenCV.
"""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmpose.registry import TRANSFORMS
from torch import Tensor, nn

from ..errors import SettingError
from ..files import check_target, writing
from .fused import FusedEstimator

TOLERANCE = 0.05
"""How far a keypoint may be from PyTorch's, in pixels of the input."""

OPSET = 17


class PoseGraph(nn.Module):
    """What is exported: from crops to keypoints, or to heatmaps.

    Args:
        estimator (FusedEstimator): The network, its normalisation and its codec.
        normalise (bool): Whether the input is crops as OpenCV has them, or normalised already.
        decode (bool): Whether keypoints come out, or heatmaps.
        flip_test (bool): Whether the mirrored crops are predicted too, and the mean is taken.
    """

    def __init__(
        self, estimator: FusedEstimator, normalise: bool, decode: bool, flip_test: bool
    ) -> None:
        super().__init__()
        self.network = estimator.network
        self.codec: Any = estimator.head.decoder
        self.normalise, self.decode, self.flip_test = normalise, decode, flip_test
        self.flip_indices = list(estimator.dataset_meta['flip_indices'])
        self.mean, self.std, self.swap = normalisation(estimator)
        if decode and not hasattr(self.codec, 'locate'):
            raise SettingError(
                f'the codec {type(self.codec).__name__} cannot decode inside of a graph; export '
                'the heatmaps (--heatmaps), or use CoarseToFineHeatmap'
            )

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Predict.

        Args:
            images (Tensor): With ``normalise`` uint8 BGR, (B, h, w, 3); else what the network was
                trained with, float32 (B, 3, h, w).

        Returns:
            Tensor | tuple[Tensor, Tensor]: Keypoints in input pixels (B, K, 2) and scores (B, K),
            or heatmaps (B, K, H, W); all float32.
        """
        heatmaps = self.heatmaps(images)
        return self.codec.locate(heatmaps) if self.decode else heatmaps

    def heatmaps(self, images: Tensor) -> Tensor:
        """Predict heatmaps (B, K, H, W) of the same images."""
        if self.normalise:
            images = images.permute(0, 3, 1, 2).float()
            if self.swap:
                images = images.flip(1)
            images = (images - self.mean) / self.std
        heatmaps = self.network(images)
        if self.flip_test:
            mirrored = self.network(images.flip(-1)).flip(-1)
            heatmaps = (heatmaps + mirrored[:, self.flip_indices]) * 0.5
        return heatmaps


def normalisation(estimator: nn.Module) -> tuple[Tensor, Tensor, bool]:
    """How an estimator's preprocessor normalises crops.

    Returns:
        tuple: mean and standard deviation, (1, 3, 1, 1) each, and whether BGR becomes RGB.
    """
    preprocessor: Any = estimator.data_preprocessor
    swap = bool(preprocessor._channel_conversion)
    if not preprocessor._enable_normalize:
        return torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 1, 1), swap
    return preprocessor.mean.cpu()[None], preprocessor.std.cpu()[None], swap


def metadata(estimator: FusedEstimator, graph: PoseGraph) -> dict[str, str]:
    """What a program needs to know to run the file, as JSON values.

    Args:
        estimator (FusedEstimator): The estimator.
        graph (PoseGraph): What is exported of it.

    Returns:
        dict[str, str]: ``input_size`` (w, h), ``heatmap_size``, ``padding`` (how many times as wide
        and as high as the bbox the crop is, before it is given the shape of the input), ``layout``
        of the input, ``mean`` and ``std`` in the order of the input's channels, ``channels``,
        ``keypoints`` (names), ``skeleton`` and ``flip_pairs`` (pairs of indices), ``flip_test``.

    Raises:
        SettingError: If :func:`bbox_padding` does.
    """
    meta = estimator.dataset_meta
    flip_indices = [int(i) for i in meta['flip_indices']]
    content = dict(
        input_size=list(graph.codec.input_size),
        heatmap_size=list(graph.codec.heatmap_size),
        padding=bbox_padding(estimator.cfg.test_dataloader.dataset.pipeline),
        layout='NHWC uint8' if graph.normalise else 'NCHW float32',
        channels='BGR' if graph.normalise or not graph.swap else 'RGB',
        mean=[0.0] * 3 if graph.normalise else graph.mean.flatten().tolist(),
        std=[1.0] * 3 if graph.normalise else graph.std.flatten().tolist(),
        keypoints=[meta['keypoint_id2name'][i] for i in range(len(flip_indices))],
        skeleton=[[int(a), int(b)] for a, b in meta['skeleton_links']],
        flip_pairs=[[i, j] for i, j in enumerate(flip_indices) if i < j],
        flip_test=graph.flip_test,
    )
    return {name: json.dumps(value) for name, value in content.items()}


def bbox_padding(pipeline: Sequence[dict[str, Any]]) -> list[float]:
    """How much larger than a bbox the part of the image is that a test pipeline cuts out.

    Args:
        pipeline (Sequence[dict]): The configs of its transforms.

    Returns:
        list[float]: Factors of the width and of the height.

    Raises:
        SettingError: If no transform that the plugin knows enlarges the bbox.
    """
    for step in pipeline:
        if step['type'] in ('GetBBoxCenterScale', 'MegviiTestBBox'):
            enlarged = TRANSFORMS.build(step)(dict(bbox=np.array([[0.0, 0.0, 1.0, 1.0]])))
            return enlarged['bbox_scale'][0].astype(float).round(6).tolist()
    raise SettingError(
        'the test pipeline has neither GetBBoxCenterScale nor MegviiTestBBox, so that the file '
        'could not say how crops are cut out; put one of them into test_dataloader.dataset.pipeline'
    )


def export_onnx(
    estimator: FusedEstimator,
    target: str | Path,
    normalise: bool = True,
    decode: bool = True,
    flip_test: bool = False,
    overwrite: bool = False,
) -> float:
    """Write an ONNX file of any batch size, and check it in ONNX Runtime before it gets its name.

    Args:
        estimator (FusedEstimator): From :func:`~mspn_plugin.inference.fused.fuse`, in
            float32 on the CPU.
        target (str | Path): The file, ``.onnx``.
        normalise (bool): Whether the input is ``image``, crops as OpenCV has them, uint8 BGR
            (B, h, w, 3), or normalised crops, float32 (B, 3, h, w).
        decode (bool): Whether the outputs are ``keypoints`` in input pixels (B, K, 2) and
            ``scores`` (B, K), or ``heatmaps`` (B, K, H, W).
        flip_test (bool): Whether the mirrored crops are predicted too.
        overwrite (bool): Whether an existing file is replaced.

    Returns:
        float: The largest difference from PyTorch: pixels of the input, or with ``decode=False``
        parts of the largest heatmap value.

    Raises:
        SettingError: If the target can't be written.
        RuntimeError: If the file computes something else than PyTorch. It is deleted then.
    """
    import onnx

    target = Path(target)
    check_onnx_target(target, overwrite)
    if estimator.network.dtype != torch.float32:
        raise SettingError('only a float32 estimator can be exported and checked')
    graph = PoseGraph(estimator, normalise, decode, flip_test).eval()
    properties = metadata(estimator, graph)
    outputs = ['keypoints', 'scores'] if decode else ['heatmaps']
    with writing(target) as unfinished:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            torch.onnx.export(
                graph,
                (crops(graph, 2),),
                str(unfinished),
                input_names=['image'],
                output_names=outputs,
                dynamic_axes={name: {0: 'batch'} for name in ['image', *outputs]},
                opset_version=OPSET,
                dynamo=False,
            )
        model = onnx.load(str(unfinished))
        onnx.helper.set_model_props(model, properties)
        onnx.save(model, str(unfinished))
        difference = check(graph, unfinished)
    return difference


def check_onnx_target(target: Path, overwrite: bool) -> None:
    """Refuse a target that can't be written, before any work.

    Raises:
        SettingError: If it has another suffix, or :func:`~mspn_plugin.files.check_target` does.
    """
    if target.suffix != '.onnx':
        raise SettingError(f'{target}: the file to write must end in .onnx')
    check_target(target, overwrite)


def crops(graph: PoseGraph, count: int) -> Tensor:
    """Smooth random crops, as the graph takes them; the same for the same count."""
    width, height = graph.codec.input_size
    generator = torch.Generator().manual_seed(count)
    coarse = torch.rand(count, 3, 8, 6, generator=generator) * 255
    images = nn.functional.interpolate(coarse, (height, width), mode='bicubic').clamp(0, 255)
    if graph.normalise:
        return images.permute(0, 2, 3, 1).round().to(torch.uint8).contiguous()
    return (images - graph.mean) / graph.std


def check(graph: PoseGraph, path: Path) -> float:
    """Compare a file in ONNX Runtime with PyTorch, for batches of 1 and 3.

    Where two places of a heatmap are equally high but for rounding, either is right: a keypoint
    that moves in PyTorch too, when the heatmap is changed by a hundred-thousandth, does not count.

    Args:
        graph (PoseGraph): What was exported.
        path (Path): The file.

    Returns:
        float: The largest difference, as of :func:`export_onnx`.

    Raises:
        RuntimeError: If they differ.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    limit, unit = (TOLERANCE, 'pixels') if graph.decode else (1e-4, 'of the largest heatmap value')
    differences: list[float] = []
    for count in (1, 3):
        images = crops(graph, count)
        outputs = [torch.from_numpy(o) for o in session.run(None, {'image': images.numpy()})]
        with torch.no_grad():
            heatmaps = graph.heatmaps(images)
        peak = heatmaps.abs().max()
        if not graph.decode:
            differences.append(float((outputs[0] - heatmaps).abs().max() / peak))
            continue
        keypoints, scores = graph.codec.locate(heatmaps)
        noise = torch.rand(heatmaps.shape, generator=torch.Generator().manual_seed(0)) - 0.5
        shaken, _ = graph.codec.locate(heatmaps + 2e-5 * peak * noise)
        is_sure = ((shaken - keypoints).abs() < TOLERANCE / 2).all(-1)
        same = torch.allclose(outputs[1], scores, atol=1e-3 * max(1.0, float(peak) / 255))
        apart = (outputs[0] - keypoints).abs().amax(-1)[is_sure]
        differences.append(float(apart.max()) if same and len(apart) else float('inf'))
    if not all(difference <= limit for difference in differences):  # NaN is not
        raise RuntimeError(
            f'ONNX Runtime {onnxruntime.__version__} and PyTorch {torch.__version__} differ by '
            f'{max(differences)} {unit} in the exported file, which is deleted'
        )
    return max(differences)
