"""A results folder against a person's (or the simulator's) annotations: every figure, one table."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from spinenet.evaluate.identity import identity_figures, link_calibration
from spinenet.evaluate.judge import KEYS, XYZ, by_machine, judge
from spinenet.evaluate.masks import MaskCounts
from spinenet.evaluate.spines import detection_table
from spinenet.evaluate.tracks import (
    UNLINKED,
    by_gap,
    by_size_change,
    count,
    error_runs,
    link_table,
    where_named,
)
from spinenet.io.annotated import (
    Truth,
    of_session,
    read_truth,
    traced_in,
    warn_of_strays,
)
from spinenet.io.finished import check_finished
from spinenet.io.table import read_table
from spinenet.match.pins import PERSON
from spinenet.pipeline.true_clusters import cluster_figures
from spinenet.pipeline.true_masks import TrueMask, true_masks
from spinenet.tables import COVERAGE, DENDRITES, LINKS, SPINES
from spinenet.types import BoolArray, InputError, Session

logger = logging.getLogger(__name__)
FIGURES_START = b"figure,stratum,value"


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
        If a table or label image is missing or damaged, the folders have no session in common, or
        a dendrite is not traced.
    """
    check_finished(results)
    found = read_table(results / SPINES.file, SPINES)
    _check_found(found, results)
    truth = read_truth(truth_folder, point, found)
    _warn_of_missing(truth, found, results)
    warn_of_strays(truth)
    sessions = _sessions(truth)
    masks = true_masks(truth, results, found, sessions)
    truth = replace(truth, spines=_with_masks(truth, masks))
    _check_names(truth, found, results, dendrites)
    drawn = np.isin(np.arange(len(sessions)), [sessions.index(mask.session) for mask in masks])
    marked = np.array([of_session(truth.spines, s).any() for s in sessions], bool)
    traced = np.array([bool(traced_in(truth.traces, s)) for s in sessions], bool)
    # heads alone, without traces, are taken to be all of the field
    everywhere = truth.traces is None and (truth.spines["point"] == "head").all()
    if everywhere and (marked & ~drawn).any():
        logger.warning(
            "%s has heads but no %s: they are taken for all spines of every field, and whatever "
            "else was found counts as a false alarm. Trace the dendrites that were looked at.",
            truth_folder,
            DENDRITES.file,
        )
    whole = everywhere | (drawn & (not truth.partly))
    looked = marked | traced | drawn
    _warn_of_unseen(truth, looked, marked & ~traced & ~whole)
    annotated = truth.sessions[KEYS].assign(whole=whole)[looked]
    judged = judge(truth.spines, found, truth.nodes, annotated, dendrites)
    alarm = judged.detections["alarm"].copy()
    for mask in masks:  # found where nobody looked, it is no false alarm
        alarm &= ~mask.unknown(judged.detections)
    judged = replace(judged, detections=judged.detections.assign(alarm=alarm))
    named = where_named(judged)
    rows = _link_rows(link_table(named, truth.contested))
    n = int((judged.truth["counts"] & judged.truth["track_id"].notna()).sum())
    rows += _rows(identity_figures(named, truth.contested), n)
    if (results / LINKS.file).is_file():
        links = read_table(results / LINKS.file, LINKS)
        rows += _rows(*link_calibration(named, links, truth.contested))
    if not dendrites:  # neither clusters nor masks are told of some dendrites alone
        rows += _rows(cluster_figures(truth, results, judged), n)
    by_hand = len(found) > 0 and bool((found["source"] == PERSON).all())
    compared = [mask.counts for mask in masks if mask.counts is not None]
    if compared and not by_hand and not dendrites:  # spines that a person marked have no masks
        total = sum(compared, MaskCounts())
        rows += _rows(total.figures(), total.matched + total.missed)
    detected = detection_table(judged, _snr(results))
    return pd.concat([detected, pd.DataFrame(rows)], ignore_index=True)


def check_out(path: Path) -> None:
    """Raises `InputError` where a table of figures would take the place of something else."""
    if path.is_dir():
        raise InputError(
            f"{path} is a folder; a name for the table was expected. Give a file in it, such as "
            f"{path / 'evaluation.csv'}."
        )
    if not path.is_file():
        return
    with path.open("rb") as file:
        ours = file.read(len(FIGURES_START)) == FIGURES_START
    if not ours:
        raise InputError(
            f"{path} is there and is no table of figures: it was not overwritten. Give another "
            "name, or remove it."
        )


