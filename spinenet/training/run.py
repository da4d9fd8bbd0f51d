"""What every training run shares: its folder, its device, its resumption."""

from __future__ import annotations

import json
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from spinenet import __version__
from spinenet.config import TrainMatchConfig, TrainSegmentConfig
from spinenet.io.annotated import AnnotatedStack
from spinenet.io.digest import fingerprint, sha256_of
from spinenet.io.write import write_json
from spinenet.models.unet3d import autocast_dtype
from spinenet.progress import Stage
from spinenet.segment.predict import pick_device
from spinenet.types import InputError

logger = logging.getLogger(__name__)

WARM_UP_STEPS = 100
RESULT = "result.json"
LAST = "last.ckpt"
"""Of a run's folder: what it goes on from."""


def check_data_given(data: str | None, hold_out: Sequence[int]) -> None:
    """What shall be held out is of annotated stacks.

    Raises
    ------
    InputError
        If there are none: the run would train on simulated stacks alone without a word.
    """
    if hold_out and not data:
        raise InputError(
            f"annotated.hold_out {list(hold_out)} without --data: nothing annotated would be "
            "trained on. Give the annotated folder with --data FOLDER."
        )


def same_run(out: Path, begun: dict[str, object], annotated: list[AnnotatedStack]) -> None:
    """A folder goes on with what it began with: other data or settings would not be what they say.

    Raises
    ------
    InputError
        If the folder holds a run that was begun otherwise.
    """
    begun = begun | {"data": [s.file.path.name for s in annotated]}
    files = [s.file for s in annotated]
    begun["stacks"] = fingerprint(
        *(sha256_of(f.path) for f in files), *((f.voxel_um, f.channel) for f in files)
    )
    begun["marks"] = fingerprint(
        *(s.spines.to_csv() for s in annotated),
        *((d.id, d.points_um.tolist()) for s in annotated for d in s.dendrites),
        *(sha256_of(s.labels) for s in annotated if s.labels),
        *((s.partly, sorted(s.contested)) for s in annotated),
    )
    path = out / "training.json"
    text = json.loads(json.dumps(begun))
    if path.exists() and ((out / LAST).exists() or (out / "regions").exists()):
        old = json.loads(path.read_text())
        other = sorted(k for k in text if text[k] != old.get(k))
        if other:
            raise InputError(
                f"{out} holds a run that was begun with other {', '.join(other)} (see "
                f"{path.name}). Give --out another folder, or the settings it was begun with."
            )
    write_json(path, text)


