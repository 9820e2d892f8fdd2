"""Lazy index policies choose the arms of the plain scan, bit for bit, and look at few arms."""

import math

import numpy as np
import pytest

import banditlab
from banditlab import random
from banditlab.agents.stochastic import kl_ucb, moss, ucb
from banditlab.compile import compiled
from banditlab.core import Task, jit_disabled, kernel_inline
from banditlab.parts.many_arms import bounded_index_policy
from banditlab.protocols import online
from banditlab.protocols.loops import lanes
from banditlab.protocols.online import for_arms as many_armed
from banditlab.testing import contract as testing

MANY = {"ucb": 512, "moss": 256, "kl_ucb": 48, "greedy": 512}
ALWAYS = 10**9  # arms


def both(name, **hyper):
    """The policy as a plain scan and as a lazy one."""
    plain = banditlab.make(name, **hyper)
    return plain, many_armed(plain, ALWAYS)


def compared(plain, lazy, n_arms, rounds, n_contexts=1, horizon=0, warm=0, seed=0):
    """How often the two choose differently, and how many arms the lazy one looks at in a round.

    Rewards arrive late, shuffled and in bursts, after ``warm`` rewards of a log.
    """
    rng = np.random.default_rng(seed)
    task = Task(n_arms, n_contexts, 0, horizon)
    stream = random.stream(random.key(seed), 0, random.AGENT)
    ours, state = plain.init(plain.params, task, stream), lazy.init(lazy.params, task, stream)
    means = rng.random(n_arms)
    coins = seed % 2 == 0  # many arms of equal rewards, or none
    shown = np.arange(n_contexts * 1.0)[:, None, None]

    def learn(s, arm):
        reward = float(rng.random() < means[arm]) if coins else rng.random()
        plain.update(plain.params, ours, 0, shown[s], arm, reward, stream)
        lazy.update(lazy.params, state, 0, shown[s], arm, reward, stream)

    for _ in range(warm):
        learn(rng.integers(n_contexts), rng.integers(n_arms))
    different = looks = 0
    waiting = []
    for t in range(rounds):
        s = rng.integers(n_contexts)
        until, before = state.until[s], state.looks[s]
        arm = plain.act(plain.params, ours, t, shown[s], stream)
        found = lazy.act(lazy.params, state, t, shown[s], stream)
        made_anew = state.until[s] != until
        looks += state.looks[s] + n_arms if made_anew else state.looks[s] - before
        again = lazy.act(lazy.params, state, t, shown[s], stream)
        different += arm != found or arm != again
        waiting.append((s, arm))
        if rng.random() < 0.05:  # a reward of an arm that was not chosen
            waiting.append((rng.integers(n_contexts), rng.integers(n_arms)))
        if rng.random() < 0.6:
            rng.shuffle(waiting)
            for s, arm in waiting:
                learn(s, arm)
            waiting = []
    return different, looks / rounds


def scaled(rounds):
    """Fewer rounds where they are played in plain Python."""
    return rounds // 20 if jit_disabled() else rounds


@pytest.mark.parametrize("name", MANY)
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_chooses_the_arms_of_the_plain_scan(name, seed):
    plain, lazy = both(name)
    assert lazy.act is not plain.act
    for horizon in (0, 4000):
        for n_arms, n_contexts, warm in ((2, 1, 0), (3, 2, 5), (30, 1, 0), (37, 3, 300)):
            for i in range(3):
                sizes = n_arms + i, scaled(600), n_contexts, horizon, warm
                assert compared(plain, lazy, *sizes, seed=seed + 2 * i)[0] == 0
        different, looks = compared(
            plain, lazy, 600, scaled(4000), horizon=horizon, warm=300, seed=seed
        )
        assert different == 0
        assert 1.0 <= looks < 600 / 5  # with all bounds that were made anew


@kernel_inline
def too_small(params, clock, mean, inv):
    return ucb.index(params, 0.9 * clock, mean, inv)


def test_a_bound_that_does_not_hold_is_found_out():
    params, clock, index = banditlab.make("ucb").params, ucb.clock, ucb.index
    wrong = many_armed(bounded_index_policy(params, clock, index, too_small), ALWAYS)
    plain, _ = both("ucb")  # and the right bound is back in its place
    assert compared(plain, wrong, 31, scaled(2000), seed=1)[0] > 0


@pytest.mark.parametrize(
    "name, hyper, index, bound",
    [
        ("ucb", {}, ucb.index, ucb.index),
        ("moss", {}, moss.index, moss.bound),
        ("kl_ucb", {}, kl_ucb.bernoulli_index, kl_ucb.bernoulli_bound),
        ("kl_ucb", {"sigma": 0.3}, kl_ucb.gaussian_index, kl_ucb.gaussian_index),
    ],
)
def test_bounds_hold_at_earlier_clocks(name, hyper, index, bound):
    params = banditlab.make(name, **hyper).params
    rng = np.random.default_rng(1)
    for i in range(300 if jit_disabled() else 20_000):
        pulls = math.floor(10 ** rng.uniform(0, 5))
        mean = rng.integers(pulls + 1) / pulls if i % 2 else rng.random()
        until = 10 ** rng.uniform(-3, 1.3)
        clock = until * [1.0 - 2.0**-52, 1.0 - 10 ** rng.uniform(-16, 0), rng.random()][i % 3]
        assert index(params, clock, mean, 1 / pulls) <= bound(params, until, mean, 1 / pulls)


@pytest.mark.parametrize("name", MANY)
def test_few_arms_are_played_as_before(name):
    algorithm = banditlab.make(name)
    assert many_armed(algorithm, MANY[name] - 1) is algorithm
    assert many_armed(algorithm, MANY[name]).init is not algorithm.init


def test_lazy_kernels_stay_in_the_vocabulary():
    subject = testing.subject("ucb")
    testing.stays_in_the_vocabulary(subject._replace(algorithm=many_armed(subject.algorithm, 512)))


def test_policies_without_a_bound_are_played_as_before():
    for name in ("ucb_v", "imed", "bayes_ucb", "discounted_ucb", "sliding_ucb", "thompson"):
        algorithm = banditlab.make(name)
        assert many_armed(algorithm, ALWAYS) is algorithm


@pytest.mark.skipif(jit_disabled(), reason="simulates thousands of rounds")
def test_the_arena_plays_lazily_with_the_curves_of_lanes():
    n_arms, horizon, points = MANY["moss"], 3000, [1000, 3000]
    means = np.random.default_rng(2).random(n_arms)
    curves = banditlab.simulate(
        {
            "seed": 3,
            "horizon": horizon,
            "replications": 3,
            "checkpoints": points,
            "problem": {"name": "bernoulli", "means": means.tolist()},
            "agents": [{"name": "moss"}],
        }
    )
    algorithm, problem = banditlab.make("moss"), banditlab.make_problem("bernoulli", means=means)
    record = np.zeros((3, 2, len(online.PROTOCOL.names)))
    task = Task(n_arms, 1, 0, horizon)
    args = (task, random.key(3), 0, 0, np.array(points), np.zeros(2, np.int64), record)
    compiled(lanes.run_block, (algorithm.lanes, problem.lanes), args)(*args)
    for m, measure in enumerate(online.PROTOCOL.names):
        assert np.array_equal(curves.raw("moss", measure), record[:, :, m])
