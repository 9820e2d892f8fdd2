"""Exp3 (Auer, Cesa-Bianchi, Freund & Schapire 2002), exponential weights for adversarial rewards.

In the loss form without mixing (Bubeck & Cesa-Bianchi 2012, Figure 3.1 and Theorem 3.1)::

    p_k ~ exp(-eta * L_k),   L_arm += (1 - reward) / p_arm

When the learning rate ``eta`` is 0 the theorem's is taken: sqrt(2 ln(K) / (K T)) for K arms and T
rounds, with regret at most sqrt(2 K T ln(K)); and sqrt(ln(K) / (K t)) in round t when the horizon
is unknown, with regret at most 2 sqrt(K T ln(K)). With several contexts T is the horizon's share
of one.

Another ``estimator`` changes what a round adds, and with it what is guaranteed:

==================  ==============================  ================================================
``"loss_iw"``       (1 - reward) / p                the default, above
``"loss_ix"``       (1 - reward) / (p + eta / 2)    ``exp3_ix``: also safe in single runs
``"gain_iw"``       -reward / p                     **no guarantee**: a good arm played often may
                                                    push the others out of sight
``"gain_ix_repo"``  -reward / (p + eta / 2)         **no guarantee**: it locks in. What the authors
                                                    of Liu et al. (2024), "Beyond worst-case
                                                    attacks", released; eta = ``lr`` sqrt(ln(K) /
                                                    (K T)), ``lr`` 2, and 5 in their experiments
``"gain_mix"``      -reward / p                     Auer et al.: an arm is drawn evenly with
                                                    probability g = min(1, sqrt(K ln(K) /
                                                    ((e - 1) T))), eta = g / K; regret at most
                                                    2.63 sqrt(K T ln(K))
==================  ==============================  ================================================

The default compared decision by decision with a public implementation: they agree.

>>> import banditlab
>>> agent = banditlab.Agent("exp3", n_arms=2, eta=0.5)
>>> agent.update(None, 0, reward=0.0)  # loss 1, of probability 1/2: L = [2, 0]
>>> agent.propensities().round(4)
array([0.2689, 0.7311])
"""

from __future__ import annotations

import math
from typing import NamedTuple

from banditlab import numeric
from banditlab.core import kernel_inline
from banditlab.parts.index import rounds_per_context
from banditlab.parts.weights import weight_policy
from banditlab.protocols.online import Online
from banditlab.validate import choice, nonnegative

label = "Exp3"

ESTIMATORS = ("loss_iw", "loss_ix", "gain_iw", "gain_ix_repo", "gain_mix")
E_LESS_1 = math.e - 1.0


class Exp3(NamedTuple):
    """Hyper-parameters of the default."""

    eta: float = 0.0  # >= 0; 0: the theorem's learning rate


class Estimating(NamedTuple):
    """Hyper-parameters of the others. A text among them costs a decision in a service 20 us."""

    eta: float  # >= 0; 0: the estimator's learning rate
    estimator: str  # one of ESTIMATORS
    lr: float  # >= 0; the rate in units of sqrt(ln(K) / (K T)); 0: eta


@kernel_inline
def rate(params, task, n):
    # A known horizon T allows the rate that t = T / 2 would have.
    t = 0.5 * rounds_per_context(task) if task.horizon > 0 else n + 1.0
    tuned = math.sqrt(numeric.log(task.n_arms * 1.0) / (task.n_arms * t))
    return params.eta if params.eta > 0.0 else tuned


@kernel_inline
def scaled_rate(params, task, n):
    t = rounds_per_context(task) if task.horizon > 0 else n + 1.0
    return params.lr * math.sqrt(numeric.log(task.n_arms * 1.0) / (task.n_arms * t))


@kernel_inline
def mixed_rate(params, task, n):
    t = rounds_per_context(task) if task.horizon > 0 else n + 1.0
    share = math.sqrt(task.n_arms * numeric.log(task.n_arms * 1.0) / (E_LESS_1 * t))
    return params.eta if params.eta > 0.0 else min(1.0, share) / task.n_arms


@kernel_inline
def weight(rate, z):
    return numeric.exp(-rate * z)


@kernel_inline
def estimate(rate, p, loss, played):
    return loss / p if played else 0.0


@kernel_inline
def implicit(rate, p, loss, played):
    return loss / (p + 0.5 * rate) if played else 0.0


@kernel_inline
def gain(rate, p, loss, played):
    return (loss - 1.0) / p if played else 0.0


@kernel_inline
def implicit_gain(rate, p, loss, played):
    return (loss - 1.0) / (p + 0.5 * rate) if played else 0.0


@kernel_inline
def share(rate, n_arms):
    return min(1.0, rate * n_arms)


def exp3(eta: float = 0.0, estimator: str = "loss_iw", lr: float = 0.0) -> Online:
    """Exp3 with learning rate ``eta`` >= 0, where 0 stands for the theorem's. Rewards in [0, 1].

    ``estimator``: see the top of the file. ``lr`` >= 0 is another way to give the rate, in units of
    sqrt(ln(K) / (K T)). Raises ValueError when ``eta`` or ``lr`` is negative, both are given, or
    the estimator is unknown.
    """
    eta, lr = nonnegative("eta", eta), nonnegative("lr", lr)
    estimator = choice("estimator", estimator, ESTIMATORS)
    if eta > 0.0 and lr > 0.0:
        raise ValueError(f"eta and lr both give the learning rate, got {eta:g} and {lr:g}")
    if estimator == "gain_ix_repo" and eta == 0.0:
        lr = lr or 2.0
    plain = estimator == "loss_iw" and lr == 0.0
    tuned = mixed_rate if estimator == "gain_mix" else rate
    learn = {"loss_ix": implicit, "gain_ix_repo": implicit_gain, "loss_iw": estimate}
    return weight_policy(
        Exp3(eta) if plain else Estimating(eta, estimator, lr),
        scaled_rate if lr > 0.0 else tuned,
        learn.get(estimator, gain),
        weight,
        share=share if estimator == "gain_mix" else None,
    )
