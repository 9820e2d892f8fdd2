"""Networks written out: their gradients, their steps, and when a learner gives up."""

import numpy as np
import pytest

from banditlab import random
from banditlab.parts import network_training as training
from banditlab.parts import networks


def stream(seed=0):
    return random.stream(random.key(seed), 0, random.AGENT)


def plan(loss="square", perturb="none", schedule="replay", **changes):
    made = training.Training(
        training.LOSSES.index(loss),
        training.SCHEDULES.index(schedule),
        training.PERTURBATIONS.index(perturb),
        0.05, 1e-5, 2000, 1e-3, 0.0, np.inf,
    )  # fmt: skip
    return made._replace(**changes)


def learner(blocks=2, dim=3, units=7, depth=1, memory=0, n_signs=0, seed=0):
    rng = stream(seed)
    net = networks.new(blocks, dim, units, depth, rng)
    return training.new_learner(net, memory, 100, n_signs, rng), rng


def one_step(how, one, block, x, target, lr):
    one.history.x[0], one.history.arms[0], one.history.target[0] = x, block, target
    one.history.deck[0] = 0
    training.descend_on(how, one, 1, 1, lr)


def dense(net):
    """The weights as a network that is shown a vector of all blocks would hold them."""
    w = networks.layers(net, net.theta)
    first = w.first.reshape(-1, w.first.shape[2]).T  # (units, blocks * dim)
    return first, w.bias, w.hidden.T, w.hidden_bias, w.last, w.last_bias[0]


def dense_forward(weights, encoded):
    first, bias, hidden, hidden_bias, last, last_bias = weights
    h = np.maximum(first @ encoded + bias, 0)
    if hidden.size:
        h = np.maximum(hidden @ h + hidden_bias, 0)
    return last @ h + last_bias


def encode(x, block, blocks):
    encoded = np.zeros((blocks, x.size))
    encoded[block] = x
    return encoded.ravel()


@pytest.mark.parametrize("depth", [1, 2])
def test_blocks_are_the_network_of_the_long_vector_and_gradients_are_central_differences(depth):
    one, _ = learner(depth=depth)
    net = one.net
    x = np.array([0.3, 0.0, -0.8])
    found, wanted = np.full(net.theta.size, np.nan), np.empty(net.theta.size)
    f = networks.gradient(net, 1, x, found)
    assert f == pytest.approx(dense_forward(dense(net), encode(x, 1, 2)), rel=1e-12)
    for i in range(net.theta.size):
        ends = []
        for step in (1e-6, -1e-6):
            net.theta[i] += step
            ends.append(dense_forward(dense(net), encode(x, 1, 2)))
            net.theta[i] -= step
        wanted[i] = (ends[0] - ends[1]) / 2e-6
    np.testing.assert_allclose(found, wanted, atol=1e-8)
    block = found[: 2 * 3 * 7].reshape(2, 3, 7)
    assert (block[0] == 0).all() and np.abs(block[1, 0]).max() > 0 and (block[1, 1] == 0).all()


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("loss", training.LOSSES)
def test_gradients_are_those_of_torch(depth, loss):
    torch = pytest.importorskip("torch", reason="torch is not installed: the extra deep has it")
    one, _ = learner(depth=depth)
    net, x, target = one.net, np.array([0.3, -0.2, -0.8]), 0.8
    theta = torch.tensor(net.theta, dtype=torch.float64, requires_grad=True)
    at, parts = 0, []
    for layer in networks.layers(net, net.theta):
        parts.append(theta[at : at + layer.size].reshape(layer.shape))
        at += layer.size
    h = torch.relu(torch.tensor(x) @ parts[0][1] + parts[1])
    if depth == 2:
        h = torch.relu(h @ parts[2] + parts[3])
    f = h @ parts[4] + parts[5][0]
    y = torch.tensor(target, dtype=torch.float64)
    if loss == "square":
        value = (f - y) ** 2
    else:
        value = torch.nn.functional.binary_cross_entropy_with_logits(f, y)
    value.backward()
    before = net.theta.copy()
    one_step(plan(loss), one, 1, x, target, 1.0)
    moved, wanted = before - net.theta, theta.grad.numpy()
    assert np.abs(moved - wanted).max() < 1e-6 * np.abs(wanted).max()
    assert (moved != 0).sum() == (wanted != 0).sum() > 10


def test_a_step_by_hand():
    """f = 2, e = 2 * .1 * (2 - 1) = .2: the last layer is read before it changes."""
    one, _ = learner(blocks=1, dim=1, units=1)
    one.net.theta[:] = [1, 0, 2, 0]  # first, bias, last, last_bias
    assert networks.predict(one.net, 0, np.array([1.0])) == 2.0
    one_step(plan(), one, 0, np.array([1.0]), 1.0, 0.1)
    np.testing.assert_allclose(one.net.theta, [0.6, -0.4, 1.8, -0.2], atol=1e-15)


