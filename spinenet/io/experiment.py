"""A simulated experiment on the disk: stacks and sessions.csv, the exact truth beside them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pandas as pd

import spinenet
from spinenet.config import SimulateConfig
from spinenet.io.layout import LABELS_FOLDER, label_file
from spinenet.io.write import write_json, write_stack, write_table, write_volume
from spinenet.synthetic.experiment import simulate_region
from spinenet.tables import DENDRITES, SESSIONS, TRUE_SPINES, TRUE_TRACKS
from spinenet.types import InputError

SIMULATION = "simulation.json"


def write_experiment(config: SimulateConfig, out: Path) -> Path:
    """Simulate all animals and regions; returns the sessions.csv.

    `truth/` holds the true spines.csv, dendrites.csv and tracks.csv and, in `labels/`, every
    voxel's label, all as in a results folder; and simulation.json, with what it is made again by.
    Tables and stacks of an earlier one go first: cut short, the folder holds no truth of others.

    Raises
    ------
    InputError
        If the folder holds an experiment that was not simulated.
    """
    truth = out / "truth"
    spines, listed = truth / TRUE_SPINES.file, out / SESSIONS.file
    mine = spines.exists() and "planted" in _first_line(spines)
    if (spines.exists() or listed.exists()) and not mine:
        raise InputError(
            f"{out} holds an experiment that is not of a simulation ({SESSIONS.file} or "
            f"truth/{TRUE_SPINES.file}); its tables and stacks could be written over. Give another "
            "folder as --out."
        )
    for file in (truth / LABELS_FOLDER).glob("*.ome.tif"):  # each of a stack of ours
        (out / file.name).unlink(missing_ok=True)
        file.unlink()
    for stale in (listed, *(truth / table.file for table in (TRUE_SPINES, DENDRITES, TRUE_TRACKS))):
        stale.unlink(missing_ok=True)
    tables: dict[str, list[pd.DataFrame]] = {"spines": [], "dendrites": [], "tracks": []}
    rows = []
    for animal in range(config.animals):
        for region in range(config.regions):
            names = f"animal{animal + 1}", f"region{region + 1}"
            made = simulate_region(config, *names, seed=animal * config.regions + region)
            for volume, labels in zip(made.volumes, made.labels, strict=True):
                s = volume.session
                path = write_volume(out / f"{s.name}.ome.tif", volume)
                write_stack(label_file(truth, s.name), labels, volume.voxel_size_um)
                where = {"animal": s.animal, "region": s.region, "session": s.index, "day": s.day}
                rows.append({**where, "path": path.name})
            for name, parts in tables.items():
                parts.append(getattr(made, name))
    joined = {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}
    write_table(truth, TRUE_SPINES, joined["spines"])
    write_table(truth, DENDRITES, joined["dendrites"])
    write_table(truth, TRUE_TRACKS, joined["tracks"])
    said = {"config": asdict(config), "spinenet": spinenet.__version__}
    write_json(truth / SIMULATION, said)
    return write_table(out, SESSIONS, SESSIONS.frame(rows))


def is_simulation_of(config: SimulateConfig, folder: Path) -> bool:
    """Whether `write_experiment` wrote that very experiment there."""
    path = folder / "truth" / SIMULATION
    if not path.is_file():
        return False
    said = json.loads(path.read_text(encoding="utf-8"))
    mine: bool = said.get("config") == json.loads(json.dumps(asdict(config)))
    return mine


def _first_line(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace").split("\n", 1)[0]
