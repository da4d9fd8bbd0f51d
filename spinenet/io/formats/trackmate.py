"""Graphs as TrackMate's XML, which Fiji opens (File > Load a TrackMate file)."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pandas as pd

from spinenet.io.formats.graph import FROM, TO, SpineGraph
from spinenet.io.write import write_text

VERSION = "7.11.1"
"""The TrackMate whose files these are like."""
NO_IMAGE = {
    "filename": "",
    "folder": "",
    "width": "0",
    "height": "0",
    "nslices": "0",
    "pixelwidth": "1.0",
    "pixelheight": "1.0",
    "voxeldepth": "1.0",
    "timeinterval": "1.0",
}
"""Places are um already, each in a stack of its own."""
SPOT_FEATURES = {
    "QUALITY": ("Quality", "QUALITY", "false"),
    "POSITION_X": ("X", "POSITION", "false"),
    "POSITION_Y": ("Y", "POSITION", "false"),
    "POSITION_Z": ("Z", "POSITION", "false"),
    "POSITION_T": ("T", "TIME", "false"),
    "FRAME": ("Frame", "NONE", "true"),
    "RADIUS": ("Radius", "LENGTH", "false"),
    "VISIBILITY": ("Visibility", "NONE", "true"),
}
EDGE_FEATURES = {
    "SPOT_SOURCE_ID": ("Source spot ID", "NONE", "true"),
    "SPOT_TARGET_ID": ("Target spot ID", "NONE", "true"),
    "LINK_COST": ("Edge cost", "COST", "false"),
}
TRACK_FEATURES = {
    "TRACK_ID": ("Track ID", "NONE", "true"),
    "NUMBER_SPOTS": ("Number of spots in track", "NONE", "true"),
}


def write_trackmate(path: Path, graph: SpineGraph) -> Path:
    """One file per region; a spine is a spot, `LINK_COST` 1 - p, frames the sessions in order.

    Places are um in each session's own stack, time is in days.
    """
    root = ET.Element("TrackMate", version=VERSION)
    model = ET.SubElement(root, "Model", spatialunits="micron", timeunits="day")
    declared = ET.SubElement(model, "FeatureDeclarations")
    for kind, features in (
        ("SpotFeatures", SPOT_FEATURES),
        ("EdgeFeatures", EDGE_FEATURES),
        ("TrackFeatures", TRACK_FEATURES),
    ):
        group = ET.SubElement(declared, kind)
        for name, (title, dimension, whole) in features.items():
            about = {"feature": name, "name": title, "shortname": title}
            ET.SubElement(group, "Feature", about | {"dimension": dimension, "isint": whole})
    _spots(model, graph)
    _tracks(model, graph)
    settings = ET.SubElement(root, "Settings")
    n_frames = str(len(graph.sessions))
    ET.SubElement(settings, "ImageData", NO_IMAGE | {"nframes": n_frames})
    # what TrackMate reads without asking whether it is there
    ET.SubElement(settings, "InitialSpotFilter", feature="QUALITY", value="0.0", isabove="true")
    for name in ("SpotFilterCollection", "TrackFilterCollection", "AnalyzerCollection"):
        ET.SubElement(settings, name)
    ET.SubElement(root, "GUIState", state="ConfigureViews")
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")
    return write_text(path, f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n')


def _spots(model: ET.Element, graph: SpineGraph) -> None:
    every = ET.SubElement(model, "AllSpots", nspots=str(len(graph.nodes)))
    for frame in range(len(graph.sessions)):
        inside = ET.SubElement(every, "SpotsInFrame", frame=str(frame))
        for spine in graph.nodes[graph.nodes["t"] == frame].to_dict("records"):
            width = spine["head_width_um"]
            radius = width / 2 if width > 0 else 0.25  # a head too small to measure is drawn so
            about = {
                "ID": str(spine["node"]),
                "name": f"spine{spine['spine_id']}",
                "QUALITY": f"{spine['probability']:.4g}",
                "POSITION_X": f"{spine['x_um']:.4f}",
                "POSITION_Y": f"{spine['y_um']:.4f}",
                "POSITION_Z": f"{spine['z_um']:.4f}",
                "POSITION_T": f"{spine['day']:.6g}",
                "FRAME": str(frame),
                "RADIUS": f"{radius:.4f}",
                "VISIBILITY": "1",
            }
            ET.SubElement(inside, "Spot", about)


def _tracks(model: ET.Element, graph: SpineGraph) -> None:
    """Spots that were seen once are in no track, as in TrackMate itself."""
    track = graph.nodes.set_index("node")["track_id"]
    every = ET.SubElement(model, "AllTracks")
    kept = ET.SubElement(model, "FilteredTracks")
    for number, links in graph.edges.groupby(track.reindex(graph.edges[FROM]).to_numpy()):
        name = {"name": f"track{number}", "TRACK_ID": str(number)}
        one = ET.SubElement(every, "Track", name | {"NUMBER_SPOTS": str(len(links) + 1)})
        for link in links.to_dict("records"):
            cost = 1 - link["p_link"] if pd.notna(link["p_link"]) else 0.0
            ends = {"SPOT_SOURCE_ID": str(link[FROM]), "SPOT_TARGET_ID": str(link[TO])}
            ET.SubElement(one, "Edge", ends | {"LINK_COST": f"{cost:.4g}"})
        ET.SubElement(kept, "TrackID", TRACK_ID=str(number))
