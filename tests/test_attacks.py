"""Attacks on policies: what they reach on linear policies, whose files are read, what is refused.

All but the first test need torch: run this file in an environment with the extra ``deep``.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest

from banditlab.cli.attack import main
from banditlab.reports.attack import INSTALL

torch = None
if importlib.util.find_spec("torch") is not None:
    import torch

    torch.set_num_threads(1)
    from banditlab.parts.deep import attacks, learned, model_file, ppo

deep = pytest.mark.skipif(torch is None, reason="torch is not installed")
sb3 = pytest.mark.skipif(
    importlib.util.find_spec("stable_baselines3") is None, reason="no stable_baselines3"
)


@pytest.mark.skipif(torch is not None, reason="torch is installed")
def test_what_is_missing_is_named_with_the_command_that_brings_it(capsys):
    assert main(["model.zip", "--env", "Pendulum-v1", "--eps", "0.1"]) == 2
    assert INSTALL in capsys.readouterr().err


def linear(seed, dim=7, actions=1):
    """A victim mu(s) = W s + b, with W."""
    rng = torch.Generator().manual_seed(seed)
    W = torch.randn((actions, dim), generator=rng)
    b = torch.randn(actions, generator=rng)
    sigma = torch.rand(actions, generator=rng) + 0.5
    return attacks.Victim(
        lambda s: s @ W.T + b, sigma, lambda s: s.sum(1), lambda s, a: a.sum(1)
    ), W


def states(seed, n=50, dim=7):
    return torch.randn((n, dim), generator=torch.Generator().manual_seed(seed))


@deep
@pytest.mark.parametrize("name", ["none", "random", "critic", "mad", "min_q"])
@pytest.mark.parametrize("eps", [0.0, 0.075, 0.6])
def test_nobody_moves_further_than_eps(name, eps):
    victim, _ = linear(1, actions=3)
    s, rng = states(2), torch.Generator().manual_seed(3)
    moved = attacks.FIXED[name](victim, s, eps, rng) - s
    assert moved.abs().max() <= eps + 1e-6
    assert moved.abs().max() > 0 or eps == 0 or name == "none"


@deep
@pytest.mark.parametrize("seed", range(5))
def test_mad_reaches_the_corner_that_moves_a_linear_policy_most(seed):
    victim, W = linear(seed)
    s, rng, eps = states(seed + 10, 200), torch.Generator().manual_seed(seed), 0.3
    best = float((eps * W.abs().sum()) ** 2)
    x = attacks.mad(victim, s, eps, rng, noise=False, steps=12)
    assert np.allclose(((victim.mean(x) - victim.mean(s)) ** 2).numpy(), best, rtol=1e-4)
    x = attacks.mad(victim, s, eps, rng, noise=False)  # the start may cost a tenth of eps
    reached = ((victim.mean(x) - victim.mean(s)) ** 2).numpy() / best
    assert reached.min() >= 0.81 - 1e-4 and reached.max() <= 1 + 1e-4 and reached.mean() < 0.999


@deep
@pytest.mark.parametrize("actions", [1, 3])
def test_the_director_is_obeyed(actions):
    victim, W = linear(4, actions=actions)
    s, rng, eps = states(5), torch.Generator().manual_seed(6), 0.2
    wish = torch.randn((len(s), actions), generator=rng)
    moved = attacks.towards(victim, s, wish, eps, rng, "dot") - s
    assert torch.allclose(moved, eps * torch.sign(wish @ W), atol=1e-6)
    against = attacks.towards(victim, s, wish, eps, rng, "dot", sign=-1) - s
    assert torch.allclose(against, -moved, atol=1e-6)
    moved = attacks.towards(victim, s, wish, eps, rng, "cos_norm") - s
    if actions == 1:  # the cosine has no gradient: the start decides, the wish does not
        side = torch.sign(moved @ W.T)
        assert torch.allclose(moved, eps * side * torch.sign(W), atol=1e-6)
    else:
        change = victim.mean(s + moved) - victim.mean(s)
        cosine = torch.nn.functional.cosine_similarity(change, wish, dim=-1)
        assert cosine.mean() > 0.5


@deep
def test_min_q_and_critic_go_down():
    victim, W = linear(7)
    s, rng, eps = states(8), torch.Generator().manual_seed(9), 0.3
    x = attacks.min_q(victim, s, eps, rng)
    assert torch.allclose(x - s, -eps * torch.sign(W).expand_as(s), atol=0.1 * eps + 1e-6)
    assert (victim.mean(x) < victim.mean(s)).all()
    assert (attacks.critic(victim, s, eps, rng).sum(1) < s.sum(1)).all()
    with pytest.raises(ValueError, match="critic Q"):
        attacks.min_q(victim._replace(q=None), s, eps, rng)


@deep
def test_interval_bounds_hold_on_every_point_of_the_box():
    net = ppo.layers([5, 16, 16, 1], 1.0, 3)
    x, rng = states(1, 20, 5), torch.Generator().manual_seed(0)
    low, high = attacks.bounds(net, x, torch.full_like(x, 0.1))
    for _ in range(200):
        value = net(attacks.even(x, 0.1, rng))
        assert (value >= low - 1e-6).all() and (value <= high + 1e-6).all()
    assert torch.allclose(*attacks.bounds(net, x, torch.zeros_like(x)))
    tight = attacks.bounds(torch.nn.Sequential(net[0]), x, torch.full_like(x, 0.1))
    corner = x[:, None, :] + 0.1 * torch.sign(net[0].weight)[None]  # reached, for one layer
    reached = (corner * net[0].weight[None]).sum(-1) + net[0].bias
    assert torch.allclose(tight[1], reached, atol=1e-5)


@deep
def test_sarsa_learns_the_value_of_what_the_victim_does():
    """Rewards -a^2 and no future: Q(s, a) = -a^2, and min_q moves the action outwards."""
    rng = torch.Generator().manual_seed(0)
    s, a = (torch.rand((4000, 1), generator=rng) * 2 - 1 for _ in range(2))
    paid = -(a[:, 0] ** 2)
    over = torch.ones(4000)
    q = attacks.sarsa(s, a, paid, s, a, over, seed=1)
    grid = torch.linspace(-0.9, 0.9, 19)[:, None]
    assert (q(torch.zeros_like(grid), grid) + grid[:, 0] ** 2).abs().max() < 0.1


@deep
def test_advantages_of_the_two_sets_are_negatives():
    """Constant rewards, the same ends, critics of zeros: one set's are the other's with a sign."""
    rewards = torch.ones((40, 2))
    over, cut = torch.zeros((40, 2)), torch.zeros((40, 2))
    over[9, 0], cut[19, 1] = 1.0, 1.0
    nothing = torch.zeros((40, 2))
    plus = ppo.advantages(rewards, nothing, nothing, over, cut, 0.99, 0.95)
    minus = ppo.advantages(-rewards, nothing, nothing, over, cut, 0.99, 0.95)
    assert (plus == -minus).all()


@deep
def test_advantages_against_a_loop_by_the_definition():
    rng = np.random.default_rng(0)
    T, n, gamma, lam = 30, 3, 0.9, 0.8
    r, v, nxt = (rng.normal(size=(T, n)) for _ in range(3))
    over = (rng.random((T, n)) < 0.1).astype(float)
    cut = (rng.random((T, n)) < 0.1) * (1.0 - over)
    got = ppo.advantages(*(torch.tensor(x) for x in (r, v, nxt, over, cut)), gamma, lam).numpy()
    for i in range(n):
        for t in range(T):
            total, weight = 0.0, 1.0
            for k in range(t, T):
                total += weight * (r[k, i] + gamma * nxt[k, i] * (1 - over[k, i]) - v[k, i])
                if over[k, i] or cut[k, i]:
                    break
                weight *= gamma * lam
            assert got[t, i] == pytest.approx(total)


@deep
def test_running_moments_are_those_of_all_rows():
    rng = np.random.default_rng(1)
    rows = rng.normal(3.0, 2.0, (500, 4))
    running = ppo.Running(4)
    for part in np.split(rows, [1, 50, 51, 300]):
        running.see(part)
    assert np.allclose(running.mean, rows.mean(0)) and np.allclose(running.var, rows.var(0))
    assert np.abs(running.scaled(np.full((1, 4), 1e9))).max() == ppo.CLIP


@deep
@pytest.mark.parametrize("kind", learned.KINDS if torch else ["sa_rl"])
def test_an_attacker_learns_to_hurt(kind):
    """One step, paid -|a - s_0|: a policy that copies s is hurt by being shown something else."""
    from gymnasium import Env, spaces

    class Copy(Env):
        observation_space = spaces.Box(-9, 9, (2,), np.float64)
        action_space = spaces.Box(-9, 9, (2,), np.float32)

        def reset(self, seed=None, options=None):
            super().reset(seed=seed)
            self.s, self.t = self.np_random.normal(size=2), 0
            return self.s, {}

        def step(self, action):
            paid, self.t = -float(action[0] - self.s[0]), self.t + 1  # up is bad for the first
            self.s = self.np_random.normal(size=2)
            return self.s, paid, self.t == 8, False, {}

    victim = attacks.Victim(lambda s: s, torch.ones(2))
    player = learned.Player(victim, lambda s: s)
    scale = ppo.Running(2)
    attacker = learned.Attacker(kind, 2, 2, 0.5, seed=1)
    given = ppo.Settings(lr=1e-2, value_lr=1e-2, minibatches=8)
    learned.train(attacker, [player], [Copy() for _ in range(4)], scale, 12, 256, given, seed=2)
    s = states(3, 200, 2)
    seen = attacker.attack()(victim, s, 0.5, torch.Generator().manual_seed(0))
    assert (seen - s)[:, 0].mean() > 0.4  # of .5: the first action goes up


@deep
@pytest.mark.parametrize("kind", learned.KINDS if torch else ["sa_rl"])
def test_a_network_that_says_too_much_moves_no_further(kind):
    victim, _ = linear(1, actions=3)
    attacker = learned.Attacker(kind, 7, 3, 0.2, seed=1)
    with torch.no_grad():
        attacker.actor.net[-1].bias += 50.0
    s, rng = states(2), torch.Generator().manual_seed(3)
    for seen in (attacker.sampling(victim)(s, rng)[0], attacker.attack()(victim, s, 0.2, rng)):
        assert (seen - s).abs().max() == pytest.approx(0.2, abs=1e-5)


@deep
def test_an_update_takes_the_step_of_the_written_loss():
    """One epoch, one minibatch: Adam's first step has the sign of the gradient of the loss."""
    rng = torch.Generator().manual_seed(0)
    actor = ppo.Actor(3, 2, seed=1)
    s, u = states(4, 64, 3), torch.randn((64, 2), generator=rng)
    gained = torch.randn(64, generator=rng)
    given = ppo.Settings(lr=1e-6, entropy=0.5, epochs=1, minibatches=1)
    scaled = (gained - gained.mean()) / gained.std()
    law = torch.distributions.Normal(actor.net(s), actor.log_std.exp())
    written = -(scaled * law.log_prob(u).sum(-1)).mean()  # of the ratio at 1
    written = written - 0.5 * (actor.log_std + 0.5 * np.log(2 * np.pi * np.e)).sum()
    slopes = torch.autograd.grad(written, list(actor.parameters()))
    before = [p.detach().clone() for p in actor.parameters()]
    batch = ppo.Batch(s, u, gained, gained, gained)
    ppo.Pupil(actor, given).learn(batch, rng)
    for p, old, slope in zip(actor.parameters(), before, slopes, strict=True):
        sure = slope.abs() > 1e-4
        assert (torch.sign(old - p)[sure] == torch.sign(slope)[sure]).all() and sure.any()


