"""A person's corrections, by hand or from another program, and the run that obeys them."""

import json
import shutil

import geff
import numpy as np
import pandas as pd
import pytest

from spinenet.cli import main
from spinenet.commands import BAD_INPUT, DONE
from spinenet.io.corrections import check_review, read_corrections
from spinenet.io.table import read_table
from spinenet.tables import DENDRITES, SPINES, TRACKS
from tests.integration.conftest import run


def corrected_run(results, experiment, out, rows):
    """The same run with corrections beside its results; its spines and tracks."""
    if not out.exists():
        shutil.copytree(results, out)
    told = out / "corrections.csv"
    pd.DataFrame(rows).to_csv(told, index=False)
    before = told.read_bytes()
    assert run(experiment / "sessions.csv", "--out", out) == DONE
    assert told.read_bytes() == before
    return read_table(out / SPINES.file, SPINES), read_table(out / TRACKS.file, TRACKS)


def place(spine, prefix=""):
    return {f"{prefix}{a}_um": float(spine[f"{a}_um"]) for a in "zyx"}


def at(spines, session, where):
    """The rows of a session at a place."""
    here = spines[spines["session"] == session]
    far = sum((here[f"{a}_um"] - where[f"{a}_um"]) ** 2 for a in "zyx")
    return here[far < 0.01]


def free_place(results, session):
    """A place beside a dendrite, far from all spines."""
    spines, nodes = (read_table(results / t.file, t) for t in (SPINES, DENDRITES))
    heads = spines.loc[spines["session"] == session, ["z_um", "y_um", "x_um"]].to_numpy()
    line = nodes.loc[nodes["session"] == session, ["z_um", "y_um", "x_um"]].to_numpy()
    beside = line[10:-10] + [0, 1.2, 0]
    far = np.linalg.norm(beside[:, None] - heads, axis=-1).min(axis=1)
    return dict(zip(("z_um", "y_um", "x_um"), beside[far.argmax()], strict=True))


@pytest.fixture(scope="module")
def seen_throughout(results):
    """Spines of one track in all three sessions, and those of another."""
    spines = read_table(results / SPINES.file, SPINES)
    found = spines[spines["source"] == "detected"]
    whole = found.groupby("track_id").filter(lambda rows: len(rows) == 3)
    return [rows.sort_values("session") for _, rows in whole.groupby("track_id")][:2]


def test_corrections_are_obeyed(results, seen_throughout, small_experiment, tmp_path):
    (first, second), out = seen_throughout, tmp_path / "out"
    a, b, c = (first.iloc[k] for k in range(3))
    d, e, f = (second.iloc[k] for k in range(3))
    new = free_place(results, 0)
    rows = [
        {"action": "different", "session": 0, **place(a), "session_to": 1, **place(b, "to_")},
        {"action": "delete", "session": 2, **place(f)},
        {"action": "absent", "session": 0, **place(d), "session_to": 2},
        {"action": "add", "session": 0, **new, "note": "seen by eye"},
    ]
    spines, tracks = corrected_run(results, small_experiment, out, rows)
    numbers = [at(spines, s.session, place(s))["track_id"].item() for s in (a, b)]
    assert numbers[0] != numbers[1]
    assert at(spines, 2, place(f)).empty
    gone = at(spines, 0, place(d))["track_id"].item()
    life = tracks[tracks["track_id"] == gone].set_index("session")
    assert life.loc[2, "presence"] == "absent"
    assert life.loc[2, "p_present"] == 0
    assert at(spines, 0, new)["source"].item() == "person"
    links = pd.read_csv(out / "links.csv")
    told = links[(links["session_from"] == 0) & (links["session_to"] == 1)]
    told = told[told["spine_from"] == at(spines, 0, place(a))["spine_id"].item()]
    told = told[told["spine_to"] == at(spines, 1, place(b))["spine_id"].item()]
    assert not told["chosen"].any()
    # and with the corrections gone everything is as before
    (out / "corrections.csv").unlink()
    assert run(small_experiment / "sessions.csv", "--out", out) == DONE
    assert (out / TRACKS.file).read_bytes() == (results / TRACKS.file).read_bytes()


