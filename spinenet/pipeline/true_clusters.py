"""Are clusters invented or erased? What was reported of them, beside the true tracks."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd

from spinenet.analyze.nulls import candidates, clustered
from spinenet.analyze.states import histories
from spinenet.config import AnalyzeConfig
from spinenet.evaluate.judge import KEYS, Judged
from spinenet.io.annotated import Truth
from spinenet.io.points import is_results_table
from spinenet.io.table import read_table
from spinenet.tables import TRACKS
from spinenet.types import Presence, Tracks

logger = logging.getLogger(__name__)
RULE = "contiguous"


def cluster_figures(truth: Truth, results: Path, judged: Judged) -> dict[str, float]:
    """Clustered share of the new spines in the sessions of both, true and reported; nothing where
    either folder has no tracks, or those of the truth are not its spines'."""
    files = [folder / TRACKS.file for folder in (truth.folder, results)]
    if not all(f.is_file() for f in files):
        return {}
    true, reported = (read_table(f, TRACKS) for f in files)
    if not _names_agree(truth, true):
        return {}
    both = true[KEYS].drop_duplicates().merge(reported[KEYS].drop_duplicates(), on=KEYS)
    fair = fair_tracks(true.merge(both, on=KEYS), judged.truth)
    return clustered_shares(fair, judged_tracks(reported.merge(both, on=KEYS), judged, fair))


def fair_tracks(tracks: pd.DataFrame, spines: pd.DataFrame) -> Tracks:
    """Those of the true tracks (`tables.TRACKS`) that a person could score in at least half of the
    sessions in which they were there: clusters of others nobody could count.

    Parameters
    ----------
    spines: the true ones, with their `track_id` and whether they can be scored as `counts`
    """
    keys = ["animal", "region", "track_id"]
    named = spines.dropna(subset=["track_id"]).astype({"track_id": "int64"})
    share = named.groupby(keys)["counts"].mean()
    good = pd.MultiIndex.from_frame(tracks[keys]).isin(share[share >= 0.5].index)
    return Tracks(tracks[good].reset_index(drop=True))


def judged_tracks(tracks: pd.DataFrame, judged: Judged, fair: Tracks) -> Tracks:
    """Those of the reported tracks that were once seen on one of the `fair` true ones, or as a
    false alarm: what else is right, nobody could score either."""
    keys = ["animal", "region", "track_id"]
    d = judged.detections.dropna(subset=["track_id"]).astype({"track_id": "int64"})
    partner = judged.truth[keys].reindex(d["true"])  # -1 has none
    on_fair = pd.MultiIndex.from_frame(partner).isin(pd.MultiIndex.from_frame(fair.frame[keys]))
    known = pd.MultiIndex.from_frame(d.loc[d["alarm"] | on_fair, keys])
    good = pd.MultiIndex.from_frame(tracks[keys]).isin(known)
    return Tracks(tracks[good].reset_index(drop=True))


def clustered_shares(true: Tracks, found: Tracks) -> dict[str, float]:
    """Clustered share (contiguous) of all new spines."""
    config = AnalyzeConfig()
    shares = []
    for tracks in (true, found):
        hs = histories(tracks, config.max_gap) if len(tracks.frame) else []
        new = sum(int((h.is_new(None) & candidates(h, RULE, config)).sum()) for h in hs)
        hits = sum(clustered(h, config)[RULE] for h in hs)
        shares.append(hits / new if new else float("nan"))
    return {
        "clustered_fraction_true": shares[0],
        "clustered_fraction_found": shares[1],
        "clustered_inflation_points": 100 * (shares[1] - shares[0]),
    }


def _names_agree(truth: Truth, tracks: pd.DataFrame) -> bool:
    """A person who corrects a copy of results mends spines.csv; its tracks.csv is the machine's."""
    if not is_results_table(truth.spines):
        return True
    named = truth.spines.dropna(subset=["track_id"])
    seen = tracks[tracks["presence"] == Presence.PRESENT].merge(truth.sessions[KEYS], on=KEYS)
    keys = [*KEYS, "track_id"]
    mine, theirs = (
        {tuple(map(str, row)) for row in f[keys].itertuples(index=False)} for f in (named, seen)
    )
    if mine != theirs:
        logger.warning(
            "%s: its spines.csv and its tracks.csv tell of different tracks, as of a copy in which "
            "the first was corrected: clusters are not compared.",
            truth.folder,
        )
    return mine == theirs
