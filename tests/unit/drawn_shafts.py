"""Straight shafts and sessions that show them, for tests of linking."""

from dataclasses import replace

import numpy as np

from spinenet.geometry import arc_length
from spinenet.match.view import Probe, SessionView
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


def session_of(t, dendrites, *spines, snr=20.0, usable=True, height=0.9, faint=()):
    """The same as session `t` of a region, found by the machine; what is seen at a place is the
    head that was drawn there. `faint` heads (z, y, x) are there to be seen, but were not found."""
    view = view_of(dendrites, *spines)
    who = {"animal": "m", "region": "r", "session": t, "day": float(t)}
    frame = view.spines.frame.assign(**who, probability=height, source="detected", kind="spine")
    heads = np.array([*(spine[1:] for spine in spines), *faint], float).reshape(-1, 3)

    def measure(points_um, home):
        return [
            {**who, "kind": "spine", "z_um": c[0], "y_um": c[1], "x_um": c[2], **row}
            for c, row in zip(points_um, view.measure(points_um, home), strict=True)
        ]

    def probe(points_um, home):
        near = np.abs(points_um[:, None] - heads[None]) <= (1.5, 0.35, 0.35)
        there = near.all(axis=2)
        seen = there.any(axis=1)
        centres = points_um.astype(float).copy()
        if len(heads):
            centres[seen] = heads[there.argmax(axis=1)[seen]]
        return Probe(np.where(seen, height, 0.0), centres, measure(centres, home))

    def peaks(place_um, reach_um, home, least_p):
        hidden = heads[len(spines) :] if height >= least_p else heads[:0]
        near = hidden[np.linalg.norm((hidden - place_um) / reach_um, axis=1) <= 1]
        return Probe(np.full(len(near), height), near, measure(near, np.full(len(near), home)))

    return replace(
        view,
        session=Session("m", "r", t, float(t)),
        spines=SpineTable(frame),
        snr={d.id: np.full(len(d.points_um), float(snr)) for d in dendrites.segments},
        extent_um=np.full(3, 70.0),
        usable=usable,
        probe=probe,
        measure=measure,
        portray=lambda points_um, home: np.zeros((len(points_um), 5, 17, 17), np.float16),
        peaks=peaks,
    )
