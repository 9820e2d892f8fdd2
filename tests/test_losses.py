"""The loss problems of protocol ``observe``, each against an obvious second implementation.

A z of 4.5 is exceeded by chance in 7 of a million comparisons; with fixed seeds, never or always.
"""

import math
import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pandas
import pytest

from banditlab import random, simulate
from banditlab.core import Task, jit_disabled, kernel
from banditlab.problems import random_walk as random_walk_file
from banditlab.protocols import observe
from banditlab.registry import make, make_problem

Z = 4.5
SEED = 20240611
KEY = random.key(SEED)
INSTANCES = {
    "bernoulli_gap": {"n_arms": 3, "gap": 0.2, "base": 0.7, "best": 1},
    "stochastically_constrained": {"n_arms": 3, "gap": 0.2, "best": 1},
    "random_walk": {"n_arms": 3, "gap": 0.1, "sigma": 0.1},
    "alternating": {},
    "loss_table": {"losses": [[0.0, 1.0], [0.25, 0.5], [1.0, 0.125]] * 100},
}
GAPPED = ("bernoulli_gap", "stochastically_constrained", "random_walk")


@kernel
def play(init, draw, params, key, first, tables, clipped):
    """Fill tables (replications, rounds, n_arms) with the losses of all rounds."""
    for i in range(tables.shape[0]):
        rng = random.stream(key, first + i, random.NATURE)
        world = init(params, rng)
        for t in range(tables.shape[1]):
            clipped[i] += draw(params, world, t, rng, tables[i, t])


def played(problem, rounds, replications=1, first=0):
    """Losses (replications, rounds, n_arms), and how many of them were clipped."""
    tables = np.full((replications, rounds, problem.shape[0]), np.nan)
    clipped = np.zeros(replications, np.int64)
    with np.errstate(over="ignore"):
        play(problem.init, problem.draw, problem.params, KEY, first, tables, clipped)
    return tables, clipped


def close(samples, mean, sd):
    """Whether the mean over axis 0 is within Z standard errors of ``mean``."""
    return np.all(np.abs(samples.mean(axis=0) - mean) <= Z * sd / math.sqrt(len(samples)))


# --- the tree of the random walk, exactly (spec 7.1 and 7.2) --------------------------------------


def ancestry(rounds):
    """A[t, s] = 1 if the step of round s is in W_t, read off `step` itself, for t, s >= 1."""
    step = getattr(random_walk_file.step, "py_func", random_walk_file.step)
    walk = np.zeros((random_walk_file.SLOTS, rounds + 1))
    units = np.eye(rounds + 1)
    rows = [np.zeros(rounds + 1)]
    rows += [np.array(step(walk, t, units[t])) for t in range(1, rounds + 1)]
    return np.array(rows)


def parents(A):
    """The latest other step in each W_t, or 0."""
    others = A - np.eye(len(A))
    return [int(np.max(np.flatnonzero(row > 0.0), initial=0)) for row in others]


def width(A):
    rho = np.array(parents(A))[1:]
    s = np.arange(1, len(A))
    return max(int(np.sum((rho < t) & (t <= s))) for t in s)


def test_the_parent_of_a_round_is_it_less_its_lowest_set_bit():
    rho = [0, 0, 2, 0, 4, 4, 6, 0, 8, 8, 10, 8, 12, 12, 14, 0]
    assert parents(ancestry(16))[1:] == rho
    # 2 ** the number of trailing zeros, counted one by one
    second = [t - 2 ** next(j for j in range(20) if t >> j & 1) for t in range(1, 1001)]
    assert parents(ancestry(1000))[1:] == second


def test_the_depth_of_a_round_is_the_number_of_its_set_bits():
    depth = ancestry(1000).sum(axis=1)
    assert depth.tolist() == [t.bit_count() for t in range(1001)]


@pytest.mark.parametrize(("rounds", "expected"), [(16, 5), (100, 7), (1000, 10)])
def test_few_steps_span_a_round(rounds, expected):
    # Round 1 is spanned by the steps of 1, 2, 4, ...: the bound is attained by every T.
    assert width(ancestry(rounds)) == expected <= math.floor(math.log2(rounds)) + 1


