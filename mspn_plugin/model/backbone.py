"""MSPN's network: a stem and a chain of stages, each a way down and a way back up.

The names follow the paper, "Rethinking on Multi-Stage Networks for Human Pose Estimation"
(arXiv 1901.00148, section 3). A *stage* is one whole encoder and decoder. A *unit* is one scale of
it: :class:`DownUnit` on the way down, :class:`UpUnit` on the way up. *Aggregation* carries a
stage's down and up features into the next stage's way down, scale by scale.
"""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple, cast

import torch
from mmcv.cnn import ConvModule, build_norm_layer
from mmengine.model import BaseModule, PretrainedInit
from mmpose.registry import MODELS
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from ..errors import SettingError, about
from ..settings import check_counts, check_norm, check_switches, is_whole
from ..weights.loading import (
    check_backbone_weights,
    check_origin,
    check_resnet,
    convert_resnet,
    is_mspn,
    is_resnet,
    read_backbone_weights,
    some,
)

EXPANSION = 4
"""A bottleneck puts out this many times the channels that it works in, as in ResNet."""


class Aggregated(NamedTuple):
    """What one scale of a stage gives the same scale of the next (paper, section 3.2).

    Attributes:
        down (Tensor): From the way down, shape (B, C, h, w) with the C of the down unit.
        up (Tensor): From the way up, of the same shape.
    """

    down: Tensor
    up: Tensor


class Bottleneck(nn.Module):
    """ResNet's bottleneck block: 1x1, 3x3 (which carries the stride) and 1x1 convolutions.

    Args:
        in_channels (int): Channels of the input.
        mid_channels (int): Channels of the 3x3 convolution. The output has four times as many.
        stride (int): 1 or 2.
        norm_cfg (dict): The norm layers.
        act_cfg (dict): The activations.
    """

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


