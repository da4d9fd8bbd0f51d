"""The whole house on a small simulated animal, with the shipped weights."""

import json
import shutil
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import tifffile
from filelock import FileLock

from spinenet.cli import main
from spinenet.commands import BAD_INPUT, DONE, SOME_FAILED
from spinenet.io.annotated import read_truth
from spinenet.io.formats.graph import graphs_of
from spinenet.io.table import read_table
from spinenet.pipeline.evaluation import evaluate
from spinenet.tables import DENDRITES, RESULTS, SPINES, TRACKS
from spinenet.types import InputError, Tracks
from tests.conftest import ROOT
from tests.integration.conftest import run


def content(folder):
    """Bytes of everything a run writes, times apart."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and ".stacks" not in p.parts]
    return {
        p.relative_to(folder): p.read_bytes() for p in files if p.name not in ("run.json", ".lock")
    }


def test_every_file_of_the_contract_is_there(results):
    for table in RESULTS:
        assert list(read_table(results / table.file, table).columns) == table.names
    assert len(list((results / "labels").glob("*.ome.tif"))) == 3
    assert len(list((results / "rois").glob("*.zip"))) == 3
    assert len(list((results / "rois").glob("*.swc"))) == 3


def test_spines_tracks_and_labels_agree(results):
    spines = read_table(results / SPINES.file, SPINES)
    tracks = Tracks(read_table(results / TRACKS.file, TRACKS)).frame
    assert len(spines) > 3
    assert (tracks["presence"] == "present").sum() == len(spines)
    assert len(tracks) == 3 * tracks["track_id"].nunique()
    for session, mine in spines.groupby("session"):
        labels = tifffile.imread(next((results / "labels").glob(f"*session{session}.ome.tif")))
        painted = set(np.unique(labels)) - {0, 1}
        assert painted <= set(mine["label"])
        assert (mine.loc[mine["source"] == "lookback", "label"] == 0).all()


def test_label_stacks_open_with_their_voxel_size(results):
    with tifffile.TiffFile(next((results / "labels").glob("*.ome.tif"))) as tif:
        assert 'PhysicalSizeZ="0.8"' in tif.ome_metadata


def test_the_page_is_one_offline_file(results):
    page = (results / "report.html").read_text()
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org", "").replace(
        "http://purl.org", ""
    ).replace("http://creativecommons.org", "")
    assert "Kaplan-Meier" in page
    assert "How far links can be trusted" in page
    assert "turnover_ratio" in page


def test_run_json_says_how_it_was_made(results):
    run_json = json.loads((results / "run.json").read_text())
    assert {
        "spinenet",
        "config",
        "weights",
        "inputs",
        "seconds",
        "warnings",
        "seed",
        "device",
    } <= set(run_json)
    assert len(run_json["inputs"][0]["sha256"]) == 64
    assert len(run_json["weights"]["sha256"]) == 64


@pytest.mark.drawn
def test_a_run_killed_between_stacks_goes_on_and_ends_with_the_same_bytes(
    results, small_experiment, tmp_path, monkeypatch
):
    from spinenet.pipeline import stacks as pipeline

    calls = []
    real = pipeline.predict

    def dies(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    out = tmp_path / "out"
    monkeypatch.setattr(pipeline, "predict", dies)
    assert run(small_experiment / "sessions.csv", "--out", out) != DONE
    assert not (out / "report.html").exists()
    calls.clear()
    monkeypatch.setattr(pipeline, "predict", lambda *a, **k: (calls.append(1), real(*a, **k))[1])
    assert run(small_experiment / "sessions.csv", "--out", out) == DONE
    assert len(calls) == 2
    assert content(out) == content(results)


@pytest.mark.drawn
def test_a_killed_process_leaves_nothing_half_written(results, small_experiment, tmp_path):
    """Killed without warning after its first stack; started again, it ends with the same bytes."""
    out = tmp_path / "out"
    command = [sys.executable, ROOT / "infer.py", small_experiment / "sessions.csv", "--out", out]
    process = subprocess.Popen([*map(str, command), "--quiet"])
    while not list(out.glob(".stacks/[!.]*/fingerprint")) and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert not (out / "report.html").exists()
    kept = {p: p.stat().st_mtime_ns for p in out.glob(".stacks/[!.]*/fingerprint")}
    assert kept
    assert run(small_experiment / "sessions.csv", "--out", out) == DONE
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    assert content(out) == content(results)


@pytest.mark.parametrize(
    ("step", "untouched"), [("analyze", True), ("write_tables", False)], ids=["early", "late"]
)
def test_a_run_that_fails_leaves_the_old_results_or_says_that_they_are_unfinished(
    results, small_experiment, tmp_path, monkeypatch, step, untouched
):
    """Labels of one run beside tables of another would look finished."""

    def full_disk(*args, **kwargs):
        raise OSError("no space left on device")

    out = tmp_path / "out"
    shutil.copytree(results, out)
    before = {p: p.read_bytes() for p in sorted(out.glob("labels/*")) + sorted(out.glob("*.csv"))}
    monkeypatch.setattr(f"spinenet.pipeline.corridor.{step}", full_disk)
    assert run(small_experiment / "sessions.csv", "--out", out) != DONE
    monkeypatch.undo()
    for reader in (graphs_of, read_truth, lambda folder: evaluate(results, folder)):
        if untouched:
            reader(out)
            continue
        with pytest.raises(InputError, match="left half written"):
            reader(out)
    if untouched:
        assert {p: p.read_bytes() for p in before} == before
    assert run(small_experiment / "sessions.csv", "--out", out) == DONE
    assert content(out) == content(results)


@pytest.mark.drawn
def test_other_thresholds_ask_the_net_nothing(results, small_experiment, tmp_path, monkeypatch):
    """What it answered was kept; back at the usual threshold all is as it was."""

    def asked(*args, **kwargs):
        raise AssertionError("the net was asked again")

    monkeypatch.setattr("spinenet.pipeline.stacks.predict", asked)
    out = tmp_path / "out"
    shutil.copytree(results, out)
    args = (small_experiment / "sessions.csv", "--out", out)
    assert run(*args, "--segment.centre_threshold", 0.99) == DONE
    assert "no spine is that sure" in (out / "run.json").read_text()
    before, after = (len(read_table(f / SPINES.file, SPINES)) for f in (results, out))
    assert after < before
    assert run(*args) == DONE
    assert content(out) == content(results)


def test_only_the_dendrites_a_person_traced(results, small_experiment, tmp_path):
    whole = read_table(results / "dendrites.csv", DENDRITES)
    everything = read_table(results / SPINES.file, SPINES)
    cut = (everything["x_um"].min() + everything["x_um"].max()) / 2
    half = whole[(whole["session"] == 1) & (whole["x_um"] < cut)]
    half[["region", "session", "dendrite_id", "z_um", "y_um", "x_um"]].rename(
        columns={"dendrite_id": "dendrite"}
    ).assign(dendrite=7).to_csv(tmp_path / "mine.csv", index=False)
    out = tmp_path / "out"
    args = (small_experiment / "sessions.csv", "--out", out, "--dendrites", tmp_path / "mine.csv")
    assert run(*args) == DONE
    spines = read_table(out / SPINES.file, SPINES)
    assert set(spines["dendrite_id"]) == {7}
    assert 0 < len(spines) < len(everything)
    assert spines["x_um"].max() < cut + 4


def test_a_trace_of_another_region_is_refused(small_experiment, tmp_path, capsys):
    (tmp_path / "t.csv").write_text("region,dendrite,z_um,y_um,x_um\nq,0,1,1,1\nq,0,1,1,9\n")
    args = (small_experiment / "sessions.csv", "--out", tmp_path / "out")
    assert run(*args, "--dendrites", tmp_path / "t.csv") == BAD_INPUT
    assert "holds no dendrite of animal" in capsys.readouterr().err


def test_two_runs_in_one_folder_refuse_each_other(small_experiment, tmp_path, capsys):
    with FileLock(tmp_path / ".lock"):
        assert run(small_experiment / "sessions.csv", "--out", tmp_path) == BAD_INPUT
    assert "in use by another run" in capsys.readouterr().err


def test_a_broken_stack_is_listed_and_the_rest_is_done(small_experiment, tmp_path, capsys):
    """Also for who asked to see errors only."""
    folder = tmp_path / "in"
    shutil.copytree(small_experiment, folder)
    broken = sorted(folder.glob("*session1*.tif"))[0]
    broken.write_bytes(broken.read_bytes()[:2000])
    assert run(folder / "sessions.csv", "--out", tmp_path / "out") == SOME_FAILED
    failed = json.loads((tmp_path / "out" / "run.json").read_text())["failed"]
    assert list(failed) == [str(broken)]
    assert f"failed: {broken}" in capsys.readouterr().err
    page = (tmp_path / "out" / "report.html").read_text()
    assert "session 1 (day " in page
    assert "was left out: " in page


def test_a_stack_marked_unusable_is_left_out(small_experiment, tmp_path):
    folder = tmp_path / "in"
    shutil.copytree(small_experiment, folder)
    table = (folder / "sessions.csv").read_text().splitlines()
    usable = table[0].split(",").index("usable")
    cells = table[2].split(",")
    cells[usable] = "0"
    (folder / "sessions.csv").write_text("\n".join([*table[:2], ",".join(cells), *table[3:]]))
    assert run(folder / "sessions.csv", "--out", tmp_path / "out") == DONE
    tracks = read_table(tmp_path / "out" / TRACKS.file, TRACKS)
    assert set(tracks["session"]) == {0, 2}
    assert "usable=0" in json.loads((tmp_path / "out" / "run.json").read_text())["warnings"][0]


def test_one_stack_alone(small_experiment, tmp_path):
    stack = sorted(small_experiment.glob("*.tif"))[0]
    assert run(stack, "--out", tmp_path / "out") == DONE
    assert len(read_table(tmp_path / "out" / SPINES.file, SPINES)) > 0


def test_what_was_warned_of_as_files_were_read_is_on_the_page(small_experiment, tmp_path, capsys):
    """A stack that does not fit the pattern, and a voxel size that is not the file's own."""
    folder = tmp_path / "in"
    folder.mkdir()
    stack = sorted(small_experiment.glob("*.tif"))[0]
    shutil.copy(stack, folder / "mouse_day0.tif")
    shutil.copy(stack, folder / "overview.tif")
    given = ["--pattern", "{animal}_day{day}.tif", "--voxel_um", "[0.8, 0.12, 0.122]"]
    assert run(folder, "--out", tmp_path / "out", *given) == DONE
    kept = json.loads((tmp_path / "out" / "run.json").read_text())["warnings"]
    page = (tmp_path / "out" / "report.html").read_text()
    for told in ("overview.tif", "the file itself says 0.8 x 0.12 x 0.12 um"):
        assert sum(told in warning for warning in kept) == 1
        assert told in page


