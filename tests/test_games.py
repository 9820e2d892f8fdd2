"""Winners of preference matrices against closed forms, enumeration and a second game solver."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from banditlab import games
from banditlab.problems.duel_matrix import MATRICES

RPS = np.array([[0.5, 0.6, 0.2], [0.4, 0.5, 0.7], [0.8, 0.3, 0.5]])
CONDORCET = ("cyclic", "six_rankers", "arithmetic", "mslr_cond5", "sushi16")
GROUPS = np.array([[0.5, 0.65, 0.4], [0.35, 0.5, 0.75], [0.6, 0.25, 0.5]])  # of three rankings


def drawn(K, seed):
    upper = np.triu(np.random.default_rng(seed).random((K, K)), 1)
    return upper + np.tril(1.0 - upper.T, -1) + np.eye(K) / 2.0


def by_supports(P):
    """The von Neumann winner by enumeration: A p = 0 on an odd support, A p <= 0 elsewhere."""
    A, K = 2.0 * P - 1.0, len(P)
    for size in range(1, K + 1, 2):
        for support in map(list, itertools.combinations(range(K), size)):
            equations = np.vstack([A[np.ix_(support, support)], np.ones(size)])
            q = np.linalg.lstsq(equations, np.append(np.zeros(size), 1.0), rcond=None)[0]
            p = np.zeros(K)
            p[support] = q
            if (p >= -1e-12).all() and (A @ p).max() <= 1e-9 and abs(p.sum() - 1.0) < 1e-9:
                return p
    raise AssertionError("a symmetric game has a value")


# --- von Neumann winners ------------------------------------------------------------------------


@pytest.mark.parametrize(("a", "b", "c"), [(0.1, 0.2, 0.3), (0.4, 0.05, 0.2), (0.5, 0.5, 0.5)])
def test_three_arms_in_a_circle_have_the_margins_as_odds(a, b, c):
    P = np.array([[0.5, 0.5 + a, 0.5 - c], [0.5 - a, 0.5, 0.5 + b], [0.5 + c, 0.5 - b, 0.5]])
    assert np.allclose(games.von_neumann(P), np.array([b, c, a]) / (a + b + c), atol=1e-12)


@pytest.mark.parametrize(
    ("P", "winner"),
    [
        (MATRICES["mslr_cycle5"], np.array([19, 19, 16, 0, 0]) / 54),
        (GROUPS, [0.5, 0.2, 0.3]),
        *((MATRICES[name], np.eye(len(MATRICES[name]))[0]) for name in CONDORCET),
    ],
)
def test_known_von_neumann_winners(P, winner):
    p = games.von_neumann(P)
    assert np.allclose(p, winner, atol=1e-9)
    assert games.exploitability(P, p) <= 1e-9


@pytest.mark.parametrize("seed", range(40))
def test_linear_program_against_enumeration_and_the_value_of_the_game(seed):
    from scipy.optimize import linprog

    K = 2 + seed % 11  # up to 12
    P = drawn(K, seed)
    p = games.von_neumann(P)
    assert games.exploitability(P, p) <= 1e-9 and p.min() >= 0 and abs(p.sum() - 1) < 1e-12
    if K <= 9:
        assert np.allclose(p, by_supports(P), atol=1e-8)
    A = 2.0 * P - 1.0  # the program of the other player, whose value is the same: 0
    value = linprog(
        np.append(np.zeros(K), 1.0), A_ub=np.hstack([A, -np.ones((K, 1))]), b_ub=np.zeros(K),
        A_eq=np.append(np.ones(K), 0.0)[None], b_eq=[1.0], bounds=[(0, 1)] * K + [(None, None)],
    )  # fmt: skip
    assert abs(value.fun) <= 1e-9


@pytest.mark.parametrize("seed", range(30))
def test_three_arms_mix_if_and_only_if_they_form_a_circle(seed):
    P = drawn(3, seed)
    beats = P > 0.5
    circle = (beats.sum(axis=1) == 1).all()
    p = games.von_neumann(P)
    assert circle == bool((p > 1e-9).all())
    assert (games.condorcet(P) is None) == circle


def test_even_arms_have_many_winners_and_the_range_says_so():
    even = np.full((3, 3), 0.5)
    found = games.von_neumann_range(even)
    assert np.allclose(found.least, 0) and np.allclose(found.largest, 1)
    assert np.allclose(found.middle, 1 / 3)
    drawn_anew = [games.von_neumann(even, np.random.default_rng(s)).argmax() for s in range(20)]
    assert {*drawn_anew} == {0, 1, 2}
    found = games.von_neumann_range(RPS)
    assert np.allclose(found.least, [1 / 3, 1 / 2, 1 / 6])
    assert np.allclose(found.largest, found.least) and np.allclose(found.middle, found.least)


def test_a_dominated_clone_changes_nothing_and_noise_scales():
    worst = np.vstack([np.hstack([RPS, np.full((3, 1), 0.9)]), [[0.1, 0.1, 0.1, 0.5]]])
    clone = np.vstack([np.hstack([worst, worst[:, 3:]]), np.append(worst[3], 0.5)[None]])
    assert np.allclose(games.von_neumann(clone)[:3], games.von_neumann(RPS))
    blurred = 0.7 * RPS + 0.15  # 3 of 10 answers are coins
    assert np.allclose(games.von_neumann(blurred), games.von_neumann(RPS))
    p = [0.2, 0.5, 0.3]
    assert games.exploitability(blurred, p) == pytest.approx(0.7 * games.exploitability(RPS, p))


def test_circle_of_36():
    angle = 2 * np.pi * np.arange(36) / 36
    P = (1 + np.sin(angle[:, None] - angle[None, :])) / 2
    assert games.exploitability(P, np.full(36, 1 / 36)) < 1e-12
    assert games.exploitability(P, np.eye(36)[5]) == pytest.approx(1.0)
    p = np.random.default_rng(0).dirichlet(np.ones(36))
    m = p @ np.exp(1j * angle)
    closed = (np.exp(1j * angle) * np.conj(m)).imag.max()
    assert games.exploitability(P, p) == pytest.approx(closed, abs=1e-12) and closed <= abs(m)


# --- scores -------------------------------------------------------------------------------------


def test_known_scores():
    six = MATRICES["six_rankers"]
    assert games.copeland(six).tolist() == [5, 4, 3, 1, 1, 0]
    assert np.allclose(games.borda(six), [0.572, 0.546, 0.502, 0.482, 0.454, 0.444])
    assert games.copeland(MATRICES["cyclic"]).tolist() == [3, 1, 1, 1]
    cycle5 = MATRICES["mslr_cycle5"]
    assert games.copeland(cycle5).tolist() == [3, 3, 3, 1, 0] and games.condorcet(cycle5) is None
    assert games.borda(cycle5).argmax() == 1 and games.borda(cycle5)[1] == pytest.approx(0.5165)
    assert np.allclose(games.borda(RPS), [0.4, 0.55, 0.55])
    sushi = games.copeland(MATRICES["sushi16"])
    assert sushi[0] == 15 and sushi[-1] == 0 and (np.diff(sushi) < 0).all()
    assert np.allclose(games.borda(MATRICES["sushi16"])[:2], [0.7394, 0.733733], atol=1e-6)
    assert games.borda([[0.5]]).tolist() == [0.5] and games.condorcet([[0.5]]) == 0


# --- Bradley-Terry ------------------------------------------------------------------------------


def test_scores_of_a_model_are_found_again():
    s = np.array([0.7, 0.1, -0.2, -0.6])
    duels = np.array([[0, 40, 10, 90], [40, 0, 70, 20], [10, 70, 0, 30], [90, 20, 30, 0]])
    wins = duels / (1 + np.exp(s[None, :] - s[:, None]))
    found = games.bradley_terry(wins)
    assert np.allclose(found.scores, s, atol=1e-7) and found.penalty == 0
    assert np.allclose(found.preferences()[0, 1], 1 / (1 + np.exp(-0.6)))


def test_known_bradley_terry_scores_collapse_to_one_arm():
    cycle5 = games.bradley_terry(1000 * MATRICES["mslr_cycle5"]).scores
    assert np.allclose(cycle5, [0.0400, 0.0528, 0.0128, -0.0480, -0.0576], atol=5e-5)
    assert games.exploitability(MATRICES["mslr_cycle5"], np.eye(5)[1]) == pytest.approx(0.038)
    groups = games.bradley_terry(100 * GROUPS).scores
    assert np.allclose(groups, [0.0672, 0.1344, -0.2016], atol=5e-5)
    assert games.exploitability(GROUPS, np.eye(3)[groups.argmax()]) == pytest.approx(0.30)


@pytest.mark.parametrize("seed", range(10))
def test_with_equal_counts_the_order_is_that_of_borda(seed):
    P = drawn(7, seed)
    scores = games.bradley_terry(50 * P).scores
    assert scores.argsort().tolist() == games.borda(P).argsort().tolist()


def test_likelihood_falls_wherever_one_goes():
    """The fit is a maximum, seen by a likelihood written down anew."""
    W = np.random.default_rng(3).integers(0, 9, (5, 5)).astype(float)
    W += np.eye(5)  # of no meaning

    def likelihood(s, penalty):
        pairs = itertools.permutations(range(5), 2)
        chances = (W[i, j] * np.log(1 / (1 + np.exp(s[j] - s[i]))) for i, j in pairs)
        return sum(chances) - penalty / 2 * (s @ s)

    for penalty in (0.0, 2.0):
        s = games.bradley_terry(W, penalty=penalty).scores
        top = likelihood(s, penalty)
        for step in np.vstack([np.eye(5), -np.eye(5)]) * 1e-3:
            assert likelihood(s + step - step.mean(), penalty) < top


def test_who_never_loses_is_held_by_a_penalty_and_said():
    wins = [[0, 3, 2], [0, 0, 1], [0, 1, 0]]
    found = games.bradley_terry(wins)
    assert found.penalty == games.PENALTY and found.scores.argmax() == 0
    assert found.scores.max() < 10 and abs(found.scores.sum()) < 1e-8
    with pytest.raises(ValueError, match="penalty must be positive here"):
        games.bradley_terry(wins, penalty=0)


def test_groups_that_never_meet_are_not_compared():
    wins = np.zeros((5, 5))
    wins[0, 1], wins[1, 0], wins[2, 3], wins[3, 2] = 3, 1, 1, 2
    found = games.bradley_terry(wins)
    assert found.component.tolist() == [0, 0, 1, 1, 2] and found.penalty == 0
    assert np.allclose(found.scores[0] - found.scores[1], np.log(3), atol=1e-6)
    assert np.allclose(found.scores[3] - found.scores[2], np.log(2), atol=1e-6)
    for group in ([0, 1], [2, 3], [4]):
        assert abs(found.scores[group].sum()) < 1e-8
    P = found.preferences()
    assert P[0, 2] == 0.5 and P[0, 1] == pytest.approx(0.75)


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("P", "said"),
    [
        ([[0.5, 0.5]], "P must be a square matrix, got shape (1, 2)"),
        ([], "P must be a square matrix, got shape (0,)"),
        ("x", "P must be a square matrix of numbers"),
        ([[0.5, np.nan], [0.5, 0.5]], "P[0, 1] must lie in [0, 1], got nan"),
        ([[0.5, 1.5], [-0.5, 0.5]], "P[0, 1] must lie in [0, 1], got 1.5"),
        ([[0.4, 0.5], [0.5, 0.5]], "P[0, 0] must be 0.5, got 0.4"),
        ([[0.5, 0.6], [0.3, 0.5]], "P[0, 1] + P[1, 0] must be 1, got 0.6 + 0.3"),
        ([[0.5, 0.601], [0.4, 0.5]], "0.601 + 0.4; symmetrise=True sets rounding right"),
    ],
)
def test_no_preference_matrix(P, said):
    with pytest.raises(ValueError) as error:
        games.preference_matrix(P)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_rounded_tables_and_strategies():
    found = games.preference_matrix([[0.5, 0.601], [0.4, 0.5]], symmetrise=True)
    assert np.allclose(found, [[0.5, 0.6005], [0.3995, 0.5]])
    with pytest.raises(ValueError, match="must be 1"):
        games.preference_matrix([[0.5, 0.7], [0.4, 0.5]], symmetrise=True)
    for p in ([0.5, 0.6, 0], [1, 0], [1.5, -0.5, 0], "x"):
        with pytest.raises(ValueError, match="p must be 3 probabilities"):
            games.exploitability(RPS, p)
    with pytest.raises(ValueError, match=r"wins\[1, 0\] must lie in \[0, 1e\+15\], got -1"):
        games.bradley_terry([[0, 1], [-1, 0]])
    with pytest.raises(ValueError, match="wins must be a square matrix"):
        games.bradley_terry([1, 2])


def test_scores_do_not_depend_on_the_unit_of_the_counts():
    W = np.array([[0.0, 7.0, 2.0], [3.0, 0.0, 5.0], [4.0, 1.0, 0.0]])
    for unit in (1e-12, 1e9):
        found = games.bradley_terry(unit * W, penalty=0.0).scores
        assert found == pytest.approx(games.bradley_terry(W).scores, abs=1e-6)
    with pytest.raises(ValueError, match=r"^wins\[0, 1\] must lie in \[0, 1e\+15\], got 1e\+308"):
        games.bradley_terry([[0, 1e308], [1e308, 0]])
    with pytest.raises(ValueError, match="^start must hold 3 scores, got 1"):
        games.bradley_terry(W, start=[0.0])
    with pytest.raises(ValueError, match="^symmetrise must be true or false, got 'no'"):
        games.preference_matrix([[0.5]], symmetrise="no")
