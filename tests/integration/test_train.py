"""Training in miniature: it steps, it stops, it goes on, and what it writes can be used."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from spinenet.cli import main
from spinenet.commands import BAD_INPUT, DONE, STOPPED
from spinenet.config import (
    MorphologyConfig,
    NetConfig,
    OpticsConfig,
    PlantedConfig,
    TrainMatchConfig,
    TrainSegmentConfig,
)
from spinenet.io.digest import sha256_of
from spinenet.io.manifest import register_weights
from spinenet.io.weights import (
    load_match_weights,
    load_segment_weights,
    load_trainable_net,
    save_segment_weights,
)
from spinenet.synthetic.patches import draw_example
from spinenet.training import match_fit
from spinenet.training.augment import Augment
from spinenet.training.segment_data import TrainingPatches, as_labelled
from spinenet.training.segment_task import SegmentTask
from spinenet.training.targets import Labelled, heat_at, make_patch
from spinenet.types import InputError
from tests.integration.tiny_training import TINY, train

VOXEL = (1.0, 0.1, 0.1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    assert train(out, 2) == DONE
    return out


def test_a_run_says_what_it_reached_and_nothing_else(tmp_path):
    """In a process of its own: of Lightning's words many are said when it is first imported."""
    command = [sys.executable, "-m", "spinenet", "train", "segment", "--out", str(tmp_path)]
    said = subprocess.run([*command, "--steps", "1", *TINY], capture_output=True, text=True)
    assert said.returncode == DONE
    assert said.stderr == ""
    assert f"weights: {tmp_path / 'unet.safetensors'}" in said.stdout.splitlines()
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["sha256"] == sha256_of(tmp_path / "unet.safetensors")
    assert result["steps"] == 1


def test_weights_can_be_loaded_and_name_their_thresholds(trained):
    weights = load_segment_weights(str(trained / "unet.safetensors"))
    assert set(weights.thresholds) == {"shaft", "spine", "centre"}
    assert weights.sha256 == sha256_of(trained / "unet.safetensors")


def test_a_run_goes_on_from_its_checkpoint(trained):
    assert train(trained, 4) == DONE
    state = torch.load(trained / "last.ckpt", weights_only=True, map_location="cpu")
    assert state["global_step"] == 4


def test_fewer_steps_than_were_gone_train_nothing_and_say_so(tmp_path, capsys):
    assert train(tmp_path, 2) == DONE
    words = ["train", "segment", "--out", str(tmp_path), "--steps", "1", *TINY]
    assert main(words) == DONE
    assert "has gone 2 steps already, more than the 1 asked for" in capsys.readouterr().err
    told = json.loads((tmp_path / "result.json").read_text())
    assert told["steps"] == 2
    assert not any(value != value for value in told["scores"].values())


def test_a_run_goes_on_from_weights_alone(trained, tmp_path):
    assert train(tmp_path, 2, "--init", str(trained / "unet.safetensors")) == DONE
    assert load_trainable_net(str(tmp_path / "unet.safetensors")).channels == (4, 4, 4, 4)


def test_a_training_that_is_stopped_goes_on_at_its_step(tmp_path, monkeypatch, capsys):
    """Ctrl-C in the fourth step: three are done and none is lost."""
    real = SegmentTask.training_step

    def stopped(self, batch, batch_idx):
        if self.global_step == 3:
            raise KeyboardInterrupt
        return real(self, batch, batch_idx)

    with monkeypatch.context() as patched:
        patched.setattr(SegmentTask, "training_step", stopped)
        assert train(tmp_path, 5, "--save_every", "100") == STOPPED
    assert "goes on where it was" in capsys.readouterr().err
    state = torch.load(tmp_path / "last.ckpt", weights_only=True, map_location="cpu")
    assert state["global_step"] == 3
    assert train(tmp_path, 5, "--save_every", "100") == DONE


def test_a_training_that_diverges_ends_with_a_word(tmp_path, capsys):
    assert train(tmp_path, 40, "--learning_rate", "1e30") == BAD_INPUT
    assert "the training diverged" in capsys.readouterr().err
    assert not (tmp_path / "result.json").exists()


def test_a_net_of_no_numbers_is_not_written(tmp_path):
    net = load_trainable_net("unet-base")
    with torch.no_grad():
        net.head.weight[0] = float("nan")
    with pytest.raises(InputError, match="is no number"):
        save_segment_weights(tmp_path / "unet.safetensors", net, {"centre": 0.4})
    assert not (tmp_path / "unet.safetensors").exists()


def test_one_net_is_one_file(tmp_path):
    net = load_trainable_net("unet-base")
    told = {"shaft": 0.5, "spine": 0.5, "centre": 0.4}
    digests = {save_segment_weights(tmp_path / f"{k}.safetensors", net, told) for k in range(8)}
    assert len(digests) == 1