def test_covariances_count_common_ancestors():
    A = ancestry(200)
    covariances = A @ A.T
    assert covariances[5, 7] == 1.0
    assert covariances[6, 7] == 2.0

    def line(t):
        return {t} | line(t & (t - 1)) if t > 0 else set()

    lines = [line(t) for t in range(201)]
    assert covariances.tolist() == [[len(a & b) for b in lines] for a in lines]


def test_slots_last_as_long_as_a_round_fits_an_integer():
    slots = [2**j % random_walk_file.SLOTS for j in range(63)]
    assert len({0, *slots}) == 64


# --- the losses of the random walk ----------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.03, 0.3])  # the latter is clipped often
def test_streaming_equals_the_table(sigma):
    problem = make_problem("random_walk", n_arms=3, gap=0.2, sigma=sigma)
    for replication in range(3):
        rng = random.stream(KEY, replication, random.NATURE)
        with np.errstate(over="ignore"):
            best = random.below(rng, 3)
            noise = np.array([sigma * random.normal(rng) for _ in range(1000)])
        w = np.zeros(1001)
        for t in range(1, 1001):
            trailing = len(bin(t)) - len(bin(t).rstrip("0"))
            w[t] = w[t - 2**trailing] + noise[t - 1]
        raw = np.repeat(0.5 + w[1:, None], 3, axis=1)
        raw[:, best] -= 0.2
        (losses,), (clipped,) = played(problem, 1000, 1, replication)
        assert losses.tolist() == np.clip(raw, 0.0, 1.0).tolist()
        assert clipped == np.sum((raw < 0.0) | (raw > 1.0))
        assert (clipped > 100) == (sigma == 0.3)


def test_variances_and_covariances_of_the_losses():
    n, sigma = 20_000, 0.03
    problem = make_problem("random_walk", n_arms=2, gap=0.1, sigma=sigma, best=0)
    w = (played(problem, 7, n)[0][:, :, 1] - 0.5) / sigma  # no loss is clipped: 0.5 is 9.6 sd
    assert close(w, 0.0, np.sqrt([1, 1, 2, 1, 2, 2, 3]))
    for s, t, expected in ((7, 7, 3.0), (5, 7, 1.0), (6, 7, 2.0), (3, 5, 0.0)):
        # Var(XY) = Var X Var Y + Cov^2 for centred normals
        sd = math.sqrt(s.bit_count() * t.bit_count() + expected**2)
        assert close(w[:, s - 1] * w[:, t - 1], expected, sd)


def test_all_arms_move_together_and_every_arm_is_best_equally_often():
    n = 4000
    tables, clipped = played(make_problem("random_walk", n_arms=4, gap=0.1), 20, n)
    assert not clipped.any()
    best = tables[:, 0].argmin(axis=1)
    assert close(best[:, None] == np.arange(4), 0.25, math.sqrt(0.25 * 0.75))
    lead = tables.max(axis=2, keepdims=True) - tables
    expected = np.where(np.arange(4) == best[:, None], 0.1, 0.0)[:, None]
    assert np.abs(lead - expected).max() < 1e-12


def test_the_walk_is_the_same_whichever_arm_is_best():
    drawn, _ = played(make_problem("random_walk", n_arms=3, gap=0.1), 100, 20)
    for best in range(3):
        fixed, _ = played(make_problem("random_walk", n_arms=3, gap=0.1, best=best), 100, 20)
        assert (fixed.argmin(axis=2) == best).all()
        assert np.array_equal(fixed.max(axis=2), drawn.max(axis=2))


@pytest.mark.parametrize(("rounds", "n_arms"), [(2**17, 2), (2**17, 8)])
def test_few_losses_are_clipped(rounds, n_arms):
    problem = make_problem("random_walk", n_arms=n_arms, gap=0.2, sigma=0.03)
    _, clipped = played(problem, rounds, 8)
    assert 0.0 < clipped.sum() / (8 * rounds * n_arms) < 1e-3


