"""Policies out of files of stable-baselines3, without running anything that a file holds.

The library's own ``load`` unpickles, and a pickle may run any program. Here weights are read by
torch's reader of plain tensors, the shape of the networks follows from them, and the activation
from the text beside them. A saved ``VecNormalize`` is read by an unpickler that makes puppets of
everything but numbers and texts; arrays are made of the bytes that theirs hold.
"""

from __future__ import annotations

import io
import json
import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from banditlab.parts.deep.attacks import Victim
from banditlab.parts.deep.learned import Player
from banditlab.parts.deep.ppo import CLIP, SMALL, Running
from banditlab.validate import shown

LARGEST = 512 * 2**20  # bytes of weights
LONGEST = 64 * 2**20  # bytes of the text beside them
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
    q: nn.Module | None  # of states and of actions in [-1, 1]
    notes: tuple[str, ...]


class _Refused(ValueError):
    """What is wrong with a file, in words of ours."""


def read_model(path: str | Path) -> Model:
    """The policy in a ``.zip`` of stable-baselines3: PPO, A2C, TD3, DDPG or SAC with an MLP.

    Raises ValueError, in one line that names the file, for anything else.
    """
    path = Path(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about old formats
        try:
            return _model(*_contents(path))
        except FileNotFoundError:
            raise ValueError(f"no such file: {path}") from None
        except _Refused as error:
            raise ValueError(f"{path.name}: {error}") from error
        except pickle.UnpicklingError as error:  # torch's words say how to run it all the same
            raise ValueError(
                f"{path.name} cannot be read: its policy.pth is damaged or holds more than plain "
                "weights, and nothing else is read"
            ) from error
        except Exception as error:  # a damaged or crafted file may fail in any way
            said = " ".join(str(error).split())[:200]
            raise ValueError(
                f"{path.name} cannot be read: {type(error).__name__}{said and f', {said}'}"
            ) from error


def _contents(path: Path) -> tuple[Any, dict[str, Any]]:
    """What torch's reader of plain tensors finds in a file, and the text beside it."""
    with zipfile.ZipFile(path) as file:
        names = file.namelist()
        if "policy.pth" not in names or "data" not in names:
            raise _Refused("it is no model of stable-baselines3: policy.pth or data is missing")
        if file.getinfo("data").file_size > LONGEST:
            raise _Refused(f"the text in it takes more than {LONGEST // 2**20} MB")
        _allowed(file.getinfo("policy.pth").file_size)
        told = json.loads(file.read("data"))
        packed = io.BytesIO(file.read("policy.pth"))
    if zipfile.is_zipfile(packed):  # whose parts may be packed once more
        with zipfile.ZipFile(packed) as inner:
            _allowed(sum(info.file_size for info in inner.infolist()))
    packed.seek(0)
    weights = torch.load(packed, map_location="cpu", weights_only=True)
    return weights, told if isinstance(told, dict) else {}


def _allowed(size: int) -> None:
    if size > LARGEST:
        raise _Refused(f"its weights take more than {LARGEST // 2**20} MB")


def _checked(weights: Any) -> dict[str, Tensor]:
    """Weights by name, real and finite; few bytes may stand for many, so their size is checked."""
    if (
        not isinstance(weights, dict)
        or not all(isinstance(name, str) and isinstance(w, Tensor) for name, w in weights.items())
        or not all(w.layout == torch.strided and w.is_floating_point() for w in weights.values())
    ):
        raise _Refused("its policy.pth holds no table of weights")
    _allowed(sum(w.numel() * w.element_size() for w in weights.values()))
    if not all(torch.isfinite(w).all() for w in weights.values()):
        raise _Refused("some of its weights are not finite")
    return weights


# Networks by the library's names: of policies that learn values of states, and of those with Q.
ON_POLICY = (
    r"log_std|(mlp_extractor\.(policy|value)_net\.\d{1,6}|action_net|value_net)\.(weight|bias)"
)
OFF_POLICY = r"(actor|critic)(_target)?\.(mu|log_std|latent_pi|qf\d+)(\.\d{1,6})?(\.(weight|bias))?"


def _model(held: Any, told: dict[str, Any]) -> Model:
    weights = _checked(held)
    given = told.get("policy_kwargs")
    given = given if isinstance(given, dict) else {}
    named = re.search(r"(\w+)'?>?$", str(given.get("activation_fn", "")))
    on_policy = any(name.startswith("mlp_extractor.") for name in weights) or (
        "action_net.weight" in weights
    )
    known = ON_POLICY if on_policy else OFF_POLICY
    others = sorted(name for name in weights if not re.fullmatch(known, name))
    if others:
        raise _Refused(
            "its policy is no plain MLP of PPO, A2C, TD3, DDPG or SAC: it holds "
            + ", ".join(others[:4])
        )
    if on_policy:
        return _on_policy(weights, _activation(named, "Tanh"), given)
    return _off_policy(weights, _activation(named, "ReLU"), given)


def _on_policy(weights: dict[str, Tensor], act: type[nn.Module], given: dict[str, Any]) -> Model:
    mean = _stack(weights, "mlp_extractor.policy_net", act, ["action_net"])
    value = _stack(weights, "mlp_extractor.value_net", act, ["value_net"])
    dim, actions = _sides(mean)
    if _sides(value) != (dim, 1):
        raise _Refused("its values are not those of what its policy observes")
    log_std = weights.get("log_std")
    if log_std is None:
        raise _Refused("its actions are numbered; attacks here move vectors of actions")
    notes, sigma = [], log_std.float().exp()
    if log_std.shape != (actions,):
        notes.append("its noise depends on the state (gSDE): mad weighs all actions alike")
        sigma = torch.ones(actions)
    if not (torch.isfinite(sigma) & (sigma > 0.0)).all():
        raise _Refused("the standard deviations of its actions are no positive numbers")
    squashed = bool(given.get("squash_output", False))
    return Model("PPO", dim, actions, mean, squashed, sigma, value, None, tuple(notes))


def _off_policy(weights: dict[str, Tensor], act: type[nn.Module], given: dict[str, Any]) -> Model:
    if any(name.startswith("actor.latent_pi.") for name in weights):
        kind, prefix = "SAC", "actor.latent_pi"
        # With gSDE the mean is bounded, too, in a list of two.
        last = "actor.mu" if "actor.mu.weight" in weights else "actor.mu.0"
        bound = float(given.get("clip_mean", 2.0)) if last == "actor.mu.0" else 0.0
        mean = _stack(weights, prefix, act, [last])
        if bound > 0.0:
            mean.append(nn.Hardtanh(-bound, bound))
    else:
        kind, mean = "TD3", _stack(weights, "actor.mu", act, [])
    dim, actions = _sides(mean)
    q = _stack(weights, "critic.qf0", act, [])
    if _sides(q) != (dim + actions, 1):
        raise _Refused("its critic does not value what its policy observes and does by one number")
    return Model(kind, dim, actions, mean, True, torch.ones(actions), None, q, ())


def _activation(named: re.Match[str] | None, usual: str) -> type[nn.Module]:
    name = named[1] if named else usual
    if name not in ACTIVATIONS:
        raise _Refused(f"activation {shown(name)} is none of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def _stack(
    weights: dict[str, Tensor], prefix: str, act: type[nn.Module], last: list[str]
) -> nn.Sequential:
    """The network whose linear layers are called ``prefix.N``, and those named ``last``."""
    found = sorted(
        (int(m[1]), key.removesuffix(".weight"))
        for key in weights
        if (m := re.fullmatch(rf"{re.escape(prefix)}\.(\d{{1,6}})\.weight", key))
    )
    names = [name for _, name in found] + last
    made: list[nn.Module] = []
    for i, name in enumerate(names):
        weight, bias = weights.get(f"{name}.weight"), weights.get(f"{name}.bias")
        if weight is None or bias is None:
            raise _Refused(f"there is no {name}")
        before = made[-2].out_features if made else weight.shape[-1] if weight.ndim else 0
        if not bias.numel() or not before or weight.shape != (bias.numel(), before):
            raise _Refused(f"the shapes of {prefix} do not fit together at {name}")
        linear = nn.Linear(*reversed(weight.shape))
        linear.load_state_dict({"weight": weight, "bias": bias})
        made += [linear] if i == len(names) - 1 else [linear, act()]
    if not made:
        raise _Refused(f"there is no {prefix}")
    return nn.Sequential(*made).requires_grad_(False)


def _sides(net: nn.Sequential) -> tuple[int, int]:
    """Lengths of what it takes and of what it gives."""
    lines = [layer for layer in net if isinstance(layer, nn.Linear)]
    return lines[0].in_features, lines[-1].out_features


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
    """Stands for whatever a pickle asks for: takes everything and does nothing."""

    of = ""  # the name that was asked for
    args: tuple[Any, ...] = ()
    state: Any = None

    def __init__(self, *args: Any, **named: Any):
        self.args = args

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Puppets(pickle.Unpickler):
    """Makes numbers, texts, lists and puppets. Not even arrays: NumPy believes what a type says."""

    def find_class(self, module: str, name: str) -> Any:
        """What stands for the class or function that a pickle asks for."""
        return type("_Puppet", (_Puppet,), {"of": name})


def _array(held: Any) -> np.ndarray:
    """The array of real numbers that a puppet stands for, or what else NumPy makes of it."""
    if not isinstance(held, _Puppet):
        return np.asarray(held)
    if held.of == "_reconstruct":
        _, shape, kind, fortran, raw = held.state
    elif held.of == "_frombuffer":  # of pickles of protocol 5
        raw, kind, shape, order = held.args
        fortran = order == "F"
    elif held.of == "scalar":
        (kind, raw), shape, fortran = held.args, (), False
    else:
        raise _Refused(f"there is {shown(held.of)} where numbers should be")
    if kind.of != "dtype" or not re.fullmatch("[fiu][1248]", kind.args[0]):
        raise _Refused("mean and variance must be numbers")
    plain = np.frombuffer(raw, np.dtype(kind.args[0]).newbyteorder(kind.state[1]))
    return plain.reshape(shape, order="F" if fortran else "C")


def read_scale(path: str | Path, dim: int) -> Running:
    """The scale of observations in a saved ``VecNormalize``, or in an ``.npz`` with mean and var.

    Raises ValueError, in one line, unless it holds finite mean and variance (``dim``,).
    """
    path = Path(path)
    try:
        held = [_array(x) for x in _moments(path)]
        if not all(x.dtype.kind in "fiu" for x in held):
            raise _Refused("mean and variance must be numbers")
        mean, var = (x.astype(np.float64) for x in held)
    except FileNotFoundError:
        raise ValueError(f"no such file: {path}") from None
    except _Refused as error:
        raise ValueError(f"{path.name}: {error}") from error
    except Exception as error:  # a crafted pickle may fail in any way
        raise ValueError(
            f"{path.name} holds no scale of observations: {type(error).__name__}"
        ) from error
    if mean.shape != (dim,) or var.shape != (dim,):
        raise ValueError(f"{path.name}: its mean has shape {mean.shape}, the model sees ({dim},)")
    if not (np.isfinite(mean).all() and np.isfinite(var).all() and (var >= 0.0).all()):
        raise ValueError(f"{path.name}: mean and variance must be finite, variances not negative")
    made = Running(dim)
    made.mean, made.var, made.count = mean, var, 1.0
    return made


def _moments(path: Path) -> tuple[Any, Any]:
    """What a file says is mean and variance; variance such that `Running` divides as it does."""
    size = path.stat().st_size
    if path.suffix == ".npz":
        with zipfile.ZipFile(path) as file:
            size = sum(info.file_size for info in file.infolist())
    if size > LARGEST:
        raise _Refused(f"it takes more than {LARGEST // 2**20} MB")
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as held:
            return held["mean"], held["var"]
    with path.open("rb") as file:
        told = _Puppets(file).load().state
    if told.get("norm_obs") is False:
        raise _Refused("it does not scale observations (norm_obs is False)")
    for name, usual in (("clip_obs", CLIP), ("epsilon", SMALL)):
        if (value := float(_array(told.get(name, usual)))) != usual:
            raise _Refused(f"its {name} is {value:g}, here it is {usual:g}")
    inner = told["obs_rms"].state
    return inner["mean"], inner["var"]
