"""Search among sets: every set once, the closed form of the first hit, swaps to the optimum."""

from __future__ import annotations

import itertools
import math
from functools import partial

import numpy as np
import pytest
from scipy import stats

import banditlab
from banditlab import make, random, simulate
from banditlab.parts import permuted_sets
from banditlab.problems.sparse_needle import hit_probability, mean_queries, threshold


def searched(agent, problem, replications, horizon=10**6, seed=16):
    arena = {
        "protocol": "combinatorial",
        "horizon": horizon,
        "replications": replications,
        "seed": seed,
        "problem": {"name": "sparse_needle", **problem},
        "agents": [{"label": "it", **agent}],
    }
    curves = simulate(arena, workers=1)
    names = ("queries", "first", "simple_regret", "error")
    return {name: curves.raw("it", name)[:, -1] for name in names}


# --- the order --------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "s"), [(8, 3), (7, 1), (6, 6), (5, 4), (9, 5), (2, 1)])
def test_every_set_comes_once(n, s):
    with np.errstate(over="ignore"):
        rng = random.stream(random.key(1), 0, random.AGENT)
        order = permuted_sets.new_order(n, s, rng)
        out = np.zeros(s, np.int64)
        seen = []
        for t in range(math.comb(n, s)):
            permuted_sets.fill_set(order, t, rng, out)
            seen.append(tuple(out))
    assert order.choose[s, n] == math.comb(n, s)
    assert sorted(seen) == list(itertools.combinations(range(n), s))
    assert math.comb(n, s) < 9 or seen != sorted(seen)


def test_orders_are_random():
    """Place by place, every set is as likely, and pairs of neighbours are."""
    total, runs = math.comb(6, 2), 1500
    places = np.zeros((total, total))
    follows = np.zeros((total, total))
    number = {t: i for i, t in enumerate(itertools.combinations(range(6), 2))}
    out = np.zeros(2, np.int64)
    with np.errstate(over="ignore"):
        for r in range(runs):
            rng = random.stream(random.key(2), r, random.AGENT)
            order = permuted_sets.new_order(6, 2, rng)
            before = -1
            for t in range(total):
                permuted_sets.fill_set(order, t, rng, out)
                now = number[tuple(out.tolist())]
                places[t, now] += 1
                if before >= 0:
                    follows[before, now] += 1
                before = now
    off = [places, follows[~np.eye(total, dtype=bool)]]
    for counts, freedom in zip(off, ((total - 1) ** 2, total * (total - 1) - 1), strict=True):
        expected = counts.mean()
        chi2 = ((counts - expected) ** 2 / expected).sum()
        assert stats.chi2.sf(chi2, freedom) > 1e-4 and stats.chi2.cdf(chi2, freedom) > 1e-4


def test_too_many_sets_are_drawn_evenly():
    n, s, draws = 120, 40, 1500
    with np.errstate(over="ignore"):
        rng = random.stream(random.key(1), 0, random.AGENT)
        order = permuted_sets.new_order(n, s, rng)
        assert order.choose[s, n] == permuted_sets.TOO_MANY
        counts, out = np.zeros(n), np.zeros(s, np.int64)
        for _ in range(draws):
            permuted_sets.fill_set(order, 0, rng, out)
            assert len(set(out.tolist())) == s and out.min() >= 0
            counts[out] += 1
    share = s / n
    z = (counts - draws * share) / np.sqrt(draws * share * (1 - share))
    assert np.abs(z).max() < 4.5 and 0.7 < z.std() < 1.3


# --- random search ----------------------------------------------------------------------------


def test_the_first_hit_has_its_law():
    """Drawing without replacement: negative hypergeometric, cell by cell."""
    s, dim, m0, runs = 2, 7, 0, 3000
    found = searched({"name": "random_search"}, {"s": s, "dim": dim, "overlap": m0}, runs)
    total = math.comb(dim, s)
    hits = round(hit_probability(s, dim, m0) * total)
    assert np.array_equal(found["first"], found["queries"])
    assert found["first"].max() <= total - hits + 1
    law = [
        math.comb(total - t, hits - 1) / math.comb(total, hits) for t in range(1, total - hits + 2)
    ]
    counts = np.bincount(found["first"].astype(int), minlength=len(law) + 1)[1:]
    expected = runs * np.array(law)
    common = expected > 5
    chi2 = ((counts - expected)[common] ** 2 / expected[common]).sum()
    assert stats.chi2.sf(chi2, common.sum() - 1) > 1e-4
    mean = mean_queries(s, dim, m0)
    assert abs(found["first"].mean() - mean) < 4.5 * found["first"].std() / math.sqrt(runs)


@pytest.mark.slow
def test_medians_are_those_of_a_geometric_law():
    """Within 25% of the closed form wherever 1/p is at most 1e5; for s = 4, delta = .25 exactly."""
    for delta in (0.25, 0.5, 0.75, 1.0):
        for s in (4, 6, 8, 10, 12, 16, 20):
            p = hit_probability(s, s * s, threshold(s, delta))
            if 1 / p > 110_000:
                continue
            runs = 1000 if 1 / p < 20_000 else 300
            found = searched({"name": "random_search"}, {"s": s, "exponent": delta}, runs)
            expected = math.ceil(math.log(2) / -math.log1p(-p))
            expected = 910.5 if (s, delta) == (4, 0.25) else expected  # one of 1820, none twice
            median = float(np.median(found["first"]))
            print(f"delta {delta}, s {s}: median {median:.6g} against {expected:.6g}")
            assert abs(median - expected) <= max(1.0, 0.25 * expected)


