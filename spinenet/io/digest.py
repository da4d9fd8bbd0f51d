"""Digests: of files, of settings, of our own code. What agrees in them is the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path

import spinenet


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(*parts: object) -> str:
    """A digest of everything a result depends on: plain values and dataclasses."""
    plain = json.dumps(parts, sort_keys=True, default=lambda o: asdict(o))
    return hashlib.sha256(plain.encode()).hexdigest()


@cache
def digest_of_code(modules: Sequence[str]) -> str:
    """A digest of modules of this package, given as patterns such as `io/*.py`: an update that
    touches none of them leaves it as it was."""
    package = Path(spinenet.__file__).parent
    files = sorted(f for pattern in modules for f in package.glob(pattern))
    return fingerprint([sha256_of(f) for f in files])
