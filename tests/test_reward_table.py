"""A user's table of rewards: dealt once, without replacement, in units of its bounds."""

import math

import numpy as np
import pandas
import pytest
from scipy import stats

import banditlab
from banditlab import random
from banditlab.core import jit_disabled
from banditlab.problems.reward_table import neighbour, reward_table
from banditlab.protocols.online import UNIT_REWARD

TABLE = [[0.0, 1.0, 0.25, 0.5], [1.0, 0.75, 0.5]]


def deal(problem, arms, replication=0):
    """What pulls of these arms pay, one after another."""
    rng = random.stream(random.key(3), replication, random.NATURE)
    with np.errstate(over="ignore"):
        world = problem.init(problem.params, rng)
        x = problem.observe(problem.params, world, 0, rng)
        return [problem.pull(problem.params, world, x, arm, rng) for arm in arms]


def test_every_row_is_paid_once_and_none_again():
    problem = reward_table(TABLE)
    for replication in range(20):
        paid = deal(problem, [0, 1, 1, 0, 0, 0, 1, 0, 1], replication)
        assert sorted(paid[i] for i in (0, 3, 4, 5)) == sorted(TABLE[0])
        assert sorted(paid[i] for i in (1, 2, 6)) == sorted(TABLE[1])
        assert math.isnan(paid[7]) and math.isnan(paid[8])
    assert (
        problem.supply == (4, 3) and problem.shape == (2, 1, 0) and problem.rewards == UNIT_REWARD
    )
    assert problem.params.rewards.tolist() == TABLE[0] + TABLE[1], "a replication changed the table"


def test_all_orders_are_equally_likely():
    problem = reward_table([[0.1, 0.2, 0.3, 0.4], [1.0]])
    seen = [tuple(deal(problem, [0] * 4, replication)) for replication in range(4800)]
    counts = pandas.Series(seen).value_counts()
    assert len(counts) == 24
    assert stats.chisquare(counts).pvalue > 1e-3


def test_without_shuffling_rows_come_in_order():
    problem = reward_table(TABLE, shuffle=False)
    for replication in (0, 1):
        assert deal(problem, [1, 0, 0, 1, 0, 1, 0], replication) == [1, 0, 1, 0.75, 0.25, 0.5, 0.5]


def test_luck_does_not_depend_on_the_arm():
    problem = reward_table([[k / 10 for k in range(11)]] * 2)
    assert deal(problem, [0] * 11) == deal(problem, [1] * 11)
    assert deal(problem, [0, 1])[1] == deal(problem, [0, 1, 1])[1]


def test_means_and_regret_are_those_of_the_columns():
    problem = reward_table([*TABLE, [0.1, 0.2, 0.3, 0.7], [0.7, 0.3, 0.2, 0.1]])
    assert np.allclose(problem.params.means, [0.4375, 0.75, 0.325, 0.325])
    # In whatever order, the same rewards make equally good arms.
    assert problem.params.means[2] == problem.params.means[3]
    rng = random.stream(random.key(0), 0, random.NATURE)
    with np.errstate(over="ignore"):
        world = problem.init(problem.params, rng)
        regrets = [problem.regret(problem.params, world, world.x, k) for k in range(4)]
    assert np.allclose(regrets, [0.3125, 0.0, 0.425, 0.425])


def test_units():
    problem = reward_table([[1, 2, 5], [3, 3]], low=1, high=5)
    assert problem.params.rewards.tolist() == [0.0, 0.25, 1.0, 0.5, 0.5]
    assert problem.params.clamped == 0


