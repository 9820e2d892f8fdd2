"""Learn to act in a Gymnasium environment, step by step; its policy is tried out apart from that.

The file holds, top to bottom, what an algorithm brings (:class:`Deep`) and what it becomes where it
plays (:class:`Learner`), what a problem brings (:class:`Environment`), one replication (`play`),
how that gets a process of its own (`alone`), the face for other code (:class:`GymAgent`), and what
all of it is called (``PROTOCOL``).

One file, though long: it is one protocol, read from top to bottom.

A replication trains a learner for ``horizon`` steps. At each checkpoint, or where a learner
collects whole rollouts before it learns, at the end of the rollout in which the checkpoint falls,
its policy plays some episodes without noise, in other environments with other seeds: the same start
states for every agent and at every checkpoint. What is recorded:

- ``return``: the mean return of these episodes, undiscounted;
- ``gap``: what the reference earns in an episode, less that;
- ``regret``: what the reference would have earned in as many steps as were trained, at its mean
  reward per step, less what training has paid;
- ``training_return``: mean return of the training episodes that ended since the last checkpoint;
- ``length``: mean length of the evaluation episodes;
- ``in_band``: share of their steps that the environment marks, ``info["in_band"]``;
- and the facts that the algorithm names itself. What is not known is nan.

An algorithm that ends with several policies may also keep single returns of each, under several
conditions (:class:`Table`): they become ``returns.csv``, which
:mod:`banditlab.problems.return_pool` plays from.

Networks are trained by libraries that keep global random streams, and threads that spin where there
are fewer cores than they think: each replication has a process of its own with one thread. It hears
when to stop, tells how far it is, and keeps its whole state now and then in one file, from which it
goes on bit for bit: on one thread, a run that was killed gives the curve of one that was not.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import itertools
import json
import math
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

import gymnasium
import numpy as np

from banditlab import random, registry, track
from banditlab.agent import Agent
from banditlab.compile import spoken
from banditlab.data import atomic
from banditlab.protocols.base import Aside, Contract, Loop, Measure, Protocol, Terms
from banditlab.protocols.loops import apart
from banditlab.protocols.loops.apart import Stop
from banditlab.random import AGENT, NATURE, OBSERVATION, stream
from banditlab.validate import integer, shown

EVERY = 10.0  # seconds between two states that are kept, at least
SHARE = 20.0  # and at least so many times as long as it takes to keep one
MANY = 50  # checkpoints: a list of more is one that nobody has written down
FEW = 20  # checkpoints, when nobody has said which
POINTS = 1000  # that a tracker is told of a replication, about
NOTHING = Aside()  # beside playing
SINGLE = "episode "  # how the names of single returns begin
COMMON = ("return", "gap", "regret", "training_return", "length", "in_band")  # measures of all
INSTALL = 'python -m pip install "banditlab-arena[deep]"'


class Setting(NamedTuple):
    """What a learner is told where it plays."""

    environment: Any  # the problem, an :class:`Environment`
    horizon: int  # steps that will be taken
    seed: int  # of the learner's own luck, 0 to 2**31 - 1
    env_seed: int  # of the environments that it trains in

    def make(self) -> gymnasium.Env[Any, Any]:
        """A fresh environment to train in."""
        return make(self.environment)


class Learner:
    """An algorithm at work: trains, acts, and can be put down and taken up again."""

    steps: int = 0  # taken in all environments so far
    paid: float = 0.0  # rewards of all of them
    exact: bool = True  # whether `save` and `load` go on bit for bit

    def learn(self, pulse: Callable[[], None]) -> None:
        """Train until the horizon, from wherever it is.

        Calls ``pulse`` wherever its state is whole: before the first step, as often as it can, and
        after the last. Whatever ``pulse`` raises ends it.
        """
        raise NotImplementedError

    def act(self, observations: np.ndarray) -> np.ndarray:
        """Actions (n, ...) of the policy as it is, without noise; touches no stream."""
        raise NotImplementedError

    def ended(self) -> list[float]:
        """Returns of the training episodes that ended since this was last asked."""
        return []

    def waiting(self) -> Sequence[float]:
        """What `ended` would return; nothing is taken."""
        return ()

    def losses(self) -> Mapping[str, float]:
        """What training has said of itself last, by name, for whoever watches; nothing is taken."""
        return {}

    def facts(self, observations: np.ndarray) -> dict[str, float]:
        """The algorithm's own measures, on observations of evaluation episodes.

        Of who keeps single returns, at the end these, too: `Table.facts`.
        """
        return {}

    def save(self, folder: Path) -> None:
        """Write all that decides what happens next, without pickle."""
        raise NotImplementedError

    def load(self, folder: Path) -> None:
        """Become what was saved, before the first step."""
        raise NotImplementedError


class Table(NamedTuple):
    """Episodes of which every single return is kept, at the last checkpoint."""

    policies: int
    conditions: tuple[str, ...]
    episodes: int  # of each policy under each condition

    @property
    def shape(self) -> tuple[int, int, int]:
        """Policies, conditions, episodes."""
        return self.policies, len(self.conditions), self.episodes

    def names(self) -> list[str]:
        """What each is called in a record, by policy, condition and episode."""
        cells = itertools.product(range(self.policies), self.conditions, range(self.episodes))
        return [f"{SINGLE}{k + 1} {name} {i}" for k, name, i in cells]

    def facts(self, returns: np.ndarray) -> dict[str, float]:
        """What `Learner.facts` says of returns (policies, conditions, episodes).

        Of policies that were not found there are none.
        """
        return dict(zip(self.names(), returns.ravel().tolist(), strict=False))


class Deep(NamedTuple):
    """An algorithm that learns to act in an environment."""

    params: Any  # NamedTuple of hyper-parameters; the factory's arguments carry the same names
    # (params, setting) -> Learner; imports what it needs where it is called, not before
    learner: Callable[[Any, Setting], Learner]
    needs: tuple[str, ...] = ("torch", "stable_baselines3")  # packages
    facts: tuple[str, ...] = ()  # its own measures, beside those of the protocol
    discrete: bool = False  # whether it can choose among actions without an order
    continuous: bool = True  # whether it can choose vectors
    rewards: tuple[float, float] = (-np.inf, np.inf)
    returns: Table | None = None  # single returns that it keeps beside its measures
    # (params, environment, horizon): ValueError for a horizon in which it would learn nothing
    fits: Callable[[Any, Environment, int], None] = lambda params, environment, horizon: None


class Environment(NamedTuple):
    """A problem: an environment, and what its returns are held against."""

    # NamedTuple of plain values; at least those of :class:`Evaluation`, under the same names
    params: Any
    make: Callable[[Any], gymnasium.Env[Any, Any]]  # (params) -> a fresh environment
    steps: int  # after which an episode is cut; 0 where it is not
    kind: str  # "discrete" or "continuous": its actions
    rewards: tuple[float, float] = (-np.inf, np.inf)


class Evaluation(NamedTuple):
    """What every problem of the protocol says beside its environment."""

    reference: float  # return of an episode that others are held against; nan: none
    episodes: int  # of each evaluation


def make(problem: Environment) -> gymnasium.Env[Any, Any]:
    """A fresh environment, without the wrappers that only look for mistakes of its author."""
    return bare(problem.make(problem.params))


def bare(env: Any) -> Any:
    """The environment without PassiveEnvChecker and OrderEnforcing; they change no number."""
    from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker

    if isinstance(env, OrderEnforcing | PassiveEnvChecker):
        return bare(env.env)
    if isinstance(env, gymnasium.Wrapper):
        env.env = bare(env.env)
    return env


# --- one replication ----------------------------------------------------------------------------


class Trial(NamedTuple):
    """What a policy did in some episodes."""

    returns: np.ndarray  # (episodes,) float64
    lengths: np.ndarray  # (episodes,) int64
    marked: float  # share of all steps with info["in_band"]; nan where there is no such word
    observations: np.ndarray  # (n, ...) some of those seen


def evaluate(
    act: Callable[[np.ndarray], np.ndarray], envs: Sequence[Any], seeds: Sequence[int]
) -> Trial:
    """One episode in each environment; those that still run are acted for in one batch.

    An episode of an environment without a limit ends when the environment says so.
    """
    shown_ = [env.reset(seed=int(seed))[0] for env, seed in zip(envs, seeds, strict=True)]
    returns, lengths = np.zeros(len(envs)), np.zeros(len(envs), np.int64)
    marked, words = 0, False
    seen: list[np.ndarray] = []
    running = list(range(len(envs)))
    every = 1  # steps between two batches of observations that are kept, as few as are needed
    step = 0
    while running:
        batch = np.stack([shown_[i] for i in running])
        if step % every == 0:
            seen.append(batch)
            if len(seen) == 64:
                seen, every = seen[::2], 2 * every
        actions = act(batch)
        left = []
        for i, action in zip(running, actions, strict=True):
            shown_[i], reward, terminated, truncated, info = envs[i].step(action)
            returns[i] += float(reward)
            lengths[i] += 1
            if "in_band" in info:
                words = True
                marked += bool(info["in_band"])
            if not (terminated or truncated):
                left.append(i)
        running = left
        step += 1
    share = marked / float(lengths.sum()) if words else math.nan
    return Trial(returns, lengths, share, np.concatenate(seen))


def play(
    algorithm: Deep,
    problem: Environment,
    horizon: int,
    key: np.ndarray,
    replication: int,
    checkpoints: Sequence[int],
    row: np.ndarray,
    *,
    told: Callable[[int], bool] = lambda steps: False,
    keep: Path | None = None,
    owner: str = "",
    run: str = "",
) -> None:
    """Play one replication into ``row`` (checkpoints, measures).

    Parameters
    ----------
    told
        Called with the steps so far wherever the learner's state is whole; true: stop.
    keep
        A file for the state; one that is there and of the same ``owner`` is gone on from.
    run
        The name under which the active tracker is told of it; empty: it is not.

    Raises
    ------
    Stop
        When told to; the state was kept, if there is a place for it.
    """
    eyes = stream(key, replication, OBSERVATION)
    seeds = [_seed(eyes) for _ in range(problem.params.episodes)]
    given = setting(problem, horizon, key, replication)
    learner = algorithm.learner(algorithm.params, given)
    envs = [make(problem) for _ in seeds]
    if keep is not None and not learner.exact:
        keep = None  # it could not go on to the same numbers
    done, untold = _restore(learner, keep, owner, row) if keep is not None else (0, {})
    tracker = track.active() if run else None
    notes = Notes(tracker, run, horizon, learner, untold) if tracker is not None else None
    kept_at, wait = time.monotonic(), EVERY

    def pulse() -> None:
        nonlocal done, kept_at, wait
        if notes is not None:
            notes.look(learner)
        while done < len(checkpoints) and learner.steps >= checkpoints[done]:
            values = measured(algorithm, problem, learner, envs, seeds)
            reached = learner.steps
            while done < len(checkpoints) and reached >= checkpoints[done]:
                row[done] = values
                done += 1
            if notes is not None:
                notes.evaluated(reached, measures_of(algorithm), values)
        stop = told(learner.steps)
        if keep is not None and (stop or time.monotonic() - kept_at >= wait):
            began = time.monotonic()
            untold = notes.settled(learner) if notes is not None else {}
            _keep(learner, keep, owner, row[:done], untold)
            kept_at = time.monotonic()
            wait = max(EVERY, SHARE * (kept_at - began))
        if stop:
            raise Stop

    try:
        learner.learn(pulse)
        pulse()
    finally:
        for env in envs:
            env.close()


class Notes:
    """What a tracker is told of a replication under way, by step.

    ``train/episode_return`` is the mean of the episodes that ended since the last note, the rest of
    ``train/`` what the library logs; ``evaluation/`` are the measures at checkpoints. Whoever goes
    on from a kept state tells again what came after it, and nothing twice.
    """

    def __init__(
        self,
        tracker: track.Tracker,
        run: str,
        horizon: int,
        learner: Learner,
        untold: dict[str, Any],
    ):
        self.tracker, self.run, self.horizon = tracker, run, horizon
        self.every = max(1, horizon // POINTS)
        self.next = (learner.steps // self.every + 1) * self.every  # steps of the next note
        self.returns: list[float] = untold.get("returns", [])  # of episodes since the last note
        self.losses: dict[str, float] = untold.get("losses", {})  # the latest of each name
        self.seen = len(learner.waiting())  # of its episodes
        tracker.restart(run, learner.steps + 1 if learner.steps else 0)

    def look(self, learner: Learner) -> None:
        """Where a learner's state is whole: a note, if it is time for one."""
        waiting = learner.waiting()
        self.returns.extend(waiting[self.seen :])
        self.seen = len(waiting)
        steps = learner.steps
        if steps < min(self.next, self.horizon):
            return
        self.next = (steps // self.every + 1) * self.every
        self.losses.update(learner.losses())
        said = dict(self.losses)
        if self.returns:
            said["episode_return"] = float(np.mean(self.returns))
            self.returns = []
        self.tell("train", steps, said)

    def evaluated(self, steps: int, names: Sequence[str], values: np.ndarray) -> None:
        """A checkpoint, at which the learner was asked for its episodes."""
        self.seen = 0
        found = zip(names, values.tolist(), strict=True)
        self.tell("evaluation", steps, {k: x for k, x in found if not k.startswith(SINGLE)})

    def tell(self, what: str, steps: int, found: Mapping[str, float]) -> None:
        """Numbers, if there are any."""
        known = {f"{what}/{name}": x for name, x in found.items() if math.isfinite(x)}
        if known:
            self.tracker.scalars(self.run, steps, known)

    def settled(self, learner: Learner) -> dict[str, Any]:
        """Before a state is kept: what was told is written; returns what will yet be told."""
        self.tracker.flush()
        self.losses.update(learner.losses())
        return {"returns": self.returns, "losses": self.losses}


def measured(
    algorithm: Deep, problem: Environment, learner: Learner, envs: Sequence[Any], seeds: list[int]
) -> np.ndarray:
    """What is recorded of a learner as it is, (measures,)."""
    trial = evaluate(learner.act, envs, seeds)
    mean, reference = float(trial.returns.mean()), float(problem.params.reference)
    ended = learner.ended()
    found = {
        "return": mean,
        "gap": reference - mean,
        "regret": reference * learner.steps / problem.steps - learner.paid
        if problem.steps
        else math.nan,
        "training_return": float(np.mean(ended)) if ended else math.nan,
        "length": float(trial.lengths.mean()),
        "in_band": trial.marked,
        **learner.facts(trial.observations),
    }
    return np.array([found.get(name, math.nan) for name in measures_of(algorithm)])


def measures_of(algorithm: Deep) -> tuple[str, ...]:
    """What is recorded: the measures, and, of who keeps them, single returns."""
    table = algorithm.returns
    return (*curves_of(algorithm), *(table.names() if table else ()))


def curves_of(algorithm: Deep) -> tuple[str, ...]:
    """What of it makes curves: the measures of everybody, and the algorithm's own."""
    return (*COMMON, *algorithm.facts)


def curves_only(algorithm: Deep, record: np.ndarray, points: np.ndarray) -> Any:
    """Measures and their values (replications, checkpoints, measures), without single returns."""
    names = curves_of(algorithm)
    return names, record[:, :, : len(names)]


def returns_of(algorithm: Deep, record: np.ndarray) -> dict[str, np.ndarray]:
    """The single returns of a record (replications, checkpoints, all), one row an episode.

    Columns: replication, policy (from 1, in the order in which they were found), condition,
    episode, return.
    """
    table = algorithm.returns
    assert table is not None
    values = record[:, -1, len(curves_of(algorithm)) :].ravel()
    known = ~np.isnan(values)
    shape = (len(record), *table.shape)
    replication, policy, condition, episode = (x.ravel()[known] for x in np.indices(shape))
    return {
        "replication": replication,
        "policy": policy + 1,
        "condition": np.array(table.conditions)[condition],
        "episode": episode,
        "return": values[known],
    }


def setting(problem: Environment, horizon: int, key: np.ndarray, replication: int) -> Setting:
    """What a learner is told in a replication."""
    luck, nature = stream(key, replication, AGENT), stream(key, replication, NATURE)
    return Setting(problem, horizon, _seed(luck), _seed(nature))


def _seed(rng: np.ndarray) -> int:
    """A seed for whoever takes one of 31 bits."""
    with np.errstate(over="ignore"):
        return int(random.next_word(rng) >> np.uint64(33))


def _keep(
    learner: Learner, path: Path, owner: str, rows: np.ndarray, untold: Mapping[str, Any]
) -> None:
    """Write learner and rows in one file, which appears whole or not at all."""
    about = {
        "owner": owner, "steps": learner.steps, "rows": _words(rows), "untold": untold
    }  # fmt: skip
    data = io.BytesIO()
    with tempfile.TemporaryDirectory() as name, zipfile.ZipFile(data, "w") as file:
        learner.save(Path(name))
        for member in sorted(Path(name).iterdir()):
            file.write(member, member.name)
        file.writestr("about.json", json.dumps(about))
    atomic.write_bytes(path, data.getvalue())


def _words(rows: np.ndarray) -> list[list[str]]:
    """Numbers as text that every float survives, nan included."""
    return [[repr(float(x)) for x in values] for values in rows]


def _restore(
    learner: Learner, path: Path, owner: str, row: np.ndarray
) -> tuple[int, dict[str, Any]]:
    """Go on from a file, if it is whole and of this owner.

    Returns the checkpoints that it holds, and what its notes have not told. A file that is not
    believed is named and not used.
    """
    if not path.is_file():
        return 0, {}
    try:
        with zipfile.ZipFile(path) as file, tempfile.TemporaryDirectory() as name:
            about = json.loads(file.read("about.json"))
            if about["owner"] != owner:
                raise ValueError("it is of another run")
            broken = file.testzip()
            if broken:
                raise ValueError(f"{broken} is damaged")
            for member in file.namelist():
                if member != Path(member).name:
                    raise ValueError(f"it holds {member!r}")
                (Path(name) / member).write_bytes(file.read(member))
            rows = np.array([[float(x) for x in values] for values in about["rows"]])
            untold = dict(about.get("untold", {}))  # 0.3.0 kept none
            learner.load(Path(name))
    except Exception as error:  # a damaged file may fail in any way
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise Unusable(f"{path.name} in {path.parent} is not used, for {why}") from error
    if len(rows):
        row[: len(rows)] = rows
    return len(rows), untold


class Unusable(Exception):
    """A kept state cannot be believed; the learner that was to become it is spoilt, too."""


# --- the process of a replication ---------------------------------------------------------------


def played(words: Mapping[str, Any], told: Callable[[int], bool]) -> list[list[str]]:
    """The rows of a replication, in its process; see :mod:`banditlab.protocols.loops.apart`."""
    algorithm: Any = registry.make(words["agent"][0], **words["agent"][1])
    problem = registry.make_problem(words["problem"][0], **words["problem"][1])
    points, keep = words["checkpoints"], Path(words["keep"]) if words["keep"] else None
    row = np.zeros((len(points), len(measures_of(algorithm))))
    key = np.array(words["key"], dtype=np.uint64)
    what = (algorithm, problem, words["horizon"], key, words["replication"], points, row)
    given: dict[str, Any] = {
        "told": told, "keep": keep, "owner": words["owner"], "run": words["run"]
    }  # fmt: skip
    tracker = track.unpacked(words["tracker"])
    with track.using(tracker) if tracker else nullcontext():
        try:
            play(*what, **given)
        except Unusable as error:
            print(f"{error}: computed anew", file=sys.stderr)
            Path(words["keep"]).unlink(missing_ok=True)
            play(*what, **given)
    return _words(row)


def alone(
    algorithm: Deep,
    problem: Environment,
    task: Steps,
    key: np.ndarray,
    replication: int,
    checkpoints: np.ndarray,
    progress: np.ndarray,
    row: np.ndarray,
    aside: Aside = NOTHING,
) -> float:
    """One replication in a process of its own into ``row``; returns its CPU time in seconds."""
    words = {
        "agent": _recipe("agent", algorithm),
        "problem": _recipe("problem", problem),
        "horizon": task.horizon,
        "key": [int(word) for word in key],
        "replication": int(replication),
        "checkpoints": [int(t) for t in checkpoints],
        **aside._asdict(),
    }
    who = f"replication {replication} of {words['agent'][0]}"
    order = apart.Order(f"{__name__}:{played.__name__}", words, task.horizon, who)
    found, seconds = apart.play(order, progress)
    if found is not None:
        row[:] = [[float(x) for x in values] for values in found]
    return seconds


def run_block(algorithm, problem, task, key, first, log_rounds, checkpoints, progress, record):
    """Replications ``first, first + 1, ...``, one after the other; see online.run_block."""
    for i in range(record.shape[0]):
        alone(algorithm, problem, task, key, first + i, checkpoints, progress, record[i])
        if progress[1] != 0:
            return


def _recipe(kind: str, noun: Any) -> tuple[str, dict[str, Any]]:
    """Name and arguments from which another process makes the same."""
    home = sys.modules[type(noun.params).__module__]
    own_file = home.__name__.startswith(registry.FILE)
    name = str(home.__file__) if own_file else home.__name__.rpartition(".")[2]
    return name, _plain(noun.params._asdict())


def _plain(value: Any) -> Any:
    """As JSON holds it, and the factories take it."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


class Steps(NamedTuple):
    """What decides the numbers beside algorithm and problem."""

    horizon: int
    code: str  # a hash of the code that trains, and the versions of what it stands on


def task(terms: Terms) -> Steps:
    """How long, and by which code."""
    return Steps(terms.horizon, _code(terms.algorithm, terms.problem)[1])


def _code(algorithm: Deep, problem: Environment) -> tuple[str, str]:
    """Names of the code that decides the numbers: alone, and with the versions of packages.

    It is what the algorithm and the problem say and import of us, and what this file says of a
    replication. Libraries count by their versions; other modules that a file of one's own imports
    are not looked into.
    """
    nouns = (algorithm.params, algorithm.learner, problem.params, problem.make)
    name = spoken.digest(nouns, (play, measured, evaluate, setting, make, bare, _seed))
    versions = []
    for package in ("gymnasium", "mujoco", *algorithm.needs):
        with suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{package} {importlib.metadata.version(package)}")
    return name, f"{name}, {', '.join(versions)}"


def loop(terms: Terms, checkpoints: np.ndarray) -> Loop:
    """Nothing is compiled: replications are processes."""
    algorithm, singles = terms.algorithm, terms.algorithm.returns is not None
    return Loop(
        run_block,
        algorithm,
        terms.problem,
        task(terms),
        checkpoints,
        measures_of(algorithm),
        python=True,
        code=_code(algorithm, terms.problem)[0],
        alone=alone,
        finish=partial(curves_only, algorithm) if singles else None,
        returns=partial(returns_of, algorithm) if singles else None,
    )


def refuse(terms: Terms) -> None:
    """Refuse an algorithm whose packages are missing, that cannot choose such actions, or learn."""
    for package in terms.algorithm.needs:
        if importlib.util.find_spec(package) is None:
            raise ValueError(f"{terms.who} needs {package}: {INSTALL}")
    if not getattr(terms.algorithm, terms.problem.kind):
        raise ValueError(
            f"{terms.who} cannot play {terms.what}, whose actions are {terms.problem.kind}"
        )
    terms.algorithm.fits(terms.algorithm.params, terms.problem, terms.horizon)


def spaced(points: list[int], horizon: int) -> list[int]:
    """The checkpoints asked for; where nobody has asked, FEW evenly spaced ones."""
    if len(points) > MANY:
        points = [round(horizon * i / FEW) for i in range(1, FEW + 1)]
    return sorted({t for t in points if 1 <= t < horizon} | {horizon})


# --- in other code ------------------------------------------------------------------------------


class GymAgent(Agent):
    """An algorithm that learns to act in a Gymnasium environment, in this process.

    Parameters
    ----------
    algorithm
        A name of ``banditlab.names()``, a ``.py`` file, or what ``banditlab.make`` returns.
    id
        The environment's, for instance ``Pendulum-v1``; or what ``banditlab.make_problem`` returns.
    horizon
        Steps that :meth:`learn` takes.
    seed
        Same seed, same policy, on one thread. The streams are those of replication 0 of an arena.
    hyper
        Hyper-parameters of the algorithm when it is given by name.

    >>> import banditlab, numpy
    >>> agent = banditlab.Agent("random_policy", id="Pendulum-v1", horizon=10).learn()
    >>> agent.act(numpy.zeros(3)).shape, agent.t
    ((1,), 10)
    """

    arguments = ("horizon",)

    def __init__(self, algorithm: Any, *, id: Any, horizon: int, seed: int = 0, **hyper: Any):
        super().__init__(algorithm, seed=seed, **hyper)
        horizon = integer("horizon", horizon, 1)
        self.problem = registry.make_problem("gym_env", id=id) if isinstance(id, str) else id
        if not isinstance(self.problem, Environment):
            raise ValueError(f"id must be that of a Gymnasium environment, got {shown(id)}")
        terms = Terms(self.algorithm, self.problem, horizon, who=self.name)
        refuse(terms)
        self.task = task(terms)
        self.state = ()
        self.learner = self._fresh()

    def _fresh(self) -> Learner:
        given = setting(self.problem, self.task.horizon, self._key, 0)
        return self.algorithm.learner(self.algorithm.params, given)

    def learn(self, pulse: Callable[[], None] = lambda: None) -> Self:
        """Train to the horizon; returns the agent.

        ``pulse`` is called wherever the state is whole, and may raise to end it.
        """
        self.learner.learn(pulse)
        self.t = self.learner.steps
        return self

    def act(self, x: Any = None) -> Any:
        """The policy's action for one observation, or those for a batch of them."""
        seen = np.asarray(x)
        single = seen.ndim == 1
        actions = self.learner.act(seen[None] if single else seen)
        return actions[0] if single else actions

    def evaluate(self, episodes: int = 10, seed: int = 0) -> Trial:
        """What the policy does in so many fresh episodes, without noise."""
        envs = [make(self.problem) for _ in range(integer("episodes", episodes, 1))]
        return evaluate(self.learner.act, envs, range(seed, seed + episodes))

    def save(self, path: str | Path) -> None:
        """Write all that decides what happens next to ``path``, without pickle.

        Raises ValueError in the middle of a training whose environments cannot be put down.
        """
        if not self.learner.exact and self.learner.steps < self.task.horizon:
            raise ValueError(
                f"{self.name} cannot be saved before it has learned: the state of its environments "
                "cannot be read"
            )
        _keep(self.learner, Path(path), self._owner, np.zeros((0, 0)), {})

    def restore(self, path: str | Path) -> Self:
        """Become what an agent of the same settings has saved; returns the agent.

        Raises ValueError for a file that is missing or cannot be believed; the agent is a fresh one
        then.
        """
        if not Path(path).is_file():
            raise ValueError(f"no such file: {path}")
        try:
            _restore(self.learner, Path(path), self._owner, np.zeros((0, 0)))
        except Unusable as error:
            self.learner = self._fresh()
            self.t = 0
            raise ValueError(str(error)) from error
        self.t = self.learner.steps
        return self

    def rehearse(self) -> None:
        """Nothing is compiled."""

    @property
    def _owner(self) -> str:
        return repr((self.algorithm.params, self.problem.params, self.task))

    def __reduce__(self) -> Any:
        raise TypeError(f"{self.name} cannot be pickled: save it, and restore it elsewhere")

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        raise TypeError(f"{self.name} cannot be copied: save it, and restore it elsewhere")


# --- the contract -------------------------------------------------------------------------------


def begins_ends_and_tells(name: str, problem: Environment) -> None:
    """Steps stay in the spaces that the environment states, and the seed decides what happens."""
    seen = []
    for _ in range(2):
        env = make(problem)
        observation, _ = env.reset(seed=1)
        env.action_space.seed(1)
        assert env.observation_space.contains(observation), f"{name}: {observation} is outside"
        for _ in range(5):
            observation, reward, *_ = env.step(env.action_space.sample())
            assert env.observation_space.contains(observation), f"{name}: {observation} is outside"
            assert math.isfinite(float(reward)), f"{name}: reward {reward}"
        seen.append(np.asarray(observation).tobytes())
        env.close()
    assert seen[0] == seen[1], f"{name}: one seed, two courses"


PROTOCOL = Protocol(
    name="gym",
    algorithm=Deep,
    problem=Environment,
    measures=(
        Measure("return", "return of an episode", more=True),
        Measure("gap", "return of the reference less that of the policy"),
        Measure("regret", "regret of training"),
        Measure("training_return", "return of training episodes", more=True),
        Measure("length", "steps of an episode", more=True),
        Measure("in_band", "share of steps within the band", more=True),
        Measure("value", "value of the policy, says its critic", more=True),
        Measure(
            "lift", "value of the policy less that of uniform actions, says its critic", more=True
        ),
        Measure("model_error", "squared error of the model on steps held out"),
        Measure("beats_first", "wins of its trajectories against its first ones", more=True),
        Measure("early", "true return before the last quarter", more=True),
        Measure("late", "true return of the last quarter", more=True),
    ),
    xlabel="step",
    task=task,
    loop=loop,
    refuse=refuse,
    checkpoints=spaced,
    face=GymAgent,
    environment="deep",
    contract=Contract(
        example=lambda algorithm: ("gym_env", {"id": "Pendulum-v1", "episodes": 2}),
        probe="random_policy",
        sound=(begins_ends_and_tells,),
    ),
)
