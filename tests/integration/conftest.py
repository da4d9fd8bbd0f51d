"""One run of the whole house, for all."""

import pytest

from spinenet.cli import main
from spinenet.commands import DONE
from tests.integration.drawn_folder import write_points, write_sessions


def run(*arguments):
    return main(["infer", *map(str, arguments), "--quiet"])


@pytest.fixture(scope="session")
def results(small_experiment, tmp_path_factory):
    out = tmp_path_factory.mktemp("results")
    assert run(small_experiment / "sessions.csv", "--out", out) == DONE
    return out


@pytest.fixture
def points_folder(tmp_path):
    write_sessions(tmp_path)
    write_points(tmp_path)
    return tmp_path
