"""Policies of a log's features: what they are worth, and the report of lin_lcb on a log."""

import io
import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from banditlab.data.log import Log
from banditlab.offpolicy import (
    direct_method,
    doubly_robust,
    ips,
    learned_by_row,
    resample,
    snips,
    switch_dr,
)
from banditlab.registry import make
from banditlab.reports import rules as module
from banditlab.reports.rules import linear_report, render, report

ROOT = Path(__file__).parent.parent
DIGITS_X = ROOT / "arenas" / "logs" / "digits_x.csv"
ALL = (ips, snips, direct_method, doubly_robust, switch_dr)

# A known problem: x uniform on the points, three arms, mean rewards and two policies linear in x.
POINTS = np.array([[-1.0, 0.5], [0.0, 1.0], [0.5, -1.0], [1.0, 0.0]])
MEANS = 0.5 + 0.2 * POINTS @ np.array([[1.0, -1.0, 0.0], [0.5, 0.5, -1.0]])
LOGGING = np.array([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.3, 0.4, 0.3], [0.6, 0.2, 0.2]])
TARGET = np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 0.0], [0.0, 0.1, 0.9], [0.8, 0.1, 0.1]])
VALUE = float((TARGET * MEANS).sum(axis=1).mean())


def draw(rng, n, claimed=LOGGING):
    """A log of the known problem, and the target's probabilities in its rows."""
    s = rng.integers(4, size=n)
    action = (rng.random(n)[:, None] >= LOGGING.cumsum(axis=1)[s]).sum(axis=1)
    reward = (rng.random(n) < MEANS[s, action]).astype(float)
    return Log(action, reward, propensity=claimed[s, action], x=POINTS[s]), TARGET[s]


def z_scores(estimators, claimed=LOGGING, logs=600, n=200):
    rng = np.random.default_rng(41)
    values = np.empty((logs, len(estimators)))
    for i in range(logs):
        log, policy = draw(rng, n, claimed)
        values[i] = [e(log, policy, draws=2, seed=i, by_row=True).value for e in estimators]
    return (values.mean(axis=0) - VALUE) / (values.std(axis=0, ddof=1) / np.sqrt(logs))


def test_ips_and_doubly_robust_are_unbiased_and_a_good_model_mends_wrong_propensities():
    assert (np.abs(z_scores([ips, doubly_robust])) < 4).all()
    by_ips, by_model, robust = z_scores(
        [ips, direct_method, doubly_robust], claimed=np.sqrt(LOGGING) / 1.5
    )
    assert abs(by_ips) > 20
    assert abs(by_model) < 4
    assert abs(robust) < 4


def test_estimates_agree_with_a_second_implementation():
    rng = np.random.default_rng(42)
    log, policy = draw(rng, 50)
    log = Log(log.action, log.reward + rng.normal(size=50), None, log.propensity, log.x)
    seed = 5
    fold = np.random.default_rng(seed).permutation(50) % 2
    x = np.column_stack([np.ones(50), (log.x - log.x.mean(axis=0)) / log.x.std(axis=0)])

    def q(i, a):
        """The ridge regression of arm a in the fold that row i is not in."""
        other = fold != fold[i]
        mean = log.reward[other].mean()
        rows = x[other & (log.action == a)]
        excess = log.reward[other & (log.action == a)] - mean
        return mean + x[i] @ np.linalg.inv(rows.T @ rows + np.eye(3)) @ rows.T @ excess

    w = policy[np.arange(50), log.action] / log.propensity
    model = np.array([sum(policy[i, a] * q(i, a) for a in range(3)) for i in range(50)])
    rest = np.array([w[i] * (log.reward[i] - q(i, log.action[i])) for i in range(50)])
    expected = {
        ips: np.mean(w * log.reward),
        snips: np.sum(w * log.reward) / np.sum(w),
        direct_method: model.mean(),
        doubly_robust: np.mean(model + rest),
        partial(switch_dr, tau=1.0): np.mean(model + np.where(w <= 1.0, rest, 0)),
        partial(switch_dr, tau=0.0): model.mean(),
    }
    for estimator, value in expected.items():
        found = estimator(log, policy, draws=2, seed=seed, by_row=True)
        assert found.value == pytest.approx(value, rel=1e-11)
    found = doubly_robust(log, policy, draws=2, seed=seed, by_row=True)
    assert found.ess == pytest.approx(w.sum() ** 2 / (w**2).sum(), rel=1e-12)

    # The threshold: the target's share of each arm, and which part of it has weights above tau.
    errors = {}
    for tau in (0.0, *np.unique(w), np.inf):
        each = model + np.where(w <= tau, rest, 0)
        beyond = 0.0
        for a in range(3):
            of_arm = w * (log.action == a)
            beyond += policy[:, a].mean() * of_arm[w > tau].sum() / of_arm.sum()
        error = each.var() / 50 + (np.ptp(log.reward) * beyond) ** 2
        errors[error] = each.mean()
    found = switch_dr(log, policy, draws=2, seed=seed, by_row=True)
    assert found.value == pytest.approx(errors[min(errors)], rel=1e-11)


