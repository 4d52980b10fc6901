"""What is kept for a user from one run to the next. Nothing else writes there.

What is kept under one name is an SQLite database in the user's own folder, as that is part of
Python, and what is asked of it is what it was made for: a change is there as a whole or not at
all, whenever the power goes (https://www.sqlite.org/atomiccommit.html), and two programs at
once wait for one another (https://www.sqlite.org/lockingv3.html). It is open only while it is
read or changed. The version is part of the file's name, so that programs of two versions side
by side do not take each other's apart.

Nothing here fails: what cannot be read is as if it were not there, what cannot be written is not
kept, and either is told once, as a warning. A database that is damaged is set aside, with
``.damaged`` behind its name, and begun anew.

Where: https://specifications.freedesktop.org/basedir-spec/latest/ on Linux,
``~/Library`` on macOS, ``%LOCALAPPDATA%`` on Windows; ``VRAMLINE_HOME`` stands for all of it.
"""

import contextlib
import logging
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path, PurePath
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from vramline.units import MIB

if TYPE_CHECKING:
    from sqlite3 import Connection

HOME = "VRAMLINE_HOME"
APPLICATION = "vramline"

LOCK_SECONDS = 2.0
"""How long another program is waited for that is writing."""

FILE_BYTES_MOST = 512 * MIB
"""A larger file was not written here, or went wrong. A thousand models' headers take 3 MiB."""

VALUE_BYTES_MOST = 16 * MIB
PAGE_BYTES = 4096
DAMAGED = ".damaged"
JOURNAL = "-journal"
CHECKSUM_BYTES = 4

Entries = Mapping[str, bytes | None]
"""By key. In a change, ``None`` takes the entry away."""

Result = TypeVar("Result")

_LOGGER = logging.getLogger(__name__)


class Kind(StrEnum):
    """Whether it can be had again."""

    CACHE = "cache"
    """It is worked out anew where it is gone."""
    STATE = "state"
    """It is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Entries that are kept under one name: bytes by key.

    Attributes:
        folder: Where they are kept; ``None``: nowhere, as this user has no folder.
        version: Of what the entries mean. Those of another version are not seen.
    """

    folder: str | None
    name: str
    version: int = 1

    @property
    def path(self) -> str | None:
        """The database's file."""
        if self.folder is None:
            return None
        return os.path.join(self.folder, f"{self.name}-{self.version}.sqlite3")

    def read(self, keys: Iterable[str] | None = None) -> dict[str, bytes]:
        """Return the entries of *keys* that there are; without *keys*, all."""
        return self._attempt("read", lambda connection: _select(connection, keys), {})

    def write(self, entries: Entries) -> bool:
        """Put *entries* in, all or none, and leave the others. Tell whether they were kept."""
        return self.update(lambda _: entries, keys=()) if entries else True

    def update(
        self,
        change: Callable[[dict[str, bytes]], Entries],
        *,
        keys: Iterable[str] | None = None,
    ) -> bool:
        """Put in what *change* makes of the entries of *keys*, which nobody else changes then.

        Tell whether it was kept. *change* is not called where it cannot be.
        """

        def in_one_go(connection: "Connection") -> bool:
            connection.execute("BEGIN IMMEDIATE")
            try:
                _create(connection)
                _put(connection, change(_select(connection, keys)))
            except BaseException:
                with contextlib.suppress(_sqlite().Error):
                    connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
            return True

        return self._attempt("kept", in_one_go, False, create=True)

    def forget(self) -> bool:
        """Delete all that was ever kept under this name. Tell whether it is gone."""
        try:
            for path in self._files():
                with contextlib.suppress(FileNotFoundError):  # another program was faster
                    os.unlink(path)
        except OSError as error:
            _tell(str(self.path), f"cannot be deleted: {_reason(error)}")
            return False
        return True

    def _files(self) -> list[str]:
        """List the databases of every version, and what lies beside them."""
        if self.folder is None:
            return []
        ours = re.compile(rf"{re.escape(self.name)}-[0-9]+\.sqlite3.*", re.DOTALL)
        try:
            with os.scandir(self.folder) as entries:
                return [entry.path for entry in entries if ours.fullmatch(entry.name)]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _attempt(
        self,
        what: str,
        action: Callable[["Connection"], Result],
        otherwise: Result,
        *,
        create: bool = False,
    ) -> Result:
        """Return what *action* makes of the database; *otherwise* where that cannot be had."""
        if self.path is None:
            _tell(self.name, f"cannot be {what}: this user has no home folder; set {HOME}")
            return otherwise
        try:
            return _act(self.path, action, create=create)
        except _NotKeptError as error:
            if str(error):
                _tell(self.path, f"cannot be {what}: {error}")
            return otherwise


