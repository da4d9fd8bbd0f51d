"""Clusters of new spines, by both rules of Fu et al. 2012.

contiguous: two or more neighbouring new spines with no existing spine between them (primary).
within_d: new spines and filopodia at most d um from the next, whatever lies between.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from spinenet.analyze.near import beyond, within
from spinenet.analyze.states import Histories
from spinenet.config import AnalyzeConfig
from spinenet.tables import CLUSTERS
from spinenet.types import BoolArray, FloatArray, IntArray

RULES = ("contiguous", "within_d")


@dataclass(frozen=True)
class Cluster:
    """Members (positions in the histories) of one cluster, and what lies between them."""

    members: tuple[int, ...]
    n_existing_between: int
    resolution_limited: bool
    n_sites: int


def takes_part(h: Histories, rule: str, config: AnalyzeConfig) -> BoolArray:
    """(S,) spines that a rule looks at: filopodia only where they count."""
    return np.ones(len(h.arc_um), bool) if rule in config.filopodia_in else ~h.filopodium


def alive(h: Histories, config: AnalyzeConfig) -> BoolArray:
    """(S, T) when each spine stands: where it is seen (a new one until it is lost), and in sessions
    that could not be scored if it was seen before and after; one that is not new also until it
    is known to be gone."""
    standing_on: BoolArray = h.first_life | h.unseen_alive(~h.is_new(config.window))
    return standing_on


def standing(h: Histories, config: AnalyzeConfig) -> BoolArray:
    """(S, E) which spines stand together each time that clusters are looked for: in every session
    of the window, or once over all of it where members need not coexist."""
    there = alive(h, config)[:, h.window(config.window)]
    if not config.require_coexistence:
        there = np.asarray(there.any(axis=1))[:, None]
    if config.existing_rule == "ever":
        old: BoolArray = ~h.is_new(config.window) & h.first_life.any(axis=1)
        there = np.logical_or(there, old[:, None])
    return there


def find_clusters(h: Histories, rule: str, config: AnalyzeConfig) -> list[Cluster]:
    """Clusters of one dendrite; members stand together at least once (`standing`).

    Of sets found in several sessions those inside a larger one are dropped. Members within
    `resolution_um` of each other are one site: they form no cluster alone.
    """
    new, part = h.is_new(config.window), takes_part(h, rule, config)
    parting = takes_part(h, "contiguous", config)
    found: dict[frozenset[int], int] = {}
    for there in standing(h, config).T:
        here = np.flatnonzero(there)
        for run in _runs(h, here[part[here]], new, rule, config):
            if count_sites(h.arc_um[run], config.resolution_um) >= 2:
                inside = here[(here > min(run)) & (here < max(run))]
                between = int((~new & parting)[inside].sum())
                found[frozenset(run)] = between
    largest = [s for s in found if not any(s < other for other in found)]
    out = []
    for members in sorted(largest, key=min):
        ordered = tuple(sorted(members))
        sites = count_sites(h.arc_um[list(ordered)], config.resolution_um)
        out.append(Cluster(ordered, found[members], sites < len(ordered), sites))
    return out


def _runs(
    h: Histories, here: IntArray, new: BoolArray, rule: str, config: AnalyzeConfig
) -> list[list[int]]:
    """Sets of new spines that belong together in one session."""
    runs: list[list[int]] = []
    if rule == "contiguous":
        joined = [bool(new[a] and new[b]) for a, b in zip(here[:-1], here[1:], strict=True)]
    else:
        here = here[new[here]]
        joined = within(np.diff(h.arc_um[here]), config.d_um).tolist()
    for i, k in enumerate(here):
        if i and joined[i - 1]:
            runs[-1].append(int(k))
        else:
            runs.append([int(k)])
    return [r for r in runs if len(r) >= 2]


def count_sites(arc_um: FloatArray, resolution_um: float) -> int:
    """Places that can be told apart: what lies closer to one than the resolution is part of it."""
    sites, rest = 0, np.sort(arc_um)
    while len(rest):
        sites, rest = sites + 1, rest[1:][beyond(rest[1:] - rest[0], resolution_um)]
    return sites


@dataclass(frozen=True)
class Roles:
    """What each spine of a dendrite is among the new ones of the contiguous clusters."""

    names: tuple[str, ...]
    """non_clustered, first, succedent or simultaneous; blank for spines that are not new."""
    arrivals: dict[int, frozenset[int]]
    """For each first spine the sessions in which succedent ones of its cluster were born."""


def find_roles(h: Histories, config: AnalyzeConfig) -> Roles:
    """The earliest member of a cluster is first and later ones are succedent; where several are
    earliest nobody can tell which was first: they are simultaneous. A member of several clusters
    is succedent if it is in one of them, and else simultaneous if it is in one."""
    new = h.is_new(config.window) & takes_part(h, "contiguous", config)
    names = ["non_clustered" if n else "" for n in new]
    alone, together, later_on = set[int](), set[int](), set[int]()
    arrivals: dict[int, frozenset[int]] = {}
    for cluster in find_clusters(h, "contiguous", config):
        members = list(cluster.members)
        birth = h.birth[members]
        earliest = [k for k in members if h.birth[k] == birth.min()]
        later_on |= {*members} - {*earliest}
        (together if len(earliest) > 1 else alone).update(earliest)
        if len(earliest) == 1:
            later = frozenset(int(b) for b in birth if b > birth.min())
            arrivals[earliest[0]] = arrivals.get(earliest[0], frozenset()) | later
    for role, whose in (("first", alone), ("simultaneous", together), ("succedent", later_on)):
        for k in whose:
            names[k] = role
    return Roles(tuple(names), arrivals)


def cluster_table(all_histories: list[Histories], config: AnalyzeConfig) -> pd.DataFrame:
    """`clusters.csv`: all clusters by both rules."""
    rows: list[dict[str, object]] = []
    for h in all_histories:
        for rule in RULES:
            for c in find_clusters(h, rule, config):
                at = list(c.members)
                rows.append(
                    {
                        "animal": h.animal,
                        "group": h.group,
                        "region": h.region,
                        "rule": rule,
                        "dendrite_id": h.dendrite_id,
                        "track_ids": ";".join(str(k) for k in h.track_ids[at]),
                        "size": c.n_sites,
                        "span_um": float(h.arc_um[at[-1]] - h.arc_um[at[0]]),
                        "n_existing_between": c.n_existing_between,
                        "birth_sessions": ";".join(str(s) for s in h.sessions[h.birth[at]]),
                        "resolution_limited": c.resolution_limited,
                    }
                )
    frame = CLUSTERS.frame(rows)
    frame["cluster_id"] = frame.groupby(["animal", "region"]).cumcount().astype("int64")
    return frame
