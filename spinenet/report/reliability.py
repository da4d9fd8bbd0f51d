"""How far the probabilities of links can be trusted, and what they are in this run."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from statsmodels.stats.proportion import proportion_confint

from spinenet.report.study import panels
from spinenet.types import FloatArray

BINS = [k / 10 for k in range(11)]


def link_trust(links: pd.DataFrame, known: FloatArray | None, data: str) -> Figure:
    """Left: how often links of a probability were right where the truth is known. Right: the links
    made in this run, and how many of them are wrong if their probabilities are true.

    Parameters
    ----------
    links: `links.csv`
    known: (B, 3) by bin: mean probability, links that were right, links; None where nobody counted
    data: on what that was
    """
    p = links.loc[links["chosen"], "p"].to_numpy(float)
    figure, axes = panels(6.4 if known is not None else 3.4, 2.7, 2 if known is not None else 1)
    if known is not None:
        axis = axes[0]
        mean, right, n = known.T
        low, high = proportion_confint(right, n, method="wilson")
        axis.plot([0, 1], [0, 1], color="#999999", lw=0.8)
        axis.errorbar(
            mean,
            right / n,
            [np.maximum(right / n - low, 0), np.maximum(high - right / n, 0)],
            fmt="o",
            ms=3.5,
            lw=1,
            color="#4aa3ff",
        )
        axis.set(xlabel="probability of a link", ylabel="share that was right")
        axis.set_xlim(0, 1)
        axis.set_ylim(0, 1)
        axis.set_title(data, fontsize=8)
    axis = axes[-1]
    axis.hist(p, BINS, color="#4aa3ff")
    axis.set(xlabel="probability of a link", ylabel="links made")
    axis.set_title(f"{(1 - p).sum():.0f} of {len(p)} expected wrong", fontsize=8)
    return figure
