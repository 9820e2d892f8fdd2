"""Linear pessimism, lin_lcb and pevi: tabular limits, second implementations, promised coverage."""

import math

import numpy as np
import pytest

import banditlab
from banditlab.agents.offline_bandit import lin_lcb as module
from banditlab.agents.offline_bandit.lcb import lcb, lower_bounds
from banditlab.agents.offline_bandit.lin_lcb import lin_lcb
from banditlab.agents.offline_rl.pevi import pevi
from banditlab.compile import compiled
from banditlab.core import Task
from banditlab.data.log import Log
from banditlab.data.model import new_model
from banditlab.mdp import evaluate, from_table, new_mdp, solve
from banditlab.offpolicy import learned_by_row
from banditlab.problems.linear import linear
from banditlab.protocols import offline_mdp, online
from banditlab.protocols.offline_mdp import learn

RNG = np.ones(4, np.uint64)


def taught(rule, xs, arms, rewards, n_arms):
    """The state after a log with features xs (rows, n_arms, dim)."""
    state = rule.init(rule.params, Task(n_arms, 1, xs.shape[-1], 0), RNG)
    for t, (x, arm, reward) in enumerate(zip(xs, arms, rewards, strict=True)):
        assert rule.fit(rule.params, state, t, x, arm, reward, RNG)
    return state


def bounds_of(rule, state, x):
    out = np.empty(len(state.mean))
    module.fill_bounds(rule.params, state, x, out)
    return out


def recommended(rule, state, x):
    out = np.empty(len(state.mean))
    rule.recommend(rule.params, state, x, RNG, out)
    return out


def a_log(rng, rows=60, n_arms=4, dim=3):
    xs = rng.normal(size=(rows, n_arms, dim))
    arms = rng.integers(n_arms, size=rows)
    theta = rng.normal(size=dim)
    rewards = (xs[np.arange(rows), arms] * theta).sum(axis=1) + 0.3 * rng.normal(size=rows)
    return xs, arms, rewards, theta


# --- tabular features ---------------------------------------------------------------------------


def one_hot(n_contexts, n_arms):
    """Features (n_contexts, n_arms, n_contexts * n_arms): one per pair."""
    return np.eye(n_contexts * n_arms).reshape(n_contexts, n_arms, -1)


def tabular_log(rng, n_contexts=3, n_arms=4, rows=80):
    context = rng.integers(n_contexts, size=rows)
    weights = np.arange(n_arms) * (1.0 + np.arange(n_contexts)[:, None])  # arm 0 is never tried
    weights /= weights.sum(axis=1, keepdims=True)
    arms = (rng.random(rows)[:, None] >= weights.cumsum(axis=1)[context]).sum(axis=1)
    rewards = rng.integers(2, size=rows).astype(float)
    counts, sums = np.zeros((2, n_contexts, n_arms))
    np.add.at(counts, (context, arms), 1.0)
    np.add.at(sums, (context, arms), rewards)
    return context, arms, rewards, counts, sums


@pytest.mark.parametrize("p", [2.0, math.inf, 1.0, 3.0])
def test_tabular_features_give_lcb(p):
    rng = np.random.default_rng(1)
    features = one_hot(3, 4)
    for _ in range(20):
        context, arms, rewards, counts, sums = tabular_log(rng)
        L = rng.uniform(0.05, 2.0)
        # A ridge that vanishes: estimates are cell means, and a pair without data has no bound.
        rule = lin_lcb(beta=math.sqrt(L), ridge=1e-12, p=p)
        state = taught(rule, features[context], arms, rewards, 4)
        table = lower_bounds(lcb(L=L), counts, sums)
        for s in range(3):
            found = bounds_of(rule, state, features[s])
            seen = counts[s] > 0
            np.testing.assert_allclose(found[seen], table[s, seen], rtol=1e-9)
            assert (found[~seen] < -1e4).all()
            best = table[s] == table[s].max()
            best &= counts[s] == counts[s, best].max()
            # Equal bounds are equal up to rounding here, so the choice is among them.
            assert best[recommended(rule, state, features[s]) > 0].all()


