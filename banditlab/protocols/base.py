"""How a protocol describes itself: everything that the rest of the package asks it.

A *protocol* is who sees what, who answers and what is scored. It is one file: the NamedTuple of
kernels that an algorithm brings, the one that a problem brings, the compiled loop, the face for
use in other code, and, in its last lines, ``PROTOCOL``, a :class:`Protocol`. Whoever plays, plots,
saves, tests or explains asks this value and never tests which protocol it is, so a new protocol is
one new file. It may lie outside the package: ``protocol = "./my_protocol.py"`` in an arena.

An algorithm or problem belongs to the protocol in whose file its class is defined.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from banditlab.agent import Agent
from banditlab.core import Task
from banditlab.machine import check_room


class Measure(NamedTuple):
    """One thing that a protocol records at every checkpoint of every replication."""

    name: str  # as in curves.csv and in checks
    words: str = ""  # on an axis; its name when empty
    interval: str = "t"  # or "clopper_pearson", where every replication is right (0) or wrong (1)
    unit: str = ""  # in what it is counted, where its words do not say so
    # terms -> the range in which every replication's value lies; None: nobody knows one
    span: Callable[[Terms], tuple[float, float]] | None = None
    more: bool = False  # whether more of it is better


class Terms(NamedTuple):
    """On what terms an algorithm meets a problem: what a panel of an arena says."""

    algorithm: Any
    problem: Any
    horizon: int
    log: int = 0  # rounds of a log beforehand
    warm: bool = False  # whether an algorithm that acts learns from it
    exact: bool = False  # sum over all logs instead of drawing them
    measure: str = ""  # what will be shown; empty: the first that is recorded
    who: str = "the algorithm"  # for messages
    what: str = "the problem"
    where: str = "the panel"


def as_rewards(terms: Terms) -> tuple[float, float]:
    """The range of a shortfall in the reward of one round, for :attr:`Measure.span`."""
    low, high = terms.problem.rewards
    return 0.0, float(high) - float(low)


def as_all_rewards(terms: Terms) -> tuple[float, float]:
    """The range of the sum of such shortfalls over the horizon."""
    return 0.0, terms.horizon * as_rewards(terms)[1]


def rounds(terms: Terms) -> tuple[float, float]:
    """The range of what is counted, once a round at most."""
    return 0.0, float(terms.horizon)


def changes(terms: Terms) -> tuple[float, float]:
    """The range of what is counted between one round and the next."""
    return 0.0, float(max(terms.horizon - 1, 0))


def share(terms: Terms) -> tuple[float, float]:
    """The range of a share, a probability or an error."""
    return 0.0, 1.0


# Rounds between two looks at the stop flag: under a second even at 2,000 rounds a second.
SLICE = 1024


class Draw(NamedTuple):
    """What all who learn from a problem read, drawn once for all of them."""

    # (problem, key, first, checkpoints, progress, drawn): fills drawn, which counts the rounds
    run_block: Callable[..., None]
    # number of replications -> drawn: a NamedTuple of arrays, each with a row per replication
    empty: Callable[[int], Any]


class Pieces(NamedTuple):
    """How one replication is played in pieces, to the bits of the loop, so that it can be kept.

    All that changes lies in arrays of ``run``, whose shapes are those that ``begin`` gave them.
    """

    begin: Callable[..., Any]  # (algorithm, problem, task, key, replication, log_rounds) -> run
    # (algorithm, problem, task, run, t, end, most, row) -> round: plays from round t on, about
    # ``most`` rounds and never beyond the checkpoint ``end``; there it fills row (measures,)
    play: Callable[..., int]
    algorithm: Any
    problem: Any


class Aside(NamedTuple):
    """What a replication with a process of its own does beside playing; it changes no number."""

    keep: str = ""  # file in which it keeps its state, and goes on from; empty: none
    owner: str = ""  # what such a file must belong to
    tracker: str = ""  # whom it tells of itself meanwhile, see banditlab.track.packed
    run: str = ""  # under which name


class Loop(NamedTuple):
    """What is compiled to make a curve, and the checkpoints and measures that it records."""

    run_block: Callable[..., None]
    algorithm: Any
    problem: Any
    task: Any
    checkpoints: np.ndarray  # (n,) int64
    measures: tuple[str, ...]
    log_rounds: int = 0  # of a log that the loop itself draws first
    lockstep: bool = False  # whether replications of a block cost much less than one by one
    # What the loop reads. It then never meets the problem: its run_block is (algorithm, task, key,
    # first, log_rounds, checkpoints, progress, drawn, record).
    draw: Draw | None = None
    # (record (replications, checkpoints, measures), panel's checkpoints) -> (measures, values):
    # where what the loop records is not yet the curve
    finish: Callable[[np.ndarray, np.ndarray], tuple[tuple[str, ...], np.ndarray]] | None = None
    pieces: Pieces | None = None  # None: a replication is played in one go
    python: bool = False  # whether run_block is Python that is called as it stands, not compiled
    code: str = ""  # then a name of what decides its numbers; empty: the text of its files is
    # (algorithm, problem, task, key, replication, checkpoints, progress, row, aside) -> seconds of
    # CPU time: plays one replication into row (checkpoints, measures) in a process of its own.
    alone: Callable[..., float] | None = None
    # (record (replications, checkpoints, measures)) -> columns by name, one row an episode: single
    # returns for a table beside the curves. None: it keeps none.
    returns: Callable[[np.ndarray], dict[str, np.ndarray]] | None = None


class Guest(NamedTuple):
    """How an algorithm of another protocol plays along."""

    loop: Callable[[Terms, np.ndarray], Loop]  # as :attr:`Protocol.loop`
    reads: bool = False  # whether it needs a log before the first round


class Contract(NamedTuple):
    """How the contract suite plays the protocol."""

    # algorithm -> (name, parameters) of a problem that it can play
    example: Callable[[Any], tuple[str, dict[str, Any]]]
    probe: str  # an agent that can play every problem of the protocol
    # What must hold of a problem: functions (name, problem) that raise AssertionError.
    sound: tuple[Callable[[str, Any], None], ...] = ()
    # (agent, problem, rounds, world, nature) -> (what was played, measures found by hand): a loop
    # that somebody would write around the face. None where nothing acts.
    by_hand: Callable[..., tuple[list[Any], dict[str, float]]] | None = None
    choices: Callable[[Any], int] = lambda problem: int(problem.shape[0])  # how many there are
    # (problem, nature) -> the world at the start of a replication
    world: Callable[[Any, np.ndarray], Any] = lambda problem, nature: problem.init(
        problem.params, nature
    )
    # problem -> further arguments of the face, beside those that the task holds
    terms: Callable[[Any], dict[str, Any]] = lambda problem: {}
    # (problem, world, t, nature) -> what the face's act is shown
    show: Callable[..., Any] | None = None
    # What a learner beats on its example: another agent, paired, or a number.
    rival: str = ""
    chance: Callable[[Any], float] | None = None
    luck: tuple[int, ...] = ()  # numbers of rounds, in one of which the seed must matter
    points: Callable[[np.ndarray], np.ndarray] = np.asarray  # checkpoints of a short run


def bandit_task(terms: Terms) -> Task:
    """What an algorithm that chooses among arms may know beforehand."""
    n_arms, n_contexts, dim = terms.problem.shape
    return Task(n_arms, n_contexts, dim, terms.horizon)


def kept_checkpoints(points: list[int], horizon: int) -> list[int]:
    """Those asked for that lie before the horizon, and the horizon."""
    return sorted({t for t in points if 1 <= t < horizon} | {horizon})


def at_the_end(points: list[int], horizon: int) -> list[int]:
    """The checkpoint of a protocol that is scored when it is over."""
    return [horizon]


@dataclass(frozen=True)
class Protocol:
    """A protocol, as the rest of the package sees it. See the module's docstring.

    ``refuse`` raises ValueError, in one line, where an algorithm cannot meet the terms; it finds
    type, log, supply, rewards and features checked by :meth:`check`.
    """

    name: str  # as arenas, --list and the documentation spell it
    algorithm: type  # the NamedTuple of kernels that an algorithm brings
    problem: type  # and that of a problem
    measures: tuple[Measure, ...]  # in the order of the loop's record
    xlabel: str  # what the horizon counts
    loop: Callable[[Terms, np.ndarray], Loop]  # the panel's checkpoints are given
    face: type[Agent]  # how an algorithm is used in other code
    contract: Contract
    task: Callable[[Terms], Any] = bandit_task
    refuse: Callable[[Terms], None] = lambda terms: None
    # Algorithms of other protocols that may play, by type. A protocol that this one cannot know of
    # adds its own.
    guests: dict[type, Guest] = field(default_factory=dict)
    warm: bool = False  # whether an algorithm may learn from a log before the first round
    checkpoints: Callable[[list[int], int], list[int]] = kept_checkpoints
    rounds: bool = False  # whether the horizon is played, so that each one is a run of its own
    # Whether each replication wants a process of its own, because it is Python, which threads
    # would play one at a time, or has a state that is the process's: see banditlab.arena.backends.
    isolated: bool = False
    exact: bool = False  # whether a panel may ask for exact sums
    supply: str = "the rewards that each arm of {} has"  # what a problem's supply counts
    report: str = ""  # the module of banditlab.reports for a user's file, if there is one
    environment: str = "environment"  # and that for a Gymnasium environment

    def speaks(self, algorithm: Any, log: int = 1) -> bool:
        """Whether the algorithm can play, with so many rounds of a log beforehand."""
        if guest := self.guests.get(type(algorithm)):
            return log > 0 or not guest.reads
        return isinstance(algorithm, self.algorithm)

    def poses(self, problem: Any) -> bool:
        """Whether the problem is one of this protocol."""
        return isinstance(problem, self.problem)

    def loop_of(self, terms: Terms, checkpoints: np.ndarray) -> Loop:
        """What is compiled for an algorithm or a guest, with the panel's ``checkpoints``."""
        guest = self.guests.get(type(terms.algorithm))
        return (guest.loop if guest else self.loop)(terms, checkpoints)

    def check(self, terms: Terms) -> None:
        """Refuse, in one line, an algorithm that cannot play the problem on these terms."""
        algorithm, problem = terms.algorithm, terms.problem
        if not self.speaks(algorithm):
            spoken = _protocol_of(algorithm).name
            raise ValueError(f"{terms.who} speaks {spoken}, the panel's protocol is {self.name}")
        if not self.poses(problem):
            raise ValueError(f"{terms.where}: {terms.what} is no problem of protocol {self.name}")
        if terms.warm and not self.warm:
            raise ValueError(f"{terms.who}: warm is not for protocol {self.name}")
        if terms.log < 1 and (terms.warm or not self.speaks(algorithm, log=0)):
            raise ValueError(
                f"{terms.who} learns from a log: give the panel log = ROUNDS, at least 1"
            )
        shape = getattr(problem, "shape", ())
        sizes = zip(("n_arms", "n_contexts", "dim"), shape, strict=False)
        check_room(f"{terms.where}: {terms.what}", dict(sizes))
        if getattr(algorithm, "features", False) and problem.shape[2] == 0:
            raise ValueError(f"{terms.who} needs features, but {terms.what} shows none")
        if getattr(algorithm, "per_context", False) and problem.shape[2] > 0:
            raise ValueError(f"{terms.who} learns per context, but {terms.what} shows features")
        self.refuse(terms)
        self._supplied(terms)
        low, high = problem.rewards
        accepted = algorithm.rewards
        if low < accepted[0] or high > accepted[1]:
            raise ValueError(
                f"{terms.who} needs rewards in [{accepted[0]:g}, {accepted[1]:g}], but "
                f"{terms.what} pays rewards in [{low:g}, {high:g}]{_how_to_scale(algorithm)}"
            )

    def _supplied(self, terms: Terms) -> None:
        """Refuse a horizon for which the rounds, or the rewards of an arm, would not suffice."""
        supply = getattr(terms.problem, "supply", ())
        most = getattr(terms.algorithm, "most", None)
        if not supply:
            return
        if most is not None:
            pulls = np.broadcast_to(most(self.task(terms)), len(supply))
            for k in np.flatnonzero(pulls > np.array(supply))[:1]:
                raise ValueError(
                    f"{terms.who} pulls arm {k} up to {pulls[k]} times with horizon "
                    f"{terms.horizon}, but {terms.what} has {supply[k]} rewards of it"
                )
        elif terms.horizon + terms.log > (least := int(np.min(supply))):
            raise ValueError(
                f"{terms.where}: horizon must be at most {least - terms.log}, "
                f"{self.supply.format(terms.what)}, got {terms.horizon}"
            )

    def measure(self, name: str) -> Measure:
        """The measure called ``name``; one that it does not know is shown by its name."""
        found = [measure for measure in self.measures if measure.name == name]
        return found[0] if found else Measure(name)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the measures."""
        return tuple(measure.name for measure in self.measures)


def _how_to_scale(algorithm: Any) -> str:
    """How an algorithm is told of other rewards, if it can be."""
    fields = getattr(algorithm.params, "_fields", ())
    if "sigma" in fields:
        return "; set its sigma to their standard deviation"
    if {"low", "high"} <= set(fields):
        return "; set its low and high to their range"
    return ""


def _protocol_of(noun: Any) -> Protocol:
    from banditlab.registry import protocol_of

    found: Protocol = protocol_of(noun)
    return found


def refused(terms: Terms, *facts: Any) -> None:
    """Let an algorithm that brings a ``check`` refuse a task that it cannot meet."""
    check = getattr(terms.algorithm, "check", None)
    if check is not None:
        try:
            check(*facts)
        except ValueError as error:
            raise ValueError(f"{terms.who}: {error}") from None
