"""What to do with a file that a user brings: one report per kind of file."""
