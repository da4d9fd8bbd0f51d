"""The corridor: the only place that knows the order of the rooms.

read -> segment -> measure -> match -> analyze -> report -> write. `corridor` walks it; `stacks`
holds what is done to one stack, `sessions` what needs all sessions of a region, `results` what is
left behind.
"""

from spinenet.pipeline.corridor import Outcome, infer
from spinenet.pipeline.stacks import RunLog
from spinenet.pipeline.told import Told
from spinenet.pipeline.tracks import analyze_tracks

__all__ = ["Outcome", "RunLog", "Told", "analyze_tracks", "infer"]
