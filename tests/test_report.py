"""The HTML report: what it says, that nothing breaks out of it, and how it behaves in a browser."""

import html.parser
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browser import Browser, binary

from banditlab.arena.spec import read_arena
from banditlab.cli.report import main
from banditlab.console import around
from banditlab.curves import Curves, Record
from banditlab.report import page, write
from banditlab.report.colors import DARK, LIGHT, contrast, legible
from banditlab.report.read import folders, read
from banditlab.report.strips import Scale
from banditlab.statistics import holm, paired_p

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "results"
EVIL = "</script><script>alert(1)</script>\"'&<img src=x onerror=alert(2)>"
VOID = {"meta", "input", "br"}


class Tree(html.parser.HTMLParser):
    """Elements, texts and links of a page; it fails where tags do not match."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words, self.ids, self.events = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        self.events += [name for name, _ in attrs if name.startswith("on") or name == "style"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small run, with everything that a run leaves behind, made by hand: nothing is compiled."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    shutil.copytree(RESULTS / "stochastic", folder)
    about = json.loads((folder / "run.json").read_text())
    t = [1, 10, 100]
    rng = np.random.default_rng(1)
    kept = {"ucb": 1.0, "moss": 1.9, "uniform": 1.0}
    draws = {name: mean * np.outer(rng.exponential(size=40), t) for name, mean in kept.items()}
    draws["uniform"] = draws["ucb"].copy()  # equal to the last bit
    arena = about["arena"]
    arena["panels"][0]["agents"] = [{"name": name, "label": name} for name in kept]
    records = {
        ("main", name): Record(np.array(t), ("regret",), values[:, :, None])
        for name, values in draws.items()
    }
    curves = Curves(
        arena, records, {"main": [{"label": "bound", "t": [1, 100], "y": [1, 50]}]},
        {("main", "ucb"): 1.25}, about["checks"], about["hash"],
    )  # fmt: skip
    curves.save(folder)
    return folder, draws


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """The report of everything that is committed."""
    return write(RESULTS, tmp_path_factory.mktemp("gallery") / "all.html")


def facts(text):
    """What the charts of a page are told, in order."""
    return [
        json.loads(x) for x in re.findall(r'<script type="application/json"[^>]*>(.*?)</', text)
    ]


def test_a_run_shows_claim_checks_curves_differences_and_origin(run):
    folder, draws = run
    about = json.loads((folder / "run.json").read_text())
    text = page([read(folder)])
    tree = Tree(text)
    assert about["arena"]["claim"] in tree.text and about["hash"] in tree.text
    assert "4 of 4 checks passed" in tree.text and "ucb.regret at 10000 is 374.5" in tree.text
    assert "UCB1 with bonus sqrt(2 ln t / n)" in tree.text  # why
    assert "SHA-256 of curves.csv" in tree.text and about["versions"]["numba"] in tree.text
    assert "CPU s" in tree.text and "1.25" in tree.text and "peak memory" in tree.text
    chart = facts(text)[0]
    frame = pd.read_csv(folder / "curves.csv", keep_default_na=False)
    for line in chart["lines"]:
        rows = frame[frame["agent"] == line["n"].lower()]
        if line["n"] != "bound":
            assert line["m"] == pytest.approx(rows["mean"].tolist(), rel=1e-4)
            assert line["l"] == pytest.approx(rows["lo"].tolist(), rel=1e-4)
    assert [line["n"] for line in chart["lines"]][-1] == "bound"  # agents come first
    assert chart["ts"][chart["lines"][0]["k"]] == [1, 10, 100]


def test_paired_differences_are_those_of_the_replications(run):
    folder, draws = run
    text = page([read(folder)])
    tree = Tree(text)
    last = {name: values[:, -1] for name, values in draws.items()}
    names = list(last)
    pairs = [(i, j) for i in range(3) for j in range(i)]
    raw = [paired_p(last[names[i]], last[names[j]]) for i, j in pairs]
    p = holm(raw)[pairs.index((1, 0))]
    assert raw[pairs.index((1, 0))] != p  # it is corrected
    assert f"p = {p:.3f}" in tree.text or (p < 0.001 and "p < 0.001" in tree.text)
    difference = last["moss"] - last["ucb"]
    half = 2.0226909 * difference.std(ddof=1) / np.sqrt(40)  # Student's with 39 degrees
    first = dict(re.findall(r'<th scope="row">([^<]*)</th><td[^>]*>([^<]*)<br>', text))
    assert first["MOSS"] == around(difference.mean(), half)  # moss less ucb, the first column
    assert around(-difference.mean(), half) in tree.text  # the other way round
    assert tree.text.count("p = 1.000") == 2  # ucb and uniform are equal


def test_without_raw_values_no_differences_are_made_up():
    tree = Tree(page([read(RESULTS / "stochastic")]))
    assert "Paired differences need raw.parquet" in tree.text
    assert "p <" not in tree.text and "CPU s" not in tree.text
    assert "python -m banditlab.arena --arena stochastic" in tree.text


def test_a_changed_arena_is_not_run_again_by_its_name(run, tmp_path):
    folder = shutil.copytree(run[0], tmp_path / "run")
    about = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**about, "hash": "0" * 12}))
    tree = Tree(page([read(folder)]))
    assert "--arena stochastic" not in tree.text and "banditlab.simulate(kept" in tree.text


def test_the_way_to_run_it_again_from_what_was_kept_works(run):
    kept = json.loads((RESULTS / "stochastic" / "run.json").read_text())
    arena = read_arena(kept["arena"])
    assert arena.hash() == kept["hash"]


def test_nothing_breaks_out_of_the_page(run, tmp_path):
    folder = shutil.copytree(run[0], tmp_path / "x' onload='alert(3)<b>")
    evil = json.dumps(EVIL)[1:-1]
    for name in ("run.json", "run.local.json"):
        text = (folder / name).read_text()
        text = text.replace('"ucb"', f'"{evil}"').replace("/ ucb", f"/ {evil}")
        text = text.replace('"regret"', f'"re{evil}"').replace('"round"', f'"{evil}"')
        text = text.replace('"Ten Bern', f'"{evil}\\ud800\\u0000\\u202e')
        (folder / name).write_text(text)
    frame = pd.read_csv(folder / "curves.csv", keep_default_na=False)
    frame["agent"] = frame["agent"].replace("ucb", EVIL)
    frame["measure"] = "re" + EVIL
    frame.to_csv(folder / "curves.csv", index=False)
    (folder / "raw.parquet").unlink()
    text = page([read(folder)])
    clean = Tree(page([read(run[0])]))
    tree = Tree(text)
    assert EVIL in " ".join(tree.words)  # shown as it is written
    assert not tree.events and not [tag for tag, _ in tree.tags if tag == "img"]
    scripts = [attrs.get("type") for tag, attrs in tree.tags if tag == "script"]
    assert scripts == [attrs.get("type") for tag, attrs in clean.tags if tag == "script"]
    assert not any(letter in text for letter in "\x00\u202e\ud800")
    text.encode()


def test_a_page_asks_for_nothing_and_lets_nothing_else_run(run):
    text = page([read(run[0])])
    tree = Tree(text)
    for tag, attrs in tree.tags:
        assert not {"src", "srcset", "action"} & set(attrs), tag
        assert attrs.get("href", "#").startswith("#")
    policy = next(a["content"] for _, a in tree.tags if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy
    assert len(set(tree.ids)) == len(tree.ids)
    assert "MIT License" in text  # uPlot's goes with it


def test_the_whole_gallery_is_small_and_has_every_run(gallery):
    assert gallery.stat().st_size < 15e6
    text = gallery.read_text()
    tree = Tree(text)
    known = sorted(p.parent.name for p in RESULTS.glob("*/run.json"))
    assert len(known) >= 46
    shown = [a["id"] for tag, a in tree.tags if tag == "details" and "run-" in a.get("id", "")]
    assert len(shown) == len(known) and set(known) <= set(" ".join(tree.words).split())
    panels = sum(
        len(json.loads((RESULTS / name / "run.json").read_text())["figure"]["panels"])
        for name in known
    )
    assert sum(tag == "h3" for tag, _ in tree.tags) == panels


def test_the_same_runs_give_the_same_bytes(run, gallery):
    assert page([read(run[0])]) == page([read(run[0])])
    assert page([read(f) for f in folders(RESULTS)[:4]]) == page(
        [read(f) for f in folders(RESULTS)[:4]]
    )


@pytest.mark.parametrize(
    ("file", "damage", "said"),
    [
        ("run.json", b"{", "damaged: Expecting"),
        ("run.json", b"[" * 100_000, "damaged: nested too deeply"),
        ("run.json", b"\xff", "damaged: "),
        ("run.json", b'{"arena": {"name": "x"}}', "damaged: figure: Field required"),
        ("run.local.json", b'{"cpu_seconds": 3}', "damaged: cpu_seconds"),
        ("curves.csv", None, "no such file"),
        ("curves.csv", b"", "damaged: "),
        ("curves.csv", b"panel,cell\nmain,x\n", "damaged: no column 'agent'"),
        ("curves.csv", b"half", "damaged: "),
        ("curves.csv", b"cut", "damaged: its last line is cut off"),
        ("curves.csv", b"less", "damaged: no row of "),
        ("curves.csv", b"twice", "says again what another line says"),
        ("raw.parquet", b"PAR1", "damaged: "),
    ],
)
def test_a_damaged_file_is_one_line_that_names_it(file, damage, said, run, tmp_path, capsys):
    folder = shutil.copytree(run[0], tmp_path / "all" / "run")
    if damage is None:
        (folder / file).unlink()
    elif damage == b"half":
        whole = (folder / file).read_bytes()
        (folder / file).write_bytes(whole[: len(whole) // 2 + 3] + b"\xfe,,,x")
    elif damage in (b"cut", b"less", b"twice"):
        lines = (folder / file).read_bytes().splitlines(keepends=True)
        first = [line for line in lines if line.split(b",")[:3] == lines[1].split(b",")[:3]]
        kept = {b"cut": [*lines[:-1], lines[-1][:-2]], b"less": [lines[0], *first]}
        (folder / file).write_bytes(b"".join(kept.get(damage, [*lines, lines[1]])))
    else:
        (folder / file).write_bytes(damage)
    assert main([str(tmp_path / "all")]) == 2
    out, err = capsys.readouterr()
    assert err.count("\n") == 1 and str(folder / file) in err and said in err, err
    assert out == "" and not list(tmp_path.glob("all/*.html"))


@pytest.mark.parametrize("where", ["nowhere", "empty", "file"])
def test_a_folder_without_results_is_refused(where, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    assert main([str(tmp_path / where)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / where}: ")


def test_the_command_says_where_the_report_is(run, tmp_path, capsys):
    out = tmp_path / "r.html"
    assert main([str(run[0]), "--out", str(out)]) == 0
    assert str(out) in capsys.readouterr().out and out.stat().st_size > 50_000
    assert main([str(run[0]), "--out", str(tmp_path)]) == 2  # a folder
    assert main([str(run[0]), "--out", str(tmp_path / "no" / "r.html")]) == 2
    assert main([str(run[0]), "--ouch", "x"]) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.html"]


# --- contrast ---------------------------------------------------------------------------------


def themes():
    """The colours of both themes, as page.css has them."""
    style = (ROOT / "banditlab/report/page.css").read_text()
    light, dark = re.findall(r"\{([^}]*--paper: [^}]*)\}", style)
    return [dict(re.findall(r"--([\w-]+): (#\w{6})", part)) for part in (light, dark)]


def test_contrast_is_that_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.478, abs=1e-3)  # just too little


@pytest.mark.parametrize("theme", [0, 1])
def test_words_and_edges_can_be_read(theme):
    c = themes()[theme]
    assert c["paper"] == (LIGHT, DARK)[theme]
    for ink in ("ink", "soft", "link", "good", "bad"):
        for ground in ("paper", "ground"):
            assert contrast(c[ink], c[ground]) >= 4.5, (ink, ground)
    for ground in ("less", "more"):
        assert contrast(c["ink"], c[ground]) >= 4.5
    for edge in ("edge", "accent"):
        assert contrast(c[edge], c["paper"]) >= 3.0, edge


def test_every_curve_of_the_gallery_can_be_seen(gallery):
    colors = {tuple(line["c"]) for chart in facts(gallery.read_text()) for line in chart["lines"]}
    assert len(colors) > 5
    for light, dark in colors:
        assert contrast(light, LIGHT) >= 3.0 and contrast(dark, DARK) >= 3.0
    assert contrast(legible("#000000", DARK), DARK) > 15  # black stands for white


def test_a_scale_puts_values_where_they_belong():
    scale = Scale(1.0, 100.0, True)
    assert scale.place(10.0) == 120.0 and scale.place(1.0) == 4.0 and scale.place(100.0) == 236.0
    assert Scale(0.0, 10.0, False).place(2.5) == 62.0


# --- in a browser -----------------------------------------------------------------------------

needs_browser = pytest.mark.skipif(not binary(), reason="no chromium, chrome or chromium-browser")
LEGEND = "document.querySelectorAll('.legend button')"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    found = Browser(tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


@pytest.fixture
def shown(browser, run, tmp_path):
    """The report of the small run, in a window, its chart drawn."""
    browser.problems.clear()
    browser.look(1280)
    browser.open(write(run[0], tmp_path / "one.html"))
    browser.until("document.querySelectorAll('.uplot').length === 1")
    yield browser
    assert browser.problems == []


def picture(browser):
    """The first chart, as text that differs where it does."""
    return browser.run("document.querySelector('.uplot canvas').toDataURL()")


def pixels(browser, color):
    """How many pixels of the first chart have that colour, about."""
    return browser.run(
        "(() => { const from = document.querySelector('.uplot canvas'); "
        "const c = document.createElement('canvas'); c.width = from.width; c.height = from.height; "
        "const g = c.getContext('2d', { willReadFrequently: true }); g.drawImage(from, 0, 0); "
        "const d = g.getImageData(0, 0, c.width, c.height).data; "
        f"const w = [1, 3, 5].map(i => parseInt('{color}'.slice(i, i + 2), 16)); let n = 0; "
        "for (let i = 0; i < d.length; i += 4) n += d[i + 3] > 200 && [0, 1, 2].every("
        "k => Math.abs(d[i + k] - w[k]) < 12); return n })()"
    )


@needs_browser
def test_the_curve_that_is_hidden_is_the_one_that_was_asked_for(shown, run):
    colors = {x["n"]: x["c"][0] for x in facts(page([read(run[0])]))[0]["lines"]}
    shown.run("document.querySelector('[data-do=bands]').click()")
    before = {name: pixels(shown, color) for name, color in colors.items()}
    shown.run(f"{LEGEND}[1].click()")  # moss
    assert before["MOSS"] > 200 and pixels(shown, colors["MOSS"]) < 20
    assert pixels(shown, colors["uniform"]) > 200


@needs_browser
def test_agents_axes_and_bands_switch(shown):
    assert len(picture(shown)) > 10_000  # a picture, not a blank
    names = shown.run(f"[...{LEGEND}].map(b => b.querySelector('.name').textContent)")
    assert names == ["UCB", "MOSS", "uniform", "bound"]
    before = picture(shown)
    shown.run(f"{LEGEND}[1].click()")
    assert shown.run(f"{LEGEND}[1].getAttribute('aria-pressed')") == "false"
    assert picture(shown) != before
    shown.run(f"{LEGEND}[1].click()")
    assert picture(shown) == before  # and back
    for tool in ("x", "y", "bands"):
        was = shown.run(f"document.querySelector('[data-do={tool}]').ariaPressed")
        shown.run(f"document.querySelector('[data-do={tool}]').click()")
        assert shown.run(f"document.querySelector('[data-do={tool}]').ariaPressed") != was
        assert picture(shown) != before, tool
        shown.run(f"document.querySelector('[data-do={tool}]').click()")
        assert picture(shown) == before, tool


@needs_browser
def test_values_on_hover_and_zoom_by_dragging(shown, run):
    box = shown.run(
        "(() => { document.querySelector('.chart').scrollIntoView(); const r = document."
        "querySelector('.u-over').getBoundingClientRect(); return [r.x, r.y, r.width, r.height]})()"
    )
    x, y, w, h = box
    shown.mouse("mouseMoved", x + w / 2 - 2, y + h / 2)
    shown.mouse("mouseMoved", x + w / 2, y + h / 2)
    shown.until(f"{LEGEND}[0].querySelector('.value').textContent !== ''")
    said = shown.run(f"{LEGEND}[0].querySelector('.value').textContent")
    mean = run[1]["ucb"][:, 1].mean()  # the middle of 1, 10, 100 on a logarithmic axis
    assert float(said.split(" ")[0]) == pytest.approx(mean, rel=1e-3) and "[" in said
    before = picture(shown)
    shown.mouse("mousePressed", x + 0.4 * w, y + 0.5 * h, "left")
    shown.mouse("mouseMoved", x + 0.6 * w, y + 0.52 * h, "left")
    shown.mouse("mouseMoved", x + 0.9 * w, y + 0.52 * h, "left")
    shown.mouse("mouseReleased", x + 0.9 * w, y + 0.52 * h, "left")
    shown.mouse("mouseMoved", x + w + 50, y + h / 2)
    assert picture(shown) != before
    shown.run("document.querySelector('[data-do=out]').click()")
    assert picture(shown) == before


@needs_browser
def test_everything_works_by_keys_alone(shown):
    reached = []
    for _ in range(40):
        shown.key("Tab", 9)
        named = "(e => e.id || e.dataset.do || e.className || e.tagName)(document.activeElement)"
        reached.append(shown.run(named))
    wanted = {"skip", "theme", "x", "y", "bands", "in", "out", "chart", "SUMMARY", "wide"}
    assert wanted <= set(reached)
    assert shown.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    shown.run("document.querySelector('.chart').focus()")
    before = picture(shown)
    shown.key("ArrowRight", 39)
    shown.key("ArrowRight", 39)
    said = shown.run("document.querySelector('.read').textContent")
    assert said.startswith("round 10: UCB ") and "MOSS" in said
    shown.key("+", 187)
    assert picture(shown) != before
    shown.key("Escape", 27)
    shown.run(f"{LEGEND}[0].focus()")
    shown.key(" ", 32)
    assert shown.run(f"{LEGEND}[0].getAttribute('aria-pressed')") == "false"


@needs_browser
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_the_window_in_both_themes(width, browser, run, tmp_path):
    path = write(run[0], tmp_path / "one.html")
    pictures = []
    for theme in ("light", "dark"):
        browser.look(width, theme=theme)
        browser.open(path)
        browser.until("document.querySelectorAll('.uplot').length === 1")
        browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert browser.run("document.documentElement.scrollWidth") <= width
        assert browser.run("document.documentElement.dataset.theme") == theme
        pictures.append(picture(browser))
        browser.run("document.getElementById('theme').click()")
        assert browser.run("document.documentElement.dataset.theme") != theme
    assert pictures[0] != pictures[1] and browser.problems == []


@needs_browser
def test_hostile_names_run_nothing(browser, run, tmp_path):
    folder = shutil.copytree(run[0], tmp_path / "run")
    text = (folder / "run.json").read_text()
    (folder / "run.json").write_text(text.replace('"Ten Bern', '"' + json.dumps(EVIL)[1:-1]))
    browser.open(write(folder, tmp_path / "evil.html"))
    assert browser.run("document.title").startswith(EVIL)
    assert browser.run("document.querySelectorAll('img').length") == 0
    assert browser.problems == []


@needs_browser
def test_the_whole_gallery_is_interactive_within_two_seconds(browser, gallery):
    browser.problems.clear()
    browser.look(1280)
    seconds = browser.open(gallery)
    seconds += browser.until("(() => { location.hash = 'run-3'; return true })()")
    seconds += browser.until("document.querySelectorAll('.uplot').length > 0")
    assert seconds < 2.0
    hits = browser.run(
        "(() => { const f = document.getElementById('find'); f.value = 'dp_bai'; "
        "f.dispatchEvent(new Event('input')); return [...document.querySelectorAll("
        "'main > details:not(.hidden)')].length })()"
    )
    assert 1 <= hits < 10 and browser.problems == []
