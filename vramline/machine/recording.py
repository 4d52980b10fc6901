r"""The file of a recorded machine: what may stand in it, and how it is read.

It is JSON. Only ``format`` must be there; a machine that is written by hand
often has no more than this::

    {"format": 1, "platform": "linux", "files": {"/proc/meminfo": "MemTotal: 8388608 kB\n"}}

Each section holds the questions of one kind, and the answer to each:

``files``      path: text, ``{"base64": text}``, ``{"symlink": target}``, or
               ``{"dir": [names]}``, which is exactly what a listing gives
               (``{"dir": true}``: what lies below it in this file)
``links``      path: where it points, for a path that is in ``files`` as well
``openable``   path: whether this user may read and write it
``ioctls``     path: {request, memory and pointers: ``{"base64": text}``}
``programs``   command: what it prints, or ``{"exit": status, "output": text, "errors": text}``,
               or ``{"timeout_seconds": 30}``
``which``      program: its path
``fetched``    address on loopback: the body, or ``{"status": 401, "body": text}``
``libraries``  name: {"calls": {the call as it is written in Python: its answer}, ...},
               see ``vramline.machine.answers``; ``{}`` is installed and was not asked,
               ``{"missing": text}`` could not be imported

Any answer may be ``{"errno": "EBUSY"}``, or ``{"hangs": true}`` where none ever
came. What was not asked is not there (``ENOENT``).

A question that was asked several times, with different answers, has them in
order. ``at`` tells when each was given, in seconds; where it was given several
times in a row there is a list of them. If several threads were told different
things, each has its own::

    {"in_turn": ["1000\n", "2000\n"], "at": [0.01, 0.21]}
    {"asked_by": {"MainThread": "1000\n", "vramline amd": {"in_turn": [...]}}}

``times`` has the same for answers that did not change, by section and thread.

Beside these there are ``platform``, ``process`` (as ``Machine`` has them),
``environ``, ``users`` (the name of each number), ``versions`` (of installed
Python distributions), ``taken_at``, ``took_seconds``, ``interrupted``
(whether it was ended early) and ``vramline`` (the version that wrote it). What else
there is is for people.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from vramline.errors import RecordingError
from vramline.machine.answers import decode
from vramline.machine.checking import (
    SECTIONS,
    Check,
    are_beside,
    are_texts,
    is_bytes,
    is_entry,
    is_time,
    is_value,
)
from vramline.machine.turns import Rows, rows

FORMAT = 1
MAX_BYTES = 64 * 2**20
"""No recording is near this size: captured files are cut off long before."""
MOST_LEVELS = 50
"""No recording is nested so deep. What reads the answers goes down by calling itself."""

_PRINTED = {
    "vramline --json": {"gpus", "host"},
    "vramline doctor --json": {"findings"},
}
"""What else has a format that is 1, and how it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """What a native library's Python module said.

    Attributes:
        missing: Why it could not be imported.
        errors: The exceptions that were looked for in it, each with its ancestors there.
        lacks: What was looked for in it and is not there.
    """

    missing: str | None = None
    constants: Mapping[str, Any] = field(default_factory=dict)
    errors: Mapping[str, Sequence[str]] = field(default_factory=dict)
    lacks: frozenset[str] = frozenset()
    calls: Mapping[str, Rows] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A recording that has been checked, section by section."""

    platform: str = "linux"
    process: str = "self"
    taken_at: datetime | None = None
    took_seconds: float = 0.0
    interrupted: bool = False
    environ: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Rows] = field(default_factory=dict)
    links: Mapping[str, Rows] = field(default_factory=dict)
    openable: Mapping[str, Rows] = field(default_factory=dict)
    programs: Mapping[str, Rows] = field(default_factory=dict)
    which: Mapping[str, Rows] = field(default_factory=dict)
    fetched: Mapping[str, Rows] = field(default_factory=dict)
    ioctls: Mapping[str, Mapping[str, Rows]] = field(default_factory=dict)
    libraries: Mapping[str, Library] = field(default_factory=dict)


def parse(recording: str | bytes | Mapping[str, Any]) -> Recording:
    """Read a recording, from its file's content or as JSON has it.

    Raises ``RecordingError`` for what is none.
    """
    found = recording if isinstance(recording, Mapping) else _from_json(recording)
    _check_format(found)
    if not _is_nested_less(found, MOST_LEVELS):
        raise RecordingError("it is nested deeper than any recording")
    times = _mapping(found, "times")
    return Recording(
        platform=_text(found, "platform", "linux"),
        process=_text(found, "process", "self"),
        taken_at=_moment(found.get("taken_at")),
        took_seconds=_seconds(found.get("took_seconds", 0.0)),
        interrupted=found.get("interrupted") is True,
        environ=_texts(found, "environ"),
        users=_texts(found, "users"),
        versions=_texts(found, "versions"),
        **{
            section: _section(section, _mapping(found, section), times.get(section), check)
            for section, check in SECTIONS.items()
        },
        ioctls={
            path: _section(f"ioctls {path}", each, _within(times, "ioctls", path), is_bytes)
            for path, each in _mapping(found, "ioctls").items()
        },
        libraries={
            name: _library(name, each, _within(times, "libraries", name))
            for name, each in _mapping(found, "libraries").items()
        },
    )


def _from_json(content: str | bytes) -> Mapping[str, Any]:
    if len(content) > MAX_BYTES:
        raise RecordingError(f"it is longer than any recording, {MAX_BYTES >> 20} MiB")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"it is no JSON: {error}") from error
    if not isinstance(found, Mapping):
        raise RecordingError("it is JSON, and no recording of a machine")
    return found


def _check_format(found: Mapping[str, Any]) -> None:
    version = found.get("format")
    if type(version) is not int or version < FORMAT:
        raise RecordingError('it is no recording of a machine: it has no "format": 1')
    if version > FORMAT:
        raise RecordingError(
            f"a newer vramline wrote it: its format is {version}, and this one reads {FORMAT}"
        )
    for command, names in _PRINTED.items():
        if names <= found.keys():
            raise RecordingError(f"it is what `{command}` prints, and not a recording")


def _is_nested_less(value: Any, levels: int) -> bool:
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list):
        return True
    return levels > 0 and all(_is_nested_less(each, levels - 1) for each in value)


def _wrong(where: str, what: object = None) -> RecordingError:
    told = "" if what is None else f": {what!a}"
    return RecordingError(f"{ascii(where)[1:-1][:200]} makes no sense{told[:80]}")


def _mapping(found: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    value = found.get(section, {})
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise _wrong(section, value)
    return value


def _within(times: Mapping[str, Any], section: str, name: str) -> Any:
    return _mapping(times, section).get(name)


def _text(found: Mapping[str, Any], name: str, default: str) -> str:
    value = found.get(name, default)
    if not isinstance(value, str):
        raise _wrong(name, value)
    return value


def _texts(found: Mapping[str, Any], section: str) -> dict[str, str]:
    return {name: _text(_mapping(found, section), name, "") for name in _mapping(found, section)}


def _moment(value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as error:
        raise _wrong("taken_at", value) from error


def _seconds(value: Any) -> float:
    if not is_time(value) or value < 0:
        raise _wrong("took_seconds", value)
    return float(value)


def _library(name: str, found: Any, times: Any) -> Library:
    where = f"libraries {name}"
    if not isinstance(found, Mapping):
        raise _wrong(where, found)
    errors, lacks, missing = _mapping(found, "errors"), found.get("lacks", []), found.get("missing")
    if not all(map(are_texts, (lacks, *errors.values()))) or not isinstance(missing, str | None):
        raise _wrong(where)
    constants = _mapping(found, "constants")
    if not all(map(is_value, constants.values())):
        raise _wrong(f"{where} constants")
    return Library(
        missing=missing,
        constants={key: decode(value, key) for key, value in constants.items()},
        errors=errors,
        lacks=frozenset(lacks),
        calls=_section(where, _mapping(found, "calls"), times, is_value),
    )


def _section(where: str, entries: Any, times: Any, check: Check) -> dict[str, Rows]:
    """Return a section's rows of answers. Whatever is in *entries* and *times* is checked."""
    if not isinstance(entries, Mapping) or not isinstance(times, Mapping | None):
        raise _wrong(where)
    section = {}
    for question, entry in entries.items():
        beside = (times or {}).get(question)
        if not isinstance(question, str) or not (is_entry(entry, check) and are_beside(beside)):
            raise _wrong(f"{where} {question}", entry)
        section[question] = rows(entry, beside)
    return section
