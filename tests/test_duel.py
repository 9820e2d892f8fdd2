"""Protocol duel: what play is worth, who is asked, changing preferences, and what is refused."""

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import linprog

import banditlab
from banditlab import bounds, random
from banditlab.agent import quiet
from banditlab.arena.play import ready
from banditlab.core import kernel
from banditlab.parts.preferences import preferences
from banditlab.problems.duel_matrix import MATRICES
from banditlab.protocols import duel
from banditlab.protocols.base import Terms

RPS = [[0.5, 0.6, 0.2], [0.4, 0.5, 0.7], [0.8, 0.3, 0.5]]
FAIR = [[0.5, 0.5], [0.5, 0.5]]


def matrix_of(name, **given):
    return banditlab.make_problem(name, **given).params.matrices[0]


def exploitability(P, p):
    return float(((2 * np.asarray(P) - 1) @ p).max())


def solved(P):
    """A von Neumann winner, by linear programming, and the value of the game."""
    A, K = 2 * np.asarray(P) - 1, len(P)
    game = linprog(
        np.append(np.zeros(K), -1.0),
        A_ub=np.hstack([-A.T, np.ones((K, 1))]),
        b_ub=np.zeros(K),
        A_eq=[[1.0] * K + [0.0]],
        b_eq=[1.0],
        bounds=[(0, None)] * K + [(None, None)],
    )
    return game.x[:-1], -game.fun


# --- known matrices ------------------------------------------------------------------------------


def test_known_matrices_have_their_scores():
    copeland = {name: ((P > 0.5).sum(axis=1)).tolist() for name, P in MATRICES.items()}
    assert copeland["six_rankers"] == [5, 4, 3, 1, 1, 0]
    assert copeland["cyclic"] == [3, 1, 1, 1] and copeland["mslr_cycle5"] == [3, 3, 3, 1, 0]
    assert copeland["arithmetic"] == list(range(7, -1, -1))
    assert copeland["mslr_cond5"] == [4, 3, 2, 1, 0]
    assert copeland["sushi16"] == list(range(15, -1, -1))
    borda = {name: (P.sum(axis=1) - 0.5) / (len(P) - 1) for name, P in MATRICES.items()}
    known = [0.572, 0.546, 0.502, 0.482, 0.454, 0.444]
    assert borda["six_rankers"].round(3).tolist() == known
    assert borda["mslr_cycle5"].argmax() == 1 and borda["mslr_cycle5"].max().round(4) == 0.5165
    assert borda["sushi16"][:2].round(6).tolist() == [0.7394, 0.733733]
    assert (np.argsort(-borda["sushi16"])[:4] == [0, 1, 3, 2]).all()
    assert MATRICES["mslr_cond5"][3, 4] == 0.50999465 and MATRICES["six_rankers"][1, 3] == 0.55


@pytest.mark.parametrize(
    "P, winner",
    [
        (MATRICES["mslr_cycle5"], np.array([19, 19, 16, 0, 0]) / 54),
        (RPS, [1 / 3, 1 / 2, 1 / 6]),
        *((MATRICES[name], np.eye(len(MATRICES[name]))[0])
          for name in ("cyclic", "six_rankers", "arithmetic", "mslr_cond5", "sushi16")),
    ],
)  # fmt: skip
def test_the_von_neumann_winner_of_the_literature_cannot_be_exploited(P, winner):
    assert exploitability(P, winner) < 1e-12
    found, value = solved(P)
    assert abs(value) < 1e-9 and found == pytest.approx(winner, abs=1e-7)


def test_families_are_what_they_say():
    assert matrix_of("duel_rps", a=0.1, b=0.2, c=0.3) == pytest.approx(np.array(RPS))
    groups = matrix_of("duel_subpopulations", rankings=[[0, 1, 2], [1, 2, 0], [2, 0, 1]],
                       weights=[0.4, 0.35, 0.25])  # fmt: skip
    assert groups[[0, 1, 2], [1, 2, 0]] == pytest.approx([0.65, 0.75, 0.6])
    assert exploitability(groups, [0.5, 0.2, 0.3]) < 1e-12
    assert matrix_of("duel_cyclic") == pytest.approx(MATRICES["cyclic"])
    other = matrix_of("duel_cyclic", n_arms=6, lead=0.05, cycle=0.4)
    assert (other[0, 1:] == 0.55).all()
    for i in range(5):
        for step, p in ((1, 0.9), (2, 0.9), (3, 0.1), (4, 0.1)):
            assert other[1 + i, 1 + (i + step) % 5] == pytest.approx(p)
    assert matrix_of("duel_btl", weights=[3.0, 1.0, 1.0])[0, 1] == 0.75
    drawn = np.random.default_rng(4).random((5, 5))
    assert matrix_of("duel_random", n_arms=5, seed=4)[1, 3] == drawn[1, 3]
    names = [np.array(matrix_of("duel_random", seed=s)) for s in range(20)]
    assert sum(duel.condorcet_winner(P) >= 0 for P in names) == 1


