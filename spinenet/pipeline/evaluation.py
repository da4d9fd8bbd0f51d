"""A results folder against a person's (or the simulator's) annotations: every figure, one table."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from spinenet.analyze.nulls import candidates, clustered
from spinenet.analyze.states import histories
from spinenet.config import AnalyzeConfig
from spinenet.evaluate.identity import identity_figures, link_calibration
from spinenet.evaluate.judge import KEYS, XYZ, Judged, judge, sure
from spinenet.evaluate.masks import IGNORE, MaskCounts, count_masks
from spinenet.evaluate.spines import detection_table
from spinenet.evaluate.tracks import (
    UNLINKED,
    by_gap,
    by_size_change,
    count,
    error_runs,
    link_table,
)
from spinenet.geometry import label_middles, label_sizes, nearest_voxels
from spinenet.io.annotated import (
    Truth,
    heads_of,
    of_session,
    read_truth,
    traced_in,
)
from spinenet.io.finished import check_finished
from spinenet.io.labels import check_singles, known_labels, label_voxel_um, read_labels
from spinenet.io.table import read_table
from spinenet.match.pins import PERSON
from spinenet.tables import COVERAGE, LINKS, POINTS, SPINES, TRACKS
from spinenet.types import InputError, Session, Tracks, Um3

logger = logging.getLogger(__name__)
RULE = "contiguous"


def evaluate(
    truth_folder: Path, results: Path, point: str = "", dendrites: Collection[int] = ()
) -> pd.DataFrame:
    """Columns figure, stratum, value, low, high (95 %), n.

    Parameters
    ----------
    truth_folder: annotated folder (`io.annotated`); its stacks need not be there
    results: results folder of `spinenet infer`
    point: what the truth's places are, `tip` or `head`, where its table does not say
    dendrites: count only these annotated dendrites

    Raises
    ------
    InputError
        If a table is missing or damaged, the folders have no session in common, or a dendrite is
        not annotated.
    """
    check_finished(results)
    found = read_table(results / SPINES.file, SPINES)
    truth = read_truth(truth_folder, point, found)
    _warn_of_missing(truth, found, results)
    masks = _masks(truth, results)
    marks = truth.spines.copy()
    for mask in masks:
        marks.loc[mask.painted_over, "scorable"] = "0"
    truth = replace(truth, spines=pd.concat([marks, *(m.heads for m in masks)]))
    _check_names(truth, found, results, dendrites)
    for mask in masks:
        found = found[~mask.unknown(found)]
    # heads alone, without traces, are taken to be all of the field
    everywhere = truth.traces is None and (truth.spines["point"] == "head").all()
    sessions = _sessions(truth)
    whole = [everywhere or (truth.labels_of(s) is not None and not truth.partly) for s in sessions]
    looked = [
        bool(
            of_session(truth.spines, s).any()
            or traced_in(truth.traces, s)
            or truth.labels_of(s) is not None
        )
        for s in sessions
    ]
    annotated = truth.sessions[KEYS].assign(whole=whole)[looked]
    if not all(looked):
        logger.warning(
            "%d of %d sessions have neither a mark, a trace nor a label image (the first is %s): "
            "nobody is taken to have looked there, and nothing of them is counted.",
            len(looked) - sum(looked),
            len(looked),
            _named(truth.sessions[~np.array(looked)]),
        )
    judged = judge(truth.spines, found.reset_index(drop=True), truth.nodes, annotated, dendrites)
    tables = [detection_table(judged, _snr(results))]
    rows = _link_rows(link_table(judged, truth.contested))
    figures = identity_figures(judged, truth.contested)
    if (results / LINKS.file).is_file():
        links = read_table(results / LINKS.file, LINKS)
        figures |= link_calibration(judged, links, truth.contested)
    files = [folder / TRACKS.file for folder in (truth.folder, results)]
    if all(f.is_file() for f in files) and not dendrites:
        true, reported = (read_table(f, TRACKS) for f in files)
        both = true[KEYS].drop_duplicates().merge(reported[KEYS].drop_duplicates(), on=KEYS)
        tracks = fair_tracks(true.merge(both, on=KEYS), judged.truth)
        seen = judged_tracks(reported.merge(both, on=KEYS), judged)
        figures |= cluster_figures(tracks, seen)
    n = int((judged.truth["counts"] & judged.truth["track_id"].notna()).sum())
    rows += [{"figure": k, "stratum": "all", "value": v, "n": n} for k, v in figures.items()]
    by_hand = len(found) > 0 and bool((found["source"] == PERSON).all())
    if masks and not by_hand:  # spines that a person marked have no masks to compare
        total = sum((m.counts for m in masks), MaskCounts())
        n = total.matched + total.missed
        rows += [
            {"figure": name, "stratum": "all", "value": value, "n": n}
            for name, value in total.figures().items()
        ]
    return pd.concat([*tables, pd.DataFrame(rows)], ignore_index=True)


def _link_rows(table: pd.DataFrame) -> list[dict[str, object]]:
    """Figures of links: adjacent sessions and all pairs, by gap, by growth, and runs of errors."""
    adjacent = table[table["adjacent"]]
    rows: list[dict[str, object]] = []
    for name, links in (("adjacent links", count(adjacent)), ("all links", count(table))):
        for of, values in (
            ("both detected", links.given_both()),
            ("end to end", links.end_to_end()),
        ):
            rows += [
                {"figure": f"{name} {figure}", "stratum": of, "value": value, "n": links.true}
                for figure, value in values.items()
            ]
    for stratum, links in by_gap(table).items():
        rows += [
            {"figure": f"links {figure}", "stratum": stratum, "value": value, "n": links.true}
            for figure, value in links.given_both().items()
        ]
    for stratum, links in by_size_change(table).items():
        recall = links.given_both()["recall"]
        rows.append(
            {"figure": "links recall", "stratum": stratum, "value": recall, "n": links.true}
        )
    n = int((adjacent["link"] == UNLINKED).sum())
    runs = error_runs(table).items()
    return rows + [{"figure": k, "stratum": "adjacent", "value": v, "n": n} for k, v in runs]


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


def judged_tracks(tracks: pd.DataFrame, judged: Judged) -> Tracks:
    """Those of the reported tracks that were once seen where a person looked, right or wrong."""
    keys = ["animal", "region", "track_id"]
    d = judged.detections
    known = d[((d["true"] >= 0) | d["alarm"]) & d["track_id"].notna()].astype({"track_id": "int64"})
    good = pd.MultiIndex.from_frame(tracks[keys]).isin(pd.MultiIndex.from_frame(known[keys]))
    return Tracks(tracks[good].reset_index(drop=True))


def cluster_figures(true: Tracks, found: Tracks) -> dict[str, float]:
    """Are clusters invented or erased? Clustered share (contiguous) of all new spines."""
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


def _check_names(
    truth: Truth, found: pd.DataFrame, results: Path, dendrites: Collection[int]
) -> None:
    if truth.spines.empty:
        raise InputError(
            f"{truth.folder} has no spines: neither in spines.csv nor in label images of the "
            f"sessions of {results}. Check that both are of the same stacks."
        )
    if truth.traces is None and (truth.spines["point"] == "tip").any():
        raise InputError(
            f"{truth.folder} has tips but no dendrites.csv: nothing says where nothing was found, "
            "so false alarms cannot be counted. Add the traced dendrites along which it was looked."
        )
    if not found.empty and found.merge(truth.sessions[KEYS], on=KEYS).empty:
        raise InputError(
            f"{results} and {truth.folder} have no session in common: the results are of "
            f"{_named(found)}, the annotation is of {_named(truth.sessions)}. Use the same names "
            "for animal, region and session in both."
        )
    known = set(truth.spines["dendrite_id"].dropna()) | set(truth.nodes["dendrite_id"])
    strange = sorted(set(dendrites) - known)
    if strange:
        raise InputError(
            f"dendrite {strange[0]} is not annotated in {truth.folder}; there are "
            f"{', '.join(str(d) for d in sorted(known))}."
        )


def _warn_of_missing(truth: Truth, found: pd.DataFrame, results: Path) -> None:
    """Annotated sessions that the results lack count as missed: say so."""
    known = [found[KEYS]]
    if (results / COVERAGE.file).is_file():
        known.append(read_table(results / COVERAGE.file, COVERAGE)[KEYS])
    here = pd.MultiIndex.from_frame(pd.concat(known))
    lost = truth.sessions[~pd.MultiIndex.from_frame(truth.sessions[KEYS]).isin(here)]
    if len(lost) and len(lost) < len(truth.sessions):
        logger.warning(
            "%d of %d annotated sessions are not in %s (the first is %s): their spines count as "
            "missed. Sessions numbered from 1 in one table and from 0 in the other are the usual "
            "cause.",
            len(lost),
            len(truth.sessions),
            results,
            _named(lost),
        )


def _named(frame: pd.DataFrame) -> str:
    first = frame.iloc[0]
    return f"animal {first['animal']!r}, region {first['region']!r}, session {first['session']}"


def _sessions(truth: Truth) -> list[Session]:
    rows = truth.sessions[KEYS].itertuples(index=False)
    return [Session(animal, region, int(session)) for animal, region, session in rows]


def _snr(results: Path) -> pd.DataFrame:
    """Each session's SNR: the median of its dendrites."""
    if not (results / COVERAGE.file).is_file():
        return COVERAGE.frame()
    coverage = read_table(results / COVERAGE.file, COVERAGE)
    return coverage.groupby(KEYS, as_index=False)["snr"].median()


