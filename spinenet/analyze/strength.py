"""Does the first spine of a cluster grow when the second one arrives? (Fu et al. 2012, Fig. 2)

Compared are non-clustered new spines of the same age over the same span, so that both have survived
as long. Every spine tells once: the changes of one spine resemble each other, and taken as several
they would find too much. Sizes are compared as logarithms; what was small grows and what was large
shrinks by chance alone (regression to the mean), so the model holds the size at the start too.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd

from spinenet.analyze.clusters import find_roles
from spinenet.analyze.days import same_days
from spinenet.analyze.deals import mixed_strata, shuffle_within
from spinenet.analyze.groups import mean_of_animals
from spinenet.analyze.measured import by_sighting
from spinenet.analyze.mixed import fit_mixed, t_row
from spinenet.analyze.rows import Row, mean_row, p_two_sided, row
from spinenet.analyze.states import SEEN, Histories
from spinenet.config import AnalyzeConfig
from spinenet.types import FloatArray

Moment = tuple[str, float, float]
"""Animal, age and span in days."""

WHO, WHEN = ("animal", "group", "region", "track_id", "first"), ("age_days", "span_days")
COLUMNS = (*WHO, *WHEN, "log_before", "change")
FEWEST_ANIMALS, FEWEST_SPINES, FEWEST_FIRST = 3, 10, 3
FIRST = "strength_change_first"


def sizes(h: Histories, spines: pd.DataFrame) -> FloatArray:
    """(S, T) strength of each sighting; nan where the spine was not seen or not measured."""
    table = by_sighting(h, spines, "strength")
    return np.where((h.told_alone == SEEN) & (table > 0), table, np.nan)


def changes(
    all_histories: list[Histories], spines: pd.DataFrame, config: AnalyzeConfig
) -> pd.DataFrame:
    """Changes of log strength between two sessions, one a spine: of first members as the earliest
    succedent one arrives, and of non-clustered new spines at the same age over the same span, both
    within hours."""
    rows = [row for h in all_histories for row in _of_dendrite(h, sizes(h, spines), config)]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    if len(frame):
        steps = np.concatenate([np.diff(h.days) for h in all_histories])
        for name in WHEN:
            frame[name] = same_days(frame[name], steps)
    of_first = frame.loc[frame["first"].astype(bool), ["group", "age_days", "span_days"]]
    fair = frame.merge(of_first.drop_duplicates(), on=["group", "age_days", "span_days"])
    return _once_each(fair)


def _once_each(fair: pd.DataFrame) -> pd.DataFrame:
    """One row per spine. A comparison spine with several candidate rows takes the one whose animal,
    age and span has fewest comparisons per first spine so far.

    The order in which spines choose, those with least choice first and then the weakest, has
    nothing to do with their names.
    """
    first = fair["first"].astype(bool)
    moment = list(zip(fair["animal"], fair["age_days"], fair["span_days"], strict=True))
    asked = Counter(m for m, is_first in zip(moment, first, strict=True) if is_first)
    given: Counter[Moment] = Counter()

    def crowded(at: int) -> tuple[bool, float, Moment]:
        mine = moment[at]
        return asked[mine] == 0, given[mine] / max(asked[mine], 1), mine

    chosen = list(fair.index[first])
    choices = fair[~first].groupby(["animal", "region", "track_id"]).groups.values()
    weakest = fair["log_before"]
    for rows in sorted(choices, key=lambda rows: (len(rows), weakest[rows].min())):
        best = min(rows, key=crowded)
        given[moment[best]] += 1
        chosen.append(best)
    return fair.loc[sorted(chosen)].reset_index(drop=True)


def _of_dendrite(h: Histories, size: FloatArray, config: AnalyzeConfig) -> list[tuple[object, ...]]:
    role = find_roles(h, config)
    out: list[tuple[object, ...]] = []
    for k, mine in enumerate(role.names):
        if mine not in ("first", "non_clustered"):
            continue
        known = np.flatnonzero(np.isfinite(size[k]))
        for before, after in zip(known[:-1], known[1:], strict=True):
            if mine == "first" and after not in role.arrivals[k]:
                continue
            start, end = np.log(size[k, [before, after]])
            age, span = h.days[before] - h.days[h.birth[k]], h.days[after] - h.days[before]
            who = (h.animal, h.group, h.region, int(h.track_ids[k]), mine == "first")
            out.append((*who, float(age), float(span), float(start), float(end - start)))
            if mine == "first":
                break
    return out


def strength_rows(
    group: str, all_changes: pd.DataFrame | None, config: AnalyzeConfig, rng: np.random.Generator
) -> list[Row]:
    """`strength_change_first`, and its difference to other new spines by a mixed model."""
    if all_changes is None:
        return [row(FIRST, group, np.nan, test="needs spines.csv")]
    mine = all_changes[all_changes["group"] == group].reset_index(drop=True)
    first = mine["first"].to_numpy(bool)
    if not first.any():
        why = "no first spine of a cluster was measured before and after a succedent one arrived"
        return [row(FIRST, group, np.nan, test=why), _model(group, mine)]
    mean = mean_of_animals(first_changes(mine, group), -np.inf, np.inf)
    strata = mine.groupby(["animal", "age_days", "span_days"]).ngroup().to_numpy()
    p = by_chance = np.nan
    if mixed_strata(first, strata):
        n_first = mine[first].groupby("animal").size()
        # of a spine that is called first, in the mean of animals
        weight = mine["animal"].map(1.0 / (n_first * len(n_first))).fillna(0.0)
        dealt = shuffle_within(first, strata, config.n_shuffles, rng)
        called_first = dealt @ (mine["change"] * weight).to_numpy(float)
        by_chance = float(called_first.mean())
        p = p_two_sided(mean.value, called_first)
    found = mean_row(
        FIRST,
        group,
        mean,
        null_mean=by_chance,
        p_value=p,
        n_spines=int(first.sum()),
        test=f"{mean.test}; against non-clustered new spines of the same age, shuffled within "
        "animal and age",
    )
    return [found, _model(group, mine)]


def first_changes(all_changes: pd.DataFrame, group: str) -> FloatArray:
    """(A,) each animal's mean change of its first members; animals without are left out."""
    first = all_changes["first"].astype(bool) & (all_changes["group"] == group)
    return all_changes[first].groupby("animal")["change"].mean().to_numpy(float)