# --- files --------------------------------------------------------------------------------------


def saved(folder, kind, **given):
    import stable_baselines3

    make = getattr(stable_baselines3, kind)
    model = make("MlpPolicy", "Pendulum-v1", seed=3, device="cpu", **given)
    model.save(folder / "model.zip")
    return model


@deep
@sb3
@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("PPO", {}),
        ("PPO", {"policy_kwargs": {"net_arch": [16]}}),
        ("PPO", {"policy_kwargs": {"net_arch": {"pi": [8, 4], "vf": [32]}}}),
        ("PPO", {"use_sde": True}),
        ("A2C", {}),
        ("TD3", {}),
        ("SAC", {"policy_kwargs": {"net_arch": [24, 24]}}),
        ("DDPG", {}),
    ],
)
def test_a_model_read_without_pickle_acts_as_the_library_has_it(tmp_path, kind, given):
    if torch and kind == "PPO" and given.get("policy_kwargs", {}).get("net_arch") == [16]:
        given = {"policy_kwargs": {"net_arch": [16], "activation_fn": torch.nn.ReLU}}
    model = saved(tmp_path, kind, **given)
    held = model_file.read_model(tmp_path / "model.zip")
    player = model_file.player_of(held, model.action_space)
    s = states(4, 40, 3)
    low, high = model.action_space.low, model.action_space.high
    theirs = model.predict(s.numpy(), deterministic=True)[0]
    assert np.allclose(np.clip(player.act(s).numpy(), low, high), theirs, atol=1e-6)
    if held.value is not None:
        assert torch.allclose(player.victim.value(s), model.policy.predict_values(s)[:, 0])
    if held.q is not None:
        a = torch.tanh(states(5, 40, 1))
        assert torch.allclose(player.victim.q(s, a), model.critic(s, a)[0][:, 0], atol=1e-6)


