"""Looking through folders: no folder twice, not endlessly, and none in silence."""

import os
from collections.abc import Iterator

from vramline.fit.library.found import Source, UnreadablePlace

DEPTH_MOST = 12
ENTRIES_MOST = 500_000
"""Of all folders together; so many are listed in a second or two."""


class Folders:
    """One look through all places.

    Attributes:
        unreadable: What could not be looked into.
    """

    def __init__(self) -> None:
        self.unreadable: list[UnreadablePlace] = []
        self._seen: set[tuple[int, int]] = set()
        self._left = ENTRIES_MOST

    def tell(self, path: str, source: Source, reason: str) -> None:
        """Remember what could not be looked into."""
        self.unreadable.append(UnreadablePlace(path=path, source=source, reason=reason))

    def entries(self, path: str, source: Source) -> list[os.DirEntry[str]]:
        """Return what is in a folder, by name: nothing where there is none, or it was told."""
        if self._left <= 0:
            return []
        found: list[os.DirEntry[str]] = []
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    self._left -= 1
                    if self._left <= 0:
                        reason = f"more than {ENTRIES_MOST:,} files: the rest was not looked at"
                        self.tell(path, source, reason)
                        break
                    found.append(entry)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            self.tell(path, source, reason)
        return sorted(found, key=lambda entry: entry.name)

    def is_new(self, path: str) -> bool:
        """Tell whether this folder is there and was not looked into before, by any name."""
        try:
            found = os.stat(path)
        except (OSError, ValueError):
            return True  # what is wrong with it is told when it is opened
        identity = (found.st_dev, found.st_ino)
        if identity in self._seen:
            return False
        self._seen.add(identity)
        return True

    def walk(
        self, root: str, source: Source, depth: int = DEPTH_MOST
    ) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
        """Give every folder from *root* down with its files. Hidden ones are left out."""
        if not self.is_new(root):
            return
        files: list[os.DirEntry[str]] = []
        inner: list[str] = []
        for entry in self.entries(root, source):
            if entry.name.startswith("."):
                continue
            (inner.append(entry.path) if _is_folder(entry) else files.append(entry))
        yield root, files
        for path in inner if depth else ():
            yield from self.walk(path, source, depth - 1)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
