"""Detection: how many true spines were found, how many detections are none, by what and how sure.

Undefined ratios are nan; spines nobody could score neither help nor hurt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial import cKDTree

from spinenet.evaluate.judge import BASE, KEYS, XYZ, Judged, by_machine
from spinenet.types import BoolArray, FloatArray

BLOCK_UM = 10.0
"""Side of the blocks of the field, all sessions together, that the bootstrap draws: spines of one
block share their dendrite, and one spine is there in many sessions."""
FEWEST_BLOCKS = 6
"""Fewer blocks, drawn anew, vary less than the figure does."""
SNR_EDGES = (0.0, 6.0, 12.0, np.inf)
WIDTH_EDGES_UM = (0.0, 0.3, 0.5, np.inf)
LENGTH_EDGES_UM = (0.0, 1.0, 2.0, np.inf)
LATERAL_DEG, AXIAL_DEG = 30.0, 60.0
TOUCHING_UM = (0.6, 1.0)
SAME_DEPTH_UM = 0.8
"""Half an axial blur."""
N_BINS = 10


def detection_table(judged: Judged, snr: pd.DataFrame, n_draws: int = 1000) -> pd.DataFrame:
    """One row per figure and stratum: figure, stratum, value, low, high (95 %, bootstrap), n.

    Parameters
    ----------
    snr: columns animal, region, session, snr: of each session, nan where it is not known
    n_draws: bootstrap draws over blocks of the field
    """
    judged = with_strata(judged, snr)
    truth, seen = judged.truth, judged.detections
    rng = np.random.default_rng(0)
    rows: list[dict[str, object]] = []
    for stratum, of_truth, of_seen in _strata(truth, seen):
        rows += _ratios(stratum, judged, of_truth, of_seen, n_draws, rng)
    rows += _touching(truth)
    near = truth[(truth["point"] == "head") & truth["counts"] & _compared(truth)]
    apart = near[XYZ].to_numpy(float) - _of_partner(near, judged, XYZ)
    rows.append(_one("lateral centre error um", np.linalg.norm(apart[:, 1:], axis=1), np.median))
    rows.append(_one("axial centre error um", np.abs(apart[:, 0]), np.median))
    rows += _volume(truth, judged)
    rows.append(_one("calibration error (ECE)", *_calibration(judged)))
    return pd.DataFrame(rows)


def counts(judged: Judged) -> tuple[int, int, int]:
    """Hits, false alarms and misses."""
    fair = judged.truth["counts"].to_numpy(bool)
    found = judged.truth["found"].to_numpy() >= 0
    alarms = int(judged.detections["alarm"].sum())
    return int((fair & found).sum()), alarms, int((fair & ~found).sum())


def ratios(
    hits: float, alarms: float, misses: float, right: float | None = None
) -> dict[str, float]:
    """Precision, recall and F1.

    Parameters
    ----------
    right: detections that are one of the hits, where those of a stratum are not just its hits
    """
    if right is None or right == hits:
        right, f1 = hits, ratio(2 * hits, 2 * hits + alarms + misses)
    else:
        both = ratio(right, right + alarms), ratio(hits, hits + misses)
        f1 = ratio(2 * both[0] * both[1], sum(both))
    return {
        "precision": ratio(right, right + alarms),
        "recall": ratio(hits, hits + misses),
        "f1": f1,
    }


def expected_calibration_error(probability: FloatArray, right: npt.NDArray[np.bool_]) -> float:
    """Mean distance between probability and the share that is right, over equal bins, weighted by
    their counts (Guo 2017, eq. 3)."""
    if not len(probability):
        return float("nan")
    bins = np.clip((probability * N_BINS).astype(int), 0, N_BINS - 1)
    apart = [
        abs(probability[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean()
        for b in np.unique(bins)
    ]
    return float(np.sum(apart))


def with_strata(judged: Judged, snr: pd.DataFrame) -> Judged:
    """The same, both tables with columns snr, azimuth and size, each a word. A detection's are its
    own: those of its spine may be unknown, and where tips are marked lengths are others."""
    known = snr[[*KEYS, "snr"]].drop_duplicates(KEYS)
    truth = judged.truth.drop(columns="snr", errors="ignore").merge(known, on=KEYS, how="left")
    seen = judged.detections.merge(known, on=KEYS, how="left")
    for frame in (truth, seen):
        frame["snr"] = _words(frame["snr"], SNR_EDGES, "SNR {}")
        stalk = frame[XYZ].to_numpy(float) - frame[BASE].to_numpy(float)
        rise = np.degrees(np.arctan2(np.abs(stalk[:, 0]), np.hypot(stalk[:, 1], stalk[:, 2])))
        frame["azimuth"] = np.select(
            [~np.isfinite(rise), rise < LATERAL_DEG, rise > AXIAL_DEG],
            ["", "lateral", "axial"],
            "oblique",
        )
        if "head_width_um" in truth:
            frame["size"] = _words(_numbers(frame["head_width_um"]), WIDTH_EDGES_UM, "head {} um")
        else:
            frame["size"] = _words(np.linalg.norm(stalk, axis=1), LENGTH_EDGES_UM, "length {} um")
    return Judged(truth, seen)


def _strata(truth: pd.DataFrame, seen: pd.DataFrame) -> Iterator[tuple[str, BoolArray, BoolArray]]:
    """Each stratum and which rows of the truth, and which detections, are of it."""
    yield "all", np.ones(len(truth), bool), np.ones(len(seen), bool)
    for name in ("snr", "azimuth", "size"):
        for word in sorted((set(truth[name]) | set(seen.loc[seen["alarm"], name])) - {""}):
            yield word, (truth[name] == word).to_numpy(bool), (seen[name] == word).to_numpy(bool)


def _words(values: npt.ArrayLike, edges: tuple[float, ...], text: str) -> npt.NDArray[np.str_]:
    value = np.asarray(values, float)
    out = np.full(len(value), "", dtype="<U32")
    for low, high in zip(edges, edges[1:], strict=False):
        span = f"{low:g}-{high:g}" if np.isfinite(high) else f"{low:g}+"
        out[(value >= low) & (value < high)] = text.format(span)
    return out


def _ratios(
    stratum: str,
    judged: Judged,
    of_truth: BoolArray,
    of_seen: BoolArray,
    n_draws: int,
    rng: np.random.Generator,
) -> list[dict[str, object]]:
    """Precision of the detections and recall of the spines of a stratum, and F1, with intervals
    from drawing blocks of the field anew; nan where there are too few of them."""
    truth, seen = judged.truth, judged.detections
    fair, alarms = truth[of_truth & truth["counts"]], seen[of_seen & seen["alarm"]]
    right = seen[of_seen & _is_right(judged)]
    parts = [frame[[*KEYS[:2], *XYZ]] for frame in (fair, alarms, right)]
    every = pd.concat(parts, ignore_index=True)
    place = (every[["y_um", "x_um"]] // BLOCK_UM).astype(int)
    whose = [*KEYS[:2], *place.columns]
    block = pd.concat([every[KEYS[:2]], place], axis=1).groupby(whose).ngroup()
    kind = np.repeat([1, 3], [len(alarms), len(right)])
    kind = np.r_[np.where(fair["found"] >= 0, 0, 2), kind].astype(int)
    table = np.zeros((int(block.max()) + 1 if len(block) else 1, 4))
    np.add.at(table, (block.to_numpy(int), kind), 1)
    draws = table[rng.integers(len(table), size=(n_draws, len(table)))].sum(axis=1)
    spread = pd.DataFrame([ratios(*d) for d in draws])
    if len(table) < FEWEST_BLOCKS:
        spread[:] = float("nan")
    n = {"precision": len(right) + len(alarms), "recall": len(fair), "f1": len(fair)}
    return [
        {
            "figure": name,
            "stratum": stratum,
            "value": value,
            "low": float(spread[name].quantile(0.025)),
            "high": float(spread[name].quantile(0.975)),
            "n": n[name],
        }
        for name, value in ratios(*table.sum(axis=0)).items()
    ]


def _touching(truth: pd.DataFrame) -> list[dict[str, object]]:
    """Share of neighbours 0.6 to 1.0 um apart of which both were found; and of those so far apart
    in the plane, at much the same depth: two heads above one another look like one."""
    apart, flat = [np.zeros((0, 2))], [np.zeros((0, 2))]
    low, high = TOUCHING_UM
    for _, mine in truth[truth["counts"]].groupby(KEYS):
        points, found = mine[XYZ].to_numpy(float), mine["found"].to_numpy() >= 0
        pairs = cKDTree(points).query_pairs(np.hypot(high, SAME_DEPTH_UM), output_type="ndarray")
        gap = points[pairs[:, 0]] - points[pairs[:, 1]]
        both = found[pairs].all(axis=1)
        apart.append(np.c_[np.linalg.norm(gap, axis=1), both])
        level = np.abs(gap[:, 0]) <= SAME_DEPTH_UM
        flat.append(np.c_[np.hypot(gap[level, 1], gap[level, 2]), both[level]])
    out = []
    for stratum, parts in (("all", apart), ("in the plane", flat)):
        distance, both = np.concatenate(parts).T
        share = both[(distance >= low) & (distance <= high)]
        out.append({**_one("touching pairs both found", share), "stratum": stratum})
    return out


def _volume(truth: pd.DataFrame, judged: Judged) -> list[dict[str, object]]:
    if not {"head_volume_um3", "head_width_um"} <= set(truth):
        return []
    hits = truth[truth["counts"] & _compared(truth)]
    true = _numbers(hits["head_volume_um3"])
    wrong = np.abs(_of_partner(hits, judged, ["head_volume_um3"])[:, 0] / true - 1)
    good = np.isfinite(wrong)
    big = good & (_numbers(hits["head_width_um"]) > WIDTH_EDGES_UM[2])
    return [
        _one("head volume error", wrong[good], np.median),
        {**_one("head volume error", wrong[big], np.median), "stratum": "head 0.5+ um"},
    ]


def _compared(truth: pd.DataFrame) -> pd.Series:
    """Which true spines were found and were measured by somebody else: a corrected copy of a
    machine's results holds its own places and volumes."""
    return (truth["found"] >= 0) & ~by_machine(truth)


