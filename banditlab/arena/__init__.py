"""The arena: runs what a TOML file describes and keeps what it found."""