@deep
@sb3
def test_the_scale_of_a_saved_normaliser_is_read_and_its_pickle_runs_nothing(tmp_path):
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import VecNormalize

    env = VecNormalize(make_vec_env("Pendulum-v1", 2))
    env.reset()
    for _ in range(30):
        env.step(np.zeros((2, 1)))
    env.save(str(tmp_path / "vec.pkl"))
    scale = model_file.read_scale(tmp_path / "vec.pkl", 3)
    rows = np.random.default_rng(0).normal(size=(5, 3))
    assert np.allclose(scale.scaled(rows), env.normalize_obs(rows), atol=1e-6)


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@deep
def test_a_crafted_pickle_runs_nothing(tmp_path):
    mark = tmp_path / "mark"
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(Evil(mark)))
    with pytest.raises(ValueError, match=r"^evil\.pkl holds no scale of observations"):
        model_file.read_scale(tmp_path / "evil.pkl", 3)
    data = {"policy_kwargs": {":type:": "dict", ":serialized:": "gASVDAAAAAAAAAB9lC4="}}
    buffer = io.BytesIO()
    torch.save({"actor.mu.0.weight": Evil(mark)}, buffer)
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as file:
        file.writestr("data", json.dumps(data))
        file.writestr("policy.pth", buffer.getvalue())
    with pytest.raises(ValueError, match=r"^evil\.zip cannot be read"):
        model_file.read_model(tmp_path / "evil.zip")
    assert not mark.exists()


