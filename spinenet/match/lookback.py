"""Before a spine is called new or lost: look at its predicted place, with a lower threshold."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from spinenet.config import MatchConfig
from spinenet.geometry import from_line_frame, inside
from spinenet.match.pins import NO_PINS, PERSON, Pins
from spinenet.match.power import learn_sight
from spinenet.match.view import Probe, SessionView, frames_of, track_by_spine
from spinenet.match.warp import ArcWarp
from spinenet.tables import SPINES
from spinenet.types import (
    FloatArray,
    InputError,
    IntArray,
    Presence,
    Segment,
    SpineTable,
)

EDGE_UM = 0.5
HALF_HEAD_UM = 0.25
CLAIMED_UM = np.array([1.2, 0.4, 0.4])
"""A spine this near (scaled) to the place looked at is what is seen there."""


@dataclass(frozen=True)
class Life:
    """Views with the spines found by looking back, their tracks, and what is known of the rest."""

    views: list[SessionView]
    frames: list[FloatArray]
    track_of: list[IntArray]
    missing: dict[tuple[int, int], tuple[Presence, float, float]]
    """By track and session position: presence, probability that it was there, arc length."""


NOWHERE = np.zeros((0, 3))


@dataclass(frozen=True)
class Rules:
    """What is taken for a spine in one session: a height from `least_p` on, of tracks that were
    seen before and after from `between_p` on; a person's word goes before, that of tracks that are
    there and of places (M, 3) that are empty."""

    least_p: float
    between_p: float
    between: frozenset[int] = frozenset()
    hidden: frozenset[int] = frozenset()
    """Tracks whose spine might well be missed there, being faint or hidden by its shaft: nothing
    found is no absence."""
    there: frozenset[int] = frozenset()
    empty_um: FloatArray = field(default_factory=lambda: NOWHERE)

    def least(self, track: int) -> float:
        return self.between_p if track in self.between else self.least_p


def look_back(
    views: list[SessionView],
    frames: list[FloatArray],
    track_of: list[IntArray],
    warps: dict[tuple[int, int], ArcWarp],
    config: MatchConfig,
    centre_p: float,
    pins: Pins = NO_PINS,
) -> Life:
    """Look at the predicted place of every track in every session that lacks it, but where a person
    said what is there.

    A spine hardly ever goes and comes back to its place: of one that was seen before and after, the
    faintest sign is enough.
    """
    lookback_p = config.lookback_share * centre_p
    homes = _homes(views, frames, track_of, warps)
    # a person's word says nothing of how bright a spine is
    own = [(v.spines.frame["source"] != PERSON).to_numpy(bool) for v in views]
    heights = [v.spines.frame["probability"].to_numpy(float) for v in views]
    sight = learn_sight(
        [k[mine] for k, mine in zip(track_of, own, strict=True)],
        [h[mine] for h, mine in zip(heights, own, strict=True)],
    )
    missing: dict[tuple[int, int], tuple[Presence, float, float]] = {}
    new_views, new_frames, new_tracks = list(views), list(frames), list(track_of)
    track = track_by_spine(views, track_of)
    there = {(track[spine], t) for spine, t in pins.present}
    gone = {(track[spine], t) for spine, t in pins.absent}
    if there & gone:
        t = min(there & gone)[1]
        raise InputError(
            "corrections.csv says that a spine is present in session "
            f"{views[t].session.index}, and that it is absent there. Remove one of the lines."
        )
    first, last = _first_and_last(track_of)
    for t, view in enumerate(views):
        here_now = set(track_of[t].tolist())
        absent = [k for k in homes if k not in here_now]
        segments = view.dendrites.by_id()
        places, asked, power = [], [], []
        for k in absent:
            d, home = homes[k]
            segment = segments[d]
            here = warps[t, d].back(home, segment.arc_length_um)
            point = from_line_frame(here[None], segment.points_um, segment.arc_length_um)[0]
            verdict = _visible(view, segment, here, point, config)
            if (k, t) in gone:
                missing[k, t] = (Presence.ABSENT, 0.0, home[0])
            elif verdict is None or (k, t) in there:
                places.append(point)
                asked.append(k)
                power.append(sight.power(k, t, lookback_p) if _beside(segment, here) else 0.0)
            else:
                missing[k, t] = (verdict, float("nan"), home[0])
        if not places:
            continue
        seen = view.probe(np.array(places), np.array([homes[k][0] for k in asked]))
        certain = frozenset(k for k in asked if (k, t) in there)
        hidden = frozenset(k for k, p in zip(asked, power, strict=True) if p < config.least_power)
        rules = Rules(
            lookback_p,
            config.between_share * centre_p,
            frozenset(k for k in asked if first[k] < t < last[k]),
            hidden,
            certain,
            pins.empty_um.get(t, NOWHERE),
        )
        extra, numbers = _accept(view, seen, asked, homes, missing, t, rules)
        if extra:
            table = pd.concat([view.spines.frame, SPINES.frame(extra)], ignore_index=True)
            new_views[t] = replace(view, spines=SpineTable(table))
            new_frames[t] = frames_of(new_views[t])
            new_tracks[t] = np.r_[track_of[t], numbers]
    return Life(new_views, new_frames, new_tracks, missing)


def _first_and_last(track_of: list[IntArray]) -> tuple[dict[int, int], dict[int, int]]:
    """By track: the positions of the sessions in which it was seen first and last."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for t, numbers in enumerate(track_of):
        for k in numbers.tolist():
            first.setdefault(k, t)
            last[k] = t
    return first, last


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
            place = warps[t, dendrites[i]].place(frames[t][i : i + 1])[0]
            seen.setdefault(k, []).append(place)
            where[k] = int(dendrites[i])
    return {k: (where[k], np.mean(seen[k], axis=0)) for k in sorted(seen)}


