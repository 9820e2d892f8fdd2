"""Every agent and every problem that can be found keeps the contract.

Each check is a function of :mod:`banditlab.testing` that raises AssertionError where it fails.
"""

from __future__ import annotations

import pytest

from banditlab import registry
from banditlab.testing import contract as testing

AGENTS = [pair for name in registry.names() for pair in testing.algorithm_checks(name)]
PROBLEMS = [pair for name in registry.problem_names() for pair in testing.problem_checks(name)]


def test_nobody_is_left_out():
    checked = {title.partition(":")[0] for title, _ in AGENTS}
    assert checked == set(registry.names())
    assert {title.partition(":")[0] for title, _ in PROBLEMS} == set(registry.problem_names())
    assert len(AGENTS) == len(checked) * len(testing.ALGORITHM_CHECKS)


@pytest.mark.parametrize("check", [c for _, c in AGENTS], ids=[title for title, _ in AGENTS])
def test_algorithm(check):
    check()


@pytest.mark.parametrize("check", [c for _, c in PROBLEMS], ids=[title for title, _ in PROBLEMS])
def test_problem(check):
    check()
