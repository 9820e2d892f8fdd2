"""Off-policy estimates against exact values, a second implementation and simulated coverage."""

import io
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from banditlab.agents.offline_bandit.greedy_offline import greedy_offline
from banditlab.agents.offline_bandit.lcb import lcb
from banditlab.data.log import Log
from banditlab.offpolicy import (
    direct_method,
    doubly_robust,
    estimated_propensities,
    ips,
    learned,
    resample,
    snips,
    support,
    switch_dr,
)
from banditlab.reports.rules import SHOWN, render, report

DIGITS = Path(__file__).parent.parent / "arenas" / "logs" / "digits.csv"
ALL = (ips, snips, direct_method, doubly_robust, switch_dr)

# A known problem: two contexts, three arms, Bernoulli rewards.
SHARE = np.array([0.3, 0.7])
MEANS = np.array([[0.2, 0.5, 0.9], [0.6, 0.4, 0.1]])
LOGGING = np.array([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]])
TARGET = np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 0.0]])
VALUE = float(SHARE @ (TARGET * MEANS).sum(axis=1))


def draw(rng, n, claimed=LOGGING):
    """A log of n rows of the known problem; ``claimed`` are the propensities it reports."""
    context = (rng.random(n) >= SHARE[0]).astype(int)
    action = (rng.random(n)[:, None] >= LOGGING.cumsum(axis=1)[context]).sum(axis=1)
    reward = (rng.random(n) < MEANS[context, action]).astype(float)
    return Log(action, reward, context, claimed[context, action])


def z_scores(estimators, claimed=LOGGING, logs=1500, n=120):
    """Standardised distance of each estimator's mean over many logs from the exact value."""
    rng = np.random.default_rng(21)
    values = np.empty((logs, len(estimators)))
    for i in range(logs):
        log = draw(rng, n, claimed)
        values[i] = [e(log, TARGET, draws=2, seed=i).value for e in estimators]
    return (values.mean(axis=0) - VALUE) / (values.std(axis=0, ddof=1) / np.sqrt(logs))


def test_ips_and_doubly_robust_are_unbiased():
    assert (np.abs(z_scores([ips, doubly_robust])) < 4).all()


def test_wrong_propensities_bias_ips_and_a_good_model_mends_that():
    by_ips, by_model, robust = z_scores(
        [ips, direct_method, doubly_robust], claimed=np.sqrt(LOGGING) / 1.5
    )
    assert abs(by_ips) > 20
    assert abs(by_model) < 4
    assert abs(robust) < 4


def test_doubly_robust_is_less_noisy_than_ips():
    rng = np.random.default_rng(22)
    logs = [draw(rng, 400) for _ in range(300)]
    spread = [np.std([e(log, TARGET, draws=2).value for log in logs]) for e in (ips, doubly_robust)]
    assert spread[1] < 0.8 * spread[0]


def test_intervals_cover_the_exact_value():
    rng = np.random.default_rng(1)
    covered = np.zeros(len(ALL))
    for i in range(500):
        log = draw(rng, 500)
        for k, estimator in enumerate(ALL):
            e = estimator(log, TARGET, draws=400, seed=i)
            covered[k] += e.lo <= VALUE <= e.hi
    # 92 to 98 %: three binomial standard errors of 500 logs. Over 3000 logs it was 94.5 to 94.9 %.
    assert ((covered >= 460) & (covered <= 490)).all(), covered / 500


