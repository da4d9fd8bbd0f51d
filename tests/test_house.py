"""The house keeps its plan."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT


def modules_after(statement):
    code = f"import os, sys; before = dict(os.environ); {statement}; print(sorted(sys.modules)); print(before == dict(os.environ))"
    env = {k: v for k, v in os.environ.items() if k != "COVERAGE_PROCESS_START"}
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=env
    )
    names, same = out.stdout.strip().splitlines()[-2:]
    return names, same == "True"


def test_importing_spinenet_loads_no_torch_and_changes_nothing():
    names, same = modules_after("import spinenet")
    assert "'torch'" not in names
    assert same


def test_inference_never_loads_the_training_stack():
    names, _ = modules_after("import spinenet.pipeline")
    assert "'lightning'" not in names
    assert "'albumentations'" not in names


def test_no_file_is_a_god():
    long = {
        p.name: n
        for p in (ROOT / "spinenet").rglob("*.py")
        if (n := len(p.read_text().splitlines())) > 350
    }
    assert not long


@pytest.mark.parametrize("word", ["utils", "helpers", "misc"])
def test_no_room_for_everything(word):
    assert not list((ROOT / "spinenet").rglob(f"*{word}*"))
