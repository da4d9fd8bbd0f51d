"""The analysis alone, of tracks from anywhere: also of a table scored by hand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from spinenet import __version__
from spinenet.analyze.summary import Evidence, analyze
from spinenet.config import InferConfig
from spinenet.io.write import write_table, write_text
from spinenet.pipeline.corridor import Outcome
from spinenet.pipeline.results import analysis_figures, analysis_tables, write_figures
from spinenet.report.methods import analysis_methods
from spinenet.report.page import DendriteMap, five_numbers, make_page
from spinenet.report.study import straight_map
from spinenet.tables import TRACKS
from spinenet.types import Analysis, Tracks


def analyze_tracks(tracks: Tracks, out: Path, config: InferConfig, evidence: Evidence) -> Outcome:
    """The analysis alone, of tracks from anywhere: tables and a page without images."""
    analysis = analyze(tracks, config.analyze, evidence, config.seed)
    tables = analysis_tables(analysis)
    for table, frame in tables.items():
        write_table(out, table, frame)
    maps = _straight_maps(tracks.frame, analysis)
    # of a folder that a person chose nothing is removed: figures of the same name may be their own
    drawn = {name: figure for name, figure in analysis_figures(analysis).items() if figure}
    page = make_page(
        "Dendritic spines over time",
        f"{tracks.frame['animal'].nunique()} animals. spinenet {__version__}.",
        analysis,
        {t.file: f for t, f in ({TRACKS: tracks.frame} | tables).items()},
        (write_figures(out, drawn, maps), maps),
        ([], analysis_methods(config.analyze)),
    )
    return Outcome(write_text(out / "report.html", page), five_numbers(analysis), {})


def _straight_maps(tracks: pd.DataFrame, analysis: Analysis) -> list[DendriteMap]:
    """Every dendrite over its sessions, without images."""
    maps = []
    for (animal, region), of_region in tracks.groupby(["animal", "region"]):
        states, clusters = (
            frame[(frame["animal"] == animal) & (frame["region"] == region)]
            for frame in (analysis.states, analysis.clusters)
        )
        for dendrite, part in of_region.groupby("dendrite_id"):
            figure = straight_map(part, states, clusters)
            title = f"{animal}, {region}, dendrite {dendrite}: {part['track_id'].nunique()} spines"
            maps.append(DendriteMap(title, figure))
    return maps