def test_estimates_agree_with_a_second_implementation():
    rng = np.random.default_rng(24)
    log = draw(rng, 60)
    log = Log(log.action, log.reward + rng.normal(size=60), log.context, log.propensity)
    seed = 5
    fold = np.random.default_rng(seed).permutation(60) % 2

    def q(i, s, a):
        """Cell mean of the fold that row i is not in; the fold's mean where that is empty."""
        other = fold != fold[i]
        cell = other & (log.context == s) & (log.action == a)
        return log.reward[cell if cell.any() else other].mean()

    w = TARGET[log.context, log.action] / log.propensity
    rows = range(60)
    model = [
        sum(TARGET[log.context[i], a] * q(i, log.context[i], a) for a in range(3)) for i in rows
    ]
    rest = [w[i] * (log.reward[i] - q(i, log.context[i], log.action[i])) for i in rows]
    expected = {
        ips: np.mean(w * log.reward),
        snips: np.sum(w * log.reward) / np.sum(w),
        direct_method: np.mean(model),
        doubly_robust: np.mean(model) + np.mean(rest),
        partial(switch_dr, tau=1.0): np.mean(model) + np.mean(np.where(w <= 1.0, rest, 0)),
        # A weight of exactly tau, as many rows have, is used.
        partial(switch_dr, tau=2.5): np.mean(model) + np.mean(np.where(w < 3.0, rest, 0)),
    }
    for estimator, value in expected.items():
        found = estimator(log, TARGET, draws=2, seed=seed)
        assert found.value == pytest.approx(value, rel=1e-12)
        if estimator is not direct_method:
            assert found.ess == pytest.approx(w.sum() ** 2 / (w**2).sum(), rel=1e-12)
    assert direct_method(log, TARGET, draws=2).ess == 60

    spread = np.ptp(log.reward)
    errors = {}
    cells = np.array([LOGGING[s, a] for s in range(2) for a in range(3)])
    shares = (np.bincount(log.context)[:, None] / 60 * TARGET).ravel()
    for tau in [0.0, *w, np.inf]:  # the weights of this problem are all candidates
        each = model + np.where(w <= tau, rest, 0)
        bias = spread * shares[TARGET.ravel() / cells > tau].sum()
        errors[np.var(each) / 60 + bias**2] = np.mean(each)
    found = switch_dr(log, TARGET, draws=2, seed=seed)
    assert found.value == pytest.approx(errors[min(errors)], rel=1e-12)


def test_switch_runs_from_the_direct_method_to_doubly_robust():
    log = draw(np.random.default_rng(34), 200)
    assert switch_dr(log, TARGET, tau=0.0)[:3] == pytest.approx(direct_method(log, TARGET)[:3])
    assert switch_dr(log, TARGET, tau=np.inf)[:3] == pytest.approx(doubly_robust(log, TARGET)[:3])
    with pytest.raises(ValueError, match="^tau must be at least 0, got -1$"):
        switch_dr(log, TARGET, tau=-1)


def draw_uneven(rng):
    """Half the log chose arm 1 every second time, which makes a good model; the other half hardly
    ever, and such a row has weight 1000.
    """
    chance = np.where(np.arange(300) < 150, 0.5, 0.0005)
    action = (rng.random(300) < chance).astype(int)
    reward = rng.integers(2, size=300)
    return Log(action, reward, propensity=np.where(action == 1, chance, 1 - chance))


def test_switch_is_less_wrong_than_doubly_robust_when_weights_explode():
    rng = np.random.default_rng(35)
    errors = []
    for i in range(400):
        log = draw_uneven(rng)
        found = [
            e(log, [[0.5, 0.5]], draws=2, seed=i).value
            for e in (doubly_robust, switch_dr, partial(switch_dr, tau=10.0))
        ]
        errors.append(np.array(found) - 0.5)
    by_all, by_switch, by_hand = (np.array(errors) ** 2).mean(axis=0)
    assert by_switch < 0.5 * by_all
    assert by_hand < 0.1 * by_all


def test_switch_moves_with_the_rewards():
    rng = np.random.default_rng(36)
    switched = 0
    for i in range(100):
        log = draw_uneven(rng)
        moved = Log(log.action, 0.01 * log.reward + 3, log.context, log.propensity)
        same = {"policy": [[0.5, 0.5]], "draws": 2, "seed": i}
        found, after = switch_dr(log, **same).value, switch_dr(moved, **same).value
        assert after == pytest.approx(0.01 * found + 3, rel=1e-12)
        switched += found != pytest.approx(doubly_robust(log, **same).value)
    assert switched > 0


