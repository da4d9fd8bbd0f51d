"""Before a spine is called new or lost: look at its predicted place, with a lower threshold."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pandas as pd

from spinenet.config import MatchConfig
from spinenet.geometry import from_line_frame, inside
from spinenet.match.life import Life, Missing, Unseen
from spinenet.match.pins import NO_PINS, PERSON, Contradiction, Pins
from spinenet.match.power import learn_sight
from spinenet.match.scope import held, in_view
from spinenet.match.score import PLACE_SD_UM
from spinenet.match.view import Probe, SessionView, frames_of, track_by_spine
from spinenet.match.warp import ArcWarp, Warps
from spinenet.tables import SPINES
from spinenet.types import (
    FloatArray,
    IntArray,
    Presence,
    Segment,
    SpineTable,
)

HALF_HEAD_UM = 0.25
"""A head whose middle is nearer to the edge of its shaft, seen from above, is hidden by it."""
BESIDE_UM = 1.0
"""A spine may lean so far beyond the end of its dendrite; it is looked for there."""
CLAIMED_UM = np.array([1.2, 0.4, 0.4])
"""A spine this near (scaled) to the place looked at is what is seen there."""
UNSURE_GATES = np.array([2.0, 1.0, 1.0])
"""A mark that a person was not sure of may be any spine that it could be linked to, were it sure:
so many times `gate_um` away (z, y, x), for depth is known half as well."""
RIM_SD, RIM_SHARE = 2.0, 1 / 8
"""So many standard deviations of a place from the stack's border, but at most this share of the
stack, a spine may as well lie outside."""
NOWHERE = np.zeros((0, 3))


@dataclass(frozen=True)
class Home:
    """A track's dendrite, and the mean place (arc length shared, sideways, up) of its sightings."""

    dendrite: int
    place: FloatArray


@dataclass(frozen=True)
class Rules:
    """What counts as a spine in one session: a peak of at least `least_p`, unless a person said
    that tracks are there (`there`) or that places (M, 3) are empty (`empty_um`)."""

    least_p: float
    unseen: frozenset[int] = frozenset()
    """Tracks whose spine might well be missed there, being faint, hidden by its shaft or what a
    person could not tell: nothing found is no absence."""
    there: frozenset[int] = frozenset()
    empty_um: FloatArray = field(default_factory=lambda: NOWHERE)


def look_back(
    views: list[SessionView],
    frames: list[FloatArray],
    track_of: list[IntArray],
    warps: Warps,
    config: MatchConfig,
    centre_p: float,
    pins: Pins = NO_PINS,
) -> Life:
    """Look at the predicted place of every track in every session that lacks it, but where a person
    said what is there.

    A spine hardly ever goes and comes back to its place: where one might well have been missed that
    was seen before and after, the faintest sign is enough.
    """
    heights = [_heights(t, view, pins) for t, view in enumerate(views)]
    told = [np.isfinite(h) for h in heights]
    track = track_by_spine(views, track_of)
    sight = learn_sight(
        [k[known] for k, known in zip(track_of, told, strict=True)],
        [h[known] for h, known in zip(heights, told, strict=True)],
        {(track[spine], spine[0]): height for spine, height in pins.glimpses.items()},
    )
    homes = _homes(views, frames, track_of, warps)
    named = [(v.spines.frame["source"] == PERSON).to_numpy(bool) for v in views]
    marked = {int(k) for of, them in zip(track_of, named, strict=True) for k in of[them]}
    hidden = frozenset(_hidden(views, track_of, homes, warps) - marked)
    there = {(track[spine], t) for spine, t in pins.present}
    gone = {(track[spine], t) for spine, t in pins.absent}
    if there & gone:
        t = min(there & gone)[1]
        raise Contradiction(
            f"a spine is present in session {views[t].session.index}, and absent there. Remove one "
            "of the lines"
        )
    life = Life(list(views), list(frames), list(track_of), {}, hidden=hidden)
    settled: set[tuple[int, int]] = set()

    def look(t: int, wanted: list[int], least_p: float) -> set[tuple[int, int]]:
        """Look for the wanted tracks in one session; returns what was found."""
        view = life.views[t]
        segments, emptied = view.dendrites.by_id(), pins.empty_um.get(t, NOWHERE)
        places, asked = [], []
        for k in wanted:
            home = homes[k]
            segment = segments[home.dendrite]
            here, point = _expected(home, warps[t, home.dendrite], segment)
            verdict = _visible(view, segment, here, point, config)
            if (k, t) not in there and verdict is not None and _near(emptied, point):
                settled.add((k, t))
            if (k, t) in gone | settled:
                life.missing[k, t] = Unseen(Presence.ABSENT, 0.0, home.place[0])
            elif verdict is None or (k, t) in there:
                places.append(point)
                asked.append(k)
            else:
                life.missing[k, t] = Unseen(verdict, float("nan"), home.place[0])
        if not places:
            return set()
        seen = view.probe(np.array(places), np.array([homes[k].dendrite for k in asked]))
        power = [0.0 if k in hidden else sight.power(k, t, least_p) for k in asked]
        unseen = {k for k, p in zip(asked, power, strict=True) if p < config.least_power}
        unsure = pins.unsure_um.get(t, NOWHERE)
        reach = config.gate_um * UNSURE_GATES
        unseen |= {k for k, at in zip(asked, places, strict=True) if _near(unsure, at, reach)}
        rules = Rules(
            least_p,
            frozenset(unseen),
            frozenset(k for k in asked if (k, t) in there),
            emptied,
        )
        extra, numbers = _accept(view, seen, asked, homes, life.missing, t, rules)
        settled.update(
            (k, t)
            for k, centre in zip(asked, seen.centres_um, strict=True)
            if _near(emptied, centre) and k not in rules.there
        )
        if extra:
            table = pd.concat([view.spines.frame, SPINES.frame(extra)], ignore_index=True)
            life.views[t] = replace(view, spines=SpineTable(table))
            life.frames[t] = frames_of(life.views[t])
            life.track_of[t] = np.r_[life.track_of[t], numbers]
        return {(k, t) for k in numbers}

    for t in range(len(views)):
        here_now = set(track_of[t].tolist())
        look(t, [k for k in homes if k not in here_now], config.lookback_share * centre_p)
    lent: set[tuple[int, int]] = set()
    for t, lacking in _between(life.track_of, gone | settled).items():
        missed = [k for k in lacking if life.missing[k, t].presence == Presence.NOT_SCORABLE]
        lent |= look(t, missed, config.between_share * centre_p)
    for found in lent:
        del life.missing[found]
    return replace(life, between=frozenset(lent), settled=frozenset(settled | gone))


