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
        If a table is missing or damaged, or the folders have no session in common.
    """
    truth = read_truth(truth_folder, point)
    found = read_table(results / SPINES.file, SPINES)
    sessions = truth.sessions()
    judged = judge(truth.spines, found, truth.nodes, sessions, dendrites)
    if judged.detections.empty and not found.empty:
        raise InputError(
            f"{results} and {truth_folder} have no session in common: the results are of "
            f"{_named(found)}, the annotation is of {_named(sessions)}. Use the same names for "
            "animal, region and session in both."
        )
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
    masks = _masks(truth, results, found)
    if masks is not None:
        n = masks.matched + masks.missed
        rows += [
            {"figure": k, "stratum": "all", "value": v, "n": n} for k, v in masks.figures().items()
        ]
    return pd.concat([*tables, pd.DataFrame(rows)], ignore_index=True)


def _named(frame: pd.DataFrame) -> str:
    first = frame.iloc[0]
    return f"animal {first['animal']!r}, region {first['region']!r}, session {first['session']}"


def _snr(results: Path) -> pd.DataFrame:
    """Each session's SNR: the median of its dendrites."""
    if not (results / COVERAGE.file).is_file():
        return COVERAGE.frame()
    coverage = read_table(results / COVERAGE.file, COVERAGE)
    return coverage.groupby(KEYS, as_index=False)["snr"].median()


def _masks(truth: Truth, results: Path, found: pd.DataFrame) -> MaskCounts | None:
    """Label images that both folders hold, compared."""
    total: MaskCounts | None = None
    for animal, region, session in found[KEYS].drop_duplicates().itertuples(index=False):
        stack = Session(animal, region, int(session))
        true_file, file = truth.labels_of(stack), results / "labels" / f"{stack.name}.ome.tif"
        if true_file is None or not file.is_file():
            continue
        seen = read_labels(file, None, stack.name)
        true = read_labels(true_file, seen.shape, stack.name)
        here = truth.spines[(truth.spines[KEYS] == [animal, region, session]).all(axis=1)]
        hidden = here.loc[~sure(here), "label"]
        counts = count_masks(true, seen, hidden.dropna().to_numpy(np.int64))
        total = counts if total is None else total + counts
    return total
