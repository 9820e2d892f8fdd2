"""What a run shows when it is over, as a person would say it."""

import pytest

import banditlab
from banditlab.cli.tables import show

TABLE = {
    "title": "Two arms",
    "horizon": 30,
    "problem": {"name": "bernoulli", "means": [0.0, 1.0]},
    "agents": [{"name": "greedy"}, {"name": "ucb"}, {"name": "uniform"}],
}


def shown(capsys, tmp_path, **more):
    show(banditlab.simulate({**TABLE, **more}, progress=lambda *_: None), tmp_path)
    return capsys.readouterr().out


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


def test_one_replication_has_no_interval_no_p_and_chance_in_it(capsys, tmp_path):
    text = shown(capsys, tmp_path, replications=1)
    assert "Two arms, regret at round 30, 1 replication, so no intervals" in text
    assert "chance" not in text and "±" not in text and "p vs best" not in text
    assert "(95%)" not in text and "p:" not in text


def test_what_is_always_the_same_is_said_so(capsys, tmp_path):
    text = shown(capsys, tmp_path, replications=5)
    greedy = next(line for line in text.splitlines() if "greedy" in line)
    assert "always 1.00" in greedy and "best" in greedy and "±" not in greedy
    assert "±" in next(line for line in text.splitlines() if "uniform" in line)


def test_equal_rivals_are_equal_and_a_best_of_0_is_no_measure(capsys, tmp_path):
    twice = [{"name": "lcb"}, {"name": "lcb", "label": "again"}, {"name": "behaviour"}]
    text = shown(capsys, tmp_path, protocol="offline", horizon=60, replications=4, agents=twice)
    assert "equal" in text and "1.000" not in text and "always 0" in text
    assert "x best" not in text


def test_exact_sums_have_no_chance_in_them(capsys, tmp_path):
    two = {"name": "two_arm", "kind": "thm3_mixed", "N": 30}
    text = shown(
        capsys, tmp_path, protocol="offline", exact=True, problem=two, agents=[{"name": "lcb"}]
    )
    assert "summed over all logs, no chance involved" in text