@dataclass(frozen=True)
class _Mask:
    """A session's label images: compared, and what the true one says of places."""

    session: Session
    counts: MaskCounts
    heads: pd.DataFrame
    """`tables.POINTS`: the middles of true labels that spines.csv does not name."""
    painted_over: pd.Index
    """Rows of spines.csv whose label is not in the image: they count neither way."""
    ignored: npt.NDArray[np.bool_]
    voxel_um: Um3

    def unknown(self, spines: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Which detections lie where nobody looked."""
        mine = of_session(spines, self.session).to_numpy(bool)
        at = nearest_voxels(spines[XYZ].to_numpy(float), self.voxel_um, self.ignored.shape)
        out: npt.NDArray[np.bool_] = mine & self.ignored[tuple(at.T)]
        return out


def _masks(truth: Truth, results: Path) -> list[_Mask]:
    """The sessions of which both folders hold label images."""
    out = []
    for session in _sessions(truth):
        true_file = truth.labels_of(session)
        file = results / "labels" / f"{session.name}.ome.tif"
        if true_file is None or not file.is_file():
            continue
        seen = read_labels(file, None, session.name)
        true = read_labels(true_file, seen.shape, session.name)
        voxel = label_voxel_um(file)
        check_singles(true, voxel, true_file.name)
        if truth.partly:
            true = known_labels(true, voxel, traced_in(truth.traces, session))
        here = truth.spines[of_session(truth.spines, session)]
        number = _labels_of(here, true, voxel)
        hidden = number[~sure(here)].to_numpy(np.int64)
        counts = count_masks(true, seen, hidden[hidden > 1])
        drawn = np.flatnonzero(label_sizes(true)).tolist()
        unnamed = sorted({*drawn} - {*number})
        heads = _heads(true, unnamed, session, voxel)
        gone = here.index[(number > 1) & ~number.isin(drawn)]
        out.append(_Mask(session, counts, heads, gone, true == IGNORE, voxel))
    return out


def _labels_of(marks: pd.DataFrame, labels: npt.NDArray[np.uint16], voxel_um: Um3) -> pd.Series:
    """The label of each mark: what its row says, else that of the mask it lies in, if no other mark
    has it; 0 without one."""
    told = marks["label"].fillna(0).astype(np.int64)
    under = labels[tuple(nearest_voxels(heads_of(marks), voxel_um, labels.shape).T)].astype(int)
    under = pd.Series(np.where((under > 1) & (under < IGNORE), under, 0), marks.index)
    under = under.mask((told > 0) | under.isin(told), 0)
    return told + under.mask(under.duplicated(), 0)


def _heads(
    labels: npt.NDArray[np.uint16], unnamed: list[int], session: Session, voxel_um: Um3
) -> pd.DataFrame:
    """True heads that only the label image knows; cut off by the border, they count neither way."""
    faces = [np.take(labels, side, axis=axis) for axis in range(3) for side in (0, -1)]
    cut_off = {int(n) for face in faces for n in np.unique(face)}
    numbers = [n for n in unnamed if 1 < n < IGNORE]
    middles = label_middles(labels, numbers)
    who = {"animal": session.animal, "region": session.region, "session": session.index}
    rows: list[dict[str, object]] = [
        {
            **who,
            "label": n,
            "point": "head",
            "scorable": "0" if n in cut_off else "1",
            **dict(zip(XYZ, m * np.array(voxel_um), strict=True)),
        }
        for n, m in zip(numbers, middles, strict=True)
    ]
    return POINTS.frame(rows)
