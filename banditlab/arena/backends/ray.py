"""Actors on a Ray cluster, of this machine or of many: ``pip install "banditlab-arena[ray]"``.

Each worker is an actor with a core of its own. It has banditlab from where it is, so every machine
needs the same version, and the files that an arena names at the same place; what differs is found
out before it plays. A block is a call of its actor, beside which the actor is asked now and then
how far it is and told to stop. An actor that is lost, with its node or without, has its block
played by another, and a new one is started where a core is free.

Ray is imported when it is asked for, and not before.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import pickle
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from banditlab import registry
from banditlab.arena.backends.base import Backend
from banditlab.arena.backends.site import Order, Site, Told, sendable
from banditlab.arena.runner import Hand, Lost
from banditlab.arena.sealed import Damaged
from banditlab.compile import store as compiled

if TYPE_CHECKING:
    from banditlab.arena.runner import _Curve as Curve
    from banditlab.arena.spec import Arena
    from banditlab.arena.store import Store

MOST = 10_000  # threads that wait for an actor each
TICK = 0.1  # seconds between two looks at what is asked of a block
LOOK = 0.5  # seconds between two questions to an actor, as long as there are few of them
QUESTIONS = 300  # a second, to all actors
ANSWERS = 3.0  # seconds that a cluster has to answer a first call
JOINS = 30.0  # seconds that it has to take us in
ROOM = 60.0  # seconds without any worker, after which nobody waits for a core any longer
SETTINGS = "NUMBA_"  # what begins the variables that a worker must share
START = "ray start --head --port={}"


class Cluster(Backend):
    """A Ray cluster."""

    most = MOST

    def __init__(self, arena: Arena, workers: int | str | None, address: str | None):
        local = (os.cpu_count() or 1) if workers in (None, "auto") else int(workers or 1)
        super().__init__(local)
        self.asked, self.address = workers, address
        self.processes += 0 if address else local
        self.arena = pickle.dumps(arena)
        self.alone = any(registry.protocol(panel.protocol).isolated for panel in arena.panels)
        self.actor: Any = None  # the class
        self.alive: set[Actor] = set()
        self._ours = False  # whether we have joined, and have to leave
        self._sent: dict[str, Any] = {}  # compiled pairs in Ray's store, by name
        self._warned = False
        self._guard = threading.Lock()

    def start(self) -> None:
        """Join the cluster, or start one of this machine."""
        import ray

        if not ray.is_initialized():
            if self.address is not None:
                _answers(self.address)
            self._join(ray)
            self._ours = True
        if self.asked in (None, "auto"):
            self.workers = max(1, int(ray.cluster_resources().get("CPU", 1)))
            where = self.address or "of this machine"
            print(f"workers: {self.workers}, the cores of the Ray cluster {where}", file=sys.stderr)
        self.actor = ray.remote(_worker())

    def _join(self, ray: Any) -> None:
        quiet = {"logging_level": "ERROR", "log_to_driver": False}
        # "local": else an address that is set, or left behind, is joined with settings of a start.
        given: dict[str, Any] = {
            "address": "local", "num_cpus": self.workers, "include_dashboard": False,
        }  # fmt: skip
        if self.address is not None:
            given = {"address": self.address}
        failed: list[BaseException] = []

        def join() -> None:
            try:
                ray.init(**given, **quiet)
            except BaseException as error:
                failed.append(error)

        with _threads(self.alone):
            if self.address is None:  # what it starts would end with a thread of its own
                join()
            else:  # what answers at an address may be no cluster, or a sick one
                thread = threading.Thread(target=join, daemon=True)
                thread.start()
                thread.join(JOINS)
                if thread.is_alive():
                    failed.append(TimeoutError(f"no answer for {JOINS:g} seconds"))
        if failed:
            said = " ".join(str(failed[0]).split())[:300]
            if self.address is None:
                raise ValueError(f"Ray cannot be started on this machine: {said}")
            start = START.format(self.address.rpartition(":")[2])
            raise ValueError(f"no Ray cluster at {self.address} ({said}): {start}")

    def hand(self) -> Actor:
        """A worker whose actor is started when it is asked to be ready."""
        return Actor(self)

    def pairs(self, curve: Curve) -> dict[str, Any]:
        """The compiled code of a curve's pairs, for nodes whose cache lacks it."""
        import ray

        found = {}
        with self._guard:
            for made in curve.job.play.pairs:
                if made.name not in self._sent:
                    content = compiled.read(made.name)
                    self._sent[made.name] = None if content is None else ray.put(content)
                found[made.name] = self._sent[made.name]
        return found

    def warn(self, curve: Curve) -> None:
        """Say, once, what replications with a process of their own do not do on other machines."""
        if self.address is None or curve.job.loop.alone is None:
            return
        with self._guard:
            warned, self._warned = self._warned, True
        if not warned:
            print(
                f"protocol {curve.job.panel.protocol} on a Ray cluster keeps no state of a "
                "replication under way, which is lost with its worker, and tells no tracker of it",
                file=sys.stderr,
            )

    def close(self) -> None:
        """Leave the cluster, which ends the actors."""
        import ray

        if self._ours:
            with suppress(Exception):
                ray.shutdown()


