"""What a careless hand does to a run: blank names, settings given twice, one folder for two studies."""

import os

import numpy as np
import pandas as pd
import pytest
import tifffile

from spinenet.cli import main
from spinenet.commands import BAD_INPUT, DONE
from spinenet.config import SimulateConfig, TurnoverConfig
from spinenet.io.atomic import sweep
from spinenet.io.experiment import write_experiment
from spinenet.io.finished import FIGURES, LABELS, RUN, UNFINISHED, begin_writing
from spinenet.io.write import write_json
from spinenet.pipeline import results
from spinenet.tables import LINKS
from spinenet.types import InputError
from tests.conftest import tracks_of

HAND = {1: "110", 2: "011", 3: "111"}


def settings(folder, text):
    path = folder / "lab.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("analyze:\n  d_um: 9\nanalyze:\n  max_gap: 0\n", "'analyze' twice, in lines 1 and 3"),
        ("analyze:\n  d_um: 9\n  d_um: 3\n", "'analyze.d_um' twice, in lines 2 and 3"),
        ("analyze:\n  # d_um: 9\n", "nothing stands below 'analyze'"),
        ("analyze:\n  d_um: 9\nanalyze.d_um: 3\n", "'analyze.d_um' twice, in lines 2 and 3"),
        ("seed: {{SEED}}\n", "A template that was not filled in"),
        ("out: 2026-11-31\n", "x.tif was not found"),  # a name like any other
        ("analyze: {d_um: [", "cannot be read as settings"),
        ("9\n", "holds no settings"),
        ("seed: 1 # \u00b5\n".encode("utf-16"), "no text in UTF-8"),
    ],
)
def test_settings_that_would_be_passed_over_are_refused(tmp_path, capsys, text, complaint):
    assert main(["infer", "x.tif", "--out", "y", "--config", settings(tmp_path, text)]) == BAD_INPUT
    said = capsys.readouterr().err
    assert complaint in said
    assert len(said.strip().splitlines()) == 1


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("--config {}", "analyze:\n  d_um: 9\n"),
        ("--config={}", "analyze:\n  d_um: 9\n"),
        ("--analyze {}", "d_um: 9\n"),
        ("--analyze={}", "d_um: 9\n"),
    ],
)
def test_what_was_typed_goes_before_what_a_file_says(tmp_path, capsys, first, flag, text):
    file = flag.format(settings(tmp_path, text)).split()
    typed = ["--analyze.d_um", "3"]
    words = [*typed, *file] if first else [*file, *typed]
    assert main(["infer", "x.tif", "--out", "y", *words, "--print_config"]) == DONE
    assert "d_um: 3.0" in capsys.readouterr().out


def test_settings_as_printed_can_be_given_back(tmp_path, capsys):
    assert main(["infer", "x.tif", "--out", "y", "--print_config"]) == DONE
    printed = settings(tmp_path, capsys.readouterr().out)
    assert main(["infer", str(tmp_path / "x.tif"), "--out", "y", "--config", printed]) == BAD_INPUT
    assert "x.tif was not found" in capsys.readouterr().err


def test_a_flag_cut_short_is_not_read_as_another(tmp_path, capsys):
    words = ["infer", "x.tif", "--out", "y", "--conf", settings(tmp_path, "seed: 1\n")]
    assert main(words) == BAD_INPUT
    assert "nrecognized arguments: --conf" in capsys.readouterr().err


def test_a_blank_folder_in_a_file_is_not_the_one_where_one_stands(tmp_path, capsys):
    assert main(["infer", "x.tif", "--config", settings(tmp_path, 'out: ""\n')]) == BAD_INPUT
    assert "--out is blank" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--out", ""], ["--out="], ["--out", " "]])
@pytest.mark.parametrize("command", ["infer a.tif", "analyze a.csv", "simulate", "demo"])
def test_a_blank_folder_is_not_the_one_where_one_stands(command, words, capsys):
    assert main([*command.split(), *words]) == BAD_INPUT
    assert "--out is blank" in capsys.readouterr().err


def test_names_that_no_table_can_hold_are_refused(tmp_path, capsys):
    path = os.fsencode(tmp_path) + b"/m\xfc1.tif"
    tifffile.imwrite(tmp_path / "a.tif", np.ones((4, 16, 16)), photometric="minisblack")
    os.rename(tmp_path / "a.tif", path)  # noqa: PTH104 - a name that is no text
    given = ["infer", os.fsdecode(path), "--voxel_um", "[1,0.1,0.1]", "--out", str(tmp_path / "o")]
    assert main(given) == BAD_INPUT
    assert "not in UTF-8" in capsys.readouterr().err


