"""All sessions of one region: spines to tracks, with the places looked at where one is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from spinenet.config import MatchConfig
from spinenet.geometry import from_line_frame, inside, to_line_frame
from spinenet.match.assign import path_cover, session_pairs
from spinenet.match.score import PLACE_SD_UM, link_probability
from spinenet.match.warp import ArcWarp, fit_warp, slide
from spinenet.tables import COVERAGE, LINKS, SPINES, TRACKS
from spinenet.types import (
    Dendrites,
    FloatArray,
    IntArray,
    Matches,
    Presence,
    Segment,
    Session,
    SpineTable,
    Tracks,
)

WARP_ROUNDS = 3
CANDIDATE_P = 0.01
EDGE_UM = 0.5
CLAIMED_UM = np.array([1.2, 0.4, 0.4])
"""A spine this near (scaled) to the place looked at is what is seen there."""


@dataclass(frozen=True)
class Probe:
    """What a session shows at places (K): centre probability, the head's centre, its measures."""

    probability: FloatArray
    centres_um: FloatArray
    rows: list[dict[str, object]]


@dataclass(frozen=True)
class SessionView:
    """What matching knows of one session; dendrites are the region's map placed in it."""

    session: Session
    spines: SpineTable
    dendrites: Dendrites
    snr: dict[int, FloatArray]
    """By dendrite, (N,) signal over noise at its nodes; nan outside the stack."""
    extent_um: FloatArray
    usable: bool
    probe: Callable[[FloatArray], Probe]


@dataclass(frozen=True)
class LinkedRegion:
    """The tables of one region, arc lengths in the frame shared by all sessions."""

    spines: pd.DataFrame
    tracks: Tracks
    matches: Matches
    coverage: pd.DataFrame
    warps: dict[tuple[int, int], ArcWarp]
    """By session position and dendrite."""


def link_region(
    views: list[SessionView], reference: int, config: MatchConfig, lookback_p: float
) -> LinkedRegion:
    """Link the spines of all sessions of a region.

    Parameters
    ----------
    reference: position in `views` of the session whose arc length is the shared frame
    lookback_p: centre probability from which a spine missed at first is found again
    """
    frames = [_frames(v) for v in views]
    ids = sorted({s.id for v in views for s in v.dendrites.segments})
    warps: dict[tuple[int, int], ArcWarp] = {}
    track_of = [np.full(len(v.spines), -1) for v in views]
    following = 0
    for d in ids:
        mine = [_on(v, d) for v in views]
        local = [f[m] for f, m in zip(frames, mine, strict=True)]
        length = next(s.arc_length_um[-1] for v in views for s in v.dendrites.segments if s.id == d)
        for t, warp in enumerate(_warps(local, reference, float(length), config)):
            warps[t, d] = warp
        placed = [_warped(f, warps[t, d]) for t, f in enumerate(local)]
        probability = {
            (t, u): link_probability(placed[t], placed[u], config.gate_um)
            for t, u in session_pairs(len(views))
        }
        number = path_cover([len(f) for f in placed], probability, config.min_link_p)
        start = 0
        for t, m in enumerate(mine):
            track_of[t][m] = number[start : start + len(m)] + following
            start += len(m)
        following += int(number.max(initial=-1)) + 1
    life = _look_back(views, frames, track_of, warps, config, lookback_p)
    return _tables(life, warps, config)


def _on(view: SessionView, dendrite: int) -> IntArray:
    return np.flatnonzero(view.spines.frame["dendrite_id"].to_numpy() == dendrite)


def _frames(view: SessionView) -> FloatArray:
    """(K, 3) arc length, sideways and upward offset of a session's heads on their dendrites."""
    out = np.zeros((len(view.spines), 3))
    arcs = view.spines.frame["arc_length_um"].to_numpy(float)
    centres = view.spines.centres_um
    for d, segment in view.dendrites.by_id().items():
        m = _on(view, d)
        if len(m):
            out[m] = to_line_frame(centres[m], arcs[m], segment.points_um, segment.arc_length_um)
    return out


