"""Swept panels: which cells run, how their curves are called, and that a cell is a plain run."""

import numpy as np
import pytest

import banditlab
from banditlab.arena.claims import evaluate
from banditlab.arena.spec import read_arena
from banditlab.arena.sweep import cells
from banditlab.curves import Curves

OFFLINE = {
    "protocol": "offline",
    "problem": {"name": "cb_contested", "S": 4},
    "agents": [{"name": "lcb"}, {"name": "bc"}],
    "replications": 30,
    "seed": 2,
}
SWEPT = {
    **OFFLINE,
    "sweep": {"problem.C": [1.5, 3], "horizon, problem.N": [100, 400, 1000]},
    "worst": [{"name": "cb_missing_mass", "S": 4}],
    "slopes": True,
}


@pytest.fixture(scope="module")
def swept() -> Curves:
    return banditlab.simulate(SWEPT)


def plain(problem, n):
    return banditlab.simulate(
        {**OFFLINE, "problem": problem, "horizon": n, "checkpoints": [n]}
    ).raw("lcb")


def test_a_panel_without_a_sweep_is_its_own_cell():
    [panel] = read_arena(OFFLINE).panels
    [cell] = cells(panel)
    assert (cell.name, cell.x) == ("", None)
    assert cell.panels == [panel]


def test_cells_are_all_combinations():
    [panel] = read_arena(SWEPT).panels
    found = cells(panel)
    assert [(cell.name, cell.x) for cell in found] == [
        (f"C = {c}", n) for c in (1.5, 3) for n in (100, 400, 1000)
    ]
    contested, missing = found[4].panels
    assert contested.problem.parameters == {"S": 4, "C": 3, "N": 400}
    assert missing.problem.parameters == {"S": 4, "N": 400}  # it takes no C
    assert contested.horizon == missing.horizon == 400
    assert contested.checkpoints == [400]
    assert panel.problem.parameters == {"S": 4}  # left as it was
    [short] = read_arena({**SWEPT, "horizon": 50}).panels  # which no cell has
    assert [c.panels[0].checkpoints for c in cells(short)] == 2 * [[100], [400], [1000]]


def test_a_cell_is_the_plain_run_of_its_panel(swept):
    for c in (1.5, 3):
        for i, n in enumerate((100, 400, 1000)):
            rivals = [
                plain({"name": "cb_contested", "S": 4, "C": c, "N": n}, n),
                plain({"name": "cb_missing_mass", "S": 4, "N": n}, n),
            ]
            worst = max(rivals, key=np.mean)
            assert np.array_equal(swept.raw(f"lcb, C = {c}")[:, i], worst[:, 0])


def test_curves_are_named_after_agent_and_cell(swept):
    assert swept.agents() == ["lcb, C = 1.5", "bc, C = 1.5", "lcb, C = 3", "bc, C = 3"]
    assert swept.checkpoints().tolist() == [100, 400, 1000]
    frame = swept.frame()
    assert set(frame["agent"]) == {"lcb", "bc"}
    assert set(frame["cell"]) == {"C = 1.5", "C = 3"}
    assert len(frame) == 12
    one = frame[(frame["agent"] == "bc") & (frame["cell"] == "C = 3") & (frame["t"] == 400)]
    assert one["mean"].item() == pytest.approx(swept.at(400, "bc, C = 3", None, None).mean())


def test_save_and_load(swept, tmp_path):
    again = Curves.load(swept.save(tmp_path))
    assert again.agents() == swept.agents()
    for name in swept.agents():
        assert np.array_equal(again.raw(name), swept.raw(name))
    assert again.frame().equals(swept.frame())


def test_slopes_are_shown_and_checked(swept):
    slope = swept.slope("lcb, C = 3", "gap")
    means = swept.raw("lcb, C = 3").mean(axis=0)
    assert slope == pytest.approx(np.polyfit(np.log([100, 400, 1000]), np.log(means), 1)[0])
    [panel] = swept.figure_panels
    lo, hi = swept.slope_interval("lcb, C = 3", "gap")
    assert lo < slope < hi
    assert panel["notes"]["lcb, C = 3"] == f"slope {slope:.2f} [{lo:.2f}, {hi:.2f}]"
    legend = swept.plot().legends
    words = [text.get_text() for box in legend for text in box.get_texts()]
    words += [text.get_text() for ax in swept.plot().axes for text in ax.texts]
    said = f"slope {slope:.2f}".replace("-", "\N{MINUS SIGN}")
    assert any(said in " ".join(word.split()) for word in words)
    check = {
        "panel": "", "less": "", "value": "", "slope": "lcb, C = 3.gap", "near": slope + 0.05,
        "within": 0.0, "rounding": 0.06, "at": None, "why": "",
    }  # fmt: skip
    assert evaluate(check, swept)[0]["passed"]
    assert not evaluate({**check, "rounding": 0.04}, swept)[0]["passed"]
    two = swept.slope("lcb, C = 3", at=[100, 1000])
    assert two == pytest.approx(np.log(means[2] / means[0]) / np.log(10))


def test_a_curve_that_reaches_zero_has_no_slope():
    curves = banditlab.simulate(
        {
            **OFFLINE,
            "problem": {"name": "cb_popular_wrong", "C": 1.5},
            "horizon": 3000,
            "checkpoints": [10, 3000],
        }
    )
    assert np.isnan(curves.slope("lcb"))
    assert curves.slope("bc") > 0


