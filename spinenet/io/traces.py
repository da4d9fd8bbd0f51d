"""Dendrites that a person chose: a table like dendrites.csv, or an SWC trace. Coordinates in um."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import pdist, squareform

from spinenet.geometry import arc_length, join_ends, resample, smooth
from spinenet.io.digest import sha256_of
from spinenet.io.sessions import StackFile
from spinenet.io.table import read_table
from spinenet.tables import TRACES
from spinenet.types import FloatArray, InputError, Segment, Session

NODE_UM = 0.5
SMOOTH_UM = (1.5, 0.5, 0.5)
"""Clicks wander by a slice and a few pixels."""
STEADY = 0.9
"""Part of its length that a line keeps when it is smoothed."""
TYPICAL_RADIUS_UM = 0.4
BRANCH_COSINE = 0.7
MOST_WINDING = 2.0
"""Of the line through a dendrite's nodes over the shortest tree that joins them: no dendrite comes
back beside itself, so more is an order that was lost."""
MOST_NODES = 1000
"""Looked at for that."""


@dataclass(frozen=True)
class Traces:
    """Traced centrelines, one row per node (`tables.TRACES`); session by session."""

    frame: pd.DataFrame
    source: str
    sha256: str = ""

    def of(self, animal: str, region: str, sessions: list[int]) -> list[tuple[int, Segment]]:
        """Each dendrite of a region in the first of `sessions` in which it was traced, in um of it.

        Raises
        ------
        InputError
            If no session of the region was traced.
        """
        f = self.frame
        mine = f[f["animal"].isin(["", animal]) & f["region"].isin(["", region])]
        found: dict[int, tuple[int, Segment]] = {}
        for session in sessions:
            for d, rows in mine[mine["session"] == session].groupby("dendrite_id", sort=True):
                found.setdefault(int(d), (session, self._segment(int(d), rows)))
        if not found:
            raise InputError(
                f"{self.source} holds no dendrite of animal {animal!r}, region {region!r} in the "
                f"sessions {', '.join(map(str, sorted(sessions)))}. Trace at least one of its "
                "sessions and give it the same names as sessions.csv does, or leave the region out."
            )
        return [found[d] for d in sorted(found)]

    def traced_in(self, session: Session) -> set[int]:
        """The dendrites that were traced in this session."""
        f = self.frame
        mine = f["animal"].isin(["", session.animal]) & f["region"].isin(["", session.region])
        return {int(d) for d in f.loc[mine & (f["session"] == session.index), "dendrite_id"]}

    def for_stacks(self, stacks: list[StackFile]) -> Traces:
        """The traces with blank sessions filled; checked against the stacks before work begins.

        Raises
        ------
        InputError
            If a region has no trace, a trace means several regions, or the session is left open
            where there are several regions.
        """
        regions: dict[tuple[str, str], list[int]] = {}
        for s in stacks:
            key = (s.session.animal, s.session.region)
            regions.setdefault(key, []).append(s.session.index)
        frame = self.frame
        if frame["session"].isna().any():
            if len(regions) > 1:
                raise InputError(
                    f"{self.source} does not say which session was traced, and there are "
                    f"{len(regions)} regions. Give a CSV with animal, region and session."
                )
            first = min(next(iter(regions.values())))
            frame = frame.assign(session=frame["session"].fillna(first))
        for animal, region in frame[["animal", "region"]].drop_duplicates().to_numpy():
            meant = [r for r in regions if animal in ("", r[0]) and region in ("", r[1])]
            if len(meant) > 1:
                raise InputError(
                    f"{self.source}: animal {animal!r} and region {region!r} mean {len(meant)} of "
                    f"the regions {', '.join(f'{a}, {r}' for a, r in sorted(regions))}. Fill both "
                    "columns as in sessions.csv: one region's trace lies beside another's shafts."
                )
        filled = replace(self, frame=frame)
        for (animal, region), sessions in regions.items():
            filled.of(animal, region, sessions)
        return filled

    def _segment(self, number: int, rows: pd.DataFrame) -> Segment:
        points = rows[["z_um", "y_um", "x_um"]].to_numpy(float)
        points = points[np.r_[True, np.any(np.diff(points, axis=0) != 0, axis=1)]]
        if len(points) < 2:
            raise InputError(
                f"{self.source}: dendrite {number} has {len(points)} node; at least two different "
                "places are needed to draw a line. Remove it or trace it."
            )
        # clicks that wander by a slice wind in depth alone
        path_um, chain_um = min(map(_path_and_chain, (points, points[:, 1:])), key=_winding)
        if path_um > MOST_WINDING * chain_um:
            raise InputError(
                f"{self.source}: the nodes of dendrite {number} jump to and fro: from one to the "
                f"next the way is {path_um:.0f} um long, where {chain_um:.0f} um join them all. A "
                "table that was sorted by another column is the usual cause. Restore the order of "
                "the nodes, or give each its number in a column node."
            )
        line = _steadied(points)
        known = rows.loc[rows["radius_um"] > 0, "radius_um"]
        radius = float(known.median()) if len(known) else TYPICAL_RADIUS_UM
        return Segment(number, line, np.full(len(line), radius), arc_length(line))


def _steadied(points: FloatArray) -> FloatArray:
    """Nodes (N, 3) at even steps, smoothed until once more would hardly shorten the line: of close
    clicks that flicker between slices the smoothing at first spans few."""
    line, more = points, _smoothed(points)
    while line is points or arc_length(more)[-1] < STEADY * arc_length(line)[-1]:
        line, more = more, _smoothed(more)
    return line


def _smoothed(line: FloatArray) -> FloatArray:
    return smooth(resample(line, NODE_UM), NODE_UM, SMOOTH_UM)


def _path_and_chain(points: FloatArray) -> tuple[float, float]:
    """Lengths (um) of the line through nodes (N, 2 or 3) in their order, and of the shortest tree
    that joins them."""
    some = points[:: len(points) // MOST_NODES + 1]
    tree = minimum_spanning_tree(squareform(pdist(np.unique(some, axis=0))))
    return float(arc_length(some)[-1]), float(tree.sum())


def _winding(lengths_um: tuple[float, float]) -> float:
    path, chain = lengths_um
    return path / chain if chain > 0 else 1.0


def read_traces(path: Path) -> Traces:
    """A CSV (columns of dendrites.csv; `dendrite` for `dendrite_id`) or an SWC of one session.

    Nodes are taken in the order of `node`, else of the file. An SWC says nothing of animal, region
    and session: it is taken to show the first session of the only region.

    Raises
    ------
    InputError
        If it is missing, of another kind, or holds no line.
    """
    if path.suffix.lower() == ".swc":
        frame = _from_swc(path)
    elif path.suffix.lower() == ".csv":
        frame = read_table(path, TRACES, renamed={"dendrite": "dendrite_id"})
        frame = frame.sort_values("node", kind="stable")
    else:
        raise InputError(f"{path.name}: traces are read from .csv or .swc files. Export one.")
    if frame.empty:
        raise InputError(f"{path.name} holds no nodes. Trace at least one dendrite.")
    lost = ~np.isfinite(frame[["z_um", "y_um", "x_um"]].to_numpy(float)).all(axis=1)
    if lost.any():
        raise InputError(
            f"{path.name}: dendrite {frame['dendrite_id'].iloc[int(lost.argmax())]} has a node "
            "without a place (a blank, nan or infinite coordinate). Fill it in or remove the node."
        )
    return Traces(frame, path.name, sha256_of(path))


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
    _check_nodes(table, path.name)
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


def _check_nodes(table: FloatArray, name: str) -> None:
    """Columns of an SWC: id, type, x, y, z, radius, parent."""
    names = table[:, [0, 6]]
    numbers = np.isfinite(table[:, [0, 2, 3, 4, 6]]).all(axis=1)
    twice = pd.Series(table[:, 0]).duplicated().to_numpy()
    for what, bad in (
        ("lacks its id, place or parent", ~numbers),
        ("has an id or a parent that is no whole number", (names != np.rint(names)).any(axis=1)),
        ("has the id of a node before it", twice),
    ):
        if bad.any():
            raise InputError(
                f"{name}: node {int(bad.argmax()) + 1} of {len(table)} {what}. Export it again."
            )


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
