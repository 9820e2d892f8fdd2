"""Make arenas/logs/digits.csv; digits_x.csv with --features, digits_losses.csv with --losses.

With --sparse it makes sparse.csv and with --duels drinks.csv, which are simulated.

Data: the 1,797 handwritten digits of scikit-learn's ``load_digits``, the test set of "Optical
Recognition of Handwritten Digits" (Alpaydin & Kaynak 1998, UCI Machine Learning Repository,
licence CC BY 4.0). The log holds no image, only what follows.

The images are split in halves at random. On the first half K-means finds 20 clusters, and 30 of its
images, with their labels, make a weak classifier (the nearest of the 30 names the digit). Then
5,000 rounds are logged, each with an image of the second half, drawn with replacement:

context
    The cluster of the image: all that a policy may see.
action
    The guess, a digit from 0 to 9, drawn by a policy that plays the weak classifier's guesses in
    the proportions that they have in the cluster with probability .9, and any digit with
    probability .1: each digit has a probability of at least .01, rounded to four places.
reward
    1 if the guess is the image's label, else 0.
propensity
    The probability with which the policy of that context draws that action, exactly.

With ``--features`` there are 2,000 rounds, made in the same way, and the log has columns more:

x_0, ..., x_7
    The first 8 principal components of the image, divided by the largest norm that they have in
    the first half, and rounded to four places.
x_one
    1 in every round, the intercept of linear models.

As the images of the second half are known, so is the true value of every policy; it is printed.

With ``--losses`` the file has a row per image of the second half, in random order, and a column per
classifier: 1 less the probability that it gives to the image's label, rounded to four places. Each
classifier was taught the first 200 images of the first half. To switch classifiers costs time, to
see a loss costs a label.

With ``--sparse`` the file has 600 rows, in random order: 200 arms, three times each, with 64
features of -1 and 1. The mean reward of an arm is .5 x_5 - .4 x_20 + .3 x_41, and .1 more or less,
a coin decides for every arm; a reward is normal about it with standard deviation .2, rounded to
four places.

With ``--duels`` nobody is asked and no digit is seen: 400 made-up people judge 8 pairs of drinks
each. They are of three groups, whose tastes go round in a circle, so that most people prefer tea to
coffee, coffee to cocoa and cocoa to tea::

    36%   tea > coffee > cocoa > juice > water
    34%   coffee > cocoa > tea > juice > water
    30%   cocoa > tea > coffee > juice > water

An answer is a tie with probability .06; else it is that of the group with probability .9.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from banditlab.agents.offline_bandit.bc import bc
from banditlab.agents.offline_bandit.behaviour import behaviour
from banditlab.agents.offline_bandit.greedy_offline import greedy_offline
from banditlab.agents.offline_bandit.lcb import lcb
from banditlab.agents.offline_bandit.lin_lcb import lin_lcb
from banditlab.data.log import Log
from banditlab.offpolicy import learned, learned_by_row

CONTEXTS, ARMS, ROUNDS, LABELLED, EXPLORE = 20, 10, 5000, 30, 0.10
COMPONENTS, ROUNDS_X = 8, 2000
GROUPS = {  # of people who judge drinks: their share
    ("tea", "coffee", "cocoa", "juice", "water"): 0.36,
    ("coffee", "cocoa", "tea", "juice", "water"): 0.34,
    ("cocoa", "tea", "coffee", "juice", "water"): 0.30,
}
PEOPLE, JUDGED, TIED, ERRS = 400, 8, 0.06, 0.1
TAUGHT = 200  # images that teach a classifier of --losses
SEED = 20260101
LOGS = Path(__file__).parent.parent / "arenas" / "logs"


class World(NamedTuple):
    """The images of the second half, from which rounds are drawn, and who chooses."""

    context: np.ndarray  # (images,) cluster
    x: np.ndarray  # (images, COMPONENTS + 1) features
    label: np.ndarray  # (images,) digit
    policy: np.ndarray  # (CONTEXTS, ARMS) of the log


def make(rounds: int = ROUNDS) -> tuple[Log, World]:
    """A log with features, and the world behind it."""
    rng = np.random.default_rng(SEED)
    images, labels = load_digits(return_X_y=True)
    order = rng.permutation(len(images))
    first, second = order[: len(order) // 2], order[len(order) // 2 :]
    clusters = KMeans(CONTEXTS, n_init=10, random_state=SEED).fit(images[first])
    taught = first[:LABELLED]
    weak = KNeighborsClassifier(1).fit(images[taught], labels[taught])

    guesses = np.zeros((CONTEXTS, ARMS))
    np.add.at(guesses, (clusters.labels_, weak.predict(images[first])), 1.0)
    guesses /= guesses.sum(axis=1, keepdims=True)
    policy = np.round((1 - EXPLORE) * guesses + EXPLORE / ARMS, 4)
    likeliest = policy.argmax(axis=1)
    policy[np.arange(CONTEXTS), likeliest] += 1 - policy.sum(axis=1)
    policy = np.round(policy, 4)

    components = PCA(COMPONENTS, svd_solver="full").fit(images[first])
    largest = np.linalg.norm(components.transform(images[first]), axis=1).max()
    x = np.round(components.transform(images[second]) / largest, 4)
    x = np.column_stack([x, np.ones(len(second))])
    world = World(clusters.predict(images[second]), x, labels[second], policy)

    shown = rng.integers(len(second), size=rounds)
    context = world.context[shown]
    thresholds = policy.cumsum(axis=1)[context]
    action = (rng.random(rounds)[:, None] * thresholds[:, -1:] >= thresholds).sum(axis=1)
    reward = (action == world.label[shown]).astype(float)
    return Log(action, reward, context, policy[context, action], world.x[shown]), world


def losses() -> None:
    """Write digits_losses.csv and print what each classifier loses."""
    rng = np.random.default_rng(SEED)
    images, labels = load_digits(return_X_y=True)
    order = rng.permutation(len(images))
    taught, asked = order[:TAUGHT], order[len(order) // 2 :]
    models = {
        "naive_bayes": GaussianNB(),
        "tree": DecisionTreeClassifier(max_depth=6, random_state=SEED),
        "neighbours": KNeighborsClassifier(5),
        "logistic": LogisticRegression(max_iter=5000),
    }
    table = {}
    for name, model in models.items():
        model.fit(images[taught], labels[taught])
        right = model.predict_proba(images[asked])[np.arange(len(asked)), labels[asked]]
        table[name] = np.round(1.0 - right, 4) + 0.0  # no -0
        print(f"{name}: mean loss {table[name].mean():.4f}")
    path = LOGS / "digits_losses.csv"
    pd.DataFrame(table).to_csv(path, index=False, lineterminator="\n")
    print(f"{path.name}: {len(asked)} rows, {path.stat().st_size:,} bytes")


def sparse() -> None:
    """Write sparse.csv and print the largest mean reward."""
    rng = np.random.default_rng(SEED)
    x = rng.choice([-1, 1], size=(200, 64))
    mean = x[:, [5, 20, 41]] @ [0.5, -0.4, 0.3] + rng.choice([-0.1, 0.1], size=200)
    action = rng.permutation(np.repeat(np.arange(200), 3))
    reward = np.round(rng.normal(mean[action], 0.2), 4)
    table = {"action": [f"offer_{k:03}" for k in action], "reward": reward}
    table |= {f"x_{j}": x[action, j] for j in range(64)}
    path = LOGS / "sparse.csv"
    pd.DataFrame(table).to_csv(path, index=False, lineterminator="\n")
    print(f"{path.name}: {len(action)} rows, {path.stat().st_size:,} bytes")
    print(f"largest mean reward: {mean.max():.4f}, of offer_{mean.argmax():03}")


def duels() -> None:
    """Write drinks.csv."""
    rng = np.random.default_rng(SEED)
    orders, drinks = list(GROUPS), sorted(next(iter(GROUPS)))
    rows = []
    for person in range(1, PEOPLE + 1):
        order = orders[rng.choice(len(orders), p=list(GROUPS.values()))]
        for _ in range(JUDGED):
            left, right = (drinks[k] for k in rng.choice(len(drinks), 2, replace=False))
            best, other = sorted((left, right), key=order.index)
            winner = best if rng.random() >= ERRS else other
            winner = "tie" if rng.random() < TIED else winner
            rows.append((f"p{person:03}", left, right, winner))
    path = LOGS / "drinks.csv"
    table = pd.DataFrame(rows, columns=["annotator", "left", "right", "winner"])
    table.to_csv(path, index=False, lineterminator="\n")
    print(f"{path.name}: {len(table)} rows, {path.stat().st_size:,} bytes")


def main() -> None:
    """Write a log and print what policies are worth."""
    if "--sparse" in sys.argv[1:]:
        sparse()
        return
    if "--duels" in sys.argv[1:]:
        duels()
        return
    if "--losses" in sys.argv[1:]:
        losses()
        return
    features = "--features" in sys.argv[1:]
    log, world = make(ROUNDS_X if features else ROUNDS)
    frame = log.to_frame().astype({"reward": int}).rename(columns={f"x_{COMPONENTS}": "x_one"})
    frame = frame.astype({"x_one": int})
    if not features:
        frame = frame[["context", "action", "reward", "propensity"]]
    path = LOGS / ("digits_x.csv" if features else "digits.csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False, lineterminator="\n")
    print(f"{path.name}: {len(log)} rows, {path.stat().st_size:,} bytes")
    smallest, empty = world.policy.min(), (log.counts() == 0).sum()
    print(f"smallest propensity {smallest:g}; pairs without data {empty}")

    def value(policy: np.ndarray) -> float:
        return policy[np.arange(len(world.label)), world.label].mean()

    truth = np.zeros((CONTEXTS, ARMS))
    np.add.at(truth, (world.context, world.label), 1.0 / len(world.label))
    print(f"value of guessing at random: {1 / ARMS:.4f}")
    print(f"value of the logging policy: {value(world.policy[world.context]):.4f}")
    for rule in (lcb(), bc(), greedy_offline(), behaviour()):
        policy = learned(rule, log, (CONTEXTS, ARMS))[world.context]
        print(f"value of {type(rule.params).__name__} learned from the log: {value(policy):.4f}")
    print(f"value of the best policy of contexts: {truth.max(axis=1).sum():.4f}")
    if features:
        for beta in (1.0, 0.0):
            policy = learned_by_row(lin_lcb(beta, disjoint=True), log, world.x, ARMS)
            print(f"value of LinLCB, beta = {beta:g}, learned from the log: {value(policy):.4f}")


if __name__ == "__main__":
    main()
