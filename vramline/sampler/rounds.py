"""What passes between the callers of a reader and the threads that run it."""

import threading
from collections import deque
from dataclasses import dataclass, field

from vramline.readers.base import GpuReader
from vramline.readings import GpuReading

SESSION = ""
"""Stands among the device keys for the opening and closing of the driver's library."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long a caller waits.

    Attributes:
        opening_seconds: For the driver to open and each device's first answer,
            all together. Without persistence mode NVIDIA's takes 1 to 3 s a GPU when
            nobody else holds it (https://docs.nvidia.com/deploy/driver-persistence/).
        reading_seconds: For each device in a later reading. Where devices
            answer one after the other it may come to twice that in all: beside
            busy Python threads every call into a driver waits for the
            interpreter's lock (5 ms by default), which is not the driver's fault.
            Zero never waits: what is read is seen by the next caller.
    """

    opening_seconds: float = 10.0
    reading_seconds: float = 0.5

    def __post_init__(self) -> None:
        for seconds in (self.opening_seconds, self.reading_seconds):
            if not 0 <= seconds <= threading.TIMEOUT_MAX / 4:
                raise ValueError(f"a deadline must be zero or more seconds, not {seconds!r}")

    @property
    def patience_seconds(self) -> float:
        """How long one device may keep the others waiting."""
        return self.reading_seconds / 4 or 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorReport:
    """What a vendor's reader gave: its readings, why there are none, and what went wrong."""

    readings: tuple[GpuReading, ...] = ()
    absent: str | None = None
    failure: str | None = None


class Latch:
    """What opens once, for all who wait. A third of what ``threading.Event`` costs."""

    __slots__ = ("_is_open", "_lock")

    def __init__(self) -> None:
        self._is_open = False
        self._lock = threading.Lock()
        self._lock.acquire()

    def is_set(self) -> bool:
        """Tell whether it is open."""
        return self._is_open

    def set(self) -> None:
        """Open it. Not to be called from two threads at a time."""
        if not self._is_open:
            self._is_open = True
            self._lock.release()

    def wait(self, seconds: float) -> None:
        """Wait until it is open, no longer than that."""
        if not self._is_open and self._lock.acquire(timeout=max(seconds, 0.0)):
            self._lock.release()  # for the next who waits


@dataclass(slots=True, eq=False)
class Round:
    """One reading of every device that is not stuck, shared by all who wait for it."""

    started: float
    first: bool
    """Whether no round came before it: it has the long deadline."""
    pending: deque[str] | None = None
    """What no worker has taken yet. ``None`` until the reader is open."""
    asked: dict[str, float] = field(default_factory=dict)
    """Since when each device that has not answered yet was asked."""
    running: int = 0
    """How many workers are on it."""
    opened: float = 0.0
    """When the first device was asked."""
    complete: bool = False
    """Every device has been taken, and no worker is on it any more."""
    moved: float = 0.0
    """When a device last answered, or another worker was sent."""
    done: Latch = field(default_factory=Latch)


@dataclass(slots=True, eq=False)
class Session:
    """An open reader, which the last to leave it closes once it has ended."""

    reader: GpuReader
    users: int = 0
    ended: bool = False
    closing: bool = False
    closed: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class Look:
    """What a device said last, and when; *fault* is what of ours went wrong over it."""

    at: float
    readings: tuple[GpuReading, ...]
    fault: str | None = None
