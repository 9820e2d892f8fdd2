"""Every problem against an obvious second implementation.

A z of 4.5 is exceeded by chance in 7 of a million comparisons; with fixed seeds, never or always.
"""

import importlib
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
import pandas
import pytest
from scipy import stats

from banditlab import random
from banditlab.compile import compiled
from banditlab.core import Task, jit_disabled, kernel, kernel_inline
from banditlab.data.log import Log
from banditlab.envs import bandit_names
from banditlab.problems import delayed as delayed_file
from banditlab.problems import drifting as drifting_file
from banditlab.protocols import online
from banditlab.registry import make, make_problem

Z = 4.5
SEED = 20240611
COIN = {"name": "bernoulli", "means": [0.2, 0.5, 0.8]}
LOG = {  # 3 contexts, 2 arms, cells of different sizes
    "context": [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2],
    "action": [0, 1, 1, 0, 0, 0, 1, 1, 0, 1, 1, 0],
    "reward": [0.0, 1.0, 0.5, 0.0, 2.0, 1.0, -1.0, 0.3, 0.7, 0.1, 0.2, 0.9],
}
INSTANCES = {
    "bernoulli": {"means": [0.2, 0.5, 0.8]},
    "gaussian": {"means": [-1.0, 0.0, 2.0], "sigma": 0.5},
    "beta": {"means": [0.2, 0.5, 0.9], "concentration": 2.0},
    "drifting": {"means": [0.3, 0.5, 0.7], "step": 0.1, "low": 0.2, "high": 0.9},
    "piecewise": {"segments": [[0.2, 0.9], [0.9, 0.2], [0.5, 0.4]], "breaks": [1, 40]},
    "replay": {"log": LOG},
    "delayed": {"problem": COIN, "mean_delay": 3.0},
    "linear": {"dim": 3, "n_arms": 4, "fixed": False},
    "cb_composition": {"C": 3.0},
}
DELAYED_REPLAY = {"problem": {"name": "replay", "log": LOG}, "mean_delay": 3.0}
DELAYED_LINEAR = {"problem": {"name": "linear", **INSTANCES["linear"]}, "mean_delay": 3.0}


# --- an algorithm that learns nothing and writes everything down ----------------------------------


class Recorder(NamedTuple):
    arms: int  # it pulls one of the first so many, at random


class Notes(NamedTuple):
    now: np.ndarray  # (1,) int64
    count: np.ndarray  # (1,) int64
    heard: np.ndarray  # (horizon, 5) float64: arrival, t, arm, reward, digest of x


@kernel
def recorder_init(params, task, rng):
    return Notes(np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros((task.horizon, 5)))


@kernel
def recorder_act(params, state, t, x, rng):
    state.now[0] = t
    return random.below(rng, params.arms)


@kernel
def recorder_update(params, state, t, x, arm, reward, rng):
    digest = 0.0
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            digest = 2.0 * digest + x[i, j]
    row = state.heard[state.count[0]]
    row[0], row[1], row[2], row[3], row[4] = state.now[0], t, arm, reward, digest
    state.count[0] += 1


@kernel
def recorder_recommend(params, state, x, rng, out):
    out[:] = 1.0 / out.size


def recorder():
    return online.Online(
        Recorder(arms=2), recorder_init, recorder_act, recorder_update, recorder_recommend
    )


class Played(NamedTuple):
    heard: np.ndarray  # (number of updates, 5) float64: arrival, t, arm, reward, digest of x
    totals: np.ndarray  # (horizon, 2) float64: regret and reward after every round
    nature: np.ndarray  # (4,) uint64: nature's stream at the end


@kernel_inline
def play(algorithm, problem, task, key, replication, heard, count, totals, nature):
    run = online.begin(algorithm, problem, task, key, replication, 0)
    for t in range(task.horizon):
        online.advance(algorithm, problem, run, t, t + 1)
        totals[t, 0] = run.totals[0]
        totals[t, 1] = run.totals[1]
    heard[:] = run.state.heard
    count[:] = run.state.count
    nature[:] = run.nature


