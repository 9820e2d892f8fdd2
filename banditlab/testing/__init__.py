"""The contract as checks that anybody can run on their own agent or problem."""

from banditlab.testing.contract import (
    ALGORITHM_CHECKS,
    algorithm_checks,
    check_algorithm,
    check_problem,
    problem_checks,
)

__all__ = [
    "ALGORITHM_CHECKS",
    "algorithm_checks",
    "check_algorithm",
    "check_problem",
    "problem_checks",
]
