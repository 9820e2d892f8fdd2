"""Differential privacy: an auditor that tries to refute a claim, and real releases."""

from banditlab.privacy.auditor import Audit, Finding, Transcript, audit, changed
from banditlab.privacy.release import Release, release_arm

__all__ = ["Audit", "Finding", "Release", "Transcript", "audit", "changed", "release_arm"]
