"""What a config imports to compare processes exactly: float64, and SyncBN on the CPU."""

import torch
from mmengine.registry import MODELS
from torch import nn
from torch.distributed import get_world_size
from torch.distributed.nn.functional import all_reduce

torch.set_default_dtype(torch.float64)


@MODELS.register_module(name='SyncBN', force=True)
class CPUSyncBatchNorm(nn.BatchNorm2d):
    """SyncBN's arithmetic; PyTorch's own refuses the CPU. Processes have equally many samples."""

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        processes = get_world_size()
        mean = all_reduce(x.mean((0, 2, 3))) / processes
        centered = x - mean[:, None, None]
        variance = all_reduce(centered.square().mean((0, 2, 3))) / processes
        with torch.no_grad():
            count = processes * x.numel() / x.shape[1]
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return centered * scale[:, None, None] + self.bias[:, None, None]
