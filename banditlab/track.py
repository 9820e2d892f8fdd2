"""Curves while they are made: what a run tells whoever watches, and trackers that write it down.

A run gives an :class:`Event` to each of its watchers (``simulate(..., watch=function)``). A
:class:`Tracker` writes numbers where people look at them, and :class:`Follower` is the watcher that
gives one the curves of an arena. What makes numbers of its own while a replication is under way,
such as a training loop, writes them to the tracker that is :func:`active`, if there is one::

    if (tracker := track.active()) is not None:
        tracker.scalars("hopper/td3/seed 3", step, {"return": episode_return})

The library that a tracker needs is imported when the tracker is opened, and never without one.

>>> seen = []
>>> with using(Told(lambda *facts: seen.append(facts))):
...     active().scalars("hopper/td3", 100, {"return": 3.5})
>>> seen, active()
([('hopper/td3', 100, {'return': 3.5})], None)
"""

from __future__ import annotations

import base64
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from banditlab.validate import choice

KINDS = ("tensorboard",)


class Unfinished(NamedTuple):
    """A curve of an arena as far as it has come."""

    panel: str
    agent: str  # as the curve is called: "ucb", or "ucb, C = 1.5"
    finished: int  # replications; on a swept axis those of all points
    replications: int  # in all
    # What the finished replications say: a banditlab.curves.Record. Computed when called.
    record: Callable[[], Any]


class Event(NamedTuple):
    """How far a run is."""

    what: str  # is under way
    done: int  # rounds
    total: int
    curves: tuple[Unfinished, ...]  # those of which a replication is finished


Watch = Callable[[Event], None]


class Tracker:
    """Takes numbers by run, step and name. To be inherited from; this one forgets them.

    A *run* is a path of words parted by slashes, ``panel/agent``; a *step* a whole number of at
    least 0, such as the round. A tracker can be pickled: what comes out writes to the same place.
    """

    def scalars(self, run: str, step: int, values: Mapping[str, float]) -> None:
        """Write numbers by name. For any thread."""

    def restart(self, run: str, step: int = 0) -> None:
        """Forget what was written of the run from ``step`` on, here or before: it comes anew."""

    def flush(self) -> None:
        """Write what waits."""

    def close(self) -> None:
        """Write what waits. Nothing may follow."""

    def shown(self) -> str:
        """The command that shows what was written."""
        return ""


class Told(Tracker):
    """A tracker that calls a function with run, step and numbers by name."""

    def __init__(self, function: Callable[[str, int, Mapping[str, float]], None]):
        self.function = function

    def scalars(self, run: str, step: int, values: Mapping[str, float]) -> None:
        self.function(run, step, values)


class TensorBoard(Tracker):
    """Event files that ``tensorboard --logdir FOLDER`` shows, a folder of its own for each run."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self._writers: dict[str, Any] = {}
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._writer, self._event, self._summary = EventFileWriter, event_pb2, summary_pb2

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.folder,)

    def _of(self, run: str) -> Any:
        """The writer of a run; the file is made when there is something to write."""
        if run not in self._writers:
            folder = self.folder.joinpath(*(_plain(word) for word in run.split("/")))
            self._writers[run] = self._writer(str(folder))
        return self._writers[run]

    def scalars(self, run: str, step: int, values: Mapping[str, float]) -> None:
        import time

        kept = self._summary.Summary(
            value=[
                self._summary.Summary.Value(tag=name, simple_value=float(value))
                for name, value in values.items()
            ]
        )
        event = self._event.Event(wall_time=time.time(), step=int(step), summary=kept)
        self._of(run).add_event(event)

    def restart(self, run: str, step: int = 0) -> None:
        # Readers drop, at this mark, whatever they hold of the run from its step on.
        start = self._event.SessionLog(status=self._event.SessionLog.START)
        self._of(run).add_event(self._event.Event(step=int(step), session_log=start))

    def flush(self) -> None:
        for writer in self._writers.values():
            writer.flush()

    def shown(self) -> str:
        return f"tensorboard --logdir {self.folder}"

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}


def _plain(word: str) -> str:
    """A word as the name of a folder."""
    kept = "".join(letter if letter.isalnum() or letter in " .,=+-_()" else "_" for letter in word)
    return kept.strip(" .") or "_"


def open_tracker(kind: str, folder: str | Path) -> Tracker:
    """The tracker of that kind, one of KINDS, that writes into ``folder``.

    ValueError, with the command that helps, where its library is not installed.
    """
    choice("track", kind, KINDS)
    if find_spec("tensorboard") is None:
        raise ValueError(
            f"--track {kind} needs the package {kind}, which is not installed: "
            'python -m pip install "banditlab-arena[track]"'
        )
    return TensorBoard(folder)


def packed(tracker: Tracker | None) -> str:
    """A tracker as text, for a process of ours; empty for None, or for one that cannot be told."""
    if tracker is None:
        return ""
    try:
        return base64.b64encode(pickle.dumps(tracker)).decode()
    except Exception as error:  # whatever a tracker of somebody's own holds
        name, why = type(tracker).__name__, " ".join(str(error).split())
        print(f"{name} is not told what happens inside a replication: {why}", file=sys.stderr)
        return ""


def unpacked(text: str) -> Tracker | None:
    """The tracker that was packed."""
    found: Tracker | None = pickle.loads(base64.b64decode(text)) if text else None
    return found


_active: list[Tracker] = []


def active() -> Tracker | None:
    """The tracker of the run that is under way in this process, if it has one."""
    return _active[-1] if _active else None


@contextmanager
def using(tracker: Tracker) -> Iterator[Tracker]:
    """Make a tracker the active one, and close it at the end."""
    _active.append(tracker)
    try:
        yield tracker
    finally:
        _active.remove(tracker)
        tracker.close()


class Follower:
    """Watches an arena and gives its curves to a tracker: means so far, by round.

    A mean changes with every replication, and event files only grow; so a curve is written anew
    when twice as many replications are finished as were when it was last written, and when all
    are: about log2(replications) times in all.
    """

    def __init__(self, tracker: Tracker):
        self.tracker = tracker
        self._written: dict[tuple[str, str], int] = {}  # replications

    def __call__(self, event: Event) -> None:
        """What a run calls."""
        for curve in event.curves:
            before = self._written.get((curve.panel, curve.agent), 0)
            whole = curve.finished == curve.replications
            if curve.finished > before and (whole or curve.finished >= 2 * before):
                self._write(curve)
                self._written[curve.panel, curve.agent] = curve.finished

    def _write(self, curve: Unfinished) -> None:
        record, run = curve.record(), f"{curve.panel}/{curve.agent.replace('/', '_')}"
        means = record.values.mean(axis=0)
        steps = record.checkpoints
        if (steps != steps.astype(int)).any():  # a swept axis of other numbers: count its points
            steps = range(len(steps))
        self.tracker.restart(run)
        for t, row in zip(steps, means, strict=True):
            found = dict(zip(record.measures, map(float, row), strict=True))
            self.tracker.scalars(run, int(t), {k: v for k, v in found.items() if v == v})
