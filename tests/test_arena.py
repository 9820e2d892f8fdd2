"""simulate: seeds, workers, blocks, logs, resuming, and errors in one line."""

from __future__ import annotations

import json
import threading
import time

import numpy as np
import pandas as pd
import pytest

import banditlab
from banditlab import random
from banditlab.arena import jobs
from banditlab.arena import rows as arena_rows
from banditlab.arena.claims import evaluate
from banditlab.arena.claims import verdict as in_words
from banditlab.arena.overlays import overlays
from banditlab.arena.spec import checkpoints, read_arena
from banditlab.cli import report
from banditlab.cli.main import main
from banditlab.core import Task
from banditlab.curves import Curves, Record
from banditlab.protocols import online

SMALL = {
    "problem": {"name": "bernoulli", "means": [0.2, 0.5, 0.8]},
    "agents": [{"name": "ucb"}, {"name": "thompson"}],
    "horizon": 200,
    "replications": 130,
    "seed": 9,
}


@pytest.fixture(scope="module")
def small() -> Curves:
    return banditlab.simulate(SMALL, workers=1)


def test_workers_do_not_change_a_bit(small):
    two = banditlab.simulate(SMALL, workers=2)
    for agent in ("ucb", "thompson"):
        for measure in ("regret", "reward", "switches"):
            assert np.array_equal(small.raw(agent, measure), two.raw(agent, measure))


def test_few_replications_are_a_prefix_of_many(small):
    few = banditlab.simulate(SMALL, replications=10)
    assert np.array_equal(few.raw("thompson"), small.raw("thompson")[:10])


def test_seed_changes_the_curves(small):
    other = banditlab.simulate(SMALL, seed=10, replications=10)
    assert not np.array_equal(other.raw("thompson"), small.raw("thompson")[:10])


def test_measures_agree_with_each_other(small):
    # Regret is charged from true means: 0.8 t - regret is the mean of the reward, 5 sigma.
    t = small.checkpoints()
    expected = 0.8 * t - small.raw("ucb", "regret").mean(0)
    sigma = 0.5 * np.sqrt(t / 130)
    assert (np.abs(small.raw("ucb", "reward").mean(0) - expected) < 5 * sigma).all()
    assert (small.raw("ucb", "switches")[:, 0] == 0).all()  # round 1 is no switch
    assert (np.diff(small.raw("ucb", "switches"), axis=1) >= 0).all()


def test_pairing_shrinks_the_noise_of_a_difference():
    # The same agent twice under two labels differs by nothing: common luck, common stream.
    agents = [{"name": "ucb", "label": "a"}, {"name": "ucb", "label": "b"}]
    curves = banditlab.simulate({**SMALL, "agents": agents})
    assert curves.compare("a", "b").difference == 0.0
    assert curves.compare("a", "b").p == 1.0
    # Control: unpaired seeds differ.
    other = banditlab.simulate({**SMALL, "agents": agents, "seed": 77})
    assert (other.raw("a")[:, -1] != curves.raw("a")[:, -1]).any()


def test_compare_is_the_paired_t_test(small):
    from scipy import stats

    a, b = small.raw("ucb")[:, -1], small.raw("thompson")[:, -1]
    expected = stats.ttest_rel(a, b)
    interval = expected.confidence_interval()
    found = small.compare("ucb", "thompson")
    assert found.difference == pytest.approx((a - b).mean(), rel=1e-12)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert (found.lo, found.hi) == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_frame_is_tidy_and_right(small):
    frame = small.frame()
    assert list(frame.columns[:10]) == (
        ["panel", "cell", "agent", "t", "measure", "n", "mean", "sem", "lo", "hi"]
    )
    last = frame.query("agent == 'ucb' and measure == 'regret'").iloc[-1]
    raw = small.raw("ucb")[:, -1]
    assert last["t"] == 200 and last["n"] == 130
    assert last["mean"] == pytest.approx(raw.mean())
    assert last["sem"] == pytest.approx(raw.std(ddof=1) / np.sqrt(130))
    from scipy import stats

    wide = stats.t.ppf([0.975, 1 - 0.025 / small.checkpoints().size], 129)
    assert (last["hi"] - last["mean"]) / last["sem"] == pytest.approx(wide[0])
    assert (last["mean"] - last["lo"]) / last["sem"] == pytest.approx(wide[0])
    assert wide[0] < last["simultaneous"] < wide[1]  # Student's and Bonferroni's


