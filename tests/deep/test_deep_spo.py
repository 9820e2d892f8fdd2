"""SPO and reward modelling, with torch: python -m pytest tests/deep (OMP_NUM_THREADS=1)."""

from __future__ import annotations

import inspect

import gymnasium
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra deep")
sb3 = pytest.importorskip("stable_baselines3", reason="needs the extra deep")

from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize  # noqa: E402

from banditlab import random, registry  # noqa: E402
from banditlab.agents.deep import rm_ppo, spo_ppo, spo_sac  # noqa: E402
from banditlab.parts.deep.preferences import FixedHorizon, Judge  # noqa: E402
from banditlab.parts.deep.sb3 import SB3  # noqa: E402
from banditlab.parts.deep.self_play import FACTS, PreferenceVecEnv, Terms  # noqa: E402
from banditlab.protocols import gym  # noqa: E402

torch.set_num_threads(1)
H = 20


def vector(id="Pendulum-v1", n=2, normalize=False, fixed=True, length=H):
    """n environments of which the learner does not see the rewards."""

    def one():
        env = gymnasium.make(id, max_episode_steps=length)
        return FixedHorizon(env, length) if fixed else env

    env = PreferenceVecEnv(DummyVecEnv([one] * n), length)
    return VecNormalize(env, norm_reward=False) if normalize else env


def on_ppo(kind, env=None, queue=8, **given):
    terms = Terms(Judge(), queue=queue, scale=10.0)
    return kind(
        "MlpPolicy", env or vector(), n_steps=2 * H, batch_size=20, n_epochs=1, seed=0,
        device="cpu", terms=terms, policy_kwargs={"net_arch": [16]}, **given,
    )  # fmt: skip


def rollouts(model, number):
    """Collect, without learning; the rollout buffer as the library had it, and what was asked."""
    seen = []
    if model._last_obs is None:
        _, model.pulse = model._setup_learn(10**6, None)
    asked = model.asked

    def listening(rewards):
        picks, answers = asked(rewards)
        seen.append((np.array(model.queue), rewards.copy(), picks, answers))
        return picks, answers

    model.asked = listening
    for _ in range(number):
        model.collect_rollouts(model.env, model.pulse, model.rollout_buffer, model.n_steps)
    model.asked = asked
    return seen


# --- the rewards of a rollout -------------------------------------------------------------------


@pytest.mark.parametrize(("id", "fixed"), [("Pendulum-v1", False), ("CartPole-v1", True)])
def test_a_rollout_is_paid_win_rates_and_advantages_follow_from_them(id, fixed):
    """Cut by a time limit, and ended early and filled up: win rates by a loop over the queue."""
    model = on_ppo(spo_ppo.subclass(), vector(id, fixed=fixed), gamma=1.0, gae_lambda=1.0)
    rewards, before = [], []

    class Ends(sb3.common.callbacks.BaseCallback):
        def _on_step(self):
            rewards.append(self.locals["rewards"].copy())
            return True

        def _on_rollout_end(self):
            buffer = self.model.rollout_buffer
            before.append((buffer.rewards.copy(), buffer.advantages.copy()))

    _, model.pulse = model._setup_learn(10**6, Ends())
    [(queue, trajectories, _, _)] = rollouts(model, 3)
    assert np.abs(np.array(rewards)).max() == 0 and all((r == 0).all() for r, _ in before)
    wins = []
    for x in trajectories:
        lead = [float(sum(x)) - float(sum(y)) for y in queue]
        wins.append(np.mean([1.0 if d > 1e-9 else 0.0 if d < -1e-9 else 0.5 for d in lead]))
    assert len(queue) == 8 and len(set(wins)) > 1
    buffer = model.rollout_buffer
    steps = buffer.rewards.reshape(2, H, 2)
    assert (steps == steps[:, :1]).all()
    assert steps.sum(axis=1).ravel() == pytest.approx(10 * (2 * np.array(wins) - 1), abs=1e-5)
    assert np.abs(before[-1][1] - buffer.advantages).max() > 1e-3
    buffer.values[:] = 0
    buffer.compute_returns_and_advantage(torch.zeros(2, 1), model._last_episode_starts)
    assert buffer.returns.reshape(2, H, 2)[:, 0] == pytest.approx(steps.sum(axis=1), abs=1e-4)
    assert np.array(model.queue) == pytest.approx(np.concatenate([queue[4:], trajectories]))


