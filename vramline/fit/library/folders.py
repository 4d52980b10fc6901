"""Looking through folders: no folder twice, not endlessly, and none in silence."""

import os
from collections.abc import Iterator

from vramline.fit.header_file import reason_of
from vramline.fit.library.found import Source, UnreadablePlace

DEPTH_MOST = 12
ENTRIES_MOST = 500_000
"""Of all folders of one place; so many are listed in a second or two."""


class Folders:
    """One look through all places.

    Attributes:
        unreadable: What could not be looked into.
    """

    def __init__(self, entries_most: int = ENTRIES_MOST) -> None:
        self.unreadable: list[UnreadablePlace] = []
        self._seen: set[tuple[int, int]] = set()
        self._entries_most = entries_most
        self.begin_place()

    def begin_place(self) -> None:
        """Begin another place. However many files are in the one before, it is looked into."""
        self._left = self._entries_most
        self._is_deep = False

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
                        reason = f"{self._entries_most:,} files or more: the rest was not looked at"
                        self.tell(path, source, reason)
                        break
                    found.append(entry)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except (OSError, ValueError) as error:
            self.tell(path, source, reason_of(error))
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
        if inner and not depth:
            self._tell_depth(root, source)
            return
        for path in inner:
            yield from self.walk(path, source, depth - 1)

    def _tell_depth(self, path: str, source: Source) -> None:
        """Say, once for a place, that what lies deeper is not looked into."""
        if not self._is_deep:
            self._is_deep = True
            self.tell(path, source, "the folders in it lie too deep: they were not looked into")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