def test_save_and_load(small, tmp_path):
    small.save(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "curves.csv", "run.json", "run.local.json", "raw.parquet", "figure.png", "figure.svg",
    }  # fmt: skip
    loaded = Curves.load(tmp_path)
    assert np.array_equal(loaded.raw("ucb", "reward"), small.raw("ucb", "reward"))
    about = json.loads((tmp_path / "run.json").read_text())
    assert about["seed"] == 9 and about["hash"] == small.hash
    assert about["versions"]["numba"]
    assert len(pd.read_csv(tmp_path / "curves.csv")) == len(small.frame())


def test_saving_twice_gives_the_same_bytes(small, tmp_path):
    small.save(tmp_path / "a")
    small.save(tmp_path / "b")
    for name in ("curves.csv", "run.json", "figure.png", "figure.svg"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_checkpoints():
    for horizon in (1, 2, 7, 1000, 123457):
        for spacing in ("log", "linear"):
            points = checkpoints(horizon, spacing=spacing)
            assert points.dtype == np.int64 and points[-1] == horizon and points[0] >= 1
            assert (np.diff(points) > 0).all() and points.size <= 100
    assert checkpoints(1000, count=4).tolist() == [1, 10, 100, 1000]
    assert checkpoints(10, count=4).tolist() == [1, 2, 5, 10]  # 1, 2.15, 4.64 and 10
    assert checkpoints(1000, count=4, spacing="linear").tolist() == [250, 500, 750, 1000]


def test_stop_flag_ends_a_long_block(monkeypatch):
    """What Ctrl-C does: the kernel reads the flag and returns long before its horizon."""
    arena = read_arena({**SMALL, "horizon": 10**10, "checkpoints": [10**10]})
    job = jobs.Resolver().job(arena, arena.panels[0], arena.panels[0].agents[0])
    flag = np.zeros(2, np.int64)
    thread = threading.Thread(target=arena_rows.run_block, args=(job, 0, np.zeros((1, 1, 3)), flag))
    thread.start()
    while flag[0] == 0:
        time.sleep(0.01)
    flag[1] = 1
    thread.join(timeout=5)
    assert not thread.is_alive()


def test_progress_counts_every_round():
    seen = []
    banditlab.simulate(SMALL, progress=lambda *args: seen.append(args))
    assert seen[-1][1:] == (2 * 130 * 200, 2 * 130 * 200)


def test_offline_curves_do_not_depend_on_who_else_reads_the_log():
    one = banditlab.simulate("lcb", agents=["lcb"], replications=5)
    two = banditlab.simulate("lcb", agents=["bc", "lcb"], replications=5)
    for panel in ("mixed", "mixed, deployed"):
        a, b = one.raw("lcb", panel=panel), two.raw("lcb", panel=panel)
        assert np.array_equal(a, b)


def test_a_deployed_rule_loses_its_gap_in_every_round():
    curves = banditlab.simulate("lcb", agents=["bc"], replications=5)
    panel = "mixed, deployed"
    regret, t = curves.raw("bc", panel=panel), curves.checkpoints(panel)
    gap = curves.at(3000, "bc", "gap", "mixed")
    assert regret == pytest.approx(gap[:, None] * t, rel=1e-12)


def test_warm_start_learns_from_the_log():
    entries = [
        {"name": "ucb", "label": "cold", "alpha": 0.5},
        {"name": "ucb", "label": "warm", "alpha": 0.5, "warm": True},
    ]
    curves = banditlab.simulate({**SMALL, "agents": entries, "log": 500})
    assert curves.compare("warm", "cold").hi < 0


def test_the_log_of_a_warm_start_has_luck_of_its_own():
    """Drawn here once more by hand, from the stream that is neither nature's nor the agent's."""
    told = []

    def update(params, state, t, x, arm, reward, rng):
        told.append((t, arm, reward))

    algorithm = banditlab.make("ucb")._replace(
        init=lambda params, task, rng: None, update=update, fit=lambda *_: False
    )
    means = [0.3, 0.7]
    problem, key = banditlab.make_problem("bernoulli", means=means), random.key(5)
    begin = getattr(online.begin, "py_func", online.begin)
    with np.errstate(all="ignore"):
        run = begin(algorithm, problem, Task(2, 1, 0, 10), key, 3, 30)
        luck = random.stream(key, 3, random.OBSERVATION)
        wanted = []
        for t in range(30):
            arm = random.below(luck, 2)
            wanted.append((t, arm, float(random.uniform(luck) < means[arm])))
        assert told == wanted
        # What is then played is what is played without a log.
        assert run.nature.tolist() == random.stream(key, 3, random.NATURE).tolist()


def test_regret_is_charged_on_the_world_as_the_agent_found_it():
    """Each pull makes the next mistake dearer by one."""

    def pull(params, world, x, arm, rng):
        world[0] += 1.0
        return 0.5

    problem = online.Problem(
        (), lambda params, rng: np.zeros(1), lambda params, world, t, rng: np.zeros((1, 1)), pull,
        lambda params, world, x, arm: world[0], (2, 1, 0), arrivals=lambda *_: -1,
    )  # fmt: skip
    algorithm = banditlab.make("ucb")._replace(
        init=lambda *_: None, act=lambda params, state, t, x, rng: t % 2, update=lambda *_: None
    )
    begin, advance = (getattr(f, "py_func", f) for f in (online.begin, online.advance))
    with np.errstate(all="ignore"):
        run = begin(algorithm, problem, Task(2, 1, 0, 4), random.key(1), 0, 0)
        advance(algorithm, problem, run, 0, 4)
    assert run.totals.tolist() == [0 + 1 + 2 + 3, 2.0, 3.0]  # regret, reward, switches


def test_non_stationary_ranges_are_checked_before_anything_runs():
    with pytest.raises(ValueError, match=r"thompson.*rewards in \[0, 1\].*gaussian"):
        banditlab.simulate(
            {"problem": {"name": "gaussian", "means": [0, 1]}, "agents": [{"name": "thompson"}]}
        )


BAD = [
    ({**SMALL, "horizon": 0}, "horizon"),
    ({**SMALL, "replications": 0}, "replications"),
    ({**SMALL, "hroizon": 5}, "unknown key 'hroizon'; did you mean horizon"),
    ({**SMALL, "agents": []}, "agents"),
    ({**SMALL, "agents": [{"name": "ubc"}]}, "unknown agent 'ubc'; did you mean bc or ucb"),
    ({**SMALL, "agents": [{"name": "ucb", "alfa": 1}]}, "unknown argument 'alfa'; did you mean"),
    ({**SMALL, "agents": [{"name": "ucb", "alpha": -1}]}, "ucb: alpha must be positive, got -1"),
    ({**SMALL, "agents": [{"name": "ucb"}, {"name": "ucb"}]}, "label 'ucb' is used twice"),
    ({**SMALL, "problem": {"name": "bernouli", "means": [0, 1]}}, "did you mean bernoulli"),
    ({**SMALL, "problem": {"name": "bernoulli", "means": [0.5]}}, "means must be a list of at"),
    ({**SMALL, "problem": {"name": "bernoulli", "means": [0.5, 2]}}, r"means\[1\] must be in"),
    ({**SMALL, "problem": {"name": "bernoulli", "means": [0.5, float("nan")]}}, r"means\[1\]"),
    ({**SMALL, "problem": {"name": "bernoulli"}}, "bernoulli: means must be given"),
    ({**SMALL, "agents": [{"name": "lcb"}]}, "learns from a log"),
    ({**SMALL, "protocol": "offline"}, "speaks online"),
    ({**SMALL, "protocol": "off"}, "protocol"),
    ({**SMALL, "agents": [{"name": "linucb"}]}, "needs features"),
    ({**SMALL, "seed": -1}, "seed"),
    ({**SMALL, "checks": [{"less": "ucb.regret"}]}, "less needs than"),
    ({**SMALL, "overlays": ["lai"]}, "overlays"),
]


@pytest.mark.parametrize(("arena", "words"), BAD, ids=[w for _, w in BAD])
def test_bad_arena_is_one_clear_line(arena, words):
    with pytest.raises(ValueError, match=words) as error:
        banditlab.simulate(arena)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["horizon", "replications", "workers"])
