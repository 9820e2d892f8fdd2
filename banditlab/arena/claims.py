"""Claims: sentences about the curves of an arena that a run finds true or false."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from banditlab.curves import Curves
from banditlab.statistics import chance_interval, holm, paired_p, t_interval


def split(dotted: str) -> tuple[str, str | None]:
    """``agent.measure`` as its two parts; the measure may be missing."""
    agent, dot, measure = dotted.rpartition(".")
    return (agent, measure) if dot else (measure, None)


def failed(checks: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those verdicts that say that something is wrong; hypotheses that do not hold do not."""
    return [check for check in checks if not check["passed"] and not check.get("hypothesis")]


def verdict(check: Mapping[str, Any]) -> str:
    """A verdict in words; that an order which holds may be luck is said with it."""
    if check.get("hypothesis"):
        holds = "holds, within noise" if check.get("noise") else "holds"
        return holds if check["passed"] else "does not hold"
    return "passed" if check["passed"] else "FAILED"


def tally(checks: Sequence[Mapping[str, Any]]) -> str:
    """How many checks passed, and how many hypotheses hold: in words, empty without any."""
    said = []
    for kind, verb in (("checks", "passed"), ("hypotheses", "hold")):
        of_kind = [c["passed"] for c in checks if bool(c.get("hypothesis")) == (verb == "hold")]
        if of_kind:
            said.append(f"{sum(of_kind)} of {len(of_kind)} {kind} {verb}")
    return ", ".join(said)


def evaluate(claim: Mapping[str, Any], curves: Curves) -> list[dict[str, Any]]:
    """The verdicts of one claim of the arena: passed or failed, with the numbers."""
    verdicts = _verdicts(claim, curves)
    return [{**v, "hypothesis": True} for v in verdicts] if claim.get("hypothesis") else verdicts


def _verdicts(claim: Mapping[str, Any], curves: Curves) -> list[dict[str, Any]]:
    panel = claim["panel"] or None
    if claim["slope"]:
        return [_evaluate_slope(claim, curves)]
    if claim.get("beats"):
        return [_evaluate_beats(claim, curves)]
    rounds = claim["at"] if isinstance(claim["at"], list) else [claim["at"]]
    verdicts: list[dict[str, Any]] = []
    for i, t in enumerate(rounds):
        left = _side(claim["less"] if _compares(claim) else claim["value"], t, panel, curves)
        where = f"{panel + ': ' if panel else ''}"
        when = f" at {t}" if t is not None else ""
        if _compares(claim):
            right = _side(claim["than"], t, panel, curves)
            low = claim["less"] if isinstance(claim["less"], str) else f"{claim['less']:g}"
            if claim.get("over"):
                base = _side(claim["over"], t, panel, curves)
                left = base + claim["share"] * (left - base)
                low = f"{claim['share']:g} of the way from {claim['over']} to {low}"
            left, right = np.broadcast_arrays(left, right)
            name = claim["than"] if isinstance(claim["than"], str) else f"{claim['than']:g}"
            mean, sem, lo, hi = t_interval((left - right)[:, None])
            noise = claim["sigmas"] * np.nan_to_num(sem[0])
            passed = bool(mean[0] < claim["margin"] - noise)
            room = f" + {claim['margin']:g}" if claim["margin"] else ""
            said = f"{where}{low} < {name}{room}{when}"
            found = f"{left.mean():.4g} against {right.mean():.4g}"
            verdicts.append({"check": said, "found": found, "passed": passed, "why": claim["why"]})
            if claim.get("hypothesis"):
                verdicts[-1]["found"] += f", difference {mean[0]:.4g} [{lo[0]:.4g}, {hi[0]:.4g}]"
                alone = left.size == 1  # one replication tells nothing of luck
                verdicts[-1]["noise"] = bool(alone or hi[0] >= claim["margin"])
        else:
            near = claim["near"][i] if isinstance(claim["near"], list) else claim["near"]
            mean, sem, _, _ = t_interval(left[:, None])
            noise = np.sqrt(2.0) * claim["sigmas"] * np.nan_to_num(sem[0])
            allowed = max(claim["within"] * abs(near), noise, claim["rounding"])
            passed = bool(abs(mean[0] - near) <= allowed)
            said = f"{where}{claim['value']}{when} is {near:g}"
            found = f"{mean[0]:.4g}, allowed +- {allowed:.2g}"
            verdicts.append({"check": said, "found": found, "passed": passed, "why": claim["why"]})
    return verdicts


