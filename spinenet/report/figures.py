"""Pictures of single dendrites, and every figure as bytes that are the same on every run."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from spinenet.types import FloatArray, Presence

FATE_COLOURS = {
    "stable": "#4aa3ff",
    "new": "#3ddc64",
    "new, clustered": "#ff9f1c",
    "lost": "#ff4d4d",
    "recurrent": "#b07cff",
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


def as_bytes(figure: Figure, kind: Literal["svg", "pdf", "png"]) -> bytes:
    """A picture file, without the time at which it was made."""
    out = io.BytesIO()
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": None}
    with mpl.rc_context(STYLE):
        figure.savefig(out, format=kind, metadata=undated[kind], bbox_inches="tight", dpi=200)
    return out.getvalue()


def as_text(name: str) -> str:
    """A name as it stands: between dollar signs matplotlib sees formulas, and behind an underscore
    something that no legend shall show."""
    plain = name.replace("$", r"\$")
    return f" {plain}" if plain.startswith("_") else plain


def as_pages(figures: dict[str, Figure]) -> bytes:
    """A PDF with a page for each figure, under its title."""
    out = io.BytesIO()
    with mpl.rc_context(STYLE), PdfPages(out, metadata={"CreationDate": None}) as pages:
        for title, figure in figures.items():
            heading = figure.suptitle(as_text(title), fontsize=8, y=1.02)
            pages.savefig(figure, bbox_inches="tight", dpi=200)
            heading.remove()  # elsewhere they stand under titles of their own
    return out.getvalue()


def inline(svg: bytes) -> str:
    """An SVG file as a page takes it, from the first tag on."""
    text = svg.decode("utf-8")
    return text[text.index("<svg") :]


def fates(tracks: pd.DataFrame, states: pd.DataFrame, clusters: pd.DataFrame) -> dict[int, str]:
    """What became of each track of one region, by `states.csv` and `clusters.csv`: a key of
    `FATE_COLOURS`; unknown what was left out of the analysis, or never seen."""
    clustered = {
        int(k)
        for ids in clusters.loc[clusters["rule"] == "contiguous", "track_ids"]
        for k in str(ids).split(";")
    }
    out = {int(k): "unknown" for k in tracks["track_id"]}
    for k, state in zip(states["track_id"], states["state"], strict=True):
        fate = str(state) if state in FATE_COLOURS else "new"  # transient and persistent too
        out[int(k)] = "new, clustered" if fate == "new" and int(k) in clustered else fate
    return out


def _even(strip: Strip) -> tuple[npt.NDArray[np.float32], float, float]:
    """The picture with columns even in the shared frame, and where it begins and ends there: those
    of the strip are even along the dendrite as it lay in its session."""
    n = len(strip.s_um)
    s = np.linspace(strip.s_um[0], strip.s_um[-1], n)
    nearest = np.rint(np.interp(s, strip.s_um, np.arange(n))).astype(int)
    half = (s[-1] - s[0]) / max(n - 1, 1) / 2
    return strip.picture[:, nearest], s[0] - half, s[-1] + half


def dendrite_map(
    strips: list[Strip], tracks: pd.DataFrame, spines: pd.DataFrame, fate: dict[int, str]
) -> Figure:
    """One dendrite over its sessions: straightened image, spines coloured by fate.

    Filled: seen; ring: looked for and not there; ?: could not be scored there; ×: out of view.
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
        picture, start, end = _even(strip)
        axis.imshow(
            picture,
            cmap="gray",
            vmin=low,
            vmax=top if top > low else low + 1,
            extent=(start, end, strip.side_um, -strip.side_um),
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
            else:
                axis.text(
                    x, y, "×", color=colour, fontsize=6, ha="center", va="center", clip_on=True
                )
        axis.set_yticks([])
        axis.set_ylabel(f"day {strip.day:g}", rotation=0, ha="right", va="center")
        axis.spines[["left", "bottom"]].set_visible(False)
    axes[-1].set_xlabel("arc length (µm)")
    return figure
