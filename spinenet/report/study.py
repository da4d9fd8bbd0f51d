"""The figures of the analysis, as a paper would print them."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from spinenet.report.figures import FATE_COLOURS, STYLE, as_text, fates
from spinenet.types import Analysis, FloatArray, Presence

LEGIBLE_SHARE = 0.06
"""Of the days of a figure: numbers nearer to each other would run together."""
CLASS_COLOURS = {
    "clustered": "#ff9f1c",
    "first": "#ff9f1c",
    "succedent": "#b5179e",
    "simultaneous": "#8d99ae",
    "non_clustered": "#2a9d4a",
    "stable": "#4aa3ff",
}


def panels(width: float, height: float, n: int = 1) -> tuple[Figure, list[Axes]]:
    """A row of n axes in the style of the house."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(1, n, squeeze=False)[0]
    return figure, list(axes)


def _name(group: str) -> str:
    return as_text(group) or "all animals"


def clustering(analysis: Analysis) -> Figure:
    """Clustered share of new spines by group and rule, with what shuffling gives (95 % band) and a
    ring for the share on the dendrites that were shuffled."""
    stats = analysis.statistics
    rules = ("contiguous", "within_d")
    groups = sorted(stats.loc[stats["name"] == "formation", "group"].unique())
    figure, axes = panels(1.6 + 1.5 * len(groups) * len(rules), 2.8, len(rules))
    alone = stats[stats["group_b"] == ""].set_index(["name", "group"])
    for axis, rule in zip(axes, rules, strict=True):
        name = f"clustered_fraction_{rule}"
        for x, group in enumerate(groups):
            row, null = alone.loc[name, group], analysis.nulls.get(f"{name}|{group}", np.zeros(0))
            if len(null):
                low, high = np.percentile(null, [2.5, 97.5])
                axis.fill_between([x - 0.35, x + 0.35], low, high, color="#cccccc", lw=0)
                axis.plot([x - 0.35, x + 0.35], [null.mean()] * 2, color="#777777", lw=1)
                over = alone.loc[(f"clustered_excess_{rule}", group), "estimate"]
                axis.plot(x, null.mean() + over, "o", ms=9, mfc="none", color="#777777")
            axis.plot(x, row["estimate"], "o", color="#ff9f1c")
            if np.isfinite(row["ci_low"]):
                axis.plot([x, x], [row["ci_low"], row["ci_high"]], color="#ff9f1c")
            if np.isfinite(row["p_value"]):
                text = f"P = {row['p_value']:.2g}"
                axis.text(x + 0.04, 1.0, text, ha="left", va="top", fontsize=6)
        axis.set_xticks(range(len(groups)), [_name(g) for g in groups])
        axis.set_xlim(-0.6, len(groups) - 0.4)
        axis.set_ylim(0, 1.02)
        axis.set_title(rule.replace("_", " "))
    axes[0].set_ylabel("clustered share of new spines")
    return figure


def cluster_sizes(clusters: pd.DataFrame) -> Figure:
    """How many clusters hold two, three, ... new spines, by group."""
    mine = clusters[clusters["rule"] == "contiguous"]
    groups = sorted(mine["group"].unique())
    sizes = range(2, max(int(mine["size"].max()), 4) + 1)
    figure, (axis,) = panels(3.4, 2.6)
    width = 0.8 / len(groups)
    for k, group in enumerate(groups):
        counts = [int((mine.loc[mine["group"] == group, "size"] == n).sum()) for n in sizes]
        places = np.array(sizes) - 0.4 + width * (k + 0.5)
        bars = axis.bar(places, counts, width, label=_name(group), color=f"C{k}")
        axis.bar_label(bars, fontsize=6)
    axis.set_xticks(list(sizes))
    axis.set_xlabel("new spines in a contiguous cluster")
    axis.set_ylabel("clusters")
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    if len(groups) > 1:
        figure.legend(frameon=False, fontsize=7, loc="outside upper center", ncols=len(groups))
    return figure