def _warped(frame: FloatArray, warp: ArcWarp) -> FloatArray:
    return np.c_[warp(frame[:, 0]), frame[:, 1:]]


def _warps(
    local: list[FloatArray], reference: int, length_um: float, config: MatchConfig
) -> list[ArcWarp]:
    """A warp onto the reference for each session: the best slide, then rounds of match and fit.

    Sessions already warped join the reference, so that spines it lacks help as well.
    """
    still = ArcWarp(np.array([0.0, max(length_um, 1e-3)]), np.zeros(2), 0.0)
    warps = [still] * len(local)
    known = local[reference]
    for t in sorted(range(len(local)), key=lambda t: abs(t - reference)):
        if t == reference:
            continue
        start, ambiguous = slide(local[t], known, PLACE_SD_UM)
        warp = replace(still, shift_um=np.full(2, start))
        for _ in range(WARP_ROUNDS):
            placed = _warped(local[t], warp)
            p = link_probability(placed, known, config.gate_um)
            good = [
                (i, int(p[i].argmax())) for i in range(len(p)) if len(known) and p[i].max() > 0.5
            ]
            s = np.array([local[t][i, 0] for i, _ in good])
            apart = np.array([known[j, 0] - local[t][i, 0] for i, j in good])
            warp = fit_warp(s, apart, length_um, start)
        warps[t] = replace(warp, slip_ambiguous=ambiguous)
        placed = _warped(local[t], warps[t])
        p = link_probability(placed, known, config.gate_um)
        new = p.max(axis=1, initial=0) < 0.2
        known = np.concatenate([known, placed[new]])
    return warps


@dataclass(frozen=True)
class _Life:
    """Views with the spines found by looking back, their tracks, and what is known of the rest."""

    views: list[SessionView]
    frames: list[FloatArray]
    track_of: list[IntArray]
    missing: dict[tuple[int, int], tuple[Presence, float, float]]
    """By track and session position: presence, probability that it was there, arc length."""


def _look_back(
    views: list[SessionView],
    frames: list[FloatArray],
    track_of: list[IntArray],
    warps: dict[tuple[int, int], ArcWarp],
    config: MatchConfig,
    lookback_p: float,
) -> _Life:
    """Look at the predicted place of every track in every session that lacks it."""
    homes = _homes(views, frames, track_of, warps)
    missing: dict[tuple[int, int], tuple[Presence, float, float]] = {}
    new_views, new_frames, new_tracks = list(views), list(frames), list(track_of)
    for t, view in enumerate(views):
        absent = [k for k in homes if k not in set(track_of[t].tolist())]
        segments = view.dendrites.by_id()
        places, asked = [], []
        for k in absent:
            d, home = homes[k]
            segment = segments[d]
            here = _unwarp(home, warps[t, d], segment)
            point = from_line_frame(here[None], segment.points_um, segment.arc_length_um)[0]
            verdict = _visible(view, segment, here, point, config)
            if verdict is None:
                places.append(point)
                asked.append(k)
            else:
                missing[k, t] = (verdict, float("nan"), home[0])
        if not places:
            continue
        seen = view.probe(np.array(places))
        extra, numbers = _accept(view, seen, asked, homes, missing, t, lookback_p)
        if extra:
            table = pd.concat([view.spines.frame, SPINES.frame(extra)], ignore_index=True)
            new_views[t] = replace(view, spines=SpineTable(table))
            new_frames[t] = _frames(new_views[t])
            new_tracks[t] = np.r_[track_of[t], numbers]
    return _Life(new_views, new_frames, new_tracks, missing)


