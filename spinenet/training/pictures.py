"""Pictures of validation crops while a net trains: what it sees, what it says, what is true."""

from __future__ import annotations

from pathlib import Path

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from matplotlib.figure import Figure

from spinenet.config import MorphologyConfig, OpticsConfig, TrainSegmentConfig
from spinenet.io.atomic import published
from spinenet.models.unet3d import CENTRE, SHAFT, SPINE
from spinenet.synthetic.patches import draw_example
from spinenet.training.segment_data import as_labelled
from spinenet.training.segment_task import SegmentTask
from spinenet.training.targets import Patch, make_patch
from spinenet.types import FloatArray

N_CROPS = 4
PICTURE_STREAM = 424_243
"""Seed apart from all training streams."""


class ShowCrops(Callback):
    """Writes `step_N.png` into a folder: brightest projections of image, answer and truth."""

    def __init__(self, folder: Path, config: TrainSegmentConfig) -> None:
        self.folder, self.every = folder, config.save_every
        rng = np.random.default_rng([config.seed, PICTURE_STREAM])
        self.crops: list[Patch] = [
            make_patch(
                as_labelled(draw_example(rng, config.patch, OpticsConfig(), MorphologyConfig()))
            )
            for _ in range(N_CROPS)
        ]

    def on_train_batch_end(self, trainer: L.Trainer, task: SegmentTask, *_: object) -> None:
        if not trainer.global_step or trainer.global_step % self.every:
            return
        if trainer.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
            with published(self.folder / f"step_{trainer.global_step}.png") as aside:
                draw_crops(self.crops, task.averaged.module).savefig(aside, format="png", dpi=80)


def draw_crops(crops: list[Patch], net: torch.nn.Module) -> Figure:
    """A row per crop; shaft red, head centres green, spines blue."""
    was_training = net.training
    net.eval()
    figure = Figure(figsize=(9, 3 * len(crops)))
    axes = figure.subplots(len(crops), 3, squeeze=False)
    device = next(net.parameters()).device
    for row, (image, target, _) in zip(axes, crops, strict=True):
        with torch.inference_mode():
            said = torch.sigmoid(net(image[None].to(device))[0, : CENTRE + 1]).float().cpu()
        row[0].imshow(image[0].amax(0).numpy(), cmap="gray", vmin=0, vmax=1.2)
        row[1].imshow(_colours(said.numpy()))
        row[2].imshow(_colours(target[: CENTRE + 1].numpy()))
        for axis, title in zip(row, ("image", "net", "truth"), strict=True):
            axis.set_title(title, fontsize=8)
            axis.set_axis_off()
    net.train(was_training)
    figure.tight_layout()
    return figure


def _colours(maps: FloatArray) -> FloatArray:
    return np.stack([maps[c].max(axis=0) for c in (SHAFT, CENTRE, SPINE)], axis=-1)
