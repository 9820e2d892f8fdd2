"""Dueling: choose two arms, see which of them is preferred.

The file holds, top to bottom, what an algorithm brings (:class:`Duel`), what a problem brings
(:class:`Preferences`), what play is worth (:func:`score`), the fused loop, the face for other code
(:class:`DuelAgent`), how the contract plays, and what all of it is called (``PROTOCOL``). One file,
though long: a protocol is one file, from its nouns to its face.

One round ``t`` (counted from 0)::

    left, right = act(t)             # may be the same arm: then the answer is a fair coin
    win = judge(left, right)         # 1 left is preferred, 0 right is, 1/2 a tie
    update(t, left, right, win)
    reveal(t, P)                     # full information, for those who take it

``P[i, j]`` is the probability that i is preferred to j, a tie counted as half of each, so that
``P[i, j] + P[j, i] = 1``; ``A = 2 P - 1``. With c_i the number of times that arm i was played, on
either side, T rounds make the regrets (all but ``strong`` on the scale of one duel)

* ``vn``, against the best answer in hindsight to all that was played:
  ``max_k sum_i c_i (P[k, i] - 1/2) / 2``; T times half the exploitability of what was played;
* ``strong``, against the Condorcet winner w, who beats everybody:
  ``scale * sum_t (P[w, left] + P[w, right] - 1)``, where the problem states the ``scale``, 1/2
  unless told (as Komiyama et al. 2015 have it; 1 in Yue et al. 2012);
* ``weak``: ``sum_t min(P[w, left], P[w, right]) - 1/2``;
* ``copeland``: the share of arms that the most winning arm beats, less the mean share of the pair;
* ``borda``: with B_i the mean of P[i, j] over j != i, the most that one arm has in all, less the
  mean of the pair in all.

The winner, ``weak`` and ``copeland`` are those of each round where preferences change; ``vn`` and
``borda`` then compare with one arm for all rounds. ``exploitability``, ``max_k (A p)_k``, is that
of the arms p which the algorithm would recommend; it is 0 for the von Neumann winner, who exists
even where no arm beats all others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from banditlab import random
from banditlab.agent import LARGEST, Agent, quiet
from banditlab.core import Task, kernel, kernel_inline
from banditlab.games import preference_matrix
from banditlab.protocols.base import (
    SLICE,
    Contract,
    Loop,
    Measure,
    Pieces,
    Protocol,
    Terms,
    bandit_task,
    refused,
    rounds,
)
from banditlab.random import AGENT, NATURE, shuffle, stream
from banditlab.validate import integer


@kernel
def nothing(params, state, t, matrix):
    """``reveal`` of an algorithm that sees answers only."""


class Duel(NamedTuple):
    """An algorithm that speaks ``duel``: hyper-parameters and kernels, no data.

    ``act`` writes nothing. A tie is 1/2: half a win for each.
    """

    params: Any  # NamedTuple of hyper-parameters; the factory's arguments carry the same names
    init: Callable[..., Any]  # (params, task, rng) -> State
    act: Callable[..., tuple[int, int]]  # (params, state, t, rng) -> left, right
    update: Callable[..., None]  # (params, state, t, left, right, win, rng), in place
    recommend: Callable[..., None]  # (params, state, rng, out): probabilities over arms
    # (params, state, t, matrix), after update: the P (n_arms, n_arms) of the round. Only
    # algorithms of full information, which need it, bring this.
    reveal: Callable[..., None] = nothing
    # (task) -> None, in Python: raises ValueError for a task that it cannot meet
    check: Callable[..., None] | None = None
    rewards: tuple[float, float] = (0.0, 1.0)


class Preferences(NamedTuple):
    """A problem: who is preferred to whom, and when.

    ``params`` has a field ``matrices`` (n_phases, n_arms, n_arms) float64: every P that can be in
    force; regret is measured by them, whatever noise is in the answers. What ``phase`` and
    ``judge`` take from the stream must not depend on the pair.
    """

    params: Any
    init: Callable[..., Any]  # (params, rng) -> World
    phase: Callable[..., int]  # (params, world, t, rng) -> which of the matrices rules round t
    judge: Callable[..., float]  # (params, world, phase, left, right, rng) -> 1, 0, or 1/2: a tie
    shape: tuple[int, int, int]  # n_arms, 1, 0
    scale: float = 0.5  # > 0: of ``strong``
    permuted: bool = True  # whether each replication numbers the arms anew
    rewards: tuple[float, float] = (0.0, 1.0)


@kernel
def new_names(n_arms, permuted, nature):
    """(n_arms,) int64: the arm behind each number that the algorithm uses."""
    arms = np.arange(n_arms)
    if permuted:
        shuffle(nature, arms)
    return arms


# --- what play is worth -------------------------------------------------------------------------


@kernel
def condorcet_winner(matrix):
    """The arm that is preferred to every other, -1 where there is none."""
    for k in range(matrix.shape[0]):
        beaten = 0
        for j in range(matrix.shape[0]):
            beaten += 1 if j != k and matrix[k, j] > 0.5 else 0
        if beaten == matrix.shape[0] - 1:
            return k
    return -1


@kernel
def count_plays(duels, plays):
    """Fill ``plays`` (n_arms,) with how often each arm was played, on either side."""
    rounds = 0
    for i in range(plays.size):
        plays[i] = 0
    for i in range(plays.size):
        for j in range(plays.size):
            plays[i] += duels[i, j]
            plays[j] += duels[i, j]
            rounds += duels[i, j]
    return rounds


@kernel
def add_beside_arms(matrix, plays, rounds, advice, against, borda, best):
    """Add a phase to what every arm would have made, had it been chosen in all rounds.

    ``against`` (n_arms,): sum_i plays_i (P[k, i] - 1/2) / 2; ``borda``: rounds times B_k; ``best``:
    rounds times (A p)_k. Returns the sum of B over all plays, halved.
    """
    K = plays.size
    made = 0.0
    for k in range(K):
        mean = 0.0
        for i in range(K):
            margin = matrix[k, i] - 0.5
            against[k] += 0.5 * plays[i] * margin
            best[k] += rounds * (2.0 * margin * advice[i])
            mean += matrix[k, i] if i != k else 0.0
        mean /= max(K - 1, 1)
        borda[k] += rounds * mean
        made += 0.5 * plays[k] * mean
    return made


@kernel
def beside_winners(matrix, duels, plays, scale):
    """A phase's ``strong``, ``weak`` and ``copeland`` regret; nan where nobody beats all others."""
    K = plays.size
    wins = np.zeros(K)
    most = 0.0
    for k in range(K):
        for j in range(K):
            wins[k] += 1.0 if j != k and matrix[k, j] > 0.5 else 0.0
        most = max(most, wins[k])
    copeland = 0.0
    for k in range(K):
        copeland += 0.5 * plays[k] * (most - wins[k]) / max(K - 1, 1)
    w = condorcet_winner(matrix)
    if w < 0:
        return np.nan, np.nan, copeland
    strong, weak = 0.0, 0.0
    for i in range(K):
        strong += scale * plays[i] * (matrix[w, i] - 0.5)
        for j in range(K):
            weak += duels[i, j] * (min(matrix[w, i], matrix[w, j]) - 0.5)
    return strong, weak, copeland