def test_on_the_circle_exploitability_has_a_closed_form():
    P = matrix_of("duel_circle", n_arms=36, kappa=0.7)
    theta = 2 * np.pi * np.arange(36) / 36
    assert exploitability(P, np.full(36, 1 / 36)) < 1e-12
    assert exploitability(P, np.eye(36)[5]) == pytest.approx(0.7)
    p = np.random.default_rng(1).dirichlet(np.ones(36))
    m = (p * np.exp(1j * theta)).sum()
    closed = 0.7 * (np.exp(1j * theta) * np.conj(m)).imag.max()
    assert exploitability(P, p) == pytest.approx(closed) and closed <= 0.7 * abs(m) + 1e-15


@pytest.mark.parametrize("judge", ["return", "logistic", "quarter"])
def test_judges_of_trajectories_agree_with_rules_applied_pair_by_pair(judge):
    rng = np.random.default_rng(2)
    rewards = rng.integers(-2, 3, size=(9, 6)).astype(float)
    problem = banditlab.make_problem(
        "duel_trajectories", rewards=rewards, judge=judge, temperature=2.0, threshold=0.0
    )

    def rule(x, y):
        if judge == "logistic":
            return 1.0 / (1.0 + math.exp(-(x.sum() - y.sum()) / 2.0))
        if judge == "return":
            a, b = x.sum(), y.sum()
        else:
            late = [z[4:].sum() for z in (x, y)]  # 18 // 4 = 4 of 6 steps are early
            early = [z[:4].sum() for z in (x, y)]
            fine = [z <= 0.0 for z in late]
            if fine[0] != fine[1]:
                return float(fine[0])
            a, b = early if fine[0] else (-late[0], -late[1])
        return 0.5 if a == b else float(a > b)

    expected = [[rule(x, y) for y in rewards] for x in rewards]
    assert problem.params.matrices[0] == pytest.approx(np.array(expected), abs=1e-12)
    ties = problem.params.tied - problem.params.left
    if judge != "logistic":
        assert ((ties[0] > 0) == ((np.array(expected) == 0.5) & ~np.eye(9, dtype=bool))).all()


# --- answers -------------------------------------------------------------------------------------


def answers(problem, left, right, n, t=0):
    """How many of ``n`` answers were 0, 1/2 and 1."""
    with quiet():
        rng = random.stream(random.key(3), 0, random.NATURE)
        world = problem.init(problem.params, rng)
        phase = problem.phase(problem.params, world, t, rng)
        got = [problem.judge(problem.params, world, phase, left, right, rng) for _ in range(n)]
    return np.array([got.count(x) for x in (0.0, 0.5, 1.0)])


@pytest.mark.parametrize("flip", [0.0, 0.2])
def test_answers_have_the_frequencies_of_wins_ties_and_mistakes(flip):
    """A mistake turns a win round, and leaves a tie a tie; an arm meets itself as a fair coin."""
    n, win, tie = 20_000, 0.5, 0.3
    P = [[0.5, win + tie / 2], [0.5 - win + 0.15 + 0.05 - 0.05, 0.5]]
    P[1][0] = 1.0 - P[0][1]
    problem = preferences(P, ties=[[0, tie], [tie, 0]], flip=flip)
    right = 1.0 - win - tie
    expected = np.array([right + flip * (win - right), tie, win + flip * (right - win)])
    for pair, share in (((0, 1), expected), ((1, 0), expected[::-1]), ((0, 0), [0.5, 0.0, 0.5])):
        z = (answers(problem, *pair, n) - n * np.array(share)) / math.sqrt(n / 4)
        assert abs(z).max() < 4.5
    assert problem.params.matrices[0, 0, 1] == 0.65  # regret does not count mistakes


