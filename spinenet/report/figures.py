"""The figures of the page, as SVG text that is the same on every run."""

from __future__ import annotations

import io
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from spinenet.types import Analysis, FloatArray, Presence

FATE_COLOURS = {
    "stable": "#4aa3ff",
    "new": "#3ddc64",
    "new, clustered": "#ff9f1c",
    "lost": "#ff4d4d",
    "unknown": "#bbbbbb",
}
STYLE = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "spinenet",
    "svg.fonttype": "none",
}


@dataclass(frozen=True)
class Strip:
    """One dendrite in one session, pulled straight."""

    session: int
    day: float
    picture: npt.NDArray[np.float32]
    s_um: FloatArray
    """(columns,) arc length in the shared frame"""
    side_um: float
    """Half height of the picture."""


def as_svg(figure: Figure) -> str:
    """SVG text without date, from the first tag on."""
    out = io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(out, format="svg", metadata={"Date": None}, bbox_inches="tight", dpi=110)
    text = out.getvalue()
    return text[text.index("<svg") :]


def fates(tracks: pd.DataFrame, clusters: pd.DataFrame) -> dict[int, str]:
    """What became of each track of one region: stable, new, new in a cluster, lost, unknown."""
    clustered = {
        int(k)
        for ids in clusters.loc[clusters["rule"] == "contiguous", "track_ids"]
        for k in str(ids).split(";")
    }
    out = {}
    for k, rows in tracks.sort_values("session").groupby("track_id"):
        presence = rows["presence"].tolist()
        seen = [i for i, p in enumerate(presence) if p == Presence.PRESENT]
        if not seen:
            out[int(k)] = "unknown"
        elif Presence.ABSENT in presence[: seen[0]]:
            out[int(k)] = "new, clustered" if int(k) in clustered else "new"
        elif Presence.ABSENT in presence[seen[-1] :]:
            out[int(k)] = "lost"
        else:
            out[int(k)] = "stable"
    return out


def dendrite_map(
    strips: list[Strip], tracks: pd.DataFrame, spines: pd.DataFrame, fate: dict[int, str]
) -> Figure:
    """One dendrite over its sessions: straightened image, spines coloured by fate.

    Filled: seen; ring: looked for and not there; ? : could not be scored there.
    """
    length = max(float(np.ptp(s.s_um)) for s in strips)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(min(max(length / 6, 5), 13), 0.95 * len(strips) + 0.5))
        axes = figure.subplots(len(strips), 1, sharex=True, squeeze=False)[:, 0]
    side_of = spines.set_index(["session", "track_id"])["side_um"].to_dict()
    home = spines.groupby("track_id")["side_um"].mean().to_dict()
    for axis, strip in zip(axes, strips, strict=True):
        shown = strip.picture[np.isfinite(strip.picture)]
        top = float(np.percentile(shown, 99)) if shown.size else 1.0
        low = float(np.percentile(shown, 20)) if shown.size else 0.0
        extent = (strip.s_um[0], strip.s_um[-1], strip.side_um, -strip.side_um)
        axis.imshow(
            strip.picture,
            cmap="gray",
            vmin=low,
            vmax=max(top, low + 1),
            extent=extent,
            aspect="auto",
        )
        axis.set_facecolor("#203040")
        for row in tracks[tracks["session"] == strip.session].to_dict("records"):
            k = int(row["track_id"])
            colour = FATE_COLOURS[fate[k]]
            y = side_of.get((strip.session, k), home.get(k, 0.0))
            x = row["arc_length_um"]
            if row["presence"] == Presence.PRESENT:
                axis.plot(x, y, "o", ms=4, mfc=colour, mec="black", mew=0.4)
            elif row["presence"] == Presence.ABSENT:
                axis.plot(x, y, "o", ms=4, mfc="none", mec=colour, mew=0.8)
            elif row["presence"] == Presence.NOT_SCORABLE:
                axis.text(x, y, "?", color=colour, fontsize=6, ha="center", va="center")
        axis.set_yticks([])
        axis.set_ylabel(f"day {strip.day:g}", rotation=0, ha="right", va="center")
        axis.spines[["left", "bottom"]].set_visible(False)
    axes[-1].set_xlabel("arc length (µm)")
    return figure


def clustering(analysis: Analysis) -> Figure:
    """Clustered share of new spines by group, and what shuffling gives (95 % band and mean)."""
    rows = analysis.statistics[analysis.statistics["name"].str.startswith("clustered_fraction")]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(1.6 + 1.1 * len(rows), 2.8))
        axis = figure.subplots()
    labels = []
    for x, row in enumerate(rows.to_dict("records")):
        null = analysis.nulls.get(f"{row['name']}|{row['group']}", np.zeros(0))
        if len(null):
            low, high = np.percentile(null, [2.5, 97.5])
            axis.fill_between([x - 0.35, x + 0.35], low, high, color="#cccccc", lw=0)
            axis.plot([x - 0.35, x + 0.35], [null.mean()] * 2, color="#777777", lw=1)
        axis.plot(x, row["estimate"], "o", color="#ff9f1c")
        if np.isfinite(row["ci_low"]):
            ends = np.clip([row["ci_low"], row["ci_high"]], 0, 1)
            axis.plot([x, x], ends, color="#ff9f1c")
        rule = row["name"].removeprefix("clustered_fraction_").replace("_", " ")
        labels.append(f"{row['group'] or 'all'}\n{rule}")
    axis.set_xticks(range(len(labels)), labels)
    axis.set_ylim(0, 1)
    axis.set_ylabel("clustered share of new spines")
    return figure


def rates(intervals: pd.DataFrame) -> Figure:
    """Formation and elimination per interval, one line per animal."""
    mine = intervals[intervals["level"] == "animal"]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.5, 2.6))
        axes = figure.subplots(1, 2, sharey=True)
    for axis, name in zip(axes, ("formation", "elimination"), strict=True):
        for (animal, region), part in mine.groupby(["animal", "region"]):
            label = animal if animal == region else f"{animal}, {region}"
            axis.plot(part["day_to"], 100 * part[name], "o-", ms=3, lw=1, label=label)
        axis.set_xlabel("day")
        axis.set_title(name)
    axes[0].set_ylabel("% of spines per interval")
    if 1 < len(mine.groupby(["animal", "region"])) <= 8:
        axes[1].legend(frameon=False, fontsize=7)
    return figure


def survival(curves: pd.DataFrame) -> Figure:
    """Kaplan-Meier curves with 95 % bands and the numbers at risk."""
    colours = {"clustered": "#ff9f1c", "non_clustered": "#3ddc64", "stable": "#4aa3ff"}
    groups = sorted(curves["group"].unique())
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(1.2 + 3.6 * len(groups), 3.0))
        axes = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    for axis, group in zip(axes, groups, strict=True):
        for kind, colour in colours.items():
            part = curves[(curves["group"] == group) & (curves["class"] == kind)]
            if part.empty:
                continue
            label = f"{kind.replace('_', '-')} (n = {part['at_risk'].max()})"
            axis.step(part["day"], part["survival"], where="post", color=colour, label=label)
            axis.fill_between(
                part["day"],
                part["ci_low"],
                part["ci_high"],
                step="post",
                color=colour,
                alpha=0.15,
                lw=0,
            )
        axis.set_ylim(0, 1.02)
        axis.set_xlabel("days after the landmark")
        axis.set_title(group or "all animals")
        axis.legend(frameon=False, fontsize=7, loc="lower left")
    axes[0].set_ylabel("share still present")
    return figure