def test_intervals_of_rows_cover_the_exact_value():
    rng = np.random.default_rng(43)
    covered = np.zeros(3)
    for i in range(200):
        log, policy = draw(rng, 300)
        for k, estimator in enumerate((snips, doubly_robust, partial(doubly_robust, level=0.5))):
            e = estimator(log, policy, draws=300, seed=i, by_row=True)
            covered[k] += e.lo <= VALUE <= e.hi
    # Three binomial standard errors of 200 logs.
    assert (np.abs(covered[:2] - 190) <= 9.3).all(), covered
    assert abs(covered[2] - 100) <= 22, covered


def test_a_table_is_worth_the_same_by_context_and_by_row_where_no_model_is_asked():
    rng = np.random.default_rng(44)
    s = rng.integers(4, size=200)
    action = rng.integers(3, size=200)
    log = Log(action, rng.random(200), s, np.full(200, 1 / 3), rng.normal(size=(200, 2)))
    for estimator in (ips, snips):
        by_context = estimator(log, TARGET, draws=2)
        by_row = estimator(log, TARGET[s], draws=2, by_row=True)
        assert by_row.value == pytest.approx(by_context.value, rel=1e-12)
        assert by_row.ess == pytest.approx(by_context.ess, rel=1e-12)


def test_exact_small_cases():
    # One row a fold; the model of the other fold's row shrinks its reward by nothing but the mean.
    log = Log([0, 1], [1.0, 0.0], propensity=[0.5, 0.25], x=[[2.0], [2.0]])
    policy = [[1.0, 0.0], [0.5, 0.5]]
    # ips: (2 * 1 + 2 * 0) / 2. The other fold's only reward is its mean, hence the model of all
    # arms: 0 in row 0 and 1 in row 1.
    assert ips(log, policy, by_row=True, draws=2).value == 1.0
    assert direct_method(log, policy, by_row=True, draws=2).value == 0.5
    assert doubly_robust(log, policy, by_row=True, draws=2).value == 0.5 * (2 * 1 + 1 + 2 * -1)
    bare = Log([0, 1], [1.0, 0.0], propensity=[0.5, 0.25])  # no features: the model is a constant
    assert doubly_robust(bare, policy, by_row=True, draws=2).value == 0.5


def test_same_seed_same_interval_whatever_the_chunks_and_the_scale_of_the_features(monkeypatch):
    log, policy = draw(np.random.default_rng(45), 150)
    moved = Log(log.action, log.reward, None, log.propensity, 1000 * log.x + 7)
    for estimator in ALL:
        whole = estimator(log, policy, draws=51, seed=3, by_row=True)
        np.testing.assert_allclose(
            whole, estimator(moved, policy, draws=51, seed=3, by_row=True), rtol=1e-9
        )
        with monkeypatch.context() as patch:
            patch.setattr(resample, "CHUNK", 100)
            again = estimator(log, policy, draws=51, seed=3, by_row=True)
        np.testing.assert_allclose(whole, again, rtol=1e-12)


