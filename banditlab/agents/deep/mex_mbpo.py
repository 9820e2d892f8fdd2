"""MEX-MB on MBPO, reduced: a model of the world that is likely, and a little better than that.

Liu, Lu, Xiong, Zhong, Hu, Zhang, Zheng, Yang & Wang 2023, "Maximize to explore: one objective
function fusing estimation, planning and exploration" (arXiv 2305.18258), the model-based variant
and its released code, on Janner, Fu, Zhang & Levine 2019, "When to trust your model: model-based
policy optimization" (arXiv 1906.08253). SAC learns from steps that a model dreams of, and from no
other; the model is fitted anew every ``every`` steps, from the weights that it has, with the loss::

    mean[ (y - mu)^2 / sigma^2 + log sigma^2 ]  -  coefficient * mean[ log p(s', r | s, a) A ]

- The first term is over the data, y = (s' - s, r): the model is to be likely.
- The second is over their states s, with a drawn from the policy and (s', r) from the model itself.
  A = r + gamma Q(s', a') - Q(s, a), the least of both critics, standardised over the batch, is how
  much better that step was than expected. In expectation its gradient is, up to a factor, that of
  the value that the policy has in the model: the model is to promise much.

With coefficient 0 nothing is drawn for it, and it is MBPO.

Reduced, for two cores: one network (as released), steps that are dreamed of begin at remembered
states and end after one, SAC of width 256 with two updates in each step (released: 512 with 40, for
this family of tasks). The first actions are those of the untrained policy; all are drawn from it,
where the released code takes its mode while it trains. When an episode would have ended is known,
see :mod:`banditlab.parts.deep.endings`.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from banditlab.agents.deep import td3
from banditlab.protocols.gym import Deep, Environment, Learner, Setting, make
from banditlab.validate import below_one, between, integer, nonnegative, positive

label = "MEX-MBPO, reduced"

FACTS = ("value", "lift", "model_error")
AT_ONCE = 5000  # steps that are dreamed of together: more would leave the processor's cache


class MexMBPO(NamedTuple):
    """Hyper-parameters: those of the model, and those of SAC."""

    coefficient: float = 0.001  # at least 0: weight of the optimism; 0 is MBPO
    dreams: int = 400  # at least 1: steps of the model for each step of the environment
    every: int = 250  # at least 1: steps between two fits of the model
    retained: int = 4  # at least 1: fits whose dreams are remembered
    epochs: int = 20  # at least 1: passes over the data in a fit, at most
    patience: int = 5  # at least 1: passes without a better model, after which a fit ends
    validation: float = 0.2  # in [0, 1): share of the data that tells which model is better
    model_rate: float = 0.001  # positive: learning rate of the model
    model_decay: float = 0.00001  # at least 0: weight decay of the model
    model_width: int = 200  # at least 1: units of each of the model's four hidden layers
    updates: int = 2  # at least 1: of SAC in each step
    alpha: float = 0.2  # at least 0: price of entropy; 0: tuned
    learning_rate: float = 3e-4  # positive: of actor, critics and temperature
    learning_starts: int = 5000  # at least 10: steps before the first fit and the first update
    batch_size: int = 256  # at least 1: of the model and of SAC
    gamma: float = 0.99  # in [0, 1]: discount
    tau: float = 0.005  # in [0, 1]: how far targets follow in one update
    width: int = 256  # at least 1: units of each of SAC's two hidden layers


def never(observations: np.ndarray) -> np.ndarray:
    """No observation (n, d) is an end."""
    return np.zeros(len(observations), dtype=bool)


@cache
def subclass() -> Any:
    """The class ``MEXMBPO``, a :class:`stable_baselines3.SAC`; made when it is first asked for."""
    import torch
    from gymnasium.spaces import Box
    from stable_baselines3 import SAC
    from stable_baselines3.common.buffers import ReplayBuffer

    from banditlab.parts.deep.dynamics import (
        Dynamics,
        Fitting,
        Rows,
        draw,
        fit,
        log_density,
        remember,
    )

    class MEXMBPO(SAC):
        """SAC that learns from what its model dreams of; see the module. One environment."""

        kept = ("stream", "model_updates", "dreamed", "error")
        memories = ("imagined",)
        replay_buffer: Any

        def __init__(
            self, *args: Any, terms: MexMBPO | None = None, ends: Any = never, **given: Any
        ):
            self.terms = terms or MexMBPO()
            self.ends = ends
            # Of the data that are split and of the states where dreams begin, of nothing else.
            self.stream = np.random.default_rng((given.get("seed") or 0, 2))
            self.model_updates = 0  # of the model so far
            self.dreamed = 0  # steps so far
            self.error = float("nan")  # of the model on validation data, mean squared
            super().__init__(*args, **given)

        def _setup_model(self) -> None:
            super()._setup_model()
            self.terms = MexMBPO(*self.terms)  # the library's files hold lists
            terms, seen = self.terms, self.observation_space.shape
            self.imagined = ReplayBuffer(
                terms.retained * terms.every * terms.dreams,
                Box(-np.inf, np.inf, seen, np.float32),
                self.action_space,
                device=self.device,
            )
            self.dynamics = Dynamics(seen[0], self.action_space.shape[0], terms.model_width)
            self.dynamics_optimizer = torch.optim.Adam(
                self.dynamics.parameters(),
                lr=terms.model_rate,
                weight_decay=terms.model_decay,
                fused=True,  # half the time of a step
            )

        def _excluded_save_params(self) -> list[str]:
            own = ["ends", "stream", "imagined", "dynamics", "dynamics_optimizer"]
            return [*super()._excluded_save_params(), *own]

        def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
            names, tensors = super()._get_torch_save_params()
            return [*names, "dynamics", "dynamics_optimizer"], tensors

        def _sample_action(self, learning_starts: int, *given: Any) -> Any:
            """Every action is the policy's, also before it has learned."""
            return super()._sample_action(0, *given)

        def train(self, gradient_steps: int, batch_size: int = 256) -> None:
            """As SAC does, on dreams; first the model, if it is its turn."""
            if (self.num_timesteps - self.learning_starts - 1) % self.terms.every == 0:
                self.fit_model()
                self.dream()
            real, self.replay_buffer = self.replay_buffer, self.imagined
            try:
                super().train(gradient_steps, batch_size)
            finally:
                self.replay_buffer = real

        def lived(self) -> Rows:
            """All steps of the environment so far."""
            buffer = self.replay_buffer
            n = buffer.buffer_size if buffer.full else buffer.pos
            seen, then = buffer.observations[:n, 0], buffer.next_observations[:n, 0]
            targets = np.concatenate([then - seen, buffer.rewards[:n]], axis=1)
            columns = (seen, buffer.actions[:n, 0], targets)
            return Rows(*(torch.from_numpy(x.astype(np.float32)) for x in columns))

        def fit_model(self) -> None:
            """To all that was lived, and a little to what is hoped."""
            terms = self.terms
            how = Fitting(terms.epochs, terms.patience, terms.validation, self.batch_size)
            also = None if terms.coefficient == 0 else self.hope
            optimizer = self.dynamics_optimizer
            done = fit(self.dynamics, optimizer, self.lived(), self.stream, how, also)
            self.model_updates += done.updates
            self.error = done.error

        def hope(self, states: Any) -> Any:
            """The second term of the model's loss, on these states."""
            return -self.terms.coefficient * self.optimism(states)

        def optimism(self, states: Any) -> Any:
            """mean[ log p(s', r | s, a) A ]: its gradient makes better steps likelier.

            Only the model has a gradient of it, through p; what it drew is taken as it is.
            """
            with torch.no_grad():
                actions = self.actor(states)
            mean, logvar = self.dynamics(self.dynamics.inputs(states, actions))
            with torch.no_grad():
                drawn = draw(mean, logvar)
                gain = standard(self.gains(states, actions, drawn))
            return (log_density(mean, logvar, drawn) * gain[:, None]).mean()

        def gains(self, states: Any, actions: Any, drawn: Any) -> Any:
            """How much better than expected each step was, (n,)."""
            ahead = states + drawn[:, :-1]
            values = self.critic(
                torch.cat([ahead, states]), torch.cat([self.actor(ahead), actions])
            )
            then, now = torch.minimum(*values)[:, 0].chunk(2)
            return drawn[:, -1] + self.gamma * then - now

        def dream(self) -> None:
            """The steps of the model for all steps until it is fitted again.

            Each begins at a state that was lived, drawn uniformly, with an action of the policy.
            """
            states = self.lived().states
            count = self.terms.dreams * self.terms.every
            starts = torch.from_numpy(self.stream.integers(len(states), size=count))
            with torch.no_grad():
                for rows in starts.split(AT_ONCE):
                    seen = states[rows]
                    actions = self.actor(seen)
                    drawn = draw(*self.dynamics(self.dynamics.inputs(seen, actions)))
                    then = (seen + drawn[:, :-1]).numpy()
                    remember(
                        self.imagined, seen.numpy(), actions.numpy(), then, drawn[:, -1].numpy(),
                        self.ends(then),
                    )  # fmt: skip
            self.dreamed += count

    def standard(gain: Any) -> Any:
        """Less its mean, in deviations; one step alone is neither better nor worse."""
        if len(gain) == 1:
            return torch.zeros_like(gain)
        return (gain - gain.mean()) / (gain.std() + 1e-8)

    MEXMBPO.__qualname__ = "MEXMBPO"
    return MEXMBPO


