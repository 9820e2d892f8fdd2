"""The installed package: a wheel of this tree, used from another folder; and its front door."""

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import banditlab
from banditlab.__main__ import main
from banditlab.arena import find

ROOT = Path(__file__).parent.parent


def run(words, folder, package):
    """A child Python that finds ``package`` first."""
    env = {**os.environ, "PYTHONPATH": str(package)}
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=env, capture_output=True, text=True, timeout=300
    )


def test_the_main_job_gives_the_committed_curves(installed, tmp_path):
    done = run(["-m", "banditlab.arena", "--agent", "lcb", "--quiet"], tmp_path, installed)
    assert done.returncode == 0, done.stderr
    anew = (tmp_path / "results/lcb/curves.csv").read_bytes()
    assert anew == (ROOT / "results/lcb/curves.csv").read_bytes()


def test_the_wheel_carries_every_arena_and_log(installed):
    shipped = installed / "banditlab" / "_arenas"
    files = {path.relative_to(shipped): path for path in shipped.rglob("*") if path.is_file()}
    files = {name: path for name, path in files.items() if path.suffix != ".pyc"}
    wanted = {p.relative_to(ROOT / "arenas"): p for p in (ROOT / "arenas").rglob("*.*")}
    assert set(files) == set(wanted)
    assert all(files[name].read_bytes() == wanted[name].read_bytes() for name in wanted)
    assert (installed / "banditlab" / "py.typed").is_file()
    for name in ("page.css", "page.js", "uPlot.min.js", "uPlot.min.css", "uPlot.LICENSE"):
        assert (installed / "banditlab" / "report" / name).is_file()
    assert not (installed / "arenas").exists()  # nothing beside the package


@pytest.mark.parametrize("name", ["digits.csv", "arenas/logs/digits.csv"])
def test_a_shipped_log_is_found_by_name_and_said(name, installed, tmp_path):
    words = ["-m", "banditlab", "arena", "--agent", "lcb", "--log", name]
    done = run(words, tmp_path, installed)
    assert done.returncode == 0, done.stderr
    assert f"no {name} here: this is the log that comes with banditlab" in done.stderr


def test_the_installed_package_says_its_version_and_carries_its_documentation(installed, tmp_path):
    code = (
        "import banditlab, importlib.metadata as m; "
        "print(banditlab.__file__, banditlab.__version__, m.version('banditlab-arena'))"
    )
    file, *versions = run(["-c", code], tmp_path, installed).stdout.split()
    assert Path(file).is_relative_to(installed)
    assert versions == [banditlab.__version__] * 2
    readme = run(["-m", "banditlab", "readme"], tmp_path, installed).stdout
    assert readme.strip() == (ROOT / "README.md").read_text().strip()


def test_the_version_is_written_once():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in project["project"] and project["project"]["dynamic"] == ["version"]
    asked = project["tool"]["setuptools"]["dynamic"]["version"]
    assert asked == {"attr": "banditlab.__version__"}


def test_the_source_archive_builds_the_same_wheel(installed, tmp_path):
    pytest.importorskip("setuptools", minversion="77")
    source = installed.parent / "source"
    shutil.copytree(source, tmp_path / "source")
    (tmp_path / "source" / "tests").mkdir()
    (tmp_path / "source" / "tests" / "test_some.py").touch()  # some without the rest: no use
    code = "from setuptools import build_meta; build_meta.build_sdist('..')"
    subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "source", check=True, capture_output=True
    )
    [archive] = tmp_path.glob("*.tar.gz")
    pip = [sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", tmp_path, archive], check=True, capture_output=True)
    [mine] = tmp_path.glob("*.whl")
    [wheel] = installed.parent.glob("*.whl")
    assert zipfile.ZipFile(mine).namelist() == zipfile.ZipFile(wheel).namelist()
    assert not any("/tests/" in name for name in tarfile.open(archive).getnames())


def test_an_existing_file_is_never_passed_over_for_a_shipped_log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find.shipped_log("digits.csv").is_file()
    assert find.shipped_log("logs/digits.csv") == Path("logs/digits.csv")
    assert find.shipped_log("none.csv") == Path("none.csv")
    assert find.shipped_log(tmp_path / "digits.csv") == tmp_path / "digits.csv"
    Path("digits.csv").write_text("action,reward\n0,1\n")
    assert find.shipped_log("digits.csv") == Path("digits.csv")


def test_an_installed_package_looks_inside_itself_before_beside_itself(tmp_path, monkeypatch):
    inside, beside = tmp_path / "banditlab" / "_arenas", tmp_path / "arenas"
    for folder in (inside, beside):
        folder.mkdir(parents=True)
        (folder / "stochastic.toml").touch()
    monkeypatch.setattr(find, "__file__", str(tmp_path / "banditlab" / "arena" / "find.py"))
    monkeypatch.chdir(inside)
    assert find.arena_files() == {"stochastic": inside / "stochastic.toml"}


def test_the_front_door_says_what_there_is(capsys):
    assert main([]) == main(["--help"]) == 0
    said = capsys.readouterr().out
    assert said.count(f"banditlab {banditlab.__version__}") == 2
    assert f"{len(banditlab.names())} agents" in said
    assert f"{len(find.arena_files())} arenas" in said


@pytest.mark.parametrize("words", [["arena"], []])
def test_the_front_door_leads_to_the_arena(words, capsys):
    assert main([*words, "--list", "--json"]) == 0
    assert '"arenas"' in capsys.readouterr().out
    assert main([*words, "--agent", "ucb", "--horizon", "0"]) == 2
    assert capsys.readouterr().err == "error: --horizon must be at least 1, got 0\n"
    with pytest.raises(SystemExit) as done:
        main([*words, "--version"])
    assert done.value.code == 0
    assert capsys.readouterr().out == f"banditlab {banditlab.__version__}\n"


def test_the_front_door_reads_the_documentation_out(capsys):
    assert main(["readme"]) == 0
    assert capsys.readouterr().out.strip() == (ROOT / "README.md").read_text().strip()


def test_a_wrong_word_is_one_line(capsys):
    assert main(["areena"]) == 2
    assert (
        capsys.readouterr().err == "error: unknown word 'areena'; did you mean arena or readme?\n"
    )
