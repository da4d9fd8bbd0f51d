"""Spines that come, go, grow and cluster over the sessions of one dendrite.

Rates are planted: formation and elimination as shares per day, new spines next to earlier new ones
at a given rate, and these persist longer (Fu, Yu, Lu & Zuo, Nature 483:92, 2012).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from spinenet.config import MorphologyConfig, TurnoverConfig
from spinenet.synthetic.morphology import (
    HEAD_UM3,
    Dendrite,
    SpineShape,
    collide,
    draw_spine,
    grow_spines,
)
from spinenet.types import FloatArray

CLUSTER_REACH_UM = (0.7, 3.0)
REVERSION_PER_DAY = 0.03
STEP_LEFT = np.exp(-4 * REVERSION_PER_DAY)
"""What is left of a change of size after the 4 days that `size_log_sd` is told of."""
TRIES = 40


@dataclass(frozen=True)
class Lives:
    """S spines over T sessions of one dendrite."""

    spines: tuple[SpineShape, ...]
    present: npt.NDArray[np.bool_]
    """(S, T)"""
    log_size: FloatArray
    """(S, T) change of log head volume since the first session"""
    planted: npt.NDArray[np.int64]
    """(S,) number of the planted cluster, -1 for none"""

    def at(self, session: int) -> tuple[list[int], tuple[SpineShape, ...]]:
        """Numbers and shapes of the spines present in a session."""
        here = np.flatnonzero(self.present[:, session]).tolist()
        shapes = []
        for k in here:
            spine = self.spines[k]
            if spine.kind != "filopodium":
                volume = spine.head_volume_um3
                grown = float(np.clip(volume * np.exp(self.log_size[k, session]), *HEAD_UM3))
                z, y, x = (r * (grown / volume) ** (1 / 3) for r in spine.head_radii_um)
                spine = replace(spine, head_radii_um=(z, y, x))
            shapes.append(spine)
        return here, tuple(shapes)


def live(
    rng: np.random.Generator,
    dendrite: Dendrite,
    morphology: MorphologyConfig,
    turnover: TurnoverConfig,
) -> Lives:
    """Draw the lives of all spines of a bare dendrite."""
    days = np.array(turnover.days)
    n_sessions = len(days)
    spines = list(grow_spines(rng, morphology, dendrite))
    n_start = len(spines)
    present = [np.zeros(n_sessions, bool) for _ in spines]
    for row in present:
        row[0] = True
    planted, born = [-1] * n_start, [0] * n_start
    for t in range(1, n_sessions):
        gap = days[t] - days[t - 1]
        for k, row in enumerate(present):
            row[t] = _lives_on(rng, row[:t], gap, turnover, new=born[k] > 0, ally=planted[k] >= 0)
        for _ in range(rng.poisson(_born(gap, turnover) * n_start)):
            here = [k for k in range(len(spines)) if present[k][t]]
            partners = [k for k in here if born[k]]
            partner = None
            if partners and rng.random() < turnover.clustered_share:
                partner = int(rng.choice(partners))
            spine = _settle(rng, morphology, dendrite, spines, here, partner)
            if spine is None:
                continue
            spines.append(spine)
            row = np.zeros(n_sessions, bool)
            row[t] = True
            present.append(row)
            born.append(t)
            planted.append(-1)
            if partner is not None:
                if planted[partner] < 0:
                    planted[partner] = max(planted) + 1
                planted[-1] = planted[partner]
    size = np.zeros((len(spines), n_sessions))
    for t in range(1, n_sessions):
        gap = days[t] - days[t - 1]
        left = np.exp(-REVERSION_PER_DAY * gap)
        spread = turnover.size_log_sd * np.sqrt((1 - left**2) / (1 - STEP_LEFT**2))
        size[:, t] = size[:, t - 1] * left + rng.normal(0, spread, len(spines))
    matrix = np.array(present, bool).reshape(len(spines), n_sessions)
    return Lives(tuple(spines), matrix, size, np.array(planted, np.int64))


def _born(gap_days: float, turnover: TurnoverConfig) -> float:
    """Spines that form in a gap and still stand at its end, as a share of those at the start:
    the longer nobody looks, the more of them come and go unseen."""
    loss = turnover.new_loss_per_day
    days = -np.expm1(-loss * gap_days) / loss if loss else gap_days
    return float(turnover.formation_per_day * days)


def _lives_on(
    rng: np.random.Generator,
    past: npt.NDArray[np.bool_],
    gap_days: float,
    turnover: TurnoverConfig,
    *,
    new: bool,
    ally: bool,
) -> bool:
    """Is a spine there in the next session? `ally`: it has a planted partner, which protects."""
    if past[-1]:
        hazard = turnover.elimination_per_day
        if new:
            hazard = turnover.new_loss_per_day / (turnover.protection if ally else 1.0)
        return bool(rng.random() < np.exp(-hazard * gap_days))
    return bool(past.any() and rng.random() < turnover.recurrent_share)


def _settle(
    rng: np.random.Generator,
    morphology: MorphologyConfig,
    dendrite: Dendrite,
    spines: list[SpineShape],
    here: list[int],
    partner: int | None,
) -> SpineShape | None:
    """A new spine at a free place: anywhere, or beside `partner` with no other spine between."""
    s = dendrite.frame_um
    for _ in range(TRIES):
        arc = rng.uniform(s[0], s[-1])
        if partner is not None:
            arc = spines[partner].arc_um + rng.choice([-1, 1]) * rng.uniform(*CLUSTER_REACH_UM)
            ends = sorted((arc, spines[partner].arc_um))
            if not s[0] < arc < s[-1]:
                continue
            if any(ends[0] < spines[k].arc_um < ends[1] for k in here):
                continue
        spine = draw_spine(rng, morphology, float(arc))
        if not any(collide(spine, spines[k]) for k in range(len(spines))):
            return spine
    return None
