"""Labelled data, of every kind and quality, and the bandit that is played on them."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

import banditlab
from banditlab import random
from banditlab.agent import quiet
from banditlab.cli.main import main
from banditlab.data import sets
from banditlab.data.labelled import Labelled
from banditlab.problems.classification import normalized


def rounds(problem, n, seed=0, arm=0):
    """What n rounds of plain Python show: rows of x, the paying arms, rewards of ``arm``."""
    kernels = [getattr(problem, name) for name in ("init", "observe", "pull", "regret")]
    init, observe, pull, regret = (getattr(kernel, "py_func", kernel) for kernel in kernels)
    nature = random.stream(random.key(seed), 0, random.NATURE)
    seen, right, paid = [], [], []
    with quiet():
        world = init(problem.params, nature)
        for t in range(n):
            x = observe(problem.params, world, t, nature)
            seen.append(x[0].copy())
            arms = range(problem.shape[0])
            losses = [regret(problem.params, world, x, k) for k in arms]
            right.append(losses.index(0.0))
            assert sum(losses) == problem.shape[0] - 1
            paid.append(pull(problem.params, world, x, arm, nature))
    return np.array(seen), np.array(right), np.array(paid)


def table(n=60, n_classes=3, seed=0):
    """Rows that can be told apart by their first feature, and their labels."""
    y = np.arange(n) % n_classes
    x = np.random.default_rng(seed).normal(size=(n, 2))
    x[:, 0] = np.arange(n)
    return {"x": x, "label": y}


def problem(**given):
    data = given.pop("data", table())
    return banditlab.make_problem("classification", data=data, **{"normalize": "none", **given})


def test_every_row_comes_once_a_cycle_and_the_cycles_differ():
    seen, right, paid = rounds(problem(), 180)
    cycles = seen[:, 0].reshape(3, 60).astype(int)
    for cycle in cycles:
        assert sorted(cycle) == list(range(60))
    assert not (cycles[0] == cycles[1]).all() and not (cycles[0] == np.arange(60)).all()
    assert (right == seen[:, 0] % 3).all() and (paid == (right == 0)).all()


def test_every_row_is_as_likely_in_every_place_of_a_cycle():
    made = problem(data={"x": np.arange(4.0)[:, None], "label": [0, 1, 0, 1]})
    cycles = rounds(made, 4 * 1200)[0].reshape(1200, 4).astype(int)
    for place in range(4):
        counts = np.bincount(cycles[:, place], minlength=4)
        assert (np.abs(counts - 300) < 5 * np.sqrt(1200 * 3 / 16)).all()


def test_with_replacement_rows_come_back_before_the_cycle_ends():
    seen, right, _ = rounds(problem(order="replacement"), 60)
    assert len(set(seen[:, 0])) < 60
    assert (right == seen[:, 0] % 3).all()


def test_blocks_show_one_class_after_the_other():
    seen, right, _ = rounds(problem(order="blocks"), 120)
    assert (right == np.tile(np.repeat(np.arange(3), 20), 2)).all()
    first, second = seen[:60, 0], seen[60:, 0]
    assert sorted(first) == sorted(second) == list(range(60)) and (first != second).any()


def test_a_drift_moves_every_label_and_stays():
    seen, right, paid = rounds(problem(drift=[30, 100]), 150)
    assert (paid == (right == 0)).all()
    old = (seen[:, 0] % 3).astype(int)
    assert (right[:30] == old[:30]).all()
    for part in (slice(30, 100), slice(100, 150)):
        became = [set(right[part][old[part] == k]) for k in range(3)]
        assert all(len(arms) == 1 for arms in became)
        assert set().union(*became) == {0, 1, 2}
    assert all((old[30:100] != right[30:100]).tolist())


@pytest.mark.parametrize("how", ["row_l2", "zscore", "zscore_l2", "none"])
@pytest.mark.parametrize("constant", [False, True])
def test_rows_are_brought_to_size(how, constant):
    x = np.random.default_rng(1).normal(3.0, 5.0, size=(40, 4))
    x[7], x[:, 2] = 0.0, 0.0
    made = normalized(x, how, constant)
    wanted = x.copy()
    if how.startswith("zscore"):
        wanted = (x - x.mean(axis=0)) / np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0)
    if constant:
        wanted = np.column_stack([wanted, np.ones(40)])
    if how.endswith("l2"):
        length = np.linalg.norm(wanted, axis=1, keepdims=True)
        wanted = wanted / np.where(length > 0, length, 1.0)
    assert np.allclose(made, wanted, rtol=1e-12, atol=1e-15) and np.isfinite(made).all()


def test_lengths_that_cannot_be_squared_are_divided_by_all_the_same():
    tiny = normalized(np.array([[3e-200, 4e-200], [3e99, 4e99]]), "row_l2")
    assert np.allclose(tiny, [[0.6, 0.8], [0.6, 0.8]])
    x = np.random.default_rng(1).normal(3.0, 5.0, size=(40, 3))
    odd = x * [1e300, 1.0, 1e-300]
    assert np.allclose(normalized(odd, "zscore"), normalized(x, "zscore"), rtol=1e-12)


def test_linucb_learns_digits_far_better_than_chance():
    arena = {
        "problem": {"name": "classification", "data": "digits"},
        "agents": [{"name": "linucb", "disjoint": True}, {"name": "uniform"}],
        "horizon": 600,
        "replications": 2,
    }
    curves = banditlab.simulate(arena)
    regret = {name: curves.raw(name)[:, -1].mean() for name in ("linucb", "uniform")}
    assert 100 < regret["linucb"] < 330 and 500 < regret["uniform"] < 580


# --- named sets ---------------------------------------------------------------------------------

SHAPES = {
    "digits": (1797, 64, 10),
    "breast_cancer": (569, 30, 2),
    "wine": (178, 13, 3),
    "iris": (150, 4, 3),
    "shuttle": (49097, 9, 2),
    "segment": (2310, 18, 7),
    "banana": (5300, 2, 2),
    "phishing": (1250, 9, 2),
    "mnist_5k": (5000, 784, 10),
}


@pytest.mark.parametrize("name", SHAPES)
def test_named_sets_have_the_published_size(name):
    assert set(SHAPES) == set(sets.SETS)
    package = sets.SETS[name][0]
    pytest.importorskip({"scikit-learn": "sklearn"}.get(package, package), reason="extra: data")
    found = sets.named_set(name)
    assert (*found.x.shape, len(found.labels)) == SHAPES[name]


def test_a_sparse_file_is_read_place_by_place():
    pytest.importorskip("river", reason="extra: data")
    found = sets.named_set("banana")
    assert found.x[0].tolist() == [1.617466, -0.919233] and found.labels[found.y[0]] == -1
    assert found.x.mean(axis=0) == pytest.approx([0.0, 0.0], abs=0.01)


def test_a_set_whose_package_is_absent_says_what_to_install(monkeypatch):
    sets.named_set.cache_clear()
    monkeypatch.setattr(sets.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"'segment' comes with river.*banditlab-arena\[data\]"):
        problem(data="segment")
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ValueError, match=r"'digits' comes with scikit-learn"):
        problem(data="digits")
    sets.named_set.cache_clear()


# --- tables as they come ------------------------------------------------------------------------


def said(found, words):
    return any(words in note for note in found.notes)


def people(n=100):
    rng = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "row": np.arange(n),
            "age": np.where(np.arange(n) % 10 == 0, np.nan, 20.0 + np.arange(n) % 50),
            "town": np.array(["Bern", "Basel", "Chur"])[rng.integers(0, 3, n)],
            "name": [f"person {i}" for i in range(n)],
            "member": np.arange(n) % 3 == 0,
            "since": pd.date_range("2020-01-01", periods=n),
            "always": 1,
            "nothing": np.nan,
            "bought": np.where(rng.random(n) < 0.5, "yes", "no"),
        }
    )


def test_columns_of_all_kinds_become_features(tmp_path):
    frame = people()
    frame.to_csv(tmp_path / "people.csv", index=False)
    frame.to_parquet(tmp_path / "people.parquet")
    for source in (frame, tmp_path / "people.csv", str(tmp_path / "people.parquet")):
        found = Labelled.of(source, "bought")
        assert found.labels == ("no", "yes")
        member = [f.lower().replace("true", "1").replace("false", "0") for f in found.features[5:7]]
        assert member == ["member = 0", "member = 1"]
        assert [*found.features[:5], *found.features[7:]] == [
            "age", "age is missing", "town = Basel", "town = Bern", "town = Chur", "since",
        ]  # fmt: skip
        x = dict(zip(found.features, found.x.T, strict=True))
        known = frame["age"].notna().to_numpy()
        assert (x["age is missing"] == ~known).all()
        assert np.allclose(x["age"][~known], frame["age"].mean())
        assert (x["since"] == np.arange(100)).all()
        assert ((x["town = Bern"] == 1) == (frame["town"] == "Bern")).all()
        assert said(found, "'row' counts the rows") and said(found, "'name' is different in nearly")
        assert said(found, "'always' is 1 throughout") and said(found, "'nothing' is empty")
        assert said(found, "'since' holds dates")


def test_rare_levels_are_pooled_and_missing_is_a_level():
    town = ["A"] * 40 + ["B"] * 40 + [f"hamlet {i}" for i in range(15)] + [None] * 5
    found = Labelled.of({"town": town, "label": [0, 1] * 50})
    assert found.features == ("town = A", "town = B", "town = any other", "town is missing")
    assert found.x.sum(axis=0).tolist() == [40, 40, 15, 5] and said(found, "15 rare levels of 17")


def test_a_column_of_rare_levels_only_is_left_out():
    found = Labelled.of({"v": ["a", "b", "c", "d"], "z": [1.0, 2.5, 3.0, 4.0], "label": [0, 1] * 2})
    assert found.features == ("z",) and said(found, "'v' has rare levels only")


def test_a_column_that_tells_the_label_is_named():
    y = np.arange(80) % 2
    outcome, z = np.where(y, "won", "lost"), np.sin(y + 1.0 * np.arange(80))
    found = Labelled.of({"outcome": outcome, "z": z, "label": y})
    assert said(found, "'outcome' alone tells the label") and not said(found, "'z' alone")


def test_a_few_odd_texts_among_numbers_are_nothing():
    size = [str(i % 7 + 0.5) for i in range(97)] + ["?"] * 3
    found = Labelled.of({"size": size, "label": [0, 1] * 50})
    assert found.features == ("size", "size is missing") and said(found, "'?' in 3 rows")


def test_rows_without_a_label_are_left_out():
    found = Labelled.of({"z": [9.0, 2.0, 3.0, 4.0], "label": [None, "a", "b", "a"]})
    assert found.x[:, 0].tolist() == [2.0, 3.0, 4.0] and found.y.tolist() == [0, 1, 0]
    assert len(found) == 3 and said(found, "1 row without a label is left out")


X = np.zeros((4, 2)) + np.arange(4)[:, None]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"data": {"x": X, "label": [0, 0, 0, 0]}}, "at least 2 labels"),
        ({"data": {"x": X, "label": [0, 1]}}, "x: 4 rows, but there are 2 labels"),
        ({"data": {"x": X, "label": [0, 1, 0.5, 1]}}, "row 2 has 0.5"),
        ({"data": {"x": X * np.nan, "label": [0, 1, 0, 1]}}, "row 0 has nan"),
        ({"data": {"x": X + np.inf, "label": [0, 1, 0, 1]}}, "allowed are finite numbers"),
        ({"data": {"x": X * 1e200, "label": [0, 1, 0, 1]}}, "finite numbers up to 1e.100"),
        ({"data": {"x": X[:, :0], "label": [0, 1, 0, 1]}}, "no feature is left"),
        ({"data": {"x": X[:0], "label": []}}, "empty"),
        ({"data": {"x": [["a"], ["b"]], "label": [0, 1]}}, "x must be a matrix of numbers"),
        ({"data": {"x": X, "y": [0, 1, 0, 1]}}, "must hold x and label"),
        ({"data": {"z": [1.0], "y": [0]}}, "no column 'label'"),
        ({"data": {"z": np.cos(np.arange(90)), "label": np.arange(90)}}, "a class, not a quantity"),
        ({"data": {"z": [1, 2, np.inf, 3], "label": [0, 1, 0, 1]}}, "z: row 2 has inf"),
        ({"data": {"z": [[1, 2]] * 4, "label": [0, 1, 0, 1]}}, "z must have one value per row"),
        ({"data": {"z": [1, {2}, 3, 4], "label": [0, 1, 0, 1]}}, r"z: row 1 has \{2\}, neither"),
        ({"data": {"z": ["1,000", "2,000"] * 2, "label": [0, 1, 0, 1]}}, "thousands or decimals"),
        ({"data": {"z": [1e300, 2e300, 0, 1], "label": [0, 1, 0, 1]}}, "numbers up to 1e.100"),
        ({"data": {"z": [1.0, 2.0, 3.0], "label": [0.5, 1.5, 2.5]}}, "row 0 has 0.5"),
        ({"data": {"z": [1, 1, 1, 1], "label": [0, 1, 0, 1]}}, "no feature is left"),
        ({"data": "digit"}, "unknown data set 'digit'; did you mean digits"),
        ({"data": "no_such.csv"}, "no such file"),
        ({"data": 3}, "a table of labels is a path"),
        ({"normalize": "l2"}, "normalize must be one of"),
        ({"order": "sorted"}, "order must be one of"),
        ({"drift": [5, 5]}, "drift must increase"),
        ({"drift": [-1]}, "drift must be at least 0"),
        ({"drift": "5"}, "drift must be a list"),
        ({"missing": "zero"}, "missing must be one of"),
        ({"label": ""}, "label must be the name"),
        ({"label": 4}, "label must be the name"),
    ],
)  # fmt: skip
def test_bad_data_are_refused_in_one_line(given, words):
    with pytest.raises(ValueError, match=words) as error:
        problem(**given)
    assert "\n" not in str(error.value)


def test_a_nan_may_be_minus_one():
    x = X.copy()
    x[2, 1] = np.nan
    made = problem(data={"x": x, "label": [0, 1, 0, 1]}, missing="minus_one")
    assert made.params.x[2, 1] == -1.0


# --- from the command line ------------------------------------------------------------------------


def play(capsys, tmp_path, *words):
    code = main([*words, "--out", str(tmp_path / "out"), "--workers", "1"])
    return code, *capsys.readouterr()


def test_a_file_of_ones_own_is_played_and_its_doubts_are_said(tmp_path, capsys):
    people().to_csv(tmp_path / "people.csv", index=False)
    words = ["--env", f"data:{tmp_path / 'people.csv'}", "--label", "bought", "--agent", "linucb"]
    code, out, err = play(capsys, tmp_path, *words, "--horizon", "150", "--replications", "2")
    assert code == 0 and "linucb" in out and "uniform" in out
    assert "100 rows, 8 features, 2 labels; always guessing" in err
    assert "Rows come again, for the 150 rounds" in err and "'name' is different in nearly" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--env", "data:digit"], "unknown data set 'digit'; did you mean digits"),
        (["--env", "data:digits", "--label", "x"], "--label is not for digits"),
        (["--env", "data:FILE"], "no column 'label'; it has row, age"),
        (["--env", "data:FILE", "--label", "bougt"], "no column 'bougt'; it has row, age"),
        (["--env", "data:FILE", "--label", "name"], "too many: a label is a class"),
        (["--env", "data:FILE", "--label", "age"], "a class, not a quantity"),
        (["--env", "data:FILE", "--label", "always"], "at least 2 labels"),
        (["--env", "data:FILE", "--label", "bought", "--low", "0"], "--low is not for --env data:"),
        (["--env", "data:FILE", "--set", "problem.data=3"], "that is what --env and --label say"),
        (["--env", "data:"], "unknown data set ''"),
        (["--agent", "ucb", "--label", "x"], "--label is not for an arena"),
    ],
)
def test_what_cannot_be_played_is_refused_in_one_line(words, said, tmp_path, capsys):
    people().to_csv(tmp_path / "people.csv", index=False)
    words = [word.replace("FILE", str(tmp_path / "people.csv")) for word in words]
    code, _, err = play(capsys, tmp_path, *words)
    assert code == 2 and said in err and err.count("\n") == 1


def test_arrays_and_frames_can_be_played_from_python():
    x, y = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2
    frame = pd.DataFrame({"x_0": x[:, 0], "x_1": x[:, 1], "label": y})
    found = []
    for data in ({"x": x, "label": y}, frame):
        arena = {
            "problem": {"name": "classification", "data": data},
            "agents": [{"name": "linucb", "disjoint": True}],
            "horizon": 60,
            "replications": 2,
        }
        found.append(banditlab.simulate(arena).raw("linucb")[:, -1].tolist())
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("source", "more", "message"),
    [
        ({"x": [[1.0, 2.0], [3.0]], "label": [0, 1]}, {}, "its rows have different lengths"),
        ({"x": [[1j, 2.0], [3.0, 4.0]], "label": [0, 1]}, {}, "x must be a matrix of numbers"),
        ({"x": [[1.0], [2.0]], "y": [0, 1]}, {"columns": "y"}, "columns must be a mapping"),
    ],
)
def test_what_is_no_matrix_or_mapping_is_said_in_our_words(source, more, message):
    with pytest.raises(ValueError, match=message):
        Labelled.of(source, **more)
