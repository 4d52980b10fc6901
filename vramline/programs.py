"""Runs other programs. Loaded only where that is asked for, as it is much to load."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence


def run(command: Sequence[str], *, timeout_seconds: float) -> str:
    """Return what a program prints, as ``Machine.run`` explains."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    ) as process:
        try:
            output, errors = process.communicate(timeout=timeout_seconds)
        except BaseException:  # an interrupt from the keyboard too must leave nothing behind
            _kill_with_descendants(process.pid)
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output, errors)
    return output


def _kill_with_descendants(pid: int) -> None:
    """Kill a process that leads its own group, and all that it has started."""
    if sys.platform == "win32":
        command = ["taskkill", "/F", "/T", "/PID", str(pid)]
        subprocess.run(command, capture_output=True, check=False)
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
