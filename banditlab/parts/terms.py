"""The terms of play that every problem of protocol ``observe`` takes beside its own arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

from banditlab.protocols.observe import Losses
from banditlab.validate import flag, integer, nonnegative

TERMS = """
    Terms of play: ``price`` >= 0 of a switch, ``look_price`` >= 0 of an observation, both in units
    of loss; ``budget`` >= 0 observations in all, None for any number; ``extra``: whether the loss
    of the arm played is shown for free, so that the budget buys others; ``count_first``: whether
    the first round counts as a switch (Dekel et al. 2014 count it).
    """


def on_terms(factory: Callable[..., Losses]) -> Callable[..., Losses]:
    """Give the factory of a problem the terms of play as further arguments, and their text."""

    @wraps(factory)
    def build(
        *args: Any,
        price: float = 1.0,
        look_price: float = 0.0,
        budget: int | None = None,
        extra: bool = False,
        count_first: bool = False,
        **parameters: Any,
    ) -> Losses:
        return factory(*args, **parameters)._replace(
            price=nonnegative("price", price),
            look_price=nonnegative("look_price", look_price),
            budget=-1 if budget is None else integer("budget", budget, 0),
            extra=flag("extra", extra),
            count_first=flag("count_first", count_first),
        )

    own = list(inspect.signature(factory).parameters.values())
    terms = [
        p for p in inspect.signature(build, follow_wrapped=False).parameters.values()
        if p.kind is p.KEYWORD_ONLY
    ]  # fmt: skip
    build.__doc__ = f"{(factory.__doc__ or '').rstrip()}\n{TERMS}"
    build.__signature__ = inspect.Signature([*own, *terms])  # type: ignore[attr-defined]
    return build
