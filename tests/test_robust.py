"""Robust policies, exactly: games, dominance, state-adversarial MDPs, schedules of attackers."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import linprog

import banditlab
from banditlab import random
from banditlab.parts import policy_set
from banditlab.problems.door_corridor import corridor, corridor_payoffs
from banditlab.problems.ring_sa import ring_payoffs
from banditlab.robust import games
from banditlab.robust.dominance import maximin, mix_gap, nondominated, pure_gap, set_gap
from banditlab.robust.grid import LETTERS, grid
from banditlab.robust.oracle import _Chains, discover_tabular, helping_attack, returns
from banditlab.robust.sa_mdp import (
    all_attackers,
    all_policies,
    intermittent,
    mad_attacker,
    min_q_attacker,
    natural_optimum,
    no_attack,
    payoff_matrix,
    random_attacker,
    sa_mdp,
    under_attack,
    value,
    values,
    worst_attack,
)

HULL = [[1.0, 0.0], [0.0, 1.0], [0.8, 0.8]]
RING = [[1.0, -1.0, -1.0], [-1.0, 1.0, 0.0], [-1.0, 0.0, 1.0], [0.2, 0.2, 0.2]]


def matrices(count, seed=1, rows=(2, 9), columns=(1, 7)):
    """Random matrices, every third of small integers: ties and degenerate programs."""
    rng = np.random.default_rng(seed)
    for r in range(count):
        shape = int(rng.integers(*rows)), int(rng.integers(*columns))
        whole = rng.integers(0, 4, shape).astype(float)
        yield whole if r % 3 == 0 else rng.random(shape) * 10.0 ** rng.integers(-6, 7)


def kernel_gap(M, row, members):
    mix, attack = np.zeros(len(members)), np.zeros(M.shape[1])
    members = np.array(members)
    return games.mixed_gap(M, row, members, len(members), mix, attack), mix, attack


# --- games and dominance ------------------------------------------------------------------------


def test_the_hull_example():
    """O1: one row is no answer to a mixture."""
    assert pure_gap(HULL, [0, 1]) == 0.0
    gap = mix_gap(HULL, 2, [0, 1])
    assert gap.value == pytest.approx(0.3, abs=1e-12)
    assert gap.weights == pytest.approx([0.5, 0.5]) and gap.attack == pytest.approx([0.5, 0.5])
    low = [*HULL[:2], [0.4, 0.4]]
    assert mix_gap(low, 2, [0, 1]).value == pytest.approx(-0.1, abs=1e-12)
    assert nondominated(low) == [0, 1] and nondominated(HULL) == [0, 1, 2]
    assert all(mix_gap(low, 2, [k]).value > 0 for k in (0, 1))  # no single row dominates it


def test_the_ring():
    """O2."""
    assert ring_payoffs(5, 1.0, 0.2) == pytest.approx(np.array(RING))
    assert ring_payoffs(9, 1.0, 0.2) == pytest.approx(np.array(RING))
    worth, weights = maximin(RING)
    assert worth == pytest.approx(0.2, abs=1e-12) and weights == pytest.approx([0, 0, 0, 1])
    gaps = [mix_gap(RING, i, [k for k in range(4) if k != i]).value for i in range(4)]
    assert gaps == pytest.approx([0.8, 0.8, 0.8, 0.2 + 1 / 7], abs=1e-12)
    worth, weights = maximin(RING[:3])
    assert worth == pytest.approx(-1 / 7) and weights == pytest.approx([3 / 7, 2 / 7, 2 / 7])


def test_the_kernel_and_highs_solve_the_same_games():
    for M in matrices(300):
        members = list(range(1, len(M)))
        found, mix, attack = kernel_gap(M, 0, members)
        scale = np.ptp(M) or 1.0
        proof = mix_gap(M, 0, members)
        assert found == pytest.approx(proof.value, abs=1e-12 * scale)
        # Both mixtures prove the value: it is what they get at worst.
        lost = M[0] - M[members]
        for weights, prices in ((mix, attack), (proof.weights, proof.attack)):
            assert weights.min() >= 0 and weights.sum() == pytest.approx(1)
            assert prices.min() >= 0 and prices.sum() == pytest.approx(1)
            assert (weights @ lost).max() == pytest.approx(found, abs=1e-9 * scale)
            assert (lost @ prices).min() == pytest.approx(found, abs=1e-9 * scale)


@pytest.mark.parametrize("shape", [(1, 1001), (3, 1500), (7, 20_000)])
def test_many_attackers_need_no_table_of_their_square(shape):
    """20,000 of them would fill 3 GB, were the players not to change places."""
    M = np.random.default_rng(8).integers(0, 9, (shape[0] + 1, shape[1])).astype(float)
    members = list(range(1, len(M)))
    found, mix, attack = kernel_gap(M, 0, members)
    assert found == pytest.approx(mix_gap(M, 0, members).value, abs=1e-9)
    lost = M[0] - M[members]
    assert min(mix.min(), attack.min()) >= 0 and mix.sum() == pytest.approx(1)
    assert (lost @ attack).min() == pytest.approx(found, abs=1e-9)
    assert attack.sum() == pytest.approx(1)


def test_both_players_programs_have_one_value():
    """O10: the attackers' own program, written down apart."""
    for M in matrices(60, seed=2):
        scale = np.ptp(M) or 1.0
        n, m = M.shape
        N = (M - M.min()) / scale
        done = linprog(
            np.r_[np.zeros(m), 1.0], A_ub=np.c_[N, -np.ones(n)], b_ub=np.zeros(n),
            A_eq=np.r_[np.ones(m), 0.0][None], b_eq=[1.0],
            bounds=[(0, None)] * m + [(None, None)], method="highs",
        )  # fmt: skip
        assert maximin(M)[0] == pytest.approx(done.fun * scale + M.min(), abs=1e-9 * scale)