def test_a_model_of_other_rows_leaves_the_correction_something_to_do():
    # With cell means of the same rows the correction would be exactly 0 (one weight per cell).
    log = draw(np.random.default_rng(25), 200)
    assert abs(doubly_robust(log, TARGET).value - direct_method(log, TARGET).value) > 1e-3


def test_snips_moves_with_a_shift_of_the_rewards_and_ips_does_not():
    log = draw(np.random.default_rng(26), 300)
    moved = Log(log.action, log.reward + 100, log.context, log.propensity)
    np.testing.assert_allclose(
        np.array(snips(moved, TARGET)[:3]) - 100, snips(log, TARGET)[:3], atol=1e-10
    )
    assert abs(ips(moved, TARGET).value - 100 - ips(log, TARGET).value) > 1


def test_on_policy_every_estimate_is_near_the_mean_and_every_row_counts():
    log = draw(np.random.default_rng(27), 2000)
    for estimator in (ips, snips):
        e = estimator(log, LOGGING)
        assert e.value == pytest.approx(log.reward.mean(), abs=1e-12)
        assert e.ess == pytest.approx(2000)
        half = 1.96 * log.reward.std() / np.sqrt(2000)
        assert e.hi - e.lo == pytest.approx(2 * half, rel=0.1)  # 1000 draws: 4 % standard error


def test_a_target_that_the_log_never_follows_has_no_value():
    log = Log([0, 0, 0], [1, 1, 0], propensity=[0.5, 0.5, 0.5])
    never = [[0.0, 1.0]]
    assert snips(log, never)[3] == ips(log, never)[3] == 0
    assert np.isnan(snips(log, never)[:3]).all()


def test_same_seed_same_interval_whatever_the_chunks(monkeypatch):
    log = draw(np.random.default_rng(28), 150)
    for estimator in ALL:
        whole = estimator(log, TARGET, draws=101, seed=3)
        assert whole == estimator(log, TARGET, draws=101, seed=3)
        assert whole[1:3] != estimator(log, TARGET, draws=101, seed=4)[1:3]
        with monkeypatch.context() as patch:
            patch.setattr(resample, "CHUNK", 100)
            np.testing.assert_allclose(whole, estimator(log, TARGET, draws=101, seed=3), rtol=1e-13)


