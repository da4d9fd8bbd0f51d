"""Results for other programs, and what was edited there as corrections."""

from __future__ import annotations

import logging
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from spinenet.config import ExportFormat
from spinenet.io.corrections import PLACE, PLACE_TO
from spinenet.io.formats.geff import EditedGraph, read_geff, write_geff
from spinenet.io.formats.graph import FROM, TO, SpineGraph, graphs_of
from spinenet.io.formats.mapmanager import write_mapmanager
from spinenet.io.formats.trackmate import write_trackmate
from spinenet.io.labels import label_voxel_um
from spinenet.io.layout import label_file
from spinenet.io.write import write_table
from spinenet.match.stray import CLAIMED_UM
from spinenet.tables import CORRECTIONS
from spinenet.types import InputError, IntArray, Session, Um3

logger = logging.getLogger(__name__)
HAIR_UM = 0.01
"""Files hold places no finer."""
AWAY = -1


def export(results: Path, to: ExportFormat, out: Path) -> list[Path]:
    """One file (GEFF: one folder) per region.

    Raises
    ------
    InputError
        If the results lack what the format needs, or a file would be written over.
    """
    written = []
    for graph in graphs_of(results):
        if to == "geff":
            written.append(write_geff(out / f"{graph.name}.geff", graph))
        elif to == "trackmate":
            written.append(write_trackmate(_fresh(out / f"{graph.name}.xml"), graph))
        else:
            voxels = {s.index: _voxel(results, s) for s in graph.sessions}
            written.append(write_mapmanager(_fresh(out / f"{graph.name}.csv"), graph, voxels))
    return written


def _fresh(path: Path) -> Path:
    if path.exists():
        raise InputError(
            f"{path} is there already, and may hold what you edited. Give another folder, or move "
            "it away."
        )
    return path


def _voxel(results: Path, session: Session) -> Um3:
    path = label_file(results, session.name)
    if not path.exists():
        raise InputError(
            f"{path} was not found; the voxel size is read from it, as MapManager counts pixels. "
            "Export from the folder that `infer` or `link` wrote."
        )
    return label_voxel_um(path)


def corrections_from(edited: Path, results: Path, out: Path) -> pd.DataFrame:
    """What a person changed in an exported GEFF, as a new `corrections.csv`.

    A node taken away is `delete`, a new one `add`; an edge made is `same`. Of a track that was cut,
    `different` parts every sighting of one piece from those of the others, and `same` holds each
    piece together: one pair alone would leave the rest to be joined around it.

    Raises
    ------
    InputError
        If `out` exists, the graph is of no region of the results, or a spine has two partners in
        one session.
    """
    if out.exists():
        raise InputError(
            f"{out} exists, and a file of corrections is never overwritten. Give another --out, "
            "and put both together by hand if you want to keep both."
        )
    graph = read_geff(edited)
    machine = _region(graph, graphs_of(results), edited)
    rows = [
        {"animal": machine.sessions[0].animal, "region": machine.sessions[0].region, **row}
        for row in _changes(graph, machine, edited.name)
    ]
    frame = CORRECTIONS.frame([row | {"note": edited.name} for row in rows])
    write_table(out.parent, CORRECTIONS, frame, file=out.name)
    return frame


def _region(edited: EditedGraph, graphs: list[SpineGraph], path: Path) -> SpineGraph:
    """The region that a graph is of: by its own word, else the only one."""
    where = edited.animal, edited.region
    mine = [g for g in graphs if (g.sessions[0].animal, g.sessions[0].region) == where]
    if mine and edited.mark not in ("", mine[0].mark):
        raise InputError(
            f"{path} was exported from other results than those given: they were made anew since, "
            "and what the file never held would be called deleted. Give the results that it was "
            "exported from, or export these and edit them."
        )
    if mine:
        return mine[0]
    if where == ("", "") and len(graphs) == 1:
        return graphs[0]
    known = "; ".join(f"{g.sessions[0].animal}, {g.sessions[0].region}" for g in graphs)
    raise InputError(
        f"{path} is of animal {edited.animal!r}, region {edited.region!r}; the results hold "
        f"{known or 'none'}. Give the results that it was exported from."
    )


