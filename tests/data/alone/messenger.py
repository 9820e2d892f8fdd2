"""A messenger."""

from typing import NamedTuple

from banditlab import registry

house = registry.module("alone.py")


class Stride(NamedTuple):
    stride: float = 1.0


def messenger(stride=1.0):
    return house.Messenger(Stride(stride))
