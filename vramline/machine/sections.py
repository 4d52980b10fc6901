"""Puts what was captured into the sections of a recording, masked."""

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from vramline.machine.captured import Traits
from vramline.machine.journal import Question, Told
from vramline.machine.keys import command_key, ioctl_key
from vramline.machine.masking import Masks

FIRST_PERSON = {"linux": 1000, "darwin": 500}
"""User ids below are the system's own: what they are called is no secret, and tells a lot."""
NOBODY = 65534

_NOT_THERE = {"errno": "ENOENT"}
_OF_ANOTHER_KIND = [{"errno": name} for name in ("ENOENT", "EISDIR", "ENOTDIR", "EINVAL")]
"""What reading says of a folder, listing of a file: it is known from what the path is."""

_SECTIONS = {"may_open": "openable", "which": "which", "run": "programs", "fetch": "fetched"}

By = dict[str, list[Told]]
Section = dict[str, Any]


def answers_in(by: By) -> Iterator[Any]:
    """Return all the answers to a question, to whomever they were given."""
    return (each.answer for row in by.values() for each in row)


def is_person(platform: str, user_id: int) -> bool:
    """Tell whether a user is not the system itself."""
    return user_id >= FIRST_PERSON.get(platform, 0) and user_id != NOBODY


def account(masks: Masks, name: str) -> str:
    r"""Return the mask of ``DOMAIN\user``, or of a user alone."""
    domain, slash, user = name.rpartition("\\")
    if domain.casefold().startswith(("nt ", "window manager", "font driver")):
        return name  # Windows' own
    if user.startswith("_"):
        return name  # macOS's own
    return f"{masks.person('host', domain)}{slash}{masks.person('user', user)}"


class Sections:
    """Puts each question's answers into the section where they belong, masked."""

    def __init__(self, masks: Masks, platform: str) -> None:
        self._masks = masks
        self._platform = platform
        self._by_kind: dict[str, dict[str, By]] = {}
        self._users: Section = {}
        self._ioctls: dict[str, dict[str, By]] = {}
        self._libraries: dict[str, Section] = {}
        self._calls: dict[str, dict[str, By]] = {}
        self._times: dict[str, Section] = {}

    def add(self, question: Question, by: By) -> None:
        """Add a question with its answers."""
        kind, *asked = question
        last = next(reversed([*answers_in(by)]))
        if kind == "user":
            self._users[str(asked[0])] = self._user(asked[0], str(last))
        elif kind in ("library", "has_library"):
            self._add_library(asked[0], kind, last)
        elif kind == "call":
            key, masked = self._masks.text(asked[1]), self._masked(by, asked[2])
            self._calls.setdefault(asked[0], {})[key] = masked
        elif kind == "ioctl":
            path, request, memory, pointers = asked
            key = ioctl_key(request, self._masks.data(memory), dict(pointers))
            self._ioctls.setdefault(self._masks.text(path), {})[key] = self._masked(by)
        else:
            # Word by word: as a line each has its quotes.
            words = [self._masks.text(each) for each in asked]
            key = command_key(words) if kind == "run" else words[0]
            self._by_kind.setdefault(kind, {})[key] = self._masked(by)

    def add_traits(self, name: str, traits: Traits) -> None:
        """Add what was looked for in a library."""
        library = self._libraries.setdefault(name, {})
        constants: dict[str, Any] = _plain(self._masks.value(traits.constants))
        library.update(constants=constants, errors=traits.errors, lacks=traits.lacks)

    def to_dict(self) -> dict[str, Any]:
        """Return the sections, in the order in which they stand in the file."""
        files, links = self._files()
        written = {"users": self._users, "files": files, "links": links}
        for kind, section in _SECTIONS.items():
            rows = self._by_kind.get(kind, {})
            there = {key: by for key, by in rows.items() if any(_is_there(by))}
            written[section] = self._section([section], there)
        for path, rows in self._ioctls.items():
            written.setdefault("ioctls", {})[path] = self._section(["ioctls", path], rows)
        for name, rows in self._calls.items():
            calls = self._section(["libraries", name], rows)
            self._libraries.setdefault(name, {})["calls"] = calls
        written["libraries"] = {
            name: {part: each for part, each in library.items() if each or part == "missing"}
            for name, library in self._libraries.items()
        }
        return {**written, "times": self._times}

    def _masked(self, by: By, name: str = "") -> By:
        def masked(answer: Any) -> Any:
            if name == "username" and isinstance(answer, str):
                return account(self._masks, answer)
            return self._masks.value(answer, name)

        return _each(by, masked)

    def _user(self, user_id: int, name: str) -> str:
        return self._masks.person("user", name) if is_person(self._platform, user_id) else name

    def _add_library(self, name: str, kind: str, answer: Any) -> None:
        if answer is True:
            self._libraries.setdefault(name, {})
        elif kind == "library":
            missing = answer.get("missing", "it could not be loaded")
            self._libraries[name] = {"missing": self._masks.text(missing)}

    def _files(self) -> tuple[Section, Section]:
        """Return what lies at each path, and the links to paths at which more is known."""
        read, listed, linked = (self._by_kind.get(k, {}) for k in ("read", "list", "readlink"))
        folders = {path: _each(by, _folder) for path, by in listed.items()}
        links = {path: _each(by, _symlink) for path, by in linked.items()}
        # What tells most of a path comes last, and takes the place of what tells less.
        chosen = {path: by for path, by in links.items() if any(_is_there(by))}
        for tells in (_is_there, _is_content):
            for by_path in (folders, read):
                chosen |= {path: by for path, by in by_path.items() if any(tells(by))}
        chosen |= {path: by for path, by in folders.items() if _holds(by, "dir")}
        besides = {
            path: by
            for path, by in linked.items()
            if _holds(links[path], "symlink") and chosen[path] is not links[path]
        }
        files = self._section(["files"], chosen)
        return dict(sorted(files.items())), self._section(["links"], besides)

    def _section(self, path: list[str], rows: Mapping[str, By]) -> Section:
        written = {}
        for key, by in rows.items():
            written[key], times = _entry(by)
            if times:
                place: Section = self._times
                for name in path:
                    place = place.setdefault(name, {})
                place[key] = times
        return written


