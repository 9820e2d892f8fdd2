"""The one reader of tables: what it reads, how names are numbered, and what it refuses or says."""

import gzip
import os
import time

import numpy as np
import pandas
import pyarrow
import pytest

from banditlab.core import Task
from banditlab.data import doubts
from banditlab.data.log import Log
from banditlab.data.table import column_names, read_table
from banditlab.data.transitions import Dataset
from banditlab.data.values import blank, ids, numbers, parsed
from banditlab.problems.replay import unscaled
from banditlab.registry import make_problem

KNOWN = ("action", "reward", "context", "propensity")


@pytest.fixture
def save(tmp_path):
    """Write text or bytes to a file, and give its path."""

    def write(content, name="log.csv"):
        path = tmp_path / name
        data = content if isinstance(content, bytes) else content.encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


def said(content, *, name="log.csv", save, **how):
    """What is said of a file that is refused."""
    with pytest.raises(ValueError) as caught:
        read_table(save(content, name), "log", **{"known": KNOWN, **how})
    line = str(caught.value)
    assert line.startswith(f"{name}: ") and "\n" not in line and len(line) < 400
    return line.removeprefix(f"{name}: ")


# --- what is read -------------------------------------------------------------------------------

COMMAS = "action,reward,x_0\nred,1,0.5\nblue,0.25,-1\n"


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (COMMAS, "log.csv"),
        (COMMAS, "log.CSV"),
        (COMMAS, "log.csv.gz"),
        (COMMAS.replace("\n", "\r\n"), "log.csv"),
        (COMMAS.replace("\n", "\r"), "log.csv"),
        (COMMAS.rstrip(), "log.csv"),
        (COMMAS.replace("\n", "\n\n"), "log.csv"),
        ("\ufeff" + COMMAS, "log.csv"),
        (COMMAS.encode("utf-16"), "log.csv"),
        (COMMAS.replace(",", "\t"), "log.tsv"),
        (COMMAS.replace(",", "\t"), "log.csv"),
        (COMMAS.replace(",", "|"), "log.csv"),
        (COMMAS.replace(",", ";"), "log.csv"),
        (COMMAS.replace(",", ";").replace(".", ","), "log.csv"),
        ("sep=;\r\n" + COMMAS.replace(",", ";"), "log.csv"),
        (COMMAS.replace(",", " , "), "log.csv"),
        ('"action","reward","x_0"\n"red","1","0.5"\n"blue","0.25","-1"\n', "log.csv"),
        ('action;reward;x_0;"a,b"\nred;1;0.5;"1,2"\nblue;.25;-1e0;"3"\n', "log.csv"),
    ],
)
def test_a_text_is_read_whatever_parts_its_cells(content, name, save):
    log = Log.read(save(content, name))
    assert log.actions == ("blue", "red") and log.action.tolist() == [1, 0]
    assert log.reward.tolist() == [1, 0.25] and log.x.tolist() == [[0.5], [-1]]


def sources(frame, folder):
    """One table in every shape that there is."""
    frame.to_parquet(folder / "t.parquet")
    frame.to_csv(folder / "t.csv", index=False)
    yield folder / "t.parquet"
    yield str(folder / "t.csv")
    yield frame
    yield frame.convert_dtypes()
    yield frame.astype({"action": "category"})
    yield pyarrow.Table.from_pandas(frame)
    yield pyarrow.Table.from_pandas(frame).to_batches()[0]
    yield frame.to_dict("list")
    yield {name: frame[name].to_numpy() for name in frame}
    yield frame.to_records(index=False)


def test_every_shape_of_a_table_is_the_same_log(tmp_path):
    frame = pandas.DataFrame({"action": ["b", "a", "b"], "reward": [0.1, 1 / 3, 2.0]})
    for source in sources(frame, tmp_path):
        log = Log.of(source)
        assert log.actions == ("a", "b") and log.action.tolist() == [1, 0, 1]
        assert log.reward.tolist() == [0.1, 1 / 3, 2.0]


def test_a_matrix_of_features_is_taken_from_a_dictionary():
    log = Log.of({"action": [0, 1], "reward": [0, 1], "x": np.array([[1.0, 2.0], [3.0, 4.0]])})
    assert log.x.tolist() == [[1, 2], [3, 4]]


