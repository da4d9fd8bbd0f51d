"""One run of the whole house, for all."""

import pytest

from spinenet.cli import main
from spinenet.commands import DONE


def run(*arguments):
    return main(["infer", *map(str, arguments), "--quiet"])


@pytest.fixture(scope="session")
def results(small_experiment, tmp_path_factory):
    out = tmp_path_factory.mktemp("results")
    assert run(small_experiment / "sessions.csv", "--out", out) == DONE
    return out
