"""``python -m banditlab.report``."""

import sys

from banditlab.cli.report import main

if __name__ == "__main__":
    sys.exit(main())