def test_an_index_with_a_name_is_a_column(tmp_path):
    frame = pandas.DataFrame({"action": [7, 9], "context": [1, 2], "reward": [0.0, 1.0]})
    for keys in ("action", ["action", "context"]):
        indexed = frame.set_index(keys)
        indexed.to_parquet(tmp_path / "t.parquet")
        for source in (indexed, tmp_path / "t.parquet"):
            log = Log.of(source)
            assert (log.actions, log.contexts) == ((7, 9), (1, 2))
    counted = pandas.DataFrame({"reward": [0.0, 1.0]}, index=pandas.RangeIndex(2, name="action"))
    counted.to_parquet(tmp_path / "t.parquet")
    assert Log.read(tmp_path / "t.parquet").actions == (0, 1)
    frame[frame["action"] > 7].to_parquet(tmp_path / "t.parquet")  # an index without a name
    assert Log.read(tmp_path / "t.parquet").actions == (9,)


# --- columns ------------------------------------------------------------------------------------


def test_other_names_of_columns_are_recognised_and_said():
    log = Log.of({"action": [0, 1], "reward": [0, 1], "pscore": [0.5, 0.5]})
    assert log.propensity.tolist() == [0.5, 0.5]
    assert log.notes == ("column 'pscore' is read as propensity",)
    both = Log.of({"action": [0], "reward": [0], "pscore": [0.5], "propensity": [0.25]})
    assert both.propensity.tolist() == [0.25] and both.notes == ()


def test_columns_are_called_by_hand(save):
    path = save("article;click;reward\nx;1;7\ny;0;8\n")
    log = Log.read(path, columns={"action": "article", "reward": "click"})
    assert (log.actions, log.reward.tolist()) == (("x", "y"), [1, 0])
    for columns, line in (
        ({"action": "artcle"}, "columns: the log has no column 'artcle'; did you mean 'article'?"),
        ({"acton": "article"}, "columns: 'acton' is none of action, reward, context, propensity"),
        ({"action": "click", "reward": "click"}, "columns: 'click' stands for two columns"),
    ):
        with pytest.raises(ValueError) as caught:
            Log.read(path, columns=columns)
        assert str(caught.value) == f"log.csv: {line}"


def test_done_means_terminated_where_nothing_was_cut_off():
    rows = {"state": [0, 1, 0], "action": [0, 1, 0], "reward": [0, 1, 0], "next_state": [1, 0, 1]}
    data = Dataset.of({**rows, "done": [0, 1, 1], "timeout": [0, 0, 1], "episode": [1, 1, 2]})
    assert data.terminated.tolist() == [False, True, False]
    assert data.truncated.tolist() == [False, False, True]
    assert data.notes[:2] == (
        "column 'done' is read as terminated",
        "column 'timeout' is read as truncated",
    )
    assert "'done' is 1 in 1 rows that were cut off" in data.notes[2]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("action,reward\n1,0,0.25\n", "line 2 has 3 cells, but the first line names 2 columns"),
        ("action,reward\n1,0\n\n1\n", "line 4 has 1 cells, but the first line names 2 columns"),
        ("action,reward\n1,0\n2,1,\n", "line 3 has 3 cells, but the first line names 2 columns"),
        ("action,reward\n" + "1,0\n" * 3000 + "1,0,1\n", "line 3002 has 3 cells"),
        ("action, action,reward\n1,2,0\n", "column 'action' appears twice"),
        ('action,reward\n1,"0\n2,3\n', "in or after line 2: a quote is not closed"),
        (b"action,reward\n1,\xe9\n", "line 2 is not UTF-8 (byte 0xe9): save the file as UTF-8"),
        (b"action,reward\n1,0\n1,\x00\n", "line 3 holds a zero byte"),
        ("", "the log is empty"),
        ("\n\n", "the log is empty"),
        ("0,0.91\n1,0.5\n", "the log has no column 'action'; it has 0, 0.91; its first line must"),
        (
            "acton,reward\n1,0\n",
            "the log has no column 'action'; it has acton, reward; "
            "if one of them is that, say --columns action=NAME",
        ),
        ("action,reward,propensty\n1,0,1\n", "unknown column 'propensty'; did you mean 'prop"),
        ('"a;b,c";"d,e"\n1;2\n', "the log has no column 'action'; it has a;b,c, d,e"),
    ],
)
def test_what_cannot_be_a_log_is_refused(content, line, save):
    assert said(content, save=save, required=("action",)).startswith(line)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("a,b,\n1,0,2\n", "column 2 has no name: is it a row number?"),
        ("Unnamed: 0,a,b\n1,0,2\n", "column 0 has no name: is it a row number?"),
        ("a,0.910988\n1,0\n", "the first line must name the columns, got a, 0.910988"),
        ("5,3,4\n1,0,2\n", "the first line must name the columns, got 5, 3, 4"),
        ("-1,2\n1,0\n", "the first line must name the columns, got -1, 2"),
    ],
)
def test_a_column_per_arm_must_have_a_name(content, line, save):
    assert said(content, save=save, every=True) == line


