"""What is known of the shipped weights: `manifest.json`, from what each was trained and how well it
does; `reliability.json`, how often links of a probability were right."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from spinenet.io.digest import sha256_of
from spinenet.io.weights import shipped_folder
from spinenet.io.write import write_json
from spinenet.types import FloatArray

RELIABILITY = "reliability.json"
PLACES_ALONE = "places"
"""In the place of a matching head: nobody but the places judges."""


def judge_of(head_sha256: str, head_share: float) -> str:
    """By what `known_reliability` knows a matching head that says so much of a probability."""
    return f"{head_share:g} of {head_sha256}"


def known_reliability(judge: str) -> tuple[FloatArray | None, str]:
    """By bin of probability (B, 3) its mean, links that were right and all links; and on what data
    they were counted. None for a judge that nobody counted.

    Parameters
    ----------
    judge: `PLACES_ALONE`, or as `judge_of` calls a matching head
    """
    known = json.loads((shipped_folder("weights") / RELIABILITY).read_text())
    bins = known["judges"].get(judge)
    return None if bins is None else np.array(bins, float), str(known["data"])


def register_weights(folder: Path, file: str, entry: dict[str, object]) -> None:
    """Enter a file of weights as the default of its role, in place of one of the same name."""
    path = folder / "manifest.json"
    old = json.loads(path.read_text())["weights"] if path.exists() else []
    name = Path(file).stem
    kept = [
        {**e, "default": False} if e["role"] == entry["role"] else e
        for e in old
        if e["name"] != name
    ]
    new = {**entry, "name": name, "file": file, "sha256": sha256_of(folder / file), "default": True}
    write_json(path, {"weights": [*kept, new]})
