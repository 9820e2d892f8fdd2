"""Other people's bandit libraries on the instance of scripts/benchmark.py, where installed.

Each function plays one agent for ``rounds`` rounds as its documentation says, in the library's own
Python, against rewards drawn beforehand, and returns the mean reward: proof that it learned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np

Play = Callable[[np.ndarray, np.ndarray], float]  # (rewards (rounds, arms), features (arms, dim))


def mabwiser(policy: str) -> Play:
    """MABWiser (Fidelity)."""
    from mabwiser.mab import MAB, LearningPolicy

    def play(rewards: np.ndarray, features: np.ndarray) -> float:
        rounds, n_arms = rewards.shape
        chosen: Any = {
            "ucb": LearningPolicy.UCB1(alpha=1.0),
            "thompson": LearningPolicy.ThompsonSampling(),
            "linucb": LearningPolicy.LinUCB(alpha=1.0),
        }[policy]
        mab = MAB(list(range(n_arms)), chosen)
        context = features[:1] if policy == "linucb" else None
        first = (list(range(n_arms)), rewards[0].tolist())
        mab.fit(*first, *([np.repeat(context, n_arms, axis=0)] if context is not None else []))
        total = 0.0
        more = [context] if context is not None else []
        for t in range(rounds):
            arm = mab.predict(*more)
            total += rewards[t, arm]
            mab.partial_fit([arm], [rewards[t, arm]], *more)
        return total / rounds

    return play


def river(policy: str) -> Play:
    """River."""
    from river import bandit, proba, stats

    def play(rewards: np.ndarray, features: np.ndarray) -> float:
        rounds, n_arms = rewards.shape
        arms = list(range(n_arms))
        agent: Any
        if policy == "ucb":
            agent = bandit.UCB(delta=1, reward_obj=stats.Mean(), seed=1)
        elif policy == "thompson":
            agent = bandit.ThompsonSampling(reward_obj=proba.Beta(), seed=1)
        else:
            agent = bandit.LinUCBDisjoint(alpha=1.0, seed=1)
        x = {f"x{i}": float(v) for i, v in enumerate(features[0])}
        total = 0.0
        for t in range(rounds):
            if policy == "linucb":
                arm = agent.pull(arms, context=x)
                agent.update(arm, x, float(rewards[t, arm]))
            else:
                arm = agent.pull(arms)
                agent.update(arm, float(rewards[t, arm]))
            total += rewards[t, arm]
        return total / rounds

    return play


def coba(policy: str) -> Play:
    """Coba (Rucker)."""
    from coba.learners import BanditUCBLearner, LinUCBLearner

    def play(rewards: np.ndarray, features: np.ndarray) -> float:
        rounds, n_arms = rewards.shape
        agent: Any = BanditUCBLearner() if policy == "ucb" else LinUCBLearner(features=["a"])
        actions: list[Any] = list(range(n_arms))
        context = None
        if policy == "linucb":
            actions = [tuple(map(float, row)) for row in features]
        total = 0.0
        for t in range(rounds):
            action, chance = agent.predict(context, actions)[:2]
            arm = actions.index(action)
            total += rewards[t, arm]
            agent.learn(context, action, float(rewards[t, arm]), chance)
        return total / rounds

    return play


def obp(policy: str) -> Play:
    """Open Bandit Pipeline."""
    from obp.policy import BernoulliTS, LinUCB

    def play(rewards: np.ndarray, features: np.ndarray) -> float:
        rounds, n_arms = rewards.shape
        dim = features.shape[1]
        linear = policy == "linucb"
        agent: Any = LinUCB(dim=dim, n_actions=n_arms) if linear else BernoulliTS(n_actions=n_arms)
        context = features[:1]
        total = 0.0
        for t in range(rounds):
            arm = int((agent.select_action(context) if linear else agent.select_action())[0])
            total += rewards[t, arm]
            if linear:
                agent.update_params(arm, float(rewards[t, arm]), context)
            else:
                agent.update_params(arm, float(rewards[t, arm]))
        return total / rounds

    return play


def pymab(policy: str) -> Play:
    """PyMAB 2, whose Rust core plays a whole experiment, on its own rewards of the same means."""
    from pymab import BanditEnvironment, BernoulliReward, Experiment, ExperimentConfig, policies

    def play(rewards: np.ndarray, features: np.ndarray) -> float:
        rounds, n_arms = rewards.shape
        environment = BanditEnvironment(means=rewards.mean(axis=0), reward_model=BernoulliReward())
        if policy == "ucb":
            agent: Any = policies.UCBPolicy(n_arms=n_arms)
        else:
            agent = policies.BernoulliThompsonSamplingPolicy(n_arms=n_arms)
        found = Experiment(
            environment=environment,
            policies={policy: agent},
            config=ExperimentConfig(horizon=rounds, n_replicates=1, seed=1),
        ).run()
        return float(np.mean(found.average_reward_by_step))

    return play


def gittins(policy: str) -> Play:
    """Gittins 2: one engine, shown each arm's features, that decides, is told and forgets."""
    import gittins

    def play(rewards: np.ndarray, features: np.ndarray) -> float:
        rounds, n_arms = rewards.shape
        state = gittins.create(bits=10, horizon=float(rounds))
        arms = [(str(k), {f"x{i}": float(v) for i, v in enumerate(features[k])})
                for k in range(n_arms)]  # fmt: skip
        total = 0.0
        for t in range(rounds):
            record = gittins.decide(state, {}, arms, float(t), f"round-{t}")
            reward = float(rewards[t, record.chosen])
            gittins.learn(state, record.decision_id, reward, float(t))
            total += reward
        return total / rounds

    return play