class _NotKeptError(Exception):
    """Nothing can be read or kept. The message says why; it is empty where nothing ever was."""


def open_store(
    name: str,
    *,
    version: int = 1,
    kind: Kind = Kind.CACHE,
    environ: Mapping[str, str],
    platform: str,
) -> Store:
    """Return what is kept under *name* for the user whose environment that is.

    Nothing is opened or made until it is used.
    """
    return Store(folder=folder_of(kind, environ, platform), name=name, version=version)


def folder_of(kind: Kind, environ: Mapping[str, str], platform: str) -> str | None:
    """Return where this user's things of a kind are kept; ``None`` where there is no home."""
    if given := environ.get(HOME):
        return os.path.abspath(given)
    home = home_of(environ, platform)
    if platform == "win32":
        local = environ.get("LOCALAPPDATA") or (home and os.path.join(home, "AppData", "Local"))
        return os.path.join(local, APPLICATION, kind.value) if local else None
    if platform == "darwin":
        parts = {Kind.CACHE: ("Library", "Caches"), Kind.STATE: ("Library", "Application Support")}
        return os.path.join(home, *parts[kind], APPLICATION) if home else None
    variable, usual = {
        Kind.CACHE: ("XDG_CACHE_HOME", (".cache",)),
        Kind.STATE: ("XDG_STATE_HOME", (".local", "state")),
    }[kind]
    given = environ.get(variable, "")
    if os.path.isabs(given):  # the specification has others ignored
        return os.path.join(given, APPLICATION)
    return os.path.join(home, *usual, APPLICATION) if home else None


def home_of(environ: Mapping[str, str], platform: str) -> str | None:
    """Return the user's home folder, ``None`` where there is none."""
    home = environ.get("USERPROFILE" if platform == "win32" else "HOME")
    if not home:
        home = os.path.expanduser("~")  # from the system's list of users
    return home if os.path.isabs(home) else None


def _sqlite() -> ModuleType:
    """Load it where something is kept: not every Python was built with it."""
    import sqlite3

    return sqlite3


def _act(path: str, action: Callable[["Connection"], Result], *, create: bool) -> Result:
    """Return what *action* makes of the database. Raises ``_NotKeptError``."""
    try:
        sqlite = _sqlite()
    except ImportError as error:
        raise _NotKeptError(str(error)) from error
    for _ in range(2):  # the second time, without one that was damaged
        number = _prepare(path, create=create)
        try:
            if number is not None:
                with contextlib.closing(_connect(path)) as connection:
                    return action(connection)
        except sqlite.Error as error:
            if not _is_damage(error):
                raise _NotKeptError(str(error)) from error
        _set_aside(path, number)
    raise _NotKeptError("it is damaged")


def _prepare(path: str, *, create: bool) -> int | None:
    """See to it that there is a file; return its number, ``None`` where it is far too large.

    What is made is the user's alone. Raises ``_NotKeptError``.
    """
    try:
        if create and not os.path.lexists(path):
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        found = os.stat(path)
    except OSError as error:
        absent = isinstance(error, FileNotFoundError) and not create
        raise _NotKeptError("" if absent else _reason(error)) from error
    if not stat.S_ISREG(found.st_mode):
        raise _NotKeptError("something that is no file is in its place")
    return found.st_ino if found.st_size <= FILE_BYTES_MOST else None


