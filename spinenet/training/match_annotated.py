"""A lab's own spines with identities (`track`), for the matching head to learn from."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from spinenet.config import MeasureConfig
from spinenet.evaluate.judge import MARK_REACH_UM, pair_marks, sure
from spinenet.io.annotated import AnnotatedStack, heads_of, told_dendrites
from spinenet.io.read import read_volume
from spinenet.io.weights import SegmentWeights
from spinenet.match.tokens import BESIDE_UM
from spinenet.match.warp import fit_warp, unwarped
from spinenet.measure.attach import attach_told, measure_spines, spine_rows
from spinenet.measure.quality import Backdrop, backdrop_of
from spinenet.segment.label import label
from spinenet.segment.predict import predict
from spinenet.tables import SPINES
from spinenet.training.held_out import check_held_out, check_hidden
from spinenet.training.sightings import NOBODY, UNNAMED, Family, Sighting, sight
from spinenet.types import (
    BoolArray,
    Dendrites,
    FloatArray,
    InputError,
    IntArray,
    Segment,
    Volume,
)

TILE_MVOX = 5.0
LARGEST_MISFIT_UM = 1.0
"""Median distance along the dendrite at which linked spines still lie over each other."""
FEWEST_SHARED = 3
"""With fewer spines in common two sessions' arc lengths cannot be laid over each other."""


def read_families(
    stacks: Sequence[AnnotatedStack], hold_out: tuple[int, ...], weights: SegmentWeights
) -> list[Family]:
    """The traced dendrites of an annotated folder, those in `hold_out` left aside, each twice: with
    the spines where the segmentation net finds them, and where the person marked them.

    Arc lengths, each counted from where its own trace begins, are laid over each other by the
    spines that the person linked.

    Raises
    ------
    InputError
        If no dendrite has spines with tracks in two sessions, an unknown one is held out, or one
        that a session does not trace.
    """
    check_held_out(stacks, hold_out)
    for stack in stacks:
        check_hidden(stack, stacks, hold_out)
    seen: dict[Who, dict[int, Sighting]] = {}
    for stack in stacks:
        volume, session = read_volume(stack.file), stack.file.session
        back = backdrop_of(volume)
        lines = tuple(line for line in stack.dendrites if line.id not in hold_out)
        marks = stack.spines[sure(stack.spines)]
        for how, (spines, track) in (
            ("found", _found(volume, back, stack.dendrites, stack.spines, weights)),
            ("marked", _marked(volume, back, stack.dendrites, marks)),
        ):
            track[np.isin(track, list(stack.contested))] = UNNAMED
            home = spines["dendrite_id"].to_numpy(int)
            for line in lines:
                mine = home == line.id
                key = (how, session.animal, session.region, str(line.id))
                sighting = sight(volume, line, spines[mine], track[mine], back.background)
                seen.setdefault(key, {})[session.index] = sighting
    families = [family for who, f in seen.items() if len(family := _one_frame(who, f)) > 1]
    if not families:
        raise InputError(
            "the matching head learns from dendrites traced in several sessions that share at "
            f"least {FEWEST_SHARED} spines of the same track, which then lie within "
            f"{LARGEST_MISFIT_UM:g} um of each other; none was found. Fill the column track of "
            "spines.csv, or hold out fewer dendrites."
        )
    return families


logger = logging.getLogger(__name__)
Who = tuple[str, str, str, str]
"""Whether spines are found or marked, their animal, region and dendrite."""
Named = tuple[pd.DataFrame, IntArray]
"""Measured spines, and the track of each."""


def _marked(
    volume: Volume, back: Backdrop, lines: tuple[Segment, ...], marks: pd.DataFrame
) -> Named:
    """The marked spines of a stack, each on its dendrite."""
    heads = heads_of(marks)
    home, near = attach_told(heads, told_dendrites(marks), Dendrites(lines), MARK_REACH_UM)
    sure_of = np.ones(len(heads))
    return _measured(volume, back, heads, lines, (home, near), sure_of), _named(marks)[near]