def test_a_rollout_that_fills_the_queue_counts_and_teaches_nothing():
    model = on_ppo(spo_ppo.subclass())
    policy = {k: v.clone() for k, v in model.policy.state_dict().items()}

    def changed():
        return any(not torch.equal(v, policy[k]) for k, v in model.policy.state_dict().items())

    model.learn(2 * 2 * 2 * H)
    assert model.num_timesteps == 8 * H and not changed() and len(model.first) == 8
    model.learn(1, reset_num_timesteps=False)
    assert model.num_timesteps == 12 * H and changed()


def test_questions_that_are_counted_go_to_different_members_of_the_queue():
    model = on_ppo(spo_ppo.subclass())
    rollouts(model, 2)
    model.terms = model.terms._replace(queries=3)
    [(_, _, picks, answers)] = rollouts(model, 1)
    assert picks.shape == answers.shape == (4, 3)
    assert all(len(set(row)) == 3 for row in picks.tolist()) and len(set(picks.ravel())) > 3


def test_whoever_would_rescale_rewards_or_cut_episodes_is_refused():
    kind = spo_ppo.subclass()
    model = on_ppo(kind, VecNormalize(vector()))
    with pytest.raises(ValueError, match="norm_reward must be off"):
        model.learn(1)
    model = on_ppo(kind, vector(length=H + 5))
    with pytest.raises(ValueError, match="n_steps must be a multiple of 25"):
        model.learn(1)
    model = on_ppo(kind, vector("CartPole-v1", fixed=False, length=2 * H))
    with pytest.raises(RuntimeError, match="an episode did not last 40 steps"):
        model.learn(400)


def test_a_file_of_the_library_loads_as_plain_ppo(tmp_path):
    model = on_ppo(spo_ppo.subclass()).learn(1)
    model.save(tmp_path / "x.zip")
    plain = sb3.PPO.load(tmp_path / "x.zip")
    seen = np.zeros((1, 3), np.float32)
    assert plain.predict(seen, deterministic=True)[0] == model.predict(seen, deterministic=True)[0]


# --- the reward model ---------------------------------------------------------------------------


def modelled(**given):
    of_model = {"pairs": 16, "updates": 10, "reward_lr": 3e-4, "reward_width": 32, "memory": 50}
    return on_ppo(rm_ppo.subclass(), of_model={**of_model, **given})


def paid_by_pendulum(steps):
    """What Pendulum pays for states (cos, sin, speed) and torques, summed over steps."""
    cos, sin, speed, action = np.moveaxis(steps.astype(float), -1, 0)
    torque = np.clip(action, -2, 2)
    return -(np.arctan2(sin, cos) ** 2 + 0.1 * speed**2 + 0.001 * torque**2).sum(axis=-1)


def test_a_comparison_remembers_the_steps_of_the_two_that_were_compared():
    """By the reward of Pendulum, computed from the states and actions that were kept."""
    model = modelled()
    rollouts(model, 6)
    pairs = model.compared
    assert pairs.shape == (50, 3) and model.forgotten > 0
    i, j = (pairs[:, :2].astype(int) - model.forgotten).T
    returns = paid_by_pendulum(np.array(model.known))
    lead = returns[i] - returns[j]
    assert ((lead > 0) == (pairs[:, 2] == 1.0)).all() and 5 < (lead > 0).sum() < 45
    assert returns[-8:] == pytest.approx(np.sum(model.queue, axis=1), rel=1e-4)
    assert min(i.min(), j.min()) == 0  # what nobody needs is gone


