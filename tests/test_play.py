"""Logs are drawn once for all who learn from them, and what is learned does not depend on that."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import banditlab
from banditlab import random
from banditlab.agents.offline_bandit.bc import bc
from banditlab.agents.offline_bandit.lcb import lcb
from banditlab.arena import play
from banditlab.arena.jobs import Resolver
from banditlab.arena.spec import read_arena
from banditlab.core import kernel
from banditlab.problems.bernoulli import bernoulli
from banditlab.problems.cb_composition import cb_composition
from banditlab.protocols import offline
from banditlab.protocols.base import Terms

POINTS = np.array([10, 40])
PROBLEM = cb_composition(3.0, S=4, A=3)
KEY = random.key(7)


def ready(rule, sources, problem=PROBLEM, key=KEY, points=POINTS):
    return play.ready(offline.loop(Terms(rule, problem, 40), points), key, sources)


def played(made, first, count, flag=None):
    record = np.full((count, POINTS.size, 1), np.nan)
    made(first, record, np.zeros(2, np.int64) if flag is None else flag)
    return record[:, :, 0]


@pytest.fixture
def draws(monkeypatch):
    """What is drawn from now on: (first replication, number)."""
    asked = []
    plain = play.Source.__init__

    def spied(self, loop, key, kept):
        plain(self, loop, key, kept)
        pair = self.pair

        def draw(key, first, points, progress, drawn):
            asked.append((first, len(drawn.weights)))
            pair(key, first, points, progress, drawn)

        self.pair = draw

    monkeypatch.setattr(play.Source, "__init__", spied)
    return asked


def test_the_second_reader_finds_the_logs_of_the_first_however_blocks_are_cut(draws):
    sources = play.Sources()
    first, second = ready(lcb(), sources), ready(bc(), sources)
    played(first, 0, 3)
    played(first, 3, 3)
    flag = np.zeros(2, np.int64)
    shared = played(second, 1, 4, flag)
    assert draws == [(0, 3), (3, 3)]
    assert flag.tolist() == [4 * 40, 0]  # rounds that somebody else drew count as well
    alone = played(ready(bc(), play.Sources()), 1, 4)
    assert np.array_equal(shared, alone) and len(np.unique(shared)) == 4
    assert draws[2:] == [(1, 4)]


def test_a_row_that_is_not_kept_is_drawn(draws, monkeypatch):
    monkeypatch.setattr(play, "ROOM", 3 * 8 * (3 * 2 * 4 * 3 + 4))
    sources = play.Sources()
    a, b = ready(lcb(), sources), ready(bc(), sources)
    whole = played(a, 0, 5)
    assert [first for first, _ in draws] == [0, 1, 2, 3, 4]  # an eighth of the room at a time
    assert np.array_equal(played(b, 0, 5), played(ready(bc(), play.Sources()), 0, 5))
    assert [first for first, _ in draws[5:7]] == [3, 4]
    assert np.array_equal(played(ready(lcb(), sources), 0, 5), whole)
    other = ready(lcb(), sources, problem=cb_composition(1.05, S=4, A=3))
    del draws[:]
    played(other, 0, 1)
    played(other, 0, 1)
    assert draws == [(0, 1)]  # the oldest row of the other problem made room
    played(a, 0, 2)
    assert draws == [(0, 1), (0, 1)]


def test_a_draw_that_was_stopped_is_not_kept(draws):
    sources = play.Sources()
    stopped = np.array([0, 1])
    played(ready(lcb(), sources), 0, 2, stopped)
    record = played(ready(lcb(), sources), 0, 2)
    assert draws == [(0, 2), (0, 2)]
    assert np.array_equal(record, played(ready(lcb(), play.Sources()), 0, 2))


def test_only_who_reads_the_same_shares(draws):
    sources = play.Sources()
    one = ready(lcb(), sources)
    for other in (
        ready(lcb(), sources, key=random.key(8)),
        ready(lcb(), sources, points=np.array([20, 40])),
        ready(lcb(), sources, problem=cb_composition(3.0, S=4, A=3)),
    ):
        assert other.source is not one.source
    assert ready(bc(), sources).source is one.source


@kernel
def guess(params, task, rng):
    return np.array([random.uniform(rng)])


@kernel
def learn_nothing(params, state, counts, sums):
    pass


@kernel
def gamble(params, state, x, rng, out):
    out[:] = 0.0
    out[int(state[0] * out.size)] = 1.0


def test_a_learner_draws_from_its_own_replications_stream_in_every_piece(monkeypatch):
    gambler = offline.Offline((), guess, learn_nothing, gamble)
    whole = played(ready(gambler, play.Sources()), 0, 6)
    assert len(np.unique(whole)) > 1
    monkeypatch.setattr(play, "ROOM", 8)
    assert np.array_equal(played(ready(gambler, play.Sources()), 0, 6), whole)


@kernel
def count_rounds(params, world, t, rng):
    world[0] = t + 1.0
    return np.zeros((1, 1))


@kernel
def grown(params, world, x, arm):
    return world[0] * arm


@kernel
def always_one(params, state, x, rng, out):
    out[:] = 0.0
    out[1] = 1.0


def test_a_rule_is_scored_in_the_world_as_its_log_left_it():
    world = bernoulli([0.5, 0.5])._replace(
        init=kernel(lambda params, rng: np.zeros(1)),
        observe=count_rounds,
        pull=kernel(lambda params, world, x, arm, rng: 0.0),
        regret=grown,
    )
    rule = offline.Offline((), guess, learn_nothing, always_one)
    assert played(ready(rule, play.Sources(), world), 0, 2).tolist() == [[10.0, 40.0]] * 2


def test_what_makes_jobs_goes_to_another_process():
    """As the second compiler takes it; what was drawn stays behind."""
    resolver = Resolver()
    arena = read_arena("lcb")
    job = resolver.job(arena, arena.panels[0], arena.panels[0].agents[0])
    played(ready(lcb(), resolver._sources), 0, 1)
    twin = pickle.loads(pickle.dumps(Resolver())).job(arena, *job[:2])
    assert [p.name for p in twin.play.pairs] == [p.name for p in job.play.pairs]


def test_a_learner_is_compiled_once_for_all_problems():
    arena = read_arena("lcb")
    resolver = Resolver()
    names = {
        panel.name: {resolver.job(arena, panel, entry).play.pair.name for entry in panel.agents}
        for panel in arena.panels[:3]
    }
    assert names["expert"] == names["mixed"] == names["uniform"] and len(names["expert"]) == 4


def test_a_kept_block_belongs_to_its_problem_too(tmp_path):
    """The learner's own pair does not know the problem: the log's does."""
    given = {
        "protocol": "offline",
        "agents": [{"name": "lcb"}],
        "horizon": 40,
        "replications": 4,
        "seed": 1,
    }
    low, high = (
        {**given, "problem": {"name": "cb_composition", "C": C, "S": 4, "A": 3}} for C in (1.05, 3)
    )
    from banditlab.arena.store import owner

    owners = []
    for arena in map(read_arena, (low, high)):
        job = Resolver().job(arena, arena.panels[0], arena.panels[0].agents[0])
        owners.append(owner(job, "same", 1, 0))
    assert owners[0] != owners[1]
    assert banditlab.simulate(low).raw("lcb").mean() != banditlab.simulate(high).raw("lcb").mean()
