"""``--live``: how every agent of a long run is doing, on standard error, while it runs.

On a terminal it is a table that is drawn anew twice a second; elsewhere plain lines, few of them.
What is shown are means of the replications that are finished, with 95% intervals. To look takes
time from the run, so looks are spaced: they take at most a twentieth of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

from banditlab import interrupt
from banditlab.console import Pace, around, short

EVERY = 0.5  # seconds between two drawings
LINES = 10.0  # and between two reports where there is no terminal
SHARE = 20  # a look that took a second is followed by so many without one
PATIENCE = 1.0  # seconds of a run before which nothing is shown


class Row(NamedTuple):
    """What is known of a curve."""

    finished: int  # replications
    replications: int
    value: str  # its measure at the last checkpoint, with its interval


class Live:
    """A dashboard; a context manager whose `show` and `watch` a run is given."""

    def __init__(
        self,
        arena: Any,
        quiet: bool = False,
        counted: str = "",
        console: Any = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        from rich.console import Console

        self.console = console or Console(stderr=True)
        self.off = quiet
        self.counted, self.speed = counted, Pace(clock)
        self.clock = clock
        # Agents of swept panels have a curve for each value, which are shown as they come.
        self.measures: dict[str, str] = {panel.name: panel.measure for panel in arena.panels}
        self.rows: dict[tuple[str, str], Row] = {
            (panel.name, agent.label): Row(0, panel.replications, "")
            for panel in arena.panels if not panel.sweep for agent in panel.agents
        }  # fmt: skip
        self.title = arena.title or arena.name
        self.done = self.total = 0  # rounds
        self._began: float | None = None  # clock at the first call
        self._next = 0.0  # when to look again
        self._told: dict[tuple[str, str], int] = {}  # replications that a line has spoken of
        self._live: Any = None
        self._stack = ExitStack()

    def __enter__(self) -> Live:
        self._stack.enter_context(interrupt.hook(self._stop))  # it has hidden the cursor
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._stack.close()

    def _stop(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def show(self, what: str, done: int, total: int) -> None:
        """Nothing: `watch` is told as much, and more."""

    def watch(self, event: Any) -> None:
        """What a run calls with a :class:`banditlab.track.Event`."""
        now = self.clock()
        if self._began is None:
            self._began = now
            self._next = now + PATIENCE
        self.done, self.total = event.done, event.total
        self.speed.see(event.done)
        if self.off or now < self._next:
            return
        for curve in event.curves:
            self._look(curve)
        if self.console.is_terminal:
            self._draw()
        else:
            self._print()
        took = self.clock() - now
        self._next = now + max(EVERY if self.console.is_terminal else LINES, SHARE * took)

    def _look(self, curve: Any) -> None:
        """Compute what is shown of a curve, where that is no longer what it was."""
        key = curve.panel, curve.agent
        old = self.rows.get(key)
        if old is not None and old.value and old.finished == curve.finished:
            return
        value = said(curve.record(), self.measures.get(curve.panel, ""))
        self.rows[key] = Row(curve.finished, curve.replications, value)

    # --- a terminal -----------------------------------------------------------------------------

    def _draw(self) -> None:
        from rich.live import Live as Screen

        if self._live is None:
            self._live = Screen(console=self.console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(self.picture(), refresh=True)

    def picture(self) -> Any:
        """The table, as high as the terminal allows."""
        from rich.console import Group
        from rich.markup import escape
        from rich.table import Table
        from rich.text import Text

        several = len({panel for panel, _ in self.rows}) > 1
        table = Table()
        for name in ["panel"] * several + ["agent"]:
            table.add_column(name)
        for name in ("replications", "mean so far (95%)"):
            table.add_column(name, justify="right")
        room = max(3, self.console.height - 9)
        for (panel, agent), row in self._chosen(room):
            cells = [panel] * several + [agent]
            counts = f"{row.finished:,} / {row.replications:,}"
            table.add_row(*map(escape, cells), counts, row.value or "waiting")
        if len(self.rows) > room:
            finished = sum(row.finished >= row.replications for row in self.rows.values())
            table.caption = f"{len(self.rows)} curves, {finished} of them finished"
        return Group(Text(self.title, style="bold"), Text(self.pace()), table)

    def _chosen(self, room: int) -> Iterator[tuple[tuple[str, str], Row]]:
        """The rows that there is room for: those under way first, in the arena's order."""

        def rank(item: tuple[tuple[str, str], Row]) -> int:
            row = item[1]
            return 1 if row.finished >= row.replications else 0 if row.finished else 2

        kept = {key for key, _ in sorted(self.rows.items(), key=rank)[:room]}
        return ((key, row) for key, row in self.rows.items() if key in kept)

    # --- no terminal ----------------------------------------------------------------------------

    def _print(self) -> None:
        """How far the run is, and each curve that has come further since the last report."""
        lines = [self.pace()]
        for (panel, agent), row in self.rows.items():
            if row.finished > self._told.get((panel, agent), 0):
                self._told[panel, agent] = row.finished
                done = f"{row.finished:,} of {row.replications:,} replications"
                lines.append(f"  {panel}: {agent}, {done}, {row.value}")
        self.console.file.write("".join(f"{line}\n" for line in lines))
        self.console.file.flush()

    def pace(self) -> str:
        """How much is done, how long that took, and how long the rest will take."""
        assert self._began is not None
        share = self.done / self.total if self.total else 0.0
        speed = self.speed.speed  # lately: what an earlier run has kept took no time
        left = f"{span((self.total - self.done) / speed)} left" if speed > 0 else "starting"
        said = (f"{share:.0%}", f"{span(self.clock() - self._began)} elapsed", left)
        return ", ".join([*said, *filter(None, [self.speed.said(self.counted)])])


def span(seconds: float) -> str:
    """A time span: 1:05, or 2:01:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def said(record: Any, measure: str) -> str:
    """``regret 373.5 ± 1.8``: the measure (by default the first) at the last checkpoint."""
    from banditlab.statistics import t_interval

    name = measure if measure in record.measures else record.measures[0]
    values = record.values[:, -1:, record.measures.index(name)]
    mean, sem, _, hi = (float(part[0]) for part in t_interval(values))
    if sem != sem:  # one replication
        return f"{name} {short(mean)}"
    return f"{name} {around(mean, hi - mean)}"


def both(*watches: Callable[[Any], None] | None) -> Callable[[Any], None] | None:
    """One function that tells all of these; None where there is none."""
    known = [watch for watch in watches if watch is not None]

    def tell(event: Any) -> None:
        for watch in known:
            watch(event)

    return tell if known else None
