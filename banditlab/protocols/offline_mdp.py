"""Offline learning of tabular MDPs: a log of transitions comes in, a policy comes out.

Why an eighth protocol: in ``offline`` a row of the log is (context, arm, reward), each context is
answered by itself, and a rule is scored arm by arm. Here a row is a transition, all states must be
answered at once because the value of one depends on the answers in the others, and a policy is
scored by exact evaluation in the true model. An offline bandit rule still plays: `as_planner`
shows it the rows as (state, action, reward).

The log is drawn as counts of outcomes, by the same law as if drawn row by row, and is nested over
the checkpoints. What is recorded is ``gap`` = J* - J(policy), exact to 1e-10.

One file, though long: a protocol is one file, from its nouns to its face.

Arrays have the leading axis L of :mod:`banditlab.mdp`: the horizon, or 1 when discounted. With a
finite horizon a log of N has N rows of each step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, Self

import numpy as np

from banditlab import random
from banditlab.agent import Agent
from banditlab.compile import Pair, compiled
from banditlab.core import Task, kernel, kernel_inline
from banditlab.data.model import Model
from banditlab.data.transitions import Dataset
from banditlab.mdp import (
    MDP,
    concentrability,
    discount,
    occupancy,
    policy_value,
    solve,
    steps,
    uniform_policy,
    value,
)
from banditlab.protocols.base import Contract, Guest, Loop, Measure, Protocol, Terms, bandit_task
from banditlab.protocols.offline import Offline
from banditlab.protocols.online import ANY_REWARD
from banditlab.random import AGENT, NATURE, OBSERVATION, binomial, categorical, stream
from banditlab.validate import flag, integer


class OfflineMDP(NamedTuple):
    """An algorithm that speaks ``offline_mdp``: it plans from a log, it never acts."""

    params: Any  # NamedTuple of hyper-parameters; the factory's arguments carry the same names
    # (params, model, rng, policy): fills policy (L, S, A), probabilities over legal actions
    plan: Callable[..., None]
    rewards: tuple[float, float] = ANY_REWARD  # the range of rewards it accepts


class Case(NamedTuple):
    """One replication of a problem."""

    mdp: MDP
    mu: np.ndarray  # (L, S, A) float64: law of the logged pair, in each step when finite
    optimum: float  # J*


@kernel
def the_case(params, rng):
    """``init`` of a problem whose params are its Case: the same in every replication."""
    return params


@kernel
def draw_outcomes(mdp, h, s, a, rows, rng, counts):
    """Add ``rows`` draws of the outcome of (s, a)."""
    K = mdp.prob.shape[2]
    left = rows
    for k in range(K):
        if left > 0:
            ahead = 0.0  # summed from behind, so that the last outcome's share is exactly 1
            for j in range(K - 1, k - 1, -1):
                ahead += mdp.prob[s, a, j]
            hits = left
            if mdp.prob[s, a, k] < ahead:
                hits = binomial(rng, left, mdp.prob[s, a, k] / ahead)
            counts[h, s, a, k] += hits
            left -= hits


@kernel
def draw_independent(params, case, rows, rng, counts):
    """Add ``rows`` independent rows (of each step): pairs from mu, outcomes from the model."""
    L, S, A = case.mu.shape
    ahead = np.zeros(S * A + 1)
    for h in range(L):
        for i in range(S * A - 1, -1, -1):
            ahead[i] = ahead[i + 1] + case.mu[h, i // A, i % A]
        left = rows
        for i in range(S * A):
            s, a = i // A, i % A
            chance = case.mu[h, s, a]
            if left > 0 and chance > 0.0:
                hits = left
                if chance < ahead[i]:
                    hits = binomial(rng, left, chance / ahead[i])
                draw_outcomes(case.mdp, h, s, a, hits, rng, counts)
                left -= hits


@kernel
def draw_everywhere(params, case, rows, rng, counts):
    """Add ``rows`` rows of every legal pair of every step: a generative model."""
    L, S, A = case.mu.shape
    for h in range(L):
        for s in range(S):
            for a in range(A):
                if case.mdp.legal[s, a] and not case.mdp.terminal[s]:
                    draw_outcomes(case.mdp, h, s, a, rows, rng, counts)


class Rollouts(NamedTuple):
    """Params of a problem whose log is played, not drawn: one policy of a mixture an episode."""

    case: Case
    policies: np.ndarray  # (M, L, S, A) float64
    weights: np.ndarray  # (M,) float64: how often each is chosen for an episode


@kernel
def the_rollout_case(params, rng):
    """``init`` of a problem with Rollouts."""
    return params.case


@kernel
def draw_rollouts(params, case, rows, rng, counts):
    """Add ``rows`` transitions of episodes played, or that many episodes when the horizon is
    finite. Discounted, an episode goes on with probability gamma after each step, so that pairs
    are met as often as the normalised occupancy says; but rows of one episode depend on another.
    """
    mdp = case.mdp
    done = 0
    while done < rows:
        m = categorical(rng, params.weights)
        s = categorical(rng, mdp.start)
        t = 0
        while not mdp.terminal[s]:
            h = t if mdp.horizon > 0 else 0
            a = categorical(rng, params.policies[m, h, s])
            k = categorical(rng, mdp.prob[s, a])
            counts[h, s, a, k] += 1.0
            s = mdp.succ[s, a, k]
            t += 1
            if mdp.horizon > 0:
                if t == mdp.horizon:
                    break
            else:
                done += 1
                if done == rows or random.uniform(rng) >= mdp.gamma:
                    break
        # An episode that starts at its end has no transitions, but it is one.
        if mdp.horizon > 0:
            done += 1


class LoggedMDP(NamedTuple):
    """A problem of this protocol: an exactly known MDP and a law of logs."""

    params: Any
    init: Callable[..., Case]  # (params, rng) -> Case
    shape: tuple[int, int, int]  # A, S, 0
    rewards: tuple[float, float]  # range of the rewards
    log: Callable[..., None] = draw_independent  # (params, case, rows, rng, counts): adds to counts
    known: bool = True  # whether the learner knows the mean rewards
    second: bool = False  # whether it also gets a second log of the same size


@kernel
def tally(mdp, known, counts, n, r):
    """Fill ``n`` and ``r`` of a Model from its counts; return the number of rows."""
    rows = 0.0
    L, S, A, K = counts.shape
    for h in range(L):
        for s in range(S):
            for a in range(A):
                met = 0.0
                income = 0.0
                mean = 0.0
                for k in range(K):
                    met += counts[h, s, a, k]
                    income += counts[h, s, a, k] * mdp.reward[s, a, k]
                    mean += mdp.prob[s, a, k] * mdp.reward[s, a, k]
                n[h, s, a] = met
                r[h, s, a] = mean if known else (income / met if met > 0.0 else 0.0)
                rows += met
    return rows


@kernel_inline
def run_block(algorithm, problem, task, key, first, log_rounds, checkpoints, progress, record):
    """Replications ``first, first + 1, ...``, as many as ``record`` has rows.

    A checkpoint is a size of the log. ``log_rounds`` belongs to the common shape of a block and
    is not used. For ``record`` and ``progress`` see online.run_block.
    """
    for i in range(record.shape[0]):
        nature = stream(key, first + i, NATURE)
        agent = stream(key, first + i, AGENT)
        logger = stream(key, first + i, OBSERVATION)
        case = problem.init(problem.params, nature)
        mdp = case.mdp
        L = case.mu.shape[0]
        S, A, K = mdp.succ.shape
        counts = np.zeros((L, S, A, K))
        held_out = np.zeros((L if problem.second else 0, S, A, K))
        n = np.zeros((L, S, A))
        r = np.zeros((L, S, A))
        policy = np.zeros((L, S, A))
        done = 0
        for c in range(checkpoints.size):
            rows = checkpoints[c] - done
            problem.log(problem.params, case, rows, logger, counts)
            if problem.second:
                problem.log(problem.params, case, rows, logger, held_out)
            progress[0] += rows
            done = checkpoints[c]
            if progress[1] != 0:
                return
            total = tally(mdp, problem.known, counts, n, r)
            model = Model(
                mdp.succ,
                mdp.reward,
                counts,
                n,
                r,
                held_out,
                mdp.legal,
                mdp.terminal,
                mdp.gamma,
                mdp.horizon,
                mdp.v_min,
                mdp.v_max,
                problem.rewards[0],
                problem.rewards[1],
                problem.known,
                total,
            )
            algorithm.plan(algorithm.params, model, agent, policy)
            lost = case.optimum - policy_value(mdp, policy)
            # Both values are exact to 1e-10 of their range: less than that is no loss.
            record[i, c, 0] = lost if abs(lost) > 1e-9 * (mdp.v_max - mdp.v_min) else 0.0


@cache
def _planner(init, update, recommend):
    @kernel
    def plan(params, model, rng, policy):
        L, S, A = model.n.shape
        x = np.zeros((1, 1))
        sums = np.empty((S, A))
        for h in range(L):
            for s in range(S):
                for a in range(A):
                    sums[s, a] = model.n[h, s, a] * model.r[h, s, a]
            state = init(params, Task(A, S, 0, int(model.rows)), rng)
            update(params, state, model.n[h], sums)
            for s in range(S):
                x[0, 0] = s
                recommend(params, state, x, rng, policy[h, s])
                kept = 0.0
                choices = 0.0
                for a in range(A):
                    if not model.legal[s, a]:
                        policy[h, s, a] = 0.0
                    kept += policy[h, s, a]
                    choices += 1.0 if model.legal[s, a] else 0.0
                for a in range(A):
                    if kept > 0.0:
                        policy[h, s, a] /= kept
                    elif model.legal[s, a]:
                        policy[h, s, a] = 1.0 / choices

    return plan


def as_planner(rule: Offline) -> OfflineMDP:
    """An offline bandit rule (``bc``, ``behaviour``, ``greedy_offline``, ``lcb``) as a planner.

    It answers every state by itself, from the rows' immediate rewards, blind to what follows.
    """
    return OfflineMDP(rule.params, _planner(rule.init, rule.update, rule.recommend), rule.rewards)


# --- outside the arena --------------------------------------------------------------------------


class Planning(NamedTuple):
    """The noun of the loop that plans once."""

    plan: Callable[..., None]  # of an OfflineMDP


@kernel_inline
def _plan_once(planning, params, model, rng, policy):
    planning.plan(params, model, rng, policy)


# By kernel and kinds of arguments. To find a pair by the hash of all that it depends on takes far
# longer than to plan for a few states.
_ready: dict[Any, Pair] = {}


def _kinds(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """What of ``values`` decides Numba's types."""
    return tuple(
        (type(x), x.dtype, x.ndim, x.flags.num)
        if isinstance(x, np.ndarray)
        else (type(x), *_kinds(x))
        if isinstance(x, tuple)
        else type(x)
        for x in values
    )


