"""Agents for losses that cost to see and arms that cost to switch (protocol ``observe``)."""
