"""One stage of the network: units on the way down and back up, and what joins it to the next.

The paper's sections 3.1 and 3.2. A *unit* is one scale of a stage: :class:`DownUnit` on the way
down, :class:`UpUnit` on the way up. *Aggregation* carries a stage's down and up features into the
next stage's way down, scale by scale.
"""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

from mmcv.cnn import ConvModule, build_norm_layer
from mmpose.registry import MODELS
from torch import Tensor, nn
from torch.nn.functional import interpolate

from .recompute import recompute

EXPANSION = 4
"""A bottleneck puts out this many times the channels that it works in, as in ResNet."""


class Aggregated(NamedTuple):
    """What one scale of a stage gives the same scale of the next (paper, section 3.2).

    Both are (B, C, h, w) with the C of the down unit.
    """

    down: Tensor
    up: Tensor


class Bottleneck(nn.Module):
    """ResNet's bottleneck block: 1x1, 3x3 (which carries the stride) and 1x1 convolutions."""

    def __init__(
        self,
        in_channels: int,
        mid_channels: int,
        stride: int,
        norm_cfg: dict[str, Any],
        act_cfg: dict[str, Any],
    ) -> None:
        super().__init__()
        out_channels = mid_channels * EXPANSION
        self.conv1 = nn.Conv2d(in_channels, mid_channels, 1, bias=False)
        self.norm1_name = self._add_norm(norm_cfg, mid_channels, 1)
        self.conv2 = nn.Conv2d(mid_channels, mid_channels, 3, stride=stride, padding=1, bias=False)
        self.norm2_name = self._add_norm(norm_cfg, mid_channels, 2)
        self.conv3 = nn.Conv2d(mid_channels, out_channels, 1, bias=False)
        self.norm3_name = self._add_norm(norm_cfg, out_channels, 3)
        self.activate = _activation(act_cfg)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = ConvModule(
                in_channels, out_channels, 1, stride=stride, norm_cfg=norm_cfg, act_cfg=None
            )

    def _add_norm(self, norm_cfg: dict[str, Any], channels: int, index: int) -> str:
        name, norm = build_norm_layer(norm_cfg, channels, postfix=index)
        self.add_module(name, norm)
        return name

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, h, w) to (B, 4 * mid_channels, h / stride, w / stride)."""
        out = self.activate(getattr(self, self.norm1_name)(self.conv1(x)))
        out = self.activate(getattr(self, self.norm2_name)(self.conv2(out)))
        out = getattr(self, self.norm3_name)(self.conv3(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.activate(out)


class DownUnit(nn.Sequential):
    """One scale of the way down: bottlenecks, then the sum with what the last stage gave.

    The paper spends the computation here (section 3.1): with ResNet-50's blocks the four units
    hold 3, 4, 6 and 3 bottlenecks, while the way up has one convolution per scale and input.
    """

    def __init__(
        self,
        in_channels: int,
        mid_channels: int,
        num_blocks: int,
        stride: int,
        norm_cfg: dict[str, Any],
        act_cfg: dict[str, Any],
    ) -> None:
        blocks = [Bottleneck(in_channels, mid_channels, stride, norm_cfg, act_cfg)]
        for _ in range(1, num_blocks):
            blocks.append(Bottleneck(mid_channels * EXPANSION, mid_channels, 1, norm_cfg, act_cfg))
        super().__init__(*blocks)

    def forward(self, x: Tensor, aggregated: Aggregated | None = None) -> Tensor:
        """Compute this scale's feature from the next finer one's and what the last stage gave."""
        for block in self:
            x = block(x)
        if aggregated is not None:
            # The first sum is a new tensor, which the second may overwrite.
            x = (x + aggregated.down).add_(aggregated.up)
        return x


class UpUnit(nn.Module):
    """One scale of the way up, and what this scale hands on to the next stage.

    This scale's down feature and the coarser scale's up feature, enlarged, go through a 1x1
    convolution and norm each and are added. For the next stage's aggregation (paper, section 3.2)
    this scale's down and up feature go through a 1x1 convolution, norm and ReLU each.

    Args:
        down_channels (int): Channels of the down feature.
        unit_channels (int): Channels of the up feature.
        has_coarser (bool): Whether there is a coarser scale to take in; the coarsest unit has none.
        aggregation (bool): Whether the next stage aggregates this one's features.
        handed_channels (int): Channels of the feature that starts the next stage. 0 for every unit
            but the finest, and in the last stage.
    """

    def __init__(
        self,
        down_channels: int,
        unit_channels: int,
        has_coarser: bool,
        aggregation: bool,
        handed_channels: int,
        norm_cfg: dict[str, Any],
        act_cfg: dict[str, Any],
    ) -> None:
        super().__init__()

        def conv(in_channels: int, out_channels: int, act: dict | None = act_cfg) -> ConvModule:
            return ConvModule(in_channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=act)

        self.in_skip = conv(down_channels, unit_channels, act=None)
        self.up_conv = conv(unit_channels, unit_channels, act=None) if has_coarser else None
        self.activate = _activation(act_cfg)
        self.out_skip1 = conv(down_channels, down_channels) if aggregation else None
        self.out_skip2 = conv(unit_channels, down_channels) if aggregation else None
        self.cross_conv = conv(unit_channels, handed_channels) if handed_channels else None

    def handing_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the parameters that work for the next stage alone."""
        for module in (self.out_skip1, self.out_skip2, self.cross_conv):
            if module is not None:
                yield from module.parameters()

    def combine(self, down: Tensor, coarser: Tensor | None) -> Tensor:
        """Make this scale's up feature of its down feature and the coarser scale's up feature."""
        up = self.in_skip(down)
        if coarser is not None:
            up = up + cast(nn.Module, self.up_conv)(enlarge(coarser, down.shape[2:]))
        return self.activate(up)

    def forward(
        self, down: Tensor, coarser: Tensor | None = None, hand_on: bool = False
    ) -> tuple[Tensor, Aggregated | None, Tensor | None]:
        """Compute this scale's up feature.

        Args:
            down (Tensor): This scale's down feature, shape (B, down_channels, h, w).
            coarser (Tensor, optional): The coarser scale's up feature, (B, unit_channels, h', w').
            hand_on (bool): Whether a next stage runs and needs what this unit can give it.

        Returns:
            tuple: The up feature (B, unit_channels, h, w), what the next stage aggregates, and the
            feature that starts it, (B, handed_channels, h, w); None where there is none.
        """
        up = self.combine(down, coarser)
        if not hand_on:
            return up, None, None
        aggregated = None
        if self.out_skip1 is not None and self.out_skip2 is not None:
            aggregated = Aggregated(self.out_skip1(down), self.out_skip2(up))
        return up, aggregated, None if self.cross_conv is None else self.cross_conv(up)