def test_a_wider_level_gives_a_wider_interval():
    log = draw(np.random.default_rng(29), 150)
    narrow, wide = (doubly_robust(log, TARGET, level=level) for level in (0.5, 0.99))
    assert wide.lo < narrow.lo < narrow.hi < wide.hi


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"policy": TARGET[0]}, r"policy must have shape \(n_contexts, n_arms\), got \(3,\)"),
        ({"policy": 0.9 * TARGET}, "policy: row 0 must be probabilities that sum to 1, got .*"),
        ({"policy": [[1, 0, 0], [2, -1, 0]]}, "policy: row 1 must be probabilities .*"),
        ({"policy": TARGET[:1]}, "context: row .* has 1; allowed are 0 to 0 in this task"),
        ({"level": 1.0}, "level must lie strictly between 0 and 1, got 1.0"),
        ({"draws": 1}, "draws must be at least 2, got 1"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(change, line):
    log = draw(np.random.default_rng(30), 50)
    with pytest.raises(ValueError, match=f"^{line}$"):
        ips(**{"log": log, "policy": TARGET, **change})


def test_only_the_direct_method_does_without_propensities():
    log = draw(np.random.default_rng(31), 300)
    bare = Log(log.action, log.reward, log.context)
    assert direct_method(bare, TARGET) == direct_method(log, TARGET)
    for estimator in (ips, snips, doubly_robust, switch_dr):
        with pytest.raises(ValueError, match="^the log has no column 'propensity'"):
            estimator(bare, TARGET)


# --- learned rules and the report ---------------------------------------------------------------


def test_a_rule_is_learned_from_the_tables():
    log = Log([0, 0, 0, 1, 1], [1, 1, 0, 1, 0], [0, 0, 0, 1, 1])
    assert learned(greedy_offline(), log).tolist() == [[1, 0], [0, 1]]
    assert learned(greedy_offline(), log, (3, 4))[2].tolist() == [0.25] * 4
    with pytest.raises(
        ValueError, match="^reward: row 1 has 3; LCB was set to rewards from 0 to 1$"
    ):
        learned(lcb(), Log([0, 1], [0, 3]))


def test_a_rule_looks_better_on_the_rows_it_was_learned_from():
    # All arms pay 1/2: no rule is worth more, but the greedy one seems to be.
    rng = np.random.default_rng(32)
    seeming, honest = [], []
    for _ in range(100):
        action, reward = rng.integers(10, size=200), rng.integers(2, size=200)
        log = Log(action, reward, propensity=np.full(200, 0.1))
        half = log.take(slice(0, 100)), log.take(slice(100, 200))
        rule = learned(greedy_offline(), half[0], (1, 10))
        seeming.append(snips(half[0], rule, draws=2).value)
        honest.append(snips(half[1], rule, draws=2).value)
    error = np.std(honest, ddof=1) / 10
    assert abs(np.mean(honest) - 0.5) < 4 * error
    assert np.mean(seeming) > 0.5 + 10 * error


def printed(result):
    console = Console(file=io.StringIO(), width=100)
    render(result, console)
    return console.file.getvalue()


def test_report_on_the_shipped_log():
    result = report(DIGITS)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert (result["rows"], result["n_contexts"], result["n_arms"]) == (5000, 20, 10)
    log = Log.read(DIGITS)
    counts, sums = log.counts(), log.sums()
    for row in result["contexts"]:
        s = row["context"]
        assert row["rows"] == counts[s].sum()
        assert row["bc"]["arms"] == [int(counts[s].argmax())]
        (k,) = row["lcb"]["arms"]
        bound = sums[s, k] / counts[s, k] - np.sqrt(0.5 * np.log(2 * 200 * 5000) / counts[s, k])
        assert row["lcb"]["lower_bound"] == pytest.approx(bound, rel=1e-12)
        assert row["lcb"]["lower_bound"] >= row["bc"]["lower_bound"]
        assert row["lcb"]["lower_bound"] >= row["greedy_offline"]["lower_bound"]
    worth = {(e["rule"], e["estimator"]): e for e in result["estimates"]}
    assert len(worth) == 8
    # Exact values of what the whole log teaches, from scripts/make_log.py.
    for rule, value in (("lcb", 0.8799), ("bc", 0.8176), ("behaviour", 0.6432)):
        e = worth[rule, "doubly robust"]
        # Half the rows teach nearly the same: within an interval's width, four standard errors.
        assert e["lo"] < e["value"] < e["hi"]
        assert abs(e["value"] - value) < e["hi"] - e["lo"]
    assert worth["lcb", "SNIPS"]["lo"] > worth["behaviour", "SNIPS"]["hi"]
    assert result == report(DIGITS)
    assert result["estimates"] != report(DIGITS, seed=1)["estimates"]
    text = printed(result)
    for part in (
        "20 contexts",
        "doubly robust",
        "effective",
        "(support)",
        "valued on the other half.",
    ):
        assert part in text


def test_report_learns_and_values_on_different_halves():
    # Pure noise: valued on its own rows the greedy rule would be worth far more than 1/2.
    rng = np.random.default_rng(33)
    n = 4000
    log = Log(
        rng.integers(10, size=n), rng.integers(2, size=n), rng.integers(40, size=n), np.full(n, 0.1)
    )
    own = snips(log, learned(greedy_offline(), log), draws=2).value
    (e,) = (
        e
        for e in report(log)["estimates"]
        if (e["rule"], e["estimator"]) == ("greedy_offline", "SNIPS")
    )
    assert abs(e["value"] - 0.5) < 4 * 0.5 / np.sqrt(e["effective_rows"])
    assert own > 0.5 + 8 * 0.5 / np.sqrt(e["effective_rows"])


def test_report_without_propensities_says_so_in_one_line():
    log = Log([0, 1, 1, 1], [0, 1, 1, 0])
    result = report(log)
    assert {e["estimator"] for e in result["estimates"]} == {"direct method"}
    assert result["n_contexts"] == 1
    assert result["contexts"][0]["bc"]["arms"] == [1]
    assert (
        "the log has no column 'propensity', so what the rules are worth is told by the direct"
        in " ".join(printed(result).split())
    )


def test_report_names_ties_and_contexts_without_data():
    log = Log([0, 1, 2, 0], [1, 1, 0, 1], [0, 0, 0, 2], actions=(0, 1, 2), contexts=(0, 1, 2))
    rows = report(log)["contexts"]
    assert rows[1]["rows"] == 0
    assert rows[1]["lcb"] == {"arms": [0, 1, 2], "rows": 0, "mean": None, **_bound(rows[1])}
    assert rows[0]["greedy_offline"]["arms"] == [0, 1]
    text = printed(report(log))
    assert "any (" in text
    assert "0/1 (" in text


def _bound(row):
    return {"lower_bound": row["lcb"]["lower_bound"]}


def test_report_prints_the_first_contexts_of_many():
    n = SHOWN + 10
    log = Log(np.zeros(n, int), np.ones(n), np.arange(n))
    text = printed(report(log))
    assert f"The first {SHOWN} of {n} contexts; --json has all." in text
    rows = [line for line in text.splitlines() if line.startswith("│")]
    assert len(rows) == SHOWN + 4  # and a row for each rule's worth
    assert len(report(log)["contexts"]) == n


def test_report_takes_the_range_of_rewards():
    log = Log([0, 1, 1, 0], [-3, 4, 4, -2])
    with pytest.raises(
        ValueError,
        match=r"^reward: row 0 has -3, but lcb was told .* \[0, 1\]: .* --low -3 --high 4",
    ):
        report(log)
    with pytest.raises(ValueError, match="^lcb: unknown argument 'lo'; did you mean low[?]"):
        report(log, lo=-5)
    result = report(log, low=-5, high=5)
    assert result["lcb"]["low"] == -5
    assert result["contexts"][0]["greedy_offline"]["arms"] == [1]


# --- models, propensities and support -----------------------------------------------------------


def test_a_reward_model_of_ones_own_is_used_as_it_is():
    rng = np.random.default_rng(61)
    log = draw(rng, 200)
    truth = MEANS[log.context]
    target = TARGET[log.context]
    w = target[np.arange(200), log.action] / log.propensity
    direct = (target * truth).sum(axis=1)
    rest = w * (log.reward - truth[np.arange(200), log.action])
    for model in (truth, truth.tolist(), lambda log: MEANS[log.context]):
        for by_row, policy in ((False, TARGET), (True, target)):
            how = {"model": model, "by_row": by_row, "draws": 50}
            assert direct_method(log, policy, **how).value == pytest.approx(direct.mean())
            assert doubly_robust(log, policy, **how).value == pytest.approx((direct + rest).mean())
            found = switch_dr(log, policy, tau=1.0, **how).value
            assert found == pytest.approx((direct + rest * (w <= 1)).mean())
            switch_dr(log, policy, **how)
    for model, line in (
        (truth[:, :2], r"^model must give \(200, 3\) rewards, got \(200, 2\)$"),
        (truth * np.nan, "^model: row 0 has .nan nan nan.; allowed are finite numbers$"),
    ):
        with pytest.raises(ValueError, match=line):
            direct_method(log, TARGET, model=model)


def test_estimates_go_by_the_names_of_the_log():
    """A policy over arms 0, 1, 2 and a log that never shows arm 1; arms 7 and 9 in order."""
    gaps = Log([0, 2, 2, 0], [1, 0, 0, 1], propensity=[0.5] * 4)
    assert ips(gaps, [[0.0, 0.0, 1.0]]).value == 0.0
    assert ips(gaps, [[1.0, 0.0, 0.0]]).value == 1.0
    assert ips(gaps, [[0.0, 1.0]]).value == 0.0  # the second of the two arms it names
    with pytest.raises(ValueError, match="^action: row 0 has 7; allowed are 0 to 2 in this task$"):
        ips(Log([7, 9], [1, 1], propensity=[0.5, 0.5]), [[1.0, 0.0, 0.0]])


def test_support_is_the_share_that_the_log_shows():
    log = Log([0, 1, 0, 0], [1, 0, 0, 1], [0, 0, 1, 1])
    assert support(log, [[0.5, 0.5], [0.5, 0.5]]) == pytest.approx(0.75)
    assert support(log, [[1.0, 0.0], [0.0, 1.0]]) == pytest.approx(0.5)
    assert support(log, np.tile([0.2, 0.3, 0.5], (4, 1)), by_row=True) == pytest.approx(0.5)


def test_estimated_propensities_are_those_of_the_other_fold():
    rng = np.random.default_rng(62)
    log = draw(rng, 4000)
    bare = Log(log.action, log.reward, log.context)
    found = estimated_propensities(bare, seed=3)
    assert np.abs(found.propensity - log.propensity).max() < 0.06
    assert "estimated from the log by context" in found.notes[-1]
    fold = np.random.default_rng(3).permutation(4000) % 2
    i = 17
    other = fold != fold[i]
    same = other & (bare.context == bare.context[i])
    q = ((bare.action[other] == bare.action[i]).sum() + 1) / (other.sum() + 3)
    exact = ((bare.action[same] == bare.action[i]).sum() + q) / (same.sum() + 1)
    assert found.propensity[i] == pytest.approx(exact)
    # Valued with them, a log that never told its propensities finds the truth.
    assert snips(found, TARGET).value == pytest.approx(VALUE, abs=0.06)
    x = np.eye(2)[bare.context]
    by_x = estimated_propensities(Log(log.action, log.reward, x=x), seed=3, by_features=True)
    assert np.abs(by_x.propensity - log.propensity).max() < 0.08
    with pytest.raises(ValueError, match="^the log has no columns x_"):
        estimated_propensities(bare, by_features=True)


def test_names_in_a_report():
    frame = {"context": list("uuvvuuvv"), "action": [42, 3, 42, 3] * 2, "reward": [1.0, 0] * 4}
    result = report(frame)
    assert [row["context"] for row in result["contexts"]] == ["u", "v"]
    assert result["contexts"][0]["greedy_offline"]["arms"] == [42]
    assert (result["n_arms"], json.loads(json.dumps(result))) == (2, result)
    told = report(frame, estimate_propensity=True)
    assert {e["estimator"] for e in told["estimates"]} == {"SNIPS", "doubly robust"}
    assert any("estimated from the log" in note for note in told["notes"])
    odd = report({"action": ["[red]", "\x1b[2J"] * 4, "reward": [1.0, 0] * 4})
    text = printed(odd)
    assert "[red]" in text and "\x1b" not in text
    # Arms that nobody logged do not loosen the bounds.
    few = report({"action": [0, 100_000] * 4, "reward": [1.0, 0] * 4})
    near = report({"action": [0, 1] * 4, "reward": [1.0, 0] * 4})
    assert few["contexts"][0]["lcb"] == near["contexts"][0]["lcb"]
