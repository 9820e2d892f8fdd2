"""MEX with a finite class: planning by enumeration, losses by hand, the formula, refusals."""

import itertools
import math
import warnings
from functools import cache

import numpy as np
import pytest

import banditlab
from banditlab import random
from banditlab.compile import compiled
from banditlab.core import jit_disabled
from banditlab.parts import hypotheses
from banditlab.protocols import episodic
from banditlab.protocols.base import Terms

compiled_only = pytest.mark.skipif(jit_disabled(), reason="simulates millions of episodes")
KL = 0.25 * math.log(1 / 2) + 0.75 * math.log(3 / 2)  # of Bernoulli(1/4) from Bernoulli(1/2)


@cache
def regrets(hidden, eta, replications, episodes=5000):
    """Regret (replications,) of mex_finite on ten arms."""
    algorithm = banditlab.make("mex_finite", eta=eta)
    problem = banditlab.make_problem("hidden_arm", n_arms=10, hidden=hidden)
    loop = episodic.loop(Terms(algorithm, problem, episodes), np.array([episodes]))
    record = np.zeros((replications, 1, len(loop.measures)))
    progress = np.zeros(2, np.int64)
    args = (loop.task, random.key(1), 0, 0, loop.checkpoints, progress, record)
    compiled(loop.run_block, (algorithm, problem), args)(*args)
    return record[:, 0, 0]


def some_class(seed, models=6, steps=1):
    """A class (P, R) of 3 states and 2 actions, in which some next states are impossible."""
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.full(3, 0.7), size=(models, steps, 3, 2))
    P[P < 0.1] = 0.0
    P /= P.sum(axis=-1, keepdims=True)
    return P, rng.random((models, steps, 3, 2))


def agent_of(P, R, steps=3, **hyper):
    return banditlab.Agent(
        "mex_finite", n_states=3, n_actions=2, steps=steps, ends=False, transitions=P, rewards=R,
        **{"eta": 0.2, **hyper},
    )  # fmt: skip


def play(agent, P, R, episodes, seed=0):
    """Play in a world that is the first model; returns what happened, as (h, s, a, r, after)."""
    rng = np.random.default_rng(seed)
    seen, policies = [], []
    for _ in range(episodes):
        policies.append(agent.policy().argmax(axis=2))
        s = 0
        for h in range(agent.task.steps):
            a = agent.act(s)
            i = h if P.shape[1] > 1 else 0
            after = int(rng.choice(3, p=P[0, i, s, a]))
            reward = float(rng.random() < R[0, i, s, a])
            agent.update(s, a, reward, after, False, h == agent.task.steps - 1)
            seen.append((h, s, a, reward, after))
            s = after
    return seen, policies


# --- planning and losses ------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 3])  # dynamics alike in all steps, or not
def test_values_are_the_best_of_all_policies(steps):
    """Every deterministic policy of 3 states, 2 actions and 3 steps, one by one."""
    P, R = some_class(3, models=2, steps=steps)
    agent = agent_of(P, R)
    for i in range(2):
        worths = {}
        for choice in itertools.product(range(2), repeat=9):
            policy = np.array(choice).reshape(3, 3)
            law, worth = np.eye(3)[0], 0.0
            for h in range(3):
                j = h if steps > 1 else 0
                worth += law @ R[i, j][np.arange(3), policy[h]]
                law = law @ P[i, j][np.arange(3), policy[h]]
            worths[choice] = worth
        assert agent.state.value[i] == pytest.approx(max(worths.values()), abs=1e-12)
        own = tuple(agent.state.policy[i].ravel().tolist())
        assert worths[own] == pytest.approx(max(worths.values()), abs=1e-12)


