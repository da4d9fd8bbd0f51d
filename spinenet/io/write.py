"""Results out: tidy tables, label stacks, ROIs and traces, each whole or not at all.

The same results give the same bytes: no times of writing, the OME UUID made from the content.
"""

from __future__ import annotations

import hashlib
import json
import uuid
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import tifffile
from roifile import ROI_TYPE, ImagejRoi
from scipy import ndimage
from skimage.measure import find_contours

from spinenet.io.atomic import published
from spinenet.tables import Table
from spinenet.types import Um3, Volume

LONG_AGO = (1980, 1, 1, 0, 0, 0)


def write_table(folder: Path, table: Table, frame: pd.DataFrame, file: str = "") -> Path:
    """A table of the contract as CSV, under its own name or that of `file`; further columns are
    left out."""
    path = folder / (file or table.file)
    shown = table.conform(frame)[table.names]
    for name in shown.columns[shown.columns.str.startswith("day")]:  # counted from any zero
        shown[name] = shown[name].map("{:.12g}".format).where(shown[name].notna(), "")
    with published(path) as aside:
        shown.to_csv(aside, index=False, float_format="%.7g", lineterminator="\n")
    return path


def write_text(path: Path, text: str) -> Path:
    """A text file (UTF-8)."""
    with published(path) as aside:
        aside.write_text(text, encoding="utf-8", newline="\n")
    return path


def write_bytes(path: Path, content: bytes) -> Path:
    """Any file whose bytes are ready."""
    with published(path) as aside:
        aside.write_bytes(content)
    return path


def write_json(path: Path, content: object) -> Path:
    """Indented JSON with sorted keys."""
    return write_text(path, json.dumps(content, indent=1, sort_keys=True, default=str) + "\n")


def write_stack(path: Path, data: npt.NDArray[np.generic], voxel_um: Um3) -> Path:
    """(Z, Y, X) as OME-TIFF with its voxel size, compressed without loss."""
    content = hashlib.sha256(np.ascontiguousarray(data).data.cast("B")).hexdigest()
    z, y, x = voxel_um
    meta = {
        "axes": "ZYX",
        "PhysicalSizeZ": z,
        "PhysicalSizeY": y,
        "PhysicalSizeX": x,
        **{f"PhysicalSize{a}Unit": "µm" for a in "ZYX"},
        "UUID": str(uuid.UUID(content[:32])),
    }
    with published(path) as aside:
        tifffile.imwrite(
            aside, data, ome=True, metadata=meta, compression="zlib", photometric="minisblack"
        )
    return path


def write_volume(path: Path, volume: Volume) -> Path:
    """A stack as OME-TIFF."""
    return write_stack(path, volume.data, volume.voxel_size_um)


def write_rois(
    path: Path, spines: pd.DataFrame, labels: npt.NDArray[np.uint16], voxel_um: Um3
) -> Path:
    """ImageJ ROIs of one session, named by track: outlines of masks, points where there is none.

    An outline is that of the mask's projection, on the slice of the head's centre. ImageJ counts
    pixels from their corner: the centre of the first lies at 0.5.
    """
    boxes = ndimage.find_objects(labels)
    with published(path) as aside, zipfile.ZipFile(aside, "w") as archive:
        for row in spines.to_dict("records"):
            name = f"track{row['track_id']}_spine{row['spine_id']}"
            value = int(row["label"])
            box = boxes[value - 1] if 0 < value <= len(boxes) else None
            outline = None if box is None else _outline(labels[box] == value, box)
            if outline is None:
                outline = np.array([[row["x_um"] / voxel_um[2], row["y_um"] / voxel_um[1]]])
            plane = round(row["z_um"] / voxel_um[0])  # from 0; roifile writes ImageJ's number
            roi = ImagejRoi.frompoints(outline + 0.5, name=name, position=plane)
            roi.roitype = ROI_TYPE.POLYGON if len(outline) > 2 else ROI_TYPE.POINT
            archive.writestr(zipfile.ZipInfo(f"{name}.roi", LONG_AGO), roi.tobytes())
    return path


def _outline(mask: npt.NDArray[np.bool_], box: tuple[slice, ...]) -> npt.NDArray[np.float64] | None:
    """(N, 2) x, y of the longest outline of a mask's projection, in pixels of the stack."""
    flat = np.pad(mask.any(axis=0), 1).astype(np.float32)
    lines = find_contours(flat, 0.5)
    if not lines:
        return None
    longest = max(lines, key=len)[:-1] - 1
    return (longest + [box[1].start, box[2].start])[:, ::-1]


def write_swc(path: Path, nodes: pd.DataFrame) -> Path:
    """Centrelines of one session as SWC (x, y, z and radius in um), one tree per dendrite."""
    lines = ["# spinenet centrelines; x y z radius in um"]
    number = 0
    for _, line in nodes.groupby("dendrite_id", sort=True):
        for i, row in enumerate(line.to_dict("records")):
            number += 1
            parent = number - 1 if i and row["parent_node"] >= 0 else -1
            place = f"{row['x_um']:.4f} {row['y_um']:.4f} {row['z_um']:.4f} {row['radius_um']:.4f}"
            lines.append(f"{number} 3 {place} {parent}")
    return write_text(path, "\n".join(lines) + "\n")
