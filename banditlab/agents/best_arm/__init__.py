"""Agents that name the best arm (protocol ``identify``), private ones among them."""