@pytest.mark.parametrize("value", [0, -1, 2.5, "3"])
def test_bad_override_is_named(name, value):
    with pytest.raises(ValueError, match=name):
        banditlab.simulate(SMALL, **{name: value})


def test_checks_pass_and_fail():
    checks = [
        {"less": "thompson.regret", "than": "ucb.regret", "at": 200},
        {"less": "ucb.regret", "than": "thompson.regret", "at": 200},  # the control: must fail
        {"value": "ucb.regret", "near": 1e9},  # the control: must fail
    ]
    found = banditlab.simulate({**SMALL, "checks": checks}).checks
    assert [check["passed"] for check in found] == [True, False, False]


CLAIM = {
    "panel": "", "less": "", "than": "", "value": "", "slope": "", "near": None, "within": 0.0,
    "rounding": 0.0, "at": None, "margin": 0.0, "sigmas": 0.0, "why": "",
}  # fmt: skip


def by_hand(**values):
    """Curves at rounds 1 and 4, of three replications each; the values at 1 are four times less."""
    records = {
        ("main", agent): Record(
            np.array([1, 4]), ("regret",), np.array(last, float)[:, None, None] * [[0.25], [1.0]]
        )
        for agent, last in values.items()
    }
    return Curves({"panels": []}, records)


@pytest.mark.parametrize(
    ("sigmas", "margin", "passed"),
    [(0.0, 0.0, True), (0.0, -1.99, True), (0.0, -2.01, False), (3.4, 0.0, True), (3.5, 0.0, False),
     (3.5, 0.1, True), (1.0, -1.4, True), (1.0, -1.5, False)],
)  # fmt: skip
def test_a_difference_must_be_below_its_margin_by_so_many_standard_errors(sigmas, margin, passed):
    # The differences are -3, -2 and -1: mean -2, standard error 1 / sqrt(3) = 0.577. Unpaired it
    # would be far more, for the replications differ by tens.
    curves = by_hand(a=[10, 20, 33], b=[11, 22, 36])
    claim = {**CLAIM, "less": "a.regret", "than": "b.regret", "sigmas": sigmas, "margin": margin}
    [verdict] = evaluate(claim, curves)
    assert verdict["passed"] == passed
    # At round 1 all is four times less, the margin excepted.
    [early] = evaluate({**claim, "margin": margin / 4, "at": [1]}, curves)
    assert early["passed"] == passed
    [wrong] = evaluate({**claim, "less": "b.regret", "than": "a.regret", "margin": 0.0}, curves)
    assert not wrong["passed"]


