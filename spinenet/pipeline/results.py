"""What a run leaves behind: tables, label stacks, ROIs, traces and the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from spinenet import __version__
from spinenet.config import InferConfig
from spinenet.io.digest import sha256_of
from spinenet.io.finished import editable_before, written_before
from spinenet.io.layout import FIGURES_FOLDER, files_of_session, label_file
from spinenet.io.manifest import known_reliability
from spinenet.io.write import (
    write_bytes,
    write_rois,
    write_stack,
    write_swc,
    write_table,
)
from spinenet.match.record import LinkedRegion
from spinenet.match.view import SessionView
from spinenet.measure.straighten import SIDE_UM, STEP_UM, straighten
from spinenet.pipeline.stacks import Stack
from spinenet.report import figures, study
from spinenet.report.methods import (
    LINKED_BY_HEAD,
    LINKED_BY_PLACE,
    analysis_methods,
    linking_methods,
)
from spinenet.report.page import DendriteMap, make_page, several
from spinenet.report.reliability import link_trust
from spinenet.report.review import review_list
from spinenet.tables import (
    CLUSTERS,
    COVERAGE,
    DENDRITES,
    INTERVALS,
    LINKS,
    REVIEW,
    SPINES,
    STATES,
    STATISTICS,
    SURVIVAL,
    TRACKS,
    Table,
)
from spinenet.types import (
    Analysis,
    InputError,
    Segmentation,
)

MAPS = "dendrites.pdf"
FIGURE_KINDS: tuple[Literal["svg", "pdf", "png"], ...] = ("svg", "pdf", "png")


def node_table(views: list[SessionView], linked: LinkedRegion) -> pd.DataFrame:
    """`dendrites.csv` of a region: the map's nodes in view of each session."""
    rows = []
    for t, view in enumerate(views):
        s = view.session
        for segment in view.dendrites.segments:
            arc = linked.warps[t, segment.id](segment.arc_length_um)
            seen = np.isfinite(view.snr[segment.id])
            for n, i in enumerate(np.flatnonzero(seen)):
                rows.append(
                    {
                        **s.columns,
                        "dendrite_id": segment.id,
                        "node": int(i),
                        "parent_node": int(i) - 1 if n and seen[i - 1] else -1,
                        "z_um": segment.points_um[i, 0],
                        "y_um": segment.points_um[i, 1],
                        "x_um": segment.points_um[i, 2],
                        "radius_um": segment.radius_um[i],
                        "arc_length_um": arc[i],
                    }
                )
    return DENDRITES.frame(rows)


def write_stacks(
    out: Path,
    stacks: list[Stack],
    linked: LinkedRegion,
    nodes: pd.DataFrame,
) -> dict[str, str]:
    """Label stacks, ROIs and traces; label values as in spines.csv. Returns the sha256 of the label
    stacks by the name of their session."""
    written = {}
    for stack in stacks:
        session = stack.volume.session
        mine = linked.spines[linked.spines["session"] == session.index]
        labels, voxel = final_labels(stack.segmentation, mine), stack.volume.voxel_size_um
        file, rois, swc = files_of_session(out, session.name)
        write_stack(file, labels, voxel)
        write_rois(rois, mine, labels, voxel)
        write_swc(swc, nodes[nodes["session"] == session.index])
        written[session.name] = sha256_of(file)
    return written


def check_untouched(out: Path) -> None:
    """A label stack that a person painted in since the last run, outlines that were drawn anew, or
    a table of spines that was edited, is work that would be lost.

    Raises
    ------
    InputError
        If one is not as that run wrote it.
    """
    labels = {label_file(out, name): of for name, of in written_before(out, whole=True).items()}
    others = {out / name: of for name, of in editable_before(out).items()}
    for file, sha256 in (labels | others).items():
        if file.is_file() and sha256_of(file) != sha256:
            raise InputError(
                f"{file} was changed since the last run, which would be lost: this run writes it "
                "anew. Move it to a folder of your own (docs/annotations.md), or remove it. What "
                "was wrong in single spines and links can be said in corrections.csv; tables that "
                "were changed by hand are analysed by `spinenet analyze`."
            )