def _compares(claim: Mapping[str, Any]) -> bool:
    """Whether it says that one thing, which may be the number 0, lies below another."""
    return bool(claim["less"] != "")


def rehearse(claim: Mapping[str, Any], curves: Curves) -> None:
    """ValueError where a claim speaks of curves that there are not, whatever their values."""
    panel = claim["panel"] or None
    rounds = claim["at"] if isinstance(claim["at"], list) else [claim["at"]]
    if claim["slope"]:
        agent, measure = split(claim["slope"])
        for t in rounds if isinstance(claim["at"], list) else [None]:
            curves.at(t, agent, measure, panel)
        return
    for t in rounds:
        first = claim["less"] if _compares(claim) else claim["value"] or claim["beats"]
        _side(first, t, panel, curves)
        if claim.get("over"):
            _side(claim["over"], t, panel, curves)
        if _compares(claim) or claim["beats"]:
            _side(claim["than"], t, panel, curves)


def _side(side: str | float, t: float | None, panel: str | None, curves: Curves) -> np.ndarray:
    """What a claim compares: a number, a reference of the panel, or an agent's values at ``t``."""
    if not isinstance(side, str):
        return np.full(1, float(side))
    for overlay in curves.overlays.get(curves._panel(panel, None), []):
        if overlay["label"] == side:
            if t not in overlay["t"]:
                raise ValueError(f"{side} has no point at {t}")
            return np.full(1, float(overlay["y"][overlay["t"].index(t)]))
    agent, measure = split(side)
    return curves.at(t, agent, measure, panel)


def _beaten(claim: Mapping[str, Any], curves: Curves) -> tuple[np.ndarray, np.ndarray]:
    """Values (replications,) of who is to beat and of who is to be beaten."""
    agent, measure = split(claim["beats"])
    other, of_other = split(claim["than"])
    panel = claim["panel"] or None
    return (
        curves.at(claim["at"], agent, measure, panel),
        curves.at(claim["at"], other, of_other or measure, panel),
    )


def _evaluate_beats(claim: Mapping[str, Any], curves: Curves) -> dict[str, Any]:
    family = [c for c in curves.arena["checks"] if c.get("beats")]
    p = holm([paired_p(*_beaten(c, curves)) for c in family])[family.index(claim)]
    a, b = _beaten(claim, curves)
    chance, lo, hi = chance_interval(a, b)
    where = f"{claim['panel']}: " if claim["panel"] else ""
    when = f" at {claim['at']}" if claim["at"] is not None else ""
    said = f"{where}{claim['beats']} beats {claim['than']}{when}, p <= {claim['level']:g}"
    tests = f" (Holm, {len(family)} tests)" if len(family) > 1 else ""
    wanted = f", chance >= {claim['chance']:g}" if claim["chance"] else ""
    passed = a.mean() < b.mean() and p <= claim["level"] and lo >= claim["chance"]
    return {
        "check": f"{said}{tests}{wanted}",
        "found": f"{a.mean():.4g} against {b.mean():.4g}, p = {p:.2g}, chance {chance:.2f} "
        f"[{lo:.2f}, {hi:.2f}]",
        "passed": bool(passed),
        "why": claim["why"],
    }


def _evaluate_slope(claim: Mapping[str, Any], curves: Curves) -> dict[str, Any]:
    agent, measure = split(claim["slope"])
    at = claim["at"] if isinstance(claim["at"], list) else None
    where = (agent, measure, claim["panel"] or None, at)
    slope = curves.slope(*where)
    lo, hi = curves.slope_interval(*where)
    band = f" [{lo:.3f}, {hi:.3f}]" if lo < hi else ""
    allowed = max(claim["within"] * abs(claim["near"]), claim["rounding"])
    said = f"{claim['panel'] + ': ' if claim['panel'] else ''}slope of {claim['slope']}"
    return {
        "check": f"{said} is {claim['near']:g}",
        "found": f"{slope:.4g}{band}, allowed +- {allowed:.2g}",
        "passed": bool(abs(slope - claim["near"]) <= allowed),
        "why": claim["why"],
    }
