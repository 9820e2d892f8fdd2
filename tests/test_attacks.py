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
        ("PPO", {"use_sde": True, "policy_kwargs": {"squash_output": True}}),
        ("SAC", {"use_sde": True}),
        ("SAC", {"use_sde": True, "policy_kwargs": {"clip_mean": 0.02}}),
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


def rewritten(source, target, weights=None, data=None, packed=None, method=zipfile.ZIP_STORED):
    """A model with other weights, another text beside them, or another file of weights."""
    with zipfile.ZipFile(source) as file:
        held = {name: file.read(name) for name in file.namelist()}
    if weights is not None:
        buffer = io.BytesIO()
        found = torch.load(io.BytesIO(held["policy.pth"]), weights_only=True)
        torch.save(weights(dict(found)), buffer)
        packed = buffer.getvalue()
    held |= {} if data is None else {"data": data}
    held |= {} if packed is None else {"policy.pth": packed}
    with zipfile.ZipFile(target, "w", method) as file:
        for name, value in held.items():
            file.writestr(name, value)


CRAFTED = {
    "few bytes that stand for 8 GB": lambda: torch.zeros(1).expand(20_000, 100_000),
    "no table": lambda: torch.zeros(3),
    "no columns": lambda: torch.zeros(64, 0),
    "three axes": lambda: torch.zeros(3, 3, 3),
    "whole numbers": lambda: torch.zeros(64, 3, dtype=torch.int64),
    "two parts": lambda: torch.zeros(64, 3, dtype=torch.complex64),
    "nowhere": lambda: torch.zeros(64, 3, device="meta"),
    "mostly nothing": lambda: torch.zeros(64, 3).to_sparse(),
    "not finite": lambda: torch.full((64, 3), float("nan")),
}


@deep
@sb3
@pytest.mark.parametrize("what", CRAFTED)
@pytest.mark.parametrize("net", ["policy", "value"])
def test_weights_that_are_none_are_refused_before_they_take_memory(tmp_path, what, net):
    saved(tmp_path, "PPO")
    rewritten(
        tmp_path / "model.zip", tmp_path / "x.zip",
        lambda held: held | {f"mlp_extractor.{net}_net.0.weight": CRAFTED[what]()},
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"^x\.zip"):
        model_file.read_model(tmp_path / "x.zip")


@deep
@sb3
def test_a_policy_with_parts_that_are_not_read_is_refused(tmp_path):
    """An extractor of features of one's own changes what the networks see."""
    saved(tmp_path, "PPO")
    rewritten(
        tmp_path / "model.zip", tmp_path / "x.zip",
        lambda held: held | {"features_extractor.mine.weight": torch.eye(3)},
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"no plain MLP .* features_extractor\.mine\.weight"):
        model_file.read_model(tmp_path / "x.zip")


@deep
@sb3
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_a_damaged_model_is_one_line(tmp_path, method):
    saved(tmp_path, "PPO", policy_kwargs={"net_arch": [4]})
    rewritten(tmp_path / "model.zip", tmp_path / "y.zip", method=method)
    whole = (tmp_path / "y.zip").read_bytes()
    rng = np.random.default_rng(0)
    for i in range(60):
        broken = bytearray(whole)
        broken[rng.integers(len(whole))] ^= int(rng.integers(1, 256))
        broken = broken[: len(whole) if i % 3 else rng.integers(len(whole))]
        (tmp_path / "y.zip").write_bytes(broken)
        try:
            model_file.read_model(tmp_path / "y.zip")
        except ValueError as error:
            assert str(error).startswith("y.zip") and "\n" not in str(error)
    for packed in (b"", b"junk", pickle.dumps([1])):
        rewritten(tmp_path / "model.zip", tmp_path / "y.zip", packed=packed)
        with pytest.raises(ValueError, match=r"^y\.zip cannot be read"):
            model_file.read_model(tmp_path / "y.zip")
    for data in (b"[" * 100_000, b"1" * 9_000, b"\xff"):
        rewritten(tmp_path / "model.zip", tmp_path / "y.zip", data=data)
        with pytest.raises(ValueError, match=r"^y\.zip cannot be read"):
            model_file.read_model(tmp_path / "y.zip")


class Scale:
    """Stands for a VecNormalize, and for its moments."""

    def __init__(self, **given):
        self.__dict__.update(given)


@deep
@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_a_pickled_scale_is_read_in_every_protocol_of_today(tmp_path, protocol):
    mean, var = np.array([1.5, -2.0, 3.0], dtype=">f4"), np.arange(3)
    held = Scale(obs_rms=Scale(mean=mean, var=var), clip_obs=np.float64(10.0))
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(held, protocol))
    scale = model_file.read_scale(tmp_path / "x.pkl", 3)
    assert (scale.mean == mean).all() and (scale.var == var).all()


@deep
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mean": np.array([object()] * 3)}, "must be numbers"),
        ({"mean": np.zeros(3, "M8[s]")}, "must be numbers"),
        ({"mean": list("abc")}, "must be numbers"),
        ({"mean": Scale()}, "there is 'Scale'"),
        ({"mean": [0.0, [0.0], 0.0]}, "holds no scale"),
        ({"epsilon": 1e-4}, "epsilon is 0.0001, here it is 1e-08"),
        ({"clip_obs": 5.0}, "clip_obs is 5, here it is 10"),
        ({"clip_obs": None}, "holds no scale"),
        ({"norm_obs": False}, "does not scale observations"),
    ],
)
def test_a_pickled_scale_of_another_kind_is_one_line(tmp_path, given, said):
    moments = {"mean": np.zeros(3), "var": np.ones(3)}
    moments |= {name: given.pop(name) for name in list(given) if name in moments}
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(Scale(obs_rms=Scale(**moments), **given)))
    with pytest.raises(ValueError, match=said) as caught:
        model_file.read_scale(tmp_path / "x.pkl", 3)
    assert "x.pkl" in str(caught.value)


