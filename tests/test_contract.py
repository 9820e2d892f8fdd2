"""Every agent and every problem that can be found keeps the contract.

Each check is a function of :mod:`banditlab.testing` that raises AssertionError where it fails.
"""

from __future__ import annotations

import pytest

from banditlab import registry, testing
from banditlab.testing.subject import facing, subject

AGENTS = [pair for name in registry.names() for pair in testing.algorithm_checks(name)]
PROBLEMS = [pair for name in registry.problem_names() for pair in testing.problem_checks(name)]
# One child process runs all of them without the jit: to start one takes longer than to play.
testing.want_plain(subject(name) for name in registry.names())
testing.want_plain(facing(n, registry.example("problem", n)) for n in registry.problem_names())
LANED = [on for name in registry.names() for on in testing.in_lanes(subject(name))]
for in_lockstep in (False, True):
    testing.want_plain(LANED, **testing.LANES, lanes=in_lockstep)


def test_nobody_is_left_out():
    checked = {title.partition(":")[0] for title, _ in AGENTS}
    assert checked == set(registry.names())
    assert {title.partition(":")[0] for title, _ in PROBLEMS} == set(registry.problem_names())
    assert len(AGENTS) == len(checked) * len(testing.ALGORITHM_CHECKS)


@pytest.mark.parametrize("check", [c for _, c in AGENTS], ids=[title for title, _ in AGENTS])
def test_algorithm(check):
    check()


def on_terms(name):
    """Whether the problem is played on terms: prices, and a budget of observations."""
    return hasattr(registry.make_problem(name, **registry.example("problem", name)), "look_price")


@pytest.mark.parametrize("name", [name for name in registry.problem_names() if on_terms(name)])
def test_terms_are_arguments(name):
    terms = {"price": 2.0, "look_price": 0.5, "budget": 7, "extra": True}
    problem = registry.make_problem(name, **registry.example("problem", name), **terms)
    assert (problem.price, problem.look_price, problem.budget, problem.extra) == (2.0, 0.5, 7, True)


@pytest.mark.parametrize("check", [c for _, c in PROBLEMS], ids=[title for title, _ in PROBLEMS])
def test_problem(check):
    check()
