"""Self-play: deterministic values, identities, and second implementations that are slow."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import banditlab
from banditlab import games
from banditlab.agents.dueling.bt_argmax import fit_scores
from banditlab.problems.duel_matrix import MATRICES

RPS = np.array([[0.5, 0.6, 0.2], [0.4, 0.5, 0.7], [0.8, 0.3, 0.5]])


def shown(name, P, rounds, horizon=None, **hyper):
    """An agent of full information after some rounds."""
    agent = banditlab.Agent(name, n_arms=len(P), horizon=horizon or rounds, **hyper)
    for _ in range(rounds):
        agent.update((0, 0), 1)
        agent.reveal(P)
    return agent


def softmax(values):
    weights = np.exp(values - values.max())
    return weights / weights.sum()


def asked(agent, P, duels, seed=0):
    """The agent after so many duels by P, and who met whom and won."""
    rng, met = np.random.default_rng(seed), []
    for _ in range(duels):
        pair = agent.act()
        win = float(rng.random() < P[pair])
        agent.update(pair, win)
        met.append((*pair, win))
    return met


# --- Hedge against itself -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("P", "rounds", "average", "last"),
    [
        (RPS, 100, 0.04935, 0.0971),
        (RPS, 1000, 0.01614, 0.0888),
        (MATRICES["six_rankers"], 100, 0.07341, 0.0353),
        (MATRICES["six_rankers"], 1000, 0.02984, 0.0009),
        (MATRICES["mslr_cycle5"], 1000, 0.01209, None),
    ],
)
def test_exploitability_of_the_average_and_of_the_last(P, rounds, average, last):
    agent = shown("hedge_selfplay", P, rounds)
    found = games.exploitability(P, agent.recommend())
    assert found == pytest.approx(average, abs=1e-5)
    assert found <= math.sqrt(2 * math.log(len(P)) / rounds)
    if last is not None:
        agent = shown("hedge_selfplay", P, rounds, output="last")
        assert games.exploitability(P, agent.recommend()) == pytest.approx(last, abs=5e-5)


@pytest.mark.parametrize(
    ("optimistic", "rounds", "near"),
    [(True, 100, 0.0653), (True, 1000, 0.00114), (False, 1000, 0.3355)],
)
def test_the_last_strategy_converges_if_it_is_optimistic(optimistic, rounds, near):
    # p_t is what is played in round t, so it is named after t - 1 rounds.
    agent = shown("hedge_selfplay", RPS, rounds - 1, eta=0.5, optimistic=optimistic, output="last")
    assert games.exploitability(RPS, agent.recommend()) == pytest.approx(near, rel=0.005)


@pytest.mark.parametrize("start", ["even", "random"])
def test_regret_is_exploitability_and_nobody_wins_against_himself(start):
    P = MATRICES["mslr_cycle5"]
    A = 2 * P - 1
    agent = shown("hedge_selfplay", P, 300, eta=0.3, start=start)
    p = agent.state.probs
    assert abs(p @ A @ p) < 1e-14
    assert agent.state.scores.max() / 300 == pytest.approx(
        games.exploitability(P, agent.recommend()), abs=1e-12
    )


def test_a_clear_winner_is_found_fast():
    for D, sum_of_doubts in ((0.4, 45.2),):
        P = np.full((6, 6), 0.5)
        P[0, 1:], P[1:, 0] = 0.5 + D / 2, 0.5 - D / 2
        for i, ahead in itertools.product(range(5), (1, 2)):
            j = (i + ahead) % 5
            P[1 + i, 1 + j], P[1 + j, 1 + i] = 0.9, 0.1
        agent = shown("hedge_selfplay", P, 2000, eta=D / 4)
        assert 2000 - agent.state.played[0] == pytest.approx(sum_of_doubts, abs=0.1)
        assert 2000 - agent.state.played[0] <= 8 * math.log(6) / D**2


def test_hedge_against_a_few_lines_of_numpy():
    P, eta = MATRICES["six_rankers"], 0.2
    S, bar = np.zeros(6), np.zeros(6)
    for _ in range(200):
        p = softmax(eta * S)
        bar += p / 200
        S += (2 * P - 1) @ p
    assert np.allclose(shown("hedge_selfplay", P, 200, eta=eta).recommend(), bar, atol=1e-13)
    S, gain = np.zeros(6), np.zeros(6)
    for t in range(1, 201):  # without a horizon, optimistic
        p = softmax(math.sqrt(math.log(6) / t) * (S + gain))
        gain = (2 * P - 1) @ p
        S += gain
    agent = banditlab.Agent("hedge_selfplay", n_arms=6, optimistic=True, output="last")
    for _ in range(199):
        agent.update((0, 1), 0)
        agent.reveal(P)
    assert np.allclose(agent.recommend(), p, atol=1e-12)


def test_names_do_not_matter_and_noise_only_slows():
    P = MATRICES["mslr_cycle5"]
    order = np.array([3, 1, 4, 0, 2])
    one = shown("hedge_selfplay", P, 100, eta=0.1).recommend()
    other = shown("hedge_selfplay", P[np.ix_(order, order)], 100, eta=0.1).recommend()
    assert np.allclose(other, one[order], atol=1e-13)
    blurred = shown("hedge_selfplay", 0.8 * P + 0.1, 100, eta=0.1 / 0.8).recommend()
    assert np.allclose(blurred, one, atol=1e-13)


# --- trees --------------------------------------------------------------------------------------

LEAVES = np.zeros((4, 4))
LEAVES[[0, 1, 2, 3, 3, 3], [1, 2, 0, 0, 1, 2]] = [0.6, 0.4, 0.2, -0.3, 0.1, -0.5]
LEAVES = (LEAVES - LEAVES.T + 1) / 2


@pytest.mark.parametrize(("rounds", "near"), [(100, 0.0635), (1000, 0.01701)])
def test_exploitability_on_a_tree(rounds, near):
    found = games.exploitability(LEAVES, shown("spo_tree", LEAVES, rounds).recommend())
    assert found == pytest.approx(near, abs=5e-5)
    assert found <= 2 * math.sqrt(2 * math.log(2) / rounds)
    assert np.allclose(games.von_neumann(LEAVES), [1 / 3, 1 / 6, 1 / 2, 0])


@pytest.mark.parametrize(("actions", "depth"), [(2, 3), (3, 2)])
def test_tree_against_a_recursion_over_histories(actions, depth):
    histories = [list(itertools.product(range(actions), repeat=d)) for d in range(depth + 1)]
    leaves, eta, rounds = histories[-1], 0.3, 40
    upper = np.triu(np.random.default_rng(actions).random((len(leaves),) * 2), 1)
    P = upper + np.tril(1 - upper.T, -1) + np.eye(len(leaves)) / 2
    logits = {h: np.zeros(actions) for level in histories[:-1] for h in level}
    bar = np.zeros(len(leaves))

    def worth(h):
        if len(h) == depth:
            return gain[leaves.index(h)]
        return sum(rule[h][a] * worth((*h, a)) for a in range(actions))

    for _ in range(rounds):
        rule = {h: softmax(eta * row) for h, row in logits.items()}
        q = np.array([math.prod(rule[x[:d]][x[d]] for d in range(depth)) for x in leaves])
        bar += q / rounds
        gain = (2 * P - 1) @ q
        for h in logits:
            logits[h] += [worth((*h, a)) for a in range(actions)]
    agent = shown("spo_tree", P, rounds, eta=eta, actions=actions)
    assert np.allclose(agent.recommend(), bar, atol=1e-13)


# --- from answers -------------------------------------------------------------------------------


def test_exp3_against_a_few_lines_of_numpy():
    agent = banditlab.Agent("spo_exp3", n_arms=3, horizon=500, output="last", seed=3)
    eta, S, bar = math.sqrt(2 * math.log(3) / (500 * 3)), np.zeros(3), np.zeros(3)
    for left, right, win in asked(agent, RPS, 500):
        p = softmax(eta * S)
        bar += p / 500
        S[left] -= (1 - win) / (2 * p[left])
        S[right] -= win / (2 * p[right])
    assert np.allclose(agent.recommend(), softmax(eta * S), atol=1e-12)
    average = banditlab.Agent("spo_exp3", n_arms=3, horizon=500, seed=3)
    asked(average, RPS, 500)
    assert np.allclose(average.recommend(), bar, atol=1e-12)


def test_samples_meet_a_queue_of_those_played_last():
    n, B, rounds = 3, 7, 12
    agent = banditlab.Agent(
        "spo_batch", n_arms=3, horizon=n * B * rounds, samples=n, queue=B, seed=5
    )
    met = np.array(asked(agent, RPS, n * B * rounds)).reshape(rounds, n, B, 3)
    eta, S, bar = math.sqrt(n * math.log(3) / (rounds * 3)), np.zeros(3), np.zeros(3)
    queue = met[0, 0, :, 1].astype(int).tolist()  # what was drawn at the start
    for each in met:
        p = softmax(eta * S)
        bar += p / rounds
        for sample in each:
            assert len({*sample[:, 0]}) == 1 and sorted(sample[:, 1]) == sorted(queue)
            S[int(sample[0, 0])] -= (1 - sample[:, 2].mean()) / (n * p[int(sample[0, 0])])
        queue = (queue + each[:, 0, 0].astype(int).tolist())[n:]
    assert np.allclose(agent.recommend(), bar, atol=1e-12)
    assert np.allclose(agent.state.probs, softmax(eta * S), atol=1e-12)


def test_samples_meet_each_other_once():
    n, rounds = 5, 20
    pairs = list(itertools.combinations(range(n), 2))
    agent = banditlab.Agent(
        "spo_batch", n_arms=3, horizon=rounds * len(pairs), samples=n, opponents="batch", seed=6
    )
    met = np.array(asked(agent, RPS, rounds * len(pairs))).reshape(rounds, len(pairs), 3)
    eta, S = math.sqrt(n * math.log(3) / (rounds * 3)), np.zeros(3)
    for each in met:
        p = softmax(eta * S)
        arms = [int(each[0, 0]), *each[: n - 1, 1].astype(int)]
        wins = np.zeros(n)
        for (i, j), (left, right, win) in zip(pairs, each, strict=True):
            assert (left, right) == (arms[i], arms[j])
            wins[i] += win
            wins[j] += 1 - win
        for i, arm in enumerate(arms):
            S[arm] -= (1 - wins[i] / (n - 1)) / (n * p[arm])
    assert np.allclose(agent.state.probs, softmax(eta * S), atol=1e-12)


@pytest.mark.parametrize("opponents", ["queue", "batch"])
def test_a_sample_s_duel_counts_from_either_side_and_no_other(opponents):
    def fresh():
        given = {"samples": 3, "queue": 3, "opponents": opponents, "eta": 0.1}
        return banditlab.Agent("spo_batch", n_arms=4, seed=7, **given)

    one, other = fresh(), fresh()
    for t in range(60):
        left, right = one.act()
        assert (left, right) == other.act()
        for pair in itertools.product(range(4), repeat=2):
            if {*pair} != {left, right}:
                other.update(pair, 1)  # says nothing of the sample
        win = (left + t) % 2 if left != right else 1
        one.update((left, right), win)
        other.update((right, left), win if left == right else 1 - win)
    assert one.state.scores.min() < 0.0
    assert one.state.scores.tolist() == other.state.scores.tolist()


@pytest.mark.slow  # pytest -m slow tests/agents/test_spo.py -k sampled
@pytest.mark.parametrize(
    ("hyper", "rounds", "near"),
    [
        ({"opponents": "batch"}, 20_000, 0.0065),
        ({"queue": 10}, 20_000, 0.0053),
        ({"queue": 100}, 20_000, 0.0061),
        ({"samples": 2, "queue": 1000}, 2000, 0.0723),
        ({"samples": 2, "queue": 100}, 2000, 0.0385),
    ],
)
def test_sampled_self_play_is_as_exploitable_as_elsewhere(hyper, rounds, near):
    n = hyper.get("samples", 10)
    duels = n * (n - 1) // 2 if "opponents" in hyper else n * hyper["queue"]
    arena = {
        "protocol": "duel", "problem": {"name": "duel_rps"}, "horizon": rounds * duels,
        "checkpoints": [rounds * duels], "replications": 20, "measure": "exploitability",
        "agents": [{"name": "spo_batch", **hyper},
                   {"name": "spo_batch", "label": "last", "output": "last", **hyper}],
    }  # fmt: skip
    curves = banditlab.simulate(arena, workers=1)
    average = curves.raw("spo_batch", "exploitability")[:, -1].mean()
    last = curves.raw("last", "exploitability")[:, -1].mean()
    print(f"{hyper}: average {average:.4f}, last {last:.3f}")
    assert average == pytest.approx(near, rel=0.4)
    if rounds == 20_000:
        assert 0.07 < last < 0.2


# --- the reward model ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_a_library_optimiser(seed):
    wins = np.random.default_rng(seed).integers(0, 30, (6, 6)).astype(float)
    wins[seed] = 0.0  # who has never won has no finite score without a penalty
    np.fill_diagonal(wins, 0.0)
    scores = np.zeros(6)
    fit_scores(wins, 0.1, scores)
    assert np.allclose(scores, games.bradley_terry(wins, penalty=0.1).scores, atol=1e-6)


def test_a_reward_model_names_the_borda_winner_whoever_beats_it():
    groups = np.array([[0.5, 0.65, 0.4], [0.35, 0.5, 0.75], [0.6, 0.25, 0.5]])
    agent = banditlab.Agent("bt_argmax", n_arms=3, explore=20_000, seed=1)
    met = asked(agent, groups, 20_000)
    assert all(left != right for left, right, _ in met)
    assert agent.act() == (1, 1) and agent.recommend().tolist() == [0, 1, 0]
    assert games.exploitability(groups, agent.recommend()) == pytest.approx(0.3)


def test_it_explores_as_long_as_it_says():
    agent = banditlab.Agent("bt_argmax", n_arms=3, horizon=20_000, seed=1)
    explore = math.ceil(20_000 ** (2 / 3) * (3 * math.log(3)) ** (1 / 3))
    asked(agent, RPS, explore - 1)
    assert agent.state.choice[0] == -1
    asked(agent, RPS, 1)
    assert agent.state.choice[0] >= 0 and len({*agent.act()}) == 1


def test_the_worst_of_several_problems_is_that_by_the_measure_shown():
    """Uniform pairs regret one matrix more; what they name in the end is worse on the other."""
    sure = {"name": "duel_btl", "weights": [9.0, 1.0, 1.0]}
    circle = {"name": "duel_rps", "a": 0.1, "b": 0.1, "c": 0.2}

    def mean(measure, problem, **given):
        arena = {"protocol": "duel", "problem": problem, "horizon": 500, "checkpoints": [500],
                 "replications": 4, "agents": [{"name": "random_pair"}],
                 "measure": measure}  # fmt: skip
        return banditlab.simulate({**arena, **given}, workers=1).raw("random_pair", measure).mean()

    for measure, worst in (("vn", sure), ("exploitability", circle)):
        other = circle if worst is sure else sure
        assert mean(measure, worst) > mean(measure, other)
        assert mean(measure, other, worst=[worst]) == mean(measure, worst)


# --- small and bad input ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["hedge_selfplay", "spo_exp3", "spo_batch", "spo_tree", "bt_argmax"]
)
def test_one_arm_is_played_against_itself(name):
    agent = banditlab.Agent(name, n_arms=1, horizon=50)
    for _ in range(50):
        assert agent.act() == (0, 0)
        agent.update((0, 0), 1)
        agent.reveal([[0.5]])
    assert agent.recommend().tolist() == [1.0]


def test_tiny_probabilities_stay_finite():
    agent = banditlab.Agent("spo_exp3", n_arms=2, eta=50.0, output="last", seed=1)
    for _ in range(200):
        agent.update((0, 1), 1)
    assert np.isfinite(agent.state.scores).all() and agent.recommend()[1] < 1e-300
    agent.update((1, 1), 0)
    assert np.isfinite(agent.state.scores).all() and agent.state.scores.min() >= -200 * 1e12


@pytest.mark.parametrize(
    ("name", "hyper", "said"),
    [
        ("hedge_selfplay", {"eta": -1}, "eta must be at least 0, got -1"),
        ("hedge_selfplay", {"output": "best"}, "output must be one of average, last"),
        ("hedge_selfplay", {"start": "x"}, "start must be one of even, random"),
        ("hedge_selfplay", {"optimistic": "yes"}, "optimistic must be true or false"),
        ("spo_exp3", {"eta": float("nan")}, "eta must be finite"),
        ("spo_batch", {"samples": 1, "opponents": "batch"}, "samples must be at least 2, got 1"),
        ("spo_batch", {"queue": 0}, "queue must be at least 1, got 0"),
        ("spo_batch", {"opponents": "all"}, "opponents must be one of queue, batch"),
        ("spo_tree", {"actions": 1}, "actions must be at least 2, got 1"),
        ("bt_argmax", {"penalty": 0}, "penalty must be positive, got 0"),
        ("bt_argmax", {"penalty": 1e-300}, "penalty must be at least 1e-06, got 1e-300"),
        ("bt_argmax", {"explore": 10**30}, "explore must be at most 9007199254740992"),
        ("spo_tree", {"actions": 10**30}, "actions must be at most 9007199254740992"),
        ("bt_argmax", {"explore": -1}, "explore must be at least 0, got -1"),
    ],
)
def test_refused_in_one_line(name, hyper, said):
    with pytest.raises(ValueError) as error:
        banditlab.make(name, **hyper)
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["spo_exp3", "spo_batch", "bt_argmax"])
def test_tuned_rates_need_the_horizon(name):
    with pytest.raises(ValueError, match="horizon, the number of duels, must be known"):
        banditlab.Agent(name, n_arms=3)


def test_a_tree_has_a_power_of_arms():
    with pytest.raises(ValueError, match="must be a power of actions = 2, got 6"):
        banditlab.Agent("spo_tree", n_arms=6)
