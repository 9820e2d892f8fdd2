"""A table of rewards that is to be kept private, and what may be said about it to whom.

Two shapes: a column per arm (cells below an arm's last reward are blank), or a row per reward with
the columns ``action`` and ``reward``. Either may have a further column that says whose reward it
is. Then the person is protected, not the single reward: of each person at most so many rewards are
kept, and the noise is that many times as large.

Whether a table is refused is an answer, too, and one without noise. So refusals, and their words,
depend on what is public alone: names, which rewards there are of whom and of which arm, that all of
them are numbers, and the caller's bounds. Values beyond the bounds are clamped, infinite ones
included. How many were is no refusal: `Ratings.notes` says it, for the table's owner.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from banditlab import registry
from banditlab.parts.noise import check_bounds
from banditlab.privacy.ledger import fingerprint
from banditlab.validate import integer

if TYPE_CHECKING:
    import pandas as pd

MOST_NAMED = 5  # arms in a note


class Ratings:
    """Rewards by arm, scaled to [0, 1], with what was done to get them there.

    ``low`` and ``high`` are public bounds of a reward in its own unit. ``unit`` is the column that
    tells persons apart, ``most`` the rewards kept of each, drawn by ``seed``. Raises ValueError, in
    one line without any value, for a table that cannot be used.
    """

    def __init__(
        self, path: str, low: Any, high: Any, unit: str | None, most: int, seed: int
    ) -> None:
        self.low, self.high = check_bounds("--low", low, "--high", high)
        self.unit, self.most = unit, integer("--max-per-unit", most, 1)
        name = Path(path).name
        frame = _frame(path)
        _check_names(name, [str(column) for column in frame.columns], Path(path).suffix)
        rows = _tidy(frame, name, unit)
        self.table = fingerprint((str(arm), rewards) for arm, rewards in _by_arm(rows))
        total = len(rows)
        if unit is not None:
            rows = _capped(rows, self.most, seed)
        self.left_out = total - len(rows)
        arms = sorted(_by_arm(rows), key=lambda arm: _natural(arm[0]))
        if len(arms) < 2:
            raise ValueError(f"{name}: rewards of at least 2 arms are needed")
        self.arms = [arm for arm, _ in arms]
        beyond = [(values < self.low) | (values > self.high) for _, values in arms]
        self.clamped = sum(int(outside.sum()) for outside in beyond)
        self.all_clamped = [
            str(arm) for arm, outside in zip(self.arms, beyond, strict=True) if outside.all()
        ]
        self.rewards = [
            (np.clip(values, self.low, self.high) - self.low) / (self.high - self.low)
            for _, values in arms
        ]
        self.units = int(rows["unit"].nunique()) if unit is not None else len(rows)

    @property
    def lengths(self) -> np.ndarray:
        """Rewards of each arm, (n_arms,) int64."""
        return np.array([rewards.size for rewards in self.rewards])

    @property
    def protects(self) -> str:
        """What privacy is promised to."""
        if self.unit is None:
            return "the value of a single reward (not a person: name their column with --unit)"
        many = "the reward" if self.most == 1 else f"the values of all {self.most} rewards"
        return f"{many} kept of a {self.unit}"

    @property
    def notes(self) -> list[str]:
        """What the bounds did to the values: for the table's owner alone."""
        if not self.clamped:
            return []
        rewards = int(self.lengths.sum())
        found = [
            f"{self.clamped:,} of {rewards:,} rewards ({self.clamped / rewards:.0%}) are outside "
            f"[{self.low:g}, {self.high:g}] and were clamped"
        ]
        if self.all_clamped:
            more = len(self.all_clamped) - MOST_NAMED
            named = ", ".join(map(repr, self.all_clamped[:MOST_NAMED]))
            named += f" and {more} more" if more > 0 else ""
            found.append(
                f"no reward of {named} is inside [{self.low:g}, {self.high:g}]: "
                "check --low and --high, or is it the --unit?"
            )
        return found


def _natural(arm: Any) -> tuple[bool, float, str]:
    """Numbers in their order, then words in theirs."""
    try:
        return (False, float(arm), "")
    except ValueError:
        return (True, 0.0, str(arm))