def _homes(
    views: list[SessionView],
    frames: list[FloatArray],
    track_of: list[IntArray],
    warps: dict[tuple[int, int], ArcWarp],
) -> dict[int, tuple[int, FloatArray]]:
    """By track: its dendrite and mean place (arc length shared, sideways, up) where it was seen."""
    seen: dict[int, list[FloatArray]] = {}
    where: dict[int, int] = {}
    for t, view in enumerate(views):
        dendrites = view.spines.frame["dendrite_id"].to_numpy(int)
        for i, k in enumerate(track_of[t].tolist()):
            place = frames[t][i].copy()
            place[0] = warps[t, dendrites[i]](place[:1])[0]
            seen.setdefault(k, []).append(place)
            where[k] = int(dendrites[i])
    return {k: (where[k], np.mean(seen[k], axis=0)) for k in sorted(seen)}


def _unwarp(home: FloatArray, warp: ArcWarp, segment: Segment) -> FloatArray:
    """A place of the shared frame in a session's own arc length."""
    own = segment.arc_length_um
    s = np.interp(home[0], np.maximum.accumulate(warp(own)), own)
    return np.array([s, home[1], home[2]])


def _visible(
    view: SessionView, segment: Segment, here: FloatArray, point: FloatArray, config: MatchConfig
) -> Presence | None:
    """Why a spine at a place could not have been seen, or None if it could."""
    snr = np.interp(here[0], segment.arc_length_um, view.snr[segment.id])
    if not inside(point, view.extent_um, EDGE_UM)[0]:
        return Presence.OUT_OF_VIEW
    if not view.usable or not np.isfinite(snr) or snr < config.min_snr:
        return Presence.NOT_SCORABLE
    radius = float(np.interp(here[0], segment.arc_length_um, segment.radius_um))
    if abs(here[1]) < radius and abs(here[2]) > abs(here[1]):
        return Presence.NOT_SCORABLE  # above or below the shaft, hidden in its blur
    return None


def _accept(
    view: SessionView,
    seen: Probe,
    asked: list[int],
    homes: dict[int, tuple[int, FloatArray]],
    missing: dict[tuple[int, int], tuple[Presence, float, float]],
    t: int,
    lookback_p: float,
) -> tuple[list[dict[str, object]], list[int]]:
    """Rows of the spines that looking back found, and their tracks; the rest is absent."""
    taken = view.spines.centres_um
    next_id = int(view.spines.ids.max(initial=0)) + 1
    rows: list[dict[str, object]] = []
    numbers: list[int] = []
    for n in np.argsort(-seen.probability, kind="stable"):
        k, centre = asked[n], seen.centres_um[n]
        p = float(seen.probability[n])
        free = not len(taken) or bool(
            (np.linalg.norm((taken - centre) / CLAIMED_UM, axis=1) > 1).all()
        )
        if p < lookback_p or not free:
            missing[k, t] = (Presence.ABSENT, p if free else 0.0, float(homes[k][1][0]))
            continue
        taken = np.vstack([taken, centre])
        row = {**seen.rows[n], "spine_id": next_id + len(rows), "dendrite_id": homes[k][0]}
        rows.append({**row, "source": "lookback", "probability": p, "label": 0})
        numbers.append(k)
    return rows, numbers


def _tables(
    life: _Life, warps: dict[tuple[int, int], ArcWarp], config: MatchConfig
) -> LinkedRegion:
    views = life.views
    placed = [
        np.array(
            [_warp_one(f, warps[t, d]) for f, d in zip(life.frames[t], _ids(v), strict=True)]
        ).reshape(-1, 3)
        for t, v in enumerate(views)
    ]
    links, p_link = _links(views, placed, life.track_of, warps, config)
    spines = []
    for t, view in enumerate(views):
        frame = view.spines.frame.copy()
        frame["arc_length_um"] = placed[t][:, 0]
        frame["track_id"] = pd.array(life.track_of[t], dtype="Int64")
        spines.append(frame)
    return LinkedRegion(
        SPINES.conform(pd.concat(spines, ignore_index=True)),
        Tracks(_track_table(life, spines, p_link)),
        Matches(links),
        COVERAGE.frame(
            [row for t, v in enumerate(views) for row in _stretches(t, v, warps, config)]
        ),
        warps,
    )


