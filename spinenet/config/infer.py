"""Settings of `spinenet infer` and of the rooms that it walks through."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from spinenet.config.limits import NOT_NEGATIVE, POSITIVE, SHARE, at_least, check
from spinenet.types import InputError

VOTER_PROBABILITY = 0.2
"""Voxels below it have no say in where a spine is, and are in no mask."""
ExportFormat = Literal["geff", "trackmate", "mapmanager"]
ClusterRule = Literal["contiguous", "within_d"]
ExistingRule = Literal["present", "ever"]


@dataclass(frozen=True)
class WeightsConfig:
    """Which weights to use; a name from weights/manifest.json or a path to a .safetensors file.

    Parameters
    ----------
    segment
        the net that finds shafts and spines
    match
        the head that judges, beside their places, which spines are one; `places`: these alone do
    """

    segment: str = "default"
    match: str = "default"


@dataclass(frozen=True)
class SegmentConfig:
    """How probabilities become shafts and spines. None takes the value stored with the weights.

    Parameters
    ----------
    shaft_threshold
        probability from which a voxel is shaft
    spine_threshold
        probability from which a voxel belongs to a spine
    centre_threshold
        height of a centre peak from which it is a spine
    tile_mvox
        largest tile, in millions of voxels, where the stack is not too deep for it; halved when a
        card's memory runs out
    views
        mirror images of the stack, 1, 2 or 4 of them, whose answers are averaged; each takes as
        long as the first. Worth it where stacks differ from those the net was trained on
    """

    shaft_threshold: float | None = None
    spine_threshold: float | None = None
    centre_threshold: float | None = None
    tile_mvox: float = 10.0
    views: Literal[1, 2, 4] = 1

    def __post_init__(self) -> None:
        check(self, SHARE, "shaft_threshold", "spine_threshold", "centre_threshold")
        if self.spine_threshold is not None and self.spine_threshold < VOTER_PROBABILITY:
            raise InputError(
                f"segment.spine_threshold {self.spine_threshold:g}: {VOTER_PROBABILITY:g} or more "
                "was expected; of voxels that are less likely spine the net's answer is not kept."
            )
        check(self, POSITIVE, "tile_mvox")


@dataclass(frozen=True)
class MeasureConfig:
    """How spines and dendrites are measured.

    Parameters
    ----------
    min_dendrite_um
        shorter pieces of skeleton are not dendrites
    spur_um
        side branches of the skeleton up to this long are spines or roughness, not dendrites
    node_um
        distance between nodes of a centreline
    edge_um
        spines nearer to the border of the stack touch the edge
    reach_um
        a spine's centre lies at most this far from the shaft's surface
    min_length_um
        shortest protrusion beyond the shaft that counts as a spine
    """

    min_dendrite_um: float = 8.0
    spur_um: float = 4.0
    node_um: float = 0.5
    edge_um: float = 1.0
    reach_um: float = 3.0
    min_length_um: float = 0.2

    def __post_init__(self) -> None:
        check(self, POSITIVE, "node_um", "reach_um")
        check(self, NOT_NEGATIVE, "min_dendrite_um", "spur_um", "edge_um", "min_length_um")


@dataclass(frozen=True)
class MatchConfig:
    """How sessions are aligned and spines linked.

    Parameters
    ----------
    max_shift_um
        largest shift between sessions that is searched
    max_rotation_deg
        largest rotation about z that is searched
    same_field
        least agreement of two sessions' pictures, once aligned, that show one field: their
        correlation times the root of the share that overlaps; simulated, right ones had 0.76 and
        more, others 0.65 and less
    gate_um
        two spines farther apart than this along the dendrite, after alignment, are not one
    head_share
        of a pair's probability, how much the matching head says; its places alone say the rest
    min_link_p
        links less sure than this, rivals left aside, are not made
    marked_link_p
        the same of spines that were marked (`spinenet link`), among which are no false alarms
    sure_share
        over three or more sessions a spine counts if it was once seen at this multiple of the
        centre threshold: among many looks, a false alarm passes the threshold itself too easily
    lookback_share
        a spine missed at first is found again from this share of the centre threshold
    between_share
        one that was seen before and after, and might well be missed, from this share of it
    min_snr
        a shaft dimmer than this, over its noise, cannot show that a spine is absent
    least_power
        a session in which a spine of that brightness would be found with less than this
        probability cannot show that it is absent; above 0, none can of a spine that does not stick
        out beside its shaft
    """

    max_shift_um: float = 20.0
    max_rotation_deg: float = 6.0
    same_field: float = 0.7
    gate_um: float = 2.0
    head_share: float = 0.5
    min_link_p: float = 0.35
    marked_link_p: float = 0.2
    sure_share: float = 1.4
    lookback_share: float = 0.7
    between_share: float = 0.1
    min_snr: float = 4.0
    least_power: float = 0.8

    def __post_init__(self) -> None:
        check(self, POSITIVE, "gate_um", "min_link_p", "marked_link_p")
        check(self, NOT_NEGATIVE, "max_shift_um", "max_rotation_deg", "min_snr")
        check(self, NOT_NEGATIVE, "sure_share", "lookback_share", "between_share")
        check(self, SHARE, "least_power", "min_link_p", "marked_link_p", "head_share")
        check(self, at_least(-1), "same_field")
        for name in ("min_link_p", "marked_link_p"):
            if getattr(self, name) == 1:
                raise InputError(
                    f"{name} 1: no link is that sure, so none would be made. Give less than 1."
                )


@dataclass(frozen=True)
class AnalyzeConfig:
    """The readings of the cluster and persistence analysis; stated in the report.

    Parameters
    ----------
    window
        first and last day in which new spines may appear; None takes all after the first
    d_um
        distance of the rule within_d
    filopodia_in
        rules by which filopodia take part, as new spines and as existing ones
    require_coexistence
        members of a cluster were there in one session together; else it is enough that they were
        there in the window
    existing_rule
        an existing spine parts new ones of a session if it was there in it (present), or in any
        session at all (ever)
    resolution_um
        closer new spines are one unresolved site
    exclusion_um
        two spines closer than this cannot be told apart, so no new one is seen there
    min_spines_per_segment
        a dendrite with fewer spines is left out of nulls and tests
    min_seg_um
        a dendrite shorter than this is left out of nulls and tests
    edge_um
        spines this near to the end of what could be scored are left out of nulls and tests
    landmark_day
        new spines alive at the last session up to this day, as the table counts days, are followed
        from there
    n_shuffles
        shuffles of the null
    n_draws
        histories drawn from what the machine is unsure of
    max_gap
        absences between two presences that are filled
    persist_days
        a new spine seen over so many days is persistent
    """

    window: tuple[float, float] | None = None
    d_um: float = 5.0
    filopodia_in: tuple[ClusterRule, ...] = ("within_d",)
    require_coexistence: bool = True
    existing_rule: ExistingRule = "present"
    resolution_um: float = 0.5
    exclusion_um: float = 0.3
    min_spines_per_segment: int = 10
    min_seg_um: float = 10.0
    edge_um: float = 1.0
    landmark_day: float = 4.0
    n_shuffles: int = 10_000
    n_draws: int = 50
    max_gap: int = 1
    persist_days: float = 4.0

    def __post_init__(self) -> None:
        check(self, NOT_NEGATIVE, "d_um", "resolution_um", "exclusion_um", "min_seg_um", "edge_um")
        check(self, NOT_NEGATIVE, "min_spines_per_segment", "n_draws", "max_gap", "persist_days")
        check(self, at_least(1), "n_shuffles")
        if self.window is not None and any(map(math.isnan, self.window)):
            raise InputError(
                f"window {list(self.window)}: the first and the last day were expected, for "
                "example [2, 8]. Leave it out for all sessions after the first."
            )
        if self.window is not None and not self.window[0] <= self.window[1]:
            raise InputError(
                f"window {list(self.window)}: the first day comes after the last one. "
                "Exchange them."
            )


@dataclass(frozen=True)
class InferConfig:
    """Everything `spinenet infer` can be told.

    Parameters
    ----------
    seed
        of the shuffles and of the draws
    """

    weights: WeightsConfig = field(default_factory=WeightsConfig)
    segment: SegmentConfig = field(default_factory=SegmentConfig)
    measure: MeasureConfig = field(default_factory=MeasureConfig)
    match: MatchConfig = field(default_factory=MatchConfig)
    analyze: AnalyzeConfig = field(default_factory=AnalyzeConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        check(self, NOT_NEGATIVE, "seed")
