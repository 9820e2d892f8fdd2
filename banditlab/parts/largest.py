"""The largest of some numbers: to act by, and to recommend."""

from banditlab.core import kernel


@kernel
def first_largest(values):
    """The lowest index of a largest value."""
    arm = 0
    for k in range(values.size):
        arm = k if values[k] > values[arm] else arm
    return arm


@kernel
def even_odds(values, out):
    """Even odds over the indices of the largest value; over all if a value is no number."""
    best = values[first_largest(values)]
    ties = 0.0
    for k in range(out.size):
        out[k] = 1.0 if values[k] == best else 0.0
        ties += out[k]
    for k in range(out.size):
        out[k] = out[k] / ties if ties > 0.0 else 1.0 / out.size
