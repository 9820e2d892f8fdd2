"""An errand, noted in a diary."""

from typing import NamedTuple

from banditlab import registry

house = registry.module("alone.py")


class Diary(NamedTuple):
    diary: str
    fatal: int = -1  # the replication that kills its process
    times: int = 0  # how often


def errand(diary, fatal=-1, times=0):
    return house.Errand(Diary(diary, fatal, times))
