"""The dashboard of a run: what it shows where, and how seldom it looks."""

import io
import re
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from banditlab.arena.spec import read_arena
from banditlab.cli.live import LINES, SHARE, Live, both, said, span
from banditlab.cli.main import main
from banditlab.console import Bar, Pace
from banditlab.curves import Record
from banditlab.track import Event, Unfinished

AGENTS = [SimpleNamespace(label=name) for name in ("ucb", "[b]moss[/]")]


def arena(agents=AGENTS, sweep=()):
    panel = SimpleNamespace(
        name="main", agents=agents, sweep=sweep, measure="regret", replications=20
    )
    return SimpleNamespace(name="x", title="Ten arms", panels=[panel])


class Clock:
    """Time that passes when told to; each look at a curve takes ``slow`` seconds."""

    now, slow, looks = 100.0, 0.0, 0

    def __call__(self):
        return self.now

    def curve(self, name, finished, values, panel="main"):
        def record():
            self.now += self.slow
            self.looks += 1
            return Record(np.array([1, 9]), ("reward", "regret"), values)

        return Unfinished(panel, name, finished, 20, record)


def values(last):
    """(replications, 2 checkpoints, 2 measures) that end in these regrets."""
    kept = np.zeros((len(last), 2, 2))
    kept[:, 1, 1] = last
    return kept


def dashboard(clock, terminal=False, **options):
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=100, height=20)
    return Live(options.pop("arena", arena()), console=console, clock=clock, **options), file


def test_lines_where_there_is_no_terminal():
    clock = Clock()
    live, file = dashboard(clock)
    first = clock.curve("ucb", 4, values([10.0, 12.0, 14.0, 16.0]))
    with live:
        live.watch(Event("main: ucb", 0, 1000, ()))
        clock.now += 5
        live.watch(Event("main: ucb", 100, 1000, (first,)))
        clock.now += LINES / 2
        live.watch(Event("main: ucb", 150, 1000, (first,)))  # too soon
        clock.now += LINES / 2 + 1
        live.watch(Event("main: ucb", 200, 1000, (first,)))
    # mean 13, standard error sqrt(20 / 3) / 2, Student's quantile with 3 degrees 3.1824
    assert file.getvalue().splitlines() == [
        "10%, 0:05 elapsed, 0:45 left",
        "  main: ucb, 4 of 20 replications, regret 13.0 ± 4.1",
        "20%, 0:16 elapsed, 1:04 left",  # nothing new of ucb
    ]
    assert clock.looks == 1 and "\x1b" not in file.getvalue()


def test_the_pace_is_that_of_the_last_minute():
    """An earlier run's steps come at once, and agents differ: neither counts for long."""
    clock = Clock()
    live, _ = dashboard(clock, counted="steps")
    done = 0
    live.watch(Event("", done, 100_000, ()))
    assert live.pace() == "0%, 0:00 elapsed, starting"
    for tick in range(1, 601):  # two minutes: 10 steps a second, after a jump, then 20
        clock.now += 0.2
        done += 2 if tick <= 300 else 4
        done += 30_000 if tick == 10 else 0
        live.watch(Event("", done, 100_000, ()))
        if tick == 300:
            assert live.pace() == "31%, 1:00 elapsed, 2:16 left, 510 steps/s"
    assert live.speed.speed == pytest.approx(20, rel=0.01)
    assert len(live.speed._seen) < 310  # of 601


def test_what_is_counted_is_called_so_where_all_panels_count_the_same():
    assert read_arena("deep_smoke").counted == "steps"
    assert read_arena("stochastic").counted == "rounds"
    assert read_arena({"problem": "gaussian", "agents": ["dp_bai"], "protocol": "identify"}
                      ).counted == ""  # fmt: skip


