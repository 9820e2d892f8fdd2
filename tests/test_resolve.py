"""Enough replications: how often the rules err, and the runs that they stop."""

from __future__ import annotations

import itertools
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats

import banditlab
from banditlab import registry
from banditlab.arena.jobs import Resolver
from banditlab.arena.resolve import Contest, in_words, read_span
from banditlab.arena.spec import read_arena
from banditlab.arena.store import Store
from banditlab.cli.main import main
from banditlab.protocols import duel, observe, policies
from banditlab.protocols.base import Terms
from banditlab.statistics import log_e_value, top_two
from banditlab.statistics.sequential import BETS, STAKES, spent

# Laws of the values of one replication, each with mean 1; (range, or None; draw).
LAWS = {
    "normal": (None, lambda rng, size: rng.normal(1.0, 1.0, size)),
    "exponential": (None, lambda rng, size: rng.exponential(1.0, size)),
    "lognormal": (None, lambda rng, size: rng.lognormal(-0.5, 1.0, size)),
    "student, 3 degrees": (None, lambda rng, size: 1.0 + rng.standard_t(3, size)),
    "pareto, index 2.5": (None, lambda rng, size: 1.5 * rng.pareto(2.5, size)),
    "two points, 0.1": (None, lambda rng, size: 10.0 * (rng.random(size) < 0.1)),
    "two points, 0.02, in [0, 50]": ((0, 50), lambda rng, size: 50.0 * (rng.random(size) < 0.02)),
    "two points, 0.002, in [0, 500]": (
        (0.0, 500.0),
        lambda rng, size: 500.0 * (rng.random(size) < 0.002),
    ),
    "beta(0.1, 0.9), in [0, 10]": ((0.0, 10.0), lambda rng, size: 10.0 * rng.beta(0.1, 0.9, size)),
    "cut Cauchy, in [-9, 11]": (
        (-9.0, 11.0),
        lambda rng, size: 1.0 + np.clip(rng.standard_cauchy(size), -10.0, 10.0),
    ),
    "even coin, in [0, 2]": ((0.0, 2.0), lambda rng, size: 2.0 * (rng.random(size) < 0.5)),
}
FIRST, MOST = 30, 1920


def ranking(values, span, alpha=0.05):
    """Play a ranking to its end as the arena does: the verdict and the replications."""
    looks, n = [], FIRST
    while True:
        verdict = top_two(values[:n], alpha, span=span, looks=looks, most=len(values))
        if verdict.decided or n == len(values):
            return verdict, n
        looks.append(n)
        n = min(2 * n, len(values))


def wrong(law, rivals, runs, seed=1):
    """How many of ``runs`` rankings decide, where all expectations are equal.

    ``rivals``: two independent of that law; three of them; one against one that is always 1; two
    that share most of their luck.
    """
    span, draw = LAWS[law]
    rng = np.random.default_rng(seed)
    errors = 0
    for _ in range(runs):
        if rivals == "a constant":
            values = np.column_stack([draw(rng, MOST), np.ones(MOST)])
        elif rivals == "common luck":
            both = draw(rng, MOST)
            values = np.column_stack(
                [both, np.where(rng.random(MOST) < 0.8, both, draw(rng, MOST))]
            )
        else:
            values = draw(rng, (MOST, 3 if rivals == "three" else 2))
        errors += ranking(values, span)[0].decided
    return errors


RIVALS = ("two", "three", "a constant", "common luck")


@pytest.mark.slow
@pytest.mark.parametrize("rivals", RIVALS)
@pytest.mark.parametrize("law", LAWS)
def test_of_2000_rankings_without_a_better_one_few_are_decided(law, rivals):
    runs, alpha = 2000, 0.05
    allowed = alpha + 2.0 * math.sqrt(alpha * (1.0 - alpha) / runs)
    errors = wrong(law, rivals, runs)
    print(f"{law}, {rivals}: {errors} of {runs} decided")
    assert errors / runs <= allowed, f"{law}, {rivals}: {errors} of {runs}, allowed {allowed:.4f}"


