"""Train the segmentation net with Lightning, resumable at any moment, from weights alone too."""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.accelerators import CUDAAccelerator
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from threadpoolctl import threadpool_limits
from torch.utils.data import DataLoader

from spinenet.config import TrainSegmentConfig
from spinenet.io.annotated import AnnotatedStack, read_annotated
from spinenet.io.store import fingerprint
from spinenet.io.weights import load_trainable_net, save_segment_weights, sha256_of
from spinenet.io.write import write_json
from spinenet.models.allocator import keep_freed_memory
from spinenet.training.annotated_data import read_scenes
from spinenet.training.pictures import ShowCrops
from spinenet.training.segment_data import TrainingPatches
from spinenet.training.segment_task import SegmentTask
from spinenet.training.thresholds import fit_thresholds
from spinenet.types import InputError

START_THRESHOLDS = {"shaft": 0.5, "spine": 0.5, "centre": 0.2}


def train_segment(
    config: TrainSegmentConfig,
    out: Path,
    init: str | None = None,
    data: str | None = None,
    progress: bool = False,
) -> tuple[Path, dict[str, float]]:
    """Train, and write `unet.safetensors` (averaged weights, fitted thresholds) into `out`.

    A folder that holds a checkpoint of an earlier run goes on from it; `init` starts from weights.
    `data` is a lab's annotated folder, whose stacks are mixed with simulated ones. `progress` draws
    a bar.

    Returns
    -------
    The file of weights, and the scores that the thresholds reach on what they were fitted on.

    Raises
    ------
    InputError
        If weights or data cannot be read, or the folder holds another run.
    """
    keep_freed_memory()
    L.seed_everything(config.seed, verbose=False)
    annotated = read_annotated(Path(data), config.annotated.point) if data else []
    _same_run(out, config, init, annotated)
    scenes = read_scenes(annotated, config.annotated) if annotated else []
    task = SegmentTask(config)
    last = out / "last.ckpt"
    resume = str(last) if last.exists() else None
    start = _step_of(last) if resume else 0
    if init and not resume:
        net = load_trainable_net(init)
        if net.channels != tuple(config.net.channels):
            raise InputError(
                f"net.channels {list(config.net.channels)}: the weights {init} are of a net with "
                f"{list(net.channels)}. Leave net.channels out, or train from nothing."
            )
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
        # patches are of one size, so the fastest kernels are looked for once; on a card two runs
        # may then differ in the last bits
        benchmark=True,
        logger=[
            CSVLogger(out, name="log", version=f"from_step_{start}"),
            TensorBoardLogger(out, name="log", version=f"from_step_{start}"),
        ],
        log_every_n_steps=config.trainer.log_every,
        callbacks=[
            ModelCheckpoint(
                out, filename="step", save_last=True, every_n_train_steps=config.save_every
            ),
            _ShipAveraged(weights, config.save_every),
            ShowCrops(out / "pictures", config),
        ],
        enable_model_summary=False,
        enable_progress_bar=progress,
    )
    loader = DataLoader(
        TrainingPatches(config, scenes, start, trainer.global_rank),
        batch_size=config.batch,
        num_workers=config.workers,
        persistent_workers=config.workers > 0,
        pin_memory=isinstance(trainer.accelerator, CUDAAccelerator),
        worker_init_fn=_keep_to_one_core,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
        try:
            trainer.fit(task, loader, ckpt_path=resume, weights_only=True)
        except SystemExit:  # Lightning's answer to Ctrl-C
            raise KeyboardInterrupt from None
        trainer.save_checkpoint(last)
    scores: dict[str, float] = {}
    if trainer.is_global_zero:
        net = task.averaged.module
        thresholds, scores = fit_thresholds(net, config, [scene.labelled for scene in scenes])
        save_segment_weights(weights, net, thresholds)
    return weights, scores


def _same_run(
    out: Path, config: TrainSegmentConfig, init: str | None, annotated: list[AnnotatedStack]
) -> None:
    """A folder goes on with what it began with: other data or settings would not be what they say.

    Raises
    ------
    InputError
        If the folder holds a run that was begun otherwise.
    """
    free = ("steps", "trainer", "workers", "device", "save_every", "validation_stacks")
    begun = {k: v for k, v in asdict(config).items() if k not in free}
    begun |= {"init": init, "data": [s.file.path.name for s in annotated]}
    begun["marks"] = fingerprint(
        *(s.spines.to_csv() for s in annotated),
        *(d.points_um.tolist() for s in annotated for d in s.dendrites),
        *(sha256_of(s.labels) for s in annotated if s.labels),
    )
    path = out / "training.json"
    text = json.loads(json.dumps(begun))
    if (out / "last.ckpt").exists() and path.exists():
        old = json.loads(path.read_text())
        other = sorted(k for k in text if text[k] != old.get(k))
        if other:
            raise InputError(
                f"{out} holds a run that was begun with other {', '.join(other)} (see "
                f"{path.name}). Give --out another folder, or the settings it was begun with."
            )
    write_json(path, text)


class _ShipAveraged(Callback):
    """Writes the averaged weights beside the checkpoints: a run that is cut off leaves a net."""

    def __init__(self, path: Path, every: int) -> None:
        self.path, self.every = path, every

    def on_train_batch_end(self, trainer: L.Trainer, task: SegmentTask, *_: object) -> None:
        due = trainer.global_step and trainer.global_step % self.every == 0
        if due and trainer.is_global_zero:
            save_segment_weights(self.path, task.averaged.module, START_THRESHOLDS)


def _keep_to_one_core(worker: int) -> None:
    """Of processes that simulate there is one for each core; their products need no threads."""
    threadpool_limits(1)


def _accelerator(config: TrainSegmentConfig) -> str:
    if config.device == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "--device cuda: no CUDA card is seen. Install the torch build for your card, or give "
            "--device cpu."
        )
    return "auto" if config.device == "auto" else {"cpu": "cpu", "cuda": "gpu"}[config.device]


def _has_bf16(config: TrainSegmentConfig) -> bool:
    if config.device != "cpu" and torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return bool(torch.cpu._is_avx512_bf16_supported())


def _step_of(checkpoint: Path) -> int:
    return int(torch.load(checkpoint, map_location="cpu", weights_only=True)["global_step"])