class Stem(nn.Module):
    """What stands in front of the first stage: a 7x7 convolution and a max pooling, as in ResNet.

    Args:
        channels (int): Channels of the output.
        norm_cfg (dict): The norm layer.
        act_cfg (dict): The activation.
    """

    def __init__(self, channels: int, norm_cfg: dict[str, Any], act_cfg: dict[str, Any]) -> None:
        super().__init__()
        self.top = nn.Sequential(
            ConvModule(3, channels, 7, stride=2, padding=3, norm_cfg=norm_cfg, act_cfg=act_cfg),
            nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Map an image (B, 3, h, w) to a feature (B, channels, h / 4, w / 4)."""
        return self.top(image)


class DownUnit(nn.Sequential):
    """One scale of the way down: bottlenecks, then the sum with what the last stage gave.

    The paper spends the computation here (section 3.1): with ResNet-50's blocks the four units
    hold 3, 4, 6 and 3 bottlenecks, while the way up has one convolution per scale and input.

    Args:
        in_channels (int): Channels of the input.
        mid_channels (int): Channels that the bottlenecks work in; the output has four times as
            many.
        num_blocks (int): The number of bottlenecks.
        stride (int): Of the first bottleneck.
        norm_cfg (dict): The norm layers.
        act_cfg (dict): The activations.
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
        """Compute this scale's feature.

        Args:
            x (Tensor): The next finer scale's feature, shape (B, in_channels, h, w).
            aggregated (Aggregated, optional): What the previous stage gave for this scale.

        Returns:
            Tensor: shape (B, 4 * mid_channels, h / stride, w / stride).
        """
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
        norm_cfg (dict): The norm layers.
        act_cfg (dict): The activations.
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

    def forward(
        self, down: Tensor, coarser: Tensor | None = None, hand_on: bool = False
    ) -> tuple[Tensor, Aggregated | None, Tensor | None]:
        """Compute this scale's up feature.

        Args:
            down (Tensor): This scale's down feature, shape (B, down_channels, h, w).
            coarser (Tensor, optional): The coarser scale's up feature, (B, unit_channels, h', w').
            hand_on (bool): Whether a next stage runs and needs what this unit can give it.

        Returns:
            tuple: The up feature (B, unit_channels, h, w), the features for the next stage's
            aggregation (None where there is none), and the feature that starts the next stage,
            (B, handed_channels, h, w) (None but for the finest unit).
        """
        up = self.in_skip(down)
        if self.up_conv is not None and coarser is not None:
            enlarged = interpolate(
                coarser, size=down.shape[2:], mode='bilinear', align_corners=True
            )
            up = up + self.up_conv(enlarged)
        up = self.activate(up)
        if not hand_on:
            return up, None, None
        aggregated = None
        if self.out_skip1 is not None and self.out_skip2 is not None:
            aggregated = Aggregated(self.out_skip1(down), self.out_skip2(up))
        return up, aggregated, None if self.cross_conv is None else self.cross_conv(up)


class Handed(NamedTuple):
    """What a stage hands on to the next.

    Attributes:
        feature (Tensor): The feature that the next stage starts from, (B, stem_channels, h, w).
        aggregated (list[Aggregated | None]): What each scale gives, finest first.
    """

    feature: Tensor
    aggregated: list[Aggregated | None]


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
        norm_cfg (dict): The norm layers.
        act_cfg (dict): The activations.
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
    ) -> tuple[list[Tensor], Handed | None]:
        """Run the stage.

        Args:
            x (Tensor): The stem's output or the feature that the previous stage handed on,
                (B, in_channels, h, w).
            aggregated (list[Aggregated | None], optional): What the previous stage's scales give,
                finest first.
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
        given: list[Aggregated | None] = []
        feature: Tensor | None = None
        for unit, down in zip(self.upsample.values(), reversed(downs), strict=True):
            up, pair, feature = self._run(unit, down, ups[-1] if ups else None, hand_on)
            ups.append(up)
            given.insert(0, pair)
        return ups, None if feature is None else Handed(feature, given)

    def _run(self, unit: nn.Module, *inputs: Any) -> Any:
        return recompute(unit, *inputs) if self.with_cp else unit(*inputs)


@MODELS.register_module()
class MSPNBackbone(BaseModule):
    """MSPN's network up to the features that the heads see (arXiv 1901.00148, section 3).

    In evaluation mode it computes what the authors' release computes. Its parameters have the names
    of MMPose's ``MSPN``, so that checkpoints of either load into the other. docs/backbone.md maps
    the switches to the paper's ablations.

    Args:
        unit_channels (int): Channels of every feature that is put out.
        num_stages (int): Number of stages, 1 or more.
        num_units (int): Number of scales in a stage. The coarsest is 1 / 2 ** (num_units + 1) of
            the input: 1/32 with 4 units.
        num_blocks (Sequence[int]): Bottlenecks of each down unit, finest scale first. ResNet-50
            has (3, 4, 6, 3), ResNet-101 (3, 4, 23, 3), ResNet-152 (3, 8, 36, 3).
        stem_channels (int): Channels of the stem's output and of the feature that a stage hands on
            to the next. MMPose calls it ``res_top_channels``. The finest down unit has 4 times as
            many.
        double_channels (bool): Whether channels double at each down-sampling, as the paper
            proposes (section 3.1); without, all scales have as many as the finest, as in Hourglass.
        aggregation (bool): Whether stages take in the features of the previous one at every scale
            (section 3.2); without, only the feature handed on connects them.
        norm_cfg (dict): Every norm layer: ``dict(type='BN')``, ``'SyncBN'``,
            ``dict(type='GN', num_groups=32)``, ...
        act_cfg (dict): Every activation.
        frozen_stages (int): -1 freezes nothing, 0 the stem, k the stem and the first k stages:
            their parameters get no gradient, and their batch norms stay in evaluation mode.
        norm_eval (bool): Whether all batch norms stay in evaluation mode while training.
        with_cp (bool): Whether activations inside of units are computed again in the backward
            pass, which saves memory and costs time. Gradients and running statistics are the same.
        channels_last (bool): Whether features lie in memory with the channels of a pixel together,
            which many convolutions are faster with. Shapes and checkpoints stay the same, values
            but for rounding.
        active_stages (int, optional): How many stages run, counted from the first; all by default.
            It can be set at any time: see :attr:`active_stages`.
        init_cfg (dict or list[dict], optional): How weights start; by default Kaiming's normal for
            convolutions, 1 for norms. ``dict(type='Pretrained', checkpoint=FILE)`` takes a ResNet
            in torchvision's layout (``torchvision://resnet50``) into every stage, with
            ``stages='first'`` only into the stem and the first stage; or a checkpoint of this
            network, alone or inside of an estimator.

    Raises:
        SettingError: If the arguments do not fit each other.
    """

    init_cfg: Any
    DEFAULT_INIT = (
        {'type': 'Kaiming', 'layer': 'Conv2d'},
        {'type': 'Constant', 'val': 1, 'layer': ['_BatchNorm', 'GroupNorm']},
    )

    def __init__(
        self,
        unit_channels: int = 256,
        num_stages: int = 4,
        num_units: int = 4,
        num_blocks: Sequence[int] = (3, 4, 6, 3),
        stem_channels: int = 64,
        double_channels: bool = True,
        aggregation: bool = True,
        norm_cfg: dict[str, Any] = {'type': 'BN'},
        act_cfg: dict[str, Any] = {'type': 'ReLU'},
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        channels_last: bool = False,
        active_stages: int | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg if init_cfg else list(self.DEFAULT_INIT))
        check_counts(
            num_stages=num_stages,
            num_units=num_units,
            unit_channels=unit_channels,
            stem_channels=stem_channels,
        )
        check_switches(
            double_channels=double_channels,
            aggregation=aggregation,
            norm_eval=norm_eval,
            with_cp=with_cp,
        )
        blocks = list(num_blocks) if isinstance(num_blocks, Sequence) else []
        if len(blocks) != num_units or not all(is_whole(n) and n >= 1 for n in blocks):
            raise SettingError(
                f'num_blocks={blocks or num_blocks!r} must give a number of at least 1 for each of '
                f'num_units={num_units} units'
            )
        if not is_whole(frozen_stages) or not -1 <= frozen_stages <= num_stages:
            raise SettingError(
                f'frozen_stages={frozen_stages!r} must be from -1 (nothing) over 0 (the stem) to '
                f'num_stages={num_stages}'
            )
        down_channels = [
            EXPANSION * stem_channels * (2**i if double_channels else 1) for i in range(num_units)
        ]
        check_norm(norm_cfg, {stem_channels, unit_channels, *down_channels})
        _check_activation(act_cfg)

        self.unit_channels = unit_channels
        self.num_stages = num_stages
        self.num_units = num_units
        self.num_blocks = tuple(num_blocks)
        self.aggregation = aggregation
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.with_cp = with_cp
        self.channels_last = channels_last

        self.top = Stem(stem_channels, norm_cfg, act_cfg)
        self.multi_stage_mspn = nn.ModuleList(
            Stage(
                stem_channels,
                down_channels,
                num_blocks,
                unit_channels,
                is_last=s == num_stages - 1,
                aggregation=aggregation,
                with_cp=with_cp,
                norm_cfg=norm_cfg,
                act_cfg=act_cfg,
            )
            for s in range(num_stages)
        )

        if channels_last:
            cast(Any, self).to(memory_format=torch.channels_last)
        for module in self._frozen_modules():
            module.requires_grad_(False)
        self._idle: set[str] = set()
        self.active_stages = num_stages if active_stages is None else active_stages

    @property
    def active_stages(self) -> int:
        """int: How many stages run, from 1 to ``num_stages``.

        Stages after these are not computed and not put out. Parameters that can get no gradient
        then (theirs, and those by which the last active stage would feed a next one) have
        ``requires_grad=False`` until they are active again. Set it before the model is wrapped for
        distributed training.
        """
        return self._active_stages

    @active_stages.setter
    def active_stages(self, count: int) -> None:
        if not is_whole(count) or not 1 <= count <= self.num_stages:
            raise SettingError(
                f'active_stages={count!r} must be from 1 to num_stages={self.num_stages}'
            )
        self._active_stages = count
        parameters = dict(self.named_parameters())
        for name in self._idle:
            parameters[name].requires_grad_(True)
        unreached = set(cast(Stage, self.multi_stage_mspn[count - 1]).handing_parameters())
        for stage in self.multi_stage_mspn[count:]:
            unreached.update(stage.parameters())
        # What the user or frozen_stages froze is left out, and so never set free here.
        self._idle = {n for n, p in parameters.items() if p.requires_grad and p in unreached}
        for name in self._idle:
            parameters[name].requires_grad_(False)

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        """Compute the features of the active stages.

        Args:
            x (Tensor): Images, shape (B, 3, h, w), normalised as in training. h and w are at
                least 2 ** (num_units + 1), and best multiples of it.

        Returns:
            list[list[Tensor]]: For each active stage the features of its units, coarsest first:
            with 4 units at 1/32, 1/16, 1/8 and 1/4 of (h, w), shape (B, unit_channels, h_u, w_u).

        Raises:
            SettingError: If the images are too small or have another shape.
        """
        self._check_input(x)
        if self.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        x = recompute(self.top, x) if self.with_cp else self.top(x)
        features: list[list[Tensor]] = []
        aggregated = None
        for s, stage in enumerate(self.multi_stage_mspn[: self._active_stages]):
            ups, handed = stage(x, aggregated, hand_on=s < self._active_stages - 1)
            features.append(ups)
            if handed is not None:
                x, aggregated = handed
        return features

    def _check_input(self, x: Tensor) -> None:
        if torch.jit.is_tracing():  # sizes are tensors there
            return
        smallest = 2 ** (self.num_units + 1)
        if x.dim() != 4 or x.shape[1] != 3 or min(x.shape[2:]) < smallest:
            raise SettingError(
                f'the input has shape {tuple(x.shape)}; num_units={self.num_units} units need '
                f'(batch, 3, height, width) with height and width, the input_size, of at least '
                f'{smallest}'
            )

    def train(self, mode: bool = True) -> 'MSPNBackbone':
        """Set training mode, but for what ``frozen_stages`` and ``norm_eval`` keep in evaluation.

        Args:
            mode (bool): Whether to train.

        Returns:
            MSPNBackbone: The module itself.
        """
        super().train(mode)
        for module in self._frozen_modules():
            module.eval()
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def init_weights(self) -> None:
        """Give the weights their start, as ``init_cfg`` says.

        Raises:
            SettingError: If a pretrained file does not fit the network.
        """
        if self.is_init:
            super().init_weights()  # says that it does nothing the second time
            return
        given = [self.init_cfg] if isinstance(self.init_cfg, dict) else list(self.init_cfg)
        pretrained = [cfg for cfg in given if cfg['type'] in ('Pretrained', PretrainedInit)]
        self.init_cfg = [cfg for cfg in given if cfg not in pretrained] or list(self.DEFAULT_INIT)
        super().init_weights()
        self.init_cfg = given
        for cfg in pretrained:
            self._load_pretrained(**{k: v for k, v in cfg.items() if k != 'type'})

    def _load_pretrained(
        self,
        checkpoint: str,
        stages: str = 'all',
        prefix: str | None = None,
        map_location: str = 'cpu',
    ) -> None:
        if stages not in ('all', 'first'):
            raise SettingError(f"stages={stages!r} of init_cfg must be 'all' or 'first'")
        with about(f'init_cfg names the checkpoint {checkpoint}'):
            weights = read_backbone_weights(checkpoint, prefix, map_location)
            check_origin(weights)
            if is_mspn(weights):
                self.load_state_dict(weights)
                return
            if not is_resnet(weights):
                raise SettingError(
                    "it holds neither a ResNet in torchvision's layout nor this network; its keys: "
                    + some(list(weights))
                )
            own = self.state_dict()
            weights = convert_resnet(
                weights, range(self.num_stages if stages == 'all' else 1), self.num_units
            )
            check_resnet(weights, own)
        for key, value in weights.items():
            own[key].copy_(value)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        # MMEngine loads leniently: without this, a checkpoint of another network would fill the
        # part of this one that fits, with no more than a warning.
        weights = {
            key[len(prefix) :]: value for key, value in state_dict.items() if key.startswith(prefix)
        }
        check_backbone_weights(weights, self.state_dict())
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def _frozen_modules(self) -> list[nn.Module]:
        if self.frozen_stages < 0:
            return []
        return [self.top, *self.multi_stage_mspn[: self.frozen_stages]]


def recompute(unit: nn.Module, *inputs: Any) -> Any:
    """Run a unit without keeping its inner activations; the backward pass computes them again.

    The second computation leaves the running statistics of batch norms alone, so that training
    with and without it gives the same network.

    Args:
        unit (nn.Module): What to run.
        *inputs: Its arguments.

    Returns:
        What the unit returns.
    """
    if not torch.is_grad_enabled():
        return unit(*inputs)
    if torch.compiler.is_compiling():  # the compiler never repeats a buffer's update
        return checkpoint(unit, *inputs, use_reentrant=False, preserve_rng_state=False)
    return checkpoint(
        unit,
        *inputs,
        use_reentrant=False,
        preserve_rng_state=False,
        context_fn=lambda: (nullcontext(), _statistics_kept(unit)),
    )


@contextmanager
def _statistics_kept(unit: nn.Module) -> Iterator[None]:
    norms = [m for m in unit.modules() if isinstance(m, _BatchNorm) and m.training]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count


def _activation(act_cfg: dict[str, Any]) -> nn.Module:
    kind = act_cfg['type'] if inspect.isclass(act_cfg['type']) else MODELS.get(act_cfg['type'])
    defaults = {}
    if 'inplace' in inspect.signature(kind).parameters:
        defaults['inplace'] = True
    return MODELS.build({**defaults, **act_cfg})


def _check_activation(act_cfg: dict[str, Any]) -> None:
    try:
        ConvModule(1, 1, 1, act_cfg=dict(act_cfg))
    except (KeyError, TypeError, ValueError) as error:
        raise SettingError(
            f"act_cfg={act_cfg} gives no activation ({error}); dict(type='ReLU') fits"
        ) from error