def check_same_study(out: Path, names: Iterable[str]) -> None:
    """A run replaces the results of an earlier one, of sessions that it lacks too: a study that
    grew or shrank. Of no session in common that is a slip.

    Raises
    ------
    InputError
        If the folder holds results of other stacks alone.
    """
    earlier, now = written_before(out), {name.casefold() for name in names}
    if earlier and not any(name.casefold() in now for name in earlier):
        raise InputError(
            f"{out} holds results of other stacks ({next(iter(earlier))}, {len(earlier)} in all), "
            "which this run would remove. Give another --out for each study; stacks that belong "
            "together go into one run, with a sessions.csv."
        )


def forget_sessions(out: Path, earlier: Iterable[str], done: Iterable[str]) -> None:
    """Remove label stacks, ROIs and traces of sessions that an earlier run had and this one has
    not. Disks of Mac and Windows ignore the case of names."""
    kept = {name.casefold() for name in done}
    for name in (n for n in earlier if n.casefold() not in kept):
        for file in files_of_session(out, name):
            file.unlink(missing_ok=True)


def final_labels(segmentation: Segmentation, spines: pd.DataFrame) -> npt.NDArray[np.uint16]:
    """(Z, Y, X): 0 background, 1 shaft, and the `label` of every spine that has a mask."""
    lut = np.zeros(len(segmentation.centres_um) + 1, np.uint16)
    masked = spines[spines["label"] > 0]
    lut[masked["instance"].to_numpy(int)] = masked["label"].to_numpy(np.uint16)
    out = lut[segmentation.spines]
    out[(out == 0) & segmentation.shaft] = 1
    return out


def strips_of(
    stacks: list[Stack], views: list[SessionView], linked: LinkedRegion
) -> list[tuple[str, list[figures.Strip], tuple[str, str], int]]:
    """Straightened pictures of every dendrite of a region, in the shared arc length."""
    first = stacks[0].volume.session
    out = []
    seen = [t for t, view in enumerate(views) if view.usable]
    for segment in views[seen[0]].dendrites.segments if seen else ():
        strips = []
        for t in seen:
            stack, here = stacks[t], views[t].dendrites.by_id()[segment.id]
            own = np.arange(here.arc_length_um[0], here.arc_length_um[-1], STEP_UM)
            shared = linked.warps[t, segment.id](own)
            session = stack.volume.session
            picture = straighten(stack.volume, here, own)
            strips.append(figures.Strip(session.index, session.day, picture, shared, SIDE_UM))
        name = first.animal if first.animal == first.region else f"{first.animal}, {first.region}"
        title = f"{name}, dendrite {segment.id}"
        out.append((title, strips, (first.animal, first.region), segment.id))
    return out


def map_of(
    title: str,
    strips: list[figures.Strip],
    key: tuple[str, str],
    dendrite: int,
    tables: dict[str, pd.DataFrame],
) -> DendriteMap:
    def of_region(file: str) -> pd.DataFrame:
        frame = tables[file]
        return frame[(frame["animal"] == key[0]) & (frame["region"] == key[1])]

    tracks, spines = of_region(TRACKS.file), of_region(SPINES.file)
    fate = figures.fates(tracks, of_region(STATES.file), of_region(CLUSTERS.file))
    tracks = tracks[tracks["dendrite_id"] == dendrite]
    spines = spines[spines["dendrite_id"] == dendrite]
    figure = figures.dendrite_map(strips, tracks, spines, fate)
    n = tracks["track_id"].nunique()
    seen = f"{several(n, 'spine')} over {several(len(strips), 'session')}"
    return DendriteMap(f"{title}: {seen}", figure)


def analysis_tables(analysis: Analysis) -> dict[Table, pd.DataFrame]:
    """The tables that the analysis alone makes."""
    return {
        INTERVALS: analysis.intervals,
        CLUSTERS: analysis.clusters,
        STATES: analysis.states,
        SURVIVAL: analysis.survival,
        STATISTICS: analysis.statistics,
    }


def write_tables(
    out: Path, joined: dict[str, pd.DataFrame], analysis: Analysis, config: InferConfig
) -> dict[str, pd.DataFrame]:
    """All tables, by file name. `config.seed` draws what shall be looked at besides."""
    review = review_list(joined, analysis.clusters, config.analyze.max_gap, config.seed)
    tables = {
        REVIEW: review,
        SPINES: joined["spines"],
        DENDRITES: joined["dendrites"],
        COVERAGE: joined["coverage"],
        LINKS: joined["links"],
        TRACKS: joined["tracks"],
        **analysis_tables(analysis),
    }
    for table, frame in tables.items():
        write_table(out, table, frame)
    return {table.file: frame for table, frame in tables.items()}


