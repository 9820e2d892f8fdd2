"""The examples in docstrings are true; in plain Python, so that nothing is compiled for them."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_example_in_a_docstring_is_true():
    words = "-m pytest -n 0 -p no:cacheprovider --doctest-modules banditlab".split()
    if find_spec("stable_baselines3") is None:  # what stands on it cannot be imported
        words += ["--ignore", "banditlab/parts/deep"]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed and int(passed[1]) >= 70, done.stdout[-4000:]
