"""The report as a page: what is read becomes HTML, and a file."""

from __future__ import annotations

import base64
import hashlib
import math
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import banditlab
from banditlab.arena.claims import failed, tally, verdict
from banditlab.data import atomic
from banditlab.plot.curves import Curve
from banditlab.report.colors import DARK, LIGHT, legible
from banditlab.report.markup import Html, data, el
from banditlab.report.read import Panel, Run, folders, read
from banditlab.report.tables import finals, pairs, table
from banditlab.words import plain

HERE = Path(__file__).parent
HOW = (
    "Drag over a chart to enlarge a part, double-click to see all. By keys: arrows read values "
    "off, plus and minus change the view. The buttons below a chart hide and show curves."
)
Progress = Callable[[str, int, int], None]


def write(
    root: str | Path, out: str | Path | None = None, progress: Progress | None = None
) -> Path:
    """Write the report of a run's folder, or of a folder of such folders.

    Parameters
    ----------
    root
        Where ``run.json`` lies, or folders that have one, at most two levels below.
    out
        The file to write; ``report.html`` in ``root`` by default. It appears whole or not at all,
        and the same runs give the same bytes.
    progress
        Called with what is read, how many runs are, and how many there are.

    Raises
    ------
    ValueError
        In one line that names the file, where something is missing or damaged; nothing is written.

    Examples
    --------
    >>> banditlab.report.write("results/stochastic")  # doctest: +SKIP
    PosixPath('results/stochastic/report.html')
    """
    root = Path(root)
    found = folders(root)
    runs = []
    for i, folder in enumerate(found):
        if progress is not None:
            progress(f"reading {folder.name}", i, len(found))
        runs.append(read(folder))
    path = Path(out) if out is not None else root / "report.html"
    if path.is_dir():
        raise ValueError(f"{path}: a folder has that name; --out is the file to write")
    if not path.parent.is_dir():
        raise ValueError(f"{path}: there is no folder {path.parent}")
    atomic.write_text(path, page(runs))
    return path


def page(runs: Sequence[Run]) -> str:
    """The whole page, as text."""
    style = Html(_asset("uPlot.min.css") + _asset("page.css"))
    library = Html(f"/*\n{_asset('uPlot.LICENSE')}\n*/\n{_asset('uPlot.min.js')}")
    script = Html(_asset("page.js"))
    sources = {
        "default-src": ["'none'"],
        "style-src": [_digest(style)],
        "script-src": [_digest(library), _digest(script)],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
    }
    policy = "; ".join(f"{name} {' '.join(allowed)}" for name, allowed in sources.items())
    one = len(runs) == 1
    title = _title(runs[0]) if one else f"{len(runs)} arenas"
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", f"{title} - banditlab"),
        el("style", style),
    )
    body = el(
        "body",
        el("a", "Skip to the results", href="#results", class_="skip"),
        _header(runs, title),
        el("main", [_run(run, i, one) for i, run in enumerate(runs)], id="results"),
        el("script", library),
        el("script", script),
    )
    return f"<!doctype html>\n{el('html', head, body, lang='en')}\n"