@pytest.mark.parametrize("foreign", [1, 2])
def test_a_foreign_field_is_named_and_not_linked(small_experiment, tmp_path, foreign):
    """Also if it is the one in the middle, to which the others would be registered."""
    folder = tmp_path / "in"
    shutil.copytree(small_experiment, folder)
    last = sorted(folder.glob(f"*session{foreign}*.tif"))[0]
    data = tifffile.imread(last)
    rng = np.random.default_rng(0)
    meta = {"axes": "ZYX", "PhysicalSizeZ": 0.8, "PhysicalSizeY": 0.12, "PhysicalSizeX": 0.12}
    tifffile.imwrite(last, rng.poisson(20, data.shape).astype(np.uint16), ome=True, metadata=meta)
    assert run(folder / "sessions.csv", "--out", tmp_path / "out") == DONE
    warnings = json.loads((tmp_path / "out" / "run.json").read_text())["warnings"]
    (foreign_one,) = [w for w in warnings if "does not look like the field" in w]
    assert foreign_one.startswith(f"animal1_region1_session{foreign}.ome.tif")
    tracks = read_table(tmp_path / "out" / TRACKS.file, TRACKS)
    there = tracks.loc[tracks["session"] == foreign, "presence"]
    assert not there.isin(["present", "absent"]).any()


