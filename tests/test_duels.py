"""Duels that people bring: read as they are written, judged as they deserve."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import binomtest

from banditlab import games
from banditlab.cli.main import main
from banditlab.data.duels import Duels
from banditlab.problems.duel_matrix import MATRICES
from banditlab.reports import duels as duels_report
from banditlab.reports import winners
from banditlab.reports.duels import render, report

ROOT = Path(__file__).parent.parent
GROUPS = np.array([[0.5, 0.65, 0.4], [0.35, 0.5, 0.75], [0.6, 0.25, 0.5]])


def judged(P, n, seed, people=0, loyal=0.0):
    """n duels by P; of ``people``, who stick to one opinion a pair with probability ``loyal``."""
    rng = np.random.default_rng(seed)
    K = len(P)
    left = rng.integers(K, size=n)
    right = (left + rng.integers(1, K, size=n)) % K
    luck = rng.random(n)
    found = {"left": left, "right": right}
    if people:
        who = rng.integers(people, size=n)
        opinion = np.triu(rng.random((people, K, K)), 1)
        opinion += np.tril(1 - opinion.transpose(0, 2, 1), -1)  # of the same person, either way
        luck = np.where(rng.random(n) < loyal, opinion[who, left, right], luck)
        found["annotator"] = who
    return Duels.of({**found, "winner": np.where(luck < P[left, right], left, right)})


def shown(found):
    console = Console(file=io.StringIO(), width=160)
    render(found, console)
    return " ".join(console.file.getvalue().split())


@pytest.fixture
def few_draws(monkeypatch):
    monkeypatch.setattr(duels_report, "DRAWS", 100)


# --- reading ------------------------------------------------------------------------------------


def test_names_sides_and_ties_are_read_as_people_write_them():
    duels = Duels.of(
        {
            "left": ["tea", "milk", "tea", "tea", "milk", "tea"],
            "right": ["milk", "tea", "juice", "milk", "juice", "juice"],
            "winner": ["tea", " left ", "Right", "tie (both bad)", "DRAW", "juice"],
        }
    )
    assert duels.names == ("juice", "milk", "tea")
    assert duels.score.tolist() == [1, 1, 0, 0.5, 0.5, 0]
    assert duels.wins().tolist() == [[0, 0.5, 2], [0.5, 0, 1.5], [0, 1.5, 0]]
    assert duels.ties().tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    assert duels.notes == () and duels.annotators is None and duels.n_groups == 6


def test_numbers_stay_numbers_beside_a_word(tmp_path):
    path = tmp_path / "duels.csv"
    path.write_text("first;second;winner\n10;9;10.0\n9;8;tie\n8;10;second\n")
    duels = Duels.read(path, {"left": "first", "right": "second"})
    assert duels.names == (8, 9, 10) and duels.score.tolist() == [1, 0.5, 0]


def test_columns_of_a_chatbot_arena():
    duels = Duels.of(
        {
            "model_a": ["x", "y", "x"],
            "model_b": ["y", "z", "z"],
            "winner": ["model_a", "model_b", "tie (bothbad)"],
            "judge": ["u", "v", "u"],
        }
    )
    assert duels.score.tolist() == [1, 0, 0.5] and duels.annotators == ("u", "v")
    assert "column 'model_a' is read as left" in duels.notes


def test_what_is_called_left_is_no_side():
    given = {"left": ["left", "b"], "right": ["b", "left"], "winner": ["left", "left"]}
    duels = Duels.of(given)
    assert duels.score.tolist() == [1, 0] and "'left' is what is called so" in duels.notes[0]
    with pytest.raises(ValueError, match="winner: row 2 has left; allowed there are b, c, left"):
        Duels.of({"left": ["left", "b", "b"], "right": ["b", "left", "c"], "winner": ["left"] * 3})


def test_lists_are_as_many_duels_as_they_have_pairs():
    duels = Duels.of({"ranking": ["a > b = c", "c>a", "b"]})
    assert duels.wins().tolist() == [[0, 1, 1], [0, 0, 0.5], [1, 0.5, 0]]
    assert duels.group.tolist() == [0, 0, 0, 1] and duels.lists == 2
    assert duels.notes == (
        "1 of 3 lists name one thing only (row 2); they say nothing and are left out",
    )
    wide = Duels.of({"rank_2": ["b", "a"], "rank_1": ["a", "c"], "rank_10": ["c", None]})
    assert wide.wins().tolist() == [[0, 1, 1], [0, 0, 1], [1, 0, 0]]
    numbers = Duels.of({"ranking": ["10 > 9", "9>8"], "annotator": ["u", "u"]})
    assert numbers.names == (8, 9, 10) and numbers.n_groups == 1


def test_what_is_doubtful_is_said():
    duels = Duels.of(
        {
            "left": ["a", "b", "c", "A", "b"],
            "right": ["b", "a", "c", "b", "a"],
            "winner": ["a", "a", "?", "b", "b"],
            "annotator": ["u", "u", "u", None, "v"],
        }
    )
    assert len(duels) == 4 and duels.n_groups == 3 and duels.annotators == ("u", "v")
    assert duels.notes == (
        "1 of 5 rows set something against itself (row 2: c); they say nothing and are left out",
        "1 of 5 rows have no annotator (row 3); each is taken for somebody else",
        "1 of 4 duels repeat a pair that the same annotator has judged before (row 1); every one "
        "counts",
        "A and a are two things, or one misspelt?",
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"left": ["a"], "right": ["b"], "winner": ["c"]},
         "winner: row 0 has c; allowed there are a, b, left, right and tie"),
        ({"left": ["a"], "right": ["b"], "winner": [""]}, "winner: row 0 has nothing"),
        ({"left": ["a", ""], "right": ["b", "b"], "winner": ["a", "b"]}, "left: row 1 has nothing"),
        ({"left": [0, 1], "right": [1, 2], "winner": [1, 0]}, "winner: row 1 has 0; allowed"),
        ({"left": ["a"], "right": ["a"], "winner": ["a"]}, "no duel between two different things"),
        ({"left": [], "right": [], "winner": []}, "there is no duel"),
        ({"left": ["a"], "right": ["b"]}, "the table of duels has no column 'winner'"),
        ({"left": ["a"], "right": ["b"], "winner": ["a"], "anotator": ["x"]},
         "unknown column 'anotator'; did you mean 'annotator'?"),
        ({"left": ["a"], "right": ["b"], "winner": ["a"], "ranking": ["a > b"]},
         "give one of them"),
        ({"ranking": ["a > b > a"]}, "ranking: row 0 names a twice"),
        ({"ranking": ["a > > b"]}, "ranking: row 0 has a > > b; allowed are lists such as"),
        ({"ranking": ["a > b", None]}, "ranking: row 1 has nothing"),
        ({"ranking": [["a", "b"], ["b", "a"]]},
         "ranking: row 0 has ['a' 'b'], which is no text; allowed are lists such as a > b = c"),
        ({"rank_1": ["a", None], "rank_2": ["b", "c"]}, "rank_1: row 1 has nothing before"),
        ({"rank_1": ["a"], "rank_01": ["b"]}, "rank_1 and rank_01 are one place"),
        ({"left": [1.5], "right": [1], "winner": [1]}, "left: row 0 has 1.5"),
    ],
)  # fmt: skip
def test_refused_in_one_line(given, said):
    with pytest.raises(ValueError) as error:
        Duels.of(given)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_refusal_names_the_file(tmp_path):
    path = tmp_path / "duels.csv"
    path.write_text("left,right,winner\na,b,c\n")
    with pytest.raises(ValueError, match=r"^duels.csv: winner: row 0 has c"):
        report(path, names=())
    path.write_text("ranking\na > b|x\nb > a|y\n")
    with pytest.raises(ValueError, match=r"row 0 has a > b.x; does the first line name all"):
        report(path, names=())
    with pytest.raises(ValueError, match="301 things are more than the 300"):
        chain = [str(k) for k in range(301)]
        report({"left": chain[:-1], "right": chain[1:], "winner": chain[1:]}, names=())


# --- majorities and cycles ----------------------------------------------------------------------


def test_pvalues_are_those_of_the_sign_test_where_nobody_is_asked_twice():
    found = winners.majorities(judged(GROUPS, 300, 0))
    for i, j in [(0, 1), (1, 2), (2, 0)]:
        w, n = int(found.wins[i, j]), int(found.wins[i, j] + found.wins[j, i])
        expected = binomtest(w, n, alternative="greater").pvalue if 2 * w > n else 1.0
        assert found.pvalue[i, j] == pytest.approx(expected) and found.pvalue[j, i] == 1.0
    assert found.spread == 1.0


def test_opinions_of_few_people_prove_less_than_as_many_answers():
    """The same 4,000 answers, but of 20 people who stick to theirs: even odds look uneven."""
    P = np.full((4, 4), 0.5)
    many = [winners.majorities(judged(P, 4000, s)).pvalue for s in range(20)]
    few = [judged(P, 4000, s, people=20, loyal=1.0) for s in range(20)]
    honest = [winners.majorities(duels).pvalue for duels in few]
    naive = [winners.majorities(Duels(d.left, d.right, d.score, d.names, np.arange(len(d)))).pvalue
             for d in few]  # fmt: skip
    false = [np.mean([(p < 0.01).sum() for p in ps]) for ps in (many, honest, naive)]
    assert false[0] <= 0.5 and false[1] <= 0.5 and false[2] > 3  # of 6 pairs
    assert winners.majorities(few[0]).spread > 10


def test_a_cycle_is_claimed_where_there_is_one_and_hardly_ever_else():
    def p_of(P, n, seed):
        return winners.cycle(winners.majorities(judged(P, n, seed)), np.arange(len(P)))[1]

    assert np.mean([p_of(GROUPS, 1500, s) <= 0.05 for s in range(40)]) > 0.95
    assert np.mean([p_of(np.full((5, 5), 0.5), 800, s) <= 0.05 for s in range(200)]) <= 0.05
    chain = MATRICES["arithmetic"]
    assert np.mean([p_of(chain, 800, s) <= 0.05 for s in range(100)]) <= 0.05


def test_the_cycle_found_is_the_most_certain_one():
    wins = np.zeros((5, 5))
    for i, j, w, lost in [(0, 1, 40, 10), (1, 2, 35, 15), (2, 0, 26, 24), (2, 3, 40, 10),
                          (3, 1, 30, 20), (0, 3, 48, 2), (4, 0, 0, 50)]:  # fmt: skip
        wins[i, j], wins[j, i] = w, lost
    left, right = np.nonzero(wins)
    counts = wins[left, right].astype(int)
    duels = Duels(left.repeat(counts), right.repeat(counts), np.ones(counts.sum()), tuple(range(5)),
                  np.arange(counts.sum()))  # fmt: skip
    majority = winners.majorities(duels)
    ring, p = winners.cycle(majority, np.arange(5))
    assert ring[ring.index(1) :] + ring[: ring.index(1)] == [1, 2, 3]  # weakest link 30 : 20
    assert p == pytest.approx(min(1, 14 * binomtest(30, 50, alternative="greater").pvalue))
    assert winners.cycle(majority, np.array([0, 1, 2]))[0] == [0, 1, 2]
    assert winners.cycle(majority, np.array([0, 1, 3])) == ([], 1.0)


def test_the_top_set():
    assert winners.top_set(GROUPS).tolist() == [0, 1, 2]
    for name, P in MATRICES.items():
        top = winners.top_set(P).tolist()
        assert top == ([0, 1, 2] if name == "mslr_cycle5" else [0]), name
    assert winners.top_set(np.full((3, 3), 0.5)).tolist() == [0, 1, 2]


# --- the report ---------------------------------------------------------------------------------


def test_three_groups_make_a_cycle_and_a_reward_model_falls_for_it(few_draws):
    found = report(judged(GROUPS, 2000, 1), names=())
    assert found["condorcet"] is None and found["cycle"]["real"] and found["cycle"]["at_the_top"]
    ring = found["cycle"]["names"]
    assert ring[ring.index(0) :] + ring[: ring.index(0)] == [0, 1, 2]
    assert found["winners"]["bradley_terry"]["names"] == [1]  # loses 65 : 35 to arm 0
    assert found["winners"]["bradley_terry"]["loses_to"] == 0
    assert found["winners"]["bradley_terry"]["exploitability"] == pytest.approx(0.3, abs=0.1)
    assert found["winners"]["von_neumann"]["exploitability"] < 1e-8
    for row, exact in zip(sorted(found["items"], key=lambda r: r["name"]), [0.5, 0.2, 0.3],
                          strict=True):  # fmt: skip
        assert row["von_neumann"]["lo"] <= exact <= row["von_neumann"]["hi"]
    assert found["settle"]["unsure"] == 0
    text = shown(found)
    assert "Nothing beats every other." in text and "There is a cycle, a real one" in text
    assert "No more duels are needed to settle whether the cycle is real." in text
    assert json.loads(json.dumps(found, allow_nan=False)) == json.loads(json.dumps(found))


def test_a_winner_is_named_and_pairs_that_decide_are_asked_next(few_draws):
    found = report(judged(MATRICES["mslr_cond5"], 4000, 2), names=())
    assert found["condorcet"]["name"] == 0 and found["cycle"] is None
    assert not found["condorcet"]["certain"]  # 53.5% of 400
    assert {found["ask_next"][0]["left"], found["ask_next"][0]["right"]} == {0, 1}
    assert found["settle"]["unsure"] == 1 and found["settle"]["duels"] > 100
    text = shown(found)
    assert "0 beats every other, but not for certain" in text and "Ask next: 0 - 1" in text
    sure = report(judged(MATRICES["arithmetic"][:3, :3] * 2 - 0.5, 4000, 3), names=())
    assert sure["condorcet"]["certain"] and sure["settle"]["duels"] == 0


def test_about_as_many_more_duels_settle_it():
    """Asked as many more as it says, the winner is certain in about 8 of 10 cases."""
    P = np.array([[0.5, 0.58, 0.75], [0.42, 0.5, 0.6], [0.25, 0.4, 0.5]])
    certain, more = [], []
    for seed in range(60):
        duels = judged(P, 900, seed)
        told = winners.verdict(duels, winners.estimate(duels.wins()), winners.majorities(duels))
        if told["condorcet"] is None or told["condorcet"]["certain"]:
            continue
        more.append(told["settle"]["duels"])
        rng = np.random.default_rng(1000 + seed)
        extra = rng.random(int(more[-1])) < P[0, 1]
        left, right = np.zeros(extra.size, np.int64), np.ones(extra.size, np.int64)
        both = Duels(
            np.append(duels.left, left), np.append(duels.right, right),
            np.append(duels.score, extra.astype(float)), duels.names,
            np.arange(len(duels) + extra.size),
        )  # fmt: skip
        again = winners.verdict(both, winners.estimate(both.wins()), winners.majorities(both))
        certain.append(bool(again["condorcet"] and again["condorcet"]["certain"]))
    assert len(certain) > 15
    assert 0.5 < np.mean(certain) <= 1.0, (np.mean(certain), np.median(more))


def test_intervals_are_clustered_by_annotator():
    P = np.array([[0.5, 0.6], [0.4, 0.5]])
    duels = judged(P, 2000, 5, people=25, loyal=1.0)
    alone = Duels(duels.left, duels.right, duels.score, duels.names, np.arange(len(duels)))
    wide, narrow = (
        report(d, names=())["items"][0]["borda"] for d in (duels, alone)
    )  # fmt: skip
    width, other = wide["hi"] - wide["lo"], narrow["hi"] - narrow["lo"]
    # 25 opinions: +- 1.96 sqrt(.24 / 25); 2,000 answers: +- 1.96 sqrt(.24 / 2000)
    assert other == pytest.approx(3.92 * np.sqrt(0.24 / 2000), rel=0.25)
    assert width == pytest.approx(3.92 * np.sqrt(0.24 / 25), rel=0.35)


def test_bootstrap_of_rows_is_that_of_equal_rows_taken_together():
    """Rows that say the same are drawn as one unit that is there several times."""
    duels = judged(GROUPS, 400, 7)
    rng = np.random.default_rng(0)
    found = winners.resampled(duels, 400, rng, lambda done: None).borda
    slow = []
    for _ in range(400):
        rows = rng.integers(len(duels), size=len(duels))
        wins = np.zeros((3, 3))
        np.add.at(wins, (duels.left[rows], duels.right[rows]), duels.score[rows])
        np.add.at(wins, (duels.right[rows], duels.left[rows]), 1 - duels.score[rows])
        slow.append(games.borda(winners.estimate(wins)))
    assert np.allclose(found.mean(axis=0), np.mean(slow, axis=0), atol=0.008)
    assert np.allclose(found.std(axis=0), np.std(slow, axis=0), rtol=0.2)


def test_what_the_numbers_cannot_show_is_said(few_draws):
    apart = {"left": ["a", "c"], "right": ["b", "d"], "winner": ["a", "c"], "annotator": ["u", "u"]}
    found = report(apart, names=())
    assert found["winners"]["bradley_terry"] is None
    notes = " ".join(found["notes"])
    for said in (
        "4 of 6 pairs were never asked",
        "2 of 6 pairs have fewer than 5",
        "joins 2 groups",
        "would be infinite",
        "one annotator judged everything",
        "not the only one",
    ):
        assert said in notes
    assert "cannot be compared" in shown(found)
    few = report(judged(GROUPS, 300, 1, people=8), names=())
    assert "8 annotators are few: intervals drawn from so few are too narrow" in few["notes"]


def test_nothing_but_ties_prefers_nobody(few_draws):
    given = {"left": ["a", "b", "c"] * 20, "right": ["b", "c", "a"] * 20, "winner": ["tie"] * 60}
    found = report(given, names=())
    assert found["winners"]["von_neumann"]["names"] == ["a", "b", "c"]
    for row in found["items"]:
        assert row["von_neumann"]["lo"] < 0.1 and row["von_neumann"]["hi"] > 0.9
    assert found["condorcet"] is None and found["cycle"] is None and found["settle"]["unsure"] == 3


def test_one_seed_one_report_and_progress(few_draws):
    seen = []
    one, two, other = (
        report(judged(GROUPS, 200, 4), names=(), seed=s,
               progress=lambda what, done, total: seen.append((what, done == total)))
        for s in (3, 3, 4)
    )  # fmt: skip
    assert one == two and one["items"] != other["items"]
    assert {("winners drawn again", True), ("pairs worth asking", True)} <= {*seen}


def test_agents_are_judged_by_the_shares_of_the_report(few_draws):
    """A tie is half a win there too, once: evenly named, the three lose what the shares say."""
    rows = [("a", "b", "a")] * 4 + [("a", "b", "tie")] * 6
    rows += [("b", "c", "b")] * 7 + [("b", "c", "c")] * 3
    rows += [("c", "a", "c")] * 8 + [("c", "a", "tie")] * 2
    found = report(
        dict(zip(("left", "right", "winner"), zip(*rows, strict=True), strict=True)),
        names=("random_pair",), horizon=5000, replications=2, workers=1,
    )  # fmt: skip
    shares = {(0, 1): 0.7, (1, 2): 0.7, (2, 0): 0.9}
    P = np.full((3, 3), 0.5)
    for (i, j), share in shares.items():
        P[i, j], P[j, i] = share, 1.0 - share
    row = found["agents"][0]["exploitability"]
    assert row["value"] == pytest.approx(games.exploitability(P, np.full(3, 1 / 3)), abs=1e-9)


def test_spo_batch_learns_from_every_answer_unless_told_otherwise(few_draws):
    given = judged(GROUPS, 400, 5)
    asked = {"horizon": 4000, "replications": 4, "workers": 1}
    found = report(given, ("spo_batch", "spo_exp3"), **asked)
    off = {row["agent"]: row["exploitability"]["value"] for row in found["agents"]}
    assert off["spo_batch"] < 2 * off["spo_exp3"]
    said = " ".join(found["notes"])
    assert "spo_batch plays with opponents = batch and samples = 2" in said
    usual = report(given, ("spo_batch",), {"spo_batch": {"queue": 100}}, **asked)
    assert usual["agents"][0]["exploitability"]["value"] > 2 * off["spo_batch"]
    assert not any("spo_batch" in note for note in usual["notes"])


# --- the command line ---------------------------------------------------------------------------


@pytest.fixture
def drinks(tmp_path, monkeypatch):
    monkeypatch.setattr(duels_report, "DRAWS", 40)
    monkeypatch.chdir(tmp_path)
    return str(ROOT / "arenas" / "logs" / "drinks.csv")


def test_the_command_line_tells_what_python_tells(drinks, capsys):
    words = ["--agent", "spo_exp3", "--horizon", "2000", "--replications", "4", "--workers", "1"]
    assert main([*words, "--log", drinks, "--json", "--seed", "3"]) == 0
    told = json.loads(capsys.readouterr().out)
    found = report(drinks, ["spo_exp3"], horizon=2000, replications=4, seed=3, workers=1)
    assert told == json.loads(json.dumps(found))
    assert (told["duels"], told["annotators"], told["ties"]) == (3200, 400, 194)
    assert [row["agent"] for row in told["agents"]] == ["spo_exp3", "random_pair"]
    assert main([*words, "--log", drinks]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert (
        "3,200 duels by 400 annotators" in text and "There is a cycle, which may be noise" in text
    )
    assert "Agents that ask such judges 2,000 times" in text


def test_other_columns_other_rivals_and_hyper_parameters(tmp_path, drinks, capsys):
    rows = "".join(f"{a};{b};{a}\n" for a, b in ["xy", "yz", "zx"] * 30)
    Path("own.csv").write_text(f"first;second;winner\n{rows}")
    words = ["--agent", "spo_batch", "--vs", "hedge_selfplay", "--log", "own.csv",
             "--horizon", "500", "--replications", "3", "--set", "spo_batch.queue=10",
             "--json"]  # fmt: skip
    assert main([*words, "--columns", "left=first,right=second"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["agent"] for row in told["agents"]] == [
        "spo_batch",
        "hedge_selfplay",
        "random_pair",
    ]
    assert told["winners"]["von_neumann"]["names"] == ["x", "y", "z"] and told["cycle"]["real"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "own.csv: winner: row 1 has q; allowed there are a, b, left, right and tie"),
        (["--columns", "left=links"], "the table of duels has no column 'links'"),
        (["--set", "spo_exp3.eta=1"], "--set: unknown agent 'spo_exp3'"),
        (["--set", "spo_batch.queue=0"], "spo_batch: queue must be at least 1, got 0"),
        (["--low", "0"], "--low is not for a report on own.csv"),
        (["--horizon", "0"], "--horizon must be at least 1, got 0"),
        (["--horizon", str(10**30)], "horizon must be at most 9007199254740992"),
    ],
)
def test_refusals_are_one_line(words, said, drinks, capsys):
    Path("own.csv").write_text("left,right,winner\na,b,a\na,b,q\n")
    assert main(["--agent", "spo_batch", "--log", "own.csv", *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and said in err and err.count("\n") == 1