def test_a_folder_of_another_study_is_refused(tmp_path):
    write_json(tmp_path / RUN, {LABELS: {"m1_r1_session0": "", "m1_r1_session1": ""}})
    results.check_same_study(tmp_path, ["M1_r1_session1", "m1_r1_session2"])  # it grew
    for _ in range(2):  # whole, and cut off
        with pytest.raises(InputError, match="of other stacks .m1_r1_session0, 2 in all"):
            results.check_same_study(tmp_path, ["m2_r1_session0"])
        begin_writing(tmp_path)


def test_the_demonstration_leaves_a_study_alone(small_experiment, tmp_path, capsys):
    (tmp_path / "stacks").symlink_to(small_experiment, target_is_directory=True)
    assert main(["demo", "--out", str(tmp_path)]) == BAD_INPUT
    assert "not the demonstration's" in capsys.readouterr().err


def test_what_another_run_holds_is_not_swept_away(tmp_path):
    aside = f".{'0' * 32}.tmp.csv"
    for folder in (
        tmp_path,
        tmp_path / "labels",
        tmp_path / "other",
        tmp_path / "other" / "labels",
    ):
        folder.mkdir(exist_ok=True)
        (folder / aside).touch()
    (tmp_path / ".lock").touch()
    (tmp_path / "other" / ".lock").touch()
    sweep(tmp_path)
    left = sorted(p.relative_to(tmp_path).parent.as_posix() for p in tmp_path.rglob(aside))
    assert left == ["other", "other/labels"]


def small(sessions, animals=1):
    days = tuple(2.0 * t for t in range(sessions))
    return SimulateConfig(
        animals=animals, shape=(4, 32, 32), dendrites=1, turnover=TurnoverConfig(days=days)
    )


def test_a_smaller_simulation_leaves_nothing_of_a_larger_one(tmp_path):
    """And a stack of a person's own stays, in whatever way the table was saved with it."""
    sessions = write_experiment(small(2, animals=2), tmp_path)
    (tmp_path / "own.tif").touch()
    sessions.write_text(sessions.read_text().replace(",", ";") + "m9;;r9;0;0;own.tif\n")
    write_experiment(small(1), tmp_path)
    kept = ["animal1_region1_session0.ome.tif"]
    assert sorted(p.name for p in tmp_path.glob("*.tif")) == [*kept, "own.tif"]
    assert [p.name for p in tmp_path.glob("truth/labels/*")] == kept


def test_a_truth_in_another_encoding_is_not_ours(tmp_path):
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "spines.csv").write_bytes("a,b\n1,2\n".encode("utf-16"))
    with pytest.raises(InputError, match="not of a simulation"):
        write_experiment(small(1), tmp_path)


def hand_scored(folder, **who):
    tracks_of(HAND, **who).frame.to_csv(folder / "t.csv", index=False)
    return ["analyze", str(folder / "t.csv"), "--out", str(folder / "out"), "--quiet"]


def test_an_analysis_that_was_cut_off_leaves_no_page_of_another(tmp_path, monkeypatch):
    command = hand_scored(tmp_path)
    assert main(command) == DONE
    figures = sorted((tmp_path / "out" / "figures").iterdir())

    def full_disk(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr("spinenet.pipeline.tracks.write_figures", full_disk)
    assert main([*command, "--analyze.d_um", "1"]) == BAD_INPUT
    assert not (tmp_path / "out" / "report.html").exists()
    assert not any((tmp_path / "out" / "figures").iterdir())
    figures[0].write_bytes(b"half of one")
    run = (tmp_path / "out" / RUN).read_text()
    assert UNFINISHED in run
    assert FIGURES in run  # they are still known for its own
    monkeypatch.undo()
    assert main(command) == DONE
    assert sorted((tmp_path / "out" / "figures").iterdir()) == figures


@pytest.mark.parametrize("column", ["animal", "region"])
def test_tracks_of_nobody_are_refused(tmp_path, capsys, column):
    assert main(hand_scored(tmp_path, **{column: ""})) == BAD_INPUT
    assert f"t.csv, line 2: {column} is blank".replace("t.csv", "tracks.csv") in (
        capsys.readouterr().err
    )


def test_tables_of_other_animals_are_refused(tmp_path, capsys):
    links = pd.DataFrame(
        [{"animal": "other", "region": "r1", "session_from": 0, "session_to": 1}],
        columns=LINKS.names,
    )
    filled = links.fillna({c.name: 0 for c in LINKS.columns})
    filled.to_csv(tmp_path / "links.csv", index=False)
    command = [*hand_scored(tmp_path), "--links", str(tmp_path / "links.csv")]
    assert main(command) == BAD_INPUT
    assert "links.csv is of animal 'other', region 'r1'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flag", "instead"),
    [("animals", "most_animals"), ("dendrites", "dendrites"), ("clustered_share", "effect")],
)
def test_a_plan_that_would_not_heed_a_setting_says_so(flag, instead, capsys):
    assert main(["power", f"--cohort.{flag}", "1"]) == BAD_INPUT
    assert f"Give --{instead}" in capsys.readouterr().err
