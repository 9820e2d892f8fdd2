"""On what terms an algorithm plays: what a panel says reaches the loop; guests hear the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import banditlab
from banditlab import Agent, make, make_problem
from banditlab.arena.jobs import Resolver
from banditlab.arena.spec import read_arena
from banditlab.protocols import duel, identify, observe, offline, offline_mdp, online
from banditlab.protocols.base import Terms
from banditlab.protocols.loops import exact, lanes

POINTS = np.array([5, 20], np.int64)
BERNOULLI = {"name": "bernoulli", "means": [0.2, 0.5, 0.8]}
TWO_ARM = {"name": "two_arm", "kind": "prop1", "N": 30}


def terms(algorithm="ucb", problem=BERNOULLI, horizon=20, **more):
    given = {key: value for key, value in problem.items() if key != "name"}
    made = make(algorithm) if isinstance(algorithm, str) else algorithm
    return Terms(made, make_problem(problem["name"], **given), horizon, **more)


# --- what a panel says --------------------------------------------------------------------------


def test_what_a_panel_says_are_the_terms():
    arena = read_arena(
        {
            "protocol": "offline", "problem": TWO_ARM, "agents": [{"name": "lcb"}], "horizon": 30,
            "exact": True, "log": 7, "measure": "gap",
        }
    )  # fmt: skip
    found = Resolver().terms(arena.panels[0], arena.panels[0].agents[0])
    assert (found.horizon, found.log, found.warm, found.exact) == (30, 7, False, True)
    assert (found.measure, found.what, found.who) == (
        "gap",
        "two_arm",
        "agent 'lcb' in panel 'main'",
    )
    agents: list[Any] = [{"name": "ucb"}, {"name": "ucb", "label": "warm", "warm": True}]
    arena = read_arena({"problem": BERNOULLI, "agents": agents, "horizon": 9, "log": 4})
    resolver, panel = Resolver(), arena.panels[0]
    cold, warm = (resolver.terms(panel, agent) for agent in panel.agents)
    assert (cold.warm, warm.warm, cold.log, warm.log) == (False, True, 4, 4)
    assert (cold.exact, cold.measure) == (False, "")


def test_only_who_is_warm_reads_the_log_and_then_not_in_lanes():
    for log, warm, rounds, run in (
        (0, False, 0, lanes.run_block), (50, False, 0, lanes.run_block), (50, True, 50, None),
    ):  # fmt: skip
        loop = online.loop(terms(log=log, warm=warm), POINTS)
        assert loop.log_rounds == rounds and loop.lockstep == (run is not None)
        assert loop.run_block is (run or online.run_block)
        assert loop.pieces.algorithm.act is make("ucb").act  # in pieces one by one in any case
        assert loop.task.horizon == 20  # the log is before the first round


def test_exact_sums_are_summed_and_logs_drawn():
    assert offline.loop(terms("lcb", TWO_ARM, exact=True), POINTS).run_block is exact.run_block
    assert offline.loop(terms("lcb", TWO_ARM), POINTS).run_block is offline.run_block


def test_a_deployed_rule_knows_its_log_alone_and_loses_its_gap_in_every_round():
    loop = offline.deployment(terms("lcb", TWO_ARM, horizon=500, log=40), POINTS)
    assert loop.task.horizon == 40 and loop.checkpoints.tolist() == [40]
    names, values = loop.finish(np.array([[[0.25]], [[0.5]]]), POINTS)
    assert names == ("regret",) and values.tolist() == [[[1.25], [5.0]], [[2.5], [10.0]]]


def test_released_means_are_recorded_where_they_are_shown():
    for measure in ("", "error", "released"):
        loop = identify.loop(terms("uniform_design", measure=measure), POINTS[-1:])
        assert ("released" in loop.measures) == (measure == "released")
        assert loop.measures[:4] == identify.PROTOCOL.names[:4]


def test_budget_and_price_are_known_to_who_observes():
    problem = {"name": "deterministic_gap", "n_arms": 3, "gap": 0.2, "budget": 7, "price": 2.5}
    for algorithm, loop in (("ftpl", observe.loop), ("exp3", observe.guest_loop)):
        task = loop(terms(algorithm, problem), POINTS).task
        assert (task.budget, task.price, task.horizon, task.n_arms) == (7, 2.5, 20, 3)


def test_a_log_counts_against_the_supply():
    problem = {"name": "loss_table", "losses": [[0.1, 0.9]] * 30}
    for log in (0, 10):
        observe.PROTOCOL.check(terms("exp3", problem, horizon=30 - log, log=log))
        with pytest.raises(
            ValueError, match=f"horizon must be at most {30 - log}, .*got {31 - log}"
        ):
            observe.PROTOCOL.check(terms("exp3", problem, horizon=31 - log, log=log))


# --- guests -------------------------------------------------------------------------------------


def test_guests_play_their_own_loop_and_hosts_the_protocols():
    gap = {"name": "deterministic_gap", "n_arms": 3, "gap": 0.2}
    guest = observe.PROTOCOL.loop_of(terms("exp3", gap), POINTS)
    assert guest.run_block is observe.run_block and isinstance(guest.algorithm, observe.Observe)
    assert guest.algorithm.look is observe.look_at_played
    host = observe.PROTOCOL.loop_of(terms("hedge", gap), POINTS)
    assert host.algorithm.look is not observe.look_at_played
    deployed = online.PROTOCOL.loop_of(terms("lcb", TWO_ARM, log=40), POINTS)
    assert deployed.finish is not None


def test_a_rule_plays_only_after_a_log():
    rule, player = make("lcb"), make("ucb")
    assert [online.PROTOCOL.speaks(rule, log) for log in (0, 1)] == [False, True]
    assert [online.PROTOCOL.speaks(player, log) for log in (0, 1)] == [True, True]
    assert observe.PROTOCOL.speaks(player, 0)  # a guest that needs no log
    assert not duel.PROTOCOL.speaks(player)


@pytest.mark.parametrize("budget", [None, 25])
def test_a_guest_hears_one_minus_the_loss_of_what_it_plays_while_it_may(budget):
    """The same rounds by hand, with the agent's own face."""
    arena = {
        "protocol": "observe", "agents": [{"name": "exp3"}], "horizon": 60, "replications": 1,
        "seed": 4, "checkpoints": list(range(1, 61)),
        "problem": {"name": "deterministic_gap", "n_arms": 3, "gap": 0.4, "best": 1,
                    **({} if budget is None else {"budget": budget})},
    }  # fmt: skip
    curves = banditlab.simulate(arena, workers=1)
    agent = Agent("exp3", n_arms=3, horizon=60, seed=4)
    losses, total, lost = [0.5, 0.1, 0.5], 0.0, []
    for t in range(60):
        arm = agent.act()
        total += losses[arm] - 0.1
        if budget is None or t < budget:
            agent.update(None, arm, 1.0 - losses[arm])
        else:
            agent.tick()
        lost.append(total)
    assert curves.raw("exp3", "loss_regret")[0] == pytest.approx(lost, abs=1e-12)
    looked = np.minimum(np.arange(1, 61), budget or 60)
    assert curves.raw("exp3", "observations")[0].tolist() == looked.tolist()
    assert 0.0 < lost[-1] < 60 * 0.4
    assert observe.observing(make("ucb")).rewards == make("ucb").rewards == online.ANY_REWARD


