"""Settings that make no sense are refused in words, before any work begins."""

import json

import pytest

from spinenet import config
from spinenet.cli import main
from spinenet.commands import BAD_INPUT, DONE
from spinenet.io.table import read_table
from spinenet.synthetic.experiment import simulate_region
from spinenet.tables import TRUE_SPINES, TRUE_TRACKS
from spinenet.types import InputError


@pytest.mark.parametrize(
    ("kind", "name", "value", "expected"),
    [
        (config.InferConfig, "seed", -1, "0 or more"),
        (config.SegmentConfig, "centre_threshold", 1.2, "from 0 to 1"),
        (config.SegmentConfig, "tile_mvox", 0.0, "more than 0"),
        (config.MatchConfig, "gate_um", -2.0, "more than 0"),
        (config.MatchConfig, "min_link_p", 1.0, "less than 1"),
        (config.MatchConfig, "marked_link_p", 1.0, "less than 1"),
        (config.MeasureConfig, "node_um", float("nan"), "more than 0"),
        (config.AnalyzeConfig, "n_shuffles", 0, "1 or more"),
        (
            config.AnalyzeConfig,
            "window",
            (float("nan"), 4.0),
            "first and the last day were expected",
        ),
        (config.AnalyzeConfig, "window", (8.0, 2.0), "Exchange them"),
        (config.SimulateConfig, "animals", 0, "1 or more"),
        (config.SimulateConfig, "shape", (2, 96, 96), "Give a larger one"),
        (config.SimulateConfig, "voxel_um", (800.0, 120.0, 120.0), "0.01 to 20"),
        (config.OpticsConfig, "photons", (20.0, 10.0), "Exchange them"),
        (config.MorphologyConfig, "spines_per_um", (-0.1, 0.5), "0 to 10"),
        (config.TurnoverConfig, "days", (), "at least 1 session,"),
        (config.CohortConfig, "days", (0.0, 4.0, 4.0), "later than the one before"),
        (config.PowerConfig, "power", 80.0, "from 0 to 1"),
        (config.TrainSegmentConfig, "steps", 0, "1 or more"),
        (config.AnnotatedConfig, "share", 1.5, "from 0 to 1"),
        (config.MisfitConfig, "scatter_um", (0.2, -0.1, 0.7), "0 or more"),
    ],
)
def test_a_setting_beyond_its_limits_is_named(kind, name, value, expected):
    with pytest.raises(InputError, match=f"{name} .*{expected}"):
        kind(**{name: value})


def test_what_snr_sets_is_not_set_besides():
    with pytest.raises(InputError, match="optics.photons .*snr good.*Add --snr any"):
        config.SimulateConfig(optics=config.OpticsConfig(photons=(5, 5)))
    config.SimulateConfig(optics=config.OpticsConfig(photons=(5, 5)), snr="any")


def test_the_command_says_it_without_a_traceback(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["simulate", "--animals", "-1", "--out", str(out)]) == BAD_INPUT
    assert "animals -1: 1 or more was expected" in capsys.readouterr().err
    assert not out.exists()


def test_a_simulation_cut_short_leaves_no_truth_of_other_stacks(tmp_path, monkeypatch):
    few = ["--animals", "2", "--dendrites", "1", "--shape", "[4,32,64]", "--turnover.days", "[0]"]
    assert main(["simulate", *few, "--out", str(tmp_path), "--seed", "1"]) == DONE
    said = json.loads((tmp_path / "truth" / "simulation.json").read_text())
    assert (said["config"]["seed"], said["config"]["animals"]) == (1, 2)
    drawn = []

    def stopped(config, animal, region, seed):
        drawn.append(animal)
        if len(drawn) == 2:
            raise KeyboardInterrupt
        return simulate_region(config, animal, region, seed)

    monkeypatch.setattr("spinenet.io.experiment.simulate_region", stopped)
    main(["simulate", *few, "--out", str(tmp_path), "--seed", "2"])
    assert not (tmp_path / "sessions.csv").exists()
    assert not list((tmp_path / "truth").glob("*.csv"))


def test_a_field_without_spines_can_be_simulated(tmp_path):
    few = ["--animals", "1", "--dendrites", "1", "--shape", "[4,32,64]", "--turnover.days", "[0,4]"]
    bare = ["--morphology.spines_per_um", "[0,0]", "--turnover.formation_per_day", "0"]
    assert main(["simulate", *few, *bare, "--out", str(tmp_path)]) == DONE
    assert read_table(tmp_path / "truth" / "spines.csv", TRUE_SPINES).empty
    assert read_table(tmp_path / "truth" / "tracks.csv", TRUE_TRACKS).empty
