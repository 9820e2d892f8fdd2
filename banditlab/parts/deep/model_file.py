"""Policies out of files of stable-baselines3, without running anything that a file holds.

The library's own ``load`` unpickles, and a pickle may run any program. Here weights are read by
torch's reader of plain tensors, the shape of the networks follows from them, and the activation
from the text beside them. A saved ``VecNormalize`` is read by an unpickler that makes arrays, and
puppets of everything else.
"""

from __future__ import annotations

import io
import json
import pickle
import re
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from banditlab.parts.deep.attacks import Victim
from banditlab.parts.deep.learned import Player
from banditlab.parts.deep.ppo import CLIP, Running

LARGEST = 512 * 2**20  # bytes of weights
ACTIVATIONS = {
    name: getattr(nn, name)
    for name in ("Tanh", "ReLU", "ELU", "LeakyReLU", "GELU", "SiLU", "Sigmoid", "Softplus")
}


class Model(NamedTuple):
    """What a file says."""

    kind: str  # "PPO" (or another with values), "TD3" (or DDPG), "SAC"
    dim: int  # of observations
    actions: int
    mean: nn.Module  # before it is squashed
    squashed: bool  # whether actions are tanh(mean), to be stretched to the range of the space
    sigma: Tensor  # (actions,)
    value: nn.Module | None
    q: nn.Module | None
    notes: tuple[str, ...]


