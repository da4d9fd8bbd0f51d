"""Names that only look like two."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from spinenet.types import InputError


def check_spelling(what: str, names: Iterable[str], source: str) -> None:
    """Two spellings of one animal would be two animals.

    Raises
    ------
    InputError
        If two names differ in case, spaces or accents alone.
    """
    spelt: dict[str, str] = {}
    for name in names:
        bare = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
        other = spelt.setdefault(bare, name)
        if other != name:
            raise InputError(
                f"{source}: the {what}s {other!r} and {name!r} differ in case, spaces or "
                "accents alone. Write one name in one way, or give two names that differ in "
                "letters or digits."
            )
