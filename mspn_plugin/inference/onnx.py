"""A model file for production.

The file is checked against PyTorch before it gets its name. What it needs beside itself is in its
metadata: examples/onnx_demo.py runs it with onnxruntime, NumPy and OpenCV.
"""

import json
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmpose.registry import TRANSFORMS
from torch import Tensor, nn

from ..errors import SettingError
from ..files import writing
from .engines import ENGINES, EngineEstimator, choose_engine, needed
from .fused import FusedEstimator

TOLERANCE = 0.05
"""How far a keypoint may be from PyTorch's, in pixels of the input."""


class PoseGraph(nn.Module):
    """What :func:`export_onnx`, which has the same arguments, writes: crops to keypoints."""

    def __init__(
        self, estimator: FusedEstimator, normalise: bool, decode: bool, flip_test: bool
    ) -> None:
        super().__init__()
        self.network = estimator.network
        self.codec: Any = estimator.head.decoder
        self.normalise, self.decode, self.flip_test = normalise, decode, flip_test
        self.flip_indices = list(estimator.dataset_meta['flip_indices'])
        preprocessor: Any = estimator.data_preprocessor
        self.swap = bool(preprocessor._channel_conversion)
        self.mean, self.std = torch.zeros(3, 1, 1), torch.ones(3, 1, 1)
        if preprocessor._enable_normalize:
            self.mean, self.std = preprocessor.mean.cpu(), preprocessor.std.cpu()
        if decode and not hasattr(self.codec, 'locate'):
            raise SettingError(
                f'the codec {type(self.codec).__name__} cannot decode inside of a graph; export '
                'the heatmaps (--heatmaps), or use CoarseToFineHeatmap'
            )

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Predict keypoints and scores, or heatmaps."""
        heatmaps = self.heatmaps(images)
        return self.codec.locate(heatmaps) if self.decode else heatmaps

    def heatmaps(self, images: Tensor) -> Tensor:
        """Predict heatmaps of the same images, (B, K, H, W)."""
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


def metadata(estimator: FusedEstimator, graph: PoseGraph) -> dict[str, str]:
    """What a program needs to know to run the file that is made of a graph, as JSON values.

    Returns:
        dict[str, str]: ``precision``, ``input_size`` (w, h), ``padding`` (how many times as wide
        and as high as the bbox the crop is, before it is given the shape of the input),
        ``keypoints`` (names), ``skeleton`` and ``flip_pairs`` (pairs of indices); and where the
        input is normalised already ``channels`` (their order), and their ``mean`` and ``std``.
    """
    meta = estimator.dataset_meta
    flip_indices = [int(i) for i in meta['flip_indices']]
    content: dict[str, Any] = dict(
        precision='fp32',
        input_size=list(graph.codec.input_size),
        padding=bbox_padding(estimator.cfg.test_dataloader.dataset.pipeline),
        keypoints=[meta['keypoint_id2name'][i] for i in range(len(flip_indices))],
        skeleton=[[int(a), int(b)] for a, b in meta['skeleton_links']],
        flip_pairs=[[i, j] for i, j in enumerate(flip_indices) if i < j],
    )
    if not graph.normalise:
        content.update(
            channels='RGB' if graph.swap else 'BGR',
            mean=graph.mean.flatten().tolist(),
            std=graph.std.flatten().tolist(),
        )
    return {name: json.dumps(value) for name, value in content.items()}


def bbox_padding(pipeline: Sequence[dict[str, Any]]) -> list[float]:
    """The factors by which a test pipeline enlarges a bbox's width and height.

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
    engine: str = 'onnxruntime',
) -> float:
    """Write an ONNX file of any batch size, and check it in an engine before it gets its name.

    Args:
        estimator (FusedEstimator): From :func:`~mspn_plugin.inference.fused.fuse`, in
            float32 on the CPU.
        target (str | Path): The file. Its folder must exist.
        normalise (bool): Whether the input is ``image``, crops as OpenCV has them, uint8 BGR
            (B, h, w, 3), or normalised crops, float32 (B, 3, h, w).
        decode (bool): Whether the outputs are ``keypoints`` in input pixels (B, K, 2) and
            ``scores`` (B, K), or ``heatmaps`` (B, K, H, W).
        flip_test (bool): Whether the mirrored crops are predicted too.
        engine (str): The one of :data:`~mspn_plugin.inference.engines.ENGINES` to check it in.

    Returns:
        float: The largest difference from PyTorch: pixels of the input, or with ``decode=False``
        parts of the largest heatmap value.

    Raises:
        SettingError: If the estimator can't be exported, or a package is missing.
        RuntimeError: If the file computes something else than PyTorch. It is deleted then.
    """
    onnx = needed('onnx')
    needed(engine)
    graph = PoseGraph(estimator, normalise, decode, flip_test).eval()
    properties = metadata(estimator, graph)
    outputs = ['keypoints', 'scores'] if decode else ['heatmaps']
    with writing(Path(target)) as unfinished:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            torch.onnx.export(
                graph,
                (crops(graph, 2),),
                str(unfinished),
                input_names=['image'],
                output_names=outputs,
                dynamic_axes={name: {0: 'batch'} for name in ['image', *outputs]},
                opset_version=17,
                dynamo=False,
            )
        model = onnx.load(str(unfinished))
        onnx.helper.set_model_props(model, properties)
        onnx.save(model, str(unfinished))
        difference = check(graph, ENGINES[engine](unfinished))
    return difference


