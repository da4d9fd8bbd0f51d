"""Planted dendrites ready to be linked in every way, and how well they were."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from linkers import Spines

from spinenet.config import MatchConfig
from spinenet.geometry import affine_apply
from spinenet.match.assign import Pair
from spinenet.match.head import PlacesAlone
from spinenet.match.region import lay
from spinenet.match.tokens import Tokens
from spinenet.match.view import frames_of
from spinenet.segment.label import PEAK_GAP_UM
from spinenet.training.planted import PlantedRegion
from spinenet.training.sightings import NOBODY
from spinenet.types import BoolArray, FloatArray, IntArray

SIZES = ("length_um", "head_width_um", "head_volume_um3", "strength")
CONTESTED_UM = 1.5


@dataclass(frozen=True)
class SizedTokens(Tokens):
    """The same, and logarithms of the spines' sizes (K, 4) in units of 0.5 to 1."""

    sizes: FloatArray


def sized(tokens: Tokens, spines: pd.DataFrame) -> SizedTokens:
    least, spread = np.array([0.1, 0.05, 0.005, 0.01]), np.array([0.5, 0.4, 1.0, 1.0])
    value = np.log(np.maximum(spines[list(SIZES)].to_numpy(float), 0) + least) / spread
    filled = np.where(np.isfinite(value), value, np.nanmedian(value, axis=0))
    return SizedTokens(tokens.places, tokens.about, tokens.portraits, filled)


@dataclass(frozen=True)
class Case:
    """A dendrite over its sessions, ready to be linked in every way: spines by registration, tokens
    after the warp, the judge that linking by places learns, the true track of each spine; and
    tokens and judge as they would be if the truth were told to warps and scatter, though not to
    linking."""

    by_registration: dict[str, list[Spines]]
    tokens: list[SizedTokens]
    places: PlacesAlone
    truth: list[IntArray]
    told_tokens: list[SizedTokens]
    told_places: PlacesAlone


def case_of(region: PlantedRegion) -> Case:
    config = MatchConfig()
    views = region.views
    frames = [frames_of(v) for v in views]
    laid = lay(views, frames, region.reference, config, True)
    told = lay(views, frames, region.reference, config, True, true_pairs(region.tracks))
    tokens, told_tokens = (
        [sized(t, v.spines.frame) for t, v in zip(of.tokens, views, strict=True)]
        for of in (laid, told)
    )
    sessions: dict[str, list[Spines]] = {"none": [], "rigid": [], "rigid + warp": []}
    for t, (view, frame, token) in enumerate(zip(views, frames, tokens, strict=True)):
        table = view.spines.frame
        dendrite = table["dendrite_id"].to_numpy(int)
        width = table["head_width_um"].fillna(0.5).to_numpy(float)
        side = np.where(frame[:, 1] >= 0, 1, -1)
        along = np.array(
            [laid.warps[t, d](frame[k : k + 1, 0])[0] for k, d in enumerate(dendrite.tolist())]
        )
        raw = view.spines.centres_um
        # before the warp an arc length is that of the map where the rigid registration puts it
        for name, points, arc in (
            ("none", raw, frame[:, 0]),
            ("rigid", affine_apply(region.affines[t], raw), frame[:, 0]),
            ("rigid + warp", token.places.points_um, along),
        ):
            sessions[name].append(Spines(points, arc, side, dendrite, width))
    return Case(sessions, tokens, laid.by_places, region.tracks, told_tokens, told.by_places)


def true_pairs(truth: list[IntArray]) -> list[Pair]:
    """Sightings of one spine one after the other, counted through all sessions."""
    every = np.concatenate(truth)
    seen = [np.flatnonzero(every == who).tolist() for who in np.unique(every[every != NOBODY])]
    return [pair for of in seen for pair in pairwise(of)]