def test_lemma_1_recovers_tabular_lcb_with_p_inf_and_pays_for_every_feature_with_p_2():
    rng = np.random.default_rng(2)
    features = one_hot(3, 4)
    context, arms, rewards, counts, sums = tabular_log(rng)
    delta = 0.1
    tiny = {"ridge": 1e-12, "delta": delta}
    rule = lin_lcb(p=math.inf, **tiny)
    state = taught(rule, features[context], arms, rewards, 4)
    # Lemma 1: beta / 2 = d^(1/p) sqrt(2 log(d / delta) / n); with p = inf this is LCB with
    # L = 2 log(S A / delta).
    table = lower_bounds(lcb(L=2 * math.log(12 / delta)), counts, sums)
    for s in range(3):
        seen = counts[s] > 0
        found = bounds_of(rule, state, features[s])
        np.testing.assert_allclose(found[seen], table[s, seen], rtol=1e-5)  # ridge^(1/2) bound
    for p in (1.0, 4.0):
        ratio = module.radius(lin_lcb(p=p, **tiny).params, 12, 80.0) / module.radius(
            rule.params, 12, 80.0
        )
        assert ratio == pytest.approx(12 ** (1 / p), rel=1e-5)


def test_a_context_without_data_is_answered_by_all_arms_evenly():
    features = one_hot(2, 3)
    rule = lin_lcb()
    state = taught(rule, features[[0, 0, 0]], [0, 1, 1], [1.0, 0.0, 1.0], 3)
    assert recommended(rule, state, features[1]).tolist() == [1 / 3] * 3


def test_ties_go_to_the_arm_with_more_data():
    # Bounds of 0 for the arms 0 and 1: the pair of arm 1 has more rows.
    features = one_hot(1, 3)
    rule = lin_lcb(beta=0.0)
    state = taught(rule, features[[0] * 4], [0, 1, 1, 2], [0.0, 0.0, 0.0, -1.0], 3)
    assert recommended(rule, state, features[0]).tolist() == [0, 1, 0]


# --- second implementation ----------------------------------------------------------------------


@pytest.mark.parametrize("disjoint", [False, True])
@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 4.0, math.inf])
def test_bounds_agree_with_numpy(p, disjoint):
    rng = np.random.default_rng(3)
    for _ in range(5):
        xs, arms, rewards, _ = a_log(rng)
        rule = lin_lcb(beta=0.7, ridge=0.5, p=p, disjoint=disjoint)
        state = taught(rule, xs, arms, rewards, 4)
        x = rng.normal(size=(4, 3))
        expected = []
        for k in range(4):
            rows = arms == k if disjoint else np.ones(arms.size, bool)
            shown = xs[rows, arms[rows]]
            a = shown.T @ shown + 0.5 * np.eye(3)
            theta = np.linalg.solve(a, shown.T @ rewards[rows])
            values, vectors = np.linalg.eigh(a)
            root = vectors @ np.diag(values**-0.5) @ vectors.T
            q = {1.0: np.inf, math.inf: 1.0}.get(p) or p / (p - 1)
            expected.append(x[k] @ theta - 0.7 * np.linalg.norm(root @ x[k], q))
        np.testing.assert_allclose(bounds_of(rule, state, x), expected, rtol=1e-10)
        assert recommended(rule, state, x)[int(np.argmax(expected))] == 1.0


@pytest.mark.parametrize("p", [1.5, 2.0, math.inf])
def test_a_bound_is_the_smallest_value_over_the_confidence_set(p):
    rng = np.random.default_rng(4)
    xs, arms, rewards, _ = a_log(rng)
    rule = lin_lcb(beta=0.7, p=p)
    state = taught(rule, xs, arms, rewards, 4)
    shown = xs[np.arange(60), arms]
    a = shown.T @ shown + np.eye(3)
    theta = np.linalg.solve(a, shown.T @ rewards)
    values, vectors = np.linalg.eigh(a)
    root = vectors @ np.diag(values**-0.5) @ vectors.T
    x = rng.normal(size=(4, 3))
    z = rng.normal(size=(200_000, 3))
    z *= 0.7 / np.linalg.norm(z, p, axis=1, keepdims=True)  # the surface of the set
    smallest = (x @ (theta + z @ root).T).min(axis=1)
    found = bounds_of(rule, state, x)
    assert (found <= smallest + 1e-12).all()
    np.testing.assert_allclose(found, smallest, atol=0.02)


