"""Redraw every figure under results/ from its curves.csv and run.json; simulates nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd

from banditlab.plot import draw, save


def main(root: Path = Path(__file__).parent.parent / "results") -> int:
    """Redraw; returns 1 when there is nothing to draw."""
    folders = sorted(p.parent for p in root.glob("*/run.json"))
    for folder in folders:
        figure = json.loads((folder / "run.json").read_text())["figure"]
        frame = pd.read_csv(folder / "curves.csv", keep_default_na=False, na_values=["nan", "NaN"])
        frame["simultaneous"] = pd.to_numeric(frame["simultaneous"], errors="coerce")
        save(draw(frame, figure["panels"], figure["title"] or None), folder)
        print(f"{folder.name}: redrawn")
    return 0 if folders else 1


if __name__ == "__main__":
    sys.exit(main(*(Path(word) for word in sys.argv[1:2])))
