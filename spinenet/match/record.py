"""The tables of a linked region: spines with their tracks, links, presence and coverage."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from spinenet.config import MatchConfig
from spinenet.match.absence import EVEN, with_presence, without_doubtful_absences
from spinenet.match.coverage import stretches
from spinenet.match.head import Judge, all_candidates
from spinenet.match.life import Life
from spinenet.match.pins import NO_PINS, Pins, Spine
from spinenet.match.score import CANDIDATE_P, Candidates
from spinenet.match.support import supported
from spinenet.match.tokens import Tokens
from spinenet.match.view import SessionView, track_by_spine
from spinenet.match.warp import ArcWarp, Warps
from spinenet.tables import COVERAGE, LINKS, SPINES, TRACKS
from spinenet.types import IntArray, Matches, Presence, Tracks


@dataclass(frozen=True)
class LinkedRegion:
    """The tables of one region, arc lengths in the frame shared by all sessions."""

    spines: pd.DataFrame
    tracks: Tracks
    matches: Matches
    coverage: pd.DataFrame
    warps: Warps
    """By session position and dendrite."""


def record(
    life: Life,
    tokens: list[Tokens],
    judge: Judge,
    warps: Warps,
    config: MatchConfig,
    pins: Pins = NO_PINS,
) -> LinkedRegion:
    """The tables of a region whose spines have their tracks."""
    views = life.views
    told = _told_presence(life, pins)
    settled = _settled_arcs(life)
    links, p_link = _links(
        life, tokens, judge, warps, _told_links(life, pins), _told_spans(life, pins)
    )
    spines = []
    for t, view in enumerate(views):
        frame = view.spines.frame.copy()
        own = frame["arc_length_um"].to_numpy(float)
        frame["arc_length_um"] = [warps[t, d](own[i : i + 1])[0] for i, d in enumerate(_ids(view))]
        frame["track_id"] = pd.array(life.track_of[t], dtype="Int64")
        spines.append(frame)
    tracks = _track_table(life, spines, p_link, told)
    if config.least_power > 0:  # else every look counts, as of a person's marks
        tracks = without_doubtful_absences(tracks, told)
    return LinkedRegion(
        SPINES.conform(_as_sure_as_their_tracks(pd.concat(spines, ignore_index=True), tracks)),
        Tracks(tracks),
        Matches(links),
        COVERAGE.frame(
            [
                row
                for t, v in enumerate(views)
                for row in stretches(t, v, warps, config.min_snr, settled)
            ]
        ),
        warps,
    )


def _told_presence(life: Life, pins: Pins) -> dict[tuple[int, int], float]:
    """By track and session position, 1 where a person said that it is there and 0 where not."""
    track = track_by_spine(life.views, life.track_of)
    there = {(track[spine], t): 1.0 for spine, t in pins.present}
    return there | dict.fromkeys(life.settled, 0.0)


def _told_spans(life: Life, pins: Pins) -> dict[int, list[tuple[int, int]]]:
    """By track, pairs of sessions (by position, the earlier first) in which a person said that it
    is one and the same spine."""
    track = track_by_spine(life.views, life.track_of)
    out: dict[int, list[tuple[int, int]]] = {}
    for spine, t in pins.present:
        out.setdefault(track[spine], []).append((min(spine[0], t), max(spine[0], t)))
    for one, other in pins.same:
        out.setdefault(track[one], []).append((min(one[0], other[0]), max(one[0], other[0])))
    return out


def _settled_arcs(life: Life) -> dict[tuple[int, int], list[float]]:
    """By session position and dendrite, the shared arc lengths at which a person said that nothing
    is there."""
    home = {
        k: d
        for view, of in zip(life.views, life.track_of, strict=True)
        for k, d in zip(of.tolist(), _ids(view), strict=True)
    }
    out: dict[tuple[int, int], list[float]] = {}
    for k, t in life.settled:
        out.setdefault((t, home[k]), []).append(life.missing[k, t].arc_um)
    return out


def _told_links(life: Life, pins: Pins) -> dict[frozenset[Spine], float]:
    """Probability of the links that a person made, or ruled out."""
    told = {frozenset(pair): 1.0 for pair in pins.same}
    ids = [view.spines.ids.tolist() for view in life.views]
    for spine, t in pins.absent:
        told |= {frozenset({spine, (t, other)}): 0.0 for other in ids[t]}
    return told | {frozenset(pair): 0.0 for pair in pins.different}


def _ids(view: SessionView) -> list[int]:
    return [int(d) for d in view.spines.frame["dendrite_id"]]


def _links(
    life: Life,
    tokens: list[Tokens],
    judge: Judge,
    warps: Warps,
    told: dict[frozenset[Spine], float],
    said: dict[int, list[tuple[int, int]]],
) -> tuple[pd.DataFrame, dict[tuple[int, int, int], float]]:
    """Every plausible link, and the probability of the chosen ones by (track, t, u)."""
    rows = []
    chosen_p: dict[tuple[int, int, int], float] = {}
    group = {
        key: i for i, key in enumerate(sorted(k for k, w in warps.items() if w.slip_ambiguous))
    }
    every, ids = all_candidates(judge, tokens), [view.spines.ids for view in life.views]
    left = {pair: _not_ruled_out(c, told, ids, pair) for pair, c in every.items()}
    for (t, u), found in supported(left, life.track_of).items():
        a, b = life.views[t], life.views[u]
        between = np.concatenate([*life.track_of[t + 1 : u], np.zeros(0, int)])
        # a track's links are those from each sighting to the next
        tracks, at_t, at_u = np.intersect1d(life.track_of[t], life.track_of[u], return_indices=True)
        goes_on = ~np.isin(tracks, between)
        chosen = set(zip(at_t[goes_on].tolist(), at_u[goes_on].tolist(), strict=True))
        p_of = dict(
            zip(
                zip(found.i.tolist(), found.j.tolist(), strict=True),
                found.probability.tolist(),
                strict=True,
            )
        )
        plausible = chosen | {pair for pair, p in p_of.items() if p >= CANDIDATE_P}
        plausible |= set(zip(every[t, u].i.tolist(), every[t, u].j.tolist(), strict=True)) - {*p_of}
        dendrites, a_ids, b_ids = _ids(a), ids[t], ids[u]
        of_person = {
            (i, j): told.get(frozenset({(t, int(a_ids[i])), (u, int(b_ids[j]))}))
            for i, j in plausible
        }
        for i, j in chosen:
            # it is one spine in the sessions that this link lies between
            spans = said.get(int(life.track_of[t][i]), ())
            if any(first <= t and u <= last for first, last in spans):
                of_person[i, j] = 1.0
        bound = [pair for pair, p in of_person.items() if p == 1]
        bound_i, bound_j = {i for i, _ in bound}, {j for _, j in bound}
        for i, j in sorted(plausible):
            d = dendrites[i]
            unslipped = 1 / (1 + _slip(warps[t, d])) / (1 + _slip(warps[u, d]))
            p = of_person[i, j]
            if p is None:
                rival = i in bound_i or j in bound_j  # of a link that a person made
                # else it is their track that joins them, not that they are near
                p = 0.0 if rival else p_of.get((i, j), EVEN) * unslipped
            k = int(life.track_of[t][i])
            if (i, j) in chosen:
                chosen_p[k, t, u] = p
            rows.append(
                {
                    "animal": a.session.animal,
                    "group": a.session.group,
                    "region": a.session.region,
                    "session_from": a.session.index,
                    "session_to": b.session.index,
                    "spine_from": int(a_ids[i]),
                    "spine_to": int(b_ids[j]),
                    "p": p,
                    "chosen": (i, j) in chosen,
                    "slip_group": group.get((u, d), group.get((t, d), pd.NA)),
                }
            )
    return LINKS.frame(rows), chosen_p


def _not_ruled_out(
    found: Candidates,
    told: dict[frozenset[Spine], float],
    ids: list[IntArray],
    pair: tuple[int, int],
) -> Candidates:
    """Without the pairs that a person ruled out: they compete with no other."""
    t, u = pair
    ends = zip(ids[t][found.i].tolist(), ids[u][found.j].tolist(), strict=True)
    kept = np.array([told.get(frozenset({(t, i), (u, j)})) != 0 for i, j in ends], bool)
    return replace(found, i=found.i[kept], j=found.j[kept], odds=found.odds[kept])


def _slip(warp: ArcWarp) -> float:
    """How likely an alignment shifted by one spacing is, beside the one that was taken."""
    return warp.slip_share if warp.slip_ambiguous else 0.0


def _track_table(
    life: Life,
    spines: list[pd.DataFrame],
    p_link: dict[tuple[int, int, int], float],
    told: dict[tuple[int, int], float],
) -> pd.DataFrame:
    seen: dict[int, dict[int, pd.Series]] = {}
    for t, frame in enumerate(spines):
        for k, (_, spine) in zip(life.track_of[t].tolist(), frame.iterrows(), strict=True):
            seen.setdefault(k, {})[t] = spine
    rows = []
    for k in sorted(seen):
        here = seen[k]
        kinds = [r["kind"] for r in here.values()]
        dendrite = int(next(iter(here.values()))["dendrite_id"])
        last: int | None = None
        for t, view in enumerate(life.views):
            session = view.session
            row: dict[str, object] = {
                "animal": session.animal,
                "group": session.group,
                "region": session.region,
                "dendrite_id": dendrite,
                "track_id": k,
                "session": session.index,
                "day": session.day,
                "kind": max(sorted(set(kinds)), key=kinds.count),
                "hidden": k in life.hidden,
            }
            if t in here:
                row |= {
                    "presence": str(Presence.PRESENT),
                    "arc_length_um": here[t]["arc_length_um"],
                    "spine_id": int(here[t]["spine_id"]),
                    "p_present": float(here[t]["probability"]),
                }
                if (k, t) in life.between:  # what other sessions show decides
                    row |= {"between": True, "p_present": EVEN}
                if last is not None:
                    row["p_link"] = p_link.get((k, last, t), float("nan"))
                last = t
            else:
                unseen = life.missing[k, t]
                row |= {"presence": str(unseen.presence), "arc_length_um": unseen.arc_um}
                row |= {"p_present": unseen.p_present}
            rows.append(row)
    table = with_presence(TRACKS.frame(rows))
    for (k, t), p in told.items():
        here = table["session"] == life.views[t].session.index
        table.loc[(table["track_id"] == k) & here, "p_present"] = p
    return table


def _as_sure_as_their_tracks(spines: pd.DataFrame, tracks: pd.DataFrame) -> pd.DataFrame:
    """Spines found between two sightings are as sure as that they were there: their own height
    alone would say that they are none."""
    lent = tracks[tracks["between"]].set_index(["session", "spine_id"])["p_present"]
    own = pd.MultiIndex.from_frame(spines[["session", "spine_id"]])
    return spines.assign(
        probability=lent.reindex(own).fillna(spines["probability"].set_axis(own)).to_numpy(float)
    )