def _rows(figures: dict[str, float], n: int) -> list[dict[str, object]]:
    return [{"figure": k, "stratum": "all", "value": v, "n": n} for k, v in figures.items()]


def _with_masks(truth: Truth, masks: list[TrueMask]) -> pd.DataFrame:
    """The marked spines, and those that only label images know. What was painted over was no spine,
    if the machine had found it and a person corrects it; of other marks nobody knows then."""
    marks = truth.spines.copy()
    ours = by_machine(marks)
    gone = marks.index.isin([row for mask in masks for row in mask.painted_over])
    marks.loc[gone, "scorable"] = "0"
    named = [mask.heads for mask in masks]
    rest = sum(int((heads["scorable"] == "1").sum()) for heads in named)
    if rest and ours.any():
        logger.warning(
            "%d labels have no row in spines.csv: they count as spines. Where they are none, erase "
            "the label too.",
            rest,
        )
    return pd.concat([marks[~(gone & ours)], *named], ignore_index=True)


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


def _check_found(found: pd.DataFrame, results: Path) -> None:
    lost = ~np.isfinite(found[XYZ].to_numpy(float)).all(axis=1)
    if lost.any():
        raise InputError(
            f"{results / SPINES.file}, line {int(lost.argmax()) + 2}: the spine has no place (a "
            "blank or infinite z_um, y_um or x_um). Results were edited: fill it in, or remove the "
            "row."
        )
    tracked = found.dropna(subset=["track_id"])
    twice = tracked[tracked.duplicated([*KEYS, "track_id"])]
    if len(twice):
        raise InputError(
            f"{results / SPINES.file}, line {int(twice.index[0]) + 2}: track "
            f"{twice['track_id'].iloc[0]} is in one session twice. A track is one spine: results "
            "were edited; give one of the two another number."
        )


def _check_names(
    truth: Truth, found: pd.DataFrame, results: Path, dendrites: Collection[int]
) -> None:
    if truth.spines.empty:
        raise InputError(
            f"{truth.folder} has no spines: neither in spines.csv nor in label images of the "
            f"sessions of {results}. Check that both are of the same stacks."
        )
    tips = truth.spines[truth.spines["point"] == "tip"]
    undrawn = [s for s in _sessions(truth) if truth.labels_of(s) is None]
    if truth.traces is None and any(of_session(tips, s).any() for s in undrawn):
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
    marked = truth.spines[KEYS].drop_duplicates()
    if truth.traces is not None and undrawn and truth.nodes.merge(marked, on=KEYS).empty:
        raise InputError(
            f"{truth.folder}: no session has both marks in spines.csv and a trace in "
            f"dendrites.csv: marks are of {_named(marked)}, traces of {_named(truth.nodes)}. "
            "Use the same names for animal, region and session in both."
        )
    known = set(truth.nodes["dendrite_id"])
    strange = sorted(set(dendrites) - known)
    if strange:
        raise InputError(
            f"dendrite {strange[0]} is not traced in {truth.folder}, so false alarms near it "
            f"cannot be told; traced are {', '.join(str(d) for d in sorted(known)) or 'none'}."
        )


def _warn_of_unseen(truth: Truth, looked: BoolArray, untraced: BoolArray) -> None:
    """Sessions in which nothing, or no false alarm, can be counted."""
    if not looked.all():
        logger.warning(
            "%d of %d sessions have neither a mark, a trace nor a label image (the first is %s): "
            "nobody is taken to have looked there, and nothing of them is counted.",
            int((~looked).sum()),
            len(looked),
            _named(truth.sessions[~looked]),
        )
    if untraced.any():
        logger.warning(
            "%d of %d sessions have marks but no trace (the first is %s): false alarms there "
            "cannot be counted, and precision is too high. Trace the dendrites in every session.",
            int(untraced.sum()),
            len(untraced),
            _named(truth.sessions[untraced]),
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
    """Each session's SNR: the median of its dendrites where they are usable."""
    if not (results / COVERAGE.file).is_file():
        return COVERAGE.frame()
    coverage = read_table(results / COVERAGE.file, COVERAGE)
    # short dim stretches have rows of their own
    coverage["snr"] = coverage["snr"].where(coverage["usable"])
    return coverage.groupby(KEYS, as_index=False)["snr"].median()