def test_a_replay_draws_answers_as_they_were_given():
    wins, ties = [[9, 30, 0], [10, 0, 0], [0, 0, 0]], [[0, 20, 0], [20, 0, 0], [0, 0, 0]]
    problem = banditlab.make_problem("duel_replay", wins=wins, ties=ties)
    n = 20_000
    z = (answers(problem, 0, 1, n) - n * np.array([1 / 6, 1 / 3, 1 / 2])) / math.sqrt(n / 4)
    assert abs(z).max() < 4.5
    z = (answers(problem, 0, 2, n) - n * np.array([0.5, 0.0, 0.5])) / math.sqrt(n / 4)
    assert abs(z).max() < 4.5  # they never met


def test_phases_begin_when_they_say_and_start_over():
    sure, never = [[0.5, 1.0], [0.0, 0.5]], [[0.5, 0.0], [1.0, 0.5]]
    given = {"matrices": [sure, never, FAIR], "starts": [3, 5]}
    once = banditlab.make_problem("duel_sequence", **given)
    over = banditlab.make_problem("duel_sequence", **given, period=6)
    for problem, expected in ((once, [0, 0, 0, 1, 1, 2, 2, 2, 2, 2, 2]),
                              (over, [0, 0, 0, 1, 1, 2, 0, 0, 0, 1, 1])):  # fmt: skip
        rng = random.stream(random.key(3), 0, random.NATURE)
        world = problem.init(problem.params, rng)
        found = [problem.phase(problem.params, world, t, rng) for t in range(11)]
        assert found == expected
        world = problem.init(problem.params, rng)
        assert problem.phase(problem.params, world, 4, rng) == 1  # also from the middle


# --- what play is worth --------------------------------------------------------------------------


def worth(matrices, plays, advice, scale):
    """The measures from their definitions: ``plays`` holds (phase, left, right)."""
    K = len(advice)
    A = 2 * matrices - 1
    against, borda = np.zeros(K), np.zeros(K)
    strong = weak = copeland = made = 0.0
    for h, i, j in plays:
        P = matrices[h]
        against += (A[h][:, i] + A[h][:, j]) / 4
        scores = np.array([np.delete(P[k], k).mean() for k in range(K)])
        borda += scores
        made += (scores[i] + scores[j]) / 2
        wins = np.array([sum(P[k, m] > 0.5 for m in range(K) if m != k) for k in range(K)])
        copeland += (wins.max() - (wins[i] + wins[j]) / 2) / (K - 1)
        w = wins.argmax() if wins.max() == K - 1 else None
        strong += math.nan if w is None else scale * (P[w, i] + P[w, j] - 1)
        weak += math.nan if w is None else min(P[w, i], P[w, j]) - 0.5
    mean = sum(A[h] for h, _, _ in plays) / len(plays)
    return [against.max(), strong, weak, copeland, borda.max() - made, (mean @ advice).max()]


@pytest.mark.parametrize("names", [["six_rankers"], ["mslr_cond5", "mslr_cond5"],
                                   ["mslr_cycle5", "mslr_cond5"]])  # fmt: skip
def test_every_measure_is_what_its_definition_says(names):
    rng = np.random.default_rng(5)
    matrices = np.array([MATRICES[name] for name in names])
    matrices[-1] = matrices[-1][::-1, ::-1]  # another winner in the second phase
    K = matrices.shape[1]
    plays = [(rng.integers(len(names)), *rng.integers(K, size=2)) for _ in range(400)]
    duels = np.zeros(matrices.shape, np.int64)
    for h, i, j in plays:
        duels[h, i, j] += 1
    advice, out = rng.dirichlet(np.ones(K)), np.full(6, 7.0)
    duel.score(matrices, 0.8, duels, advice, out)
    expected = np.array(worth(matrices, plays, advice, 0.8))
    assert out == pytest.approx(expected, abs=1e-9, nan_ok=True)
    assert np.isnan(expected[1]) == ("mslr_cycle5" in names)


def test_vn_is_half_the_exploitability_of_what_was_played():
    P, rng = np.array(RPS), np.random.default_rng(1)
    duels = rng.integers(50, size=(1, 3, 3))
    plays = duels[0].sum(axis=0) + duels[0].sum(axis=1)
    out = np.zeros(6)
    duel.score(P[None], 0.5, duels, plays / plays.sum(), out)
    assert out[0] == pytest.approx(duels.sum() * exploitability(P, plays / plays.sum()) / 2)
    assert out[0] == pytest.approx(duels.sum() * out[5] / 2) and out[0] >= 0


@kernel
def _init(params, task, rng):
    return duel.Task(0)


@kernel
def _always(params, state, t, rng):
    return 0, 1


