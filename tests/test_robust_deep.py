"""PROTECTED, ATLA and WocaR: what their updates do, and that a run goes on exactly where it was.

All need torch: run this file in an environment with the extra ``deep``.
"""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from banditlab import random, registry
from banditlab.protocols import gym

if importlib.util.find_spec("torch") is None:
    pytest.skip("torch is not installed", allow_module_level=True)

import torch

from banditlab.parts.deep import adversarial, attacks, ppo

torch.set_num_threads(1)
AGENTS = {
    "protected": {"first": 2048, "iterations": 2, "eps": 0.3},
    "atla_ppo": {"first": 2048, "eps": 0.3},
    "wocar_ppo": {"first": 2048, "eps": 0.3, "radius": 0.1},
}
HORIZON = 26_000


def problem():
    return registry.make_problem("gym_env", id="Pendulum-v1", episodes=1)


def setting(horizon=HORIZON):
    return gym.setting(problem(), horizon, random.key(3), 0)


def made(name, **given):
    known = registry.make(name, **{**AGENTS[name], "episodes": 1, **given})
    return known, known.learner(known.params, setting())


@pytest.mark.parametrize("name", AGENTS)
def test_a_run_goes_on_exactly_where_it_was(name, tmp_path):
    known, _ = made(name)
    points = [2048, 8000, HORIZON]
    shape = (len(points), len(gym.measures_of(known)))
    rows = [np.zeros(shape) for _ in range(3)]
    what = (known, problem(), HORIZON, random.key(3), 0, points)
    gym.play(*what, rows[0])
    with pytest.raises(gym.Stop):
        gym.play(*what, rows[1], told=lambda steps: steps > 15_000, keep=tmp_path / "k", owner="x")
    gym.play(*what, rows[2], keep=tmp_path / "k", owner="x")
    assert np.array_equal(rows[0], rows[2], equal_nan=True)
    members = dict(zip(gym.measures_of(known), rows[0][-1], strict=True))["members"]
    assert members == (3 if name == "protected" else 1)


def test_the_attacker_of_protected_helps_the_new_policy_and_hurts_the_old(monkeypatch):
    """Sets swapped together with their signs: its advantages change sign."""
    known, learner = made("protected")
    seen = []
    monkeypatch.setattr(ppo.Pupil, "learn", lambda self, batch, *rest: seen.append((self, batch)))
    learner.plain()
    learner.harden(0.0)
    teacher, both = seen[-1]
    assert teacher is learner.teacher and len(both.states) == 2 * adversarial.STEPS
    # Pendulum pays at most 0: the new policy's rewards are kept, the old one's negated.
    first, second = both.returns[: adversarial.STEPS], both.returns[adversarial.STEPS :]
    assert first.mean() < 0 < second.mean()


def test_an_attacker_of_atla_learns_from_losses(monkeypatch):
    known, learner = made("atla_ppo")
    seen = []
    monkeypatch.setattr(ppo.Pupil, "learn", lambda self, batch, *rest: seen.append((self, batch)))
    learner.harden(0.0)
    (victim, his), (teacher, its) = seen
    assert victim is learner.pupil and teacher is learner.teacher
    assert his.returns.mean() < 0 < its.returns.mean()
    assert its.actions.shape[1] == 3 and his.actions.shape[1] == 1  # it moves what is seen


def test_the_scale_is_frozen_once_attacks_begin():
    known, learner = made("protected")
    learner.plain()
    before = learner.scale.mean.copy()
    assert learner.scale.count == adversarial.STEPS
    learner.harden(0.0)
    assert (learner.scale.mean == before).all() and learner.scale.count == adversarial.STEPS


def test_the_regulariser_of_a_linear_policy_is_known():
    """mu(s) = W s: at the corner of the ball it is kappa (radius |W|_1 / sigma)^2."""
    known, learner = made("protected", kappa=0.5)
    actor = ppo.Actor(3, 1, seed=0)
    actor.net = torch.nn.Sequential(torch.nn.Linear(3, 1))
    with torch.no_grad():
        actor.log_std.fill_(np.log(0.5))
    learner.pupil.actor = actor
    s = torch.randn((400, 3), generator=torch.Generator().manual_seed(0))
    W = actor.net[0].weight
    # Two steps of half the radius from a corner of half the radius: every coordinate that began on
    # the wrong side ends at half of it.
    value = learner.smooth(0.2)(s).item()
    most = 0.5 * float((0.2 * W.abs().sum() / 0.5) ** 2)
    assert 0.25 * most < value <= most * (1 + 1e-5)
    assert learner.smooth(0.4)(s).item() / value == pytest.approx(4.0, rel=0.1)


def test_the_worst_action_lies_between_the_bounds_and_is_worst():
    known, learner = made("wocar_ppo")
    s = torch.randn((50, 3), generator=torch.Generator().manual_seed(0))
    low, high = torch.full((50, 1), -0.5), torch.full((50, 1), 0.7)
    bad = learner.worst(s, low, high)
    assert (bad >= low).all() and (bad <= high).all()
    grid = torch.linspace(-0.5, 0.7, 61)

    def q(a):
        return learner.target(torch.cat([s, a], dim=1))[:, 0]

    least = torch.stack([q(torch.full((50, 1), float(a))) for a in grid]).min(0).values
    spread = torch.stack([q(torch.full((50, 1), float(a))) for a in grid]).max(0).values - least
    assert ((q(bad) - least) <= 0.25 * spread + 1e-5).all()


def test_worst_values_follow_their_equation():
    """Rewards 1 and no end: where nothing can be changed (radius 0), Q is that of the policy."""
    known, learner = made("wocar_ppo", radius=0.0)
    shape = (adversarial.STEPS // 2, 2)
    rng = torch.Generator().manual_seed(1)
    states = torch.randn((*shape, 3), generator=rng)
    over = torch.ones(shape)  # every step is the last: Q = r
    actions = torch.randn((*shape, 1), generator=rng)
    rollout = ppo.Rollout(
        states, states, actions, torch.zeros((*shape, 0)), torch.ones(shape), over,
        torch.zeros(shape), states, [],
    )  # fmt: skip
    for _ in range(3):
        learner.mind(rollout, torch.full(shape, 2.0), 1.0)
    value = learner.q(torch.cat([states, actions], dim=-1).flatten(0, 1))
    assert (value - 2.0).abs().mean() < 0.1


@pytest.mark.parametrize("name", AGENTS)
@pytest.mark.parametrize(
    ("given", "said"), [({"eps": -1}, "eps"), ({"first": 0}, "first"), ({"lr": 0}, "lr")]
)
def test_arguments_are_checked(name, given, said):
    with pytest.raises(ValueError, match=f"{name}: {said} must be"):
        registry.make(name, **given)


@pytest.mark.parametrize("name", AGENTS)
def test_a_horizon_that_ends_before_anybody_is_hardened_is_one_line(name):
    known = registry.make(name, **AGENTS[name])
    with pytest.raises(ValueError, match=r"horizon must be above first, 2,048 steps"):
        known.learner(known.params, setting(2048))
    plain = registry.make("protected", first=2048, iterations=0)  # the control is PPO throughout
    plain.learner(plain.params, setting(2048))


def test_judgements_touch_no_stream_of_the_training():
    known, learner = made("protected")
    learner.plain()
    before = learner.rng.get_state().clone()
    once = learner.facts(np.zeros((1, 3)))
    assert (learner.rng.get_state() == before).all()
    assert learner.facts(np.zeros((1, 3))) == once
    natural = learner.under(attacks.none, learner.pupil.actor)
    assert natural == learner.under(attacks.none, learner.pupil.actor)
