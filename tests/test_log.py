"""Logs: what is read, what is refused and how, and the log that ships."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest

from banditlab.core import Task
from banditlab.data.log import Log

DIGITS_X = Path(__file__).parent.parent / "arenas" / "logs" / "digits_x.csv"
DIGITS = Path(__file__).parent.parent / "arenas" / "logs" / "digits.csv"


def frame(**columns):
    given = {"context": [0, 1, 1, 2], "action": [1, 0, 1, 1], "reward": [0.5, 1.0, 0.0, 2.0]}
    return pandas.DataFrame({**given, **columns})


def test_tables_count_and_add_up_per_context_and_arm():
    log = Log.of(frame())
    assert (len(log), log.n_contexts, log.n_arms) == (4, 3, 2)
    assert log.counts().tolist() == [[0, 1], [1, 1], [0, 1]]
    assert log.sums().tolist() == [[0, 0.5], [1, 0], [0, 2]]
    assert log.counts((4, 3)).sum() == 4
    assert log.sums((4, 3))[2].tolist() == [0, 2, 0]


def test_columns_have_the_types_that_kernels_want():
    log = Log.of(frame(action=[1.0, 0.0, 1.0, 1.0], reward=[1, 0, 1, 0], propensity=[1, 1, 0.5, 1]))
    assert log.action.dtype == log.context.dtype == np.int64
    assert log.reward.dtype == log.propensity.dtype == np.float64


def test_context_and_propensity_may_be_left_out_and_other_columns_are_passed_over():
    log = Log.of(frame(user=list("abcd")).drop(columns="context"))
    assert log.context.tolist() == [0, 0, 0, 0]
    assert log.propensity is None
    assert (log.n_contexts, list(log.to_frame())) == (1, ["action", "reward"])
    assert not log.has_context and not log.take([0, 2]).has_context
    assert (log.x, log.dim) == (None, 0)


def test_features_are_the_columns_x_in_the_order_of_the_file():
    given = frame(x_old=[1, 2, 3, 4], x=[9] * 4, x_0=["0.5", "0", "-1", "1e3"], ax_1=[9] * 4)
    log = Log.of(given)
    assert log.x.tolist() == [[1, 0.5], [2, 0], [3, -1], [4, 1000]]
    assert log.x.dtype == np.float64 and log.x.flags.c_contiguous
    assert (log.dim, log.has_context) == (2, True)
    assert log.take([3, 0]).x.tolist() == [[4, 1000], [1, 0.5]]
    assert log.to_frame()["x_1"].tolist() == [0.5, 0, -1, 1000]
    assert Log.of(log.to_frame()).x.tolist() == log.x.tolist()


def test_one_arm_logged_still_makes_a_problem_of_two():
    assert Log([0, 0], [1, 1]).n_arms == 2


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_files_come_back_as_they_were_written(tmp_path, ending):
    given = frame(propensity=[0.1, 0.25, 1 / 3, 1.0], x_0=[0.1, 1 / 3, -2.0, 1e-30], x_1=1.0)
    path = tmp_path / f"log.{ending}"
    given.to_csv(path, index=False) if ending == "csv" else given.to_parquet(path)
    for source in (path, str(path), given, Log.of(given)):
        pandas.testing.assert_frame_equal(Log.of(source).to_frame(), given, check_exact=True)


def test_rows_are_taken_by_number_and_by_mask():
    log = Log.of(frame(propensity=[0.1, 0.2, 0.3, 0.4]))
    by_number, by_mask = log.take([1, 3]), log.take(log.reward >= 1)
    for part in (by_number, by_mask):
        assert part.action.tolist() == [0, 1]
        assert part.propensity.tolist() == [0.2, 0.4]


def test_the_log_is_a_copy():
    reward = np.zeros(2)
    log = Log([0, 1], reward)
    reward[0] = 7
    assert log.reward.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        ({"action": [1, 0.5, 1, 1]}, "action: row 1 has 0.5; allowed are integers and texts"),
        ({"action": [1, None, 1, 1]}, "action: row 1 has nan; allowed are integers and texts"),
        ({"action": ["1", "b", "", "c"]}, "action: row 2 has nothing; allowed are .*"),
        ({"action": ["1", "b", None, "c"]}, "action: row 2 has nothing; allowed are .*"),
        ({"action": [0, 1, 1, 2.0**60]}, "action: row 3 has 1.15.*; allowed are integers and te.*"),
        ({"context": [0, 1, np.inf, 1]}, "context: row 2 has inf; allowed are integers and texts"),
        ({"reward": [0, np.nan, 1, 1]}, "reward: row 1 has nan; allowed are finite numbers"),
        ({"reward": [0, 1, -np.inf, 1]}, "reward: row 2 has -inf; allowed are finite numbers"),
        ({"reward": [0, 1, 1, "x"]}, "reward: row 3 has x; allowed are finite numbers"),
        (
            {"propensity": [0.5, 0.5, 0.0, 1]},
            r"propensity: row 2 has 0.0; allowed are numbers in \(0, 1\]",
        ),
        (
            {"propensity": [1.0, 1.01, 0.5, 1]},
            r"propensity: row 1 has 1.01; allowed are numbers in \(0, 1\]",
        ),
        (
            {"x_0": [1.0, 2.0, 3.0, 4.0], "x_age": [1.0, 2.0, np.nan, 4.0]},
            "x_age: row 2 has nan; allowed are finite numbers",
        ),
        ({"propensities": [0.5] * 4}, "unknown column 'propensities'; did you mean 'propensity'?"),
    ],
)
def test_the_first_bad_value_is_named_with_its_row_and_what_is_allowed(columns, line):
    with pytest.raises(ValueError, match=f"^{line.replace('?', '[?]')}$"):
        Log.of(frame(**columns))


@pytest.mark.parametrize("column", ["action", "reward"])
def test_a_missing_column_is_named(column):
    with pytest.raises(ValueError, match=f"^the log has no column '{column}'; it has context, "):
        Log.of(frame().drop(columns=column))


def test_other_bad_logs_are_refused():
    with pytest.raises(ValueError, match="^the log is empty$"):
        Log.of(frame().iloc[:0])
    with pytest.raises(ValueError, match="^reward: 3 rows, but action has 2$"):
        Log([0, 1], [1, 1, 0])
    with pytest.raises(ValueError, match=r"^action must have one value per row, got shape \(1, 2"):
        Log([[0, 1]], [1])
    with pytest.raises(ValueError, match="^x: 1 rows, but action has 2$"):
        Log([0, 1], [1, 1], x=[[1.0]])
    with pytest.raises(ValueError, match=r"^x must have shape \(rows, dim\) .*, got \(2,\)$"):
        Log([0, 1], [1, 1], x=[1.0, 2.0])
    with pytest.raises(ValueError, match="^x_1: row 0 has inf; allowed are finite numbers$"):
        Log([0, 1], [1, 1], x=[[1.0, np.inf], [2.0, np.nan]])
    with pytest.raises(ValueError, match="^a log is a path, a frame, an Arrow table or a map"):
        Log.of(3)
    many = range(20_000)
    with pytest.raises(ValueError, match="^20000 contexts and 20000 arms are too many for a table"):
        Log(many, many, many).counts()


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("log.txt", "action,reward\n1,1\n", "log.txt: a log ends in .csv, .*"),
        ("log.csv", None, "no such file: .*log.csv"),
        ("log.csv", "", "log.csv: the log is empty"),
        ("log.csv", "action,reward\n", "log.csv: the log is empty"),
        ("log.csv", "action,reward\n1,2\n1,2,3,4\n", "log.csv: line 3 has 4 cells, .* 2 columns"),
        ("log.parquet", "no parquet", "log.parquet: not readable as parquet: .*"),
        ("log.csv", "action,reward\n1,0\n1,\n", "log.csv: reward: row 1 has nothing; allowed .*"),
    ],
)
def test_a_bad_file_is_named_in_one_line(tmp_path, name, text, line):
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=f"^{line}$"):
        Log.read(path)


def test_a_log_fits_a_task_that_has_its_arms_and_contexts():
    log = Log.of(frame())
    log.fits(Task(2, 3))
    log.fits(Task(5, 9))
    with pytest.raises(ValueError, match="^context: row 3 has 2; allowed are 0 to 1 in this task$"):
        log.fits(Task(2, 2))
    with pytest.raises(ValueError, match="^action: row 0 has 3; allowed are 0 to 2 in this task$"):
        Log([3, 0], [1, 1]).fits(Task(3))
    with pytest.raises(ValueError, match="^the log has no features, the task has dim 2$"):
        log.fits(Task(2, 3, 2))


def test_a_log_without_contexts_does_not_fit_a_task_with_some():
    line = "^the log has no contexts, the task has 3$"
    for log in (Log([0, 1], [1, 1]), Log([0, 1], [1, 1]).take([0])):
        log.fits(Task(2, 1))
        with pytest.raises(ValueError, match=line):
            log.fits(Task(2, 3))
        with pytest.raises(ValueError, match=line):
            log.counts((3, 2))
    Log([0, 1], [1, 1], [0, 0]).fits(Task(2, 3))  # a log that has seen one of three


def test_a_log_may_say_more_than_the_task_asks_for():
    log = Log([0, 1], [1, 1], [0, 5], x=[[1.0, 2.0], [3.0, 4.0]])
    log.fits(Task(2, 6))
    log.fits(Task(2, 1, 2))  # features instead of contexts
    with pytest.raises(ValueError, match="^context: row 1 has 5; allowed are 0 to 0 in this task$"):
        log.fits(Task(2))
    with pytest.raises(ValueError, match="^the log has 2 features, the task has dim 3$"):
        log.fits(Task(2, 1, 3))


def test_pandas_is_imported_only_where_it_is_used():
    modules = "banditlab.data.log, banditlab.offpolicy"
    program = f"import sys, {modules}; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_the_shipped_log_is_what_its_script_says():
    assert DIGITS.stat().st_size < 200_000
    log = Log.read(DIGITS)
    assert (len(log), log.n_contexts, log.n_arms) == (5000, 20, 10)
    assert set(np.unique(log.reward)) == {0.0, 1.0}
    assert log.propensity.min() >= 0.01
    # One propensity per pair, and no context whose propensities exceed 1.
    pairs = log.to_frame().groupby(["context", "action"])["propensity"]
    assert (pairs.nunique() == 1).all()
    sums = pairs.first().groupby("context").sum()
    assert (sums <= 1 + 1e-9).all()
    # Importance weights of the uniform policy average to the mass of the arms that are logged.
    weights = 0.1 / log.propensity
    error = weights.std(ddof=1) / np.sqrt(len(log))
    assert abs(weights.mean() - 1) < 4 * error


def test_the_shipped_log_with_features_is_what_its_script_says():
    assert DIGITS_X.stat().st_size < 200_000
    log, other = Log.read(DIGITS_X), Log.read(DIGITS)
    assert (len(log), log.n_contexts, log.n_arms, log.dim) == (2000, 20, 10, 9)
    assert (log.x[:, 8] == 1).all()
    assert (np.round(log.x, 4) == log.x).all()
    assert 0.9 < np.linalg.norm(log.x[:, :8], axis=1).max() < 1.1
    # The same policy chose in both logs.
    policy = {}
    for part in (other, log):
        rows = zip(part.context, part.action, part.propensity, strict=True)
        assert all(policy.setdefault((s, a), p) == p for s, a, p in rows)