@pytest.mark.parametrize(
    ("allowed", "error", "passed"),
    [({"rounding": 0.5}, 0.5, True), ({"rounding": 0.5}, -0.51, False),
     ({"within": 0.1}, 2.2, True), ({"within": 0.1}, 2.3, False),  # of 20 + 2.2 and 20 + 2.3
     ({"within": 0.1}, -1.8, True), ({"within": 0.1}, -1.9, False),
     # Both the claim and the run have an error of 2 / sqrt(3): their difference one of 1.633.
     ({"sigmas": 2.0}, 3.2, True), ({"sigmas": 2.0}, -3.3, False),
     ({"sigmas": 2.0, "rounding": 4.0, "within": 0.01}, 3.9, True)],
)  # fmt: skip
def test_a_value_is_near_what_is_claimed(allowed, error, passed):
    curves = by_hand(a=[18, 20, 22])
    claim = {**CLAIM, "value": "a.regret", **allowed}
    [verdict] = evaluate({**claim, "near": 20 + error}, curves)
    assert verdict["passed"] == passed
    # Each round has a claimed value of its own.
    found = evaluate({**claim, "at": [1, 4], "near": [99.0, 20 + error]}, curves)
    assert [verdict["passed"] for verdict in found] == [False, passed]


def test_a_share_of_the_way_is_counted_from_where_it_begins():
    curves = by_hand(base=[0, 1, 2], best=[10, 11, 15], mine=[6, 7, 8])
    claim = {**CLAIM, "less": "best.regret", "over": "base.regret", "than": "mine.regret", "at": 4}
    # Half of the way is 5, 6, 8.5: below 6, 7, 8 by 1, 1 and -0.5. Its mean is .5, its error .5.
    for share, sigmas, passed in ((0.5, 0.9, True), (0.5, 1.1, False), (0.7, 0.0, False)):
        [found] = evaluate({**claim, "share": share, "sigmas": sigmas}, curves)
        assert found["passed"] == passed, (share, sigmas)
    assert found["check"] == "0.7 of the way from base.regret to best.regret < mine.regret at 4"
    [found] = evaluate({**claim, "share": 0.5, "hypothesis": True}, curves)
    low, high = -0.5 - 4.302653 * 0.5, -0.5 + 4.302653 * 0.5  # the 97.5% quantile of t, 2 degrees
    assert found["found"].endswith(f"difference -0.5 [{low:.4g}, {high:.4g}]")
    # Where it holds of the means alone, and the interval reaches the other side, it is said.
    [found] = evaluate({**claim, "share": 0.5, "sigmas": 0.5, "hypothesis": True}, curves)
    assert found["passed"] and in_words(found) == "holds, within noise"
    [found] = evaluate({**claim, "share": 0.1, "sigmas": 0.5, "hypothesis": True}, curves)
    assert found["passed"] and in_words(found) == "holds"  # -5, -5, -4.7
    alone = by_hand(base=[0], best=[10], mine=[6])  # one replication has no interval
    [found] = evaluate({**claim, "share": 0.5, "sigmas": 0.0, "hypothesis": True}, alone)
    assert found["passed"] and in_words(found) == "holds, within noise"
    [found] = evaluate({**CLAIM, "less": 0.0, "than": "base.regret", "at": 4}, curves)
    assert found["passed"] and found["check"] == "0 < base.regret at 4"


