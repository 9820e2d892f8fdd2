"""Rounds per second of agents with networks: ours, plain torch, and other libraries.

The task is ``digits`` played as a bandit (64 features, 10 arms), networks of one layer of 100 units
that are trained after rounds 0, 10, 20, ... by up to 2000 steps of one sample. NeuralUCB and
NeuSquareCB in torch are the same algorithms, written as all published programs are: long vectors
with a block per arm, a backward pass for every arm, an optimiser step for every sample. All are
played for the same number of rounds on one core, in turns, and CPU time is counted.

Of other libraries those run that are installed (calvera, contextualbandits, pybandits). They learn
otherwise and less, see the functions: after every tenth round they are handed the last ten, once,
where the others do 2000 steps. Run it alone: ``python scripts/neural.py``, with torch and those
libraries where Python finds them.
"""

from __future__ import annotations

import importlib.util
import io
import logging
import math
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr
from typing import Any

import numpy as np

import banditlab
from banditlab import random, registry
from banditlab.compile import compiled
from banditlab.core import Task
from banditlab.protocols import online

K, D, UNITS, LR = 10, 64, 100, 0.05
Play = Callable[[np.ndarray, np.ndarray], int]  # (x, label) of all rounds -> mistakes


def due(t: int) -> bool:
    """Whether there is training after round t."""
    return t % 10 == 0 if t < 1000 else t % 100 == 0


def ours(name: str, rounds: int) -> tuple[float, float]:
    """CPU seconds and mistakes of a replication; compilation is not counted."""
    problem = registry.make_problem("classification", data="digits")
    record = np.zeros((1, 1, 3))
    points = np.array([rounds])
    args = (Task(K, 1, D, rounds), random.key(1), 0, 0, points, np.zeros(2, np.int64), record)
    pair = compiled(online.run_block, (registry.make(name), problem), args)
    began = time.process_time()
    pair(*args)
    return time.process_time() - began, float(record[0, 0, 0])


# --- torch --------------------------------------------------------------------------------------


class Torch:
    """A network of rewards or costs, and its training."""

    def __init__(self, pull: float = 0.0):
        import torch

        torch.set_num_threads(1)
        torch.manual_seed(1)
        self.torch, self.pull = torch, pull
        linear = torch.nn.Linear
        self.net = torch.nn.Sequential(linear(K * D, UNITS), torch.nn.ReLU(), linear(UNITS, 1))
        self.start = [p.detach().clone() for p in self.net.parameters()]
        self.rows: list[Any] = []
        self.targets: list[float] = []

    def blocks(self, x: np.ndarray) -> Any:
        """The long vectors of all arms."""
        long = self.torch.zeros(K, K * D)
        for k in range(K):
            long[k, k * D : (k + 1) * D] = self.torch.from_numpy(x).float()
        return long

    def learn(self, row: Any, target: float, train: bool, rng: np.random.Generator) -> None:
        """Remember; train."""
        self.rows.append(row)
        self.targets.append(target)
        if not train:
            return
        optimizer = self.torch.optim.SGD(self.net.parameters(), lr=LR)
        order, steps = rng.permutation(len(self.rows)), 0
        while True:
            errors = 0.0
            for i in order:
                optimizer.zero_grad()
                loss = (self.net(self.rows[i]) - self.targets[i]).pow(2).sum()
                loss.backward()
                if self.pull:
                    for p, start in zip(self.net.parameters(), self.start, strict=True):
                        p.grad.add_(p.detach() - start, alpha=2.0 * self.pull)
                optimizer.step()
                errors += loss.item()
                steps += 1
                if steps == 2000:
                    return
            if errors / len(order) <= 1e-3:
                return


def torch_neural_ucb(X: np.ndarray, y: np.ndarray) -> int:
    """NeuralUCB, as its authors' program."""
    it, rng, mistakes, ridge, nu = Torch(), np.random.default_rng(1), 0, 0.1, 0.01
    torch, net = it.torch, it.net
    U = ridge * torch.ones(sum(p.numel() for p in net.parameters()))
    for t in range(len(y)):
        rows, best = it.blocks(X[t]), (-math.inf, 0, U)
        for k, f in enumerate(net(rows)):
            net.zero_grad()
            f.backward(retain_graph=True)
            g = torch.cat([p.grad.flatten() for p in net.parameters()])
            index = f.item() + math.sqrt((ridge * nu * g * g / U).sum().item())
            best = (index, k, g) if index > best[0] else best
        U += best[2] ** 2
        reward = float(best[1] == y[t])
        mistakes += int(1.0 - reward)
        it.learn(rows[best[1]], reward, due(t), rng)
    return mistakes


def torch_neu_square_cb(X: np.ndarray, y: np.ndarray) -> int:
    """NeuSquareCB with the expected perturbation."""
    it, rng, mistakes = Torch(pull=1e-5), np.random.default_rng(1), 0
    for t in range(len(y)):
        rows = it.blocks(X[t])
        with it.torch.no_grad():
            cost = it.net(rows)[:, 0].double().numpy()
        p = 1.0 / (K + 10.0 * math.sqrt(t + 1.0) * (cost - cost.min()))
        b = int(cost.argmin())
        p[b] = 0.0
        p[b] = 1.0 - p.sum()
        arm = int(rng.choice(K, p=p / p.sum()))
        mistakes += int(arm != y[t])
        it.learn(rows[arm], float(arm != y[t]), due(t), rng)
    return mistakes


# --- other libraries ----------------------------------------------------------------------------