def test_spines_a_person_joins_are_one_and_what_is_there_is_there(
    results, seen_throughout, small_experiment, tmp_path
):
    first, second = seen_throughout
    a, e, f = first.iloc[0], second.iloc[1], second.iloc[2]
    rows = [
        {"action": "same", "session": 0, **place(a), "session_to": 1, **place(e, "to_")},
        {"action": "delete", "session": 2, **place(f)},
        {"action": "present", "session": 1, **place(e), "session_to": 2},
    ]
    spines, tracks = corrected_run(results, small_experiment, tmp_path / "out", rows)
    numbers = {at(spines, s.session, place(s))["track_id"].item() for s in (a, e)}
    assert len(numbers) == 1
    life = tracks[tracks["track_id"] == numbers.pop()].set_index("session")
    assert life.loc[2, "presence"] == "present"
    assert life.loc[2, "p_present"] == 1
    assert life.loc[[1, 2], "p_link"].tolist() == [1, 1]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "A person corrected single spines and links (3 lines of corrections.csv, but" in page


def test_a_line_said_twice_and_crowded_additions(results, small_experiment, tmp_path):
    new = free_place(results, 1)
    beside = new | {"x_um": new["x_um"] + 0.5}
    add = [{"action": "add", "session": 1, **where} for where in (new, beside, new)]
    before = read_table(results / SPINES.file, SPINES)
    spines, _ = corrected_run(results, small_experiment, tmp_path / "out", add)
    added = spines[spines["source"] == "person"]
    assert len(added) == 2
    kept = [len(t[(t["session"] == 1) & (t["source"] == "detected")]) for t in (before, spines)]
    assert kept[0] == kept[1]


def test_the_list_of_what_to_look_at_is_not_taken_from_where_it_is_written(
    results, small_experiment, capsys
):
    how = ["--out", results, "--corrections", results / "review.csv"]
    assert run(small_experiment / "sessions.csv", *how) == BAD_INPUT
    assert "written anew by every run" in capsys.readouterr().err


def test_what_was_filled_into_the_list_is_not_written_over(results, small_experiment, capsys):
    """In a copy of the folder: the action stands nowhere else."""
    spine = read_table(results / SPINES.file, SPINES).iloc[0]
    before = (results / "review.csv").read_bytes()
    review = pd.DataFrame([{"action": "delete", "session": spine["session"], **place(spine)}])
    try:
        review.to_csv(results / "review.csv", index=False)
        filled = (results / "review.csv").read_bytes()
        assert run(small_experiment / "sessions.csv", "--out", results) == BAD_INPUT
        assert "has an action in line 2" in capsys.readouterr().err
        assert (results / "review.csv").read_bytes() == filled
        check_review(results / "review.csv", read_corrections(results / "review.csv"))
    finally:
        (results / "review.csv").write_bytes(before)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"action": "delete", "session": 9}, "session 9 is not among those of"),
        ({"action": "delete", "session": 0, "region": "elsewhere"}, "mean 0 of the regions"),
        ({"action": "add", "session": 0, "x_um": 900.0}, "lies outside the stack of session 0"),
        ({"action": "dendrite", "session": 0, "dendrite_id": 77}, "dendrite_id 77 is none of"),
    ],
)
def test_corrections_of_what_is_not_there_are_refused(
    results, seen_throughout, small_experiment, tmp_path, capsys, row, message
):
    out = tmp_path / "out"
    shutil.copytree(results, out)
    told = out / "corrections.csv"
    pd.DataFrame([place(seen_throughout[0].iloc[0]) | row]).to_csv(told, index=False)
    assert run(small_experiment / "sessions.csv", "--out", out) == BAD_INPUT
    assert message in capsys.readouterr().err


