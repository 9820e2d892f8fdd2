"""Files of losses and of rewards on the command line: what is printed, promised and refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import banditlab
from banditlab import interrupt
from banditlab.cli import files
from banditlab.cli.main import main
from banditlab.data.log import Log
from banditlab.offpolicy import resample
from banditlab.privacy import mechanisms
from banditlab.reports import budget as buying
from banditlab.reports import release as ratings
from banditlab.reports import rules

ROOT = Path(__file__).parent.parent
LOSSES = ROOT / "arenas" / "logs" / "digits_losses.csv"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "banditlab.arena", *words], capture_output=True, text=True
    )


# --- rules --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [4, 101, 400])
def test_the_halves_of_a_log_are_drawn_whatever_its_order(rows):
    """One to learn from, one to value by: a log sorted by day has each day in both."""
    log = Log(np.arange(rows) % 2, np.arange(rows) / rows)
    halves = []

    def policies(training, test):
        halves.append([np.round(part.reward * rows).astype(int) for part in (training, test)])
        return {}

    for seed in (0, 0, 1):
        rules.valued(log, policies, seed, False)
    for training, test in halves:
        assert sorted([*training, *test]) == list(range(rows))
        assert len(training) == rows // 2
    same = [np.array_equal(halves[0][0], other[0]) for other in halves[1:]]
    assert same == [True, rows == 4 and halves[0][0].tolist() == halves[2][0].tolist()]
    if rows > 100:
        early = sum(training < rows // 2)  # of the first half: half of it, to 4 sigma
        assert abs(early - rows / 4) < 4 * np.sqrt(rows / 16)
        in_turn = abs(np.corrcoef(np.isin(np.arange(rows), training), np.arange(rows) % 2)[0, 1])
        assert in_turn < 0.5


def test_draws_that_are_shared_are_those_that_would_be_drawn():
    """By policies valued one after the other; and the generator goes on as if it had drawn."""
    copies = np.array([3, 1, 2, 1])
    resample._drawn.clear()
    found = []
    for _ in range(2):
        rng = np.random.default_rng(4)
        found.append((*resample.bootstrap(lambda c: c @ [1.0, 2, 3, 4], copies, 0.9, 50, rng, 4),
                      rng.random()))  # fmt: skip
    fresh = np.random.default_rng(4)
    replicates = fresh.multinomial(7, copies / 7, size=50) @ [1.0, 2, 3, 4]
    assert found[0] == found[1] == (15.0, *np.quantile(replicates, (0.05, 0.95)), fresh.random())
    assert len(resample._drawn) == 1
    other = resample.bootstrap(
        lambda c: c @ [1.0, 2, 3, 4], copies[::-1].copy(), 0.9, 50, np.random.default_rng(4), 4
    )
    drawn = np.random.default_rng(4).multinomial(7, copies[::-1] / 7, size=50)
    replicates = drawn @ [1.0, 2, 3, 4]  # of other copies nothing is shared
    assert other == (20.0, *np.quantile(replicates, (0.05, 0.95)))
    for seed in range(5):
        resample.bootstrap(lambda c: c[:, 0], copies, 0.9, 50, np.random.default_rng(seed), 4)
    assert len(resample._drawn) == resample.KEPT


# --- losses -------------------------------------------------------------------------------------


def test_columns_say_which_are_arms_and_what_they_are_called(tmp_path, capsys):
    table = pd.DataFrame({"day": ["mo", "tu"], "r7": [3.0, 1.0], "r9": [1.0, 2.0]})
    table.to_csv(tmp_path / "losses.csv", index=False)
    terms = {"low": 0, "high": 5, "replications": 3, "budget": 2}
    want = buying.report(table[["r7", "r9"]], "batched_omd", **terms)
    found = buying.report(table, "batched_omd", columns={"left": "r9", "right": "r7"}, **terms)
    assert want.pop("best_arm") == "r9" and found.pop("best_arm") == "left"
    assert want == found
    words = ["--agent", "batched_omd", "--log", str(tmp_path / "losses.csv"), "--high", "5"]
    words += ["--replications", "3", "--json", "--columns"]
    assert main([*words, "left=r9,right=r7"]) == 0
    assert json.loads(capsys.readouterr().out)["best_arm"] == "left"
    for given, line in {
        "left=r9": "at least 2 columns",
        "left=r9,right=r8": "no column 'r8'",
        "left=r9,right=r9": "'r9' stands for two columns",
        "left=r9,right=day": "column 'right', row 0 has mo",
    }.items():
        assert main([*words, given]) == 2
        said = capsys.readouterr().err
        assert line in said and said.count("\n") == 1
    with pytest.raises(ValueError, match="day"):  # all columns are arms where nothing is said
        buying.report(table, "batched_omd", **terms)


def test_regret_in_the_users_units_is_what_is_paid_beyond_the_best_arm(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.uniform(10, 30, 200), "b": rng.uniform(0, 40, 200)})
    table.to_csv(tmp_path / "losses.csv", index=False)
    terms = {"low": 0, "high": 50, "price": 3.0, "look_price": 0.5, "replications": 20}
    found = buying.report(str(tmp_path / "losses.csv"), "batched_omd", budget=100, **terms)
    [row] = found["budgets"]
    assert found["best_arm_loss"] == pytest.approx(table.sum().min())
    assert row["observations"] == 100
    assert row["fees"] == pytest.approx(3.0 * row["switches"] + 0.5 * 100)
    assert row["regret"] == pytest.approx(row["loss"] - table.sum().min() + row["fees"])
    assert found["never_switch_regret"] == pytest.approx((table.sum() - table.sum().min()).mean())


def test_the_budget_that_was_cheapest_is_named():
    found = buying.report(str(LOSSES), look_price=0.005, replications=50, seed=1)
    regrets = {row["budget"]: row["regret"] for row in found["budgets"]}
    assert found["cheapest"] == min(regrets, key=regrets.get)
    dear = buying.report(str(LOSSES), look_price=0.5, replications=50, seed=1)
    assert dear["cheapest"] < found["cheapest"]
    free = buying.report(str(LOSSES), replications=50, seed=1)
    assert free["guarantee"] is None


def test_the_plan_minimises_the_bound_and_agrees_with_the_closed_form():
    n_arms, horizon, price = 4, 10**6, 2.0
    budget, cost = buying.plan_budget(n_arms, horizon, price)
    closed = (horizon * np.sqrt(n_arms * np.log(n_arms) / 2) / price) ** (2 / 3)
    assert budget == pytest.approx(closed, rel=0.02)
    for other in (budget // 2, budget * 2):
        [bound] = buying.worst_case(n_arms, horizon, np.array([other]))
        assert bound + price * other > cost
    assert buying.plan_budget(2, 100, 50.0) == (0, 100.0)
    with pytest.raises(ValueError, match="look_price must be positive, got 0"):
        buying.plan_budget(2, 100, 0)


def test_the_bound_of_the_plan_holds():
    found = buying.report(str(LOSSES), "batched_omd", replications=50, feedback="flex")
    for row in found["budgets"]:
        [bound] = buying.worst_case(4, 899, np.array([row["budget"]]))
        assert row["regret"] - 1.5 * row["half_width"] <= bound
    # Batches that are not equal cost more than their number says: the hardest case that we know.
    for budget in (9910, 16_000):
        curves = banditlab.simulate(
            {
                "protocol": "observe",
                "problem": {"name": "deterministic_gap", "n_arms": 8, "gap": 1.0, "base": 1.0,
                            "price": 10.0, "budget": budget},
                "agents": [{"name": "batched_omd", "feedback": "flex"}],
                "horizon": 2000,
                "replications": 2000,
                "checkpoints": [2000],
            }
        )  # fmt: skip
        [bound] = buying.worst_case(8, 2000, np.array([budget]), 10.0)
        regret = curves.raw("batched_omd")[:, -1]
        assert regret.mean() - 3 * regret.std() / len(regret) ** 0.5 <= bound
        assert regret.mean() > bound / 4


# --- rewards ------------------------------------------------------------------------------------

WIDE = {"low": -9, "high": 9}
SECRET = "31415.9"  # no message may hold it


@pytest.fixture
def people(tmp_path) -> Path:
    rng = np.random.default_rng(1)
    users = np.repeat(np.arange(200), 4)
    arms = rng.choice(["x", "y", "z"], users.size)
    means = pd.Series(arms).map({"x": 2.0, "y": 3.0, "z": 4.5}).to_numpy()
    stars = np.round(rng.normal(means, 1.0))
    frame = pd.DataFrame({"user": users, "action": arms, "reward": stars})
    frame.to_csv(tmp_path / "stars.csv", index=False)
    return tmp_path / "stars.csv"


def table(tmp_path, text, name="table.csv") -> str:
    (tmp_path / name).write_text(text)
    return str(tmp_path / name)


@pytest.fixture
def draws(monkeypatch):
    """What happened, in order: a test adds to it; noise that is drawn is none, and adds itself."""
    events = []
    monkeypatch.setattr(
        mechanisms, "secret_discrete_laplace", lambda s, t: events.append("drawn") or 0
    )
    return events


def test_a_person_is_protected_by_a_cap_and_by_more_noise(people):
    found = ratings.report(
        str(people), "dp_bai", low=0, high=5, unit="user", most=3, epsilon=0.6, replications=50
    )
    receipt = found["receipt"]
    exact = found["not_private"]
    assert exact["rewards"] == 600 and receipt["left_out"] == 200 and exact["units"] == 200
    assert receipt["epsilon"] == 0.6
    assert receipt["epsilon_per_reward"] == pytest.approx(0.2)
    assert 3 * receipt["epsilon_per_reward"] <= 0.6
    assert receipt["protects"] == "the values of all 3 rewards kept of a user"
    stars = pd.read_csv(people)["reward"]
    assert 0 < exact["clamped"] <= ((stars < 0) | (stars > 5)).sum()
    assert "clamped" not in receipt  # it counts rewards by their values
    alone = ratings.report(str(people), "dp_bai", low=0, high=5, epsilon=0.6, replications=50)
    assert alone["receipt"]["epsilon_per_reward"] == 0.6
    assert "not a person" in alone["receipt"]["protects"]
    assert "how many rewards there are" in alone["receipt"]["does_not_protect"]
    assert alone["not_private"]["clamped"] == ((stars < 0) | (stars > 5)).sum()


def test_the_table_is_the_same_whichever_its_shape(people, tmp_path):
    long = pd.read_csv(people)
    wide = pd.DataFrame(
        {arm: pd.Series(part["reward"].to_numpy()) for arm, part in long.groupby("action")}
    )
    wide.to_csv(tmp_path / "wide.csv", index=False)
    one = ratings.report(str(people), "dp_bai", **WIDE, epsilon=1.0, replications=200)
    two = ratings.report(
        str(tmp_path / "wide.csv"), "dp_bai", **WIDE, epsilon=1.0, replications=200
    )
    assert one["not_private"]["arms"] == two["not_private"]["arms"]
    assert one["not_private"]["agents"] == two["not_private"]["agents"]
    means = long.groupby("action")["reward"].mean()
    for row in one["not_private"]["arms"]:
        assert row["mean"] == pytest.approx(means[row["arm"]])
    shuffled = long.sample(frac=1.0, random_state=1)
    shuffled.to_parquet(tmp_path / "long.parquet")
    tables = {
        ratings.Ratings(str(path), 0, 5, unit, 1, 0).table
        for path in (people, tmp_path / "wide.csv", tmp_path / "long.parquet")
        for unit in ((None,) if "wide" in str(path) else (None, "user"))
    }
    assert len(tables) == 1  # to the ledger


def test_much_epsilon_names_the_best_arm_and_little_is_a_guess(people):
    sure = ratings.report(str(people), "noisy_max", **WIDE, epsilon=100.0, replications=200)
    assert sure["not_private"]["agents"][0]["error"] == 0.0 and sure["released"]["arm"] == "z"
    blind = ratings.report(str(people), "noisy_max", **WIDE, epsilon=1e-4, replications=1000)
    low, high = blind["not_private"]["agents"][0]["error_interval"]
    assert low < 2 / 3 < high + 0.02
    # Named by lot, an arm loses its distance to the best one, in units of the table, on average.
    means = pd.read_csv(people).groupby("action")["reward"].mean()
    lost = (means.max() - means).to_numpy()
    error = 4 * lost.std() / np.sqrt(1000)
    assert abs(blind["not_private"]["agents"][0]["simple_regret"] - lost.mean()) < error


def test_what_is_released_is_in_units_of_the_table(people, draws):
    """Without noise the means of all rewards are the exact ones, to the grid that they lie on."""
    found = ratings.report(str(people), "noisy_max", **WIDE, epsilon=1.0, replications=5)
    means = pd.read_csv(people).groupby("action")["reward"].mean()
    shown = {row["arm"]: row["noisy_mean"] for row in found["released"]["means"]}
    assert shown == pytest.approx(means.to_dict(), abs=18 * 2.0**-20)
    assert found["released"]["arm"] == "z" and draws == ["drawn"] * 3


def test_which_rewards_are_kept_does_not_depend_on_their_values(people, tmp_path):
    frame = pd.read_csv(people)
    other = frame.copy()
    other.loc[other["user"] == 0, "reward"] += 1.0  # nobody else's rewards may come or go
    kept = []
    for i, part in enumerate((frame, other)):
        path = tmp_path / f"{i}.csv"
        part.sort_values("reward").to_csv(path, index=False)
        ratings_of = ratings.Ratings(str(path), -9, 9, "user", 1, seed=3)
        kept.append([np.sort(arm) for arm in ratings_of.rewards])
    changed = sum(
        not np.isclose(one, two).all() if one.size == two.size else 2
        for one, two in zip(*kept, strict=True)
    )
    assert changed <= 1  # the arm of the one reward that user 0 keeps


def test_each_reward_of_a_person_is_as_likely_to_be_kept(tmp_path):
    # Sorted by arm and by reward: whoever keeps the first ones keeps the smallest of arm a.
    frame = pd.DataFrame(
        {
            "user": np.tile(np.arange(300), 4),
            "action": np.repeat(["a", "a", "b", "b"], 300),
            "reward": np.repeat([0.0, 1.0, 0.0, 1.0], 300),
        }
    )
    frame.to_csv(tmp_path / "sorted.csv", index=False)
    kept = ratings.Ratings(str(tmp_path / "sorted.csv"), 0, 1, "user", 1, seed=0)
    assert kept.lengths.sum() == 300 and abs(kept.lengths[0] - 150) < 44  # 5 standard errors
    for arm in kept.rewards:
        assert abs(arm.mean() - 0.5) < 0.21


def test_the_owner_is_told_what_the_bounds_did_before_noise_is_drawn(tmp_path, draws):
    path = table(tmp_path, "u,v,w\n0.5,100,0.1\n-inf,200,0.2\n0.25,300,7\n")
    found = ratings.report(path, "noisy_max", low=0, high=1, replications=5, tell=draws.append)
    first, second, *rest = draws
    assert first == (
        "not for publication: 5 of 9 rewards (56%) are outside [0, 1] and were clamped"
    )
    assert second.startswith("not for publication: no reward of 'v' is inside [0, 1]: check --low")
    assert rest == ["drawn"] * 3
    assert found["not_private"]["clamped"] == 5
    assert found["not_private"]["arms_all_clamped"] == ["v"]
    means = {row["arm"]: row["noisy_mean"] for row in found["released"]["means"]}
    assert means == pytest.approx({"u": 0.25, "v": 1.0, "w": 1.3 / 3}, abs=1e-6)
    draws.clear()
    inside = table(tmp_path, "u,v\n0.5,1\n0.25,0\n")
    ratings.report(inside, "dp_uniform", low=0, high=1, replications=5, tell=draws.append)
    assert draws == ["drawn"] * 2


def test_the_ledger_is_charged_before_noise_is_drawn_and_at_no_refusal(
    people, tmp_path, monkeypatch, draws
):
    book, told = tmp_path / "ledger", []
    terms = {"low": 0, "high": 5, "ledger": book, "replications": 5, "tell": told.append}
    for wrong in ({"epsilon_total": 0.5}, {"horizon": 10**6}, {"horizon": 3}, {"unit": "usr"}):
        with pytest.raises(ValueError):
            ratings.report(str(people), "dp_bai", **{**terms, **wrong})
    assert not draws and not told and not book.exists()  # and nothing told of the values

    def seen(s, t):
        draws.append(book.read_text().count("\n"))
        if len(draws) == 8:
            raise KeyboardInterrupt
        return 0

    monkeypatch.setattr(mechanisms, "secret_discrete_laplace", seen)
    found = ratings.report(str(people), "dp_bai", **terms, epsilon_total=2.0, epsilon=1.0)
    n = len(draws)
    assert set(draws) == {1}
    assert found["receipt"]["epsilon_spent"] == 1.0 and found["receipt"]["epsilon_total"] == 2.0
    draws += [0] * (7 - n)
    told.clear()
    with pytest.raises(KeyboardInterrupt):
        ratings.report(str(people), "dp_bai", **terms, epsilon_total=2.0, epsilon=1.0)
    assert told[-1] == "the ledger has counted epsilon = 1, but nothing was released"
    with pytest.raises(ValueError, match="--epsilon-total: 2.0 of 2 is spent"):
        ratings.report(str(people), "dp_bai", **terms, epsilon_total=2.0, epsilon=1.0)
    lines = [json.loads(line) for line in book.read_text().splitlines()]
    assert [line["epsilon"] for line in lines] == [1.0, 1.0]
    facts = {"agent", "what", "low", "high", "max_rewards_per_unit", "mechanism"}
    assert all(set(line["released"]) == facts for line in lines)  # no arm, no mean
    with pytest.raises(ValueError, match="--epsilon-total needs --ledger"):
        ratings.report(str(people), "dp_bai", low=0, high=5, epsilon_total=2.0)


def test_who_interrupts_a_charged_release_is_not_told_that_nothing_was_written(
    people, tmp_path, monkeypatch, capsys
):
    """Neither while noise is drawn nor later, by whichever way Ctrl-C comes."""
    book = tmp_path / "ledger"
    words = ["--agent", "dp_uniform", "--log", str(people), "--low", "0", "--high", "5"]
    words += ["--ledger", str(book), "--replications", "5", "--json"]

    def ctrl_c(*_):
        raise KeyboardInterrupt

    def signalled():
        """What the thread that waits for signals would say now."""
        said = []
        monkeypatch.setattr(interrupt.os, "write", lambda _, line: said.append(line.decode()))
        monkeypatch.setattr(interrupt.os, "_exit", said.append)
        monkeypatch.setattr(interrupt, "_last", [])
        interrupt.end()
        assert said[1] == interrupt.ENDED
        return said[0]

    with monkeypatch.context() as patch:  # before anything is charged
        patch.setattr(ratings, "_compared", ctrl_c)
        assert main(words) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "interrupted; nothing was written" and not book.exists()
    with monkeypatch.context() as patch:
        patch.setattr(mechanisms, "secret_discrete_laplace", ctrl_c)
        assert main(words) == 1
    lines = ["the ledger has counted epsilon = 1, but nothing was released", "interrupted"]
    assert capsys.readouterr().err.splitlines()[-2:] == lines
    with monkeypatch.context() as patch:  # while the answer is printed
        patch.setattr(files, "_show", ctrl_c)
        assert main(words) == 1
    line = "interrupted; the ledger has counted epsilon = 1, whether or not the arm was shown"
    assert capsys.readouterr().err.splitlines()[-1] == line
    with monkeypatch.context() as patch:
        assert signalled() == f"{line}\n"
    assert main(["--list"]) == 0 and interrupt.otherwise() == "interrupted; nothing was written"


def test_names_of_columns_do_not_matter(tmp_path):
    rng = np.random.default_rng(0)
    wide = pd.DataFrame(
        {"unit": rng.random(60), "draw": rng.random(60), "who": 100 + np.arange(60)}
    )
    wide.to_csv(tmp_path / "wide.csv", index=False)
    path = str(tmp_path / "wide.csv")
    found = ratings.report(path, "noisy_max", low=0, high=1, unit="who", replications=20)
    assert {row["arm"] for row in found["not_private"]["arms"]} == {"unit", "draw"}
    with pytest.raises(ValueError, match="--unit must tell persons apart, got 'action'"):
        long = table(tmp_path, "action,reward\n" + "0,0.0\n1,1.0\n" * 9)
        ratings.report(long, "noisy_max", low=0, high=1, unit="action")


def test_a_table_in_memory_and_columns_of_other_names(people, draws):
    frame = pd.read_csv(people).rename(columns={"action": "article", "reward": "stars"})
    names = {"action": "article", "reward": "stars"}
    terms = {"low": 0, "high": 5, "unit": "user", "replications": 5, "tell": lambda line: None}
    found = ratings.report(frame, "noisy_max", columns=names, **terms)
    again = ratings.report(str(people), "noisy_max", **terms)
    assert found["released"] == again["released"] and found["log"] == "a table of rewards"
    with pytest.raises(ValueError, match="no column 'action'"):
        ratings.report(frame, "noisy_max", columns={"reward": "stars"}, **terms)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (",a,b\n0,1,2\n", "has no name"),
        ("Unnamed: 0,a,b\n0,1,2\n", "has no name"),
        ("a, ,b\n0,1,2\n", "has no name"),
        ("a,a\n0,1\n", "appears twice"),
        (f"{SECRET},{SECRET}\n0,1\n", "data"),
        (f'a,b\n0,"{SECRET}\n1,2\n', "quote"),
        (f"a,b\n0,{SECRET}\n1;2\n", "line 3 has 1 cells"),
        (f"0.910988,{SECRET}\n0.5,0.25\n", "data"),
        ("user,reward\n1,0.5\n2,0.25\n", "'action'"),
        ("action,score\n1,0.5\n2,0.25\n", "'reward'"),
        ("action,reward\n1,0.5\n1,0.25\n", "at least 2 arms"),
        ("a\n1\n0\n", "at least 2 arms"),
        (f"a,b\n{SECRET},\n1,\n", "'b' has no reward"),
        (f"action,reward\n1,{SECRET}\n2,\n", "no reward"),
        (f"action,reward\n1,{SECRET}\n,2\n", "row 1 has nothing"),
        (f"a,b\n1,{SECRET} EUR\n0,1\n", "'b', row 0 holds no number"),
        (f"action,reward\n1,{SECRET} EUR\n2,1\n", "'reward', row 0 holds no number"),
        ('a,b\n1,"31,415"\n0,1\n', "column 'b' holds no numbers"),
        (f"a,b\n1,2\n{SECRET},{SECRET},{SECRET}\n", "table.csv"),
        ("", "table.csv"),
    ],
)
def test_a_table_is_refused_by_what_is_public_and_in_words_without_values(tmp_path, text, said):
    with pytest.raises(ValueError) as refused:
        ratings.report(table(tmp_path, text), "noisy_max", low=0, high=1)
    message = str(refused.value)
    assert said in message and "\n" not in message
    assert SECRET[:4] not in message and "31,4" not in message


@pytest.mark.parametrize("value", ["0.5", "-1e300", "inf", "31415.9"])
def test_no_value_of_a_reward_makes_a_refusal(tmp_path, value, draws):
    path = table(tmp_path, "a,b\n" + f"{value},{value}\n" * 3)
    for name in ratings.RELEASABLE:
        if name == "dp_bai":
            continue  # six rewards are too few for it
        found = ratings.report(path, name, low=0, high=1, replications=2, tell=lambda line: None)
        assert found["released"]["arm"] in ("a", "b")


def test_bounds_are_never_defaulted(people):
    for given in ({}, {"low": 0.0}, {"high": 5.0}):
        with pytest.raises(ValueError, match="--low and --high must both be given"):
            ratings.report(str(people), "dp_bai", **given)


def test_command_line(people, tmp_path):
    words = ("--agent", "dp_bai", "--log", str(people), "--low", "0", "--high", "5")
    book = ("--ledger", str(tmp_path / "ledger"), "--epsilon-total", "1")
    done = run(*words, "--unit", "user", *book, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["receipt"]["generator"].startswith("the operating system's cryptographic")
    assert found["receipt"]["epsilon_spent"] == 1.0
    assert [row["agent"] for row in found["not_private"]["agents"]] == ["dp_bai", "noisy_max"]
    assert done.stderr.startswith("not for publication: ") and "were clamped" in done.stderr
    pd.read_csv(people).rename(columns={"reward": "stars"}).to_csv(people, index=False)
    done = run(*words, "--unit", "user", *book, "--columns", "reward=stars")  # the same table
    assert done.returncode == 2 and not done.stdout
    assert "--epsilon-total: 1.0 of 1 is spent on this table" in done.stderr
    assert done.stderr.count("\n") == 1
    done = run("--agent", "batched_omd", "--log", str(LOSSES), "--set", "problem.look_price=0.01")
    assert done.returncode == 0, done.stderr
    assert "is cheapest" in done.stdout and "guarantee" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--unit", "usr"), "did you mean user?"),
        (("--max-per-unit", "2"), "--max-per-unit needs --unit"),
        (("--low", "5", "--high", "1"), "--low must be below --high"),
        (("--high", "nan"), "--high must be finite"),
        (("--horizon", "100000"), "--horizon must be at most"),
        (("--horizon", "3"), "horizon must be at least"),
        (("--set", "dp_bai.epsilon=0"), "epsilon must be positive"),
        (("--set", "lucb.delta=0.1"), "unknown agent 'lucb'"),
        (("--epsilon-total", "1"), "--epsilon-total needs --ledger"),
        (("--ledger", "none/ledger"), "no such folder"),
        (("--ledger", "l", "--epsilon-total", "0.5"), "--epsilon-total: 0.0 of 0.5 is spent"),
    ],
)
def test_bad_input_about_rewards(people, words, said):
    done = run("--agent", "dp_bai", "--log", str(people), "--low", "0", "--high", "5", *words)
    assert done.returncode == 2
    assert said in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--agent", "lucb", "--log", "FILE"), "no file is read for 'lucb'; those that"),
        (("--agent", "batched_omd", "--log", "FILE", "--unit", "a"), "--unit is not for"),
        (("--agent", "batched_omd", "--log", "FILE", "--ledger", "a"), "--ledger is not for"),
        (("--agent", "dp_bai", "--log", "FILE", "--low", "0"), "--low and --high must both be"),
        (("--agent", "batched_omd", "--log", "FILE", "--high", "0.5"), "in [0, 0.5]"),
        (
            ("--agent", "batched_omd", "--log", "FILE", "--set", "problem.cost=1"),
            "unknown argument",
        ),
        (("--agent", "batched_omd", "--log", "FILE", "--set", "problem.price=-1"), "at least 0"),
        (("--agent", "batched_omd", "--log", "FILE", "--horizon", "900"), "at most 899"),
        (("--agent", "batched_omd", "--log", "none.csv"), "none.csv"),
        (("--agent", "extra_observations", "--log", "FILE"), "extra=True"),
        (("--agent", "lcb", "--low", "1"), "--low is not for"),
    ],
)
def test_bad_input_about_losses(words, said):
    done = run(*(str(LOSSES) if word == "FILE" else word for word in words))
    assert done.returncode == 2, done.stdout
    assert said in done.stderr and done.stderr.count("\n") == 1
