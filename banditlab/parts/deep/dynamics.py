"""A model of one step: a network that says what is seen next and what is paid, as Gaussians.

As in Chua, Calandra, McAllister & Levine 2018, "Deep reinforcement learning in a handful of trials
using probabilistic dynamics models" (arXiv 1805.12114), with a single network. It predicts how each
number of the observation changes, and the reward, each with a mean and a variance of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

LEAST, MOST = -10.0, 0.5  # log variances, between which they are bent smoothly
ENOUGH = 0.01  # share by which an error must fall for weights to be better ones


class Dynamics(nn.Module):
    """The network: (s, a) to means and log variances of (s' - s, r).

    Its inputs are scaled by means and deviations of the data, which it keeps; actions lie in
    [-1, 1].
    """

    def __init__(self, states: int, actions: int, width: int = 200, layers: int = 4):
        super().__init__()
        sizes = [states + actions] + layers * [width]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.head = nn.Linear(width, 2 * (states + 1))
        self.register_buffer("center", torch.zeros(sizes[0], dtype=torch.float64))
        self.register_buffer("scale", torch.ones(sizes[0], dtype=torch.float64))
        for layer in (*self.hidden, self.head):
            deviation = 0.5 / math.sqrt(layer.in_features)
            nn.init.trunc_normal_(layer.weight, 0.0, deviation, -2 * deviation, 2 * deviation)
            nn.init.zeros_(layer.bias)

    def measure(self, states: Tensor, actions: Tensor) -> None:
        """Scale inputs by these data from now on; what never changes is only shifted."""
        data = torch.cat([states, actions], dim=1).double()
        deviation = data.std(dim=0)
        self.center.copy_(data.mean(dim=0))
        self.scale.copy_(torch.where(deviation < 1e-12, torch.ones_like(deviation), deviation))

    def inputs(self, states: Tensor, actions: Tensor) -> Tensor:
        """What the network is given, (n, states + actions) float32."""
        return ((torch.cat([states, actions], dim=1) - self.center) / self.scale).float()

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log variances, (n, states + 1) each; the last column is the reward's."""
        x = inputs
        for layer in self.hidden:
            x = silu(layer(x))
        mean, logvar = self.head(x).chunk(2, dim=1)
        logvar = MOST - softplus(MOST - logvar)
        return mean, LEAST + softplus(logvar - LEAST)


def surprise(mean: Tensor, logvar: Tensor, value: Tensor) -> Tensor:
    """Twice the negative log density of each entry, less log(2 pi)."""
    return (value - mean).square() * torch.exp(-logvar) + logvar


def log_density(mean: Tensor, logvar: Tensor, value: Tensor) -> Tensor:
    """Log density of each entry."""
    return -0.5 * (surprise(mean, logvar, value) + math.log(2.0 * math.pi))


def draw(mean: Tensor, logvar: Tensor) -> Tensor:
    """One value of each entry, from torch's own stream."""
    return mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)


class Rows(NamedTuple):
    """Steps that were taken."""

    states: Tensor  # (n, states) float32
    actions: Tensor  # (n, actions) float32, in [-1, 1]
    targets: Tensor  # (n, states + 1) float32: changes, and the reward


class Fitting(NamedTuple):
    """How the network is fitted."""

    epochs: int = 20  # passes over the data, at most
    patience: int = 5  # passes without better weights, after which it ends
    validation: float = 0.2  # share of the data that tells which weights are better
    batch_size: int = 256


class Fitted(NamedTuple):
    """What came of it."""

    error: float  # mean squared error of the weights that were kept, on the validation data
    epochs: int
    updates: int


def fit(
    model: Dynamics,
    optimizer: Any,
    rows: Rows,
    stream: np.random.Generator,
    how: Fitting,
    also: Callable[[Tensor], Tensor] | None = None,
) -> Fitted:
    """Fit a model to all steps so far, from the weights that it has.

    Parameters
    ----------
    stream
        Splits the data anew in each call, and shuffles them.
    also
        A second loss, of a batch of states (n, states); not drawn for where there is none.

    The weights that are kept are the last ones that lowered the error on the validation data by
    ENOUGH; where none did, those at the end.
    """
    model.measure(rows.states, rows.actions)
    inputs = model.inputs(rows.states, rows.actions)
    order = stream.permutation(len(inputs))
    held = int(how.validation * len(inputs))
    train, aside = order[: len(order) - held], torch.from_numpy(order[len(order) - held :])
    if not held:
        aside = torch.from_numpy(train)
    test, answers = inputs[aside], rows.targets[aside]
    best, weights = error_of(model, test, answers), None
    waited = epochs = updates = 0
    while epochs < how.epochs and waited < how.patience:
        shuffled = torch.from_numpy(stream.permutation(train))
        batches = (
            data[shuffled].split(how.batch_size) for data in (inputs, rows.targets, rows.states)
        )
        for x, y, states in zip(*batches, strict=True):
            mean, logvar = model(x)
            loss = surprise(mean, logvar, y).mean()
            if also is not None:
                loss = loss + also(states)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            updates += 1
        epochs += 1
        error = error_of(model, test, answers)
        if best - error > ENOUGH * best:
            best, waited = error, 0
            weights = {name: value.clone() for name, value in model.state_dict().items()}
        else:
            waited += 1
    if weights is None:
        return Fitted(error_of(model, test, answers), epochs, updates)
    model.load_state_dict(weights)
    return Fitted(best, epochs, updates)


def error_of(model: Dynamics, inputs: Tensor, targets: Tensor) -> float:
    """Mean squared error of the means."""
    with torch.no_grad():
        return float((model(inputs)[0] - targets).square().mean())


def remember(buffer: Any, *columns: np.ndarray) -> None:
    """Put steps into a ReplayBuffer of one environment, all at once, over the oldest ones.

    ``columns``: observations, actions, next observations, rewards, whether it was the end.
    """
    size = buffer.buffer_size
    rows = (buffer.pos + np.arange(len(columns[0]))) % size
    names = ("observations", "actions", "next_observations", "rewards", "dones")
    for name, column in zip(names, columns, strict=True):
        getattr(buffer, name)[rows, 0] = column
    buffer.full = bool(buffer.full or buffer.pos + len(rows) >= size)
    buffer.pos = (buffer.pos + len(rows)) % size
