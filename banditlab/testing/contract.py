"""The contract as checks that anybody can run on their own agent or problem.

>>> from banditlab.testing import check_algorithm, check_problem
>>> check_algorithm("ucb")          # a name, or "./my_agent.py"
>>> check_problem("bernoulli", means=[0.2, 0.8])

Each check is a function named after the sentence it tests; :func:`algorithm_checks` and
:func:`problem_checks` give them one by one, for pytest parametrisation. A failure is an
AssertionError whose message says what was expected.
"""

from __future__ import annotations

import ast
import inspect
import os
import pickle
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from banditlab import random, registry
from banditlab.agent import Agent, playable
from banditlab.compile import NOT_KERNELS, compiled
from banditlab.compile.pair import _functions
from banditlab.core import Task, jit_disabled
from banditlab.mdp import solve, uniform_policy
from banditlab.protocols import identify, observe, offline, offline_mdp, online
from banditlab.protocols.loops import lanes

SEED = 20260101
ROUNDS = 60
# What the plain and the compiled run would not do with the same bits, and what to use instead.
FORBIDDEN = {
    "np": {"log", "exp", "tanh", "sum", "mean", "var", "dot", "linalg", "log1p", "power", "sqrt"},
    "math": {"log", "exp", "lgamma", "gamma", "hypot", "log2", "log10"},
    "method": {"sum", "mean", "var", "std", "dot"},
}


class Subject(NamedTuple):
    """An algorithm under test, with the problem that it is tested on."""

    name: str
    hyper: dict[str, Any]
    algorithm: Any
    problem_name: str
    parameters: dict[str, Any]

    @property
    def problem(self) -> Any:
        """The problem."""
        return registry.make_problem(self.problem_name, **self.parameters)

    def pair(self) -> tuple[Callable[..., None], Any, tuple[str, ...]]:
        """The protocol's loop, the algorithm, and the measures that the loop records."""
        if isinstance(self.algorithm, offline_mdp.OfflineMDP):
            return offline_mdp.run_block, self.algorithm, offline_mdp.MEASURES
        if isinstance(self.algorithm, offline.Offline):
            return offline.run_block, self.algorithm, offline.MEASURES
        if isinstance(self.algorithm, identify.Identify):
            return identify.run_block, self.algorithm, identify.MEASURES
        if isinstance(self.algorithm, observe.Observe):
            return observe.run_block, self.algorithm, observe.MEASURES
        if isinstance(self.problem, observe.Losses):
            return observe.run_block, observe.observing(self.algorithm), observe.MEASURES
        return online.run_block, self.algorithm, online.MEASURES


def subject(name: str, hyper: dict[str, Any] | None = None) -> Subject:
    """``name`` made, with a problem that it can play: its file's ``example``, or a common one."""
    hyper = hyper or {}
    algorithm = registry.make(name, **hyper)
    made = registry.factory("agent", name)
    if played := getattr(sys.modules[made.__module__], "example", None):
        parameters = dict(played)
        return Subject(name, hyper, algorithm, parameters.pop("name"), parameters)
    if isinstance(algorithm, offline_mdp.OfflineMDP):
        return Subject(name, hyper, algorithm, "imitation_mdp", {"N": 300, "S": 5, "A": 3})
    if isinstance(algorithm, offline.Offline):
        return Subject(name, hyper, algorithm, "cb_composition", {"C": 3.0, "S": 4, "A": 3})
    if isinstance(algorithm, observe.Observe):
        return Subject(name, hyper, algorithm, "deterministic_gap", {"n_arms": 3, "gap": 0.4})
    if algorithm.features:
        return Subject(name, hyper, algorithm, "linear", {"n_arms": 4, "dim": 3})
    return Subject(name, hyper, algorithm, "bernoulli", {"means": [0.2, 0.5, 0.8]})


