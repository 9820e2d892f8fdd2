"""The report of sparse_commit on a log with features."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from banditlab.parts import sparse_fit
from banditlab.reports.sparse import command, render, report

ROOT = Path(__file__).parent.parent
LOG = ROOT / "arenas" / "logs" / "sparse.csv"


def printed(result):
    console = Console(file=io.StringIO(), width=100)
    render(result, console)
    return " ".join(console.file.getvalue().split())


def table(n_arms=40, dim=6, times=5, eps=0.1, noise=0.2, seed=0):
    """A log of arms that two features decide, but for eps."""
    rng = np.random.default_rng(seed)
    x = rng.choice([-1, 1], size=(n_arms, dim))
    mean = 0.5 * x[:, 1] - 0.3 * x[:, 4] + rng.choice([-eps, eps], n_arms)
    action = rng.permutation(np.repeat(np.arange(n_arms), times))
    reward = mean[action] + noise * rng.normal(size=action.size)
    return pd.DataFrame(
        {"action": action, "reward": reward} | {f"x_{j}": x[action, j] for j in range(dim)}
    )


def test_the_shipped_log():
    result = report(LOG)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert (result["rows"], result["distinct_rows"], result["dim"]) == (600, 200, 64)
    assert [row["feature"] for row in result["support"]] == ["x_5", "x_20", "x_41"]
    truth = {"x_5": 0.5, "x_20": -0.4, "x_41": 0.3}
    for row in result["support"]:
        assert row["coefficient"] == pytest.approx(truth[row["feature"]], abs=0.04)
        assert row["frequency"] > 0.9

    # sigma, from repetitions, by pandas: the log's is .2
    frame = pd.read_csv(LOG)
    within = frame.reward - frame.groupby("action").reward.transform("mean")
    assert result["sigma"] == pytest.approx(np.sqrt((within**2).sum() / 400))
    assert result["sigma_from"] == "400 repetitions"

    # eps is .1, and what could be seen of it depends on who scatters
    eps = result["eps"]
    assert 0 < eps["lo"] < 0.1 < eps["hi"] and abs(eps["value"] - 0.1) < 0.03
    assert result["largest_residual"] > 2 * eps["value"]  # most of which is noise

    dense, sparse = result["prices"]
    assert dense["theory_factor"] == 8.0 and dense["theory"] == pytest.approx(8 * eps["value"])
    assert sparse["theory"] == pytest.approx(3 * eps["value"] / sparse["kappa"])
    assert sparse["exact_factor"] < 2 < dense["exact_factor"]
    assert result["smaller"] == {"theory": "sparse", "exact": "sparse"}
    text = printed(result)
    for part in (
        "600 rows, 200 of them distinct, 64 features, sigma 0.22 (400 repetitions)",
        "The best fit by 3 features (s: extended BIC)",
        "sqrt(d) eps = ",
        "s eps / kappa = ",
        "Smaller, by the theory and on these rows, is the sparse bound.",
        "The fit would play arm offer_",
    ):
        assert part in text


def test_the_arm_is_that_of_the_largest_prediction_and_names_are_the_users():
    frame = table().rename(columns={"action": "article", "reward": "click"})
    frame["article"] = "a" + frame["article"].astype(str)
    result = report(frame, columns={"action": "article", "reward": "click"})
    theta = np.zeros(6)
    for row in result["support"]:
        theta[int(row["feature"][2:])] = row["coefficient"]
    predicted = frame[[f"x_{j}" for j in range(6)]].to_numpy() @ theta
    assert result["arm"]["predicted"] == pytest.approx(predicted.max())
    assert frame["article"][result["arm"]["row"]] == result["arm"]["action"]
    assert predicted[result["arm"]["row"]] == pytest.approx(predicted.max())
    assert result["exhaustive"]
    bare = report(frame.drop(columns="article"), columns={"reward": "click"})
    assert bare["arm"]["action"] is None and "would play the features (row" in printed(bare)


def test_weights_follow_how_often_a_row_was_seen():
    """Equal where misspecification decides, like the rewards seen where noise does."""
    exact = 0
    for seed in range(5):
        rng = np.random.default_rng(seed)
        x = np.concatenate([np.full(1000, 1.0), 0.5 * rng.normal(size=40)])
        reward = 2 * x + rng.normal(size=1040)
        result = report({"reward": reward, "x_a": x}, s=1, sigma=1.0)
        by_rewards = (x @ reward) / (x @ x)
        mean = np.append(reward[1000:], reward[:1000].mean())
        single = np.append(x[1000:], 1.0)
        by_rows = (single @ mean) / (single @ single)
        found = result["support"][0]["coefficient"]
        assert min(by_rewards, by_rows) - 1e-9 <= found <= max(by_rewards, by_rows) + 1e-9
        exact += abs(found - by_rewards) < 1e-9
    assert exact >= 1


def test_without_repetitions_noise_and_misspecification_are_not_told_apart():
    frame = table(n_arms=64, dim=6, times=1).drop_duplicates([f"x_{j}" for j in range(6)])
    result = report(frame)
    assert result["eps"] is None and result["sigma"] is None
    assert result["prices"][0]["theory"] is None and result["prices"][0]["theory_factor"] > 2
    text = printed(result)
    assert "No row is repeated, so noise and misspecification cannot be told apart" in text
    assert "in units of eps" in text and "Largest residual of the best fit" in text
    given = report(frame, sigma=0.2)
    assert given["eps"]["hi"] > 0.1 and given["sigma_from"] == "given"


def test_doubts_are_said():
    result = report(table(noise=0.01), eps=0.02)
    assert any(note.startswith("eps = 0.02 is understated: the log shows at least") for note in
               result["notes"])  # fmt: skip
    assert not any("understated" in note for note in report(table(noise=0.01), eps=0.1)["notes"])
    loose = report(table(eps=0.0, noise=0.5))
    assert "noise alone could explain the residuals: eps may be 0" in loose["notes"]
    many = report(table(n_arms=60, times=4), s=4)  # two of the four are noise
    assert any(note.startswith("kappa is") for note in
               report(table().assign(x_6=table()["x_1"]), s=2)["notes"])  # fmt: skip
    assert many["s_chosen_by"] == "given" and many["s"] == 4
    assert any(note.startswith("found in fewer than 60% of the halves: x_") for note in
               many["notes"])  # fmt: skip
    few = table(times=1)
    few = pd.concat([few, few.iloc[:3].assign(reward=0.5)])
    assert any("fewer than 10 repetitions" in note for note in report(few)["notes"])


def test_rows_that_are_there_twice_are_doubted():
    frame = table(times=1, noise=0.3)
    exact = report(pd.concat([frame, frame, frame]))
    assert exact["sigma"] == 0.0
    assert any(note.startswith("the 80 repetitions paid what was") for note in exact["notes"])
    assert not any("fewer than 10 repetitions" in note for note in exact["notes"])
    twice = table(times=4)
    said = report(pd.concat([twice, twice.iloc[:7]]))["notes"]
    assert any(note.startswith("7 of the rows equal another") for note in said)
    clicks = table(times=4).assign(reward=lambda f: (f.reward > 0).astype(int))
    for clean in (report(twice), report(clicks), report(pd.concat([twice, twice]), sigma=0.2)):
        assert not any("equal another" in note for note in clean["notes"])


def test_units_do_not_matter():
    frame, c = table(n_arms=20, times=3, noise=0.05), 2.0**-27
    base = report(frame, s=2, sigma=0.05)
    small = frame.assign(reward=frame.reward * c, x_1=frame.x_1 * 2.0**40, x_4=frame.x_4 * c)
    other = report(small, s=2, sigma=0.05 * c)
    assert [r["feature"] for r in other["support"]] == ["x_4", "x_1"]  # by coefficient
    names = {r["feature"]: r["frequency"] for r in base["support"]}
    assert {r["feature"]: r["frequency"] for r in other["support"]} == names
    assert other["largest_residual"] == pytest.approx(c * base["largest_residual"], rel=1e-6)
    for key, value in base["eps"].items():
        assert other["eps"][key] == pytest.approx(c * value, rel=1e-6)
    for row, same in zip(base["prices"], other["prices"], strict=True):
        assert same["exact_factor"] == pytest.approx(row["exact_factor"], rel=1e-6)
    assert base["eps"]["lo"] > 0.0


def test_a_feature_is_named_once_though_there_are_more_than_rows():
    frame = table(n_arms=4, dim=40, times=2)
    result = report(frame, s=10)
    named = [row["feature"] for row in result["support"]]
    assert len(set(named)) == len(named) == 10
    assert result["prices"][1]["kappa"] >= 0.0
    assert report(table(), sigma=1e-40)["eps"]["lo"] > 0.0  # next to no noise: no overflow


def test_more_features_than_rows():
    frame = table(n_arms=20, dim=40, times=3, noise=0.05)
    result = report(frame, s=2)
    assert {row["feature"] for row in result["support"]} == {"x_1", "x_4"}
    assert result["prices"][0]["exact_factor"] is None
    assert result["smaller"]["exact"] == "sparse" and "unbounded" in printed(result)


def test_the_same_seed_gives_the_same_report_and_another_other_halves():
    frame = table(n_arms=20, noise=1.0)
    assert report(frame, seed=1, s=3) == report(frame, seed=1, s=3)
    one, two = (report(frame, seed=seed, s=3) for seed in (1, 2))
    assert [r["coefficient"] for r in one["support"]] == [r["coefficient"] for r in two["support"]]
    assert one["support"] != two["support"]


def test_no_feature_is_a_result_too():
    rng = np.random.default_rng(2)
    frame = table(eps=0.0).assign(reward=lambda f: rng.normal(size=len(f)))
    result = report(frame)
    assert result["s"] == 0 and result["support"] == []
    assert "The best fit by 0 features" in printed(result)


# --- the command line ---------------------------------------------------------------------------


def arena(*words):
    return subprocess.run(
        [sys.executable, "-m", "banditlab.arena", "--agent", "sparse_commit", *words],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip


def test_the_command_prints_the_report(tmp_path):
    path = tmp_path / "log.csv"
    table().to_csv(path, index=False)
    done = arena("--log", str(path), "--json", "--set", "sparse_commit.s=2", "--sigma", "0.2")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == report(path, s=2, sigma=0.2)


BAD = [
    ("reward,x_0\n", {}, {}, "log.csv: the log is empty"),
    ("action,reward\n1,1\n0,0\n", {}, {}, "log.csv: the log has no columns x_[*], the features"),
    ("reward,x_0\n1,0\n2,0\n", {}, {}, "log.csv: the features are 0 in every row"),
    ("reward,x_0\n1,1\n2,nan\n", {}, {}, "log.csv: x_0: row 1 has nan"),
    ("reward,x_0\n1,1\ninf,1\n", {}, {}, "log.csv: reward: row 1 has inf"),
    ("x_0\n1\n2\n", {}, {}, "log.csv: .*reward"),
    ("reward,x_0\n1,1\n2,3\n", {"s": 2}, {}, "log.csv: s must be at most 1, got 2"),
    (f"reward,{','.join(f'x_{j}' for j in range(5001))}\n", {}, {}, "log.csv: the log has 5,001"),
    ("reward,x_0\n1,1e200\n2,3\n", {}, {}, "log.csv: x_0 is up to 1e[+]200 in size; allowed are"),
    ("reward,x_0\n1e-90,1\n0,3\n", {}, {}, "log.csv: reward is up to 1e-90 in size; allowed"),
    ("reward,x_0\n1,1\n2,3\n", {}, {"sigma": 1e99}, "sigma is up to 1e[+]99 in size; allowed are"),
    ("reward,x_0\n1,1\n2,3\n", {"sigma": 1}, {"sigma": 2}, "sigma is given twice: by --sigma and"),
    ("reward,x_0\n1,1\n2,3\n", {"s": 0}, {}, "log.csv: s must be at least 1, got 0"),
    ("reward,x_0\n1,1\n2,3\n", {"delta": 0}, {}, "delta must lie strictly between 0 and 1, got 0"),
    ("reward,x_0\n1,1\n2,3\n", {"eps": -1}, {}, "eps must be at least 0, got -1"),
    ("reward,x_0\n1,1\n2,3\n", {}, {"sigma": -1}, "sigma must be at least 0, got -1"),
    ("reward,x_0\n1,1\n2,3\n", {"lam": 1}, {}, "--set: sparse_commit on a log: unknown argument"),
]


@pytest.mark.parametrize(("text", "hyper", "flags", "line"), BAD, ids=[row[-1] for row in BAD])
def test_bad_input_is_one_line(text, hyper, flags, line, tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"^{line}"):
        command(str(path), "sparse_commit", {"sparse_commit": hyper}, None, **flags)


def test_other_agents_are_refused(tmp_path):
    with pytest.raises(ValueError, match="unknown agent 'ucb'"):
        command(str(LOG), "sparse_commit", {"ucb": {}}, None)


def test_a_tiny_log_is_reported_on():
    with pytest.raises(ValueError, match="seed must be at least 0, got -1"):
        report({"reward": [1.0, 2.0], "x_0": [1.0, 3.0]}, seed=-1)
    result = report({"reward": [1.0, 2.0], "x_0": [1.0, 3.0]})
    assert result["s"] in (0, 1) and result["smaller"]
    assert sparse_fit.is_exhaustive(1, 1)
    assert printed(result)
