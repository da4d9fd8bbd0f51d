"""A person's traces: tables and SWC, drawn by hand."""

from pathlib import Path

import numpy as np
import pytest

from spinenet.io.sessions import StackFile
from spinenet.io.traces import read_traces
from spinenet.io.write import write_swc
from spinenet.tables import DENDRITES
from spinenet.types import InputError, Session

# a Y: 1-2-3 along x, then 4-5 straight on and 6-7 to the side
Y_TREE = """# x y z in um
1 3 0 5 4 0.5 -1
2 3 5 5 4 0.5 1
3 3 10 5 4 0.5 2
4 3 15 5 4 0.4 3
5 3 20 5 4 0.4 4
6 3 11 9 4 0.3 3
7 3 12 13 4 0.3 6
"""


STACKS = [StackFile(Session("m", "r", t, float(t)), Path("a.tif")) for t in (2, 3)]


def traced(path, text):
    path.write_text(text)
    bound = read_traces(path).for_stacks(STACKS)
    return [segment for _, segment in bound.of("m", "r", [2, 3])]


def test_the_straight_way_through_a_branch_point_is_one_dendrite(tmp_path):
    lengths = sorted(round(s.length_um) for s in traced(tmp_path / "y.swc", Y_TREE))
    assert lengths == [8, 20]


def test_an_swc_that_we_wrote_comes_back(tmp_path):
    rows = [
        {"dendrite_id": d, "node": i, "z_um": 3.0, "y_um": 4.0 + 5 * d, "x_um": 0.5 * i,
         "radius_um": 0.4, "arc_length_um": 0.5 * i}
        for d in (0, 1) for i in range(21)
    ]  # fmt: skip
    path = write_swc(tmp_path / "ours.swc", DENDRITES.frame(rows))
    first, second = traced(path, path.read_text())
    assert first.points_um[10] == pytest.approx([3, 4, 5], abs=0.01)
    assert second.points_um[10] == pytest.approx([3, 9, 5], abs=0.01)
    assert first.radius_um[0] == pytest.approx(0.4)


def test_a_table_says_which_session_was_traced(tmp_path):
    (tmp_path / "t.csv").write_text(
        "animal,region,session,dendrite,z_um,y_um,x_um\n"
        "m,r,1,4,0,0,0\nm,r,1,4,0,0,9\nm,r,3,4,0,7,0\nm,r,3,4,0,7,9\n"
    )
    traces = read_traces(tmp_path / "t.csv")
    ((session, only),) = traces.of("m", "r", [2, 3, 1])
    assert (session, only.id) == (3, 4)
    assert np.allclose(only.points_um[:, 1], 7)
    with pytest.raises(InputError, match="no dendrite of animal 'x'"):
        traces.of("x", "r", [1])


def test_dendrites_traced_in_different_sessions_are_all_found(tmp_path):
    (tmp_path / "t.csv").write_text(
        "session,dendrite,z_um,y_um,x_um\n2,0,0,0,0\n2,0,0,0,9\n3,1,0,7,0\n3,1,0,7,9\n"
    )
    found = read_traces(tmp_path / "t.csv").of("m", "r", [2, 3])
    assert [(session, segment.id) for session, segment in found] == [(2, 0), (3, 1)]


def test_nodes_are_taken_in_their_order(tmp_path):
    (only,) = traced(
        tmp_path / "t.csv",
        "dendrite_id,node,z_um,y_um,x_um\n0,2,0,0,10\n0,0,0,0,0\n0,1,0,0,5\n",
    )
    assert only.length_um == pytest.approx(10, abs=0.01)