def write_result(
    out: Path,
    config: TrainSegmentConfig | TrainMatchConfig,
    trainer: L.Trainer,
    sha256: str,
    scores: dict[str, float],
    fitted: dict[str, float],
) -> None:
    """result.json: which weights a run ended with, and how well they did on what they were fitted
    on (null where there was nothing to tell). What they were trained on stands in training.json;
    what hangs together with the seed besides, here: a run that was stopped goes on with patches of
    its own, and so do other numbers of processes and of devices."""
    told = {name: value if math.isfinite(value) else None for name, value in scores.items()}
    begun = (folder.name.rpartition("_")[2] for folder in (out / "log").glob("from_step_*"))
    write_json(
        out / RESULT,
        {
            "spinenet": __version__,
            "torch": torch.__version__,
            "steps": trainer.global_step,
            "from_steps": sorted(int(step) for step in begun),
            "workers": config.workers,
            "devices": config.trainer.devices,
            "sha256": sha256,
            "fitted": fitted,
            "scores": told,
        },
    )


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Lightning without advice that does not hold here; Ctrl-C stays Ctrl-C."""
    for library in ("lightning.pytorch", "lightning.fabric"):  # its import sets them to speak
        logging.getLogger(library).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated.*")
        try:
            yield
        except SystemExit:  # Lightning's answer to Ctrl-C
            raise KeyboardInterrupt from None


def make_trainer(
    config: TrainSegmentConfig | TrainMatchConfig,
    out: Path,
    start: int,
    bar: Stage,
    save: Callable[[Any], object],
    *callbacks: Callback,
    mixed: bool = False,
    alike: bool = False,
) -> L.Trainer:
    """A trainer that goes on from step `start`, with logs, checkpoints and, by `save`, weights in
    `out`. `mixed` computes in bf16 where the machine does; `alike` says that batches are of one
    size.

    Raises
    ------
    InputError
        If more CUDA cards are asked for than there are.
    """
    device = pick_device(config.device)
    if start > config.steps:
        logger.warning(
            "%s has gone %d steps already, more than the %d asked for: nothing is trained.",
            out,
            start,
            config.steps,
        )
    if device.type == "cuda" and config.trainer.devices > torch.cuda.device_count():
        raise InputError(
            f"trainer.devices {config.trainer.devices}: this machine has "
            f"{torch.cuda.device_count()} CUDA cards. Give as many or fewer."
        )
    halves = mixed and autocast_dtype(device) is torch.bfloat16
    version = f"from_step_{start}"
    if start < config.steps:  # of other weights than those that will lie there
        (out / RESULT).unlink(missing_ok=True)
    return L.Trainer(
        max_steps=config.steps,
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=config.trainer.devices,
        strategy="ddp" if config.trainer.devices > 1 else "auto",
        precision="bf16-mixed" if halves else "32-true",
        gradient_clip_val=1.0,
        # the fastest kernels are looked for once; on a card two runs may then differ in the last
        # bits
        benchmark=alike,
        logger=[CSVLogger(out, "log", version), TensorBoardLogger(out, "log", version)],
        log_every_n_steps=config.trainer.log_every,
        callbacks=[
            ModelCheckpoint(
                out,
                filename="step",
                save_last=True,
                every_n_train_steps=config.save_every,
                enable_version_counter=False,  # of a moved folder an old one would go on
            ),
            _Ship(save, config.save_every),
            _Advance(bar),
            _Keep(out / LAST, start),
            *callbacks,
        ],
        enable_model_summary=False,
        enable_progress_bar=False,
    )


class _Ship(Callback):
    """Writes weights beside the checkpoints: a run that is cut off leaves a net."""

    def __init__(self, save: Callable[[Any], object], every: int) -> None:
        self.save, self.every = save, every

    def on_train_batch_end(self, trainer: L.Trainer, task: L.LightningModule, *_: object) -> None:
        due = trainer.global_step and trainer.global_step % self.every == 0
        if due and trainer.is_global_zero:
            self.save(task)


class _Advance(Callback):
    """Moves the bar that a person sees."""

    def __init__(self, bar: Stage) -> None:
        self.bar = bar

    def on_train_batch_end(self, trainer: L.Trainer, *_: object) -> None:
        self.bar.to(trainer.global_step, trainer.max_steps)


class _Keep(Callback):
    """Ctrl-C, or the end of a job's time, costs no step."""

    def __init__(self, last: Path, start: int) -> None:
        self.last, self.start = last, start

    def on_exception(
        self, trainer: L.Trainer, task: L.LightningModule, exception: BaseException
    ) -> None:
        stopped = isinstance(exception, (KeyboardInterrupt, SIGTERMException))
        # before its first step a run holds nothing: what it goes on from is not read yet
        if stopped and trainer.global_step > self.start:
            trainer.save_checkpoint(self.last)


def with_schedule(optimizer: Optimizer, steps: int, last_share: float) -> dict[str, object]:
    """The rate warms up over the first hundred steps, then falls along a cosine to `last_share`."""

    def share(step: int) -> float:
        if step < WARM_UP_STEPS:
            return (step + 1) / WARM_UP_STEPS
        done = min((step - WARM_UP_STEPS) / max(steps - WARM_UP_STEPS, 1), 1.0)
        return last_share + (1 - last_share) * 0.5 * (1 + math.cos(math.pi * done))

    schedule = LambdaLR(optimizer, share)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def keep_to_one_core(worker: int) -> None:
    """Of processes that simulate there is one for each core; their products need no threads."""
    threadpool_limits(1)


def finite(loss: Tensor, total: Tensor, step: int) -> Tensor:
    """The loss, unless the training has diverged, here or in another of the processes that share a
    step, whose losses make a `total`: all of them end alike.

    Raises
    ------
    InputError
        If it is no number: whatever is trained from there is none either.
    """
    if not torch.isfinite(total):
        raise InputError(
            f"the loss of step {step} is {float(total)}: the training diverged. Give a "
            "lower --learning_rate and another --out, or go on from weights of before (--init)."
        )
    return loss


def resumption(out: Path) -> tuple[str | None, int]:
    """The checkpoint that a run in this folder goes on from, if there is one, and its step.

    Raises
    ------
    InputError
        If it is damaged.
    """
    last = out / LAST
    return (str(last), _step_of(last)) if last.exists() else (None, 0)


def _step_of(checkpoint: Path) -> int:
    """The optimiser step at which a checkpoint was written."""
    try:
        found = torch.load(checkpoint, map_location="cpu", weights_only=True)
        found["pytorch-lightning_version"]
        return int(found["global_step"])
    except (RuntimeError, OSError, EOFError, KeyError, UnpicklingError) as error:
        raise InputError(
            f"{checkpoint} is damaged, or of another program: a run that was killed while it wrote "
            "it is the usual cause. Remove it and rename step.ckpt beside it to last.ckpt, if "
            "there is one; else the run begins anew."
        ) from error
