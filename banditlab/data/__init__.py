"""What users bring: tables of any format, read and checked once."""
