"""The documentation is true: tutorials run, every public name is described, pages show what is.

The site itself is built by the slow test here, where the extra ``docs`` is installed.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from banditlab import advice, registry

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "scripts" / "docs"
TUTORIALS = sorted((PAGES / "tutorials").glob("*.md"))
FAMILIES = sorted((PAGES / "families").glob("*.md"))


@pytest.fixture(scope="module")
def docs():
    spec = importlib.util.spec_from_file_location("build_docs", ROOT / "scripts" / "build_docs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cells(page: Path) -> list[str]:
    """The code of a page's cells, as a program may run it: results are printed, not shown."""
    return re.findall(r"```\{code-cell\}[^\n]*\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.mark.parametrize("page", TUTORIALS, ids=[page.stem for page in TUTORIALS])
def test_tutorial_runs(page, tmp_path, installed, docs):
    needs = docs.NEEDS.get(page.stem)
    if needs and importlib.util.find_spec(needs) is None:
        pytest.skip(f"{needs} is not installed")
    program = "\n".join(cells(page))
    assert len(cells(page)) >= 2
    env = {**os.environ, "PYTHONPATH": str(installed), "MPLBACKEND": "agg"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=env, capture_output=True, text=True,
        timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "left out" not in done.stderr or "own_problem" in page.stem or "tabular" in page.stem


def defined(module) -> dict[str, object]:
    """Public functions and classes that a module defines itself."""
    return {
        name: value
        for name, value in vars(module).items()
        if name[0] != "_"
        and (inspect.isclass(value) or callable(value))
        and getattr(value, "__module__", None) == module.__name__
        and getattr(value, "__name__", "") != "<lambda>"
    }


def test_every_public_name_is_documented(docs):
    silent = []
    for name in docs.modules():
        module = import_module(name)
        if not module.__doc__:
            silent.append(name)
        for title, value in defined(module).items():
            if not inspect.getdoc(value):
                silent.append(f"{name}.{title}")
            members = vars(value).items() if inspect.isclass(value) else ()
            fields = getattr(value, "_fields", ())
            silent += [
                f"{name}.{title}.{key}"
                for key, member in members
                if key[0] != "_" and key not in fields and inspect.isfunction(member)
                and member.__name__ != "<lambda>"
                and not inspect.getdoc(getattr(value, key))
            ]  # fmt: skip
    assert not silent


@pytest.mark.parametrize("kind", ["agent", "problem"])
def test_every_agent_and_problem_says_what_it_is_and_takes(kind):
    for name in registry.names() if kind == "agent" else registry.problem_names():
        made = registry.factory(kind, name)
        said = f"{import_module(made.__module__).__doc__}\n{made.__doc__}"
        assert made.__doc__, name
        beside = {one.name for one in advice.parameters(kind, name) if one.words}
        missing = [
            key
            for key in inspect.signature(made).parameters
            if key not in beside and not re.search(rf"\b{key}\b", said)
        ]
        assert not missing, f"{name}: {missing} are not described"


def test_a_name_without_a_docstring_is_found(docs, tmp_path, monkeypatch):
    (tmp_path / "unsaid.py").write_text('"""A module."""\n\n\ndef spoken():\n    return 1\n')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(docs, "modules", lambda: ["unsaid"])
    with pytest.raises(AssertionError, match=r"unsaid\.spoken"):
        test_every_public_name_is_documented(docs)


def test_every_family_has_a_page_that_names_its_agents_and_shows_a_figure():
    assert {page.stem for page in FAMILIES} == set(registry.families())
    for page in FAMILIES:
        text = page.read_text()
        for title in ("**Guarantee.**", "**Use it**", "**Not**", "```text"):
            assert title in text, f"{page.stem}: {title}"
        [figure] = re.findall(r"\.\./figures/(\w+)\.svg", text)
        assert (ROOT / "results" / figure / "figure.svg").exists(), figure
        known = {*registry.names(), *registry.problem_names()}
        for named in re.findall(r"`([a-z]\w+)`", text):
            words = {
                "delta",
                "eta",
                "alpha",
                "sigma",
                "disjoint",
                "practical",
                "radius",
                "deep",
                "row_l2",
            }
            assert named in known | words, f"{page.stem}: {named}"


def test_what_agents_can_do_is_read_off_them(docs):
    ucb, linucb = docs.capability("ucb"), docs.capability("linucb")
    assert ucb["contexts"] == ucb["late rewards"] == ucb["lanes"] == "yes"
    assert ucb["propensities"] == "1 or 0" and docs.capability("exp3")["propensities"] == "drawn"
    assert linucb["features"] == "needs them" and ucb["features"] == ""
    assert docs.capability("exp3")["rewards"] == "0 to 1"
    assert docs.capability("dp_bai")["protocol"] == "identify"
    assert len(docs.capabilities().splitlines()) > len(registry.names())


def test_shell_lines_of_the_pages_are_commands_that_parse(docs):
    from banditlab.cli.main import parser  # the same that runs them

    for page in [*TUTORIALS, *FAMILIES, PAGES / "index.md"]:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL):
            for line in block.strip().splitlines():
                if line.startswith("python -m banditlab.arena "):
                    parser().parse_args(line.split()[3:])


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    for needed in ("sphinx", "myst_nb", "furo"):
        pytest.importorskip(needed)
    done = subprocess.run(
        [sys.executable, "scripts/build_docs.py", "--out", str(tmp_path / "site")],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    text = (tmp_path / "site" / "tutorials" / "first_run.html").read_text()
    assert "Comparison(difference=" in text  # the tutorial's own output