@kernel
def score(matrices, scale, duels, advice, out):
    """Fill ``out`` (6,) with the measures.

    ``duels`` (n_phases, n_arms, n_arms) int64 counts the rounds by phase, left and right arm;
    ``advice`` (n_arms,) holds the probabilities of the arms recommended.
    """
    K = duels.shape[1]
    against, borda, best, plays = np.zeros(K), np.zeros(K), np.zeros(K), np.zeros(K, np.int64)
    made, played = 0.0, 0
    for m in range(out.size):
        out[m] = 0.0
    for h in range(duels.shape[0]):
        rounds = count_plays(duels[h], plays)
        made += add_beside_arms(matrices[h], plays, rounds, advice, against, borda, best)
        strong, weak, copeland = beside_winners(matrices[h], duels[h], plays, scale)
        out[1] += strong
        out[2] += weak
        out[3] += copeland
        played += rounds
    out[0], out[4], out[5] = against[0], borda[0], best[0]
    for k in range(1, K):
        out[0] = max(out[0], against[k])
        out[4] = max(out[4], borda[k])
        out[5] = max(out[5], best[k])
    out[4] -= made
    out[5] /= max(played, 1)


# --- the loop -----------------------------------------------------------------------------------


class Run(NamedTuple):
    """One replication under way."""

    state: Any
    world: Any
    arms: np.ndarray  # (n_arms,) int64: the arm behind each of the algorithm's numbers
    shown: np.ndarray  # (n_phases, n_arms, n_arms): the matrices in the algorithm's numbers
    duels: np.ndarray  # (n_phases, n_arms, n_arms) int64: rounds by phase, left and right arm
    advice: np.ndarray  # (2, n_arms): what is recommended, in the algorithm's numbers and by arm
    nature: np.ndarray  # (4,) uint64
    agent: np.ndarray  # (4,) uint64


