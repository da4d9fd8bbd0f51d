"""What numbers settings may be: refused in words before any work begins."""

from __future__ import annotations

import math
from collections.abc import Callable

from spinenet.types import InputError

Rule = tuple[Callable[[float], bool], str]
POSITIVE: Rule = (lambda v: v > 0 and math.isfinite(v), "a finite number, more than 0,")
NOT_NEGATIVE: Rule = (lambda v: v >= 0 and math.isfinite(v), "a finite number, 0 or more,")
SHARE: Rule = (lambda v: 0 <= v <= 1, "a share, from 0 to 1,")


def between(lowest: float, highest: float) -> Rule:
    """A number from `lowest` to `highest`."""
    return (lambda v: lowest <= v <= highest), f"{lowest:g} to {highest:g}"


def at_least(lowest: float) -> Rule:
    """A number from `lowest` on."""
    return (lambda v: v >= lowest and math.isfinite(v)), f"{lowest:g} or more"


def check(settings: object, rule: Rule, *names: str) -> None:
    """Every number of the named settings keeps to the rule; None leaves a setting to others.

    Raises
    ------
    InputError
        If one does not.
    """
    keeps, expected = rule
    for name in names:
        given = getattr(settings, name)
        numbers = given if isinstance(given, tuple) else () if given is None else (given,)
        if not all(keeps(v) for v in numbers):
            raise InputError(
                f"{name} {_shown(given)}: {expected} was expected. Leave it out for the usual "
                "value."
            )


def check_ranges(settings: object, *names: str) -> None:
    """Of the named pairs the first is the smaller.

    Raises
    ------
    InputError
        If one is the other way round.
    """
    for name in names:
        low, high = getattr(settings, name)
        if not low <= high:
            raise InputError(
                f"{name} {_shown((low, high))}: the smallest and the largest value were expected. "
                "Exchange them."
            )


def check_days(name: str, days: tuple[float, ...], fewest: int) -> None:
    """Days of sessions increase.

    Raises
    ------
    InputError
        If they do not, or are too few.
    """
    increase = all(a < b for a, b in zip(days, days[1:], strict=False))
    if len(days) < fewest or not increase or not all(map(math.isfinite, days)):
        raise InputError(
            f"{name} {_shown(days)}: the days of at least {fewest} "
            f"session{'s' * (fewest > 1)}, each later than the one before, were expected; for "
            "example [0, 4, 8]."
        )


def _shown(given: object) -> str:
    return str(list(given)) if isinstance(given, tuple) else str(given)