def test_the_inverse_root_of_an_ill_conditioned_matrix():
    rng = np.random.default_rng(5)
    q, _ = np.linalg.qr(rng.normal(size=(12, 12)))
    a = q @ np.diag(np.geomspace(1e-6, 1e6, 12)) @ q.T
    a = (a + a.T) / 2
    root = np.empty((12, 12))
    module.inverse_root(np.linalg.cholesky(a).T.copy(), root)
    np.testing.assert_allclose(root, root.T, atol=1e-9)
    np.testing.assert_allclose(root @ a @ root, np.eye(12), atol=1e-3)
    exact = np.empty((3, 3))
    module.inverse_root(np.diag([2.0, 0.5, 1.0]), exact)
    assert exact.tolist() == np.diag([0.5, 2.0, 1.0]).tolist()


# --- what is promised ---------------------------------------------------------------------------


@pytest.mark.parametrize("p", [2.0, math.inf, 4.0])
def test_bounds_hold_with_the_promised_probability(p):
    """A fixed design; all directions at once for p = 2, the coordinates of the root otherwise."""
    rng = np.random.default_rng(6)
    dim, rows, delta = 3, 40, 0.1
    xs = rng.normal(size=(rows, 1, dim))
    xs /= np.linalg.norm(xs, axis=2, keepdims=True)
    theta = np.array([0.6, -0.5, 0.3])
    x = rng.normal(size=(8, dim))

    def violated(rule, logs=300):
        failures = 0
        for _ in range(logs):
            rewards = xs[:, 0] @ theta + 0.5 * rng.normal(size=rows)
            state = rule.init(rule.params, Task(8, 1, dim, 0), RNG)
            for t in range(rows):
                rule.fit(rule.params, state, t, xs[t], 0, rewards[t], RNG)
            failures += (bounds_of(rule, state, x) > x @ theta).any()
        return failures / logs

    assert violated(lin_lcb(delta=delta, noise=0.5, p=p)) <= delta
    assert violated(lin_lcb(beta=0.3, p=p)) > delta  # control: a radius several times too small


def test_the_radius_of_p_2_by_hand():
    params = lin_lcb(delta=0.1, ridge=2.0, noise=0.5, bound=3.0).params
    expected = 0.5 * math.sqrt(4 * math.log(1 + 100 / 8) + 2 * math.log(10)) + math.sqrt(2) * 3
    assert module.radius(params, 4, 100.0) == pytest.approx(expected, rel=1e-12)
    assert module.radius(lin_lcb(beta=0.3).params, 4, 100.0) == 0.3


def test_a_frozen_rule_learns_from_the_log_alone():
    problem = linear(dim=3, n_arms=5, fixed=False)

    def regret(log, **hyper):
        rule = lin_lcb(beta=0.3, **hyper)
        record = np.zeros((20, 2, 3))
        args = (Task(5, 1, 3, 1000), banditlab.random.key(1), 0, log, np.array([500, 1000]),
                np.zeros(2, np.int64), record)  # fmt: skip
        compiled(online.run_block, (rule, problem), args)(*args)
        return record[:, :, 0]

    frozen = regret(60, frozen=True)
    first, second = frozen[:, 0].mean(), frozen[:, 1].mean() - frozen[:, 0].mean()
    error = frozen[:, 0].std(ddof=1) * math.sqrt(2 / 20)
    assert abs(first - second) < 4 * error  # the loss of a round stays what it was
    ignorant, learning = regret(0, frozen=True)[:, 1], regret(60)[:, 1]
    assert first * 2 < 0.2 * ignorant.mean()
    assert learning.mean() < 0.5 * frozen[:, 1].mean()