@pytest.mark.parametrize(("law", "rivals"), list(zip(list(LAWS)[1::2], itertools.cycle(RIVALS))))
def test_of_150_rankings_without_a_better_one_few_are_decided(law, rivals):
    errors = wrong(law, rivals, 150, seed=2)
    # Beyond the 0.999 quantile of 150 tosses at 0.05.
    assert errors <= scipy.stats.binom.ppf(0.999, 150, 0.05), f"{law}, {rivals}: {errors} of 150"


@pytest.mark.slow
@pytest.mark.parametrize("law", ["normal", "exponential", "beta(0.1, 0.9), in [0, 10]"])
def test_of_2000_rankings_with_a_better_one_few_name_the_other(law):
    span, draw = LAWS[law]
    rng, wrong_way = np.random.default_rng(3), 0
    for _ in range(2000):
        values = draw(rng, (MOST, 2)) * [0.97, 1.0]  # so little that many are not decided
        verdict, _ = ranking(values, span)
        wrong_way += verdict.decided and verdict.leader == 1
    assert wrong_way / 2000 <= 0.05, f"{law}: {wrong_way} of 2000 named the worse one"


def test_a_clear_difference_is_decided_early_and_a_small_one_late():
    rng = np.random.default_rng(5)
    for span in (None, (0.0, 1.0)):
        common = rng.uniform(0.2, 0.8, MOST)
        far = np.column_stack([common + 0.2, common + rng.uniform(-0.1, 0.1, MOST)])
        near = np.column_stack([common + 0.03, common + rng.uniform(-0.1, 0.1, MOST)])
        (clear, early), (close, late) = ranking(far, span), ranking(near, span)
        assert clear.decided and close.decided and (clear.leader, close.leader) == (1, 1)
        assert early < late < MOST


def test_peeking_at_a_plain_t_test_errs_far_more():
    """The control: without a rule for many looks the level is lost, and rare events are missed."""
    rng = np.random.default_rng(6)
    peeks = rare = 0
    looks = [FIRST * 2**k for k in range(7)]
    for _ in range(300):
        d = rng.normal(size=MOST)
        peeks += any(scipy.stats.ttest_1samp(d[:n], 0.0).pvalue < 0.05 for n in looks)
        d = 500.0 * (rng.random(MOST) < 0.002) - 1.0 + rng.normal(size=MOST) / 100
        rare += any(scipy.stats.ttest_1samp(d[:n], 0.0).pvalue < 0.05 for n in looks)
    assert peeks > 0.12 * 300 and rare > 0.8 * 300, (peeks, rare)


def test_the_e_value_is_the_average_wealth_of_its_bets():
    d, most = np.array([1.0, -2.0, 0.5, 3.0]), 4.0
    wealth = [math.prod(1.0 + c * x / most for x in d) for c in BETS]
    wanted = sum(w * s for w, s in zip(wealth, STAKES, strict=True)) / STAKES.sum()
    assert log_e_value(d, most) == pytest.approx(math.log(wanted), rel=1e-12)
    assert log_e_value(d[::-1], most) == pytest.approx(log_e_value(d, most), rel=1e-12)
    assert log_e_value(np.zeros(9), most) == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(ValueError, match="within 2, got 3"):
        log_e_value(d, 2.0)


def test_the_e_value_expects_one_where_nobody_is_better():
    """Exactly: over all 2^8 outcomes of a fair bet with unequal sides."""
    p, up, down = 0.2, 4.0, -1.0
    total = 0.0
    for n in range(9):
        d = np.array([up] * n + [down] * (8 - n))
        total += math.comb(8, n) * p**n * (1 - p) ** (8 - n) * math.exp(log_e_value(d, 4.0))
    assert total == pytest.approx(1.0, rel=1e-12)


