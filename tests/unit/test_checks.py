"""Tables that would give wrong numbers are refused; coverage says where an absence is none."""

import numpy as np
import pandas as pd
import pytest

from spinenet.analyze.states import histories
from spinenet.analyze.summary import Evidence, analyze
from spinenet.config import AnalyzeConfig
from spinenet.io.table import read_table
from spinenet.io.write import write_table
from spinenet.tables import COVERAGE, LINKS, TRACKS
from spinenet.types import InputError, Tracks
from tests.conftest import tracks_of

FAST = AnalyzeConfig(n_shuffles=200, n_draws=20)
LIVES = {1: "111", 2: "011", 3: "110", 4: "111"}


def coverage(*rows):
    """(session, start, end, usable) of the dendrite of `tracks_of`."""
    names = ("session", "start_um", "end_um", "usable")
    who = {"animal": "m1", "region": "r1", "dendrite_id": 0, "snr": 20.0}
    return COVERAGE.frame([who | dict(zip(names, row, strict=True)) for row in rows])


def flows(tracks, cover):
    frame = analyze(tracks, FAST, Evidence(coverage=cover)).intervals
    mine = frame[frame["level"] == "dendrite"]
    return mine[["n_before", "n_new", "n_lost"]].to_numpy().tolist()


def test_a_table_of_present_spines_alone_is_refused():
    frame = tracks_of(LIVES).frame
    seen = Tracks(frame[frame["presence"] == "present"].reset_index(drop=True))
    with pytest.raises(InputError, match="track 2 .* has no row for session 0") as told:
        histories(seen, 1)
    assert "absent where it was looked for" in str(told.value)


@pytest.mark.parametrize(("column", "value"), [("p_present", 97.0), ("p_link", -0.1)])
def test_a_probability_beyond_one_is_refused(column, value):
    frame = tracks_of(LIVES).frame.assign(**{column: value})
    with pytest.raises(InputError, match=f"line 2: {column} is {value:g}"):
        histories(Tracks(frame), 1)


def test_a_session_that_is_not_usable_tells_nothing():
    """Neither that spines are gone nor that others are there: losses across it show after it."""
    tracks = tracks_of(LIVES)
    good = coverage((0, 0, 9, True), (1, 0, 9, True), (2, 0, 9, True))
    assert flows(tracks, good) == [[3, 1, 0], [4, 0, 1]]
    blurred = coverage((0, 0, 9, True), (1, 0, 9, True), (2, 0, 9, False))
    assert flows(tracks, blurred) == [[3, 1, 0]]
    between = coverage((0, 0, 9, True), (1, 0, 9, False), (2, 0, 9, True))
    survivors = tracks_of({1: "111", 2: "111", 3: "100", 4: "100"})
    assert flows(survivors, between) == [[4, 0, 2]]


def test_a_stretch_without_bounds_is_refused():
    table = coverage((0, 0, 9, True), (1, 0, 9, True), (2, 0, 9, True))
    table.loc[1, "end_um"] = np.nan
    with pytest.raises(InputError, match=r"coverage.csv, line 3: .* blank or not a finite number"):
        flows(tracks_of(LIVES), table)


def test_absences_beyond_what_was_scored_are_none():
    tracks = tracks_of({1: "11", 2: "01", 3: "11"}, arcs={1: 1.0, 2: 12.0, 3: 5.0})
    assert flows(tracks, coverage((0, 0, 20, True), (1, 0, 20, True))) == [[2, 1, 0]]
    assert flows(tracks, coverage((0, 0, 8, True), (1, 0, 20, True))) == [[2, 0, 0]]


def test_stretches_told_twice_count_once():
    tracks = tracks_of({1: "11", 2: "11"})
    once = coverage((0, 0, 10, True), (1, 0, 10, True))
    twice = coverage((0, 0, 10, True), (0, 0, 10, True), (1, 0, 10, True), (1, 4, 10, True))
    shown = [analyze(tracks, FAST, Evidence(coverage=c)).statistics for c in (once, twice)]
    density = [s.set_index("name").loc["density_per_um", "estimate"] for s in shown]
    assert density[0] == density[1] == pytest.approx(0.2)


def test_faulty_coverage_is_explained():
    tracks = tracks_of({1: "11", 2: "11"})
    with pytest.raises(InputError, match="ends at 0, before it"):
        analyze(tracks, FAST, Evidence(coverage=coverage((0, 10, 0, True), (1, 0, 10, True))))
    strange = coverage((0, 0, 10, True), (1, 0, 10, True)).assign(animal="m2")
    with pytest.raises(InputError, match="no row of animal 'm1', region 'r1'"):
        analyze(tracks, FAST, Evidence(coverage=strange))