def _model(group: str, mine: pd.DataFrame) -> Row:
    """Mixed model: change ~ first + log size before + age and span, a random intercept per animal.

    Wald's t with as many degrees of freedom as spines, less animals and fixed effects: as a normal
    variable it finds too much in few spines. Young spines change otherwise than old ones, and first
    members are older than other new spines.
    """
    name = "strength_change_difference"
    n = {"n_animals": mine["animal"].nunique(), "n_spines": len(mine)}
    few = mine["first"].sum() < FEWEST_FIRST or len(mine) < FEWEST_SPINES
    if few or n["n_animals"] < FEWEST_ANIMALS or mine["first"].all():
        why = (
            f"a mixed model needs {FEWEST_ANIMALS} animals and {FEWEST_SPINES} spines, "
            f"{FEWEST_FIRST} of them first and some not"
        )
        return row(name, group, np.nan, test=why, **n)
    moment = mine.groupby(["age_days", "span_days"]).ngroup()
    data = mine.assign(first=mine["first"].astype(float), moment=moment)
    told = "change ~ first + log_before" + " + C(moment)" * (moment.nunique() > 1)
    model = fit_mixed(told, data)
    freedom = len(mine) - n["n_animals"] - model.n_fixed
    if not np.isfinite(model.error):
        why = "strengths that do not differ settle no model"
        return row(name, group, np.nan, test=why, **n)
    if freedom < 1 or not model.error > 0:
        why = "too few spines beside animals, ages and spans to tell their scatter"
        return row(name, group, np.nan, test=why, **n)
    how = "mixed model: change ~ first + log strength before + age and span, animal random"
    return t_row(name, group, model, freedom, how, **n)