def _found(
    volume: Volume,
    back: Backdrop,
    lines: tuple[Segment, ...],
    marks: pd.DataFrame,
    weights: SegmentWeights,
) -> Named:
    """The spines that the net finds in a stack, each on the dendrite of the mark that it is, or the
    nearest."""
    prediction = predict(volume, weights.net, tile_mvox=TILE_MVOX, device=torch.device("cpu"))
    found = label(prediction, **weights.thresholds)
    spines = measure_spines(volume, found, Dendrites(lines), MeasureConfig(), back)
    heads, probability = spines.centres_um, spines.frame["probability"].to_numpy(float)
    track = np.full(len(heads), NOBODY)
    i, j = pair_marks(heads, marks)
    track[i] = _named(marks)[j]
    told = np.full(len(heads), np.nan)
    told[i] = told_dendrites(marks)[j]
    home, near = attach_told(heads, told, Dendrites(lines), MARK_REACH_UM)
    return _measured(volume, back, heads, lines, (home, near), probability), track[near]


def _measured(
    volume: Volume,
    back: Backdrop,
    heads: FloatArray,
    lines: tuple[Segment, ...],
    attached: tuple[IntArray, BoolArray],
    probability: FloatArray,
) -> pd.DataFrame:
    """Of heads (K, 3), `attached` to a dendrite each (K,), those that are near it (K,)."""
    home, near = attached
    on = Dendrites(lines)
    rows = spine_rows(volume, heads, heads[near], on, home[near], MeasureConfig(), back)
    told = zip(rows, probability[near].tolist(), strict=True)
    return SPINES.frame([row | {"spine_id": 0, "probability": p, "label": 0} for row, p in told])


def _named(marks: pd.DataFrame) -> IntArray:
    """The track of every mark, where a person was sure of it."""
    named = marks["track_id"].where(sure(marks)).fillna(UNNAMED)
    return named.to_numpy(np.int64)


def _one_frame(who: Who, sightings: dict[int, Sighting]) -> Family:
    """Sessions (by their number) onto the one with most named spines; those that share too few with
    it, or do not lie over it, are left out."""
    if len(sightings) < 2:
        return []
    reference = max(sightings.values(), key=lambda s: int((s.track >= 0).sum()))
    family = []
    for session, s in sightings.items():
        shared = np.intersect1d(s.track[s.track >= 0], reference.track)
        if len(shared) < FEWEST_SHARED:
            _warn_of_session(who, session, f"shares {len(shared)} tracks with the others")
            continue
        at, there = (
            np.array([int(np.flatnonzero(x.track == k)[0]) for k in shared]) for x in (s, reference)
        )
        other = reference.frame_um[there]
        if np.polyfit(s.frame_um[at, 0], other[:, 0], 1)[0] < 0:  # traced from the other end
            s = replace(
                s, frame_um=s.frame_um * [-1, -1, 1], portraits=np.flip(s.portraits, (2, 3))
            )
        start = np.array([np.median(other[:, 0] - s.frame_um[at, 0]), 0, 0])
        own = s.frame_um[at] + start
        warp = fit_warp(own, other, unwarped(float(own[:, 0].max())))
        placed = warp.place(s.frame_um + start)
        left = np.median(np.abs(placed[at] - other), axis=0)
        if left[0] <= LARGEST_MISFIT_UM:
            about = s.about.copy()
            about[:, :2] = placed[:, 1:] / BESIDE_UM
            family.append(replace(s, frame_um=placed, about=about))
        else:
            _warn_of_session(who, session, f"lies {left[0]:.1f} um aside by its tracks")
    return family


def _warn_of_session(who: Who, session: int, why: str) -> None:
    how, animal, region, dendrite = who
    if how == "marked":  # of what the net finds there may be little, and that is no fault
        logger.warning(
            "%s, %s, dendrite %s: session %d %s and is left out. Identities that were exchanged, "
            "or not given (track), are the usual causes.",
            animal,
            region,
            dendrite,
            session,
            why,
        )
