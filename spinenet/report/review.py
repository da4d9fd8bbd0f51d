"""What a person should look at first: what would change the answer, and what the machine doubts.

Rows are in the form of corrections.csv with a blank action, so that a copy, actions filled in where
the machine is wrong, can be given back.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from spinenet.tables import REVIEW
from spinenet.types import FloatArray, Presence

SLIP = "the dendrite fits as well shifted by one spine"
NEW_IN_CLUSTER = "new, in a cluster"
NEW, LOST = "new", "lost"
WEAK = "weak link"
AUDIT = "drawn at random"
ORDER = (SLIP, NEW_IN_CLUSTER, NEW, LOST, WEAK, AUDIT)
LEAST_DOUBT = 0.05
WEAK_P = 0.8
AUDIT_SHARE = 0.02
"""Of the links that nobody doubts: what is wrong among them says how often the rest is wrong."""
PLACE = ["z_um", "y_um", "x_um"]
REGION = ["animal", "region"]
BESIDE_UM = 1.0
"""A spine may stand so far beyond the last node of its dendrite."""

Row = dict[str, Any]


def review_list(
    spines: pd.DataFrame,
    dendrites: pd.DataFrame,
    tracks: pd.DataFrame,
    links: pd.DataFrame,
    clusters: pd.DataFrame,
    coverage: pd.DataFrame,
    seed: int,
) -> pd.DataFrame:
    """`review.csv` of all regions: by reason in the order of `ORDER`, the greatest doubt first.

    The doubt of a new spine is the probability that it was there in the session before, or that an
    earlier spine is the same, whichever is greater; of a lost one the same of the session after; of
    a link 1 - p.

    Parameters
    ----------
    spines to coverage: tables of a results folder, the clusters by both rules
    """
    rows: list[Row] = []
    for (animal, region), mine in tracks.groupby(REGION, sort=True):
        parts = [
            f[(f["animal"] == animal) & (f["region"] == region)] for f in (spines, links, dendrites)
        ]
        where = _Where(*parts)
        found = [*_lives(mine, where, _clustered(clusters, str(animal), str(region)))]
        here = coverage[(coverage["animal"] == animal) & (coverage["region"] == region)]
        slipped = set(here.loc[here["slip_ambiguous"], "dendrite_id"])
        found += _links(where, slipped, np.random.default_rng([seed, 61]))
        rows += [{"animal": animal, "region": region, **row} for row in found]
    rows.sort(key=lambda r: (ORDER.index(r["why"]), -r["doubt"]))
    return REVIEW.frame([{"rank": k + 1, **row} for k, row in enumerate(rows)])


class _Where:
    """Places of one region's spines, the links between them, and its dendrites."""

    def __init__(self, spines: pd.DataFrame, links: pd.DataFrame, dendrites: pd.DataFrame) -> None:
        named = spines.set_index(["session", "spine_id"])
        self.links = links
        self._lines = dict(list(dendrites.groupby(["session", "dendrite_id"])))
        self._arc = named["arc_length_um"].to_dict()
        self.dendrite = named["dendrite_id"].to_dict()
        self._place = dict(zip(named.index, named[PLACE].to_numpy(float), strict=True))
        self._note = {
            key: f"dendrite {d}, {arc:.1f} um" + ("" if pd.isna(k) else f", track {k}")
            for key, d, arc, k in zip(
                named.index,
                named["dendrite_id"],
                named["arc_length_um"],
                named["track_id"],
                strict=True,
            )
        }

    def place(self, session: int, spine: int) -> Row:
        """Columns of a spine at the start of a correction."""
        z, y, x = self._place[session, spine]
        note = self._note[session, spine]
        return {"session": session, "z_um": z, "y_um": y, "x_um": x, "note": note}

    def other(self, session: int, spine: int) -> Row:
        """Columns of a spine in the other session."""
        z, y, x = self._place[session, spine]
        return {"session_to": session, "to_z_um": z, "to_y_um": y, "to_x_um": x}

    def expected(self, session: int, spine: int, other: int) -> Row:
        """Columns of another session and of the place there where a spine would be: as far beside
        its dendrite, at the same arc length."""
        dendrite, arc = self.dendrite[session, spine], self._arc[session, spine]
        here, there = (self._on(t, dendrite, arc) for t in (session, other))
        if here is None or there is None:
            return {"session_to": other}
        z, y, x = self._place[session, spine] - here + there
        return {"session_to": other, "to_z_um": z, "to_y_um": y, "to_x_um": x}

    def _on(self, session: int, dendrite: int, arc_um: float) -> FloatArray | None:
        """(3,) the place on a dendrite's line; None where it was not in view."""
        line = self._lines.get((session, dendrite))
        if line is None:
            return None
        line = line.sort_values("arc_length_um")
        at = line["arc_length_um"].to_numpy(float)
        if not at[0] - BESIDE_UM <= arc_um <= at[-1] + BESIDE_UM:
            return None
        return np.array([np.interp(arc_um, at, line[c].to_numpy(float)) for c in PLACE])

    def rival(self, end: str, session: int, spine: int) -> tuple[float, Row]:
        """The likeliest link of a spine's `from` or `to` end that was not made, and its other end;
        no doubt and nothing if there is none."""
        start = "to" if end == "from" else "from"
        mine = self.links[
            (self.links[f"session_{end}"] == session)
            & (self.links[f"spine_{end}"] == spine)
            & ~self.links["chosen"]
        ]
        if mine.empty:
            return 0.0, {}
        best = mine.loc[mine["p"].idxmax()]
        there = self.other(int(best[f"session_{start}"]), int(best[f"spine_{start}"]))
        return float(best["p"]), there


