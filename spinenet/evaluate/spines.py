"""Detection against true head centres: one to one, in um, only what a person could score."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from spinenet.types import FloatArray, IntArray

TOLERANCE_UM = np.array([2.0, 0.6, 0.6])
"""A detection this far (scaled, z y x) from a true centre is another spine."""
FAR = 1e3


def pair_centres(found_um: FloatArray, true_um: FloatArray) -> tuple[IntArray, IntArray]:
    """Positions (P,) of found and true centres that are the same, by optimal assignment."""
    if not len(found_um) or not len(true_um):
        return np.zeros(0, int), np.zeros(0, int)
    d = np.linalg.norm((found_um[:, None] - true_um[None]) / TOLERANCE_UM, axis=-1)
    i, j = linear_sum_assignment(np.where(d < 1, d, FAR))
    good = d[i, j] < 1
    return i[good], j[good]


def score_detection(truth: pd.DataFrame, found: pd.DataFrame) -> dict[str, float]:
    """Precision, recall, F1 and the median lateral error over all sessions.

    True spines whose column `scorable` is 0 neither help nor hurt; undefined ratios are nan.
    """
    hits = misses = alarms = 0
    errors: list[FloatArray] = []
    keys = ["animal", "region", "session"]
    scorable = truth.get("scorable", pd.Series(True, index=truth.index))
    fair_all = scorable.map(lambda v: str(v).lower() not in ("0", "0.0", "false", "no"))
    sessions = pd.concat([truth[keys], found[keys]]).drop_duplicates()
    for key in sessions.itertuples(index=False):
        here = [(f[keys] == list(key)).all(axis=1) for f in (truth, found)]
        at = [
            f.loc[m, ["z_um", "y_um", "x_um"]].to_numpy(float)
            for f, m in zip((truth, found), here, strict=True)
        ]
        fair = fair_all[here[0]].to_numpy()
        i, j = pair_centres(at[1], at[0])
        hits += int(fair[j].sum())
        misses += int(fair.sum() - fair[j].sum())
        alarms += len(at[1]) - len(i)
        errors.append(np.linalg.norm((at[1][i] - at[0][j])[fair[j], 1:], axis=1))
    apart = np.concatenate(errors) if errors else np.zeros(0)
    return {
        "precision": _ratio(hits, hits + alarms),
        "recall": _ratio(hits, hits + misses),
        "f1": _ratio(2 * hits, 2 * hits + misses + alarms),
        "median_lateral_error_um": float(np.median(apart)) if len(apart) else float("nan"),
        "n_true": float(hits + misses),
        "n_found": float(hits + alarms),
    }


def _ratio(a: float, b: float) -> float:
    return a / b if b else float("nan")
