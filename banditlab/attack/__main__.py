"""``python -m banditlab.attack``."""

import sys

from banditlab.cli.attack import main

if __name__ == "__main__":
    sys.exit(main())
