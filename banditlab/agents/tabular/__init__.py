"""Finite Markov decision processes, learned by playing them."""