def test_weights_of_a_training_that_goes_on_say_so(tmp_path, caplog):
    net, told = load_trainable_net("unet-base"), {"shaft": 0.5, "spine": 0.5, "centre": 0.2}
    caplog.set_level("WARNING")
    save_segment_weights(tmp_path / "unet.safetensors", net, told)
    load_segment_weights(str(tmp_path / "unet.safetensors"))
    assert not caplog.text
    save_segment_weights(tmp_path / "unet.safetensors", net, told, fitted=False)
    load_segment_weights(str(tmp_path / "unet.safetensors"))
    assert "of a training that has not ended" in caplog.text


def test_a_damaged_checkpoint_is_named(trained, tmp_path, capsys):
    for name in ("training.json", "last.ckpt"):
        shutil.copy(trained / name, tmp_path / name)
    whole = (tmp_path / "last.ckpt").read_bytes()
    (tmp_path / "last.ckpt").write_bytes(whole[: len(whole) // 2])
    assert train(tmp_path, 4) == BAD_INPUT
    assert "last.ckpt is damaged" in capsys.readouterr().err


def test_frozen_normalisation_stays_frozen_when_training_goes_on():
    task = SegmentTask(TrainSegmentConfig(net=NetConfig((4, 4, 4, 4)), freeze_norm=True))
    task.train()
    norms = [m for m in task.net.modules() if isinstance(m, torch.nn.BatchNorm3d)]
    assert norms
    assert not any(m.training for m in norms)
    assert task.net.training


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (["--patch", "[16,60,60]"], "the same multiple of 8"),
        (["--patch", "[16,64,96]"], "the same multiple of 8"),
        (["--net.channels", "[4,4]"], "four levels were expected"),
        (["--validation_stacks", "0"], "at least one is needed"),
        (["--init", "unet-base", "--net.channels", "[4,4,4,4]"], "are of a net with"),
        (["--device", "cuda"], "sees no CUDA card"),
    ],
)
def test_settings_that_cannot_work_are_refused(setting, message, tmp_path, capsys):
    if "cuda" in setting and torch.cuda.is_available():
        pytest.skip("there is a card here")
    assert main(["train", "segment", "--out", str(tmp_path), *setting]) == BAD_INPUT
    assert message in capsys.readouterr().err


def test_the_shipped_recipe_is_read(capsys):
    assert main(["train", "segment", "--config", "configs/segment.yaml", "--print_config"]) == DONE
    assert "steps:" in capsys.readouterr().out


def test_an_unknown_setting_is_refused(capsys):
    assert main(["train", "segment", "--stepz", "3"]) == BAD_INPUT
    assert "stepz" in capsys.readouterr().err


def test_patches_have_what_the_loss_needs():
    config = TrainSegmentConfig(patch=(8, 32, 32), workers=0)
    stream = iter(TrainingPatches(config))
    image, target, known = next(stream)
    assert image.shape == (1, 8, 32, 32)
    assert target.shape == (6, 8, 32, 32)
    assert known.shape == (3, 8, 32, 32)
    assert set(np.unique(known)) <= {0.0, 1.0}
    again = next(iter(TrainingPatches(config)))
    assert torch.equal(image, again[0])


def test_hidden_spines_are_unknown_not_background():
    rng = np.random.default_rng(1)
    example = draw_example(
        rng, (12, 64, 64), OpticsConfig(), MorphologyConfig(spines_per_um=(1, 1))
    )
    _, target, known = make_patch(as_labelled(example))
    hidden = np.isin(example.labels, np.flatnonzero(~example.scorable) + 2)
    assert hidden.any()
    assert known[1:].numpy()[:, hidden].max() == 0
    assert target[2].max() <= 1


def test_heat_is_one_at_the_nearest_voxel():
    window, heat = heat_at(np.array([3.2, 10.4, 9.6]), (1.0, 0.1, 0.1), (8, 32, 32))
    peak = np.array(np.unravel_index(heat.argmax(), heat.shape)) + [w.start for w in window]
    assert heat.max() == 1
    assert peak.tolist() == [3, 10, 10]


@pytest.mark.parametrize("warp", [False, True])
def test_augmentation_moves_image_labels_and_points_together(warp):
    augment = Augment((6, 24, 24), 0, warp=warp)
    rng = np.random.default_rng(0)
    met = 0
    for _ in range(40):
        points = rng.integers([0, 4, 4], [8, 28, 28], (3, 3))
        labels = np.zeros((8, 32, 32), np.uint16)
        for k, (z, y, x) in enumerate(points):
            labels[z, y - 1 : y + 2, x - 1 : x + 2] = k + 2
        known = np.full(labels.shape, 7, np.uint8)
        image = (labels > 0).astype(np.float32)
        out = augment(Labelled(image, labels, known, points.astype(float), np.ones(3, bool), VOXEL))
        assert out.image.shape == out.labels.shape == out.known.shape == (6, 24, 24)
        for k, p in enumerate(out.centres_vox):
            there = np.argwhere(out.labels == k + 2)
            if len(there) == 9:
                met += 1
                assert np.abs(there.mean(axis=0) - p).max() <= (0.7 if warp else 1e-3)
    assert met > 20