def test_spending_is_obrien_and_flemings_and_adds_up():
    # Lan & DeMets (1983): 2 (1 - Phi(1.96 / sqrt(t))).
    for t in (0.1, 0.5, 0.9):
        wanted = 2.0 * scipy.stats.norm.sf(scipy.stats.norm.isf(0.025) / math.sqrt(t))
        assert spent(0.05, t) == pytest.approx(wanted, rel=1e-12)
    assert spent(0.05, 1.0) == pytest.approx(0.05) and spent(0.05, 0.0) == 0.0
    rng = np.random.default_rng(0)
    values = rng.normal(size=(80, 2))
    needed, looks = 0.0, []
    for n in (10, 20, 40, 80):
        needed += top_two(values[:n], 0.05, looks=looks, most=80).needed
        looks.append(n)
    assert needed == pytest.approx(0.05, rel=1e-9)
    three = top_two(rng.normal(size=(80, 3)), 0.05).needed
    assert three == pytest.approx(0.05 / 3, rel=1e-9)  # three pairs


def test_replications_that_all_agree_decide_only_within_a_known_range():
    values = np.column_stack([np.full(400, 9.0), np.full(400, 10.0)])
    assert not top_two(values).decided
    assert top_two(values, span=(0.0, 100.0)).evidence < top_two(values, span=(0.0, 100.0)).needed
    assert top_two(values, span=(0.0, 50.0)).decided  # 400 > 4.2 * 50


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"span": (0.0, 5.0)}, "span must hold every value, 0 to 5, got a value of"),
        ({"alpha": 1.0}, "alpha must lie strictly between 0 and 1"),
        ({"looks": [20, 10]}, "looks must increase"),
        ({"looks": [50]}, "looks must increase"),
        ({"most": 10}, "most must be at least 40"),
    ],
)
def test_bad_arguments_are_one_line(given, said):
    with pytest.raises(ValueError, match=said):
        top_two(np.arange(80.0).reshape(40, 2), **given)


def test_values_that_are_no_numbers_are_refused_and_rounded_ones_are_not():
    values = np.arange(12.0).reshape(4, 3)
    for bad in (math.nan, math.inf):
        for span in (None, (0.0, 20.0)):
            with pytest.raises(ValueError, match="values must be finite"):
                top_two(np.where(values == 5.0, bad, values), span=span)
    rounded = top_two(np.where(values == 0.0, -1e-16, values), span=(0.0, 11.0))
    assert rounded == top_two(values, span=(0.0, 11.0))


def test_what_is_no_size_is_refused_in_one_line():
    for bad in ("4GB", 0, 2.5):
        with pytest.raises(ValueError, match="memory must be"):
            banditlab.until_resolved(ARENA, memory=bad, progress=lambda *_: None)
    for bad in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="most must be a positive number"):
            log_e_value([1.0], bad)


def test_spans_are_read_and_refused():
    assert read_span("0:1e3") == (0.0, 1000.0) and read_span((1, 2)) == (1.0, 2.0)
    for bad in ("5", "3:1", "a:b", (1, 2, 3), 7):
        with pytest.raises(ValueError, match="span must be"):
            read_span(bad)


# --- runs ---------------------------------------------------------------------------------------

ARENA = {
    "name": "close",
    "problem": {"name": "bernoulli", "means": [0.2, 0.8]},
    "agents": [{"name": "ucb"}, {"name": "uniform"}],
    "horizon": 60,
    "replications": 4,
    "checkpoints": [60],
}


def test_a_run_adds_replications_until_its_ranking_is_decided(tmp_path):
    curves = banditlab.until_resolved(ARENA, 0.01, workers=1, progress=lambda *_: None)
    found = curves.resolved["main"]
    assert found["decided"] and (found["better"], found["than"]) == ("ucb", "uniform")
    assert found["rule"] == "betting" and found["span"] == [0.0, 60.0]
    n = found["replications"]
    assert n in (8, 16, 32, 64, 128) and found["looks"] == [
        4 * 2**k for k in range(len(found["looks"]))
    ]
    plain = banditlab.simulate({**ARENA, "replications": n}, workers=1, progress=lambda *_: None)
    np.testing.assert_array_equal(curves.raw("ucb"), plain.raw("ucb"))
    assert curves.hash == plain.hash
    d = curves.raw("uniform")[:, -1] - curves.raw("ucb")[:, -1]
    assert found["evidence"] == pytest.approx(log_e_value(d, 60.0) / math.log(10.0))
    again = banditlab.Curves.load(curves.save(tmp_path))
    assert again.resolved == curves.resolved
    assert json.loads((tmp_path / "run.json").read_text())["resolved"] == curves.resolved


