"""Choosing an agent: the table of advice, what is said of each name, what to cite, completion."""

import itertools
import json
import re
import shlex
import shutil
import subprocess
import sys

import pytest

import banditlab
from banditlab import advice, citations, registry
from banditlab.arena import find
from banditlab.arena.jobs import Resolver
from banditlab.citations import Paper, cited, papers, plain, spellings
from banditlab.cli import choose, completion
from banditlab.cli.flags import parser
from banditlab.cli.main import main
from banditlab.cli.run import chosen

RULES = advice.rules()
COMMANDS = [rule.command.format(horizon=50) for rule in RULES]
AGENTS = registry.names()


# --- advice -----------------------------------------------------------------------------------


def words(command):
    """What follows ``python -m banditlab.arena``."""
    found = shlex.split(command)
    assert found[:3] == ["python", "-m", "banditlab.arena"]
    return found[3:]


def test_every_agent_says_when_to_take_it():
    silent = [name for name in AGENTS if not advice.when(name)]
    assert silent == []  # a line in advice.toml, or when = "..." in the agent's file
    assert all(len(advice.when(name)) < 100 for name in AGENTS)


def test_every_rule_speaks_of_what_there_is():
    known = {question.name: set(question.answers) for question in advice.questions()}
    for rule in RULES:
        assert set(rule.agents) <= set(AGENTS), rule
        assert all(set(given) <= known[name] for name, given in rule.conditions.items()), rule
    answered = {(name, a) for r in RULES for name, given in r.conditions.items() for a in given}
    unused = {(q, a) for q, answers in known.items() for a in answers} - answered
    assert unused == set()  # an answer that nothing depends on need not be asked for


def test_advice_is_what_the_table_says_for_every_situation():
    """Against a slow second reading of the table."""
    names = [question.name for question in advice.questions()]
    table = advice._table()["rules"]
    empty = 0
    for answers in itertools.product(*(q.answers for q in advice.questions())):
        given = dict(zip(names, answers, strict=True))
        wanted = []
        for entry in table:
            if all(
                given[name] == value or (isinstance(value, list) and given[name] in value)
                for name, value in entry["if"].items()
            ):
                wanted.append(tuple(entry["agents"]))
        assert [rule.agents for rule in advice.advise(given)] == wanted
        if not wanted:
            empty += 1
    assert 0 < empty < 300
    private = advice.advise({"feedback": "best", "privacy": "yes"})
    assert [rule.agents[0] for rule in private] == ["dp_bai"]
    for rule in RULES:  # nothing is recommended for privacy that has no epsilon
        if "yes" in rule.conditions["privacy"]:
            for name in rule.agents:
                assert "epsilon" in [p.name for p in advice.parameters("agent", name)]


@pytest.mark.parametrize("rule", RULES, ids=[" ".join(rule.agents) for rule in RULES])
def test_every_command_is_one_that_can_be_played(rule):
    args = parser().parse_args(words(rule.command.format(horizon=50)))
    if args.explain:
        assert choose.facts(args.explain)
    elif args.log:
        assert find.shipped_log(args.log).is_file() and args.agent in rule.agents
    elif args.env:
        assert args.agent in rule.agents
    else:
        arena, _ = chosen(args)
        resolver = Resolver()
        for panel in arena.panels:
            for entry in panel.agents if not panel.sweep else ():
                resolver.terms(panel, entry)
        shown = {entry.name for panel in arena.panels for entry in panel.agents}
        assert shown & set(rule.agents)


def test_a_source_that_ends_like_a_program_is_none():
    """An arena's own words are not what it runs."""
    for name in find.arena_files():
        find.refuse_code(name)


CHEAP = ["--agent lcb --log", "--explain", "--agent spo_batch --log"]