def test_two_rows_against_a_grid_of_mixtures():
    """O10."""
    share = np.linspace(0, 1, 10_001)[:, None]
    for M in matrices(40, seed=3, rows=(3, 4)):
        mixed = share * M[1] + (1 - share) * M[2]
        brute = (M[0] - mixed).max(axis=1).min()
        assert mix_gap(M, 0, [1, 2]).value == pytest.approx(brute, abs=1e-3 * np.ptp(M) + 1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_what_holds_of_every_matrix(seed):
    """O9."""
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(4, 9)), int(rng.integers(2, 6))
    M = rng.normal(size=(n, m))
    S = sorted(rng.choice(n, size=3, replace=False).tolist())
    for i in range(n):
        z = mix_gap(M, i, S)
        best = M[S].max(axis=0)
        assert (M[i] - best).max() <= z.value + 1e-9
        assert i not in S or z.value <= 1e-12
        assert z.attack @ M[i] - (M[S] @ z.attack).max() == pytest.approx(z.value, abs=1e-8)
        for more in set(range(n)) - set(S):
            assert mix_gap(M, i, [*S, more]).value <= z.value + 1e-9
    kept = nondominated(M)
    assert set_gap(M, kept) <= 1e-8
    assert nondominated(3.0 * M + rng.normal(size=m)) == kept
    order = rng.permutation(n)
    assert sorted(int(order[i]) for i in nondominated(M[order])) == kept
    # The regret to the best of all is at most that to the best of S plus T times the mixed gap.
    came = rng.integers(m, size=50)
    counts = np.bincount(came, minlength=m)
    played = rng.choice(S, size=50)
    earned = M[played, came].sum()
    assert (M @ counts).max() - earned <= (M[S] @ counts).max() - earned + 50 * set_gap(M, S) + 1e-9


def test_the_pure_gap_does_not_bound_regret():
    """Half of the episodes against either attacker: any fixed choice of S loses 0.3 an episode."""
    came = np.array([10, 10])
    M = np.array(HULL)
    assert (M @ came).max() - (M[:2] @ came).max() == pytest.approx(20 * 0.3)
    assert pure_gap(HULL, [0, 1]) == 0.0


def test_twins_leave_one():
    assert nondominated([[1.0, 0.0], [1.0 + 1e-10, 0.0], [0.0, 1.0]]) == [0, 2]
    tiny = 1e-6 * np.array([[1.0, 0.0], [0.0, 1.0], [0.8, 0.8], [0.4, 0.4]])
    assert nondominated(tiny) == [0, 1, 2]  # tolerances are in units of the range


@pytest.mark.parametrize(
    ("payoffs", "said"),
    [
        ([[1.0, np.nan]], r"payoffs\[0, 1\] must be finite, got nan"),
        ([[np.inf]], r"payoffs\[0, 0\] must be finite"),
        ([], "payoffs must be a matrix"),
        ([[]], "payoffs must be a matrix"),
        ([1.0, 2.0], "payoffs must be a matrix"),
        ([[1.0], [1.0, 2.0]], "payoffs must be a matrix"),
        ("abc", "payoffs must be a matrix"),
        ([[10**400]], "payoffs must be a matrix"),
        ([[1e308], [-1e308]], r"payoffs must lie within 1e\+150, got 1e\+308"),
    ],
)
def test_what_is_no_matrix_is_refused(payoffs, said):
    for ask in (lambda M: mix_gap(M, 0, [0]), maximin, nondominated):
        with pytest.raises(ValueError, match=said):
            ask(payoffs)


def test_rows_that_there_are_not_are_refused():
    with pytest.raises(ValueError, match="row must be"):
        mix_gap(HULL, 3, [0])
    with pytest.raises(ValueError, match="members must"):
        mix_gap(HULL, 0, [7])
    with pytest.raises(ValueError, match="members must hold at least one row"):
        pure_gap(HULL, [])


# --- state-adversarial MDPs ---------------------------------------------------------------------


