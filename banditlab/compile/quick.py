"""What Numba does more often than it needs to while it compiles, done once; the code is the same.

Both are its own ways, replaced while kernels compile and put back afterwards.

- To inline a function it copies every block by itself, and each time, for a block knows its
  scope, every variable of the function. A copy that does not ask each object what it is made of
  takes a tenth of that, and places in a source file are shared instead of copied.
- Before anything with arrays is compiled it imports SciPy's linear algebra, only to see whether it
  is there. It is: banditlab depends on it. Kernels that need it still have it imported.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numba.core import ir
from numba.np import linalg

# What a scope is made of where this was written. Where Numba says otherwise, it copies by itself.
FIELDS = {"parent", "localvars", "loc", "redefined", "var_redefinitions"}


def known() -> bool:
    """Whether scopes are made of what `_copied_scope` copies."""
    return vars(ir.Scope(None, ir.Loc("", 1))).keys() == FIELDS


def _copied_scope(scope: Any, memo: dict[int, Any]) -> Any:
    """What ``copy.deepcopy`` makes of a scope, whose variables refer to it."""
    made = object.__new__(ir.Scope)
    memo[id(scope)] = made
    made.parent = copy.deepcopy(scope.parent, memo)
    made.loc = scope.loc
    made.redefined = scope.redefined.copy()
    made.var_redefinitions = scope.var_redefinitions.copy()
    for name, versions in scope.var_redefinitions.items():
        made.var_redefinitions[name] = set(versions)
    made.localvars = ir.VarMap()
    for name, variable in scope.localvars._con.items():
        if variable.scope is scope and type(variable) is ir.Var:
            twin = object.__new__(ir.Var)
            twin.scope, twin.name, twin.loc = made, variable.name, variable.loc
            memo[id(variable)] = twin
        else:
            twin = copy.deepcopy(variable, memo)
        made.localvars._con[name] = twin
    return made


def _itself(loc: Any, memo: dict[int, Any]) -> Any:
    return loc


def _there() -> None:
    """SciPy's linear algebra is there."""


@contextmanager
def quicker() -> Iterator[None]:
    """Let Numba do so, while its compiler is locked."""
    kinds: list[Any] = [ir.Scope, ir.Loc] if known() else []
    before = [vars(kind).get("__deepcopy__") for kind in kinds]
    blas = linalg.ensure_blas
    for kind, way in zip(kinds, (_copied_scope, _itself), strict=False):
        kind.__deepcopy__ = way
    if "numba.np.arraymath" not in sys.modules:
        linalg.ensure_blas = _there
    try:
        yield
    finally:
        for kind, own in zip(kinds, before, strict=True):
            if own is None:
                del kind.__deepcopy__
            else:
                kind.__deepcopy__ = own
        linalg.ensure_blas = blas
        arraymath: Any = sys.modules.get("numba.np.arraymath")
        if getattr(arraymath, "ensure_blas", None) is _there:
            arraymath.ensure_blas = blas