@kernel
def _deaf(params, state, t, left, right, win, rng):
    pass


@kernel
def _first(params, state, rng, out):
    out[:] = 0.0
    out[0] = 1.0


def stubborn(problem, rounds, replications):
    """The record of who plays (0, 1) and recommends 0."""
    algorithm = duel.Duel((), _init, _always, _deaf, _first)
    loop = duel.loop(Terms(algorithm, problem, rounds), np.array([1, rounds]))
    record = np.zeros((replications, 2, 6))
    ready(loop, random.key(11))(0, record, np.zeros(2, np.int64))
    return record


def test_arms_are_numbered_anew_in_every_replication():
    P, R = MATRICES["mslr_cond5"], 60
    record = stubborn(preferences(P), 10, R)
    seen = set()
    for r in range(R):
        with quiet():
            nature = random.stream(random.key(11), r, random.NATURE)
            arms = duel.new_names(5, True, nature)
        assert sorted(arms) == list(range(5))
        seen.add(tuple(arms))
        i, j = arms[:2]
        assert record[r, 1, 1] == pytest.approx(5 * (P[0, i] + P[0, j] - 1))
        assert record[r, 1, 2] == pytest.approx(10 * (min(P[0, i], P[0, j]) - 0.5))
        assert record[r, 1, 5] == pytest.approx((2 * P[:, i] - 1).max())
    assert len(seen) > 40
    fixed = stubborn(preferences(P, permuted=False), 10, 3)
    assert fixed[:, 1, 1] == pytest.approx(5 * (P[0, 1] - 0.5))


def test_new_numbers_are_even():
    counts = np.zeros((3, 3))
    with quiet():
        for r in range(3000):
            arms = duel.new_names(3, True, random.stream(random.key(1), r, random.NATURE))
            counts[range(3), arms] += 1
    assert abs(counts / 3000 - 1 / 3).max() < 4.5 * math.sqrt(2 / 9 / 3000)


def test_scale_is_that_of_strong_regret():
    P = MATRICES["mslr_cond5"]
    half, whole = (stubborn(preferences(P, scale=s), 10, 4) for s in (0.5, 1.0))
    assert whole[..., 1] == pytest.approx(2 * half[..., 1])
    assert (np.delete(whole, 1, axis=2) == np.delete(half, 1, axis=2)).all()


def test_noise_leaves_the_game_as_it_is():
    """Answers flipped with h/2: what is seen has (1 - h) A, and the same winner."""
    seen = preferences(RPS, flip=0.15).params.left[0]
    assert 2 * seen - 1 == pytest.approx(0.7 * (2 * np.array(RPS) - 1))
    assert solved(seen)[0] == pytest.approx([1 / 3, 1 / 2, 1 / 6], abs=1e-7)


# --- without a winner ----------------------------------------------------------------------------


def test_condorcet_regret_without_a_winner_is_refused_by_name():
    arena = {"protocol": "duel", "problem": {"name": "duel_rps"}, "agents": [{"name": "rucb"}]}
    for name in ("strong", "weak"):
        with pytest.raises(ValueError, match='no Condorcet winner.*measure = "vn" or "copeland"'):
            banditlab.simulate({**arena, "measure": name}, horizon=10, replications=2)
    curves = banditlab.simulate(arena, horizon=300, replications=3)
    frame = curves.frame()
    assert not frame[frame.measure == "vn"]["mean"].isna().any()


# --- constants -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, by_winner, by_best",
    [
        ("six_rankers", 20.735, 20.735), ("arithmetic", 12.712, 12.712), ("cyclic", 7.450, 0.815),
        ("mslr_cond5", 11.120, 11.120), ("sushi16", 35.249, 34.040),
    ],
)  # fmt: skip
def test_asymptotic_constants_are_those_of_the_authors_program(name, by_winner, by_best):
    P = MATRICES[name]
    assert bounds.dueling(P, best_opponent=False) == pytest.approx(by_winner, abs=6e-4)
    assert bounds.dueling(P) == pytest.approx(by_best, abs=6e-4)
    turned = P[::-1, ::-1]
    assert bounds.dueling(turned) == pytest.approx(bounds.dueling(P))
    assert bounds.dueling(P, scale=1.0) == pytest.approx(2 * bounds.dueling(P))


