"""Attacks on what a policy observes: within ``eps`` of it in every coordinate, at every step.

The attacker replaces the observation s by s_hat, ||s_hat - s||_inf <= eps, in *normalised* units
(a running mean and standard deviation, clipped at 10), so that eps counts standard deviations; what
the environment does follows from the true state. As in the code of Liu et al. 2024 (PROTECTED), of
Zhang et al. 2021 (ATLA) and of Sun et al. 2022 (PA-AD); alpha = eps / 10 and ten steps of projected
gradients where nothing else is said:

==========  ====================================================================================
``none``    s
``random``  s + U(-eps, eps) in every coordinate
``critic``  from s + U(-alpha, alpha), steps -alpha sign(grad V(s_hat)), V the victim's values
``mad``     *maximal action difference*: from s + alpha sign(N(0, 1)), steps + alpha sign(grad + nf
            N(0, 1)) of sum_a ((mu(s_hat) - mu(s))_a / sig_a)^2, sig the policy's standard
            deviations over their mean, nf = sqrt(2 alpha) / (i + 2) in step i
``min_q``   from s + U(-alpha, alpha), steps -alpha sign(grad Q(s, mu(s_hat))), Q of TD3 or SAC
``rs``      *robust Sarsa*: the same with a Q that was learned of the fixed victim, `sarsa`
``sa_rl``   s + eps clip(u, -1, 1), u what a network says that was trained to hurt
``pa_ad``   one step of size eps that moves the action where a network says, see `towards`
==========  ====================================================================================

mu is the mean action; every step is projected to the ball. Victims are attacked in many
environments at a time: one state at a time costs ten times as much.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

STEPS = 10


class Victim(NamedTuple):
    """A policy as attackers see it: functions of normalised states (n, dim), differentiable."""

    mean: Callable[[Tensor], Tensor]  # -> (n, actions)
    sigma: Tensor  # (actions,): standard deviations of the policy; ones where it has none
    value: Callable[[Tensor], Tensor] | None = None  # -> (n,): for ``critic``
    q: Callable[[Tensor, Tensor], Tensor] | None = None  # (states, actions) -> (n,): for ``min_q``


Attack = Callable[[Victim, Tensor, float, torch.Generator], Tensor]


def project(x: Tensor, s: Tensor, eps: float) -> Tensor:
    """``x`` clipped to within ``eps`` of ``s`` in every coordinate."""
    return torch.max(torch.min(x, s + eps), s - eps)


def even(s: Tensor, width: float, rng: torch.Generator) -> Tensor:
    """``s`` + U(-width, width)."""
    return s + width * (2.0 * torch.rand(s.shape, generator=rng) - 1.0)


def none(victim: Victim, s: Tensor, eps: float, rng: torch.Generator) -> Tensor:
    """No attack."""
    return s


def random(victim: Victim, s: Tensor, eps: float, rng: torch.Generator) -> Tensor:
    """Uniform noise."""
    return even(s, eps, rng)


def descend(
    objective: Callable[[Tensor], Tensor], start: Tensor, s: Tensor, eps: float, steps: int = STEPS
) -> Tensor:
    """``steps`` steps of eps / 10 down the sign of the objective's gradient, projected."""
    alpha, x = eps / STEPS, project(start, s, eps)
    for _ in range(steps):
        x = x.detach().requires_grad_(True)
        (slope,) = torch.autograd.grad(objective(x).sum(), x)
        x = project(x.detach() - alpha * torch.sign(slope), s, eps)
    return x.detach()


def critic(victim: Victim, s: Tensor, eps: float, rng: torch.Generator) -> Tensor:
    """Towards states that the victim itself values least."""
    if victim.value is None:
        raise ValueError("critic needs a victim with a value network")
    return descend(victim.value, even(s, eps / STEPS, rng), s, eps)


def min_q(victim: Victim, s: Tensor, eps: float, rng: torch.Generator) -> Tensor:
    """Towards the action that the victim's critic likes least."""
    q = victim.q
    if q is None:
        raise ValueError("min_q needs a victim with a critic Q(s, a): TD3 or SAC")
    return descend(lambda x: q(s, victim.mean(x)), even(s, eps / STEPS, rng), s, eps)


def mad(
    victim: Victim,
    s: Tensor,
    eps: float,
    rng: torch.Generator,
    noise: bool = True,
    steps: int = STEPS,
) -> Tensor:
    """Maximal action difference.

    The start costs a step, so ten steps may end at .9 eps; twelve reach every corner. The objective
    is summed over the batch, for the noise is added to the gradient of each state by itself.
    """
    alpha = eps / STEPS
    spread = victim.sigma / victim.sigma.mean()
    with torch.no_grad():
        before = victim.mean(s)
    x = s + alpha * torch.sign(torch.randn(s.shape, generator=rng))
    for i in range(steps):
        x = x.detach().requires_grad_(True)
        moved = (((victim.mean(x) - before) / spread) ** 2).sum()
        (slope,) = torch.autograd.grad(moved, x)
        if noise:
            slope = slope + (2.0 * alpha) ** 0.5 / (i + 2) * torch.randn(s.shape, generator=rng)
        x = project(x.detach() + alpha * torch.sign(slope), s, eps)
    return x.detach()


