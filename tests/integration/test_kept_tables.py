"""What a person made is never written over, and a damaged store is only done again."""

import shutil

import pandas as pd
import pytest

from spinenet.cli import main
from spinenet.commands import BAD_INPUT, DONE
from spinenet.io.store import load_prediction, load_stack


@pytest.fixture
def lab(small_experiment, tmp_path):
    """A lab's folder: stacks, sessions.csv, and spines marked by hand."""
    folder = tmp_path / "lab"
    shutil.copytree(small_experiment, folder)
    shutil.copy(folder / "truth" / "spines.csv", folder / "spines.csv")
    return folder


def refused(capsys, *command):
    assert main([str(part) for part in (*command, "--quiet")]) == BAD_INPUT
    return capsys.readouterr().err


def test_marked_spines_are_not_written_over(lab, capsys):
    before = (lab / "spines.csv").read_bytes()
    assert "Give another one" in refused(capsys, "link", lab, "--out", lab)
    said = refused(capsys, "infer", lab, "--out", lab)
    assert "holds spines.csv, which spinenet did not write" in said
    assert (lab / "spines.csv").read_bytes() == before


def test_an_experiment_is_not_simulated_over(lab, capsys):
    for of_ours in ("scorable", "planted"):
        marks = pd.read_csv(lab / "truth" / "spines.csv").drop(columns=of_ours)
        marks.to_csv(lab / "truth" / "spines.csv", index=False)
    assert "is not of a simulation" in refused(capsys, "simulate", "--out", lab)
    shutil.rmtree(lab / "truth")
    before = (lab / "sessions.csv").read_bytes()
    assert "is not of a simulation" in refused(capsys, "simulate", "--out", lab)
    assert (lab / "sessions.csv").read_bytes() == before


@pytest.mark.parametrize("to", ["trackmate", "mapmanager"])
def test_what_was_exported_is_not_exported_over(results, tmp_path, capsys, to):
    command = ["export", str(results), "--format", to, "--out", str(tmp_path)]
    assert main(command) == DONE
    assert "may hold what you edited" in refused(capsys, *command)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("spines.npy", lambda f: f.write_bytes(b"")),
        ("spines.npy", lambda f: f.write_bytes(f.read_bytes()[:5000])),
        ("centre_probability.npy", lambda f: f.unlink()),
        ("small.npz", lambda f: f.write_bytes(f.read_bytes()[:100])),
    ],
)
def test_a_torn_stack_is_not_taken_from_the_store(results, tmp_path, name, damage):
    stack = tmp_path / "stack"
    shutil.copytree(next((results / ".stacks").glob("[!.]*")), stack)
    mark = (stack / "fingerprint").read_text()
    assert load_stack(stack, mark) is not None
    damage(stack / name)
    assert load_stack(stack, mark) is None


def test_the_answer_of_another_net_or_half_of_it_is_not_taken(results, tmp_path):
    stack = tmp_path / "stack"
    shutil.copytree(next((results / ".stacks").glob("[!.]*")), stack)
    mark = (stack / "fingerprint_net").read_text()
    assert load_prediction(stack, mark) is not None
    assert load_prediction(stack, "another") is None
    votes = stack / "votes_um.npy"
    votes.write_bytes(votes.read_bytes()[:200])
    assert load_prediction(stack, mark) is None


def test_what_other_code_kept_is_made_anew(
    results, small_experiment, tmp_path, capsys, monkeypatch
):
    """An update may measure otherwise: one half of a study must not be of before, one of after."""
    out = tmp_path / "out"
    shutil.copytree(results, out)
    command = ["infer", str(small_experiment / "sessions.csv"), "--out", str(out), "--verbose"]
    assert main(command) == DONE
    said = capsys.readouterr().err
    assert "kept from an earlier run" in said
    assert "the net looks at it" not in said
    monkeypatch.setattr("spinenet.pipeline.stacks.KEPT_BY", ("measure/*.py",))
    assert main(command) == DONE
    assert "the net's answer is kept" in capsys.readouterr().err
    monkeypatch.setattr("spinenet.pipeline.stacks.ANSWERED_BY", ("segment/*.py",))
    assert main(command) == DONE
    assert "the net looks at it" in capsys.readouterr().err


def test_a_torn_store_is_done_again(results, small_experiment, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(results, out)
    next((out / ".stacks").glob("*/small.npz")).write_bytes(b"")
    command = ["infer", str(small_experiment / "sessions.csv"), "--out", str(out), "--quiet"]
    assert main(command) == DONE
    for table in ("spines.csv", "tracks.csv"):
        assert (out / table).read_bytes() == (results / table).read_bytes()


def test_what_a_smaller_run_no_longer_has_goes(results, lab, tmp_path):
    """One session is left: no labels of the others, no turnover. A person's own file stays."""
    out = tmp_path / "out"
    shutil.copytree(results, out)
    (out / "rois" / "mine.zip").write_bytes(b"by hand")
    listed = (lab / "sessions.csv").read_text().splitlines()
    (lab / "sessions.csv").write_text("\n".join(listed[:2]) + "\n")
    assert main(["infer", str(lab / "sessions.csv"), "--out", str(out), "--quiet"]) == DONE
    left = {p.name.split("_session")[-1] for p in (*out.glob("labels/*"), *out.glob("rois/*"))}
    assert left == {"0.ome.tif", "0.zip", "0.swc", "mine.zip"}
    assert (results / "figures" / "turnover.pdf").is_file()
    assert not list(out.glob("figures/turnover.*"))


def test_marks_of_sessions_that_are_not_listed_are_named(lab, tmp_path, capsys):
    """The table of spines counts sessions from 1, that of stacks from 0."""
    marks = pd.read_csv(lab / "truth" / "spines.csv")
    marks.assign(session=marks["session"] + 1).to_csv(lab / "truth" / "spines.csv", index=False)
    assert main(["link", str(lab), "--out", str(tmp_path / "out")]) == DONE
    said = capsys.readouterr().err + (tmp_path / "out" / "run.json").read_text()
    assert "of sessions that sessions.csv does not list" in said


@pytest.mark.parametrize(("again", "what"), [("place", "one place"), ("track", "one track")])
def test_rows_pasted_twice_are_refused(lab, tmp_path, capsys, again, what):
    file = lab / "truth" / "spines.csv"
    marks = pd.read_csv(file)
    first = marks[marks["track_id"].notna()].iloc[[0]]
    if again == "track":
        first = first.assign(x_um=first["x_um"] + 1.0)
    pd.concat([marks, first]).to_csv(file, index=False)
    assert f"give {what} in one session twice" in refused(
        capsys, "link", lab, "--out", tmp_path / "out"
    )