@pytest.mark.parametrize(
    ("horizon", "never_switch", "bound"),
    [(2**12, 1.49, 0.54), (2**14, 3.23, 1.16), (2**16, 7.11, 2.56)],
)
def test_dekels_scale(horizon, never_switch, bound):
    """Spec S5; never switching has regret gap * T in half of the replications, else none."""
    terms = {"n_arms": 2, "horizon": horizon, "scale": "dekel"}
    params = make_problem("random_walk", **terms).params
    assert params.sigma == pytest.approx(1.0 / (9.0 * math.log(horizon, 2)), rel=1e-14)
    assert params.gap == pytest.approx(params.sigma * 2 ** (1 / 3) * horizon ** (-1 / 3), rel=1e-14)
    expected = params.gap * horizon / 2.0
    assert abs(expected - never_switch) < 0.006
    lower = 2 ** (1 / 3) * horizon ** (2 / 3) / (50.0 * math.log(horizon, 2))
    assert abs(lower - bound) < 0.006
    assert lower < expected
    if horizon == 2**12:
        curves = arena("random_walk", horizon, 200, "never_switch", **terms)
        regret = curves.raw("never_switch", "regret")[:, -1]
        assert close(regret, expected, expected)
        assert set((regret / (2.0 * expected)).round(9)) == {0.0, 1.0}


def test_visible_scale():
    params = make_problem("random_walk", n_arms=8, horizon=2**15).params
    assert params.gap == pytest.approx((8.0 / 2**15) ** (1.0 / 3.0), rel=1e-14) == 0.0625
    assert params.sigma == 0.03
    assert make_problem("random_walk", n_arms=8, horizon=100).params.gap == 0.2  # capped
    assert make_problem("random_walk", n_arms=8, horizon=100, gap=0.01).params.gap == 0.01


def test_a_walk_is_not_played_beyond_its_horizon():
    assert make_problem("random_walk", n_arms=2, gap=0.1).supply == 0
    assert make_problem("random_walk", n_arms=2, horizon=50).supply == 50
    with pytest.raises(ValueError, match="horizon must be at most 50"):
        arena("random_walk", 51, 1, "never_switch", n_arms=2, horizon=50)


def test_an_arena_sweeps_gap_and_horizon():
    curves = simulate(
        {
            "protocol": "observe",
            "replications": 50,
            "problem": {"name": "random_walk", "n_arms": 2},
            "agents": [{"name": "never_switch"}],
            "sweep": {"horizon, problem.horizon": [64, 128], "problem.gap": [0.1, 0.2]},
        }
    )
    frame = curves.frame().query("measure == 'regret'")
    assert len(frame) == 4
    # About half of the replications lose gap * T.
    assert (frame["mean"].sort_values() > 0.0).all()
    assert sorted(frame["mean"] / frame["mean"].min()) == pytest.approx([1.0, 2.0, 2.0, 4.0])


# --- the other laws -------------------------------------------------------------------------------


def test_bernoulli_means():
    (losses,), (clipped,) = played(
        make_problem("bernoulli_gap", **INSTANCES["bernoulli_gap"]), 40_000
    )
    assert set(np.unique(losses)) == {0.0, 1.0}
    assert clipped == 0
    means = np.array([0.7, 0.5, 0.7])
    sd = np.sqrt(means * (1.0 - means))
    assert close(losses, means, sd)
    centred = (losses - means) / sd  # arms and rounds are independent
    assert close(centred[:, [0, 0, 1]] * centred[:, [1, 2, 2]], 0.0, 1.0)
    assert close(centred[1:] * centred[:-1], 0.0, 1.0)


def test_bernoulli_certain():
    (losses,), _ = played(make_problem("bernoulli_gap", n_arms=2, gap=1.0, base=1.0, best=1), 500)
    assert np.array_equal(losses, np.tile([1.0, 0.0], (500, 1)))


def phase_lengths(growth, rounds):
    """max(1, floor(growth ** n)) in exact arithmetic, until they fill the rounds."""
    lengths, power = [], Fraction(1)
    while sum(lengths) < rounds:
        power *= Fraction(growth)
        lengths.append(max(1, math.floor(power)))
    return lengths


@pytest.mark.parametrize("growth", [1.6, 1.01, 2.0, 3, 1e308])
def test_phases(growth):
    """With a gap of 1e-9 a loss shows its phase."""
    rounds = 5000
    (losses,), _ = played(
        make_problem("stochastically_constrained", n_arms=2, gap=1e-9, growth=growth), rounds
    )
    lengths = phase_lengths(growth, rounds)
    level = np.repeat(np.arange(len(lengths)) % 2, [min(n, rounds) for n in lengths])[:rounds]
    assert np.array_equal(losses, np.stack([level, level], axis=1))


