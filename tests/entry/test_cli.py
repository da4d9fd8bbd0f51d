"""The doors: exit codes, one clear paragraph, no heavy import for help."""

import re
import subprocess
import sys

import pytest
import tifffile

from spinenet import __version__
from spinenet.cli import main
from spinenet.commands import BAD_INPUT, COMMANDS, DONE, FAULT
from spinenet.io.write import write_table
from spinenet.tables import TRACKS
from tests.conftest import ROOT, tracks_of


def test_help_names_every_command(capsys):
    assert main([]) == main(["--help"]) == DONE
    shown = capsys.readouterr().out
    assert all(name in shown for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, capsys):
    assert main([name, "--help"]) == DONE
    assert "usage: spinenet" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [[n] for n in COMMANDS] + [["train", "match"], ["train", "segment"]]
)
def test_help_says_what_every_setting_does_in_whole_sentences(words, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "2000")
    assert main([*words, "--help"]) == DONE
    shown = capsys.readouterr().out
    silent = [line for line in shown.splitlines() if re.match(r"( *--[^(]*?  +| {8,})\(type", line)]
    assert not silent
    if words == ["infer"]:
        whole = (
            "members of a cluster were there in one session together; else it is enough that they"
        )
        assert whole in shown


def test_version(capsys):
    assert main(["--version"]) == DONE
    assert __version__ in capsys.readouterr().out


def test_unknown_command(capsys):
    assert main(["infr"]) == BAD_INPUT
    assert "no command 'infr'" in capsys.readouterr().err


def test_help_loads_neither_torch_nor_numpy():
    code = "import sys; from spinenet.cli import main; main(['--help']); print(sorted(sys.modules))"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert "'torch'" not in out
    assert "'numpy'" not in out


@pytest.mark.parametrize("script", ["infer.py", "train.py"])
def test_scripts_are_thin(script):
    assert len((ROOT / script).read_text().splitlines()) <= 20
    done = subprocess.run([sys.executable, ROOT / script, "--help"], capture_output=True, text=True)
    assert done.returncode == DONE


def test_bad_input_is_one_paragraph_and_code_2(tmp_path, capsys):
    assert main(["infer", str(tmp_path / "none.tif"), "--out", str(tmp_path / "o")]) == BAD_INPUT
    err = capsys.readouterr().err
    assert "was not found" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--outt", "x"],
        ["--out", "x", "--segment.tile_mvox", "big"],
        [],
        ["--out", "x", "--device", "tpu"],
    ],
)
def test_wrong_arguments_are_code_2(arguments, capsys):
    assert main(["infer", "a.tif", *arguments]) == BAD_INPUT
    assert "Traceback" not in capsys.readouterr().err


def test_unknown_key_in_a_config_file(tmp_path, capsys):
    (tmp_path / "c.yaml").write_text("segment:\n  tile_mvoxx: 3\n")
    code = main(["infer", "a.tif", "--out", "x", "--config", str(tmp_path / "c.yaml")])
    assert code == BAD_INPUT
    assert "tile_mvoxx" in capsys.readouterr().err


def test_a_file_where_the_results_should_go(tmp_path, capsys):
    tifffile.imwrite(tmp_path / "a.tif", [[1]])
    (tmp_path / "o").write_text("")
    assert main(["infer", str(tmp_path / "a.tif"), "--out", str(tmp_path / "o")]) == BAD_INPUT
    assert "is a file where a folder was expected" in capsys.readouterr().err


def test_our_own_fault_is_code_1(monkeypatch, capsys, tmp_path):
    def broken(*_, **__):
        raise RuntimeError("oops")

    monkeypatch.setattr("spinenet.io.sessions.find_stacks", broken)
    assert main(["infer", "a.tif", "--out", str(tmp_path)]) == FAULT
    assert "fault of spinenet" in capsys.readouterr().err


def test_analyze_works_on_tracks_alone(tmp_path, capsys):
    tracks = tracks_of({1: "1111", 2: "0111", 3: "0011", 4: "1100", 5: "1111"}, days=(0, 2, 4, 8))
    write_table(tmp_path, TRACKS, tracks.frame)
    out = tmp_path / "out"
    arguments = [
        "analyze",
        str(tmp_path / "tracks.csv"),
        "--out",
        str(out),
        "--analyze.n_shuffles",
        "100",
    ]
    assert main(arguments) == DONE
    assert (out / "report.html").exists()
    assert "1,contiguous,0,0,2;3,2" in (out / "clusters.csv").read_text().replace("r1", "1")


def test_evaluate_scores_truth_against_itself(small_experiment, capsys):
    truth = str(small_experiment / "truth")
    assert main(["evaluate", truth, truth]) == DONE
    lines = capsys.readouterr().out.splitlines()
    assert next(x for x in lines if x.endswith("f1, all")).split()[0] == "1.000"
    assert next(x for x in lines if x.endswith("spine Dice, all")).split()[0] == "1.000"


def test_doctor_names_the_weights(capsys):
    assert main(["doctor", "--device", "cpu"]) == DONE
    assert "sha256" in capsys.readouterr().out


@pytest.fixture
def print_config(tmp_path, monkeypatch):
    """The settings that a training would have, asked for from anywhere else."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: main(["train", "segment", *words, "--print_config"])


def test_a_shipped_config_is_found_from_anywhere(print_config, capsys):
    for words in (["--config", "configs/finetune.yaml"], ["--config=configs/finetune.yaml"]):
        assert print_config(*words) == DONE
        assert "freeze_norm: true" in capsys.readouterr().out


def test_a_config_that_is_not_there_is_not_taken_for_a_shipped_one(print_config, capsys):
    assert print_config("--config", "lab/finetune.yaml") == BAD_INPUT
    assert "lab/finetune.yaml" in capsys.readouterr().err