@pytest.mark.parametrize("likelihood", ["none", "bernoulli", "gaussian"])
def test_losses_and_choices_are_those_of_a_plain_loop(likelihood):
    P, R = some_class(5, steps=3)
    agent = agent_of(P, R, likelihood=likelihood, sigma=0.4)
    seen, policies = play(agent, P, R, 12)
    loss = np.zeros(6)
    for k in range(12):
        best = int(np.argmax(agent.state.value - 0.2 * loss))
        assert (policies[k] == agent.state.policy[best]).all()
        for h, s, a, r, after in seen[3 * k : 3 * k + 3]:
            for j in range(6):
                loss[j] -= math.log(max(P[j, h, s, a, after], 1e-300))
                m = R[j, h, s, a]
                if likelihood == "bernoulli":
                    loss[j] -= math.log(m if r == 1.0 else 1 - m)
                elif likelihood == "gaussian":
                    loss[j] += (r - m) ** 2 / (2 * 0.4**2)
    assert agent.state.loss == pytest.approx(loss, rel=1e-12)


def test_the_schedule_lets_eta_fall():
    """From episode 1 to 400, eta = 0.2 of episode 100 falls from 2 to 0.1."""
    P, R = some_class(5)
    agent = agent_of(P, R, schedule="sqrt", reference=100)
    loss = np.zeros(6)
    for j, gap in ((0, 0.99), (1, 1.01)):  # the second promises 0.1 gap more, and fits worse by 1
        agent.state.value[:] = [0.0, 0.1 * gap, -9, -9, -9, -9]
        agent.state.loss[:] = [0.0, 1.0, *loss[2:]]
        agent.algorithm.plan(agent.algorithm.params, agent.state, 399, agent._rng)
        assert agent.state.chosen[0] == j


# --- oracles ------------------------------------------------------------------------------------


def test_a_constant_in_all_losses_changes_nothing():
    P, R = some_class(7)
    one, other = agent_of(P, R), agent_of(P, R)
    other.state.loss[:] += 37.5
    assert play(one, P, R, 30)[0] == play(other, P, R, 30)[0]


