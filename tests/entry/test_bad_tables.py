"""Tables scored by hand go wrong in many ways: a clear error or a stated nan, never a wrong number."""

import numpy as np
import pandas as pd
import pytest

from spinenet.cli import main
from spinenet.commands import BAD_INPUT, DONE
from tests.conftest import tracks_of

LIVES = {1: "111", 2: "011", 3: "011", 4: "111", 5: "110", 6: "111"}


def table(animals=("a", "b")):
    parts = [tracks_of(LIVES, animal=a, group="g").frame for a in animals]
    return pd.concat(parts, ignore_index=True)


def run(frame, tmp_path, *more, coverage=None):
    path = tmp_path / "tracks.csv"
    frame.to_csv(path, index=False)
    arguments = ["analyze", str(path), "--out", str(tmp_path / "out"), *more]
    arguments += ["--analyze.n_shuffles", "20"]
    if coverage is not None:
        coverage.to_csv(tmp_path / "coverage.csv", index=False)
        arguments += ["--coverage", str(tmp_path / "coverage.csv")]
    return main(arguments)


def at(frame, row, **cells):
    changed = frame.astype(object)
    for column, value in cells.items():
        changed.loc[row, column] = value
    return changed


def also(frame, row, **cells):
    twice = frame.iloc[[*range(len(frame)), row]].reset_index(drop=True)
    return at(twice, len(frame), **cells)


REFUSED = {
    "a column is missing": (lambda f: f.drop(columns="presence"), "lacks the column presence"),
    "two are missing": (lambda f: f.drop(columns=["day", "session"]), "lacks the columns"),
    "another name": (
        lambda f: f.rename(columns={"track_id": "spine no."}),
        "lacks the column track_id",
    ),
    "text in a number": (lambda f: at(f, 3, day="four"), "is not a number"),
    "decimal comma": (lambda f: at(f, 3, arc_length_um="3,5"), "decimal comma"),
    "unit in the cell": (lambda f: at(f, 3, arc_length_um="3.5 um"), "is not a number"),
    "half a session": (lambda f: at(f, 3, session=1.5), "is not a whole number"),
    "blank track": (lambda f: at(f, 3, track_id=None), "track_id, line 5, is blank"),
    "blank day": (lambda f: at(f, 3, day=None), "day is blank"),
    "blank place": (lambda f: at(f, 3, arc_length_um=None), "arc_length_um is blank"),
    "endless place": (lambda f: at(f, 3, arc_length_um=np.inf), "not a finite number"),
    "presence as 1": (lambda f: at(f, 3, presence="1"), "is not one of"),
    "blank presence": (lambda f: at(f, 3, presence=""), "is not one of"),
    "presence misspelt": (lambda f: at(f, 3, presence="presnet"), "is not one of"),
    "unknown kind": (lambda f: at(f, 3, kind="mushroom"), "is not one of spine, filopodium"),
    "a track twice in a session": (lambda f: also(f, 3), "twice in one session"),
    "one spine in two tracks": (
        lambda f: also(f, 0, track_id=99, spine_id=1),
        "gives one spine to two tracks",
    ),
    "one spine on two dendrites": (lambda f: at(f, 3, dendrite_id=1), "lies on several dendrites"),
    "an animal in two groups": (lambda f: at(f, 3, group="other"), "is in several groups"),
    "days fall": (lambda f: f.assign(day=-f["day"]), "do not increase"),
    "days stand still": (lambda f: f.assign(day=1.0), "do not increase"),
    "two days in a session": (lambda f: at(f, 3, day=0.5), "has several days"),
    "half hidden": (lambda f: f.assign(hidden=f.index == 3), "is hidden in some rows only"),
    "perhaps hidden": (lambda f: f.assign(hidden="perhaps"), "is not yes or no"),
    "present spines alone": (lambda f: f[f["presence"] == "present"], "has no row for session"),
    "percent": (lambda f: f.assign(p_present=95.0), "a probability from 0 to 1 was expected"),
    "no file of CSV": (lambda f: pd.DataFrame({"x": [1]}), "lacks the columns"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_table_that_cannot_be_right_is_refused(name, tmp_path, capsys):
    change, message = REFUSED[name]
    assert run(change(table()), tmp_path) == BAD_INPUT
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert not (tmp_path / "out" / "statistics.csv").exists()


def statistics(tmp_path):
    return pd.read_csv(tmp_path / "out" / "statistics.csv").set_index("name")


def test_present_where_nothing_could_be_scored_is_refused(tmp_path, capsys):
    spans = [
        {
            "animal": a,
            "region": "r1",
            "session": t,
            "day": 2.0 * t,
            "dendrite_id": 0,
            "start_um": 0.0,
            "end_um": 4.5,
            "snr": 20.0,
            "usable": 1,
            "slip_ambiguous": 0,
            "warp_rms_um": 0.1,
        }
        for a in "ab"
        for t in range(3)
    ]
    assert run(table(), tmp_path, coverage=pd.DataFrame(spans)) == BAD_INPUT
    assert "outside what could be scored" in capsys.readouterr().err


def test_one_animal_has_values_without_intervals(tmp_path):
    assert run(table("a"), tmp_path) == DONE
    rows = statistics(tmp_path)
    assert rows.loc["formation", "estimate"] == pytest.approx(0.2)
    assert np.isnan(rows.loc["formation", "ci_low"])
    assert "fewer than two animals" in rows.loc["formation", "test"]


def test_no_new_spines_have_no_clustered_share(tmp_path):
    frame = table()
    frame["presence"] = "present"
    frame["spine_id"] = frame["track_id"]
    assert run(frame, tmp_path) == DONE
    rows = statistics(tmp_path)
    assert rows.loc["formation", "estimate"] == 0
    assert np.isnan(rows.loc["clustered_fraction_contiguous", "estimate"])
    assert np.isnan(rows.loc["hazard_ratio_clustered", "estimate"])


def test_no_rows_are_no_numbers(tmp_path, capsys):
    assert run(table().iloc[:0], tmp_path) == DONE
    assert statistics(tmp_path).empty
    assert "none of the 0 rows of tracks.csv" in capsys.readouterr().err
    assert "none of the 0 rows" in (tmp_path / "out" / "report.html").read_text()


def test_nothing_ever_scorable_is_no_numbers(tmp_path):
    frame = table()
    frame["presence"] = "out_of_view"
    frame["spine_id"] = None
    assert run(frame, tmp_path) == DONE
    assert statistics(tmp_path).empty


def test_unsorted_rows_give_the_same_numbers(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    frame = table()
    assert run(frame, tmp_path / "x") == DONE
    assert run(frame.sample(frac=1, random_state=1), tmp_path / "y") == DONE
    pd.testing.assert_frame_equal(statistics(tmp_path / "x"), statistics(tmp_path / "y"))


def test_one_session_has_no_interval(tmp_path):
    frame = table()
    assert run(frame[frame["session"] == 0], tmp_path) == DONE
    assert np.isnan(statistics(tmp_path).loc["formation", "estimate"])


def test_a_blank_group_is_a_group(tmp_path):
    assert run(table().assign(group=""), tmp_path) == DONE
    assert statistics(tmp_path).loc["formation", "estimate"] == pytest.approx(0.2)


def test_track_and_dendrite_are_read_as_their_numbers(tmp_path):
    short = table().rename(columns={"track_id": "track", "dendrite_id": "dendrite"})
    assert run(short, tmp_path, "--quiet") == DONE
