"""What a person should look at first: what would change the answer, and what the machine doubts.

Rows are in the form of corrections.csv with a blank action, so that a copy, actions filled in where
the machine is wrong, can be given back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from spinenet.tables import REVIEW
from spinenet.types import FloatArray, Presence

SLIP = "the dendrite fits as well shifted by one spine"
NEW_IN_CLUSTER = "new, in a cluster"
NEW, LOST, BACK = "new", "lost", "back again"
PERHAPS_NOTHING = "; perhaps no spine (delete)"
WEAK = "weak link"
AUDIT = "drawn at random"
ORDER = (SLIP, NEW_IN_CLUSTER, NEW, LOST, BACK, WEAK, AUDIT)
LEAST_DOUBT = 0.05
WEAK_P = 0.8
AUDIT_SHARE = 0.02
"""Of the links that nobody doubts: what is wrong among them says how often the rest is wrong."""
PLACE = ["z_um", "y_um", "x_um"]
REGION = ["animal", "region"]
BESIDE_UM = 1.0
"""A spine may stand so far beyond the last node of its dendrite."""

Row = dict[str, Any]
End = tuple[int, int]
"""Session and spine_id."""


def review_list(
    tables: Mapping[str, pd.DataFrame], clusters: pd.DataFrame, max_gap: int, seed: int
) -> pd.DataFrame:
    """`review.csv` of all regions: by reason in the order of `ORDER`, the greatest doubt first.

    The doubt of a new spine is the greatest of the probabilities that it was there in the session
    before, that an earlier spine is the same, and that it is nothing; of a lost one the same of the
    session after; of a link 1 - p.

    Parameters
    ----------
    tables: `spines`, `dendrites`, `tracks`, `links` and `coverage` of all regions
    clusters: by both rules
    max_gap: absences between two sightings by which a spine is not lost
    """
    rows: list[Row] = []
    for (animal, region), mine in tables["tracks"].groupby(REGION, sort=True):
        spines, links, dendrites, here = (
            f[(f["animal"] == animal) & (f["region"] == region)]
            for f in (tables[name] for name in ("spines", "links", "dendrites", "coverage"))
        )
        where = _Where(spines, links, dendrites)
        members = _clustered(clusters, str(animal), str(region))
        unseen = mine[mine["hidden"] & mine["spine_id"].notna()]
        hidden = set(zip(unseen["session"], unseen["spine_id"], strict=True))
        rng = np.random.default_rng([seed, 61])
        found = _lives(mine, where, members, max_gap) + _links(here, where, hidden, rng)
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


def _lives(tracks: pd.DataFrame, where: _Where, clustered: set[int], max_gap: int) -> list[Row]:
    """Where spines come and go, as far as it is in doubt; not of hidden spines, which are not
    analysed."""
    rows = []
    analysed = tracks[~tracks["hidden"]]
    for number, life in analysed.sort_values("session").groupby("track_id"):
        life = life.reset_index(drop=True)
        new = NEW_IN_CLUSTER if int(number) in clustered else NEW
        for why, at, beyond in _turns(life, new, max_gap):
            there, then = life.loc[at], life.loc[beyond]
            session, spine, other = (
                int(v) for v in (there["session"], there["spine_id"], then["session"])
            )
            p_missed, p_there = np.nan_to_num(then["p_present"]), there["p_present"]
            p_rival, rival = where.rival("from" if why == LOST else "to", session, spine)
            p_nothing = 0.0 if pd.isna(p_there) else 1 - p_there
            doubt = float(max(p_missed, p_rival, p_nothing))
            if doubt < LEAST_DOUBT:
                continue
            row = {"why": why, "doubt": doubt, **where.place(session, spine)}
            if doubt == p_nothing:
                row["note"] += PERHAPS_NOTHING
            shown = (
                rival if p_rival >= p_missed and rival else where.expected(session, spine, other)
            )
            rows.append(row | shown)
    return rows


def _turns(life: pd.DataFrame, new: str, max_gap: int) -> Iterator[tuple[str, int, int]]:
    """Where one spine comes (`new`, or back) and goes: at which sighting, and the session beyond it
    in which it was not there, or too doubtful for that. Of up to `max_gap` sessions between two
    sightings it was missed."""
    seen = np.flatnonzero(life["presence"] == Presence.PRESENT)
    # too doubtful for an absence, but looked at
    doubtful = (life["presence"] == Presence.NOT_SCORABLE) & life["p_present"].notna()
    gone = np.flatnonzero((life["presence"] == Presence.ABSENT) | doubtful)
    if not len(seen):
        return
    first, last = int(seen[0]), int(seen[-1])
    if (gone < first).any():
        yield new, first, int(gone[gone < first][-1])
    for a, b in pairwise(seen.tolist()):
        between = gone[(gone > a) & (gone < b)]
        if len(between) > max_gap:
            yield LOST, a, int(between[0])
            yield BACK, b, int(between[-1])
    if (gone > last).any():
        yield LOST, last, int(gone[gone > last][0])


def _slips(
    coverage: pd.DataFrame, where: _Where, made: pd.DataFrame
) -> tuple[list[Row], dict[int, list[int]]]:
    """Of every dendrite that could lie shifted in a session, where one of its spines should be, if
    no link of it was made there; else its weakest link there, by its number, with the sessions."""
    bad = coverage.loc[coverage["slip_ambiguous"], ["session", "dendrite_id"]].drop_duplicates()
    rows: list[Row] = []
    weakest: dict[int, list[int]] = {}
    for t, dendrite in bad.itertuples(index=False):
        mine = made[
            (made["dendrite_id"] == dendrite)
            & ((made["session_from"] == t) | (made["session_to"] == t))
        ]
        if len(mine):
            weakest.setdefault(int(mine["p"].idxmin()), []).append(int(t))
            continue
        spines = sorted(key for key, d in where.dendrite.items() if d == dendrite and key[0] != t)
        if spines:
            session, spine = spines[0]
            row = {"why": SLIP, "doubt": 1.0, **where.place(session, spine)}
            rows.append(row | where.expected(session, spine, int(t)))
    return rows, weakest


def _links(
    coverage: pd.DataFrame, where: _Where, hidden: set[End], rng: np.random.Generator
) -> list[Row]:
    """Links that were made: where dendrites could be shifted, all weak ones, and some of the others
    that no person made; not those of hidden spines."""
    made = where.links[where.links["chosen"]].sort_values("p", kind="stable")
    starts = list(zip(made["session_from"], made["spine_from"], strict=True))
    made = made.assign(dendrite_id=[where.dendrite[end] for end in starts])
    made = made[[end not in hidden for end in starts]]
    rows, slipped = _slips(coverage, where, made)
    for number, link in made.iterrows():
        drawn = link["p"] < 1 and rng.random() < AUDIT_SHARE
        if number in slipped:
            row = _link_row(SLIP, link, where)
            sessions = " and ".join(map(str, slipped[int(number)]))
            rows.append(row | {"note": f"{row['note']}; shifted in session {sessions}"})
        elif link["p"] < WEAK_P or drawn:
            rows.append(_link_row(WEAK if link["p"] < WEAK_P else AUDIT, link, where))
    return rows


def _link_row(why: str, link: pd.Series, where: _Where) -> Row:
    start = where.place(int(link["session_from"]), int(link["spine_from"]))
    end = where.other(int(link["session_to"]), int(link["spine_to"]))
    return {"why": why, "doubt": 1 - float(link["p"]), **start, **end}