def test_links_alone_give_the_machine_its_part():
    parts = [tracks_of(LIVES, animal=a).frame for a in ("a", "b", "c")]
    links = LINKS.frame(
        [
            {
                "animal": a,
                "region": "r1",
                "session_from": t,
                "session_to": t + 1,
                "spine_from": k,
                "spine_to": k,
                "p": 0.6,
                "chosen": True,
            }
            for a in ("a", "b", "c")
            for k, life in LIVES.items()
            for t in (0, 1)
            if life[t : t + 2] == "11"
        ]
    )
    tracks = Tracks(pd.concat(parts, ignore_index=True))
    rows = analyze(tracks, FAST, Evidence(links=links)).statistics.set_index("name")
    assert rows.loc["formation", "machine_high"] > rows.loc["formation", "machine_low"]
    plain = analyze(tracks, FAST).statistics.set_index("name")
    assert np.isnan(plain.loc["formation", "machine_low"])


def test_names_are_kept_as_they_are_written(tmp_path):
    frame = tracks_of({1: "11"}, animal="NA", group="None").frame
    write_table(tmp_path, TRACKS, frame)
    path = tmp_path / TRACKS.file
    path.write_text(path.read_text().replace("NA,None", "NA , None"))
    found = read_table(path, TRACKS)
    assert set(found["animal"]) == {"NA"}
    assert set(found["group"]) == {"None"}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("animal;region;session\nm1;r1;0\n", "semicolons"),
        ("animal;region;day\nm1;r1;0,5\nm1;r1;2,5\n", "semicolons"),
        ("animal\tregion\tday\nm1\tr1\t0\n", "tabs"),
    ],
)
def test_other_separators_are_explained(tmp_path, text, what):
    path = tmp_path / "tracks.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=f"{what} where commas"):
        read_table(path, TRACKS)


@pytest.mark.parametrize("blank", ["\n", ",,,\n"])
def test_a_blank_first_line_is_named(tmp_path, blank):
    path = tmp_path / "tracks.csv"
    path.write_text(blank + "animal,region,session\nm1,r1,0\n")
    with pytest.raises(InputError, match="the first line is blank"):
        read_table(path, TRACKS)


def test_blanks_that_spreadsheets_leave_do_no_harm(tmp_path):
    frame = tracks_of({1: "11"}).frame
    path = write_table(tmp_path, TRACKS, frame)
    lines = path.read_text().splitlines()
    commas = "," * lines[0].count(",")
    path.write_text("\n".join([lines[0].replace(",", ", "), *lines[1:], commas, commas, ""]))
    pd.testing.assert_frame_equal(read_table(path, TRACKS), frame, check_exact=False)


@pytest.mark.parametrize("days", [(20240129, 20240131), (240129, 240131)])
def test_dates_for_days_are_explained(days):
    with pytest.raises(InputError, match=f"{days[0]} looks like a date"):
        analyze(tracks_of({1: "11"}, days=days), FAST)


def test_days_of_a_long_study_are_no_dates():
    assert len(histories(tracks_of({1: "11"}, days=(9990, 12_345)), 1)) == 1


@pytest.mark.parametrize("column", ["animal", "group"])
def test_two_spellings_of_one_name_are_explained(column):
    parts = [
        tracks_of({1: "11"}, animal=f"m{k}").frame.assign(**{column: name})
        for k, name in enumerate(("Ctrl", "ctrl"))
    ]
    with pytest.raises(InputError, match=f"the {column}s 'Ctrl' and 'ctrl' differ in case"):
        analyze(Tracks(pd.concat(parts, ignore_index=True)), FAST)


@pytest.mark.parametrize(
    ("name", "value"),
    [("n_shuffles", 0), ("d_um", -1.0), ("max_gap", -1), ("n_draws", -3), ("window", (4.0, 2.0))],
)
def test_settings_out_of_range_are_explained(name, value):
    with pytest.raises(InputError, match=f"^{name} "):
        AnalyzeConfig(**{name: value})


def test_nobody_to_follow_is_said_with_the_setting():
    late = pd.concat([tracks_of(LIVES, days=(5, 10, 15), animal=a).frame for a in "ab"])
    rows = analyze(Tracks(late.reset_index(drop=True)), FAST).statistics.set_index("name")
    assert "analyze.landmark_day" in rows.loc["survival_clustered", "test"]


def test_the_verdict_says_what_it_could_not_judge():
    lives = dict.fromkeys(range(30), "1111")
    assert "without coverage.csv" in analyze(tracks_of(lives), FAST).verdict
    cover = coverage(*((t, 0, 40, True) for t in range(4)))
    found = analyze(tracks_of(lives), FAST, Evidence(coverage=cover))
    assert "without coverage.csv" not in found.verdict