@pytest.mark.parametrize(
    ("policy", "line"),
    [
        (TARGET, "policy: 4 rows, but the log has 50"),
        (np.full((50, 3), 0.3), "policy: row 0 must be probabilities that sum to 1, got .*"),
        (np.full((50, 2), 0.5), "action: row .* has 2; allowed are 0 to 1 in this task"),
    ],
)
def test_bad_policies_are_refused_in_one_line(policy, line):
    log, _ = draw(np.random.default_rng(46), 50)
    with pytest.raises(ValueError, match=f"^{line}$"):
        snips(log, policy, by_row=True)


# --- the report ---------------------------------------------------------------------------------


def printed(result):
    console = Console(file=io.StringIO(), width=100)
    render(result, console)
    return console.file.getvalue()


def test_linear_report_on_the_shipped_log():
    result = linear_report(DIGITS_X)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert (result["rows"], result["n_arms"], result["dim"]) == (2000, 10, 9)
    log = Log.read(DIGITS_X)

    # A second implementation of what would be deployed.
    for name, beta in (("lin_lcb", 1.0), ("greedy", 0.0)):
        bounds = np.empty((2000, 10))
        for k in range(10):
            rows = log.x[log.action == k]
            inverse = np.linalg.inv(rows.T @ rows + np.eye(9))
            theta = inverse @ rows.T @ log.reward[log.action == k]
            width = np.sqrt(np.einsum("ni,ij,nj->n", log.x, inverse, log.x))
            bounds[:, k] = log.x @ theta - beta * width
        shares = np.bincount(bounds.argmax(axis=1), minlength=10) / 2000
        np.testing.assert_allclose([arm[name] for arm in result["arms"]], shares, atol=1e-12)
    popular = log.counts().argmax(axis=1)[log.context]
    shares = np.bincount(popular, minlength=10) / 2000
    np.testing.assert_allclose([arm["bc"] for arm in result["arms"]], shares, atol=1e-12)
    logged = log.counts().sum(axis=0)
    assert [arm["rows"] for arm in result["arms"]] == logged.tolist()
    np.testing.assert_allclose([arm["behaviour"] for arm in result["arms"]], logged / 2000)

    worth = {(e["rule"], e["estimator"]): e for e in result["estimates"]}
    assert len(worth) == 8
    # Exact values of what the whole log teaches, from scripts/make_log.py.
    for rule, value in (("lin_lcb", 0.8721), ("greedy", 0.8443), ("bc", 0.8276)):
        e = worth[rule, "doubly robust"]
        assert e["lo"] < e["value"] < e["hi"]
        assert abs(e["value"] - value) < e["hi"] - e["lo"]
    assert worth["lin_lcb", "SNIPS"]["lo"] > worth["behaviour", "SNIPS"]["hi"]

    assert result["estimates"] != linear_report(DIGITS_X, seed=1)["estimates"]
    other = linear_report(DIGITS_X, beta=0.0)
    assert all(arm["lin_lcb"] == arm["greedy"] for arm in other["arms"])
    assert linear_report(DIGITS_X, p=np.inf)["lin_lcb"]["p"] == "inf"
    text = printed(result)
    for part in (
        "2,000 rows, 10 arms, dim 9",
        "doubly robust",
        "valued on the other half.",
        "The log's contexts are used by bc and behaviour, not by lin_lcb.",
    ):
        assert part in text


def test_linear_report_learns_and_values_on_different_halves(monkeypatch):
    monkeypatch.setattr(module, "ROW_DRAWS", 0)  # as few draws as may be: intervals are not asked
    # Pure noise: valued on its own rows the greedy rule would be worth far more than 1/2.
    rng = np.random.default_rng(47)
    n = 2000
    x = rng.normal(size=(n, 40))
    log = Log(rng.integers(10, size=n), rng.integers(2, size=n), None, np.full(n, 0.1), x)
    rule = make("lin_lcb", beta=0.0, disjoint=True)
    own = snips(log, learned_by_row(rule, log, x), draws=2, by_row=True)
    (e,) = (
        e
        for e in linear_report(log)["estimates"]
        if (e["rule"], e["estimator"]) == ("greedy", "SNIPS")
    )
    assert abs(e["value"] - 0.5) < 4 * 0.5 / np.sqrt(e["effective_rows"])
    assert own.value > 0.5 + 5 * 0.5 / np.sqrt(own.ess)