def slow_value(mdp, policy, attacker):
    """By adding up rewards step by step: a second way to the same number."""
    here, total, scale = mdp.start.copy(), 0.0, 1.0
    for _ in range(1500):
        acts = [int(policy[attacker[s]]) for s in range(len(here))]
        total += scale * sum(here[s] * mdp.reward[s, a] for s, a in enumerate(acts))
        here = sum(here[s] * mdp.prob[s, a] for s, a in enumerate(acts))
        scale *= mdp.gamma
    return total


def test_the_corridor_has_the_values_found_by_hand():
    """O3."""
    M = corridor_payoffs(0.95)
    stated = {
        "0010": (0.3058875, -9.41), "0111": (-0.0555875, -0.2555875),
        "1111": (-0.2555875, -0.2555875), "0000": (-9.22, -9.22),
        "0011": (0.1344125, -9.41), "1010": (0.1058875, -9.61),
    }  # fmt: skip
    for bits, (natural, worst) in stated.items():
        row = M[int(bits, 2)]
        assert (row[0], row.min()) == pytest.approx((natural, worst), abs=1e-12)
    assert -0.1 - 0.095 - 0.3 * 0.9025 + 0.857375 * 0.9 == pytest.approx(0.3058875, abs=1e-12)
    assert maximin(M)[0] == pytest.approx(-0.2555875, abs=1e-9)
    assert [format(i, "04b") for i in nondominated(M)] == [
        "0001", "0010", "0011", "0100", "0101", "0110", "0111",
    ]  # fmt: skip


def test_values_agree_with_play_step_by_step():
    mdp = corridor()
    policies, attackers = all_policies(mdp)[::2], all_attackers(mdp)
    assert len(policies) == 16 and len(attackers) == 36
    assert (attackers[0] == no_attack(mdp)).all()
    rng = np.random.default_rng(0)
    for _ in range(20):
        pi, nu = policies[rng.integers(16)], attackers[rng.integers(36)]
        assert value(mdp, pi, nu) == pytest.approx(slow_value(mdp, pi, nu), abs=1e-10)
    M = payoff_matrix(mdp, policies, attackers)
    assert returns(mdp, policies, attackers) == pytest.approx(M, abs=1e-12)


def test_the_attackers_own_decision_problem_is_exact():
    """O5: against the enumeration, and on the grid against values that were found elsewhere."""
    mdp = corridor()
    M = corridor_payoffs(0.95)
    for pi, row in zip(all_policies(mdp)[::2], M, strict=True):
        assert abs(value(mdp, pi, worst_attack(mdp, pi)) - row.min()) < 1e-10
    g = grid()
    best = natural_optimum(g)
    rows = ["".join(LETTERS[a] for a in row) for row in best.reshape(5, 5)]
    assert [row[k] for row, k in zip(rows, (0, 0, 0, 0, 0), strict=True)] == list("DDDDR")
    assert rows[0] == "DRRRD"
    assert value(g, best) == pytest.approx(0.477124, abs=1e-6)
    assert value(g, best, worst_attack(g, best)) == pytest.approx(-0.916132, abs=1e-6)
    assert value(g, best, random_attacker(g)) == pytest.approx(-0.262197, abs=1e-6)
    assert value(g, best, min_q_attacker(g, best)) == pytest.approx(-0.914450, abs=1e-6)
    constant = [value(g, np.full(25, a)) for a in range(4)]
    assert constant == pytest.approx([-0.213382, -0.352615, -0.274464, -0.229559], abs=1e-6)
    for a in range(4):  # no attack touches who does the same everywhere
        pi = np.full(25, a)
        assert value(g, pi, worst_attack(g, pi)) == pytest.approx(constant[a], abs=1e-12)
    moving = g.shown.sum(axis=1) > 1
    assert moving.sum() == 21 and g.shown[moving].sum() / 21 == pytest.approx(5.38, abs=0.01)


def test_weak_attackers_lie_between_none_and_the_worst():
    g = grid()
    pi = natural_optimum(g)
    worst = value(g, pi, worst_attack(g, pi))
    mad = mad_attacker(g, pi)
    assert (pi[mad] != pi)[g.shown.sum(axis=1) > 3].any()
    for s in range(25):  # the lowest observation that changes the action, or the truth
        changing = [o for o in np.flatnonzero(g.shown[s]) if pi[o] != pi[s]]
        assert mad[s] == (changing[0] if changing else s)
    for nu in (random_attacker(g), mad, min_q_attacker(g, pi)):
        assert worst <= value(g, pi, nu) <= value(g, pi)
    path = [value(g, pi, intermittent(g, worst_attack(g, pi), x)) for x in (0, 0.2, 0.6, 1)]
    assert path[0] == pytest.approx(value(g, pi)) and path[-1] == pytest.approx(worst)
    assert path == sorted(path, reverse=True)


