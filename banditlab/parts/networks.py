"""Small neural networks with one or two hidden layers of rectified linear units, written out.

A network maps the features ``x`` (dim,) of an arm to a number::

    f(x) = last . relu(first[block].T x + bias) + last_bias                       one hidden layer
    f(x) = last . relu(hidden.T relu(first[block].T x + bias) + hidden_bias) + last_bias      two

Every arm has a ``block`` of the first layer to itself and shares all else: this is the network that
would be shown ``x`` in the arm's place of a vector of ``n_arms * dim`` entries that is 0 elsewhere
(Zhou, Li & Gu 2020), without that vector. With one block, features that differ between arms tell
them apart.

All weights lie in one vector ``theta``, (p,) float64, in the order of :class:`Layers`; `layers`
shows it layer by layer, as views. The unit is the innermost axis: the loops over it have no sums
but the one over ``last``, so they become SIMD code and keep the bits of plain Python.

>>> import numpy as np
>>> from banditlab import random
>>> from banditlab.parts import networks
>>> net = networks.new(1, 2, 3, 1, random.stream(random.key(0), 0, random.AGENT))
>>> net.theta.size == networks.size(1, 2, 3, 1) == 2 * 3 + 3 + 3 + 1
True
>>> gradient = np.zeros(net.theta.size)
>>> x = np.array([1.0, -1.0])
>>> bool(networks.gradient(net, 0, x, gradient) == networks.predict(net, 0, x))
True
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.core import kernel
from banditlab.random import uniform


class Network(NamedTuple):
    """Weights, and room to compute with them. ``depth`` is 1 or 2."""

    theta: np.ndarray  # (p,) float64: all weights
    start: np.ndarray  # (p,) float64: the weights before the first step
    values: np.ndarray  # (depth, units) float64: scratch, what the hidden units put out
    slopes: np.ndarray  # (depth, units) float64: scratch, derivatives by what they take in
    row: np.ndarray  # (dim,) float64: scratch, features


class Layers(NamedTuple):
    """The weights layer by layer: views of a vector (p,). With one hidden layer ``inner`` is 0."""

    first: np.ndarray  # (blocks, dim, units) float64
    bias: np.ndarray  # (units,) float64: of the first hidden layer, for all blocks
    hidden: np.ndarray  # (inner, units) float64: from the first hidden layer (rows) to the second
    hidden_bias: np.ndarray  # (inner,) float64
    last: np.ndarray  # (units,) float64
    last_bias: np.ndarray  # (1,) float64


@kernel
def size(blocks, dim, units, depth):
    """Number of weights p."""
    inner = units if depth > 1 else 0
    return (blocks * dim + 2) * units + (units + 1) * inner + 1


@kernel
def layers(net, vector):
    """A vector like ``net.theta``, layer by layer."""
    depth, units = net.values.shape
    dim = net.row.size
    inner = units if depth > 1 else 0
    shared = size(0, dim, units, depth)
    rows = (vector.size - shared) // units
    a = rows * units
    b = a + units
    c = b + inner * units
    d = c + inner
    e = d + units
    return Layers(
        vector[:a].reshape((rows // dim, dim, units)),
        vector[a:b],
        vector[b:c].reshape((inner, units)),
        vector[c:d],
        vector[d:e],
        vector[e : e + 1],
    )


@kernel
def fill_evenly(values, fan_in, rng):
    """Uniform on [-1, 1] / sqrt(fan_in), one word each."""
    scale = 1.0 / math.sqrt(fan_in)
    for i in range(values.size):
        values[i] = scale * (2.0 * uniform(rng) - 1.0)


@kernel
def new(blocks, dim, units, depth, rng):
    """A network of ``depth`` 1 or 2 hidden layers with random weights.

    Weights and biases alike are uniform on [-1, 1] / sqrt(fan_in), as PyTorch's default is; the
    ``fan_in`` of the first layer is ``blocks * dim``, of the others ``units``.
    """
    theta = np.empty(size(blocks, dim, units, depth))
    first = (blocks * dim + 1) * units
    fill_evenly(theta[:first], blocks * dim, rng)
    fill_evenly(theta[first:], units, rng)
    values = np.zeros((depth, units))
    return Network(theta, theta.copy(), values, values.copy(), np.zeros(dim))


@kernel
def forward(w, block, x, values):
    """``f(x)`` for an arm's ``block`` and ``x`` (dim,); ``values`` receives the hidden units'.

    Features that are 0 cost nothing.
    """
    h = values[0]
    for j in range(h.size):
        h[j] = w.bias[j]
    first = w.first[block]
    for k in range(x.size):
        c = x[k]
        if c != 0.0:
            for j in range(h.size):
                h[j] += first[k, j] * c
    for j in range(h.size):
        h[j] = h[j] if h[j] > 0.0 else 0.0
    for _ in range(values.shape[0] - 1):
        top = values[1]
        for j in range(top.size):
            top[j] = w.hidden_bias[j]
        for i in range(h.size):
            c = h[i]
            if c != 0.0:
                for j in range(top.size):
                    top[j] += w.hidden[i, j] * c
        for j in range(top.size):
            top[j] = top[j] if top[j] > 0.0 else 0.0
    top = values[values.shape[0] - 1]
    total = w.last_bias[0]
    for j in range(top.size):
        total += w.last[j] * top[j]
    return total


@kernel
def backward(w, scale, values, slopes):
    """Fill ``slopes`` with ``scale`` times the derivatives of ``f`` by what hidden units take in.

    ``values`` are those of `forward`. A unit that is off, or exactly at its kink, has slope 0.
    """
    top = values.shape[0] - 1
    for j in range(w.last.size):
        slopes[top, j] = scale * w.last[j] if values[top, j] > 0.0 else 0.0
    for i in range(w.last.size if top > 0 else 0):
        total = 0.0
        if values[0, i] > 0.0:
            for j in range(w.last.size):
                total += w.hidden[i, j] * slopes[1, j]
        slopes[0, i] = total


@kernel
def descend(into, block, x, scale, values, slopes):
    """Subtract ``scale`` times the gradient of ``f`` from ``into``, the `layers` of any vector.

    ``slopes`` are those of `backward` with the same ``scale``: weights may change here, for what
    the gradient reads of them has been read there.
    """
    top = values.shape[0] - 1
    into.last_bias[0] -= scale
    last = into.last
    shown = values[top]
    for j in range(last.size):
        last[j] -= scale * shown[j]
    for _ in range(top):
        back = slopes[1]
        for i in range(into.hidden.shape[0]):
            c = values[0, i]
            if c != 0.0:
                for j in range(back.size):
                    into.hidden[i, j] -= c * back[j]
        for j in range(back.size):
            into.hidden_bias[j] -= back[j]
    back = slopes[0]
    for j in range(back.size):
        into.bias[j] -= back[j]
    first = into.first[block]
    for k in range(x.size):
        c = x[k]
        if c != 0.0:
            for j in range(back.size):
                first[k, j] -= c * back[j]


@kernel
def predict(net, block, x):
    """``f(x)``; ``net.values`` then holds what the hidden units put out."""
    return forward(layers(net, net.theta), block, x, net.values)


@kernel
def gradient(net, block, x, out):
    """Write the gradient of ``f(x)`` by ``theta`` to ``out`` (p,); returns ``f(x)``.

    ``net.values`` and ``net.slopes`` then hold what it is made of: by ``first[block, k, j]`` it is
    ``x[k] * slopes[0, j]``, by ``last[j]`` the value of unit j.
    """
    w = layers(net, net.theta)
    f = forward(w, block, x, net.values)
    for i in range(out.size):
        out[i] = 0.0
    backward(w, -1.0, net.values, net.slopes)
    descend(layers(net, out), block, x, -1.0, net.values, net.slopes)
    backward(w, 1.0, net.values, net.slopes)
    return f


@kernel
def sigmoid(z):
    """1 / (1 + exp(-z))."""
    return 1.0 / (1.0 + numeric.exp(-z))


@kernel
def is_off(net):
    """Whether no unit of the last hidden layer is on, after `predict`: then nothing is learned."""
    top = net.values.shape[0] - 1
    on = 0
    for j in range(net.values.shape[1]):
        on += 1 if net.values[top, j] > 0.0 else 0
    return on == 0


@kernel
def show(net, x, arm):
    """Copy the features of ``arm``, a row of its own or the one that all share, to ``net.row``."""
    shown = arm if x.shape[0] > 1 else 0
    for k in range(net.row.size):
        net.row[k] = x[shown, k]
    return net.row


@kernel
def block_of(net, arm):
    """The block of the first layer that belongs to ``arm``: the only one where all share it."""
    depth, units = net.values.shape
    shared = size(0, net.row.size, units, depth)
    return arm if net.theta.size - shared > net.row.size * units else 0
