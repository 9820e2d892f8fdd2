"""The Gymnasium shell: ids, spaces, and the arena's own curve from a hand-written loop."""

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

import banditlab
from banditlab import random
from banditlab.compile import compiled
from banditlab.core import Task
from banditlab.envs import (
    BanditEnv,
    EpisodicEnv,
    bandit_names,
    env_id,
    process_names,
    register_envs,
)
from banditlab.parts import sparse_velocity
from banditlab.protocols import episodic, online
from banditlab.protocols.base import Terms

MEANS = [0.2, 0.5, 0.8]
LOG = {"context": [0, 0, 1, 1, 1], "action": [0, 1, 0, 1, 1], "reward": [0.0, 1.0, 0.5, 1.0, 2.0]}
COIN = {"name": "bernoulli", "means": MEANS}
NAMES = (*bandit_names(), *process_names())


def test_ids_follow_file_names():
    assert env_id("bernoulli") == "banditlab/BernoulliBandit-v0"
    assert env_id("cb_composition") == "banditlab/ContextualCompositionBandit-v0"
    ids = {env_id(name) for name in NAMES}
    assert len(ids) == len(NAMES)
    ours = {name for name in gymnasium.registry if name.startswith("banditlab/")}
    assert ids == ours - set(sparse_velocity.TASKS)
    assert {
        f"banditlab/{name}Bandit-v0"
        for name in "Bernoulli Gaussian Beta Linear Drifting Piecewise Delayed Replay".split()
    } < ids


@pytest.mark.filterwarnings("error:.*already in registry")
def test_registering_again_changes_nothing():
    before = dict(gymnasium.registry)
    register_envs()
    assert gymnasium.registry == before


@pytest.mark.filterwarnings("ignore:.*Box observation space m")  # features have no bounds
@pytest.mark.parametrize("name", NAMES)
def test_every_id_passes_the_checker(name):
    env = gymnasium.make(env_id(name))
    assert env.spec is not None and env.spec.max_episode_steps is None
    check_env(env.unwrapped, skip_render_check=True)


def test_make_takes_the_parameters_of_the_problem():
    env = gymnasium.make("banditlab/BernoulliBandit-v0", means=[0.5] * 7)
    assert env.action_space == spaces.Discrete(7)
    env = gymnasium.make(
        "banditlab/DelayedBandit-v0", problem={"name": "replay", "log": LOG}, mean_delay=2.0
    )
    assert env.action_space == spaces.Discrete(2)
    assert env.observation_space == spaces.Discrete(2)


def test_the_example_fills_in_what_is_missing():
    env = BanditEnv("gaussian", sigma=0.0)
    env.reset(seed=1)
    rewards = {arm: env.step(arm)[1] for arm in range(3)}
    assert rewards == {0: -0.5, 1: 0.0, 2: 0.5}


@pytest.mark.parametrize(
    ("env", "space"),
    [
        (BanditEnv("bernoulli", means=MEANS), spaces.Discrete(1)),
        (BanditEnv("replay", log=LOG), spaces.Discrete(2)),
        (
            BanditEnv("linear", dim=3, n_arms=4, fixed=False),
            spaces.Box(-np.inf, np.inf, (4, 3), np.float64),
        ),
        (BanditEnv(banditlab.make_problem("beta", means=[0.2, 0.3])), spaces.Discrete(1)),
    ],
    ids=["nothing", "contexts", "features", "problem object"],
)
def test_observations_lie_in_the_space(env, space):
    assert env.observation_space == space
    observation, info = env.reset(seed=5)
    seen = [observation]
    for _ in range(20):
        observation, reward, terminated, truncated, info = env.step(0)
        seen.append(observation)
        assert isinstance(reward, float) and isinstance(info["regret"], float)
        assert terminated is False and truncated is False
    assert all(space.contains(observation) for observation in seen)
    if space != spaces.Discrete(1):  # copies: an old observation is not overwritten
        assert any(not np.array_equal(seen[0], other) for other in seen[1:])


@pytest.mark.parametrize(
    ("agent", "problem", "parameters"),
    [
        ("ucb", "bernoulli", {"means": MEANS}),
        ("ucb", "replay", {"log": LOG}),
        ("epsilon_greedy", "drifting", {"means": MEANS, "step": 0.05}),
    ],
)
def test_a_hand_written_loop_reproduces_the_arena_bit_for_bit(agent, problem, parameters):
    horizon, seed = 400, 7
    made = banditlab.make_problem(problem, **parameters)
    n_arms, n_contexts, dim = made.shape
    record = np.zeros((1, horizon, 3))
    args = (
        Task(n_arms, n_contexts, dim, horizon),
        random.key(seed),
        0,
        0,
        np.arange(1, horizon + 1),
        np.zeros(2, np.int64),
        record,
    )
    with np.errstate(over="ignore", divide="ignore"):
        compiled(online.run_block, (banditlab.make(agent), made), args)(*args)

    env = gymnasium.make(env_id(problem), **parameters)
    player = banditlab.Agent(
        agent, n_arms=n_arms, n_contexts=n_contexts, horizon=horizon, seed=seed
    )
    observation, _ = env.reset(seed=seed, options={"replication": 0})
    regret, income, curve = 0.0, 0.0, []
    for t in range(horizon):
        arm = player.act(observation)
        next_observation, reward, _, _, info = env.step(arm)
        player.update(observation, arm, reward)
        assert info["arrived"] == [(t, arm, reward)]
        regret += info["regret"]
        income += reward
        curve.append((regret, income))
        observation = next_observation
    np.testing.assert_array_equal(curve, record[0, :, :2])
    assert 0 < regret < horizon * 0.8