def test_another_key_may_be_the_x_axis():
    curves = banditlab.simulate(
        {
            **OFFLINE,
            "problem": {"name": "cb_popular_wrong"},
            "horizon": 3000,
            "sweep": {"problem.C": [1.2, 1.6]},
            "x": "problem.C",
            "checks": [
                {"value": "bc.gap", "near": [0.15, 0.45], "at": [1.2, 1.6], "rounding": 1e-9}
            ],
        }
    )
    assert curves.agents() == ["lcb", "bc"]
    assert curves.checkpoints().tolist() == [1.2, 1.6]
    assert curves.figure_panels[0]["xlabel"] == "concentrability $C^*$"
    assert [check["passed"] for check in curves.checks] == [True, True]


def test_hyper_parameters_and_curves_over_rounds_can_be_swept():
    arena = {
        "problem": {"name": "bernoulli", "means": [0.2, 0.8]},
        "agents": [{"name": "ucb"}, {"name": "ucb", "label": "two", "alpha": 2.0}],
        "horizon": 50,
        "checkpoints": [10, 50],
        "replications": 10,
    }
    curves = banditlab.simulate({**arena, "sweep": {"ucb.alpha": [0.5, 2.0]}})
    assert curves.checkpoints().tolist() == [10, 50]
    assert np.array_equal(curves.raw("ucb, alpha = 2.0"), curves.raw("two, alpha = 2.0"))
    assert not np.array_equal(curves.raw("ucb, alpha = 0.5"), curves.raw("two, alpha = 2.0"))
    single = banditlab.simulate({**arena, "sweep": {"ucb.alpha": [2.0]}})
    assert single.agents() == ["ucb", "two"]  # one value tells nothing apart


def test_exact_panels_have_no_noise():
    arena = {
        **OFFLINE,
        "problem": {"name": "two_arm", "kind": "thm3_mixed"},
        "sweep": {"horizon, problem.N": [30, 100]},
        "exact": True,
    }
    curves = banditlab.simulate(arena)
    assert curves.raw("lcb").shape == (1, 2)
    np.testing.assert_allclose(curves.raw("lcb"), [[0.1195, 0.0758]], atol=5e-5)
    with pytest.raises(ValueError, match="exact is for two_arm"):
        banditlab.simulate(
            {**OFFLINE, "problem": {"name": "cb_composition", "C": 3}, "exact": True}
        )
    with pytest.raises(ValueError, match="exact is not for protocol online"):
        read_arena({**arena, "protocol": "online"})


def test_overrides_keep_what_still_makes_sense():
    [panel] = read_arena(SWEPT, horizon=500).panels
    assert panel.sweep["horizon, problem.N"] == [100, 400]
    [panel] = read_arena(SWEPT, horizon=50).panels
    assert panel.sweep["horizon, problem.N"] == [50]
    [panel] = read_arena(SWEPT, problem={"name": "bernoulli", "means": [0.1, 0.9]}).panels
    assert panel.sweep == {} and panel.worst == [] and panel.x == ""
    swept = {**OFFLINE, "sweep": {"lcb.c": [1.0, 2.0]}, "x": "lcb.c"}
    [panel] = read_arena(swept, hyper={"bc": {}}).panels
    assert panel.x == "lcb.c"
    [panel] = read_arena(swept, hyper={"lcb": {"c": 3.0}}).panels  # one value is no axis
    assert panel.sweep == {} and panel.x == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sweep": {"problem.C": []}}, "different values"),
        ({"sweep": {"problem.C": [2, 2]}}, "different values"),
        ({"sweep": {"problem.D": [2, 3]}}, "no problem of the panel takes 'D'"),
        ({"sweep": {"horizn": [2, 3]}}, "did you mean horizon"),
        ({"sweep": {"lbc.c": [2, 3]}}, "lcb"),
        ({"sweep": {"horizon": [3, 2]}}, "must increase"),
        ({"sweep": {"horizon": [2.5, 3]}}, "must be an integer"),
        ({"sweep": {"problem.C": [2, 3]}, "x": "problem.N"}, "unknown key of sweep"),
        ({"sweep": 3}, "sweep"),
    ],
)
def test_a_bad_sweep_is_one_clear_line(changes, words):
    with pytest.raises(ValueError, match=words) as error:
        read_arena({**OFFLINE, **changes})
    assert "\n" not in str(error.value)


def test_agents_of_ones_own_choice_leave_out_the_axis_of_others():
    arena = read_arena("mex_riverswim", agents=["mex_mb", "psrl"], horizon=50, replications=2)
    assert [panel.name for panel in arena.panels] == ["mex", "others"]
    assert "eta" in arena.notes[0]
    alone = {
        "problem": {"name": "bernoulli", "means": [0.2, 0.8]},
        "panels": [
            {"agents": [{"name": "ucb"}], "sweep": {"ucb.alpha": [1.0, 2.0]}, "x": "ucb.alpha"}
        ],
    }
    panel = read_arena(alone, agents=["moss"]).panels[0]  # nothing else is there to be shown
    assert panel.x == "" and panel.sweep == {}


def test_an_axis_that_two_agents_share_goes_on_with_one():
    arena = read_arena("dp_bai", agents=["dp_bai"])
    along = [panel for panel in arena.panels if "epsilon" in panel.x]
    assert [panel.x for panel in along] == ["dp_bai.epsilon"]
    assert [len(cells(panel)) for panel in along] == [len(along[0].sweep["dp_bai.epsilon"])]