def read_model(path: str | Path) -> Model:
    """The policy in a ``.zip`` of stable-baselines3: PPO, A2C, TD3, DDPG or SAC with an MLP.

    Raises ValueError, in one line that names the file, for anything else.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as file:
            sizes = {info.filename: info.file_size for info in file.infolist()}
            if "policy.pth" not in sizes or "data" not in sizes:
                raise ValueError(
                    "it is no model of stable-baselines3: policy.pth or data is missing"
                )
            if sizes["policy.pth"] > LARGEST or sizes["data"] > LARGEST:
                raise ValueError(f"its weights take more than {LARGEST // 2**20} MB")
            told = json.loads(file.read("data"))
            weights = torch.load(
                io.BytesIO(file.read("policy.pth")), map_location="cpu", weights_only=True
            )
    except FileNotFoundError:
        raise ValueError(f"no such file: {path}") from None
    except (OSError, zipfile.BadZipFile, json.JSONDecodeError, pickle.UnpicklingError, RuntimeError,
            UnicodeDecodeError, EOFError) as error:  # fmt: skip
        raise ValueError(f"{path.name} cannot be read: {' '.join(str(error).split())}") from error
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error
    try:
        return _model(weights, told if isinstance(told, dict) else {})
    except (ValueError, KeyError, AttributeError, RuntimeError, TypeError) as error:
        raise ValueError(f"{path.name}: {' '.join(str(error).split())}") from error


def _model(weights: Any, told: dict[str, Any]) -> Model:
    if not isinstance(weights, dict) or not all(isinstance(w, Tensor) for w in weights.values()):
        raise ValueError("its policy.pth holds no table of weights")
    if not all(torch.isfinite(w).all() for w in weights.values() if w.is_floating_point()):
        raise ValueError("some of its weights are not finite")
    notes = []
    kwargs = told.get("policy_kwargs")
    said = str(kwargs.get("activation_fn", "")) if isinstance(kwargs, dict) else ""
    named = re.search(r"(\w+)'?>?$", said)
    if "action_net.weight" in weights:
        act = _activation(named, "Tanh")
        mean = _stack(weights, "mlp_extractor.policy_net", act, ["action_net"])
        value = _stack(weights, "mlp_extractor.value_net", act, ["value_net"])
        dim, actions = _sides(mean)
        log_std = weights.get("log_std")
        if log_std is None:
            raise ValueError("its actions are numbered; attacks here move vectors of actions")
        sigma = log_std.exp() if log_std.shape == (actions,) else torch.ones(actions)
        if log_std.shape != (actions,):
            notes.append("its noise depends on the state (gSDE): mad weighs all actions alike")
        return Model("PPO", dim, actions, mean, False, sigma, value, None, tuple(notes))
    if "actor.latent_pi.0.weight" in weights:
        act = _activation(named, "ReLU")
        mean = _stack(weights, "actor.latent_pi", act, ["actor.mu"])
        kind = "SAC"
    elif "actor.mu.0.weight" in weights:
        act = _activation(named, "ReLU")
        mean = _stack(weights, "actor.mu", act, [])
        kind = "TD3"
    else:
        raise ValueError(
            "its policy is no MLP of PPO, A2C, TD3, DDPG or SAC: it holds "
            + ", ".join(sorted(weights)[:4])
        )
    dim, actions = _sides(mean)
    q = _stack(weights, "critic.qf0", act, [])
    return Model(kind, dim, actions, mean, True, torch.ones(actions), None, q, tuple(notes))


def _activation(named: re.Match[str] | None, usual: str) -> type[nn.Module]:
    name = named[1] if named else usual
    if name not in ACTIVATIONS:
        raise ValueError(f"activation {name!r} is none of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def _stack(
    weights: dict[str, Tensor], prefix: str, act: type[nn.Module], last: list[str]
) -> nn.Sequential:
    """The network whose linear layers are called ``prefix.N``, and those named ``last``."""
    found = sorted(
        (int(m[1]), key.removesuffix(".weight"))
        for key in weights
        if (m := re.fullmatch(rf"{re.escape(prefix)}\.(\d+)\.weight", key))
    )
    names = [name for _, name in found] + last
    if not names:
        raise ValueError(f"there is no {prefix}")
    made: list[nn.Module] = []
    for i, name in enumerate(names):
        weight = weights[f"{name}.weight"]
        linear = nn.Linear(weight.shape[1], weight.shape[0])
        linear.load_state_dict({"weight": weight, "bias": weights[f"{name}.bias"]})
        made += [linear] if i == len(names) - 1 else [linear, act()]
    return nn.Sequential(*made).requires_grad_(False)


def _sides(net: nn.Sequential) -> tuple[int, int]:
    first, last = net[0], net[-1]
    assert isinstance(first, nn.Linear) and isinstance(last, nn.Linear)
    return first.in_features, last.out_features


def player_of(model: Model, space: Any) -> Player:
    """The model as a victim in an environment with the action space ``space``."""
    low, high = (torch.as_tensor(x, dtype=torch.float32) for x in (space.low, space.high))
    value, q = model.value, model.q

    def mean(s: Tensor) -> Tensor:
        out = model.mean(s)
        return torch.tanh(out) if model.squashed else out

    def act(s: Tensor) -> Tensor:
        with torch.no_grad():
            out = mean(s)
        return low + (out + 1.0) * (high - low) / 2.0 if model.squashed else out

    return Player(
        Victim(
            mean,
            model.sigma,
            None if value is None else lambda s: value(s)[:, 0],
            None if q is None else lambda s, a: q(torch.cat([s, a], dim=1))[:, 0],
        ),
        act,
    )


# --- the scale of observations ------------------------------------------------------------------


class _Puppet:
    """Stands for any class of a pickle: takes everything and does nothing."""

    def __init__(self, *args: Any, **named: Any):
        self.state: Any = {}

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Arrays(pickle.Unpickler):
    """Makes arrays, numbers and texts; every other class is a puppet."""

    def find_class(self, module: str, name: str) -> Any:
        """The class or function that a pickle asks for."""
        if module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            if name in ("_reconstruct", "scalar"):
                return getattr(import_module("numpy._core.multiarray"), name)
        elif (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        return _Puppet


def read_scale(path: str | Path, dim: int) -> Running:
    """The scale of observations in a saved ``VecNormalize``, or in an ``.npz`` with mean and var.

    Raises ValueError, in one line, unless it holds finite mean and variance (``dim``,).
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"takes more than {LARGEST // 2**20} MB")
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as held:
                mean, var = held["mean"], held["var"]
        else:
            with path.open("rb") as file:
                held = _Arrays(file).load()
            told = held.state
            if told.get("norm_obs") is False:
                raise ValueError("does not scale observations (norm_obs is False)")
            if float(told.get("clip_obs", CLIP)) != CLIP:
                raise ValueError(
                    f"clips observations at {told['clip_obs']}, here they are at {CLIP}"
                )
            inner = told["obs_rms"].state
            mean, var = inner["mean"], inner["var"]
    except FileNotFoundError:
        raise ValueError(f"no such file: {path}") from None
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error
    except Exception as error:  # a crafted pickle may fail in any way
        raise ValueError(
            f"{path.name} holds no scale of observations: {type(error).__name__}"
        ) from error
    mean, var = (np.asarray(x, dtype=np.float64) for x in (mean, var))
    if mean.shape != (dim,) or var.shape != (dim,):
        raise ValueError(f"{path.name}: its mean has shape {mean.shape}, the model sees ({dim},)")
    if not (np.isfinite(mean).all() and np.isfinite(var).all() and (var >= 0.0).all()):
        raise ValueError(f"{path.name}: mean and variance must be finite, variances not negative")
    made = Running(dim)
    made.mean, made.var, made.count = mean, var, 1.0
    return made