def contextualbandits(policy: str) -> Play:
    """contextualbandits (Cortes), with updates by Sherman and Morrison, as it advises online."""
    from contextualbandits.online import LinTS, LinUCB

    def play(rewards: np.ndarray, features: np.ndarray) -> float:
        rounds, n_arms = rewards.shape
        made = LinUCB if policy == "linucb" else LinTS
        agent: Any = made(nchoices=n_arms, method="sm", fit_intercept=False, random_state=1)
        context = features[:1]
        # It begins with a batch: each arm once.
        every = np.arange(n_arms)
        agent.fit(np.repeat(context, n_arms, axis=0), every, rewards[0])
        total = 0.0
        for t in range(rounds):
            arm = int(agent.predict(context)[0])
            total += rewards[t, arm]
            agent.partial_fit(context, np.array([arm]), np.array([rewards[t, arm]]))
        return total / rounds

    return play


def bayesianbandits(policy: str) -> Play:
    """bayesianbandits (Kulkarni): conjugate learners, one per arm."""
    from bayesianbandits import (
        Agent,
        Arm,
        ContextualAgent,
        DirichletClassifier,
        NormalInverseGammaRegressor,
        ThompsonSampling,
        UpperConfidenceBound,
    )

    def play(rewards: np.ndarray, features: np.ndarray) -> float:
        rounds, n_arms = rewards.shape
        agent: Any
        if policy == "linucb":
            arms = [Arm(k, learner=NormalInverseGammaRegressor()) for k in range(n_arms)]
            agent = ContextualAgent(arms, UpperConfidenceBound(alpha=0.84), random_seed=1)
        else:
            paid = {0: 1.0, 1: 1.0}
            arms = [
                Arm(k, reward_function=lambda p: p[..., 1], learner=DirichletClassifier(paid))
                for k in range(n_arms)
            ]
            agent = Agent(arms, ThompsonSampling(), random_seed=1)
        context = [features[:1]] if policy == "linucb" else []
        total = 0.0
        for t in range(rounds):
            [arm] = agent.pull(*context)
            total += rewards[t, arm]
            value = rewards[t, arm] if policy == "linucb" else int(rewards[t, arm])
            agent.update(*context, np.array([value]))
        return total / rounds

    return play


OFFERED: dict[str, tuple[Callable[[str], Play], tuple[str, ...]]] = {
    "mabwiser": (mabwiser, ("ucb", "thompson", "linucb")),
    "river": (river, ("ucb", "thompson", "linucb")),
    "coba": (coba, ("ucb", "linucb")),
    "obp": (obp, ("thompson", "linucb")),
    "pymab": (pymab, ("ucb", "thompson")),
    "gittins": (gittins, ("engine",)),
    "contextualbandits": (contextualbandits, ("linucb", "lin_ts")),
    "bayesianbandits": (bayesianbandits, ("thompson", "linucb")),
}


def installed() -> Iterator[tuple[str, str, Play]]:
    """Library, agent and how to play it, for every library found here."""
    for library, (make, policies) in OFFERED.items():
        if find_spec(library) is not None:
            for policy in policies:
                yield library, policy, make(policy)
