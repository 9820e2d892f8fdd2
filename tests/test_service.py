"""An agent in a service: blocks of decisions, floors, arms that come and go, late rewards."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import banditlab
from banditlab.offpolicy import snips


def exploring(seed=3):
    agent = banditlab.Agent("epsilon_greedy", n_arms=4, epsilon=0.2, seed=seed)
    for arm, reward in enumerate([0.2, 0.9, 0.1, 0.3]):
        agent.update(None, arm, reward)
    return agent


def test_a_block_is_drawn_from_the_propensities_that_it_reports():
    agent = exploring()
    arms, chances = agent.decide([None] * 4000)
    assert arms.dtype == np.int64 and arms.shape == chances.shape == (4000,)
    expected = agent.propensities()
    assert np.allclose(chances, expected[arms], atol=1e-12)
    counts = np.bincount(arms, minlength=4) / 4000
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected * (1 - expected) / 4000) + 1e-9).all()
    assert agent.t == 4  # nothing was learned, and the clock stood still


def test_a_floor_is_mixed_in_and_reported():
    agent = exploring()
    arms, chances = agent.decide([None] * 4000, floor=0.1)
    expected = 0.6 * agent.propensities() + 0.1
    assert np.allclose(chances, expected[arms], atol=1e-12) and chances.min() >= 0.1
    counts = np.bincount(arms, minlength=4) / 4000
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected * (1 - expected) / 4000)).all()
    even = agent.decide([None] * 50, floor=0.25)[1]
    assert np.allclose(even, 0.25)


def test_what_is_logged_with_a_floor_values_another_rule():
    """SNIPS on the log of a greedy agent finds what the worst arm pays."""
    agent, rng = exploring(), np.random.default_rng(1)
    means = np.array([0.2, 0.9, 0.1, 0.3])
    arms, chances = agent.decide([None] * 3000, floor=0.05)
    rewards = (rng.random(3000) < means[arms]).astype(float)
    log = banditlab.Log(action=arms, reward=rewards, propensity=chances)
    found = snips(log, [[0.0, 0.0, 1.0, 0.0]])
    assert found.lo < 0.1 < found.hi and found.hi - found.lo < 0.15


def test_learning_a_block_equals_learning_its_rounds():
    rng = np.random.default_rng(0)
    block, rewards = rng.normal(size=(30, 3)), rng.random(30)
    one, two = (banditlab.Agent("linucb", n_arms=4, dim=3, disjoint=True, seed=1) for _ in "ab")
    arms, chances = one.decide(block)
    assert set(chances) == {1.0}  # it draws nothing
    one.learn(block, arms, rewards)
    for x, arm, reward in zip(block, arms, rewards, strict=True):
        two.update(x, arm, reward)
    assert np.array_equal(one.state.factor, two.state.factor) and one.t == two.t == 30
    frame = pd.DataFrame(block, columns=list("abc"))
    assert np.array_equal(one.decide(frame)[0], two.decide(block)[0])


def test_arms_that_come_and_go_are_told_apart_by_their_features():
    agent = banditlab.Agent("linucb", n_arms=5, dim=2, alpha=0.0, seed=0)
    for row, reward in (([1.0, 0.0], 1.0), ([0.0, 1.0], 0.0)) * 5:
        agent.update(np.tile(row, (5, 1)), 0, reward)
    offers = [
        [[0.0, 1.0], [1.0, 0.0]],  # two arms today
        [[1.0, 0.0]],  # one
        [[0.0, 1.0], [0.2, 0.8], [0.1, 0.9]],
        np.eye(2)[[1, 1, 1, 1, 0]],
    ]
    arms, chances = agent.decide(offers, floor=0.02)
    assert (arms < [2, 1, 3, 5]).all() and chances[1] == 1.0
    greedy, _ = agent.decide(offers)
    assert greedy.tolist() == [1, 0, 1, 4]
    assert np.allclose(
        chances[arms == greedy], (1 - 0.02 * (np.array([2, 1, 3, 5]) - 1))[arms == greedy]
    )
    before = agent.state.factor.copy()
    agent.learn(offers, greedy, [1.0, 1.0, 0.5, 1.0])
    assert (agent.state.factor != before).any()


def test_a_matrix_of_one_row_is_what_all_share_or_the_one_on_offer_and_never_both():
    apart, row = small(), [[0.6, 0.8]]
    block = [row, row[0]]
    assert np.array_equal(*(apart._offer(x)[0] for x in block))
    assert {offered for _, offered in map(apart._offer, block)} == {3}  # as in act
    apart.learn(block, [2, 2], [1.0, 1.0])
    assert apart.act(row) == apart.decide(block)[0][0] == 2
    joint = small(disjoint=False)
    assert [x.tolist() for x in joint.decide([row] * 5)] == [[0] * 5, [1.0] * 5]
    unsure = banditlab.Agent("kernel_ucb", n_arms=3, dim=2)
    for call in (lambda: unsure.decide([row]), lambda: unsure.learn([row], [0], [1.0])):
        with pytest.raises(ValueError, match="one row may be what all arms share, or one arm on"):
            call()
    assert unsure.decide([row[0], row * 3])[0].tolist() == [0, 0] and unsure.t == 0


def test_no_place_in_an_offer_is_better_than_another():
    """Three rows in a table of four: whichever is the first has the copy."""
    agent = small(n_arms=4, disjoint=False, gamma=0.0)
    rows = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    np.testing.assert_allclose(agent._chosen(*agent._offer(rows)), 1 / 3)
    agent = taught(small(n_arms=4, disjoint=False))
    rule = agent._chosen(*agent._offer(rows))
    assert rule.sum() == pytest.approx(1.0) and np.ptp(rule) > 1e-3
    for order in ([1, 2, 0], [1, 0, 2]):
        np.testing.assert_allclose(agent._chosen(*agent._offer(rows[order])), rule[order])


def test_rewards_that_come_late_come_with_their_rounds():
    agent = banditlab.Agent("thompson", n_arms=3, seed=0)
    arms, _ = agent.decide([None] * 6)
    agent.tick(6)
    assert agent.t == 6
    agent.learn([None] * 4, arms[[0, 5, 2, 3]], [1.0, 0.0, 1.0, 0.0], t=[0, 5, 2, 3])
    assert agent.t == 6 and agent.state.pulls.sum() == 4


BLOCK = np.zeros((3, 2))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda a: a.decide(BLOCK, floor=0.3), r"floor must lie in \[0, 0.25\]"),
        (lambda a: a.decide(BLOCK, floor=-0.1), "floor must lie in"),
        (lambda a: a.decide("abc"), "block must be a list"),
        (lambda a: a.decide(np.float64(3)), "block must be a list"),
        (lambda a: a.decide(None), "block must be a list"),
        (lambda a: a.decide([[1.0, np.nan]]), "x must be finite"),
        (lambda a: a.decide(np.zeros((3, 7))), "x must be finite with shape"),
        (lambda a: a.decide(np.zeros((3, 5, 2))), "x must be finite with shape"),
        (lambda a: a.decide(np.zeros((3, 2, 2))), "arms that come and go need features"),
        (lambda a: a.learn(BLOCK, [0, 1], [0, 0, 0]), "arms must have an entry for each of 3"),
        (lambda a: a.learn(BLOCK, [0, 1, 4], [0, 0, 0]), "arm must be an integer, 0 to 3"),
        (lambda a: a.learn(BLOCK, [0, 1, 2], [0, 0, np.nan]), "reward must be finite"),
        (lambda a: a.learn(BLOCK, [0, 1, 2], 1.0), "rewards must have an entry"),
        (lambda a: a.learn(BLOCK, [0, 1, 2], [0, 0, 0], t=[0, 0, 1]), "t must be at most 0"),
        (lambda a: a.tick(-1), "rounds must be at least 0"),
    ],
)
def test_a_block_that_cannot_be_teaches_nothing(call, words):
    agent = banditlab.Agent("linucb", n_arms=4, dim=2, disjoint=True)
    before = agent.state.factor.copy()
    with pytest.raises(ValueError, match=words) as error:
        call(agent)
    assert "\n" not in str(error.value)
    assert agent.t == 0 and np.array_equal(agent.state.factor, before)


# --- a network in a service -----------------------------------------------------------------------


def small(**given):
    given = {"n_arms": 3, "dim": 2, "units": 8, "steps": 60, "seed": 2, **given}
    return banditlab.Agent("neu_fast_cb", **given)


def taught(agent, rounds=60):
    """Arm 0 pays where the first feature is positive, arm 1 where it is not."""
    rng = np.random.default_rng(4)
    for _ in range(rounds // 10):
        block = rng.normal(size=(10, 2))
        block /= np.linalg.norm(block, axis=1, keepdims=True)
        arms, _ = agent.decide(block)
        low, high = agent.algorithm.rewards
        agent.learn(block, arms, low + (high - low) * (arms == (block[:, 0] <= 0)))
    return agent


def test_a_loaded_network_goes_on_with_its_history_draw_for_draw(tmp_path):
    agent = taught(small(memory=40))
    agent.save(tmp_path / "agent.npz")
    twin = banditlab.Agent.load(tmp_path / "agent.npz")
    assert np.array_equal(twin.state.learner.history.x, agent.state.learner.history.x)
    assert twin.state.learner.history.seen[0] == 60 and len(twin.state.learner.history.x) == 40
    for one, two in zip(
        taught(agent).state.learner.net, taught(twin).state.learner.net, strict=True
    ):
        assert np.array_equal(one, two)
    block = np.eye(2)
    assert [x.tolist() for x in agent.decide(block)] == [x.tolist() for x in twin.decide(block)]


def test_a_saved_network_whose_history_names_no_arm_is_refused(tmp_path):
    agent = taught(small())
    agent.state.learner.history.arms[3] = 10**6
    agent.save(tmp_path / "agent.npz")
    with pytest.raises(ValueError, match="arms must hold whole numbers from 0 to 2"):
        banditlab.Agent.load(tmp_path / "agent.npz")


def test_rewards_in_euros_teach_what_the_same_shares_teach():
    euros, shares = taught(small(low=-5, high=15)), taught(small())
    assert np.array_equal(euros.state.learner.net.theta, shares.state.learner.net.theta)
    with pytest.raises(ValueError, match=r"reward must be in \[-5, 15\]"):
        euros.learn([[1.0, 0.0]], [0], [15.5])


def test_a_log_is_a_warm_start():
    """A row teaches what a round teaches."""
    played = small()
    rng = np.random.default_rng(0)
    x, arms, rewards = rng.normal(size=(50, 2)), rng.integers(0, 3, 50), rng.random(50)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    log = {"action": arms, "reward": rewards, "x_0": x[:, 0], "x_1": x[:, 1]}
    warm = small().fit(log)
    played.learn(x, arms, rewards)
    assert np.array_equal(warm.state.learner.net.theta, played.state.learner.net.theta)


def test_networks_tell_arms_that_come_and_go_by_their_features():
    agent = small(n_arms=4, disjoint=False, steps=300)
    rng = np.random.default_rng(1)
    for _ in range(60):
        offers = [rng.normal(size=(k, 2)) for k in (2, 4, 3, 1, 4)]
        offers = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in offers]
        arms, chances = agent.decide(offers, floor=0.02)
        assert chances[3] == pytest.approx(1.0) and (arms < [2, 4, 3, 1, 4]).all()
        paid = [x[arm, 0] > 0 for x, arm in zip(offers, arms, strict=True)]
        agent.learn(offers, arms, np.array(paid, float))
    pair = [[[-1.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, -1.0], [-1.0, 0.0]]] * 20
    best = np.array([1, 0] * 20)
    assert (agent.decide(pair)[0] == best).mean() > 0.8


def test_a_network_that_diverged_decides_nothing():
    agent = small(lr=1.0, loss="square", allocation="igw")
    block = np.eye(2) * 100
    with pytest.raises(ValueError, match="neu_fast_cb .*diverged"):
        for _ in range(20):
            agent.learn(block, [0, 1], [1.0, 0.0])
            agent.decide(block)


def test_ragged_columns_and_endless_clocks_are_refused_in_our_words():
    agent = banditlab.Agent("square_cb", n_arms=2, dim=2)
    block, ragged = [[1.0, 0.0], [0.0, 1.0]], [[1], [1, 0]]
    for arms, rewards, name in ((ragged, [1.0, 1.0], "arms"), ([0, 1], ragged, "rewards")):
        with pytest.raises(ValueError, match=f"^{name} must .* got rows of different lengths"):
            agent.learn(block, arms, rewards)
    agent.tick(5)
    with pytest.raises(ValueError, match="rounds must be at most"):
        agent.tick(1 << 60)
    assert agent.t == 5
