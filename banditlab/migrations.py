"""Saved agents of earlier versions, told as this version would have saved them.

===== =============================================================================================
1     ``name``, ``hyper``, ``task`` (n_arms, n_contexts, dim, horizon), ``t``; arrays ``rng`` and
      ``state0``, ``state1``, ...
2     ``task`` has a budget and a price; every agent has ``left``, ``extra``, and array ``looker``
3     ``given``, the arguments of the agent's face, in the place of ``task``; ``left`` and
      ``looker``, and now ``asked``, where an agent looks; later files have a checksum
4     as 3, and no file without a checksum
===== =============================================================================================

A schema is the layout of a file. What an algorithm keeps may change as well, and then an older
agent of it is refused, with the array or the fact that differs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from banditlab import registry

SCHEMA = 4
CHECKSUM = 4  # the first schema of which every file has one
ENDLESS = 2**62  # what is left of a budget where there is none, in schemas 1 and 2
# By schema: arrays that every file has and not every agent wants any more, and arrays that are
# new, and as in a fresh agent.
DROPPED = {2: {"looker"}}
NEW = {1: {"looker", "asked"}, 2: {"asked"}}
FACTS = {1: ("name", "hyper", "task", "t"), 2: ("name", "hyper", "task", "t", "left", "extra")}

Facts = dict[str, Any]


def schema_of(stored: Facts) -> int:
    """The schema of a file with these facts; ValueError for one that this version cannot read."""
    found = stored.get("schema")
    if type(found) is not int or found < 1:
        text = repr(found)
        raise ValueError(f"it has schema {text[:60]}, this version reads 1 to {SCHEMA}")
    if found > SCHEMA:
        raise ValueError(
            f"it has schema {found}, of a newer banditlab: this version reads 1 to {SCHEMA}; "
            "pip install --upgrade banditlab-arena"
        )
    for key in FACTS.get(found, ("name", "hyper", "given", "t")):
        if key not in stored:
            raise ValueError(f"array about has no {key!r}")
    if found >= CHECKSUM and "checksum" not in stored:
        raise ValueError("array about has no 'checksum'")
    return found


def migrated(about: Facts) -> Facts:
    """The facts as the present schema has them. The name is that of an algorithm to make."""
    about = dict(about)
    for schema in range(about["schema"], SCHEMA):
        about = STEPS[schema]({**about, "schema": schema + 1})
    return about


def _from_1(about: Facts) -> Facts:
    _plain(about["task"])
    task = {**about["task"], "budget": -1, "price": 1.0}
    return {**about, "task": task, "left": ENDLESS, "extra": False}


def _from_2(about: Facts) -> Facts:
    task = _plain(about.pop("task"))
    budget = task.get("budget", -1)
    endless = type(budget) is int and budget < 0
    known = {**task, "budget": None if endless else budget, "extra": about.pop("extra")}
    face = registry.protocol_of(registry.make(about["name"], **about["hyper"])).face
    more = [x for x in ("budget", "extra") if x in inspect.signature(face.__init__).parameters]
    for name in (*face.arguments, *more):
        if name not in known:
            raise ValueError(f"task has no {name!r}")
    about["given"] = {name: known[name] for name in dict.fromkeys((*face.arguments, *more))}
    if not more:
        del about["left"]
    return about


def _from_3(about: Facts) -> Facts:
    return about


STEPS: dict[int, Callable[[Facts], Facts]] = {1: _from_1, 2: _from_2, 3: _from_3}


def _plain(task: Any) -> Facts:
    if not isinstance(task, dict):
        raise ValueError(f"task must be a mapping, got {repr(task)[:60]}")
    return task
