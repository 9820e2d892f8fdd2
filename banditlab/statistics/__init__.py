"""What the replications say. The unit is the replication, and every function says its rows are.

- ``means``: means, intervals, bands over a whole curve, slopes, paired tests, Holm's correction.
- ``pairs``: every agent against every other, on common replications.
- ``scores``: aggregates over several problems, as `rliable` defines them.
- ``sequential``: when enough replications have been played to name the better of the best two.
"""

from banditlab.statistics.means import (
    Interval,
    bootstrap_interval,
    clopper_pearson,
    flips,
    holm,
    mean_sem,
    paired_p,
    resampled_slopes,
    simultaneous_critical,
    student,
    t_interval,
)
from banditlab.statistics.pairs import Pair, chance_interval, compare_all
from banditlab.statistics.scores import (
    Aggregate,
    aggregate,
    iqm,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
    stratified_interval,
)
from banditlab.statistics.sequential import Verdict, log_e_value, top_two

__all__ = [
    "Aggregate",
    "Interval",
    "Pair",
    "Verdict",
    "aggregate",
    "bootstrap_interval",
    "chance_interval",
    "clopper_pearson",
    "compare_all",
    "flips",
    "holm",
    "iqm",
    "log_e_value",
    "mean_sem",
    "optimality_gap",
    "paired_p",
    "performance_profile",
    "probability_of_improvement",
    "resampled_slopes",
    "simultaneous_critical",
    "stratified_interval",
    "student",
    "t_interval",
    "top_two",
]
