"""Who sees what, who answers, what is scored: one file per protocol."""
