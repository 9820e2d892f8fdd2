"""Make arenas/logs/digits.csv, the log of a contextual bandit made from real data.

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

As the images of the second half are known, so is the true value of every policy; it is printed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from banditlab.agents.offline.bc import bc
from banditlab.agents.offline.behaviour import behaviour
from banditlab.agents.offline.greedy_offline import greedy_offline
from banditlab.agents.offline.lcb import lcb
from banditlab.log import Log
from banditlab.offpolicy import learned

CONTEXTS, ARMS, ROUNDS, LABELLED, EXPLORE = 20, 10, 5000, 30, 0.10
SEED = 20260101
PATH = Path(__file__).parent.parent / "arenas" / "logs" / "digits.csv"


def make() -> tuple[Log, np.ndarray, np.ndarray]:
    """The log, its policy (contexts, arms), and each context's share of each label."""
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

    context_of = clusters.predict(images[second])
    truth = np.zeros((CONTEXTS, ARMS))
    np.add.at(truth, (context_of, labels[second]), 1.0 / len(second))

    shown = rng.integers(len(second), size=ROUNDS)
    context = context_of[shown]
    thresholds = policy.cumsum(axis=1)[context]
    action = (rng.random(ROUNDS)[:, None] * thresholds[:, -1:] >= thresholds).sum(axis=1)
    reward = (action == labels[second][shown]).astype(float)
    return Log(action, reward, context, policy[context, action]), policy, truth


def main() -> None:
    """Write the log and print what policies are worth."""
    log, policy, truth = make()
    frame = log.to_frame().astype({"reward": int})
    PATH.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(PATH, index=False, lineterminator="\n")
    print(f"{PATH.name}: {len(log)} rows, {PATH.stat().st_size:,} bytes")
    print(f"smallest propensity {policy.min():g}; pairs without data {(log.counts() == 0).sum()}")
    best = truth.max(axis=1).sum()
    print(f"value of guessing at random: {truth.sum() / ARMS:.4f}")
    print(f"value of the logging policy: {(truth * policy).sum():.4f}")
    for rule in (lcb(), bc(), greedy_offline(), behaviour()):
        value = (truth * learned(rule, log, truth.shape)).sum()
        print(f"value of {type(rule.params).__name__} learned from the log: {value:.4f}")
    print(f"value of the best policy: {best:.4f}")


if __name__ == "__main__":
    main()
