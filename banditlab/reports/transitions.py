"""Offline planning outside the arenas: a Gymnasium environment or a log of transitions.

An environment that lists its transitions is solved exactly and becomes an `arena`. For any other
with discrete states and actions, `play` logs evenly drawn actions. What agents make of a log, be
it that one or a file (`report`), is always judged in the same way: they learn from one half of the
episodes, drawn at random, and what they learned is valued on the other half, by fitted-Q
evaluation (FQE) and weighted per-decision importance sampling (WPDIS); a policy valued on the rows
it was learned from looks better than it is. Where there is an environment, it is played too.

Values are discounted returns from the first state, as if no time limit cut an episode off: that is
what agents plan for. In FQE a pair that is not in the valuing half is worth ``v_min``.
"""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from banditlab import registry
from banditlab.curves import write_text
from banditlab.data.model import Model
from banditlab.data.transitions import Dataset
from banditlab.mdp import discount
from banditlab.offpolicy import Estimate, fqe, wpdis
from banditlab.protocols import offline_mdp
from banditlab.protocols.offline import Offline
from banditlab.protocols.offline_mdp import OfflineMDP, learn
from banditlab.statistics import t_interval
from banditlab.validate import integer

if TYPE_CHECKING:
    from rich.console import Console

Progress = Callable[[str, int, int], None]  # what is under way, how much is done, and of how much
Settings = Mapping[str, Mapping[str, Any]]  # hyper-parameters by agent

ROWS, REPLICATIONS, EPISODES = 100_000, 20, 1000  # logged, of an arena, played
GAMMA = 0.95
CONTROL = "behaviour"  # who made the log
COMPANY = ("bc", "vi_ce", CONTROL)
MODEL = ("gamma", "horizon", "v_min", "v_max")
TAIL = 1e-4  # play until gamma^t is below
SHOWN = 30  # states printed
FEW = 4  # episodes, at least, for two halves
LARGEST_FQE = 2000  # states
LARGEST_WPDIS = 20_000_000  # episodes times steps


# --- environments -------------------------------------------------------------------------------


def make_environment(id: str, options: Any = None, **more: Any) -> Any:
    """The Gymnasium environment ``id``, made with ``options``, which must be discrete.

    Raises ValueError, in one line, if it cannot be made or has other spaces.
    """
    import gymnasium
    from gymnasium.spaces import Discrete

    if not isinstance(options or {}, dict):
        raise ValueError(f'problem.options must look like {{"name": value}}, got {options!r}')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            env = gymnasium.make(id, **{**(options or {}), **more})
    except Exception as error:  # of Gymnasium, which names what to use instead, or of its maker
        said = " ".join(str(error).split())
        kind = "" if isinstance(error, gymnasium.error.Error) else f"{type(error).__name__}: "
        raise ValueError(f"{id}: {kind}{said}") from error
    for what, space in (("states", env.observation_space), ("actions", env.action_space)):
        if not isinstance(space, Discrete) or space.start != 0:
            env.close()
            raise ValueError(f"{id}: {what} must be Discrete from 0, got {space}")
    return env


def has_table(id: str, options: Any = None) -> bool:
    """Whether the environment lists its transitions; ValueError as of `make_environment`."""
    env = make_environment(id, options)
    bare = env.unwrapped
    known = all(getattr(bare, name, None) is not None for name in ("P", "initial_state_distrib"))
    env.close()
    return known


def arena(
    id: str,
    names: Sequence[str],
    settings: Settings | None = None,
    parameters: Mapping[str, Any] | None = None,
    *,
    horizon: int | None = None,
    replications: int | None = None,
    seed: int | None = None,
) -> dict[str, Any]:
    """The arena, as a TOML file would hold it, of an environment that lists its transitions.

    ``parameters`` are those of the problem ``toytext``. Raises ValueError, in one line, for
    whatever does not fit.
    """
    settings, parameters = settings or {}, dict(parameters or {})
    algorithms(names, settings)
    for given in {"name", "id"} & set(parameters):
        raise ValueError(f"--set problem.{given}: that is what --env says")
    problem = registry.make_problem("toytext", id=id, **parameters)
    case = getattr(problem.params, "case", problem.params)
    span = case.mdp.v_max - case.mdp.v_min
    rows = horizon or ROWS
    return {
        "name": "env-" + re.sub(r"[^A-Za-z0-9._-]+", "-", id),
        "title": f"{id}: learning from a log",
        "panels": [{"name": id}],
        "protocol": "offline_mdp",
        "problem": {"name": "toytext", "id": id, **parameters},
        "agents": [{"name": name, **_hyper(name, settings)} for name in names],
        "horizon": rows,
        "checkpoints": round_numbers(rows),
        "replications": replications or REPLICATIONS,
        "seed": seed or 0,
        "yscale": "symlog",
        "linthresh": float(f"{span / 1000:.0e}"),
    }