def test_a_law_of_actions_is_mixed_by_what_is_shown():
    mdp = corridor()
    rng = np.random.default_rng(1)
    rule = rng.dirichlet(np.ones(2), size=5)
    acts = under_attack(mdp, rule, random_attacker(mdp))
    assert acts[0] == pytest.approx((rule[0] + rule[1]) / 2)
    assert acts[1] == pytest.approx(rule[:3].mean(axis=0))


def test_bad_state_adversarial_mdps_are_refused():
    mdp = corridor()
    good = {"prob": mdp.prob, "reward": mdp.reward, "start": 0, "gamma": 0.9, "shown": mdp.shown}
    blind = mdp.shown.copy()
    blind[2, 2] = False
    for change, said in (
        ({"shown": blind}, "observations of state 2 must hold 2 itself"),
        ({"shown": np.zeros((2, 2))}, r"shown must have shape \(5, 5\)"),
        ({"gamma": 1.1}, "gamma must"), ({"gamma": 0.0}, "gamma must"),
        ({"gamma": np.nan}, "gamma must"),
        ({"start": 9}, "start must be a state"), ({"start": [0.5] * 5}, "start must be 5"),
        ({"prob": mdp.prob * 0.5}, r"prob\[0, 0\] must sum to 1"),
        ({"reward": mdp.reward * np.nan}, "reward must be finite"),
        ({"prob": mdp.prob[0]}, "prob must have shape"),
        ({"prob": "x"}, "prob must be an array of numbers, got 'x'"),
        ({"reward": [[1], [1, 2]]}, "reward must be an array of numbers"),
        ({"start": "a"}, "start must be an array of numbers"),
        ({"shown": [[0], [0, 1]]}, "shown must be an array of numbers"),
        ({"shown": 3.0 * mdp.shown}, "shown must hold true or false"),
        ({"prob": np.zeros((5, 0, 5)), "reward": np.zeros((5, 0))}, "prob must have at least one"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            sa_mdp(**{**good, **change})
    with pytest.raises(ValueError, match="state 0 may not be shown as 3"):
        value(mdp, np.zeros(5, int), np.array([3, 1, 2, 3, 4]))
    endless = sa_mdp(**{**good, "gamma": 1})
    assert value(endless, np.array([0, 0, 1, 0, 0])) == pytest.approx(0.4)
    with pytest.raises(ValueError, match=r"states \[0, 1, 2\] go on for ever"):
        values(endless, np.zeros(5, int))
    with pytest.raises(ValueError, match="gamma must be below 1"):
        discover_tabular(endless, 3)
    with pytest.raises(ValueError, match="more than the 100,000 that are listed"):
        all_policies(grid())


def test_discovery_without_a_list_finds_what_the_list_holds():
    """Where all can be listed, the double oracle's set has no gap in the whole matrix."""
    mdp = corridor()
    M = corridor_payoffs(0.95)
    listed, searched = discover_tabular(mdp, 16, listed=True), discover_tabular(mdp, 16)
    assert listed.exact and not searched.exact
    names = ["".join(map(str, pi[:4])) for pi in listed.policies]
    assert names == ["0010", "0001", "0100", "0111", "0011", "0101", "0110"]
    assert listed.gaps == pytest.approx(
        [9.715887, 9.525887, 6.217452, 0.39, 0.361475, 0.171475, 0.0], abs=1e-6
    )
    rows = [int("".join(map(str, pi[:4])), 2) for pi in searched.policies]
    assert set_gap(M, rows) <= 1e-11
    for i, pi in enumerate(searched.policies):
        assert searched.payoffs[i].min() == pytest.approx(
            value(mdp, pi, worst_attack(mdp, pi)), abs=1e-12
        )


@pytest.mark.parametrize("seed", range(8))
def test_the_search_leaves_no_gap_in_small_random_ones(seed):
    """Four states, two actions: nothing promises it, but it held for each of forty."""
    rng = np.random.default_rng(seed)
    shown = np.eye(4, dtype=bool) | (rng.random((4, 4)) < 0.5)
    mdp = sa_mdp(rng.dirichlet(np.ones(4), size=(4, 2)), rng.random((4, 2)), 0, 0.9, shown)
    searched, every = discover_tabular(mdp, 16, delta=1e-9), all_policies(mdp)
    M = returns(mdp, every, all_attackers(mdp))
    rows = [int("".join(map(str, pi)), 2) for pi in searched.policies]
    assert all((every[i] == pi).all() for i, pi in zip(rows, searched.policies, strict=True))
    assert set_gap(M, rows) <= 1e-8


def fork():
    """Where nothing is attacked yet, one turns to a rich fork that can be, or to a safe road."""
    prob, reward = np.zeros((5, 2, 5)), np.zeros((5, 2))
    prob[0, 0, [1, 2]], prob[0, 1, 3] = 0.5, 1.0
    prob[1:, :, 4] = 1.0
    reward[1], reward[2], reward[3] = (1.0, -10.0), (-10.0, 1.0), 0.5
    shown = np.eye(5, dtype=bool)
    shown[1, 2] = shown[2, 1] = True
    return sa_mdp(prob, reward, 0, 0.9, shown)


def test_who_fears_an_attack_later_may_turn_off_before():
    """The answer in a state that no attack touches is not fixed by what is best without attacks."""
    mdp = fork()
    every = all_policies(mdp)
    M = returns(mdp, every, all_attackers(mdp))
    listed = discover_tabular(mdp, 9, listed=True)
    rows = [int("".join(map(str, pi)), 2) for pi in listed.policies]
    assert set_gap(M, rows) == 0.0 and listed.gaps[-1] == 0.0
    assert maximin(M)[0] == pytest.approx(0.45)
    assert maximin(listed.payoffs)[0] == pytest.approx(0.45)
    searched = discover_tabular(mdp, 9)
    assert any(pi[0] == 1 for pi in searched.policies)
    assert searched.payoffs.min(axis=1).max() == pytest.approx(0.45)


def test_nothing_to_choose_and_nothing_to_attack():
    alone = sa_mdp([[[1.0]]], [[1.0]], 0, 0.5, [[True]])
    rng = np.random.default_rng(0)
    safe = sa_mdp(rng.dirichlet(np.ones(3), size=(3, 2)), rng.random((3, 2)), 0, 0.9, np.eye(3))
    for mdp in (alone, safe):
        for listed in (False, True):
            found = discover_tabular(mdp, 5, listed=listed)
            assert found.gaps == pytest.approx([0.0], abs=1e-12) and len(found.policies) == 1
            best = value(mdp, natural_optimum(mdp))
            assert found.payoffs == pytest.approx(np.full_like(found.payoffs, best))


@pytest.mark.parametrize("scale", [2.0**-50, 2.0**30])
def test_rewards_of_any_size_with_ties(scale):
    """Powers of two change no rounding: two states alike, rewards of few values, the same found."""
    rng = np.random.default_rng(3)
    for _ in range(4):
        prob = rng.dirichlet(np.ones(4), size=(4, 2))
        prob[1], prob[:, 1] = prob[0], prob[:, 0]
        reward = rng.integers(0, 3, (4, 2)).astype(float)
        shown = np.eye(4, dtype=bool) | (rng.random((4, 4)) < 0.5)
        small = sa_mdp(prob, reward, 0, 0.99, shown)
        large = small._replace(reward=scale * reward)
        pi = natural_optimum(large)
        assert (pi == natural_optimum(small)).all()
        worst = value(large, pi, worst_attack(large, pi))
        assert worst == pytest.approx(
            returns(large, [pi], all_attackers(large)).min(), rel=1e-9, abs=0
        )
        found, same = discover_tabular(large, 3, None, 1e-6 * scale), discover_tabular(small, 3)
        assert (found.policies == same.policies).all()
        assert (found.gaps == scale * same.gaps).all()
        weights, start = np.array([1.0, -1.0]), [no_attack(large)]
        chosen = np.array([pi, 1 - pi])
        helped = helping_attack(large, chosen, weights, start)[0]
        assert helped == scale * helping_attack(small, chosen, weights, start)[0]


def test_what_is_no_policy_and_no_attacker_is_refused():
    mdp = corridor()
    good = np.zeros(5, int)
    for policy, said in (
        ([0, 1], r"policy must have shape \(5,\) or \(5, 2\), got \(2,\)"),
        ([0, 0, 2, 0, 0], r"policy\[2\] must be an integer from 0 to 1, got 2"),
        ([0, -1, 0, 0, 0], r"policy\[1\] must be an integer from 0 to 1, got -1"),
        ([0, 0.5, 0, 0, 0], r"policy\[1\] must be an integer"),
        ([[2, -1]] * 5, r"policy\[0\] must be probabilities"),
        ([[0.5, 0.2]] * 5, r"policy\[0\] must be probabilities"),
        ([[math.nan, 1]] * 5, r"policy\[0\] must be probabilities"),
        ("abc", "policy must be an array of numbers, got 'abc'"),
        ([[0], [0, 1]], "policy must be an array of numbers"),
    ):
        for ask in (value, mad_attacker, worst_attack, min_q_attacker):
            with pytest.raises(ValueError, match=said):
                ask(mdp, policy)
    for attacker, said in (
        ([0, 1, 2], r"attacker must have shape \(5,\) or \(5, 5\)"),
        ([0, 1, 9, 3, 4], r"attacker\[2\] must be an integer from 0 to 4, got 9"),
        ([[0.3] * 5] * 5, r"attacker\[0\] must be probabilities"),
    ):
        with pytest.raises(ValueError, match=said):
            value(mdp, good, attacker)
        with pytest.raises(ValueError, match=said):
            intermittent(mdp, attacker, 0.5)
    for given, said in (
        ({"first": [[0, 1]]}, "first must be a list of policies: 5 actions each, 0 to 1"),
        ({"first": []}, "first must"), ({"first": [[7] * 5]}, "first must"),
        ({"first": good}, "first must"), ({"first": "x"}, "first must"),
        ({"width": 0}, "width must be at least 1"), ({"listed": "yes"}, "listed must be true or"),
        ({"most": 0}, "most must"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            discover_tabular(mdp, **{"most": 3, **given})
    rng = np.random.default_rng(0)
    wide = sa_mdp(rng.dirichlet(np.ones(6), (6, 3)), rng.random((6, 3)), 0, 0.9, np.ones((6, 6)))
    with pytest.raises(ValueError, match="729 policies and 46,656 attackers make more than"):
        discover_tabular(wide, 3, listed=True)


def test_the_helping_attack_against_all_attackers():
    mdp = corridor()
    attackers = all_attackers(mdp)
    rng = np.random.default_rng(3)
    for _ in range(10):
        chosen = np.array([all_policies(mdp)[2 * k] for k in rng.choice(16, 3, replace=False)])
        weights = np.r_[1.0, -rng.dirichlet(np.ones(2))]
        found, nu = helping_attack(mdp, chosen, weights, attackers[:6])
        every = weights @ returns(mdp, chosen, attackers)
        assert found == pytest.approx(float(weights @ returns(mdp, chosen, [nu])[:, 0]), abs=1e-9)
        assert every.max() >= found - 1e-9
        assert found >= every.max() - 0.6  # a search by single changes may miss a little


def test_values_follow_from_the_old_inverse():
    """Every change of what is shown, against a fresh solve."""
    g = grid()
    rng = np.random.default_rng(4)
    policies = rng.integers(0, 4, (3, 25))
    changed = 0
    for _ in range(3):
        weights = rng.normal(size=3)
        chains = _Chains(g, policies, no_attack(g))
        for s in rng.permutation(np.flatnonzero(g.shown.sum(axis=1) > 1)):
            before = weights @ chains.worth()
            options = []
            for o in np.flatnonzero(g.shown[s]):
                other = chains.shows.copy()
                other[s] = o
                options.append(weights @ returns(g, policies, [other])[:, 0])
            changed += chains.improve(s, weights)
            direct = returns(g, policies, [chains.shows])[:, 0]
            assert chains.worth() == pytest.approx(direct, abs=1e-10)
            assert weights @ direct == pytest.approx(max(options), abs=1e-10)
            assert weights @ direct >= before - 1e-10
    assert changed > 20


# --- schedules ----------------------------------------------------------------------------------


def came(problem, rounds, replication=0):
    """The attackers of the first rounds."""
    with np.errstate(over="ignore"):
        nature = random.stream(random.key(1), replication, random.NATURE)
        world = problem.init(problem.params, nature)
        return np.array([problem.attack(problem.params, world, t, nature) for t in range(rounds)])


def ring(**given):
    return banditlab.make_problem("ring_sa", **given)


def test_schedules_do_what_they_say():
    assert came(ring(schedule="static", attacker=2), 5).tolist() == [2] * 5
    assert came(ring(schedule="periodic", block=2), 7).tolist() == [1, 1, 0, 0, 1, 1, 0]
    assert came(ring(schedule="periodic", block=9), 5).tolist() == [1] * 5  # longer than play
    assert came(ring(schedule="cycle", block=2), 8).tolist() == [0, 0, 1, 1, 2, 2, 0, 0]
    assert came(ring(schedule="cycle", block=1, columns=[2, 0]), 4).tolist() == [2, 0, 2, 0]
    assert came(ring(schedule="given", columns=[0, 2, 1]), 3).tolist() == [0, 2, 1]
    assert came(banditlab.make_problem("switch2", change=3), 6).tolist() == [0, 0, 0, 1, 1, 1]


def test_the_running_means_of_the_paper():
    """O7: attacked first, half of the time."""
    for a, n, stated in (
        (3164, 5596, (3164, 4380, 3974.67, 4380)),
        (2986, 5469, (2986, 4227.5, 3813.67, 4227.5)),
    ):
        columns = came(ring(schedule="periodic", block=50), 200)
        earned = np.where(columns == 1, a, n).cumsum() / np.arange(1, 201)
        assert earned[[49, 99, 149, 199]] == pytest.approx(stated, abs=0.005)


@pytest.mark.parametrize(("p", "share"), [(0.4, 0.515625), (0.8, 0.507812)])
def test_random_switching_has_the_probabilities_found_by_hand(p, share):
    """O8: P(attacked in block b) = 1/2 + (1 - 2p)^b / 2, in the mean over draws."""
    made = ring(schedule="prob_switch", p=p, block=1)
    draws = np.array([came(made, 40, replication=r) for r in range(2000)])
    expected = 0.5 + 0.5 * (1 - 2 * p) ** np.arange(40)
    assert (draws[:, 0] == 1).all()
    off = np.abs(draws.mean(axis=0) - expected) / np.sqrt(0.25 / 2000)
    assert off.max() < 4.5
    assert draws.mean() == pytest.approx(share, abs=4 * draws.mean(axis=1).std() / math.sqrt(2000))
    assert expected.mean() == pytest.approx(share, abs=1e-6)
    blocks = came(ring(schedule="prob_switch", p=1.0, block=3), 9)
    assert blocks.tolist() == [1, 1, 1, 0, 0, 0, 1, 1, 1]


def test_the_adaptive_attacker_answers_what_was_played():
    made = ring(schedule="adaptive", rate=0.25)
    M = np.array(RING)
    with np.errstate(over="ignore"):
        nature = random.stream(random.key(1), 0, random.NATURE)
        world = made.init(made.params, nature)
        often = np.full(4, 0.25)
        for t, arm in enumerate([0, 0, 1, 1, 1, 3, 2, 2, 2, 2]):
            means = often @ M
            lowest = int(np.flatnonzero(means <= means.min() + 1e-9)[0])
            assert made.attack(made.params, world, t, nature) == lowest
            made.answer(made.params, world, arm)
            often = 0.75 * often + 0.25 * np.eye(4)[arm]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"schedule": "often"}, "schedule must be one of"),
        ({"schedule": "static", "attacker": 3}, "attacker must be"),
        ({"schedule": "cycle", "columns": []}, "columns must be a list"),
        ({"schedule": "cycle", "columns": [5]}, "columns must be"),
        ({"schedule": "given"}, "schedule given needs columns"),
        ({"schedule": "periodic", "columns": [1]}, "columns are for schedule cycle or given"),
        ({"schedule": "prob_switch", "p": 1.5}, "p must"),
        ({"block": -1}, "block must be"),
        ({"block": 2**63}, "block must be at most"),
        ({"schedule": "cycle", "attacker": -1}, "attacker must be"),
        ({"schedule": "cycle", "attacker": 2}, "attacker is for schedule static or periodic or"),
        ({"schedule": "periodic", "p": 0.4}, "p is for schedule prob_switch, not for 'periodic'"),
        ({"schedule": "static", "block": 9}, "block is for schedule periodic or prob_switch"),
        ({"schedule": "adaptive", "block": 9}, "block is for schedule"),
        ({"schedule": "static", "rate": 0.1}, "rate is for schedule adaptive, not for 'static'"),
        ({"schedule": "adaptive", "rate": 0.0}, "rate must"),
        ({"c": -1.0}, "c must"),
        ({"b": 2.0}, "b must lie in"),
        ({"n": 3}, "n must"),
    ],
)
def test_bad_schedules_are_refused(given, said):
    with pytest.raises(ValueError, match=said):
        ring(**given)


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        (
            "matrix_attack",
            {"payoffs": [[9, 2], [5, 5]]},
            "low and high, 0 and 1, clip payoffs of 2",
        ),
        ("matrix_attack", {"payoffs": [[0, 1]] * 2, "low": -1e308, "high": 1e308}, "so far apart"),
        ("random_payoffs", {"n_policies": 10_000, "n_attackers": 10_000}, "at most 10,000,000"),
        ("return_pool", {"pool": [[[10**400]], [[1]]]}, r"pool\[0\]\[0\] must be a list"),
        ("switch2", {"change": 2**63}, "change must be at most"),
    ],
)
def test_problems_that_would_say_nothing_are_refused(name, given, said):
    with pytest.raises(ValueError, match=said):
        banditlab.make_problem(name, **given)


