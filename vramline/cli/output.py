"""Prints, whatever becomes of the place that is printed to."""

import errno
import os
import sys

CLOSED = 141
"""What a shell gives for a program whose reader went away, as of ``| head -1``."""

_PIPE_IS_CLOSED = (errno.EPIPE, errno.EINVAL) if sys.platform == "win32" else (errno.EPIPE,)


def emit(text: str) -> int:
    """Write *text* to standard output; return the exit status, 0 where all of it went out."""
    if sys.stdout is None:  # it was closed before Python began
        return _not_written(OSError(errno.EBADF, os.strerror(errno.EBADF)))
    try:
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="replace")  # where the terminal lacks a character
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        _forget_the_rest()
        return CLOSED if error.errno in _PIPE_IS_CLOSED else _not_written(error)
    return 0


def complain(message: str) -> None:
    """Write one line to standard error."""
    if sys.stderr is not None:
        print(f"vramline: {message}", file=sys.stderr)


def _not_written(error: OSError) -> int:
    complain(f"cannot write the output: {error.strerror}")
    return 1


def _forget_the_rest() -> None:
    # Python would try once more to write it as it ends, and complain at length.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
