"""MSPN's network: a stem and a chain of stages.

The names follow the paper, "Rethinking on Multi-Stage Networks for Human Pose Estimation"
(arXiv 1901.00148, section 3). A *stage* is one whole encoder and decoder.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule, PretrainedInit
from mmpose.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import SettingError
from ..settings import DEFAULT_INIT, build_module, check_counts, check_norm, is_whole
from ..weights.loading import check_backbone_weights, weights_below
from ..weights.pretrained import load_pretrained
from .recompute import recompute
from .stage import EXPANSION, Stage


class Stem(nn.Module):
    """What stands before the first stage: a 7x7 convolution and a max pooling, as in ResNet."""

    def __init__(self, channels: int, norm_cfg: dict[str, Any], act_cfg: dict[str, Any]) -> None:
        super().__init__()
        self.top = nn.Sequential(
            ConvModule(3, channels, 7, stride=2, padding=3, norm_cfg=norm_cfg, act_cfg=act_cfg),
            nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Map an image (B, 3, h, w) to a feature (B, channels, h / 4, w / 4)."""
        return self.top(image)


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
        super().__init__(init_cfg if init_cfg else list(DEFAULT_INIT))
        check_counts(
            num_stages=num_stages,
            num_units=num_units,
            unit_channels=unit_channels,
            stem_channels=stem_channels,
        )
        blocks = list(num_blocks) if isinstance(num_blocks, Sequence) else []
        if len(blocks) != num_units or not all(is_whole(n) and n >= 1 for n in blocks):
            raise SettingError(
                f'num_blocks={blocks or num_blocks!r} must give a whole number of at least 1 for '
                f'each of num_units={num_units} units'
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
        build_module('act_cfg', act_cfg)

        self.unit_channels = unit_channels
        self.num_stages = num_stages
        self.num_units = num_units
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
        """Set training mode, but for what ``frozen_stages`` and ``norm_eval`` keep from it."""
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
        is_first = not self.is_init  # MMEngine only warns the second time
        cfgs = [self.init_cfg] if isinstance(self.init_cfg, dict) else list(self.init_cfg)
        pretrained = [cfg for cfg in cfgs if cfg['type'] in ('Pretrained', PretrainedInit)]
        self.init_cfg = [cfg for cfg in cfgs if cfg not in pretrained] or list(DEFAULT_INIT)
        super().init_weights()
        self.init_cfg = cfgs
        for cfg in pretrained if is_first else []:
            load_pretrained(self, **{key: cfg[key] for key in cfg if key != 'type'})

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        # MMEngine loads leniently: without this, a checkpoint of another network would fill the
        # part of this one that fits, with no more than a warning.
        check_backbone_weights(weights_below(state_dict, prefix), self.state_dict())
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def _frozen_modules(self) -> list[nn.Module]:
        if self.frozen_stages < 0:
            return []
        return [self.top, *self.multi_stage_mspn[: self.frozen_stages]]