def run(
    s: Subject, rounds: int = ROUNDS, first: int = 0, count: int = 3, seed: int = SEED
) -> np.ndarray:
    """Records (replications, checkpoints, measures) of replications first .. first + count - 1."""
    loop, algorithm, measures = s.pair()
    points = np.unique(np.geomspace(1, rounds, 8).astype(np.int64))
    if isinstance(algorithm, offline_mdp.OfflineMDP):  # a row of 300 pairs tells a planner little
        points = np.array([rounds * 5, rounds * 10])
    if isinstance(algorithm, identify.Identify):
        points = points[-1:]
    record = np.zeros((count, points.size, len(measures)))
    task = _task(s, rounds)
    args = (task, random.key(seed), first, 0, points, np.zeros(2, np.int64), record)
    pair = compiled(loop, (algorithm, s.problem), args)
    with np.errstate(all="ignore"):
        pair(*args)
    return record


def _task(s: Subject, horizon: int) -> Task:
    n_arms, n_contexts, dim = s.problem.shape
    task = Task(n_arms, n_contexts, dim, horizon)
    if isinstance(s.problem, observe.Losses):
        task = task._replace(budget=s.problem.budget, price=s.problem.price)
    return task


def _agent(s: Subject, rounds: int = ROUNDS) -> Agent:
    n_arms, n_contexts, dim = s.problem.shape
    terms: dict[str, Any] = {}
    if isinstance(s.problem, observe.Losses):
        budget = s.problem.budget if s.problem.budget >= 0 else None
        terms = {"budget": budget, "price": s.problem.price, "extra": s.problem.extra}
    return Agent(
        s.name, n_arms=n_arms, n_contexts=n_contexts, dim=dim, horizon=rounds, seed=SEED,
        **terms, **s.hyper,
    )  # fmt: skip


def _play(s: Subject, agent: Agent, rounds: int, world: Any, nature: Any) -> list[tuple]:
    """Rounds of a hand-written loop: (arm, reward, regret) each."""
    problem = s.problem
    if isinstance(problem, observe.Losses):
        return _play_losses(problem, agent, rounds, world, nature)
    if isinstance(s.algorithm, identify.Identify):
        return _play_batches(problem, agent, rounds, world, nature)
    seen = []
    with np.errstate(all="ignore"):
        for t in range(rounds):
            x = problem.observe(problem.params, world, t, nature)
            shown = x if problem.shape[2] else x[0, 0] if problem.shape[1] > 1 else None
            arm = agent.act(shown)
            regret = problem.regret(problem.params, world, x, arm)
            reward = problem.pull(problem.params, world, x, arm, nature)
            agent.update(shown, arm, reward)
            seen.append((arm, reward, regret))
    return seen


def _play_losses(problem: Any, agent: Agent, rounds: int, world: Any, nature: Any) -> list[tuple]:
    """The same under ``observe``: (arm, its loss, losses of all arms)."""
    played = []
    losses = np.zeros(problem.shape[0])
    for _ in range(rounds):
        with np.errstate(all="ignore"):
            problem.draw(problem.params, world, agent.t, nature, losses)
        arm = agent.act()
        shown = agent.look(arm)
        if problem.extra:
            shown[arm] = True
        agent.update(None, arm, np.where(shown, losses, np.nan))
        played.append((arm, losses[arm], losses.tolist()))
    return played


def _play_batches(problem: Any, agent: Agent, pulls: int, world: Any, nature: Any) -> list[tuple]:
    """The same under ``identify``, until that many pulls or more were made: (pulls, sums)."""
    played: list[tuple] = []
    before = agent.t
    grid = agent.algorithm.grid
    with np.errstate(all="ignore"):
        x = problem.observe(problem.params, world, 0, nature)
        shown = x if problem.shape[2] else None
        while agent.t - before < pulls:
            batch = agent.act(shown)
            if not batch.any():
                break
            sums = np.zeros(problem.shape[0])
            for k in np.flatnonzero(batch):
                sums[k] = problem.batch(problem.params, world, x, k, batch[k], nature)
                if np.isnan(sums[k]):
                    sums[k] = 0.0
                    for _ in range(batch[k]):
                        reward = problem.pull(problem.params, world, x, k, nature)
                        sums[k] += grid * np.floor(reward / grid + 0.5) if grid > 0 else reward
            agent.update(shown, batch, sums)
            played.append((batch.tolist(), sums.tolist()))
    return played


def _world(s: Subject) -> tuple[Any, np.ndarray]:
    with np.errstate(all="ignore"):
        nature = random.stream(random.key(SEED), 0, random.NATURE)
        return s.problem.init(s.problem.params, nature), nature


