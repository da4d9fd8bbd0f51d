"""The tracks of one region as a graph: a node per spine seen, an edge to its next sighting."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from spinenet.io.digest import fingerprint
from spinenet.io.finished import check_finished
from spinenet.io.table import read_table
from spinenet.tables import SPINES, TRACKS
from spinenet.types import Session

FROM, TO = "source", "target"


@dataclass(frozen=True)
class SpineGraph:
    """Nodes and edges of one region.

    Parameters
    ----------
    nodes: rows of `spines.csv` with `node` (unique in the region) and `t` (0, 1, ... in the order
        of the sessions)
    edges: `source` and `target` (nodes, the earlier first), `p_link` (nan if unknown) and `gap` (1
        between neighbouring sessions)
    sessions: of the region, in order
    """

    nodes: pd.DataFrame
    edges: pd.DataFrame
    sessions: tuple[Session, ...]

    @property
    def mark(self) -> str:
        """Changes where any spine, place or link does."""
        nodes = self.nodes[["session", "spine_id", "z_um", "y_um", "x_um"]]
        return fingerprint(
            nodes.to_numpy(float).tolist(), self.edges[[FROM, TO]].to_numpy().tolist()
        )

    @property
    def name(self) -> str:
        """Safe as a file name, unique within a results folder."""
        return self.sessions[0].name.rsplit("_", 1)[0]


def graphs_of(results: Path) -> list[SpineGraph]:
    """Every region of a results folder.

    Raises
    ------
    InputError
        If `spines.csv` or `tracks.csv` is missing or damaged, or the folder was left half written.
    """
    check_finished(results)
    spines = read_table(results / SPINES.file, SPINES)
    tracks = read_table(results / TRACKS.file, TRACKS)
    return [
        _graph(str(animal), str(region), spines, mine)
        for (animal, region), mine in tracks.groupby(["animal", "region"], sort=True)
    ]


def _graph(animal: str, region: str, spines: pd.DataFrame, tracks: pd.DataFrame) -> SpineGraph:
    when = tracks.drop_duplicates("session").sort_values("session")
    sessions = tuple(
        Session(animal, region, int(r.session), float(r.day), str(r.group))
        for r in when.itertuples(index=False)
    )
    nodes = spines[(spines["animal"] == animal) & (spines["region"] == region)]
    nodes = nodes.sort_values(["session", "spine_id"], ignore_index=True)
    nodes["node"] = np.arange(len(nodes))
    nodes["t"] = np.searchsorted([s.index for s in sessions], nodes["session"])
    seen = tracks[tracks["spine_id"].notna()].astype({"spine_id": "int64"})
    seen = seen.merge(nodes[["session", "spine_id", "node", "t"]], on=["session", "spine_id"])
    seen = seen.sort_values(["track_id", "t"])
    before = seen.groupby("track_id")[["node", "t"]].shift()
    linked = before["node"].notna()
    edges = pd.DataFrame(
        {
            FROM: before.loc[linked, "node"].astype("int64"),
            TO: seen.loc[linked, "node"],
            "p_link": seen.loc[linked, "p_link"],
            "gap": (seen["t"] - before["t"])[linked].astype("int64"),
        }
    )
    return SpineGraph(nodes, edges.reset_index(drop=True), sessions)
