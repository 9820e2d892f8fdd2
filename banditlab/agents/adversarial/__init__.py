"""Adversarial bandits: rewards chosen by an oblivious opponent."""
