"""Settings of the simulator: a microscope, what it looks at, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from spinenet.config.limits import (
    NOT_NEGATIVE,
    POSITIVE,
    SHARE,
    at_least,
    between,
    check,
    check_days,
    check_ranges,
)
from spinenet.types import InputError

SMALLEST = (3, 32, 32)
"""Voxels of a simulated stack."""
MOST_PHOTONS = 1e6
BY_SNR = ("photons", "shadow_chance")
"""Settings of the optics that good, fair and poor SNR stand for."""


@dataclass(frozen=True)
class OpticsConfig:
    """A two-photon microscope, as ranges from which each stack or session draws.

    Full widths at half maximum of the point spread function are those of two-photon microscopes
    at NA 0.8-1.0 in tissue (0.325 um lateral at best; out of tissue depth it widens). The default
    ranges of brightness, background and structure were set beside the real stacks in
    benchmarks/simulator_statistics.py.

    Parameters
    ----------
    lateral_fwhm_um
        width of the point spread function's core in the plane, at half of its height
    axial_fwhm_um
        width of its core in depth, likewise
    halo_share
        share of light in the wide tail (haze of out-of-focus neurites)
    photons
        expected photons at the brightest shaft voxel; `snr` of a simulated experiment sets it
    background_photons
        photons from tissue everywhere
    read_noise
        standard deviation of the detector, photons
    line_noise
        correlation of the noise of neighbours along a line, up to 0.7
    smoothing_px
        standard deviation of a smoothing in the plane after detection, as motion correction or
        averaging leaves it
    shading
        relative standard deviation of slow brightness changes (depth, vessels)
    shadow_chance
        chance of one vessel shadow in a stack; none where `snr` is good, fair or poor
    jitter_um
        standard deviation of the shift of a slice by motion
    clip_8bit_chance
        chance of a zero-clipped, saturating 8-bit detector setting
    """

    lateral_fwhm_um: tuple[float, float] = (0.35, 0.5)
    axial_fwhm_um: tuple[float, float] = (1.5, 3.0)
    halo_share: tuple[float, float] = (0.02, 0.25)
    photons: tuple[float, float] = (10.0, 100.0)
    background_photons: tuple[float, float] = (0.02, 0.6)
    read_noise: tuple[float, float] = (0.1, 1.0)
    line_noise: tuple[float, float] = (0.0, 0.68)
    smoothing_px: tuple[float, float] = (0.0, 0.0)
    shading: float = 0.25
    shadow_chance: float = 0.15
    jitter_um: tuple[float, float] = (0.0, 0.12)
    clip_8bit_chance: float = 0.5

    def __post_init__(self) -> None:
        check(self, between(0.05, 20.0), "lateral_fwhm_um", "axial_fwhm_um")
        check(self, between(1e-3, MOST_PHOTONS), "photons")
        check(self, between(0.0, MOST_PHOTONS), "background_photons", "read_noise")
        check(self, between(0.0, 20.0), "smoothing_px", "jitter_um")
        check(self, between(0.0, 2.0), "shading")
        check(self, SHARE, "halo_share", "shadow_chance", "clip_8bit_chance")
        check_ranges(self, "lateral_fwhm_um", "axial_fwhm_um", "halo_share", "photons")
        check_ranges(self, "background_photons", "read_noise", "smoothing_px", "jitter_um")
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
    spines_per_um
        density along each dendrite (0.3-0.5 in L5 apical dendrites, Shao 2021)
    shaft_radius_um
        radius at the base of a dendrite
    head_volume_um3
        median of the log-normal head volume
    head_volume_log_sd
        standard deviation of its log (log-normal sizes: Loewenstein 2011)
    filopodia_share
        share of long protrusions without a head
    stubby_share
        share of spines without a neck
    brightness_log_sd
        standard deviation, over spines, of the log of their brightness
    axons
        axons with boutons per 1000 um2 of field
    puncta
        stray bright puncta per 1000 um2 of field
    clouds
        loose heaps of dim puncta (out-of-focus neuropil, debris) per 1000 um2 of field
    blobs
        large dim autofluorescent bodies per 1000 um2 of field
    """

    spines_per_um: tuple[float, float] = (0.2, 0.7)
    shaft_radius_um: tuple[float, float] = (0.25, 0.8)
    head_volume_um3: float = 0.06
    head_volume_log_sd: float = 0.7
    filopodia_share: float = 0.04
    stubby_share: float = 0.15
    brightness_log_sd: float = 0.15
    axons: tuple[float, float] = (0.0, 3.0)
    puncta: tuple[float, float] = (0.0, 8.0)
    clouds: tuple[float, float] = (0.0, 5.0)
    blobs: tuple[float, float] = (0.0, 0.6)

    def __post_init__(self) -> None:
        check(self, between(0.15, 1.5), "shaft_radius_um")
        check(self, between(0.01, 1.2), "head_volume_um3")
        check(self, between(0.0, 10.0), "spines_per_um")
        check(self, between(0.0, 1000.0), "axons", "puncta", "clouds", "blobs")
        check(self, between(0.0, 3.0), "head_volume_log_sd", "brightness_log_sd")
        check(self, SHARE, "filopodia_share", "stubby_share")
        check_ranges(self, "spines_per_um", "shaft_radius_um", "axons", "puncta", "clouds", "blobs")