def test_a_recorded_schedule_is_no_longer_than_itself():
    arena = {
        "protocol": "policies", "horizon": 4, "agents": [{"name": "uniform"}],
        "problem": {"name": "ring_sa", "schedule": "given", "columns": [0, 1, 2]},
    }  # fmt: skip
    said = "horizon must be at most 3, the episodes in the schedule of ring_sa, got 4"
    with pytest.raises(ValueError, match=said):
        banditlab.simulate(arena)


# --- problems -----------------------------------------------------------------------------------


def test_clipped_noise_has_the_mean_that_is_stated():
    rng = np.random.default_rng(0)
    for centre, sd in ((5770.0, 300.0), (5650.0, 300.0), (50.0, 300.0), (3000.0, 4000.0)):
        drawn = np.clip(rng.normal(centre, sd, 400_000), 0, 6000)
        stated = policy_set.clipped_mean(centre, sd, 0.0, 6000.0)
        assert drawn.mean() == pytest.approx(stated, abs=5 * drawn.std() / math.sqrt(drawn.size))
    assert policy_set.clipped_mean(5770.0, 300.0, 0.0, 6000.0) == pytest.approx(5731.8, abs=0.05)
    assert policy_set.clipped_mean(5650.0, 300.0, 0.0, 6000.0) == pytest.approx(5632.0, abs=0.05)
    assert policy_set.clipped_mean(7.0, 0.0, 0.0, 6.0) == 6.0


