"""Animals as the unit: means, exact comparisons of groups, the planning of a study."""

import numpy as np
import pytest
from scipy import stats

from spinenet.analyze.groups import compare, hierarchical_bootstrap, mean_of_animals
from spinenet.analyze.power import power_error, power_of
from spinenet.cli import main
from spinenet.commands import BAD_INPUT, DONE


def test_mean_over_animals_is_the_textbook_t_interval():
    mean = mean_of_animals(np.array([0.1, 0.2, 0.3, np.nan]), 0.0, 1.0)
    assert (mean.value, mean.n) == (pytest.approx(0.2), 3)
    low, high = stats.t.interval(0.95, 2, 0.2, 0.1 / np.sqrt(3))
    assert (mean.low, mean.high) == (max(low, 0), pytest.approx(high))


def test_animals_that_agree_are_no_certainty():
    """Ten of ten survived in each of three animals: the share may well be 0.9."""
    mean = mean_of_animals(np.ones(3), 0.0, 1.0)
    assert mean.value == 1.0
    assert np.isnan([mean.low, mean.high]).all()
    assert mean.test == "animals do not differ: no interval"


def test_permutation_of_animals_is_exact():
    found = compare(np.array([5.0, 6, 7, 8]), np.array([1.0, 2, 3, 4]), np.random.default_rng(0))
    assert found.p == 2 / 70  # the two most extreme of 70 labellings
    assert found.low < 4 < found.high
    assert found.low > 0


def test_swapping_the_groups_changes_the_sign():
    a, b = np.array([0.1, 0.3, 0.2, 0.25]), np.array([0.4, 0.35, 0.6, 0.5])
    one_way, other = (compare(*ab, np.random.default_rng(0)) for ab in ((a, b), (b, a)))
    assert one_way.p == other.p
    assert one_way.value == pytest.approx(-other.value)
    assert one_way.low == pytest.approx(-other.high, abs=1e-6)


def test_two_animals_a_group_cannot_be_inverted():
    found = compare(np.array([1.0, 2]), np.array([3.0, 4]), np.random.default_rng(0))
    assert found.p == pytest.approx(2 / 6)
    assert "Welch" in found.test


def test_two_equal_animals_do_not_vouch_for_each_other():
    found = compare(np.array([1.0, 1]), np.array([3.0, 4]), np.random.default_rng(0))
    assert np.isnan([found.low, found.high]).all()


def test_the_bootstrap_draws_animals_not_spines():
    parts = [[np.array([0.0, 10])] * 3, [np.array([10.0, 10])] * 3]
    drawn = hierarchical_bootstrap(parts, 400, np.random.default_rng(0))
    assert set(np.round(drawn, 6)) == {0.0, 0.5, 1.0}


def test_power_of_a_textbook_difference():
    """Two groups of 20, one standard deviation apart: a t test has 0.87."""
    rng = np.random.default_rng(0)
    pools = [rng.normal(1, 1, 4000), rng.normal(0, 1, 4000)]
    assert power_of(pools, 20, 800, rng) == pytest.approx(0.87, abs=0.05)
    assert power_of([pools[1], pools[1]], 8, 2000, rng) < 0.07


def test_the_power_is_known_the_better_the_more_animals_are_simulated():
    """Sixteen times the animals: a quarter of the error."""
    rng = np.random.default_rng(0)
    few, many = ([rng.normal(m, 1, n) for m in (1, 0)] for n in (100, 1600))
    small, large = power_error(few, 15, 500, rng), power_error(many, 15, 500, rng)
    assert large < small / 2


def test_a_plan_is_printed(capsys):
    how = ["--dendrites", "[3]", "--most_animals", "5", "--pool", "6", "--studies", "50"]
    assert main(["power", *how]) == DONE
    assert "3 dendrites per animal" in capsys.readouterr().out


def test_so_few_animals_cannot_be_planned(capsys):
    assert main(["power", "--most_animals", "3"]) == BAD_INPUT
    assert "at least 4 animals" in capsys.readouterr().err


def test_groups_whose_animals_are_all_alike_have_no_interval():
    found = compare(np.ones(4), np.full(4, 0.5), np.random.default_rng(0))
    assert found.value == 0.5
    assert np.isnan([found.low, found.high]).all()
    assert "animals do not differ" in found.test


def test_animals_without_a_measure_bring_no_power():
    """Half of the animals tell nothing: as much power as with half as many that do."""
    rng = np.random.default_rng(2)
    pools = [rng.normal(shift, 1, 4000) for shift in (1.5, 0.0)]
    halved = [np.where(np.arange(4000) % 2, pool, np.nan) for pool in pools]
    whole, half = power_of(pools, 16, 400, rng), power_of(halved, 16, 400, rng)
    assert half < whole
    assert half == pytest.approx(power_of(pools, 8, 400, rng), abs=0.07)
    assert power_of([np.full(50, np.nan), pools[0]], 8, 100, rng) == 0


def test_a_power_that_cannot_be_told_is_refused_in_words(capsys):
    how = ["--cohort.length_um", "5", "--dendrites", "[1]", "--pool", "100", "--studies", "20"]
    assert main(["power", *how, "--most_animals", "5"]) == BAD_INPUT
    assert "no simulated animal has a clustered share" in capsys.readouterr().err
