"""The files of a run store: what they belong to, a checksum, and numbers.

A file is::

    banditlab block 1                         what it is, and its layout
    <sha-256 of all that follows>
    {"arena": ..., "curve": ..., ...}         one line of JSON: its owner (see store.owner), then
                                              first row and shape
    float64, little-endian, in C order        (rows, checkpoints, measures)

and for a row under way, with a title of its own, its number, and the arrays of stated types and
shapes, one after the other.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

TITLE = b"banditlab block 1\n"
UNDER_WAY = b"banditlab row under way 1\n"
DIGITS = 64  # of a SHA-256


class Damaged(Exception):
    """Why a block is not believed."""


def pack(owner: Mapping[str, Any], first: int, values: np.ndarray) -> bytes:
    """A block as the bytes of its file."""
    header = {**owner, "first": first, "shape": list(values.shape)}
    return _sealed(TITLE, header, values.astype("<f8", order="C").tobytes())


def unpack(data: bytes, owner: Mapping[str, Any], first: int, shape: tuple[int, ...]) -> np.ndarray:
    """The values of a block; `Damaged` unless it is whole and what was asked for."""
    payload = _opened(TITLE, data, {**owner, "first": first, "shape": shape}, 8 * math.prod(shape))
    return np.frombuffer(payload, "<f8").astype(np.float64).reshape(shape)


def pack_row(owner: Mapping[str, Any], row: int, arrays: Sequence[np.ndarray]) -> bytes:
    """A row under way as the bytes of its file."""
    payload = b"".join(array.tobytes() for array in arrays)
    return _sealed(UNDER_WAY, _of_row(owner, row, arrays), payload)


def unpack_row(
    data: bytes, owner: Mapping[str, Any], row: int, arrays: Sequence[np.ndarray]
) -> None:
    """Fill the arrays from a row under way; `Damaged` unless it is whole and of such arrays."""
    size = sum(array.nbytes for array in arrays)
    payload = _opened(UNDER_WAY, data, _of_row(owner, row, arrays), size)
    start = 0
    for array in arrays:
        part = payload[start : start + array.nbytes]
        array[...] = np.frombuffer(part, array.dtype).reshape(array.shape)
        start += array.nbytes


def _of_row(owner: Mapping[str, Any], row: int, arrays: Sequence[np.ndarray]) -> dict[str, Any]:
    kinds = [[array.dtype.str, list(array.shape)] for array in arrays]
    return {**owner, "row": row, "arrays": kinds}


def _sealed(title: bytes, header: Mapping[str, Any], payload: bytes) -> bytes:
    """A file of this module."""
    body = json.dumps(header).encode() + b"\n" + payload
    return title + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _opened(title: bytes, data: bytes, facts: Mapping[str, Any], size: int) -> bytes:
    """The last ``size`` bytes of a file; `Damaged` unless it is whole and says these facts."""
    if not data.startswith(title):
        raise Damaged("it is no block" if title == TITLE else "it is no row under way")
    start = len(title) + DIGITS + 1
    body = data[start:]
    if data[len(title) : start] != hashlib.sha256(body).hexdigest().encode() + b"\n":
        raise Damaged("its checksum is wrong")
    line, _, payload = body.partition(b"\n")
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):  # not JSON, or not UTF-8
        header = None
    if not isinstance(header, dict):
        raise Damaged("its header cannot be read")
    asked = json.loads(json.dumps(facts))
    for key in (*asked, *header):
        if key not in asked or header.get(key) != asked[key]:
            raise Damaged(f"it is of another {key}")
    if len(payload) != size:
        raise Damaged("its values do not fit its shape")
    return payload
