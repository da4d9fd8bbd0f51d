"""Graphs as GEFF, the Graph Exchange File Format of tracking programs (a zarr folder).

Axes and units are always written, and demanded when read.
"""

from __future__ import annotations

import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from spinenet.io.formats.graph import FROM, TO, SpineGraph
from spinenet.types import FloatArray, InputError, IntArray

WRITTEN = (
    "session",
    "day",
    "spine_id",
    "track_id",
    "dendrite_id",
    "arc_length_um",
    "azimuth_deg",
    "length_um",
    "head_volume_um3",
    "strength",
    "probability",
)
"""Columns of `spines.csv` that become properties of the nodes, besides the place."""
UM = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3}


@dataclass(frozen=True)
class EditedGraph:
    """What a GEFF file says.

    Parameters
    ----------
    place_um: (N, 3) z, y, x
    t: (N,) value of the time axis
    edges: (E, 2) rows of the nodes, the earlier first
    animal, region: blank where spinenet did not write the file
    mark: `SpineGraph.mark` of the results that it was exported from; blank where it does not say
    """

    node: IntArray
    place_um: FloatArray
    t: IntArray
    edges: IntArray
    animal: str
    region: str
    mark: str


def write_geff(path: Path, graph: SpineGraph) -> Path:
    """A new folder that ends in `.geff`.

    Raises
    ------
    InputError
        If the package `geff` is not installed, or the folder exists: a person may have edited it.
    """
    geff, spec = _library()
    if path.exists():
        raise InputError(
            f"{path} exists, and may have been edited: it is not written over. Move it away, or "
            "give another --out."
        )
    nodes, edges = graph.nodes, graph.edges
    space = {f"{axis}_um": axis for axis in "zyx"}
    axes = [spec.Axis(name="t", type="time", unit="frame")]
    axes += [spec.Axis(name=a, type="space", unit="micrometer") for a in space.values()]
    about = {
        "animal": graph.sessions[0].animal,
        "region": graph.sessions[0].region,
        "sessions": [[s.index, s.day] for s in graph.sessions],
        "results": graph.mark,
        "places": "um from the centre of the first voxel of each session's own stack",
    }
    metadata = spec.GeffMetadata(
        geff_version=spec.__version__,
        directed=True,
        axes=axes,
        node_props_metadata={},
        edge_props_metadata={},
        extra={"spinenet": about},
    )
    named = nodes[["t", *space, *WRITTEN]].rename(columns=space).dropna(axis=1, how="all")
    aside = path.with_name(f".{uuid.uuid4().hex}.tmp.geff")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        geff.core_io.write_arrays(
            aside,
            nodes["node"].to_numpy(np.uint64),
            {name: _values(column) for name, column in named.items()},
            edges[[FROM, TO]].to_numpy(np.uint64),
            {name: _values(edges[name]) for name in ("p_link", "gap") if edges[name].notna().any()},
            metadata,
        )
        os.replace(aside, path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return path


def _library() -> tuple[ModuleType, ModuleType]:
    try:
        import geff.core_io
        import geff_spec
    except ImportError as error:
        raise InputError(
            "GEFF needs the package geff, which is not installed. Install it with: "
            "pip install 'dendritic-spinenet[exchange]'"
        ) from error
    return geff, geff_spec


def _values(column: pd.Series) -> dict[str, Any]:
    missing = column.isna().to_numpy(bool)
    kind = np.int64 if pd.api.types.is_integer_dtype(column) else np.float64
    values = column.fillna(0).to_numpy(kind)
    return {"values": values, "missing": missing if missing.any() else None}


def read_geff(path: Path) -> EditedGraph:
    """A graph that another program may have edited.

    Raises
    ------
    InputError
        If it is no GEFF folder, or does not say what its axes are and in which units.
    """
    geff, _ = _library()
    try:
        found = geff.core_io.read_to_memory(path)
    except (ValueError, FileNotFoundError, KeyError) as error:
        raise InputError(
            f"{path} cannot be read as GEFF ({error}). The folder itself was expected (it holds "
            "zarr files), as `spinenet export` or a tracking program writes it."
        ) from error
    axes = {a.name: a for a in found["metadata"].axes or ()}
    props = {name: _floats(p) for name, p in found["node_props"].items() if name in axes}
    missing = [a for a in "tzyx" if a not in axes or a not in props]
    if missing:
        raise InputError(
            f"{path} has no ax{'is' if len(missing) == 1 else 'es'} {', '.join(missing)}; t, z, y "
            "and x were expected, as `spinenet export` writes them. Save it with axes."
        )
    place = np.stack([props[a] * _um(path, axes[a]) for a in "zyx"], axis=1)
    node = found["node_ids"].astype(np.int64)
    nowhere = ~np.isfinite(np.c_[place, props["t"]]).all(axis=1)
    if nowhere.any():
        raise InputError(
            f"{path}: node {node[nowhere][0]} lacks t, z, y or x. A spine needs all four: a node "
            "added in a view of one plane is the usual cause. Fill its place or delete it."
        )
    ends = found["edge_ids"].astype(np.int64).reshape(-1, 2)
    loose = ~np.isin(ends, node).all(axis=1)
    if loose.any():
        a, b = ends[loose][0]
        raise InputError(
            f"{path}: the edge from node {a} to {b} ends at a node that is not there. Delete it, "
            "or save the graph again in the program that wrote it."
        )
    order = np.argsort(node)
    edges = order[np.searchsorted(node[order], ends)]
    between = props["t"] != np.rint(props["t"])
    if between.any():
        raise InputError(
            f"{path}: node {node[between][0]} is at t {props['t'][between][0]:g}; the whole number "
            "of a session, counted from 0, was expected. Move it to one."
        )
    loops = ends[:, 0] == ends[:, 1]
    if loops.any():
        raise InputError(f"{path}: an edge joins node {ends[loops][0][0]} to itself. Delete it.")
    t = props["t"].astype(np.int64)
    edges = np.where((t[edges[:, 0]] <= t[edges[:, 1]])[:, None], edges, edges[:, ::-1])
    about = (found["metadata"].extra or {}).get("spinenet", {})
    where = tuple(str(about.get(name, "")) for name in ("animal", "region", "results"))
    return EditedGraph(node, place, t, edges.reshape(-1, 2), *where)


def _floats(prop: Any) -> FloatArray:
    values = np.asarray(prop["values"])
    if not np.issubdtype(values.dtype, np.number):
        return np.full(len(values), np.nan)
    out = values.astype(float)
    if prop["missing"] is not None:
        out[np.asarray(prop["missing"], bool)] = np.nan
    return out


def _um(path: Path, axis: Any) -> float:
    """Size of the axis' unit in um."""
    unit, scale = axis.unit, 1.0
    if unit not in UM and axis.scale is not None:
        unit, scale = axis.scaled_unit, float(axis.scale)
    if unit not in UM:
        raise InputError(
            f"{path}: axis {axis.name} is in {unit!r}; {', '.join(UM)} were expected, or a scale "
            "to one of them. Pixels without their size cannot be placed."
        )
    return UM[unit] * scale