def _frame(path: str) -> pd.DataFrame:
    import pandas as pd

    file = Path(path)
    if file.suffix not in (".csv", ".parquet"):
        raise ValueError(f"{file.name}: a table of rewards ends in .csv or .parquet")
    try:
        return pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or 'cannot be read'}") from None
    except pd.errors.ParserError as error:  # counts cells, shows none
        raise ValueError(f"{file.name}: {' '.join(str(error).split())}") from None
    except Exception:  # whose words may hold values
        raise ValueError(f"{file.name}: cannot be read as a table") from None


def _check_names(file: str, names: Sequence[str], suffix: str) -> None:
    """Refuse what a nameless column, a file without a header or other names would be taken for."""
    for i, name in enumerate(names, start=1):
        if not name.strip() or name.startswith("Unnamed: "):
            raise ValueError(
                f"{file}: column {i} has no name, and is no arm: name it or leave it out "
                "(is it an index that was saved with the table?)"
            )
    if suffix != ".parquet" and names and all(_is_number(name) for name in names):
        raise ValueError(
            f"{file}: line 1 holds numbers alone: it reads as data, not as the names of columns"
        )
    for given, missing in (("action", "reward"), ("reward", "action")):
        if given in names and missing not in names:
            raise ValueError(f"{file}: there is a column {given!r}, but no column {missing!r}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _tidy(frame: pd.DataFrame, name: str, unit: str | None) -> pd.DataFrame:
    """A row per reward: arm, reward and, if there is one, unit."""
    import pandas as pd

    if unit is not None and unit not in frame.columns:
        raise ValueError(f"{name}: --unit: {registry.unknown('column', unit, frame.columns)}")
    is_long = {"action", "reward"} <= set(frame.columns)
    if is_long:
        if unit in ("action", "reward"):
            raise ValueError(f"{name}: --unit must tell persons apart, got {unit!r}")
        rows = pd.DataFrame({"arm": frame["action"], "reward": _numbers(frame, "reward", name)})
        if unit is not None:
            rows["unit"] = frame[unit]
        if rows["reward"].isna().any():
            line = int(np.flatnonzero(rows["reward"].isna())[0]) + 1
            raise ValueError(f"{name}: row {line} has no reward")
    else:
        parts = []
        for column in frame.columns.drop(unit) if unit is not None else frame.columns:
            part = pd.DataFrame({"arm": str(column), "reward": _numbers(frame, column, name)})
            if unit is not None:
                part["unit"] = frame[unit]
            parts.append(part[part["reward"].notna()])
            if parts[-1].empty:
                raise ValueError(f"{name}: arm {column!r} has no reward")
        rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"arm": []})
    for column in ("arm", "unit"):
        if column in rows and rows[column].isna().any():
            raise ValueError(f"{name}: a reward has no {column}")
    return rows.reset_index(drop=True)


def _numbers(frame: pd.DataFrame, column: Any, name: str) -> np.ndarray:
    """The column's numbers, nan where a cell is blank."""
    import pandas as pd

    given = frame[column]
    found = pd.to_numeric(given, errors="coerce").to_numpy(dtype=np.float64)
    strange = np.isnan(found) & given.notna().to_numpy()
    if given.dtype.kind in "mM":
        strange[:] = True
    if strange.any():
        row = int(np.flatnonzero(strange)[0]) + 1
        raise ValueError(f"{name}: column {column!r}, row {row} holds no number")
    return found


def _by_arm(rows: pd.DataFrame) -> list[tuple[Any, np.ndarray]]:
    """The rewards of each arm, in their order."""
    import pandas as pd

    codes, names = pd.factorize(rows["arm"])
    if not len(names):
        return []
    order = np.argsort(codes, kind="stable")
    cuts = np.cumsum(np.bincount(codes))[:-1]
    return list(zip(names, np.split(rows["reward"].to_numpy()[order], cuts), strict=True))


def _capped(rows: pd.DataFrame, most: int, seed: int) -> pd.DataFrame:
    """At most ``most`` rewards of each unit, any of them as likely as the others.

    Which are kept may depend on who rewarded what, which is public, and on no value: hence not on
    the order of the rows, for they may be sorted by it.
    """
    rows = rows.sort_values(["unit", "arm"], kind="stable")
    rows["draw"] = np.random.default_rng(seed).random(len(rows))
    return rows[rows.groupby("unit")["draw"].rank(method="first") <= most]