def test_the_reward_model_learns_to_tell_who_wins():
    """Bradley and Terry's loss falls below that of guessing, and order agrees with true returns."""
    model = modelled(reward_lr=3e-3, memory=500)
    rollouts(model, 6)
    losses = [model.fit() for _ in range(150)]
    assert losses[0] < 0.8 and np.mean(losses[-20:]) < 0.35
    steps = np.array(model.known)
    with torch.no_grad():
        said = model.reward_model(torch.as_tensor(steps))[..., 0].sum(dim=-1).numpy()
    assert np.corrcoef(said, paid_by_pendulum(steps))[0, 1] > 0.7


def test_the_loss_is_minus_the_log_probability_of_the_answers():
    model = modelled(pairs=64)
    rollouts(model, 3)
    steps, pairs = np.array(model.known), model.compared
    with torch.no_grad():
        said = model.reward_model(torch.as_tensor(steps))[..., 0].sum(dim=-1).numpy().astype(float)
    state = model.comparing.bit_generator.state
    rows = pairs[model.comparing.integers(len(pairs), size=64)]
    model.comparing.bit_generator.state = state
    i, j = (rows[:, :2].astype(int) - model.forgotten).T
    p = 1 / (1 + np.exp(-(said[i] - said[j]) / (H / 10)))
    expected = -(rows[:, 2] * np.log(p) + (1 - rows[:, 2]) * np.log(1 - p)).mean()
    assert model.fit() == pytest.approx(expected, rel=1e-4)


def test_a_step_is_paid_what_the_model_says_of_it_over_its_spread():
    model = modelled()
    rollouts(model, 3)
    buffer = model.rollout_buffer
    steps = np.concatenate([buffer.observations, np.clip(buffer.actions, -2, 2)], axis=-1)
    with torch.no_grad():
        said = model.reward_model(torch.as_tensor(steps.astype(np.float32)))[..., 0].numpy()
    assert buffer.rewards == pytest.approx(said / said.std(), rel=1e-3, abs=1e-4)


def test_actions_without_an_order_are_told_apart():
    env = vector("CartPole-v1")
    of_model = {"pairs": 4, "updates": 1, "reward_lr": 3e-4, "reward_width": 8, "memory": 50}
    model = on_ppo(rm_ppo.subclass(), env, of_model=of_model)
    rollouts(model, 3)
    assert model.inputs == 6 and (np.array(model.known)[..., 4:].sum(axis=-1) == 1).all()


# --- SAC ----------------------------------------------------------------------------------------


def on_sac(steps, id="Pendulum-v1", queue=4, relabel=0, episodes=50, normalize=False, **terms):
    """A model that was stopped after ``steps`` steps."""
    model = spo_sac.subclass()(
        "MlpPolicy", vector(id, 1, normalize), learning_starts=queue * H, batch_size=16, seed=0,
        buffer_size=episodes * H, device="cpu", terms=Terms(queue=queue, scale=H, **terms),
        relabel=relabel, policy_kwargs={"net_arch": [16]},
    )  # fmt: skip

    class Stop(sb3.common.callbacks.BaseCallback):
        def _on_step(self):
            return self.num_timesteps < steps

    model.learn(10**6, callback=Stop())
    return model


def wins_over(x, held):
    return np.mean(np.where(x > held, 1.0, np.where(x < held, 0.0, 0.5)))