def test_the_first_phases_of_the_paper():
    assert phase_lengths(Fraction(8, 5), 52) == [1, 2, 4, 6, 10, 16, 26]  # sum 65
    (losses,), _ = played(make_problem("stochastically_constrained", n_arms=2, gap=1e-9), 65)
    changes = np.flatnonzero(np.diff(losses[:, 0])) + 1
    assert changes.tolist() == [1, 3, 7, 13, 23, 39]


def test_phases_stay_right_to_the_end_of_time():
    """The powers are products of floats: their floors are those of the exact powers."""
    power, exact = 1.0, Fraction(1)
    for _ in range(45):  # 1.6 ** 45 is 1.5e9 rounds
        power *= 1.6
        exact *= Fraction(8, 5)
        assert math.floor(power) == math.floor(exact)


def test_constrained_means():
    n = 4000
    tables, clipped = played(
        make_problem("stochastically_constrained", **INSTANCES["stochastically_constrained"]), 7, n
    )
    assert not clipped.any()
    odd, even = [0.2, 0.0, 0.2], [1.0, 0.8, 1.0]
    means = np.array([odd, even, even, odd, odd, odd, odd])
    assert close(tables, means, np.sqrt(means * (1.0 - means)) + 1e-12)
    assert close(tables[:, 0, 0] * tables[:, 0, 2], 0.04, math.sqrt(0.04 * 0.96))


def test_alternating():
    (losses,), _ = played(make_problem("alternating"), 101)
    assert np.array_equal(losses, np.stack([np.arange(1, 102) % 2, np.arange(101) % 2], axis=1))


# --- a user's table -------------------------------------------------------------------------------

TABLE = np.random.default_rng(1).random((40, 3))


@pytest.fixture
def save(tmp_path):
    """Write text or a frame to a file, and give its path."""

    def write(content, name="losses.csv"):
        path = tmp_path / name
        if isinstance(content, str):
            path.write_text(content)
        elif name.endswith(".parquet"):
            content.to_parquet(path)
        else:
            content.to_csv(path, index=False)
        return path

    return write


@pytest.mark.parametrize(
    "kind", ["array", "fortran", "list", "frame", "csv", "csv of an array", "parquet", "text"]
)
def test_a_table_is_played_row_by_row(kind, save):
    frame = pandas.DataFrame(TABLE, columns=["a", "b", "c"])
    source = {
        "array": lambda: TABLE,
        "fortran": lambda: np.asfortranarray(TABLE),
        "list": lambda: TABLE.tolist(),
        "frame": lambda: frame,
        "csv": lambda: save(frame),
        "csv of an array": lambda: str(save(pandas.DataFrame(TABLE))),
        "parquet": lambda: save(frame, "losses.parquet"),
        "text": lambda: save(frame.map(str), "losses.parquet"),
    }[kind]()
    problem = make_problem("loss_table", losses=source)
    assert problem.shape == (3, 1, 0)
    assert problem.supply == 40
    tables, clipped = played(problem, 40, 2)
    # pandas may read the last digit of a CSV file wrong.
    error = 2.0**-52 if "csv" in kind else 0.0
    assert np.abs(tables - np.stack([TABLE, TABLE])).max() <= error
    assert not clipped.any()
    assert problem.params.losses.flags.c_contiguous


def test_a_table_in_other_units():
    rows = [[-5, 15], [0, 5], [3, -1]]
    (losses,), _ = played(make_problem("loss_table", losses=rows, low=-5, high=15), 3)
    assert losses.tolist() == [[0.0, 1.0], [0.25, 0.5], [0.4, 0.2]]
    awkward = [[0.1, 0.3], [0.7, 0.2]]
    (losses,), _ = played(make_problem("loss_table", losses=awkward, low=0.1, high=0.7), 2)
    assert losses.min() == 0.0
    assert losses.max() == 1.0


def test_regret_on_a_table():
    curves = arena("loss_table", 40, 3, "never_switch", losses=TABLE.tolist())
    arms = TABLE.sum(axis=0)
    regret = curves.raw("never_switch", "regret")[:, -1]
    possible = arms - arms.min()
    assert all(np.abs(possible - value).min() < 1e-9 for value in regret)


