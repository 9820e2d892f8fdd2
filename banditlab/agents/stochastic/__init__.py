"""Stochastic bandits: rewards drawn from fixed (or slowly moving) distributions."""