def _changes(edited: EditedGraph, machine: SpineGraph, name: str) -> list[dict[str, Any]]:
    session = _sessions(edited, machine, name)
    place = dict(enumerate(edited.place_um))
    own = _machine_nodes(edited, machine, session)
    nodes = machine.nodes.set_index("node")

    def at(k: int, columns: list[str]) -> dict[str, Any]:
        """Where the machine has the spine, if it has it: corrections name spines by place."""
        um = nodes.loc[own[k], PLACE] if own[k] != AWAY else place[k]
        return dict(zip(columns, map(float, um), strict=True))

    def about(action: str, a: int, b: int) -> dict[str, Any]:
        ends = {"session": int(session[a]), "session_to": int(session[b])}
        return {"action": action, **ends, **at(a, PLACE), **at(b, PLACE_TO)}

    gone = nodes.drop(index=own[own != AWAY])
    if not edited.mark and len(gone):
        logger.warning(
            "%s does not say which results it was exported from: that it lacks %d of their spines "
            "is taken for deletions. If the results were made anew since, export and edit again.",
            name,
            len(gone),
        )
    rows: list[dict[str, Any]] = [
        {"action": "delete", "session": r["session"], **{c: r[c] for c in PLACE}}
        for r in gone.to_dict("records")
    ]
    rows += [
        {"action": "add", "session": int(session[k]), **at(int(k), PLACE)}
        for k in np.flatnonzero(own == AWAY)
    ]
    moved = _moved(edited, nodes, own)
    if moved:
        logger.warning(
            "%s: moved by less than spines are told apart by, and so where they were found: %d of "
            "its nodes. To move one, delete it and add one where it belongs.",
            name,
            moved,
        )
    chains = _chains(edited, session, name)
    links = machine.edges[[FROM, TO]].to_numpy(np.int64)
    known = {frozenset(e) for e in links.tolist()}
    for a, b in edited.edges:
        if frozenset((int(own[a]), int(own[b]))) not in known:
            rows.append(about("same", int(a), int(b)))
    kept = {int(node): k for k, node in enumerate(own) if node != AWAY}
    for _, track in nodes.groupby(_connected(links, len(nodes))):  # nodes are in session order
        pieces = _pieces([kept.get(int(n)) for n in track.index], chains)
        for a, b in combinations(pieces, 2):
            # a part that was cut off is no part of the rest, however else it might be joined
            if pieces[a] != pieces[b]:
                rows.append(about("different", a, b))
        for a, b in pairwise(pieces):
            if chains[a] == chains[b] and len(set(pieces.values())) > 1:
                rows.append(about("same", a, b))
    return rows


def _moved(edited: EditedGraph, nodes: pd.DataFrame, own: IntArray) -> int:
    """How many nodes stand beside the machine's spines that they are taken for."""
    kept = own != AWAY
    found = nodes.loc[own[kept], PLACE].to_numpy(float)
    return int((np.abs(edited.place_um[kept] - found) > HAIR_UM).any(axis=1).sum())


def _pieces(mine: list[int | None], chains: IntArray) -> dict[int, int]:
    """By sighting of a machine's track that was kept, the piece it belongs to now. None stands for
    a sighting taken away: that alone cuts nothing."""
    piece: dict[int, int] = {}
    same: dict[int, int] = {}
    before: int | None = None
    taken = False
    for k in mine:
        if k is None:
            taken = True
            continue
        chain = int(chains[k])
        if taken and before is not None:
            same.setdefault(chain, piece[before])
        piece[k] = same.setdefault(chain, chain)
        before, taken = k, False
    return piece


def _sessions(edited: EditedGraph, machine: SpineGraph, name: str) -> IntArray:
    """(N,) the session of every node, by its place in their order: other programs fill further
    properties of new nodes with defaults."""
    known = np.array([s.index for s in machine.sessions])
    odd = (edited.t < 0) | (edited.t >= len(known))
    if odd.any():
        raise InputError(
            f"{name}: node {edited.node[odd][0]} is at t {edited.t[odd][0]}; 0 to "
            f"{len(known) - 1} were expected, the {len(known)} sessions in their order."
        )
    session: IntArray = known[edited.t]
    return session


def _machine_nodes(edited: EditedGraph, machine: SpineGraph, session: IntArray) -> IntArray:
    """(N,) the machine's node for every edited one, `AWAY` if new: the nearest one to one, and as
    near as corrections take a place for a spine."""
    own = np.full(len(session), AWAY)
    for s in np.unique(session):
        mine = np.flatnonzero(session == s)
        there = machine.nodes[machine.nodes["session"] == s]
        far = np.linalg.norm(
            (edited.place_um[mine, None] - there[PLACE].to_numpy(float)[None]) / CLAIMED_UM, axis=2
        )
        i, j = linear_sum_assignment(np.minimum(far, 2.0))
        near = far[i, j] < 1
        own[mine[i[near]]] = there["node"].to_numpy()[j[near]]
    return own


def _chains(edited: EditedGraph, session: IntArray, name: str) -> IntArray:
    """(N,) number of the connected part of every node; at most one node of each per session."""
    chains = _connected(edited.edges, len(session))
    twice = pd.DataFrame({"chain": chains, "session": session}).duplicated()
    if twice.any():
        k = int(twice.to_numpy().argmax())
        raise InputError(
            f"{name}: node {edited.node[k]} is joined, directly or by way of others, to another "
            f"node of its own session, {session[k]}; a spine is one thing in one session. Cut an "
            "edge."
        )
    return chains


def _connected(edges: IntArray, n: int) -> IntArray:
    """(n,) number of the connected part of every node."""
    a, b = edges.reshape(-1, 2).T
    joined = coo_array((np.ones(len(a)), (a, b)), shape=(n, n))
    part: IntArray = connected_components(joined, directed=False)[1]
    return part