def python_equals_jit(s: Subject) -> None:
    """The kernels give the same bits as plain Python, in a child process without the jit."""
    assert not jit_disabled(), "run this check with the jit on: it starts the plain run itself"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "plain.npy"
        code = (
            "import sys, pickle, numpy as np; from banditlab.testing import contract as t; "
            "name, hyper = pickle.loads(bytes.fromhex(sys.argv[2])); "
            "np.save(sys.argv[1], t.run(t.subject(name, hyper)))"
        )
        words = pickle.dumps((s.name, s.hyper)).hex()
        subprocess.run(
            [sys.executable, "-c", code, str(out), words],
            env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
            check=True,
        )
        plain = np.load(out)
    jitted = run(s)
    assert np.array_equal(plain, jitted, equal_nan=True), (
        f"{s.name}: plain Python and the jit differ in {np.sum(plain != jitted)} of {plain.size} "
        "numbers: some function in a kernel is outside the vocabulary of banditlab.numeric"
    )


def stays_in_the_vocabulary(s: Subject) -> None:
    """No kernel calls a function that differs between the jit and plain Python."""
    fields = zip(s.algorithm._fields, s.algorithm, strict=True)
    for function in _functions(value for field, value in fields if field not in NOT_KERNELS):
        if not function.__module__.startswith(("banditlab.agents", "banditlab_file")):
            continue
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        for node in ast.walk(tree):
            where = f"{s.name}: {function.__name__}, line {getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.BinOp):
                assert not isinstance(node.op, ast.Pow | ast.MatMult), f"{where}: ** or @"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = getattr(node.func.value, "id", "method")
                if owner in ("linalg", "numeric", "random"):  # ours, within the vocabulary
                    continue
                banned = FORBIDDEN.get(owner, FORBIDDEN["method"])
                assert node.func.attr not in banned, f"{where}: {owner}.{node.func.attr}"


def same_seed_same_curve(s: Subject) -> None:
    """Two runs agree bit for bit; another seed does not give the same run."""
    first = run(s)
    assert np.array_equal(first, run(s), equal_nan=True), f"{s.name}: two runs with one seed differ"
    if isinstance(s.algorithm, online.Online | identify.Identify):
        # Of who names an arm, luck shows where few pulls make some err, or when many end it.
        for rounds in (ROUNDS, 3000) if isinstance(s.algorithm, identify.Identify) else (ROUNDS,):
            one, other = run(s, rounds, count=100), run(s, rounds, count=100, seed=SEED + 1)
            if not np.array_equal(one, other, equal_nan=True):
                return
        raise AssertionError(f"{s.name}: the seed changes nothing")


def replications_do_not_depend_on_blocks(s: Subject) -> None:
    """Replication r is the same whichever block it runs in: few are a prefix of many."""
    whole = run(s, count=5)
    assert np.array_equal(whole[:2], run(s, count=2), equal_nan=True), (
        f"{s.name}: 2 are no prefix of 5"
    )
    assert np.array_equal(whole[3:], run(s, first=3, count=2), equal_nan=True), (
        f"{s.name}: blocks matter"
    )


def lanes_equal_scalar(s: Subject) -> None:
    """Replications played in lock-step have the bits of those played one by one."""
    if getattr(s.algorithm, "lanes", None) is None:
        return
    for name in registry.problem_names():
        problem = registry.make_problem(name, **_example(name, {}))
        accepted = s.algorithm.rewards
        if getattr(problem, "lanes", None) is None or problem.rewards[0] < accepted[0]:
            continue
        points = np.array([1, 7, 600], dtype=np.int64)  # 600: past the breaks of piecewise
        one_by_one, together = np.zeros((2, 5, points.size, len(online.MEASURES)))
        for record, loop, nouns in (
            (one_by_one, online.run_block, (s.algorithm, problem)),
            (together, lanes.run_block, (s.algorithm.lanes, problem.lanes)),
        ):
            n_arms, n_contexts, dim = problem.shape
            task = Task(n_arms, n_contexts, dim, int(points[-1]))
            args = (task, random.key(SEED), 2, 0, points, np.zeros(2, np.int64), record)
            with np.errstate(all="ignore"):
                compiled(loop, nouns, args)(*args)
        assert np.array_equal(one_by_one, together), f"{s.name}: lanes differ on {name}"