def test_weights_start_even_with_the_fan_in_of_the_long_vector():
    net = learner(blocks=5, dim=4, units=400)[0].net
    w = networks.layers(net, net.theta)
    for layer, fan_in in ((w.first, 20), (w.bias, 20), (w.last, 400)):
        top = 1 / np.sqrt(fan_in)
        assert np.abs(layer).max() <= top and np.abs(layer).max() > 0.98 * top
        assert layer.std() == pytest.approx(top / np.sqrt(3), rel=0.1)


def test_small_and_deeper_layers_start_with_the_fan_in_of_the_layer_below():
    rng = random.stream(random.key(4), 0, 0)
    nets = [networks.new(2, 3, 4, 2, rng) for _ in range(300)]
    layers = [networks.layers(net, net.theta) for net in nets]
    fan_ins = {"first": 6, "bias": 6, "hidden": 4, "hidden_bias": 4, "last": 4, "last_bias": 4}
    for name, fan_in in fan_ins.items():
        values = np.concatenate([np.ravel(getattr(w, name)) for w in layers])
        top = 1 / np.sqrt(fan_in)  # of 300 values, one in a hundred thousand times none is so large
        assert 0.96 * top < np.abs(values).max() <= top, name


@pytest.mark.parametrize("loss", training.LOSSES)
@pytest.mark.parametrize("depth", [1, 2])
def test_lazy_pulls_are_those_of_a_plain_second_program(loss, depth):
    """A step on all weights at once, with the gradient that the docstring states."""
    one, rng = learner(depth=depth)
    how = plan(loss, "expected", pull=0.3, steps=37)
    xs = np.random.default_rng(1).normal(size=(9, 3)) * (np.arange(27).reshape(9, 3) % 4 > 0)
    arms, targets = np.arange(9) % 2, np.linspace(0, 1, 9)
    history = one.history
    history.x[:9], history.arms[:9], history.target[:9], history.seen[0] = xs, arms, targets, 9
    history.deck[:9] = order = np.array([3, 1, 8, 0, 2, 7, 5, 4, 6])
    slow = networks.Network(*[array.copy() for array in one.net])
    training.descend_on(how, one, 9, 37, 0.05)
    gradient = np.empty(slow.theta.size)
    for i in range(37):
        row = order[i % 9]
        f = networks.gradient(slow, arms[row], xs[row], gradient)
        s = 1 / (1 + np.exp(-f))
        off = s - targets[row] if loss == "kl" else 2 * (f - targets[row])
        pull = 0.3 * (s * (1 - s) if loss == "kl" else 2.0)
        slow.theta[:] -= 0.05 * (off * gradient + pull * (slow.theta - slow.start))
    np.testing.assert_allclose(one.net.theta, slow.theta, atol=1e-12)
    assert (one.stamps == 1).all()


@pytest.mark.parametrize("loss", training.LOSSES)
@pytest.mark.parametrize("depth", [1, 2])
def test_ensemble_steps_are_those_of_a_plain_second_program(loss, depth):
    one, rng = learner(depth=depth, n_signs=4)
    how = plan(loss, "ensemble", pull=0.04)
    slow = networks.Network(*[array.copy() for array in one.net])
    size = 0.2
    gradient, x = np.empty(slow.theta.size), np.array([0.3, 0.0, -0.8])
    for i in range(200):
        target, block = i % 3 / 2, i % 2
        one_step(how, one, block, x, target, 0.05)
        f = networks.gradient(slow, block, x, gradient)
        shown = f + size * one.signs @ (slow.theta - slow.start)
        off = 1 / (1 + np.exp(-shown)) - target if loss == "kl" else 2 * (shown - target)
        slow.theta[:] -= 0.05 * (off.mean() * gradient + size * (off @ one.signs) / 4)
    np.testing.assert_allclose(one.net.theta, slow.theta, atol=1e-12)
    direct = size * one.signs @ (slow.theta - slow.start)
    np.testing.assert_allclose(one.offsets, direct, atol=1e-10)
    assert np.abs(direct).max() > 1e-3
    one.offsets[:] = 0.0
    training.measure_offsets(how, one)
    np.testing.assert_allclose(one.offsets, direct, atol=1e-10)


def test_the_expected_perturbed_loss_is_a_pull_exactly_for_squares_and_nearly_for_kl():
    rng = np.random.default_rng(0)
    distance = rng.normal(size=300) * 0.05
    square, pull, f, y = distance @ distance, 0.01, 0.3, 0.8
    o = np.sqrt(pull) * rng.choice([-1.0, 1.0], size=(20_000, 300)) @ distance
    added = ((f + o - y) ** 2 + (f - o - y) ** 2).mean() / 2 - (f - y) ** 2
    assert added == pytest.approx(pull * square, rel=0.02)

    def kl(z):
        return np.log1p(np.exp(z)) - y * z

    s = 1 / (1 + np.exp(-f))
    added = ((kl(f + o) + kl(f - o)) / 2).mean() - kl(f)  # signs and their opposites
    assert added == pytest.approx(0.5 * s * (1 - s) * pull * square, rel=0.02)