def test_numbers_of_arms_are_names_and_so_are_those_of_a_frame(save):
    for header in ("0,1,2", "1,2,3", "arm 5,arm 3,x"):
        assert read_table(save(f"{header}\n1,0,2\n"), every=True).names == tuple(header.split(","))
    assert read_table(pandas.DataFrame({5: [1], 3: [2]}), every=True).names == ("5", "3")


def test_a_row_number_is_passed_over_wherever_it_stands(save):
    for text in (",action,reward\n0,7,1\n", "action,reward,Unnamed: 2\n7,1,0\n"):
        log = Log.read(save(text))
        assert log.actions == (7,) and "has no name and is passed over" in log.notes[0]


def test_files_that_are_none(tmp_path, save):
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    (tmp_path / "link.csv").symlink_to(save("action,reward\n3,1\n", "there.csv"))
    assert Log.read(tmp_path / "link.csv").actions == (3,)
    for name, line in (
        ("folder.csv", "it is a folder"),
        ("pipe.csv", "it is no ordinary file"),
        ("loop.csv", "not readable"),
        ("a\0b.csv", ""),
        ("x" * 300 + ".csv", "not readable"),
        ("log.txt", "a log ends in .csv"),
        ("log", "a log ends in .csv"),
    ):
        with pytest.raises(ValueError, match=line):
            Log.read(tmp_path / name)
    for name in ("bad.parquet", "bad.csv.gz"):
        (tmp_path / name).write_bytes(b"PAR1\x15\x04" * 9)
        with pytest.raises(ValueError, match=f"^{name}: not readable as"):
            Log.read(tmp_path / name)


def test_a_bomb_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    from banditlab.data import table

    monkeypatch.setattr(table, "LARGEST_TEXT", 1 << 20)
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(b"action,reward\n" + b"1,0\n" * 10**6))
    with pytest.raises(ValueError, match="^bomb.csv.gz: more than 1 MB of text"):
        Log.read(path)
    monkeypatch.setattr(table, "LARGEST_PARQUET", 10**5)
    same = pandas.DataFrame({"action": np.zeros(10**5, np.int8), "reward": 0.0})
    same.to_parquet(tmp_path / "bomb.parquet")
    with pytest.raises(ValueError, match="^bomb.parquet: 100,000 rows of 2 columns are more"):
        Log.read(tmp_path / "bomb.parquet")


@pytest.mark.parametrize("block", [16, 40, 1000])
def test_a_cell_may_hold_lines_and_separators_wherever_a_block_ends(block, save, monkeypatch):
    from banditlab.data import table

    monkeypatch.setattr(table, "BLOCK", block)  # the last row is longer than two of these
    rows = [f'{k},{k / 8},"said, ""so""\nin {"many " * k}lines"' for k in range(20)]
    log = Log.read(save("action,reward,comment\n" + "\n".join(rows) + "\n"))
    assert log.action.tolist() == list(range(20))
    assert log.reward.tolist() == [k / 8 for k in range(20)]


def test_only_the_names_are_read_for_the_names(save):
    assert column_names(save("a,,b\n1,2\n")) == ("a", "b")  # the row below is none of its business


