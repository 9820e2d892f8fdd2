"""Who plays the blocks of an arena: threads, processes, or the nodes of a Ray cluster.

A back end makes *hands* (:class:`banditlab.arena.runner.Hand`), one for each worker. Everything
else is the runner's: it cuts a curve into blocks, hands them out, keeps what comes back in the run
store as it comes, and has the block of a worker that is lost played again. Replication r draws from
streams of the seed and of r alone, so no back end can change a bit of a result.

``threads``
    Compiled loops release Python's lock, so threads of this process are all that one machine needs.
    Nothing is copied; this is the default.
``processes``
    A Python of its own for each worker, on this machine. A kernel that ends its process ends no
    run, and what is Python rather than compiled code is played on all cores.
``ray``
    Actors on a Ray cluster, of this machine or of many (``pip install "banditlab-arena[ray]"``).

The arena goes to a worker as data, and each makes its problems and agents from that, as it would
be made here; a worker whose code or data differ refuses (:mod:`banditlab.arena.backends.site`).
Compiled pairs are made once, by who runs the arena: other processes of the machine find them in
the cache, and for other machines they are sent along.

**A protocol that wants processes** says ``isolated=True`` in its ``PROTOCOL``: because its loop is
Python, or because it sets what is a process's own (threads of a tensor library, say). By default
such an arena runs on ``processes``, with a fresh process for each replication, whose environment
has one thread for every library of linear algebra (``OMP_NUM_THREADS=1`` and its kin, set before
anything is imported). Its ``loop`` gives a ``Loop(..., python=True)``, whose ``run_block`` has the
arguments of a compiled one (``algorithm, problem, task, key, first, log_rounds, checkpoints,
progress, record``) and is called as it stands, never compiled, with one replication at a time:
``record`` is (1, checkpoints, measures). It adds the rounds that it plays to ``progress[0]`` and
returns soon after ``progress[1]`` is no longer 0; what it then leaves in ``record`` is not used.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from banditlab import registry
from banditlab.arena.backends.base import Backend
from banditlab.validate import integer, shown

if TYPE_CHECKING:
    from banditlab.arena.spec import Arena

NAMES = ("threads", "processes", "ray")


def backend(
    arena: Arena,
    name: str | None = None,
    workers: int | str | None = None,
    address: str | None = None,
) -> Backend:
    """The back end called ``name`` for an arena, with so many workers; nothing is started yet.

    Without a name: processes where a protocol of the arena asks for them, else threads.
    ``workers``: a number, "auto", or None, which is the number of cores. ``address``: of a Ray
    cluster. ValueError, in one line, for what cannot be.
    """
    if name is None:
        alone = any(registry.protocol(panel.protocol).isolated for panel in arena.panels)
        name = "processes" if alone else "threads"
    if name not in NAMES:
        raise ValueError(registry.unknown("backend", str(name), NAMES))
    if address is not None and name != "ray":
        raise ValueError(f"address is that of a Ray cluster: it is not for backend {name}")
    if workers is not None and workers != "auto":
        if isinstance(workers, str):
            raise ValueError(f"workers must be a whole number or auto, got {shown(workers)}")
        workers = integer("workers", workers, 1)
    module: Any = importlib.import_module(f"banditlab.arena.backends.{name}")
    found: Backend = module.make(arena, workers, address)
    return found


def cores() -> int:
    """Cores of this machine."""
    return os.cpu_count() or 1
