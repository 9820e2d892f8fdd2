"""The ledger of releases: what is added up, refused, sealed, and survived."""

import hashlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from banditlab.privacy import Entry, Ledger
from banditlab.privacy import ledger as module

TABLE = module.fingerprint([("a", np.array([1.0, 2.0])), ("b", np.array([3.0]))])
OTHER = module.fingerprint([("a", np.array([1.0, 2.0])), ("b", np.array([4.0]))])


def entry(epsilon=1.0, table=TABLE, unit=None):
    return Entry(table, epsilon, unit, {"agent": "dp_bai"})


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def refused(call, *words):
    with pytest.raises(ValueError) as error:
        call()
    text = str(error.value)
    assert "\n" not in text and all(word in text for word in words), text


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger"


def test_releases_add_up_as_they_are_written_and_the_whole_total_may_be_spent(path):
    book = Ledger(path, 0.3)
    assert [book.charge(entry(0.1)) for _ in range(3)] == [0.1, 0.2, 0.3]  # not so in binary
    refused(lambda: book.charge(entry(0.1)), "--epsilon-total: 0.3 of 0.3 is spent", "0.1 more")
    refused(lambda: book.check(entry(1e-9)), "1e-09 more")
    assert len(lines(path)) == 3
    assert Ledger(path, 0.4).check(entry(0.1)) == 0.4
    refused(lambda: Ledger(path, 0.4).check(entry(0.1000001)), "--epsilon-total")
    assert Ledger(path).check(entry(50.0)) == 50.3  # no total, no refusal
    refused(lambda: Ledger(path.with_name("new"), 1.0).check(entry(1.5)), "0.0 of 1 is spent")


def test_each_table_has_its_own_total(path):
    book = Ledger(path, 1.0)
    assert book.charge(entry(1.0)) == 1.0
    assert book.charge(entry(1.0, OTHER)) == 1.0
    refused(lambda: book.charge(entry(0.5, OTHER)), "--epsilon-total")


def test_epsilons_of_rewards_and_of_persons_do_not_add_up(path):
    book = Ledger(path)
    book.charge(entry(1.0, unit="user"))
    book.charge(entry(1.0, unit="user"))
    book.charge(entry(1.0, OTHER))
    refused(lambda: book.charge(entry(1.0)), "units of column 'user'", "single rewards")
    assert len(lines(path)) == 3


def test_a_line_holds_public_facts_and_a_digest_that_takes_the_key(path):
    Ledger(path).charge(entry())
    [facts] = lines(path)
    assert set(facts) == {"at", "table", "epsilon", "unit", "released", "seal"}
    assert facts["epsilon"] == 1.0 and facts["released"] == {"agent": "dp_bai"}
    assert facts["table"] not in (TABLE.hex(), hashlib.sha256(TABLE).hexdigest())
    second = path.with_name("second")
    Ledger(second).charge(entry())
    assert lines(second)[0]["table"] != facts["table"]  # another key
    for file in (path, second.with_name("second.key"), path.with_name("ledger.key")):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(os.listdir(path.parent)) == ["ledger", "ledger.key", "second", "second.key"]


def test_a_table_is_known_whatever_the_order_of_its_rows_and_arms():
    shuffled = [("b", np.array([3.0])), ("a", np.array([2.0, 1.0]))]
    assert module.fingerprint(shuffled) == TABLE
    for other in (
        [("a", np.array([1.0])), ("b", np.array([2.0, 3.0]))],
        [("a", np.array([1.0, 2.0])), ("c", np.array([3.0]))],
        [("a", np.array([1.0, 2.0])), ("b", np.array([np.nextafter(3.0, 4.0)]))],
    ):
        assert module.fingerprint(other) != TABLE


def test_a_key_of_the_environment_leaves_no_file(path, monkeypatch):
    monkeypatch.setenv(module.KEY_VARIABLE, "k" * 32)
    Ledger(path, 1.0).charge(entry())
    assert os.listdir(path.parent) == ["ledger"]
    refused(lambda: Ledger(path, 1.0).charge(entry()), "--epsilon-total")
    monkeypatch.setenv(module.KEY_VARIABLE, "x" * 32)
    refused(lambda: Ledger(path).charge(entry()), "line 1 is damaged, or belongs to another key")
    monkeypatch.setenv(module.KEY_VARIABLE, "k" * 31)
    refused(lambda: Ledger(path).charge(entry()), "at least 32 characters")
    monkeypatch.delenv(module.KEY_VARIABLE)
    refused(lambda: Ledger(path).charge(entry()), "ledger.key", "is missing")