def births(clusters: pd.DataFrame) -> Figure:
    """Birth session of a cluster's first member against those of its later ones, by group."""
    mine = clusters[clusters["rule"] == "contiguous"]
    groups = sorted(mine["group"].unique())
    born = [[int(s) for s in str(b).split(";")] for b in mine["birth_sessions"]]
    sessions = sorted({s for b in born for s in b})
    figure, axes = panels(0.8 + 2.4 * len(groups), 2.6, len(groups))
    for axis, group in zip(axes, groups, strict=True):
        table = np.zeros((len(sessions), len(sessions)), int)
        for of_group, b in zip(mine["group"], born, strict=True):
            first, *later = sorted(b)
            for s in later if of_group == group else ():
                table[sessions.index(s), sessions.index(first)] += 1
        axis.imshow(table, cmap="Oranges", origin="lower", vmin=0)
        for (y, x), n in np.ndenumerate(table):
            if x <= y:
                ink = "white" if n > 0.6 * table.max() else "black"
                axis.text(x, y, str(n), ha="center", va="center", fontsize=7, color=ink)
        axis.set_xticks(range(len(sessions)), [str(s) for s in sessions])
        axis.set_yticks(range(len(sessions)), [str(s) for s in sessions])
        axis.set_xlabel("session of the first member")
        axis.set_title(_name(group))
    axes[0].set_ylabel("session of the others")
    return figure


def spacing(places: pd.DataFrame) -> Figure:
    """Where new spines stand between their stable neighbours: u' of each class, each with the band
    that as many uniform places would give."""
    groups = sorted(places["group"].unique())
    figure, axes = panels(0.8 + 2.6 * len(groups), 3.2, len(groups))
    grid = np.linspace(0, 1, 101)
    for axis, group in zip(axes, groups, strict=True):
        mine = places[(places["group"] == group) & places["relative"].notna()]
        rng = np.random.default_rng(0)
        for kind, part in mine.groupby("class"):
            colour = CLASS_COLOURS[str(kind)]
            null = _ecdf(rng.random((1000, len(part))), grid)
            low, high = np.percentile(null, [2.5, 97.5], axis=0)
            axis.fill_between(grid, low, high, color=colour, alpha=0.12, lw=0)
            curve = _ecdf(part["relative"].to_numpy(float)[None], grid)[0]
            label = f"{str(kind).replace('_', '-')} (n = {len(part)})"
            axis.plot(grid, curve, color=colour, label=label)
        axis.set_xlabel("u': 0 beside a stable spine, 1 midway")
        axis.set_title(_name(group))
        if not mine.empty:  # below: curves may run anywhere
            axis.legend(
                frameon=False, fontsize=6, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.25)
            )
    axes[0].set_ylabel("share of new spines")
    return figure


def _ecdf(values: FloatArray, grid: FloatArray) -> FloatArray:
    """(B, G) share of each row's values at most each of the grid's."""
    ordered = np.sort(values, axis=1)
    counts = [np.searchsorted(r, grid, side="right") for r in ordered]
    return np.array(counts) / values.shape[1]


def strength(changes: pd.DataFrame) -> Figure:
    """Strength before and after a succedent spine's arrival: first members, and other new spines of
    the same age; a line per spine, the mean in bold."""
    groups = sorted(changes["group"].unique())
    figure, axes = panels(0.8 + 2.2 * len(groups), 2.8, len(groups))
    for axis, group in zip(axes, groups, strict=True):
        mine = changes[changes["group"] == group]
        for k, (first, kind) in enumerate(((True, "first"), (False, "non_clustered"))):
            part = mine[mine["first"].astype(bool) == first]
            ends = np.exp(np.c_[part["log_before"], part["log_before"] + part["change"]])
            for pair in ends:
                axis.plot([2 * k, 2 * k + 1], pair, color=CLASS_COLOURS[kind], lw=0.5, alpha=0.4)
            if len(part):
                mean = np.exp(np.log(ends).mean(axis=0))
                axis.plot([2 * k, 2 * k + 1], mean, "o-", color=CLASS_COLOURS[kind], lw=2, ms=4)
            label = f"{kind.replace('_', '-')}\n(n = {len(part)})"
            axis.text(
                2 * k + 0.5,
                -0.2,
                label,
                ha="center",
                va="top",
                fontsize=7,
                transform=axis.get_xaxis_transform(),
            )
        axis.set_yscale("log")
        axis.set_xticks(range(4), ["before", "after"] * 2)
        axis.set_title(_name(group))
    axes[0].set_ylabel("strength (spine / 1 µm of shaft)")
    return figure


def rates(intervals: pd.DataFrame) -> Figure:
    """Formation and elimination per interval, one line per animal, or per region where those of an
    animal have intervals of their own; broken where no interval follows on the last."""
    mine = intervals[intervals["level"] == "animal"].sort_values("day_to")
    by = "group" if mine["group"].nunique() > 1 else "animal"
    names = sorted(mine[by].unique())
    figure, axes = panels(6.5, 2.6, 2)
    for axis, name in zip(axes, ("formation", "elimination"), strict=True):
        for _, line in mine.groupby(["group", "animal", "region"]):
            colour = f"C{names.index(line[by].iloc[0])}"
            broken = (line["session_from"] != line["session_to"].shift()).cumsum()
            for _, part in line.groupby(broken):
                axis.plot(part["day_to"], 100 * part[name], "o-", ms=3, lw=1, color=colour)
        axis.set_xlabel("day")
        axis.set_title(name)
        axis.set_ylim(bottom=0)
    axes[0].set_ylabel("% of spines per interval")
    if by == "group" or 1 < len(names) <= 8:
        lines = [axes[1].plot([], [], color=f"C{k}")[0] for k in range(len(names))]
        shown = [_name(n) if by == "group" else as_text(n) for n in names]
        axes[1].legend(lines, shown, frameon=False, fontsize=7)
    return figure


