"""The command ``virpack``: the same program as the binary of that name, in this process."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    """Run the command line of this process.

    Returns
    -------
    int
        The exit code: 0, 1 for input and options, 2 for a fault of virpack, 130 if it was interrupted.
    """
    # Python's own handler would wait until the command returns; the program has its own handlers.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from virpack._virpack import main as run

    program = sys.argv[0] if not sys.argv[0].endswith("__main__.py") else "virpack"
    return run([program, *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