def _is_there(by: By) -> Iterable[bool]:
    return (answer != _NOT_THERE for answer in answers_in(by))


def _is_content(by: By) -> Iterable[bool]:
    return (answer not in _OF_ANOTHER_KIND for answer in answers_in(by))


def _holds(by: By, mark: str) -> bool:
    return any(mark in each for each in answers_in(by) if isinstance(each, dict))


def _each(by: By, change: Callable[[Any], Any]) -> By:
    return {a: [Told(change(each.answer), each.at) for each in row] for a, row in by.items()}


def _folder(answer: Any) -> Any:
    return {"dir": answer} if isinstance(answer, list) else answer


def _symlink(answer: Any) -> Any:
    return {"symlink": answer} if isinstance(answer, str) else answer


def _entry(by: By) -> tuple[Any, dict[str, list[float]]]:
    """Return the entry of a question, and its times where they stand beside it."""
    first = next(answers_in(by))
    if all(answer == first for answer in answers_in(by)):
        times = {asker: [at for each in row for at in each.at] for asker, row in by.items()}
        asked = sum(map(len, times.values()))
        return _plain(first), times if asked > 1 else {}
    if len(by) == 1:
        return _row(next(iter(by.values()))), {}
    constant = {asker: row[0].at for asker, row in by.items() if len(row) == 1}
    return {"asked_by": {asker: _row(row) for asker, row in by.items()}}, constant


def _row(row: list[Told]) -> Any:
    if len(row) == 1:
        return _plain(row[0].answer)
    at = [each.at[0] if len(each.at) == 1 else each.at for each in row]
    return {"in_turn": [_plain(each.answer) for each in row], "at": at}


def _plain(answer: Any) -> Any:
    """Return an answer as JSON has it."""
    if isinstance(answer, bytes):
        return {"base64": base64.b64encode(answer).decode()}
    if isinstance(answer, Mapping):
        return {key: _plain(each) for key, each in answer.items()}
    if isinstance(answer, list | tuple):
        return [_plain(each) for each in answer]
    return answer
