"""What the 2024 OpenMMLab releases need on today's Python, and nothing else.

:func:`apply` runs when the plugin is imported. Each remedy stands in a function of its own that
says which release needs it and why, and does nothing where it is not needed: a newer release of
the package makes it idle, and the function can then be deleted.
"""

import atexit
import importlib
import importlib.util
import pickle
import sys
import tempfile
import time
import warnings
from functools import cache, partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor


def apply() -> None:
    """Apply every remedy that this environment needs. Calling it again changes nothing."""
    declare_torchvision_ops()
    replace_mmcv_ops()
    allow_mmengine_checkpoints()
    refuse_other_checkpoints()
    draw_joints_with_numpy()
    train_in_half_precision_on_a_cpu()
    launch_processes_on_a_cpu()


def declare_torchvision_ops() -> None:
    """Let torchvision's Python side import beside a torch of another build.

    mmpose 1.3.2's visualizer imports ``torchvision.transforms``. torchvision's wheel for CUDA can't
    load its compiled part beside a CPU build of torch, and then ``import torchvision`` raises
    "operator torchvision::nms does not exist" (torchvision 0.28, torch 2.13). Declaring the two
    operators' signatures is enough for the Python side; calling them still fails.
    """
    if 'torchvision' in sys.modules or importlib.util.find_spec('torchvision') is None:
        return
    try:
        import torchvision
    except RuntimeError as error:
        if 'torchvision::nms' not in str(error):
            raise
        schema = '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor'
        torch.library.define('torchvision::nms', schema)
        torch.library.define('torchvision::qnms', schema)
        for name in [n for n in sys.modules if n.split('.')[0] == 'torchvision']:
            del sys.modules[name]
        import torchvision  # noqa: F401