def _asset(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8").strip()


def _digest(source: str) -> str:
    """How a policy names a script or style that it lets in."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def _title(run: Run) -> str:
    return run.about.arena.title or run.about.arena.name


# --- the top ----------------------------------------------------------------------------------


def _header(runs: Sequence[Run], title: str) -> Html:
    checks = [check for run in runs for check in _verdicts(run)]
    said = tally(checks) or "No checks"
    words = [
        el("div", el("h1", title), el("button", "Dark", id="theme", type="button"), class_="top"),
        el("p", f"{said}. Made by banditlab {banditlab.__version__} from the files of the runs."),
        el("noscript", el("p", "Curves are drawn by a script; tables and checks need none.")),
    ]
    words.append(el("p", HOW, id="how", class_="facts"))
    if len(runs) > 1:
        index = [
            el("li", el("a", _title(run), href=f"#run-{i}"), " ", _badge(run))
            for i, run in enumerate(runs)
        ]
        words += [
            el(
                "label", "Find an arena ", el("input", id="find", type="search", autocomplete="off")
            ),
            el("p", "", id="hits", role="status"),
            el("nav", el("ul", index, id="index"), aria_label="Arenas"),
        ]
    return el("header", words)


def _verdicts(run: Run) -> list[dict[str, Any]]:
    return [check.model_dump() for check in run.about.checks]


def _badge(run: Run) -> Html:
    checks = _verdicts(run)
    if not checks:
        return el("span", "no checks", class_="badge none")
    return el("span", tally(checks), class_=f"badge {'bad' if failed(checks) else 'good'}")


# --- an arena ---------------------------------------------------------------------------------


def _run(run: Run, i: int, is_open: bool) -> Html:
    arena = run.about.arena
    summary = el(
        "summary",
        el("h2", _title(run)),
        el("span", el("code", arena.name), " ", _badge(run), class_="facts"),
        id=f"run-{i}-title",
    )
    parts: list[Html] = []
    if arena.claim:
        parts.append(el("p", el("strong", "Claim: "), arena.claim, class_="claim"))
    if arena.source:
        parts.append(el("p", el("strong", "Source: "), arena.source))
    parts += [_panel(run, panel, f"{i}-{k}") for k, panel in enumerate(run.panels)]
    parts += [_checks(run), _provenance(run)]
    if run.about.seed is not None:
        parts.append(_again(run))
    return el("details", summary, el("div", parts, class_="arena"), id=f"run-{i}", open=is_open)


def _panel(run: Run, panel: Panel, place: str) -> Html:
    figure = panel.figure
    untitled = figure.title in ("", figure.name) and len(run.panels) == 1
    title = _title(run) if untitled else figure.title or figure.name
    facts = []
    if panel.arena is not None and panel.arena.problem is not None:
        facts = [f"problem {panel.arena.problem.name}", f"protocol {panel.arena.protocol}"]
        if panel.arena.exact:
            facts.append("summed over all logs, no chance involved")
    count = max((final.n for final in panel.finals), default=0)
    facts.append(f"{count:,} replication{'s' * (count != 1)}")
    parts = [el("h3", title), el("p", ", ".join(facts), class_="facts")]
    if any(curve.t.size > 1 for curve in panel.curves):
        parts.append(_chart(panel, place, title))
    parts += [finals(panel), *pairs(panel)]
    return el("section", parts, class_="panel", aria_label=title)


def _chart(panel: Panel, place: str, title: str) -> Html:
    figure = panel.figure
    times: list[list[float | None]] = []
    lines = []
    for curve in sorted(panel.curves, key=lambda curve: curve.overlay):  # bounds come last
        t = _numbers(curve.t)
        if t not in times:
            times.append(t)
        lines.append(_line(curve, times.index(t)))
    facts = {
        "x": figure.xscale, "y": figure.yscale, "lin": figure.linthresh,
        "xl": figure.xlabel, "yl": figure.ylabel, "ts": times, "lines": lines,
    }  # fmt: skip
    name = f"{title}: {figure.ylabel} against {figure.xlabel}"
    buttons = [
        el("button", words, type="button", data_do=do, aria_pressed=pressed)
        for words, do, pressed in (
            ("Log x", "x", "false"), ("Log y", "y", "false"), ("Bands", "bands", "true"),
            ("Zoom in", "in", None), ("Zoom out", "out", None),
        )
    ]  # fmt: skip
    return el(
        "div",
        data(facts, id=f"data-{place}"),
        el("div", buttons, class_="tools", role="toolbar", aria_label=f"View of {title}"),
        el(
            "div", "", class_="chart", tabindex="0", role="group", aria_label=name,
            aria_roledescription="chart", aria_describedby="how", data_from=f"data-{place}",
        ),
        el("p", "", class_="read", role="status"),
        el("div", "", class_="legend", role="group", aria_label=f"Curves of {title}"),
        class_="chartbox",
    )  # fmt: skip


def _line(curve: Curve, times: int) -> dict[str, Any]:
    color = str(curve.look["color"])
    dashes = curve.look["linestyle"]
    found = {
        "n": plain(curve.name) + (f": {curve.note}" if curve.note else ""),
        "c": [legible(color, LIGHT), legible(color, DARK)],
        "d": [] if isinstance(dashes, str) else [round(1.8 * d, 1) for d in dashes[1]],
        "k": times,
        "m": _numbers(curve.mean),
    }
    if curve.overlay:
        found["o"] = 1
    elif np.isfinite(curve.lo).any() and not np.array_equal(curve.lo, curve.hi):
        found |= {"l": _numbers(curve.lo), "h": _numbers(curve.hi)}
    return found


def _numbers(values: np.ndarray) -> list[float | None]:
    """Five digits, as many as a screen can show; None where there is no number."""
    short = [float(f"{value:.5g}") if math.isfinite(value) else None for value in values.tolist()]
    return [int(v) if v is not None and v == int(v) and abs(v) < 1e15 else v for v in short]


def _checks(run: Run) -> Html:
    checks = _verdicts(run)
    if not checks:
        return el("p", "Nothing was checked: the arena has no checks, or was run with changes.")
    rows = [
        (
            check["check"],
            el(
                "td",
                verdict(check),
                class_="none" if check.get("hypothesis") else "good" if check["passed"] else "bad",
            ),
            check["found"],
            check["why"],
        )
        for check in sorted(checks, key=lambda check: check["passed"])  # stable
    ]
    shown = table("Checks of the claim", ["check", "verdict", "found", "why"], rows, "checks")
    return el("details", el("summary", tally(checks)), shown, open=bool(failed(checks)))


def _provenance(run: Run) -> Html:
    about = run.about
    facts = [("hash of the arena", about.hash), ("seed", str(about.seed))]
    if about.seed is None:
        facts = [("simulated by", "others: a table of results")]
    facts += [(name, number) for name, number in about.versions.items()]
    if run.local is not None:
        facts += [(name, str(value)) for name, value in run.local.machine.items()]
        if run.local.peak_memory_bytes is not None:
            facts.append(("peak memory", f"{run.local.peak_memory_bytes / 1e6:.0f} MB"))
    facts += [(f"SHA-256 of {name}", digest) for name, digest in run.digests.items()]
    items = [(el("dt", name), el("dd", value)) for name, value in facts]
    return el("details", el("summary", "Where this comes from"), el("dl", items))


def _again(run: Run) -> Html:
    """How to run it once more: by name if the arena is a shipped one, unchanged, else as kept."""
    kept = str((run.folder / "run.json").as_posix())
    python = (
        "import banditlab, json\n"
        f"kept = json.load(open({kept!r}))\n"
        'curves = banditlab.simulate(kept["arena"])\n'
    )
    inside = [el("p", "From what this run kept:"), el("pre", el("code", python), tabindex="0")]
    if _shipped(run):
        words = f"python -m banditlab.arena --arena {shlex.quote(run.about.arena.name)}"
        inside = [el("pre", el("code", words), tabindex="0"), *inside]
    return el("details", el("summary", "Run it again"), inside)


def _shipped(run: Run) -> bool:
    """Whether the arena of that name is, to the letter, the one that was run."""
    from banditlab.arena import find, spec

    name = run.about.arena.name
    if name not in find.arena_files():
        return False
    try:
        find.refuse_code(name)
        return spec.read_arena(name).hash() == run.about.hash
    except ValueError:
        return False