def towards(
    victim: Victim,
    s: Tensor,
    wish: Tensor,
    eps: float,
    rng: torch.Generator,
    objective: str = "cos_norm",
    sign: int = 1,
) -> Tensor:
    """The actor of PA-AD: s + eps sign(gradient) of how well the action changes as ``wish`` says.

    ``wish`` (n, actions) is the director's direction. ``objective`` "cos_norm" is the cosine of
    change and wish plus the change's length, from a random start within eps / 10; with one action
    the cosine has no gradient, and "dot", their inner product at s, is what to use. ``sign`` -1 is
    what the released MuJoCo code does: it goes down what it says it climbs.
    """
    with torch.no_grad():
        before = victim.mean(s)
    start = torch.zeros_like(s) if objective == "dot" else even(torch.zeros_like(s), eps / 10, rng)
    delta = start.requires_grad_(True)
    change = victim.mean(s + delta) - before
    if objective == "dot":
        reached = (wish * change).sum()
    else:
        cosine = torch.nn.functional.cosine_similarity(change, wish, dim=-1)
        reached = (cosine + change.norm(dim=-1)).sum()
    (slope,) = torch.autograd.grad(reached, delta)
    return (s + sign * eps * torch.sign(slope)).detach()


# --- robust Sarsa -------------------------------------------------------------------------------


def bounds(net: torch.nn.Sequential, x: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
    """Lower and upper bounds of a tanh network on the boxes ``x`` +- ``radius``, by intervals."""
    low, high = x - radius, x + radius
    for layer in net:
        if isinstance(layer, torch.nn.Linear):
            centre, half = (low + high) / 2.0, (high - low) / 2.0
            c = layer(centre)
            r = half @ layer.weight.abs().T
            low, high = c - r, c + r
        else:
            low, high = layer(low), layer(high)
    return low, high


def sarsa(
    states: Tensor,
    actions: Tensor,
    rewards: Tensor,
    after: Tensor,
    next_actions: Tensor,
    over: Tensor,
    *,
    seed: int,
    radius: float = 0.02,
    iterations: int = 30,
    gamma: float = 0.99,
    lr: float = 1e-3,
    width: int = 64,
    batch: int = 64,
) -> Callable[[Tensor, Tensor], Tensor]:
    """Q of a fixed victim from what it did, smooth in (s, a): the critic of ``rs``.

    Smooth-L1 temporal differences with the victim's own next actions, plus .1 times the mean of
    max(Q_high - Q, Q - Q_low)^2, the bounds being those on a ball around (s, a) whose radius grows
    from 0 to ``radius`` in the middle third of the iterations. The learning rate is constant for
    two thirds and then falls to 0. Rows (n, ...) of one step each, ``over`` 1 where an episode
    terminated.
    """
    torch.manual_seed(seed)
    size = states.shape[1] + actions.shape[1]
    net = torch.nn.Sequential(
        torch.nn.Linear(size, width), torch.nn.Tanh(),
        torch.nn.Linear(width, width), torch.nn.Tanh(),
        torch.nn.Linear(width, 1),
    )  # fmt: skip
    adam = torch.optim.Adam(net.parameters(), lr=lr)
    rng = torch.Generator().manual_seed(seed)
    pairs = torch.cat([states, actions], dim=1)
    nexts = torch.cat([after, next_actions], dim=1)
    for i in range(iterations):
        third = iterations / 3.0
        ball = radius * min(max((i - third) / third, 0.0), 1.0)
        share = min(1.0, (iterations - i) / third)
        for group in adam.param_groups:
            group["lr"] = lr * share
        for rows in torch.randperm(len(pairs), generator=rng).split(batch):
            x = pairs[rows]
            with torch.no_grad():
                target = rewards[rows] + gamma * (1.0 - over[rows]) * net(nexts[rows])[:, 0]
            now = net(x)[:, 0]
            loss = torch.nn.functional.smooth_l1_loss(now, target)
            if ball > 0.0:
                low, high = bounds(net, x, torch.full_like(x, ball))
                wide = torch.maximum(high[:, 0] - now, now - low[:, 0])
                loss = loss + 0.1 * (wide**2).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()

    def q(s: Tensor, a: Tensor) -> Tensor:
        return net(torch.cat([s, a], dim=1))[:, 0]

    return q


FIXED: dict[str, Attack] = {
    "none": none, "random": random, "critic": critic, "mad": mad, "min_q": min_q
}  # fmt: skip