def planner(algorithm: Any) -> OfflineMDP:
    """The algorithm as one that plans; an offline rule is adapted.

    Raises ValueError for an algorithm that does not plan from a log.
    """
    made = as_planner(algorithm) if isinstance(algorithm, Offline) else algorithm
    if not isinstance(made, OfflineMDP):
        raise ValueError(f"algorithm must be an OfflineMDP, got {type(algorithm).__name__}")
    return made


def learn(algorithm: OfflineMDP | Offline, model: Model, seed: int = 0) -> np.ndarray:
    """The policy (L, S, A) that ``algorithm`` learns from a log; an offline rule is adapted."""
    made = planner(algorithm)
    policy = np.zeros(model.n.shape)
    if model.rows == 0.0:
        policy[:] = model.legal / model.legal.sum(axis=1, keepdims=True)
        return policy
    args = (made.params, model, random.stream(random.key(seed), 0, AGENT), policy)
    kinds = (made.plan, *_kinds(args))
    if kinds not in _ready:
        _ready[kinds] = compiled(_plan_once, (Planning(made.plan),), args)
    with np.errstate(all="ignore"):
        _ready[kinds](*args)
    return policy


def logged(
    mdp: MDP,
    mu: Any,
    optimum: float,
    *,
    log: Callable[..., None] = draw_independent,
    known: bool = True,
    second: bool = False,
) -> LoggedMDP:
    """The problem whose every replication is ``mdp`` with behaviour weights ``mu`` (L, S, A)."""
    S, A, _ = mdp.succ.shape
    mu = np.array(mu, dtype=np.float64)
    if mu.shape != (steps(mdp), S, A):
        raise ValueError(f"mu must have shape {(steps(mdp), S, A)}, got {mu.shape}")
    if not ((mu >= 0.0).all() and (np.abs(mu.sum(axis=(1, 2)) - 1.0) < 1e-8).all()):
        raise ValueError("mu must hold probabilities that sum to 1 in each step")
    if (mu > 0.0)[:, ~mdp.legal].any():
        raise ValueError("mu must weigh legal pairs only")
    case = Case(mdp, mu, float(optimum))
    return LoggedMDP(
        case,
        the_case,
        (A, S, 0),
        reward_range(mdp),
        log,
        flag("known", known),
        flag("second", second),
    )