def played(problem, horizon, replication):
    """What the recorder heard in the arena's own loop."""
    heard, count, totals = np.zeros((horizon, 5)), np.zeros(1, np.int64), np.zeros((horizon, 2))
    nature = np.zeros(4, np.uint64)
    task = Task(*problem.shape, horizon)
    args = (task, random.key(SEED), replication, heard, count, totals, nature)
    with np.errstate(over="ignore"):
        compiled(play, (recorder(), problem), args)(*args)
    return Played(heard[: count[0]], totals, nature)


def by_hand(problem, arms):
    """Rows (reward, regret, digest of x, number of arrivals) of a run, and nature at its end."""
    rng = nature()
    params, rows = problem.params, []
    with np.errstate(over="ignore"):
        world = problem.init(params, rng)
        for t, arm in enumerate(arms):
            x = problem.observe(params, world, t, rng)
            digest = float((x.ravel() * np.arange(1, x.size + 1)).sum())
            loss = problem.regret(params, world, x, arm)
            reward = problem.pull(params, world, x, arm, rng)
            rows.append((reward, loss, digest, problem.arrivals(params, world, t, x, arm, reward)))
    return np.array(rows), rng


def nature(replication=0):
    return random.stream(random.key(SEED), replication, random.NATURE)


def rewards_of(problem, x, arm, n, world=None):
    rng = nature()
    world = problem.init(problem.params, rng) if world is None else world
    return np.array([problem.pull(problem.params, world, x, arm, rng) for _ in range(n)])


def z_of_mean(sample, mean, variance):
    return (sample.mean() - mean) / math.sqrt(variance / sample.size)


# --- gaussian, beta -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bernoulli", "gaussian", "beta"])
def test_rewards_have_the_distribution_that_they_should(name):
    problem = make_problem(name, **INSTANCES[name])
    n = 20_000
    for arm, mean in enumerate(INSTANCES[name]["means"]):
        law = {
            "bernoulli": stats.bernoulli(mean),
            "gaussian": stats.norm(mean, 0.5),
            "beta": stats.beta(2.0 * mean, 2.0 * (1 - mean)),
        }[name]
        sample = rewards_of(problem, np.zeros((1, 1)), arm, n)
        assert abs(z_of_mean(sample, mean, law.var())) < Z
        squares = (sample - mean) ** 2
        assert abs(squares.mean() - law.var()) <= Z * squares.std() / math.sqrt(n)
        low, high = problem.rewards
        assert low <= sample.min() and sample.max() <= high
        if name != "bernoulli":
            assert stats.kstest(sample, law.cdf).pvalue > 1e-5


@pytest.mark.parametrize("name", ["bernoulli", "gaussian", "beta"])
def test_regret_is_the_distance_to_the_best_mean(name):
    problem = make_problem(name, **INSTANCES[name])
    means = np.array(INSTANCES[name]["means"])
    world = problem.init(problem.params, nature())
    x = problem.observe(problem.params, world, 0, nature())
    losses = [problem.regret(problem.params, world, x, arm) for arm in range(3)]
    assert losses == list(means.max() - means)


# --- drifting -------------------------------------------------------------------------------------


def walk(problem, rounds):
    """Means (rounds, n_arms) of the rounds, and the stream at the end."""
    rng = nature()
    world = problem.init(problem.params, rng)
    path = []
    for t in range(rounds):
        x = problem.observe(problem.params, world, t, rng)
        path.append(world.means.copy())
        means = world.means
        for arm in range(means.size):
            assert problem.regret(problem.params, world, x, arm) == means.max() - means[arm]
        problem.pull(problem.params, world, x, t % means.size, rng)
        assert (means == path[-1]).all()
    return np.array(path), rng