def test_many_columns(save):
    n = 20_000
    names = ",".join(f"x_{k}" for k in range(n))
    path = save(f"action,reward,{names}\n" + ("1,0," + ",".join(["0.5"] * n) + "\n") * 2)
    begun = time.process_time()
    assert Log.read(path).dim == n
    assert time.process_time() - begun < 10


# --- numbers ------------------------------------------------------------------------------------


def text(*cells):
    return pyarrow.array(cells)


def test_numbers_in_text():
    notes = []
    assert numbers("r", text(" 1.5", "-2e1 ", "+3"), notes=notes).tolist() == [1.5, -20, 3]
    assert numbers("r", text("True", "false", "TRUE")).tolist() == [1, 0, 1]
    assert notes == []
    assert numbers("r", text("0,125", "-1,5", "2"), notes=notes).tolist() == [0.125, -1.5, 2]
    assert notes == ["column 'r' has decimal commas, read as decimal points"]
    found = parsed("r", text("1", "", "x", None, "NA", "0x1", "1_0", "nan", "inf", "1.5.2", "٣"))
    assert found[0] == 1 and found[8] == np.inf and np.isnan(np.delete(found, [0, 8])).all()
    assert parsed("r", pyarrow.array(["1", None, "7"]).dictionary_encode()).tolist()[::2] == [1, 7]


@pytest.mark.parametrize(
    ("column", "line"),
    [
        (text("1,000", "2,500"), "r: row 0 has 1,000: thousands or decimals? "),
        (text("1.234,5", "2"), "r: row 0 has 1.234,5; allowed are finite numbers"),
        (text("1,5", "2.5"), "r: row 0 has 1,5; allowed are finite numbers"),
        (text("1", ""), "r: row 1 has nothing; allowed are finite numbers"),
        (text("1", "a\nb" + "c" * 99), "r: row 1 has a b" + "c" * 57 + "...; allowed are finite"),
        (text("=1+2"), "r: row 0 has =1[+]2; allowed are finite numbers"),
        (np.array(["2024-01-01"], "M8[D]"), "r: it holds dates or times such as 2024-01-01; all"),
        (np.array([5], "m8[s]"), "r: it holds durations such as "),
        (pyarrow.array([[1], [2]]), r"r: it holds lists such as \[1\]; allowed are numbers"),
        (np.array([1 + 2j]), "r: row 0 has .1[+]2j., neither a number nor a text"),
        (np.array([1, pandas.NA, object], object), "r: row 2 has .*, neither a number nor a text"),
        (np.array([[1.0]]), r"r must have one number per row, got shape \(1, 1\)"),
    ],
)
def test_what_is_no_number_is_refused(column, line):
    with pytest.raises(ValueError, match=f"^{line.replace('?', '[?]')}"):
        numbers("r", column)


def test_blanks():
    assert blank(text("", " ", None, "NaN", "NA", "None", "0")).tolist() == [1, 1, 1, 1, 1, 0, 0]
    assert blank(np.array([0.0, np.nan])).tolist() == [False, True]
    assert blank(np.array([None, "a"], dtype=object)).tolist() == [True, False]
    assert not blank(np.array([1, 2])).any()


# --- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "labels"),
    [
        ([3, 17, 42, 3], (3, 17, 42)),
        ([1, 2, 3, 1], (1, 2, 3)),
        ([-5, 10, 9, -5], (-5, 9, 10)),
        ([10_000_001, 0, 2**60 + 1, 2**60], (0, 10_000_001, 2**60, 2**60 + 1)),
        (np.array([2**64 - 1, 0, 1, 1], np.uint64), (0, 1, 2**64 - 1)),
        ([2.0, 10.0, 1.0, 1.0], (1, 2, 10)),
        ([True, False, True, True], (0, 1)),
        (["b", "a", "b", "c"], ("a", "b", "c")),
        (["10", "9", "2", "2"], (2, 9, 10)),
        (["1.0", "2.0", "1", "2"], (1, 2)),
        (["007", "7", "07", "7"], ("007", "07", "7")),
        (["+1", "1", "2", "3"], ("+1", "1", "2", "3")),
        ([" a", "a ", "b", "b"], ("a", "b")),
        (["1", "2", "red", "3"], ("1", "2", "3", "red")),
        ([1, "a", 2.0, 1], ("1", "2.0", "a")),
        ([str(2**70), "5", "5", "5"], (5, 2**70)),
        (["None", "none", "NA", "é"], ("NA", "None", "none", "é")),
        ([0, 1, 2, 1], (0, 1, 2)),
    ],
)
def test_names_are_sorted_and_numbered(column, labels):
    column = np.array(column, dtype=object) if isinstance(column[1], str) else np.asarray(column)
    codes, found = ids("action", column)
    assert found == labels and codes.dtype == np.int64
    assert {type(label) for label in found} <= {int, str}
    whole = [str(v).strip() for v in column.tolist()]
    if labels != (0, 1) and not isinstance(column[0], float) and "1.0" not in whole:
        assert [str(found[code]) for code in codes] == whole


