"""Who is whom over all sessions: the measures of trackers, and what wrong identities do to science.

Counted are the true spines that a person could score, what was found of them, and false alarms near
them. A detection in no track is a track of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from spinenet.evaluate.judge import KEYS, Judged
from spinenet.evaluate.spines import expected_calibration_error, ratio
from spinenet.types import BoolArray


def identity_figures(judged: Judged, contested: pd.DataFrame | None = None) -> dict[str, float]:
    """The measures, nan where nothing can be said; of tracks with a link that nobody believes any
    more (`tables.CONTESTED`) they say nothing.

    `MOTA` (Bernardin 2008): 1 less misses, alarms and switches per true spine. `AssA` (Luiten 2021,
    HOTA's association at one tolerance): over found spines, how far the whole true and the whole
    found track are the same. `complete_tracks`: share of the true tracks seen twice or more that
    are found everywhere under one number. `switches_per_100_links`: changes of number from one
    sighting of a true spine to the next. `turnover_bias_points`: turnover of what was found less
    that of the truth, over adjacent sessions.
    """
    truth, doubted = judged.truth, np.zeros(len(judged.truth), bool)
    for line, of_field in _lines(contested, truth):
        doubted |= of_field & (truth["track_id"] == line["track_id"]).fillna(False).to_numpy(bool)
    judged = replace(judged, truth=truth.assign(counts=truth["counts"] & ~doubted))
    true, found = _true(judged), _found(judged)
    sightings = true[true["found"] >= 0]
    pairs = Counter(zip(sightings["who"], sightings["number"], strict=True))
    of_true, of_found = Counter(true["who"]), Counter(found["number"])
    shares = [n * n / (of_true[who] + of_found[number] - n) for (who, number), n in pairs.items()]
    links = switches = whole = complete = 0
    for _, life in true.sort_values("session").groupby("who"):
        seen = life.loc[life["found"] >= 0, "number"].tolist()
        links += max(len(seen) - 1, 0)
        switches += sum(a != b for a, b in pairwise(seen))
        if len(life) > 1:
            whole += 1
            complete += len(seen) == len(life) and len(set(seen)) == 1
    misses, alarms = len(true) - len(sightings), int(found["alarm"].sum())
    return {
        "MOTA": 1 - ratio(misses + alarms + switches, len(true)),
        "AssA": ratio(sum(shares), len(sightings)),
        "complete_tracks": ratio(complete, whole),
        "switches_per_100_links": 100 * ratio(switches, links),
        "turnover_bias_points": 100 * _turnover_bias(judged),
    }


def link_calibration(
    judged: Judged, links: pd.DataFrame, contested: pd.DataFrame | None = None
) -> tuple[dict[str, float], int]:
    """How far `p` of links (`tables.LINKS`) is from how often they are right (`ECE`), and the error
    among the surest; and of how many: of pairs whose two ends were both paired with a true spine
    that counts or are alarms, and of which neither has a contested link between these sessions."""
    found = judged.detections
    fair = judged.truth["track_id"].where(judged.truth["counts"])
    names = fair.astype("float").to_numpy()
    true = found["true"].to_numpy(int)
    named = np.where(true >= 0, names[true], np.nan) if len(names) else np.full(len(true), np.nan)
    judgeable = np.isfinite(named) | found["alarm"].to_numpy(bool)
    key = ["animal", "region", "session", "spine_id"]
    known = found[key].assign(who=named)[judgeable]
    both = links.merge(
        known.rename(columns={"session": "session_from", "spine_id": "spine_from"}),
        on=["animal", "region", "session_from", "spine_from"],
    ).merge(
        known.rename(columns={"session": "session_to", "spine_id": "spine_to"}),
        on=["animal", "region", "session_to", "spine_to"],
    )
    # two alarms may be one thing that is no spine: nothing says whether the link is right
    both = both[both["who_x"].notna() | both["who_y"].notna()]
    doubted = np.zeros(len(both), bool)
    for line, of_field in _lines(contested, both):
        ends = both[["session_from", "session_to"]] == [line["session"], line["session_to"]]
        whose = (both[["who_x", "who_y"]] == line["track_id"]).any(axis=1)
        doubted |= of_field & (ends.all(axis=1) & whose).to_numpy(bool)
    both = both[~doubted]
    p, right = both["p"].to_numpy(float), (both["who_x"] == both["who_y"]).to_numpy(bool)
    sure = p >= SURE_P
    return {
        "link_ECE": expected_calibration_error(p, right),
        "link_error_at_p_0.99": ratio(int((~right[sure]).sum()), int(sure.sum())),
        "links_at_p_0.99": float(sure.sum()),
    }, len(both)


SURE_P = 0.99


def _lines(
    contested: pd.DataFrame | None, rows: pd.DataFrame
) -> Iterator[tuple[dict[str, Any], BoolArray]]:
    """Lines of `tables.CONTESTED`, and which rows are of the field that each is about."""
    for line in [] if contested is None else contested.to_dict("records"):
        of_field = np.ones(len(rows), bool)
        for name in ("animal", "region"):
            of_field &= (rows[name] == line[name]).to_numpy(bool) | (not line[name])
        yield line, of_field


def _true(judged: Judged) -> pd.DataFrame:
    """Fair true spines with an identity: field, session, who, and number of what was found."""
    truth = judged.truth
    fair = truth[truth["counts"] & truth["track_id"].notna()]
    numbers = _numbers(judged.detections)
    found = fair["found"].to_numpy(int)
    field = fair["animal"] + "|" + fair["region"]
    return pd.DataFrame(
        {
            "field": field,
            "session": fair["session"],
            "who": field + "|" + fair["track_id"].astype(str),
            "found": found,
            "number": [numbers[k] if k >= 0 else "" for k in found],
        }
    )


def _found(judged: Judged) -> pd.DataFrame:
    """What was found of them, and alarms."""
    d = judged.detections
    truth = judged.truth
    counts = (truth["counts"] & truth["track_id"].notna()).to_numpy(bool)
    true = d["true"].to_numpy(int)
    fair = np.array([k >= 0 and bool(counts[k]) for k in true], bool)
    keep = fair | d["alarm"].to_numpy(bool)
    frame = pd.DataFrame(
        {
            "field": d["animal"] + "|" + d["region"],
            "session": d["session"],
            "number": _numbers(d),
            "alarm": d["alarm"],
        }
    )
    return frame[keep]


def _numbers(detections: pd.DataFrame) -> list[str]:
    field = detections["animal"] + "|" + detections["region"]
    return [
        f"{f}|{k}" if pd.notna(k) else f"alone {n}"
        for n, (f, k) in enumerate(zip(field, detections["track_id"], strict=True))
    ]


def _turnover_bias(judged: Judged) -> float:
    """Turnover of what was found less that of the truth: gained and lost over the sum of both
    sessions' spines, adjacent sessions pooled. A spine that does not count in one of the two says
    nothing of turnover, nor does what was found of it; a session in which something was marked or
    found is one, be it without spines that count."""
    field = ["animal", "region"]
    truth, found = judged.truth, judged.detections
    named = truth["track_id"].notna()
    truth = truth.assign(who=truth["track_id"], fair=truth["counts"] & named)
    found = found.assign(who=_numbers(found))
    tally = np.zeros((2, 2), int)
    everything = pd.concat([truth[KEYS], found[KEYS]]).drop_duplicates().sort_values(KEYS)
    for name, sessions in everything.groupby(field)["session"]:
        mine, theirs = (f[(f[field] == list(name)).all(axis=1)] for f in (truth, found))
        for pair in pairwise(sessions):
            true, seen = (f[f["session"].isin(pair)] for f in (mine, theirs))
            true = true[true["fair"] & ~true["who"].isin(true.loc[~true["fair"], "who"].dropna())]
            unfair = (seen["true"] >= 0) & ~seen["true"].isin(true.index)
            seen = seen[
                (seen["alarm"] | (seen["true"] >= 0)) & ~seen["who"].isin(seen.loc[unfair, "who"])
            ]
            tally += [_changed(frame, pair) for frame in (true, seen)]
    (true_changed, true_seen), (found_changed, found_seen) = tally.tolist()
    return ratio(found_changed, found_seen) - ratio(true_changed, true_seen)


def _changed(spines: pd.DataFrame, pair: tuple[int, int]) -> tuple[int, int]:
    """How many were gained or lost between two sessions, and the sum of both sessions' spines."""
    early, late = (set(spines.loc[spines["session"] == s, "who"]) for s in pair)
    return len(early ^ late), len(early) + len(late)
