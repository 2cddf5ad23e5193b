"""Convolutions that oneDNN computes together with what follows them, on a processor in float32.

Elsewhere, and while a graph is recorded, PyTorch's public operators do the same. oneDNN's are those
that PyTorch's compiler uses: private, so where they are missing nothing is taken from them.
"""

from typing import Any, cast

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from ..model.stage import Bottleneck, UpUnit, enlarge

_HAS_OPERATORS = torch.backends.mkldnn.is_available() and hasattr(
    torch.ops.mkldnn, '_convolution_pointwise'
)


class FusedConv(nn.Module):
    """A convolution, the sum with another tensor, and ReLU if ``rectify``.

    oneDNN orders the weights for one image and for several, once each.
    """

    def __init__(self, conv: nn.Conv2d, rectify: bool) -> None:
        super().__init__()
        self.conv = conv
        self.rectify = rectify
        self._ordered: dict[bool, Tensor] = {}

    def forward(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        """Compute relu(conv(x) + added), each part if asked for; ``added`` may be overwritten."""
        if not _runs(x):
            out = self.conv(x)
            out = out if added is None else out.add_(added)
            return out.relu_() if self.rectify else out
        conv, operators = self.conv, torch.ops.mkldnn
        how = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)
        # Without AVX512 several images take up to twice as long, and a single one three times, with
        # weights in the other's order.
        single = len(x) == 1
        if single not in self._ordered:
            self._ordered[single] = operators._reorder_convolution_weight(
                conv.weight, *how, list(x.shape)
            )
        rest = (self._ordered[single], conv.bias, *how)
        if added is None:
            then = 'relu' if self.rectify else 'none'
            return operators._convolution_pointwise(x, *rest, then, [], '')
        last = 'relu' if self.rectify else None
        return operators._convolution_pointwise_(added, x, *rest, 'add', 1.0, last, [], '')

    def _apply(self, *args: Any, **kwargs: Any) -> 'FusedConv':
        self._ordered = {}  # the weights move or change their type
        return super()._apply(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        # Weights in oneDNN's order can neither be copied nor pickled.
        return {**self.__dict__, '_ordered': {}}


class FusedBottleneck(nn.Module):
    """A :class:`~mspn_plugin.model.stage.Bottleneck` of fused convolutions.

    Nobody else reads the input of one without ``downsample``, which is therefore overwritten: a
    unit's first has ``downsample`` always, and the others follow a bottleneck.
    """

    def __init__(self, block: Bottleneck) -> None:
        super().__init__()
        self.convs = nn.Sequential(FusedConv(block.conv1, True), FusedConv(block.conv2, True))
        self.last = FusedConv(block.conv3, True)
        self.downsample = block.downsample

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, h, w) to (B, 4 * mid_channels, h / stride, w / stride)."""
        added = x if self.downsample is None else self.downsample(x)
        return self.last(self.convs(x), added)


class FusedUpUnit(UpUnit):
    """An :class:`~mspn_plugin.model.stage.UpUnit` that convolves before it enlarges.

    Enlarging by ``align_corners=True`` makes means whose weights sum to 1, the same for all
    channels, and a 1x1 convolution makes sums over channels, the same for all pixels: the two may
    change places. In front, the convolution has a quarter of the pixels.

    Args:
        unit (UpUnit): The unit, of fused convolutions. Its modules are used.
    """

    def __init__(self, unit: UpUnit) -> None:
        nn.Module.__init__(self)
        self.__dict__.update(vars(unit))
        self.in_skip = FusedConv(cast(FusedConv, unit.in_skip).conv, True)

    def combine(self, down: Tensor, coarser: Tensor | None) -> Tensor:
        """Make this scale's up feature, as the unit does."""
        if coarser is None:
            return self.in_skip(down)
        return self.in_skip(down, enlarge(cast(nn.Module, self.up_conv)(coarser), down.shape[2:]))


_REPLACED = {nn.Conv2d, nn.Identity, nn.ReLU, FusedConv}
"""What a block may consist of for fused convolutions to do the same."""


def fuse_convolutions(module: nn.Module) -> None:
    """Put fused convolutions in the place of bottlenecks, up units and mmcv's ``ConvModule``.

    Those with norms of their own, or other activations than ReLU, stay as they are.

    Args:
        module (nn.Module): In evaluation mode. It is changed.
    """
    for name, child in module.named_children():
        fuse_convolutions(child)
        if not {type(part) for part in child.children()} <= _REPLACED:
            continue
        if isinstance(child, ConvModule):
            module.add_module(name, FusedConv(child.conv, child.with_activation))
        elif isinstance(child, Bottleneck):
            module.add_module(name, FusedBottleneck(child))
        elif isinstance(child, UpUnit):
            module.add_module(name, FusedUpUnit(child))


def _runs(x: Tensor) -> bool:
    """Whether oneDNN's operators can take this tensor."""
    return (
        x.device.type == 'cpu'
        and x.dtype == torch.float32
        and x.is_contiguous(memory_format=torch.channels_last)
        and not torch.jit.is_tracing()
        and not torch.compiler.is_compiling()
        and _HAS_OPERATORS
    )