def reward_range(mdp: MDP) -> tuple[float, float]:
    """The smallest and the largest reward that can be met, 0 included."""
    met = mdp.reward[mdp.prob > 0.0]
    return float(met.min(initial=0.0)), float(met.max(initial=0.0))


def case(problem: LoggedMDP, replication: int = 0, seed: int = 0) -> Case:
    """The exact model of one replication: its MDP, behaviour weights and J*."""
    with np.errstate(over="ignore"):
        rng = stream(random.key(seed), replication, NATURE)
        return Case(*problem.init(problem.params, rng))


def coverage(truth: Case) -> float:
    """C*, the exact concentrability of the log for the optimal policy; inf if it misses a pair."""
    return concentrability(occupancy(truth.mdp, solve(truth.mdp).policy), truth.mu)


def gap(truth: Case, policy: Any) -> float:
    """J* - J of a policy (L, S, A)."""
    return truth.optimum - value(truth.mdp, policy)


# --- in other code ------------------------------------------------------------------------------


class Planned(NamedTuple):
    """What a planner has learned."""

    policy: np.ndarray  # (L, S, A) float64: probabilities of the actions


class Worth(NamedTuple):
    """How rewards add up: what a planner is told beside the log."""

    gamma: float = 1.0  # discount, below 1 where the horizon is 0
    horizon: int = 0  # number of steps; 0 when discounted


