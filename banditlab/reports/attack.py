"""Attack a policy from a file: what it earns under each attacker, a row of the paper's Table 1.

The policy is one that stable-baselines3 saved (PPO, A2C, TD3, DDPG, SAC with an MLP), its
observations scaled by a ``VecNormalize`` that was saved beside it. See
:mod:`banditlab.parts.deep.attacks` for the attackers; those that learn are trained here, by PPO,
on what the victim loses.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from banditlab.data.gym import Named, made
from banditlab.statistics import t_interval
from banditlab.validate import integer, nonnegative, shown

if TYPE_CHECKING:
    from rich.console import Console

ATTACKS = ("none", "random", "critic", "mad", "min_q", "rs", "sa_rl", "pa_ad")
INSTALL = 'python -m pip install "banditlab-arena[deep]"'
TOGETHER = 10  # environments that are attacked in one batch
LONGEST = 2048  # steps of an episode, as in the paper's evaluation, where nothing else ends it
STEPS = 2048  # of an update of an attacker that learns
TRAINING = 2  # environments that an attacker learns in: an episode of 1,000 steps ends in an update

Progress = Callable[[str, int, int], None]


def report(
    model: str | Path,
    env: str,
    eps: float,
    *,
    normalizer: str | Path | None = None,
    attacks: Sequence[str] | None = None,
    episodes: int = 50,
    updates: int = 50,
    scale_by: int = 0,
    options: dict[str, Any] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """What a policy earns under attack; plain data, ready for JSON.

    Parameters
    ----------
    model
        A ``.zip`` of stable-baselines3. It is read without running what it holds.
    env
        Id of a Gymnasium environment with vectors for observations and for actions.
    eps
        At least 0: how far every coordinate may be moved, in standard deviations of observations.
    normalizer
        The saved ``VecNormalize`` that the policy was trained with, or an ``.npz`` with ``mean``
        and ``var``. eps has no meaning without a scale.
    scale_by
        For a policy trained on plain observations: measure their scale on so many episodes without
        attack. The policy goes on to see plain observations, moved by eps standard deviations.
    attacks
        Some of ``ATTACKS``; by default all that can be: ``critic`` needs a policy with values,
        ``min_q`` one with Q(s, a).
    episodes
        Of each attack, at least 1.
    updates
        Of 2,048 steps each, for attackers that learn, at least 1.
    options
        Arguments of ``gymnasium.make``.
    seed
        One seed, one result. All attacks meet the same start states.

    Raises ValueError, in one line that names what is wrong, for a file that is no such policy, an
    environment that does not fit it, and a scale that is missing.
    """
    _needed()
    eps = nonnegative("eps", eps)
    episodes, updates = integer("episodes", episodes, 1), integer("updates", updates, 1)
    scale_by, seed = integer("scale_by", scale_by, 0), integer("seed", seed, 0, 2**31 - 1)
    wanted = list(ATTACKS if attacks is None else attacks)
    for name in wanted:
        if name not in ATTACKS:
            raise ValueError(f"attacks must be some of {', '.join(ATTACKS)}, got {shown(name)}")
    from banditlab.parts.deep import model_file

    held = model_file.read_model(model)
    can = {"critic": held.value is not None, "min_q": held.q is not None}
    left_out = [name for name in wanted if not can.get(name, True)]
    if attacks is not None and left_out:
        lacks = "values V(s)" if left_out[0] == "critic" else "a critic Q(s, a)"
        raise ValueError(
            f"attack {left_out[0]!r} needs a policy with {lacks}; {held.kind} has none"
        )
    if (normalizer is None) == (scale_by == 0):
        raise ValueError(
            "eps counts standard deviations of observations: give either normalizer, the saved "
            "VecNormalize of the policy, or scale_by, a number of episodes to measure them on"
        )
    with environments(env, options, min(TOGETHER, episodes), held) as envs:
        bench = _Bench(held, envs, seed)
        notes = [*held.notes]
        if normalizer is not None:
            bench.scaled(model_file.read_scale(normalizer, held.dim))
        else:
            bench.measured(scale_by)
            notes.append(
                "observations are not scaled by the policy: their deviations are those of "
                f"{scale_by} episodes without attack"
            )
        rows = []
        names = [name for name in wanted if name not in left_out]
        for i, name in enumerate(names):

            def told(done: int, of: int, i: int = i, name: str = name) -> None:
                if progress is not None:
                    progress(name, 1000 * i + 1000 * done // max(of, 1), 1000 * len(names))

            returns = bench.returns(name, eps, episodes, updates, told)
            rows.append({"attack": name, **_row(returns)})
    natural = next((row["mean"] for row in rows if row["attack"] == "none"), math.inf)
    worse = [row for row in rows if row["mean"] < natural]
    worst = min(worse, key=lambda row: row["mean"])["attack"] if worse else ""
    if left_out:
        notes.append(f"left out, for the policy has nothing to attack by: {', '.join(left_out)}")
    notes.append(
        f"mean and standard deviation over {episodes} episodes of a deterministic policy, with a "
        f"95% interval of the mean; attackers that learn were given {updates} updates of {STEPS:,} "
        "steps: stronger ones may exist"
    )
    return {
        "model": str(model), "kind": held.kind, "env": env, "eps": eps, "episodes": episodes,
        "updates": updates, "seed": seed, "rows": rows, "worst": worst, "notes": notes,
    }  # fmt: skip


def _needed() -> None:
    if importlib.util.find_spec("torch") is None:
        raise ValueError(f"attacks need torch, which is not installed: {INSTALL}")
    import torch

    torch.set_num_threads(1)  # two that wait for each other are ten times slower


@contextmanager
def environments(id: str, options: Any, count: int, held: Any) -> Iterator[list[Named]]:
    """``count`` environments that the policy fits; ValueError if it does not."""
    from gymnasium import spaces

    import banditlab.parts.sparse_velocity  # noqa: F401  (registers its ids)

    envs = []
    try:
        for _ in range(count):
            envs.append(Named(made(id, options), id))
        seen, actions = envs[0].observation_space, envs[0].action_space
        if not isinstance(seen, spaces.Box) or seen.shape != (held.dim,):
            raise ValueError(
                f"{id}: the policy observes vectors of length {held.dim}, this is {seen}"
            )
        if not isinstance(actions, spaces.Box) or actions.shape != (held.actions,):
            raise ValueError(
                f"{id}: the policy acts by vectors of length {held.actions}, here {actions}"
            )
        if held.squashed and not actions.is_bounded():
            raise ValueError(f"{id}: the policy needs actions with bounds, these are {actions}")
        yield envs
    finally:
        for env in envs:
            env.close()


class _Bench:
    """A policy, environments, and the scale by which it is attacked."""

    def __init__(self, held: Any, envs: list[Named], seed: int):
        import torch

        from banditlab.parts.deep.model_file import player_of
        from banditlab.parts.deep.ppo import Running

        self.held, self.envs, self.seed = held, envs, seed
        self.player = player_of(held, envs[0].action_space)
        self.scale = Running(held.dim)
        self.torch = torch

    def scaled(self, scale: Any) -> None:
        """The policy sees what is scaled so."""
        self.scale = scale

    def measured(self, episodes: int) -> None:
        """The policy sees plain observations; their scale is measured."""
        from banditlab.parts.deep.learned import Player
        from banditlab.parts.deep.ppo import Running

        found, plain = Running(self.held.dim), self.player
        for k in range(0, episodes, len(self.envs)):
            some = self.envs[: min(len(self.envs), episodes - k)]
            for rows in _seen(some, self.seed + 500_000 + k, plain.act, self.torch):
                found.see(rows)
        found.clip = math.inf  # the policy sees all there is, and so do its attackers
        mean, std = (
            self.torch.as_tensor(x, dtype=self.torch.float32)
            for x in (found.mean, np.sqrt(found.var + 1e-8))
        )
        victim = plain.victim
        value, q = victim.value, victim.q
        self.scale = found
        self.player = Player(
            victim._replace(
                mean=lambda s: victim.mean(mean + s * std),
                value=None if value is None else lambda s: value(mean + s * std),
                q=None if q is None else lambda s, a: q(mean + s * std, a),
            ),
            lambda s: plain.act(mean + s * std),
        )

    def returns(
        self, name: str, eps: float, episodes: int, updates: int, told: Callable[[int, int], None]
    ) -> np.ndarray:
        """Returns (episodes,) under an attack, which is trained first if it learns."""
        from banditlab.parts.deep import attacks, learned
        from banditlab.parts.deep.ppo import Settings

        rng = self.torch.Generator().manual_seed(self.seed)
        attack = attacks.FIXED.get(name)
        victim = self.player.victim
        stages = 1 if attack else 2
        if name == "rs":
            q = learned.sarsa_of(
                self.player, self.envs[:TRAINING], self.scale, self.seed,
                lambda done, of: told(done, stages * of),
            )  # fmt: skip
            victim, attack = victim._replace(q=q), attacks.min_q
        elif attack is None:
            attacker = learned.Attacker(name, self.held.dim, self.held.actions, eps, self.seed + 7)
            given = Settings(lr=1e-3, value_lr=1e-3, entropy=3e-4)
            learned.train(
                attacker, [self.player], self.envs[:TRAINING], self.scale, updates, STEPS, given,
                self.seed + 1, lambda done: told(done, stages * updates),
            )  # fmt: skip
            attack = attacker.attack()
        found: list[float] = []
        for k in range(0, episodes, len(self.envs)):
            some = self.envs[: min(len(self.envs), episodes - k)]
            found += self._episodes(some, victim, attack, eps, self.seed + 100_000 + k, rng)
            told((stages - 1) * episodes + len(found), stages * episodes)
        if not np.isfinite(found).all():
            raise ValueError(f"{self.envs[0].name}: the return of an episode is {sum(found)}")
        return np.array(found)

    def _episodes(
        self, envs: list[Named], victim: Any, attack: Any, eps: float, seed: int, rng: Any
    ) -> list[float]:
        """One episode in each environment."""
        rows = [env.reset(seed=seed + i)[0] for i, env in enumerate(envs)]
        low, high = envs[0].action_space.low, envs[0].action_space.high
        earned, running = np.zeros(len(envs)), list(range(len(envs)))
        for _ in range(LONGEST):
            s = self.torch.from_numpy(self.scale.scaled(np.stack([rows[i] for i in running])))
            actions = self.player.act(attack(victim, s, eps, rng)).numpy()
            left = []
            for i, action in zip(running, actions, strict=True):
                rows[i], paid, terminated, truncated, _ = envs[i].step(np.clip(action, low, high))
                earned[i] += float(paid)
                if not (terminated or truncated):
                    left.append(i)
            running = left
            if not running:
                break
        return [float(x) for x in earned]


def _seen(envs: list[Named], seed: int, act: Any, torch: Any) -> Iterator[np.ndarray]:
    """What is observed in one episode of each environment, (n, dim) a step."""
    rows = [env.reset(seed=seed + i)[0] for i, env in enumerate(envs)]
    low, high = envs[0].action_space.low, envs[0].action_space.high
    running = list(range(len(envs)))
    for _ in range(LONGEST):
        shown_ = np.stack([rows[i] for i in running])
        yield shown_
        actions = act(torch.as_tensor(shown_, dtype=torch.float32)).numpy()
        left = []
        for i, action in zip(running, actions, strict=True):
            rows[i], _, terminated, truncated, _ = envs[i].step(np.clip(action, low, high))
            if not (terminated or truncated):
                left.append(i)
        running = left
        if not running:
            return


def _row(returns: np.ndarray) -> dict[str, Any]:
    mean, _, lo, hi = (float(v[0]) for v in t_interval(returns[:, None]))
    several = returns.size > 1 and math.isfinite(lo)
    return {
        "mean": mean,
        "std": float(returns.std(ddof=1)) if returns.size > 1 else None,
        "lo": lo if several else None,
        "hi": hi if several else None,
        "returns": [float(x) for x in returns],
    }


def render(found: dict[str, Any], console: Console) -> None:
    """Print the row as a table, the worst attack marked."""
    from rich.table import Table

    title = (
        f"{Path(found['model']).name} ({found['kind']}) in {found['env']}, eps = {found['eps']:g}"
    )
    table = Table(title=title)
    table.add_column("attack")
    for name in ("mean return", "std", "95% interval of the mean"):
        table.add_column(name, justify="right")
    for row in found["rows"]:
        std = "" if row["std"] is None else f"{row['std']:,.1f}"
        interval = "" if row["lo"] is None else f"[{row['lo']:,.1f}, {row['hi']:,.1f}]"
        mark = " (worst)" if row["attack"] == found["worst"] and len(found["rows"]) > 1 else ""
        table.add_row(row["attack"] + mark, f"{row['mean']:,.1f}", std, interval)
    console.print(table)
    for note in found["notes"]:
        console.print(note[0].upper() + note[1:] + ".", highlight=False)