def test_linear_report_without_propensities_or_contexts():
    log, _ = draw(np.random.default_rng(48), 60)
    bare = Log(log.action, log.reward, x=log.x)
    result = linear_report(bare)
    assert {e["estimator"] for e in result["estimates"]} == {"direct method"}
    assert (result["rows_valued"], result["remark"]) == (30, None)
    assert "the log has no column 'propensity'" in " ".join(printed(result).split())
    assert linear_report(bare.take(slice(0, 3)))["estimates"] == []
    # An arm that was never tried has no mean; it is there only if it is named.
    moved = np.where(log.action == 1, 2, log.action)
    gap = Log(moved, log.reward + 5, x=log.x, actions=(0, 1, 2))
    assert [arm["arm"] for arm in linear_report(Log(moved, log.reward, x=log.x))["arms"]] == [0, 2]
    assert linear_report(gap)["arms"][1]["mean"] is None
    with pytest.raises(ValueError, match="^the log has no columns x_[*], the features that lin_"):
        linear_report(Log([0, 1], [1, 1]))
    with pytest.raises(ValueError, match="^disjoint must be true: all arms share the features"):
        linear_report(log, disjoint=False)


def test_draws_of_a_long_log_are_fewer(monkeypatch):
    log, _ = draw(np.random.default_rng(49), 100)
    full = linear_report(log)["estimates"]
    monkeypatch.setattr(module, "ROW_DRAWS", 25_000)  # 250 draws of 100 rows
    fewer = linear_report(log)["estimates"]
    assert [e["value"] for e in fewer] == [e["value"] for e in full]
    assert fewer[0]["lo"] != full[0]["lo"]


def test_a_tabular_report_says_that_it_does_not_use_features():
    log, _ = draw(np.random.default_rng(50), 60)
    with_features, without = report(log), report(Log(log.action, log.reward, None, log.propensity))
    line = "The log's columns x_* (2) are not used by lcb; lin_lcb uses them."
    assert line in printed(with_features).splitlines()
    assert line not in printed(without)
    assert {**with_features, "remark": None} == without


# --- the command line ---------------------------------------------------------------------------


def arena(*words):
    return subprocess.run(
        [sys.executable, "-m", "banditlab.arena", *words], cwd=ROOT, capture_output=True, text=True
    )


def test_the_command_prints_the_report(tmp_path):
    path = tmp_path / "log.csv"
    draw(np.random.default_rng(51), 80)[0].to_frame().to_csv(path, index=False)
    words = ("--agent", "lin_lcb", "--log", str(path), "--set", "lin_lcb.beta=0.5")
    done = arena(*words)
    assert done.returncode == 0, done.stderr
    assert "log.csv: 80 rows, 3 arms, dim 2" in done.stdout
    assert json.loads(arena(*words, "--json").stdout) == linear_report(path, beta=0.5)
    done = arena("--agent", "lcb", "--log", str(path))
    assert done.returncode == 0 and "lin_lcb uses them" in done.stdout


BAD = [
    ("action,reward\n1,1\n0,0\n", [], "the log has no columns x_*"),
    ("action,reward,x_0\n1,1,0.5\n0,0,nan\n", [], "log.csv: x_0: row 1 has nan"),
    ("action,reward,x_0\n1,1,0.5\n0,0,a\n", [], "log.csv: x_0: row 1 has a"),
    ("action,reward,x_0\n1,1,1\n", ["--set", "lin_lcb.beta=-1"], "beta must be at least 0"),
    ("action,reward,x_0\n1,1,1\n", ["--set", "lin_lcb.disjoint=false"], "disjoint must be true"),
    ("action,reward,x_0\n1,1,1\n", ["--set", "lin_lbc.beta=1"], "did you mean lin_lcb"),
]


@pytest.mark.parametrize(("text", "words", "line"), BAD, ids=[line for *_, line in BAD])
def test_bad_input_is_one_line_and_exit_2(text, words, line, tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(text)
    done = arena("--agent", "lin_lcb", "--log", str(path), *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert line in done.stderr and len(done.stderr.strip().splitlines()) == 1
