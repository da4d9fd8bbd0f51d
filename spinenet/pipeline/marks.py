"""Spines that a person or another tool scored, linked in the place of detected ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from spinenet.config import MatchConfig
from spinenet.evaluate.judge import MARK_REACH_UM, sure
from spinenet.io.annotated import heads_of, of_session, told_dendrites
from spinenet.io.traces import Traces
from spinenet.match.head import MatchingHead
from spinenet.match.pins import PERSON, Pins
from spinenet.match.record import LinkedRegion
from spinenet.match.region import link_region
from spinenet.match.view import SessionView
from spinenet.measure.attach import EXTRA_COLUMNS, attach_told
from spinenet.pipeline.stacks import RunLog
from spinenet.tables import SPINES
from spinenet.types import BoolArray, FloatArray, SpineTable, Tracks

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
    # the person could see, be the shaft ever so dim
    config = replace(config, min_snr=0.0, min_link_p=config.marked_link_p)
    linked = link_region(views, reference, config, NOTHING, head, pins)
    # nobody said how sure the person was
    tracks = linked.tracks.frame.assign(p_present=np.nan)
    return replace(linked, tracks=Tracks(tracks))


def with_marks(
    views: list[SessionView], marks: pd.DataFrame, traces: Traces | None, log: RunLog
) -> tuple[list[SessionView], dict[int, FloatArray]]:
    """The sessions of a region with marked spines in the place of detected ones.

    A dendrite of which a session has neither a mark nor a trace was not scored there; a session
    without any, or most of whose marks lie beside no dendrite, is not usable.

    Parameters
    ----------
    marks: `tables.POINTS`, `point` filled; of these animals and others
    traces: of which the marks' `dendrite_id` speaks; without traces it says nothing

    Returns
    -------
    The sessions, and by position the places (M, 3) of marks that the person was not sure of: they
    are no spines, and whether there is one nobody knows.
    """
    placed, unsure, looked = [], {}, []
    for t, view in enumerate(views):
        mine = marks[of_session(marks, view.session)]
        traced = traces.traced_in(view.session) if traces else set()
        if view.usable and mine.empty and not traced:
            log.warn(
                f"no spine of {_name(view)} is marked: it counts as not scored, and nothing as "
                "lost in it. If you looked and found none, trace the dendrites of that session in "
                "dendrites.csv; if you did not, leave it out of sessions.csv."
            )
            view = replace(view, usable=False)
        certain = sure(mine)
        unsure[t] = heads_of(mine[~certain])
        view, homes = _with_marks(view, mine, certain.to_numpy(bool), traces is not None, log)
        placed.append(view)
        looked.append(traced | homes)
    everywhere = set().union(*looked)
    return [
        _where_looked(view, here, everywhere, log)
        for view, here in zip(placed, looked, strict=True)
    ], unsure


def _name(view: SessionView) -> str:
    s = view.session
    return f"{s.animal}, {s.region}, session {s.index}"


def _where_looked(
    view: SessionView, looked: set[int], everywhere: set[int], log: RunLog
) -> SessionView:
    """The session, its other dendrites out of sight: nobody knows what is on them."""
    missed = sorted((everywhere - looked) & set(view.snr)) if view.usable else []
    if missed:
        log.warn(
            f"dendrite {', '.join(map(str, missed))} has neither a mark nor a trace in "
            f"{_name(view)}: it counts as not scored there, and nothing as lost on it. If you "
            "looked and found no spine, trace it there in dendrites.csv."
        )
    snr = {d: v if d in looked else np.full(len(v), np.nan) for d, v in view.snr.items()}
    return replace(view, snr=snr)


def _with_marks(
    view: SessionView, marks: pd.DataFrame, certain: BoolArray, dendrites_told: bool, log: RunLog
) -> tuple[SessionView, set[int]]:
    """The session with its (certain) marked spines, and the dendrites that have marks at all."""
    heads = heads_of(marks)
    told = told_dendrites(marks) if dendrites_told else np.full(len(marks), np.nan)
    home, near = attach_told(heads, told, view.dendrites, MARK_REACH_UM)
    if not view.usable:  # not scored, or another field: that was said already
        near[:] = False
    elif not near.all():
        few = 2 * near.sum() < len(near)
        log.warn(
            f"{int((~near).sum())} of {len(near)} marked spines of {_name(view)} lie beside no "
            "dendrite, or on one that is not traced, and were left out"
            + (": the session counts as not scored" if few else "")
            + ". Trace their dendrites in dendrites.csv, or check that their coordinates are um of "
            "this stack."
        )
        if few:
            near[:] = False
            view = replace(view, usable=False)
    spines = near & certain
    rows = view.measure(heads[spines], home[spines]) if spines.any() else []
    for i, row in enumerate(rows, start=1):
        row |= {"spine_id": i, "probability": 1.0, "source": PERSON, "label": 0, "instance": 0}
    frame = SPINES.frame(rows).reindex(columns=[*SPINES.names, *EXTRA_COLUMNS])
    return replace(view, spines=SpineTable(frame)), set(home[near].tolist())
