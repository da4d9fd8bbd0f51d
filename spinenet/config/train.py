"""Settings of the training of a net."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from spinenet.config.limits import NOT_NEGATIVE, POSITIVE, SHARE, at_least, between, check
from spinenet.config.simulate import (
    MorphologyConfig,
    OpticsConfig,
    SimulateConfig,
    TurnoverConfig,
)
from spinenet.types import InputError

MOST_SEED = 2**32 - 1
"""What every generator takes."""
Device = Literal["auto", "cpu", "cuda"]
PointKind = Literal["", "tip", "head"]


@dataclass(frozen=True)
class NetConfig:
    """The U-Net.

    Parameters
    ----------
    channels
        of each level; z is pooled into the fourth alone
    """

    channels: tuple[int, ...] = (16, 32, 64, 128)

    def __post_init__(self) -> None:
        if len(self.channels) != 4:
            raise InputError(f"net.channels {list(self.channels)}: four levels were expected.")
        check(self, at_least(1), "channels")


@dataclass(frozen=True)
class TrainerConfig:
    """How Lightning runs the training.

    Parameters
    ----------
    devices
        cards to train on; with more than one each takes `batch` patches a step
    log_every
        steps between lines of the logs (CSV and TensorBoard, in `log/` of the run)
    """

    devices: int = 1
    log_every: int = 25

    def __post_init__(self) -> None:
        check(self, at_least(1), "devices", "log_every")


@dataclass(frozen=True)
class AnnotatedConfig:
    """How a lab's annotated stacks (`--data`) are used in training.

    Parameters
    ----------
    share
        share of the patches that come from them; the simulator gives the rest
    implant_share
        share of those in which simulated spines are grown on a traced dendrite, where one crosses
        the patch
    underlay_share
        share of the simulated scenes that lie over an empty part of a real stack
    point
        what the places in spines.csv are where the table does not say: tip or head
    reach_um
        this far from a traced dendrite (z squeezed by 2.5) its spines are taken to be marked
    hold_out
        dendrite_ids whose spines are not shown to the net, to be tested on later
    """

    share: float = 0.5
    implant_share: float = 0.1
    underlay_share: float = 0.3
    point: PointKind = ""
    reach_um: float = 3.0
    hold_out: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check(self, SHARE, "share", "implant_share", "underlay_share")
        check(self, POSITIVE, "reach_um")


@dataclass(frozen=True)
class TrainSegmentConfig:
    """Training of the segmentation net on simulated and annotated patches.

    Parameters
    ----------
    steps
        optimiser steps in all
    batch
        patches per step, on each card
    patch
        voxels of a training patch, z, y, x
    crops_per_scene
        patches cut from each simulated scene
    learning_rate
        peak of a warm-up + cosine schedule
    ema
        decay of the averaged weights that are shipped
    freeze_norm
        keep the statistics of the normalisation, as fine-tuning on few stacks needs
    workers
        processes that simulate while the net trains
    validation_stacks
        simulated stacks on which thresholds are fitted, never trained on
    save_every
        steps between checkpoints and pictures of validation crops
    seed
        of the weights at the start and of all patches
    device
        auto, cpu or cuda
    """

    net: NetConfig = field(default_factory=NetConfig)
    optics: OpticsConfig = field(default_factory=OpticsConfig)
    morphology: MorphologyConfig = field(default_factory=MorphologyConfig)
    annotated: AnnotatedConfig = field(default_factory=AnnotatedConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    steps: int = 6000
    batch: int = 4
    patch: tuple[int, int, int] = (16, 96, 96)
    crops_per_scene: int = 2
    learning_rate: float = 2e-3
    ema: float = 0.998
    freeze_norm: bool = False
    workers: int = 1
    validation_stacks: int = 12
    save_every: int = 250
    seed: int = 0
    device: Device = "auto"

    def __post_init__(self) -> None:
        check(self, at_least(1), "steps", "batch", "crops_per_scene", "save_every")
        check(self, POSITIVE, "learning_rate")
        check(self, SHARE, "ema")
        check(self, NOT_NEGATIVE, "workers")
        check(self, between(0, MOST_SEED), "seed")
        z, y, x = self.patch
        if z % 2 or y % 8 or y != x or min(self.patch) < 2:
            raise InputError(
                f"patch {list(self.patch)}: z must be even, y and x the same multiple of 8; the "
                "net halves them on its way down, and patches are turned. Give for example "
                "[16, 96, 96]."
            )
        if self.validation_stacks < 1:
            raise InputError(
                f"validation_stacks {self.validation_stacks}: at least one is needed, to fit masks."
            )


@dataclass(frozen=True)
class MisfitConfig:
    """How a registration leaves two sessions, and what is taken from them, in training the head.

    Lengths are along the dendrite, sideways and upward, um.

    Parameters
    ----------
    shift_um
        standard deviation of the shift of a dendrite
    smooth_um
        standard deviation of its smooth stretching
    scatter_um
        standard deviation of how far beside its middle a spine is found or clicked
    worst
        the largest multiple of shift, stretching and scatter; each pair draws its own up to it, one
        for the registration, one for the scatter in the plane and one for that in depth
    slip
        share of the pairs shifted along the dendrite by 1 to 2 um more
    resettled
        share of the pairs whose spines are moved to other places along the dendrite
    leave_out
        largest share of the spines left out
    hide_portraits
        share of the pairs without pictures
    """

    shift_um: tuple[float, float, float] = (0.3, 0.15, 0.4)
    smooth_um: tuple[float, float, float] = (0.3, 0.1, 0.3)
    scatter_um: tuple[float, float, float] = (0.2, 0.17, 0.7)
    worst: float = 1.5
    slip: float = 0.05
    resettled: float = 0.5
    leave_out: float = 0.2
    hide_portraits: float = 0.2

    def __post_init__(self) -> None:
        check(self, NOT_NEGATIVE, "shift_um", "smooth_um", "scatter_um", "worst")
        check(self, SHARE, "slip", "resettled", "leave_out", "hide_portraits")


@dataclass(frozen=True)
class MatchAnnotatedConfig:
    """How a lab's linked spines (`--data`) are used in training the head.

    Parameters
    ----------
    share
        share of the pairs of sessions that come from them; simulated ones are the rest
    worst
        as `misfit.worst`, of these pairs, which are misplaced already
    point
        what the places in spines.csv are where the table does not say: tip or head
    hold_out
        dendrite_ids that the head does not see, to be tested on later
    """

    share: float = 0.6
    worst: float = 1.0
    point: PointKind = ""
    hold_out: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check(self, SHARE, "share")
        check(self, NOT_NEGATIVE, "worst")


@dataclass(frozen=True)
class PlantedConfig:
    """Simulated dendrites with planted spines, laid over each other by the linker, in training the
    head.

    Parameters
    ----------
    regions
        how many with spines found, missed and invented by rule; every tenth is kept for validation
    found
        how many besides with the spines that the segmentation net finds
    share
        of the simulated pairs of sessions, those that come from them
    """

    regions: int = 0
    found: int = 0
    share: float = 0.6

    def __post_init__(self) -> None:
        check(self, SHARE, "share")
        check(self, NOT_NEGATIVE, "regions", "found")


def _long_dendrites() -> SimulateConfig:
    return SimulateConfig(
        dendrites=1,
        shape=(20, 128, 416),
        snr="any",
        roll_deg=10.0,
        turnover=TurnoverConfig(days=(0.0, 4.0, 8.0)),
        morphology=MorphologyConfig(spines_per_um=(0.25, 1.0)),
    )


@dataclass(frozen=True)
class TrainMatchConfig:
    """Training of the matching head on simulated regions, as the segmentation net sees them, and on
    a lab's linked spines.

    Parameters
    ----------
    regions
        simulated regions; every tenth is kept for validation
    simulate
        what they are like; voxel size and turnover are drawn anew for each
    segment
        weights of the net that finds their spines
    steps
        optimiser steps in all
    batch
        pairs of sessions per step
    learning_rate
        peak of a warm-up + cosine schedule
    workers
        processes that draw the regions
    save_every
        steps between checkpoints
    seed
        of the weights at the start and of all that is drawn
    device
        auto, cpu or cuda
    """

    simulate: SimulateConfig = field(default_factory=_long_dendrites)
    misfit: MisfitConfig = field(default_factory=MisfitConfig)
    planted: PlantedConfig = field(default_factory=PlantedConfig)
    annotated: MatchAnnotatedConfig = field(default_factory=MatchAnnotatedConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    segment: str = "default"
    regions: int = 400
    steps: int = 4000
    batch: int = 16
    learning_rate: float = 2e-3
    workers: int = 1
    save_every: int = 500
    seed: int = 0
    device: Device = "auto"

    def __post_init__(self) -> None:
        check(self, at_least(1), "steps", "batch", "save_every")
        check(self, POSITIVE, "learning_rate")
        check(self, NOT_NEGATIVE, "workers")
        check(self, between(0, MOST_SEED), "seed")
        if self.simulate.seed:
            raise InputError(
                f"simulate.seed {self.simulate.seed}: in training all that is drawn follows seed. "
                "Give --seed."
            )
        if self.trainer.devices > 1:
            raise InputError(
                f"trainer.devices {self.trainer.devices}: the matching head is small and trains on "
                "one. Leave it out."
            )
        if self.regions < VALIDATION_EVERY:
            raise InputError(
                f"regions {self.regions}: at least {VALIDATION_EVERY} are needed, as every "
                f"{VALIDATION_EVERY}th is kept to fit the probability on."
            )
        if len(self.simulate.turnover.days) < 2:
            raise InputError(
                f"simulate.turnover.days {list(self.simulate.turnover.days)}: two sessions or more "
                "are needed, as the head compares them."
            )


VALIDATION_EVERY = 10
