"""What every argument goes through, by itself; and what is said of files that cannot be written."""

from __future__ import annotations

import errno
import math

import numpy as np
import pytest

from banditlab import validate
from banditlab.cli import output


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, np.float64("nan"), np.inf, "inf"])
@pytest.mark.parametrize(
    "check",
    [
        validate.number,
        validate.positive,
        validate.nonnegative,
        lambda name, x: validate.between(name, x, -math.inf, math.inf),
        lambda name, x: validate.inside(name, x, -math.inf, math.inf),
    ],
    ids=["number", "positive", "nonnegative", "between", "inside"],
)
def test_no_number_is_infinite_or_nan(check, odd):
    """Whatever else is allowed: bounds without end let nothing else through either."""
    with pytest.raises(ValueError, match="^x must be finite, got "):
        check("x", odd)


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_nor_is_an_entry_of_a_vector(odd):
    with pytest.raises(ValueError, match=r"^x\[1\] must be finite, got "):
        validate.vector("x", [0.0, odd])


def test_numbers_of_every_kind_come_back_as_floats():
    for value in (3, 3.0, np.float32(3.0), np.int64(3), True + 2, "3"):
        assert validate.number("x", value) == 3.0 and type(validate.number("x", value)) is float
    for odd in (None, "three", [1.0, 2.0], {}, 1j):
        with pytest.raises(ValueError, match="^x must be a number, got "):
            validate.number("x", odd)
    with pytest.raises(ValueError, match="^x must be finite, got a whole number beyond 1e308$"):
        validate.number("x", 10**309)


CAUSES = [
    (
        OSError(errno.ENOSPC, "No space left on device", "a/b.csv"),
        "a/b.csv: No space left on device",
    ),
    (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
    (OSError("a sentence\nof two lines"), "a sentence of two lines"),
    (PermissionError(errno.EACCES, "Permission denied", 3), "3: Permission denied"),
    (OSError(5, "x\ny", "two\nlines"), "two lines: x y"),
    (BlockingIOError(), "BlockingIOError"),
]


@pytest.mark.parametrize(("error", "line"), CAUSES, ids=[line for _, line in CAUSES])
def test_the_cause_of_a_failed_write_is_the_file_and_the_systems_words(error, line):
    assert output.cause(error) == line
