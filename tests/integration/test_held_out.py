"""What is held out is neither taught nor counted: not as a spine, and not as background."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tifffile

from spinenet.io.annotated import read_annotated
from spinenet.io.weights import load_segment_weights
from spinenet.io.write import write_table
from spinenet.tables import CONTESTED
from spinenet.training.match_annotated import read_families
from spinenet.training.targets import KNOWN_CENTRE, KNOWN_SPINE
from spinenet.training.underlay import find_ground
from spinenet.types import InputError
from tests.integration.drawn_folder import (
    HEAD,
    SHAPE,
    add_session,
    known,
    scene,
    write_points,
    write_sessions,
)


def test_a_held_out_dendrite_is_unknown(points_folder):
    taught = scene(points_folder, hold_out=(1,))
    assert known(taught, KNOWN_CENTRE)[12, 45, 100]
    assert not taught.labelled.known[12, 112:128].any()
    assert not scene(points_folder, hold_out=(0,)).labelled.wanted.any()


def test_a_long_spine_of_a_held_out_dendrite_is_no_background_of_another(tmp_path):
    """A filopodium of dendrite 1 whose head lies nearer to dendrite 0, which is shown."""
    write_sessions(tmp_path)
    points = {"y_um": 6.0, "x_um": 15.0, "base_y_um": 12.0, "base_x_um": 15.0}
    write_points(tmp_path, dendrite=1, point="head", **points)
    head = (12, 60, 150)
    assert known(scene(tmp_path), KNOWN_CENTRE)[head]
    taught = scene(tmp_path, hold_out=(1,))
    assert not known(taught, KNOWN_CENTRE | KNOWN_SPINE)[head]
    assert known(taught, KNOWN_CENTRE)[12, 60, 100]  # beside it all is as before


@pytest.mark.parametrize("told", [True, False])
def test_a_long_mask_of_a_held_out_dendrite_is_unknown_to_its_tip(tmp_path, told):
    """Whether a table says of which dendrite it is, or only that it begins there."""
    write_sessions(tmp_path)
    write_points(tmp_path, dendrite=1, label=7, y_um=8.0, x_um=15.0)
    if not told:
        pd.read_csv(tmp_path / "spines.csv").iloc[:0].to_csv(tmp_path / "spines.csv", index=False)
    labels = np.zeros(SHAPE, np.uint16)
    labels[12, 38:43] = labels[12, 118:123] = 1
    labels[12, 65:110, 148:153] = 7
    (tmp_path / "labels").mkdir()
    tifffile.imwrite(tmp_path / "labels" / "stack.tif", labels)
    assert known(scene(tmp_path), KNOWN_SPINE)[12, 66, 150]
    taught = scene(tmp_path, hold_out=(1,))
    assert not taught.labelled.wanted.any()
    assert not known(taught, KNOWN_SPINE)[labels == 7].any()


def test_a_held_out_dendrite_is_unknown_in_a_label_image_too(tmp_path):
    write_sessions(tmp_path)
    write_points(tmp_path)
    (tmp_path / "labels").mkdir()
    tifffile.imwrite(tmp_path / "labels" / "stack.tif", np.ones(SHAPE, np.uint16))
    taught = scene(tmp_path, hold_out=(1,)).labelled
    assert (taught.known[12, 112:128] == 0).all()
    assert (taught.known[12, 40] == 7).all()


def test_holding_out_everything_is_refused(points_folder):
    with pytest.raises(InputError, match="nothing is left to train on"):
        scene(points_folder, hold_out=(0, 1))


def test_holding_out_a_dendrite_that_is_not_there_is_refused(points_folder):
    with pytest.raises(InputError, match="dendrite 9 is to be held out, but"):
        scene(points_folder, hold_out=(9,))


def test_a_dendrite_is_held_out_in_all_sessions_or_not_at_all(tmp_path):
    """Labelled in two sessions and traced in one: in the other its place is not known."""
    write_sessions(tmp_path)
    write_points(tmp_path)
    add_session(tmp_path)
    (tmp_path / "labels").mkdir()
    for name in ("stack.tif", "later.tif"):
        tifffile.imwrite(tmp_path / "labels" / name, np.ones(SHAPE, np.uint16))
    with pytest.raises(InputError, match="dendrite 0 is to be held out, but it is not traced in"):
        scene(tmp_path, hold_out=(0,))


def test_marked_spines_and_held_out_dendrites_are_no_ground(points_folder):
    shape = (8, 32, 32)
    taught = scene(points_folder, hold_out=(1,))
    corners = find_ground(taught.labelled, shape, taught.hidden).corners_vox
    whole = find_ground(replace(taught.labelled, labels=taught.labelled.labels % 2), shape)
    holds = np.all((corners <= HEAD) & (corners + shape > HEAD), axis=1)
    assert not holds.any()
    rows = corners[:, 1]
    assert not (
        (rows <= 120) & (rows + 32 > 120) & (corners[:, 0] <= 12) & (corners[:, 0] > 4)
    ).any()
    assert 0 < len(corners) < len(whole.corners_vox)


def leaning_folder(folder):
    """Two dendrites 2 um apart over two sessions. Spine 99 of dendrite 1 leans over to dendrite 0,
    and its head is nearer to it in the first session only; it was marked with 0.2 um between."""
    write_sessions(folder)
    add_session(folder)
    nodes, marks = [], []
    for session in (0, 1):
        at = {"region": "r", "session": session, "z_um": 6.0}
        for dendrite, y in ((0, 4.0), (1, 6.0)):
            nodes += [
                {**at, "dendrite": dendrite, "y_um": y, "x_um": x} for x in np.arange(0, 20, 0.5)
            ]
            head = {"y_um": 2 * y - 5.0}  # outwards by 1 um
            marks += [
                {
                    **at,
                    **head,
                    "dendrite": dendrite,
                    "track": 10 * dendrite + k,
                    "x_um": 2.0 + 3 * k,
                }
                for k in range(5)
            ]
        y = 4.9 if session == 0 else 5.1
        marks.append({**at, "dendrite": 1, "track": 99, "y_um": y, "x_um": 9.5})
    pd.DataFrame(nodes).to_csv(folder / "dendrites.csv", index=False)
    pd.DataFrame(marks).assign(point="head").to_csv(folder / "spines.csv", index=False)


def marked_tracks(folder, hold_out):
    families = read_families(read_annotated(folder), hold_out, load_segment_weights("default"))
    return [[sorted(s.track[s.track >= 0].tolist()) for s in family] for family in families]


def test_the_head_sees_a_spine_on_the_dendrite_that_the_person_said(tmp_path):
    leaning_folder(tmp_path)
    first, second = [0, 1, 2, 3, 4], [10, 11, 12, 13, 14, 99]
    assert marked_tracks(tmp_path, ()) == [[first, first], [second, second]]
    assert marked_tracks(tmp_path, (1,)) == [[first, first]]


def test_the_head_is_not_taught_links_that_nobody_believes(tmp_path):
    """Spine 3 of dendrite 0 may be another one in the second session."""
    leaning_folder(tmp_path)
    doubt = CONTESTED.frame([{"session": 0, "session_to": 1, "track_id": 3}])
    write_table(tmp_path, CONTESTED, doubt)
    (first, second), _ = marked_tracks(tmp_path, ())
    assert first == second == [0, 1, 2, 4]


def test_the_head_is_not_shown_a_held_out_dendrite_where_nobody_traced_it(tmp_path):
    leaning_folder(tmp_path)
    nodes = pd.read_csv(tmp_path / "dendrites.csv")
    nodes[(nodes["session"] == 0) | (nodes["dendrite"] == 0)].to_csv(
        tmp_path / "dendrites.csv", index=False
    )
    with pytest.raises(InputError, match="dendrite 1 is to be held out, but it is not traced in"):
        marked_tracks(tmp_path, (1,))