def test_a_graph_edited_elsewhere_comes_back_as_it_was_edited(
    results, seen_throughout, small_experiment, tmp_path
):
    """One link cut, one spine taken away: after the next run the tracks are the graph's."""
    first, second = seen_throughout
    assert main(["export", str(results), "--out", str(tmp_path)]) == DONE
    path = next(tmp_path.glob("*.geff"))
    graph, about = geff.read(path)
    node = {(d["session"], d["spine_id"]): n for n, d in graph.nodes(data=True)}
    a, b, _ = (node[r.session, r.spine_id] for r in first.itertuples())
    *_, gone = (node[r.session, r.spine_id] for r in second.itertuples())
    graph.remove_edge(a, b)
    graph.remove_node(gone)
    geff.write(graph, path, metadata=about, overwrite=True)
    told = tmp_path / "told.csv"
    assert main(["import", str(path), "--results", str(results), "--out", str(told)]) == DONE
    rows = pd.read_csv(told)
    assert sorted(rows["action"]) == ["delete", "different", "different", "same"]
    spines, _ = corrected_run(results, small_experiment, tmp_path / "out", rows.to_dict("records"))
    first, second = first.reset_index(), second.reset_index()
    alone, *rest = (at(spines, s, place(first.loc[s]))["track_id"].item() for s in range(3))
    assert rest == [rest[0]] * 2
    assert alone != rest[0]
    assert at(spines, 2, place(second.loc[2])).empty


def test_a_slip_of_the_pen_is_told_and_makes_no_spine(
    results, seen_throughout, small_experiment, tmp_path
):
    """The place of a spine nobody sees: another session's, or y for x."""
    a, out = seen_throughout[0].iloc[0], tmp_path / "out"
    nowhere = free_place(results, 1)
    rows = [
        {"action": "absent", "session": 1, **nowhere, "session_to": 0},
        {"action": "different", "session": 0, **place(a), "session_to": 1}
        | {f"to_{c}": v for c, v in nowhere.items()},
        {"action": "delete", "session": 1, **nowhere},
    ]
    spines, _ = corrected_run(results, small_experiment, out, rows)
    assert at(spines, 1, nowhere).empty
    assert len(spines) == len(read_table(results / SPINES.file, SPINES))
    said = "\n".join(json.loads((out / "run.json").read_text())["warnings"])
    for line, action in ((2, "absent"), (3, "different")):
        assert f"line {line} ({action}) was not obeyed: there is no spine in session 1" in said
    assert "line 4: there is no spine to delete in session 1" in said
    assert said.count("the nearest one is at") == 3
    added = [{"action": "same", "session": 0, **place(a), "session_to": 1}]
    added[0] |= {f"to_{c}": v for c, v in nowhere.items()}
    spines, _ = corrected_run(results, small_experiment, out, added)
    assert len(at(spines, 1, nowhere)) == 1
    said = "\n".join(json.loads((out / "run.json").read_text())["warnings"])
    assert "line 2 (same): no spine was found in session 1" in said


def test_lines_that_contradict_each_other_are_named_by_their_places(
    results, seen_throughout, small_experiment, tmp_path, capsys
):
    a, b = (seen_throughout[0].iloc[k] for k in (0, 1))
    both = {"session": 0, **place(a), "session_to": 1, **place(b, "to_")}
    told = tmp_path / "mine.csv"
    pd.DataFrame([both | {"action": "same"}, both | {"action": "different"}]).to_csv(told)
    out = tmp_path / "out"
    shutil.copytree(results, out)
    command = ["infer", str(small_experiment / "sessions.csv"), "--out", str(out)]
    assert main([*command, "--corrections", str(told), "--quiet"]) == BAD_INPUT
    said = capsys.readouterr().err
    assert "mine.csv says of animal 'animal1', region 'region1': two spines are not one" in said
    assert f"session 0 at {a['z_um']:.2f}, {a['y_um']:.2f}, {a['x_um']:.2f} um" in said
    assert f"session 1 at {b['z_um']:.2f}" in said
