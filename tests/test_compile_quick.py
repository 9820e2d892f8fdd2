"""What is done to Numba while it compiles: the copies are the same, and nothing of it stays."""

from __future__ import annotations

import copy
import os
import subprocess
import sys

from numba.core import ir
from numba.core.compiler import run_frontend
from numba.np import arraymath, linalg

from banditlab.compile.quick import quicker


def example(values, limit):
    total = 0.0
    for value in values:
        if value > limit:
            total = total + value
        else:
            total = total - 1.0
    return total, [value for value in values]


def shown(blocks):
    """What the blocks of a function say, and where; their scopes, by name."""
    text = []
    for label, block in sorted(blocks.items()):
        text.append((label, [(str(line), line.loc) for line in block.body], block.loc))
        scope = block.scope
        names = {name: (v.name, v.loc) for name, v in scope.localvars._con.items()}
        redefined = {name: set(found) for name, found in scope.var_redefinitions.items()}
        text.append((names, dict(scope.redefined), redefined, scope.parent, scope.loc))
    return text


def test_a_copy_is_the_one_that_was_made_before():
    blocks = run_frontend(example).blocks
    first = next(iter(blocks.values())).scope
    for _ in range(3):
        first.redefine("total", first.loc)
    before = shown(blocks)
    plain = {label: copy.deepcopy(block) for label, block in blocks.items()}
    with quicker():
        quick = {label: copy.deepcopy(block) for label, block in blocks.items()}
    assert len(blocks) > 3 and shown(quick) == shown(plain) == before
    for label, block in quick.items():
        scope = block.scope
        assert scope is not blocks[label].scope and type(scope) is ir.Scope
        assert all(v.scope is scope for v in scope.localvars._con.values())
        for line in block.body:
            for variable in line.list_vars():  # the copy's own, and the one that its scope has
                assert scope.localvars._con[variable.name] is variable
                assert variable.scope is scope
        scope.redefine("total", scope.loc)
        scope.var_redefinitions["total"].add("another")
        scope.define("new", scope.loc)
    assert shown(blocks) == before  # nothing is shared that changes


def test_scopes_with_more_to_them_are_copied_by_numba(monkeypatch):
    class More(ir.Scope):
        def __init__(self, parent, loc):
            super().__init__(parent, loc)
            self.more = 1

    with quicker():
        assert "__deepcopy__" in vars(ir.Scope)
    monkeypatch.setattr(ir, "Scope", More)
    with quicker():
        assert "__deepcopy__" not in vars(More) and "__deepcopy__" not in vars(ir.Loc)


def test_numba_is_left_as_it_was():
    blas = linalg.ensure_blas
    try:
        with quicker(), quicker():
            assert "__deepcopy__" in vars(ir.Scope) and "__deepcopy__" in vars(ir.Loc)
            raise KeyError
    except KeyError:
        pass
    assert "__deepcopy__" not in vars(ir.Scope) and "__deepcopy__" not in vars(ir.Loc)
    assert linalg.ensure_blas is blas is arraymath.ensure_blas


def test_scipys_linear_algebra_comes_when_it_is_needed_and_not_before(tmp_path):
    code = (
        "import sys, numpy as np\n"
        "from banditlab.core import kernel\n"
        "import banditlab.compile\n"
        "@kernel\n"
        "def twice(x):\n"
        "    return 2.0 * x.sum()\n"
        "@kernel\n"
        "def solved(a, b):\n"
        "    return np.linalg.solve(a, b) + a @ b\n"
        "assert twice(np.ones(3)) == 6.0 and 'scipy.linalg' not in sys.modules\n"
        "from numba.np import arraymath, linalg\n"
        "assert arraymath._HAVE_BLAS and arraymath.ensure_blas is linalg.ensure_blas\n"
        "assert linalg.ensure_blas.__module__ == 'numba.np.linalg'\n"
        "assert solved(2.0 * np.eye(2), np.ones(2)).tolist() == [2.5, 2.5]\n"
        "assert 'scipy.linalg' in sys.modules\n"
    )
    for _ in range(2):  # compiled, then read
        subprocess.run(
            [sys.executable, "-c", code], check=True,
            env={**os.environ, "BANDITLAB_CACHE": str(tmp_path / "cache")},
        )  # fmt: skip