def test_what_the_store_holds_is_not_played_again_not_even_when_interrupted(tmp_path, monkeypatch):
    from banditlab.arena import rows

    played = []
    real = rows.run_block

    def counted(job, first, record, progress):
        played.extend((job.agent.label, first + i) for i in range(len(record)))
        return real(job, first, record, progress)

    monkeypatch.setattr(rows, "run_block", counted)
    same = {"agents": [{"name": "ucb"}, {"name": "ucb", "label": "twin"}]}
    arena = read_arena({**ARENA, **same})

    class Stopped(Exception):
        pass

    seen = []

    def stop_in_the_third_round(what, done, total):
        if total == 2 * 60 * 16 and done == total:  # 16 replications are finished
            raise Stopped

    with Store(tmp_path / "store", arena.hash()) as store:
        with pytest.raises(Stopped):
            banditlab.until_resolved(
                arena, most=32, keep=store, workers=1, progress=stop_in_the_third_round
            )
    assert sorted(played) == sorted((a, r) for a in ("ucb", "twin") for r in range(16))
    said = seen.append
    with Store(tmp_path / "store", arena.hash(), say=said) as store:
        curves = banditlab.until_resolved(
            arena, most=32, keep=store, workers=1, progress=lambda *_: None
        )
    assert seen == []  # nothing was disbelieved
    assert sorted(played) == sorted((a, r) for a in ("ucb", "twin") for r in range(32))
    found = curves.resolved["main"]
    assert not found["decided"] and found["replications"] == 32  # equal: never decided
    assert "not decided at level 0.05 after 32 replications" in in_words(found)


def test_only_panels_that_are_open_grow_and_the_level_is_shared():
    arena = {
        "name": "several",
        "horizon": 60,
        "replications": 5,
        "panels": [
            {"name": "easy", "problem": {"name": "bernoulli", "means": [0.0, 1.0]},
             "agents": [{"name": "ucb"}, {"name": "uniform"}]},
            {"name": "equal", "problem": {"name": "bernoulli", "means": [0.2, 0.8]},
             "agents": [{"name": "uniform"}, {"name": "uniform", "label": "other"}]},
            {"name": "alone", "problem": {"name": "bernoulli", "means": [0.2, 0.8]},
             "agents": [{"name": "ucb"}]},
        ],
    }  # fmt: skip
    curves = banditlab.until_resolved(arena, most=80, workers=1, progress=lambda *_: None)
    found = curves.resolved
    assert set(found) == {"easy", "equal"} and {v["alpha"] for v in found.values()} == {0.025}
    assert found["easy"]["decided"] and not found["equal"]["decided"]
    counts = {p: curves.record(curves.agents(p)[0], p).replications for p in curves.panels()}
    assert counts["equal"] == 80 and counts["alone"] == 5
    assert counts["easy"] == found["easy"]["replications"] < 80


def batched(monkeypatch, sizes):
    """Have a run of n replications keep means of batches of ``sizes[n]``."""
    monkeypatch.setattr(
        "banditlab.arena.memory.batches",
        lambda shapes, *_: [sizes[replications] for replications, _, _ in shapes],
    )


def test_bets_on_batches_of_another_size_have_a_level_of_their_own(monkeypatch):
    batched(monkeypatch, {4: 1, 8: 2, 16: 4, 32: 4})
    levels = []

    def seen(values, alpha, **given):
        levels.append(alpha)
        return top_two(values, alpha, **given)

    monkeypatch.setattr("banditlab.arena.resolve.top_two", seen)
    same = {**ARENA, "agents": [{"name": "uniform"}, {"name": "uniform", "label": "other"}]}
    given = {"workers": 1, "progress": lambda *_: None, "most": 32}
    banditlab.until_resolved(same, 0.08, memory=10**9, **given)
    assert levels == [0.04, 0.02, 0.01, 0.01]
    batched(monkeypatch, dict.fromkeys((4, 8, 16, 32), 1))
    levels.clear()
    banditlab.until_resolved(same, 0.08, **given)
    assert levels == [0.08] * 4  # without --memory there are no batches


