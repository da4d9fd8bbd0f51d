"""True and found spines on a line, judged: what tests of the evaluation begin with."""

import numpy as np
import pandas as pd

from spinenet.evaluate.judge import judge
from spinenet.tables import POINTS, SPINES, TRACES


def spine(session, track, x, y, z):
    """What a true and a found spine have in common; the base lies 2 um beside."""
    place = {"z_um": z, "y_um": y, "x_um": x, "base_z_um": z, "base_y_um": y + 2, "base_x_um": x}
    return {"animal": "a", "region": "r", "session": session, "track_id": track, **place}


def true(session, track, x, *, y=0.0, z=5.0, point="head", **more):
    return spine(session, track, x, y, z) | {"dendrite_id": 0, "point": point, **more}


def seen(session, track, x, *, y=0.0, z=5.0, probability=0.9, **more):
    return spine(session, track, x, y, z) | {"probability": probability, **more}


def traced(y_of):
    """Nodes of straight dendrites along x in session 0, at (dendrite: y)."""
    who = {"animal": "a", "region": "r", "session": 0, "z_um": 5.0}
    return [
        who | {"dendrite_id": d, "y_um": y, "x_um": x}
        for d, y in y_of.items()
        for x in np.arange(0, 40, 0.5)
    ]


def judged(truth, found, nodes=(), dendrites=()):
    sessions = pd.DataFrame(
        [{"animal": "a", "region": "r", "session": s, "whole": not nodes} for s in (0, 1, 2)]
    )
    found = SPINES.frame([{"spine_id": i, **f} for i, f in enumerate(found)])
    return judge(POINTS.frame(truth), found, TRACES.frame(nodes), sessions, dendrites)
