"""Agents that choose two arms and see which is preferred (protocol ``duel``)."""