def test_switches_and_observations_have_their_prices():
    """Twenty observations at 1/4 each, and as many denied; a switch costs 2."""
    terms = {"price": 2.0, "look_price": 0.25, "budget": 20}
    curves = arena("loss_table", 40, 5, "uniform", losses=TABLE.tolist(), **terms)
    t = curves.checkpoints()
    seen = np.minimum(t, 20)
    assert (curves.raw("uniform", "observations") == seen).all()
    assert (curves.raw("uniform", "denied") == t - seen).all()
    switches = curves.raw("uniform", "switches")
    assert (switches[:, 0] == 0).all() and (switches[:, -1] > 10).all()
    free = arena("loss_table", 40, 5, "uniform", losses=TABLE.tolist(), price=0.0, budget=20)
    fees = curves.raw("uniform", "regret") - free.raw("uniform", "regret")
    np.testing.assert_allclose(fees, 2.0 * switches + 0.25 * seen, atol=1e-12)
    lost = curves.raw("uniform", "loss_regret")
    np.testing.assert_allclose(lost, free.raw("uniform", "regret"), atol=1e-12)


def test_a_game_by_hand(monkeypatch):
    """Five rounds; the loss of the arm played is free, three others may be seen, one is denied."""
    for name in ("begin", "advance", "score", "run_block"):
        loop = getattr(observe, name)
        monkeypatch.setattr(observe, name, getattr(loop, "py_func", loop))
    table = [[0.1, 0.5], [0.7, 0.2], [0.3, 0.4], [0.6, 0.0], [0.25, 0.75]]
    arms, lefts, told = [0, 1, 1, 0, 1], [], []

    def draw(params, world, t, rng, out):
        out[:] = table[t]
        return 1 if t == 0 else 0

    def look(params, state, t, arm, left, rng, out):
        lefts.append(int(left))
        out[:] = t < 4  # both, but in the last round
        return t < 4

    def update(params, state, t, x, arm, losses, rng):
        told.append([None if np.isnan(loss) else float(loss) for loss in losses])

    algorithm = observe.Observe(
        (), lambda params, task, rng: (), lambda params, state, t, x, rng: arms[t], look, update,
        lambda *_: None,
    )  # fmt: skip
    problem = observe.Losses(
        (), lambda params, rng: (), draw, (2, 1, 0), price=2.0, look_price=0.25, budget=3,
        extra=True, count_first=True,
    )  # fmt: skip
    record, points = np.zeros((1, 1, 6)), np.array([5])
    with np.errstate(all="ignore"):
        task = Task(2, 1, 0, 5, 3, 2.0)
        observe.run_block(
            algorithm, problem, task, KEY, 0, 0, points, np.zeros(2, np.int64), record
        )
    assert lefts == [3, 2, 1, 0, 0]
    assert told == [*table[:3], [0.6, None], [None, 0.75]]
    # Suffered are 2.05, by arm 1 alone 1.85; four switches, the first round among them.
    assert record[0, 0].tolist() == pytest.approx([0.2 + 8.0 + 0.75, 0.2, 4.0, 3.0, 1.0, 0.1])


def test_no_more_rounds_than_rows():
    with pytest.raises(ValueError, match="horizon must be at most 40, the rounds that loss_table"):
        arena("loss_table", 41, 1, "never_switch", losses=TABLE.tolist())


UNIT = "; allowed are numbers in [0, 1] (--low and --high)"
SIZE = "at least 2 columns, one per arm, and 1 row, one per round, are needed, got"
BAD_TABLES = [
    ("a\n0.5\n", "csv", f"{SIZE} 1 and 1"),
    ("a,b\n", "csv", f"{SIZE} 2 and 0"),
    ("", "csv", "the table of losses is empty"),
    ("a,b\n0.5,0.5\n0.5,x\n", "csv", f"column 'b', row 1 has x{UNIT}"),
    ("a,b\n0.5,0.5\n,0.5\n", "csv", f"column 'a', row 1 has nothing{UNIT}"),
    ("a,b\n0.5,0.5\n0.5\n", "csv", "line 3 has 1 cells, but the first line names 2 columns"),
    ("a,b\n0.5,1.5\n", "csv", f"column 'b', row 0 has 1.5{UNIT}"),
    ("a,b\n0.5,inf\n", "csv", f"column 'b', row 0 has inf{UNIT}"),
    ("a,b\n-1e-9,1\n", "csv", f"column 'a', row 0 has -1e-9{UNIT}"),
    ("a,b\n2024-01-01,1\n", "csv", f"column 'a', row 0 has 2024-01-01{UNIT}"),
    ("a,b\n0,0,1\n0,1,1\n", "csv", "line 2 has 3 cells, but the first line names 2 columns"),
    ("0.5,0.25\n0.5,0.5\n", "csv", "the first line must name the columns, got 0.5, 0.25"),
    (",a,b\n0,0.5,0.5\n", "csv", "column 0 has no name: is it a row number?"),
    ("a,b\n0,1\n", "txt", "a table of losses ends in .csv, .tsv, .csv.gz, .tsv.gz or .parquet"),
    ("no parquet", "parquet", "not readable as parquet: "),
]


