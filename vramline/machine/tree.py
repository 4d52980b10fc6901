"""The recorded files as a tree: which names lie in a folder, and where links lead."""

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from vramline.machine.turns import Rows

MOST_LINKS = 40
"""In one path, as on Linux: https://man7.org/linux/man-pages/man7/path_resolution.7.html"""

NOWHERE = "\0loop"


class Tree:
    """Finds where in a recording the answers for a path lie.

    Args:
        files: What lies at each path. A link whose target was not asked for
            through it is a file too, ``{"symlink": target}``.
        links: Where those paths point for which there is an answer in *files* as well.
    """

    def __init__(self, files: Mapping[str, Rows], links: Mapping[str, Rows]) -> None:
        self._bare = dict(_bare_links(files))
        self.links: dict[str, Rows] = {**self._bare, **links}
        self._targets = {path: target for path, target in _targets(self.links) if target}
        self._files = files
        self._folders = _folders({**links, **files})

    def names(self, place: str) -> set[str] | None:
        """Return what is known to lie in a folder, ``None`` where there is none."""
        return self._folders.get(place)

    def holds(self, place: str) -> bool:
        """Tell whether anything is known of *place*."""
        return place in self._files or place in self._folders

    def place(self, path: str) -> str:
        """Return where to look for *path*.

        There itself, if it was asked for by that name. Else where the recorded
        links lead; a loop ends as a name that is not there.
        """
        for _ in range(MOST_LINKS):
            if path in self._files and path not in self._bare:
                return path
            link = next((part for part in _prefixes(path) if part in self._targets), None)
            if link is None:
                return path
            target = posixpath.join(posixpath.dirname(link), self._targets[link])
            path = posixpath.normpath(target) + path[len(link) :]
        return NOWHERE

    def beside(self, path: str) -> str:
        """Return *path* in the folder to which its own folder's links lead."""
        if path in self.links or path in self._files:
            return path
        folder, name = posixpath.split(path)
        return posixpath.join(self.place(folder), name)


def target(answer: Any) -> str:
    """Return where a link points; empty where that was not told."""
    if isinstance(answer, Mapping):
        return str(answer.get("symlink", ""))
    return str(answer)


def _bare_links(files: Mapping[str, Rows]) -> Iterator[tuple[str, Rows]]:
    for path, answers in files.items():
        if any(isinstance(each, Mapping) and "symlink" in each for each in _answers(answers)):
            yield path, answers


def _targets(links: Mapping[str, Rows]) -> Iterator[tuple[str, str]]:
    for path, answers in links.items():
        yield path, next(filter(None, map(target, _answers(answers))), "")


def _answers(answers: Rows) -> Iterator[Any]:
    return (given.answer for row in answers.values() for given in row)


def _prefixes(path: str) -> Iterator[str]:
    for place, letter in enumerate(path):
        if letter == "/" and place > 0:
            yield path[:place]
    yield path


def _folders(files: Mapping[str, Rows]) -> dict[str, set[str]]:
    folders: dict[str, set[str]] = {}
    for path, answers in files.items():
        if any(isinstance(each, Mapping) and "dir" in each for each in _answers(answers)):
            folders.setdefault(path, set())
        below = path
        while below.strip("/"):
            below, name = posixpath.split(below)
            folders.setdefault(below, set()).add(name)
    return folders
