"""Checks of arguments: each returns the value cast, or says in one line what is wrong with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np


def shown(value: Any) -> str:
    """``value`` for a message, in one line: as it is written, or what it is where that is long."""
    try:
        shape = np.shape(value) if isinstance(value, Sequence | np.ndarray) else ()
    except (TypeError, ValueError):  # rows of several lengths
        shape = ()
    if isinstance(value, np.ndarray) and shape:
        value = value.tolist() if value.size <= 8 else value
    text = " ".join(repr(value).split()) if not isinstance(value, np.ndarray) else ""
    if text and len(text) <= 60:
        return text
    if isinstance(value, str):
        return f"{value[:40]!r}... ({len(value):,} characters)"
    if shape:
        kind = "a list" if len(shape) == 1 else "a table"
        return f"{kind} of shape {tuple(shape)}"
    return f"{text[:57]}..." if text else f"an array of type {value.dtype}"


def number(name: str, value: Any) -> float:
    """``value`` as a finite float."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a number, got {shown(value)}") from None
    except OverflowError:
        raise ValueError(f"{name} must be finite, got a whole number beyond 1e308") from None
    if not math.isfinite(result):
        raise ValueError(f"{name} must be finite, got {shown(value)}")
    return result


def positive(name: str, value: Any) -> float:
    """``value`` as a float above 0."""
    result = number(name, value)
    if result <= 0:
        raise ValueError(f"{name} must be positive, got {shown(value)}")
    return result


def nonnegative(name: str, value: Any) -> float:
    """``value`` as a float of at least 0."""
    result = number(name, value)
    if result < 0:
        raise ValueError(f"{name} must be at least 0, got {shown(value)}")
    return result


def between(name: str, value: Any, low: float, high: float) -> float:
    """``value`` as a float in the closed interval [low, high]."""
    result = number(name, value)
    if not low <= result <= high:
        raise ValueError(f"{name} must lie in [{low:g}, {high:g}], got {shown(value)}")
    return result


def below_one(name: str, value: Any) -> float:
    """``value`` as a float in the half-open interval [0, 1)."""
    result = number(name, value)
    if not 0.0 <= result < 1.0:
        raise ValueError(f"{name} must lie in [0, 1), got {shown(value)}")
    return result


def inside(name: str, value: Any, low: float, high: float) -> float:
    """``value`` as a float in the open interval (low, high)."""
    result = number(name, value)
    if not low < result < high:
        raise ValueError(
            f"{name} must lie strictly between {low:g} and {high:g}, got {shown(value)}"
        )
    return result


def integer(name: str, value: Any, at_least: int, at_most: int | None = None) -> int:
    """``value`` as an int in that range; 3.0 passes, 3.5 and True do not."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        raise ValueError(f"{name} must be an integer of at least {at_least}, got {shown(value)}")
    if value != value or value in (math.inf, -math.inf) or int(value) != value:
        raise ValueError(f"{name} must be an integer of at least {at_least}, got {shown(value)}")
    if value < at_least:
        raise ValueError(f"{name} must be at least {at_least}, got {shown(value)}")
    if at_most is not None and value > at_most:
        raise ValueError(f"{name} must be at most {at_most}, got {shown(value)}")
    return int(value)


def whole(values: Any) -> np.ndarray:
    """``values`` as int64; empty where one of them is no whole number, but a text or a truth value.

    >>> whole([1, 2.0]), whole([1, 2.5]), whole(["1", "2"])
    (array([1, 2]), array([], dtype=int64), array([], dtype=int64))
    """
    with suppress(TypeError, ValueError, OverflowError):
        given = np.asarray(values)
        if given.dtype.kind in "iuf" and (np.abs(given) < 2.0**63).all():
            result = given.astype(np.int64)
            if (result == given).all():
                return result
    return np.empty(0, np.int64)


def flag(name: str, value: Any) -> bool:
    """``value`` as a bool; True, False, 1 and 0 pass, words do not."""
    if isinstance(value, bool | np.bool_) or value in (0, 1):
        return bool(value)
    raise ValueError(f"{name} must be true or false, got {shown(value)}")


def vector(
    name: str,
    values: Any,
    low: float = -math.inf,
    high: float = math.inf,
    at_least: int = 1,
) -> np.ndarray:
    """``values`` as a fresh float64 vector, every entry finite and in [low, high].

    A fresh copy, because a read-only array would be another type to the compiler.
    """
    try:
        result = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a list of numbers, got {shown(values)}") from None
    if result.ndim != 1 or result.size < at_least:
        raise ValueError(
            f"{name} must be a list of at least {at_least} numbers, got {shown(values)}"
        )
    for k, value in enumerate(result):
        if not (math.isfinite(value) and low <= value <= high):
            allowed = "finite" if low == -math.inf else f"in [{low:g}, {high:g}]"
            raise ValueError(f"{name}[{k}] must be {allowed}, got {float(value)!r}")
    return result


def choice(name: str, value: Any, allowed: Sequence[str]) -> str:
    """``value`` when it is one of ``allowed``."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {shown(value)}")
    return str(value)