@deep
def test_the_type_of_a_pickled_array_is_not_believed(tmp_path):
    """Whoever lets NumPy take in a type from a pickle lets numbers be taken for addresses."""
    held = pickle.dumps(Scale(obs_rms=Scale(mean=np.zeros(3), var=np.ones(3))), 4)
    plain = b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t"  # size, alignment and flags of a type
    assert plain in held
    (tmp_path / "x.pkl").write_bytes(held.replace(plain, plain[:-2] + b"\x3ft"))
    assert (model_file.read_scale(tmp_path / "x.pkl", 3).var == 1.0).all()


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


class Goal:
    """Pays for actions near a goal that is drawn for each episode, and seen."""

    def __new__(cls):
        import gymnasium

        class Env(gymnasium.Env):
            observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
            action_space = gymnasium.spaces.Box(-3.0, 3.0, (1,), np.float32)

            def reset(self, *, seed=None, options=None):
                super().reset(seed=seed)
                self.goal = float(self.np_random.normal())
                return self.seen(), {}

            def seen(self):
                return np.array([self.goal, self.np_random.normal()], np.float32)

            def step(self, action):
                return self.seen(), -abs(float(action[0]) - self.goal), False, False, {}

        return Env()


@pytest.fixture
def goal(monkeypatch):
    import gymnasium

    monkeypatch.setattr(
        gymnasium.envs.registration, "registry", dict(gymnasium.envs.registration.registry)
    )
    gymnasium.register("Goal-v0", Goal, max_episode_steps=20)
    return "Goal-v0"


@deep
@sb3
def test_whoever_sees_plain_observations_goes_on_to_see_them_all(tmp_path, goal):
    """The goal of the one episode that is measured does not vary: its deviation says nothing."""
    import gymnasium
    import stable_baselines3

    from banditlab.reports.attack import report

    model = stable_baselines3.TD3("MlpPolicy", goal, seed=3, device="cpu")
    model.save(tmp_path / "model.zip")
    once = report(
        tmp_path / "model.zip", goal, 0.1, scale_by=1, episodes=4, attacks=["none"]
    )  # fmt: skip
    natural = []
    for i in range(4):
        env = gymnasium.make(goal)
        seen, total, over = env.reset(seed=100_000 + i)[0], 0.0, False
        while not over:
            seen, paid, _, over, _ = env.step(model.predict(seen, deterministic=True)[0])
            total += paid
        natural.append(total)
    assert np.allclose(once["rows"][0]["returns"], natural, rtol=1e-4)


@deep
@sb3
def test_robust_sarsa_is_asked_about_actions_as_it_learned_them(tmp_path, monkeypatch):
    """TD3 acts in [-1, 1], the space goes to 2: a critic of the one says nothing of the other."""
    from banditlab.reports import attack

    saved(tmp_path, "TD3")
    held = model_file.read_model(tmp_path / "model.zip")
    learned_from = []

    def sarsa(states, actions, rewards, after, next_actions, over, **given):
        victim = model_file.player_of(held, Range()).victim
        for s, a in ((states, actions), (after, next_actions)):
            learned_from.append(torch.allclose(victim.mean(s), a, atol=1e-6))
        return lambda s, a: a.sum(1)

    monkeypatch.setattr(learned, "sarsa", sarsa)
    monkeypatch.setattr(learned, "SARSA_ROUNDS", 3)
    np.savez(tmp_path / "scale.npz", mean=np.zeros(3), var=np.ones(3))
    attack.report(
        tmp_path / "model.zip", "Pendulum-v1", 0.1, normalizer=tmp_path / "scale.npz",
        episodes=1, attacks=["rs"],
    )  # fmt: skip
    assert learned_from == [True, True]


class Range:
    low, high = np.array([-2.0], np.float32), np.array([2.0], np.float32)


@deep
@sb3
def test_attackers_learn_in_whole_episodes(tmp_path, monkeypatch):
    """Of 1,000 steps, as those of MuJoCo are; what comes late in one is attacked, too."""
    from banditlab.reports import attack

    saved(tmp_path, "PPO")
    seen = []
    plainly = learned.collect

    def collect(envs, *given):
        seen.append(plainly(envs, *given))
        return seen[-1]

    monkeypatch.setattr(learned, "collect", collect)
    attack.report(
        tmp_path / "model.zip", "Pendulum-v1", 0.1, scale_by=1, episodes=12, updates=1,
        attacks=["sa_rl"], options={"max_episode_steps": 1000},
    )  # fmt: skip
    assert [rollout.steps for rollout in seen] == [2048] and len(seen[0].returns) == 2


@deep
@sb3
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("Pendulum-v1 --eps 0.1", "give either normalizer"),
        ("Pendulum-v1 --eps -1 --scale-by 1", "eps must be at least 0"),
        ("MountainCarContinuous-v0 --eps 1 --scale-by 1", "vectors of length 3"),
        ("banditlab/HopperVelSparse-v0 --eps 1 --scale-by 1", "vectors of length 3"),
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
