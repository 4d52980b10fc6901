"""What a reader may ask of a machine."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import ModuleType
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """What an HTTP server answered, whatever its status says of it."""

    status: int = 200
    body: str


class Machine(Protocol):
    """One machine, live or recorded. Paths are absolute and as on the machine itself."""

    @property
    def platform(self) -> str:
        """As ``sys.platform`` has it: ``linux``, ``darwin``, ``win32``."""

    @property
    def process(self) -> str:
        """The name under ``/proc`` of the process whose limits count."""

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment of the process that asks."""

    def read(self, path: str) -> str:
        """Return the file's text. Raises ``OSError`` as opening and reading do."""

    def read_bytes(self, path: str) -> bytes:
        """Return what is in a file that is not text. Raises ``OSError``."""

    def list(self, path: str) -> list[str]:
        """Return the names in a folder, sorted. Raises ``OSError``."""

    def readlink(self, path: str) -> str:
        """Return where a link points, as it is written there. Raises ``OSError``."""

    def may_open(self, path: str) -> bool:
        """Tell whether this user may read and write the file, without opening it.

        Raises ``FileNotFoundError`` where there is none.
        """

    def ioctl(self, path: str, request: int, memory: bytes, pointers: Mapping[int, int]) -> bytes:
        """Open the device file, make one ioctl, and return *memory* as the driver left it.

        Args:
            memory: The argument, and after it whatever it points to.
            pointers: Where in *memory* a pointer is to be, and the place in it
                that it is to point to. Both are offsets; in what is returned
                there is the offset again.

        Raises ``OSError``.
        """

    def clock(self) -> float:
        """Return the seconds since some moment, as of now.

        In a recording: as of when the last answer that this thread got was given.
        Counters that were read just before become rates by it.
        """

    def user_name(self, user_id: int) -> str:
        """Return the user's name, or the number as text where it has none."""

    def library(self, name: str) -> ModuleType:
        """Return the Python module *name* over a native library. Raises ``ImportError``."""

    def has_library(self, name: str) -> bool:
        """Tell whether there is a Python module *name*, without importing it."""

    def which(self, program: str) -> str:
        """Return the path of *program*. Raises ``FileNotFoundError`` where there is none."""

    def fetch(self, url: str, *, timeout_seconds: float) -> HttpAnswer:
        """Ask an HTTP server on this machine, and follow it nowhere else.

        Args:
            url: ``http://127.0.0.1:PORT/PATH`` or ``http://[::1]:PORT/PATH``, or with
                ``localhost`` for whichever of the two listens. Any other raises
                ``ValueError``, and is not asked.
            timeout_seconds: For all of it.

        Raises ``OSError``: ``ConnectionRefusedError`` where nobody listens,
        ``TimeoutError`` where there is no whole answer in time, ``EPROTO`` where it
        is not HTTP, and ``EMSGSIZE`` where it is longer than any that is wanted.
        """

    def scratch_folder(self) -> AbstractContextManager[str]:
        """Give the path of an empty folder for what a program leaves about, gone afterwards.

        Raises ``OSError`` where none can be made.
        """

    def run(self, command: Sequence[str], *, timeout_seconds: float) -> str:
        """Return what a program prints, started without input and in a process group of its own.

        Raises ``OSError`` where it cannot be started, and ``SubprocessError``:
        ``CalledProcessError`` where its exit status is not zero, and
        ``TimeoutExpired`` past the timeout, when it is killed with all that it
        has started.
        """
