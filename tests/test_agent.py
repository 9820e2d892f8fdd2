"""Agent: the face for other code. Exactness is tested by the contract; here are its edges."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

import banditlab
from banditlab import random, registry
from banditlab.problems.delayed import delayed

LOG = pd.DataFrame({"action": [0, 1, 1, 2], "reward": [0.0, 1.0, 1.0, 0.0]})


def test_fit_equals_updates_by_hand():
    fitted = banditlab.Agent("ucb", n_arms=3).fit(LOG)
    by_hand = banditlab.Agent("ucb", n_arms=3)
    for row in LOG.itertuples():
        by_hand.update(None, row.action, row.reward)
    assert np.array_equal(fitted.state.sums, by_hand.state.sums)
    assert fitted.t == 0 and by_hand.t == 4


def test_offline_rule_is_frozen_once_deployed():
    agent = banditlab.Agent("lcb", n_arms=3).fit(LOG)
    before = agent.recommend()
    for _ in range(50):
        agent.update(None, 0, 1.0)
    assert np.array_equal(agent.recommend(), before) and agent.act() == 1
    agent.fit(pd.DataFrame({"action": [0] * 50, "reward": [1.0] * 50}))  # a log still teaches
    assert agent.recommend()[0] == 1.0


def test_late_rewards_by_hand_equal_the_arena():
    """The loop of the README with a delayed problem: tick each round, update on arrival."""
    entry = {"name": "bernoulli", "means": [0.2, 0.5, 0.8]}
    arena = {
        "problem": {"name": "delayed", "problem": entry, "mean_delay": 7.0},
        "agents": [{"name": "thompson"}],
        "horizon": 150,
        "replications": 1,
        "seed": 4,
    }
    fused = banditlab.simulate(arena).raw("thompson")[0, -1]
    problem = delayed(entry, mean_delay=7.0)
    with np.errstate(over="ignore"):
        nature = random.stream(random.key(4), 0, random.NATURE)
        world = problem.init(problem.params, nature)
        agent = banditlab.Agent("thompson", n_arms=3, horizon=150, seed=4)
        regret = 0.0
        for t in range(150):
            x = problem.observe(problem.params, world, t, nature)
            arm = agent.act()
            regret += problem.regret(problem.params, world, x, arm)
            reward = problem.pull(problem.params, world, x, arm, nature)
            for i in range(problem.arrivals(problem.params, world, t, x, arm, reward)):
                then, _, pulled, paid = problem.arrival(problem.params, world, i)
                agent.update(None, pulled, paid, t=then)
            agent.tick()
    assert regret == fused


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: banditlab.Agent("ucb", n_arms=1), "n_arms must be at least 2, got 1"),
        (  # a context was read as a row of dim features, from beyond its end
            lambda: banditlab.Agent("linucb", n_arms=2, n_contexts=3, dim=3),
            "n_contexts must be 1 where arms have features, dim 3, got 3",
        ),
        (lambda: banditlab.Agent("ucb", n_arms=2.5), "n_arms must be an integer"),
        (lambda: banditlab.Agent("ubc", n_arms=2), "unknown agent 'ubc'"),
        (lambda: banditlab.Agent("ucb", n_arms=2, horizon=-1), "horizon must be at least 0"),
        (lambda: banditlab.Agent("ucb", n_arms=2, alpha="x"), "alpha must be a number"),
        (lambda: banditlab.Agent("ucb", n_arms=2).update(None, 2, 1.0), "arm must be an integer"),
        (lambda: banditlab.Agent("ucb", n_arms=2).update(None, 0, np.nan), "reward must be fin"),
        (lambda: banditlab.Agent("thompson", n_arms=2).update(None, 0, 1.5), r"in \[0, 1\]"),
        (lambda: banditlab.Agent("linucb", n_arms=2, dim=2).act([1.0, 2.0, 3.0]), "x must be fin"),
        (lambda: banditlab.Agent("ucb", n_arms=2, n_contexts=3).act(3), "x must be a context"),
        (lambda: banditlab.Agent("ucb", n_arms=2).fit(LOG), "action"),
        (lambda: banditlab.Agent(registry.make("ucb"), n_arms=2).save("x"), "made by name"),
    ],
)
def test_errors_are_one_line(call, words):
    with pytest.raises(ValueError, match=words) as error:
        call()
    assert "\n" not in str(error.value)


def test_saved_agents_hold_no_pickle(tmp_path):
    path = tmp_path / "agent.npz"
    banditlab.Agent("exp3", n_arms=4, seed=3, eta=0.1).save(path)
    with np.load(path, allow_pickle=False) as stored:
        assert {"about", "rng", "state0"} <= set(stored.files)
    assert banditlab.Agent.load(path).algorithm.params.eta == 0.1


def test_an_agent_that_pays_for_losses_keeps_its_budget():
    agent = banditlab.Agent("batched_omd", n_arms=3, horizon=50, budget=9, price=2.0, seed=4)
    seen = 0
    for _ in range(50):
        arm = agent.act()
        losses = np.where(agent.look(arm), 0.5, np.nan)
        seen += int((~np.isnan(losses)).sum())
        agent.update(None, arm, losses)
    assert seen == 9 and agent.t == 50
    with pytest.raises(ValueError, match="1 losses looked at, but 0 left of the budget"):
        agent.update(None, 0, [0.5, np.nan, np.nan])
    with pytest.raises(ValueError, match=r"a loss must be in \[0, 1\] for batched_omd, got 1.5"):
        agent.update(None, 0, [np.nan, 1.5, np.nan])
    with pytest.raises(ValueError, match="losses must hold 3 numbers, nan where not seen"):
        agent.update(None, 0, 0.5)
    assert not hasattr(agent, "propensities")  # a face has the methods of its own protocol only
    assert not hasattr(banditlab.Agent("ucb", n_arms=2), "look")
    with pytest.raises(ValueError, match="horizon"):
        banditlab.Agent("batched_omd", n_arms=3)


def test_the_loss_of_the_arm_played_may_be_free():
    agent = banditlab.Agent("extra_observations", n_arms=3, horizon=40, budget=1, extra=True)
    for _ in range(40):
        arm = agent.act()
        losses = np.full(3, np.nan)
        losses[arm] = 1.0
        agent.update(None, arm, losses)
    with pytest.raises(ValueError, match="2 losses looked at, but 1 left of the budget"):
        agent.update(None, 0, [1.0, 1.0, 1.0])


def test_an_agent_that_names_the_best_arm_asks_for_batches():
    agent = banditlab.Agent("sequential_halving", n_arms=4, horizon=100)
    assert agent.act().tolist() == [12, 12, 12, 12]
    with pytest.raises(ValueError, match="pulls must sum to at most 100"):
        agent.update(None, [30, 30, 30, 30], np.zeros(4))
    with pytest.raises(ValueError, match="pulls and sums must each hold 4 numbers"):
        agent.update(None, [1, 1, 1], np.zeros(3))
    while (pulls := agent.act()).any():
        agent.update(None, pulls, pulls * np.array([0.1, 0.2, 0.3, 0.4]))
    assert agent.t <= 100 and agent.recommend().tolist() == [0.0, 0.0, 0.0, 1.0]
    with pytest.raises(ValueError, match="horizon must be at least 1, got 0"):
        banditlab.Agent("sequential_halving", n_arms=4)
    assert not hasattr(agent, "fit")  # it learns from the pulls that it asked for


def test_a_face_is_of_its_protocol_and_takes_its_own_arguments_only():
    from banditlab.protocols.identify import IdentifyAgent
    from banditlab.protocols.online import OnlineAgent

    assert type(banditlab.Agent("ucb", n_arms=2)) is OnlineAgent
    assert isinstance(banditlab.Agent("dp_bai", n_arms=2, horizon=900), banditlab.Agent)
    for call, line in (
        (lambda: banditlab.Agent("ucb", n_arms=2, budget=3), "ucb: unknown argument 'budget'"),
        (lambda: banditlab.Agent("batched_omd", n_arms=2, dim=3), "unknown argument 'dim'"),
        (lambda: OnlineAgent("dp_bai", n_arms=2), "dp_bai is no OnlineAgent but IdentifyAgent"),
        (lambda: IdentifyAgent("ucb", n_arms=2, horizon=9), "ucb is no IdentifyAgent"),
    ):
        with pytest.raises(ValueError, match=line):
            call()


def test_means_are_those_of_the_rewards():
    agent = banditlab.Agent("ucb", n_arms=3, n_contexts=2)
    for arm, reward in ((0, 1.0), (0, 0.0), (2, 1.0)):
        agent.update(1, arm, reward)
    means = agent.means(1)
    assert means[0] == 0.5 and np.isnan(means[1]) and means[2] == 1.0
    assert np.isnan(agent.means(0)).all()
    with pytest.raises(ValueError, match="lcb keeps no mean of each arm"):
        banditlab.Agent("lcb", n_arms=2).means()


def test_warming_up_changes_nothing():
    for name, given in (
        ("thompson", {"n_arms": 3}),
        ("linucb", {"n_arms": 3, "dim": 2}),
        ("batched_omd", {"n_arms": 3, "horizon": 90, "budget": 30}),
        ("sequential_halving", {"n_arms": 3, "horizon": 90}),
        ("vi_lcb", {}),
    ):
        agent = banditlab.Agent(name, **given)
        before = pickle.dumps((agent.state, agent._rng, agent.t))
        assert agent.warm_up() is agent
        assert pickle.dumps((agent.state, agent._rng, agent.t)) == before


def test_a_planner_acts_by_its_plan_and_is_saved(tmp_path):
    rows = {
        "episode": [0, 0, 1, 1],
        "state": [0, 1, 0, 0],
        "action": [1, 0, 0, 0],
        "reward": [0.0, 1.0, 0.0, 0.0],
        "next_state": [1, 1, 0, 0],
        "terminated": [0, 1, 0, 1],
        "truncated": [0, 0, 0, 0],
    }
    agent = banditlab.Agent("vi_ce", gamma=0.9)
    with pytest.raises(ValueError, match="vi_ce has learned nothing yet"):
        agent.act(0)
    agent.fit(pd.DataFrame(rows))
    assert agent.act(0) == 1 and agent.act(1) == 0 and agent.recommend(0).tolist() == [0.0, 1.0]
    with pytest.raises(ValueError, match="x must be a state, 0 to 2"):
        agent.act(7)
    agent.save(tmp_path / "plan.npz")
    for twin in (banditlab.Agent.load(tmp_path / "plan.npz"), pickle.loads(pickle.dumps(agent))):
        assert np.array_equal(twin.state.policy, agent.state.policy)


def test_numbers_beyond_floats_are_refused_like_any_other():
    huge = -(10**400)
    with pytest.raises(ValueError, match="x must be finite"):
        banditlab.Agent("linucb", n_arms=2, dim=2).update([huge, 0], 0, 1.0)
    with pytest.raises(ValueError, match="x must be a context"):
        banditlab.Agent("ucb", n_arms=2, n_contexts=2).recommend(huge)
    with pytest.raises(ValueError, match="arm must be an integer"):
        banditlab.Agent("ucb", n_arms=2).update(None, huge, 1.0)
    with pytest.raises(ValueError, match="reward must be finite"):
        banditlab.Agent("ucb", n_arms=2).update(None, 0, huge)
