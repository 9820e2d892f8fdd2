"""What to do with a file that a user brings: one module per kind of file.

A protocol names its module as ``report``. The command line asks it for ``FLAGS``, the flags that
it takes beside ``--agent``, ``--log`` and ``--set``; ``SPENDS``, whether a run uses up something
that cannot be had again; ``command(path, agent, settings, progress, **flags)``, plain data that is
ready for JSON; and ``render(found, console)``, which prints it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from banditlab.registry import unknown


def refuse_others(settings: Mapping[str, Any], name: str) -> None:
    """ValueError for hyper-parameters of another agent than the one reported on."""
    for given in settings:
        if given != name:
            raise ValueError(f"--set: {unknown('agent', given, [name])}")