def rule_of(environment: Environment) -> Any:
    """When its episodes end, see :func:`banditlab.parts.deep.endings.ending`."""
    from banditlab.parts.deep.endings import ending

    env = make(environment)
    try:
        return ending(env)
    finally:
        env.close()


def fits(params: MexMBPO, environment: Environment, horizon: int) -> None:
    """ValueError if nothing is learned so soon, or no observation tells when an episode ends."""
    td3.fits(params, environment, horizon)
    rule_of(environment)


def learner(params: MexMBPO, setting: Setting) -> Learner:
    """MEX at work."""
    from banditlab.parts.deep.sb3 import Critics

    class Dreaming(Critics):
        """Says how far its model is off, beside its values."""

        def facts(self, observations: np.ndarray) -> dict[str, float]:
            return {**super().facts(observations), "model_error": self.model.error}

    return Dreaming(
        subclass(),
        setting,
        terms=params,
        ends=rule_of(setting.environment),
        gradient_steps=params.updates,
        ent_coef=params.alpha or "auto",
        learning_rate=params.learning_rate,
        learning_starts=params.learning_starts,
        batch_size=params.batch_size,
        buffer_size=setting.horizon + 1,
        gamma=params.gamma,
        tau=params.tau,
        policy_kwargs={"net_arch": [params.width, params.width]},
    )


