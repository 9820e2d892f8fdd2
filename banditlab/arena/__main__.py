"""``python -m banditlab.arena``: run an arena, print a table, draw the figure, keep the files."""

import sys

from banditlab.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
