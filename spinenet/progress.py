"""What a person sees of long work: bars with the time left on a terminal, nothing in a pipe."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Stages:
    """One bar per stage of a run, on stderr; silent when `quiet` or not on a terminal."""

    def __init__(self, *, quiet: bool = False) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description:<28}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=quiet or not sys.stderr.isatty(),
        )

    def __enter__(self) -> Stages:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def stage(self, name: str, total: int) -> Stage:
        """A new bar of `total` steps."""
        return Stage(self._progress, name, total)


class Stage:
    """One bar."""

    def __init__(self, progress: Progress, name: str, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task(name, total=total)

    def to(self, done: int, total: int) -> None:
        """Set how far it is."""
        self._progress.update(self._task, completed=done, total=total)

    def step(self) -> None:
        """One more is done."""
        self._progress.advance(self._task)