@dataclass(frozen=True)
class TurnoverConfig:
    """How spines come and go between sessions.

    Parameters
    ----------
    days
        day of each session
    formation_per_day
        new spines, as a share of those present at the start; those gone before the next session are
        never seen
    elimination_per_day
        hazard of loss of spines that were there at the start
    clustered_share
        chance that a new spine is planted next to an earlier new one, where there is one; where
        there is no room beside it none forms
    new_loss_per_day
        hazard of loss of new spines; clustered ones divide it by `protection`
    protection
        how many times rarer the loss of clustered new spines is
    size_log_sd
        standard deviation of the change of log head volume per 4 days
    recurrent_share
        chance of a lost spine to be back, in each later session
    """

    days: tuple[float, ...] = (0.0, 2.0, 4.0, 8.0, 16.0)
    formation_per_day: float = 0.025
    elimination_per_day: float = 0.012
    clustered_share: float = 0.3
    new_loss_per_day: float = 0.06
    protection: float = 2.5
    size_log_sd: float = 0.25
    recurrent_share: float = 0.02

    def __post_init__(self) -> None:
        check_days("days", self.days, 1)
        check(self, between(0.0, 1.0), "formation_per_day")
        check(self, between(0.0, 10.0), "elimination_per_day", "new_loss_per_day")
        check(self, between(0.0, 3.0), "size_log_sd")
        check(self, SHARE, "clustered_share", "recurrent_share")
        check(self, POSITIVE, "protection")


@dataclass(frozen=True)
class SimulateConfig:
    """A simulated experiment: animals x regions x sessions with exact truth.

    Parameters
    ----------
    animals
        in all
    regions
        of each animal
    dendrites
        of each region
    shape
        voxels of each stack, z, y, x
    voxel_um
        voxel size, z, y, x
    snr
        good, fair or poor (60, 25, 10 photons at the shaft, no shadows), or any for what the optics
        say
    shift_um
        standard deviation of the shift between sessions; half of it in z
    rotation_deg
        standard deviation of the rotation about z between sessions
    tilt_deg
        standard deviation of the window's tilt about y and about x between sessions
    warp_um
        standard deviation of the smooth deformation between sessions
    roll_deg
        standard deviation of a dendrite's roll about its axis, and of each spine's besides
    arc_jitter_um
        standard deviation of a spine's move along its dendrite between sessions
    neck_log_sd
        standard deviation of the log of a neck's length between sessions
    seed
        of all that is drawn
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

    def __post_init__(self) -> None:
        check(self, at_least(1), "animals", "regions", "dendrites")
        check(self, between(0.01, 20.0), "voxel_um")
        check(self, between(0.0, 100.0), "shift_um", "warp_um", "arc_jitter_um")
        check(self, between(0.0, 180.0), "rotation_deg", "roll_deg")
        check(self, between(0.0, 45.0), "tilt_deg")
        check(self, between(0.0, 2.0), "neck_log_sd")
        check(self, NOT_NEGATIVE, "seed")
        usual = OpticsConfig()
        for name in () if self.snr == "any" else BY_SNR:
            if getattr(self.optics, name) != getattr(usual, name):
                raise InputError(
                    f"optics.{name} {getattr(self.optics, name)} with snr {self.snr}, which sets "
                    "it: one of both was expected. Add --snr any for your own."
                )
        if not all(n >= least for n, least in zip(self.shape, SMALLEST, strict=True)):
            raise InputError(
                f"shape {list(self.shape)}: at least {list(SMALLEST)} voxels (z, y, x) were "
                "expected, so that a dendrite finds room. Give a larger one."
            )