def test_what_comes_into_the_patch_by_turning_is_unknown():
    augment = Augment((4, 32, 32), 1, warp=True)
    square = np.zeros((4, 32, 32), np.uint16)
    known = np.full(square.shape, 7, np.uint8)
    patch = Labelled(
        square.astype(np.float32), square, known, np.zeros((0, 3)), np.zeros(0, bool), VOXEL
    )
    assert any((augment(patch).known == 0).any() for _ in range(10))


def test_other_formats_and_altered_weights_are_refused(trained, tmp_path):
    (tmp_path / "net.pt").write_bytes(b"x")
    with pytest.raises(InputError, match="can run code"):
        load_segment_weights(str(tmp_path / "net.pt"))
    (tmp_path / "bad.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(InputError, match="cannot be read"):
        load_segment_weights(str(tmp_path / "bad.safetensors"))
    with pytest.raises(InputError, match="were not found"):
        load_segment_weights("nowhere")


def test_the_manifest_keeps_one_default(trained, tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.safetensors").write_bytes((trained / "unet.safetensors").read_bytes())
        register_weights(tmp_path, f"{name}.safetensors", {"role": "segment"})
    entries = json.loads((tmp_path / "manifest.json").read_text())["weights"]
    assert [(e["name"], e["default"]) for e in entries] == [("a", False), ("b", True)]


def test_the_shipped_weights_are_those_of_the_manifest():
    assert load_segment_weights("default").thresholds["centre"] > 0
    assert load_match_weights("default").temperature > 0


MATCH = [
    "--regions",
    "10",
    "--planted.regions",
    "1",
    "--simulate.shape",
    "[8,48,128]",
    "--simulate.turnover.days",
    "[0,4]",
    "--batch",
    "2",
    "--workers",
    "0",
    "--save_every",
    "2",
    "--device",
    "cpu",
]


def train_head(out, steps, *more):
    return main(
        ["train", "match", "--out", str(out), "--steps", str(steps), *MATCH, *more, "--quiet"]
    )


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    out = tmp_path_factory.mktemp("head")
    assert train_head(out, 2) == DONE
    return out


def test_a_head_is_trained_and_goes_on(head, capsys):
    drawn = {p.name: p.stat().st_mtime_ns for p in (head / "regions").iterdir()}
    assert train_head(head, 4) == DONE
    assert "link F1 of places alone" in capsys.readouterr().out
    state = torch.load(head / "last.ckpt", weights_only=True, map_location="cpu")
    assert state["global_step"] == 4
    assert {p.name: p.stat().st_mtime_ns for p in (head / "regions").iterdir()} == drawn
    assert 0.5 <= load_match_weights(str(head / "siamese.safetensors")).temperature <= 3


def test_a_head_does_not_go_on_with_other_settings(head, capsys):
    assert train_head(head, 4, "--misfit.worst", "3") == BAD_INPUT
    assert "begun with other misfit" in capsys.readouterr().err


def test_a_head_learns_from_a_labs_links_and_from_weights(head, small_experiment, tmp_path):
    for path in (head / "regions").iterdir():  # drawn alike
        (tmp_path / "regions").mkdir(exist_ok=True)
        (tmp_path / "regions" / path.name).write_bytes(path.read_bytes())
    start = str(head / "siamese.safetensors")
    data = str(small_experiment)
    assert train_head(tmp_path, 2, "--init", start, "--data", data) == DONE
    assert (tmp_path / "siamese.safetensors").is_file()


def test_a_head_needs_links_to_learn_from(head, small_experiment, tmp_path, capsys):
    told = ["--data", str(small_experiment), "--annotated.hold_out", "[0]"]
    assert train_head(tmp_path, 2, *told) == BAD_INPUT
    assert "3 spines of the same track" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (["--regions", "3"], "at least 10 are needed"),
        (["--simulate.turnover.days", "[0]"], "two sessions or more"),
        (["--simulate.seed", "1"], "all that is drawn follows seed"),
    ],
)
def test_a_head_of_too_little_is_refused(tmp_path, capsys, setting, message):
    assert train_head(tmp_path, 2, *setting) == BAD_INPUT
    assert message in capsys.readouterr().err


def test_another_seed_draws_other_regions(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(match_fit, "draw_families", lambda c, *_: asked.append(c.seed) or [])
    monkeypatch.setattr(match_fit, "draw_laid_family", lambda seed, _: asked.append(seed) or [])
    for seed in (0, 3):
        one_each = TrainMatchConfig(seed=seed, regions=10, planted=PlantedConfig(1, 1), workers=0)
        match_fit._drawn(one_each, tmp_path / str(seed), None, progress=False)
    first, second = asked[:12], asked[12:]
    assert first[:10] == [0] * 10
    assert second[:10] == [3] * 10
    assert len({*first[10:], *second[10:]}) == 4