@pytest.mark.parametrize("step", [0.01, 0.3, 0.7])
def test_drift_is_one_reflected_normal_move_per_round_and_arm(step):
    low, high = 0.2, 0.9
    problem = make_problem("drifting", means=[0.3, 0.5, 0.7], step=step, low=low, high=high)
    path, end = walk(problem, 500)
    rng = nature()
    means = np.array([0.3, 0.5, 0.7])
    for t in range(500):
        if t > 0:
            z = np.array([random.normal(rng) for _ in range(3)])
            moved = means + step * z
            # A triangle wave of period 2 (high - low).
            means = high - np.abs((moved - low) % (2 * (high - low)) - (high - low))
        np.testing.assert_allclose(path[t], means, rtol=0, atol=1e-10)
        means = path[t]
        random.uniform(rng)  # the pull
    assert (rng == end).all()
    assert path.min() >= low and path.max() <= high


def test_increments_are_normal_with_deviation_step():
    path, _ = walk(make_problem("drifting", means=[0.5, 0.5], step=1e-4), 5000)
    assert stats.kstest(np.diff(path, axis=0).ravel() / 1e-4, "norm").pvalue > 1e-5
    moves = np.diff(path, axis=0)
    assert abs(np.corrcoef(moves.T)[0, 1]) < Z / math.sqrt(len(moves))


def test_reflection_keeps_what_lies_inside():
    reflect = drifting_file.reflect
    assert [reflect(v, 0.25, 0.75) for v in (0.25, 0.5, 0.75)] == [0.25, 0.5, 0.75]
    assert [reflect(v, 0.25, 0.75) for v in (0.0, 1.0, 1.5, -0.75)] == [0.5, 0.5, 0.5, 0.25]


def test_rewards_follow_the_drift():
    problem = make_problem("drifting", means=[0.5, 0.5], step=0.05)
    path, _ = walk(problem, 4000)
    rows, _ = by_hand(problem, [1] * 4000)
    # The walk above pulled as many words, so the means are those of this run.
    p = path[:, 1]
    assert abs((rows[:, 0] - p).sum()) < Z * math.sqrt((p * (1 - p)).sum())
    np.testing.assert_array_equal(rows[:, 1], path.max(axis=1) - p)


# --- piecewise ------------------------------------------------------------------------------------


def test_segments_change_exactly_at_the_breaks():
    segments = np.array([[0.2, 0.9], [0.9, 0.2], [0.5, 0.4], [1.0, 0.0]])
    breaks = [1, 40, 41]
    problem = make_problem("piecewise", segments=segments, breaks=breaks)
    got, _ = by_hand(problem, [0] * 60)
    rounds = np.arange(60)
    rows = segments[(rounds[:, None] >= np.array(breaks)).sum(axis=1)]
    np.testing.assert_array_equal(got[:, 1], rows.max(axis=1) - rows[:, 0])
    assert (got[41:, 0] == 1.0).all()  # the last segment always pays
    assert got[:41, 0].min() == 0.0


def test_segments_pay_their_means():
    problem = make_problem("piecewise", segments=[[0.2, 0.9], [0.7, 0.2]], breaks=[4000])
    paid = by_hand(problem, [0] * 8000)[0][:, 0]
    assert abs(z_of_mean(paid[:4000], 0.2, 0.16)) < Z
    assert abs(z_of_mean(paid[4000:], 0.7, 0.21)) < Z


def test_segments_start_over_when_play_follows_a_log():
    problem = make_problem("piecewise", segments=[[0.2, 0.9], [0.9, 0.2]], breaks=[5])
    world = problem.init(problem.params, nature())
    for t, segment in ((4, 0), (5, 1), (100, 1), (0, 0), (4, 0), (5, 1)):
        problem.observe(problem.params, world, t, nature())
        assert world.segment[0] == segment


# --- delayed --------------------------------------------------------------------------------------


def by_lists(rows, delays):
    """The rows of an undelayed run as a list of waiting rewards would hand them over."""
    waiting, arrived = [], []
    for (_, t, *rest), d in zip(rows, delays, strict=True):
        waiting.append((t + d, t, *rest))
        arrived += [row for row in waiting if row[0] == t]
        waiting = [row for row in waiting if row[0] > t]
    return np.array(arrived), len(waiting)


def delays_of(problem, n, replication=0):
    rng = random.fork(random.fork(nature(replication)))
    with np.errstate(over="ignore"):
        return [int(sample_delay(problem.params, rng)) for _ in range(n)]


