"""``python -m banditlab.plot FILE``: figure and statistics of results from elsewhere."""

import sys

from banditlab.cli.foreign import main

if __name__ == "__main__":
    sys.exit(main())