@dataclass(frozen=True)
class Score:
    """Counts of one dendrite. Links are between adjacent sessions; contested ones have another
    candidate within 1.5 um; those told apart join spines with no other of their session so near
    that the shipped detector would see one (`PEAK_GAP_UM`)."""

    right: int
    wrong: int
    missed: int
    contested_right: int
    contested_wrong: int
    contested_missed: int
    apart_right: int
    apart_wrong: int
    apart_missed: int
    whole_tracks: int
    complete: int
    switches: int
    spines: int
    new: int
    lost: int
    true_new: int
    true_lost: int
    intervals: int


def score(case: Case, tracks: list[IntArray]) -> Score:
    count = dict.fromkeys(Score.__annotations__, 0)
    for t, u in pairwise(range(len(tracks))):
        a, b = case.truth[t], case.truth[u]
        contested = _contested(case, t, u)
        crowded_a, crowded_b = _crowded(case, t), _crowded(case, u)
        for i, who in enumerate(a):
            linked = np.flatnonzero(tracks[u] == tracks[t][i])
            partner = np.flatnonzero(b == who) if who != NOBODY else np.zeros(0, int)
            right = bool(len(linked) and len(partner) and linked[0] == partner[0])
            # two inventions at one place may be anything
            wrong = bool(len(linked)) and not right and max(who, b[linked[0]]) != NOBODY
            missed = bool(len(partner)) and not right
            for name, value in (("right", right), ("wrong", wrong), ("missed", missed)):
                count[name] += value
                count[f"contested_{name}"] += value and contested[i]
                crowded = crowded_a[i] or crowded_b[[*linked[:1], *partner]].any()
                count[f"apart_{name}"] += value and not crowded
            count["switches"] += wrong
            if who != NOBODY:
                count["spines"] += 1
                count["true_lost"] += not len(partner)
                count["lost"] += not len(linked)
        for j, who in enumerate(b):
            if who != NOBODY:
                count["true_new"] += who not in a
                count["new"] += tracks[u][j] not in tracks[t]
        count["intervals"] += 1
    for who in np.unique(np.concatenate(case.truth)):
        seen = [np.flatnonzero(of == who) for of in case.truth]
        if who != NOBODY and all(len(k) for k in seen):
            numbers = {int(track[k[0]]) for track, k in zip(tracks, seen, strict=True)}
            count["whole_tracks"] += 1
            count["complete"] += len(numbers) == 1
    return Score(**count)


def _contested(case: Case, t: int, u: int) -> FloatArray:
    """(K,) has a spine a second candidate within 1.5 um in the next session?"""
    here = case.tokens[t].places.points_um[:, None]
    far = np.linalg.norm((case.tokens[u].places.points_um - here) * [0.4, 1, 1], axis=-1)
    return (far < CONTESTED_UM).sum(axis=1) > 1


def _crowded(case: Case, t: int) -> BoolArray:
    """(K,) has a spine another one of its session that a detector would not tell from it?"""
    here = case.tokens[t].places.points_um
    near = np.linalg.norm((here[:, None] - here) / PEAK_GAP_UM, axis=-1) <= 1
    out: BoolArray = near.sum(axis=1) > 1
    return out


def ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def f1(scores: list[Score], kind: str = "") -> float:
    right, wrong, missed = (
        sum(getattr(s, kind + name) for s in scores) for name in ("right", "wrong", "missed")
    )
    return ratio(2 * right, 2 * right + wrong + missed)


def figures(scores: list[Score]) -> dict[str, float]:
    def total(name: str) -> int:
        return sum(getattr(s, name) for s in scores)

    links = total("right") + total("missed")
    n = total("spines")
    return {
        "F1": f1(scores),
        "contested": f1(scores, "contested_"),
        "told apart": f1(scores, "apart_"),
        "complete": ratio(total("complete"), total("whole_tracks")),
        # detections are given: what counts against a tracker are links that join two spines
        "MOTA of links": 1 - ratio(total("switches") + total("missed"), links),
        "false new or lost, %": 100 * ratio(total("missed"), links),
        "turnover bias, points": 50
        * ratio(total("new") + total("lost") - total("true_new") - total("true_lost"), n),
    }