def round_numbers(last: int) -> list[int]:
    """1 and 3 times powers of ten, from about 100 on, and ``last``."""
    low = min(100, max(1, last // 100))
    found = [m * 10**k for k in range(len(str(last))) for m in (1, 3)]
    return [n for n in found if low <= n < last] + [last]


def play(
    id: str,
    names: Sequence[str],
    settings: Settings | None = None,
    parameters: Mapping[str, Any] | None = None,
    *,
    rows: int = ROWS,
    episodes: int = EPISODES,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[dict[str, Any], Dataset]:
    """Log evenly drawn actions in an environment, plan, estimate, and play what was learned.

    Parameters
    ----------
    id
        Of a Gymnasium environment with discrete states and actions.
    names, settings
        Agents, and their hyper-parameters.
    parameters
        ``gamma`` (0.95), ``horizon`` (0: discounted), ``v_min``, ``v_max``, and ``options`` of
        ``gymnasium.make``.
    rows
        Steps logged. The log keeps to the time limit of the environment, or to as many steps as
        count if it has none.
    episodes
        Played with every policy, for as many steps as count: until gamma^t is below 1e-4.
    seed, progress
        One seed, one result. ``progress`` is told what is under way, how much is done, and of
        how much.

    Returns the summary, plain data that is ready for JSON, and the log. Raises ValueError, in one
    line, for whatever does not fit, before the first step where that can be known.
    """
    parameters = dict(parameters or {})
    options = parameters.pop("options", None)
    known = algorithms(names, settings or {})
    task = _task(parameters, ("options",))
    rows, episodes = integer("rows", rows, 1), integer("episodes", episodes, 1)
    limit = task["horizon"] or _steps_that_count(task["gamma"])
    stages = _Stages(1 + 2 * len({*known, CONTROL}), progress)
    with closing(make_environment(id, options)) as env:
        S, A = int(env.observation_space.n), int(env.action_space.n)
        # Whatever an agent refuses it refuses now.
        one = np.zeros(1, np.int64)
        blank = Dataset(one, one, one, one, one + 1, one, None, one, n_states=S, n_actions=A)
        for algorithm in known.values():
            learn(algorithm, blank.model(**task))
        stages.begin("logging")
        longest = env.spec.max_episode_steps or limit
        longest = min(longest, task["horizon"] or longest)
        watched = _watched(env, longest, lambda steps, _: stages.show(steps / rows))
        data = Dataset.collect(watched, steps=rows, seed=seed)
    evenly = np.full((1, S, A), 1.0 / A)
    values, notes = _values(data, known, task, seed, stages, evenly)
    luck = int(np.random.SeedSequence([seed, 1]).generate_state(1)[0])
    for row in values:
        policy = row.pop("policy")
        stages.begin(f"playing {row['agent']}")
        unlimited = {"max_episode_steps": -1, "disable_env_checker": True}
        with closing(make_environment(id, options, **unlimited)) as env:
            watched = _watched(env, limit, lambda _, begun: stages.show(begun / episodes))
            played = Dataset.collect(watched, policy, episodes=episodes, seed=luck)
        row["played"] = _mean(_returns(played, task["gamma"]))
    notes.insert(0, f"played: mean of {episodes:,} episodes, actions of {CONTROL} drawn evenly")
    found = {"env": id, "log": None, **_facts(data, task)}
    return {**found, "policies": values, "states": [], "notes": notes}, data


def save(found: Mapping[str, Any], data: Dataset, folder: Path) -> None:
    """Write ``log.parquet`` and ``summary.json``, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / ".log.parquet"
    try:
        data.write(unfinished)
        unfinished.replace(folder / "log.parquet")
    finally:
        unfinished.unlink(missing_ok=True)
    write_text(folder / "summary.json", json.dumps(found, indent=1) + "\n")


def _steps_that_count(gamma: float) -> int:
    return max(1, math.ceil(math.log(TAIL) / math.log(gamma))) if gamma > 0.0 else 1


def _returns(data: Dataset, gamma: float) -> np.ndarray:
    """The discounted return of each episode."""
    return np.add.reduceat(gamma**data.step * data.reward, data.starts)


def _mean(returns: np.ndarray) -> dict[str, Any]:
    mean, _, lo, hi = (float(v[0]) for v in t_interval(returns[:, None]))
    known = returns.size > 1
    return {
        "value": mean,
        "lo": lo if known else None,
        "hi": hi if known else None,
        "episodes": returns.size,
    }


def _watched(env: Any, limit: int, told: Callable[[int, int], None]) -> Any:
    """``env`` with a time limit, which tells how many steps and episodes have begun."""
    import gymnasium

    class Watched(gymnasium.Wrapper):
        steps = episodes = 0

        def step(self, action: Any) -> Any:
            self.steps += 1
            if self.steps % 200 == 0:
                told(self.steps, self.episodes)
            return self.env.step(action)

        def reset(self, **given: Any) -> Any:
            self.episodes += 1
            return self.env.reset(**given)

    return Watched(gymnasium.wrappers.TimeLimit(env, limit))


class _Stages:
    """Progress over several stages that count alike."""

    def __init__(self, count: int, progress: Progress | None):
        self.count, self.progress, self.stage, self.what = count, progress, -1, ""

    def begin(self, what: str) -> None:
        self.stage, self.what = self.stage + 1, what
        self.show(0.0)

    def show(self, share: float) -> None:
        if self.progress is not None:
            done = int(1000 * (self.stage + min(share, 1.0)))
            self.progress(self.what, done, 1000 * self.count)


# --- logs ---------------------------------------------------------------------------------------


def is_dataset(path: str | Path) -> bool:
    """Whether the file is a readable table with a column ``next_state``."""
    path = Path(path)
    try:
        if path.suffix == ".csv":
            import pandas

            return "next_state" in pandas.read_csv(path, nrows=0).columns
        if path.suffix == ".parquet":
            from pyarrow.parquet import read_schema

            return "next_state" in read_schema(path).names
    except Exception:  # whoever reads it in earnest says what is wrong
        pass
    return False


def report(
    source: Any,
    names: Sequence[str],
    settings: Settings | None = None,
    parameters: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """What agents learn from a log of transitions, and what that is worth; plain data.

    Parameters
    ----------
    source
        Path of a CSV or Parquet file, a pandas frame, or a :class:`banditlab.Dataset`.
    names, settings, parameters, seed, progress
        See `play`; there are no ``options``. The seed decides the halves too.

    Raises ValueError, in one line, for whatever does not fit.
    """
    known = algorithms(names, settings or {})
    task = _task(parameters or {})
    data = Dataset.of(source)
    model = data.model(**task)
    values, notes = _values(data, known, task, seed, _Stages(len({*known, CONTROL}), progress))
    for value in values:
        del value["policy"]
    counts = data.counts()
    # Who goes on as logged chooses no action.
    rules = {name: learn(known[name], model, seed)[0] for name in known if name != CONTROL}
    states = []
    for s in np.flatnonzero(counts.sum(axis=1)):
        row: dict[str, Any] = {"state": int(s), "rows": int(counts[s].sum()), "actions": {}}
        for name, rule in rules.items():
            best = np.flatnonzero(rule[s])  # actions in a tie are alike; the first stands for them
            row["actions"][name] = {"best": best.tolist(), "rows": int(counts[s, best[0]])}
        states.append(row)
    found = {"env": None, "log": Path(source).name if isinstance(source, str | Path) else None}
    return {**found, **_facts(data, task), "policies": values, "states": states, "notes": notes}


def algorithms(names: Sequence[str], settings: Settings) -> dict[str, OfflineMDP | Offline]:
    """The agents by label; ValueError for one that is unknown or does not plan from a log."""
    found: dict[str, OfflineMDP | Offline] = {}
    for name in names:
        label = Path(name).stem if name.endswith(".py") else name
        algorithm = registry.make(name, **_hyper(name, settings))
        if not offline_mdp.PROTOCOL.speaks(algorithm):
            raise ValueError(
                f"agent {label!r} learns while it plays; wanted is one that plans from a log, "
                "such as vi_lcb"
            )
        if label in found:
            raise ValueError(f"agent {label!r} is named twice")
        found[label] = algorithm
    for given in settings:
        if given not in (*names, *found):
            raise ValueError(f"--set: {registry.unknown('agent', given, found)}")
    return found


def company(agent: str | None, rivals: Sequence[str]) -> list[str]:
    """Who learns: ``agent``, by default vi_lcb, and its rivals, those named or else the usual."""
    if rivals:
        return list(dict.fromkeys([agent, *rivals] if agent else rivals))
    return list(dict.fromkeys([agent or "vi_lcb", *COMPANY]))


def _hyper(name: str, settings: Settings) -> dict[str, Any]:
    return {**settings.get(Path(name).stem, {}), **settings.get(name, {})}


def _task(parameters: Mapping[str, Any], others: tuple[str, ...] = ()) -> dict[str, Any]:
    """What `Dataset.model` is asked for."""
    for given in parameters:
        if given not in MODEL:
            line = registry.unknown("argument", given, (*MODEL, *others))
            raise ValueError(f"--set problem: {line}")
    task: dict[str, Any] = {"gamma": GAMMA, "horizon": 0, **parameters}
    task["horizon"] = integer("horizon", task["horizon"], 0)
    task["gamma"] = 1.0 if task["horizon"] > 0 else discount(task["gamma"])
    return task


def _facts(data: Dataset, task: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "rows": len(data),
        "episodes": int(data.starts.size) if data.episode is not None else None,
        "n_states": data.n_states,
        "n_actions": data.n_actions,
        "gamma": task["gamma"],
        "horizon": task["horizon"],
    }


def _accepted(known: Mapping[str, OfflineMDP | Offline], data: Dataset) -> None:
    for name, algorithm in known.items():
        low, high = algorithm.rewards
        for row in np.flatnonzero((data.reward < low) | (data.reward > high))[:1]:
            raise ValueError(
                f"reward: row {row} has {data.reward[row]:g}, but agent {name!r} needs rewards in "
                f"[{low:g}, {high:g}]"
            )


def halves(data: Dataset, seed: int) -> tuple[Dataset, Dataset]:
    """The dataset cut in two at random: whole episodes, or rows if they are independent."""
    starts = data.starts
    learning = np.zeros(starts.size, np.bool_)
    learning[np.random.default_rng(seed).permutation(starts.size)[: starts.size // 2]] = True
    rows = np.repeat(learning, np.diff(np.append(starts, len(data))))
    return data.take(rows), data.take(~rows)


def _values(
    data: Dataset,
    known: Mapping[str, OfflineMDP | Offline],
    task: Mapping[str, Any],
    seed: int,
    stages: _Stages,
    made_by: np.ndarray | None = None,
) -> tuple[list[dict[str, Any]], list[str]]:
    """A row per agent and one for who made the log: its policy, learned from a half, and values.

    ``made_by`` is the policy behind the log, if it is known; else it is read off the learning half.
    """
    units = "episodes" if data.episode is not None else "rows"
    _accepted(known, data)
    judged = {CONTROL: registry.make(CONTROL), **known}
    judged[CONTROL] = judged.pop(CONTROL)  # the last row
    enough = data.starts.size >= FEW
    training, test = halves(data, seed) if enough else (data, data)
    whole = data.model(**task)
    model = training.model(**{**task, "v_min": whole.v_min, "v_max": whole.v_max})
    notes = [
        f"learned from one half of the {units}, drawn at random; estimated from the other half, "
        f"where FQE takes a pair without rows, in a bootstrap draw too, for worth {whole.v_min:g}"
    ]
    if not enough:
        notes = [f"nothing is estimated: that needs at least {FEW} {units}"]
    reasons = _left_out(test) if enough else {"fqe": "", "wpdis": ""}
    notes += [reason for reason in reasons.values() if reason]
    if enough and data.episode is None:
        notes.append("no column 'episode', so values are those of a state drawn from the rows")
    rows = []
    for name, algorithm in judged.items():
        stages.begin(f"estimating {name}")
        policy = learn(algorithm, model, seed)
        if name == CONTROL and made_by is not None:
            policy = made_by
        values = _estimates(test, policy, task, whole, seed, reasons)
        rows.append({"agent": name, "played": None, **values, "policy": policy})
    if any(row["wpdis"] and row["wpdis"]["ess"] < 50 for row in rows):
        notes.append("ESS: episodes that speak for WPDIS; trust no interval of fewer than 50")
    return rows, notes


def _left_out(test: Dataset) -> dict[str, str]:
    """Which estimates cannot be had, and why."""
    reasons = {}
    if test.n_states > LARGEST_FQE:
        reasons["fqe"] = f"no FQE: {test.n_states:,} states, of at most {LARGEST_FQE:,}"
    absent = [name for name in ("propensity", "episode") if getattr(test, name) is None]
    if absent:
        reasons["wpdis"] = f"no WPDIS: there is no column {absent[0]!r}"
    elif test.starts.size * (1 + int(test.step.max())) > LARGEST_WPDIS:
        reasons["wpdis"] = "no WPDIS: too many and too long episodes"
    return reasons


def _estimates(
    test: Dataset,
    policy: np.ndarray,
    task: Mapping[str, Any],
    model: Model,
    seed: int,
    left_out: Mapping[str, str],
) -> dict[str, Any]:
    # An interval to two digits needs no more than 200 draws, where each is dear.
    draws = int(np.clip(min(1e7 / test.starts.size, 1e8 / test.n_states**2), 200, 1000))
    values: dict[str, Any] = {"fqe": None, "wpdis": None}
    if "fqe" not in left_out:
        start = None
        if test.episode is None:
            start = np.bincount(test.state, minlength=test.n_states) / len(test)
        found = fqe(
            test, policy, task["gamma"], horizon=task["horizon"], start=start,
            unseen=model.v_min, draws=draws, seed=seed,
        )  # fmt: skip
        values["fqe"] = _plain(found)
        del values["fqe"]["ess"]
    if "wpdis" not in left_out:
        values["wpdis"] = _plain(wpdis(test, policy, task["gamma"], draws=draws, seed=seed))
        if values["wpdis"]["ess"] == 0.0:  # no episode does to its end what the policy does
            values["wpdis"].update(value=None, lo=None, hi=None)
    return values


def _plain(estimate: Estimate) -> dict[str, float | None]:
    """None in the place of nan, which JSON does not know."""
    return {k: v if math.isfinite(v) else None for k, v in estimate._asdict().items()}


# --- printing -----------------------------------------------------------------------------------


def render(report: Mapping[str, Any], console: Console) -> None:
    """Print what `play` or `report` found as tables."""
    from rich.markup import escape
    from rich.table import Table

    episodes = "" if report["episodes"] is None else f" in {report['episodes']:,} episodes"
    console.print(
        f"{report['env'] or report['log'] or 'log'}: {report['rows']:,} rows{episodes}, "
        f"{report['n_states']} states, {report['n_actions']} actions",
        highlight=False,
        markup=False,
    )
    if report["states"]:
        first = "First action" if report["horizon"] else "Action"
        table = Table(title=f"{first} to take, N(s, a)")
        names = list(report["states"][0]["actions"])
        for name in ("state", "rows", *map(escape, names)):
            table.add_column(name, justify="right")
        for row in report["states"][:SHOWN]:
            choices = [_choice(row["actions"][name], report["n_actions"]) for name in names]
            table.add_row(str(row["state"]), f"{row['rows']:,}", *choices)
        console.print(table)
        if len(report["states"]) > SHOWN:
            console.print(
                f"The first {SHOWN} of {len(report['states'])} states; --json has all.",
                highlight=False,
            )
    what = f"return in {report['horizon']} steps" if report["horizon"] else (
        f"discounted return, gamma {report['gamma']:g}"
    )  # fmt: skip
    table = Table(title=f"Worth of each policy: {what}, with 95% intervals")
    table.add_column("agent")
    titles = {"played": "played", "fqe": "FQE", "wpdis": "WPDIS"}
    shown = [key for key in titles if any(row[key] for row in report["policies"])]
    for key in shown:
        table.add_column(titles[key], justify="right")
    if "wpdis" in shown:
        table.add_column("ESS", justify="right")
    for row in report["policies"]:
        cells = [_interval(row[key]) for key in shown]
        if "wpdis" in shown:
            cells.append(f"{row['wpdis']['ess']:,.0f}")
        table.add_row(escape(row["agent"]), *cells)
    if shown:
        console.print(table)
    for note in report["notes"]:
        console.print(f"{note[0].upper()}{note[1:]}.", highlight=False, markup=False, style="dim")


def _interval(found: Mapping[str, Any]) -> str:
    if found["value"] is None:
        return "unknown"
    text = _short(found["value"])
    return (
        text if found["lo"] is None else f"{text} ({_short(found['lo'])} to {_short(found['hi'])})"
    )


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _choice(choice: Mapping[str, Any], n_actions: int) -> str:
    """Action and rows, for instance "3 (412)"; some actions of a tie, or "any"."""
    best = choice["best"]
    text = "/".join(str(a) for a in best[:3]) + ("/.." if len(best) > 3 else "")
    return f"{'any' if len(best) == n_actions else text} ({choice['rows']:,})"


# --- the command line ---------------------------------------------------------------------------

FLAGS = ("vs", "seed")
SPENDS = False


def command(
    path: str, agent: str, settings: dict[str, dict[str, Any]], progress: Progress,
    vs: Sequence[str] = (), **flags: Any,
) -> dict[str, Any]:  # fmt: skip
    """The report of planners on a file."""
    parameters = settings.pop("problem", {})
    return report(path, company(agent, vs), settings, parameters, progress=progress, **flags)
