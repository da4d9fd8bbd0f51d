"""A person's corrections laid on the spines of a region, before they are linked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from spinenet.evaluate.judge import MARK_REACH_UM
from spinenet.io.corrections import PLACE, PLACE_TO, Corrections
from spinenet.match.pins import PERSON, Contradiction, Pins, Spine
from spinenet.match.scope import held
from spinenet.match.stray import CLAIMED_UM
from spinenet.match.view import SessionView
from spinenet.measure.attach import attach
from spinenet.pipeline.stacks import RunLog
from spinenet.types import FloatArray, InputError, Session, SpineTable

SAME_UM = np.array([0.5, 0.2, 0.2])
"""A spine this near (scaled) to a place is the very one: crowded spines can be added singly."""
GLIMPSE = 0.05
"""Where the net sees less than this, looking back finds no spine."""


def check_corrections(corrections: Corrections, sessions: Sequence[Session]) -> None:
    """Before long work begins: does every row mean one region, and a session of it?

    Raises
    ------
    InputError
        If a row means no region, or several, or no session of it.
    """
    regions = sorted({(s.animal, s.region) for s in sessions})
    for row in corrections.frame.to_dict("records"):
        where = f"{corrections.source}, line {row['line']}"
        meant = [r for r in regions if row["animal"] in ("", r[0]) and row["region"] in ("", r[1])]
        if len(meant) != 1:
            raise InputError(
                f"{where}: animal {row['animal']!r} and region {row['region']!r} mean "
                f"{len(meant)} of the regions "
                f"{', '.join(f'{a}, {r}' for a, r in regions)}. Fill both columns as in "
                "sessions.csv."
            )
        known = [s.index for s in sessions if (s.animal, s.region) == meant[0]]
        for column in ("session", "session_to"):
            if not pd.isna(row[column]) and row[column] not in known:
                raise InputError(
                    f"{where}: {column} {row[column]} is not among those of "
                    f"{', '.join(meant[0])} ({', '.join(map(str, sorted(known)))}). Correct it."
                )


def corrected(
    views: list[SessionView], corrections: Corrections, log: RunLog
) -> tuple[list[SessionView], Pins]:
    """The sessions of a region with spines added, deleted and moved to other dendrites as a person
    said, and what was said of who is whom.

    A place is that of the spine nearest to it, as near as spines found by looking back keep from
    others. Where there is none, one is added if the row says that a spine is there (add, dendrite,
    same, present), with a word unless that is what it was for. Rows that have nothing to be about
    are left out with a word, and so are those of sessions that were left out of the analysis.

    Parameters
    ----------
    corrections: that passed `check_corrections`

    Raises
    ------
    InputError
        If a place lies outside its stack, a dendrite is unknown, or what is deleted is used.
    """
    s = views[0].session
    frame, source = corrections.frame, corrections.source
    mine = frame[frame["animal"].isin(["", s.animal]) & frame["region"].isin(["", s.region])]
    usable = {v.session.index for v in views if v.usable}
    left_out = ~mine["session"].isin(usable) | ~(
        mine["session_to"].isna() | mine["session_to"].isin(usable)
    )
    for line in mine.loc[left_out, "line"]:
        log.warn(f"{source}, line {line} is about a session that was left out, and was not obeyed.")
    desk = _Desk(list(views), source, log)
    # who is there is settled first, and always in one order: that of the lines does not matter
    mine = mine[~left_out].sort_values(["session", *PLACE, "session_to", *PLACE_TO, "action"])
    desk.delete(mine[mine["action"] == "delete"])
    for actions in (("add",), ("dendrite",), ("same", "different", "present", "absent")):
        for row in mine[mine["action"].isin(actions)].to_dict("records"):
            desk.obey(row)
    said = {action: tuple(pairs) for action, pairs in desk.said.items()}
    empty = {t: np.array(places) for t, places in desk.empty.items()}
    pins = Pins(
        said["same"],
        said["different"],
        said["present"],
        said["absent"],
        desk.home,
        empty,
        heights=desk.heights,
        glimpses=desk.glimpses,
    )
    return desk.views, pins


def contradicted(
    error: Contradiction, views: list[SessionView], corrections: Corrections
) -> InputError:
    """The same with the file, the region and the places that it is about, to find the lines by."""
    spines = [(v.session.index, place) for v in views for place in v.spines.centres_um]
    places = [f"session {t} at {_told(place)}" for t, place in (spines[k] for k in error.spines)]
    s = views[0].session
    told = f" It is about {'; '.join(places)}." if places else ""
    return InputError(
        f"{corrections.source} says of animal {s.animal!r}, region {s.region!r}: {error}.{told}"
    )


def _told(place_um: FloatArray) -> str:
    return f"{', '.join(f'{v:.2f}' for v in place_um)} um (z, y, x)"


@dataclass
class _Desk:
    """Corrections are obeyed one by one on it."""

    views: list[SessionView]
    source: str
    log: RunLog
    said: dict[str, list[Any]] = field(
        default_factory=lambda: {a: [] for a in ("same", "different", "present", "absent")}
    )
    home: dict[Spine, int] = field(default_factory=dict)
    empty: dict[int, list[FloatArray]] = field(default_factory=dict)
    heights: dict[Spine, float] = field(default_factory=dict)
    glimpses: dict[Spine, float] = field(default_factory=dict)

    def delete(self, rows: pd.DataFrame) -> None:
        """All at once, so that a line said twice does not take a neighbour too."""
        gone: dict[int, set[int]] = {}
        for row in rows.to_dict("records"):
            t, place = self._position(row["session"]), np.array([row[c] for c in PLACE], float)
            self._check_inside(t, place, f"{self.source}, line {row['line']}")
            k = self._nearest(t, place, CLAIMED_UM)
            places = self.empty.setdefault(t, [])
            places.append(place)
            if k is not None:
                places.append(self.views[t].spines.centres_um[k])
                gone.setdefault(t, set()).add(k)
            elif not self._glimpse(t, place) >= GLIMPSE:
                self.log.warn(
                    f"{self.source}, line {row['line']}: there is no spine to delete in session "
                    f"{row['session']} at {_told(place)}{self._nearest_told(t, place)}."
                )
        for t, them in gone.items():
            view = self.views[t]
            left = view.spines.frame.drop(index=view.spines.frame.index[sorted(them)])
            self.views[t] = replace(view, spines=SpineTable(left.reset_index(drop=True)))

    def obey(self, row: dict[str, Any]) -> None:
        where = f"{self.source}, line {row['line']}"
        action = row["action"]
        ends = [(self._position(row["session"]), np.array([row[c] for c in PLACE], float))]
        if action in ("same", "different"):
            there = np.array([row[c] for c in PLACE_TO], float)
            ends.append((self._position(row["session_to"]), there))
        if action != "add" and not self._has_subject(action, ends, where):
            return
        says_dendrite = action in ("add", "dendrite") and not pd.isna(row["dendrite_id"])
        told = row if says_dendrite else None
        reach_um = SAME_UM if action == "add" else CLAIMED_UM
        spine, *other = (self._spine(t, place, told, where, reach_um) for t, place in ends)
        if other:
            self.said[action].append((spine, other[0]))
        elif action in ("present", "absent"):
            self.said[action].append((spine, self._position(row["session_to"])))

    def _has_subject(self, action: str, ends: list[tuple[int, FloatArray]], where: str) -> bool:
        """Is there a spine to be absent elsewhere, or other than another? Where a row says that one
        is there although the net saw nothing, a word that it is added."""
        for t, place in ends:
            if self._nearest(t, place, CLAIMED_UM) is not None:
                continue
            if self._glimpse(t, place) >= GLIMPSE:
                continue
            session = self.views[t].session.index
            here = f"session {session} at {_told(place)}{self._nearest_told(t, place)}"
            if action in ("absent", "different"):
                self.log.warn(f"{where} ({action}) was not obeyed: there is no spine in {here}.")
                return False
            self.log.warn(
                f"{where} ({action}): no spine was found in {here}. One was added there, as the "
                "line says that there is one; if the session or the place is wrong, correct the "
                "line."
            )
        return True

    def _nearest_told(self, t: int, place: FloatArray) -> str:
        """How far off the nearest spine of a session is, as part of a sentence."""
        centres = self.views[t].spines.centres_um
        if not len(centres):
            return ""
        nearest = centres[np.linalg.norm(centres - place, axis=1).argmin()]
        return f" (the nearest one is at {_told(nearest)})"

    def _glimpse(self, t: int, place: FloatArray) -> float:
        """What the net sees at a place: a spine that only looking back would find."""
        view = self.views[t]
        if not len(view.dendrites):
            return 0.0
        home = attach(place[None], view.dendrites).dendrite
        return float(view.probe(place[None], home).probability[0])

    def _position(self, session: int) -> int:
        return [v.session.index for v in self.views].index(session)

    def _nearest(self, t: int, place: FloatArray, reach_um: FloatArray) -> int | None:
        """Row of the spine at a place."""
        centres = self.views[t].spines.centres_um
        if not len(centres):
            return None
        far = np.linalg.norm((centres - place) / reach_um, axis=1)
        return int(far.argmin()) if far.min() < 1 else None

    def _spine(
        self,
        t: int,
        place: FloatArray,
        told: dict[str, Any] | None,
        where: str,
        reach_um: FloatArray,
    ) -> Spine:
        """The spine at a place, which is one now if it was none; on a dendrite if that was told."""
        view, k = self.views[t], self._nearest(t, place, reach_um)
        home = None if told is None else self._dendrite(view, told, where)
        if k is None:
            number = self._add(t, place, home, where)
        else:
            number = int(view.spines.ids[k])
            believed: dict[str, Any] = {"probability": 1.0, "source": PERSON}
            if home is not None:
                head = view.spines.centres_um[[k]]
                believed = view.measure(head, np.array([home]))[0] | believed
            frame = view.spines.frame.copy()
            found = frame.iloc[k]
            if found["source"] != PERSON:
                self.heights[t, number] = float(found["probability"])
            for column in frame.columns.intersection(list(believed)):
                frame.loc[frame.index[k], column] = believed[column]
            self.views[t] = replace(view, spines=SpineTable(frame))
        if home is not None and self.home.setdefault((t, number), home) != home:
            raise InputError(
                f"{where}: another line puts this spine on dendrite {self.home[t, number]}, this "
                f"one on {home}. Remove one of them."
            )
        return t, number

    def _add(self, t: int, place: FloatArray, home: int | None, where: str) -> int:
        view = self.views[t]
        self._check_inside(t, place, where)
        deleted = np.array(self.empty.get(t, [])).reshape(-1, 3)
        if (np.linalg.norm((deleted - place) / SAME_UM, axis=1) < 1).any():
            raise InputError(
                f"{where}: the spine there was deleted by another line. Remove one of them."
            )
        if home is None:
            attached = attach(place[None], view.dendrites)
            if attached.reach_um[0] > MARK_REACH_UM:
                raise InputError(
                    f"{where}: no dendrite of session {view.session.index} is within "
                    f"{MARK_REACH_UM:g} um of the place. Check the place, or give dendrite_id."
                )
            home = int(attached.dendrite[0])
        number = int(view.spines.ids.max(initial=0)) + 1
        row = view.measure(place[None], np.array([home]))[0]
        row |= {"spine_id": number, "probability": 1.0, "source": PERSON, "label": 0, "instance": 0}
        frame = view.spines.frame
        new = pd.DataFrame([row]).reindex(columns=frame.columns).astype(frame.dtypes)
        table = pd.concat([frame, new], ignore_index=True)
        self.views[t] = replace(view, spines=SpineTable(table))
        seen = view.probe(place[None], np.array([home]))
        self.glimpses[t, number] = float(seen.probability[0])
        return number

    def _check_inside(self, t: int, place: FloatArray, where: str) -> None:
        view = self.views[t]
        if not held(view, place):
            raise InputError(
                f"{where}: the place {', '.join(f'{v:g}' for v in place)} um (z, y, x) lies "
                f"outside the stack of session {view.session.index}, which reaches to "
                f"{', '.join(f'{v:.1f}' for v in view.extent_um)}. Pixels in the place of um, or "
                "another session's place, are the usual causes."
            )

    def _dendrite(self, view: SessionView, told: dict[str, Any], where: str) -> int:
        known = sorted(view.dendrites.by_id())
        home = int(told["dendrite_id"])
        if home not in known:
            raise InputError(
                f"{where}: dendrite_id {home} is none of session {view.session.index} "
                f"({', '.join(map(str, known)) or 'it has none'}). Take the number from "
                "dendrites.csv."
            )
        place = np.array([[told[c] for c in PLACE]], float)
        far = float(attach(place, view.dendrites, np.array([home])).reach_um[0])
        if not far <= MARK_REACH_UM:
            raise InputError(
                f"{where}: the place lies {far:.1f} um beside dendrite {home} of session "
                f"{view.session.index}, more than {MARK_REACH_UM:g} um. Dendrites get other "
                "numbers when sessions are added: take it from the dendrites.csv of the latest run."
            )
        return home
