"""What a person has is not lost, and what a run has done is not done again."""

import json
import shutil
import subprocess
import sys

import pandas as pd
import pytest
import tifffile
import torch

from spinenet.cli import main
from spinenet.commands import BAD_INPUT, DONE, SOME_FAILED
from spinenet.io.write import write_table
from spinenet.tables import TRACKS
from tests.conftest import ROOT, tracks_of
from tests.integration.conftest import run


@pytest.fixture
def out(results, tmp_path):
    """A person's own copy of a finished run."""
    return shutil.copytree(results, tmp_path / "out")


def tables_of(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.suffix in (".csv", ".json")}


def test_the_analysis_alone_does_not_replace_half_of_a_run(results, out, capsys):
    before = tables_of(out)
    assert main(["analyze", str(results / "tracks.csv"), "--out", str(out)]) == BAD_INPUT
    assert "would replace a part" in capsys.readouterr().err
    assert tables_of(out) == before


def test_every_figure_says_what_it_shows(results):
    page = (results / "report.html").read_text()
    assert page.count("<p class=caption>") == len(list((results / "figures").glob("*.svg")))


def test_masks_that_were_painted_since_are_not_written_over(
    out, small_experiment, tmp_path, capsys
):
    painted = next((out / "labels").glob("*.ome.tif"))
    labels = tifffile.imread(painted)
    labels[3, 5:9, 5:9] = labels.max() + 1
    tifffile.imwrite(painted, labels, photometric="minisblack")
    theirs = painted.read_bytes()
    command = (small_experiment / "sessions.csv", "--out", out)
    assert run(*command) == BAD_INPUT
    assert "was changed since the last run" in capsys.readouterr().err
    assert painted.read_bytes() == theirs
    painted.rename(tmp_path / painted.name)
    assert run(*command) == DONE


def test_outlines_that_were_drawn_anew_are_not_written_over(out, small_experiment, capsys):
    drawn, other, *_ = sorted((out / "rois").glob("*.zip"))
    drawn.write_bytes(other.read_bytes())
    assert run(small_experiment / "sessions.csv", "--out", out) == BAD_INPUT
    assert f"{drawn.name} was changed since the last run" in capsys.readouterr().err
    assert drawn.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("name", ["spines.csv", "tracks.csv", "dendrites.csv"])
def test_tables_that_were_edited_since_are_not_written_over(out, small_experiment, capsys, name):
    table = out / name
    whole = table.read_bytes()
    table.write_bytes(whole[: whole.rindex(b"\n", 0, -1) + 1])  # without its last line
    command = (small_experiment / "sessions.csv", "--out", out)
    assert run(*command) == BAD_INPUT
    assert f"{table} was changed since the last run" in capsys.readouterr().err
    table.write_bytes(whole)
    assert run(*command) == DONE


def test_corrections_of_a_first_round_are_not_left_out_of_a_second(
    out, small_experiment, tmp_path, capsys
):
    """The folder's own file is left aside where another one is given."""
    spines = pd.read_csv(out / "spines.csv")
    rows = spines.rename(columns={"track_id": "note"})[
        ["session", "z_um", "y_um", "x_um", "note"]
    ].assign(action="delete")
    rows.iloc[:1].to_csv(out / "corrections.csv", index=False)
    second = tmp_path / "second.csv"
    rows.iloc[1:2].to_csv(second, index=False)
    command = (small_experiment / "sessions.csv", "--out", out, "--corrections", second)
    assert run(*command) == BAD_INPUT
    assert "corrections.csv has 1 line that second.csv lacks (line 2" in capsys.readouterr().err
    rows.iloc[:2].to_csv(second, index=False)
    assert run(*command) == DONE


def test_a_copy_of_another_session_is_left_out(small_experiment, tmp_path, capsys):
    sessions = pd.read_csv(small_experiment / "sessions.csv")
    stacks = tmp_path / "stacks"
    stacks.mkdir()
    first, second, third = sessions["path"]
    for given, name in ((first, first), (first, second), (third, third)):
        shutil.copy(small_experiment / given, stacks / name)
    sessions.to_csv(stacks / "sessions.csv", index=False)
    assert run(stacks / "sessions.csv", "--out", tmp_path / "out") == SOME_FAILED
    assert f"{second} and {first} are the same image to the last byte" in capsys.readouterr().err
    intervals = pd.read_csv(tmp_path / "out" / "intervals.csv")
    assert set(zip(intervals["session_from"], intervals["session_to"], strict=True)) == {(0, 2)}


def test_a_torn_copy_of_the_voxels_is_made_anew(out, small_experiment):
    torn = list((out / ".stacks").glob("*/pixels.npy"))
    for file in torn:
        file.write_bytes(file.read_bytes()[:1000])
    assert run(small_experiment / "sessions.csv", "--out", out) == DONE
    assert all(file.stat().st_size > 1000 for file in torn)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card here")
def test_a_missing_card_is_said_before_anything_is_written(out, small_experiment, capsys):
    before = tables_of(out)
    assert run(small_experiment / "sessions.csv", "--out", out, "--device", "cuda") == BAD_INPUT
    assert "sees no CUDA card" in capsys.readouterr().err
    assert tables_of(out) == before


def test_a_session_left_out_leaves_the_others_as_they_are(out, small_experiment, tmp_path, capsys):
    """Stacks are kept by what they are, not by the number of their session."""
    lab = shutil.copytree(small_experiment, tmp_path / "lab")
    header, _, *others = (lab / "sessions.csv").read_text().splitlines()
    renumbered = [
        ",".join(str(k) if i == column else cell for i, cell in enumerate(line.split(",")))
        for k, line in enumerate(others)
        for column in [header.split(",").index("session")]
    ]
    (lab / "sessions.csv").write_text("\n".join([header, *renumbered]) + "\n")
    assert main(["infer", str(lab / "sessions.csv"), "--out", str(out), "--verbose"]) == DONE
    said = capsys.readouterr().err
    assert "kept from an earlier run" in said
    assert "the net looks at it" not in said