def _visible(
    view: SessionView, segment: Segment, here: FloatArray, point: FloatArray, config: MatchConfig
) -> Presence | None:
    """Why a spine at a place could not have been seen, or None if it could."""
    snr = np.interp(here[0], segment.arc_length_um, view.snr[segment.id])
    if not inside(point, view.extent_um, EDGE_UM)[0]:
        return Presence.OUT_OF_VIEW
    if not view.usable or not np.isfinite(snr) or snr < config.min_snr:
        return Presence.NOT_SCORABLE
    return None


def _beside(segment: Segment, here: FloatArray) -> bool:
    """Does a head at a place (arc length, sideways, up) stick out beside its shaft? Above it, below
    it or close by it is hidden in the shaft's blur, and seen in some sessions only."""
    radius = float(np.interp(here[0], segment.arc_length_um, segment.radius_um))
    return abs(float(here[1])) >= radius + HALF_HEAD_UM


def _accept(
    view: SessionView,
    seen: Probe,
    asked: list[int],
    homes: dict[int, tuple[int, FloatArray]],
    missing: dict[tuple[int, int], tuple[Presence, float, float]],
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
        p = float(seen.probability[n])
        source = "lookback"
        if k in rules.there:
            if _near(taken, centre):
                raise InputError(
                    f"corrections.csv says that a spine is present in session {view.session.index} "
                    f"at {', '.join(f'{v:.2f}' for v in centre)} um (z, y, x), where another one "
                    "is. Say which of them is the same spine (same), or where it lies (add)."
                )
            p, source = 1.0, PERSON
        elif _near(rules.empty_um, centre) or (p < rules.least(k) and k not in rules.hidden):
            missing[k, t] = (Presence.ABSENT, p, float(homes[k][1][0]))
            continue
        # too faint to be seen, or a neighbour hides it
        elif p < rules.least(k) or _near(taken, centre):
            missing[k, t] = (Presence.NOT_SCORABLE, float("nan"), float(homes[k][1][0]))
            continue
        taken = np.vstack([taken, centre])
        found = {"spine_id": next_id + len(rows), "source": source, "label": 0}
        rows.append({**seen.rows[n], **found, "probability": p})
        numbers.append(k)
    return rows, numbers


def _near(taken_um: FloatArray, place_um: FloatArray) -> bool:
    """Is one of the places (M, 3) that of another (3,)?"""
    return bool((np.linalg.norm((taken_um - place_um) / CLAIMED_UM, axis=1) <= 1).any())
