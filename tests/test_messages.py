"""What the package says to somebody who asked for something that it cannot do."""

from __future__ import annotations

import numpy as np
import pytest

import banditlab
from banditlab import registry
from banditlab.arena.spec import read_arena
from banditlab.cli import flags
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
