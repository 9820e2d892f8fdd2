"""The vocabulary of kernels: what compiled and plain code do with the same bits.

Anything else is named with its file and line, and with what to write instead.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

# What the plain and the compiled run would not do with the same bits, and what to use instead.
INSTEAD = {
    "np": {
        "log": "numeric.log",
        "exp": "numeric.exp",
        "log1p": "math.log1p",
        "sqrt": "math.sqrt",
        "tanh": "math.tanh",
        "power": "math.pow",
        "sum": "a loop that adds",
        "mean": "a loop that adds, and a division",
        "var": "loops that add",
        "dot": "linalg.dot",
        "linalg": "banditlab.linalg",
    },
    "math": {
        "log": "numeric.log",
        "exp": "numeric.exp",
        "log2": "numeric.log and a division",
        "log10": "numeric.log and a division",
        "lgamma": "numeric.log of factorials, or a table",
        "gamma": "a table",
        "hypot": "math.sqrt(x * x + y * y)",
    },
    "method": {
        "sum": "a loop that adds",
        "mean": "a loop that adds, and a division",
        "var": "loops that add",
        "std": "loops that add, and math.sqrt",
        "dot": "linalg.dot",
    },
}
CHECKED = ("banditlab.agents", "banditlab.parts", "banditlab_file_")
OURS = ("linalg", "numeric", "random")  # modules of banditlab that keep to the vocabulary


def strangers(functions: Iterable[FunctionType]) -> Iterator[str]:
    """A line for every word outside the vocabulary: file, line, the word, and what to write."""
    for function in functions:
        if not function.__module__.startswith(CHECKED):
            continue
        lines, first = inspect.getsourcelines(function)
        file = Path(function.__code__.co_filename).name
        for node in ast.walk(ast.parse(textwrap.dedent("".join(lines)))):
            where = f"{file}, line {first + getattr(node, 'lineno', 1) - 1}"
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
                yield f"{where}: **; write x * x, or math.pow(x, y)"
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
                yield f"{where}: @; write linalg.matvec, or loops"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                yield from _called(where, node.func)


def _called(where: str, called: ast.Attribute) -> Iterator[str]:
    owner: Any = called.value
    if isinstance(owner, ast.Attribute) and getattr(owner.value, "id", "") == "np":
        called, owner = owner, owner.value  # np.linalg.solve
    name = getattr(owner, "id", "method")
    if name in OURS:
        return
    kind = name if name in INSTEAD else "method"
    instead = INSTEAD[kind].get(called.attr)
    if instead is not None:
        shown = f"{name}.{called.attr}" if kind != "method" else f".{called.attr}()"
        yield f"{where}: {shown}; write {instead}"
