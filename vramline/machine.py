"""What a reader may touch: the one seam between vramline and a machine.

Every reader takes a ``Machine`` and reaches files, environment, programs and
native libraries through it alone. That is what lets a recorded machine stand in for a
real one, ``--host-root`` move ``/proc`` and ``/sys``, and a test prove that no
file was opened that wakes a sleeping GPU.
"""

import base64
import errno
import importlib
import importlib.util
import os
import posixpath
import shutil
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, Protocol

MAX_FILE_BYTES = 16 * 2**20
"""No file that a reader asks for is near this size: what is longer is cut off."""


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

    def list(self, path: str) -> list[str]:
        """Return the names in a folder, sorted. Raises ``OSError``."""

    def readlink(self, path: str) -> str:
        """Return where a link points, as it is written there. Raises ``OSError``."""

    def may_open(self, path: str) -> bool:
        """Tell whether this user may read and write the file, without opening it.

        Raises ``FileNotFoundError`` where there is none.
        """

    def user_name(self, user_id: int) -> str:
        """Return the user's name, or the number as text where it has none."""

    def library(self, name: str) -> ModuleType:
        """Return the Python module *name* over a native library. Raises ``ImportError``."""

    def has_library(self, name: str) -> bool:
        """Tell whether there is a Python module *name*, without importing it."""

    def which(self, program: str) -> str:
        """Return the path of *program*. Raises ``FileNotFoundError`` where there is none."""

    def run(self, command: Sequence[str], *, timeout_seconds: float) -> str:
        """Return what a program prints, started without input and in a process group of its own.

        Raises ``OSError`` where it cannot be started, and ``SubprocessError``:
        ``CalledProcessError`` where its exit status is not zero, and
        ``TimeoutExpired`` past the timeout, when it is killed with all that it
        has started.
        """


class LiveMachine:
    """This machine.

    Args:
        host_root: The folder under which the host's ``/proc`` and ``/sys`` are
            mounted, for a process in a container that is to see its host.
            The limits of the container itself do not count then.
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

    def read(self, path: str) -> str:
        # os.read costs a third of what open() does, and readers do little else.
        descriptor = os.open(self._root + path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            return _read_all(descriptor).decode("utf-8", "replace")
        finally:
            os.close(descriptor)

    def list(self, path: str) -> list[str]:
        return sorted(os.listdir(self._root + path))

    def readlink(self, path: str) -> str:
        return os.readlink(self._root + path)

    def may_open(self, path: str) -> bool:
        os.stat(self._root + path)
        return os.access(self._root + path, os.R_OK | os.W_OK)

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
            raise _os_error(errno.ENOENT, program)
        return path

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


class RecordedMachine:
    """A machine as it was recorded: nothing live is touched.

    Args:
        entries: What lies at each absolute path: a file's text, or one of
            ``{"base64": text}``, ``{"symlink": target}``, ``{"dir": []}`` and
            ``{"errno": "EBUSY"}`` for a file that could not be read.
        libraries: What stands in for each native library.
    """

    def __init__(
        self,
        entries: Mapping[str, str | Mapping[str, Any]],
        *,
        platform: str = "linux",
        environ: Mapping[str, str] | None = None,
        libraries: Mapping[str, ModuleType] | None = None,
    ) -> None:
        self._entries = dict(entries)
        self._folders = _folders(self._entries)
        self._platform = platform
        self._environ = dict(environ or {})
        self._libraries = dict(libraries or {})

    @property
    def platform(self) -> str:
        return self._platform

    @property
    def process(self) -> str:
        return "self"

    @property
    def environ(self) -> Mapping[str, str]:
        return self._environ

    def read(self, path: str) -> str:
        entry = self._entries.get(self._resolve(path))
        if isinstance(entry, str):
            return entry
        if entry is None:
            known = self._resolve(path) in self._folders
            raise _os_error(errno.EISDIR if known else errno.ENOENT, path)
        if "errno" in entry:
            raise _os_error(getattr(errno, entry["errno"]), path)
        if "base64" in entry:
            return base64.b64decode(entry["base64"]).decode("utf-8", "replace")
        raise _os_error(errno.EISDIR, path)

    def list(self, path: str) -> list[str]:
        names = self._folders.get(self._resolve(path))
        if names is None:
            raise _os_error(errno.ENOENT, path)
        return sorted(names)

    def readlink(self, path: str) -> str:
        entry = self._entries.get(path)
        if isinstance(entry, Mapping) and "symlink" in entry:
            return str(entry["symlink"])
        raise _os_error(errno.ENOENT if entry is None else errno.EINVAL, path)

    def may_open(self, path: str) -> bool:
        try:
            self.read(path)
        except PermissionError:
            return False
        return True

    def user_name(self, user_id: int) -> str:
        return str(user_id)

    def library(self, name: str) -> ModuleType:
        if name in self._libraries:
            return self._libraries[name]
        raise ModuleNotFoundError(f"the recording holds no {name}", name=name)

    def has_library(self, name: str) -> bool:
        return name in self._libraries

    def which(self, program: str) -> str:
        raise _os_error(errno.ENOENT, program)

    def run(self, command: Sequence[str], *, timeout_seconds: float) -> str:
        raise _os_error(errno.ENOENT, command[0])

    def _resolve(self, path: str) -> str:
        """Follow the recorded links in *path*; a loop ends as a name that is not there."""
        for _ in range(40):
            link = next((part for part in _prefixes(path) if self._is_link(part)), None)
            if link is None:
                return path
            rest = path[len(link) :]
            target = posixpath.join(posixpath.dirname(link), self.readlink(link))
            path = posixpath.normpath(target) + rest
        return "\0loop"

    def _is_link(self, path: str) -> bool:
        entry = self._entries.get(path)
        return isinstance(entry, Mapping) and "symlink" in entry


def _prefixes(path: str) -> list[str]:
    ends = [place for place, letter in enumerate(path) if letter == "/" and place > 0]
    return [path[:end] for end in (*ends, len(path))]


def _folders(entries: Mapping[str, object]) -> dict[str, set[str]]:
    folders: dict[str, set[str]] = {}
    for path, entry in entries.items():
        if isinstance(entry, Mapping) and "dir" in entry:
            folders.setdefault(path, set())
        below = path
        while below.strip("/"):
            below, name = posixpath.split(below)
            folders.setdefault(below, set()).add(name)
    return folders


def _os_error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
