"""Straight shafts and sessions that show them, for tests of linking."""

import numpy as np

from spinenet.geometry import arc_length
from spinenet.match.view import SessionView
from spinenet.measure.attach import attach
from spinenet.tables import SPINES
from spinenet.types import Segment, Session, SpineTable


def line(start, stop, number=0, step=0.5):
    n = int(np.linalg.norm(np.subtract(stop, start)) / step) + 1
    p = np.linspace(start, stop, n).astype(float)
    return Segment(number, p, np.full(n, 0.4), arc_length(p))


def view_of(dendrites, *spines):
    """A session with heads at (dendrite, z, y, x); their arc length is their x."""
    rows = [
        {"spine_id": i, "dendrite_id": d, "z_um": z, "y_um": y, "x_um": x, "arc_length_um": x}
        for i, (d, z, y, x) in enumerate(spines, start=1)
    ]
    frame = SPINES.frame(rows).assign(side_um=0.0)

    def measure(points_um, home):
        at = attach(points_um, dendrites, home)
        return [
            {"dendrite_id": int(d), "arc_length_um": s, "base_y_um": b[1], "side_um": side}
            for d, s, b, side in zip(home, at.arc_um, at.base_um, at.side_um, strict=True)
        ]

    session = Session("m", "r", 0)
    extent = np.full(3, 30.0)
    return SessionView(session, SpineTable(frame), dendrites, {}, extent, True, None, measure, None)
