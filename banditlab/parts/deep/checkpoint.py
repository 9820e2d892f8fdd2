"""Everything by which a run of stable-baselines3 goes on bit for bit, without pickle.

Networks and optimizers as dictionaries of tensors (``torch.pt``, read with ``weights_only``),
arrays (``arrays.npz``: replay buffer, normaliser, environments), and the rest, random streams
included, as JSON (``plain.json``). A state is whole at the beginning of a rollout, and only there.

The library's own ``save`` and ``load`` do something else: they seed every stream anew, begin new
episodes, and drop the replay buffer and the normaliser.
"""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecNormalize

COUNTERS = (
    "num_timesteps",
    "_episode_num",
    "_n_updates",
    "_total_timesteps",
    "_num_timesteps_at_start",
    "_current_progress_remaining",
)
BUFFER = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
# Fields of Gymnasium's wrappers and environments that change from step to step.
WRAPPER = (
    "_elapsed_steps",
    "_has_reset",
    "checked_reset",
    "checked_step",
    "checked_render",
    "last_u",
    "steps_beyond_terminated",
)
# Where environments of Gymnasium live of which nothing else changes, and wrappers of that kind.
READABLE = ("gymnasium.envs.mujoco.", "gymnasium.envs.classic_control.")
PLAIN = ("TimeLimit", "OrderEnforcing", "PassiveEnvChecker")
# What mj_step leaves behind beside its state, and some environments read before they step.
DERIVED = (
    "xpos", "xipos", "cfrc_ext", "cinert", "cvel", "qfrc_actuator", "sensordata", "subtree_com",
)  # fmt: skip


def readable(env: Any) -> bool:
    """Whether all that changes in an environment, and in what wraps it, can be kept.

    It can where Gymnasium's own is looked through, and where a class names it, in ``kept``; what
    others leave in their fields nobody knows.
    """
    return all(
        "kept" in vars(type(layer))
        or type(layer).__module__.startswith(READABLE)
        or (type(layer).__module__.startswith("gymnasium.") and type(layer).__name__ in PLAIN)
        for layer in _layers(env)
    )


def save(model: Any, folder: Path) -> None:
    """Write the state of ``model``, and of the environments that it trains in, to ``folder``.

    Wrappers of environments, wrappers of vectors of them, and the model itself may name further
    fields that change, in ``kept``: arrays, lists of arrays, streams, or what JSON holds; a model
    also further replay buffers, in ``memories``.
    """
    optimizers, others = _torch_parts(model)
    torch.save(
        {
            "policy": model.policy.state_dict(),
            "stream": torch.get_rng_state(),
            **{name: _at(model, name).state_dict() for name in optimizers},
            **{name: _at(model, name).detach() for name in others},
        },
        folder / "torch.pt",
    )
    arrays: dict[str, np.ndarray] = {
        "last_obs": model._last_obs, "last_starts": model._last_episode_starts
    }  # fmt: skip
    if model._last_original_obs is not None:
        arrays["last_original_obs"] = model._last_original_obs
    words = np.random.get_state()  # noqa: NPY002  (the stream of the library)
    plain: dict[str, Any] = {
        "counters": {name: getattr(model, name) for name in COUNTERS if hasattr(model, name)},
        "numpy": [words[0], words[1].tolist(), *map(float, words[2:])],  # type: ignore[index]
        "python": random.getstate(),
        "spaces": [_stream(model.action_space), _stream(model.env.action_space)],
    }
    for place, buffer in _memories(model):
        rows = buffer.buffer_size if buffer.full else buffer.pos
        for name in BUFFER:
            if getattr(buffer, name, None) is not None:
                arrays[f"{place}.{name}"] = getattr(buffer, name)[:rows]
        plain[place] = {"pos": buffer.pos, "full": bool(buffer.full)}
    _put("model", _kept(model), arrays, plain)
    for i, layer in enumerate(_vectors(model.env)):
        _put(f"vector{i}", _kept(layer), arrays, plain)
        if isinstance(layer, VecNormalize):
            for name, value in _normaliser(layer).items():
                arrays[f"vector{i}.{name}"] = np.asarray(value)
    for i, env in enumerate(_envs(model)):
        _save_env(f"env{i}", env, arrays, plain)
    np.savez(folder / "arrays.npz", **arrays)  # type: ignore[arg-type]
    (folder / "plain.json").write_text(json.dumps(plain, default=_as_plain))


