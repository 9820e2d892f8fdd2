"""One HTML file of a run, or of a whole folder of runs, for people to look at and to check.

The file is complete in itself: it asks the network for nothing and opens from a disk. It shows what
the runs left behind (:mod:`banditlab.curves`) and computes nothing anew but summaries of that:

* the claim of each arena, and its checks, passed or failed;
* curves with their bands: agents can be hidden, axes switched, parts enlarged, values read off;
* final values by agent and, from ``raw.parquet``, how they are distributed, and the differences of
  each two agents, paired by replication;
* what each agent took, where everything comes from, and how to run it again.

Curves are drawn by uPlot (MIT licence, ``uPlot.LICENSE``), which lies beside this file and is
copied into each report. It takes 50 kB, where the larger libraries take several megabytes, so a
report needs no extra, and a folder of fifty arenas opens at once. ``python -m banditlab.report`` is
the command, :func:`write` the same in Python.
"""

from banditlab.report.page import page, write

__all__ = ["page", "write"]