def test_looks_at_batches_increase_however_large_these_are(monkeypatch):
    batched(monkeypatch, {4: 1, 5: 5})
    monkeypatch.setattr("banditlab.arena.resolve._span", lambda panel: None)
    curves = banditlab.until_resolved(
        ARENA, most=5, memory=10**9, workers=1, progress=lambda *_: None
    )
    assert curves.resolved["main"]["looks"] == [4, 5]


def test_who_is_left_out_was_a_rival_all_the_same(monkeypatch):
    three = {**ARENA, "agents": [*ARENA["agents"], {"name": "uniform", "label": "gives up"}]}
    contest = Contest(read_arena(three), 0.06, 4, None)
    curves = banditlab.simulate(three, workers=1, progress=lambda *_: None)
    curves.records["main", "gives up"].values[0] = math.nan
    contest.look(curves)
    assert contest.found["main"]["needed"] == math.log10(3 * 2 / 0.06)


def test_what_cannot_be_decided_is_refused_in_one_line():
    alone = {**ARENA, "agents": [{"name": "ucb"}]}
    with pytest.raises(ValueError, match="needs a panel with two agents"):
        banditlab.until_resolved(alone)
    worst = {**ARENA, "worst": [{"name": "bernoulli", "means": [0.8, 0.2]}]}
    with pytest.raises(ValueError, match="whichever problem turns out worst"):
        banditlab.until_resolved(worst)
    with pytest.raises(ValueError, match="--most must be at least the 4 replications"):
        banditlab.until_resolved(ARENA, most=3)
    with pytest.raises(ValueError, match="alpha must lie strictly"):
        banditlab.until_resolved(ARENA, 0.0)


def test_the_ranges_that_protocols_state_hold():
    """What every measure with a range gave in a short run of its protocol's probe."""
    stated = 0
    for name in registry.protocol_names():
        protocol = registry.protocol(name)
        spans = [m for m in protocol.measures if m.span is not None]
        if not spans:
            continue
        probe = registry.make(protocol.contract.probe)
        problem, given = protocol.contract.example(probe)
        arena = read_arena(
            {"name": "probe", "protocol": name, "problem": {"name": problem, **given},
             "agents": [{"name": protocol.contract.probe}], "horizon": 40, "replications": 20,
             "log": 30}
        )  # fmt: skip
        curves = banditlab.simulate(arena, workers=1, progress=lambda *_: None)
        panel = arena.panels[0]
        for measure in spans:
            low, high = measure.span(Resolver().terms(panel, panel.agents[0]))
            values = curves.raw(protocol.contract.probe, measure.name)
            slack = 1e-9 * (high - low)  # as whoever judges allows for rounding
            assert low - slack <= values.min(), (name, measure.name)
            assert values.max() <= high + slack, (name, measure.name)
            stated += 1
    assert stated >= 35


@pytest.mark.parametrize("phases", [1, 3])
def test_ranges_of_duels_hold_for_any_play_and_are_reached(phases):
    rng, reached = np.random.default_rng(phases), np.zeros(6)
    for trial in range(300):
        K, horizon = int(rng.integers(2, 5)), int(rng.integers(1, 30))
        upper = rng.choice([0.0, 0.5, 1.0, rng.random()], (phases, K, K))
        matrices = np.where(np.tri(K, K, -1, bool), 1.0 - upper.transpose(0, 2, 1), upper)
        matrices[:, np.arange(K), np.arange(K)] = 0.5
        duels = np.zeros((phases, K, K), np.int64)
        few = rng.integers(K, size=2 if trial % 2 else 1)
        for _ in range(horizon):
            duels[rng.integers(phases), rng.choice(few), rng.choice(few)] += 1
        advice = rng.dirichlet(np.full(K, 0.2))
        row = np.zeros(6)
        duel.score(matrices, 1.0, duels, advice, row)
        problem = SimpleNamespace(params=SimpleNamespace(matrices=matrices), scale=1.0)
        terms = Terms(None, problem, horizon)
        for m, measure in enumerate(duel.PROTOCOL.measures):
            low, high = measure.span(terms)
            slack = 1e-9 * (high - low) + 1e-15
            if not np.isnan(row[m]):
                assert low - slack <= row[m] <= high + slack, (measure.name, matrices, duels)
                reached[m] = max(reached[m], row[m] / high if high > 0.0 else 0.0)
    assert (reached > 0.9).all()


