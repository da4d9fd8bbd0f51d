"""Spines that a person or another tool scored, linked in the place of detected ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from spinenet.config import MatchConfig
from spinenet.evaluate.judge import sure
from spinenet.io.annotated import MARK_REACH_UM, heads_of, of_session
from spinenet.io.traces import Traces
from spinenet.match.head import MatchingHead
from spinenet.match.pins import PERSON, Pins
from spinenet.match.record import LinkedRegion
from spinenet.match.region import link_region
from spinenet.match.view import SessionView
from spinenet.measure.attach import EXTRA_COLUMNS, attach
from spinenet.pipeline.stacks import RunLog
from spinenet.tables import SPINES
from spinenet.types import FloatArray, SpineTable, Tracks

NOTHING = 2.0
"""A centre probability that no place reaches: what was not marked is not looked for again."""


def link_marks(
    views: list[SessionView],
    reference: int,
    config: MatchConfig,
    head: MatchingHead | None,
    pins: Pins,
) -> LinkedRegion:
    """The region's marked spines linked. What was not marked is absent where it could be scored."""
    config = replace(config, sure_share=0.0, least_power=0.0, lookback_share=1.0, between_share=1.0)
    linked = link_region(views, reference, config, NOTHING, head, pins)
    # nobody said how sure the person was
    tracks = linked.tracks.frame.assign(p_present=np.nan)
    return replace(linked, tracks=Tracks(tracks))


def with_marks(
    views: list[SessionView], marks: pd.DataFrame, traces: Traces | None, log: RunLog
) -> tuple[list[SessionView], dict[int, FloatArray]]:
    """The sessions of a region with marked spines in the place of detected ones.

    A session in which nothing was marked, and no dendrite traced, was not scored: it is not usable.

    Parameters
    ----------
    marks: `tables.POINTS`, `point` filled; of these animals and others
    traces: of which the marks' `dendrite_id` speaks; without traces it says nothing

    Returns
    -------
    The sessions, and by position the places (M, 3) of marks that the person was not sure of: they
    are no spines, and whether there is one nobody knows.
    """
    out: list[SessionView] = []
    unsure: dict[int, FloatArray] = {}
    for t, view in enumerate(views):
        mine = marks[of_session(marks, view.session)]
        certain = sure(mine)
        unsure[t] = heads_of(mine[~certain])
        if view.usable and mine.empty and not (traces and traces.hold(view.session)):
            s = view.session
            log.warn(
                f"no spine of {s.animal}, {s.region}, session {s.index} is marked: it counts as "
                "not scored, and nothing as lost in it. If you looked and found none, trace the "
                "dendrites of that session in dendrites.csv; if you did not, leave it out of "
                "sessions.csv."
            )
            view = replace(view, usable=False)
        out.append(_with_marks(view, mine[certain], traces is not None, log))
    return out, unsure


def _with_marks(
    view: SessionView, marks: pd.DataFrame, dendrites_told: bool, log: RunLog
) -> SessionView:
    heads = heads_of(marks)
    attached = attach(heads, view.dendrites)
    home, near = attached.dendrite, attached.reach_um <= MARK_REACH_UM
    if dendrites_told:
        told = marks["dendrite_id"].astype("Float64").to_numpy(float, na_value=np.nan)
        home = np.where(np.isin(told, list(view.dendrites.by_id())), told, home).astype(np.int64)
    if not view.usable:  # not scored, or another field: that was said already
        near[:] = False
    elif not near.all():
        s = view.session
        log.warn(
            f"{int((~near).sum())} of {len(near)} marked spines of {s.animal}, {s.region}, session "
            f"{s.index} lie beside no dendrite and were left out. Trace their dendrites in "
            "dendrites.csv, or check that their coordinates are um of this stack."
        )
    rows = view.measure(heads[near], home[near]) if near.any() else []
    for i, row in enumerate(rows, start=1):
        row |= {"spine_id": i, "probability": 1.0, "source": PERSON, "label": 0, "instance": 0}
    frame = SPINES.frame(rows).reindex(columns=[*SPINES.names, *EXTRA_COLUMNS])
    return replace(view, spines=SpineTable(frame))
