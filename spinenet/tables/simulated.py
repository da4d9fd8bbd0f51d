"""The truth of a simulated experiment: tables as results have them, and what only truth knows."""

from __future__ import annotations

from spinenet.tables.column import Table, col
from spinenet.tables.results import SPINES, TRACKS

_PLANTED = col("planted", "int", "planted cluster of the spine, -1 for none")
TRUE_SPINES = Table(
    SPINES.file,
    SPINES.row,
    (
        *SPINES.columns,
        col("point", "str", "what the place is: head"),
        col("scorable", "bool", "a person could see it: inside the stack, beside its shaft"),
        _PLANTED,
    ),
)
TRUE_TRACKS = Table(TRACKS.file, TRACKS.row, (*TRACKS.columns, _PLANTED))