def test_pessimism_beats_greed_where_arms_were_hardly_tried():
    """A one-hot bandit with one good, often tried arm and many that were tried once or twice."""
    rng = np.random.default_rng(7)
    features = one_hot(1, 10)
    means = np.full(10, 0.4)
    means[0] = 0.6
    losses = []
    for _ in range(200):
        arms = np.where(rng.random(60) < 0.8, 0, rng.integers(1, 10, size=60))
        rewards = (rng.random(60) < means[arms]).astype(float)
        loss = []
        for beta in (1.0, 0.0):
            rule = lin_lcb(beta=beta, ridge=0.01)
            state = taught(rule, features[np.zeros(60, int)], arms, rewards, 10)
            loss.append(0.6 - recommended(rule, state, features[0]) @ means)
        losses.append(loss)
    pessimist, greedy = np.mean(losses, axis=0)
    assert pessimist < 0.02 < 0.1 < greedy


# --- logs with features -------------------------------------------------------------------------


def featured(rng, rows=80, n_arms=4, dim=3):
    """A log whose arms pay along different directions, and those directions."""
    x = rng.normal(size=(rows, dim))
    theta = rng.normal(size=(n_arms, dim))
    arms = rng.integers(n_arms - 1, size=rows)  # the last arm is never tried
    return Log(arms, (x * theta[arms]).sum(axis=1) + rng.normal(size=rows), x=x)


@pytest.mark.parametrize("frozen", [False, True])
def test_an_agent_learns_a_regression_per_arm_from_the_features_of_a_log(frozen):
    log = featured(np.random.default_rng(11))
    agent = banditlab.Agent(
        "lin_lcb", n_arms=4, dim=3, beta=0.6, ridge=0.5, disjoint=True, frozen=frozen
    )
    assert agent.fit(log) is agent
    assert agent.t == 0
    shown = np.random.default_rng(12).normal(size=(20, 3))
    found = learned_by_row(agent.algorithm, log, shown, 4)
    chosen = set()
    for i, x in enumerate(shown):
        bounds = []
        for k in range(4):
            rows = log.x[log.action == k]
            a = rows.T @ rows + 0.5 * np.eye(3)
            theta = np.linalg.solve(a, rows.T @ log.reward[log.action == k])
            bounds.append(x @ theta - 0.6 * np.sqrt(x @ np.linalg.solve(a, x)))
        best = int(np.argmax(bounds))
        assert agent.recommend(x)[best] == found[i, best] == 1.0
        assert agent.act(x) == best
        chosen.add(best)
    assert {0, 1, 2} <= chosen


def test_every_linear_agent_learns_the_rows_of_a_log_as_if_it_had_played_them():
    log = featured(np.random.default_rng(13))
    for name in ("linucb", "lin_ts"):
        fitted = banditlab.Agent(name, n_arms=4, dim=3, disjoint=True).fit(log)
        played = banditlab.Agent(name, n_arms=4, dim=3, disjoint=True)
        for x, arm, reward in zip(log.x, log.action, log.reward, strict=True):
            played.update(x, arm, reward)
        assert np.array_equal(fitted.state.factor, played.state.factor)
        assert (fitted.t, played.t) == (0, 80)


def test_a_log_that_an_agent_cannot_learn_from_is_refused_in_one_line():
    log = featured(np.random.default_rng(14))
    with pytest.raises(ValueError, match="^the log has 3 features, the task has dim 2$"):
        banditlab.Agent("lin_lcb", n_arms=4, dim=2).fit(log)
    with pytest.raises(ValueError, match="^the log has no features, the task has dim 3$"):
        banditlab.Agent("lin_lcb", n_arms=4, dim=3).fit(Log([0, 1], [1, 1]))
    with pytest.raises(ValueError, match="^action: row .* allowed are 0 to 1 in this task$"):
        banditlab.Agent("lin_lcb", n_arms=2, dim=3).fit(log)
    with pytest.raises(ValueError, match="^lin_lcb needs features: give Agent their number as dim"):
        banditlab.Agent("lin_lcb", n_arms=4)
    with pytest.raises(ValueError, match="^the log has no contexts, the task has 2$"):
        banditlab.Agent("bc", n_arms=4, n_contexts=2).fit(log)
    # Who needs no features passes over them, and over contexts who has features.
    assert banditlab.Agent("bc", n_arms=4).fit(log).recommend().max() == 1.0
    both = Log(log.action, log.reward, np.arange(80), x=log.x)
    banditlab.Agent("lin_lcb", n_arms=4, dim=3).fit(both)


