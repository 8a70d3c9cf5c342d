"""``python -m atomcore``: the command line."""

import sys

from atomcore.cli import main

if __name__ == "__main__":
    sys.exit(main())