def _ids(view: SessionView) -> list[int]:
    return [int(d) for d in view.spines.frame["dendrite_id"]]


def _warp_one(frame: FloatArray, warp: ArcWarp) -> FloatArray:
    return np.r_[warp(frame[:1]), frame[1:]]


def _links(
    views: list[SessionView],
    placed: list[FloatArray],
    track_of: list[IntArray],
    warps: dict[tuple[int, int], ArcWarp],
    config: MatchConfig,
) -> tuple[pd.DataFrame, dict[tuple[int, int, int], float]]:
    """Every plausible link, and the probability of the chosen ones by (track, t, u)."""
    rows = []
    chosen_p: dict[tuple[int, int, int], float] = {}
    group = {
        key: i for i, key in enumerate(sorted(k for k, w in warps.items() if w.slip_ambiguous))
    }
    for t, u in session_pairs(len(views)):
        a, b = views[t], views[u]
        da, db = np.array(_ids(a), int), np.array(_ids(b), int)
        for d in sorted(set(da) | set(db)):
            i, j = np.flatnonzero(da == d), np.flatnonzero(db == d)
            p = link_probability(placed[t][i], placed[u][j], config.gate_um)
            for m in range(len(i)):
                for n in range(len(j)):
                    same = track_of[t][i[m]] == track_of[u][j[n]]
                    if p[m, n] < CANDIDATE_P and not same:
                        continue
                    if same:
                        chosen_p[int(track_of[t][i[m]]), t, u] = float(p[m, n])
                    slip = group.get((u, d), group.get((t, d), pd.NA))
                    rows.append(
                        {
                            "animal": a.session.animal,
                            "group": a.session.group,
                            "region": a.session.region,
                            "session_from": a.session.index,
                            "session_to": b.session.index,
                            "spine_from": int(a.spines.ids[i[m]]),
                            "spine_to": int(b.spines.ids[j[n]]),
                            "p": float(p[m, n]),
                            "chosen": bool(same),
                            "slip_group": slip,
                        }
                    )
    return LINKS.frame(rows), chosen_p


def _track_table(
    life: _Life, spines: list[pd.DataFrame], p_link: dict[tuple[int, int, int], float]
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
            }
            if t in here:
                row |= {
                    "presence": str(Presence.PRESENT),
                    "arc_length_um": here[t]["arc_length_um"],
                    "spine_id": int(here[t]["spine_id"]),
                    "p_present": float(here[t]["probability"]),
                }
                if last is not None:
                    row["p_link"] = p_link.get((k, last, t), float("nan"))
                last = t
            else:
                presence, p, arc = life.missing[k, t]
                row |= {"presence": str(presence), "arc_length_um": arc, "p_present": p}
            rows.append(row)
    return TRACKS.frame(rows)


def _stretches(
    t: int, view: SessionView, warps: dict[tuple[int, int], ArcWarp], config: MatchConfig
) -> list[dict[str, object]]:
    """Runs of nodes in view whose shaft is bright enough, in the shared arc length."""
    rows = []
    for segment in view.dendrites.segments:
        snr = view.snr[segment.id]
        warp = warps[t, segment.id]
        good = inside(segment.points_um, view.extent_um, EDGE_UM) & (
            np.nan_to_num(snr) >= config.min_snr
        )
        edges = np.flatnonzero(np.diff(np.r_[0, good.astype(int), 0]))
        for a, b in zip(edges[::2], edges[1::2] - 1, strict=True):
            if b <= a:
                continue
            ends = warp(segment.arc_length_um[[a, b]])
            session = view.session
            rows.append(
                {
                    **session.columns,
                    "dendrite_id": segment.id,
                    "start_um": ends[0],
                    "end_um": ends[1],
                    "snr": float(np.median(snr[a : b + 1])),
                    "usable": view.usable,
                    "slip_ambiguous": warp.slip_ambiguous,
                    "warp_rms_um": warp.rms_um,
                }
            )
    return rows
