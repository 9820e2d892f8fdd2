"""The contract that every agent keeps, as checks that anybody can run on their own.

Each check is a function named after the sentence it tests; :func:`algorithm_checks` gives them one
by one, for pytest parametrisation. A failure is an AssertionError whose message says what was
expected. What is peculiar to a protocol, the protocol says: its ``contract``, see
:class:`banditlab.protocols.base.Contract`.
"""

from __future__ import annotations

import copy
import inspect
import pickle
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from banditlab import random, registry
from banditlab.agent import Agent, leaves, quiet
from banditlab.arena.play import ready
from banditlab.compile import NOT_KERNELS
from banditlab.compile.fingerprint import functions
from banditlab.core import jit_disabled
from banditlab.testing.subject import (
    LANES,
    ROUNDS,
    SEED,
    Subject,
    agent_of,
    alone,
    in_lanes,
    loop_of,
    plain_run,
    run,
    subject,
    want_plain,
    world_of,
)
from banditlab.testing.vocabulary import strangers


def play(s: Subject, agent: Agent, rounds: int, world: Any, nature: Any) -> Any:
    """Rounds of a hand-written loop: what was played, and the measures found by hand."""
    by_hand = registry.protocol_of(s.algorithm).contract.by_hand
    assert by_hand is not None
    with quiet():
        return by_hand(agent, s.problem, rounds, world, nature)


def shown(s: Subject, world: Any, t: int, nature: np.ndarray) -> Any:
    """What the agent is shown next."""
    show = registry.protocol_of(s.algorithm).contract.show
    assert show is not None
    with quiet():
        return show(s.problem, world, t, nature)


def acts(s: Subject) -> bool:
    """Whether there is a face to play by hand; who plans from a log never acts here."""
    return registry.protocol_of(s.algorithm).contract.by_hand is not None


def python_equals_jit(s: Subject) -> None:
    """The kernels give the same bits as plain Python, in a child process without the jit."""
    if alone(s):
        return
    assert not jit_disabled(), "run this check with the jit on: it starts the plain run itself"
    plain, jitted = plain_run(s), run(s)
    assert np.array_equal(plain, jitted, equal_nan=True), (
        f"{s.name}: plain Python and the jit differ in {np.sum(plain != jitted)} of {plain.size} "
        "numbers: some function in a kernel is outside the vocabulary of banditlab.numeric"
    )


def stays_in_the_vocabulary(s: Subject) -> None:
    """No kernel calls a function that differs between the jit and plain Python."""
    fields = zip(s.algorithm._fields, s.algorithm, strict=True)
    kernels = functions(value for field, value in fields if field not in NOT_KERNELS)
    found = [] if alone(s) else list(strangers(kernels))  # who is played alone has none
    assert not found, f"{s.name}: {'; '.join(found)}"


def same_seed_same_curve(s: Subject) -> None:
    """Two runs agree bit for bit; another seed does not give the same run."""
    if alone(s):
        return
    first = run(s)
    assert np.array_equal(first, run(s), equal_nan=True), f"{s.name}: two runs with one seed differ"
    luck = registry.protocol_of(s.algorithm).contract.luck
    for rounds in luck:
        one, other = run(s, rounds, count=100), run(s, rounds, count=100, seed=SEED + 1)
        if not np.array_equal(one, other, equal_nan=True):
            return
    assert not luck, f"{s.name}: the seed changes nothing"


def replications_do_not_depend_on_blocks(s: Subject) -> None:
    """Replication r is the same whichever block it runs in: few are a prefix of many."""
    if alone(s):
        return
    whole = run(s, count=5)
    assert np.array_equal(whole[:2], run(s, count=2), equal_nan=True), (
        f"{s.name}: 2 are no prefix of 5"
    )
    assert np.array_equal(whole[3:], run(s, first=3, count=2), equal_nan=True), (
        f"{s.name}: blocks matter"
    )


def lanes_equal_scalar(s: Subject) -> None:
    """Replications played in lock-step have the bits of those that plain Python plays one by one.

    It plays in lock-step, too, and first: there an index past the end is noticed.
    """
    subjects = list(in_lanes(s))
    want_plain(subjects, **LANES)
    want_plain(subjects, **LANES, lanes=True)
    for on in subjects:
        assert loop_of(on, ROUNDS, lanes=True).lockstep
        one_by_one = plain_run(on, **LANES)
        for together in (plain_run(on, **LANES, lanes=True), run(on, **LANES, lanes=True)):
            same = np.array_equal(one_by_one, together)
            assert same, f"{s.name}: lanes differ on {on.problem_name}"