def train(how, rows, dim=2, scale=1.0, memory=0, units=20, blocks=2, n_signs=0):
    one, rng = learner(blocks=blocks, dim=dim, units=units, memory=memory, n_signs=n_signs)
    points = np.random.default_rng(3).normal(size=(rows, dim)) * scale
    for t in range(rows):
        arm = t % 2
        training.learn(how, one, points[t : t + 1], arm, float(points[t, 0] > 0), rng)
    return one, points


def test_the_calendar_and_where_a_training_stops():
    due = [n for n in range(2001) if training.is_due(n)]
    assert due == [*range(0, 1000, 10), *range(1000, 2001, 100)]
    easy, _ = train(plan(tolerance=0.5, steps=10**6), rows=1)  # ends although steps are unbounded
    assert easy.history.seen[0] == 1
    before = train(plan(steps=3), rows=11)[0].net.theta
    assert (train(plan(steps=3), rows=20)[0].net.theta == before).all()  # not due again
    assert (train(plan(steps=3), rows=21)[0].net.theta != before).any()


@pytest.mark.parametrize(("share", "steps"), [(1.01, 2), (0.99, 7)])
def test_a_pass_is_good_enough_by_its_mean_squared_error(share, steps):
    one, _ = learner(blocks=1, dim=1)
    rows, targets = one.history.x[:2], one.history.target[:2]
    rows[:, 0], targets[:], one.history.seen[0] = (1.0, -1.0), (0.3, 0.9), 2
    errors = [networks.predict(one.net, 0, x) - y for x, y in zip(rows, targets, strict=True)]
    one.history.deck[:2] = 0, 1
    how = plan(tolerance=share * np.mean(np.square(errors)))
    training.descend_on(how, one, 2, 7, 1e-12)
    assert one.steps[0] == steps


def test_what_is_no_longer_remembered_teaches_nothing():
    one, points = train(plan(steps=5), rows=25, memory=8)
    assert one.history.arms.size == 8 and one.history.seen[0] == 25
    np.testing.assert_array_equal(one.history.x[24 % 8], points[24])
    np.testing.assert_array_equal(one.history.x[17 % 8], points[17])


@pytest.mark.parametrize("perturb", training.PERTURBATIONS)
def test_projection_keeps_each_layer_in_its_ball(perturb):
    how = plan(perturb=perturb, schedule="ogd", lr=0.5, radius=0.01)
    one, _ = train(how, rows=60, n_signs=3 if perturb == "ensemble" else 0)
    first = 2 * 2 * 20 + 20
    for part in (slice(0, first), slice(first, None)):
        off = np.linalg.norm(one.net.theta[part] - one.net.start[part])
        assert off == pytest.approx(0.01, rel=1e-9)


def test_steps_of_ogd_shrink():
    """With t0 the first of two equal rows moves 1 / (1 + 1 / t0) as far as a constant step."""
    moves = []
    for t0 in (0.0, 3.0):
        one, _ = train(plan(schedule="ogd", t0=t0), rows=1)
        moves.append(one.net.theta - one.net.start)
    np.testing.assert_allclose(moves[1], moves[0] * 3 / 4, atol=1e-15)


def test_a_learner_that_diverges_gives_up():
    """Large features: the square loss explodes, and what follows is refused."""
    one, points = train(plan(), rows=40, scale=40.0)
    assert one.trouble[0] == training.WRONG
    assert not training.estimate(one, points[:1], np.empty(2))
    theta, seen = one.net.theta.copy(), one.history.seen[0]
    training.learn(plan(), one, points[:1], 0, 1.0, stream())
    np.testing.assert_array_equal(one.net.theta, theta)
    assert one.history.seen[0] == seen


@pytest.mark.parametrize("f", [-1001.0, np.nan, np.inf])
def test_what_counts_as_divergence(f):
    one, points = train(plan(), rows=20)
    networks.layers(one.net, one.net.theta).last_bias[0] = f
    assert not training.estimate(one, points[:1], np.empty(2)) and one.trouble[0] == 0
    training.learn(plan(), one, points[:1], 0, 1.0, stream())
    assert one.trouble[0] == training.WRONG


def test_a_network_that_died_silently_is_noticed():
    one, points = train(plan(schedule="ogd", lr=1e-9), rows=1000)
    assert one.trouble[0] == 0 and training.estimate(one, points[:1], np.empty(2))
    networks.layers(one.net, one.net.theta).bias[:] = -100.0  # finite and constant
    rng = stream()
    training.learn(plan(schedule="ogd", lr=1e-9), one, points[:1], 0, 1.0, rng)
    assert one.trouble[0] == training.DEAD
