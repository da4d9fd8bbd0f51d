"""Where new spines form between the stable ones (Fu et al. 2012, Fig. 3).

Between stable neighbours a < s < b a place that knows nothing of them has u = 2 d / (b - a)
uniform on 0..1, d the distance to the nearer one. Two spines closer than an exclusion zone d0
cannot be told apart, which alone pushes u above one half; u' = (d - d0) / ((b - a) / 2 - d0) is
uniform again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from spinenet.analyze.clusters import find_roles
from spinenet.analyze.groups import LEVEL, mean_of_animals
from spinenet.analyze.near import HALF_NM_UM, beyond
from spinenet.analyze.rows import Row, mean_row, p_two_sided, row
from spinenet.analyze.states import GONE, SEEN, Histories
from spinenet.config import AnalyzeConfig
from spinenet.types import BoolArray, FloatArray

SWEEP_UM = (0.0, 0.2, 0.3, 0.5, 0.7)
COLUMNS = ("animal", "group", "region", "dendrite_id", "track_id", "class", "near_um", "gap_um")


@dataclass(frozen=True)
class Flanked:
    """New spines between two stable ones, a row each."""

    frame: pd.DataFrame
    """animal, group, region, dendrite_id, track_id, class, near_um (to the nearer stable spine),
    gap_um (from one stable neighbour to the other)."""

    def relative(self, exclusion_um: float) -> pd.Series:
        """u' of each; nan in gaps without room, and for spines inside the exclusion zone."""
        room = self.frame["gap_um"] / 2 - exclusion_um
        near = self.frame["near_um"]
        free = (near - exclusion_um).clip(lower=0.0)
        return (free / room).where((room > HALF_NM_UM) & beyond(near.to_numpy(float), exclusion_um))


def flanked(all_histories: list[Histories], config: AnalyzeConfig) -> Flanked:
    """All new spines of the window with a stable neighbour on either side."""
    rows = [row for h in all_histories for row in _of_dendrite(h, config)]
    return Flanked(pd.DataFrame(rows, columns=list(COLUMNS)))


def stable_at(h: Histories, t: int) -> BoolArray:
    """(S,) there from the start to session t in every session that could be scored."""
    until = h.seen[:, : t + 1]
    there: BoolArray = (until[:, [0, t]] == SEEN).all(axis=1) & ~(until == GONE).any(axis=1)
    return there & ~h.filopodium


def spacing_rows(
    group: str, all_flanked: Flanked, config: AnalyzeConfig, rng: np.random.Generator
) -> list[Row]:
    """u' of the new spines against one half, over a sweep of exclusion zones; and how far succedent
    spines stand from the nearest stable one."""
    frame = all_flanked.frame
    mine = frame[frame["group"] == group].reset_index(drop=True)
    here = Flanked(mine)
    found, _ = _against_half("spacing_u", group, here, config.exclusion_um, config, rng)
    rows, calm = [found], np.nan
    for width in SWEEP_UM:
        name = f"spacing_u_exclusion_{width:g}"
        found, avoided = _against_half(name, group, here, width, config, rng)
        rows.append(found)
        calm = width if np.isnan(calm) and avoided is False else calm
    test = "smallest exclusion zone of the sweep at which new spines do not avoid others"
    if np.isnan(calm):
        test = f"avoided at {width:g} um, the widest of the sweep" if avoided else found["test"]
    rows.append(row("spacing_exclusion_um", group, calm, test=test))
    return [*rows, _near_of_succedent(group, mine, config, rng)]


def _against_half(
    name: str,
    group: str,
    here: Flanked,
    exclusion_um: float,
    config: AnalyzeConfig,
    rng: np.random.Generator,
) -> tuple[Row, bool | None]:
    """The row, and whether new spines keep away from stable ones; None where nobody can tell."""
    relative = here.relative(exclusion_um).dropna()
    if not len(relative):
        return row(name, group, np.nan, test="no new spine between stable ones"), None
    animal = here.frame.loc[relative.index, "animal"]
    means = relative.groupby(animal).mean()
    mean = mean_of_animals(means.to_numpy(float), 0.0, 1.0)
    _, whose = np.unique(animal.to_numpy(str), return_inverse=True)
    weight = 1 / np.bincount(whose)[whose] / len(means)
    p = p_two_sided(mean.value, _uniform_means(weight, config.n_shuffles, rng))
    found = mean_row(
        name,
        group,
        mean,
        null_mean=0.5,
        p_value=p,
        n_spines=len(relative),
        test=f"{mean.test}; places uniform between the stable neighbours, exclusion zone "
        f"{exclusion_um:g} um",
    )
    return found, p <= LEVEL and mean.value > 0.5


def _uniform_means(weight: FloatArray, n: int, rng: np.random.Generator) -> FloatArray:
    """(B,) mean over animals of the mean of as many uniform numbers."""
    out = np.empty(n)
    step = max(1, 4_000_000 // len(weight))
    for start in range(0, n, step):
        stop = min(start + step, n)
        out[start:stop] = rng.random((stop - start, len(weight))) @ weight
    return out


def _near_of_succedent(
    group: str, mine: pd.DataFrame, config: AnalyzeConfig, rng: np.random.Generator
) -> Row:
    """How far succedent spines stand from the nearer stable one, against places uniform in the same
    gaps: clusters need wide gaps, so that other new spines are no fair comparison."""
    name = "spacing_near_um_succedent"
    late = mine[mine["class"] == "succedent"]
    room = late["gap_um"].to_numpy(float) / 2 - config.exclusion_um
    near = late["near_um"].to_numpy(float)
    good = (room > HALF_NM_UM) & beyond(near, config.exclusion_um)
    if not good.any():
        return row(name, group, np.nan, test="no succedent spine between stable ones")
    drawn = config.exclusion_um + rng.random((config.n_shuffles, int(good.sum()))) * room[good]
    null, observed = drawn.mean(axis=1), float(near[good].mean())
    return row(
        name,
        group,
        observed,
        null_mean=float(null.mean()),
        p_value=p_two_sided(observed, null),
        n_animals=late["animal"][good].nunique(),
        n_spines=int(good.sum()),
        test="all animals' spines together; places uniform between the same stable neighbours",
    )


def _of_dendrite(h: Histories, config: AnalyzeConfig) -> list[dict[str, object]]:
    role = find_roles(h, config).names
    out: list[dict[str, object]] = []
    for k in np.flatnonzero([bool(r) for r in role]):
        t = int(h.birth[k])
        stable = h.arc_um[stable_at(h, t)]
        before, after = stable[stable <= h.arc_um[k]], stable[stable > h.arc_um[k]]
        if not len(before) or not len(after):
            continue
        a, b = float(before.max()), float(after.min())
        out.append(
            {
                "animal": h.animal,
                "group": h.group,
                "region": h.region,
                "dendrite_id": h.dendrite_id,
                "track_id": int(h.track_ids[k]),
                "class": role[k],
                "near_um": min(float(h.arc_um[k]) - a, b - float(h.arc_um[k])),
                "gap_um": b - a,
            }
        )
    return out