@deep
@pytest.mark.parametrize(
    ("mean", "var", "said"),
    [
        (np.zeros(2), np.ones(2), r"shape \(2,\), the model sees \(3,\)"),
        (np.zeros(3), -np.ones(3), "variances not negative"),
        (np.full(3, np.nan), np.ones(3), "must be finite"),
    ],
)
def test_a_scale_that_does_not_fit_is_refused(tmp_path, mean, var, said):
    np.savez(tmp_path / "scale.npz", mean=mean, var=var)
    with pytest.raises(ValueError, match=said):
        model_file.read_scale(tmp_path / "scale.npz", 3)


@deep
@sb3
def test_a_row_is_the_same_twice_and_natural_returns_are_those_of_the_library(tmp_path, capsys):
    from gymnasium import make

    model = saved(tmp_path, "TD3")
    np.savez(tmp_path / "scale.npz", mean=np.zeros(3), var=np.ones(3))
    words = [
        str(tmp_path / "model.zip"),
        "--env",
        "Pendulum-v1",
        "--eps",
        "0.2",
        "--json",
        "--quiet",
    ]
    words += ["--normalizer", str(tmp_path / "scale.npz"), "--episodes", "3", "--updates", "1"]
    words += [x for name in ("none", "mad", "sa_rl") for x in ("--attack", name)]
    assert main(words) == 0
    once = json.loads(capsys.readouterr().out)
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out) == once
    natural = []
    for i in range(3):
        env = make("Pendulum-v1")
        seen, total, over = env.reset(seed=100_000 + i)[0], 0.0, False
        while not over:
            action = model.predict(seen, deterministic=True)[0]
            seen, paid, _, over, _ = env.step(action)
            total += paid
        natural.append(total)
    assert np.allclose(once["rows"][0]["returns"], natural, rtol=1e-4)


@deep
@sb3
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("Pendulum-v1 --eps 0.1", "give either normalizer"),
        ("Pendulum-v1 --eps -1 --scale-by 1", "eps must be at least 0"),
        ("MountainCarContinuous-v0 --eps 1 --scale-by 1", "vectors of length 3"),
        ("Pendulum-v1 --eps 1 --scale-by 1 --attack x", "attacks must be"),
        ("Pendulum-v1 --eps 1 --scale-by 1 --attack min_q", "needs a policy"),
        ("Pendulum-v1 --eps 1 --scale-by 1 --set a.b=1", "--set is for env"),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, words, said):
    saved(tmp_path, "PPO")
    assert main([str(tmp_path / "model.zip"), "--env", *words.split()]) == 2
    spoken = capsys.readouterr().err
    assert said in spoken and spoken.count("\n") == 1