@pytest.mark.parametrize("skew", [0.0, 3.0, -3.0, 4000.0])
def test_the_log_of_the_linear_problem_prefers_good_arms_as_its_skew_says(skew):
    problem = linear(dim=3, n_arms=5, skew=skew)
    nature, rng = (banditlab.random.stream(banditlab.random.key(3), 0, who) for who in (0, 2))
    world = problem.init(problem.params, nature)
    n = 4000
    arms = [problem.behave(problem.params, world, world.x, rng) for _ in range(n)]
    means = world.x @ world.theta
    odds = np.exp(skew * means - np.max(skew * means))
    expected = odds / odds.sum()
    error = np.sqrt(expected * (1 - expected) / n)
    assert (np.abs(np.bincount(arms, minlength=5) / n - expected) <= 4 * error).all()


def test_a_bad_skew_is_refused():
    with pytest.raises(ValueError, match="^skew must be finite, got inf$"):
        linear(dim=3, n_arms=5, skew=math.inf)


# --- pevi ---------------------------------------------------------------------------------------


def small_mdp(rng, S=4, A=3, horizon=0, gamma=0.8, low=0.0):
    """Random outcomes with rewards in [low, low + 1]; the last state ends the episode."""
    succ = np.array([[rng.choice(S, 2, replace=False) for _ in range(A)] for _ in range(S)])
    prob = rng.dirichlet(np.ones(2), size=(S, A))
    reward = low + np.round(rng.uniform(size=succ.shape), 2)
    succ[-1], prob[-1], reward[-1] = S - 1, [1.0, 0.0], 0.0
    start = np.full(S, 1 / (S - 1))
    start[-1] = 0
    ends = np.arange(S) == S - 1
    return new_mdp(succ, prob, reward, start, gamma=gamma, horizon=horizon, terminal=ends)


def log_of(mdp, rng, rows):
    """Counts (L, S, A, K) of a log of ``rows`` rows a step, and its Model."""
    S, A, K = mdp.succ.shape
    L = max(1, mdp.horizon)
    mu = rng.dirichlet(np.full((S - 1) * A, 0.3))
    counts = np.zeros((L, S, A, K))
    for h in range(L):
        n = rng.multinomial(rows, mu).reshape(S - 1, A)
        counts[h, : S - 1] = rng.multinomial(n, mdp.prob[: S - 1])
    return new_model(
        mdp.succ, mdp.reward, counts, gamma=mdp.gamma, horizon=mdp.horizon,
        v_min=mdp.v_min, v_max=mdp.v_max, terminal=mdp.terminal,
    )  # fmt: skip


def slowly(model, phi, beta, ridge):
    """PEVI in NumPy, row by row: Q (L, S, A)."""
    L, S, A = model.n.shape
    d = phi.shape[2]
    low = np.full(L, model.v_min)
    high = np.full(L, model.v_max)
    for h in range(L if model.horizon else 0):
        low[h] = max(model.v_min, (L - h) * min(model.r_min, 0))
        high[h] = min(model.v_max, (L - h) * max(model.r_max, 0))
    V = np.zeros(S) if model.horizon else np.where(model.terminal, 0.0, model.v_min)
    Q = np.zeros((L, S, A))
    for i in range(L if model.horizon else 2000):
        h = max(L - 1 - i, 0)
        a, b = ridge * np.eye(d), np.zeros(d)
        for s, k, o in np.argwhere(model.counts[h] > 0):
            f, times = phi[s, k], model.counts[h, s, k, o]
            a += times * np.outer(f, f)
            target = model.reward[s, k, o] + model.gamma * V[model.succ[s, k, o]] - low[h]
            b += times * target * f
        w = np.linalg.solve(a, b)
        span = high[h] - low[h]
        width = np.sqrt(np.einsum("sai,ij,saj->sa", phi, np.linalg.inv(a), phi))
        Q[h] = low[h] + np.clip(phi @ w - beta * span * width, 0, span)
        V = np.where(model.terminal, 0.0, Q[h].max(axis=1))
    return Q


