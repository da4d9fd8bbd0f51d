"""One optimiser step of the segmentation net, its schedule, and the averaged weights."""

from __future__ import annotations

from typing import Any, Self

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv3d_weight_memory_format
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from spinenet.config import TrainSegmentConfig
from spinenet.models.losses import segment_loss
from spinenet.models.unet3d import SpineUNet
from spinenet.training.run import finite, with_schedule


class SegmentTask(L.LightningModule):
    """Trains `net`; `averaged` follows it with an exponential mean and is what is shipped."""

    def __init__(self, config: TrainSegmentConfig) -> None:
        super().__init__()
        self.config = config
        self.net = SpineUNet(config.net.channels)
        # a fifth faster than channels first (CPU, bf16)
        convert_conv3d_weight_memory_format(self.net, torch.channels_last_3d)
        self.averaged = AveragedModel(self.net, multi_avg_fn=self._blend, use_buffers=True)
        self.averaged.requires_grad_(False)

    def _blend(self, mean: Any, now: Any, n_averaged: Any) -> None:
        """A running mean that forgets the start: the decay grows to `ema` over the first steps."""
        n = int(n_averaged)
        get_ema_multi_avg_fn(min(self.config.ema, (n + 1) / (n + 10)))(mean, now, n_averaged)

    def train(self, mode: bool = True) -> Self:
        """As ever, but that frozen normalisation stays so, after a resumed start too."""
        super().train(mode)
        if self.config.freeze_norm:
            for part in self.net.modules():
                if isinstance(part, nn.modules.batchnorm._BatchNorm):
                    part.eval()
        return self

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> Tensor:
        image, target, known = batch
        image = image.contiguous(memory_format=torch.channels_last_3d)
        terms = segment_loss(self.net(image), target, known)
        self.log_dict({f"train/{k}": v.detach() for k, v in terms.items()}, prog_bar=False)
        loss = terms["loss"]
        total = self.trainer.strategy.reduce(loss.detach().clone(), reduce_op="sum")
        return finite(loss, total, self.global_step)

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None
    ) -> None:
        """As ever; what is shipped takes part in every step, the last one too."""
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        self.averaged.update_parameters(self.net)

    def configure_optimizers(self) -> Any:
        c = self.config
        optimizer = torch.optim.AdamW(self.net.parameters(), lr=c.learning_rate, weight_decay=1e-4)
        return with_schedule(optimizer, c.steps, 0.02)
