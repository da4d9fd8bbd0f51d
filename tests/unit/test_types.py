import numpy as np
import pandas as pd
import pytest

from spinenet.tables import LINKS, SPINES, TRACKS
from spinenet.types import (
    Dendrites,
    InputError,
    Matches,
    Segment,
    Segmentation,
    Session,
    SpineTable,
    Tracks,
    Volume,
)

S = Session("m 1", "r/2", 0)
LINE = np.array([[0.0, 0, 0], [0, 0, 1]])


def test_a_session_name_is_a_safe_file_name():
    assert S.name == "m-1_r-2_session0"


def test_a_day_must_be_a_number():
    with pytest.raises(InputError, match="finite number of days"):
        Session("m", "r", 0, float("nan"))


def test_a_volume_has_three_axes_and_a_size():
    with pytest.raises(InputError, match="three axes"):
        Volume(np.zeros((3, 3)), (1, 1, 1), S)
    with pytest.raises(InputError, match="not three positive numbers"):
        Volume(np.zeros((3, 3, 3)), (1, 0, 1), S)
    assert Volume(np.zeros((3, 4, 5)), (1, 0.1, 0.1), S).extent_um == pytest.approx([2, 0.3, 0.4])


def test_a_segment_needs_two_points_and_increasing_arc():
    one = np.zeros(1)
    with pytest.raises(InputError, match="at least two points"):
        Segment(0, LINE[:1], one, one)
    with pytest.raises(InputError, match="arc length must increase"):
        Segment(0, LINE, np.ones(2), np.zeros(2))
    with pytest.raises(ValueError, match="one radius"):
        Segment(0, LINE, one, np.arange(2.0))


def test_dendrite_ids_are_unique():
    segment = Segment(0, LINE, np.ones(2), np.arange(2.0))
    with pytest.raises(InputError, match="ids .* repeat"):
        Dendrites((segment, segment))
    assert segment.length_um == 1


def test_maps_share_one_grid():
    z = np.zeros((2, 2, 2), np.uint8)
    with pytest.raises(ValueError, match="on a grid"):
        Segmentation(z[1:] > 0, z, np.zeros((0, 3)), np.zeros(0), z, z, z, (1, 1, 1))
    with pytest.raises(ValueError, match="centres for"):
        Segmentation(z > 0, z, np.zeros((1, 3)), np.zeros(0), z, z, z, (1, 1, 1))


def test_spine_ids_are_unique():
    with pytest.raises(ValueError, match="ids repeat"):
        SpineTable(SPINES.frame([{"spine_id": 1}, {"spine_id": 1}]))


def test_chosen_links_are_one_to_one():
    link = {"session_from": 0, "session_to": 1, "spine_from": 1, "spine_to": 1, "chosen": True}
    Matches(LINKS.frame([link, {**link, "spine_to": 2, "chosen": False}]))
    with pytest.raises(ValueError, match="from end"):
        Matches(LINKS.frame([link, {**link, "spine_to": 2}]))


def test_a_track_is_once_in_a_session_and_a_spine_in_one_track():
    row = {"animal": "m", "region": "r", "presence": "present", "spine_id": 1}
    with pytest.raises(InputError, match="a track twice"):
        Tracks(TRACKS.frame([row, row]))
    with pytest.raises(InputError, match="one spine to two tracks"):
        Tracks(TRACKS.frame([row, {**row, "track_id": 1}]))
    assert isinstance(Tracks(TRACKS.frame()).frame, pd.DataFrame)
