"""What a person said before a run, and words where a part of it cannot be used."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from spinenet.io.corrections import Corrections
from spinenet.io.sessions import StackFile
from spinenet.io.traces import Traces
from spinenet.pipeline.stacks import RunLog


@dataclass(frozen=True)
class Told:
    """What a person said before the run: dendrites to look at and no others; spines to link and no
    others (`tables.POINTS`); corrections."""

    traces: Traces | None = None
    marks: pd.DataFrame | None = None
    corrections: Corrections | None = None

    @property
    def sentences(self) -> list[str]:
        """For the methods."""
        said = []
        if self.traces:
            source = self.traces.source
            said.append(f"Only the dendrites that a person traced ({source}) were analysed.")
        if self.corrections:
            n, source = len(self.corrections.frame), self.corrections.source
            said.append(
                f"A person corrected single spines and links ({n} lines of {source}, but for "
                "those that the notes name)."
            )
        return said


NOTHING_TOLD = Told()


def warn_of_strangers(told: Told, files: list[StackFile], log: RunLog) -> None:
    """Rows of sessions that are not listed are not used: say so."""
    listed = [(f.session.animal, f.session.region, f.session.index) for f in files]
    nodes = told.traces.frame if told.traces else None
    for what, frame in (("marked spines", told.marks), ("nodes of traced dendrites", nodes)):
        if frame is None:
            continue
        rows = frame.groupby(["animal", "region", "session"]).size()
        lost = [k for k in rows.index if not any(_may_be(k, session) for session in listed)]
        if lost:
            named = "; ".join(f"{a}, {r}, session {t}" for a, r, t in lost[:3])
            n = int(rows[lost].sum())
            log.warn(
                f"{n} {what} are of sessions that sessions.csv does not list ({named}) "
                "and were left out. Sessions numbered from 1 in one table and from 0 in the other, "
                "or names written differently, are the usual causes."
            )


def _may_be(told: tuple[str, str, int], session: tuple[str, str, int]) -> bool:
    """Blank names are of any animal and region."""
    return all(a in ("", b) for a, b in zip(told, session, strict=True))


def warn_of_reach(sure_share: float, centre_p: float, told: Told, log: RunLog) -> None:
    """No probability is larger than 1."""
    if told.marks is None and sure_share * centre_p >= 1:
        log.warn(
            f"match.sure_share {sure_share:g} times the centre threshold, {centre_p:.2f}, is "
            f"{sure_share * centre_p:.2f}, and no spine is that sure: over three sessions or more "
            f"none is kept but those that a person named. Give less than {1 / centre_p:.2f}."
        )
