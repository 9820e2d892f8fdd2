"""Every agent and every problem that can be found keeps the contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from banditlab import registry, testing

PAIRS = [(name, check) for name in registry.names() for check in testing.ALGORITHM_CHECKS]
PROBLEMS = [(name, check) for name in registry.problem_names() for check in testing.PROBLEM_CHECKS]


@pytest.mark.parametrize(("name", "check"), PAIRS, ids=[f"{n}:{c.__name__}" for n, c in PAIRS])
def test_algorithm(name, check):
    check(testing.subject(name))


@pytest.fixture
def example(request, tmp_path) -> Iterator[tuple[str, dict]]:
    yield request.param


@pytest.mark.parametrize(
    ("name", "check"), PROBLEMS, ids=[f"{n}:{c.__name__}" for n, c in PROBLEMS]
)
def test_problem(name, check):
    check(name, testing._example(name, {}))
