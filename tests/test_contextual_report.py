"""The report on a log for an agent that learns from features."""

from __future__ import annotations

import json

import numpy as np
import pytest
from rich.console import Console

from banditlab.cli.main import main
from banditlab.parts.inverse_gap import igw, rigw
from banditlab.reports import contextual

FAST = {"units": 20, "steps": 300}


def logged(n=600, seed=0, scale=1.0, shift=0.0):
    """An even log of 3 arms: arm 0 pays where x_0 > 0, arm 1 where not, arm 2 pays .4 always."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    arm = rng.integers(0, 3, n)
    means = np.stack([x[:, 0] > 0, x[:, 0] <= 0, np.full(n, 0.4)], axis=1)
    reward = (rng.random(n) < means[np.arange(n), arm]).astype(float)
    return {
        "action": np.array(["left", "right", "wait"])[arm],
        "reward": scale * reward + shift,
        "propensity": np.full(n, 1 / 3),
        "x_0": x[:, 0],
        "x_1": x[:, 1],
    }


@pytest.fixture(scope="module")
def found():
    return contextual.report(logged(), "neu_square_cb", **FAST)


def test_the_agent_finds_what_the_features_tell(found):
    shares = {row["arm"]: row["neu_square_cb"] for row in found["arms"]}
    assert shares["left"] == pytest.approx(0.5, abs=0.1)
    assert shares["right"] == pytest.approx(0.5, abs=0.1) and shares["wait"] < 0.05
    worth = {r["rule"]: r for r in found["estimates"] if r["estimator"] == "doubly robust"}
    assert set(worth) == {"neu_square_cb", "linear", "bc", "behaviour"}
    assert worth["neu_square_cb"]["lo"] > 0.8 and worth["behaviour"]["hi"] < 0.6
    assert found["rows_valued"] == 300


def test_exploration_costs_less_the_larger_gamma_is(found):
    table = found["exploration"]
    assert [row["gamma"] for row in table] == list(contextual.GAMMAS)
    explores, values = ([row[key] for row in table] for key in ("explores", "value"))
    assert explores == sorted(explores, reverse=True) and values == sorted(values)
    # At gamma = 1 and three arms, a gap of 1 leaves an arm 1 / 4.
    assert 0.4 < explores[0] < 0.6 and explores[-1] < 0.01
    best = next(r for r in found["estimates"] if r["rule"] == "neu_square_cb" and
                r["estimator"] == "doubly robust")  # fmt: skip
    enough = [row["gamma"] for row in table if row["value"] >= best["lo"]]
    assert found["gamma"] == min(enough) and 1.0 < found["gamma"] <= 300.0


@pytest.mark.parametrize("rule", [igw, rigw])
def test_weights_at_every_gamma_follow_from_those_at_one(rule):
    """What the report reads off the propensities at one gamma, against the kernels themselves."""
    rng = np.random.default_rng(3)
    for _ in range(50):
        costs, at_base, wanted = rng.random(5) * 0.9 + 0.05, np.empty(5), np.empty(5)
        rule(costs, contextual.BASE, at_base)
        gaps = (1.0 / at_base - 5) / contextual.BASE
        gaps[at_base.argmax()] = 0.0
        for gamma in contextual.GAMMAS:
            rule(costs, gamma, wanted)
            assert np.allclose(contextual.weighed(gaps[None], gamma)[0], wanted, atol=1e-12)


def test_rewards_in_another_unit_are_told_by_their_range(found):
    euros = contextual.report(logged(scale=20.0, shift=-5.0), low=-5.0, high=15.0, **FAST)
    assert euros["hyper"] == {**FAST, "low": -5.0, "high": 15.0}
    for one, two in zip(found["estimates"], euros["estimates"], strict=True):
        if one["rule"] == "linear":  # its penalty depends on where 0 is
            continue
        assert two["value"] == pytest.approx(20.0 * one["value"] - 5.0, abs=1e-6)
    assert euros["gamma"] == found["gamma"]


def test_contexts_do_in_the_place_of_features():
    log = logged()
    for name in ("x_0", "x_1"):
        side = log.pop(name)
        log.setdefault("context", np.where(side > 0, "day", "night"))
    told = contextual.report(log, "neu_square_cb", **FAST)
    assert told["dim"] == 2 and "each of its 2 contexts is a feature" in told["remark"]
    shares = {row["arm"]: row["neu_square_cb"] for row in told["arms"]}
    assert shares["wait"] < 0.05 < 0.4 < shares["left"]


def test_a_network_that_diverges_is_said():
    told = contextual.report(logged(), "neu_square_cb", units=20, lr=50.0)
    assert told["notes"][0].startswith("its network diverged") and told["exploration"] == []
    assert told["gamma"] is None


def test_the_command_line_prints_it(tmp_path, capsys):
    import pandas as pd

    pd.DataFrame(logged(200)).to_csv(tmp_path / "log.csv", index=False)
    words = ["--agent", "neu_square_cb", "--log", str(tmp_path / "log.csv")]
    words += ["--set", "neu_square_cb.units=20", "--set", "neu_square_cb.steps=300"]
    assert main([*words, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["agent"] == "neu_square_cb" and len(data["exploration"]) == len(contextual.GAMMAS)
    console = Console(record=True, width=100)
    contextual.render(data, console)
    text = console.export_text()
    assert "What exploring costs" in text and "left" in text and "times sqrt(n)" in text


def changed(**columns):
    return {**logged(60), **columns}


@pytest.mark.parametrize(
    ("log", "given", "words"),
    [
        (changed(reward=np.full(60, 7.0)), {}, "neu_square_cb was told .* --low 7 --high 7"),
        ({"action": [0, 1], "reward": [0, 1]}, {}, "no columns x_"),
        (changed(action=np.zeros(60)), {}, "one arm only"),
        (changed(x_0=np.full(60, np.inf)), {}, "x_0: row 0 has inf"),
        (logged(60), {"low": 1.0, "high": 1.0}, "high must be above low"),
        (logged(60), {"low": 2.0}, "high must be above low"),
        (logged(60), {"lr": 0.0}, "lr must be positive"),
        (logged(60), {"units": 0}, "units must be at least 1"),
        (logged(60), {"gama": 3}, "unknown argument 'gama'; did you mean gamma"),
        (logged(60), {"agent": "ucb"}, "ucb does not learn from features"),
        (logged(60), {"columns": {"action": "arm"}}, "no column 'arm'"),
    ],
)
def test_what_cannot_be_reported_is_refused_in_one_line(log, given, words):
    with pytest.raises(ValueError, match=words) as error:
        contextual.report(log, **given)
    assert "\n" not in str(error.value)
