"""Robust policies: sets that no other policy improves on, and who picks from them."""
