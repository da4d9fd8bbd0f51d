"""A spine that is not where it was expected: what lies beside, and whose light that is."""

from types import SimpleNamespace

import numpy as np
import pytest

from spinenet.config import InferConfig, MatchConfig
from spinenet.geometry import arc_length
from spinenet.match.align import IDENTITY
from spinenet.match.pins import Pins
from spinenet.match.region import link_region
from spinenet.measure.quality import backdrop_of
from spinenet.pipeline.sessions import _view
from spinenet.segment.label import find_peaks
from spinenet.types import Dendrites, Segment, Segmentation, Session, Volume

VOXEL_UM = (0.5, 0.1, 0.1)
SHAPE = (21, 120, 300)
THRESHOLD = 0.4
Z, Y = (np.arange(n) * v for n, v in zip(SHAPE[:2], VOXEL_UM[:2], strict=True))
SPINE = (5, 6.2, 14)
"""Beside the dendrite at y 5: the one in question."""
OTHERS = [((5, 6.4, x), 0.9) for x in (2, 6, 10, 19, 23, 27)]


def shaft(number, y_um):
    points = np.column_stack([np.full(59, 5.0), np.full(59, y_um), np.arange(59) * 0.5 + 0.2])
    return Segment(number, points, np.full(59, 0.4), arc_length(points))


SHAFTS = shaft(0, 5.0), shaft(1, 8.0)
"""Two dendrites side by side, both in every stack."""
LIGHT = np.zeros(SHAPE)
for segment in SHAFTS:
    across = np.exp(-0.5 * ((Y - segment.points_um[0, 1]) / 0.3) ** 2)
    LIGHT += (np.exp(-0.5 * ((Z - 5) / 0.6) ** 2)[:, None] * across)[:, :, None]


def blob(head, height):
    at = [n * v for n, v in zip(np.ogrid[tuple(map(slice, SHAPE))], VOXEL_UM, strict=True)]
    far = sum(((a - c) / s) ** 2 for a, c, s in zip(at, head, (0.45, 0.12, 0.12), strict=True))
    return height * np.exp(-0.5 * far)


def view(t, heads, traced):
    """A session whose centre map shows heads at places of such heights; only the traced dendrites
    are analysed."""
    heat = np.round(255 * np.max([blob(*head) for head in heads], axis=0)).astype(np.uint8)
    volume = Volume(
        np.round(200 * LIGHT + heat + 20).astype(np.uint16),
        VOXEL_UM,
        Session("m", "r", t, float(t)),
    )
    nothing = np.zeros(SHAPE, np.uint8)
    seen = Segmentation(
        LIGHT > 0.5,
        np.zeros(SHAPE, np.uint16),
        *find_peaks(heat, VOXEL_UM, THRESHOLD),
        nothing,
        nothing,
        heat,
        VOXEL_UM,
    )
    stack = SimpleNamespace(
        volume=volume,
        segmentation=seen,
        dendrites=Dendrites(SHAFTS),
        backdrop=backdrop_of(volume),
    )
    chosen = {s.id for s in traced}
    return _view(stack, IDENTITY, Dendrites(traced), chosen, InferConfig())


def last_seen(*faint, always=(), traced=SHAFTS[:1], spines=(SPINE,), **told):
    """What becomes, in a third session that shows these `faint` heads, of spines that were seen in
    two: present and its x, or why not."""
    first = [*OTHERS, *((spine, 0.9) for spine in spines), *always]
    views = [view(t, first, traced) for t in (0, 1)]
    views.append(view(2, [*OTHERS, *faint, *always], traced))
    linked = link_region(views, 0, MatchConfig(), THRESHOLD, pins=Pins(**told))
    tracks = linked.tracks.frame.set_index(["session", "track_id"])
    x_um = linked.spines.set_index(["session", "spine_id"])["x_um"]
    out = []
    for spine in spines:
        near = np.isclose(tracks.loc[0, "arc_length_um"], spine[2] - 0.2, atol=0.2)
        here = [k for k in tracks.loc[0].index[near] if tracks.loc[(0, k), "presence"] == "present"]
        row = tracks.loc[(2, here[0])]
        at = x_um.get((2, row["spine_id"]))
        out.append(row["presence"] if at is None else f"at {at:.1f}")
    return out


def beside(x_um, height=0.35, y_um=6.2, z_um=5):
    return (z_um, y_um, x_um), height


@pytest.mark.parametrize(
    ("faint", "becomes"),
    [
        ([], "absent"),
        ([beside(14.1)], "at 14.1"),  # where it was
        ([beside(14.8)], "at 14.8"),  # it swung
        ([beside(15.3)], "absent"),  # so far it does not
        ([beside(14.9), beside(13.4)], "at 13.4"),  # the nearer of two
        ([beside(14.1, 0.2)], "not_scorable"),  # too faint to be sure of
        ([beside(14.8, 0.2)], "absent"),  # and beside, too faint to be anything
        ([beside(14.8, y_um=5.1)], "absent"),  # in the shaft
        ([beside(14.4, 0.39, y_um=5.1), beside(14.8)], "at 14.8"),  # that one is not taken
    ],
)
def test_a_spine_that_swings_is_found_where_it_went(faint, becomes):
    assert last_seen(*faint) == [becomes]


def test_a_spine_of_another_dendrite_is_not_taken_for_one_that_swung():
    """It stood there all the time: on a dendrite that is not analysed, or is."""
    theirs = beside(14.3, 0.9, y_um=6.9)
    for traced in (SHAFTS[:1], SHAFTS):
        assert last_seen(always=[theirs], traced=traced) == ["absent"]


def test_what_was_linked_as_something_else_is_not_taken_for_one_that_swung():
    """A light so weak that its track does not count, beside the spine in every session."""
    assert last_seen(always=[beside(14.8, 0.5)]) == ["absent"]


def test_one_light_is_of_the_spine_that_is_expected_there():
    spines = (5, 6.2, 14.0), (5, 6.2, 14.9)
    assert last_seen(beside(14.9), spines=spines) == ["absent", "at 14.9"]
    both = last_seen(beside(14.9), beside(13.2), spines=spines)
    assert both == ["at 13.2", "at 14.9"]


def test_of_two_lights_in_one_box_each_is_looked_at_by_itself():
    """The brighter one, deeper and farther off, is not what the spine became."""
    assert last_seen(beside(14.8), ((6.5, 6.5, 15.1), 0.39)) == ["at 14.8"]


@pytest.mark.parametrize("deleted", [(5, 6.2, 14), (5, 6.2, 14.1)])
def test_where_a_person_deleted_a_spine_none_is_looked_for_around(deleted):
    empty = {2: np.array([deleted], float)}
    for faint in ([beside(14.9)], [beside(14.1), beside(14.9)]):
        assert last_seen(*faint, empty_um=empty) == ["absent"]


def test_the_light_where_a_spine_is_said_to_be_gone_is_nobodys():
    spines = (5, 6.2, 14.0), (5, 6.2, 14.9)
    views = [view(0, [*OTHERS, *((spine, 0.9) for spine in spines)], SHAFTS[:1])]
    number = int(np.isclose(views[0].spines.centres_um[:, 2], 14.9, atol=0.1).argmax())
    gone = (((0, int(views[0].spines.ids[number])), 2),)
    assert last_seen(beside(14.9), spines=spines, absent=gone) == ["absent", "absent"]
