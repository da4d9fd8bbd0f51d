"""Every column of every table, its type and its meaning, once.

Readers, writers, the report's glossary and the tests all take the columns from here.
"""

from spinenet.tables.column import Column, Table
from spinenet.tables.given import CONTESTED, CORRECTIONS, POINTS, SESSIONS, TRACES
from spinenet.tables.results import (
    CLUSTERS,
    COVERAGE,
    DENDRITES,
    INTERVALS,
    LINKS,
    RESULTS,
    REVIEW,
    SPINES,
    STATES,
    STATISTICS,
    SURVIVAL,
    TRACKS,
)
from spinenet.tables.simulated import TRUE_SPINES, TRUE_TRACKS

__all__ = [
    "Column",
    "Table",
    "CONTESTED",
    "CORRECTIONS",
    "COVERAGE",
    "CLUSTERS",
    "DENDRITES",
    "INTERVALS",
    "LINKS",
    "POINTS",
    "RESULTS",
    "REVIEW",
    "SESSIONS",
    "SPINES",
    "STATES",
    "STATISTICS",
    "SURVIVAL",
    "TRACES",
    "TRACKS",
    "TRUE_SPINES",
    "TRUE_TRACKS",
]