@pytest.mark.parametrize(
    ("column", "line"),
    [
        (["a", "", "b"], "action: row 1 has nothing; allowed are integers and texts"),
        (["a", "b", "nan"], "action: row 2 has nan; allowed are integers and texts"),
        (["1", "2", "0.5"], "action: row 2 has 0.5; allowed are integers and texts"),
        (["1", "1e3", "2"], "action: row 1 has 1e3; allowed are integers and texts"),
        (["a", "b\nc", "d"], "action: row 1 has a name of several lines: is a quote open[?]"),
        ([1.0, np.nan, 2.0], "action: row 1 has nan; allowed are integers and texts"),
        (
            [1.0, 2.0**53, 2.0],
            "action: row 1 has 9007199254740992.0; allowed are .*",
        ),
    ],
)
def test_what_is_no_name_is_refused(column, line):
    column = np.array(column, dtype=object) if isinstance(column[0], str) else np.array(column)
    with pytest.raises(ValueError, match=f"^{line}$"):
        ids("action", column)


def test_a_name_that_does_not_fit_the_others_is_said():
    notes = []
    ids("action", text("1", "2", "l", "3"), notes)
    assert notes == ["action: row 2 has 'l', no integer, so all are read as texts"]


def test_names_cost_by_the_row_and_not_by_their_size():
    rng = np.random.default_rng(0)
    for names in (rng.integers(2**62, size=2000), [f"arm {k}" for k in range(2000)]):
        begun = time.process_time()
        log = Log(names, rng.random(2000), context=rng.permutation(2000) * 10**12)
        assert (len(log.actions), log.n_contexts, log.counts().sum()) == (2000, 2000, 2000)
        assert time.process_time() - begun < 1.0


def test_a_log_comes_back_with_its_names(tmp_path):
    frame = pandas.DataFrame(
        {"context": ["x", "y", "x"], "action": [42, 3, 3], "reward": [1.0, 0.0, 0.5]}
    )
    log = Log.of(frame)
    assert log.counts().tolist() == [[1, 1], [1, 0]] and log.sums().tolist() == [[0.5, 1], [0, 0]]
    pandas.testing.assert_frame_equal(log.to_frame(), frame, check_dtype=False)
    part = log.take([0])
    assert (part.actions, part.contexts, part.action.tolist()) == ((3, 42), ("x", "y"), [1])
    rows = {"state": ["a", "b"], "action": ["l", "r"], "reward": [0, 1], "next_state": ["b", ""]}
    data = Dataset.of({**rows, "terminated": [0, 1], "truncated": [0, 0], "episode": ["e", "e"]})
    assert (data.states, data.actions, data.successor.tolist()) == (("a", "b"), ("l", "r"), [1, 2])
    for name in ("d.csv", "d.parquet"):
        data.write(tmp_path / name)
        again = Dataset.read(tmp_path / name)
        assert (again.states, again.next_state.tolist()) == (data.states, data.next_state.tolist())


