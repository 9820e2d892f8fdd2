"""Robust policies, exactly: matrix games, dominance by mixtures, state-adversarial MDPs."""
