"""Warnings that would mean a silently slower or uncached library are errors."""

import warnings

import pytest
from numba.core.errors import NumbaWarning


@pytest.fixture(autouse=True)
def _numba_warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error", NumbaWarning)
        yield