def best_of(q, model):
    """Whether each action is as good as the best, up to rounding, and has the most rows of those.

    The rounding of two implementations differs, so their ties do.
    """
    near = q >= q.max(axis=2, keepdims=True) - 1e-7
    return near & (model.n == np.where(near, model.n, -1).max(axis=2, keepdims=True))


@pytest.mark.parametrize("horizon", [0, 3])
@pytest.mark.parametrize("low", [0.0, -1.0])
@pytest.mark.parametrize("tabular", [True, False])
def test_pevi_agrees_with_numpy(horizon, low, tabular):
    rng = np.random.default_rng(8)
    differing = 0
    for _ in range(10):
        mdp = small_mdp(rng, horizon=horizon, low=low)
        model = log_of(mdp, rng, 200)
        S, A = mdp.legal.shape
        phi = one_hot(S, A) if tabular else rng.dirichlet(np.ones(5), size=(S, A))
        beta, ridge = 0.1, 0.5
        expected = best_of(slowly(model, phi, beta, ridge), model)
        for given in (phi, phi[:-1]) + ((None,) if tabular else ()):
            policy = learn(pevi(beta, ridge, phi=given), model)
            np.testing.assert_allclose(policy.sum(axis=2), 1.0)
            on = ~mdp.terminal
            np.testing.assert_array_equal(policy[:, on] > 0, expected[:, on])
        other = learn(pevi(5.0, ridge, phi=phi), model)
        differing += (other[:, on] != policy[:, on]).any()
    assert differing  # pessimism has something to say


def test_pevi_with_little_data_does_what_the_log_does_and_with_much_what_is_best():
    rng = np.random.default_rng(9)
    mdp = small_mdp(rng, horizon=3)
    few = log_of(mdp, rng, 6)
    most = np.where(few.n == few.n.max(axis=2, keepdims=True), 1.0, 0.0)
    most /= most.sum(axis=2, keepdims=True)
    np.testing.assert_allclose(learn(pevi(beta=1e6), few), most)
    mu = np.ones((4, 3)) / 9
    counts = np.floor(1e9 * mu[:, :, None] * mdp.prob * ~mdp.terminal[:, None, None])
    full = new_model(mdp.succ, mdp.reward, np.tile(counts, (3, 1, 1, 1)), horizon=3,
                     v_min=mdp.v_min, v_max=mdp.v_max, terminal=mdp.terminal)  # fmt: skip
    policy = learn(pevi(), full)
    best = solve(mdp)
    assert mdp.start @ evaluate(mdp, policy)[0] == pytest.approx(best.J, abs=1e-9)


def test_a_feature_shared_by_pairs_carries_what_one_teaches_to_the_other():
    # Action 1 pays 1 in both states, and was logged in state 0 only. Features know it is the same.
    table = {s: {0: [(1.0, s, 0.0, True)], 1: [(1.0, s, 1.0, True)]} for s in (0, 1)}
    mdp = from_table(table, [0.5, 0.5], horizon=1)
    counts = np.zeros((1, *mdp.succ.shape))
    counts[0, 0, 0, 0] = counts[0, 0, 1, 0] = 50
    model = new_model(mdp.succ, mdp.reward, counts, horizon=1, v_min=0.0, v_max=1.0,
                      terminal=mdp.terminal)  # fmt: skip
    phi = np.broadcast_to(np.eye(2), (2, 2, 2))
    assert learn(pevi(phi=phi), model)[0, :2].tolist() == [[0, 1], [0, 1]]
    assert learn(pevi(), model)[0, :2].tolist() == [[0, 1], [0.5, 0.5]]


