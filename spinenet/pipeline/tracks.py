"""The analysis alone, of tracks from anywhere: also of a table scored by hand."""

from __future__ import annotations

import logging
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from spinenet import __version__
from spinenet.analyze.summary import Evidence, analyze
from spinenet.config import InferConfig
from spinenet.io.digest import sha256_of
from spinenet.io.finished import (
    FIGURES,
    RUN,
    begin_analysis,
    is_of_stacks,
)
from spinenet.io.layout import FIGURES_FOLDER, PAGE
from spinenet.io.write import write_json, write_table, write_text
from spinenet.pipeline.corridor import Outcome
from spinenet.pipeline.results import (
    FIGURE_KINDS,
    MAPS,
    analysis_figures,
    analysis_tables,
    write_figures,
)
from spinenet.report.methods import analysis_methods
from spinenet.report.page import DendriteMap, five_numbers, make_page, several
from spinenet.report.study import straight_map
from spinenet.tables import TRACKS
from spinenet.types import Analysis, InputError, Tracks

WANDERS_UM = 4.0
"""Farther than tissue stretches along one dendrite, once sessions are laid over each other."""
logger = logging.getLogger(__name__)


def analyze_tracks(
    tracks: Tracks,
    out: Path,
    config: InferConfig,
    evidence: Evidence,
    inputs: Sequence[Path] = (),
) -> Outcome:
    """The analysis alone, of tracks from anywhere: tables and a page without images.

    Parameters
    ----------
    inputs: files that the tracks and the evidence were read from, for run.json

    Raises
    ------
    InputError
        If `out` holds the results of a run on stacks: half of them would be replaced.
    """
    if is_of_stacks(out):
        raise InputError(
            f"{out} holds results of stacks, of which the analysis alone would replace a part. "
            "Give another --out; to analyse those stacks otherwise give their infer or link "
            "command again."
        )
    analysis = analyze(tracks, config.analyze, evidence, config.seed)
    tables = analysis_tables(analysis)
    maps = _straight_maps(tracks.frame, analysis)
    n_animals = tracks.frame["animal"].nunique()
    drawn = {name: figure for name, figure in analysis_figures(analysis).items() if figure}
    names = [f"{name}.{kind}" for name in drawn for kind in FIGURE_KINDS] + [MAPS] * bool(maps)
    begin_analysis(out, names)
    for table, frame in tables.items():
        write_table(out, table, frame)
    page = make_page(
        "Dendritic spines over time",
        f"{several(n_animals, 'animal')}. spinenet {__version__}.",
        analysis,
        {t.file: f for t, f in ({TRACKS: tracks.frame} | tables).items()},
        (write_figures(out, drawn, maps), maps),
        (
            _warned(tracks.frame),
            analysis_methods(
                config.analyze,
                tracks.frame["group"].nunique(),
                ends_known=evidence.coverage is not None,
            ),
        ),
    )
    report = write_text(out / PAGE, page)
    write_json(
        out / RUN,
        {
            FIGURES: {name: sha256_of(out / FIGURES_FOLDER / name) for name in names},
            "spinenet": __version__,
            "python": platform.python_version(),
            "analyze": asdict(config.analyze),
            "seed": config.seed,
            "inputs": [{"path": str(p), "sha256": sha256_of(p)} for p in inputs],
        },
    )
    return Outcome(report, five_numbers(analysis), {})


def _warned(tracks: pd.DataFrame) -> list[str]:
    present = tracks[tracks["presence"] == "present"]
    if len(present):
        return _of_places(present)
    why = (
        f"none of the {len(tracks)} rows of {TRACKS.file} is of a spine that is present: there is "
        "nothing to analyse, and no number is given. Check that it is the table you meant."
    )
    logger.warning(why)
    return [why]


def _of_places(present: pd.DataFrame) -> list[str]:
    """Whether the sightings of one spine lie where one spine can."""
    who = ["animal", "region", "dendrite_id", "track_id"]
    arc = present.groupby(who)["arc_length_um"]
    spread = arc.max() - arc.min()
    n = int((spread > WANDERS_UM).sum())
    if not n:
        return []
    animal, region, dendrite, track = spread.idxmax()
    why = (
        f"the sightings of {n} of {len(spread)} spines lie more than {WANDERS_UM:g} um apart along "
        f"their dendrite ({spread.max():.1f} um for track {track} of {animal}, {region}, dendrite "
        f"{dendrite}): arc_length_um must be counted from the same point of a dendrite in every "
        "session. Neighbours and clusters are wrong if it is not."
    )
    logger.warning(why)
    return [why]


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