def _connect(path: str) -> "Connection":
    sqlite: Any = _sqlite()
    connection: Connection = sqlite.connect(
        uri_of(Path(path).absolute()) + "?mode=rw",  # it is there, and may be read-only
        uri=True,
        timeout=LOCK_SECONDS,
        isolation_level=None,
    )
    connection.setlimit(sqlite.SQLITE_LIMIT_LENGTH, VALUE_BYTES_MOST)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute(f"PRAGMA max_page_count = {FILE_BYTES_MOST // PAGE_BYTES}")
    return connection


def uri_of(path: PurePath) -> str:
    """Return what SQLite calls a file: the name of a server is to it a part of the path.

    https://www.sqlite.org/uri.html
    """
    uri = path.as_uri()
    return uri if uri.startswith("file:///") else uri.replace("//", "////", 1)


def _create(connection: "Connection") -> None:
    connection.execute(
        # Without a row's number there is one tree, in which a key is beside its value.
        "CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID"
    )


def _select(connection: "Connection", keys: Iterable[str] | None) -> dict[str, bytes]:
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'entries'"
    if connection.execute(query).fetchone() is None:
        return {}  # another program has made the file this moment
    if keys is None:
        return dict(_sound(connection.execute("SELECT key, value FROM entries")))
    found: dict[str, bytes] = {}
    for key in keys:
        query = "SELECT key, value FROM entries WHERE key = ?"
        found |= _sound(connection.execute(query, (key.encode("utf-8", "surrogatepass"),)))
    return found


def _sound(rows: Iterable[tuple[object, object]]) -> Iterable[tuple[str, bytes]]:
    """Give those that are as they were written. SQLite does not see a bit that has turned."""
    for key, value in rows:
        if not isinstance(key, bytes) or not isinstance(value, bytes):
            continue
        content = value[CHECKSUM_BYTES:]
        if _checksum(key, content) == value[:CHECKSUM_BYTES]:
            with contextlib.suppress(UnicodeDecodeError):
                yield key.decode("utf-8", "surrogatepass"), content


def _put(connection: "Connection", entries: Entries) -> None:
    for name, content in entries.items():
        key = name.encode("utf-8", "surrogatepass")  # a path need not be UTF-8
        if content is None:
            connection.execute("DELETE FROM entries WHERE key = ?", (key,))
        else:
            row = (key, _checksum(key, content) + content)
            connection.execute("INSERT OR REPLACE INTO entries VALUES (?, ?)", row)


def _checksum(key: bytes, content: bytes) -> bytes:
    return zlib.crc32(content, zlib.crc32(key)).to_bytes(CHECKSUM_BYTES, "big")


def _is_damage(error: Exception) -> bool:
    """Tell whether the file itself is wrong: https://www.sqlite.org/rescode.html."""
    sqlite: Any = _sqlite()
    kinds = (sqlite.SQLITE_ERROR, sqlite.SQLITE_CORRUPT, sqlite.SQLITE_FORMAT, sqlite.SQLITE_NOTADB)
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in kinds


def _set_aside(path: str, number: int | None) -> None:
    """Move a damaged database out of the way, unless another program has just done so."""
    with contextlib.suppress(OSError):
        if number is not None and os.stat(path).st_ino != number:
            return
        os.replace(path, path + DAMAGED)
        _tell(path, f"was damaged; it is begun anew, and lies beside as {DAMAGED}")
        os.unlink(path + JOURNAL)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


@lru_cache(maxsize=256)
def _tell(path: str, what: str) -> None:
    """Warn, the first time."""
    _LOGGER.warning("%s: %s", path, what)
