"""MEX on MBPO, with torch: python -m pytest tests/deep (OMP_NUM_THREADS=1)."""

from __future__ import annotations

import math

import gymnasium
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra deep")
sb3 = pytest.importorskip("stable_baselines3", reason="needs the extra deep")

from banditlab import random, registry  # noqa: E402
from banditlab.agents.deep import mex_mbpo  # noqa: E402
from banditlab.parts.deep import checkpoint, dynamics  # noqa: E402
from banditlab.parts.deep.endings import ending  # noqa: E402
from banditlab.protocols import gym  # noqa: E402

torch.set_num_threads(1)

TINY = {
    "learning_starts": 60, "every": 20, "dreams": 5, "retained": 2, "epochs": 3, "batch_size": 16,
    "width": 16, "model_width": 12,
}  # fmt: skip


def learner(horizon=120, id="Pendulum-v1", seed=3, **hyper):
    algorithm = registry.make("mex_mbpo", **{**TINY, **hyper})
    problem = registry.make_problem("gym_env", id=id, episodes=1)
    return algorithm.learner(algorithm.params, gym.setting(problem, horizon, random.key(seed), 0))


def trained(**given):
    made = learner(**given)
    made.learn(lambda: None)
    return made.model


@pytest.fixture(scope="module")
def warm():
    return trained()


def net(states=3, actions=2, width=7, seed=1):
    torch.manual_seed(seed)
    model = dynamics.Dynamics(states, actions, width)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return model


def steps(n=40, states=3, actions=2, seed=2):
    rng = np.random.default_rng(seed)
    arrays = (
        5.0 + 3.0 * rng.normal(size=(n, states)), rng.uniform(-1, 1, (n, actions)),
        rng.normal(size=(n, states + 1)),
    )  # fmt: skip
    return dynamics.Rows(*(torch.from_numpy(a.astype(np.float32)) for a in arrays))


# --- the model, against NumPy -------------------------------------------------------------------


