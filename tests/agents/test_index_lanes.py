"""Indices in lanes that are not computed: every choice against the indices themselves, in NumPy."""

import numpy as np
import pytest

import banditlab
from banditlab import numeric
from banditlab.core import Task

LANES, ROUNDS_SEEN = 64, 1000


def spare():
    return tuple(np.full(LANES, junk) for junk in (np.nan, 1e9, -1e9, 7.0))


def chosen(agent, state):
    """What the lanes choose; the arms of the round before are junk to ``ucb``."""
    arms = np.full(LANES, 1)
    lanes = agent.lanes
    lanes.act(lanes.params, state, 0, np.zeros((4, LANES), np.uint64), arms, spare())
    return arms


def ucb_state(agent, pulls, sums):
    task = Task(pulls.shape[1], LANES)
    state = agent.lanes.init(agent.lanes.params, task, np.zeros(4, np.uint64))
    inv = np.where(pulls > 0.0, 1.0 / np.maximum(pulls, 1.0), 1.0)
    roots = np.where(pulls > 0.0, np.sqrt(inv), np.inf)
    for array, values in (
        (state.pulls, pulls),
        (state.sums, sums),
        (state.inv, inv),
        (state.roots, roots),
    ):
        array[:] = values
    state.seen[:] = ROUNDS_SEEN
    assert state.rest[0] == 0.0
    return state


def ucb_indices(alpha, state):
    clock = alpha * numeric.log(ROUNDS_SEEN + 1.0)
    index = state.sums * state.inv + np.sqrt(clock * state.inv)
    return np.where(state.pulls > 0.0, index, np.inf)


def close_by_rounding(source, alpha, n_arms, lanes):
    """Pulls and sums whose indices differ by a few units of the last place in some lanes."""
    pulls = source.integers(1, 200, (LANES, n_arms)) * 1.0
    sums = pulls * source.uniform(-1.0, 1.0, pulls.shape)
    bonus = np.sqrt(alpha * numeric.log(ROUNDS_SEEN + 1.0) / pulls)
    top = (sums / pulls + bonus).max(axis=1) + 0.1
    for lane in lanes:
        for k in source.permutation(n_arms)[: source.integers(2, 4)]:
            sums[lane, k] = (top[lane] - bonus[lane, k]) * pulls[lane, k]
    return pulls, sums


@pytest.mark.parametrize("n_arms", [7, 10])
@pytest.mark.parametrize("in_doubt", [0, 10, LANES])  # none, settled one by one, all at once
def test_roots_kept_choose_what_the_indices_choose(n_arms, in_doubt):
    agent, alpha = banditlab.make("ucb", alpha=2.0), 2.0
    source = np.random.default_rng(n_arms + in_doubt)
    misled = 0
    for _ in range(30):
        lanes = source.permutation(LANES)[:in_doubt]
        state = ucb_state(agent, *close_by_rounding(source, alpha, n_arms, lanes))
        right = ucb_indices(alpha, state).argmax(axis=1)
        assert np.array_equal(chosen(agent, state), right)
        factor = np.sqrt(alpha * numeric.log(ROUNDS_SEEN + 1.0))
        sums_of_roots = state.sums * state.inv + factor * state.roots
        misled += np.count_nonzero(sums_of_roots.argmax(axis=1) != right)
    assert (misled > 0) == (in_doubt > 0)  # the doubt is real


@pytest.mark.parametrize("case", ["twins", "not pulled", "one pulled", "tiny", "huge", "last"])
def test_roots_kept_where_arms_are_alike_or_numbers_extreme(case):
    source = np.random.default_rng(1)
    alpha, n_arms = 2.0, 7
    pulls = source.integers(1, 4, (LANES, n_arms)) * 1.0
    sums = np.floor(pulls * source.random(pulls.shape) * 1.5)
    if case == "not pulled":
        pulls[source.random(pulls.shape) < 0.3] = 0.0
        sums[pulls == 0.0] = 0.0
    if case == "one pulled":
        pulls[:, 1:], sums[:, 1:] = 0.0, 0.0
    if case == "tiny":
        # Of roots that differ, whose squares do not: there are few numbers as small.
        pulls = 10_000.0 + source.random(pulls.shape).argsort(axis=1)
        alpha, sums = 1e-319, 0.0 * sums
    if case == "huge":
        sums = (sums - 1.0) * 1e300
    if case == "last":
        sums[:, -1] = 100.0
    agent = banditlab.make("ucb", alpha=alpha)
    state = ucb_state(agent, pulls, sums)
    assert np.array_equal(chosen(agent, state), ucb_indices(alpha, state).argmax(axis=1))


def play(agent, task, rounds, indices):
    """Each round's arms against the arms of the largest ``indices(state)``."""
    lanes = agent.lanes
    source = np.random.default_rng(task.horizon + task.n_arms)
    state = lanes.init(lanes.params, task, np.zeros(4, np.uint64))
    arms = np.zeros(LANES, np.int64)
    for t in range(rounds):
        lanes.act(lanes.params, state, t, np.zeros((4, LANES), np.uint64), arms, spare())
        assert np.array_equal(arms, indices(state).argmax(axis=1)), t
        rewards = (source.random(LANES) < 0.5) * 1.0
        pulls, sums = state.pulls.copy(), state.sums.copy()
        lanes.update(lanes.params, state, t, arms, rewards, spare())
        pulls[np.arange(LANES), arms] += 1.0
        sums[np.arange(LANES), arms] += rewards
        assert np.array_equal(state.pulls, pulls)
        assert np.array_equal(state.sums, sums)
        assert np.array_equal(state.inv, 1.0 / np.maximum(pulls, 1.0))
        assert np.all(state.seen == t + 1.0)
    return state


@pytest.mark.parametrize("horizon", [0, 60])  # the clock moves, or stands still
@pytest.mark.parametrize("n_arms", [3, 4])
def test_indices_kept_by_moss_are_those_of_the_round(horizon, n_arms):
    def indices(state):
        clock = (horizon or state.seen[0] + 1.0) / n_arms
        out = np.full(state.pulls.shape, np.inf)
        for at in zip(*np.nonzero(state.pulls), strict=True):
            log = max(numeric.log(clock * state.inv[at]), 0.0)
            out[at] = state.sums[at] * state.inv[at] + np.sqrt(log * state.inv[at])
        return out

    play(banditlab.make("moss"), Task(n_arms, LANES, 0, horizon * LANES), 60, indices)


@pytest.mark.parametrize("n_arms", [4, 8])  # roots are not kept, and kept
def test_roots_are_those_of_the_pulls_but_while_they_rest(n_arms):
    rests = []

    def indices(state):
        rests.append(state.rest[0])
        with np.errstate(divide="ignore"):
            roots = np.sqrt(1.0 / state.pulls)
        assert rests[-1] > 0.0 or np.array_equal(state.roots, roots)
        clock = 2.0 * numeric.log(state.seen[0] + 1.0)
        return np.where(
            state.pulls > 0.0, state.sums * state.inv + np.sqrt(clock * state.inv), np.inf
        )

    play(banditlab.make("ucb"), Task(n_arms, LANES), 400, indices)
    if n_arms == 4:
        assert np.all(np.isinf(rests))
    else:
        assert 0.0 in rests and 32.0 in rests and 1.0 in rests
