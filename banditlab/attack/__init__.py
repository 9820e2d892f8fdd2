"""Attack a policy of one's own: ``banditlab.attack.report(model, env, eps)``, or the command line.

See :mod:`banditlab.reports.attack`.
"""

from banditlab.reports.attack import ATTACKS, render, report

__all__ = ["ATTACKS", "render", "report"]