def slow_forward(weights, x):
    """Mean and log variance of one input, number by number."""
    for w, b in weights[:-1]:
        z = w @ x + b
        x = z / (1.0 + np.exp(-z))
    w, b = weights[-1]
    out = w @ x + b
    mean, raw = out[: len(out) // 2], out[len(out) // 2 :]
    below = 0.5 - np.log1p(np.exp(0.5 - raw))
    return mean, -10.0 + np.log1p(np.exp(below + 10.0))


def slow_loss(weights, rows):
    """-2 log N(y; mean, variance) - log 2 pi, averaged over entries."""
    s, a, y = (x.double().numpy() for x in rows)
    data = np.concatenate([s, a], axis=1)
    data = (data - data.mean(axis=0)) / data.std(axis=0, ddof=1)
    found = []
    for x, value in zip(data, y, strict=True):
        mean, logvar = slow_forward(weights, x)
        variance = np.exp(logvar)
        density = np.exp(-((value - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
        found.append(-2 * np.log(density) - np.log(2 * np.pi))
    return float(np.mean(found))


def arrays_of(model):
    return [
        (layer.weight.detach().double().numpy().copy(), layer.bias.detach().double().numpy().copy())
        for layer in (*model.hidden, model.head)
    ]


def test_the_likelihood_and_its_gradient_are_those_of_the_formula():
    model, rows = net(), steps()
    model.measure(rows.states, rows.actions)
    loss = dynamics.surprise(*model(model.inputs(rows.states, rows.actions)), rows.targets).mean()
    weights = arrays_of(model)
    assert len(weights) == 5
    assert loss.item() == pytest.approx(slow_loss(weights, rows), rel=1e-5)
    loss.backward()
    rng, h = np.random.default_rng(0), 1e-5
    for (w, b), layer in zip(weights, (*model.hidden, model.head), strict=True):
        for array, grad in ((w, layer.weight.grad), (b, layer.bias.grad)):
            for _ in range(4):
                place = tuple(rng.integers(array.shape))
                old = array[place]
                ends = []
                for x in (old + h, old - h):
                    array[place] = x
                    ends.append(slow_loss(weights, rows))
                array[place] = old
                slope = (ends[0] - ends[1]) / (2 * h)
                assert grad[place].item() == pytest.approx(slope, rel=2e-3, abs=2e-5)


def test_log_variances_stay_between_their_limits():
    model = net()
    with torch.no_grad():
        model.head.bias[4:] = torch.tensor([1e3, -1e3, 0.0, -5.0])
        model.head.weight.zero_()
    _, logvar = model(torch.zeros(1, 5))
    assert logvar[0, 0].item() == pytest.approx(0.5, abs=1e-4)
    assert logvar[0, 1].item() == pytest.approx(-10.0, abs=1e-4)
    assert -10.0 < logvar[0, 2] < 0.5 and logvar[0, 3].item() == pytest.approx(-5.0, abs=0.02)


def test_draws_have_the_mean_and_the_variance_of_the_model():
    torch.manual_seed(0)
    mean, logvar = torch.tensor([[2.0, -1.0]]), torch.tensor([[-4.0, 0.4]])
    drawn = dynamics.draw(mean.expand(200_000, 2), logvar.expand(200_000, 2))
    assert np.allclose(drawn.mean(dim=0), mean[0], atol=0.01)
    assert np.allclose(drawn.var(dim=0), torch.exp(logvar[0]), rtol=0.02)
    density = torch.distributions.Normal(mean, torch.exp(logvar / 2)).log_prob(drawn[:50])
    assert torch.allclose(dynamics.log_density(mean, logvar, drawn[:50]), density, atol=1e-5)


def fitted(model, rows, also=None, seed=0, rate=0.0, **how):
    optimizer = torch.optim.SGD(model.parameters(), lr=abs(rate), maximize=rate < 0)
    given = dynamics.Fitting(**{"epochs": 1, "patience": 1, "validation": 0.0, **how})
    return dynamics.fit(model, optimizer, rows, np.random.default_rng(seed), given, also)


def test_a_fit_is_as_long_as_patience_says_and_keeps_the_best_weights():
    rows = steps(100)
    rows = rows._replace(targets=rows.targets + 3.0)
    same = fitted(net(), rows, epochs=20, patience=5, validation=0.2, batch_size=32)
    assert (same.epochs, same.updates) == (5, 5 * 3)  # 80 rows in batches of 32, five in vain
    model = net()
    first = {k: v.clone() for k, v in model.state_dict().items()}
    worse = fitted(model, rows, rate=-0.003, epochs=3, patience=9, validation=0.2)
    assert (
        worse.epochs == 3 and worse.error > same.error + 1e-4
    )  # none was better: those at the end
    learned = net()
    better = fitted(learned, rows, rate=0.003, epochs=20, patience=5, validation=0.2)
    assert better.error < 0.99 * same.error
    order = np.random.default_rng(0).permutation(100)
    aside = torch.from_numpy(order[80:])
    x = learned.inputs(rows.states[aside], rows.actions[aside])
    assert dynamics.error_of(learned, x, rows.targets[aside]) == pytest.approx(better.error)
    assert any(not torch.equal(first[k], v) for k, v in learned.state_dict().items())


def test_validation_data_are_not_fitted():
    seen = []
    rows = steps(50)
    fitted(
        net(), rows, lambda states: seen.append(states) or torch.zeros(()),
        epochs=2, patience=9, validation=0.2, batch_size=16,
    )  # fmt: skip
    assert [len(s) for s in seen] == [16, 16, 8] * 2
    order = np.random.default_rng(0).permutation(50)
    for half in (seen[:3], seen[3:]):
        found = {tuple(row) for row in torch.cat(half).tolist()}
        assert found == {tuple(row) for row in rows.states[order[:40]].tolist()}


# --- optimism -----------------------------------------------------------------------------------


def quadrature(model, weights):
    """E[ r + gamma V(s') ] under the model of one number: Gauss-Hermite, both numbers' means."""
    mean, logvar = slow_forward(weights, np.array([0.4, -0.2]))
    nodes, mass = np.polynomial.hermite_e.hermegauss(60)
    ahead = 0.4 + mean[0] + np.exp(0.5 * logvar[0]) * nodes
    return mean[1] + 0.9 * float((np.sin(2 * ahead) + 2.0 * ahead) @ mass) / math.sqrt(2 * math.pi)


def test_the_optimism_raises_the_value_of_the_policy_in_the_model(warm):
    """Its gradient, over many draws, against central differences of that value's quadrature.

    A model of one number and one action; the policy is a constant, the critics are
    Q1(s, a) = V(s) and Q2 = V + 1, V(s) = sin 2s + 2s. Standardising divides by one number.
    """
    n = 400_000
    model = net(states=1, actions=1, width=5)

    class Fake:
        terms, gamma, dynamics = warm.terms, 0.9, model

        @staticmethod
        def actor(states):
            return torch.full((len(states), 1), -0.2)

        @staticmethod
        def critic(states, actions):
            value = torch.sin(2 * states) + 2 * states
            return value, value + 1.0

        gains = type(warm).gains

    torch.manual_seed(4)
    states = torch.full((n, 1), 0.4)
    optimism = type(warm).optimism(Fake(), states)
    optimism.backward()
    torch.manual_seed(4)
    with torch.no_grad():
        mean, logvar = model(model.inputs(states, Fake.actor(states)))
        gain = Fake().gains(states, Fake.actor(states), dynamics.draw(mean, logvar))
    weights = arrays_of(model)
    assert gain.mean().item() == pytest.approx(
        quadrature(model, weights) - math.sin(0.8) - 0.8, abs=0.02
    )
    array, h = weights[-1][1], 1e-5
    found = model.head.bias.grad.numpy() * float(gain.std()) * 2  # a mean over both entries
    wanted = np.zeros(4)
    for i in range(4):
        old, ends = array[i], []
        for x in (old + h, old - h):
            array[i] = x
            ends.append(quadrature(model, weights))
        array[i] = old
        wanted[i] = (ends[0] - ends[1]) / (2 * h)
    assert abs(wanted[0]) > 0.2 and wanted[1] > 0.9
    assert np.allclose(found, wanted, atol=0.03), (found, wanted)


def test_a_batch_is_standardised_and_only_the_model_has_a_gradient(warm):
    states = warm.lived().states[:32]
    for x in warm.policy.parameters():
        x.grad = None
    warm.dynamics.zero_grad()
    torch.manual_seed(7)
    value = warm.optimism(states)
    value.backward()
    assert all(x.grad is None for x in warm.policy.parameters())
    assert all(x.grad is not None for x in warm.dynamics.parameters())
    torch.manual_seed(7)
    with torch.no_grad():
        actions = warm.actor(states)
        mean, logvar = warm.dynamics(warm.dynamics.inputs(states, actions))
        drawn = mean + torch.exp(logvar / 2) * torch.randn_like(mean)
        ahead = states + drawn[:, :3]
        then = torch.cat(warm.critic(ahead, warm.actor(ahead)), dim=1).numpy().min(axis=1)
        now = torch.cat(warm.critic(states, actions), dim=1).numpy().min(axis=1)
        log_p = torch.distributions.Normal(mean, torch.exp(logvar / 2)).log_prob(drawn).numpy()
    gain = drawn[:, 3].numpy() + 0.99 * then - now
    gain = (gain - gain.mean()) / gain.std(ddof=1)
    assert value.item() == pytest.approx(np.mean(log_p * gain[:, None]), rel=1e-3, abs=1e-5)
    assert warm.optimism(states[:1]).item() == 0.0


def test_the_loss_of_the_model_is_likelihood_less_the_coefficient_times_optimism():
    """One step of plain gradient descent on all data, against both gradients apart."""
    model = trained(coefficient=0.25)
    rows = model.lived()
    model.dynamics.measure(rows.states, rows.actions)
    before = [p.detach().clone() for p in model.dynamics.parameters()]
    again = np.random.default_rng(5)
    split = again.permutation(len(rows.states))
    order = torch.from_numpy(again.permutation(split))
    torch.manual_seed(9)
    likelihood = dynamics.surprise(
        *model.dynamics(model.dynamics.inputs(rows.states, rows.actions)[order]),
        rows.targets[order],
    ).mean()
    optimism = model.optimism(rows.states[order])
    parts = [
        torch.autograd.grad(x, list(model.dynamics.parameters())) for x in (likelihood, optimism)
    ]
    model.dynamics_optimizer = torch.optim.SGD(model.dynamics.parameters(), lr=1e-3)
    model.terms = model.terms._replace(epochs=1, validation=0.0)
    model.batch_size = len(rows.states)
    model.stream = np.random.default_rng(5)
    torch.manual_seed(9)
    model.fit_model()
    for p, old, nll, hope in zip(model.dynamics.parameters(), before, *parts, strict=True):
        step = (old - p.detach()) / 1e-3
        assert torch.allclose(step, nll - 0.25 * hope, atol=3e-3, rtol=1e-2)
    assert max(float(hope.abs().max()) for hope in parts[1]) > 0.05


def test_more_optimism_promises_more():
    """The value that the policy has in the model, in which nothing else differs."""
    promised = []
    for coefficient in (0.0, 0.3):
        model = trained(coefficient=0.0)
        model.terms = model.terms._replace(coefficient=coefficient, epochs=20, patience=20)
        torch.manual_seed(1)
        model.stream = np.random.default_rng(1)
        model.fit_model()
        states = model.lived().states.repeat(50, 1)
        torch.manual_seed(2)
        with torch.no_grad():
            actions = model.actor(states)
            drawn = dynamics.draw(*model.dynamics(model.dynamics.inputs(states, actions)))
            promised.append(float(model.gains(states, actions, drawn).mean()))
    assert promised[1] > promised[0] + 0.02, promised


# --- MBPO ---------------------------------------------------------------------------------------


def everything(model):
    """All tensors of a model by name."""
    parts = {"policy": model.policy, "dynamics": model.dynamics}
    found = {f"{k}.{n}": v for k, part in parts.items() for n, v in part.state_dict().items()}
    for name in ("observations", "actions", "next_observations", "rewards"):
        found[f"imagined.{name}"] = torch.from_numpy(getattr(model.imagined, name))
    return found


def same(one, other):
    mine, theirs = everything(one), everything(other)
    return all(torch.equal(mine[k], theirs[k]) for k in mine)


def test_without_optimism_it_is_mbpo_to_the_bit(monkeypatch):
    """The same code without the term: it is neither computed nor drawn for."""
    plain = trained(coefficient=0.0)
    with_term = trained(coefficient=0.001)
    assert not same(plain, with_term)
    kind = mex_mbpo.subclass()

    def fit_model(self):
        how = dynamics.Fitting(3, 5, 0.2, 16)
        done = dynamics.fit(self.dynamics, self.dynamics_optimizer, self.lived(), self.stream, how)
        self.model_updates += done.updates
        self.error = done.error

    monkeypatch.setattr(kind, "fit_model", fit_model)
    monkeypatch.delattr(kind, "hope")
    monkeypatch.delattr(kind, "optimism")
    assert same(trained(coefficient=0.7), plain)


def test_updates_fits_and_dreams_are_as_many_as_was_said(monkeypatch):
    fits = []
    kind = mex_mbpo.subclass()
    fit_model = kind.fit_model
    monkeypatch.setattr(kind, "fit_model", lambda self: fits.append(self.num_timesteps) or
                        fit_model(self))  # fmt: skip
    model = trained(horizon=125, updates=3)
    assert fits == [61, 81, 101, 121]
    assert model.dreamed == 4 * 20 * 5 and model._n_updates == 3 * (125 - 60)
    assert model.imagined.full and model.imagined.buffer_size == 2 * 20 * 5
    rows = [math.ceil((n - n // 5) / 16) for n in fits]
    assert model.model_updates <= 3 * sum(rows)
    assert trained(horizon=60)._n_updates == 0


def test_sac_learns_from_dreams_only(monkeypatch):
    """Nothing that was lived is in what it samples, but the states in which dreams begin."""
    asked = []
    sample = sb3.common.buffers.ReplayBuffer.sample
    monkeypatch.setattr(
        sb3.common.buffers.ReplayBuffer, "sample",
        lambda self, *given, **more: asked.append((self, sample(self, *given, **more)))
        or asked[-1][1],
    )  # fmt: skip
    model = trained(horizon=100)
    assert len(asked) == 80 and all(buffer is model.imagined for buffer, _ in asked)
    lived = {tuple(row) for row in model.lived().states.tolist()}
    then = model.replay_buffer.next_observations[:100, 0].astype(np.float32)
    reached = {tuple(row) for row in then.tolist()}
    for _, batch in asked:
        assert {tuple(row) for row in batch.observations.tolist()} <= lived
        assert not {tuple(row) for row in batch.next_observations.tolist()} & reached
    assert model.replay_buffer is not model.imagined and model.replay_buffer.pos == 100


def test_dreams_are_one_step_of_the_model_from_lived_states_with_the_rule_of_the_task():
    model = trained(id="MountainCarContinuous-v0", horizon=62)
    model.imagined.reset()
    # So that some of them end: half a unit further to the right, at any speed above 0.
    with torch.no_grad():
        model.dynamics.head.weight.zero_()
        model.dynamics.head.bias[:] = torch.tensor([0.95, 0.02, 7.0, -20.0, -20.0, -20.0])
    model.dream()
    memory = model.imagined
    seen, then = memory.observations[:100, 0], memory.next_observations[:100, 0]
    assert memory.pos == 100 and not memory.full
    assert np.allclose(then - seen, [0.95, 0.02], atol=0.05)  # deviation e^-5
    assert np.allclose(memory.rewards[:100, 0], 7.0, atol=0.05)
    assert ((memory.actions >= -1) & (memory.actions <= 1)).all()
    over = (then[:, 0] >= 0.45) & (then[:, 1] >= 0.0)
    assert 10 < over.sum() < 90 and np.array_equal(memory.dones[:100, 0] == 1.0, over)
    assert (memory.timeouts == 0).all()


def test_the_model_sees_what_was_lived_scaled(warm):
    rows = warm.lived()
    n = warm.replay_buffer.pos
    assert len(rows.states) == n == 120
    buffer = warm.replay_buffer
    assert np.allclose(rows.targets[:, :3], (buffer.next_observations - buffer.observations)[:n, 0],
                       atol=1e-6)  # fmt: skip
    assert np.allclose(rows.targets[:, 3], buffer.rewards[:n, 0])
    model = net(states=3, actions=1)
    model.measure(rows.states, rows.actions)
    x = model.inputs(rows.states, rows.actions)
    assert np.allclose(x.mean(dim=0), 0.0, atol=1e-5)
    assert np.allclose(x.std(dim=0), 1.0, atol=1e-5)
    constant = torch.ones(5, 3)
    model.measure(constant, torch.zeros(5, 1))
    assert (model.inputs(constant, torch.zeros(5, 1)) == 0).all()


def test_many_steps_are_remembered_as_one_by_one():
    box = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    act = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
    slow, fast = (sb3.common.buffers.ReplayBuffer(7, box, act) for _ in range(2))
    rng = np.random.default_rng(0)
    for n in (3, 4, 5, 2, 7, 1):
        s, a, t = (rng.normal(size=(n, k)).astype(np.float32) for k in (2, 1, 2))
        r, d = rng.normal(size=n).astype(np.float32), rng.random(n) < 0.5
        dynamics.remember(fast, s, a, t, r, d)
        for i in range(n):
            slow.add(s[i], t[i], a[i], r[i], d[i], [{}])
        assert (slow.pos, slow.full) == (fast.pos, fast.full)
        for name in checkpoint.BUFFER:
            assert np.array_equal(getattr(slow, name), getattr(fast, name)), (n, name)


@pytest.mark.parametrize("when", [30, 61, 75, 100])
def test_it_is_put_down_and_taken_up_bit_for_bit(tmp_path, when):
    """Before the first fit, right after it, and in between; what is not kept shows at the end."""

    def pulse(learner):
        def kept():
            if learner.steps == when and not list(tmp_path.iterdir()):
                learner.save(tmp_path)

        return kept

    whole = learner()
    whole.learn(pulse(whole))
    torch.manual_seed(99)
    again = learner(seed=8)
    again.load(tmp_path)
    assert again.steps == when
    again.learn(lambda: None)
    assert same(again.model, whole.model)
    for name in ("model_updates", "dreamed", "error", "_n_updates"):
        assert getattr(again.model, name) == getattr(whole.model, name)
    assert again.model.stream.random() == whole.model.stream.random()


def test_it_saves_and_loads_as_the_library_does(tmp_path, warm):
    warm.save(tmp_path / "model")
    again = mex_mbpo.subclass().load(tmp_path / "model", env=gymnasium.make("Pendulum-v1"))
    assert again.terms == warm.terms
    mine, theirs = (m.get_parameters() for m in (warm, again))
    for part in ("policy", "dynamics"):
        assert all(torch.equal(mine[part][k], theirs[part][k]) for k in mine[part])


# --- when an episode ends -----------------------------------------------------------------------

BODIES = {
    "Hopper-v5": {}, "Walker2d-v5": {}, "Ant-v5": {}, "Humanoid-v5": {}, "InvertedPendulum-v5": {},
    "HalfCheetah-v5": {}, "banditlab/HopperSparse-v0": {}, "banditlab/HopperVelSparse-v0": {},
    "banditlab/Walker2dSparse-v0": {}, "MountainCarContinuous-v0": {},
    "InvertedDoublePendulum-v5": {}, "HumanoidStandup-v5": {},
}  # fmt: skip
HIDDEN = {"exclude_current_positions_from_observation": False}


@pytest.mark.parametrize(
    ("id", "options"),
    [*BODIES.items(), ("Hopper-v5", HIDDEN), ("Ant-v5", HIDDEN), ("Walker2d-v5", HIDDEN),
     ("Walker2d-v5", {"terminate_when_unhealthy": False}),
     ("Hopper-v5", {"healthy_z_range": (1.1, 1.3), "healthy_angle_range": (-0.05, 0.1)}),
     ("Hopper-v5", {"healthy_state_range": (-3.0, 3.0)})],
)  # fmt: skip
def test_the_rule_says_what_the_environment_says(id, options):
    if "Mountain" not in id:
        pytest.importorskip("mujoco", reason="needs the extra deep")

    env = gymnasium.make(id, **options)
    rule = ending(env)
    env.action_space.seed(1)
    seen, said = [], []
    env.reset(seed=1)
    push = None
    for t in range(150 if "Mountain" not in id else 800):
        action = env.action_space.sample()
        if "Mountain" in id:  # swing up
            push = np.sign(env.unwrapped.state[1]) or 1.0
            action = np.array([push], dtype=np.float32)
        observation, _, terminated, truncated, _ = env.step(action)
        seen.append(observation)
        said.append(terminated)
        if terminated or truncated:
            env.reset(seed=t)
    env.close()
    assert np.array_equal(rule(np.array(seen)), said)
    never = (
        "Cheetah" in id
        or "Standup" in id
        or "VelSparse" in id
        or options.get("terminate_when_unhealthy") is False
    )
    assert any(said) is not never or id in ("Ant-v5", "Humanoid-v5")
    assert rule(np.full((1, len(seen[0])), np.nan))[0]


def test_limits_are_those_of_the_task():
    pytest.importorskip("mujoco", reason="needs the extra deep")
    import banditlab.parts.sparse_velocity  # noqa: F401

    def at(rule, size, *places):
        rows = np.zeros((len(places), size))
        for row, place in zip(rows, places, strict=True):
            row[0] = 1.25
            for i, x in place.items():
                row[i] = x
        return rule(rows).tolist()

    hopper = ending(gymnasium.make("banditlab/HopperSparse-v0"))
    assert at(hopper, 11, {}, {0: 0.69}, {0: 0.71}, {1: 0.21}, {1: -0.19}, {7: 101.0}) == [
        False, True, False, True, False, True,
    ]  # fmt: skip
    walker = ending(gymnasium.make("banditlab/Walker2dSparse-v0"))
    assert at(walker, 17, {}, {0: 0.79}, {0: 2.01}, {1: 1.01}, {1: -0.99}) == [
        False, True, True, True, False,
    ]  # fmt: skip
    ant = ending(gymnasium.make("Ant-v5"))
    assert at(ant, 105, {0: 0.2}, {0: 0.19}, {0: 1.0}, {0: 1.01}) == [False, True, False, True]


class Own(gymnasium.Env):
    """An environment that says it itself, or does not."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,))
    action_space = gymnasium.spaces.Box(-1, 1, (1,))


def test_an_environment_of_ones_own_says_it_itself_or_is_refused():
    with pytest.raises(ValueError, match="no observation tells when an episode ends"):
        ending(Own())
    says = Own()
    says.ends = lambda seen: seen[:, 0] > 0.5
    assert ending(says)(np.array([[0.6, 0.0], [0.4, 0.0], [0.0, np.inf]])).tolist() == [
        True, False, True,
    ]  # fmt: skip
    pendulum = gymnasium.make("Pendulum-v1")
    scaled = gymnasium.wrappers.RescaleObservation(pendulum, np.float32(-1), np.float32(1))
    with pytest.raises(ValueError, match="RescaleObservation changes what is seen"):
        ending(scaled)


class Strict(gymnasium.Wrapper):
    """Ends an episode where the environment would not."""

    def step(self, action):
        seen, reward, _, truncated, info = self.env.step(action)
        return seen, reward, bool(seen[0] < 0.9), truncated, info


class Frank(Strict):
    """And says so."""

    def ends(self, seen):
        return seen[:, 0] < 0.9


class Dearer(gymnasium.RewardWrapper):
    """Changes what is paid, not when it ends."""

    def reward(self, reward):
        return 2.0 * reward


def test_a_wrapper_that_has_a_hand_in_the_steps_says_when_they_end_or_is_refused():
    made = gymnasium.make("Pendulum-v1")
    seen = np.array([[0.8, 0.6, 0.0], [1.0, 0.0, 0.0]])
    with pytest.raises(ValueError, match="Pendulum-v1: Strict has a hand in its steps") as error:
        ending(gymnasium.wrappers.TimeLimit(Strict(made), 9))
    assert "\n" not in str(error.value)
    assert ending(Dearer(Frank(made)))(seen).tolist() == [True, False]
    assert ending(Dearer(made))(seen).tolist() == [False, False]