@kernel
def renumbered(matrices, arms):
    """The matrices as an algorithm sees them that calls arm ``arms[a]`` a."""
    shown = np.empty(matrices.shape)
    for h in range(matrices.shape[0]):
        for a in range(arms.size):
            for b in range(arms.size):
                shown[h, a, b] = matrices[h, arms[a], arms[b]]
    return shown


@kernel_inline
def begin(algorithm, problem, task, key, replication, log_rounds):
    """A fresh replication. ``log_rounds`` belongs to the common shape and is not used."""
    nature = stream(key, replication, NATURE)
    agent = stream(key, replication, AGENT)
    arms = new_names(task.n_arms, problem.permuted, nature)
    world = problem.init(problem.params, nature)
    state = algorithm.init(algorithm.params, task, agent)
    matrices = problem.params.matrices
    duels = np.zeros(matrices.shape, np.int64)
    advice = np.zeros((2, task.n_arms))
    return Run(state, world, arms, renumbered(matrices, arms), duels, advice, nature, agent)


@kernel_inline
def advance(algorithm, problem, run, t0, t1):
    """Play the rounds ``t0 <= t < t1`` of one replication."""
    # Read once: taking an array out of a tuple counts references, and does so in every round.
    known, given = algorithm.params, problem.params
    state, world, arms, shown, duels = run.state, run.world, run.arms, run.shown, run.duels
    nature, agent = run.nature, run.agent
    for t in range(t0, t1):
        phase = problem.phase(given, world, t, nature)
        a, b = algorithm.act(known, state, t, agent)
        left, right = arms[a], arms[b]
        win = problem.judge(given, world, phase, left, right, nature)
        duels[phase, left, right] += 1
        algorithm.update(known, state, t, a, b, win, agent)
        algorithm.reveal(known, state, t, shown[phase])


@kernel_inline
def measured(algorithm, problem, run, out):
    """The measures of a replication, as it stands."""
    advice, named = run.advice[0], run.advice[1]
    # A copy of the stream: to be asked changes nothing.
    algorithm.recommend(algorithm.params, run.state, run.agent.copy(), advice)
    for a in range(advice.size):
        named[run.arms[a]] = advice[a]
    score(problem.params.matrices, problem.scale, run.duels, named, out)