SEEDS = {  # two policies, two conditions, two seeds, an episode each: the seed is in the hundreds
    "policy": ["b", "a"] * 4, "condition": ["mad", "mad", "none", "none"] * 2,
    "seed": [1] * 4 + [2] * 4, "return": [121, 111, 120, 110, 221, 211, 220, 210],
}  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "means"),
    [
        ({"seed": 1}, [[120, 121], [110, 111]]),  # b came first
        ({"seed": "2", "policy": ["a", "b"]}, [[220, 221], [210, 211]]),
        ({"condition": "mad", "seed": [1, 2]}, [[171], [161]]),
        ({}, [[170, 171], [160, 161]]),
    ],
)
def test_a_pool_is_of_the_rows_that_are_wanted(rows, means):
    pool = banditlab.make_problem("return_pool", log=SEEDS, rows=rows)
    found = pool.params.payoffs
    assert sorted(found.tolist()) == sorted(means)


def test_a_policy_for_ever_is_played_for_ever():
    pool = banditlab.make_problem("return_pool", log=SEEDS, rows={"seed": 1}, block=3)
    means = pool.params.payoffs
    arena = {
        "protocol": "policies", "horizon": 9,
        "problem": {"name": "return_pool", "log": SEEDS, "rows": {"seed": 1}, "block": 3},
        "checkpoints": [9], "replications": 2,
        "agents": [{"name": "static", "arm": k, "label": str(k)} for k in range(2)],
    }  # fmt: skip
    curves = banditlab.simulate(arena)
    for k in range(2):  # attacked in 3 episodes, none in 3, attacked in 3
        by_hand = (6 * means[k, 1] + 3 * means[k, 0]) / 9
        assert curves.raw(str(k), "return") == pytest.approx(np.full((2, 1), by_hand))
    drawn = {banditlab.Agent("static", n_arms=3, seed=seed).act() for seed in range(30)}
    assert drawn == {0, 1, 2}
    with pytest.raises(ValueError, match="arm must be below 2, the number of arms, got 2"):
        banditlab.Agent("static", n_arms=2, arm=2)