def test_a_real_stack_gives_spines(rr30a, tmp_path):
    stack = sorted(rr30a.glob("*session3.ome.tif"))[0]
    with tifffile.TiffFile(stack) as tif:
        crop = tif.asarray()[20:40, 60:220, 180:420]
    meta = {"axes": "ZYX", "PhysicalSizeZ": 1.0, "PhysicalSizeY": 0.12, "PhysicalSizeX": 0.12}
    tifffile.imwrite(tmp_path / "crop.ome.tif", crop, ome=True, metadata=meta)
    assert run(tmp_path / "crop.ome.tif", "--out", tmp_path / "out") == DONE
    assert len(read_table(tmp_path / "out" / SPINES.file, SPINES)) > 10


def test_spines_that_a_person_scored_are_linked(long_experiment, tmp_path):
    """The true spines in place of detected ones: none is added, and their links are right."""
    out = tmp_path / "linked"
    assert main(["link", str(long_experiment), "--out", str(out), "--quiet"]) == DONE
    spines, tracks = (pd.read_csv(out / f"{name}.csv") for name in ("spines", "tracks"))
    truth = pd.read_csv(long_experiment / "truth" / "spines.csv")
    assert set(spines["source"]) == {"person"}
    sure = truth["scorable"].astype(bool)  # the others are no marks
    assert 0.9 * sure.sum() <= len(spines) <= sure.sum()
    assert tracks["p_present"].isna().all()
    # what a person did not mark in a session was not there
    assert (tracks["presence"] == "absent").any()
    page = (out / "report.html").read_text()
    assert "Spines are those that were marked; none was looked for besides" in page
    assert "looked at again" not in page
    assert "of the detection threshold" not in page
    figures = evaluate(long_experiment, out).set_index(["figure", "stratum"])["value"]
    assert figures["adjacent links f1", "both detected"] > 0.9