@kernel
def sample_delay(params, rng):
    return delayed_file.delay(params, rng)


@pytest.mark.parametrize("inner", ["replay", "linear"])  # contexts, features
@pytest.mark.parametrize(
    "delay",
    [
        {"mean_delay": 7.0},
        {"mean_delay": 30.0, "max_delay": 61},
        {"mean_delay": 0.0, "max_delay": 4},
        {"mean_delay": 5.0, "kind": "constant"},
        {"mean_delay": 5.0, "kind": "constant", "max_delay": 9},
        {"mean_delay": 3.5, "kind": "uniform"},
    ],
    ids=str,
)
def test_rewards_arrive_when_and_as_a_plain_list_would_hand_them_over(inner, delay):
    undelayed = make_problem(inner, **INSTANCES[inner])
    problem = make_problem("delayed", problem=undelayed, **delay)
    horizon = 300
    for replication in range(2):
        at_once = played(undelayed, horizon, replication)
        later = played(problem, horizon, replication)
        assert len(at_once.heard) == horizon
        expected, lost = by_lists(at_once.heard, delays_of(problem, horizon, replication))
        # Arrival, round, arm, reward and features of every update, in order, bit for bit.
        np.testing.assert_array_equal(later.heard, expected)
        assert len(expected) + lost == horizon
        assert len(np.unique(later.heard[:, 1])) == len(expected)
        np.testing.assert_array_equal(later.totals, at_once.totals)
        np.testing.assert_array_equal(later.nature, at_once.nature)
        if delay["mean_delay"] > 0:
            assert lost > 0
    assert len(np.unique(expected[:, 4])) > 2  # x changes, and is remembered


def test_no_delay_is_the_undelayed_run_bit_for_bit():
    records = []
    for problem in (
        make_problem("bernoulli", means=[0.2, 0.5, 0.8]),
        make_problem("delayed", problem=COIN, mean_delay=0, kind="constant"),
        make_problem("delayed", problem=COIN, mean_delay=0),
        make_problem("delayed", problem=COIN, mean_delay=50),
    ):
        record = np.zeros((3, 2, 3))
        args = (
            Task(*problem.shape, 3000),
            random.key(SEED),
            0,
            0,
            np.array([100, 3000]),
            np.zeros(2, np.int64),
            record,
        )
        with np.errstate(over="ignore", divide="ignore"):
            compiled(online.run_block, (make("ucb"), problem), args)(*args)
        records.append(record)
    np.testing.assert_array_equal(records[0], records[1])
    np.testing.assert_array_equal(records[0], records[2])
    # All pull the worst arm, arm 0, until its first reward arrives.
    assert (records[3][:, 0, 0] > records[0][:, 0, 0]).all()


@pytest.mark.parametrize(
    ("kind", "mean", "longest"),
    [
        ("geometric", 0.0, 0),
        ("geometric", 0.0, 5),
        ("geometric", 2.0, 20),
        ("geometric", 9.9, 20),
        ("geometric", 0.01, 1),
        ("constant", 4, 4),
        ("constant", 4, 11),
        ("uniform", 0.5, 1),
        ("uniform", 3.5, 7),
        ("uniform", 3.5, 12),
    ],
)
def test_delays_have_the_stated_distribution(kind, mean, longest):
    p = delayed_file.distribution(kind, mean, longest)
    d = np.arange(longest + 1)
    np.testing.assert_allclose(p.sum(), 1.0, rtol=1e-12)
    np.testing.assert_allclose(p @ d, mean, rtol=1e-9, atol=1e-12)
    if kind == "geometric" and mean > 0:
        np.testing.assert_allclose(p[1:] / p[:-1], p[1] / p[0], rtol=1e-9)
    if kind == "uniform":
        np.testing.assert_allclose(p, stats.randint(0, int(2 * mean) + 1).pmf(d))
    # The alias table stands for the same distribution.
    keep, alias = delayed_file.alias_table(p)
    assert ((keep >= 0) & (keep <= 1)).all()
    share = keep.copy()
    np.add.at(share, alias, 1.0 - keep)
    np.testing.assert_allclose(share / (longest + 1), p, rtol=1e-9, atol=1e-14)
    # And the sampler draws from it.
    problem = make_problem("delayed", problem=COIN, mean_delay=mean, max_delay=longest, kind=kind)
    n = 10_000
    counts = np.bincount(delays_of(problem, n), minlength=longest + 1)
    assert (counts[p == 0] == 0).all()
    likely = p * n >= 5
    observed = np.append(counts[likely], counts[~likely].sum())
    wanted = np.append(p[likely], p[~likely].sum()) * n
    if (wanted > 0).sum() > 1:
        chosen = wanted > 0
        assert stats.chisquare(observed[chosen], wanted[chosen]).pvalue > 1e-5