def test_the_least_regrets_are_those_of_who_is_always_right():
    """An arm in turn is the good one; who plays it gains (K - 1) / K a round on any fixed arm."""
    K, horizon = 4, 12
    losses = 1.0 - np.eye(K)[np.arange(horizon) % K]
    least = 0.0 - losses.sum(axis=0).min()
    terms = SimpleNamespace(shape=(K, 1, 0), rewards=(0.0, 1.0), budget=5, price=2.0, look_price=3)
    assert observe.without_fees(Terms(None, terms, horizon)) == (least, 12.0)
    assert observe.with_fees(Terms(None, terms, horizon)) == (least, 12.0 + 24.0 + 15.0)
    assert policies.regrets(Terms(None, terms, horizon)) == (least, 12.0)


def test_a_range_is_that_of_the_largest_swept_horizon():
    swept = {**ARENA, "sweep": {"horizon": [10, 50]}, "checkpoints": []}
    assert Contest(read_arena(swept), 0.05, None, None).span == {"main": (0.0, 50.0)}
    gaussian = {**ARENA, "problem": {"name": "gaussian", "means": [0.2, 0.8]}}
    assert Contest(read_arena(gaussian), 0.05, None, None).span == {"main": None}


def test_the_command_line_says_what_was_decided(tmp_path, capsys):
    words = ["--agent", "ucb", "--vs", "uniform", "--problem", "bernoulli", "--horizon", "60"]
    words += ["--set", "problem.means=[0.2,0.8]", "--replications", "8", "--workers", "1"]
    words += ["--out", str(tmp_path / "out")]
    assert main([*words, "--until-resolved", "0.1", "--json"]) == 0
    panel = json.loads(capsys.readouterr().out)["panels"][0]
    assert panel["resolved"]["decided"] and panel["resolved"]["alpha"] == 0.1
    assert panel["replications"] == panel["resolved"]["replications"]
    assert main([*words, "--until-resolved"]) == 0
    assert "ucb before uniform: decided at level 0.05 after" in capsys.readouterr().out
    assert main([*words, "--most", "90"]) == 2
    assert "--most is for --until-resolved" in capsys.readouterr().err
    assert main([*words, "--until-resolved", "--span", "0:7"]) == 2
    assert "span must hold every value, 0 to 7" in capsys.readouterr().err


def test_where_more_is_better_the_larger_mean_leads(monkeypatch):
    from banditlab.curves import Curves

    arena = {**ARENA, "measure": "reward", "replications": 64}
    plain = Curves.measure
    monkeypatch.setattr(Curves, "measure", lambda self, p: plain(self, p)._replace(more=True))
    given = {"workers": 1, "progress": lambda *_: None}
    found = banditlab.until_resolved(arena, span=(0.0, 60.0), **given).resolved["main"]
    assert (found["better"], found["decided"], found["span"]) == ("ucb", True, [0.0, 60.0])


def test_spending_counts_three_replications_more_against_the_leader():
    d = np.random.default_rng(9).normal(1.0, 1.0, 50)
    found = top_two(np.column_stack([np.zeros(50), d]))
    guarded = np.append(d, [-np.abs(d).max()] * 3)
    assert found.evidence == pytest.approx(scipy.stats.ttest_1samp(guarded, 0.0).pvalue)