def test_what_a_person_left_out_between_two_sightings_is_not_put_in(long_experiment, tmp_path):
    marked = tmp_path / "marked"
    shutil.copytree(long_experiment, marked)
    file = marked / "truth" / "spines.csv"
    truth = pd.read_csv(file)
    middle = truth["session"] == sorted(truth["session"].unique())[1]
    truth[~middle].to_csv(file, index=False)
    assert main(["link", str(marked), "--out", str(tmp_path / "out"), "--quiet"]) == DONE
    tracks = pd.read_csv(tmp_path / "out" / "tracks.csv")
    assert not tracks[["between", "hidden"]].to_numpy().any()
    assert not (tracks["presence"][tracks["session"] == 1] == "present").any()


def test_its_own_tables_analysed_again_give_the_same_numbers(results, tmp_path, capsys):
    given = [
        x
        for name in ("coverage", "spines", "links")
        for x in (f"--{name}", str(results / f"{name}.csv"))
    ]
    command = ["analyze", str(results / "tracks.csv"), "--out", str(tmp_path), *given]
    assert main([*command, "--quiet"]) == DONE
    assert capsys.readouterr().out == ""
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["seed"] == 0
    assert record["inputs"][0]["path"] == str(results / "tracks.csv")
    first, again = (
        pd.read_csv(f / "statistics.csv").set_index("name") for f in (results, tmp_path)
    )
    pd.testing.assert_series_equal(first["estimate"], again["estimate"], rtol=1e-4)


def test_places_alone_link_too_and_the_page_says_who_did(results, small_experiment, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(results, out)
    command = (small_experiment / "sessions.csv", "--out", out, "--weights.match", "places")
    assert run(*command) == DONE
    assert json.loads((out / "run.json").read_text())["match_weights"] is None
    assert json.loads((results / "run.json").read_text())["match_weights"]["name"] == "siamese"
    by_net = "by a Siamese net that sees"
    assert by_net in (results / "report.html").read_text()
    assert by_net not in (out / "report.html").read_text()
    figures = {}
    for folder in (results, out):
        table = evaluate(small_experiment, folder)
        both = table[table["stratum"] == "both detected"].set_index("figure")["value"]
        figures[folder] = both["all links f1"]
    assert figures[out] >= figures[results] - 0.15
    assert figures[out] > 0.7