@kernel_inline
def run_block(algorithm, problem, task, key, first, log_rounds, checkpoints, progress, record):
    """Replications ``first, first + 1, ...``, as many as ``record`` has rows.

    ``log_rounds`` belongs to the common shape of a block and is not used. For ``record`` and
    ``progress`` see online.run_block.
    """
    for i in range(record.shape[0]):
        run = begin(algorithm, problem, task, key, first + i, log_rounds)
        t = 0
        for c in range(checkpoints.size):
            while t < checkpoints[c]:
                t1 = min(t + SLICE, checkpoints[c])
                advance(algorithm, problem, run, t, t1)
                progress[0] += t1 - t
                t = t1
                if progress[1] != 0:
                    return
            measured(algorithm, problem, run, record[i, c])


@kernel_inline
def play(algorithm, problem, task, run, t, end, most, row):
    """A piece of one replication, see base.Pieces."""
    t1 = min(t + most, end)
    advance(algorithm, problem, run, t, t1)
    if t1 == end:
        measured(algorithm, problem, run, row)
    return t1


# --- in other code ------------------------------------------------------------------------------


class DuelAgent(Agent):
    """An algorithm that chooses two arms and is told which of them is preferred.

    Parameters
    ----------
    algorithm
        A name of ``banditlab.names()``, a ``.py`` file, or what ``banditlab.make`` returns.
    n_arms
        Number of arms, at least 1.
    horizon
        Number of duels that will be fought; 0 when unknown. Some algorithms need it.
    seed
        Same seed, same choices. The stream is that of replication 0 of an arena run.
    hyper
        Hyper-parameters of the algorithm when it is given by name.

    Examples
    --------
    >>> agent = Agent("rucb", n_arms=3)
    >>> for _ in range(100):
    ...     left, right = agent.act()
    ...     agent.update((left, right), win=left < right)  # the smaller number is preferred
    >>> agent.recommend()
    array([1., 0., 0.])
    """

    arguments = ("n_arms", "horizon")

    def __init__(
        self, algorithm: Any, *, n_arms: int, horizon: int = 0, seed: int = 0, **hyper: Any
    ):
        super().__init__(algorithm, seed=seed, **hyper)
        arms, rounds = (
            integer("n_arms", n_arms, 1, LARGEST),
            integer("horizon", horizon, 0, LARGEST),
        )
        self.task = Task(arms, horizon=rounds)
        if self.algorithm.check is not None:
            self.algorithm.check(self.task)
        self._begin()

    def act(self, x: None = None) -> tuple[int, int]:
        """The two arms of the next duel, ``left, right``; they may be the same."""
        known = self.algorithm
        with quiet():
            left, right = known.act(known.params, self.state, self.t, self._rng)
        return int(left), int(right)

    def update(self, pair: Any, win: Any) -> None:
        """Learn that of the ``pair``, (left, right), the left arm was preferred.

        ``win`` is 1 or True if it was, 0 or False if the right one was, 1/2 for a tie. Raises
        ValueError for arms that do not exist and for any other ``win``.
        """
        left, right = self._pair(pair)
        try:
            won = float(win)
        except (TypeError, ValueError, OverflowError):
            won = -1.0
        if won not in (0.0, 0.5, 1.0):
            raise ValueError(f"win must be 1 (left), 0 (right) or 0.5 (a tie), got {win!r}")
        known = self.algorithm
        with quiet():
            known.update(known.params, self.state, self.t, left, right, won, self._rng)
        self.t += 1

    def reveal(self, matrix: Any) -> None:
        """Show the ``matrix`` P (n_arms, n_arms) of the round just played.

        Only algorithms of full information make use of it; to the others it says nothing. Raises
        ValueError for what is no preference matrix (see `banditlab.games`) of so many arms.
        """
        shown = preference_matrix(matrix, name="matrix")
        if len(shown) != self.task.n_arms:
            raise ValueError(f"matrix must have {self.task.n_arms} rows, got {len(shown)}")
        known = self.algorithm
        with quiet():
            known.reveal(known.params, self.state, self.t - 1, shown)

    def recommend(self, x: None = None) -> np.ndarray:
        """Probabilities (n_arms,) over the arms that the agent would name best now."""
        out = np.zeros(self.task.n_arms)
        known = self.algorithm
        with quiet():
            known.recommend(known.params, self.state, self._rng.copy(), out)
        return out

    def rehearse(self) -> None:
        """Fight one duel that means nothing, on a copy: all kernels are compiled then."""
        self.update(self.act(), 1)
        if self.algorithm.reveal is not nothing:
            self.reveal(np.full((self.task.n_arms, self.task.n_arms), 0.5))
        self.recommend()

    def _learned(self) -> dict[str, Any]:
        return {"recommend": np.array2string(self.recommend(), precision=3, threshold=8)}

    def _pair(self, pair: Any) -> tuple[int, int]:
        last = self.task.n_arms - 1
        try:
            left, right = pair
            if all(arm == int(arm) and 0 <= arm <= last for arm in (left, right)):
                return int(left), int(right)
        except (TypeError, ValueError, OverflowError):
            pass
        raise ValueError(f"pair must be two arms, each 0 to {last}, got {pair!r}")