def test_the_bar_says_how_fast_and_whose_turn_it_is():
    console = Console(file=(file := io.StringIO()), width=80, force_terminal=True)
    bar, clock = Bar(quiet=False, counted="steps", console=console), Clock()
    bar.pace = Pace(clock)
    with bar:
        bar.show("Pendulum-v1: td3", 0, 5000)
        clock.now += 2.0
        bar.show("Pendulum-v1: td3", 2500, 5000)
        bar.bar.refresh()
        said = file.getvalue()
    assert "td3" in said and "50% 1,250 steps/s elapsed" in re.sub(r"\x1b\[[0-9;]*m", "", said)


def test_a_table_on_a_terminal_that_goes_away_at_the_end():
    clock = Clock()
    live, file = dashboard(clock, terminal=True)
    with live:
        live.watch(Event("", 0, 100, ()))
        clock.now += 2
        live.watch(Event("", 50, 100, (clock.curve("ucb", 1, values([7.0])),)))
        shown = file.getvalue()
        assert "Ten arms" in shown and "50%, 0:02 elapsed, 0:02 left" in shown
        assert "1 / 20" in shown and "regret 7" in shown and "waiting" in shown
        assert "[b]moss[/]" in shown  # names are not markup
    assert file.getvalue().endswith(("\x1b[?25h", "\x1b[2K")) or "\x1b[?25h" in file.getvalue()


def test_more_curves_than_lines_shows_those_under_way():
    clock = Clock()
    many = [SimpleNamespace(label=f"agent {i}") for i in range(40)]
    live, file = dashboard(clock, terminal=True, arena=arena(many))
    curves = [clock.curve(f"agent {i}", 20 if i < 30 else 3, values([1.0, 2.0])) for i in range(31)]
    with live:
        live.watch(Event("", 0, 100, ()))
        clock.now += 2
        live.watch(Event("", 50, 100, tuple(curves)))
    shown = file.getvalue()
    assert "agent 30" in shown and "40 curves, 30 of them finished" in shown
    assert "agent 39" not in shown


def test_looks_take_a_twentieth_of_the_time_at_most():
    clock = Clock()
    clock.slow = 3.0
    live, _ = dashboard(clock, terminal=True)
    looked = 0.0
    with live:
        for i in range(4000):
            live.watch(Event("", i, 4000, (clock.curve("ucb", i + 1, values([1.0, 2.0])),)))
            clock.now += 0.2
    looked = clock.looks * clock.slow
    assert clock.looks > 5 and looked <= 1.02 * (clock.now - 100.0) / SHARE + clock.slow


def test_quiet_shows_nothing_and_looks_at_nothing():
    clock = Clock()
    live, file = dashboard(clock, terminal=True, quiet=True)
    with live:
        for i in range(9):
            clock.now += 20
            live.watch(Event("", i, 9, (clock.curve("ucb", i, values([1.0, 2.0])),)))
    assert file.getvalue() == "" and clock.looks == 0


def test_what_an_earlier_run_has_kept_took_no_time():
    clock = Clock()
    live, file = dashboard(clock)
    with live:
        live.watch(Event("", 900, 1000, ()))
        clock.now += 10
        live.watch(Event("", 910, 1000, ()))
    assert file.getvalue() == "91%, 0:10 elapsed, 1:30 left\n"


def test_the_words_of_a_curve():
    record = Record(np.array([1, 9]), ("reward", "regret"), values([5.0, 5.0]))
    assert said(record, "regret") == "regret 5 ± 0"
    assert said(record, "") == "reward 0 ± 0" and said(record, "unknown").startswith("reward")
    assert [span(s) for s in (0.4, 65, 7265)] == ["0:00", "1:05", "2:01:05"]
    told = []
    both(None, told.append, told.append)("event")
    assert told == ["event"] * 2 and both(None, None) is None


@pytest.mark.parametrize("words", [["--list"], ["--log", "digits.csv"]])
def test_it_is_for_runs_only(words, capsys):
    assert main([*words, "--live"]) == 2
    assert "--live is not for" in capsys.readouterr().err
