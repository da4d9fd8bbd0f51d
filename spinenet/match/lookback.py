"""Before a spine is called new or lost: look at its predicted place, with a lower threshold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pandas as pd

from spinenet.config import MatchConfig
from spinenet.match.home import Home, expected_at, hidden_tracks, homes_of, unseeable
from spinenet.match.life import Life, Missing, Unseen
from spinenet.match.pins import NO_PINS, PERSON, Contradiction, Pins, Spine
from spinenet.match.power import Sight, learn_sight
from spinenet.match.scope import held
from spinenet.match.stray import CLAIMED_UM, is_near, strayed
from spinenet.match.view import Probe, SessionView, frames_of, track_by_spine
from spinenet.match.warp import Warps
from spinenet.tables import SPINES
from spinenet.types import (
    FloatArray,
    IntArray,
    Presence,
    SpineTable,
)

UNSURE_GATES = np.array([2.0, 1.0, 1.0])
"""A mark that a person was not sure of may be any spine that it could be linked to, were it sure:
so many times `gate_um` away (z, y, x), for depth is known half as well."""
NOWHERE = np.zeros((0, 3))
TrackAt = tuple[int, int]
"""A track and the position of a session."""


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
    track = track_by_spine(views, track_of)
    there, gone = _told(views, track, pins)
    homes = homes_of(views, frames, track_of, warps)
    named = [(v.spines.frame["source"] == PERSON).to_numpy(bool) for v in views]
    marked = {int(k) for of, them in zip(track_of, named, strict=True) for k in of[them]}
    hidden = frozenset(hidden_tracks(views, track_of, homes, warps) - marked)
    search = _Search(
        Life(list(views), list(frames), list(track_of), {}, hidden=hidden),
        homes,
        warps,
        config,
        pins,
        _sight(views, track_of, track, pins),
        there,
        gone,
    )
    for t, numbers in enumerate(track_of):
        here_now = set(numbers.tolist())
        search.look(t, [k for k in homes if k not in here_now], config.lookback_share * centre_p)
    lent: set[TrackAt] = set()
    missing = search.life.missing
    for t, lacking in _between(search.life.track_of, search.gone | search.settled).items():
        missed = [k for k in lacking if missing[k, t].presence == Presence.NOT_SCORABLE]
        # so faint a light beside the place is too often nothing
        lent |= search.look(t, missed, config.between_share * centre_p, beside=False)
    for found in lent:
        del missing[found]
    settled = frozenset(search.settled | search.gone)
    return replace(search.life, between=frozenset(lent), settled=settled)


@dataclass
class _Search:
    """The region as it is known while sessions are looked at one after another: what is found is
    added to `life`, and each place looked at is said to be there or why not."""

    life: Life
    homes: dict[int, Home]
    warps: Warps
    config: MatchConfig
    pins: Pins
    sight: Sight
    there: set[TrackAt]
    """A person said that the track is there."""
    gone: set[TrackAt]
    """A person said that it is not."""
    settled: set[TrackAt] = field(default_factory=set)
    """Nothing is there, as a person deleted what was."""

    def look(
        self, t: int, wanted: list[int], least_p: float, *, beside: bool = True
    ) -> set[TrackAt]:
        """Look for the wanted tracks in one session, where they are expected and `beside`; returns
        what was found."""
        asked, places = self._to_look_at(t, wanted)
        if not asked:
            return set()
        view = self.life.views[t]
        seen = view.probe(np.array(places), np.array([self.homes[k].dendrite for k in asked]))
        rules = self._rules(t, asked, places, least_p)
        if beside:
            seen = self._strayed(t, asked, np.array(places), seen, rules)
        # what a person saw goes first, then the surest, then who is nearest to the light
        certain = np.array([k in rules.there for k in asked], bool)
        aside = np.linalg.norm((seen.centres_um - places) / CLAIMED_UM, axis=1)
        order = np.lexsort((aside, -seen.probability, ~certain))
        seen, asked = seen.of(order), [asked[n] for n in order]
        extra, numbers = _accept(view, seen, asked, self.homes, self.life.missing, t, rules)
        self.settled.update(
            (k, t)
            for k, centre in zip(asked, seen.centres_um, strict=True)
            if is_near(rules.empty_um, centre) and k not in rules.there
        )
        if extra:
            table = pd.concat([view.spines.frame, SPINES.frame(extra)], ignore_index=True)
            self.life.views[t] = replace(view, spines=SpineTable(table))
            self.life.frames[t] = frames_of(self.life.views[t])
            self.life.track_of[t] = np.r_[self.life.track_of[t], numbers]
        return {(k, t) for k in numbers}

    def _strayed(
        self, t: int, asked: list[int], places: FloatArray, seen: Probe, rules: Rules
    ) -> Probe:
        """What is `seen`, but for those that are not where they were expected and are beside."""
        view = self.life.views[t]
        heads, emptied = view.spines.centres_um, rules.empty_um
        in_place = [
            k in rules.there or (p >= rules.least_p and not is_near(heads, centre))
            for k, p, centre in zip(asked, seen.probability, seen.centres_um, strict=True)
        ]
        deleted = [
            is_near(emptied, place) or is_near(emptied, centre)
            for place, centre in zip(places, seen.centres_um, strict=True)
        ]
        segments = view.dendrites.by_id()
        homes = [self.homes[k] for k, u in self.gone | self.settled if u == t]
        gone = [expected_at(h, self.warps[t, h.dendrite], segments[h.dendrite])[1] for h in homes]
        taken = np.vstack([heads, emptied, seen.centres_um[in_place], np.reshape(gone, (-1, 3))])
        home = np.array([self.homes[k].dendrite for k in asked])
        wanted = ~np.array(in_place) & ~np.array(deleted)
        return seen.replaced(strayed(view, places, home, wanted, taken, rules.least_p))

    def _to_look_at(self, t: int, wanted: list[int]) -> tuple[list[int], list[FloatArray]]:
        """The tracks that could be seen and of which nobody said that they are gone, and their
        places (3,); why the others are missing is noted."""
        view = self.life.views[t]
        segments, emptied = view.dendrites.by_id(), self.pins.empty_um.get(t, NOWHERE)
        asked, places = [], []
        for k in wanted:
            home = self.homes[k]
            segment = segments[home.dendrite]
            here, point = expected_at(home, self.warps[t, home.dendrite], segment)
            verdict = unseeable(view, segment, here, point, self.config)
            if (k, t) not in self.there and verdict is not None and is_near(emptied, point):
                self.settled.add((k, t))
            if (k, t) in self.gone | self.settled:
                self.life.missing[k, t] = Unseen(Presence.ABSENT, 0.0, home.place[0])
            elif verdict is None or (k, t) in self.there:
                places.append(point)
                asked.append(k)
            else:
                self.life.missing[k, t] = Unseen(verdict, float("nan"), home.place[0])
        return asked, places

    def _rules(self, t: int, asked: list[int], places: list[FloatArray], least_p: float) -> Rules:
        hidden, least = self.life.hidden, self.config.least_power
        power = [0.0 if k in hidden else self.sight.power(k, t, least_p) for k in asked]
        unseen = {k for k, p in zip(asked, power, strict=True) if p < least}
        unsure = self.pins.unsure_um.get(t, NOWHERE)
        reach = self.config.gate_um * UNSURE_GATES
        unseen |= {k for k, at in zip(asked, places, strict=True) if is_near(unsure, at, reach)}
        return Rules(
            least_p,
            frozenset(unseen),
            frozenset(k for k in asked if (k, t) in self.there),
            self.pins.empty_um.get(t, NOWHERE),
        )


def _told(
    views: list[SessionView], track: Mapping[Spine, int], pins: Pins
) -> tuple[set[TrackAt], set[TrackAt]]:
    """Where a person said that tracks are there, and that they are not."""
    there = {(track[spine], t) for spine, t in pins.present}
    gone = {(track[spine], t) for spine, t in pins.absent}
    if there & gone:
        t = min(there & gone)[1]
        raise Contradiction(
            f"a spine is present in session {views[t].session.index}, and absent there. Remove one "
            "of the lines"
        )
    return there, gone


def _sight(
    views: list[SessionView], track_of: list[IntArray], track: Mapping[Spine, int], pins: Pins
) -> Sight:
    """How well the machine sees each track, by the sightings that are its own."""
    heights = [_heights(t, view, pins) for t, view in enumerate(views)]
    own = [np.isfinite(h) for h in heights]
    return learn_sight(
        [k[known] for k, known in zip(track_of, own, strict=True)],
        [h[known] for h, known in zip(heights, own, strict=True)],
        {(track[spine], spine[0]): height for spine, height in pins.glimpses.items()},
    )


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


def _accept(
    view: SessionView,
    seen: Probe,
    asked: list[int],
    homes: dict[int, Home],
    missing: Missing,
    t: int,
    rules: Rules,
) -> tuple[list[dict[str, object]], list[int]]:
    """Rows of the spines that looking back found, and their tracks; the rest is absent. One light
    is of the first that was asked for it."""
    taken = view.spines.centres_um
    next_id = int(view.spines.ids.max(initial=0)) + 1
    rows: list[dict[str, object]] = []
    numbers: list[int] = []
    for n, k in enumerate(asked):
        centre = seen.centres_um[n]
        arc_um = float(homes[k].place[0])
        p = float(seen.probability[n])
        source = "lookback"
        if k in rules.there:
            _check_held(view, centre)
            if is_near(rules.empty_um, centre):
                raise Contradiction(
                    f"a spine is present in session {view.session.index} at "
                    f"{', '.join(f'{v:.2f}' for v in centre)} um (z, y, x), where another line "
                    "deleted one. Remove one of the lines, or say where it lies (add)"
                )
            if is_near(taken, centre):
                raise Contradiction(
                    f"a spine is present in session {view.session.index} at "
                    f"{', '.join(f'{v:.2f}' for v in centre)} um (z, y, x), where another one is. "
                    "Say which of them is the same spine (same), or where it lies (add)"
                )
            p, source = 1.0, PERSON
        elif is_near(rules.empty_um, centre):
            missing[k, t] = Unseen(Presence.ABSENT, 0.0, arc_um)
            continue
        elif p < rules.least_p and k not in rules.unseen:
            missing[k, t] = Unseen(Presence.ABSENT, p, arc_um)
            continue
        # too faint to be seen, or a neighbour hides it
        elif p < rules.least_p or is_near(taken, centre):
            missing[k, t] = Unseen(Presence.NOT_SCORABLE, float("nan"), arc_um)
            continue
        taken = np.vstack([taken, centre])
        found = {"spine_id": next_id + len(rows), "source": source, "label": 0}
        rows.append({**seen.rows[n], **found, "probability": p})
        numbers.append(k)
    return rows, numbers
