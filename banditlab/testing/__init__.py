"""The contract as checks that anybody can run on their own agent or problem.

>>> from banditlab.testing import check_algorithm, check_problem
>>> check_algorithm("ucb")  # doctest: +SKIP
>>> check_problem("bernoulli", means=[0.2, 0.8])  # doctest: +SKIP

A name, or a file such as ``"./my_agent.py"``.
"""

from banditlab.testing.contract import ALGORITHM_CHECKS, algorithm_checks, check_algorithm
from banditlab.testing.problems import check_problem, problem_checks
from banditlab.testing.subject import LANES, in_lanes, plain_run, want_plain

__all__ = [
    "ALGORITHM_CHECKS",
    "LANES",
    "algorithm_checks",
    "check_algorithm",
    "check_problem",
    "in_lanes",
    "plain_run",
    "problem_checks",
    "want_plain",
]
