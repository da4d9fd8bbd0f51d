"""Dendrites that a person chose: a table like dendrites.csv, or an SWC trace. Coordinates in um."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from spinenet.geometry import arc_length, join_ends, resample, smooth
from spinenet.io.table import read_table
from spinenet.tables import TRACES
from spinenet.types import Dendrites, InputError, Segment

NODE_UM = 0.5
SMOOTH_UM = (1.5, 0.5, 0.5)
"""Clicks wander by a slice and a few pixels."""
TYPICAL_RADIUS_UM = 0.4
BRANCH_COSINE = 0.7


@dataclass(frozen=True)
class Traces:
    """Traced centrelines; a blank animal, region or session fits any."""

    frame: pd.DataFrame
    source: str

    def of(self, animal: str, region: str, sessions: list[int]) -> tuple[int, Dendrites]:
        """The first of `sessions` that was traced, and its dendrites in um of that session.

        Raises
        ------
        InputError
            If no session of the region was traced, or a trace is a single point.
        """
        f = self.frame
        mine = f[f["animal"].isin(["", animal]) & f["region"].isin(["", region])]
        for session in sessions:
            here = mine[mine["session"].isna() | (mine["session"] == session)]
            if len(here):
                return session, Dendrites(
                    tuple(
                        self._segment(int(d), rows)
                        for d, rows in here.groupby("dendrite_id", sort=True)
                    )
                )
        raise InputError(
            f"{self.source} holds no dendrite of animal {animal!r}, region {region!r} in the "
            f"sessions {', '.join(map(str, sorted(sessions)))}. Trace at least one of its sessions "
            "and give it the same names as sessions.csv does, or leave the region out."
        )

    def _segment(self, number: int, rows: pd.DataFrame) -> Segment:
        points = rows[["z_um", "y_um", "x_um"]].to_numpy(float)
        points = points[np.r_[True, np.any(np.diff(points, axis=0) != 0, axis=1)]]
        if len(points) < 2:
            raise InputError(
                f"{self.source}: dendrite {number} has {len(points)} node; at least two different "
                "places are needed to draw a line. Remove it or trace it."
            )
        line = smooth(resample(points, NODE_UM), NODE_UM, SMOOTH_UM)
        known = rows.loc[rows["radius_um"] > 0, "radius_um"]
        radius = float(known.median()) if len(known) else TYPICAL_RADIUS_UM
        return Segment(number, line, np.full(len(line), radius), arc_length(line))


def read_traces(path: Path) -> Traces:
    """A CSV (columns of dendrites.csv; `dendrite` for `dendrite_id`) or an SWC of one session.

    An SWC says nothing of animal, region and session: it fits any region, in the frame of the
    session in the middle, to which the others are registered.

    Raises
    ------
    InputError
        If it is missing, of another kind, or holds no line.
    """
    if path.suffix.lower() == ".swc":
        frame = _from_swc(path)
    elif path.suffix.lower() == ".csv":
        frame = read_table(path, TRACES, renamed={"dendrite": "dendrite_id"})
    else:
        raise InputError(f"{path.name}: traces are read from .csv or .swc files. Export one.")
    if frame.empty:
        raise InputError(f"{path.name} holds no nodes. Trace at least one dendrite.")
    return Traces(frame, path.name)


def _from_swc(path: Path) -> pd.DataFrame:
    """Unbranched stretches, the straightest two at a branch point joined to one dendrite."""
    if not path.is_file():
        raise InputError(f"{path} was not found. Check the name and the folder.")
    try:
        table = np.loadtxt(path, comments="#", ndmin=2, encoding="utf-8-sig")
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path.name} is not an SWC file ({error}): seven numbers a line were expected, "
            "id type x y z radius parent, in um."
        ) from error
    if table.size == 0 or table.shape[1] < 7:
        raise InputError(f"{path.name} holds no SWC nodes (id type x y z radius parent, in um).")
    place = {int(r[0]): r[[4, 3, 2, 5]] for r in table}
    parent = {int(r[0]): int(r[6]) for r in table}
    lost = sorted(p for p in set(parent.values()) if p >= 0 and p not in place)
    if lost:
        raise InputError(
            f"{path.name}: node {lost[0]} is named as a parent but is not in the file. It was "
            "cut short or edited; export it again."
        )
    lines = [np.array([place[i] for i in line]) for line in _stretches(parent)]
    lines = join_ends([line for line in lines if len(line) > 1], 0.01, BRANCH_COSINE)
    rows = [
        {"dendrite_id": d, "z_um": z, "y_um": y, "x_um": x, "radius_um": r}
        for d, line in enumerate(lines)
        for z, y, x, r in line
    ]
    return TRACES.frame(rows)


def _stretches(parent: dict[int, int]) -> list[list[int]]:
    """Nodes of every stretch between roots, branch points and ends, both included."""
    children: dict[int, list[int]] = {}
    for node, above in parent.items():
        children.setdefault(above, []).append(node)
    out = []
    for node, above in parent.items():
        if above < 0 or len(children[above]) > 1 or parent[above] < 0:
            line = [above, node] if above >= 0 else [node]
            while above >= 0 and len(children.get(line[-1], [])) == 1:
                line.append(children[line[-1]][0])
            out.append(line)
    return out
