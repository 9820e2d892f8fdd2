"""Warnings that would mean a silently slower or uncached library are errors."""

import gc
import importlib.metadata
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from numba.core.errors import NumbaWarning

# Python's search for garbage goes through all that some thousand tests and the compiler hold, again
# and again: a quarter of the time to collect the tests, a tenth of that to run them.
gc.disable()


def pytest_collection_finish():
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()


@pytest.fixture(autouse=True)
def _numba_warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error", NumbaWarning)
        yield


@pytest.fixture(scope="session")
def installed(tmp_path_factory) -> Path:
    """A folder with nothing but banditlab, installed from a wheel of this tree."""
    root = Path(__file__).parent.parent
    there = tmp_path_factory.mktemp("wheel")
    source = there / "source"  # a copy: building leaves files behind
    for name in ("banditlab", "arenas"):
        shutil.copytree(root / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(root / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    here = int(importlib.metadata.version("setuptools").partition(".")[0]) >= 77
    build = ["wheel", "--no-deps", "--wheel-dir", there, source]
    subprocess.run([*pip, *build, *["--no-build-isolation"] * here], check=True)
    [wheel] = there.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", there / "site", wheel], check=True)
    return there / "site"