def interactive_equals_fused(s: Subject) -> None:
    """A hand-written loop around Agent gives the regret of replication 0 of the arena."""
    world, nature = _world(s)
    if isinstance(s.algorithm, observe.Observe):
        played = _play(s, _agent(s), ROUNDS, world, nature)
        arms = [arm for arm, _, _ in played]
        switches = sum(a != b for a, b in zip(arms, arms[1:], strict=False))
        fused = run(s, count=1)[0, -1]
        lost = sum(loss for _, loss, _ in played) - np.sum([x for *_, x in played], axis=0).min()
        assert switches == fused[2], f"{s.name}: {switches} switches by hand, {fused[2]} in all"
        assert abs(lost - fused[1]) < 1e-9, f"{s.name}: by hand {lost}, in the arena {fused[1]}"
        return
    if isinstance(s.algorithm, identify.Identify):
        agent = _agent(s)
        _play(s, agent, ROUNDS, world, nature)
        fused = run(s, count=1)[0, -1]
        assert agent.t == fused[2], f"{s.name}: {agent.t} pulls by hand, {fused[2]} in the arena"
        shown = s.problem.observe(s.problem.params, world, 0, nature)
        rule = agent.recommend(shown if s.problem.shape[2] else None)
        gaps = [s.problem.regret(s.problem.params, world, shown, k) for k in range(len(rule))]
        by_hand = sum(p * (gap > 0.0) for p, gap in zip(rule, gaps, strict=True))
        assert by_hand == fused[0], f"{s.name}: error {by_hand} by hand, {fused[0]} in the arena"
        return
    if not isinstance(s.algorithm, online.Online):
        return
    played = _play(s, _agent(s), ROUNDS, world, nature)
    by_hand = 0.0
    for _, _, regret in played:
        by_hand += regret
    fused = run(s, count=1)[0, -1, 0]
    assert by_hand == fused, f"{s.name}: by hand {by_hand!r}, in the arena {fused!r}"


