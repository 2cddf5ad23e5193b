"""The engines that run an exported network on a processor: ONNX Runtime and OpenVINO."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample

from ..compat import has_bfloat16
from ..errors import SettingError


class OnnxRuntime:
    """A file of :func:`~mspn_plugin.inference.onnx.export_onnx` in ONNX Runtime.

    Float layers are computed in fp32, the only precision, and int8 layers in int8.

    Raises:
        SettingError: If the engine is not installed.
    """

    def __init__(self, path: str | Path, precision: str = 'fp32') -> None:
        onnxruntime = needed('onnxruntime')
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.session = onnxruntime.InferenceSession(
            str(path), options, providers=['CPUExecutionProvider']
        )

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        """Run the file on a batch of images; the outputs come in the file's order."""
        return self.session.run(None, {'image': images})


class OpenVino:
    """The same in OpenVINO, of which ``precision`` may also be ``'bf16'``."""

    def __init__(self, path: str | Path, precision: str = 'fp32') -> None:
        # Unasked, OpenVINO computes in bfloat16 where the processor can.
        options = {
            'INFERENCE_PRECISION_HINT': 'bf16' if precision == 'bf16' else 'f32',
            'INFERENCE_NUM_THREADS': torch.get_num_threads(),
        }
        self.model = openvino_core().compile_model(str(path), 'CPU', options)

    def __call__(self, images: np.ndarray) -> list[np.ndarray]:
        """Run the file on a batch of images; the outputs come in the file's order."""
        results = self.model([images])
        return [results[output].copy() for output in self.model.outputs]


ENGINES: dict[str, type[OnnxRuntime] | type[OpenVino]] = {
    'openvino': OpenVino,
    'onnxruntime': OnnxRuntime,
}
"""The fastest first."""

PRECISIONS = {
    'openvino': ('fp32', 'bf16', 'int8'),
    'onnxruntime': ('fp32', 'int8'),
    'torch': ('fp32', 'bf16', 'fp16'),
}
"""What each engine computes in, the fastest first."""


def needed(package: str) -> Any:
    """Import a package that only engines need.

    Raises:
        SettingError: If it is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        engine = 'onnxruntime' if package == 'onnx' else package
        raise SettingError(
            f'{package} is not installed, or cannot be imported ({error}); `pip install onnx '
            f'{engine}` brings what is needed'
        ) from error


@cache
def openvino_core() -> Any:
    """OpenVINO's core, one in a process.

    Each core gives the process a stack for signals. When two go in the order in which they came,
    the second puts back the first one's, which is gone, and the next signal is a crash.
    """
    return needed('openvino').Core()


def installed_engines() -> list[str]:
    """The names of the engines beside torch that are installed, the fastest first."""
    return [name for name in ENGINES if find_spec(name)]


def choose_engine(name: str, precision: str, device: str, is_exported: bool = False) -> str:
    """Decide what runs.

    Args:
        name (str): An engine, or ``'auto'`` for the fastest that is installed and computes in the
            precision.
        precision (str): ``'fp32'``, ``'bf16'``, ``'fp16'`` or ``'int8'``.
        device (str): The torch device. On a GPU only torch runs.
        is_exported (bool): Whether it is to run a file of `mspn export`, which torch can't.

    Raises:
        SettingError: If nothing can, or the engine that was asked for can't.
    """
    fitting = [engine for engine, known in PRECISIONS.items() if precision in known]
    if is_exported:
        fitting = [engine for engine in fitting if engine != 'torch']
    if not fitting:
        raise SettingError(
            f'an exported file cannot be computed in {precision}; leave --precision out'
        )
    if name == 'auto':
        available = ['torch'] if device != 'cpu' else [*installed_engines(), 'torch']
        name = next((engine for engine in available if engine in fitting), fitting[-1])
    if name not in fitting:
        raise SettingError(
            f'--engine {name} does not compute in {precision}; {" and ".join(fitting)} can, and '
            f'{name} computes in {", ".join(PRECISIONS[name])}'
        )
    if name != 'torch':
        needed(name)
        if device != 'cpu':
            raise SettingError(
                f'--engine {name} runs on the processor, not on {device}; add --device cpu, or '
                'take --engine torch'
            )
    return name


def supported_precision(precision: str, device: str) -> tuple[str, str | None]:
    """What to compute in where a precision is asked for, and a message if not so or slowly.

    That is where this processor has no instructions for it.
    """
    if precision == 'bf16' and device == 'cpu' and not has_bfloat16():
        return 'fp32', 'this processor has no instructions for bfloat16; fp32 runs instead'
    capabilities: dict[str, Any] = getattr(torch.cpu, 'get_capabilities', dict)()
    is_without_vnni = capabilities.get('architecture') == 'x86_64' and not (
        capabilities.get('avx512_vnni') or capabilities.get('avx_vnni')
    )
    if precision == 'int8' and is_without_vnni:
        return 'int8', ('this processor has no VNNI instructions for int8; slower ones run instead')
    return precision, None


@dataclass
class EngineEstimator:
    """An exported network in an engine, in the place of an estimator in ``PosePredictor``.

    The engine maps uint8 BGR crops (B, h, w, 3) to keypoints in pixels of the crops (B, K, 2) and
    scores (B, K).
    """

    engine: Callable[[np.ndarray], list[np.ndarray]]
    cfg: Config  # that crops are made by
    dataset_meta: Mapping[str, Any]  # MMPose's: the keypoints' names, the skeleton and the colours

    def test_step(self, data: Mapping[str, Any]) -> Sequence[PoseDataSample]:
        """Predict a batch of a test pipeline; the samples get ``pred_instances``."""
        crops = torch.stack(data['inputs']).permute(0, 2, 3, 1).contiguous()
        for sample, keypoints, scores in zip(data['data_samples'], *self.engine(crops.numpy())):
            meta = sample.metainfo
            scale = np.asarray(meta['input_scale'])
            corner = meta['input_center'] - 0.5 * scale
            sample.pred_instances = InstanceData(
                keypoints=(keypoints / meta['input_size'] * scale + corner)[None],
                keypoint_scores=scores[None],
            )
        return data['data_samples']
