"""Where the files of a results folder lie; the truth of a simulation has its label stacks alike."""

from __future__ import annotations

from pathlib import Path

PAGE = "report.html"
LABELS_FOLDER, ROIS_FOLDER, FIGURES_FOLDER = "labels", "rois", "figures"


def label_file(folder: Path, session: str) -> Path:
    """The label stack of a session, by its name (`types.Session.name`)."""
    return folder / LABELS_FOLDER / f"{session}.ome.tif"


def files_of_session(folder: Path, session: str) -> tuple[Path, Path, Path]:
    """Label stack, ROIs and traces of a session."""
    rois = folder / ROIS_FOLDER
    return label_file(folder, session), rois / f"{session}.zip", rois / f"{session}.swc"
