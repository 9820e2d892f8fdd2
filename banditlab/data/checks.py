"""What cannot be in a log of transitions, found and named by its row."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Dataset: TypeAlias = Any  # that of banditlab.data.transitions, which builds on this file


def check(data: Dataset, told: bool) -> None:
    """Raise ValueError for the first row that cannot be.

    ``told``: whether the number of states is known, and not what the rows show.
    """
    _check_range(data, told)
    _check_ends(data, told)
    if data.episode is not None:
        _check_episodes(data, data.episode)


def refuse(name: str, values: np.ndarray, wrong: np.ndarray, allowed: str) -> None:
    """Raise ValueError for the first row that is ``wrong``."""
    for row in np.flatnonzero(wrong)[:1]:
        raise ValueError(f"{name}: row {row} has {values[row]}; allowed are {allowed}")


def _check_range(data: Dataset, told: bool) -> None:
    refuse("action", data.action, data.action >= data.n_actions, f"0 to {data.n_actions - 1}")
    if told:
        last = data.n_states - 1
        refuse("state", data.state, data.state >= data.n_states, f"0 to {last}")
        beyond = data.next_state >= data.n_states + data.terminated
        refuse(
            "next_state", data.next_state, beyond & ~data.truncated,
            f"0 to {last}, and {last + 1} (END) if terminated",
        )  # fmt: skip


def _check_ends(data: Dataset, told: bool) -> None:
    for row in np.flatnonzero(data.terminated & data.truncated)[:1]:
        raise ValueError(
            f"truncated: row {row} has 1 and is terminated too; "
            "what is over cannot be cut off, let truncated be 0"
        )
    if told:
        final = np.arange(max(int(data.next_state.max()), data.n_states) + 1) >= data.n_states
    else:
        final = np.zeros(data.n_states + 1, np.bool_)
        final[data.next_state[data.terminated]] = True
        final[data.state] = False
    for row in np.flatnonzero(data.truncated & final[data.next_state])[:1]:
        hint = "" if told else ", or give n_states if it is an ordinary state"
        raise ValueError(
            f"truncated: row {row} enters state {data.next_name(row)}, where episodes are "
            f"over; a truncated episode goes on: log the state it was in{hint}"
        )


def _check_episodes(data: Dataset, episode: np.ndarray) -> None:
    if data.starts.size > np.unique(episode).size:
        seen: set[int] = set()
        for row in data.starts:
            if int(episode[row]) in seen:
                raise ValueError(
                    f"episode: row {row} has {episode[row]} again; "
                    "the rows of an episode must follow each other"
                )
            seen.add(int(episode[row]))
    ended = data.terminated | data.truncated
    last = np.zeros(len(data), np.bool_)
    last[data.starts - 1] = True  # the row before each first one; -1 is the last of all
    for row in np.flatnonzero(ended & ~last)[:1]:
        flag = "terminated" if data.terminated[row] else "truncated"
        raise ValueError(
            f"{flag}: row {row} has 1, but row {row + 1} is of the same episode "
            f"{episode[row]}; drop what a vector environment logs while it resets itself"
        )
    for row in np.flatnonzero(last & ~ended)[:1]:
        raise ValueError(
            f"truncated: row {row} has 0, but it is the last of episode {episode[row]} and "
            "not terminated; let truncated be 1"
        )
    broken = ~last[:-1] & (data.next_state[:-1] != data.state[1:])
    for row in np.flatnonzero(broken)[:1]:
        raise ValueError(
            f"state: row {row + 1} has {data.states[data.state[row + 1]]}; row {row} of the "
            f"same episode led to {data.next_name(row)}"
        )
