"""Every agent and problem once with bounds checks on: the gate sets NUMBA_BOUNDSCHECK=1.

Without that variable an index past the end reads a stranger's memory in silence, so this file
says nothing unless it is set, and the gate sets it.
"""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from banditlab import registry
from banditlab.testing import subject as testing

CHECKED = os.environ.get("NUMBA_BOUNDSCHECK") == "1"


@pytest.mark.skipif(not CHECKED, reason="NUMBA_BOUNDSCHECK=1 is not set")
@pytest.mark.parametrize("name", registry.names())
def test_agent_stays_within_bounds(name):
    subject = testing.subject(name)
    if testing.alone(subject):
        pytest.skip("it has no kernels")
    # Where the seed must matter, enough pulls that the slowest decides.
    record = testing.run(subject, rounds=max(subject.protocol.contract.luck, default=40), count=2)
    recorded = ~np.isnan(record).all(axis=(0, 1))  # epsilon is nan for who is not private
    assert np.isfinite(record[..., recorded]).all() and recorded[0]


@pytest.mark.skipif(not CHECKED, reason="NUMBA_BOUNDSCHECK=1 is not set")
@pytest.mark.parametrize("name", registry.problem_names())
def test_problem_stays_within_bounds(name):
    subject = testing.facing(name, registry.example("problem", name))
    if testing.alone(subject):
        pytest.skip("nothing is compiled for it")
    record = testing.run(subject, rounds=40, count=2)
    recorded = ~np.isnan(record).all(axis=(0, 1))  # some regrets need a winner of all duels
    assert np.isfinite(record[..., recorded]).all() and recorded[0]


def test_the_variable_does_what_this_file_relies_on():
    """The control: with it, reading past the end raises."""
    code = (
        "import numpy as np; from banditlab.core import kernel\n"
        "@kernel\n"
        "def past(x): return x[x.size]\n"
        "past(np.zeros(2))"
    )
    env = {**os.environ, "NUMBA_BOUNDSCHECK": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode != 0 and "IndexError" in done.stderr