def test_a_task_knows_its_arms_by_number_or_by_order():
    gaps, texts = Log([0, 3, 3], [0, 1, 1]), Log(["b", "a", "b"], [0, 1, 1])
    assert gaps.fitted(Task(5)).action.tolist() == [0, 3, 3]  # arms that were never logged exist
    assert gaps.counts((1, 5)).tolist() == [[1, 0, 0, 2, 0]] and gaps.counts().tolist() == [[1, 2]]
    assert gaps.fitted(Task(2)).action.tolist() == [0, 1, 1]
    assert Log([1, 2, 3], [0, 0, 0]).fitted(Task(3)).action.tolist() == [0, 1, 2]
    assert Log([1, 2, 3], [0, 0, 0]).fitted(Task(4)).action.tolist() == [1, 2, 3]
    assert texts.fitted(Task(2)).action.tolist() == [1, 0, 1]
    with pytest.raises(ValueError, match=r"^action: the log names 2 \(a, b\), the task has 3; wh"):
        texts.fitted(Task(3))
    with pytest.raises(ValueError, match="^action: row 1 has 3; allowed are 0 to 2 in this task$"):
        gaps.fitted(Task(3))


def test_what_a_person_looks_for():
    log = Log(["<b>", "x", "x"], [0, 1, 1], propensity=[0.5, 0.25, 0.5])
    assert repr(log) == (
        "Log(3 rows, 2 arms (<b>, x), rewards 0 to 1, mean 0.6667, propensities 0.25 to 0.5)"
    )
    assert "&lt;b&gt;" in log._repr_html_() and "<b>," not in log._repr_html_()
    data = Dataset([0, 1], [0, 1], [0, 1], [1, 0], [0, 1], [0, 0], episode=[5, 5])
    assert repr(data) == (
        "Dataset(2 rows, 1 episodes of 2.0 steps and return 1, 2 states (0, 1), "
        "2 actions (0, 1), rewards 0 to 1, 1 ends, 0 cuts, no propensities)"
    )
    assert "2 rows" in data._repr_html_()


# --- transitions --------------------------------------------------------------------------------


def test_a_log_without_next_state_is_told_so():
    with pytest.raises(ValueError, match="^the dataset has no column 'next_state'; .*whoever plan"):
        Dataset.of({"state": [0], "action": [0], "reward": [1]})


def test_an_empty_next_state_is_an_end_and_a_cut_needs_one(save):
    head = "state,action,reward,next_state,terminated,truncated\n"
    data = Dataset.read(save(head + "a,0,1,,1,0\nb,1,0,a,0,1\n"))
    assert data.successor.tolist() == [2, 0] and data.n_states == 2
    assert data.next_state.tolist() == [2, 0]  # END, and not a state that was never entered
    assert data.to_frame()["next_state"].isna().tolist() == [True, False]
    with pytest.raises(ValueError, match="^log.csv: next_state: row 0 has nothing; allowed are"):
        Dataset.read(save(head + "a,0,1,,0,1\n"))


def test_a_dataset_knows_its_states_by_number_or_by_order():
    rows = {"reward": [0, 1], "terminated": [0, 1], "truncated": [0, 0], "episode": [0, 0]}
    gaps = Dataset(state=[0, 5], action=[2, 0], next_state=[5, 9], **rows)
    assert (gaps.states, gaps.actions) == ((0, 5, 9), (0, 2))
    wide = gaps.fitted(12, 4)
    assert (wide.state.tolist(), wide.action.tolist()) == ([0, 5], [2, 0])
    assert (wide.next_state.tolist(), wide.successor.tolist()) == ([5, 9], [5, 12])
    told = Dataset(state=[0, 5], action=[2, 0], next_state=[5, 9], **rows, n_states=12, n_actions=4)
    assert told.counts().tolist() == wide.counts().tolist()
    with pytest.raises(ValueError, match="^state: the log names 2"):
        Dataset(state=["a", "b"], action=[0, 1], next_state=["b", "a"], **rows).fitted(5, 2)


# --- doubts -------------------------------------------------------------------------------------


def told(*args):
    return " ".join(doubts.of_log(Log(*args)))


