"""The command line: flags in, tables and progress out."""