def interactive_equals_fused(s: Subject) -> None:
    """A hand-written loop around Agent gives what the arena records of replication 0."""
    if not acts(s):
        return
    _, by_hand = play(s, agent_of(s), ROUNDS, *world_of(s))
    if not by_hand:
        return
    fused = dict(zip(loop_of(s, ROUNDS).measures, run(s, count=1)[0, -1], strict=True))
    for name, value in by_hand.items():
        assert value == fused[name], (
            f"{s.name}: {name} {value!r} by hand, in the arena {fused[name]!r}"
        )


def saves_and_goes_on(s: Subject) -> None:
    """A loaded agent continues draw for draw."""
    if not acts(s):
        return
    world, nature = world_of(s)
    agent = agent_of(s)
    play(s, agent, ROUNDS // 2, world, nature)
    with tempfile.TemporaryDirectory() as folder:
        agent.save(Path(folder) / "agent.npz")
        # Whoever loads an agent of a file of their own hands the file over.
        own = {"algorithm": s.name} if s.name.endswith(".py") else {}
        loaded = Agent.load(Path(folder) / "agent.npz", **own)
    again = copy.deepcopy((world, nature))
    one, _ = play(s, agent, ROUNDS // 2, world, nature)
    two, _ = play(s, loaded, ROUNDS // 2, *again)
    assert one == two, f"{s.name}: a loaded agent plays on differently"


def pickles(s: Subject) -> None:
    """Hyper-parameters survive pickling; so does an agent at work, which copies, too."""
    params = s.algorithm.params
    back = pickle.loads(pickle.dumps(params))
    assert all(np.array_equal(a, b) for a, b in zip(params, back, strict=True))
    if not acts(s):
        return
    world, nature = world_of(s)
    agent = agent_of(s)
    play(s, agent, 10, world, nature)
    others = (pickle.loads(pickle.dumps(agent)), copy.deepcopy(agent))
    worlds = [copy.deepcopy((world, nature)) for _ in others]
    one, _ = play(s, agent, 10, world, nature)
    for other, where in zip(others, worlds, strict=True):
        assert one == play(s, other, 10, *where)[0], f"{s.name}: a copy plays on differently"


def arms_in_range_and_act_repeatable(s: Subject) -> None:
    """Every arm exists, and asking twice with the same stream gives the same arm."""
    if not acts(s):
        return
    agent, (world, nature) = agent_of(s), world_of(s)
    n_arms = s.protocol.contract.choices(s.problem)
    for _ in range(20):
        see = shown(s, world, agent.t, nature.copy())
        ahead = pickle.dumps((agent.state, agent._rng))
        choice = np.asarray(agent.act(see))
        # Its own scratch is its own affair, but it may not show in the choice.
        agent._rng = pickle.loads(ahead)[1]
        again = np.asarray(agent.act(see))
        assert np.array_equal(choice, again), f"{s.name}: act changes the state that it reads"
        if choice.ndim == 0:
            assert 0 <= choice < n_arms, f"{s.name}: arm {choice} does not exist"
        agent.state, agent._rng = pickle.loads(ahead)
        play(s, agent, 1, world, nature)


def state_stays_sound(s: Subject) -> None:
    """State is arrays only, of constant shape and dtype; recommendations are probabilities."""
    if not acts(s):
        return
    agent, (world, nature) = agent_of(s), world_of(s)
    _arrays_only(agent.state, s.name)
    before = [(a.shape, a.dtype) for a in leaves(agent.state)]
    play(s, agent, ROUNDS, world, nature)
    assert before == [(a.shape, a.dtype) for a in leaves(agent.state)]
    released = getattr(agent.state, "released", None)  # nan where nothing was released
    for array in leaves(agent.state):
        if array is not released:
            assert not np.isnan(array.astype(float)).any(), f"{s.name}: nan in the state"
    see = shown(s, world, ROUNDS, nature)
    rules = [agent.recommend(see)]
    if hasattr(agent, "propensities"):
        rules.append(agent.propensities(see))
    for rule in rules:
        assert rule.min() >= 0 and abs(rule.sum() - 1) < 1e-9, f"{s.name}: {rule} is no rule"


def propensities_are_those_of_act(s: Subject) -> None:
    """Frequencies of ``act`` over fresh streams agree with ``propensities`` (5 sigma)."""
    if not acts(s):
        return
    agent: Any = agent_of(s)
    if not hasattr(agent, "propensities"):
        return
    world, nature = world_of(s)
    play(s, agent, 12, world, nature)
    see = shown(s, world, agent.t, nature)
    x, known = agent.features(see), agent.algorithm
    draws = 4000
    counts = np.zeros(s.problem.shape[0])
    with quiet():
        expected = agent.propensities(see)
        for r in range(draws):
            rng = random.stream(random.key(7), r, random.AGENT)
            counts[known.act(known.params, agent.state, agent.t, x, rng)] += 1
    # Agents that only estimate their propensities state an error below 0.05.
    stated = float(getattr(registry._module("agent", s.name), "propensity_error", 0.0))
    allowed = 5 * np.sqrt(expected * (1 - expected) / draws) + stated
    off = np.abs(counts / draws - expected)
    assert (off <= allowed + 1e-12).all(), f"{s.name}: {counts / draws} against {expected}"


def compiles_once(s: Subject) -> None:
    """Another horizon and another number of arms run the machine code that is there."""
    remade = registry.make(s.name, **s.algorithm.params._asdict())
    assert remade.params._fields == s.algorithm.params._fields
    names = set()
    for algorithm, horizon in ((s.algorithm, 5000), (s.algorithm, 7000), (remade, 7000)):
        loop = loop_of(s._replace(algorithm=algorithm), horizon)
        names.add(tuple(made.name for made in ready(loop, random.key(1)).pairs))
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
    from banditlab.arena import find, spec

    arena = spec.read_arena(find.home_arena(s.name))
    found = {a.name for panel in arena.panels for a in panel.agents}
    assert s.name in found or s.name in arena.home_of, f"{s.name} has no home arena"


def beats_uniform(s: Subject) -> None:
    """On an easy problem a learner does better than chance, or who guesses, by over 3 sigma."""
    if registry.is_baseline(s.name) or alone(s):
        return
    contract = registry.protocol_of(s.algorithm).contract
    record = run(s, rounds=3000, count=40)[:, -1, 0]
    if contract.chance is not None:
        than, what = np.full(record.size, contract.chance(s.problem)), "chance"
    else:
        rival = s._replace(name=contract.rival, hyper={}, algorithm=registry.make(contract.rival))
        than, what = run(rival, rounds=3000, count=40)[:, -1, 0], contract.rival
    difference = record - than
    sem = difference.std(ddof=1) / np.sqrt(difference.size)
    assert difference.mean() < 0 and difference.mean() < -3 * sem, (
        f"{s.name}: {record.mean():.4g} against {than.mean():.4g} of {what}"
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
    """Run every check on an agent, a name or the path of a ``.py`` file, and print what passed.

    Raises AssertionError that says, for each sentence that does not hold, what is wrong, where,
    and what to write instead.
    """
    run_all_checks(algorithm_checks(name, **hyper))


def run_all_checks(checks: Iterator[tuple[str, Callable[[], None]]]) -> None:
    """Run and print them all, then raise AssertionError with what failed."""
    failed = []
    total = 0
    for title, check in checks:
        total += 1
        sentence = title.partition(":")[2] if ".py:" not in title else title.rpartition(":")[2]
        try:
            check()
        except Exception as error:  # a kernel of one's own may fail in any way
            kind = "" if isinstance(error, AssertionError | ValueError) else type(error).__name__
            failed.append(f"{sentence.replace('_', ' ')}: {_place(error)}{kind} {error}")
            print(f"  FAILED  {sentence.replace('_', ' ')}")
        else:
            print(f"  passed  {sentence.replace('_', ' ')}")
    if failed:
        lines = "\n  ".join(failed)
        raise AssertionError(f"{len(failed)} of {total} checks failed\n  {lines}")
    print(f"{total} checks passed")


def _place(error: Exception) -> str:
    """File and line where a file outside the package broke; empty if none did."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_file(frame.filename)]
    return f"{Path(own[-1].filename).name}, line {own[-1].lineno}: " if own else ""


def _is_file(name: str) -> bool:
    """Whether it is the file of an agent, problem or protocol outside the package."""
    return any(
        title.startswith(registry.FILE) and getattr(module, "__file__", None) == name
        for title, module in list(sys.modules.items())
    )


def _arrays_only(state: Any, name: str) -> None:
    if isinstance(state, np.ndarray):
        return
    assert isinstance(state, tuple), f"{name}: state holds a {type(state).__name__}, not an array"
    for item in state:
        _arrays_only(item, name)