def test_a_rule_that_plans_reads_sums_and_keeps_to_what_is_legal():
    """Each state is a context of its own; a tie is broken among the legal actions alone."""
    n = np.array([[[4.0, 1.0, 0.0], [2.0, 0.0, 6.0]]])
    r = np.array([[[0.5, 1.0, 0.0], [0.25, 0.0, 0.5]]])
    seen: list[Any] = []
    base = make("bc")

    def init(params, task, rng):
        seen.append((task.n_arms, task.n_contexts, task.horizon))
        return ()

    def update(params, state, counts, sums):
        seen.append((counts.copy().tolist(), sums.copy().tolist()))

    def recommend(params, state, x, rng, out):
        out[:] = [0.5, 0.3, 0.2] if x[0, 0] == 0 else [0.0, 1.0, 0.0]

    plan = offline_mdp._planner(init, update, recommend)
    legal = np.array([[True, True, False], [True, False, True]])
    policy = np.zeros((1, 2, 3))
    empty = np.zeros((0, 0))
    model = offline_mdp.Model(
        empty, empty, np.zeros((1, 2, 3, 1)), n, r, empty, legal, np.zeros(2, bool), 0.9, 0, 0.0,
        1.0, 0.0, 1.0, False, 13.0,
    )  # fmt: skip
    getattr(plan, "py_func", plan)(base.params, model, np.zeros(4, np.uint64), policy)
    assert seen == [(3, 2, 13), (n[0].tolist(), (n * r)[0].tolist())]
    assert policy[0, 0] == pytest.approx([0.5 / 0.8, 0.3 / 0.8, 0.0])
    assert policy[0, 1].tolist() == [0.5, 0.0, 0.5]  # the rule wants what is not legal
