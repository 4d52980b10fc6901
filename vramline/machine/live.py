"""The machine that this process runs on."""

import errno
import importlib
import importlib.util
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import ModuleType

from vramline.machine.protocol import HttpAnswer

MAX_FILE_BYTES = 16 * 2**20
"""No file that a reader asks for is near this size: what is longer is cut off."""

MOVED = ("/proc/", "/sys/")
"""What is looked for under the host's root."""


class LiveMachine:
    """This machine.

    Args:
        host_root: The folder under which the host's ``/proc`` and ``/sys`` are
            mounted, for a process in a container that is to see its host. All
            else, such as ``/dev``, is the container's own: what it was not given
            there it could not open in the host's either. The limits of the
            container itself do not count then.
        libraries: Modules that the caller has imported, by name.
    """

    def __init__(
        self, *, host_root: str = "", libraries: Mapping[str, ModuleType | None] | None = None
    ) -> None:
        self._root = host_root.rstrip("/")
        self._libraries = dict(libraries or {})

    @property
    def platform(self) -> str:
        return sys.platform

    @property
    def process(self) -> str:
        return "1" if self._root else "self"

    @property
    def environ(self) -> Mapping[str, str]:
        return os.environ

    def _place(self, path: str) -> str:
        return self._root + path if self._root and f"{path}/".startswith(MOVED) else path

    def read(self, path: str) -> str:
        return self.read_bytes(path).decode("utf-8", "replace")

    def read_bytes(self, path: str) -> bytes:
        # os.read costs a third of what open() does, and readers do little else.
        descriptor = os.open(self._place(path), os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            return _read_all(descriptor)
        finally:
            os.close(descriptor)

    def list(self, path: str) -> list[str]:
        return sorted(os.listdir(self._place(path)))

    def readlink(self, path: str) -> str:
        return os.readlink(self._place(path))

    def may_open(self, path: str) -> bool:
        os.stat(self._place(path))
        return os.access(self._place(path), os.R_OK | os.W_OK)

    def ioctl(self, path: str, request: int, memory: bytes, pointers: Mapping[int, int]) -> bytes:
        from vramline.machine.ioctl import call

        return call(self._place(path), request, memory, pointers)

    def clock(self) -> float:
        return time.monotonic()

    def user_name(self, user_id: int) -> str:
        if sys.platform == "win32":
            return str(user_id)
        import pwd

        try:
            return pwd.getpwuid(user_id).pw_name
        except (KeyError, OverflowError):
            return str(user_id)

    def library(self, name: str) -> ModuleType:
        module = self._libraries.get(name) or importlib.import_module(name)
        self._libraries[name] = module
        return module

    def has_library(self, name: str) -> bool:
        if self._libraries.get(name) or name in sys.modules:
            return True
        return importlib.util.find_spec(name) is not None

    def which(self, program: str) -> str:
        path = shutil.which(program, path=self.environ.get("PATH"))
        if path is None:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), program)
        return path

    def fetch(self, url: str, *, timeout_seconds: float) -> HttpAnswer:
        from vramline.machine.loopback import fetch

        return fetch(url, timeout_seconds=timeout_seconds)

    def scratch_folder(self) -> AbstractContextManager[str]:
        from tempfile import TemporaryDirectory

        return TemporaryDirectory(prefix="vramline-", ignore_cleanup_errors=True)

    def run(self, command: Sequence[str], *, timeout_seconds: float) -> str:
        from vramline.programs import run

        return run(command, timeout_seconds=timeout_seconds)


def _read_all(descriptor: int) -> bytes:
    # The kernel may hand out less than is there: only an empty read is the end.
    pieces = []
    size = 0
    while size < MAX_FILE_BYTES and (piece := os.read(descriptor, 65536)):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)[:MAX_FILE_BYTES]