@pytest.mark.parametrize("command", sorted(c for c in COMMANDS if any(x in c for x in CHEAP)))
def test_the_cheap_commands_run(command, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main([*words(command), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


@pytest.mark.slow
@pytest.mark.parametrize("command", sorted(set(COMMANDS)))
def test_every_command_runs(command, tmp_path):
    """About 10 minutes: python -m pytest -m slow tests/test_choosing.py."""
    less = [] if "--log" in command or "--explain" in command else ["--replications", "2"]
    done = subprocess.run(
        [sys.executable, *shlex.split(command)[1:], *less, "--json"],
        cwd=tmp_path, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    missed = [x for x in done.stderr.splitlines() if not x.startswith("check failed: ")]
    # Two replications are not what an arena's checks are made for.
    assert done.returncode == 0 or (done.returncode == 1 and missed == []), done.stderr
    assert json.loads(done.stdout)


def test_advice_is_given_without_asking(capsys):
    said = ["feedback=reward", "contexts=features", "horizon=123"]
    assert main(["--advise", *said]) == 0
    out = capsys.readouterr().out
    assert "linucb: " in out and "--horizon 123" in out and "source=live is assumed" in out
    assert main(["--advise", *said, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["answers"]["source"] == "live" and found["advice"][0]["agents"][0] == "linucb"
    assert main(["--advise", "feedback=states", "privacy=yes"]) == 0
    assert "privacy=no: mex_mb" in capsys.readouterr().out  # what would be nearest


def test_questions_are_asked_that_matter(capsys):
    answers = iter(["4", "what", "log"])
    asked = []

    def read(prompt):
        asked.append(prompt)
        return next(answers, "")

    given, horizon = choose.asked({}, None, read)
    assert given["feedback"] == "best" and given["source"] == "log"
    assert "contexts" not in given and horizon is None  # neither matters there
    assert "unknown answer 'what'" in capsys.readouterr().out
    given, horizon = choose.asked({}, None, lambda prompt: "")  # the first of everything
    assert given["feedback"] == "reward" and horizon == advice.HORIZON


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("feedback", "--advise takes question=answer"),
        ("feedback=rewards", "unknown answer to feedback 'rewards'; did you mean reward"),
        ("feedbak=reward", "unknown question 'feedbak'; did you mean feedback?"),
        ("horizon=0", "horizon must be a whole number from 1 on, got '0'"),
        ("horizon=1e3", "horizon must be a whole number from 1 on, got '1e3'"),
    ],
)
def test_what_cannot_be_advised_on_is_one_line(said, line, capsys):
    assert main(["--advise", said]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and line in err


# --- what is said of a name -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ucb", "dp_bai", "lcb", "spo_exp3", "bernoulli", "stochastic"])
def test_explain_says_what_a_name_is(name, capsys):
    assert main(["--explain", name]) == 0
    out = capsys.readouterr().out
    for kind, facts in choose.facts(name).items():
        assert f"{name} ({kind}" in out and " ".join(facts["what"].split()) in out
    assert main(["--explain", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(choose.facts(name)))


def test_explain_gives_parameters_source_guarantee_and_home():
    facts = choose.facts("ucb")["agent"]
    assert facts["parameters"] == [
        {"name": "alpha", "default": "2.0", "words": "> 0, in squared units of reward"}
    ]
    assert facts["home"] == "stochastic" and facts["figure"] == "results/stochastic/figure.png"
    assert "auer2002ucb" in facts["source"] and "dp_bai" not in facts["arenas"]
    assert any("sqrt(2 K T ln(K))" in line for line in choose.facts("exp3")["agent"]["guarantee"])
    assert choose.facts("bernoulli")["problem"]["parameters"][0]["name"] == "means"
    assert set(choose.facts("lcb")) == {"agent", "arena"}


def test_every_name_can_be_explained_and_most_parameters_have_words():
    silent, count = [], 0
    for kind, names in (("agent", AGENTS), ("problem", registry.problem_names())):
        for name in names:
            assert advice.what(kind, name).endswith("."), name
            for one in advice.parameters(kind, name):
                count += 1
                if kind == "agent" and not one.words:
                    silent.append(f"{name}.{one.name}")
    assert count > 250
    assert len(silent) < 0.1 * count, silent


def test_an_unknown_name_is_one_line(capsys):
    assert main(["--explain", "thomson"]) == 2
    assert "did you mean thompson" in capsys.readouterr().err


def test_the_list_has_a_line_for_each_agent(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in AGENTS:
        assert any(line.split()[:1] == [name] and advice.when(name) in line for line in lines)
    assert "(Auer" not in "".join(line for line in lines if line.startswith("ucb "))


def test_a_file_of_ones_own_says_when_and_what_to_cite(tmp_path):
    file = tmp_path / "mine.py"
    source = registry.file_of("agent", "ucb").read_text().replace("def ucb(", "def mine(")
    bib = "@misc{me, title = {Mine}}"
    file.write_text(f'{source}\nwhen = "on Sundays"\nbibtex = """\n{bib}\n"""\n')
    assert advice.when(str(file)) == "on Sundays" and banditlab.cite(str(file)) == bib
    facts = choose.facts(str(file))["agent"]
    assert facts["when"] == "on Sundays" and facts["parameters"][0]["name"] == "alpha"
    assert facts["command"] == "" and facts["source"] == bib


# --- citations --------------------------------------------------------------------------------


def test_every_agent_has_a_paper_or_is_a_control():
    """A new paper goes into papers.bib, or as bibtex = "..." into the agent's file."""
    unknown, controls = [], []
    for name in AGENTS:
        try:
            text = banditlab.cite(name)
        except ValueError:
            unknown.append(name)
            continue
        if text.startswith("%"):
            controls.append(name)
            assert registry.is_baseline(name)
        else:
            assert re.match(r"@\w+\{[\w-]+,", text) and text.count("{") == text.count("}")
    assert unknown == [] and len(controls) < 10


NEEDED = {
    "article": {"journal"}, "inproceedings": {"booktitle"}, "book": {"publisher"},
    "phdthesis": {"school"}, "misc": {"eprint"},
}  # fmt: skip


def test_every_entry_is_whole():
    text = citations.FILE.read_text()
    assert len(papers()) == text.count("\n@") and text.isascii()
    assert len({paper.key for paper in papers()}) == len(papers())
    for paper in papers():
        assert {"author", "title", "year"} | NEEDED[paper.kind] <= set(paper.fields), paper.key
        assert all(", " in author for author in paper.fields["author"].split(" and ")), paper.key
        assert paper.fields["year"] in paper.key and 1900 < int(paper.fields["year"]) < 2027
        # Nothing of the entry was lost between the fields.
        entry = next(line for line in text.splitlines() if f"{{{paper.key}, " in line)
        again = ", ".join(f"{k} = {{{v}}}" for k, v in paper.fields.items())
        assert entry == f"@{paper.kind}{{{paper.key}, {again}}}"


def test_titles_that_docstrings_quote_are_those_of_the_entries():
    quoted = 0
    for name in AGENTS:
        about = " ".join(registry.about("agent", name).split())
        for paper in citations.source(name):
            place = plain(about).find(spelling(paper))
            rest = plain(about)[place + len(spelling(paper)) :]
            title = re.match(r'[^".;()]{0,12}[ (,]*"([^"]+)"', rest)
            if place >= 0 and title:
                quoted += 1
                said, known = title[1].lower().strip(",."), plain(paper.fields["title"]).lower()
                said, known = (re.sub(r"[^a-z0-9]+", " ", x).strip() for x in (said, known))
                short = known.replace("reinforcement learning", "rl")
                assert said in known or said in short or known.endswith(said), (name, said, known)
    assert quoted >= 5


def spelling(paper):
    return next(words for words, other in spellings().items() if other is paper)


def test_papers_are_found_by_their_authors_and_year():
    text = (
        "As (Auer, Cesa-Bianchi & Fischer 2002), not Wu & Liu 2015; Geulen, Voecking & Winkler 2010"
    )
    assert [paper.key for paper in cited(text)] == ["auer2002ucb", "geulen2010"]
    assert [p.key for p in cited("Osband, Russo & Van Roy 2013, then Russo 2016")] == [
        "osband2013", "russo2016",
    ]  # fmt: skip
    assert cited("Foo, Wu & Liu 2016, Bar & Neu 2015, Li et al. 2022") == []  # others, or two
    assert plain(r"V{\"o}cking and Capp{\'e}") == "Vocking and Cappe"


def test_a_spelling_of_two_papers_means_neither():
    assert "Li et al. 2022" not in spellings() and "Liu et al. 2023" in spellings()


def test_cite_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match="unknown agent 'thomson'"):
        banditlab.cite("thomson")
    assert banditlab.cite("uniform_play").startswith("% uniform_play: a control")
    assert isinstance(papers()[0], Paper)


# --- completion -------------------------------------------------------------------------------


def completed(shell, *typed):
    line = list(typed)
    code = (
        f"{completion.script('bash')}\nCOMP_WORDS=({' '.join(map(shlex.quote, line))})\n"
        f"COMP_CWORD={len(line) - 1}\n_banditlab\nprintf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    done = subprocess.run([shell, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        (["banditlab", "re"], {"report", "readme"}),
        (["banditlab", "arena", "--agent", "dp_b"], {"dp_bai", "dp_bai_gauss"}),
        (["banditlab", "arena", "--arena", "spo_t"], {"spo_tree"}),
        (["banditlab", "arena", "--repl"], {"--replications"}),
        (["banditlab", "arena", "--bands", "p"], {"pointwise"}),
        (["banditlab", "arena", "--advise", "source="], {"source=live", "source=log"}),
        (["banditlab", "arena", "--set", "moss"], {"moss."}),
        (["banditlab", "arena", "--horizon", ""], set()),
        (["banditlab", "arena", "--resume", "--horiz"], {"--horizon"}),
    ],
)
def test_bash_completes(typed, wanted):
    assert set(completed("bash", *typed)) == wanted


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_is_sound(shell, capsys):
    assert main(["--completion", shell]) == 0
    text = capsys.readouterr().out
    for flag, _ in completion._flags():
        assert flag in text or f"-l {flag[2:]} " in text or f"-s {flag[1:]} " in text, flag
    assert "thompson" in text
    if not shutil.which(shell):
        pytest.skip(f"no {shell} to read it")
    done = subprocess.run([shell, "-n"], input=text, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_another_shell_is_refused(capsys):
    assert main(["--completion", "tcsh"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
