"""The command ``vramline``, also as ``python -m vramline``."""

import gc
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vramline.cli import Look

INTERRUPTED = 130
"""What a shell gives for a program that Ctrl-C ended."""


def main(arguments: Sequence[str] | None = None, *, look: "Look | None" = None) -> int:
    """Run the command and return its exit status.

    *look* takes the snapshot. Raises ``SystemExit`` for a wrong option, and
    after ``--help`` and ``--version``.
    """
    collects = gc.isenabled()
    gc.disable()  # a command ends before it would pay: it is a twentieth of the time to start
    try:
        from vramline.cli import run  # in here, as Ctrl-C may come while it loads

        return run(arguments, look=look)
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        if collects:
            gc.enable()


if __name__ == "__main__":
    sys.exit(main())
