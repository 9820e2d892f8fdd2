"""No kernel of an agent or a problem reads or writes past an end.

Compiled, an index past the end reads a stranger's memory in silence. Plain Python raises for it,
as Numba's own check of bounds does, which would compile every kernel a second time.
"""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from banditlab import registry, testing
from banditlab.testing import subject as test
from banditlab.testing.subject import ROUNDS


def given(subject):
    """The contract's run; where the seed must matter, so many pulls that the slowest decides."""
    rounds = max(subject.protocol.contract.luck, default=ROUNDS)
    return {"rounds": rounds, "count": 2} if rounds > ROUNDS else {}


@pytest.fixture(scope="module")
def subjects():
    """Agents and problems under test, by kind and name: one child plays them all."""
    agents = {("agent", name): test.subject(name) for name in registry.names()}
    problems = {
        ("problem", name): test.facing(name, registry.example("problem", name))
        for name in registry.problem_names()
    }
    for subject in (*agents.values(), *problems.values()):
        testing.want_plain([subject], **given(subject))
    return agents | problems


@pytest.mark.parametrize(
    ("kind", "name"),
    [("agent", name) for name in registry.names()]
    + [("problem", name) for name in registry.problem_names()],
)
def test_stays_within_bounds(kind, name, subjects):
    subject = subjects[kind, name]
    if test.alone(subject):
        pytest.skip("nothing is compiled for it")
    record = testing.plain_run(subject, **given(subject))
    # The epsilon of who is not private is nan, and so is a regret that needs a winner of all duels.
    recorded = ~np.isnan(record).all(axis=(0, 1))
    assert np.isfinite(record[..., recorded]).all() and recorded[0]


PAST = '''
"""An agent whose memory is one arm too short, 2026."""
from typing import NamedTuple
import numpy as np
from banditlab.core import kernel
from banditlab.protocols.online import Online

class Nothing(NamedTuple):
    pass

class Pulls(NamedTuple):
    pulls: np.ndarray  # (n_arms - 1,) int64

@kernel
def init(params, task, rng):
    return Pulls(np.zeros(task.n_arms - 1, np.int64))

@kernel
def act(params, state, t, x, rng):
    return t % 3

@kernel
def update(params, state, t, x, arm, reward, rng):
    state.pulls[arm] += 1

@kernel
def recommend(params, state, x, rng, out):
    out[:] = 1.0 / out.size

def past():
    return Online(Nothing(), init, act, update, recommend)
'''


def test_an_index_past_the_end_is_named(tmp_path):
    (tmp_path / "past.py").write_text(PAST)
    subject = test.subject(str(tmp_path / "past.py"))
    subject = subject._replace(problem_name="bernoulli", parameters={"means": [0.2, 0.5, 0.8]})
    line = 1 + PAST[: PAST.index("state.pulls[arm]")].count("\n")
    with pytest.raises(AssertionError, match=f"past.py, line {line}: IndexError: index 2 is out"):
        testing.plain_run(subject)


# Which of these indices are past an end: by Numba's check of bounds, and in plain Python.
INDICES = """
import numpy as np
from banditlab.core import kernel

@kernel
def one(x, i):
    return x[i]

@kernel
def two(x, i, j):
    return x[i, j]

@kernel
def write(x, i):
    x[i] = 1.0
    x[i] += 1.0

@kernel
def part(x, i):
    return x[i:].sum() + x[:i].size

x, y = np.arange(3.0), np.ones((2, 3))
far = [-4, -3, -1, 0, 2, 3, 2**62, np.uint64(2), np.uint64(3), np.uint64(2**64 - 1)]
for name, call, indices in (
    ("one", lambda i: one(x, i), far),
    ("write", lambda i: write(x, i), far),
    ("part", lambda i: part(x, i), [-4, 0, 3, 4, 2**62]),
    ("two", lambda i: two(y, *i), [(0, 2), (1, -3), (2, 0), (0, 3), (-3, 0), (0, -4)]),
):
    for i in indices:
        try:
            call(i)
            print(name, i, "is inside")
        except (IndexError, OverflowError):
            print(name, i, "is past an end")
"""


def test_plain_python_raises_where_a_check_of_bounds_does():
    """The control: what this file relies on."""
    said = []
    for how in ("NUMBA_BOUNDSCHECK", "NUMBA_DISABLE_JIT"):
        done = subprocess.run(
            [sys.executable, "-c", INDICES],
            env={**os.environ, how: "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        said.append(done.stdout.splitlines())
    assert said[0] == said[1] and len(said[0]) == 31
    assert sum("inside" in line for line in said[0]) == 17
