"""Offline learning of sequential decisions: policies planned from a log of transitions."""
