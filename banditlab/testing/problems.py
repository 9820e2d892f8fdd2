"""What every problem keeps, as checks that anybody can run on their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from banditlab import registry
from banditlab.testing.contract import run_all_checks
from banditlab.testing.subject import alone, facing, plain_run, run


def problem_python_equals_jit(name: str, parameters: dict[str, Any]) -> None:
    """A learner on the problem gives the same bits with and without the jit."""
    s = facing(name, parameters)
    if alone(s):
        return
    plain, jitted = plain_run(s), run(s)
    assert np.array_equal(plain, jitted, equal_nan=True), f"{name}: plain Python and the jit differ"


def problem_checks(name: str, **parameters: Any) -> Iterator[tuple[str, Callable[[], None]]]:
    """The checks of one problem, as (title, function without arguments)."""
    given = parameters or registry.example("problem", name)
    problem = registry.make_problem(name, **given)
    for sound in registry.protocol_of(problem).contract.sound:
        yield f"{name}:{sound.__name__}", partial(_aloud, sound, name, problem)
    yield f"{name}:problem_python_equals_jit", partial(problem_python_equals_jit, name, given)


def _aloud(sound: Callable[[str, Any], None], name: str, problem: Any) -> None:
    with np.errstate(all="ignore"):  # plain Python wraps uint64 aloud; the streams mean it
        sound(name, problem)


def check_problem(name: str, **parameters: Any) -> None:
    """Run every check on a problem, a name or the path of a ``.py`` file; print what passed.

    Without parameters the file's own ``example`` is used. Raises AssertionError.
    """
    run_all_checks(problem_checks(name, **parameters))