@pytest.mark.parametrize("normalize", [False, True])
def test_episodes_are_remembered_whole_with_one_reward(normalize):
    model = on_sac(170, normalize=normalize)
    buffer = model.replay_buffer
    assert model.num_timesteps == 170 and buffer.pos == 160 and not buffer.timeouts.any()
    rewards = buffer.rewards[:160, 0].reshape(8, H)
    assert (rewards == rewards[:, :1]).all()
    assert np.flatnonzero(buffer.dones[:160, 0]).tolist() == list(range(H - 1, 160, H))
    returns = np.array([x.sum() for x in model.lived])
    assert rewards[:4, 0].sum() == pytest.approx(0, abs=1e-6)
    for k in range(4):  # each of the first against the other three
        others = np.delete(returns[:4], k)
        assert rewards[k, 0] == pytest.approx(2 * wins_over(returns[k], others) - 1, abs=1e-6)
    for k in range(4, 8):  # then against the four before
        won = wins_over(returns[k], returns[k - 4 : k])
        assert rewards[k, 0] == pytest.approx(2 * won - 1, abs=1e-6)
    seen, then = buffer.observations[:160, 0], buffer.next_observations[:160, 0]
    inside = np.delete(np.arange(160), np.arange(H - 1, 160, H))
    assert np.array_equal(then[inside], seen[inside + 1])
    assert not np.array_equal(then[H - 1], seen[H])
    assert model._n_updates == 4 * H


def test_the_rewards_of_the_steps_are_those_of_their_episode():
    """By the reward of Pendulum, from what is remembered of states and actions."""
    model = on_sac(170)
    buffer = model.replay_buffer
    steps = np.concatenate([buffer.observations, 2 * buffer.actions], axis=-1)[:160, 0]
    assert paid_by_pendulum(steps.reshape(8, H, 4)) == pytest.approx(
        np.sum(model.lived, axis=1), rel=1e-4
    )


@pytest.mark.parametrize("episodes", [50, 6])
def test_the_memory_is_compared_anew_with_the_queue_of_today(episodes):
    """Also where the memory is a ring that has come round."""
    model = on_sac(10 * H + 3, relabel=5, episodes=episodes)
    lived, queue = np.sum(model.lived, axis=1), np.sum(model.queue, axis=1)
    assert len(lived) == min(10, episodes)
    rows = model.replay_buffer.rewards[:, 0].reshape(-1, H)
    rows = rows[:10] if episodes == 50 else np.roll(rows, -4, axis=0)  # oldest first
    expected = [2 * wins_over(x, queue) - 1 for x in lived]
    assert rows == pytest.approx(np.repeat(np.array(expected)[:, None], H, axis=1), abs=1e-6)


def test_steps_that_wait_are_copies():
    waiting, row = spo_sac.Waiting(), np.zeros(2)
    waiting.add(row, [{}])
    row[:] = 1
    assert waiting[0][0].tolist() == [0, 0]


def test_one_question_that_meets_the_episode_itself_is_a_tie():
    model = on_sac(4 * H + 1, queries=1)
    assert np.isfinite(model.replay_buffer.rewards[: 4 * H]).all()


# --- in the protocol ----------------------------------------------------------------------------

SMALL = {"queue": 6, "length": H, "width": 8}
HYPER = {
    "spo_ppo": {**SMALL, "n_envs": 2, "batch_size": 20, "n_epochs": 2, "queries": 3, "flip": 0.1},
    "rm_ppo": {**SMALL, "n_envs": 2, "batch_size": 20, "n_epochs": 2, "reward_width": 8,
               "memory": 30, "judge": "thirds"},
    "spo_sac": {**SMALL, "batch_size": 16, "relabel": 4, "judge": "logistic"},
}  # fmt: skip