def loop(terms: Terms, checkpoints: np.ndarray) -> Loop:
    """One duel after the other."""
    task = bandit_task(terms)
    nouns = (terms.algorithm, terms.problem)
    pieces = Pieces(begin, play, *nouns)
    return Loop(run_block, *nouns, task, checkpoints, PROTOCOL.names, pieces=pieces)


def refuse(terms: Terms) -> None:
    """Regret against a Condorcet winner whom there is not; a task that the algorithm refuses."""
    if terms.measure in ("strong", "weak"):
        winners = [condorcet_winner(matrix) for matrix in terms.problem.params.matrices]
        if -1 in winners:
            raise ValueError(
                f"{terms.where}: {terms.what} has no Condorcet winner, hence no {terms.measure} "
                'regret; use measure = "vn" or "copeland"'
            )
    refused(terms, bandit_task(terms))


# --- the contract -------------------------------------------------------------------------------


def opened(problem: Preferences, nature: np.ndarray) -> tuple[np.ndarray, Any]:
    """The arms behind the agent's numbers, and the world."""
    arms = new_names(problem.shape[0], problem.permuted, nature)
    return arms, problem.init(problem.params, nature)


def by_hand(
    agent: DuelAgent, problem: Preferences, rounds: int, world: Any, nature: np.ndarray
) -> tuple[list[Any], dict[str, float]]:
    """Rounds of a hand-written loop: (left, right, win) each, by the agent's numbers; measures."""
    arms, about = world
    matrices = problem.params.matrices
    duels = np.zeros(matrices.shape, np.int64)
    played: list[Any] = []
    for _ in range(rounds):
        phase = problem.phase(problem.params, about, agent.t, nature)
        left, right = agent.act()
        pair = arms[left], arms[right]
        win = problem.judge(problem.params, about, phase, *pair, nature)
        agent.update((left, right), win)
        agent.reveal(matrices[phase][np.ix_(arms, arms)])
        duels[phase, pair[0], pair[1]] += 1
        played.append((left, right, win))
    advice = np.empty(arms.size)
    advice[arms] = agent.recommend()
    out = np.zeros(len(PROTOCOL.measures))
    score(matrices, problem.scale, duels, advice, out)
    found = zip(PROTOCOL.names, out.tolist(), strict=True)
    return played, {name: value for name, value in found if value == value}


def preferences_are_sound(name: str, problem: Preferences) -> None:
    """Every P lies in [0, 1], P + P' = 1, and whoever meets itself wins half the time."""
    matrices = problem.params.matrices
    assert matrices.ndim == 3 and matrices.shape[1:] == (problem.shape[0],) * 2, f"{name}: shape"
    assert ((matrices >= 0.0) & (matrices <= 1.0)).all(), f"{name}: a P outside [0, 1]"
    assert np.allclose(matrices + matrices.transpose(0, 2, 1), 1.0, atol=1e-9), f"{name}: P + P'"


