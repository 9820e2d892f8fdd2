"""Contextual bandits whose rewards are learned by networks, and what they are compared with."""