def test_log_and_weights_are_those_of_the_problem_behind():
    for inner in ("replay", "cb_composition"):
        front = make_problem(inner, **INSTANCES[inner])
        behind = make_problem("delayed", problem=front, mean_delay=4.0)
        assert behind.shape == front.shape and behind.rewards == front.rewards
        n_arms, n_contexts, _ = front.shape
        seen = []
        for problem in (front, behind):
            rng = nature()
            world = problem.init(problem.params, rng)
            counts, sums = np.zeros((2, n_contexts, n_arms))
            drawn = problem.log(problem.params, world, 500, rng, counts, sums)
            weights = np.empty(n_contexts)
            problem.weights(problem.params, world, weights)
            x = problem.observe(problem.params, world, 0, rng)
            arms = [problem.behave(problem.params, world, x, rng) for _ in range(20)]
            seen.append((drawn, counts.tolist(), sums.tolist(), weights.tolist(), arms))
        assert seen[0] == seen[1]
        assert len(set(seen[0][-1])) > 1


# --- replay ---------------------------------------------------------------------------------------


def test_replay_pays_rows_of_the_cell_evenly():
    problem = make_problem("replay", log=LOG)
    frame = pandas.DataFrame(LOG)
    assert problem.shape == (2, 3, 0)
    assert problem.rewards == (-1.0, 2.0)
    world = problem.init(problem.params, nature())
    for (s, arm), rows in frame.groupby(["context", "action"]):
        x = np.array([[float(s)]])
        values, counts = np.unique(rewards_of(problem, x, arm, 3000), return_counts=True)
        expected = rows.reward.value_counts().sort_index()
        assert values.tolist() == expected.index.tolist()
        if len(values) > 1:
            assert stats.chisquare(counts, expected / len(rows) * 3000).pvalue > 1e-5
        means = frame[frame.context == s].groupby("action").reward.mean()
        loss = problem.regret(problem.params, world, x, arm)
        assert loss == pytest.approx(means.max() - means[arm], abs=1e-15)


def test_replay_shows_contexts_and_behaves_as_often_as_the_log():
    problem = make_problem("replay", log=LOG)
    frame = pandas.DataFrame(LOG)
    rng = nature()
    world = problem.init(problem.params, rng)
    rows = []
    for t in range(6000):
        x = problem.observe(problem.params, world, t, rng)
        rows.append((x[0, 0], problem.behave(problem.params, world, x, rng)))
    drawn = pandas.DataFrame(rows, columns=["context", "action"]).value_counts().sort_index()
    logged = frame[["context", "action"]].value_counts().sort_index()
    assert len(drawn) == len(logged) == 6
    assert stats.chisquare(drawn.to_numpy(), logged.to_numpy() / 12 * 6000).pvalue > 1e-5
    weights = np.empty(3)
    problem.weights(problem.params, world, weights)
    assert weights.tolist() == [3 / 12, 4 / 12, 5 / 12]


