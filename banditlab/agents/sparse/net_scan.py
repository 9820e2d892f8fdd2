"""Look at the best arm of every direction of a net, and name the best of them.

Our reconstruction of what the abstract of Dong & Yang 2023, "Does sparsity help in learning
misspecified linear bandits?", claims: an O(eps)-optimal arm after O(eps^-s d^s) looks, however many
dimensions and arms there are. For every set M of s coordinates and every direction u of a cover
(:mod:`banditlab.parts.covers`) the arm of the largest <a_M, u> is looked at, each arm once; then
the arm of the largest mean is named. It is within 2 (eps + zeta x_s B + omega) of the best, as that
of :mod:`banditlab.agents.sparse.sparse_mis`, which has the same arguments and looks at few of these
arms.

>>> import banditlab
>>> agent = banditlab.Agent("net_scan", n_arms=5, dim=2, horizon=10, s=1, eps=0.1)
>>> agent.act([[1, 0], [0, 1], [0.6, 0.8], [-1, 0], [0, -1]])
array([1, 1, 0, 1, 1])
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.parts import covers
from banditlab.parts.best_arm import add_batch, recommend_best
from banditlab.protocols.identify import Identify

label = "net scan"

example = {"name": "benign_gauss", "dim": 6, "n_arms": 20, "s": 2, "noise": 0.05}


class NetScan(NamedTuple):
    """Hyper-parameters."""

    s: int = 2  # >= 1: entries of theta that are not 0
    eps: float = 0.05  # >= 0: bound on the error of the linear model
    zeta: float = 0.05  # in (0, 1]: fineness of the net
    bound: float = 1.0  # > 0: of the norm of theta
    norm: float = 1.0  # > 0: of s features of an arm; read for the default of zeta only
    sigma: float = 0.0  # >= 0: standard deviation of rewards
    omega: float = 0.0  # >= 0: error of a mean; 0 without noise
    delta: float = 0.05  # in (0, 1): chance that some mean is worse


class Means(NamedTuple):
    """State."""

    pulls: np.ndarray  # (n_arms,) float64
    sums: np.ndarray  # (n_arms,) float64
    means: np.ndarray  # (n_arms,) float64


@kernel
def init(params, task, rng):
    return Means(np.zeros(task.n_arms), np.zeros(task.n_arms), np.zeros(task.n_arms))


@kernel
def act(params, state, t, x, rng, out):
    known = covers.directions(params.s, params.zeta)
    supports = covers.supports(x.shape[1], params.s)
    best, arg = np.empty(known.shape[0]), np.empty(known.shape[0], np.int64)
    n = covers.repeats(params, out.size)
    for c in range(supports.shape[0]):
        covers.best_arms(x, supports[c], known, best, arg)
        for arm in arg:
            out[arm] = n


@kernel
def update(params, state, t, x, pulls, sums, rng):
    add_batch(state, pulls, sums)


@kernel
def stop(params, state, t):
    return t > 0


def net_scan(
    s: int = 2,
    eps: float = 0.05,
    zeta: float | None = None,
    bound: float = 1.0,
    norm: float = 1.0,
    sigma: float = 0.0,
    omega: float | None = None,
    delta: float = 0.05,
) -> Identify:
    """Look at the whole net.

    For the arguments (``s``, ``eps``, ``zeta``, ``bound``, ``norm``, ``sigma``, ``omega``,
    ``delta``) and errors see ``sparse_mis``.
    """
    params = NetScan(*covers.net_arguments(s, eps, zeta, bound, norm, sigma, omega, delta))
    return Identify(
        params,
        init,
        act,
        update,
        recommend_best,
        stop=stop,
        features=True,
        check=covers.checking(params),
    )
