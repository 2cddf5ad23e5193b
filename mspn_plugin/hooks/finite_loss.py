"""Stops a run whose loss is no number any more, before that costs anything."""

import math
import re
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpose.registry import HOOKS

from ..errors import SettingError


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stops training at the first loss that is not finite, and says in which stage.

    The check costs no waiting for the GPU: MMEngine's ``RuntimeInfoHook`` fetches every term of the
    loss at every iteration, and this hook reads what it has fetched. What such a loss leaves in the
    weights is never saved (:class:`SafeCheckpointHook`).
    """

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Look at the loss; an error names iteration, stages and the checkpoint to go back to."""
        scalars = runner.message_hub.log_scalars
        fetched = [name for name in outputs or {} if f'train/{name}' in scalars]
        losses = {name: scalars[f'train/{name}'].current() for name in fetched}
        broken = {name: value for name, value in losses.items() if not math.isfinite(value)}
        if not broken:
            return
        stages = re.findall(r'stage(\d+)', ' '.join(broken))
        in_stages = f', in stage {" and ".join(stages)}' if stages else ''
        values = ', '.join(f'{name}={value}' for name, value in broken.items())
        last = runner.message_hub.runtime_info.get('last_ckpt')
        kept = f'{last} is from before; --resume goes on from it' if last else 'Nothing was saved'
        raise SettingError(
            f'the loss is not finite at iteration {runner.iter + 1} (epoch {runner.epoch + 1})'
            f'{in_stages}: {values}. {kept}. Lower the learning rate (optim_wrapper.optimizer.lr), '
            'lengthen the warm-up (param_scheduler) or clip gradients '
            '(optim_wrapper.clip_grad.max_norm); with --amp, bfloat16 has the range of float32 '
            '(optim_wrapper.dtype=bfloat16)'
        )