def _clustered(clusters: pd.DataFrame, animal: str, region: str) -> set[int]:
    mine = clusters[(clusters["animal"] == animal) & (clusters["region"] == region)]
    return {int(k) for members in mine["track_ids"] for k in members.split(";")}


def _lives(tracks: pd.DataFrame, where: _Where, clustered: set[int]) -> list[Row]:
    """First sightings after an absence, and last ones before one, as far as they are in doubt; not
    of hidden spines, which are not analysed."""
    rows = []
    analysed = tracks[~tracks["hidden"]]
    for number, life in analysed.sort_values("session").groupby("track_id"):
        seen = np.flatnonzero(life["presence"] == Presence.PRESENT)
        # too doubtful for an absence, but looked at
        doubtful = (life["presence"] == Presence.NOT_SCORABLE) & life["p_present"].notna()
        gone = np.flatnonzero((life["presence"] == Presence.ABSENT) | doubtful)
        if not len(seen):
            continue
        new = NEW_IN_CLUSTER if int(number) in clustered else NEW
        for why, at, end, beyond in (
            (new, seen[0], "to", gone[gone < seen[0]][-1:]),
            (LOST, seen[-1], "from", gone[gone > seen[-1]][:1]),
        ):
            if not len(beyond):
                continue
            session, spine = int(life["session"].iloc[at]), int(life["spine_id"].iloc[at])
            p_missed = np.nan_to_num(life["p_present"].iloc[beyond[0]])
            p_rival, there = where.rival(end, session, spine)
            if p_rival < p_missed:
                there = where.expected(session, spine, int(life["session"].iloc[beyond[0]]))
            doubt = float(max(p_missed, p_rival))
            if doubt >= LEAST_DOUBT:
                rows.append({"why": why, "doubt": doubt, **where.place(session, spine), **there})
    return rows


def _links(where: _Where, slipped: set[int], rng: np.random.Generator) -> list[Row]:
    """Links that were made: the weakest of every dendrite that could be shifted, all weak ones, and
    some of the others."""
    rows = []
    made = where.links[where.links["chosen"]].sort_values("p", kind="stable")
    for link in made.itertuples(index=False):
        ends = (
            (int(link.session_from), int(link.spine_from)),
            (
                int(link.session_to),
                int(link.spine_to),
            ),
        )
        dendrite = where.dendrite[ends[0]]
        if dendrite in slipped:
            slipped = slipped - {dendrite}
            why = SLIP
        elif link.p < WEAK_P:
            why = WEAK
        elif rng.random() < AUDIT_SHARE:
            why = AUDIT
        else:
            continue
        row = {"why": why, "doubt": 1 - float(link.p)}
        rows.append(row | where.place(*ends[0]) | where.other(*ends[1]))
    return rows