def test_the_radius_of_the_paper():
    # d = S A = 2, K = 100 rows a step, L = 1: c d sqrt(log(2 d L K / delta)). Action 1 pays 1 and
    # was seen twice, action 0 pays 1/2 and was seen 98 times; the penalties decide.
    succ, reward = np.zeros((1, 2, 1), int), np.array([[[0.5], [1.0]]])
    model = new_model(succ, reward, [[[[98.0], [2.0]]]], horizon=1, v_min=0.0, v_max=1.0)
    n, r = np.array([98.0, 2.0]), np.array([0.5, 1.0])

    def bound(c):
        radius = c * 2 * math.sqrt(math.log(2 * 2 * 100 / 0.1))
        return n * r / (n + 1) - radius / np.sqrt(n + 1)

    choices = []
    for c in np.linspace(0.001, 0.08, 40):
        expected = int(np.argmax(bound(c)))
        assert learn(pevi(delta=0.1, c=c), model)[0, 0, expected] == 1.0
        choices.append(expected)
    assert set(choices) == {0, 1}


def test_features_of_another_model_are_refused():
    rng = np.random.default_rng(10)
    model = log_of(small_mdp(rng), rng, 50)
    for shape, line in (
        ((4, 2, 5), "phi must have the shape"),
        ((5, 3, 5), "phi must have the shape"),
        ((2, 3, 5), "phi must have a row for every state"),
    ):
        with pytest.raises(ValueError, match=line):
            learn(pevi(phi=np.ones(shape)), model)


def test_pevi_runs_in_its_protocol():
    problem = banditlab.make_problem("toytext", id="FrozenLake-v1", gamma=0.9, C=3.0)
    record = np.zeros((4, 3, 1))
    args = (Task(*problem.shape, 0), banditlab.random.key(2), 0, 0, np.array([300, 3000, 30_000]),
            np.zeros(2, np.int64), record)  # fmt: skip
    compiled(offline_mdp.run_block, (pevi(beta=0.05), problem), args)(*args)
    assert (record >= -1e-9).all()
    assert record[:, 2].mean() < 0.5 * record[:, 0].mean()


# --- factories ----------------------------------------------------------------------------------


def test_factories_rebuild_from_their_params():
    rule = lin_lcb(0.3, 2, math.inf, 1, 1, 0.1, 3, 4)
    assert lin_lcb(**rule.params._asdict()) == rule
    assert [type(v) for v in rule.params] == [float, float, float, bool, bool, float, float, float]
    for phi in (None, np.ones((2, 3, 4))):
        made = pevi(0.3, 2, 0.1, 3, phi).params
        again = pevi(**made._asdict()).params
        assert made[:4] == again[:4] and np.array_equal(made.phi, again.phi)


@pytest.mark.parametrize(
    ("make", "hyper", "line"),
    [
        (lin_lcb, {"beta": -1.0}, "beta must be at least 0, got -1.0"),
        (lin_lcb, {"ridge": 0.0}, "ridge must be positive, got 0.0"),
        (lin_lcb, {"p": 0.5}, r"p must lie in \[1, .*\], got 0.5"),
        (lin_lcb, {"delta": 1.0}, r"delta must lie in \[0, 1\), got 1.0"),
        (lin_lcb, {"noise": 0.0}, "noise must be positive, got 0.0"),
        (lin_lcb, {"bound": math.nan}, "bound must be finite, got nan"),
        (pevi, {"beta": -1.0}, "beta must be at least 0, got -1.0"),
        (pevi, {"ridge": -2.0}, "ridge must be positive, got -2.0"),
        (pevi, {"delta": -0.1}, r"delta must lie in \[0, 1\), got -0.1"),
        (pevi, {"c": 0.0}, "c must be positive, got 0.0"),
        (pevi, {"phi": [[1.0]]}, r"phi must have shape \(states, .*\), got \(1, 1\)"),
        (pevi, {"phi": [[[np.nan]]]}, "phi must be finite"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(make, hyper, line):
    with pytest.raises(ValueError, match=f"^{line}$"):
        make(**hyper)