def test_a_stack_without_a_voxel_size_is_named_before_the_first_is_segmented(
    small_experiment, tmp_path, capsys
):
    """Not in the morning, after a night of segmenting the others."""
    lab = shutil.copytree(small_experiment, tmp_path / "lab")
    last = sorted(lab.glob("*.tif"))[-1]
    tifffile.imwrite(last, tifffile.imread(last), photometric="minisblack")
    command = ["infer", str(lab / "sessions.csv"), "--out", str(tmp_path / "new"), "--verbose"]
    assert main(command) != DONE
    said = capsys.readouterr().err
    assert said.index("does not say how large its voxels are") < said.index("the net looks at it")


def test_a_table_scored_by_hand_and_analysed_in_its_folder_is_not_written_over(
    results, small_experiment, tmp_path, capsys
):
    mine = tmp_path / "mine"
    mine.mkdir()
    shutil.copy(results / "tracks.csv", mine / "tracks.csv")
    command = ["analyze", str(mine / "tracks.csv"), "--out", str(mine), "--analyze.n_shuffles", "9"]
    assert main(command) == DONE
    before = (mine / "tracks.csv").read_bytes()
    assert run(small_experiment / "sessions.csv", "--out", mine) == BAD_INPUT
    assert "which spinenet did not write there" in capsys.readouterr().err
    # nor a figure of theirs, though an earlier run was refused here
    theirs = tmp_path / "theirs"
    (theirs / ".stacks").mkdir(parents=True)
    (theirs / "figures").mkdir()
    (theirs / "figures" / "turnover.png").write_bytes(b"mine")
    assert run(small_experiment / "sessions.csv", "--out", theirs) == BAD_INPUT
    assert "holds figures, which spinenet" in capsys.readouterr().err
    assert (theirs / "figures" / "turnover.png").read_bytes() == b"mine"
    assert (mine / "tracks.csv").read_bytes() == before


def test_the_run_from_python_that_the_readme_shows(out, small_experiment, tmp_path):
    shutil.copytree(small_experiment, tmp_path / "stacks")
    out.rename(tmp_path / "results")
    code = (ROOT / "README.md").read_text().split("```python\n")[1].split("```")[0]
    (tmp_path / "run.py").write_text(code)
    ran = subprocess.run([sys.executable, "run.py"], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0
    assert "report.html" in ran.stdout


def test_figures_of_an_earlier_analysis_do_not_stay_beside_other_tables(tmp_path):
    """Five sessions, then the first alone: no figure of new spines is left, but for one that a
    person has drawn over."""
    lives = {1: "11111", 2: "01111", 3: "00111", 4: "11111", 5: "01110", 6: "11111"}
    out, told = tmp_path / "out", ["--analyze.n_shuffles", "20", "--quiet"]
    write_table(tmp_path, TRACKS, tracks_of(lives).frame)
    table = str(tmp_path / TRACKS.file)
    assert main(["analyze", table, "--out", str(out), *told]) == DONE
    first = {p.name for p in (out / "figures").iterdir()}
    assert {"turnover.pdf", "survival.svg"} <= first
    (out / "figures" / "survival.svg").write_text("mine")
    one = tracks_of({k: life[0] for k, life in lives.items()}).frame
    write_table(tmp_path, TRACKS, one)
    assert main(["analyze", table, "--out", str(out), *told]) == DONE
    left = {p.name for p in (out / "figures").iterdir()}
    assert "turnover.pdf" not in left
    assert (out / "figures" / "survival.svg").read_text() == "mine"
    assert left - {"survival.svg"} == {*json.loads((out / "run.json").read_text())["figures"]}


def test_a_table_without_spines_takes_the_place_of_one_with_them(tmp_path):
    """Header alone: the figures of the first run go, a person's own file does not."""
    out, told = tmp_path / "out", ["--analyze.n_shuffles", "20", "--quiet"]
    write_table(tmp_path, TRACKS, tracks_of({1: "11", 2: "01", 3: "11"}).frame)
    table = str(tmp_path / TRACKS.file)
    assert main(["analyze", table, "--out", str(out), *told]) == DONE
    assert (out / "figures" / "dendrites.pdf").is_file()
    write_table(tmp_path, TRACKS, TRACKS.frame())
    assert main(["analyze", table, "--out", str(out), *told]) == DONE
    assert not (out / "figures" / "dendrites.pdf").is_file()
    (out / "figures" / "dendrites.pdf").write_text("mine")
    assert main(["analyze", table, "--out", str(out), *told]) == DONE
    assert (out / "figures" / "dendrites.pdf").read_text() == "mine"


def test_spines_that_wander_along_their_dendrite_are_named(tmp_path, capsys):
    """Arc lengths counted from another point in the second session."""
    frame = tracks_of({1: "11", 2: "11", 3: "01"}).frame
    frame.loc[frame["session"] == 1, "arc_length_um"] += 10
    write_table(tmp_path, TRACKS, frame)
    command = ["analyze", str(tmp_path / TRACKS.file), "--out", str(tmp_path / "out")]
    assert main([*command, "--analyze.n_shuffles", "20"]) == DONE
    assert "the sightings of 2 of 3 spines lie more than 4 um apart" in capsys.readouterr().err
    assert "counted from the same point" in (tmp_path / "out" / "report.html").read_text()