def luck_does_not_depend_on_the_pair(name: str, problem: Preferences) -> None:
    """Whoever meets, nature's stream ends in the same state: agents can be paired."""
    ends = []
    for shift in (0, 1):
        nature = stream(random.key(1), 0, NATURE)
        _, world = opened(problem, nature)
        for t in range(200):
            phase = problem.phase(problem.params, world, t, nature)
            assert 0 <= phase < len(problem.params.matrices), f"{name}: phase {phase} in round {t}"
            pair = (shift * t) % problem.shape[0], (shift * t * t) % problem.shape[0]
            win = problem.judge(problem.params, world, phase, *pair, nature)
            assert win in (0.0, 0.5, 1.0), f"{name}: the answer {win} in round {t}"
        ends.append(nature.tolist())
    assert ends[0] == ends[1], f"{name}: what judge draws depends on the pair"


def margin(terms: Terms) -> float:
    """By how much a preference differs from 1/2 at most."""
    return float(np.abs(terms.problem.params.matrices - 0.5).max())


def in_hindsight(terms: Terms) -> tuple[float, float]:
    """The range of the von Neumann regret.

    Against all that was played the best of K arms does no worse than their mean; and where one
    matrix is in force, the arms played are a mixture against itself, which earns nothing.
    """
    most, (phases, K, _) = terms.horizon * margin(terms), terms.problem.params.matrices.shape
    return -most * (K - 1.0) / K if phases > 1 else 0.0, most


def strong(terms: Terms) -> tuple[float, float]:
    """The range of the regret to a winner in whom both sides of a duel fall short."""
    return 0.0, 2.0 * terms.problem.scale * weak(terms)[1]


def weak(terms: Terms) -> tuple[float, float]:
    """The range of the regret to a winner in whom one side counts."""
    return 0.0, terms.horizon * margin(terms)


def borda(terms: Terms) -> tuple[float, float]:
    """The range of the Borda regret: scores have mean 1/2 over the arms, in every phase."""
    matrices = terms.problem.params.matrices
    K = matrices.shape[1]
    scores = (matrices.sum(axis=2) - 0.5) / max(K - 1, 1)
    most = float(scores.max())
    low = -terms.horizon * (most - 0.5) if len(matrices) > 1 else 0.0
    return low, terms.horizon * (most - float(scores.min()))


def exploitability(terms: Terms) -> tuple[float, float]:
    """The range of the exploitability of what is recommended, over all rounds."""
    low, high = in_hindsight(terms)
    return 2.0 * low / max(terms.horizon, 1), 2.0 * high / max(terms.horizon, 1)


PROTOCOL = Protocol(
    name="duel",
    algorithm=Duel,
    problem=Preferences,
    measures=(
        Measure("vn", "von Neumann regret", unit="preference", span=in_hindsight),
        Measure("strong", "strong Condorcet regret", unit="preference", span=strong),
        Measure("weak", "weak Condorcet regret", unit="preference", span=weak),
        Measure("copeland", "Copeland regret", unit="score", span=rounds),
        Measure("borda", "Borda regret", unit="score", span=borda),
        Measure("exploitability", unit="preference", span=exploitability),
    ),
    xlabel="duel",
    rounds=True,
    loop=loop,
    refuse=refuse,
    face=DuelAgent,
    report="duels",
    contract=Contract(
        example=lambda algorithm: (
            "duel_matrix",
            {"matrix": [[0.5, 0.9, 0.95], [0.1, 0.5, 0.9], [0.05, 0.1, 0.5]]},
        ),
        by_hand=by_hand,
        show=lambda problem, world, t, nature: None,
        world=opened,
        probe="random_pair",
        rival="random_pair",
        luck=(60,),
        sound=(preferences_are_sound, luck_does_not_depend_on_the_pair),
    ),
)