def methods_of(
    net: str,
    centre_p: float,
    head: dict[str, str] | None,
    config: InferConfig,
    told: list[str],
    *,
    marked: bool,
    n_groups: int,
) -> list[str]:
    """The methods paragraphs of a run.

    Parameters
    ----------
    net: what looked at the stacks
    centre_p: probability of a centre from which on it is a spine
    head: name and sha256 of the head that linked the spines, if one did
    told: sentences on what a person said before the run
    marked: whether spines were marked beforehand, not detected
    n_groups: of animals
    """
    links = LINKED_BY_PLACE
    if head is not None:
        share = config.match.head_share
        links = LINKED_BY_HEAD.format(
            share=share, rest=1 - share, name=head["name"], digest=head["sha256"][:12]
        )
    return [
        *linking_methods(f"{__version__} (net {net})", centre_p, links, config, marked=marked),
        *told,
        *analysis_methods(config.analyze, n_groups, ends_known=True),
    ]


def page_of(
    analysis: Analysis,
    tables: dict[str, pd.DataFrame],
    pictures: tuple[dict[str, str], list[DendriteMap]],
    notes: tuple[list[str], list[str]],
) -> str:
    """The report of a run; `notes` are its warnings and its methods."""
    spines, tracks = tables[SPINES.file], tables[TRACKS.file]
    told, covered = tracks["presence"].isin(["present", "absent"]), tables[COVERAGE.file]
    given, looked = (
        pd.concat([f[["animal", "region", "session"]] for f in of]).drop_duplicates()
        for of in ((tracks, covered), (tracks[told], covered[covered["usable"]]))
    )
    unused = len(given) - len(looked)
    without = f" ({unused} more left out)" if unused else ""
    lives = tracks.drop_duplicates(["animal", "region", "track_id"])
    hidden = int(lives["hidden"].sum())
    left_out = f" ({hidden} of them hidden by shafts or beside a border, left out)" * bool(hidden)
    subtitle = (
        f"{several(given['animal'].nunique(), 'animal')}, "
        f"{several(len(looked), 'session')}{without}, {len(spines)} sightings of "
        f"{several(len(lives), 'spine')}{left_out}. spinenet {__version__}."
    )
    return make_page("Dendritic spines over time", subtitle, analysis, tables, pictures, notes)


def analysis_figures(analysis: Analysis) -> dict[str, Figure | None]:
    """By name, the figures of an analysis; None where the data do not allow one."""
    contiguous = (analysis.clusters["rule"] == "contiguous").any()
    return {
        "turnover": study.rates(analysis.intervals) if len(analysis.intervals) else None,
        "clustered_share": study.clustering(analysis) if len(analysis.statistics) else None,
        "cluster_sizes": study.cluster_sizes(analysis.clusters) if contiguous else None,
        "cluster_births": study.births(analysis.clusters) if contiguous else None,
        "survival": study.survival(analysis.survival) if len(analysis.survival) else None,
        "spacing": study.spacing(analysis.spacing) if len(analysis.spacing) else None,
        "strength": study.strength(analysis.strength) if len(analysis.strength) else None,
    }


def link_figure(links: pd.DataFrame, judge: str) -> dict[str, Figure | None]:
    """How far links can be trusted, likewise; None where none was made.

    Parameters
    ----------
    judge: who judged them, as `known_reliability` takes it
    """
    made = links["chosen"].any()
    return {"links": link_trust(links, *known_reliability(judge)) if made else None}


def write_figures(
    out: Path, drawn: Mapping[str, Figure | None], maps: list[DendriteMap]
) -> dict[str, str]:
    """Figures as PDF, SVG and PNG, and every dendrite over its sessions, a page each; a figure that
    an earlier run drew and this one cannot goes. SVG by name, for the page."""
    folder = out / FIGURES_FOLDER
    for_page = {}
    for name, figure in drawn.items():
        files = {kind: folder / f"{name}.{kind}" for kind in FIGURE_KINDS}
        if figure is None:
            for path in files.values():
                path.unlink(missing_ok=True)
            continue
        content = {kind: figures.as_bytes(figure, kind) for kind in FIGURE_KINDS}
        for kind, path in files.items():
            write_bytes(path, content[kind])
        for_page[name] = figures.inline(content["svg"])
    if maps:
        write_bytes(folder / MAPS, figures.as_pages({m.title: m.figure for m in maps}))
    return for_page