def test_propensities_that_cannot_be_are_told_with_numbers():
    rng = np.random.default_rng(1)
    n = 900
    arm, reward, context = rng.integers(3, size=n), rng.random(n), rng.integers(4, size=n)
    third = np.full(n, 1 / 3)
    assert told(arm, reward, context, third) == ""
    assert "propensities that cannot be" in told(arm, reward, context, np.ones(n))
    assert "lets one expect 900.0" in told(arm, reward, None, np.ones(n))
    assert "every propensity is 1, but 3 arms were played" in told(
        arm, reward, np.arange(n), np.ones(n)
    )
    once = np.where(context == 2, 1, arm)
    assert "arm 1 was played in" in told(once, reward, context, third)
    assert "1 of 4 contexts show one arm only (2)" in told(once, reward, context, third)
    assert "mean of 1 / propensity, 9.00" in told(arm, reward, np.arange(n), third / 3)
    half = np.where(arm == 0, 0.5, 0.25)  # 1/3 was the truth
    assert "in 2 of 3 pairs" not in told(arm, reward, None, half)
    assert "propensities that cannot be: arm 0" in told(arm, reward, None, half)
    assert told(np.zeros(9, int), reward[:9]) == (
        "the log shows one arm only, 0: there is nothing to compare"
    )


def test_sound_propensities_raise_no_doubt():
    rng = np.random.default_rng(2)
    for i in range(150):
        K, S, n = rng.integers(2, 9), rng.integers(1, 15), rng.integers(5, 700)
        chance = rng.dirichlet(np.full(K, rng.choice([0.1, 1.0, 5.0])), size=S) + 1e-6
        context = rng.integers(S, size=n)
        chance = chance[context] * (rng.gamma(1.0, size=(n, K)) if i % 2 else 1.0) + 1e-9
        chance /= chance.sum(axis=1, keepdims=True)
        arm = np.minimum((rng.random(n)[:, None] >= chance.cumsum(axis=1)).sum(axis=1), K - 1)
        found = told(arm, np.zeros(n), context, chance[np.arange(n), arm])
        assert "cannot be" not in found, found


def test_a_time_limit_that_is_logged_as_an_end_is_suspected():
    n, length = 6, 4
    last = np.tile(np.arange(length) == length - 1, n).astype(int)
    rows = {"state": np.tile(np.arange(length), n), "action": np.arange(n * length) % 2,
            "reward": np.zeros(n * length), "next_state": np.tile(np.arange(length) + 1, n),
            "episode": np.repeat(np.arange(n), length)}  # fmt: skip
    (line,) = doubts.of_dataset(Dataset(**rows, terminated=last, truncated=0 * last))
    assert "all 6 episodes end, terminated, after exactly 4 steps" in line
    rows["next_state"] = np.where(last, 0, rows["next_state"])
    assert doubts.of_dataset(Dataset(**rows, terminated=0 * last, truncated=last)) == []


# --- replay -------------------------------------------------------------------------------------


def test_a_replay_knows_names_and_units():
    log = {"action": ["b", "a", "b", "a"], "reward": [10.0, 50.0, 20.0, 30.0]}
    plain = make_problem("replay", log=log)
    assert plain.params.means.tolist() == [[40.0, 15.0]]
    ranged = make_problem("replay", log=log, high=100)
    assert ranged.params.means[0] == pytest.approx([0.4, 0.15]) and ranged.rewards == (0.1, 0.5)
    assert make_problem("replay", log=log, low=10, high=50).params.means.tolist() == [[0.75, 0.125]]
    assert make_problem("replay", log=log, sigma=5).params.means.tolist() == [[8, 3]]
    for given, line in (
        ({"high": 20}, r"reward: row 1 has 50; allowed are numbers in .0, 20. \(--low and --high"),
        ({"sigma": 0}, "sigma must be positive"),
        ({"sigma": 1, "low": 0}, "sigma, or low and high, say the unit"),
        ({"low": 1, "high": 1}, "low must be below high"),
        ({"log": {**log, "action": ["b", "a", "c", "a"], "context": [0, 0, 9, 9]}},
         "log has no row of arm c in context 0"),
        ({"log": {"action": ["z", "z"], "reward": [0, 1]}}, "log shows one arm only, z"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=line):
            make_problem("replay", **{"log": log, **given})
    assert "scatter by 11.2" in unscaled(Log.of(log))
    assert unscaled(Log.of({**log, "reward": [0.0, 1.0, 1.0, 0.5]})) is None