def saves_and_goes_on(s: Subject) -> None:
    """A loaded agent continues draw for draw."""
    if isinstance(s.algorithm, offline_mdp.OfflineMDP):  # plans, never acts
        return
    world, nature = _world(s)
    agent = _agent(s)
    _play(s, agent, ROUNDS // 2, world, nature)
    with tempfile.TemporaryDirectory() as folder:
        agent.save(Path(folder) / "agent.npz")
        loaded = Agent.load(Path(folder) / "agent.npz")
    copy = pickle.loads(pickle.dumps((world, nature)))
    one = _play(s, agent, ROUNDS // 2, world, nature)
    two = _play(s, loaded, ROUNDS // 2, *copy)
    assert one == two, f"{s.name}: a loaded agent plays on differently"


def arms_in_range_and_act_repeatable(s: Subject) -> None:
    """Every arm exists, and asking twice with the same stream gives the same arm."""
    if isinstance(s.algorithm, offline_mdp.OfflineMDP):  # plans, never acts
        return
    algorithm, problem = playable(s.algorithm), s.problem
    agent = _agent(s)
    world, nature = _world(s)
    if not isinstance(algorithm, online.Online):
        for _ in range(20):
            ahead = pickle.dumps((agent.state, agent._rng))
            shown = None
            if problem.shape[2]:
                shown = problem.observe(problem.params, world, 0, nature)
            choice = np.asarray(agent.act(shown))
            agent.state, agent._rng = pickle.loads(ahead)
            agent.act(shown)
            agent._rng = pickle.loads(ahead)[1]
            again = np.asarray(agent.act(shown))
            assert np.array_equal(choice, again), f"{s.name}: act changes the state that it reads"
            agent.state, agent._rng = pickle.loads(ahead)
            if choice.ndim == 0:
                assert 0 <= choice < problem.shape[0], f"{s.name}: arm {choice} does not exist"
            _play(s, agent, 1, world, nature)
        return
    for _ in range(20):
        with np.errstate(all="ignore"):
            x = problem.observe(problem.params, world, agent.t, nature)
            arms = [
                algorithm.act(algorithm.params, agent.state, agent.t, x, agent._rng.copy())
                for _ in range(2)
            ]
        assert arms[0] == arms[1], f"{s.name}: act changes the state that it reads"
        assert 0 <= arms[0] < problem.shape[0], f"{s.name}: arm {arms[0]} does not exist"
        _play(s, agent, 1, world, nature)


def state_stays_sound(s: Subject) -> None:
    """State is arrays only, of constant shape and dtype; recommendations are probabilities."""
    if isinstance(s.algorithm, offline_mdp.OfflineMDP):  # plans, never acts
        return
    agent = _agent(s)
    before = [(a.shape, a.dtype) for a in _arrays(agent.state, s.name)]
    world, nature = _world(s)
    _play(s, agent, ROUNDS, world, nature)
    assert before == [(a.shape, a.dtype) for a in _arrays(agent.state, s.name)]
    released = getattr(agent.state, "released", None)  # nan where nothing was released
    for array in _arrays(agent.state, s.name):
        if array is released:
            continue
        assert not np.isnan(array.astype(float)).any(), f"{s.name}: nan in the state"
    shown = None
    if not isinstance(s.problem, observe.Losses):
        with np.errstate(all="ignore"):
            x = s.problem.observe(s.problem.params, world, ROUNDS, nature)
        shown = x if s.problem.shape[2] else x[0, 0] if s.problem.shape[1] > 1 else None
    rules = [agent.recommend(shown)]
    if isinstance(agent.algorithm, online.Online):
        rules.append(agent.propensities(shown))
    for rule in rules:
        assert rule.min() >= 0 and abs(rule.sum() - 1) < 1e-9, f"{s.name}: {rule} is no rule"


def propensities_are_those_of_act(s: Subject) -> None:
    """Frequencies of ``act`` over fresh streams agree with ``propensities`` (5 sigma)."""
    if not isinstance(s.algorithm, online.Online | offline.Offline):
        return
    agent = _agent(s)
    world, nature = _world(s)
    _play(s, agent, 12, world, nature)
    problem = s.problem
    with np.errstate(all="ignore"):
        x = problem.observe(problem.params, world, agent.t, nature)
        shown = x if problem.shape[2] else x[0, 0] if problem.shape[1] > 1 else None
        expected = agent.propensities(shown)
        draws = 4000
        counts = np.zeros(problem.shape[0])
        for r in range(draws):
            rng = random.stream(random.key(7), r, random.AGENT)
            counts[agent.algorithm.act(agent.algorithm.params, agent.state, agent.t, x, rng)] += 1
    # Agents that only estimate their propensities state an error below 0.05.
    allowed = 5 * np.sqrt(expected * (1 - expected) / draws) + agent_error(s)
    off = np.abs(counts / draws - expected)
    assert (off <= allowed + 1e-12).all(), f"{s.name}: {counts / draws} against {expected}"


def agent_error(s: Subject) -> float:
    """The error that an agent states for its propensities; 0 when they are exact."""
    return float(getattr(registry._module("agent", s.name), "propensity_error", 0.0))


def compiles_once(s: Subject) -> None:
    """Another horizon and another number of arms run the machine code that is there."""
    loop, algorithm, measures = s.pair()
    points = np.array([5], dtype=np.int64)
    names = set()
    for horizon in (5000, 7000):
        points[0] = horizon
        record = np.zeros((1, 1, len(measures)))
        task = _task(s, horizon)
        args = (task, random.key(1), 0, 0, points, np.zeros(2, np.int64), record)
        names.add(compiled(loop, (algorithm, s.problem), args).name)
    remade = registry.make(s.name, **algorithm.params._asdict())
    assert remade.params._fields == algorithm.params._fields
    names.add(compiled(loop, (remade, s.problem), args).name)
    assert len(names) == 1, (
        f"{s.name}: made from its own params it compiles a second time; the factory must cast "
        "and its kernels must not be made anew by every call"
    )


def rebuilds_from_params(s: Subject) -> None:
    """The factory takes the fields of params under their own names and gives the same params."""
    params = s.algorithm.params
    remade = registry.make(s.name, **params._asdict()).params
    same = all(np.array_equal(a, b) for a, b in zip(params, remade, strict=True))
    assert same, f"{s.name}: {params} became {remade}"


def pickles(s: Subject) -> None:
    """The hyper-parameters survive pickling."""
    back = pickle.loads(pickle.dumps(s.algorithm.params))
    assert all(np.array_equal(a, b) for a, b in zip(s.algorithm.params, back, strict=True))


def documents_itself(s: Subject) -> None:
    """The file names its source (a year), the factory its arguments, the state its shapes."""
    module = registry._module("agent", s.name)
    assert module.__doc__, f"{s.name}: the file has no docstring"
    text = module.__doc__
    sourced = any(f"{year}" in text for year in range(1930, 2030))
    assert sourced or registry.is_baseline(s.name), f"{s.name}: no paper is cited"
    assert inspect.getdoc(registry.factory("agent", s.name)), f"{s.name}: the factory has no doc"
    for name, value in vars(module).items():
        own = getattr(value, "__module__", "") == module.__name__
        if own and hasattr(value, "_fields") and hasattr(value, "__annotations__"):
            lines = inspect.getsource(value).splitlines()
            for field in value._fields:
                line = next(x for x in lines if x.strip().startswith(f"{field}:"))
                assert "#" in line, f"{s.name}: {name}.{field} has no comment on shape or range"


def has_a_home(s: Subject) -> None:
    """``--agent NAME`` alone runs something that contains the agent."""
    from banditlab.arena import spec

    arena = spec.read_arena(spec.home_arena(s.name))
    found = {a.name for panel in arena.panels for a in panel.agents}
    assert s.name in found or s.name in arena.home_of, f"{s.name} has no home arena"


def beats_uniform(s: Subject) -> None:
    """On an easy problem a learner's regret is below uniform play's by over 3 sigma."""
    if registry.is_baseline(s.name):
        return
    if isinstance(s.algorithm, offline_mdp.OfflineMDP):
        case = offline_mdp.case(s.problem)
        guess = offline_mdp.gap(case, uniform_policy(case.mdp))
        gaps = run(s, rounds=3000, count=40)[:, -1, 0]
        assert gaps.mean() < guess / 2, f"{s.name}: {gaps.mean():.4g}, uniform play {guess:.4g}"
        return
    if isinstance(s.algorithm, identify.Identify):
        errors = run(s, rounds=3000, count=40)[:, -1, 0]
        guess = 1.0 - 1.0 / s.problem.shape[0]
        sem = errors.std(ddof=1) / np.sqrt(errors.size)
        assert errors.mean() + 3 * sem < guess, (
            f"{s.name}: error {errors.mean():.3g} of {guess:.3g}"
        )
        return
    if isinstance(s.algorithm, offline.Offline):
        record = run(s, rounds=3000, count=40)[:, -1, 0]
        shown = Subject("bc", {}, registry.make("bc"), s.problem_name, s.parameters)
        other = run(shown, rounds=3000, count=40)[:, -1, 0]
    else:
        record = run(s, rounds=3000, count=40)[:, -1, 0]
        uniform = registry.make("uniform")
        shown = Subject("uniform", {}, uniform, s.problem_name, s.parameters)
        other = run(shown, rounds=3000, count=40)[:, -1, 0]
    difference = record - other
    sem = difference.std(ddof=1) / np.sqrt(difference.size)
    assert difference.mean() < -3 * sem, (
        f"{s.name}: {record.mean():.4g} against {other.mean():.4g} of {shown.name}"
    )


ALGORITHM_CHECKS: tuple[Callable[[Subject], None], ...] = (
    python_equals_jit,
    stays_in_the_vocabulary,
    same_seed_same_curve,
    replications_do_not_depend_on_blocks,
    lanes_equal_scalar,
    interactive_equals_fused,
    saves_and_goes_on,
    arms_in_range_and_act_repeatable,
    state_stays_sound,
    propensities_are_those_of_act,
    compiles_once,
    rebuilds_from_params,
    pickles,
    documents_itself,
    has_a_home,
    beats_uniform,
)
# What an agent that lives outside the package, in one file, need not have.
OURS = (documents_itself, has_a_home)


def algorithm_checks(name: str, **hyper: Any) -> Iterator[tuple[str, Callable[[], None]]]:
    """The checks of one agent, as (title, function without arguments)."""
    s = subject(name, hyper)
    for check in ALGORITHM_CHECKS:
        if not (name.endswith(".py") and check in OURS):
            yield f"{name}:{check.__name__}", partial(check, s)


def check_algorithm(name: str, **hyper: Any) -> None:
    """Run every check on an agent: a name, or the path of a ``.py`` file.

    Raises AssertionError that says which sentence does not hold.
    """
    for _, check in algorithm_checks(name, **hyper):
        check()


def _arrays(state: Any, name: str) -> list[np.ndarray]:
    if isinstance(state, np.ndarray):
        return [state]
    assert isinstance(state, tuple), f"{name}: state holds a {type(state).__name__}, not an array"
    return [array for item in state for array in _arrays(item, name)]


# --- problems -------------------------------------------------------------------------------


def _example(name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    made = registry.factory("problem", name)
    return parameters or dict(getattr(sys.modules[made.__module__], "example", {}))


def regret_is_sound(name: str, parameters: dict[str, Any]) -> None:
    """Regret is never negative, and some arm has none; rewards stay in the stated range."""
    problem = registry.make_problem(name, **parameters)
    n_arms = problem.shape[0]
    with np.errstate(all="ignore"):
        nature = random.stream(random.key(SEED), 0, random.NATURE)
        world = problem.init(problem.params, nature)
        for t in range(50):
            x = problem.observe(problem.params, world, t, nature)
            regrets = [problem.regret(problem.params, world, x, k) for k in range(n_arms)]
            assert min(regrets) >= 0.0, f"{name}: regret {min(regrets)} in round {t}"
            assert min(regrets) < 1e-12, f"{name}: no arm is best in round {t}"
            reward = problem.pull(problem.params, world, x, t % n_arms, nature)
            low, high = problem.rewards
            assert low <= reward <= high, f"{name}: reward {reward} outside {problem.rewards}"


def shows_what_it_says(name: str, parameters: dict[str, Any]) -> None:
    """``x`` is a C-contiguous float64 matrix of the shape that the problem states."""
    problem = registry.make_problem(name, **parameters)
    n_arms, n_contexts, dim = problem.shape
    with np.errstate(all="ignore"):
        nature = random.stream(random.key(SEED), 0, random.NATURE)
        world = problem.init(problem.params, nature)
        x = problem.observe(problem.params, world, 0, nature)
    assert x.ndim == 2 and x.dtype == np.float64 and x.flags.c_contiguous, f"{name}: {x!r}"
    allowed = ((n_arms, dim), (1, dim)) if dim else ((1, 1),)
    assert x.shape in allowed, f"{name}: x has shape {x.shape}, stated was {problem.shape}"
    if n_contexts > 1:
        assert 0 <= x[0, 0] < n_contexts


def luck_does_not_depend_on_the_arm(name: str, parameters: dict[str, Any]) -> None:
    """Whatever is pulled, nature's stream ends in the same state: agents can be paired."""
    problem = registry.make_problem(name, **parameters)
    ends = []
    for shift in (0, 1):
        with np.errstate(all="ignore"):
            nature = random.stream(random.key(SEED), 0, random.NATURE)
            world = problem.init(problem.params, nature)
            for t in range(200):
                x = problem.observe(problem.params, world, t, nature)
                arm = (shift * t) % problem.shape[0]
                reward = problem.pull(problem.params, world, x, arm, nature)
                problem.arrivals(problem.params, world, t, x, arm, reward)
        ends.append(nature.tolist())
    assert ends[0] == ends[1], f"{name}: what pull draws depends on the arm; use random.fork"


def problem_python_equals_jit(name: str, parameters: dict[str, Any]) -> None:
    """A learner on the problem gives the same bits with and without the jit."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "plain.npy"
        code = (
            "import sys, pickle, numpy as np; from banditlab.testing import contract as t; "
            "name, parameters = pickle.loads(bytes.fromhex(sys.argv[2])); "
            "np.save(sys.argv[1], t.run(t.on(name, parameters)))"
        )
        words = pickle.dumps((name, parameters)).hex()
        subprocess.run(
            [sys.executable, "-c", code, str(out), words],
            env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
            check=True,
        )
        plain = np.load(out)
    jitted = run(on(name, parameters))
    assert np.array_equal(plain, jitted, equal_nan=True), f"{name}: plain Python and the jit differ"


def on(name: str, parameters: dict[str, Any]) -> Subject:
    """UCB facing a problem; for one that logs an MDP, the copy of the log; Exp3 for losses."""
    if isinstance(registry.make_problem(name, **parameters), observe.Losses):
        return Subject("exp3", {}, registry.make("exp3"), name, parameters)
    if isinstance(registry.make_problem(name, **parameters), offline_mdp.LoggedMDP):
        rule = offline_mdp.as_planner(registry.make("bc"))
        return Subject("bc", {}, rule, name, parameters)
    return Subject("ucb", {}, registry.make("ucb"), name, parameters)


def optimum_is_exact(name: str, parameters: dict[str, Any]) -> None:
    """J* is the value of the solved model, the log a law on legal pairs of states that go on."""
    problem = registry.make_problem(name, **parameters)
    for replication in range(3):
        truth = offline_mdp.case(problem, replication, SEED)
        solved = solve(truth.mdp)
        assert abs(truth.optimum - solved.J) < 1e-8, f"{name}: J* {truth.optimum}, not {solved.J}"
        assert abs(offline_mdp.gap(truth, solved.policy)) < 1e-8
        assert offline_mdp.gap(truth, uniform_policy(truth.mdp)) > -1e-8
        assert np.allclose(truth.mu.sum(axis=(1, 2)), 1.0) and (truth.mu >= 0.0).all()
        assert not truth.mu[:, ~truth.mdp.legal].any(), f"{name}: the log weighs an illegal pair"
        low, high = problem.rewards
        met = truth.mdp.reward[truth.mdp.prob > 0.0]
        assert ((low <= met) & (met <= high)).all(), f"{name}: a reward outside {problem.rewards}"


def losses_are_sound(name: str, parameters: dict[str, Any]) -> None:
    """Losses lie in [0, 1], are all drawn anew in every round, and never depend on who plays."""
    problem = registry.make_problem(name, **parameters)
    low, high = problem.rewards
    with np.errstate(all="ignore"):
        nature = random.stream(random.key(SEED), 0, random.NATURE)
        world = problem.init(problem.params, nature)
        for t in range(min(200, problem.supply or 200)):
            losses = np.full(problem.shape[0], np.nan)
            clipped = problem.draw(problem.params, world, t, nature, losses)
            assert ((low <= losses) & (losses <= high)).all(), f"{name}: losses {losses}"
            assert 0 <= clipped <= losses.size


def terms_are_arguments(name: str, parameters: dict[str, Any]) -> None:
    """Prices and budget are arguments of the factory."""
    terms = {"price": 2.0, "look_price": 0.5, "budget": 7, "extra": True}
    problem = registry.make_problem(name, **parameters, **terms)
    assert (problem.price, problem.look_price, problem.budget, problem.extra) == (2.0, 0.5, 7, True)


LOSSES_CHECKS: tuple[Callable[[str, dict[str, Any]], None], ...] = (
    losses_are_sound,
    terms_are_arguments,
    problem_python_equals_jit,
)
ONLINE_PROBLEM_CHECKS: tuple[Callable[[str, dict[str, Any]], None], ...] = (
    regret_is_sound,
    shows_what_it_says,
    luck_does_not_depend_on_the_arm,
    problem_python_equals_jit,
)
MDP_CHECKS: tuple[Callable[[str, dict[str, Any]], None], ...] = (
    optimum_is_exact,
    problem_python_equals_jit,
)


def problem_checks(name: str, **parameters: Any) -> Iterator[tuple[str, Callable[[], None]]]:
    """The checks of one problem, as (title, function without arguments)."""
    given = _example(name, parameters)
    made = registry.make_problem(name, **given)
    checks = ONLINE_PROBLEM_CHECKS
    if isinstance(made, offline_mdp.LoggedMDP):
        checks = MDP_CHECKS
    if isinstance(made, observe.Losses):
        checks = LOSSES_CHECKS
    for check in checks:
        yield f"{name}:{check.__name__}", partial(check, name, given)


def check_problem(name: str, **parameters: Any) -> None:
    """Run every check on a problem: a name, or the path of a ``.py`` file.

    Without parameters the file's own ``example`` is used. Raises AssertionError.
    """
    for _, check in problem_checks(name, **parameters):
        check()
