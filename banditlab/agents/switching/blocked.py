"""Blocks: any bandit algorithm, slowed down until its switches are affordable.

The mini-batches of Arora, Dekel & Tewari 2012 (section 2, for Exp3): the base algorithm acts once
per block of ``tau`` rounds, its arm is played throughout, and the block counts as one round with
the mean of the block's losses as its loss. The base's horizon is ceil(T / tau).

When ``tau`` is 0, the block length balances the guarantee of Exp3 over N = T / tau blocks,
T sqrt(2 K ln(K) / N), against the price lam of at most N switches::

    N = (T / lam)^(2/3) (K ln(K) / 2)^(1/3),   tau = max(1, round(T / N))

That length is derived here, and checked against a search over all N; theirs, for price 1, is
``batched_exp3(tau="arora")``. Played in blocks, a base does what it does on a table of block means.

>>> import banditlab
>>> banditlab.make("blocked", base="tsallis_inf", tau=20).params.base_hyper
TsallisINF(reduced_variance=0)
"""

from __future__ import annotations

from typing import Any, NamedTuple

from banditlab import registry
from banditlab.parts.blocks import in_blocks, mean_loss, sum_of_losses
from banditlab.protocols import online
from banditlab.protocols.observe import Observe
from banditlab.validate import choice, integer

label = "blocks"

example = {"name": "deterministic_gap", "n_arms": 3, "gap": 0.2}


class Blocked(NamedTuple):
    """Hyper-parameters."""

    base: str = "exp3"  # name of an online algorithm for rewards in [0, 1]
    tau: int = 0  # >= 0, rounds of a block; 0: tuned
    feed: str = "mean"  # or "sum": the loss of a block
    base_hyper: Any = ()  # hyper-parameters of the base


def blocked(base: str = "exp3", tau: int = 0, feed: str = "mean", base_hyper: Any = ()) -> Observe:
    """The online algorithm called ``base`` in blocks of ``tau`` rounds; 0 stands for tuned ones.

    ``base_hyper`` (a mapping) are the base's hyper-parameters. It receives 1 - loss as reward,
    where loss is the mean of the block's losses, or with ``feed = "sum"`` that mean times ``tau``:
    the reward then lies in [1 - tau, 1], which an algorithm tuned for [0, 1] does not know, so
    exponential weights learn ``tau`` times as fast. Losses beyond the budget are not seen; a block
    without any teaches nothing.

    Raises ValueError when ``base`` is not the name of an online algorithm that takes rewards in
    [0, 1] and needs no features, ``tau`` is negative, ``feed`` is something else, or
    ``base_hyper`` does not suit the base.
    """
    given = base_hyper._asdict() if hasattr(base_hyper, "_asdict") else dict(base_hyper)
    made: Any = registry.make(base, **given)
    if not online.PROTOCOL.speaks(made, log=0) or made.features:
        raise ValueError(f"base must be an online algorithm without features, got {base!r}")
    if made.rewards[0] > 0.0 or made.rewards[1] < 1.0:
        raise ValueError(f"base must take rewards in [0, 1], got {base!r}")
    params = Blocked(
        str(base), integer("tau", tau, 0), choice("feed", feed, ("mean", "sum")), made.params
    )
    return in_blocks(params, made, loss_of=sum_of_losses if params.feed == "sum" else mean_loss)
