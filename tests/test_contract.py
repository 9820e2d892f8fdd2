"""Every agent and every problem that can be found keeps the contract."""

from __future__ import annotations

import pytest

from banditlab import registry, testing

AGENTS = [pair for name in registry.names() for pair in testing.algorithm_checks(name)]
PROBLEMS = [pair for name in registry.problem_names() for pair in testing.problem_checks(name)]


@pytest.mark.parametrize("check", [c for _, c in AGENTS], ids=[title for title, _ in AGENTS])
def test_algorithm(check):
    check()


@pytest.mark.parametrize("check", [c for _, c in PROBLEMS], ids=[title for title, _ in PROBLEMS])
def test_problem(check):
    check()
