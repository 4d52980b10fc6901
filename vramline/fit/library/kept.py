"""What is kept of files that were read, as long as they do not change.

A file has not changed if its size, its time and its number are the same. What is kept of one
that is gone goes away a month later: a disk may come back.
"""

import json
import os
from collections.abc import Iterable
from typing import Any

from vramline.store import Store

NAME = "library"
VERSION = 1
"""To be raised with any change of what is kept: of a header's summary, or of what is read of it."""

GONE = "gone"
GONE_SECONDS = 30 * 24 * 3600.0


def file_key(files: Iterable[os.stat_result]) -> bytes:
    """Return what tells whether the files are as they were."""
    return b";".join(b"%d,%d,%d" % (each.st_size, each.st_mtime_ns, each.st_ino) for each in files)


def load(text: bytes | str) -> Any:
    """Parse what was kept as JSON. Raises ``ValueError``, and nothing else."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError(str(error)) from error


class Kept:
    """What is kept of all files, during one look."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._entries = store.read()
        self._changed: dict[str, bytes | None] = {}
        self._seen: set[str] = set()

    def get(self, path: str, key: bytes) -> bytes | None:
        """Return what is kept of *path*, unless it has changed."""
        self._seen.add(path)
        entry = self._entries.get(path, b"")
        return entry[len(key) + 1 :] if entry.startswith(key + b"\n") else None

    def put(self, path: str, key: bytes, content: bytes) -> None:
        """Keep *content*, with the next ``save``."""
        self._seen.add(path)
        self._changed[path] = self._entries[path] = key + b"\n" + content

    def save(self) -> None:
        """Write what is new."""
        self._store.write(self._changed)
        self._changed = {}

    def forget_gone(self, now: float) -> None:
        """Take away what was kept of files that have been gone for long."""
        before = self._gone()
        gone: dict[str, float] = {}
        for path in self._entries.keys() - self._seen - {GONE}:
            if os.path.lexists(path):
                continue
            since = before.get(path, now)
            if now - since < GONE_SECONDS:
                gone[path] = min(since, now)
            else:
                self._changed[path] = None
        if gone != before:
            self._changed[GONE] = json.dumps(gone).encode() if gone else None

    def _gone(self) -> dict[str, float]:
        try:
            found = load(self._entries.get(GONE, b"{}"))
            return {str(path): float(since) for path, since in found.items()}
        except (ValueError, AttributeError, TypeError):
            return {}