def test_constants_need_a_winner():
    for bad in (MATRICES["mslr_cycle5"], FAIR):
        with pytest.raises(ValueError, match="must have a Condorcet winner"):
            bounds.dueling(bad)
    for bad, said in (
        ([[0.5, 0.6]], "must be a square matrix, got shape"),
        ([["a"]], "must be a square matrix of numbers"),
        ([[0.5, 2.0], [-1.0, 0.5]], r"\[0, 1\] must lie in \[0, 1\], got 2.0"),
        ([[0.5, 0.9], [0.9, 0.5]], r"\[0, 1\] \+ matrix\[1, 0\] must be 1"),
        ([[0.7]], r"\[0, 0\] must be 0.5"),
    ):
        with pytest.raises(ValueError, match="^matrix ?" + said):
            bounds.dueling(bad)
    assert bounds.dueling([[0.5]]) == 0.0
    assert bounds.dueling([[0.5, 1.0], [0.0, 0.5]]) == pytest.approx(0.25 / math.log(2.0))


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "matrix, message",
    [
        ([[0.5, 0.6]], "square"), ("six", "unknown matrix 'six'"), ([["a"]], "table of numbers"),
        ([[0.5, float("nan")], [0.4, 0.5]], r"matrix\[0\]\[1\] must lie in \[0, 1\], got nan"),
        ([[0.5, 1.2], [-0.2, 0.5]], r"matrix\[0\]\[1\] must lie in \[0, 1\], got 1.2"),
        ([[0.5, 0.6], [0.5, 0.5]], r"matrix\[0\]\[1\] \+ matrix\[1\]\[0\] must be 1"),
        ([[0.6, 0.6], [0.4, 0.5]], r"matrix\[0\]\[0\] must be 0.5, got 0.6"),
        ([[0.5, 0.601], [0.4, 0.5]], r"must be 1, got 0.601 \+ 0.4 \(symmetrise=true\)"),
        ([], "square"), ([FAIR, FAIR], "matrix must be one square table, got the shape"),
    ],
)  # fmt: skip
def test_a_matrix_that_is_none_is_refused(matrix, message):
    with pytest.raises(ValueError, match=message):
        banditlab.make_problem("duel_matrix", matrix=matrix)


def test_rounding_is_mended_on_request():
    P = matrix_of("duel_matrix", matrix=[[0.5, 0.601], [0.401, 0.5]], symmetrise=True)
    assert P[0, 1] == pytest.approx(0.6) and P[0, 1] + P[1, 0] == 1.0
    with pytest.raises(ValueError, match="must be 1"):
        matrix_of("duel_matrix", matrix=[[0.5, 0.65], [0.4, 0.5]], symmetrise=True)


@pytest.mark.parametrize(
    "name, given, message",
    [
        ("duel_matrix", {"flip": 0.5}, "flip must be at least 0 and below 1/2, got 0.5"),
        ("duel_matrix", {"flip": -0.1}, "flip must be"),
        ("duel_matrix", {"scale": 0.0}, "scale must be positive"),
        ("duel_matrix", {"matrix": FAIR, "ties": [[0, 1.5], [1.5, 0]]}, r"ties\[0\]\[1\]"),
        ("duel_matrix", {"matrix": FAIR, "ties": [[0, 0.5], [0.4, 0]]}, r"ties\[0\]\[1\]"),
        ("duel_matrix", {"matrix": FAIR, "ties": [[0]]}, "ties must have the shape"),
        ("duel_matrix", {"matrix": FAIR, "ties": [FAIR, FAIR]}, "ties must have the shape"),
        ("duel_matrix", {"matrix": [[0.5, 0.9], [0.1, 0.5]], "ties": [[0, 0.5], [0.5, 0]]},
         r"ties\[0\]\[1\] must be at most 0.2"),
        ("duel_rps", {"a": 0.6}, r"a must lie in \[0, 0.5\]"),
        ("duel_cyclic", {"n_arms": 3}, "n_arms must be at least 4"),
        ("duel_circle", {"n_arms": 2}, "n_arms must be at least 3"),
        ("duel_circle", {"kappa": 1.5}, r"kappa must lie in \[0, 1\]"),
        ("duel_random", {"n_arms": 0}, "n_arms must be at least 1"),
        ("duel_btl", {"weights": [1.0, 0.0]}, r"weights\[1\]"),
        ("duel_subpopulations", {"rankings": [[0, 1], [0, 0]]}, r"rankings\[1\] must hold every"),
        ("duel_subpopulations", {"rankings": [[0, 1]], "weights": [0.9]}, "sum to 1"),
        ("duel_subpopulations", {"rankings": []}, "rankings must be a list"),
        ("duel_trajectories", {"rewards": [[1, 2, 3]], "judge": "quarter"}, "at least 4 steps"),
        ("duel_trajectories", {"rewards": [[1, 2], [3]]}, "a row per trajectory"),
        ("duel_trajectories", {"rewards": [[1.0]], "temperature": 0}, "temperature must be pos"),
        ("duel_trajectories", {"rewards": [[1.0]], "judge": "sum"}, "judge must be one of"),
        ("duel_sequence", {"matrices": [FAIR, FAIR], "starts": []}, "2 matrices need starts at 1"),
        ("duel_sequence", {"matrices": [FAIR, FAIR], "starts": [0]}, r"starts\[0\] must be at"),
        ("duel_sequence", {"matrices": [FAIR] * 3, "starts": [5, 5]}, r"starts\[1\] must be at"),
        ("duel_sequence", {"matrices": [FAIR, RPS], "starts": [5]}, r"matrices\[1\] must have 2"),
        ("duel_sequence", {"matrices": [FAIR] * 2, "starts": [5], "period": 5}, "period must be"),
        ("duel_replay", {"wins": [[[0, 1], [2, 0]]] * 2}, "wins must be one square table"),
        ("duel_sequence", {"matrices": [FAIR] * 2, "starts": [10**30]}, r"starts\[0\] must be"),
        ("duel_sequence", {"matrices": [FAIR], "starts": [], "period": 10**30}, "period must be"),
        ("duel_replay", {"wins": [[0, -1], [2, 0]]}, r"wins\[0\]\[1\] must be at least 0"),
        ("duel_replay", {"wins": [[0, 1], [2, 0]], "ties": [[0, 1], [2, 0]]}, r"ties\[0\]\[1\]"),
    ],
)  # fmt: skip
def test_other_arguments_are_refused_in_one_line(name, given, message):
    with pytest.raises(ValueError, match=message) as error:
        banditlab.make_problem(name, **given)
    assert "\n" not in str(error.value) and str(error.value).startswith(name)


