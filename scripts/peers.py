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


OFFERED: dict[str, tuple[Callable[[str], Play], tuple[str, ...]]] = {
    "mabwiser": (mabwiser, ("ucb", "thompson", "linucb")),
    "river": (river, ("ucb", "thompson", "linucb")),
    "coba": (coba, ("ucb", "linucb")),
    "obp": (obp, ("thompson", "linucb")),
}


def installed() -> Iterator[tuple[str, str, Play]]:
    """Library, agent and how to play it, for every library found here."""
    for library, (make, policies) in OFFERED.items():
        if find_spec(library) is not None:
            for policy in policies:
                yield library, policy, make(policy)