class PlannerAgent(Agent):
    """An algorithm that plans from a log of transitions, and acts by its plan from then on.

    Parameters
    ----------
    algorithm
        A name of ``banditlab.names()``, a ``.py`` file, or what ``banditlab.make`` returns.
    gamma, horizon
        Discount in [0, 1) with ``horizon = 0``; a finite horizon is undiscounted.
    seed
        Same seed, same choices.
    hyper
        Hyper-parameters of the algorithm when it is given by name.
    """

    arguments = ("gamma", "horizon")

    def __init__(
        self, algorithm: Any, *, gamma: float = 0.95, horizon: int = 0, seed: int = 0, **hyper: Any
    ):
        super().__init__(algorithm, seed=seed, **hyper)
        horizon = integer("horizon", horizon, 0)
        self.task = Worth(1.0 if horizon > 0 else discount(gamma), horizon)
        self.state = Planned(np.zeros((0, 0, 0)))

    def fit(self, log: Any, **known: Any) -> Self:
        """Plan from a log: a :class:`banditlab.Dataset`, a pandas frame, or a path to a file.

        ``known`` are further arguments of :meth:`banditlab.Dataset.model`, such as ``v_max``.
        Returns the agent. Raises ValueError for a log that does not fit.
        """
        data = Dataset.of(log)
        model = data.model(gamma=self.task.gamma, horizon=self.task.horizon, **known)
        self.state = Planned(learn(self.algorithm, model))
        self.t = 0
        return self

    def recommend(self, x: Any = None, step: int = 0) -> np.ndarray:
        """Probabilities (n_actions,) of the actions in state ``x``, in step ``step`` if finite."""
        policy = self.state.policy
        if policy.size == 0:
            raise ValueError(f"{self.name} has learned nothing yet: fit it to a log")
        s = integer("x", x, 0)
        h = integer("step", step, 0) if self.task.horizon > 0 else 0
        if s >= policy.shape[1] or h >= policy.shape[0]:
            allowed = f"a state, 0 to {policy.shape[1] - 1}, in a step, 0 to {policy.shape[0] - 1}"
            raise ValueError(f"x must be {allowed}, got {x!r} in step {step!r}")
        return np.array(policy[h, s])

    def act(self, x: Any = None, step: int = 0) -> int:
        """The action to take in state ``x``, drawn from :meth:`recommend`."""
        with np.errstate(over="ignore"):
            return int(categorical(self._rng, self.recommend(x, step)))

    def rehearse(self) -> None:
        """Draw an action, on a copy, from a plan that means nothing."""
        self.state = Planned(np.full((max(1, self.task.horizon), 1, 2), 0.5))
        self.act(0)

    def _facts(self) -> dict[str, Any]:
        _, S, A = self.state.policy.shape
        return {**self._given(), "n_states": S, "n_actions": A}

    def _about(self) -> dict[str, Any]:
        return {**super()._about(), "shape": self.state.policy.shape}

    @classmethod
    def _remade(cls, name: Any, hyper: dict[str, Any], about: dict[str, Any]) -> Agent:
        agent = super()._remade(name, hyper, about)
        agent.state = Planned(np.zeros(about["shape"]))
        return agent