# --- the face ------------------------------------------------------------------------------------


def test_the_face_refuses_what_is_no_duel():
    agent = banditlab.Agent("rucb", n_arms=3)
    for pair in ((0, 3), (0,), 5, (0.5, 1), (-1, 0), "ab", (0, 1, 2), None):
        with pytest.raises(ValueError, match="^pair must be two arms, each 0 to 2"):
            agent.update(pair, 1)
    for win in (0.7, 2, "left", None, float("nan"), [1, 2]):
        with pytest.raises(ValueError, match="^win must be 1"):
            agent.update((0, 1), win)
    for n_arms in (0, 1.5, "3"):
        with pytest.raises(ValueError, match="^n_arms must be"):
            banditlab.Agent("rucb", n_arms=n_arms)
    with pytest.raises(ValueError, match="^horizon must be at most"):
        banditlab.Agent("spo_exp3", n_arms=2, horizon=10**30)
    for shown, said in (
        ([[0.5]], " must have 3 rows, got 1"),
        ([["a"] * 3] * 3, " must be a square matrix of numbers"),
        ([[2.0] * 3] * 3, r"\[0, 0\] must lie in"),
        ([[0.5, 0.6], [0.6, 0.5]], r"\[0, 1\] \+ matrix\[1, 0\] must be 1"),
    ):
        with pytest.raises(ValueError, match="^matrix" + said):
            agent.reveal(shown)
    assert agent.t == 0 and agent.state.wins.sum() == 0


def test_a_tie_is_half_a_win_and_who_meets_itself_teaches_nothing():
    agent = banditlab.Agent("rucb", n_arms=2)
    agent.update((1, 0), 0.5)
    agent.update((0, 1), True)
    agent.update((np.int64(1), 1.0), np.float64(1.0))
    assert agent.state.wins.tolist() == [[0.0, 1.5], [0.5, 0.0]] and agent.t == 3
    assert agent.recommend().tolist() == [1.0, 0.0]
    assert "t=3" in repr(agent) and "recommend" in agent._repr_html_()
    assert agent.warm_up() is agent and agent.t == 3


def test_all_pairs_are_equally_likely_to_the_control():
    agent = banditlab.Agent("random_pair", n_arms=3, seed=5)
    found = np.zeros((3, 3))
    for _ in range(4500):
        found[agent.act()] += 1
    assert abs(found - 500).max() < 4.5 * math.sqrt(500)
    assert set(itertools.product(range(3), repeat=2)) == {tuple(x) for x in np.argwhere(found)}
