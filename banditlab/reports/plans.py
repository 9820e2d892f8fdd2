"""What agents that plan make of a log of transitions, and what that is worth.

They learn from one half of the episodes, drawn at random, and what they learned is valued on the
other half, by fitted-Q evaluation (FQE) and weighted per-decision importance sampling (WPDIS); a
policy valued on the rows it was learned from looks better than it is.

Agents plan for discounted returns from the first state as if no time limit cut an episode off, and
FQE values that. WPDIS, and playing, end where episodes end. Where they are cut the two differ; then
either FQE too is of the episode that is played, or it is said why they differ. In FQE a pair that
is not in the valuing half is worth ``v_min``.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from banditlab import registry
from banditlab.data.model import Model
from banditlab.data.transitions import Dataset
from banditlab.mdp import discount
from banditlab.offpolicy import Estimate, estimated_propensities, fqe, wpdis
from banditlab.protocols import offline_mdp
from banditlab.protocols.offline import Offline
from banditlab.protocols.offline_mdp import OfflineMDP, learn
from banditlab.validate import integer

Progress = Callable[[str, int, int], None]  # what is under way, how much is done, and of how much
Settings = Mapping[str, Mapping[str, Any]]  # hyper-parameters by agent

GAMMA = 0.95
CONTROL = "behaviour"  # who made the log
COMPANY = ("bc", "vi_ce", CONTROL)
MODEL = ("gamma", "horizon", "v_min", "v_max")
FEW = 4  # episodes, at least, for two halves
NEGLIGIBLE = 1e-2  # what is discounted by less than this is not mentioned
WELL_SHOWN = 0.95  # support
LARGEST_FQE = 2000  # states
LARGEST_WPDIS = 20_000_000  # episodes times steps


class Stages:
    """Progress over several stages that count alike."""

    def __init__(self, count: int, progress: Progress | None):
        self.count, self.progress, self.stage, self.what = count, progress, -1, ""

    def begin(self, what: str) -> None:
        """The next stage is under way."""
        self.stage, self.what = self.stage + 1, what
        self.show(0.0)

    def show(self, share: float) -> None:
        """So much of the stage is done."""
        if self.progress is not None:
            done = int(1000 * (self.stage + min(share, 1.0)))
            self.progress(self.what, done, 1000 * self.count)


def speakers(names: Sequence[str], settings: Settings, protocol: Any, other: str) -> dict[str, Any]:
    """The agents that speak ``protocol``, by label.

    Raises ValueError, in one line, for one that is unknown, named twice or of another protocol,
    of which ``other`` says what that means; and for settings of an agent that is not named.
    """
    found: dict[str, Any] = {}
    for name in names:
        label = Path(name).stem if name.endswith(".py") else name
        algorithm: Any = registry.make(name, **hyper_of(name, settings))
        if not protocol.speaks(algorithm):
            raise ValueError(f"agent {label!r} {other}")
        if label in found:
            raise ValueError(f"agent {label!r} is named twice")
        found[label] = algorithm
    for given in settings:
        if given not in (*names, *found):
            raise ValueError(f"--set: {registry.unknown('agent', given, found)}")
    return found


def algorithms(names: Sequence[str], settings: Settings) -> dict[str, OfflineMDP | Offline]:
    """The agents by label; ValueError for one that is unknown or does not plan from a log."""
    other = (
        "learns while it plays; wanted is one that plans from a log, such as vi_lcb (or, in an "
        "environment, one that plays episodes, such as mex_mb)"
    )
    return speakers(names, settings, offline_mdp.PROTOCOL, other)


def company(agent: str | None, rivals: Sequence[str]) -> list[str]:
    """Who learns: ``agent``, by default vi_lcb, and its rivals, those named or else the usual."""
    if rivals:
        return list(dict.fromkeys([agent, *rivals] if agent else rivals))
    return list(dict.fromkeys([agent or "vi_lcb", *COMPANY]))


def hyper_of(name: str, settings: Settings) -> dict[str, Any]:
    """The hyper-parameters of an agent, which may be set by the stem of its file."""
    return {**settings.get(Path(name).stem, {}), **settings.get(name, {})}


def task_of(parameters: Mapping[str, Any], others: tuple[str, ...] = ()) -> dict[str, Any]:
    """What `Dataset.model` is asked for."""
    for given in parameters:
        if given not in MODEL:
            line = registry.unknown("argument", given, (*MODEL, *others))
            raise ValueError(f"--set problem: {line}")
    task: dict[str, Any] = {"gamma": GAMMA, "horizon": 0, **parameters}
    task["horizon"] = integer("horizon", task["horizon"], 0)
    task["gamma"] = 1.0 if task["horizon"] > 0 else discount(task["gamma"])
    return task


def facts(data: Dataset, task: Mapping[str, Any]) -> dict[str, Any]:
    """What a report says of its log."""
    return {
        "rows": len(data),
        "episodes": int(data.starts.size) if data.episode is not None else None,
        "n_states": data.n_states,
        "n_actions": len(data.actions),
        "gamma": task["gamma"],
        "horizon": task["horizon"],
    }


def with_range(
    names: Sequence[str], settings: Settings, low: float | None, high: float | None
) -> Settings:
    """``settings`` with the range of rewards for those agents that take one.

    Raises ValueError when it is given, and none does.
    """
    told = {key: value for key, value in (("low", low), ("high", high)) if value is not None}
    found, taken = {name: dict(given) for name, given in settings.items()}, not told
    for name in names if told else ():
        takes = inspect.signature(registry.factory("agent", name)).parameters
        extra = {key: value for key, value in told.items() if key in takes}
        if extra:
            found[name], taken = {**extra, **found.get(name, {})}, True
    if not taken:
        raise ValueError(
            f"low and high (--low, --high) are not for {', '.join(names)}, which go by the range "
            "of values: v_min and v_max (--set problem.v_min=0)"
        )
    return found


def accepted(known: Mapping[str, OfflineMDP | Offline], data: Dataset) -> None:
    """Raise ValueError for the first reward that an agent cannot use."""
    for name, algorithm in known.items():
        low, high = algorithm.rewards
        for row in np.flatnonzero((data.reward < low) | (data.reward > high))[:1]:
            least, most = data.reward.min(), data.reward.max()
            raise ValueError(
                f"reward: row {row} has {data.reward[row]:g}, but agent {name!r} needs rewards in "
                f"[{low:g}, {high:g}]: give their range, for instance --low {least:g} "
                f"--high {most:g} (low, high)"
            )


def halves(data: Dataset, seed: int) -> tuple[Dataset, Dataset]:
    """The dataset cut in two at random: whole episodes, or rows if they are independent."""
    starts = data.starts
    learning = np.zeros(starts.size, np.bool_)
    learning[np.random.default_rng(seed).permutation(starts.size)[: starts.size // 2]] = True
    rows = np.repeat(learning, np.diff(np.append(starts, len(data))))
    return data.take(rows), data.take(~rows)


class Judged(NamedTuple):
    """Policies learned from one half of a log, and what their worth is read off."""

    policies: dict[str, np.ndarray]  # (L, n_states + 1, n_actions) float64 by agent
    test: Dataset
    whole: Model
    left_out: dict[str, str]  # which estimates cannot be had, and why
    notes: list[str]


def judge(
    data: Dataset,
    known: Mapping[str, OfflineMDP | Offline],
    task: Mapping[str, Any],
    seed: int,
    made_by: np.ndarray | None = None,
    estimate_propensity: bool = False,
) -> Judged:
    """Let every agent, and who made the log, learn from one half.

    ``made_by`` is the policy behind the log, if it is known; else it is read off the learning half.
    """
    units = "episodes" if data.episode is not None else "rows"
    accepted(known, data)
    agents: dict[str, Any] = {CONTROL: registry.make(CONTROL), **known}
    agents[CONTROL] = agents.pop(CONTROL)  # the last row
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
    if enough and estimate_propensity:
        read = len(test.notes)
        test = estimated_propensities(test, seed)
        notes += [f"{line}; what else the choice went by is not told" for line in test.notes[read:]]
    left_out = _left_out(test) if enough else {"fqe": "", "wpdis": ""}
    notes += [reason for reason in left_out.values() if reason]
    if enough and data.episode is None:
        notes.append("no column 'episode', so values are those of a state drawn from the rows")
    policies = {name: learn(algorithm, model, seed) for name, algorithm in agents.items()}
    if made_by is not None:
        policies[CONTROL] = made_by
    return Judged(policies, test, whole, left_out, notes)


def values_of(
    judged: Judged, task: Mapping[str, Any], seed: int, stages: Stages, cut: int = 0
) -> list[dict[str, Any]]:
    """A row per policy: what it is worth, and how much of what it does the log shows.

    ``cut``: after how many steps the episode that is valued is cut off, 0 for never.
    """
    rows = []
    for name, policy in judged.policies.items():
        stages.begin(f"estimating {name}")
        row: dict[str, Any] = {"agent": name, "played": None}
        row |= _estimates(judged, policy, task, seed, cut)
        rows.append({**row, "support": _support(judged.test, policy)})
        stages.show(1.0)
    if any(row["wpdis"] and row["wpdis"]["ess"] < 50 for row in rows):
        judged.notes.append("ESS: episodes that speak for WPDIS; trust no interval of under 50")
    if any(row["support"] < WELL_SHOWN for row in rows):
        judged.notes.append(
            "support: the share of what a policy does, in the states of the valuing half, that "
            "this half shows"
        )
    return rows


def cuts_of(data: Dataset, last: bool = True) -> np.ndarray:
    """After how many steps each episode that is cut off was cut; the ``last`` row may not count."""
    cut = data.truncated.copy()
    cut[-1] &= last
    return data.step[cut] + 1


def cut_note(data: Dataset, gamma: float) -> str | None:
    """What is to be known of FQE and WPDIS where a log's episodes are cut off; None if nothing."""
    if data.episode is None:
        return None
    cuts = cuts_of(data, last=False)
    if not cuts.size or gamma ** int(cuts.max()) < NEGLIGIBLE:
        return None
    many = f"{cuts.size:,} of {data.starts.size:,} episodes are cut off"
    when = f"after {cuts.min()}" + (f" to {cuts.max()}" if cuts.min() < cuts.max() else "")
    return (
        f"{many} {when} steps: WPDIS is the return until then, FQE the return if they went on, "
        "which is what agents plan for"
    )


def _support(data: Dataset, policy: np.ndarray) -> float:
    rule = np.minimum(data.step, len(policy) - 1)
    shown = data.counts() > 0.0
    return min(1.0, float((policy[rule, data.state] * shown[data.state]).sum() / len(data)))


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
    judged: Judged, policy: np.ndarray, task: Mapping[str, Any], seed: int, cut: int
) -> dict[str, Any]:
    test, left_out = judged.test, judged.left_out
    # An interval to two digits needs no more than 200 draws, where each is dear.
    draws = int(np.clip(min(1e7 / test.starts.size, 1e8 / test.n_states**2), 200, 1000))
    values: dict[str, Any] = {"fqe": None, "wpdis": None}
    if "fqe" not in left_out:
        start = None
        if test.episode is None:
            start = np.bincount(test.state, minlength=test.n_states) / len(test)
        horizon = task["horizon"]
        if cut:
            horizon = min(cut, horizon or cut)
        rule = policy[:horizon] if horizon else policy
        found = fqe(
            test, rule, task["gamma"], horizon=horizon, start=start,
            unseen=judged.whole.v_min, draws=draws, seed=seed,
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
