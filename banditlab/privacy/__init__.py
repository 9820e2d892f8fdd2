"""Differential privacy: an auditor that tries to refute claims; real releases, and their ledger."""

from banditlab.privacy.auditor import Audit, Finding, Transcript, audit, changed
from banditlab.privacy.ledger import Entry, Ledger
from banditlab.privacy.ratings import Ratings
from banditlab.privacy.release import Release, release_arm

__all__ = [
    "Audit",
    "Entry",
    "Finding",
    "Ledger",
    "Ratings",
    "Release",
    "Transcript",
    "audit",
    "changed",
    "release_arm",
]