def on_engine(estimator: FusedEstimator, engine: str, precision: str) -> EngineEstimator:
    """Let an engine predict in the place of a fused estimator, once it is seen to do the same.

    Args:
        estimator (FusedEstimator): In float32 on the CPU.
        engine (str): Of :data:`~mspn_plugin.inference.engines.ENGINES`.
        precision (str): ``'fp32'`` or ``'bf16'``. The comparison with PyTorch is made in fp32.

    Raises:
        SettingError: If the estimator can't be exported, or a package is missing.
        RuntimeError: If the engine computes something else than PyTorch.
    """
    test_cfg = estimator.test_cfg
    flip_test = test_cfg.get('flip_test', False)
    if flip_test and (test_cfg.get('shift_heatmap') or test_cfg.get('flip_mode') != 'heatmap'):
        raise SettingError(
            f'--engine {engine} has only the flip test with flip_mode="heatmap" and '
            'shift_heatmap=False; --engine torch has what model.test_cfg asks for'
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'network.onnx')
        export_onnx(estimator, path, flip_test=flip_test, engine=engine)
        session = ENGINES[engine](path, precision)
    return EngineEstimator(session, estimator.cfg, estimator.dataset_meta)


def open_exported(
    path: str | Path, config: Config, engine: str, precision: str | None
) -> EngineEstimator:
    """Let an engine predict by a file that :func:`export_onnx` wrote.

    Args:
        path (str | Path): The file, of images in and keypoints out.
        config (Config): The config that it was exported with, by which crops are made.
        engine (str): An engine, or ``'auto'``.
        precision (str, optional): What is computed in; that of the file if None.

    Raises:
        SettingError: If the file is another one, or has another config or precision.
    """
    from mmpose.apis.inference import dataset_meta_from_config

    onnx = needed('onnx')
    try:
        model = onnx.load(str(path), load_external_data=False)
        properties = {p.key: json.loads(p.value) for p in model.metadata_props}
        names = [each.name for each in (*model.graph.input, *model.graph.output)]
        stored = properties['precision']
    except OSError as error:
        raise SettingError(f'{path}: {error.strerror or error}') from error
    except Exception as error:  # of protobuf, whose errors have no public base
        raise SettingError(f'{path} is not a file of `mspn export`') from error
    if names != ['image', 'keypoints', 'scores'] or 'mean' in properties:
        raise SettingError(
            f'{path} does not take images and give keypoints; export it without --heatmaps and '
            '--normalised-input'
        )
    precision = precision or stored
    if (precision == 'int8') != (stored == 'int8'):
        raise SettingError(
            f'{path} computes in {stored}, not in {precision}; leave --precision out, or export '
            f'another file {"with" if precision == "int8" else "without"} --int8'
        )
    meta = dataset_meta_from_config(config, dataset_mode='test')
    pipeline = config.test_dataloader.dataset.pipeline
    sizes = [list(step['input_size']) for step in pipeline if 'input_size' in step]
    expected = dict(
        input_size=sizes[-1] if sizes else None,
        padding=bbox_padding(pipeline),
        keypoints=[meta['keypoint_id2name'][i] for i in range(meta['num_keypoints'])],
    )
    for name, value in expected.items():
        if properties[name] != value:
            raise SettingError(
                f'{path} was exported with another config than {config.filename}: its {name} is '
                f'{properties[name]}, and not {value}'
            )
    engine = choose_engine(engine, precision, 'cpu', is_exported=True)
    return EngineEstimator(ENGINES[engine](path, precision), config, meta)


def crops(graph: PoseGraph, count: int) -> Tensor:
    """Smooth random crops, as the graph takes them; the same for the same count."""
    width, height = graph.codec.input_size
    generator = torch.Generator().manual_seed(count)
    coarse = torch.rand(count, 3, 8, 6, generator=generator) * 255
    images = nn.functional.interpolate(coarse, (height, width), mode='bicubic').clamp(0, 255)
    if graph.normalise:
        return images.permute(0, 2, 3, 1).round().to(torch.uint8).contiguous()
    return (images - graph.mean) / graph.std


def check(graph: PoseGraph, engine: Callable[[np.ndarray], list[np.ndarray]]) -> float:
    """Compare a file in an engine with PyTorch, for a batch that it was not exported with.

    Where two places of a heatmap are equally high but for rounding, either is right: a keypoint
    that moves in PyTorch too, when the heatmap is changed by a hundred-thousandth, does not count.
    It returns and raises what :func:`export_onnx` does.
    """
    images = crops(graph, 3)
    outputs = [torch.from_numpy(output) for output in engine(images.numpy())]
    with torch.no_grad():
        heatmaps = graph.heatmaps(images)
    peak = heatmaps.abs().max()
    if graph.decode:
        keypoints, scores = graph.codec.locate(heatmaps)
        noise = torch.randn(heatmaps.shape, generator=torch.Generator().manual_seed(0))
        shaken, _ = graph.codec.locate(heatmaps + 1e-5 * peak * noise)
        is_sure = ((shaken - keypoints).abs() < TOLERANCE / 2).all(-1)
        difference = (outputs[0] - keypoints).abs().amax(-1).where(is_sure, 0.0).max()
        same = torch.allclose(outputs[1], scores, atol=1e-3 * max(1.0, float(peak) / 255))
        is_close = same and is_sure.any() and difference <= TOLERANCE
    else:
        difference = (outputs[0] - heatmaps).abs().max() / peak
        is_close = difference <= 1e-4
    if not is_close:
        raise RuntimeError(
            f'{type(engine).__name__} and PyTorch {torch.__version__} differ by '
            f'{float(difference)} in the exported file, which is deleted'
        )
    return float(difference)