def test_an_swc_cannot_say_which_region_it_shows(tmp_path):
    (tmp_path / "y.swc").write_text(Y_TREE)
    two = [*STACKS, StackFile(Session("m", "q", 0), Path("b.tif"))]
    with pytest.raises(InputError, match="does not say which session"):
        read_traces(tmp_path / "y.swc").for_stacks(two)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.swc", "1 3 0 0\n", "holds no SWC nodes"),
        ("a.swc", "one two\n", "is not an SWC file"),
        ("a.swc", "nan 3 0 0 0 1 -1\n2 3 1 1 1 1 1\n", "node 1 of 2 lacks its id, place"),
        ("a.swc", "1 3 nan 0 0 1 -1\n2 3 1 1 1 1 1\n", "node 1 of 2 lacks its id, place"),
        ("a.swc", "1 3 0 0 0 1 -1\n1 3 1 1 1 1 1\n", "node 2 of 2 has the id of a node before"),
        ("a.swc", "1 3 0 0 0 1 9\n2 3 1 1 1 1 1\n", "node 9 is named as a parent"),
        ("a.csv", "dendrite,z_um,y_um,x_um\n", "holds no nodes"),
        ("a.csv", "dendrite,z_um,y_um,x_um\n0,1,1,1\n", "has 1 node"),
        ("a.csv", "dendrite,z_um,y_um,x_um\n0,,1,1\n0,1,1,5\n", "a node without a place"),
        ("a.csv", "dendrite,z,y,x\n0,1,1,1\n", "lacks the columns z_um, y_um, x_um"),
        ("a.obj", "", "are read from .csv or .swc"),
    ],
)
def test_what_is_no_trace_is_refused(tmp_path, name, text, message):
    with pytest.raises(InputError, match=message):
        traced(tmp_path / name, text)


@pytest.mark.parametrize("name", ["none.swc", "none.csv"])
def test_a_missing_file(tmp_path, name):
    with pytest.raises(InputError, match="was not found"):
        read_traces(tmp_path / name)


def test_a_trace_that_means_two_regions_is_refused(tmp_path):
    """Without animals it would be laid over the other animal's stacks too."""
    path = tmp_path / "traces.csv"
    path.write_text("session,dendrite,z_um,y_um,x_um\n0,0,5,5,0\n0,0,5,5,40\n")
    stacks = [StackFile(Session(a, "r", t, float(t)), Path("x")) for a in "ab" for t in (0, 1)]
    with pytest.raises(InputError, match="mean 2 of the regions a, r, b, r"):
        read_traces(path).for_stacks(stacks)
    assert read_traces(path).for_stacks(stacks[:2]).traced_in(stacks[0].session) == {0}


@pytest.mark.parametrize("slice_um", [1.0, 2.0])
def test_close_clicks_that_flicker_between_slices_are_in_order(tmp_path, slice_um):
    rng = np.random.default_rng(0)
    x = np.arange(0, 30, 0.1)
    z = slice_um * np.rint(rng.normal(5, 0.5, len(x)))
    lines = [f"0,{a},4,{b}\n" for a, b in zip(z, x, strict=True)]
    (line,) = traced(tmp_path / "a.csv", "dendrite,z_um,y_um,x_um\n" + "".join(lines))
    assert line.length_um == pytest.approx(30, rel=0.15)


def test_nodes_whose_order_was_lost_are_refused(tmp_path):
    """A dendrite from left to right that waves in depth; sorted by depth it jumps to and fro."""
    x = np.arange(0, 30, 2.0)
    z = 5 + 2 * np.sin(x)
    head = "dendrite,z_um,y_um,x_um\n"
    lines = [f"0,{a:.2f},4,{b}\n" for a, b in zip(z, x, strict=True)]
    (line,) = traced(tmp_path / "a.csv", head + "".join(lines))
    assert line.length_um < 60
    with pytest.raises(InputError, match="nodes of dendrite 0 jump to and fro"):
        traced(tmp_path / "b.csv", head + "".join(sorted(lines)))
    numbered = [f"{k},{line}" for k, line in enumerate(lines)]
    by_depth = sorted(numbered, key=lambda row: row.split(",")[2])
    (again,) = traced(tmp_path / "c.csv", "node," + head + "".join(by_depth))
    assert again.length_um == line.length_um


def test_a_hairpin_is_no_lost_order(tmp_path):
    there = [f"0,0,0,{x}\n" for x in range(0, 40, 4)]
    back = [f"0,0,3,{x}\n" for x in range(36, -4, -4)]
    (line,) = traced(tmp_path / "a.csv", "dendrite,z_um,y_um,x_um\n" + "".join(there + back))
    assert line.length_um == pytest.approx(75, abs=3)
