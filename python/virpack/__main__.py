"""``python -m virpack``: the command."""

import sys

from virpack._cli import main

if __name__ == "__main__":
    sys.exit(main())