def nms(bboxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """mmcv's operator ``nms``: leave out boxes that overlap a better one.

    torchvision's operator does it where it loads, else NumPy. Both give mmcv's boxes: a box
    whose overlap equals the threshold stays.

    Args:
        bboxes (Tensor): Left, top, right and bottom, (N, 4).
        scores (Tensor): Their scores, (N,).
        iou_threshold (float): The intersection over union beyond which a box is left out.
        offset (int): A box's width is its right minus its left plus this, 0 or 1.

    Returns:
        Tensor: int64 indices of the boxes that stay, those with high scores first.
    """
    # mmcv has the threshold in float32 too; torchvision compares in float64.
    iou_threshold = torch.tensor(iou_threshold).item()
    # The order of equal scores is that of mmcv, whose sort is not a stable one; torchvision's is.
    order = scores.sort(descending=True)[1]
    if offset == 0 and torchvision_works(bboxes.device.type):
        return order[torch.ops.torchvision.nms(bboxes[order], scores[order], iou_threshold)]
    left, top, right, bottom = bboxes[order].float().cpu().numpy().T
    areas = (right - left + offset) * (bottom - top + offset)
    rest, stay = np.arange(len(order)), []
    while len(rest):
        best, rest = rest[0], rest[1:]
        stay.append(best)
        width = np.minimum(right[best], right[rest]) - np.maximum(left[best], left[rest]) + offset
        height = np.minimum(bottom[best], bottom[rest]) - np.maximum(top[best], top[rest]) + offset
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        with np.errstate(divide='ignore', invalid='ignore'):
            overlaps = shared / (areas[best] + areas[rest] - shared)
        rest = rest[~(overlaps > iou_threshold)]
    return order[torch.tensor(stay, dtype=torch.long, device=order.device)]


@cache
def torchvision_works(device: str) -> bool:
    """Whether torchvision's compiled operators load, and have ``nms`` for a type of device."""
    box = torch.zeros(1, 4, device=device)
    try:
        torch.ops.torchvision.nms(box, box[:, 0], 0.5)
    except (AttributeError, RuntimeError):
        return False
    return True


class _PlainOps:
    """Stands for mmcv's compiled operators: ``nms`` works, another says what to do if called."""

    nms = staticmethod(nms)

    def __getattr__(self, name: str) -> Any:
        def missing(*args: Any, **kwargs: Any) -> NoReturn:
            raise RuntimeError(
                f'the compiled operator {name} of mmcv was called, but mmcv-lite is installed, '
                'which has none. MSPN and one-stage detectors such as RTMDet need none either; for '
                'a model that does, install full mmcv: pip uninstall mmcv-lite, then build '
                'mmcv==2.1.0 (docs/install.md)'
            )

        return missing


def replace_mmcv_ops() -> None:
    """Let mmpose and mmdet import with mmcv-lite, and one-stage detectors run.

    ``mmpose.models`` (1.3.2) and mmdet 3.3.0 import ``mmcv.ops`` whether or not a model uses it,
    and mmcv-lite has its Python files without ``mmcv._ext``. mmcv has no wheel for today's torch,
    MSPN needs no compiled operator, and RTMDet and its like need ``nms`` alone. With full mmcv
    nothing is touched. ``sys.modules`` is left alone too, because MMEngine tells the two apart by
    looking for ``mmcv._ext``.
    """
    if importlib.util.find_spec('mmcv') is None or importlib.util.find_spec('mmcv._ext'):
        return
    from mmcv.utils import ext_loader

    ext_loader.load_ext = lambda name, funcs: _PlainOps()


def _statistics_method(owner: type, name: str) -> Any:
    """``getattr`` for one purpose: the statistics that a saved ``HistoryBuffer`` refers to."""
    from mmengine.logging import HistoryBuffer

    if owner is not HistoryBuffer or name not in ('mean', 'min', 'max', 'current', 'data'):
        raise pickle.UnpicklingError(
            f'a checkpoint asks for {name!r} of {owner!r}, which no checkpoint of MMEngine does; '
            'it is refused'
        )
    return getattr(owner, name)


def _no_bytes() -> bytes:
    """``bytes`` for one purpose: the content of a saved array without elements."""
    return b''


def allow_mmengine_checkpoints() -> None:
    """Let ``torch.load(weights_only=True)`` read what MMEngine 0.10.7 saves.

    From torch 2.6 on, loading admits tensors and plain types only, and MMEngine's checkpoints also
    hold the message hub: ``HistoryBuffer`` objects of NumPy arrays with references to their own
    methods (mmengine issue 1655). Those, and nothing more, are added to what may be loaded; a file
    that names any other callable is still refused.
    """
    from mmengine.logging import HistoryBuffer

    internals = 'numpy._core' if importlib.util.find_spec('numpy._core') else 'numpy.core'
    multiarray = importlib.import_module(f'{internals}.multiarray')
    arrays = [
        # A file names these by the module path of the NumPy that wrote it.
        (getattr(multiarray, name), f'{module}.multiarray.{name}')
        for module in ('numpy._core', 'numpy.core')
        for name in ('_reconstruct', 'scalar')
    ]
    dtypes = [type(np.dtype(kind)) for kind in ('f4', 'f8', 'i4', 'i8', 'u1', '?')]
    torch.serialization.add_safe_globals(
        [
            *(HistoryBuffer, np.ndarray, np.dtype, *arrays, *dtypes),
            (_statistics_method, 'builtins.getattr'),
            # An array without elements, such as the colours of no bones, is pickled by it.
            (_no_bytes, 'builtins.bytes'),
        ]
    )


def refuse_other_checkpoints() -> None:
    """Let no engine read a file that ``torch.load(weights_only=True)`` refuses.

    onedl-mmengine 0.10.12 tries that with a list of its own, in which ``getattr`` is, and loads
    with ``weights_only=False`` what is refused: anything that the file names is called then. Its
    function is replaced. A harmless file that names a callable then tells whether the engine
    refuses it; one that does not, as with ``TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1`` or a torch older
    than 2.6, is warned of.
    """
    from mmengine.runner import checkpoint

    def load_weights_only(file: Any, map_location: Any = None, weights_only: Any = None) -> Any:
        return torch.load(file, map_location=map_location, weights_only=True)

    if hasattr(checkpoint, '_safe_torch_load'):
        checkpoint._safe_torch_load = load_weights_only
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, 'names_a_callable.pth')
        torch.save(sys.getrecursionlimit, file)
        try:
            checkpoint.load_from_local(str(file), 'cpu')
        except pickle.UnpicklingError:
            return
    warnings.warn(
        'NOT SAFE: here MMEngine loads checkpoints that name a callable, and calls it. Load only '
        'checkpoints that you trust, or install torch 2.6 or newer with mmengine 0.10.7 or '
        'onedl-mmengine 0.10.12, and leave TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD unset '
        '(docs/install.md)',
        stacklevel=2,
    )