@pytest.mark.parametrize(("text", "suffix", "said"), BAD_TABLES, ids=range(len(BAD_TABLES)))
def test_a_bad_file_is_refused_in_one_line(text, suffix, said, save):
    message = refused("loss_table", losses=save(text, f"losses.{suffix}"))
    expected = f"loss_table: losses.{suffix}: {said}"
    assert message == expected or said.endswith(": ") and message.startswith(expected)


def test_dates_are_no_losses(save):
    frame = pandas.DataFrame({"a": pandas.to_datetime(["2024-01-01"]), "b": [0.5]})
    message = refused("loss_table", losses=save(frame, "losses.parquet"), high=1e30)
    assert "losses.parquet: column 'a': it holds dates or times such as 2024-01-01" in message


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"losses": [[0.5, 0.5], [0.5, math.nan]]}, "losses: column 1, row 1 has nan"),
        ({"losses": [[0.5, None]]}, "losses: column 1, row 0 has nothing"),
        ({"losses": [[0.5, 0.5], [0.5]]}, "losses must have a row per round and a column per arm"),
        ({"losses": [0.5, 0.5]}, "losses must have a row per round and a column per arm"),
        ({"losses": 3}, "losses must have a row per round and a column per arm"),
        ({"losses": []}, "losses must have a row per round and a column per arm"),
        ({"losses": [[1j, 0.5]]}, "losses: column 0: row 0 has 1j"),
        ({"losses": [[3.0, 8.0]], "high": 7}, "row 0 has 8.0; allowed are numbers in [0, 7]"),
        ({"losses": [[0.5, 0.5]], "low": 1.0}, "low must be below high, got 1.0 and 1.0"),
        ({"losses": [[0.5, 0.5]], "low": -1e308, "high": 1e308}, "low must be below high"),
        ({"losses": [[0.5, 0.5]], "high": math.nan}, "high must be finite, got nan"),
        ({"losses": "absent.csv"}, "no such file: absent.csv"),
    ],
)  # fmt: skip
def test_bad_losses_are_refused(arguments, said):
    assert said in refused("loss_table", **arguments)


# --- bad input ------------------------------------------------------------------------------------


def refused(name, **arguments):
    with pytest.raises(ValueError) as caught:
        make_problem(name, **arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


DEKEL = {"scale": "dekel", "horizon": 100}


@pytest.mark.parametrize("name", GAPPED)
@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"n_arms": 1}, "n_arms must be at least 2"),
        ({"n_arms": 2.5}, "n_arms must be an integer"),
        ({"gap": 0.0}, "gap must be positive"),
        ({"gap": -0.1}, "gap must"),
        ({"gap": 1.1}, "gap must"),
        ({"gap": math.nan}, "gap must be finite"),
        ({"gap": "a"}, "gap must be a number"),
        ({"best": 3}, "best must be an arm"),
        ({"best": -2}, "best must be at least"),
        ({"best": 0.5}, "best must be an integer"),
    ],
)
def test_bad_arguments_of_all(name, bad, said):
    assert said in refused(name, **{"n_arms": 3, "gap": 0.1, **bad})


