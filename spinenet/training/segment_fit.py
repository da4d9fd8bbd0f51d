"""Train the segmentation net with Lightning, resumable at any moment, from weights alone too."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import lightning as L
from lightning.pytorch.accelerators import CUDAAccelerator
from torch.utils.data import DataLoader

from spinenet.config import TrainSegmentConfig
from spinenet.io.annotated import read_annotated
from spinenet.io.weights import load_trainable_net, save_segment_weights
from spinenet.models.allocator import keep_freed_memory
from spinenet.models.unet3d import SpineUNet
from spinenet.progress import Stages
from spinenet.segment.predict import pick_device
from spinenet.training.annotated_data import read_scenes
from spinenet.training.pictures import ShowCrops
from spinenet.training.run import (
    LAST,
    check_data_given,
    keep_to_one_core,
    make_trainer,
    quiet_lightning,
    resumption,
    same_run,
    write_result,
)
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
    pick_device(config.device)
    start_net = _start(init, config) if init else None
    check_data_given(data, config.annotated.hold_out)
    annotated = read_annotated(Path(data), config.annotated.point) if data else []
    free = ("steps", "trainer", "workers", "device", "save_every", "validation_stacks")
    begun = {k: v for k, v in asdict(config).items() if k not in free}
    same_run(out, begun | {"init": init}, annotated)
    scenes = read_scenes(annotated, config.annotated) if annotated else []
    task = SegmentTask(config)
    resume, start = resumption(out)
    if start_net is not None and not resume:
        task.net.load_state_dict(start_net.state_dict())
        task.averaged.module.load_state_dict(start_net.state_dict())
    weights = out / "unet.safetensors"
    with Stages(quiet=not progress) as stages, quiet_lightning():
        trainer = make_trainer(
            config,
            out,
            start,
            stages.stage("train", config.steps),
            lambda task: save_segment_weights(
                weights, task.averaged.module, START_THRESHOLDS, fitted=False
            ),
            ShowCrops(out / "pictures", config),
            mixed=True,
            alike=True,
        )
        loader = DataLoader(
            TrainingPatches(config, scenes, start, trainer.global_rank),
            batch_size=config.batch,
            num_workers=config.workers,
            persistent_workers=config.workers > 0,
            pin_memory=isinstance(trainer.accelerator, CUDAAccelerator),
            worker_init_fn=keep_to_one_core,
        )
        trainer.fit(task, loader, ckpt_path=resume, weights_only=True)
        trainer.save_checkpoint(out / LAST)
    scores: dict[str, float] = {}
    if trainer.is_global_zero:
        net = task.averaged.module
        thresholds, scores = fit_thresholds(net, config, [scene.labelled for scene in scenes])
        digest = save_segment_weights(weights, net, thresholds)
        write_result(out, config, trainer, digest, scores, thresholds)
    return weights, scores


def _start(init: str, config: TrainSegmentConfig) -> SpineUNet:
    net = load_trainable_net(init)
    if net.channels != tuple(config.net.channels):
        raise InputError(
            f"net.channels {list(config.net.channels)}: the weights {init} are of a net with "
            f'{list(net.channels)}. Give --net.channels "{list(net.channels)}", or train from '
            "nothing."
        )
    return net
