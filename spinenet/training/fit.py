"""Train the segmentation net with Lightning, resumable at any moment, from weights alone too."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader

from spinenet.config import TrainSegmentConfig
from spinenet.io.annotated import read_annotated
from spinenet.io.weights import load_trainable_net, save_segment_weights
from spinenet.models.allocator import keep_freed_memory
from spinenet.training.annotated_data import read_scene
from spinenet.training.pictures import ShowCrops
from spinenet.training.segment_data import TrainingPatches
from spinenet.training.segment_task import SegmentTask
from spinenet.training.thresholds import fit_thresholds

logger = logging.getLogger(__name__)

START_THRESHOLDS = {"shaft": 0.5, "spine": 0.5, "centre": 0.2}


def train_segment(
    config: TrainSegmentConfig, out: Path, init: str | None = None, data: str | None = None
) -> tuple[Path, dict[str, float]]:
    """Train, and write `unet.safetensors` (averaged weights, fitted thresholds) into `out`.

    A folder that holds a checkpoint of an earlier run goes on from it; `init` starts from weights.
    `data` is a lab's annotated folder, whose stacks are mixed with simulated ones.

    Returns
    -------
    The file of weights and its scores on the validation stacks.
    """
    keep_freed_memory()
    L.seed_everything(config.seed, verbose=False)
    scenes = [
        read_scene(stack, config.annotated)
        for stack in (read_annotated(Path(data), config.annotated.point) if data else [])
    ]
    task = SegmentTask(config)
    last = out / "last.ckpt"
    resume = str(last) if last.exists() else None
    if init and not resume:
        net = load_trainable_net(init)
        task.net.load_state_dict(net.state_dict())
        task.averaged.module.load_state_dict(net.state_dict())
    weights = out / "unet.safetensors"
    trainer = L.Trainer(
        max_steps=config.steps,
        accelerator=_accelerator(config),
        devices=config.trainer.devices,
        strategy="ddp" if config.trainer.devices > 1 else "auto",
        precision="bf16-mixed" if _has_bf16(config) else "32-true",
        gradient_clip_val=1.0,
        logger=[
            CSVLogger(out, name="log", version=""),
            TensorBoardLogger(out, name="log", version=""),
        ],
        log_every_n_steps=config.trainer.log_every,
        callbacks=[
            ModelCheckpoint(
                out, filename="step", save_last=True, every_n_train_steps=config.save_every
            ),
            _ShipAveraged(weights, config.save_every),
            *([ShowCrops(out / "pictures", config)] if config.validation_stacks else []),
        ],
        enable_model_summary=False,
    )
    start = _step_of(last) if resume else 0
    loader = DataLoader(
        TrainingPatches(config, scenes, start),
        batch_size=config.batch,
        num_workers=config.workers,
        persistent_workers=config.workers > 0,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        trainer.fit(task, loader, ckpt_path=resume, weights_only=True)
    net = task.averaged.module
    thresholds, scores = fit_thresholds(net, config, [scene.labelled for scene in scenes])
    save_segment_weights(weights, net, thresholds)
    logger.info("weights %s: %s", weights, scores)
    return weights, scores


class _ShipAveraged(Callback):
    """Writes the averaged weights beside the checkpoints: a run that is cut off leaves a net."""

    def __init__(self, path: Path, every: int) -> None:
        self.path, self.every = path, every

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: L.Trainer, task: SegmentTask, *_: object
    ) -> None:
        due = trainer.global_step and trainer.global_step % self.every == 0
        if due and trainer.is_global_zero:
            save_segment_weights(self.path, task.averaged.module, START_THRESHOLDS)


def _accelerator(config: TrainSegmentConfig) -> str:
    return "auto" if config.device == "auto" else {"cpu": "cpu", "cuda": "gpu"}[config.device]


def _has_bf16(config: TrainSegmentConfig) -> bool:
    if config.device != "cpu" and torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return bool(torch.cpu._is_avx512_bf16_supported())


def _step_of(checkpoint: Path) -> int:
    return int(torch.load(checkpoint, map_location="cpu", weights_only=True)["global_step"])
