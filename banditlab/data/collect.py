"""Play in a Gymnasium environment, and log what happens.

Observations and actions may come from any finite space; they are numbered through, and each number
keeps a name: the integer of a ``Discrete`` space, else the value written out, "(14, 10, 0)".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from banditlab.data.gym import in_words, made
from banditlab.validate import integer

LARGEST_SPACE = 1_000_000  # values of a space that are numbered
COLUMNS = ("state", "action", "reward", "next_state", "terminated", "truncated", "propensity")


class Numbered(NamedTuple):
    """A finite space, numbered from 0 to ``len(names)`` - 1."""

    names: tuple[Any, ...]  # of each number: an int, or the value written out
    number: Callable[[Any], int]  # of a value; ValueError for one that is outside
    value: Callable[[int], Any]  # of a number, as the environment wants it


def numbered(space: Any, what: str) -> Numbered:
    """``space`` numbered through; ValueError, with ``what``, for one that is not finite.

    The last part counts fastest, as in NumPy.
    """
    from gymnasium import spaces

    if isinstance(space, spaces.Discrete):
        return _discrete(space)
    parts = _parts(space)
    if parts is None:
        raise ValueError(
            f"{what} must be finitely many (Discrete, MultiDiscrete, or tuples of these), "
            f"got {' '.join(str(space).split())}"
        )
    sizes = [len(part) for part in parts]
    count = int(np.prod(sizes, dtype=np.float64))
    if count > LARGEST_SPACE:
        raise ValueError(f"{what}: {count:,} are too many to number, at most {LARGEST_SPACE:,}")
    names: list[tuple[int, ...]] = [()]
    for part in parts:
        names = [(*name, value) for name in names for value in part]
    place = {name: k for k, name in enumerate(names)}

    def number(value: Any) -> int:
        found = place.get(tuple(_flat(space, value)))
        if found is None:
            raise ValueError(f"{value} is not in {space}")
        return found

    written = [f"({', '.join(str(v) for v in name)})" for name in names]
    return Numbered(tuple(written), number, lambda k: _unflat(space, list(names[k])))


def _discrete(space: Any) -> Numbered:
    start, n = int(space.start), int(space.n)
    if n > LARGEST_SPACE:
        raise ValueError(f"{n:,} are too many to number, at most {LARGEST_SPACE:,}")

    def number(value: Any) -> int:
        array = np.asarray(value)
        if array.size != 1 or array.dtype.kind not in "iu" or not 0 <= int(array) - start < n:
            raise ValueError(f"{value!r} is not in {space}")
        return int(array) - start

    return Numbered(tuple(range(start, start + n)), number, lambda k: start + k)


def _parts(space: Any) -> list[range] | None:
    """The values of each part of a space of tuples, flattened; None if it is not finite."""
    from gymnasium import spaces

    if isinstance(space, spaces.Discrete):
        return [range(int(space.start), int(space.start + space.n))]
    if isinstance(space, spaces.MultiDiscrete):
        starts = np.broadcast_to(space.start, space.nvec.shape).reshape(-1)
        return [range(int(s), int(s + n)) for s, n in zip(starts, space.nvec.flat, strict=True)]
    if isinstance(space, spaces.MultiBinary):
        return [range(2)] * int(np.prod(space.shape))
    if isinstance(space, spaces.Tuple | spaces.Dict):
        inner = space.spaces.values() if isinstance(space, spaces.Dict) else space.spaces
        parts = [_parts(part) for part in inner]
        return None if None in parts else [r for part in parts if part for r in part]
    return None


def _flat(space: Any, value: Any) -> list[int]:
    """A value of a space of tuples as the integers of its parts."""
    from gymnasium import spaces

    if isinstance(space, spaces.Dict):
        return [v for key, part in space.spaces.items() for v in _flat(part, value[key])]
    if isinstance(space, spaces.Tuple):
        pairs = zip(space.spaces, value, strict=True)
        return [v for part, inner in pairs for v in _flat(part, inner)]
    return [int(v) for v in np.asarray(value).reshape(-1)]


def _unflat(space: Any, parts: list[int]) -> Any:
    """The value of a space that has these parts, which are used up."""
    from gymnasium import spaces

    if isinstance(space, spaces.Dict):
        return {key: _unflat(part, parts) for key, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_unflat(part, parts) for part in space.spaces)
    if isinstance(space, spaces.Discrete):
        return parts.pop(0)
    taken = [parts.pop(0) for _ in range(int(np.prod(space.shape)))]
    return np.array(taken, dtype=space.dtype).reshape(space.shape)


# --- environments -------------------------------------------------------------------------------


class _Single:
    """One environment with the face of a vector environment that resets in the same step."""

    num_envs = 1

    def __init__(self, env: Any):
        self.env = env
        self.single_observation_space = env.observation_space
        self.single_action_space = env.action_space

    def reset(self, seed: int) -> tuple[list, dict]:
        seen, info = self.env.reset(seed=seed)
        return [seen], _listed(info)

    def step(self, actions: list) -> tuple[list, list, list, list, dict]:
        seen, reward, terminated, truncated, info = self.env.step(actions[0])
        if terminated or truncated:
            final = seen
            seen, info = self.env.reset()
            return [seen], [reward], [terminated], [truncated], {
                **_listed(info), "final_obs": [final]}  # fmt: skip
        return [seen], [reward], [terminated], [truncated], _listed(info)


def _listed(info: Mapping[str, Any]) -> dict[str, Any]:
    """``info`` of one environment as that of a vector of one."""
    return {"action_mask": [info["action_mask"]]} if "action_mask" in info else {}


def _environments(env: Any) -> tuple[Any, bool]:
    """A vector environment, and whether it resets its copies in a step of their own."""
    from gymnasium.vector import AutoresetMode, VectorEnv

    if isinstance(env, str):
        env = made(env)
    if not isinstance(env, VectorEnv):
        return _Single(env), False
    mode = env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
    if mode not in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP):
        raise ValueError(f"the vector environment must reset itself, its mode is {mode}")
    return env, mode == AutoresetMode.NEXT_STEP


def _behaviour(policy: Any, n_states: int, n_actions: int) -> np.ndarray:
    """``policy`` as probabilities (L, n_states, n_actions)."""
    if policy is None:
        return np.full((1, n_states, n_actions), 1.0 / n_actions)
    policy = np.array(policy, dtype=np.float64)
    shape = policy.shape[-2:]
    if policy.ndim not in (2, 3) or shape not in ((n_states, n_actions), (n_states + 1, n_actions)):
        raise ValueError(
            f"policy must have shape ({n_states}, {n_actions}), or such a table for every step, "
            f"got {policy.shape}"
        )
    policy = policy.reshape(-1, *shape)[:, :n_states]
    if not ((policy >= 0.0).all() and (np.abs(policy.sum(axis=2) - 1.0) < 1e-8).all()):
        raise ValueError("policy must hold probabilities that sum to 1 in every state")
    return policy


def _chances(policy: np.ndarray, mask: Any, n_actions: int) -> np.ndarray:
    """Probabilities (copies, n_actions) kept to the actions that a mask allows, if there is one.

    Where the policy does nothing that is allowed, whatever is allowed is drawn evenly.
    """
    if mask is None:
        return policy
    rows = [np.ones(n_actions) if m is None else np.asarray(m, dtype=np.float64) for m in mask]
    if any(row.shape != (n_actions,) or not (row > 0).any() for row in rows):
        raise ValueError(f"info['action_mask'] must allow some of the {n_actions} actions")
    allowed = (np.array(rows) > 0).astype(np.float64)
    kept = policy * allowed
    total = kept.sum(axis=1, keepdims=True)
    even = allowed / allowed.sum(axis=1, keepdims=True)
    # All allowed: the very same numbers, not divided by a sum that is 1 but for rounding.
    kept = np.where(total > 0.0, kept / np.where(total > 0.0, total, 1.0), even)
    return np.where(allowed.all(axis=1, keepdims=True), policy, kept)


class _Guard:
    """Calls an environment, and names the step in which it fails or leaves its spaces."""

    def __init__(self, envs: Any):
        self.envs, self.steps = envs, 0
        inner = getattr(envs, "env", envs)
        spec, bare = getattr(inner, "spec", None), getattr(inner, "unwrapped", inner)
        self.name = type(bare).__name__ if spec is None else spec.id
        self.states = numbered(envs.single_observation_space, "observations")
        self.actions = numbered(envs.single_action_space, "actions")

    def reset(self, seed: int) -> tuple[list[int], dict]:
        try:
            seen, info = self.envs.reset(seed=seed)
        except Exception as error:
            raise ValueError(f"{self.name}: reset failed: {in_words(error)}") from error
        return self._numbers(seen, "reset"), info

    def step(self, actions: np.ndarray) -> tuple[list[int], Any, Any, Any, dict]:
        self.steps += 1
        where = f"step {self.steps:,}"
        chosen = [self.actions.value(int(a)) for a in actions]
        try:
            given = chosen if isinstance(self.envs, _Single) else _stacked(chosen)
            seen, reward, terminated, truncated, info = self.envs.step(given)
        except Exception as error:
            did = ", ".join(str(self.actions.names[int(a)]) for a in actions[:4])
            raise ValueError(f"{self.name}: {where}, action {did}: {in_words(error)}") from error
        for paid in reward:
            if not np.isfinite(paid):
                raise ValueError(f"{self.name}: {where} pays {paid}, which is no finite number")
        return self._numbers(seen, where), reward, terminated, truncated, info

    def final(self, info: Mapping[str, Any], i: int) -> int:
        return self._numbers([info["final_obs"][i]], f"step {self.steps:,}")[0]

    def _numbers(self, seen: Any, where: str) -> list[int]:
        try:
            return [self.states.number(value) for value in _unstacked(seen)]
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise ValueError(
                f"{self.name}: {where} observes outside its space: {in_words(error)}"
            ) from error


def _stacked(values: list[Any]) -> Any:
    """Actions as a vector environment wants them."""
    if isinstance(values[0], tuple):
        return tuple(_stacked([v[k] for v in values]) for k in range(len(values[0])))
    if isinstance(values[0], dict):
        return {key: _stacked([v[key] for v in values]) for key in values[0]}
    return np.array(values)


def _unstacked(seen: Any) -> list[Any]:
    """The observations of the copies of a vector environment, one by one."""
    if isinstance(seen, tuple):
        return list(zip(*map(_unstacked, seen), strict=True))
    if isinstance(seen, dict):
        columns = {key: _unstacked(part) for key, part in seen.items()}
        count = len(next(iter(columns.values())))
        return [{key: part[i] for key, part in columns.items()} for i in range(count)]
    return list(seen)


def collect(env: Any, policy: Any, episodes: int, steps: int, seed: int) -> dict[str, Any]:
    """What :meth:`banditlab.data.transitions.Dataset.collect` makes a dataset of."""
    episodes, steps = integer("episodes", episodes, 0), integer("steps", steps, 0)
    if (episodes > 0) == (steps > 0):
        raise ValueError(f"give either episodes or steps, got {episodes} and {steps}")
    seed = integer("seed", seed, 0)
    envs, resets_in_next = _environments(env)
    guard = _Guard(envs)
    n_states, n_actions = len(guard.states.names), len(guard.actions.names)
    policy = _behaviour(policy, n_states, n_actions)
    rng = np.random.default_rng(seed)
    copies = envs.num_envs
    left = [(episodes + steps) // copies + (i < (episodes + steps) % copies) for i in range(copies)]
    rows: list[list[tuple]] = [[] for _ in range(copies)]
    t = np.zeros(copies, np.int64)  # steps into the episode
    done = np.zeros(copies, np.bool_)  # the coming step only resets the copy
    seen, info = guard.reset(seed)
    while any(left):
        if t.max() >= len(policy) > 1:
            raise ValueError(f"an episode is longer than the {len(policy)} steps of the policy")
        rule = policy[np.minimum(t, len(policy) - 1), seen]
        chances = _chances(rule, info.get("action_mask"), n_actions)
        cumulative = chances.cumsum(axis=1)
        cumulative /= cumulative[:, -1:]  # ends in exactly 1, so a draw never runs over
        draws = rng.random(copies)[:, None]
        actions = (draws >= cumulative).sum(axis=1)
        after, reward, terminated, truncated, info = guard.step(actions)
        for i in range(copies):
            over, cut = bool(terminated[i]), bool(truncated[i]) and not bool(terminated[i])
            if done[i]:
                done[i], t[i] = False, 0
                continue
            if left[i]:
                next_state = after[i]
                if (over or cut) and not resets_in_next:
                    next_state = guard.final(info, i)
                left[i] -= 1 if steps or over or cut else 0
                cut = cut or (not left[i] and not over)
                s, a = int(seen[i]), int(actions[i])
                rows[i].append((s, a, float(reward[i]), next_state, over, cut, chances[i, a]))
            t[i] += 1
            if terminated[i] or truncated[i]:
                t[i] = 0
                done[i] = resets_in_next
        seen = after
    values = zip(*(row for copy in rows for row in copy), strict=True)
    columns: dict[str, Any] = {k: np.array(v) for k, v in zip(COLUMNS, values, strict=True)}
    ended = columns["terminated"] | columns["truncated"]
    columns["episode"] = np.cumsum(np.append(0, ended[:-1]))
    return {**columns, "states": guard.states.names, "actions": guard.actions.names,
            "n_actions": n_actions}  # fmt: skip
