"""Takes the one snapshot that a command shows, and tells a person who has to wait for it."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from vramline.machine import Machine
from vramline.readings import Snapshot

Look = Callable[[Machine], Snapshot]


def look_once(machine: Machine) -> Snapshot:
    """Return a snapshot. While a driver is slow to open, say so on a terminal."""
    from vramline.sampler import Deadlines, take_snapshot

    with _telling(sys.stderr, Deadlines().opening_seconds):
        return take_snapshot(machine)


@contextmanager
def _telling(stream: TextIO | None, limit_seconds: float) -> Iterator[None]:
    if stream is None or not stream.isatty():
        yield
        return
    done = threading.Event()
    teller = threading.Thread(
        target=tell, args=(stream, limit_seconds, done.wait), name="vramline-progress", daemon=True
    )
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()


def tell(stream: TextIO, limit_seconds: float, wait: Callable[[float], bool]) -> None:
    """Count the seconds on *stream* until *wait* returns true, and erase that again."""
    seconds, line = 0, ""
    limit = f"at most {limit_seconds:g} s for an answer"
    while not wait(1.0):
        seconds += 1
        line = f"waiting for the NVIDIA driver: {seconds} s ({limit})"
        stream.write(f"\r{line}")
        stream.flush()
    stream.write(f"\r{' ' * len(line)}\r" if line else "")
    stream.flush()
