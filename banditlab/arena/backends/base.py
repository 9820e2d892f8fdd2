"""What the runner asks of a back end."""

from __future__ import annotations

from banditlab.arena.runner import MOST_THREADS, Hand


class Backend:
    """Makes a hand for each worker; this one, for threads of this process."""

    most = MOST_THREADS  # workers that can do anything

    def __init__(self, workers: int):
        self.workers = workers  # as asked for: more than ``most`` are not started
        self.processes = 1  # on this machine: each takes memory

    def hand(self) -> Hand:
        """A new worker, not yet started; called in the thread that will wait for it."""
        return Hand()

    def start(self) -> None:
        """Begin, before the first hand is asked for: ValueError, in one line, where it cannot."""

    def close(self) -> None:
        """End all workers, whatever they do."""
