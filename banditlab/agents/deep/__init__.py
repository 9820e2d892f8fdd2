"""Agents with neural networks, for any Gymnasium environment."""