def load(model: Any, folder: Path) -> None:
    """Bring a fresh model, with fresh environments, to the state in ``folder``.

    It then goes on with ``learn(steps left, reset_num_timesteps=False)``.
    """
    model.env.reset()  # so that wrappers and physics have all their fields, which are filled below
    tensors = torch.load(folder / "torch.pt", weights_only=True)
    plain = json.loads((folder / "plain.json").read_text())
    with np.load(folder / "arrays.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    model.policy.load_state_dict(tensors["policy"])
    optimizers, others = _torch_parts(model)
    for name in optimizers:
        _at(model, name).load_state_dict(tensors[name])
    for name in others:
        _at(model, name).data.copy_(tensors[name])
    for name, value in plain["counters"].items():
        setattr(model, name, value)
    model.ep_info_buffer = deque(maxlen=model._stats_window_size)
    model.ep_success_buffer = deque(maxlen=model._stats_window_size)
    model._last_obs, model._last_episode_starts = arrays["last_obs"], arrays["last_starts"]
    model._last_original_obs = arrays.get("last_original_obs")
    for place, buffer in _memories(model):
        for name in BUFFER:
            if f"{place}.{name}" in arrays:
                rows = arrays[f"{place}.{name}"]
                getattr(buffer, name)[: len(rows)] = rows
        buffer.pos, buffer.full = plain[place]["pos"], plain[place]["full"]
    _take("model", model, arrays, plain)
    for i, layer in enumerate(_vectors(model.env)):
        _take(f"vector{i}", layer, arrays, plain)
        if isinstance(layer, VecNormalize):
            _normalise(layer, {name: arrays[f"vector{i}.{name}"] for name in _normaliser(layer)})
    for i, env in enumerate(_envs(model)):
        _load_env(f"env{i}", env, arrays, plain)
    for space, words in zip(
        (model.action_space, model.env.action_space), plain["spaces"], strict=True
    ):
        space.np_random.bit_generator.state = words
    model.env.unwrapped._reset_seeds()  # one that waits would begin the environments' streams anew
    name, words, *rest = plain["numpy"]
    state = (name, np.array(words, dtype=np.uint32), int(rest[0]), int(rest[1]), rest[2])
    np.random.set_state(state)  # noqa: NPY002
    torch.set_rng_state(tensors["stream"])
    version, inner, gauss = plain["python"]
    random.setstate((version, tuple(inner), gauss))


def _memories(model: Any) -> Iterator[tuple[str, Any]]:
    """Replay buffers, by where they are kept: the library's own, and others that a model names."""
    if getattr(model, "replay_buffer", None) is not None:
        yield "buffer", model.replay_buffer
    for name in getattr(model, "memories", ()):
        yield name, getattr(model, name)


def _torch_parts(model: Any) -> tuple[list[str], list[str]]:
    """Names of the optimizers, and of tensors beside the networks."""
    names, tensors = model._get_torch_save_params()
    return [name for name in names if name != "policy"], tensors


def _at(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = getattr(value, name)
    return value


def _envs(model: Any) -> list[Any]:
    """The environments that it trains in; none where there is one that cannot be read.

    Then only the end of a training is kept, after which no environment matters.
    """
    envs = list(getattr(model.env.unwrapped, "envs", []))  # EnvPool has none
    return envs if all(map(readable, envs)) else []


def _stream(space: Any) -> Any:
    return space.np_random.bit_generator.state


def _as_plain(value: Any) -> Any:
    """What JSON cannot hold as it is."""
    return value.item() if hasattr(value, "item") and np.ndim(value) == 0 else value.tolist()


# --- vectors of environments --------------------------------------------------------------------


def _vectors(env: VecEnv) -> Iterator[VecEnv]:
    """A vector of environments, and what it wraps."""
    yield env
    while isinstance(env, VecEnvWrapper):
        env = env.venv
        yield env


def _normaliser(layer: VecNormalize) -> dict[str, Any]:
    seen: Any = layer.obs_rms
    paid = layer.ret_rms
    found = {"returns": layer.returns, "pm": paid.mean, "pv": paid.var, "pc": paid.count}
    if layer.norm_obs:
        found |= {"om": seen.mean, "ov": seen.var, "oc": seen.count}
    if layer.old_obs is not None and isinstance(layer.old_obs, np.ndarray):
        found |= {"old_obs": layer.old_obs, "old_reward": layer.old_reward}
    return found


def _normalise(layer: VecNormalize, found: dict[str, np.ndarray]) -> None:
    seen: Any = layer.obs_rms
    layer.returns = found["returns"]
    layer.ret_rms.mean, layer.ret_rms.var = found["pm"], found["pv"]
    layer.ret_rms.count = float(found["pc"])
    if layer.norm_obs:
        seen.mean, seen.var, seen.count = found["om"], found["ov"], float(found["oc"])
    if "old_obs" in found:
        layer.old_obs, layer.old_reward = found["old_obs"], found["old_reward"]


# --- environments -------------------------------------------------------------------------------


def _layers(env: Any) -> Iterator[Any]:
    """An environment, and what it wraps."""
    yield env
    while isinstance(env, gymnasium.Wrapper):
        env = env.env
        yield env


def _physics(bare: Any) -> tuple[Any, int]:
    """Which numbers MuJoCo needs to step on exactly: positions and velocities are not enough."""
    import mujoco

    kind = mujoco.mjtState.mjSTATE_INTEGRATION
    return kind, mujoco.mj_stateSize(bare.model, kind)


def _is_mujoco(bare: Any) -> bool:
    return type(getattr(bare, "model", None)).__name__ == "MjModel" and hasattr(bare, "data")


def _save_env(place: str, env: Any, arrays: dict[str, np.ndarray], plain: dict[str, Any]) -> None:
    bare = env.unwrapped
    plain[f"{place}.streams"] = [bare.np_random.bit_generator.state, _stream(env.action_space)]
    if _is_mujoco(bare):
        import mujoco

        kind, size = _physics(bare)
        arrays[f"{place}.physics"] = np.empty(size)
        mujoco.mj_getState(bare.model, bare.data, arrays[f"{place}.physics"], kind)
        for name in DERIVED:
            arrays[f"{place}.{name}"] = getattr(bare.data, name).copy()
    elif type(bare).__module__.startswith(READABLE):  # classic control
        arrays[f"{place}.state"] = np.asarray(bare.state)  # of its own precision
        plain[f"{place}.tuple"] = isinstance(bare.state, tuple)
    for depth, layer in enumerate(_layers(env)):
        fields = {name: vars(layer)[name] for name in WRAPPER if name in vars(layer)}
        _put(f"{place}.{depth}", {**fields, **_kept(layer)}, arrays, plain)


def _load_env(place: str, env: Any, arrays: dict[str, np.ndarray], plain: dict[str, Any]) -> None:
    bare = env.unwrapped
    ours, actions = plain[f"{place}.streams"]
    bare.np_random.bit_generator.state = ours
    env.action_space.np_random.bit_generator.state = actions
    if _is_mujoco(bare):
        import mujoco

        kind, _ = _physics(bare)
        mujoco.mj_setState(bare.model, bare.data, arrays[f"{place}.physics"], kind)
        for name in DERIVED:
            getattr(bare.data, name)[:] = arrays[f"{place}.{name}"]
    elif f"{place}.state" in arrays:
        state = arrays[f"{place}.state"]
        bare.state = tuple(state) if plain[f"{place}.tuple"] else state
    for depth, layer in enumerate(_layers(env)):
        _take(f"{place}.{depth}", layer, arrays, plain)


# --- fields that a thing names itself -----------------------------------------------------------


def _kept(thing: Any) -> dict[str, Any]:
    """Fields named in ``kept``; of a wrapper, in its own, not in that of what it wraps."""
    return {name: vars(thing)[name] for name in getattr(type(thing), "kept", ())}


def _put(
    place: str, fields: dict[str, Any], arrays: dict[str, np.ndarray], plain: dict[str, Any]
) -> None:
    """Arrays, lists of arrays and streams to the arrays and the JSON, the rest to the JSON."""
    plain[place] = {}
    for name, value in fields.items():
        if isinstance(value, np.ndarray):
            arrays[f"{place}.{name}"] = value
            plain[place][name] = {"is": "array"}
        elif isinstance(value, np.random.Generator):
            plain[place][name] = {"is": "stream", "state": value.bit_generator.state}
        elif isinstance(value, list | deque) and value and isinstance(value[0], np.ndarray):
            for i, item in enumerate(value):
                arrays[f"{place}.{name}.{i}"] = item
            plain[place][name] = {"is": "arrays", "number": len(value)}
        elif isinstance(value, deque):
            plain[place][name] = {"is": "value", "value": list(value)}
        else:
            plain[place][name] = {"is": "value", "value": value}


def _take(place: str, thing: Any, arrays: dict[str, np.ndarray], plain: dict[str, Any]) -> None:
    for name, held in plain[place].items():
        old = vars(thing).get(name)
        if held["is"] == "stream":
            vars(thing)[name].bit_generator.state = held["state"]
            continue
        if held["is"] == "array":
            value: Any = arrays[f"{place}.{name}"]
        elif held["is"] == "arrays":
            value = [arrays[f"{place}.{name}.{i}"] for i in range(held["number"])]
        else:
            value = held["value"]
        vars(thing)[name] = deque(value, old.maxlen) if isinstance(old, deque) else value