def test_a_pool_has_the_means_of_its_cells():
    made = banditlab.make_problem("return_pool", pool=[[[9, 8], [1, 2, 3]], [[5], [5, 6]]])
    assert made.params.payoffs.tolist() == [[8.5, 2.0], [5.0, 5.5]]
    assert (made.low, made.high) == (1.0, 9.0)
    cut = banditlab.make_problem("return_pool", pool=[[[9, 8]], [[5]]], low=6, high=8.5)
    assert cut.params.payoffs.tolist() == [[8.25], [6.0]]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "either pool or log must be given"),
        ({"pool": [[[1.0]]]}, "for at least 2 policies"),
        ({"pool": [[[1.0]], [[]]]}, r"pool\[1\]\[0\] must be a list of finite returns"),
        ({"pool": [[[1.0]], [[np.nan]]]}, r"pool\[1\]\[0\] must be"),
        ({"pool": [[[1.0]], [[1.0], [2.0]]]}, r"pool\[1\] must have a list of returns for each"),
        ({"pool": [[[1.0]], [[1.0]]]}, "low must be below high"),
        ({"pool": [[[1.0]], [[2.0]]], "low": 3}, "low must be below high"),
        ({"pool": [[[1.0]], [[2.0]]], "rows": {"seed": 1}}, "rows must say which rows of log"),
        ({"log": SEEDS, "rows": "seed"}, "rows must say which rows of log"),
        ({"log": SEEDS, "rows": {"seed": 9}}, "rows: no row that is left has seed 9"),
        ({"log": SEEDS, "rows": {"sed": 1}}, "sed"),
        ({"log": SEEDS, "rows": {"policy": "a"}}, "at least 2 are needed"),
    ],
)
def test_bad_pools_are_refused(given, said):
    with pytest.raises(ValueError, match=said):
        banditlab.make_problem("return_pool", **given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"payoffs": [[1.0, 2.0]], "high": 2}, "at least 2 rows"),
        ({"payoffs": [[np.nan], [1.0]]}, "must be finite"),
        ({"payoffs": [[1.0], [0.0]], "low": 1.0}, "low must be below high"),
        ({"payoffs": [[1.0, 0.0]] * 2, "sd": -1}, "sd must"),
    ],
)
def test_bad_matrices_are_refused(given, said):
    with pytest.raises(ValueError, match=said):
        banditlab.make_problem("matrix_attack", **given)


def test_every_attacker_of_a_few_states():
    """Perturbation sets are products: each state's own observations, independently."""
    seen = {tuple(nu.tolist()) for nu in all_attackers(corridor())}
    options = [(0, 1), (0, 1, 2), (1, 2, 3), (2, 3)]
    assert seen == {(*four, 4) for four in itertools.product(*options)}
