"""Judges of trajectories and episodes of fixed length: neither torch nor MuJoCo is needed."""

from __future__ import annotations

import math

import gymnasium
import numpy as np
import pytest

from banditlab import registry
from banditlab.parts.deep.preferences import FixedHorizon, Judge, answers, chances, looked_at

ALL = [
    Judge(),
    Judge(flip=0.2),
    Judge("logistic", temperature=2.0),
    Judge("logistic", flip=0.1),
    Judge("quarter", threshold=0.3),
    Judge("thirds"),
    Judge("thirds", flip=0.3),
]


def sampled(judge, x, y, times, seed=0):
    rng = np.random.default_rng(seed)
    a, b = looked_at(judge, x)[:, None], looked_at(judge, y)[None]
    return np.mean([answers(judge, a, b, rng) for _ in range(times)], axis=0)


def certain(judge, x):
    seen = looked_at(judge, x)
    return chances(judge, seen[:, None], seen[None])


def test_win_rates_of_four_trajectories_by_hand():
    x = np.array([[0.5, 0.5], [2.0, 0.0], [-1.0, 4.0], [2.0, 2.0]])  # returns 1, 2, 3, 4
    wins = sampled(Judge(), x, x, 1).mean(axis=1)
    assert wins.tolist() == [0.125, 0.375, 0.625, 0.875] and wins.mean() == 0.5


@pytest.mark.parametrize("flip", [0.1, 0.2, 0.4, 0.5])
def test_answers_that_are_turned_round_lose_two_flips_of_their_lead(flip):
    x = np.array([[1.0], [2.0], [3.0], [4.0]])
    plain, times = certain(Judge(), x), 4000
    got = sampled(Judge(flip=flip), x, x, times, seed=int(100 * flip))
    assert np.abs(got - 0.5 - (1 - 2 * flip) * (plain - 0.5)).max() < 5 * 0.5 / math.sqrt(times)
    assert (np.diag(got) == 0.5).all()  # a tie stays one


@pytest.mark.parametrize("judge", ALL, ids=str)
def test_answers_average_to_chances_which_add_up_to_one(judge):
    rng = np.random.default_rng(1)
    x = rng.normal(0, 0.5, (6, 12))
    x[3] = x[2]
    P = certain(judge, x)
    assert np.allclose(P + P.T, 1.0, atol=1e-12) and P[2, 3] == 0.5 and P.min() >= 0
    times = 3000
    assert np.abs(sampled(judge, x, x, times) - P).max() < 5 * 0.5 / math.sqrt(times)
    once = sampled(judge, x, x, 1)
    assert set(np.unique(once)) <= {0.0, 0.5, 1.0}


@pytest.mark.parametrize(
    ("judge", "given"),
    [
        (Judge(), {}),
        (Judge("logistic", temperature=0.7), {"judge": "logistic", "temperature": 0.7}),
        (Judge("quarter", threshold=0.1), {"judge": "quarter", "threshold": 0.1}),
    ],
)
@pytest.mark.parametrize("H", [4, 9, 250])
def test_judges_are_those_of_the_duels_of_trajectories(judge, given, H):
    x = np.random.default_rng(H).integers(-2, 3, (9, H)) / 4.0
    duel = registry.make_problem("duel_trajectories", rewards=x.tolist(), **given)
    assert np.allclose(certain(judge, x), duel.params.matrices[0], atol=1e-12)


def test_three_people_go_round_in_a_circle():
    x = np.array([[3, 1, 2], [2, 3, 1], [1, 2, 3]], float)
    assert certain(Judge("thirds"), x) == pytest.approx(
        np.array([[1 / 2, 2 / 3, 1 / 3], [1 / 3, 1 / 2, 2 / 3], [2 / 3, 1 / 3, 1 / 2]])
    )


class Stops(gymnasium.Env):
    """Pays 1, and ends or is cut after ``steps``."""

    observation_space = gymnasium.spaces.Box(-9, 9, (1,))
    action_space = gymnasium.spaces.Box(-1, 1, (1,))

    def __init__(self, steps, cut):
        self.steps, self.cut = steps, cut

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return np.zeros(1), {}

    def step(self, action):
        self.t += 1
        over = self.t == self.steps
        return np.full(1, float(self.t)), 1.0, over and not self.cut, over and self.cut, {}


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize(("steps", "paid"), [(3, 3), (7, 7), (99, 7)])
def test_episodes_last_as_long_as_they_are_told(steps, cut, paid):
    env = FixedHorizon(Stops(steps, cut), 7)
    for _ in range(2):
        env.reset()
        rows = [env.step(np.zeros(1)) for _ in range(7)]
        assert [row[2] for row in rows] == [False] * 6 + [True]
        assert not any(row[3] for row in rows) and sum(row[1] for row in rows) == paid
        assert [float(row[0][0]) for row in rows] == [min(t, steps) for t in range(1, 8)]
        assert sum(row[4].get("absorbing", False) for row in rows) == max(0, 7 - steps)


@pytest.mark.parametrize("name", ["spo_ppo", "rm_ppo", "spo_sac"])
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"judge": "best"}, "judge must be one of return, logistic, quarter, thirds"),
        ({"flip": 0.6}, r"flip must lie in \[0, 1/2\], got 0.6"),
        ({"flip": -0.1}, "flip must be at least 0"),
        ({"temperature": 0}, "temperature must be"),
        ({"threshold": math.nan}, "threshold must be finite"),
        ({"queue": 0}, "queue must be at least"),
        ({"queries": -1}, "queries must be at least 0"),
        ({"length": 3}, "length must be at least 4"),
    ],
)
def test_bad_comparisons_are_one_line(name, given, words):
    with pytest.raises(ValueError, match=words):
        registry.make(name, **given)


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("spo_ppo", {"scale": 0}, "scale must be"),
        ("spo_sac", {"scale": -1}, "scale must be at least 0"),
        ("spo_sac", {"relabel": -1}, "relabel must be at least 0"),
        ("rm_ppo", {"pairs": 0}, "pairs must be at least 1"),
        ("rm_ppo", {"memory": 0}, "memory must be at least 1"),
        ("spo_ppo", {"episodes": 0}, "episodes must be at least 1"),
    ],
)
def test_bad_hyper_parameters_are_one_line(name, given, words):
    with pytest.raises(ValueError, match=words):
        registry.make(name, **given)
