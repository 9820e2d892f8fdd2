"""Offline learning: rules learned from a log that somebody else collected."""
