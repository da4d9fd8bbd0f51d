"""Runs that are made longer, stopped, or begun with what cannot be meant."""

import json
import re

import pytest
import torch

from spinenet.commands import BAD_INPUT, DONE, STOPPED
from spinenet.io.weights import load_trainable_net
from spinenet.training.segment_task import SegmentTask
from tests.integration.tiny_training import train


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("begun")
    assert train(out, 1) == DONE
    return out


def test_the_last_step_is_in_what_is_shipped(trained, tmp_path):
    """One step from given weights moves the averaged ones."""
    begun = trained / "unet.safetensors"
    assert train(tmp_path, 1, "--init", str(begun)) == DONE
    before, after = (
        load_trainable_net(str(f)).state_dict() for f in (begun, tmp_path / "unet.safetensors")
    )
    assert any(
        not torch.equal(before[k], after[k]) for k in before if k.endswith("weight") and "conv" in k
    )


def test_a_run_that_is_made_longer_keeps_no_result_of_the_shorter(tmp_path, monkeypatch):
    assert train(tmp_path, 1) == DONE
    told = json.loads((tmp_path / "result.json").read_text())
    assert (told["from_steps"], told["workers"], told["devices"]) == ([0], 0, 1)

    def stopped(self, *_):
        raise KeyboardInterrupt

    monkeypatch.setattr(SegmentTask, "training_step", stopped)
    assert train(tmp_path, 3) == STOPPED
    assert not (tmp_path / "result.json").exists()
    monkeypatch.undo()
    assert train(tmp_path, 3) == DONE
    told = json.loads((tmp_path / "result.json").read_text())
    assert (told["steps"], told["from_steps"]) == (3, [0, 1])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--annotated.hold_out", "[3]"], "hold_out .3. without --data"),
        (["--seed", "5000000000"], "seed 5000000000: 0 to 4.29497e"),
        (["--config", "{folder}/a.yaml"], "holds a value where its own settings were expected"),
    ],
)
def test_what_would_train_something_else_is_refused(tmp_path, capsys, more, message):
    (tmp_path / "a.yaml").write_text("trainer: 4\n")
    assert train(tmp_path / "out", 1, *(m.format(folder=tmp_path) for m in more)) == BAD_INPUT
    assert re.search(message, capsys.readouterr().err)


def test_an_init_of_another_width_says_which(trained, tmp_path, capsys):
    wide = ["--init", str(trained / "unet.safetensors"), "--net.channels", "[8,8,8,8]"]
    assert train(tmp_path / "out", 1, *wide) == BAD_INPUT
    assert 'Give --net.channels "[4, 4, 4, 4]"' in capsys.readouterr().err
