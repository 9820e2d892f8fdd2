"""Words with mathematics between dollars, as figures set them: in plain letters, and in lines."""

from __future__ import annotations

import re
from collections.abc import Callable

SIGNS = {
    "varepsilon": "ε", "epsilon": "ε", "delta": "δ", "eta": "η", "alpha": "α", "beta": "β",
    "gamma": "γ", "lambda": "λ", "sigma": "σ", "tau": "τ", "mu": "μ", "pi": "π", "Delta": "Δ",
    "star": "*", "ast": "*", "times": "×", "cdot": "·", "pm": "±", "infty": "∞",
    "leq": "≤", "le": "≤", "geq": "≥", "ge": "≥", "ln": "ln", "log": "log", "to": "→",
}  # fmt: skip
RAISED = str.maketrans("0123456789-+", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺")
LOWERED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
MATHS = re.compile(r"\$([^$]*)\$")
WORD = re.compile(r"(?:\$[^$]*\$|\S)+")
# A letter, digit, sign or bracket, raised and lowered once at most, or what stands between them.
_SIGN = r"\\(?:varepsilon|delta|eta|alpha|gamma|lambda|sigma|tau|times|leq|geq)(?![A-Za-z])"
_SCRIPT = r"(?:[A-Za-z0-9*]|\{[A-Za-z0-9+*/ -]*[A-Za-z0-9]\})"
_SCRIPTS = rf"(?:\^{_SCRIPT}(?:_{_SCRIPT})?|_{_SCRIPT}(?:\^{_SCRIPT})?)?"
SIMPLE = re.compile(rf"(?! *$)(?:(?:[A-Za-z0-9()|]|{_SIGN}){_SCRIPTS}|[ .,=<>+*/-])+")


def simple(text: str) -> bool:
    r"""Whether what stands between the dollars of ``text`` is surely mathematics, if plain.

    Of most texts of figures it is, and to ask Matplotlib takes its import and some milliseconds.

    >>> simple(r"at $C^* = 1.05$, $(K/T)^{1/3}$"), simple(r"$\sqrt{d}$"), simple("$x^{ and 5$")
    (True, False, False)
    """
    if "\\$" in text:
        return False
    parts = text.split("$")
    return len(parts) % 2 == 1 and all(map(SIMPLE.fullmatch, parts[1::2]))


def plain(text: str) -> str:
    r"""``text`` for a terminal or a page without mathematics.

    >>> plain(r"slope $-1/2$ at $C^\star = 3$, $(K T^2)^{1/3}$, $\sqrt{d}\varepsilon$")
    'slope -1/2 at C* = 3, (K T²)^(1/3), √d ε'
    """
    return MATHS.sub(lambda found: _spoken(found[1]), text)


def _spoken(maths: str) -> str:
    text = re.sub(r"\\(?:mathrm|text)\{([^{}]*)\}", r"\1", maths)
    text = re.sub(r"\\frac\{([^{}]*)\}\{([^{}]*)\}", r"\1/\2", text)
    text = re.sub(r"\\sqrt\{(\w)\}", r"√\1 ", text)
    text = re.sub(r"\\sqrt\{([^{}]*)\}", r"√(\1)", text)
    text = re.sub(r"\\[,;! ]", " ", text)
    text = re.sub(r"\\([A-Za-z]+)", lambda found: SIGNS.get(found[1], found[1]), text)
    text = re.sub(r"\^(?:\{([^{}]*)\}|(.))", lambda x: _raised(x[1] or x[2]), text)
    text = re.sub(r"_(?:\{([^{}]*)\}|(.))", lambda x: _lowered(x[1] or x[2]), text)
    return re.sub(r" +", " ", text.replace("{", "").replace("}", "")).strip()


def _raised(power: str) -> str:
    if power == "*":
        return power
    simple = re.fullmatch(r"[-+0-9]+", power)
    return power.translate(RAISED) if simple else f"^({power})" if len(power) > 1 else f"^{power}"


def _lowered(index: str) -> str:
    return index.translate(LOWERED) if index.isdigit() else f"_{index}"


def wrap(text: str, width: float, measure: Callable[[str], float], broken: bool = False) -> str:
    """``text`` in as few lines of ``width`` as may be, of about one length; no formula is broken.

    ``measure`` tells how wide a line is. A word that is wider stands alone, unless it may be
    ``broken``.
    """
    words = WORD.findall(text)
    if measure(whole := " ".join(words)) <= width:  # once, for to measure a formula takes long
        return whole
    if broken:
        words = [part for word in words for part in _parts(word, width, measure)]
    best = _filled(words, width, measure)
    if len(best) < 2:
        return "\n".join(best)
    for part in range(19, 9, -1):  # as few lines, but no word left over in the last
        lines = _filled(words, width * part / 20, measure)
        if len(lines) > len(best) or max(map(measure, lines), default=0.0) > width:
            break
        best = lines
    return "\n".join(best)


def _parts(word: str, width: float, measure: Callable[[str], float]) -> list[str]:
    """A word cut where a line ends."""
    parts = [word]
    while "$" not in word and len(parts[-1]) > 1 and measure(parts[-1]) > width:
        last = parts.pop()
        count = next(n for n in range(len(last) - 1, 0, -1) if n == 1 or measure(last[:n]) <= width)
        parts += [last[:count], last[count:]]
    return parts


def _filled(words: list[str], width: float, measure: Callable[[str], float]) -> list[str]:
    lines: list[str] = []
    for word in words:
        if lines and measure(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