def calvera_neural_ucb(X: np.ndarray, y: np.ndarray) -> int:
    """NeuralUCB of calvera: after every tenth round a pass over all that is in its buffer."""
    import lightning.pytorch as lightning  # type: ignore[import-not-found]
    from calvera.bandits import NeuralUCBBandit  # type: ignore[import-not-found]

    it, mistakes = Torch(), 0
    agent = NeuralUCBBandit(
        K * D, it.net, exploration_rate=0.01, weight_decay=0.1, learning_rate=0.001,
        min_samples_required_for_training=10, initial_train_steps=0,
    )  # fmt: skip
    for t in range(len(y)):
        rows = it.blocks(X[t])[None]
        chosen, _ = agent(rows)
        arm = int(chosen[0].argmax())
        mistakes += int(arm != y[t])
        reward = it.torch.tensor([[float(arm == y[t])]])
        agent.record_feedback(rows[:, arm : arm + 1], reward)
        if t % 10 == 9:
            quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
            lightning.Trainer(
                max_epochs=1, enable_checkpointing=False, accelerator="cpu", **quiet
            ).fit(agent)
    return mistakes


def contextualbandits_epsilon(X: np.ndarray, y: np.ndarray) -> int:
    """Epsilon-greedy over networks of scikit-learn, one per arm, handed the last ten rounds."""
    from contextualbandits.online import EpsilonGreedy  # type: ignore[import-not-found]
    from sklearn.neural_network import MLPClassifier

    base = MLPClassifier((UNITS,), random_state=1)
    agent = EpsilonGreedy(base, nchoices=K, batch_train=True, random_state=1)
    arms: list[int] = []
    for t in range(len(y)):
        new = np.random.default_rng(t).integers(K) if t < 10 else agent.predict(X[t : t + 1])[0]
        arms.append(int(new))
        if t % 10 == 9:
            last, played = slice(t - 9, t + 1), np.array(arms[-10:])
            paid = (played == y[last]).astype(float)
            (agent.partial_fit if t > 9 else agent.fit)(X[last], played, paid)
    return int((np.array(arms) != y).sum())


def pybandits_bayesian(X: np.ndarray, y: np.ndarray) -> int:
    """Thompson sampling over Bayesian networks, one per arm, handed the last ten rounds."""
    from pybandits.cmab import CmabBernoulli  # type: ignore[import-not-found]

    agent = CmabBernoulli.cold_start(action_ids={f"a{k}" for k in range(K)}, n_features=D)
    arms: list[str] = []
    for t in range(len(y)):
        arms.append(agent.predict(context=X[t : t + 1])[0][0])
        if t % 10 == 9:
            played, labels = arms[-10:], y[t - 9 : t + 1]
            paid = [int(a == f"a{label}") for a, label in zip(played, labels, strict=True)]
            agent.update(actions=played, rewards=paid, context=X[t - 9 : t + 1])
    return sum(a != f"a{label}" for a, label in zip(arms, y, strict=True))


RIVALS: list[tuple[str, str, str, Play]] = [  # package, agent, words, program
    ("torch", "neural_ucb", "plain torch", torch_neural_ucb),
    ("torch", "neu_square_cb", "plain torch", torch_neu_square_cb),
    ("calvera", "neural_ucb", "calvera", calvera_neural_ucb),
    (
        "contextualbandits",
        "neural_epsilon",
        "contextualbandits, networks",
        contextualbandits_epsilon,
    ),
    ("pybandits", "neural_ts", "pybandits", pybandits_bayesian),
]


def rounds_of(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of digits, of length 1, in random order."""
    problem = banditlab.make_problem("classification", data="digits").params
    order = np.random.default_rng(1).permutation(len(problem.y))[:count]
    return problem.x[order], problem.y[order]


def measure(quick: bool = False) -> list[dict[str, Any]]:
    """Rows with agent, way, rounds per CPU-second and mistakes; or what a library raised."""
    rounds, found = (30 if quick else 120), []
    X, y = rounds_of(rounds)
    for package, agent, words, program in RIVALS:
        if importlib.util.find_spec(package) is None:
            continue
        few = min(rounds, 20) if package == "pybandits" else rounds
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            own = [ours(agent, rounds) for _ in range(3)]
            try:
                began = time.process_time()
                mistakes = program(X[:few], y[:few])
                seconds = time.process_time() - began
            except Exception as error:  # another's code: say what it said
                found.append({"agent": agent, "how": words, "error": repr(error)[:200]})
                continue
            own += [ours(agent, rounds) for _ in range(3)]  # a busy neighbour hurts both alike
        best = min(s for s, _ in own)
        found += [
            {"agent": agent, "how": "banditlab", "rounds_per_second": rounds / best,
             "mistakes": own[0][1], "rounds": rounds},
            {"agent": agent, "how": words, "rounds_per_second": few / seconds,
             "mistakes": mistakes, "rounds": few, "ratio": rounds / best / (few / seconds)},
        ]  # fmt: skip
    return found


def lines(rows: list[dict[str, Any]]) -> list[str]:
    """The rows in words."""
    found = []
    for row in rows:
        words = f"{row['agent']}, {row['how']}: "
        if "error" in row:
            found.append(words + f"did not run: {row['error']}")
            continue
        words += f"{row['rounds_per_second']:,.1f} rounds / s, {row['mistakes']:.0f} mistakes"
        words += f" in {row['rounds']}"
        found.append(
            words + (f"; ours {row['ratio']:,.0f} times as fast" if "ratio" in row else "")
        )
    return found


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    print("\n".join(lines(measure())))
