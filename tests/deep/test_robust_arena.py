"""Sets of policies under attack at the end: who is attacked by whom, and what is kept of it.

All need torch: run this file in an environment with the extra ``deep``.
"""

from __future__ import annotations

import importlib.util
import math

import numpy as np
import pytest

from banditlab import random, registry
from banditlab.protocols import gym

if importlib.util.find_spec("torch") is None:
    pytest.skip("torch is not installed", allow_module_level=True)

import torch

from banditlab.parts.deep import adversarial, attacks, learned, ppo
from banditlab.parts.deep.judged import CONDITIONS, FACTS

torch.set_num_threads(1)
LENGTH, EPS = 30, 0.4
GIVEN = {"first": 64, "iterations": 2, "eps": EPS, "attacks": 1, "episodes": 2}
HORIZON = 1200


def problem():
    return registry.make_problem(
        "gym_env", id="Pendulum-v1", episodes=1, options={"max_episode_steps": LENGTH}
    )


def made(name="protected", horizon=HORIZON, **given):
    known = registry.make(name, **{**GIVEN, **given})
    return known, known.learner(known.params, gym.setting(problem(), horizon, random.key(3), 0))


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Updates of 64 steps in 4 minibatches, and three rounds of robust Sarsa."""
    for module in (adversarial, learned):
        monkeypatch.setattr(module, "STEPS", 64)
    monkeypatch.setattr(learned, "SARSA_ROUNDS", 3)
    for kind in (ppo.Pupil, ppo.Judge):

        def begin(self, net, given, init=kind.__init__):
            init(self, net, given._replace(epochs=1, value_epochs=1, minibatches=4))

        monkeypatch.setattr(kind, "__init__", begin)


@pytest.fixture
def trio(monkeypatch):
    """A learner with a set of three policies that differ, and a scale that is not plain."""
    _, learner = made()
    learner.scale.mean, learner.scale.var = np.array([0.1, -0.2, 0.3]), np.array([0.2, 0.5, 4.0])
    for k in range(3):
        actor = ppo.Actor(3, 1, seed=10 + k)
        with torch.no_grad():
            actor.net[-1].weight.mul_(100.0)
        learner.members.append(actor)
    learner.pupil.actor = learner.members.pop()
    return learner


def by_hand(learner, actor, see, episode):
    """An episode of one policy, a state at a time; ``see`` says what is seen of a scaled state."""
    env = learner.setting.make()
    shown, _ = env.reset(seed=learner.setting.env_seed - 1 - episode)
    earned, over = 0.0, False
    while not over:
        s = (shown - learner.scale.mean) / np.sqrt(learner.scale.var + 1e-8)
        with torch.no_grad():
            seen = see(torch.from_numpy(np.clip(s, -10, 10).astype(np.float32))[None])
            action = np.clip(actor.net(seen).numpy()[0], -2.0, 2.0)
        shown, reward, terminated, truncated, _ = env.step(action)
        earned += float(reward)
        over = terminated or truncated
    return earned


def attacker(kind):
    known = learned.Attacker(kind, 3, 1, EPS, seed=77)
    with torch.no_grad():
        known.actor.net[-1].weight.mul_(100.0)
    return known


def test_a_cell_is_what_its_policy_earns_under_its_attack(trio, monkeypatch):
    """Played again a state at a time, by formulas of the attacks and not by their code."""
    team = trio.team()
    attackers = {kind: attacker(kind) for kind in learned.KINDS}
    monkeypatch.setattr(trio, "trained", lambda kind, whom: attackers[kind].attack())
    asked = []
    monkeypatch.setattr(trio, "sarsa", lambda actor: asked.append(actor) or (lambda s, a: a[:, 0]))
    found = trio.tried(team)
    assert found.shape == (3, len(CONDITIONS), 2) and asked == team
    rescaled = {
        "none": lambda actor: lambda s: s,
        "sa_rl": lambda actor: lambda s: s + EPS * attackers["sa_rl"].actor.net(s).clamp(-1, 1),
        "pa_ad": lambda actor: lambda s: s + EPS * torch.sign(
            slope(actor, s) * attackers["pa_ad"].actor.net(s)
        ),
    }  # fmt: skip
    for k, actor in enumerate(team):
        for name, see in rescaled.items():
            each = [by_hand(trio, actor, see(actor), i) for i in range(2)]
            assert found[k, CONDITIONS.index(name)] == pytest.approx(each, rel=1e-5)
    # No two cells are alike, so that none can stand in the place of another.
    means = found.mean(axis=2).ravel()
    assert np.abs(means[:, None] - means)[~np.eye(means.size, dtype=bool)].min() > 0.004
    # What is drawn is the same whoever plays: noise and the others, again by the names.
    for name in ("random", "mad"):
        again = trio.episodes(attacks.FIXED[name], ppo.victim_of(team[1]))
        assert np.array_equal(again, found[1, CONDITIONS.index(name)])


def slope(actor, s):
    """d mu / d s of a policy with one action, (1, 3)."""
    with torch.enable_grad():
        x = s.clone().requires_grad_(True)
        (found,) = torch.autograd.grad(actor.net(x).sum(), x)
    return found


def test_rs_brings_down_what_its_q_says_is_good(trio, monkeypatch):
    """Q(s, a) = a: every policy is brought to smaller actions, each by its own critic."""
    seen = []

    def q(s, a):
        seen.append(a.detach().mean().item())
        return a[:, 0]

    monkeypatch.setattr(trio, "sarsa", lambda actor: q)
    monkeypatch.setattr(trio, "trained", lambda kind, whom: attacks.none)
    trio.tried(trio.team()[:1])
    steps = np.array(seen).reshape(-1, attacks.STEPS)
    assert len(steps) == LENGTH and (steps[:, -1] < steps[:, 0]).all()


def test_attackers_meet_the_whole_set_and_one_the_first_policy_alone(trio, monkeypatch):
    team, met = trio.team(), []
    state = torch.ones((1, 3))

    def train(attacker, players, envs, scale, updates, *rest):
        assert scale is trio.scale and updates == GIVEN["attacks"]
        met.append((attacker.kind, [p.act(state).item() for p in players]))
        for p in players:  # who is attacked is who acts
            assert p.victim.mean(state).item() == p.act(state).item()

    monkeypatch.setattr(adversarial, "train", train)
    means = trio.tried(team).mean(axis=2)
    facts = trio.at_the_end(team, means)
    actions = [actor(state).item() for actor in team]
    assert len(set(actions)) == 3
    assert met == [("sa_rl", actions), ("pa_ad", actions), ("pa_ad", actions[:1])]
    assert set(facts) == set(FACTS) - {"members"}


def test_an_attacker_of_a_set_learns_on_the_policy_that_earns_most(monkeypatch):
    """Pay is the action, and the second of three acts most: it is met in every update."""
    _, learner = made()
    acts = [0.0, 1.0, 0.5]
    victims = [ppo.victim_of(ppo.Actor(3, 1, seed=k)) for k in range(3)]
    players = [
        learned.Player(v, lambda s, a=a: torch.full((len(s), 1), a))
        for v, a in zip(victims, acts, strict=True)
    ]
    met = []

    class Paid:
        observation_space = learner.envs[0].observation_space
        action_space = learner.envs[0].action_space

        def reset(self, seed=None):
            return np.zeros(3), {}

        def step(self, action):
            met.append(float(action[0]))
            return np.zeros(3), float(action[0]), False, False, {}

    learned.train(
        attacker("sa_rl"), players, [Paid()], learner.scale, 2, 8, ppo.Settings(), seed=1
    )  # fmt: skip
    assert met == [0.0] * 8 + [1.0] * 8 + [0.5] * 8 + [1.0] * 16


def test_what_is_said_at_the_end_follows_from_the_means(trio, monkeypatch):
    """By hand, of a table in which everything differs."""
    means = np.array(
        [
            [100.0, 90, 80, 70, 60, 50],
            [80.0, 85, 95, 72, 58, 40],
            [94.0, 99, 70, 20, 61, 55],
        ]
    )
    monkeypatch.setattr(trio, "trained", lambda kind, team: (kind, len(team), team[0]))
    monkeypatch.setattr(
        trio, "under", lambda made, actor: 33.0 if made == ("pa_ad", 1, actor) else math.nan
    )
    facts = trio.at_the_end(trio.team(), means)
    assert facts == pytest.approx({
        "random": 99, "mad": 95, "rs": 72, "sa_rl": 61, "pa_ad": 55, "natural": 100,
        "natural_first": 100, "lost": 0.0, "lost_found": 0.06, "pa_ad_first": 50,
        "pa_ad_alone": 33,
    })  # fmt: skip
    # Returns below zero: to earn -120 in the place of -100 is to have lost a fifth.
    low = trio.at_the_end(trio.team(), np.array([[-100.0] * 6, [-120.0] * 6, [-150.0] * 6]))
    assert low["lost_found"] == pytest.approx(0.2) and low["lost"] == 0.0
    alone = trio.at_the_end(trio.team()[:1], means[:1])
    assert alone["pa_ad_alone"] == 50 and math.isnan(alone["lost_found"])


def test_judgements_begin_where_no_training_did(monkeypatch):
    """Seeds of evaluation are those of no rollout of the policy, or of an attacker."""
    _, learner = made()
    seeds = {"training": set(), "judgement": set()}
    now = "training"
    episodes = learner.episodes

    def judged(*given):
        nonlocal now
        now = "judgement"
        found = episodes(*given)
        now = "training"
        return found

    monkeypatch.setattr(learner, "episodes", judged)
    reset = type(learner.envs[0].unwrapped).reset

    def noted(self, *, seed=None, options=None):
        if seed is not None:
            seeds[now].add(seed)
        return reset(self, seed=seed, options=options)

    monkeypatch.setattr(type(learner.envs[0].unwrapped), "reset", noted)
    monkeypatch.setattr(ppo.Pupil, "learn", lambda *rest: None)
    monkeypatch.setattr(ppo.Judge, "learn", lambda *rest: None)
    while learner.steps < HORIZON:
        learner.plain() if learner.steps < GIVEN["first"] else learner.harden(
            (learner.steps - 64) / (HORIZON - 64)
        )
    for kind in learned.KINDS:
        learner.trained(kind, learner.team())
    learner.sarsa(learner.team()[0])
    learner.under(attacks.none, learner.team()[0])
    assert len(seeds["judgement"]) == GIVEN["episodes"] and len(seeds["training"]) > 30
    assert not seeds["judgement"] & seeds["training"]


def test_a_set_is_judged_at_the_end_alone_and_a_run_goes_on_exactly_where_it_was(tmp_path):
    known, _ = made()
    points = [64, 500, HORIZON]
    rows = [np.zeros((3, len(gym.measures_of(known)))) for _ in range(2)]
    what = (known, problem(), HORIZON, random.key(3), 0, points)
    gym.play(*what, rows[0])
    with pytest.raises(gym.Stop):
        gym.play(*what, rows[1], told=lambda steps: steps > 600, keep=tmp_path / "k", owner="x")
    gym.play(*what, rows[1], keep=tmp_path / "k", owner="x")
    assert np.array_equal(rows[0], rows[1], equal_nan=True)
    facts = dict(zip(gym.measures_of(known), rows[0].T, strict=False))
    assert facts["members"].tolist() == [1, 2, 3]
    assert np.isfinite(facts["mad"]).all() and np.isnan(facts["pa_ad"][:2]).all()
    table = gym.returns_of(known, rows[0][None])
    kept = table["return"].reshape(3, len(CONDITIONS), 2).mean(axis=2)
    for j, name in enumerate(CONDITIONS[1:], 1):
        assert facts[name][-1] == pytest.approx(kept[:, j].max())
    assert facts["natural_first"][-1] == pytest.approx(kept[0, 0])
    assert facts["pa_ad_first"][-1] == pytest.approx(kept[0, -1])


@pytest.mark.parametrize("name", ["protected", "atla_ppo", "wocar_ppo"])
def test_without_attackers_that_learn_nothing_is_kept(name):
    known = registry.make(name, attacks=0)
    assert known.returns is None and known.facts == FACTS
    kept = registry.make(name, attacks=2, episodes=7).returns
    assert kept == gym.Table(3 if name == "protected" else 1, CONDITIONS, 7)


def test_an_environment_that_was_played_in_is_as_good_as_new(trio):
    """Judgements share theirs: by hand with fresh ones it comes to the same."""
    team = trio.team()
    trio.under(attacks.none, team[0])
    again = trio.episodes(attacks.none, ppo.victim_of(team[1]))
    trio.bench = []
    assert np.array_equal(again, trio.episodes(attacks.none, ppo.victim_of(team[1])))