def mex_mbpo(
    coefficient: float = 0.001,
    dreams: int = 400,
    every: int = 250,
    retained: int = 4,
    epochs: int = 20,
    patience: int = 5,
    validation: float = 0.2,
    model_rate: float = 0.001,
    model_decay: float = 0.00001,
    model_width: int = 200,
    updates: int = 2,
    alpha: float = 0.2,
    learning_rate: float = 3e-4,
    learning_starts: int = 5000,
    batch_size: int = 256,
    gamma: float = 0.99,
    tau: float = 0.005,
    width: int = 256,
) -> Deep:
    """MEX-MB on MBPO, reduced; see :class:`MexMBPO`."""
    params = MexMBPO(
        nonnegative("coefficient", coefficient),
        integer("dreams", dreams, 1),
        integer("every", every, 1),
        integer("retained", retained, 1),
        integer("epochs", epochs, 1),
        integer("patience", patience, 1),
        below_one("validation", validation),
        positive("model_rate", model_rate),
        nonnegative("model_decay", model_decay),
        integer("model_width", model_width, 1),
        integer("updates", updates, 1),
        nonnegative("alpha", alpha),
        positive("learning_rate", learning_rate),
        integer("learning_starts", learning_starts, 10),
        integer("batch_size", batch_size, 1),
        between("gamma", gamma, 0.0, 1.0),
        between("tau", tau, 0.0, 1.0),
        integer("width", width, 1),
    )
    return Deep(params, learner, facts=FACTS, fits=fits)
