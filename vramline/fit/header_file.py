"""A model's file, of which only the header is read, in chunks, and nothing in it believed.

These files come from the internet. Whatever a length, a count or an offset says, no more is
read than the header may have, and no more is kept than what was read.

The files are read, not mapped: a mapped file that another program cuts short, as a download
that begins anew does, ends the process with a signal.
"""

import os
import stat
from io import FileIO
from struct import Struct
from types import TracebackType
from typing import Any, Self

from vramline.errors import ModelFormatError
from vramline.units import MIB

HEADER_BYTES_MOST = 128 * MIB
"""The largest vocabularies published, of 262,144 tokens and 514,906 merges, take 16 MiB.

So many bytes of nothing but empty strings are skipped in about a second.
"""

CHUNK_BYTES = MIB // 2
"""What is read at a time: it fits a processor's cache."""

NAME_SHOWN_MOST = 80

AGAIN = "Get the file again from where it came from"
OTHER_SOURCE = "The file is damaged or was made up: get it from another source"


class HeaderFile:
    """A file's header, from its start.

    ``data[at]`` is the next byte; ``need`` sees to it that so many are there.

    Attributes:
        size: Of the whole file.
        reading: What the next bytes belong to, for a message.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, most_bytes: int = HEADER_BYTES_MOST
    ) -> None:
        """Open the file. Raises ``ModelFormatError`` where it is no file or cannot be read."""
        self.path = os.fspath(path)
        self.reading = ""
        self.data = b""
        self.at = 0
        self._base = 0
        self._most_bytes = most_bytes
        try:
            self._file = open_file(self.path)
            self.size = os.fstat(self._file.fileno()).st_size
        except (OSError, ValueError) as error:
            raise unreadable(self.path, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    @property
    def position(self) -> int:
        """Where in the file ``at`` is."""
        return self._base + self.at

    def need(self, count: int) -> None:
        """Have the next *count* bytes in ``data``. Raises where the file or the header ends."""
        if self.at + count > len(self.data):
            self._check(self.position + count)
            self._fill(count)

    def take(self, count: int) -> bytes:
        """Return the next *count* bytes, and go past them."""
        self.need(count)
        begin = self.at
        self.at += count
        return self.data[begin : self.at]

    def unpack(self, layout: Struct) -> tuple[Any, ...]:
        """Return the next values, and go past them."""
        self.need(layout.size)
        begin = self.at
        self.at += layout.size
        return layout.unpack_from(self.data, begin)

    def skip(self, count: int) -> None:
        """Go past *count* bytes without reading them."""
        self._check(self.position + count)
        self.at += count

    def refusal(self, what: str, advice: str = OTHER_SOURCE) -> ModelFormatError:
        """Return the error that says what is wrong here."""
        reading = f", in {self.reading}" if self.reading else ""
        where = f"{shown_path(self.path)}, byte {self.position:,}{reading}"
        return ModelFormatError(f"{where}: {what}. {advice}.")

    def _check(self, end: int) -> None:
        if end > self.size:
            raise self.refusal(
                f"this goes on to byte {_short(end)}, and the file ends at {self.size:,}", AGAIN
            )
        if end > self._most_bytes:
            raise self.refusal(
                f"the header goes on to byte {end:,}, where {self._most_bytes:,} is the most that"
                " is read"
            )

    def _fill(self, count: int) -> None:
        """Have ``data`` begin at the next byte, with at least *count*.

        What is left of it is read again: to put a new chunk behind it would take longer.
        """
        self._base += self.at
        self.at = 0
        self.data = b""  # its memory is used again
        wanted = max(count, CHUNK_BYTES)
        try:
            self._file.seek(self._base)
            data = self._file.read(wanted)
            while len(data) < count and (piece := self._file.read(wanted - len(data))):
                data += piece
        except OSError as error:
            raise unreadable(self.path, error) from error
        if len(data) < count:
            raise self.refusal(
                "the file became shorter while it was read", "Try again"
            ) from EOFError()
        self.data = data


def open_file(path: str) -> FileIO:
    """Open a file. Raises ``OSError`` or ``ValueError``, also for what is no file."""
    if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would wait for ever
        raise OSError("this is not a file")
    return open(path, "rb", buffering=0, opener=_without_waiting)


def _without_waiting(path: str, flags: int) -> int:
    """Open also what has become a pipe since: it has no bytes then."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_small(path: str, most_bytes: int) -> bytes:
    """Return a small file, or its beginning. Raises ``OSError`` or ``ValueError``."""
    with open_file(path) as file:
        return file.read(most_bytes) or b""


def unreadable(path: str, error: OSError | ValueError) -> ModelFormatError:
    """Return the error for a path that the system does not open or read."""
    return ModelFormatError(f"{shown_path(path)}: cannot be read: {reason_of(error)}")


def reason_of(error: OSError | ValueError) -> str:
    """Return what the system says, without the path."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def shown(name: str) -> str:
    """Return a name from a file for a message: one line, and not endless."""
    cut = name if len(name) <= NAME_SHOWN_MOST else f"{name[:NAME_SHOWN_MOST]}..."
    return shown_path(cut)


def shown_path(path: str) -> str:
    """Return a path for a message: one line, and whole."""
    return path if path.isprintable() else ascii(path)


def _short(number: int) -> str:
    return f"{number:,}" if number < 2**80 else "far away"
