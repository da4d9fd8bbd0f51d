"""What spines.csv says of each sighting, laid out as the sightings are."""

from __future__ import annotations

import pandas as pd

from spinenet.analyze.states import Histories
from spinenet.types import FloatArray


def by_sighting(h: Histories, spines: pd.DataFrame, column: str) -> FloatArray:
    """(S, T) the column for each spine and session; nan where the table has no such sighting."""
    mine = spines[
        (spines["animal"] == h.animal)
        & (spines["region"] == h.region)
        & spines["track_id"].isin(h.track_ids)
    ]
    wide = mine.pivot_table(index="track_id", columns="session", values=column, aggfunc="first")
    table: FloatArray = wide.reindex(index=h.track_ids, columns=h.sessions).to_numpy(float)
    return table