def test_a_class_in_another_order_plays_the_same():
    P, R = some_class(8)
    order = np.array([4, 2, 0, 5, 1, 3])
    one, other = agent_of(P, R), agent_of(P[order], R[order])
    seen = []
    for agent in (one, other):
        rng = np.random.default_rng(0)
        for _ in range(40):
            s = 0
            for h in range(3):
                a = agent.act(s)
                after = int(rng.choice(3, p=P[0, 0, s, a]))
                agent.update(s, a, 0.0, after, False, h == 2)
                seen.append((s, a))
                s = after
    assert seen[: len(seen) // 2] == seen[len(seen) // 2 :]


def test_of_equals_the_first_is_taken():
    P, R = some_class(2, models=1)
    twin = np.concatenate([P, P, P])
    agent = agent_of(twin, R[0])
    play(agent, twin, np.concatenate([R, R, R]), 5)
    assert agent.state.chosen[0] == 0


@compiled_only
@pytest.mark.parametrize("eta", [0.003, 0.01, 0.03])
def test_pulls_of_the_hidden_arm_follow_the_formula(eta):
    """A pull costs 0.05, and there are ten arms."""
    pulls = regrets(0, eta, 40).mean() / 0.05 / 10
    assert pulls == pytest.approx(0.2 / (KL * eta), rel=0.15)


@compiled_only
def test_likelihood_alone_never_finds_the_hidden_arm():
    lost = regrets(10, math.inf, 3)
    assert lost == pytest.approx(np.full(3, 0.2 * 5000), abs=1e-6)
    assert not regrets(0, math.inf, 3).any()


# Pulls per arm where nothing is hidden, and regret (standard error) where arm 10 is: 2,000
# replications of another implementation.
MEASURED = {
    0.003: (495.0, 18.9, 0.4),
    0.01: (154.3, 18.8, 0.4),
    0.03: (52.2, 20.1, 1.0),
    0.1: (16.6, 120.0, 7.0),
    0.3: (6.5, 432.0, 11.0),
    1.0: (3.1, 668.0, 10.0),
}


@compiled_only
@pytest.mark.slow
@pytest.mark.parametrize("eta", MEASURED)
def test_hidden_arm_is_that_of_another_implementation(eta):
    pulls, lost, error = MEASURED[eta]
    ours = regrets(0, eta, 2000) * 2.0
    sem = ours.std(ddof=1) / math.sqrt(ours.size)
    assert abs(ours.mean() - pulls) <= max(4 * math.sqrt(2) * sem, 0.02 * pulls)
    ours = regrets(10, eta, 2000)
    sem = math.hypot(error, ours.std(ddof=1) / math.sqrt(ours.size))
    assert abs(ours.mean() - lost) <= max(4 * sem, 0.15 * lost)


@compiled_only
@pytest.mark.slow
def test_fifty_thousand_episodes_complete_the_pulls():
    """At eta = 0.003 an arm is due 510 pulls, and 5,000 episodes have room for 500."""
    assert regrets(0, 0.003, 40, 50_000).mean() * 2.0 == pytest.approx(510.0, abs=16.0)


# --- classes ------------------------------------------------------------------------------------


def test_hidden_arms_are_what_they_say():
    found = hypotheses.hidden_arms(4)
    assert found.transitions.shape == (5, 1, 4, 5, 5)
    for hidden, best in ((0, 0.3), (2, 0.5)):
        problem = banditlab.make_problem("hidden_arm", n_arms=4, hidden=hidden)
        assert problem.params.best[0] == pytest.approx(best, abs=1e-15) and problem.most == 1.0
        even = problem.value(problem.params, problem.params, np.full((2, 4, 5), 0.2))
        paid = [0.3, 0.25, 0.25 if hidden == 0 else 0.5, 0.25, 0.25]
        assert even == pytest.approx(np.mean(paid), abs=1e-15)
        P = problem.params.prob[0]
        assert (P == found.transitions[hidden, 0, :, :, :4]).all()


def test_rows_may_be_off_by_rounding_only():
    P = np.full((1, 2, 1, 2), 0.5)
    hypotheses.checked(P + 4e-9, np.zeros((2, 1)))
    with pytest.raises(ValueError, match=r"state 0, action 0 sum to 1\.00000002, not 1"):
        hypotheses.checked(P + 1e-8, np.zeros((2, 1)))


def test_simplex_has_all_points_once():
    points = hypotheses.simplex(3, 50)
    assert points.shape == (1326, 3) and np.unique(points, axis=0).shape == points.shape
    assert np.abs(points.sum(axis=1) - 1.0).max() < 1e-12 and points.min() == 0.0
    assert hypotheses.simplex(1, 7).tolist() == [[1.0]]


def test_the_mixture_problem_is_one_of_its_class():
    problem = banditlab.make_problem("linear_mixture", weights=[0.2, 0.3, 0.5])
    found = hypotheses.linear_mixture()
    at = np.flatnonzero((np.abs(hypotheses.simplex(3, 50) - [0.2, 0.3, 0.5]) < 1e-12).all(axis=1))
    assert at.size == 1 and problem.known and problem.pooled
    assert problem.params.prob[0] == pytest.approx(found.transitions[at[0], 0, :, :, :5], abs=1e-15)
    assert problem.params.mean[0] == pytest.approx(found.rewards[at[0], 0], abs=1e-15)


def test_a_mixture_of_three_is_learned():
    models = {"name": "linear_mixture", "n_parts": 2, "n_states": 3, "n_actions": 2, "grid": 10}
    problem = banditlab.make_problem(
        "linear_mixture", weights=[0.2, 0.8], n_states=3, n_actions=2, steps=3
    )
    curves = banditlab.simulate(
        {
            "protocol": "episodic",
            "problem": {
                "name": "linear_mixture", "weights": [0.2, 0.8], "n_states": 3, "n_actions": 2,
                "steps": 3,
            },
            "agents": [{"name": "mex_finite", "models": models}],
            "horizon": 200,
            "replications": 5,
        }
    )  # fmt: skip
    world = problem.init(problem.params, random.stream(random.key(0), 0, random.NATURE))
    even = np.full((3, 3, 2), 0.5)
    chance = problem.params.best[0] - problem.value(problem.params, world, even)
    assert curves.raw("mex_finite")[:, -1].mean() < 0.1 * 200 * chance


def test_transitions_that_no_model_allows_are_counted():
    P = np.zeros((2, 3, 2, 3))
    P[..., 0] = 1.0
    agent = agent_of(P, np.zeros((3, 2)))
    agent.update(0, 0, 0.0, 0)
    with pytest.warns(UserWarning, match="allows where action 0 led from state 0 in step 1: the"):
        agent.update(0, 0, 0.0, 2)
    assert agent.state.impossible[0] == 1.0
    assert agent.state.loss == pytest.approx(np.full(2, -math.log(1e-300)), rel=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        agent.update(0, 0, 0.0, 2)  # it was said once, and it plays on
    assert agent.act(0) in (0, 1)


def test_an_end_may_belong_to_the_class():
    P = np.zeros((2, 2, 1, 3))
    P[0, :, 0] = [0.0, 0.5, 0.5]
    P[1, :, 0] = [0.0, 0.9, 0.1]
    agent = banditlab.Agent(
        "mex_finite", n_states=2, n_actions=1, steps=2, transitions=P, rewards=np.ones((2, 1))
    )
    assert agent.state.value.tolist() == pytest.approx([1.5, 1.9], abs=1e-15)
    agent.update(0, 0, 1.0, 0, True)
    assert agent.state.loss == pytest.approx([-math.log(0.5), -math.log(0.1)], rel=1e-13)


@pytest.mark.parametrize("likelihood", ["none", "bernoulli", "gaussian"])
def test_rewards_of_the_class_have_the_unit_of_those_that_are_seen(likelihood):
    """Ten times the rewards in ten times the range, moved by 5: the same agent."""
    P, R = some_class(6)
    given = {"likelihood": likelihood, "eta": 0.4}
    plain = agent_of(P, R, sigma=0.3, **given)
    moved = agent_of(P, 10 * R - 5, low=-5.0, high=5.0, sigma=3.0, **given)
    rng = np.random.default_rng(2)
    for _ in range(60):
        np.testing.assert_allclose(moved.state.value, plain.state.value, atol=1e-12)
        np.testing.assert_array_equal(moved.policy(), plain.policy())
        s, after = rng.integers(3, size=2)
        a, r = plain.act(s), float(rng.random() < 0.5)
        plain.update(s, a, r, after)
        moved.update(s, a, 10 * r - 5, after)
    np.testing.assert_allclose(moved.state.loss, plain.state.loss, rtol=1e-9)


def test_values_are_those_of_where_episodes_begin():
    """From state 0 the first model promises more; they begin in state 1, and once in four in 0."""
    P = np.zeros((2, 2, 1, 2))
    P[:, 0, 0, 0] = P[:, 1, 0, 1] = 1.0
    R = [[[0.9], [0.1]], [[0.2], [0.7]]]
    agent = banditlab.Agent(
        "mex_finite", n_states=2, n_actions=1, steps=2, transitions=P, rewards=R, ends=False
    )
    np.testing.assert_allclose(agent.state.value, [1.8, 0.4])
    assert agent.state.chosen[0] == 0
    for k, s in enumerate((1, 1, 0, 1)):
        agent.update(s, 0, 0.5, s)
        agent.update(s, 0, 0.5, s)
        if k == 0:
            np.testing.assert_allclose(agent.state.value, [0.2, 1.4])
    np.testing.assert_allclose(
        agent.state.value, [0.25 * 1.8 + 0.75 * 0.2, 0.25 * 0.4 + 0.75 * 1.4]
    )
    assert agent.state.chosen[0] == 1


def test_saves_its_own_class(tmp_path):
    P, R = some_class(4)
    agent = agent_of(P.tolist(), R.tolist(), eta=math.inf)
    play(agent, P, R, 3)
    agent.save(tmp_path / "agent.npz")
    again = banditlab.Agent.load(tmp_path / "agent.npz")
    assert play(agent, P, R, 3, seed=9)[0] == play(again, P, R, 3, seed=9)[0]


GOOD = [[[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]]]  # one model, 2 states, 2 actions


@pytest.mark.parametrize(
    "hyper, line",
    [
        ({"eta": 0.0}, "eta must be a number above 0 or inf, got 0.0"),
        ({"eta": math.nan}, "eta must be a number above 0 or inf, got nan"),
        ({"eta": "theory"}, "eta must be a number above 0 or inf, got 'theory'"),
        ({"transitions": [], "rewards": []}, "transitions must have shape"),
        ({"transitions": GOOD}, "transitions and rewards must be given together"),
        ({"transitions": GOOD, "rewards": [[0.0]]}, r"rewards must have shape \(2, 2\)"),
        ({"transitions": [[[[0.5]]]], "rewards": [[0.0]]}, "state 0, action 0 sum to 0.5, not 1"),
        (
            {"transitions": [[[[2.0, -1.0]] * 2, [[0, 1]] * 2]], "rewards": np.zeros((2, 2))},
            "transitions must hold numbers of at least 0",
        ),
        ({"transitions": GOOD, "rewards": [[math.nan, 0], [0, 0]]}, "rewards must be finite"),
        ({"transitions": [GOOD[0], [[1.0]]], "rewards": [[0.0]]}, "one model like the other"),
        ({"models": {"name": "hidden"}}, "unknown class of models 'hidden'; did you mean hidden_"),
        ({"models": "hidden_arm"}, 'models must be a table with a "name"'),
        ({"models": {"name": "hidden_arm", "arms": 3}}, "models: .*unexpected keyword"),
        ({"models": {"name": "hidden_arm", "n_arms": 0}}, "n_arms must be at least 1"),
        ({"models": {"name": "hidden_arm"}, "transitions": GOOD, "rewards": [[0]]}, "two ways"),
        ({"likelihood": "poisson"}, "likelihood must be one of none, bernoulli, gaussian"),
        ({"sigma": 0.0}, "sigma must be positive"),
        ({"models": {"name": "linear_mixture", "n_parts": 9}}, "n_parts must be fewer"),
    ],
)  # fmt: skip
def test_classes_are_refused(hyper, line):
    with pytest.raises(ValueError, match=f"^mex_finite: .*{line}") as refusal:
        banditlab.make("mex_finite", **hyper)
    assert "\n" not in str(refusal.value)


def test_a_class_of_another_size_is_refused():
    with pytest.raises(ValueError, match="its models have 4 states and 11 actions, the problem 3"):
        banditlab.Agent("mex_finite", n_states=3, n_actions=2, steps=2)
    P, R = some_class(0, steps=3)
    with pytest.raises(ValueError, match="its models have 3 steps, the problem 2"):
        agent_of(P, R, steps=2)


@pytest.mark.parametrize(
    "name, given, line",
    [
        ("hidden_arm", {"hidden": 11}, "hidden must be at most 10"),
        ("hidden_arm", {"n_arms": 0}, "n_arms must be at least 1"),
        ("linear_mixture", {"weights": [0.5, 0.4]}, "weights must sum to 1"),
        ("linear_mixture", {"weights": [1.5, -0.5]}, r"weights\[0\] must be in \[0, 1\]"),
        ("linear_mixture", {"steps": 0}, "steps must be at least 1"),
    ],
)
def test_problems_are_refused(name, given, line):
    with pytest.raises(ValueError, match=f"^{name}: {line}"):
        banditlab.make_problem(name, **given)