def test_any_damage_is_noticed_and_the_line_named(path):
    book = Ledger(path)
    for epsilon in (1.0, 2.0, 3.0):
        book.charge(entry(epsilon))
    whole = path.read_bytes()
    one, two, three = whole.splitlines(keepends=True)
    rng = np.random.default_rng(0)
    damaged = [
        (one + three, 2),
        (two + three, 1),
        (one + three + two, 2),
        (one + two + two + three, 3),
        (one + two + three[:-1], 3),
        (one + two + three + b"\n", 4),
        (one + two + three + b"garbage", 4),
        (b"\x00" * 4096 + b"\n", 1),
        (one + b"{}\n" + three, 2),
        (one + b"[" * 100_000 + b"\n", 2),
        (whole.replace(b'"epsilon": 2.0', b'"epsilon": 0.1'), 2),
    ]
    for _ in range(200):
        text = bytearray(whole)
        at = int(rng.integers(len(text)))
        text[at] ^= 1 << int(rng.integers(8))
        damaged.append((bytes(text), None))
    for text, line in damaged:
        path.write_bytes(text)
        for call in (book.check, book.charge):
            refused(lambda call=call: call(entry()), "--ledger", "is damaged", f"line {line or ''}")
        assert path.read_bytes() == text
    path.write_bytes(whole)
    assert book.check(entry()) == 7.0


def test_what_is_no_ledger_is_refused(path, tmp_path):
    for place in (
        tmp_path,
        Path("/dev/null"),
        tmp_path / "none" / "ledger",
        tmp_path / ("n" * 300),
    ):
        refused(lambda place=place: Ledger(place).charge(entry()), "--ledger")
    refused(lambda: Ledger(tmp_path / "none" / "ledger").check(entry()), "no such folder")
    path.symlink_to(tmp_path / "away" / "ledger")
    refused(lambda: Ledger(path).check(entry()), "--ledger", "No such file")
    for total in (0, -1, float("nan"), "much"):
        refused(lambda total=total: Ledger(path, total), "epsilon_total must be")


def test_a_key_that_others_may_read_or_that_was_cut_is_refused(path):
    Ledger(path).charge(entry())
    key = path.with_name("ledger.key")
    key.chmod(0o640)
    refused(lambda: Ledger(path).charge(entry()), f"chmod 600 {key}")
    key.chmod(0o600)
    key.write_text("ab12")
    refused(lambda: Ledger(path).check(entry()), "a key has at least 32 characters")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="tells files by /proc")
def test_a_charge_is_on_the_disk_when_it_returns(path, monkeypatch):
    synced, sync = [], os.fsync

    def recorded(file):
        synced.append((os.readlink(f"/proc/self/fd/{file}"), path.exists() and path.read_text()))
        sync(file)

    monkeypatch.setattr(os, "fsync", recorded)
    Ledger(path).charge(entry())
    assert (str(path), path.read_text()) in synced and str(path.parent) in dict(synced)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_line_that_could_not_be_written_whole_is_taken_back(path, monkeypatch, error):
    book = Ledger(path)
    book.charge(entry())
    before = path.read_bytes()
    write = os.write

    def half(file, text):
        write(file, text[: len(text) // 2])
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        with pytest.raises((ValueError, KeyboardInterrupt)):
            book.charge(entry())
        patch.setattr(os, "write", lambda file, text: write(file, text[:9]))
        refused(lambda: book.charge(entry()), "--ledger", "the disk is full")
    assert path.read_bytes() == before
    assert book.charge(entry()) == 2.0


RACE = """
import sys
from banditlab.privacy.ledger import Entry, Ledger
won = 0
for _ in range(10):
    try:
        Ledger(sys.argv[1], 1.5).charge(Entry(b"t" * 32, 0.1, None, {}))
        won += 1
    except ValueError as error:
        assert "--epsilon-total" in str(error), error
print(won)
"""


def test_processes_at_once_do_not_overspend(path):
    racers = [
        subprocess.Popen([sys.executable, "-c", RACE, str(path)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    won = [int(racer.communicate()[0]) for racer in racers]
    assert sum(won) == 15 == len(lines(path)), won
    assert Ledger(path).check(Entry(b"t" * 32, 0.1, None, {})) == 1.6
