"""What is printed: a bar on standard error while something runs, and how numbers are written."""

from __future__ import annotations

import math
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from banditlab import interrupt

FRAMES = 3  # of an error that nobody foresaw: a report names them


def places(error: BaseException) -> list[str]:
    """File and line of the innermost frames in which an error came up, be it in a worker."""
    told: list[str] | None = getattr(error, "places", None)
    if told is not None:
        return told
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[: -FRAMES - 1 : -1]]


class Pace:
    """How fast a run is, and when it will be over, from what it did lately.

    Agents differ in speed, and one that goes on from a kept state comes a long way at once.
    """

    WINDOW = 60.0  # seconds that count

    def __init__(self, clock: Callable[[], float]):
        self.clock = clock
        self._seen: deque[tuple[float, int]] = deque()  # clock and rounds done

    def see(self, done: int) -> None:
        """So many rounds are done now."""
        now = self.clock()
        if len(self._seen) > 1 and now - self._seen[-2][0] < self.WINDOW / 200:
            self._seen.pop()  # few are enough, of which the last is the latest
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[1][0] >= self.WINDOW:
            self._seen.popleft()

    @property
    def speed(self) -> float:
        """Rounds a second; 0 where that is not known."""
        if not self._seen:
            return 0.0
        (began, before), (now, done) = self._seen[0], self._seen[-1]
        return (done - before) / (now - began) if now > began else 0.0

    def said(self, counted: str) -> str:
        """``1,234 steps/s``, or nothing."""
        return f"{short(self.speed)} {counted}/s" if counted and self.speed > 0 else ""


class Bar:
    """A progress bar with the time left on standard error, once a run takes two seconds.

    ``counted``: what it counts, whose number a second it shows, such as steps.
    """

    def __init__(self, quiet: bool, counted: str = "", console: Any = None):
        self.off = quiet
        self.task: Any = None
        self.counted, self.pace = counted, Pace(time.monotonic)
        self._stack = ExitStack()
        if quiet:
            return
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(20 if counted else 40),
            TaskProgressColumn(),
            TextColumn("{task.fields[speed]}"),
            TextColumn("elapsed"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console or Console(stderr=True),
            transient=True,
        )
        shown = self.bar.console.is_terminal or self.bar.console.is_jupyter
        self.off = not shown  # a file has no use for a bar

    def __enter__(self) -> Bar:
        self._stack.enter_context(interrupt.hook(self._stop))  # it has hidden the cursor
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._stack.close()

    def _stop(self) -> None:
        if self.task is not None:
            self.bar.stop()

    def show(self, what: str, done: int, total: int) -> None:
        """What simulate calls."""
        if self.off:
            return
        if self.task is None:  # not before: an error found at once is one line, with nothing above
            self.bar.start()
            self.task = self.bar.add_task(what, total=total, speed="")
        self.pace.see(done)
        speed = self.pace.said(self.counted)
        self.bar.update(self.task, description=what, completed=done, speed=speed)


def short(value: float) -> str:
    """Three digits or so."""
    if not math.isfinite(value):
        return "none"
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        digits = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
        return digits.replace("-", "\N{MINUS SIGN}")
    return f"{value:.2e}".replace("-", "\N{MINUS SIGN}")


def around(mean: float, half: float) -> str:
    """A mean and its half-width of two digits, both to the same decimal."""
    if half == 0 or not 1e-5 < half < 1e6 or abs(mean) >= 1e7:
        return f"{short(mean)} \N{PLUS-MINUS SIGN} {short(half)}"
    decimals = max(0, 1 - math.floor(math.log10(half)))
    said = f"{mean:,.{decimals}f} \N{PLUS-MINUS SIGN} {half:,.{decimals}f}"
    return said.replace("-", "\N{MINUS SIGN}")
