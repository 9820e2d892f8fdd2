"""MEX on TD3, with torch: python -m pytest tests/deep (OMP_NUM_THREADS=1)."""

from __future__ import annotations

import hashlib
import inspect

import gymnasium
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra deep")
sb3 = pytest.importorskip("stable_baselines3", reason="needs the extra deep")

from stable_baselines3.common.noise import NormalActionNoise  # noqa: E402

from banditlab.agents.deep import mex_td3  # noqa: E402

torch.set_num_threads(1)


def made(kind=None, starts=100, width=32, **given):
    """A model on Pendulum-v1; TD3 itself unless its kind is given."""
    return (kind or sb3.TD3)(
        "MlpPolicy", gymnasium.make("Pendulum-v1"), learning_rate=3e-4, learning_starts=starts,
        buffer_size=5000, batch_size=64, seed=3, device="cpu",
        action_noise=NormalActionNoise(np.zeros(1), 0.1 * np.ones(1)),
        policy_kwargs={"net_arch": [width, width]}, **given,
    )  # fmt: skip


def ours(**given):
    return made(mex_td3.subclass(), **given)


def weights(model):
    return model.get_parameters()["policy"]


def gap(one, other):
    return max(float((weights(one)[k] - weights(other)[k]).abs().max()) for k in weights(one))


@pytest.fixture(scope="module")
def plain():
    return made().learn(2100)


@pytest.mark.parametrize("baseline", ["none", "lse"])
def test_without_optimism_it_is_td3_to_the_bit_over_2000_updates(plain, baseline):
    model = ours(eta=0.0, baseline=baseline).learn(2100)
    assert model._n_updates == plain._n_updates == 2000
    assert all(torch.equal(weights(model)[k], weights(plain)[k]) for k in weights(plain))


def test_with_optimism_it_is_another_policy(plain):
    assert gap(ours(eta=0.005).learn(2100), plain) > 1e-4


def test_td3_is_still_the_one_that_this_was_written_for():
    text = inspect.getsource(sb3.TD3.train)
    assert hashlib.sha256(text.encode()).hexdigest().startswith(mex_td3.WRITTEN_FOR), (
        "stable-baselines3 has changed TD3.train: compare it with MEXTD3.train"
    )


def batch(model, n=64):
    return model.replay_buffer.sample(n)


@pytest.fixture
def warm():
    """A model with data, before its first update."""
    return ours(eta=0.7, baseline="lse", optimism_batch=16, starts=300).learn(300)


def by_hand(model, data, uniform, bug=False):
    """The optimism row by row, each set of actions in a pass of its own; float64."""
    n = len(uniform)
    states = data.observations[:n]
    with torch.no_grad():
        here, ahead = model.actor(states), model.actor(data.next_observations[:n])
    found = 0.0
    for j in (0, 1):
        q = lambda a, j=j: model.critic(states, a)[j][:, 0].double()  # noqa: E731
        first = model.critic(states, data.actions[:n])[0 if bug else j][:, 0].double()
        for i in range(n):
            others = [first[i], q(ahead)[i], q(uniform)[i]]
            soft = torch.log(sum(torch.exp(x) for x in others))
            found = found + (q(here)[i] - soft) / n
    return found


@pytest.mark.parametrize("bug", [False, True])
def test_the_optimism_is_that_of_the_formula_and_its_gradient_that_of_the_critics_only(warm, bug):
    warm.bug_compat = bug
    data = batch(warm)
    torch.manual_seed(1)
    values, optimism = mex_td3.lse_optimism(warm, data)
    torch.manual_seed(1)
    uniform = torch.empty_like(data.actions[:16]).uniform_(-1, 1)
    expected = by_hand(warm, data, uniform, bug)
    assert optimism.item() == pytest.approx(expected.item(), abs=1e-5)
    assert torch.allclose(values[1], warm.critic(data.observations, data.actions)[1], atol=1e-6)
    for x in warm.policy.parameters():
        x.grad = None
    optimism.backward()
    assert all(x.grad is None for x in warm.actor.parameters())
    found = [x.grad.clone() for x in warm.critic.parameters()]
    wanted = torch.autograd.grad(expected, list(warm.critic.parameters()))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(found, wanted, strict=True))


def test_a_constant_in_both_critics_changes_nothing_but_with_the_old_mistake(warm):
    data = batch(warm)

    def optimism(bug):
        warm.bug_compat = bug
        torch.manual_seed(1)
        return mex_td3.lse_optimism(warm, data)[1].item()

    before, wrong = optimism(False), optimism(True)
    with torch.no_grad():
        warm.critic.qf1[-1].bias += 3.0  # of the second critic less: only the mistake mixes them
    assert optimism(False) == pytest.approx(before, abs=1e-4)
    assert abs(optimism(True) - wrong) > 0.1


def test_optimism_in_the_data_is_a_shifted_target():
    """The gradients of one update against those of the loss written out: MSE - eta mean(Q1 + Q2).

    Not the weights: the first step of Adam is as long for a gradient of any length.
    """
    model, twin = (ours(eta=0.3, baseline="none", starts=300).learn(300) for _ in range(2))
    assert gap(model, twin) == 0.0
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    model.train(gradient_steps=1, batch_size=64)
    found = [x.grad.clone() for x in model.critic.parameters()]
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    data = batch(twin)
    target, values = twin.target(data), twin.critic(data.observations, data.actions)
    for eta, close in ((0.3, True), (0.0, False), (0.6, False)):
        loss = sum(((q - target) ** 2).mean() - eta * q.mean() for q in values)
        wanted = torch.autograd.grad(loss, list(twin.critic.parameters()), retain_graph=True)
        off = max(float((a - b).abs().max()) for a, b in zip(found, wanted, strict=True))
        assert (off < 1e-5) is close, (eta, off)


def test_an_update_takes_the_whole_optimism():
    """The gradients of one update against those of the loss written out: MSE - eta O."""
    model, twin = (ours(eta=0.3, baseline="lse", starts=300).learn(300) for _ in range(2))
    for other in (model, twin):
        torch.manual_seed(5)
        np.random.seed(5)  # noqa: NPY002
        if other is model:
            model.train(gradient_steps=1, batch_size=64)
    found = [x.grad.clone() for x in model.critic.parameters()]
    data = batch(twin)
    target = twin.target(data)
    values, optimism = mex_td3.lse_optimism(twin, data)
    for eta, close in ((0.3, True), (0.15, False), (-0.3, False)):
        loss = sum(((q - target) ** 2).mean() for q in values) - eta * optimism
        wanted = torch.autograd.grad(loss, list(twin.critic.parameters()), retain_graph=True)
        off = max(float((a - b).abs().max()) for a, b in zip(found, wanted, strict=True))
        assert (off < 1e-5) is close, (eta, off)


def test_it_saves_and_loads_and_loads_as_td3(tmp_path, warm):
    warm.save(tmp_path / "model")
    env = gymnasium.make("Pendulum-v1")
    again = mex_td3.subclass().load(tmp_path / "model", env=env)
    assert (again.eta, again.baseline, again.optimism_batch) == (0.7, "lse", 16)
    assert gap(again, warm) == gap(sb3.TD3.load(tmp_path / "model", env=env), warm) == 0.0


def test_n_step_returns_run():
    assert ours(eta=0.005, n_steps=3).learn(150)._n_updates == 50
