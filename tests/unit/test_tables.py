import numpy as np
import pandas as pd
import pytest

from spinenet.io.table import read_table
from spinenet.io.write import write_table
from spinenet.tables import RESULTS, SESSIONS, TRACKS
from spinenet.types import InputError
from tests.conftest import tracks_of

SAMPLE = {"int": 3, "int?": 7, "float": 1.25, "str": "a b", "bool": True}


@pytest.mark.parametrize("table", [SESSIONS, *RESULTS], ids=lambda t: t.file)
@pytest.mark.parametrize("rows", [0, 2])
def test_round_trip(table, rows, tmp_path):
    frame = table.frame([{c.name: SAMPLE[c.kind] for c in table.columns}] * rows)
    back = read_table(write_table(tmp_path, table, frame), table)
    pd.testing.assert_frame_equal(back, frame)


@pytest.mark.parametrize("table", RESULTS, ids=lambda t: t.file)
def test_blank_stays_blank(table, tmp_path):
    fixed = {c.name: SAMPLE[c.kind] for c in table.columns if c.kind in ("int", "bool")}
    fixed |= {table.columns[0].name: SAMPLE[table.columns[0].kind]}  # no row is blank all through
    back = read_table(write_table(tmp_path, table, table.frame([fixed])), table)
    pd.testing.assert_frame_equal(back, table.frame([fixed]))


@pytest.mark.parametrize("table", [SESSIONS, *RESULTS], ids=lambda t: t.file)
def test_every_column_says_what_it_means(table):
    assert all(
        c.meaning and (not c.name.endswith("_um") or "um" in c.meaning) for c in table.columns
    )


def test_a_missing_column_is_named():
    with pytest.raises(InputError, match="tracks.csv lacks the column presence"):
        TRACKS.conform(TRACKS.frame().drop(columns="presence"))


@pytest.mark.parametrize(
    ("cell", "complaint"), [("1,5", "a number"), ("", "a number"), (1.5, "whole")]
)
def test_a_bad_cell_is_named_with_its_line(cell, complaint):
    row = {c.name: SAMPLE[c.kind] for c in SESSIONS.columns}
    frame = pd.DataFrame([row, {**row, "session": cell}])
    with pytest.raises(InputError, match=f"column session, line 3.*{complaint}"):
        SESSIONS.conform(frame)


def test_identifiers_read_as_numbers_stay_themselves():
    frame = SESSIONS.frame([{"animal": 12.0, "region": "r", "path": "x", "session": 0}])
    assert frame["animal"][0] == "12"


def test_further_columns_are_kept():
    assert TRACKS.conform(TRACKS.frame().assign(note="x")).columns[-1] == "note"


def test_unreadable_tables(tmp_path):
    with pytest.raises(InputError, match="was not found"):
        read_table(tmp_path / "none.csv", TRACKS)
    (tmp_path / "x.csv").write_bytes(b"PK\x03\x04\xff\xfe\x00")
    with pytest.raises(InputError, match="renamed to .csv"):
        read_table(tmp_path / "x.csv", TRACKS)
    (tmp_path / "x.csv").write_bytes("animal\nKäfig\n".encode("cp1252"))
    with pytest.raises(InputError, match="Excel's plain CSV"):
        read_table(tmp_path / "x.csv", TRACKS)


@pytest.mark.parametrize("day", ["2024-03-01", "1.3.2024", "03/01/24 10:30"])
def test_dates_are_not_taken_for_decimal_commas(day):
    with pytest.raises(InputError, match="it is a date: give days counted from the first session"):
        SESSIONS.frame([{"animal": "m", "region": "r", "session": 0, "day": day, "path": "a"}])


def test_days_counted_from_any_zero_keep_their_hours(tmp_path):
    days = [2459581.25, 2459581.75, 738156.2501]
    rows = tracks_of({1: "111"}, days=tuple(days)).frame
    path = write_table(tmp_path, TRACKS, rows)
    assert read_table(path, TRACKS)["day"].tolist() == days


def test_undefined_is_nan_not_zero():
    assert np.isnan(RESULTS[-1].frame([{"name": "x"}])["estimate"][0])