@pytest.mark.parametrize(
    ("name", "bad", "said"),
    [
        ("bernoulli_gap", {"gap": 0.6}, "gap must lie in [0, 0.5], got 0.6"),
        ("bernoulli_gap", {"base": 1.5}, "base must lie in [0, 1], got 1.5"),
        ("bernoulli_gap", {"best": -1}, "best must be at least 0, got -1"),
        ("stochastically_constrained", {"growth": 1.0}, "growth must be above 1, got 1.0"),
        ("stochastically_constrained", {"growth": math.inf}, "growth must be finite, got inf"),
        ("stochastically_constrained", {"best": -1}, "best must be at least 0, got -1"),
        ("random_walk", {"gap": 0.21}, "gap must be at most 0.2, got 0.21"),
        ("random_walk", {"gap": None}, "gap or horizon must be given"),
        ("random_walk", {"sigma": -0.1}, "sigma must be at least 0, got -0.1"),
        ("random_walk", {"horizon": -1}, "horizon must be at least 0, got -1"),
        ("random_walk", {"scale": "large"}, "scale must be one of visible, dekel, got 'large'"),
        ("random_walk", {"gap": None, "scale": "dekel"}, "horizon must be at least 6, got 0"),
        ("random_walk", {"gap": None, **DEKEL, "n_arms": 101}, "at least 101, got 100"),
        ("random_walk", DEKEL, "gap follows from horizon in scale 'dekel'"),
        ("random_walk", {"gap": None, "sigma": 0.1, **DEKEL}, "sigma follows from horizon"),
        ("alternating", {"n_arms": 3}, "unknown argument 'n_arms'"),
    ],
)  # fmt: skip
def test_bad_arguments(name, bad, said):
    given = {"n_arms": 3, "gap": 0.1} if name in GAPPED else {}
    assert said in refused(name, **{**given, **bad})


# --- every problem --------------------------------------------------------------------------------


def arena(name, rounds, replications, agent, **parameters):
    return simulate(
        {
            "protocol": "observe",
            "horizon": rounds,
            "replications": replications,
            "seed": SEED,
            "problem": {"name": name, **parameters},
            "agents": [{"name": agent}],
        }
    )


@pytest.mark.parametrize("name", INSTANCES)
def test_the_losses_do_not_depend_on_the_agent(name):
    problem = make_problem(name, extra=True, **INSTANCES[name])
    begin, advance = (getattr(f, "py_func", f) for f in (observe.begin, observe.advance))
    task = Task(*problem.shape, 200)
    ends = []
    for algorithm in (make("never_switch"), observe.observing(make("uniform"))):
        with np.errstate(all="ignore"):
            run = begin(algorithm, problem, task, KEY, 3, 0)
            advance(algorithm, problem, run, 0, 200)
        ends.append((run.sums.tolist(), run.nature.tolist(), run.losses.tolist()))
    assert ends[0] == ends[1]
    tables, _ = played(problem, 200, 1, 3)
    assert ends[0][0] == np.cumsum(tables[0], axis=0)[-1].tolist()


@pytest.mark.parametrize("name", INSTANCES)
def test_examples_and_params_make_the_problem(name):
    module = sys.modules[make_problem(name, **INSTANCES[name]).draw.__module__]
    for arguments in (INSTANCES[name], getattr(module, "example", {})):
        problem = make_problem(name, price=2.0, look_price=0.5, budget=7, **arguments)
        assert (problem.price, problem.look_price, problem.budget) == (2.0, 0.5, 7)
        losses, _ = played(problem, 200)
        assert np.isfinite(losses).all()
        assert losses.min() >= 0.0
        assert losses.max() <= 1.0
        again = make_problem(name, **problem.params._asdict())
        assert np.array_equal(played(again, 200)[0], losses)
        assert (again.shape, again.supply) == (problem.shape, problem.supply)


def test_dekels_params_make_the_problem():
    problem = make_problem("random_walk", n_arms=2, horizon=1000, scale="dekel")
    assert make_problem("random_walk", **problem.params._asdict()).params == problem.params


@pytest.mark.skipif(jit_disabled(), reason="starts the plain run itself")
def test_python_equals_jit(tmp_path):
    code = (
        "import sys, numpy as np; sys.path.insert(0, sys.argv[2]); import test_losses as t; "
        "np.savez(sys.argv[1], **{n: t.played(t.make_problem(n, **a), 300, 2)[0] "
        "for n, a in t.INSTANCES.items()})"
    )
    out = tmp_path / "plain.npz"
    subprocess.run(
        [sys.executable, "-c", code, str(out), os.path.dirname(__file__)],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        check=True,
    )
    plain = np.load(out)
    for name, arguments in INSTANCES.items():
        jitted, _ = played(make_problem(name, **arguments), 300, 2)
        assert np.array_equal(plain[name], jitted), name