@pytest.mark.parametrize(
    ("agent", "problem", "parameters"),
    [
        ("mex_mf", "river_swim", {"S": 3, "H": 4}),
        ("epsilon_greedy_q", "river_swim", {"S": 3, "H": 4, "reward": "bernoulli"}),
    ],
)
def test_a_loop_over_episodes_reproduces_the_arena_bit_for_bit(agent, problem, parameters):
    episodes, seed = 40, 7
    terms = Terms(banditlab.make(agent), banditlab.make_problem(problem, **parameters), episodes)
    loop = episodic.loop(terms, np.arange(1, episodes + 1))
    record = np.zeros((1, episodes, 4))
    args = (loop.task, random.key(seed), 0, 0, loop.checkpoints, np.zeros(2, np.int64), record)
    with np.errstate(over="ignore", divide="ignore"):
        compiled(loop.run_block, (loop.algorithm, loop.problem), args)(*args)

    env = gymnasium.make(env_id(problem), **parameters)
    task = loop.task
    player = banditlab.Agent(
        agent, n_states=task.n_states, n_actions=task.n_actions, steps=task.steps,
        horizon=episodes, ends=task.ends, seed=seed,
    )  # fmt: skip
    state, _ = env.reset(seed=seed)
    regret, curve = 0.0, []
    for _ in range(episodes):
        regret += env.unwrapped.gap(player.policy())
        terminated = truncated = False
        while not (terminated or truncated):
            action = player.act(state)
            after, reward, terminated, truncated, _ = env.step(action)
            player.update(state, action, reward, after, terminated, truncated)
            state = after
        curve.append(regret)
        state, _ = env.reset()
    np.testing.assert_array_equal(curve, record[0, :, 0])
    assert player.t == episodes and 0 < regret


def test_a_replication_is_the_arenas():
    env = BanditEnv("gaussian", means=[0.0, 1.0])
    nature = random.stream(random.key(3), 5, random.NATURE)
    env.reset(seed=3, options={"replication": 5})
    for _ in range(10):
        assert env.step(0)[1] == random.normal(nature)


def test_delayed_rewards_arrive_when_due():
    env = BanditEnv("delayed", problem=COIN, mean_delay=3.0, kind="constant")
    undelayed = BanditEnv(**COIN)
    env.reset(seed=2)
    undelayed.reset(seed=2)
    pulls = []
    for t in range(30):
        arm = t % 3
        _, reward, _, _, info = env.step(arm)
        assert (reward, info["regret"]) == (undelayed.step(arm)[1], 0.8 - MEANS[arm])
        pulls.append((t, arm, reward))
        assert info["arrived"] == ([] if t < 3 else [pulls[t - 3]])


def test_same_seed_same_luck():
    env = BanditEnv("gaussian", means=[0.0, 1.0])

    def rewards(**reset):
        env.reset(**reset)
        return [env.step(1)[1] for _ in range(5)]

    first = rewards(seed=1)
    then, later = rewards(), rewards()
    assert rewards(seed=1) == first
    assert [rewards(), rewards()] == [then, later]  # resets without a seed follow from the seed
    assert len({first[0], then[0], later[0]}) == 3
    assert rewards(seed=1, options={"replication": 0}) == first
    assert rewards(seed=1, options={"replication": 1}) != first


@pytest.mark.parametrize(
    ("act", "error", "line"),
    [
        (lambda env: BanditEnv("bernouli"), ValueError, "did you mean bernoulli"),
        (lambda env: BanditEnv("bernoulli", mean=[0, 1]), ValueError, "did you mean means"),
        (lambda env: BanditEnv(env.problem, means=[0, 1]), ValueError, "means belongs to"),
        (lambda env: env.step(0), gymnasium.error.ResetNeeded, "call reset before step"),
        (lambda env: env.reset(options={"replication": -1}), ValueError, "at least 0, got -1"),
        (lambda env: env.reset(options={"rep": 1}), ValueError, "replication only, got 'rep'"),
        (lambda env: env.reset(options=3), ValueError, "options must look like"),
        (lambda env: (env.reset(), env.step(3)), ValueError, "0 to 2, got 3"),
        (lambda env: (env.reset(), env.step(-1)), ValueError, "0 to 2, got -1"),
        (lambda env: (env.reset(), env.step(0.5)), ValueError, "0 to 2, got 0.5"),
        (lambda env: EpisodicEnv("bernoulli"), ValueError, "bernoulli is not a problem of"),
        (lambda env: EpisodicEnv("river_swim", S=1), ValueError, "S must be at least 2, got 1"),
        (lambda env: EpisodicEnv().step(0), gymnasium.error.ResetNeeded, "call reset"),
        (lambda env: EpisodicEnv().gap(MEANS), gymnasium.error.ResetNeeded, "call reset"),
        (lambda env: EpisodicEnv().reset(options={"rep": 1}), ValueError, "replication only"),
        (lambda env: EpisodicEnv().reset(options=[1]), ValueError, "options must look like"),
    ],
)
def test_mistakes_are_named_in_one_line(act, error, line):
    with pytest.raises(error) as caught:
        act(BanditEnv("bernoulli", means=MEANS))
    assert line in str(caught.value) and "\n" not in str(caught.value)


def test_a_module_prefix_registers_without_an_import():
    code = (
        "import gymnasium; "
        "env = gymnasium.make('banditlab.envs:banditlab/BernoulliBandit-v0', means=[0, 1]);"
        "env.reset(seed=0); print(env.step(1)[1])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["1.0"], done.stderr
