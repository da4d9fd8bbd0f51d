"""weights/manifest.json: what is shipped, from what it was trained, and how well it does."""

from __future__ import annotations

import json
from pathlib import Path

from spinenet.io.weights import sha256_of
from spinenet.io.write import write_json


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
