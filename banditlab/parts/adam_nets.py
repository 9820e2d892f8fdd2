"""Small networks with one output trained by Adam, with or without a convolution in front.

They are what EE-Net (Ban, Yan, Banerjee & He 2022) learns beside the network of rewards: how far
that is wrong (a convolution, then a layer), and what to make of both (a layer). All parameters of a
network lie in one vector ``theta``, in this order:

=============  ========================  =====================================================
part           entries                   what
=============  ========================  =====================================================
convolution    kernel                    weights; only where there is one
               1                         bias
layer          (n_in, units)             weights, a row per input: the unit is innermost
               units                     biases
               units                     weights of the output
               1                         bias of the output
=============  ========================  =====================================================

A value is ``output . relu(layer(z))``, where ``z`` is the input or ``z_i = bias + sum_j w_j
input[stride i + j]``. Entries start uniform on ``[-1/sqrt(fan_in), 1/sqrt(fan_in)]``. A step of
Adam (Kingma & Ba 2015, Algorithm 1, beta 0.9 and 0.999, epsilon 1e-8) follows the gradient of
``(value - target)^2 + decay / 2 |theta|^2``. Each training call starts with moments of zero.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.random import uniform

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


class Net(NamedTuple):
    """A network; ``n_theta`` is the number of its parameters, ``n_in`` the size of ``z``."""

    theta: np.ndarray  # (n_theta,) float64
    grad: np.ndarray  # (n_theta,) float64: scratch
    first: np.ndarray  # (n_theta,) float64: Adam's moment of gradients
    second: np.ndarray  # (n_theta,) float64: and of their squares
    powers: np.ndarray  # (2,) float64: BETA_1^t and BETA_2^t after t steps
    z: np.ndarray  # (n_in,) float64: scratch, inputs of the layer
    dz: np.ndarray  # (n_in,) float64: scratch, the gradient with respect to them
    hidden: np.ndarray  # (units,) float64: scratch, the layer's output
    stride: np.ndarray  # (1,) int64: of the convolution; 0: there is none


@kernel
def _fill(theta, start, end, fan_in, rng):
    half = 1.0 / math.sqrt(float(fan_in))
    for i in range(start, end):
        theta[i] = half * (2.0 * uniform(rng) - 1.0)


@kernel
def init(n_inputs, units, width, stride, rng):
    """A network for ``n_inputs``; with ``stride`` > 0 behind a convolution of ``width`` entries.

    A convolution that is wider than the input is as wide as the input.
    """
    width = min(width, n_inputs) if stride > 0 else 0
    n_in = (n_inputs - width) // stride + 1 if stride > 0 else n_inputs
    front = width + 1 if stride > 0 else 0
    n_theta = front + n_in * units + 2 * units + 1
    theta = np.empty(n_theta)
    if stride > 0:
        _fill(theta, 0, front, width, rng)
    _fill(theta, front, front + (n_in + 1) * units, n_in, rng)
    _fill(theta, front + (n_in + 1) * units, n_theta, units, rng)
    return Net(
        theta,
        np.zeros(n_theta),
        np.zeros(n_theta),
        np.zeros(n_theta),
        np.ones(2),
        np.zeros(n_in),
        np.zeros(n_in),
        np.zeros(units),
        np.full(1, stride),
    )


@kernel
def value(net, inputs):
    """The network's value; leaves ``z`` and ``hidden`` behind for :func:`gradient`."""
    theta, z, hidden = net.theta, net.z, net.hidden
    n_in, units, stride = z.size, hidden.size, net.stride[0]
    front = theta.size - (n_in + 2) * units - 1
    if stride > 0:
        for i in range(n_in):
            z[i] = theta[front - 1]
        for j in range(front - 1):
            w = theta[j]
            for i in range(n_in):
                z[i] += w * inputs[stride * i + j]
    else:
        for i in range(n_in):
            z[i] = inputs[i]
    bias = front + n_in * units
    for u in range(units):
        hidden[u] = theta[bias + u]
    for i in range(n_in):
        c, row = z[i], front + i * units
        for u in range(units):
            hidden[u] += c * theta[row + u]
    total = theta[theta.size - 1]
    out = bias + units
    for u in range(units):
        hidden[u] = max(hidden[u], 0.0)
        total += theta[out + u] * hidden[u]
    return total


@kernel
def gradient(net, inputs, scale):
    """Write ``scale`` times the gradient of the last :func:`value`, of ``inputs``, to ``grad``."""
    theta, grad, z, dz, hidden = net.theta, net.grad, net.z, net.dz, net.hidden
    n_in, units, stride = z.size, hidden.size, net.stride[0]
    front = theta.size - (n_in + 2) * units - 1
    bias, out = front + n_in * units, front + (n_in + 1) * units
    grad[theta.size - 1] = scale
    for u in range(units):
        grad[out + u] = scale * hidden[u]
        grad[bias + u] = scale * theta[out + u] if hidden[u] > 0.0 else 0.0
    for i in range(n_in):
        c, row, total = z[i], front + i * units, 0.0
        for u in range(units):
            grad[row + u] = c * grad[bias + u]
            total += theta[row + u] * grad[bias + u]
        dz[i] = total
    if stride > 0:
        for j in range(front - 1):
            total = 0.0
            for i in range(n_in):
                total += dz[i] * inputs[stride * i + j]
            grad[j] = total
        total = 0.0
        for i in range(n_in):
            total += dz[i]
        grad[front - 1] = total


@kernel
def restart(net):
    """Forget Adam's moments."""
    for i in range(net.theta.size):
        net.first[i] = 0.0
        net.second[i] = 0.0
    net.powers[0] = 1.0
    net.powers[1] = 1.0


@kernel
def step(net, inputs, target, lr, decay):
    """One step of Adam on one sample; returns the squared error before it."""
    error = value(net, inputs) - target
    gradient(net, inputs, 2.0 * error)
    theta, grad, first, second = net.theta, net.grad, net.first, net.second
    net.powers[0] *= BETA_1
    net.powers[1] *= BETA_2
    rate, scale = lr / (1.0 - net.powers[0]), 1.0 / math.sqrt(1.0 - net.powers[1])
    for i in range(theta.size):
        g = grad[i] + decay * theta[i]
        first[i] = BETA_1 * first[i] + (1.0 - BETA_1) * g
        second[i] = BETA_2 * second[i] + (1.0 - BETA_2) * (g * g)
        theta[i] -= rate * first[i] / (math.sqrt(second[i]) * scale + EPSILON)
    return error * error