def _check_held(view: SessionView, point: FloatArray) -> None:
    if not held(view, point):
        raise Contradiction(
            f"a spine is present in session {view.session.index}, whose stack does not hold its "
            f"place, {', '.join(f'{v:.1f}' for v in point)} um (z, y, x). Remove the line, or "
            "check which session it is about"
        )


def _heights(t: int, view: SessionView, pins: Pins) -> FloatArray:
    """(K,) what the machine thinks of a session's spines; nan where a person alone saw them."""
    table = view.spines.frame
    own = table["probability"].where(table["source"] != PERSON)
    said = [pins.heights.get((t, spine), np.nan) for spine in view.spines.ids.tolist()]
    return own.fillna(pd.Series(said, own.index)).to_numpy(float)


def _between(track_of: list[IntArray], gone: set[tuple[int, int]]) -> dict[int, list[int]]:
    """By session position, the tracks that it lacks between two sightings; not those that a person
    said to be gone since the last."""
    sightings: dict[int, list[int]] = {}
    for t, numbers in enumerate(track_of):
        for k in numbers.tolist():
            sightings.setdefault(k, []).append(t)
    out: dict[int, list[int]] = {t: [] for t in range(len(track_of))}
    for k in sorted(sightings):
        for a, b in pairwise(sightings[k]):
            inside = range(a + 1, b)
            if not any((k, t) in gone for t in inside):
                for t in inside:
                    out[t].append(k)
    return out


def _homes(
    views: list[SessionView],
    frames: list[FloatArray],
    track_of: list[IntArray],
    warps: Warps,
) -> dict[int, Home]:
    seen: dict[int, list[FloatArray]] = {}
    where: dict[int, int] = {}
    for t, view in enumerate(views):
        dendrites = view.spines.frame["dendrite_id"].to_numpy(int)
        for i, k in enumerate(track_of[t].tolist()):
            place = warps[t, dendrites[i]].place(frames[t][i : i + 1])[0]
            seen.setdefault(k, []).append(place)
            where[k] = int(dendrites[i])
    return {k: Home(where[k], np.mean(seen[k], axis=0)) for k in sorted(seen)}


def _hidden(
    views: list[SessionView],
    track_of: list[IntArray],
    homes: dict[int, Home],
    warps: Warps,
) -> set[int]:
    """Tracks that are seen in some sessions only, whatever becomes of the spine: above, below or
    close by their shaft (lost in its blur), or beside the border of a stack (perhaps outside
    it)."""
    beyond: dict[int, list[float]] = {}
    for t, view in enumerate(views):
        segments = view.dendrites.by_id()
        for k in track_of[t].tolist():
            segment = segments[homes[k].dendrite]
            arc = segment.arc_length_um
            at, side, _ = warps[t, homes[k].dendrite].back(homes[k].place, arc)
            on = float(np.clip(at, arc[0], arc[-1]))
            radius = float(np.interp(on, arc, segment.radius_um))
            beyond.setdefault(k, []).append(float(np.hypot(side, at - on)) - radius)
    return {k for k, reach in beyond.items() if np.mean(reach) < HALF_HEAD_UM} | {
        k for t, view in enumerate(views) if view.usable for k in _in_rim(t, view, homes, warps)
    }