def _of_partner(hits: pd.DataFrame, judged: Judged, columns: list[str]) -> FloatArray:
    """(H, C) the columns of the detections of these true spines."""
    out: FloatArray = judged.detections.loc[hits["found"], columns].to_numpy(float)
    return out


def _calibration(judged: Judged) -> tuple[FloatArray, Callable[[FloatArray], float]]:
    """The probabilities of the detections that count and have one, and their distance from the
    truth."""
    seen, right = judged.detections, _is_right(judged)
    kept = (right | seen["alarm"].to_numpy(bool)) & seen["probability"].notna().to_numpy()
    probability = seen.loc[kept, "probability"].to_numpy(float)
    return probability, lambda p: expected_calibration_error(p, right[kept])


def _is_right(judged: Judged) -> BoolArray:
    """(N,) which detections are a true spine that counts."""
    fair = np.r_[judged.truth["counts"].to_numpy(bool), False]  # the last is of no spine
    out: BoolArray = fair[judged.detections["true"].to_numpy(int)]
    return out


def _one(
    figure: str, values: FloatArray, mean: Callable[[FloatArray], float] = np.mean
) -> dict[str, object]:
    """A figure of all spines together, without an interval."""
    value = float(mean(values)) if len(values) else float("nan")
    nan = float("nan")
    return {
        "figure": figure,
        "stratum": "all",
        "value": value,
        "low": nan,
        "high": nan,
        "n": len(values),
    }


def _numbers(column: pd.Series) -> FloatArray:
    """Of a column that no contract checked; nan where it is no number."""
    return pd.to_numeric(column, errors="coerce").to_numpy(float)


def ratio(a: float, b: float) -> float:
    """a / b, nan where b is 0."""
    return a / b if b else float("nan")
