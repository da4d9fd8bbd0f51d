"""Limits in days, of animals that are imaged at other hours of the day."""

from __future__ import annotations

HOURS_DAYS, SHARE = 0.25, 1 / 8


def slack_days(limit_days: float) -> float:
    """How far a session may miss a limit and still meet it: six hours, less where the limit itself
    is short."""
    return min(HOURS_DAYS, SHARE * abs(limit_days))