class NextStageInput(NamedTuple):
    """What a stage hands on to the next."""

    feature: Tensor  # that the next stage starts from, (B, stem_channels, h, w)
    aggregated: list[Aggregated | None]  # what each scale gives, finest first


class Stage(nn.Module):
    """The paper's single-stage module (section 3.1): four scales down, four scales up.

    Args:
        in_channels (int): Channels of the input and of what is handed on.
        down_channels (Sequence[int]): Channels of each down unit's output, finest scale first.
        num_blocks (Sequence[int]): Bottlenecks of each down unit, finest scale first.
        unit_channels (int): Channels of every up unit's output.
        is_last (bool): Whether no stage follows, so that nothing need be handed on.
        aggregation (bool): Whether the next stage aggregates this one's features.
        with_cp (bool): Whether each unit is computed again in the backward pass, instead of
            keeping its inner activations.
    """

    def __init__(
        self,
        in_channels: int,
        down_channels: Sequence[int],
        num_blocks: Sequence[int],
        unit_channels: int,
        is_last: bool,
        aggregation: bool,
        with_cp: bool,
        norm_cfg: dict[str, Any],
        act_cfg: dict[str, Any],
    ) -> None:
        super().__init__()
        self.with_cp = with_cp
        num_units = len(down_channels)
        inputs = [in_channels, *down_channels[:-1]]
        self.downsample = nn.ModuleDict(
            {
                f'layer{i + 1}': DownUnit(
                    inputs[i],
                    down_channels[i] // EXPANSION,
                    num_blocks[i],
                    stride=1 if i == 0 else 2,
                    norm_cfg=norm_cfg,
                    act_cfg=act_cfg,
                )
                for i in range(num_units)
            }
        )
        self.upsample = nn.ModuleDict(
            {
                f'up{i + 1}': UpUnit(
                    down_channels[-1 - i],
                    unit_channels,
                    has_coarser=i > 0,
                    aggregation=aggregation and not is_last,
                    handed_channels=in_channels if i == num_units - 1 and not is_last else 0,
                    norm_cfg=norm_cfg,
                    act_cfg=act_cfg,
                )
                for i in range(num_units)
            }
        )

    def handing_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the parameters that work for the next stage alone."""
        for unit in self.upsample.values():
            yield from cast(UpUnit, unit).handing_parameters()

    def forward(
        self,
        x: Tensor,
        aggregated: list[Aggregated | None] | None = None,
        hand_on: bool = False,
    ) -> tuple[list[Tensor], NextStageInput | None]:
        """Run the stage.

        Args:
            x (Tensor): What the stem or the previous stage gave, (B, in_channels, h, w).
            aggregated (list[Aggregated | None], optional): What its scales gave, finest first.
            hand_on (bool): Whether a next stage runs.

        Returns:
            tuple: The up units' features, coarsest first, (B, unit_channels, h_u, w_u) each; and
            what the next stage takes in, or None.
        """
        downs: list[Tensor] = []
        for i, unit in enumerate(self.downsample.values()):
            x = self._run(unit, x, None if aggregated is None else aggregated[i])
            downs.append(x)

        ups: list[Tensor] = []
        handed_aggregated: list[Aggregated | None] = []
        feature: Tensor | None = None
        for unit, down in zip(self.upsample.values(), reversed(downs), strict=True):
            up, pair, feature = self._run(unit, down, ups[-1] if ups else None, hand_on)
            ups.append(up)
            handed_aggregated.insert(0, pair)
        return ups, None if feature is None else NextStageInput(feature, handed_aggregated)

    def _run(self, unit: nn.Module, *inputs: Any) -> Any:
        return recompute(unit, *inputs) if self.with_cp else unit(*inputs)


def enlarge(x: Tensor, size: Sequence[int]) -> Tensor:
    """Resize (B, C, h, w) to (height, width), with the corners' pixels on each other."""
    return interpolate(x, size=tuple(size), mode='bilinear', align_corners=True)


def _activation(act_cfg: dict[str, Any]) -> nn.Module:
    kind = act_cfg['type'] if inspect.isclass(act_cfg['type']) else MODELS.get(act_cfg['type'])
    defaults = {}
    if 'inplace' in inspect.signature(kind).parameters:
        defaults['inplace'] = True
    return MODELS.build({**defaults, **act_cfg})