def survival(curves: pd.DataFrame) -> Figure:
    """Kaplan-Meier curves with 95 % bands and the numbers at risk below."""
    kinds = [k for k in ("clustered", "non_clustered", "stable") if k in set(curves["class"])]
    groups = sorted(curves["group"].unique())
    figure, axes = panels(1.2 + 3.2 * len(groups), 2.7 + 0.18 * len(kinds), len(groups))
    for axis, group in zip(axes, groups, strict=True):
        days = np.sort(curves.loc[curves["group"] == group, "day"].unique())  # its own
        for line, kind in enumerate(kinds):
            part = curves[(curves["group"] == group) & (curves["class"] == kind)]
            if part.empty:
                continue
            colour = CLASS_COLOURS[kind]
            # a little beyond the last day, so that what is left there can be read
            beyond = pd.concat([part, part.tail(1).assign(day=part["day"].max() + 0.06 * days[-1])])
            x, band = beyond["day"], (beyond["ci_low"], beyond["ci_high"])
            axis.step(x, beyond["survival"], where="post", color=colour)
            axis.fill_between(x, *band, step="post", color=colour, alpha=0.15, lw=0)
            for day in _apart(days, LEGIBLE_SHARE * float(days[-1])):
                at = part.loc[part["day"] >= day, "at_risk"]
                axis.text(
                    day,
                    -0.3 - 0.09 * line,
                    str(at.iloc[0] if len(at) else 0),
                    ha="center",
                    fontsize=6,
                    color=colour,
                    transform=axis.get_xaxis_transform(),
                )
            axis.text(
                -0.04,
                -0.3 - 0.09 * line,
                kind.replace("_", "-"),
                ha="right",
                fontsize=6,
                color=colour,
                transform=axis.transAxes,
            )
        axis.set_ylim(0, 1.02)
        axis.set_xlabel("days after the landmark; below, spines at risk")
        axis.set_title(_name(group))
    axes[0].set_ylabel("share still present")
    return figure


def _apart(days: FloatArray, least: float) -> list[float]:
    """Of days in order, from the last back, those that lie at least so far from the next."""
    kept = [float(days[-1])]
    for day in days[-2::-1].tolist():
        if kept[-1] - day >= least:
            kept.append(day)
    return kept


def straight_map(tracks: pd.DataFrame, states: pd.DataFrame, clusters: pd.DataFrame) -> Figure:
    """Every spine of one dendrite over its sessions, where there are no pictures; `states` and
    `clusters` of its region.

    Filled: seen. Ring: looked for and not there. ?: could not be scored. Cross: out of view.
    """
    fate = fates(tracks, states, clusters)
    sessions = tracks.drop_duplicates("session").sort_values("session")
    rows = {int(s): k for k, s in enumerate(sessions["session"])}
    length = float(np.ptp(tracks["arc_length_um"]))
    figure, (axis,) = panels(min(max(length / 6, 4), 13), 0.32 * len(rows) + 0.7)
    for line in rows.values():
        axis.axhline(line, color="#dfe5ea", lw=4, zorder=0)
    drawn = tracks.assign(fate=tracks["track_id"].map(fate), y=tracks["session"].map(rows))
    for (what, presence), part in drawn.groupby(["fate", "presence"]):
        colour, at = FATE_COLOURS[str(what)], (part["arc_length_um"], part["y"])
        if presence == Presence.PRESENT:
            axis.plot(*at, "o", ms=4, mfc=colour, mec="black", mew=0.3)
        elif presence == Presence.ABSENT:
            axis.plot(*at, "o", ms=4, mfc="white", mec=colour, mew=0.8)
        else:
            mark = "$?$" if presence == Presence.NOT_SCORABLE else "x"
            axis.plot(*at, ls="", marker=mark, ms=4, color=colour, mew=0.8)
    axis.set_yticks(list(rows.values()), [f"day {d:g}" for d in sessions["day"]])
    axis.invert_yaxis()
    axis.set_xlabel("arc length (µm)")
    axis.spines[["left"]].set_visible(False)
    return figure
