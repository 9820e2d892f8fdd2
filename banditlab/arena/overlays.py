"""What a panel shows beside its curves: references, and lower bounds where theory has them."""

from __future__ import annotations

from typing import Any

import numpy as np

from banditlab.arena.spec import Panel


def overlays(panel: Panel) -> list[dict[str, Any]]:
    """The panel's references and bounds, as ``{"label", "t", "y"}``."""
    name, given = panel.problem.name, panel.problem.parameters
    t = np.array(panel.checkpoints, dtype=np.float64)
    curves = [reference.model_dump() for reference in panel.references]
    for overlay in panel.overlays:
        from banditlab.bounds import lai_robbins, minimax  # it takes a moment, with scipy.special

        if overlay == "lai_robbins":
            constant = lai_robbins(given["means"], kind=name, sigma=given.get("sigma", 1.0))
            label, y = "Lai-Robbins", constant * np.log(t)
        else:
            label, y = "minimax lower bound", minimax(len(given["means"]), t)
        curves.append({"label": label, "t": t.tolist(), "y": np.asarray(y).tolist()})
    return curves