def test_clamping_is_asked_for_and_counted():
    rewards = [[-1.0, 0.5, 2.0], [0.0, 1.0, 1.5]]
    with pytest.raises(ValueError, match=r"arm 0, row 0 has -1; allowed are numbers in \[0, 1\]"):
        reward_table(rewards)
    problem = reward_table(rewards, clamp=True)
    assert problem.params.rewards.tolist() == [0.0, 0.5, 1.0, 0.0, 1.0, 1.0]
    assert problem.params.clamped == 3


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_files_hold_a_column_per_arm(tmp_path, suffix):
    frame = pandas.DataFrame({"red": [0.5, 1.0, 0.0], "blue": [1.0, 0.25, None]})
    path = tmp_path / f"rewards{suffix}"
    frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
    for source in (path, str(path), frame):
        problem = reward_table(source)
        assert problem.params.rewards.tolist() == [0.5, 1.0, 0.0, 1.0, 0.25]
        assert problem.params.offsets.tolist() == [0, 3, 5] and problem.supply == (3, 2)
    same = reward_table({"red": [0.5, 1.0, 0.0], "blue": [1.0, 0.25]})
    assert same.params.rewards.tolist() == problem.params.rewards.tolist()


@pytest.mark.parametrize(
    "text, line",
    [
        ("a,b\n1,0\n,1\n0,1\n", "arm a, row 1 has nothing, which is no number; only cells below"),
        ("a,b\n1,0\nyes,1\n", "arm a, row 1 has yes, which is no number"),
        ("a,b\n1,\n0,\n", "arm b has no rewards"),
        ("a\n1\n0\n", "rewards must have a column for each of at least 2 arms"),
        (",a,b\n0,1,0\n1,0,1\n", "column 0 has no name"),
        ("0.5,0.25\n1,0\n", "the first line must name the columns"),
        ("a,b\n1,0\n7,1\n", r"arm a, row 1 has 7; allowed are numbers in \[0, 1\]"),
        ("", "the table of rewards is empty"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, text, line):
    path = tmp_path / "rewards.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=line) as caught:
        reward_table(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "rewards, more, line",
    [
        ([[0.5, 0.5]], {}, "at least 2 arms"),
        (7, {}, "at least 2 arms"),
        ([[0.5], []], {}, "arm 1 has no rewards"),
        ([[0.5], [0.5, math.nan]], {}, "arm 1, row 1 has nan"),
        ([[0.5], [math.inf]], {"clamp": True}, "arm 1, row 0 has inf"),
        ([0.5, 0.5], {}, "arm 0 must have a list of numbers"),
        ([[0.5], ["x"]], {}, "arm 1, row 0 has x"),
        ([[0.5], [0.5]], {"low": 1.0}, "low must be below high, got 1.0 and 1.0"),
        ([[0.5], [0.5]], {"low": math.nan}, "low must be finite"),
        ("rewards.txt", {}, "a table of rewards ends in .csv, .tsv, .csv.gz"),
        ("nowhere.csv", {}, "no such file: nowhere.csv"),
    ],
)
def test_bad_tables_are_refused(rewards, more, line):
    with pytest.raises(ValueError, match=line):
        reward_table(rewards, **more)


def test_neighbours_differ_in_one_reward():
    before = [list(column) for column in TABLE]
    changed = neighbour(TABLE, 1, 2, 0.0)
    assert before == TABLE
    assert [c.tolist() for c in changed] == [TABLE[0], [1.0, 0.75, 0.0]]
    array = np.array([[0.1, 0.2], [0.3, 0.4]])
    assert neighbour(array, 0, 1, 1.0)[0].tolist() == [0.1, 1.0] and array[0, 1] == 0.2
    assert reward_table(changed).params.means[1] == pytest.approx(1.75 / 3)
    assert neighbour([[1, 2], [3, 5]], 1, 0, 4, low=1, high=5)[1].tolist() == [4.0, 5.0]
    for arguments, line in (
        ((2, 0, 0.5), "arm must be an arm, 0 to 1, got 2"),
        ((-1, 0, 0.5), "arm must be at least 0"),
        ((1, 3, 0.5), "i must be a row of arm 1, 0 to 2, got 3"),
        ((0, -1, 0.5), "i must be at least 0"),
        ((0, 0, 1.5), r"value must lie in \[0, 1\], got 1.5"),
        ((0, 0, math.nan), "value must be finite"),
    ):
        with pytest.raises(ValueError, match=line):
            neighbour(TABLE, *arguments)


def test_more_pulls_than_rows_are_refused():
    spec = {
        "protocol": "identify",
        "horizon": 4,
        "problem": {"name": "reward_table", "rewards": TABLE},
        "agents": [{"name": "dp_bai", "epsilon": 1.0}],
    }
    with pytest.raises(ValueError, match="horizon must be at most 3, the rewards that each arm"):
        banditlab.simulate(spec)


def test_an_even_budget_needs_as_many_rows_of_each_arm_as_it_spends_there():
    def spec(horizon, **agent):
        problem = {"name": "reward_table", "rewards": TABLE}
        return {
            "protocol": "identify", "horizon": horizon, "replications": 2, "problem": problem,
            "agents": [agent],
        }  # fmt: skip

    full = {"name": "noisy_max", "rows": [4, 3]}
    for played in (spec(7, **full), spec(6, name="noisy_max"), spec(7, name="dp_uniform")):
        assert banditlab.simulate(played)
    for refused, line in (
        (spec(6, **full), "horizon must be at least 7, all rows, got 6"),
        (spec(8, name="noisy_max", rows=[4, 4]), "pulls arm 1 up to 4 times with horizon 8, but"),
        (spec(8, name="noisy_max", rows=[5, 3]), "arm 0 up to 5 times .* reward_table has 4 rew"),
        (spec(8, name="uniform_design"), "arm 1 up to 4 times with horizon 8, .* has 3 rewards"),
        (spec(7, name="noisy_max", rows=[1, 1, 1]), "rows must have 2 entries"),
    ):
        with pytest.raises(ValueError, match=line):
            banditlab.simulate(refused)


@pytest.mark.skipif(jit_disabled(), reason="simulates 40,000 replications")
def test_a_simulation_draws_without_replacement():
    """Uniform design on 0/1 columns: two hypergeometric sums, ties at random."""
    ones, n, drawn = (14, 10), 24, 12
    table = [[1.0] * m + [0.0] * (n - m) for m in ones]
    k = np.arange(drawn + 1)
    p, q = (stats.hypergeom.pmf(k, n, m, drawn) for m in ones)
    expected = sum(p[i] * (q[i + 1 :].sum() + 0.5 * q[i]) for i in k)
    with_replacement = [stats.binom.pmf(k, drawn, m / n) for m in ones]
    other = sum(
        with_replacement[0][i] * (with_replacement[1][i + 1 :].sum() + 0.5 * with_replacement[1][i])
        for i in k
    )
    curves = banditlab.simulate(
        {
            "protocol": "identify",
            "horizon": 2 * drawn,
            "replications": 20_000,
            "problem": {"name": "reward_table", "rewards": table},
            "agents": [{"name": "uniform_design"}],
        }
    )
    error = curves.raw("uniform_design", "error").mean()
    noise = math.sqrt(expected * (1 - expected) / 20_000)
    assert abs(error - expected) < 4 * noise
    assert abs(error - other) > 10 * noise
    regret = curves.raw("uniform_design", "simple_regret").mean()
    assert regret == pytest.approx(error * 4 / 24)


@pytest.mark.parametrize("protocol, agent", [("online", "ucb"), ("identify", "dp_bai")])
def test_no_protocol_asks_for_more_rows_than_there_are(protocol, agent):
    arena = {
        "protocol": protocol,
        "problem": {"name": "reward_table", "rewards": [[0.0, 1.0] * 10, [1.0] * 30]},
        "agents": [{"name": agent}],
        "replications": 3,
    }
    curves = banditlab.simulate({**arena, "horizon": 20})
    assert np.isfinite(curves.raw(agent)).all()
    with pytest.raises(ValueError, match="horizon must be at most 20, the rewards that each arm"):
        banditlab.simulate({**arena, "horizon": 21})