def played(name, id="Pendulum-v1", horizon=400, **given):
    algorithm = registry.make(name, **HYPER[name])
    problem = registry.make_problem("gym_env", id=id, episodes=1)
    points = [horizon // 2, horizon]
    row = np.full((2, len(gym.measures_of(algorithm))), np.nan)
    gym.play(algorithm, problem, horizon, random.key(3), 0, points, row, owner="o", **given)
    return row


@pytest.mark.parametrize("id", ["Pendulum-v1", "HalfCheetah-v5"])
@pytest.mark.parametrize("name", HYPER)
def test_what_was_put_down_goes_on_to_the_same_bits(name, id, tmp_path):
    """While the queue fills, and after; on one thread."""
    if id.startswith("Half"):
        pytest.importorskip("mujoco", reason="needs the extra deep")
    whole = played(name, id)
    assert np.isfinite(whole[-1, -3:]).all() and 0 < whole[-1, -3] < 1
    for when in (80, 240):
        keep = tmp_path / f"{when}.state"
        with pytest.raises(gym.Stop):
            played(name, id, told=lambda steps, when=when: steps >= when, keep=keep)
        reached = []
        again = played(name, id, told=lambda t, reached=reached: bool(reached.append(t)), keep=keep)
        assert reached[0] == when and np.array_equal(again, whole, equal_nan=True)


def test_an_episode_that_stands_still_is_put_down_and_taken_up(tmp_path):
    """Plain PPO, whose rollouts of 30 steps end in the midst of episodes of 50 that stand still."""
    problem = registry.make_problem("gym_env", id="CartPole-v1")
    setting = gym.setting(problem, 480, random.key(4), 0)

    def fresh():
        return SB3(
            sb3.PPO, setting, n_envs=2, wrap=lambda env: FixedHorizon(env, 50), n_steps=30,
            batch_size=20, n_epochs=1,
        )  # fmt: skip

    def at(steps, then):
        def pulse():
            if learner.steps == steps:
                then()

        return pulse

    learner = whole = fresh()
    still = []

    def put_down():
        still.extend(env.over for env in whole.inner.envs)
        whole.save(tmp_path)

    whole.learn(at(180, put_down))
    assert any(still)
    again = fresh()
    again.load(tmp_path)
    again.learn(lambda: None)
    assert again.paid == whole.paid and again.ended() == whole.ended()


def test_facts_are_about_the_queue_and_draw_nothing():
    problem = registry.make_problem("gym_env", id="Pendulum-v1", episodes=1)
    algorithm = registry.make("spo_ppo", **HYPER["spo_ppo"])
    assert algorithm.facts == FACTS == registry.make("rm_ppo").facts
    learner = algorithm.learner(algorithm.params, gym.setting(problem, 400, random.key(3), 0))
    assert learner.facts(np.zeros((1, 3))) == {}
    learner.learn(lambda: None)
    state = learner.model.comparing.bit_generator.state
    facts = learner.facts(np.zeros((1, 3)))
    assert learner.model.comparing.bit_generator.state == state
    queue, first = np.array(learner.model.queue), np.array(learner.model.first)
    assert facts["early"] == pytest.approx(queue[:, : 3 * H // 4].sum(axis=1).mean())
    assert facts["early"] + facts["late"] == pytest.approx(queue.sum(axis=1).mean())
    ahead = np.mean([wins_over(x, first.sum(axis=1)) for x in queue.sum(axis=1)])
    assert facts["beats_first"] == pytest.approx(0.1 + 0.8 * ahead)
    assert learner.steps == 400 and len(learner.ended()) == 20


@pytest.mark.parametrize("name", HYPER)
def test_a_horizon_that_ends_while_the_queue_fills_is_one_line(name):
    with pytest.raises(ValueError, match=r"horizon must be above 120, the steps in which"):
        played(name, horizon=120)


def test_a_memory_without_room_for_the_queue_is_one_line():
    HYPER["small"] = {**HYPER["spo_sac"], "buffer_size": 100}
    algorithm = registry.make("spo_sac", **HYPER.pop("small"))
    problem = registry.make_problem("gym_env", id="Pendulum-v1", episodes=1)
    with pytest.raises(ValueError, match="buffer_size must be at least 120"):
        algorithm.learner(algorithm.params, gym.setting(problem, 400, random.key(3), 0))


def test_the_library_still_has_the_hooks_that_this_was_written_for():
    """It computes advantages before the end of a rollout is told; it stores steps in a method."""
    text = inspect.getsource(sb3.PPO.collect_rollouts)
    assert text.index("compute_returns_and_advantage(last_values") < text.index("on_rollout_end()")
    assert "_store_transition(replay_buffer" in inspect.getsource(sb3.SAC.collect_rollouts)
