"""A person's corrections laid on the spines of a region, before they are linked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from spinenet.evaluate.judge import HEAD_UM
from spinenet.geometry import inside
from spinenet.io.corrections import PLACE, PLACE_TO
from spinenet.match.pins import Pins, Spine
from spinenet.match.view import SessionView
from spinenet.measure.attach import attach
from spinenet.types import FloatArray, InputError, SpineTable

PERSON = "person"


def corrected(
    views: list[SessionView], corrections: pd.DataFrame, source: str
) -> tuple[list[SessionView], Pins]:
    """The sessions of a region with spines added, deleted and moved to other dendrites as a person
    said, and what was said of who is whom.

    A place is that of the spine nearest to it, within the tolerance at which detections are scored.
    Where there is none, one is added, unless it shall be deleted.

    Parameters
    ----------
    corrections: rows of `io.read_corrections`, of this region and others
    source: the file's name, for errors

    Raises
    ------
    InputError
        If a row names a session that there is not, or a dendrite.
    """
    s = views[0].session
    mine = corrections[
        corrections["animal"].isin(["", s.animal]) & corrections["region"].isin(["", s.region])
    ]
    desk = _Desk(list(views), source)
    # who is there is settled first, so that the order of the lines does not matter
    for actions in (("delete",), ("add", "dendrite"), ("same", "different", "present", "absent")):
        for row in mine[mine["action"].isin(actions)].to_dict("records"):
            desk.obey(row)
    empty = {t: np.array(places) for t, places in desk.empty.items()}
    said = {action: tuple(pairs) for action, pairs in desk.said.items()}
    pins = Pins(said["same"], said["different"], said["present"], said["absent"], empty)
    return desk.views, pins


@dataclass
class _Desk:
    """Corrections are obeyed one by one on it."""

    views: list[SessionView]
    source: str
    said: dict[str, list[Any]] = field(
        default_factory=lambda: {a: [] for a in ("same", "different", "present", "absent")}
    )
    empty: dict[int, list[FloatArray]] = field(default_factory=dict)

    def obey(self, row: dict[str, Any]) -> None:
        where = f"{self.source}, line {row['line']}"
        action, t = row["action"], self._position(row["session"], where)
        place = np.array([row[c] for c in PLACE], float)
        if action == "delete":
            self._delete(t, place)
            return
        spine = self._spine(t, place, None if pd.isna(row["dendrite_id"]) else row, where)
        if action in ("same", "different"):
            u = self._position(row["session_to"], where)
            other = self._spine(u, np.array([row[c] for c in PLACE_TO], float), None, where)
            self.said[action].append((spine, other))
        elif action in ("present", "absent"):
            self.said[action].append((spine, self._position(row["session_to"], where)))

    def _position(self, session: int, where: str) -> int:
        known = [v.session.index for v in self.views]
        if session not in known:
            raise InputError(
                f"{where}: session {session} is not among those of {self.views[0].session.animal}, "
                f"{self.views[0].session.region} ({', '.join(map(str, known))}). Correct it, or "
                "fill animal and region if another one is meant."
            )
        return known.index(session)

    def _nearest(self, t: int, place: FloatArray) -> int | None:
        """Row of the spine at a place."""
        centres = self.views[t].spines.centres_um
        if not len(centres):
            return None
        far = np.linalg.norm((centres - place) / HEAD_UM, axis=1)
        return int(far.argmin()) if far.min() < 1 else None

    def _delete(self, t: int, place: FloatArray) -> None:
        view, k = self.views[t], self._nearest(t, place)
        self.empty.setdefault(t, []).append(place)
        if k is not None:
            left = view.spines.frame.drop(index=view.spines.frame.index[k]).reset_index(drop=True)
            self.views[t] = replace(view, spines=SpineTable(left))

    def _spine(self, t: int, place: FloatArray, told: dict[str, Any] | None, where: str) -> Spine:
        """The spine at a place, which is one now if it was none; on a dendrite if that was told."""
        view, k = self.views[t], self._nearest(t, place)
        if k is None:
            return self._add(t, place, told, where)
        believed = {"probability": 1.0, "source": PERSON}
        if told is not None:
            home = self._dendrite(view, told, where)
            believed = view.measure(view.spines.centres_um[[k]], np.array([home]))[0] | believed
        frame = view.spines.frame.copy()
        for column in frame.columns.intersection(list(believed)):
            frame.loc[frame.index[k], column] = believed[column]
        self.views[t] = replace(view, spines=SpineTable(frame))
        return t, int(view.spines.ids[k])

    def _add(self, t: int, place: FloatArray, told: dict[str, Any] | None, where: str) -> Spine:
        view = self.views[t]
        if not inside(place, view.extent_um, -1.0)[0]:
            raise InputError(
                f"{where}: the place {', '.join(f'{v:g}' for v in place)} um (z, y, x) lies "
                f"outside the stack of session {view.session.index}, which reaches to "
                f"{', '.join(f'{v:.1f}' for v in view.extent_um)}. Pixels in the place of um, or "
                "another session's place, are the usual causes."
            )
        if told is not None:
            home = self._dendrite(view, told, where)
        else:
            home = int(attach(place[None], view.dendrites).dendrite[0])
        if home < 0:
            raise InputError(
                f"{where}: session {view.session.index} has no dendrite to put a spine on."
            )
        number = int(view.spines.ids.max(initial=0)) + 1
        row = view.measure(place[None], np.array([home]))[0]
        row |= {"spine_id": number, "probability": 1.0, "source": PERSON, "label": 0, "instance": 0}
        frame = view.spines.frame
        new = pd.DataFrame([row]).reindex(columns=frame.columns).astype(frame.dtypes)
        table = pd.concat([frame, new], ignore_index=True)
        self.views[t] = replace(view, spines=SpineTable(table))
        return t, number

    def _dendrite(self, view: SessionView, told: dict[str, Any], where: str) -> int:
        known = sorted(view.dendrites.by_id())
        home = int(told["dendrite_id"])
        if home not in known:
            raise InputError(
                f"{where}: dendrite_id {home} is none of session {view.session.index} "
                f"({', '.join(map(str, known)) or 'it has none'}). Take the number from "
                "dendrites.csv."
            )
        return home