def loop(terms: Terms, checkpoints: np.ndarray) -> Loop:
    """A log of each size."""
    made = planner(terms.algorithm)
    return Loop(run_block, made, terms.problem, bandit_task(terms), checkpoints, PROTOCOL.names)


# --- the contract -------------------------------------------------------------------------------


def optimum_is_exact(name: str, problem: LoggedMDP) -> None:
    """J* is the value of the solved model, the log a law on legal pairs of states that go on."""
    for replication in range(3):
        truth = case(problem, replication, seed=1)
        solved = solve(truth.mdp)
        assert abs(truth.optimum - solved.J) < 1e-8, f"{name}: J* {truth.optimum}, not {solved.J}"
        assert abs(gap(truth, solved.policy)) < 1e-8
        assert gap(truth, uniform_policy(truth.mdp)) > -1e-8
        assert np.allclose(truth.mu.sum(axis=(1, 2)), 1.0) and (truth.mu >= 0.0).all()
        assert not truth.mu[:, ~truth.mdp.legal].any(), f"{name}: the log weighs an illegal pair"
        low, high = problem.rewards
        met = truth.mdp.reward[truth.mdp.prob > 0.0]
        assert ((low <= met) & (met <= high)).all(), f"{name}: a reward outside {problem.rewards}"


def chance(problem: LoggedMDP) -> float:
    """Half of what uniform play loses."""
    truth = case(problem)
    return gap(truth, uniform_policy(truth.mdp)) / 2.0


def gaps(terms: Terms) -> tuple[float, float]:
    """The range of what a policy falls short by: an episode may end, and earn nothing from then."""
    mdp = case(terms.problem).mdp
    steps = mdp.horizon if mdp.horizon > 0 else 1.0 / (1.0 - mdp.gamma)
    low, high = terms.problem.rewards
    return 0.0, float(steps * (max(high, 0.0) - min(low, 0.0)))


PROTOCOL = Protocol(
    name="offline_mdp",
    algorithm=OfflineMDP,
    problem=LoggedMDP,
    measures=(Measure("gap", "sub-optimality", unit="reward", span=gaps),),
    xlabel="logged rows",
    loop=loop,
    guests={Offline: Guest(loop)},  # a rule answers state by state
    face=PlannerAgent,
    report="transitions",
    contract=Contract(
        example=lambda algorithm: ("imitation_mdp", {"N": 300, "S": 5, "A": 3}),
        probe="bc",
        chance=chance,
        sound=(optimum_is_exact,),
        points=lambda points: points[-1] * np.array([5, 10]),  # few rows tell a planner little
    ),
)
