"""A results folder against a person's (or the simulator's) annotations: every figure, one table."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd

from spinenet.evaluate.judge import KEYS, judge, sure
from spinenet.evaluate.masks import MaskCounts, count_masks
from spinenet.evaluate.spines import detection_table
from spinenet.evaluate.tracks import count_links
from spinenet.io.annotated import Truth, read_labels, read_truth
from spinenet.io.table import read_table
from spinenet.tables import COVERAGE, SPINES
from spinenet.types import InputError, Session


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
    found = read_table(results / SPINES.file, SPINES)
    truth = read_truth(truth_folder, point, found)
    _check_names(truth, found, results, dendrites)
    whole = [truth.labels_of(s) is not None for s in _sessions(truth)]
    annotated = truth.sessions[KEYS].assign(whole=whole)
    judged = judge(truth.spines, found, truth.nodes, annotated, dendrites)
    tables = [detection_table(judged, _snr(results))]
    rows: list[dict[str, object]] = []
    for name, links in zip(
        ("adjacent links", "all links"), count_links(judged, truth.contested), strict=True
    ):
        for of, values in (
            ("both detected", links.given_both()),
            ("end to end", links.end_to_end()),
        ):
            rows += [
                {"figure": f"{name} {figure}", "stratum": of, "value": value, "n": links.true}
                for figure, value in values.items()
            ]
    masks = _masks(truth, results)
    if masks is not None:
        n = masks.matched + masks.missed
        rows += [
            {"figure": k, "stratum": "all", "value": v, "n": n} for k, v in masks.figures().items()
        ]
    return pd.concat([*tables, pd.DataFrame(rows)], ignore_index=True)


def _check_names(
    truth: Truth, found: pd.DataFrame, results: Path, dendrites: Collection[int]
) -> None:
    if truth.spines.empty:
        raise InputError(
            f"{truth.folder} has no spines in spines.csv; detection is counted against points. "
            "`spinenet infer` and `spinenet simulate` write one beside their labels."
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


def _masks(truth: Truth, results: Path) -> MaskCounts | None:
    """Label images that both folders hold, compared."""
    total: MaskCounts | None = None
    for session in _sessions(truth):
        true_file = truth.labels_of(session)
        file = results / "labels" / f"{session.name}.ome.tif"
        if true_file is None or not file.is_file():
            continue
        seen = read_labels(file, None, session.name)
        true = read_labels(true_file, seen.shape, session.name)
        here = truth.spines[
            (truth.spines[KEYS] == [session.animal, session.region, session.index]).all(axis=1)
        ]
        hidden = here.loc[~sure(here), "label"].dropna().to_numpy(np.int64)
        counts = count_masks(true, seen, hidden)
        total = counts if total is None else total + counts
    return total
