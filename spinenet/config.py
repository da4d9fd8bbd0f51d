"""Every setting and its default, once. Frozen; unknown keys are refused where they are read.

A YAML in `configs/` lists only what differs from these defaults.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from spinenet.types import InputError

Device = Literal["auto", "cpu", "cuda"]
PointKind = Literal["", "tip", "head"]


@dataclass(frozen=True)
class WeightsConfig:
    """Which weights to use; a name from weights/manifest.json or a path to a .safetensors file."""

    segment: str = "default"


@dataclass(frozen=True)
class SegmentConfig:
    """How probabilities become shafts and spines. None takes the value stored with the weights.

    Parameters
    ----------
    shaft_threshold: probability from which a voxel is shaft
    spine_threshold: probability from which a voxel belongs to a spine
    centre_threshold: height of a centre peak from which it is a spine
    tile_mvox: largest tile, in millions of voxels; halved when memory runs out
    """

    shaft_threshold: float | None = None
    spine_threshold: float | None = None
    centre_threshold: float | None = None
    tile_mvox: float = 5.0


@dataclass(frozen=True)
class MeasureConfig:
    """How spines and dendrites are measured.

    Parameters
    ----------
    min_dendrite_um: shorter pieces of skeleton are not dendrites
    spur_um: side branches of the skeleton up to this long are spines or roughness, not dendrites
    node_um: distance between nodes of a centreline
    edge_um: spines nearer to the border of the stack touch the edge
    reach_um: a spine's centre lies at most this far from the shaft's surface
    min_length_um: shortest protrusion beyond the shaft that counts as a spine
    """

    min_dendrite_um: float = 8.0
    spur_um: float = 4.0
    node_um: float = 0.5
    edge_um: float = 1.0
    reach_um: float = 3.0
    min_length_um: float = 0.2


@dataclass(frozen=True)
class MatchConfig:
    """How sessions are aligned and spines linked.

    Parameters
    ----------
    max_shift_um: largest shift between sessions that is searched
    max_rotation_deg: largest rotation about z that is searched
    gate_um: two spines farther apart than this along the dendrite, after alignment, are not one
    min_link_p: links less sure than this, rivals left aside, are not made
    sure_share: over three or more sessions a spine counts if it was once seen at this multiple of
        the centre threshold: among many looks, a false alarm passes the threshold itself too easily
    lookback_share: a spine missed at first is found again from this share of the centre threshold
    min_snr: a shaft dimmer than this, over its noise, cannot show that a spine is absent
    """

    max_shift_um: float = 20.0
    max_rotation_deg: float = 6.0
    gate_um: float = 2.0
    min_link_p: float = 0.2
    sure_share: float = 1.4
    lookback_share: float = 0.7
    min_snr: float = 4.0


@dataclass(frozen=True)
class AnalyzeConfig:
    """The readings of the cluster and persistence analysis; stated in the report.

    Parameters
    ----------
    window: first and last day in which new spines may appear; None takes all after the first
    d_um: distance of the rule within_d
    resolution_um: closer new spines are one unresolved site
    landmark_day: days after the first session at which survivors start to be followed
    n_shuffles: shuffles of the null
    max_gap: absences between two presences that are filled
    """

    window: tuple[float, float] | None = None
    d_um: float = 5.0
    resolution_um: float = 0.5
    landmark_day: float = 4.0
    n_shuffles: int = 10_000
    max_gap: int = 1


@dataclass(frozen=True)
class InferConfig:
    """Everything `spinenet infer` can be told."""

    weights: WeightsConfig = field(default_factory=WeightsConfig)
    segment: SegmentConfig = field(default_factory=SegmentConfig)
    measure: MeasureConfig = field(default_factory=MeasureConfig)
    match: MatchConfig = field(default_factory=MatchConfig)
    analyze: AnalyzeConfig = field(default_factory=AnalyzeConfig)
    seed: int = 0


@dataclass(frozen=True)
class OpticsConfig:
    """A two-photon microscope, as ranges from which each stack or session draws.

    Full widths at half maximum of the point spread function are those of two-photon microscopes
    at NA 0.8-1.0 in tissue (0.325 um lateral at best; out of tissue depth it widens). The default
    ranges of brightness, background and structure were set beside the real stacks in
    benchmarks/simulator_statistics.py.

    Parameters
    ----------
    lateral_fwhm_um, axial_fwhm_um: core of the point spread function
    halo_share: share of light in the wide tail (haze of out-of-focus neurites)
    photons: expected photons at the brightest shaft voxel
    background_photons: photons from tissue everywhere
    read_noise: standard deviation of the detector, photons
    line_noise: correlation of the noise of neighbours along a line, up to 0.7
    shading: relative standard deviation of slow brightness changes (depth, vessels)
    shadow_chance: chance of one vessel shadow in a stack
    jitter_um: standard deviation of the shift of a slice by motion
    clip_8bit_chance: chance of a zero-clipped, saturating 8-bit detector setting
    """

    lateral_fwhm_um: tuple[float, float] = (0.35, 0.5)
    axial_fwhm_um: tuple[float, float] = (1.5, 3.0)
    halo_share: tuple[float, float] = (0.02, 0.25)
    photons: tuple[float, float] = (10.0, 100.0)
    background_photons: tuple[float, float] = (0.02, 0.6)
    read_noise: tuple[float, float] = (0.1, 1.0)
    line_noise: tuple[float, float] = (0.0, 0.68)
    shading: float = 0.25
    shadow_chance: float = 0.15
    jitter_um: tuple[float, float] = (0.0, 0.12)
    clip_8bit_chance: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.line_noise[0] <= self.line_noise[1] <= 0.7:
            raise InputError(
                f"line_noise {self.line_noise}: a correlation between 0 and 0.7 was expected; "
                "three neighbours on a line cannot be more alike. Give a smaller one."
            )


@dataclass(frozen=True)
class MorphologyConfig:
    """Dendrites, spines and what lies between them.

    Parameters
    ----------
    spines_per_um: density along each dendrite (0.3-0.5 in L5 apical dendrites, Shao 2021)
    shaft_radius_um: radius at the base of a dendrite
    head_volume_um3: median of the log-normal head volume
    head_volume_log_sd: its standard deviation in log (log-normal sizes: Loewenstein 2011)
    filopodia_share: share of long protrusions without a head
    stubby_share: share without a neck
    axons: axons with boutons per 1000 um2 of field
    puncta: stray bright puncta per 1000 um2 of field
    clouds: loose heaps of dim puncta (out-of-focus neuropil, debris) per 1000 um2 of field
    blobs: large dim autofluorescent bodies per 1000 um2 of field
    """

    spines_per_um: tuple[float, float] = (0.2, 0.7)
    shaft_radius_um: tuple[float, float] = (0.25, 0.8)
    head_volume_um3: float = 0.06
    head_volume_log_sd: float = 0.7
    filopodia_share: float = 0.04
    stubby_share: float = 0.15
    axons: tuple[float, float] = (0.0, 3.0)
    puncta: tuple[float, float] = (0.0, 8.0)
    clouds: tuple[float, float] = (0.0, 5.0)
    blobs: tuple[float, float] = (0.0, 0.6)


@dataclass(frozen=True)
class TurnoverConfig:
    """How spines come and go between sessions.

    Parameters
    ----------
    days: day of each session
    formation_per_day, elimination_per_day: share of the spines present at the start
    clustered_share: share of new spines planted next to an earlier new one
    new_loss_per_day: hazard of loss of new spines; clustered ones divide it by `protection`
    protection: how many times rarer the loss of clustered new spines is
    size_log_sd: standard deviation of the change of log head volume per 4 days
    recurrent_share: share of lost spines that return
    """

    days: tuple[float, ...] = (0.0, 2.0, 4.0, 8.0, 16.0)
    formation_per_day: float = 0.025
    elimination_per_day: float = 0.012
    clustered_share: float = 0.3
    new_loss_per_day: float = 0.06
    protection: float = 2.5
    size_log_sd: float = 0.25
    recurrent_share: float = 0.02


@dataclass(frozen=True)
class SimulateConfig:
    """A simulated experiment: animals x regions x sessions with exact truth.

    Parameters
    ----------
    shape: voxels of each stack, z, y, x
    voxel_um: voxel size, z, y, x
    snr: good, fair or poor (60, 25, 10 photons at the shaft), or any for the whole range
    shift_um: standard deviation of the shift between sessions; half of it in z
    rotation_deg: standard deviation of the rotation about z between sessions
    tilt_deg: standard deviation of the window's tilt about y and about x between sessions
    warp_um: standard deviation of the smooth deformation between sessions
    roll_deg: standard deviation of a dendrite's roll about its axis, and of each spine's besides
    arc_jitter_um: standard deviation of a spine's move along its dendrite between sessions
    neck_log_sd: standard deviation of the log of a neck's length between sessions
    """

    animals: int = 2
    regions: int = 1
    dendrites: int = 2
    shape: tuple[int, int, int] = (28, 256, 448)
    voxel_um: tuple[float, float, float] = (0.8, 0.12, 0.12)
    snr: Literal["good", "fair", "poor", "any"] = "good"
    shift_um: float = 1.5
    rotation_deg: float = 1.0
    tilt_deg: float = 1.0
    warp_um: float = 0.4
    roll_deg: float = 8.0
    arc_jitter_um: float = 0.1
    neck_log_sd: float = 0.2
    optics: OpticsConfig = field(default_factory=OpticsConfig)
    morphology: MorphologyConfig = field(default_factory=MorphologyConfig)
    turnover: TurnoverConfig = field(default_factory=TurnoverConfig)
    seed: int = 0


@dataclass(frozen=True)
class NetConfig:
    """The U-Net. `channels` per level; z is pooled from the third level on."""

    channels: tuple[int, ...] = (16, 32, 64, 128)


@dataclass(frozen=True)
class TrainerConfig:
    """How Lightning runs the training.

    Parameters
    ----------
    devices: cards to train on; with more than one each takes `batch` patches a step
    log_every: steps between lines of the logs (CSV and TensorBoard, in `log/` of the run)
    """

    devices: int = 1
    log_every: int = 25


@dataclass(frozen=True)
class AnnotatedConfig:
    """How a lab's annotated stacks (`--data`) are used in training.

    Parameters
    ----------
    share: share of the patches that come from them; the simulator gives the rest
    implant_share: share of those in which simulated spines are grown on a traced dendrite
    underlay_share: share of the simulated scenes that lie over an empty part of a real stack
    point: what the places in spines.csv are where the table does not say: tip or head
    reach_um: this far from a traced dendrite (z squeezed by 2.5) its spines are taken to be marked
    hold_out: dendrite_ids whose spines are not shown to the net, to be tested on later
    """

    share: float = 0.5
    implant_share: float = 0.25
    underlay_share: float = 0.3
    point: PointKind = ""
    reach_um: float = 3.0
    hold_out: tuple[int, ...] = ()


@dataclass(frozen=True)
class TrainSegmentConfig:
    """Training of the segmentation net on simulated and annotated patches.

    Parameters
    ----------
    steps: optimiser steps in all
    batch: patches per step, on each card
    patch: voxels of a training patch, z, y, x
    crops_per_scene: patches cut from each simulated scene
    learning_rate: peak of a warm-up + cosine schedule
    ema: decay of the averaged weights that are shipped
    freeze_norm: keep the statistics of the normalisation, as fine-tuning on few stacks needs
    workers: processes that simulate while the net trains
    validation_stacks: simulated stacks on which thresholds are fitted, never trained on
    save_every: steps between checkpoints and pictures of validation crops
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
        z, y, x = self.patch
        if z % 2 or y % 8 or y != x or min(self.patch) < 2:
            raise InputError(
                f"patch {list(self.patch)}: z must be even, y and x the same multiple of 8; the "
                "net halves them on its way down, and patches are turned. Give for example "
                "[16, 96, 96]."
            )
        if len(self.net.channels) != 4:
            raise InputError(f"net.channels {list(self.net.channels)}: four levels were expected.")
        if self.validation_stacks < 1:
            raise InputError(
                f"validation_stacks {self.validation_stacks}: at least one is needed, to fit masks."
            )
