"""Would a spine have been seen there? Sightings small enough to check by eye."""

import numpy as np
import pytest

from spinenet.match.power import USUAL_SPREAD, learn_sight


def seen(*sessions):
    """Tracks and heights of every session, from {track: height}."""
    return (
        [np.array(list(s), int) for s in sessions],
        [np.array(list(s.values()), float) for s in sessions],
    )


def test_a_bright_spine_would_be_seen_and_a_faint_one_might_not():
    bright_and_faint = {1: 0.95, 2: 0.3}
    sight = learn_sight(*seen(bright_and_faint, bright_and_faint, {}))
    assert sight.power(1, 2, 0.25) > 0.99
    assert sight.power(2, 2, 0.25) < 0.8
    assert sight.power(2, 2, 0.05) > 0.9


def test_a_blurred_session_lowers_the_power_of_all():
    """Thirty spines at 0.7, which sink to 0.3 in session 1; another one was seen at 0.6 only."""
    many = dict.fromkeys(range(30), 0.7)
    dim = dict.fromkeys(range(30), 0.3)
    sight = learn_sight(*seen(many | {40: 0.6}, dim, many | {40: 0.6}))
    assert sight.of_session[1] == pytest.approx(-1.2, abs=0.1)
    assert sight.of_session[0] == pytest.approx(sight.of_session[2])
    assert sight.power(40, 1, 0.3) < sight.power(40, 2, 0.3) - 0.1


def test_what_was_never_seen_twice_has_the_usual_spread():
    sight = learn_sight(*seen({1: 0.5}, {2: 0.5}))
    assert sight.spread == pytest.approx(USUAL_SPREAD)
    assert sight.of_session.tolist() == [0, 0]


def test_the_spread_is_learned_from_many():
    rng = np.random.default_rng(0)
    own = rng.normal(1, 1, 200)
    heights = [1 / (1 + np.exp(-(own + rng.normal(0, 0.3, 200)))) for _ in range(4)]
    sight = learn_sight([np.arange(200)] * 4, heights)
    assert sight.spread == pytest.approx(0.3, abs=0.05)


def test_one_sighting_tells_less_of_a_spine_than_four():
    """Both were at 0.7 whenever they were seen."""
    sight = learn_sight(*seen({1: 0.7, 2: 0.7}, {1: 0.7}, {1: 0.7}, {1: 0.7}))
    assert sight.own[1] == pytest.approx(sight.own[2], abs=0.01)
    assert 0.5 < sight.power(2, 3, 0.3) < sight.power(1, 3, 0.3) - 0.03


def test_nothing_seen_is_nothing_known():
    sight = learn_sight(*seen({}, {}))
    assert sight.own == {}
    assert sight.spread == pytest.approx(USUAL_SPREAD)
