"""Progress on stderr: a bar with an ETA on a terminal, a plain line every ten seconds elsewhere."""

import sys
import time
from types import TracebackType
from typing import Any

PERIOD = 10.0  # seconds between plain lines


class Progress:
    """Progress over items of unequal cost; the ETA goes by cost, the count by items.

    Args:
        label: what is in progress; True stands for "sweep", False shows nothing.
        total: number of items.
        done: how many of them were there before.
        cost: total cost of the others, in any unit.
        items: what the items are.
    """

    def __init__(self, label: bool | str, total: int, done: int, cost: float, items: str = "cells"):
        self._label = label if isinstance(label, str) else "sweep"
        self._total, self._done, self._cost, self._items = total, done, cost, items
        self._spent = 0.0
        self._shown = bool(label) and done < total
        self._start = self._last = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> "Progress":
        if self._shown and sys.stderr.isatty():
            self._bar = _rich_bar()
            self._task = self._bar.add_task(self._label, total=self._cost, count=self._count())
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, cost: float) -> None:
        """One more item is done."""
        self._done += 1
        self._spent += cost
        if self._bar is not None:
            self._bar.update(self._task, advance=cost, count=self._count())
        self.tick()

    def tick(self) -> None:
        """Time has passed."""
        now = time.monotonic()
        if self._shown and self._bar is None and now - self._last >= PERIOD:
            self._last = now
            print(self._line(now - self._start), file=sys.stderr, flush=True)

    def _count(self) -> str:
        return f"{self._done}/{self._total} {self._items}"

    def _line(self, elapsed: float) -> str:
        left = "?" if not self._spent else _clock(elapsed * (self._cost / self._spent - 1))
        return f"{self._label}: {self._count()}, {_clock(elapsed)} elapsed, {left} left"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _rich_bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[count]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    # The speed is taken over the last hour, not the last 30 s, which one large cell can outlast.
    return Progress(*columns, console=Console(stderr=True), transient=True, speed_estimate_period=3600)