def make(arena: Arena, workers: int | str | None, address: str | None) -> Cluster:
    """A cluster; as many workers as it has cores by default. Nothing is started yet."""
    if importlib.util.find_spec("ray") is None:
        raise ValueError('backend ray needs Ray: pip install "banditlab-arena[ray]"')
    return Cluster(arena, workers, address)


def _answers(address: str) -> None:
    """Refuse, within seconds, an address where no cluster is; Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdigit() and 0 < int(port) < 2**16) or "/" in host:
        raise ValueError(
            f"address must be HOST:PORT of the head of a Ray cluster, got {address!r}: run the "
            "arena on a machine of the cluster"
        )
    start = START.format(port)
    try:
        with socket.create_connection((host, int(port)), timeout=ANSWERS) as line:
            line.settimeout(ANSWERS)
            # The head speaks HTTP/2: it answers its preface and an empty SETTINGS frame in kind.
            line.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
            answer = line.recv(9)
    except OSError as error:
        said = error.strerror or str(error)
        raise ValueError(f"no Ray cluster answers at {address} ({said}): {start}") from None
    if len(answer) < 4 or answer[3] != 4 or not _is_head(address):
        raise ValueError(f"what answers at {address} is no Ray cluster: {start}")


def _is_head(address: str) -> bool:
    """Whether who speaks HTTP/2 there is the head of a cluster; True where Ray cannot be asked."""
    try:
        from ray._raylet import GcsClient
    except ImportError:  # another version of Ray: to join will take longer to fail
        return True
    try:
        GcsClient(address=address)
    except Exception:
        return False
    return True


# --- here ---------------------------------------------------------------------------------------


class Actor(Hand):
    """A worker of the cluster, seen from the process that runs the arena."""

    def __init__(self, cluster: Cluster):
        self.cluster = cluster
        self.actor: Any = None
        self.node = ""
        self._orders = itertools.count(1)

    def ready(self, ended: Callable[[], bool]) -> None:
        """Start an actor, unless there is one, and wait until it has a core."""
        import ray

        alone = time.monotonic()
        while self.actor is None and not ended():
            actor = self.cluster.actor.options(
                num_cpus=1, max_concurrency=2, scheduling_strategy="SPREAD"
            ).remote(sys.path, os.getcwd(), _settings(), self.cluster.arena)
            named = actor.where.remote()
            try:
                while not ended():
                    if ray.wait([named], timeout=TICK)[0]:
                        self.node, self.actor = ray.get(named), actor
                        self.cluster.alive.add(self)
                        return
                    if self.cluster.alive:
                        alone = time.monotonic()
                    elif time.monotonic() - alone > ROOM:
                        raise ValueError("the Ray cluster has had no core for us for a minute")
            except ray.exceptions.RayError as error:
                if not self.cluster.alive and time.monotonic() - alone > ROOM:
                    said = " ".join(str(error).split())[:300]
                    raise ValueError(f"no worker can be started on the cluster: {said}") from None
                time.sleep(TICK)

    def play(
        self, curve: Curve, first: int, count: int, progress: np.ndarray, store: Store | None
    ) -> float:
        """As `Hand.play`, there."""
        import ray

        if self.actor is None:
            self.ready(lambda: bool(progress[1]))
        self.cluster.warn(curve)
        part = curve.part(first, count, store, near=self.cluster.address is None)
        kept = store.packed(part.owner, first) if store is not None and count == 1 else None
        code = tuple(made.code for made in curve.job.play.pairs)
        number = next(self._orders)

        def take(news: list[Told]) -> None:
            for what, row, data in news:
                if store is None:  # then a worker has nothing to tell
                    return
                if what == "keep":
                    store.keep_packed(part.owner, row, data)
                else:
                    store.refuse(part.owner, row, Damaged(data))

        try:
            order = Order(part, code, kept, self.cluster.pairs(curve))
            done = self.actor.play.remote(number, order)
            wish, looked = 0, time.monotonic()
            while not ray.wait([done], timeout=TICK)[0]:
                now, every = time.monotonic(), max(LOOK, len(self.cluster.alive) / QUESTIONS)
                if progress[1] != wish or now - looked >= every:
                    wish, looked = int(progress[1]), now
                    rounds, news = ray.get(self.actor.look.remote(number, wish))
                    progress[0] = rounds
                    take(news)
            result, news = ray.get(done)
        except ray.exceptions.RayError as error:
            raise Lost(self._lost(error)) from None
        take(news)
        if isinstance(result, BaseException):
            raise result
        curve.values[first : first + count], seconds = result
        if curve.alone:  # the next replication has a process of its own
            self.close()
        return float(seconds)

    def close(self) -> None:
        """End the actor."""
        import ray

        actor, self.actor = self.actor, None
        self.cluster.alive.discard(self)
        if actor is not None:
            with suppress(Exception):
                ray.kill(actor)

    def _lost(self, error: Exception) -> str:
        """What has become of the actor, in words."""
        import ray

        self.close()  # it may only be out of reach
        text = " ".join(str(error).split())
        if "its node" in text or isinstance(error, ray.exceptions.NodeDiedError):
            return f"its node {self.node} has left the Ray cluster"
        if "out of memory" in text.lower() or "OOM" in text:
            return f"its worker on node {self.node} was out of memory"
        if isinstance(error, ray.exceptions.ActorUnavailableError):
            return f"its worker on node {self.node} does not answer any more"
        return f"its worker on node {self.node} is gone ({type(error).__name__})"


@contextmanager
def _threads(alone: bool) -> Iterator[None]:
    """Let workers of a cluster that starts now have as many threads for linear algebra as we have.

    With the one that Ray gives them, tables of problems could be rounded otherwise than here.
    """
    name = "OMP_NUM_THREADS"
    before = os.environ.get(name)
    if not alone and before is None:
        os.environ[name] = str(os.cpu_count() or 1)
    try:
        yield
    finally:
        if not alone and before is None:
            del os.environ[name]


def _settings() -> dict[str, str]:
    """What of the environment decides what is compiled."""
    return {key: value for key, value in os.environ.items() if key.startswith(SETTINGS)}


# --- there --------------------------------------------------------------------------------------


def _worker() -> type:
    """The class of the actors; within a function, so that Ray sends it along by value.

    A node imports banditlab when it knows from where, and not before.
    """

    class Worker:
        def __init__(self, path: list[str], folder: str, settings: dict[str, str], arena: bytes):
            import os
            import pickle
            import sys

            here = [place for place in path if os.path.isdir(place) or os.path.isfile(place)]
            sys.path[:] = [*here, *(place for place in sys.path if place not in here)]
            os.environ.update(settings)
            if os.path.isdir(folder):
                os.chdir(folder)
            import numpy as np

            from banditlab.arena.backends.ray import site

            self.number = 0
            self.progress = np.zeros(2, np.int64)
            self.news: list[Any] = []
            self.site = site(pickle.loads(arena))

        def where(self) -> str:
            import ray

            return str(ray.util.get_node_ip_address())

        def play(self, number: int, order: Any) -> tuple[Any, list[Any]]:
            from banditlab.arena.backends.ray import played

            self.progress[:] = 0
            self.news = []
            self.number = number
            result = played(self.site, order, self.progress, lambda told: self.news.append(told))
            self.number = 0
            return result, self.news

        def look(self, number: int, wish: int) -> tuple[int, list[Any]]:
            if number != self.number:  # it has not begun, or is over
                return 0, []
            self.progress[1] = wish
            news, self.news = self.news, []
            return int(self.progress[0]), news

    return Worker


def site(arena: Arena) -> Site:
    """A site that takes compiled code from Ray's store."""
    import ray

    return Site(arena, ray.get)


def played(site: Site, order: Order, progress: np.ndarray, tell: Callable[[Told], None]) -> Any:
    """Rows and CPU seconds of a block, or the error that it ended with."""
    try:
        return site.play(order, progress, tell)
    except BaseException as error:
        return sendable(error)