def test_replay_reads_paths_frames_logs_and_columns(tmp_path):
    frame = pandas.DataFrame(LOG)
    frame.sample(frac=1.0, random_state=1).to_csv(tmp_path / "log.csv", index=False)
    log = Log(np.array(LOG["action"]), np.array(LOG["reward"]), np.array(LOG["context"]))
    wanted = make_problem("replay", log=LOG).params
    for source in (frame, log):
        given = make_problem("replay", log=source).params
        for ours, theirs in zip(wanted, given, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    given = make_problem("replay", log=str(tmp_path / "log.csv")).params
    np.testing.assert_array_equal(given.offsets, wanted.offsets)
    np.testing.assert_allclose(given.means, wanted.means, rtol=1e-15)


def test_replay_without_contexts_shows_nothing():
    problem = make_problem("replay", log={"action": [0, 1, 1], "reward": [1.0, 0.0, 1.0]})
    rng = nature()
    world = problem.init(problem.params, rng)
    assert (problem.observe(problem.params, world, 0, rng) == [[0.0]]).all()
    assert (rng == nature()).all()
    assert problem.regret(problem.params, world, np.zeros((1, 1)), 1) == 0.5


# --- what holds for all ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(INSTANCES))
def test_luck_does_not_depend_on_the_arms(name):
    problem = make_problem(name, **INSTANCES[name])
    (rows, end), *others = (by_hand(problem, arms) for arms in ([0] * 300, [1] * 300, [0, 1] * 150))
    for other, other_end in others:
        np.testing.assert_array_equal(end, other_end)
        # The same features are shown, and rewards arrive at the same times.
        np.testing.assert_array_equal(rows[:, 2:], other[:, 2:])
        assert (rows[:, :2] != other[:, :2]).any()
    assert (end != nature()).any()


@pytest.mark.parametrize("name", sorted(INSTANCES))
def test_another_instance_is_the_same_to_the_compiler(name):
    others = {
        "bernoulli": {"means": (0, 1)},
        "gaussian": {"means": (1, 2), "sigma": 0},
        "beta": {"means": (0.1, 0.2), "concentration": 1},
        "drifting": {"means": (0, 1), "step": 0},
        "piecewise": {"segments": [(0, 1)], "breaks": []},
        "replay": {"log": {"action": [0, 1], "reward": [0, 1]}},
        "delayed": {"problem": {"name": "bernoulli", "means": (0, 1)}, "mean_delay": 0},
        "linear": {"dim": 2, "n_arms": 2, "noise": 0},
        "cb_composition": {"C": "uniform", "S": 3},
    }
    one, two = (make_problem(name, **parameters[name]) for parameters in (INSTANCES, others))
    assert numba.typeof(one.params) == numba.typeof(two.params)
    assert numba.typeof(one.shape + one.rewards) == numba.typeof(two.shape + two.rewards)
    assert [f for f in one if callable(f)] == [f for f in two if callable(f)]


@pytest.mark.parametrize("name", bandit_names())
def test_every_problem_has_an_example(name):
    module = importlib.import_module(f"banditlab.problems.{name}")
    assert make_problem(name, **module.example).shape[0] >= 2


def fingerprint():
    """What 200 rounds of every problem leave behind, as text without rounding."""
    text = []
    instances = [*INSTANCES.items(), ("delayed", DELAYED_REPLAY), ("delayed", DELAYED_LINEAR)]
    for name, parameters in instances:
        rows, end = by_hand(make_problem(name, **parameters), [0, 1] * 100)
        text.append(" ".join(float(v).hex() for v in rows.ravel()) + str(end.tolist()))
    return "\n".join(text)


@pytest.mark.skipif(jit_disabled(), reason="compares with the compiled run")
def test_plain_python_gives_the_same_bits(tmp_path):
    code = "import test_problems, sys; sys.stdout.write(test_problems.fingerprint())"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    plain = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert plain.stdout == fingerprint()


@pytest.mark.parametrize(
    ("name", "parameters", "line"),
    [
        ("gaussian", {"means": [0.5]}, "means must be a list of at least 2 numbers, got [0.5]"),
        ("gaussian", {"means": [0.5, math.nan]}, "means[1] must be finite, got nan"),
        ("gaussian", {"means": [0, 1], "sigma": -1}, "sigma must be at least 0, got -1"),
        ("gaussian", {"means": [0, 1], "sigma": "x"}, "sigma must be a number, got 'x'"),
        ("beta", {"means": [0.5]}, "means must be a list of at least 2 numbers, got [0.5]"),
        ("beta", {"means": [0.5, math.nan]}, "means[1] must be finite, got nan"),
        ("beta", {"means": [0, 0.5]}, "means[0] must lie strictly between 0 and 1, got 0.0"),
        ("beta", {"means": [0.1, 0.5], "concentration": 0}, "concentration must be positive"),
        ("drifting", {"means": [0.5]}, "means must be a list of at least 2 numbers, got [0.5]"),
        ("drifting", {"means": [0.5, math.nan]}, "means[1] must be in [0, 1], got nan"),
        ("drifting", {"means": [0.5, 0.1], "low": 0.2}, "means[1] must be in [0.2, 1], got 0.1"),
        ("drifting", {"means": [0.5, 0.1], "high": 2}, "high must lie in [0, 1], got 2"),
        ("drifting", {"means": [0.5, 0.5], "low": 0.6, "high": 0.5}, "high must be above low"),
        ("drifting", {"means": [0.5, 0.5], "step": -0.1}, "step must be at least 0, got -0.1"),
        ("drifting", {"means": [0.5, 0.5], "step": 2}, "step must be at most high - low = 1"),
        ("piecewise", {"segments": [], "breaks": []}, "segments must be a list of lists of means"),
        ("piecewise", {"segments": 3, "breaks": []}, "segments must be a list of lists of means"),
        ("piecewise", {"segments": [[0.1]], "breaks": []}, "segments[0] must be a list of at lea"),
        ("piecewise", {"segments": [[0, 1], [0, 2]], "breaks": [5]}, "segments[1][1] must be in"),
        ("piecewise", {"segments": [[0, 1], [0, 1, 1]], "breaks": [5]}, "segments[1] must have 2"),
        ("piecewise", {"segments": [[0, 1], [1, 0]], "breaks": []}, "2 segments need breaks at 1"),
        ("piecewise", {"segments": [[0, 1], [1, 0]], "breaks": 5}, "breaks must be a list"),
        ("piecewise", {"segments": [[0, 1], [1, 0]], "breaks": [0]}, "breaks[0] must be at least"),
        (
            "piecewise",
            {"segments": [[0, 1], [1, 0], [0, 1]], "breaks": [5, 5]},
            "breaks[1] must be at least 6, got 5",
        ),
        ("delayed", {"problem": 3, "mean_delay": 1}, "problem must be a dict with a name or what"),
        ("delayed", {"problem": {"means": [0, 1]}, "mean_delay": 1}, "problem must have a name"),
        ("delayed", {"problem": {"name": "bernouli"}, "mean_delay": 1}, "did you mean bernoulli"),
        ("delayed", {"problem": {"name": "delayed", **INSTANCES["delayed"]}, "mean_delay": 1},
         "problem must have undelayed rewards"),
        ("delayed", {"problem": COIN, "mean_delay": -1}, "mean_delay must be at least 0, got -1"),
        ("delayed", {"problem": COIN, "mean_delay": 1, "kind": "normal"}, "kind must be one of"),
        (
            "delayed",
            {"problem": COIN, "mean_delay": 10, "max_delay": 20},
            "max_delay must be at least 21 for a geometric mean_delay of 10, got 20",
        ),
        ("delayed", {"problem": COIN, "mean_delay": 1.5, "kind": "constant"}, "must be an integer"),
        ("delayed", {"problem": COIN, "mean_delay": 1.2, "kind": "uniform"}, "must be an integer"),
        ("replay", {"log": {"action": [0, 0], "reward": [0, 1]}}, "log shows one arm only, 0, so"),
        (
            "replay",
            {"log": {"action": [0, 1, 0], "reward": [0, 1, 2], "context": [0, 0, 1]}},
            "log has no row of arm 1 in context 1, so replay cannot pay it: add such rows",
        ),
        ("replay", {"log": {"action": [0, 1]}}, "reward"),
        ("replay", {"log": 3}, "a log is"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_bad_parameters_are_named_in_one_line(name, parameters, line):
    with pytest.raises(ValueError) as caught:
        make_problem(name, **parameters)
    message = str(caught.value)
    assert line in message and message.startswith(f"{name}: ")
    assert "\n" not in message