def draw_joints_with_numpy() -> None:
    """Let MMPose draw joints with NumPy 2.4 and newer.

    mmpose 1.3.2's OpenCV visualizer calls ``int()`` on a radius of shape (1,), which NumPy now
    refuses: ``mim test --show-dir``, ``browse_dataset`` and the demos end in a TypeError. It is
    handed a radius without dimensions.
    """
    if np.lib.NumpyVersion(np.__version__) < '2.4.0':
        return
    from mmpose.visualization.opencv_backend_visualizer import OpencvBackendVisualizer

    draw = OpencvBackendVisualizer.draw_circles
    if draw.__module__ == __name__:
        return

    def draw_circles(self: Any, center: Any, radius: Any, *args: Any, **kwargs: Any) -> Any:
        if self.backend == 'opencv':
            radius = np.reshape(radius, ())
        return draw(self, center, radius, *args, **kwargs)

    OpencvBackendVisualizer.draw_circles = draw_circles


def has_bfloat16() -> bool:
    """Whether this processor has instructions for bfloat16."""
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def train_in_half_precision_on_a_cpu() -> None:
    """Let ``mim train --amp`` run without an accelerator, and there in float16 as well.

    mmengine 0.10.7's ``AmpOptimWrapper`` asserts that there is an accelerator and takes CUDA's
    gradient scaler, and its ``autocast`` admits bfloat16 alone on a CPU. PyTorch has both types and
    a scaler for CPUs. As in PyTorch, bfloat16 is what a CPU takes if ``optim_wrapper.dtype`` names
    none. A processor without instructions for bfloat16 would take many times as long as in float32,
    and trains in float32 instead.
    """
    from mmengine.device import get_device
    from mmengine.optim.optimizer import amp_optimizer_wrapper
    from mmengine.runner import amp

    if get_device() != 'cpu' or amp.autocast.__module__ == __name__:
        return
    autocast_otherwise = amp.autocast

    def autocast(
        device_type: str | None = None, dtype: torch.dtype | None = None, **kwargs: Any
    ) -> Any:
        if device_type in (None, 'cpu'):
            if dtype == torch.float16:
                return torch.autocast('cpu', dtype, **kwargs)
            if dtype == torch.float32 or not has_bfloat16():
                return torch.autocast('cpu', enabled=False)
        return autocast_otherwise(device_type, dtype, **kwargs)

    amp.autocast = autocast
    amp_optimizer_wrapper.GradScaler = partial(torch.amp.GradScaler, 'cpu')
    # Nothing in that module asks this but the assertion.
    amp_optimizer_wrapper.is_cuda_available = lambda: True


def launch_processes_on_a_cpu() -> None:
    """Let ``mim train --launcher pytorch --gpus N`` run N processes without an accelerator.

    mmengine 0.10.7 calls ``torch.cuda.set_device`` whatever the backend, which a CPU build of torch
    lacks, and gives ``MMDistributedDataParallel`` the number of a GPU, which torch refuses for a
    model on the CPU. The processes talk through gloo, the backend that torch has for CPUs.
    """
    from mmengine.device import get_device
    from mmengine.dist import utils
    from mmengine.model import MMDistributedDataParallel

    if get_device() != 'cpu' or utils._init_dist_pytorch.__module__ == __name__:
        return

    def init_dist_pytorch(backend: str, init_backend: str = 'torch', **kwargs: Any) -> None:
        torch.distributed.init_process_group('gloo', **kwargs)
        # gloo's threads let go of the last tensors after the main thread has what it waited for. If
        # Python is ending then, they bring down a process that has finished its work.
        atexit.register(time.sleep, 0.1)

    wrap = MMDistributedDataParallel.__init__

    def wrap_on_the_cpu(self: Any, *args: Any, **kwargs: Any) -> None:
        wrap(self, *args, **{**kwargs, 'device_ids': None})

    utils._init_dist_pytorch = init_dist_pytorch
    MMDistributedDataParallel.__init__ = wrap_on_the_cpu
