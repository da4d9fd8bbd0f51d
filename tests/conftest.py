"""Dendrites small enough to check by eye, and one simulated region for all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from hypothesis import settings

from spinenet.analyze.states import Histories, histories
from spinenet.config import MorphologyConfig, SimulateConfig, TurnoverConfig
from spinenet.io.experiment import write_experiment
from spinenet.report import figures, page
from spinenet.tables import TRACKS
from spinenet.types import Tracks

ROOT = Path(__file__).parents[1]
# a slow machine is no fault
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def tracks_of(
    rows: dict[int, str],
    arcs: dict[int, float] | None = None,
    days: tuple[float, ...] | None = None,
    **who: object,
) -> Tracks:
    """Tracks from strings, one character per session: 1 seen, 0 absent, o out of view, ? unknown.

    {1: "111", 2: "011"} is a stable spine and one that is new in the second session.
    """
    words = {"1": "present", "0": "absent", "o": "out_of_view", "?": "not_scorable"}
    out = []
    for number, life in rows.items():
        for t, c in enumerate(life):
            out.append(
                {
                    "animal": "m1",
                    "region": "r1",
                    "dendrite_id": 0,
                    "track_id": number,
                    "session": t,
                    "day": days[t] if days else 2.0 * t,
                    "arc_length_um": (arcs or {}).get(number, float(number)),
                    "kind": "spine",
                    "presence": words[c],
                    "spine_id": number if c == "1" else pd.NA,
                    **who,
                }
            )
    return Tracks(TRACKS.frame(out))


def like_dendrites(
    lives: dict[int, str], arcs: dict[int, float], animals: int, dendrites: int
) -> Tracks:
    """The same drawn dendrite again and again, so many on each of so many animals."""
    frames = []
    for n in range(animals * dendrites):
        animal, dendrite = divmod(n, dendrites)
        rows = {100 * n + k: life for k, life in lives.items()}
        places = {100 * n + k: at for k, at in arcs.items()}
        frames.append(tracks_of(rows, places, animal=f"m{animal}", dendrite_id=dendrite).frame)
    return Tracks(pd.concat(frames, ignore_index=True))


def one(rows: dict[int, str], **more: Any) -> Histories:
    """The histories of the one dendrite of `tracks_of`."""
    return histories(tracks_of(rows, **more), 1)[0]


@pytest.fixture(scope="session")
def small_experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One animal, three sessions of a small field; the folder of its sessions.csv."""
    return _experiment(tmp_path_factory.mktemp("experiment"), width=224)


@pytest.fixture(scope="session")
def long_experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of a field twice as long: enough links that one does not decide."""
    return _experiment(tmp_path_factory.mktemp("long"), width=448)


def _experiment(folder: Path, width: int) -> Path:
    config = SimulateConfig(
        animals=1,
        dendrites=1,
        shape=(16, 96, width),
        morphology=MorphologyConfig(spines_per_um=(0.4, 0.5), axons=(0, 1), puncta=(0, 3)),
        turnover=TurnoverConfig(
            days=(0.0, 4.0, 8.0), formation_per_day=0.05, elimination_per_day=0.03
        ),
        shift_um=0.5,
        seed=3,
    )
    write_experiment(config, folder)
    return folder


@pytest.fixture(autouse=True)
def undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made but not turned into files, which takes as long as all else of a small run;
    tests that compare or look at files are marked `drawn`."""
    if "drawn" not in request.keywords:
        monkeypatch.setattr(figures, "as_bytes", lambda figure, kind: b"<svg></svg>")
        monkeypatch.setattr(page, "as_bytes", lambda figure, kind: b"<svg></svg>")
        monkeypatch.setattr(figures, "as_pages", lambda drawn: b"")


@pytest.fixture
def write_tif(tmp_path: Path):
    """Write a small stack: write_tif(name, axes="ZYX", dtype="uint16", **imwrite options)."""

    def write(
        name: str = "a.tif",
        shape: tuple[int, ...] = (6, 24, 32),
        dtype: str = "uint16",
        **options: object,
    ) -> Path:
        rng = np.random.default_rng(0)
        data = rng.integers(0, 200, shape).astype(dtype)
        path = tmp_path / name
        tifffile.imwrite(path, data, **options)
        return path

    return write


@pytest.fixture
def rr30a() -> Path:
    """The real stacks, where this machine has them."""
    folder = Path(os.environ.get("SPINENET_RR30A", ROOT / "../shared/data/rr30a"))
    if not (folder / "sessions.csv").exists():
        pytest.skip("the real stacks (rr30a) are not on this machine; set SPINENET_RR30A")
    return folder