def test_it_finds_the_needle_among_arms_too():
    arena = {
        "protocol": "identify", "horizon": 40, "replications": 400, "seed": 3,
        "problem": {"name": "jl_needle", "dim": 4, "n_arms": 40},
        "agents": [{"name": "random_search"}],
    }  # fmt: skip
    curves = simulate(arena, workers=1)
    pulls = curves.raw("random_search", "pulls")[:, -1]
    assert curves.raw("random_search", "error").max() == 0.0
    assert pulls.min() == 1 and pulls.max() <= 40
    assert abs(pulls.mean() - 20.5) < 4.5 * pulls.std() / 20
    assert stats.kstest(pulls - np.linspace(0, 1, 400), "uniform", (0, 40)).pvalue > 1e-4


# --- swap search ------------------------------------------------------------------------------


@pytest.mark.parametrize(("s", "dim", "m0"), [(4, 16, 2), (3, 12, 0), (2, 7, 1), (3, 3, 2)])
def test_swaps_end_at_the_optimum_in_time(s, dim, m0):
    found = searched({"name": "swap_search"}, {"s": s, "dim": dim, "overlap": m0}, 300)
    assert found["simple_regret"].max() == 0.0
    after = found["queries"] - found["first"]
    # The last scan is a whole one, and every swap before it was found in less than one.
    assert after.min() >= s * (dim - s) and after.max() <= (s - m0) * s * (dim - s)
    if (s, dim, m0) == (4, 16, 2):  # an independent program, 72.2 +- .8
        assert abs(after.mean() - 72.2) < 4.5 * math.hypot(after.std() / math.sqrt(300), 0.8)


def test_swaps_survive_noise_by_repetition():
    problem = {"s": 2, "dim": 7, "overlap": 0, "noise": 0.4}
    agent = {"name": "swap_search", "threshold": 0.2, "repeats": 20, "margin": 0.15}
    found = searched(agent, problem, 200)
    assert found["error"].mean() <= 0.05 and (found["queries"] % 20 == 0).all()
    careless = searched({"name": "swap_search"}, problem, 200)  # the control
    assert careless["error"].mean() > 0.2


def test_nothing_pays():
    agent = banditlab.Agent("swap_search", n_items=5, size=2, horizon=100)
    while not agent.done:
        agent.update(None, agent.act(), 0.0)
    assert agent.t == 10  # every set, once
    whole = banditlab.Agent("swap_search", n_items=3, size=3, horizon=9)
    whole.update(None, whole.act(), 1.0)
    assert whole.done and sorted(whole.act()) == [0, 1, 2]  # whoever asks on gets a set
    assert agent.recommend().sum() == pytest.approx(1.0)


# --- the face ---------------------------------------------------------------------------------


def test_what_is_no_set_is_refused():
    agent = banditlab.Agent("random_search", n_items=5, size=2, horizon=9)
    for items in ([1, 1], [0, 5], [-1, 2], [1], [1, 2, 3], "ab", None, [[0, 1]],
                  [0.5, 1.5], ["0", "1"], [True, False], [0, 2**70], [0, 1 + 0j]):  # fmt: skip
        with pytest.raises(ValueError, match="items must be 2 different numbers from 0 to 4") as no:
            agent.update(None, items, 0.0)
        assert "\n" not in str(no.value)
    for reward in (float("nan"), float("inf"), "x", None):
        with pytest.raises(ValueError, match="reward must be finite for random_search"):
            agent.update(None, [0, 1], reward)
    assert agent.t == 0
    with pytest.raises(ValueError, match="size must be at most 5, got 6"):
        banditlab.Agent("random_search", n_items=5, size=6, horizon=9)
    with pytest.raises(ValueError, match="horizon must be at least 1"):
        banditlab.Agent("random_search", n_items=5, size=2, horizon=0)
    with pytest.raises(ValueError, match="n_items must be at least 1"):
        banditlab.Agent("random_search", n_items=0, size=1, horizon=9)


@pytest.mark.parametrize(
    ("make_it", "words"),
    [
        (partial(make, "random_search", threshold="x"), "threshold must be a number"),
        (partial(make, "swap_search", repeats=0), "repeats must be at least 1"),
        (partial(make, "swap_search", margin=-1), "margin must be at least 0"),
    ],
)
def test_bad_arguments_are_refused(make_it, words):
    with pytest.raises(ValueError, match=words):
        make_it()


def test_agents_that_know_no_sets_are_refused():
    arena = {"problem": {"name": "sparse_needle", "s": 2}, "protocol": "combinatorial"}
    with pytest.raises(ValueError, match="speaks online, the panel's protocol is combinatorial"):
        simulate({**arena, "agents": [{"name": "ucb"}]})
    with pytest.raises(ValueError, match="no problem of protocol"):
        simulate(
            {"problem": {"name": "sparse_needle", "s": 2}, "agents": [{"name": "ucb"}]},
        )