def _expected(home: Home, warp: ArcWarp, segment: Segment) -> tuple[FloatArray, FloatArray]:
    """Where a track lies in a session: on its dendrite (arc length, sideways, up) and in um."""
    here = warp.back(home.place, segment.arc_length_um)
    return here, from_line_frame(here[None], segment.points_um, segment.arc_length_um)[0]


def _in_rim(t: int, view: SessionView, homes: dict[int, Home], warps: Warps) -> list[int]:
    """Tracks expected so near to the border of a session's stack that they may lie outside, or
    within."""
    segments = view.dendrites.by_id()
    rim = np.minimum(RIM_SD * PLACE_SD_UM[[2, 1, 1]], RIM_SHARE * view.extent_um)
    out = []
    for k, home in homes.items():
        _, point = _expected(home, warps[t, home.dendrite], segments[home.dendrite])
        around = point + np.vstack([np.zeros(3), np.diag(rim), np.diag(-rim)])
        far_in = inside(point, view.extent_um, rim)[0] and view.imaged(point[None], rim[1:])[0]
        if in_view(view, around).any() and not far_in:
            out.append(k)
    return out


def _visible(
    view: SessionView, segment: Segment, here: FloatArray, point: FloatArray, config: MatchConfig
) -> Presence | None:
    """Why a spine at a place could not have been seen, or None if it could."""
    arc = segment.arc_length_um
    beyond = max(arc[0] - here[0], here[0] - arc[-1])
    if beyond > BESIDE_UM or not in_view(view, point[None])[0]:
        return Presence.OUT_OF_VIEW
    snr = np.interp(here[0], arc, view.snr[segment.id])
    if not view.usable or not np.isfinite(snr) or snr < config.min_snr:
        return Presence.NOT_SCORABLE
    return None


def _accept(
    view: SessionView,
    seen: Probe,
    asked: list[int],
    homes: dict[int, Home],
    missing: Missing,
    t: int,
    rules: Rules,
) -> tuple[list[dict[str, object]], list[int]]:
    """Rows of the spines that looking back found, and their tracks; the rest is absent."""
    taken = view.spines.centres_um
    next_id = int(view.spines.ids.max(initial=0)) + 1
    rows: list[dict[str, object]] = []
    numbers: list[int] = []
    # what a person saw goes first, then the surest
    certain = np.array([k in rules.there for k in asked], bool)
    for n in np.lexsort((-seen.probability, ~certain)):
        k, centre = asked[n], seen.centres_um[n]
        arc_um = float(homes[k].place[0])
        p = float(seen.probability[n])
        source = "lookback"
        if k in rules.there:
            _check_held(view, centre)
            if _near(rules.empty_um, centre):
                raise Contradiction(
                    f"a spine is present in session {view.session.index} at "
                    f"{', '.join(f'{v:.2f}' for v in centre)} um (z, y, x), where another line "
                    "deleted one. Remove one of the lines, or say where it lies (add)"
                )
            if _near(taken, centre):
                raise Contradiction(
                    f"a spine is present in session {view.session.index} at "
                    f"{', '.join(f'{v:.2f}' for v in centre)} um (z, y, x), where another one is. "
                    "Say which of them is the same spine (same), or where it lies (add)"
                )
            p, source = 1.0, PERSON
        elif _near(rules.empty_um, centre):
            missing[k, t] = Unseen(Presence.ABSENT, 0.0, arc_um)
            continue
        elif p < rules.least_p and k not in rules.unseen:
            missing[k, t] = Unseen(Presence.ABSENT, p, arc_um)
            continue
        # too faint to be seen, or a neighbour hides it
        elif p < rules.least_p or _near(taken, centre):
            missing[k, t] = Unseen(Presence.NOT_SCORABLE, float("nan"), arc_um)
            continue
        taken = np.vstack([taken, centre])
        found = {"spine_id": next_id + len(rows), "source": source, "label": 0}
        rows.append({**seen.rows[n], **found, "probability": p})
        numbers.append(k)
    return rows, numbers


def _near(taken_um: FloatArray, place_um: FloatArray, reach_um: FloatArray = CLAIMED_UM) -> bool:
    """Is one of the places (M, 3) that of another (3,)?"""
    return bool((np.linalg.norm((taken_um - place_um) / reach_um, axis=1) <= 1).any())