def test_a_hypothesis_that_does_not_hold_fails_nothing(tmp_path, capsys):
    wrong = {"less": "uniform.regret", "than": "ucb.regret", "at": 50, "sigmas": 0}
    arena = tmp_path / "open.toml"
    lines = ["horizon = 50", "replications = 4", "agents = [{name = 'ucb'}, {name = 'uniform'}]",
             "problem = { name = 'bernoulli', means = [0.1, 0.9] }"]  # fmt: skip
    check = "[[checks]]\n" + "".join(f"{key} = {value!r}\n" for key, value in wrong.items())
    run = ["--arena", str(arena), "--out", str(tmp_path / "out"), "--workers", "1"]
    arena.write_text("\n".join([*lines, check + "hypothesis = true", check]))
    assert main(run) == 1
    said = capsys.readouterr()
    assert said.err.count("check failed: uniform.regret < ucb.regret at 50") == 1
    assert "0 of 1 checks passed, 0 of 1 hypotheses hold" in said.out
    assert "hypothesis does not hold: uniform.regret < ucb.regret at 50" in said.out
    arena.write_text("\n".join([*lines, check + "hypothesis = true"]))
    assert main(run) == 0
    assert "0 of 1 hypotheses hold" in capsys.readouterr().out
    about = json.loads((tmp_path / "out" / "run.json").read_text())
    assert [c["hypothesis"] and not c["passed"] for c in about["checks"]] == [True]
    page = tmp_path / "page.html"
    assert report.main([str(tmp_path / "out"), "--out", str(page)]) == 0
    assert "does not hold" in page.read_text() and "FAILED" not in page.read_text()
    arena.write_text("\n".join([*lines, check + "share = 0.5"]))
    assert main(run) == 2 and "over and a share below 1 belong together" in capsys.readouterr().err


def test_a_claim_may_speak_of_a_reference():
    curves = by_hand(a=[18, 20, 22])
    curves.overlays["main"] = [{"label": "bound", "t": [1.0, 4.0], "y": [4.9, 20.1]}]
    for at, passed in ((1, True), (4, False)):  # 5 > 4.9 at round 1, but 20 < 20.1 at round 4
        for less, than, holds in (("bound", "a.regret", passed), ("a.regret", "bound", not passed)):
            [verdict] = evaluate({**CLAIM, "less": less, "than": than, "at": at}, curves)
            assert verdict["passed"] == holds


def test_slopes_and_comparisons_by_hand():
    curves = by_hand(a=[18, 20, 22], b=[11, 22, 36])
    assert curves.slope("a") == pytest.approx(1.0)  # a quarter at a quarter
    assert curves.slope_interval("a") == pytest.approx((1.0, 1.0))
    assert curves.compare("a", "b").difference == pytest.approx(-3.0)
    assert curves.compare("a", "b", at=1).difference == pytest.approx(-0.75)


