"""Sparse linear bandits: few of many features matter, and the linear model is wrong by eps."""
