"""Curves while they are made: what watchers are told, and what a tracker then holds."""

from __future__ import annotations

import pickle
import subprocess
import sys
from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest

import banditlab
from banditlab import track
from banditlab.cli.main import main
from banditlab.curves import Record

ARENA = {
    "name": "two",
    "problem": {"name": "bernoulli", "means": [0.2, 0.8]},
    "agents": [{"name": "ucb"}, {"name": "uniform"}],
    "horizon": 30,
    "replications": 6,
    "checkpoints": [5, 10, 20, 30],
}
tensorboard = pytest.mark.skipif(
    find_spec("tensorboard") is None, reason='needs pip install "banditlab-arena[track]"'
)


def watched(arena, **given):
    """The curves, and all events of a run."""
    events = []
    curves = banditlab.simulate(
        arena, workers=1, progress=lambda *_: None, watch=events.append, **given
    )
    return curves, events


def test_a_watcher_is_told_of_all_curves_and_the_last_are_those_of_the_run():
    curves, events = watched(ARENA)
    last = events[-1]
    assert (last.done, last.total) == (360, 360)
    assert [u[:4] for u in last.curves] == [("main", "ucb", 6, 6), ("main", "uniform", 6, 6)]
    for told in last.curves:
        record, wanted = told.record(), curves.record(told.agent)
        np.testing.assert_array_equal(record.values, wanted.values)
        assert record.measures == wanted.measures
    done = [event.done for event in events]
    assert done == sorted(done)


def test_what_is_told_of_an_unfinished_curve_is_what_its_finished_replications_say():
    """From a store that holds some of the replications: only those count."""
    whole = banditlab.simulate(ARENA, workers=1, progress=lambda *_: None)
    seen = []

    class Enough(Exception):
        pass

    def watch(event):
        seen.extend(event.curves)
        for told in event.curves:
            values = told.record().values
            rows = {row.tobytes() for row in whole.record(told.agent).values}
            assert len(values) == told.finished and {row.tobytes() for row in values} <= rows
        if seen:
            raise Enough

    with pytest.raises(Enough):
        banditlab.simulate(ARENA, workers=1, progress=lambda *_: None, watch=watch)


def test_a_swept_axis_is_told_as_far_as_it_has_points():
    arena = {**ARENA, "sweep": {"horizon": [5, 20]}, "checkpoints": []}
    curves, events = watched(arena)
    told = events[-1].curves[0]
    assert (told.agent, told.finished, told.replications) == ("ucb", 12, 12)
    record = told.record()
    np.testing.assert_array_equal(record.checkpoints, [5, 20])
    np.testing.assert_array_equal(record.values, curves.record("ucb").values)


def test_a_follower_writes_a_curve_anew_when_its_replications_have_doubled():
    written = []

    class Kept(track.Tracker):
        def restart(self, run):
            written.append((run, {}))

        def scalars(self, run, step, values):
            assert written[-1][0] == run
            written[-1][1][step] = values

    def unfinished(count):
        values = np.arange(count)[:, None, None] * np.ones((1, 2, 2))
        values[:, 1, 1] = np.nan
        record = Record(np.array([1, 9]), ("regret", "reward"), values)
        return track.Unfinished("p", "a/b", count, 10, lambda: record)

    follow = track.Follower(Kept())
    for count in (1, 1, 2, 3, 4, 7, 8, 9, 10, 10):
        follow(track.Event("", 0, 0, (unfinished(count),)))
    assert [run for run, _ in written] == ["p/a_b"] * 5
    means = [curve[1]["regret"] for _, curve in written]
    assert means == [0.0, 0.5, 1.5, 3.5, 4.5]  # of 1, 2, 4, 8 and 10 replications
    assert written[-1][1] == {1: {"regret": 4.5, "reward": 4.5}, 9: {"regret": 4.5}}


def test_points_that_are_no_rounds_are_counted():
    seen = []
    record = Record(np.array([0.5, 0.75]), ("regret",), np.ones((1, 2, 1)))
    follow = track.Follower(track.Told(lambda *facts: seen.append(facts)))
    follow(track.Event("", 0, 0, (track.Unfinished("p", "a", 1, 1, lambda: record),)))
    assert [step for _, step, _ in seen] == [0, 1]


def test_without_the_package_one_line_says_what_to_install(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(track, "find_spec", lambda name: None)
    words = ["--agent", "ucb", "--horizon", "20", "--replications", "2"]
    out = tmp_path / "out"
    assert main([*words, "--track", "tensorboard", "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and 'pip install "banditlab-arena[track]"' in said
    assert not out.exists()
    assert main([*words, "--track", "wandb", "--out", str(out)]) == 2
    assert "track must be one of tensorboard, got 'wandb'" in capsys.readouterr().err


def scalars(folder, run):
    """What a run's event files hold: {tag: {step: value}}."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder / run))
    found.Reload()
    return {
        tag: {event.step: event.value for event in found.Scalars(tag)}
        for tag in found.Tags()["scalars"]
    }


@tensorboard
def test_tensorboard_reads_back_what_a_run_has_written(tmp_path, capsys):
    words = ["--agent", "ucb", "--vs", "uniform", "--horizon", "40", "--replications", "5"]
    out = tmp_path / "out"
    for _ in range(2):  # a second run takes the place of the first
        assert main([*words, "--track", "tensorboard", "--out", str(out)]) == 0
    assert f"tensorboard --logdir {out / 'tensorboard'}" in capsys.readouterr().err
    record = banditlab.Curves.load(out).record("uniform")
    found = scalars(out / "tensorboard", "main/uniform")
    assert set(found) == set(record.measures)
    for m, measure in enumerate(record.measures):
        means = record.values[:, :, m].mean(axis=0)
        assert list(found[measure]) == record.checkpoints.tolist()
        np.testing.assert_allclose(list(found[measure].values()), means, rtol=1e-6)  # float32


@tensorboard
def test_a_tracker_is_active_within_its_run_and_pickles(tmp_path):
    with track.using(track.open_tracker("tensorboard", tmp_path)) as tracker:
        assert track.active() is tracker
        tracker.scalars("a/b: c", 7, {"return": 2.0})
        tracker.restart("a/b: c")
        tracker.scalars("a/b: c", 1, {"return": 3.0})
        with track.using(pickle.loads(pickle.dumps(tracker))) as twin:
            assert track.active() is twin
            twin.scalars("other", 2, {"return": 4.0})
        assert track.active() is tracker
    assert track.active() is None
    assert scalars(tmp_path, "a/b_ c") == {"return": {1: 3.0}}
    assert scalars(tmp_path, "other") == {"return": {2: 4.0}}


@tensorboard
def test_nothing_is_imported_without_it():
    code = "import sys, banditlab.cli.run, banditlab.arena.simulate; print(*sys.modules)"
    run = partial(subprocess.run, check=True, capture_output=True, text=True)
    loaded = run([sys.executable, "-c", code]).stdout.split()
    assert "banditlab.track" in loaded and "tensorboard" not in loaded