def test_intervals_of_a_slope_by_hand():
    """Two replications are drawn as (2, 0), (1, 1) and (0, 2): once, twice and once in four."""
    raw = np.array([[2.0, 4.0], [2.0, 16.0]])[:, :, None]  # slopes 1/2 and 3/2 where x is 1 and 4
    curves = Curves({"panels": []}, {("main", "a"): Record(np.array([1, 4]), ("regret",), raw)})
    both = np.log(10 / 2) / np.log(4)
    assert curves.slope("a") == pytest.approx(both)
    assert curves.slope_interval("a", level=0.7) == pytest.approx((0.5, 1.5))  # 15 % a side
    assert curves.slope_interval("a", level=0.3) == pytest.approx((both, both))  # 35 % a side
    # Of three, all three draws are the same one in 1 of 27 cases, 3.7 %: more than 2.5 % a side.
    raw = np.array([[2.0, 4.0], [2.0, 8.0], [2.0, 16.0]])[:, :, None]
    curves = Curves({"panels": []}, {("main", "a"): Record(np.array([1, 4]), ("regret",), raw)})
    assert curves.slope_interval("a") == pytest.approx((0.5, 1.5))


def test_bounds_are_drawn_at_the_checkpoints():
    arena = {
        **SMALL,
        "problem": {"name": "bernoulli", "means": [0.25, 0.5, 0.5]},
        "checkpoints": [1, 50, 200],
        "overlays": ["lai_robbins", "minimax"],
    }
    [lai, minimax] = overlays(read_arena(arena).panels[0])
    kl = 0.25 * np.log(0.25 / 0.5) + 0.75 * np.log(0.75 / 0.5)
    assert lai["t"] == minimax["t"] == [1, 50, 200]
    assert lai["y"] == pytest.approx([0.0, 0.25 / kl * np.log(50), 0.25 / kl * np.log(200)])
    assert np.isnan(minimax["y"][0])  # for fewer rounds than arms it says nothing
    assert minimax["y"][1:] == pytest.approx([10 / 27, 20 / 27])  # sqrt(2 * 50) and sqrt(2 * 200)
    gauss = {"name": "gaussian", "means": [0.0, 0.5], "sigma": 2.0}
    agents = [{"name": "ucb"}]
    wide = read_arena({**arena, "problem": gauss, "agents": agents, "overlays": ["lai_robbins"]})
    [lai] = overlays(wide.panels[0])
    assert lai["y"][1] == pytest.approx(2 * 2.0**2 / 0.5 * np.log(50))


def test_arrays_are_as_good_as_lists():
    arrays = {
        "problem": {"name": "bernoulli", "means": np.array([0.2, 0.8])},
        "agents": [{"name": "ucb", "alpha": np.float64(1.0)}],
        "horizon": 50,
        "replications": 3,
    }
    lists = {
        **arrays,
        "problem": {"name": "bernoulli", "means": [0.2, 0.8]},
        "agents": [{"name": "ucb", "alpha": 1.0}],
    }
    one, two = banditlab.simulate(arrays), banditlab.simulate(lists)
    assert one.hash == two.hash
    np.testing.assert_array_equal(one.raw("ucb"), two.raw("ucb"))


def test_bands_of_an_error_are_exact_and_of_other_measures_not():
    """SciPy's exact interval, for each replication is right or wrong; Student's for the rest."""
    from scipy.stats import binomtest

    arena = {
        "protocol": "identify",
        "problem": {"name": "bernoulli", "means": [0.4, 0.5]},
        "agents": [{"name": "sequential_halving"}],
        "horizon": 20,
        "replications": 12,
    }
    curves = banditlab.simulate(arena)
    frame = curves.frame().set_index("measure")
    wrong = int(curves.raw("sequential_halving", "error").sum())
    exact = binomtest(wrong, 12).proportion_ci(method="exact")
    assert 0 < wrong < 12
    assert frame.loc["error", ["lo", "hi"]].tolist() == pytest.approx([exact.low, exact.high])
    low, mean, high = frame.loc["simple_regret", ["lo", "mean", "hi"]]
    assert mean - low == pytest.approx(high - mean)
