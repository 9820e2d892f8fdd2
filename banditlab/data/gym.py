"""Environments of Gymnasium as strangers write them: made by name, and blamed by name."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any


def made(id: str, options: Mapping[str, Any] | None = None, **more: Any) -> Any:
    """The Gymnasium environment ``id``, made with ``options``.

    Gymnasium's checks of every step are left out: whoever plays makes its own, with better words.
    Raises ValueError, in one line, if it cannot be made.
    """
    import gymnasium

    given = {"disable_env_checker": True, **(options or {}), **more}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return gymnasium.make(id, **given)
    except Exception as error:  # of Gymnasium, which names what to use instead, or of its maker
        said = " ".join(str(error).split()).rstrip(".")
        kind = "" if isinstance(error, gymnasium.error.Error) else f"{type(error).__name__}: "
        if options and "unexpected keyword argument" in said:
            raise ValueError(f"{id} does not take these options: {said}") from error
        hint = ""
        if isinstance(error, gymnasium.error.NameNotFound | gymnasium.error.NamespaceNotFound):
            hint = f"; an environment of a module of your own is written MODULE:{id}"
        raise ValueError(f"{id}: {kind}{said}{hint}") from error


class Named:
    """An environment that says its name, and the step, when its own code fails.

    ``reset`` and ``step`` raise ValueError then; everything else is the environment's.
    """

    def __init__(self, env: Any, name: str):
        self.env, self.name, self.steps = env, name, 0

    def __getattr__(self, key: str) -> Any:
        return getattr(self.env, key)

    def reset(self, **given: Any) -> Any:
        """As the environment's."""
        try:
            return self.env.reset(**given)
        except Exception as error:
            raise ValueError(f"{self.name}: reset failed: {in_words(error)}") from error

    def step(self, action: Any) -> Any:
        """As the environment's."""
        self.steps += 1
        try:
            return self.env.step(action)
        except Exception as error:
            where = f"step {self.steps:,}, action {action}"
            raise ValueError(f"{self.name}: {where}: {in_words(error)}") from error


def in_words(error: BaseException) -> str:
    """What an error of somebody else's code says, in one line, and of what kind it is."""
    said = " ".join(str(error).split())[:200]
    return said if isinstance(error, ValueError) and said else f"{type(error).__name__}: {said}"
