"""What the package says to somebody who asked for something that it cannot do."""

from __future__ import annotations

import numpy as np
import pytest

import banditlab
from banditlab import registry
from banditlab.arena.spec import read_arena
from banditlab.cli import flags
from banditlab.cli.main import main
from banditlab.validate import shown


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("ucb.means=[1,.9,.8]", r"at '\.9,\.8\]'; write 0\.5, not \.5"),
        ("ucb.means=[1, nan]", "at 'nan]'; write 0.5, 1e-3, true, false or null"),
        ("ucb.names=[a, b]", 'at \'a, b]\'; names are written in double quotes: \\["a", "b"\\]'),
        ("ucb.means=[+1]", r"at '\+1\]'; a number has no \+"),
        ("ucb.means=[1, 2", "cannot read '\\[1, 2' at 'its end'"),
        ("ucb.means=[" + "1," * 99, r"\.\.\. \(199 characters\)"),
    ],
)
def test_a_list_that_cannot_be_read_is_no_text(word, said):
    with pytest.raises(ValueError, match=said):
        flags.settings([word])


def test_a_value_is_shown_in_one_short_line():
    assert shown([1, 2]) == "[1, 2]" and shown("a\nb") == r"'a\nb'"
    assert shown(np.arange(3)) == "[0, 1, 2]"
    assert shown(np.zeros((20, 30))) == "a table of shape (20, 30)"
    assert shown([0.1] * 50) == "a list of shape (50,)"
    assert shown("x" * 100) == repr("x" * 40) + "... (100 characters)"
    assert len(shown([[1], [2, 3]] * 40)) == 60
    assert shown({"a": 1}) == "{'a': 1}" and shown(float("nan")) == "nan"


def test_a_name_stands_for_a_table_in_an_arena_file(tmp_path):
    (tmp_path / "short.toml").write_text('problem = "beta"\nagents = ["ucb", "uniform"]\n')
    panel = read_arena(tmp_path / "short.toml").panels[0]
    assert [a.name for a in panel.agents] == ["ucb", "uniform"]
    assert panel.problem.parameters == registry.example("problem", "beta")
    with pytest.raises(ValueError, match=r"agents\.0: must be a table: \{ key = value \}, got 3"):
        read_arena({"problem": "beta", "agents": [3]})


def test_an_agent_of_other_rewards_says_how_it_is_told():
    gaussian = {"problem": "gaussian", "horizon": 10}
    with pytest.raises(ValueError, match="; set its sigma to their standard deviation"):
        banditlab.simulate({**gaussian, "agents": ["thompson"]})
    with pytest.raises(ValueError, match=r"in \[-inf, inf\]$"):
        banditlab.simulate({**gaussian, "agents": ["exp3"]})


@pytest.fixture
def bad_environments():
    import gymnasium
    from gymnasium import spaces

    class Bad(gymnasium.Env):
        observation_space, action_space = spaces.Discrete(3), spaces.Discrete(2)

        def reset(self, seed=None, options=None):
            return 0, {}

        def step(self, action):
            raise RuntimeError("sensor lost")

    class Odd(Bad):
        def step(self, action):
            return 7, 0.0, False, False, {}

    for kind in (Bad, Odd):
        gymnasium.register(f"{kind.__name__}-v0", entry_point=kind)
    yield
    for kind in (Bad, Odd):
        del gymnasium.registry[f"{kind.__name__}-v0"]


@pytest.mark.parametrize("agent", ["vi_lcb", "psrl"])
@pytest.mark.parametrize(
    ("id", "said"),
    [
        ("Bad-v0", r"error: Bad-v0: step 1, action \d: RuntimeError: sensor lost\n"),
        ("Odd-v0", r"error: Odd-v0: step 1 observes outside its space: 7 is not in Discrete\(3\)"),
        ("Chain-v0", r"doesn't exist; an environment of a module .* is written MODULE:Chain-v0\n"),
    ],
)
def test_an_environment_is_named_when_its_own_code_fails(bad_environments, capsys, agent, id, said):
    import re

    assert main(["--env", id, "--agent", agent]) == 2
    spoken = capsys.readouterr().err
    assert re.search(said, spoken) and spoken.count("\n") == 1  # nothing of Gymnasium's beside it


def test_a_file_is_refused_for_an_agent_that_reads_none(capsys):
    assert main(["--agent", "sparse_mis", "--log", "sparse.csv"]) == 2
    assert "no file is read for 'sparse_mis'; those that release" in capsys.readouterr().err
