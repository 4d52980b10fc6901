"""Breaks a recorded machine: one file at a time, in every way in which a file can fail.

What each test then holds: only the fields change that the file feeds, a field
that is lost has the right cause, and nothing escapes.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields
from typing import Any

from vramline.readings import Cause, GpuReading

Entries = Mapping[str, Any]

WAYS: Mapping[str, Any] = {
    "missing": None,
    "empty": "",
    "garbage": "\x00\x7fno number, and no word\n",
    "EBUSY": {"errno": "EBUSY"},
    "EPERM": {"errno": "EPERM"},
    "EACCES": {"errno": "EACCES"},
    "EIO": {"errno": "EIO"},
    "EOPNOTSUPP": {"errno": "EOPNOTSUPP"},
}

CAUSES: Mapping[str, Cause] = {
    "missing": Cause.NOT_SUPPORTED,
    "empty": Cause.GARBLED,
    "garbage": Cause.GARBLED,
    "EBUSY": Cause.DRIVER_ERROR,
    "EPERM": Cause.NO_PERMISSION,
    "EACCES": Cause.NO_PERMISSION,
    "EIO": Cause.DRIVER_ERROR,
    "EOPNOTSUPP": Cause.NOT_SUPPORTED,
}
"""What each way means, where a driver does not give it a meaning of its own."""


def breakages(entries: Entries, *, below: str = "/") -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Give each file below a folder, each way to break it, and the machine with it broken."""
    files = [path for path, entry in entries.items() if path.startswith(below) and _is_file(entry)]
    for path in files:
        for way, entry in WAYS.items():
            broken = {each: what for each, what in entries.items() if each != path}
            yield path, way, broken if entry is None else {**broken, path: entry}


def changes(before: GpuReading, after: GpuReading) -> dict[str, Any]:
    """Return what differs: the new value by field, or the cause where there is none any more."""
    names = [field.name for field in fields(GpuReading) if field.name != "unknown"]
    return {name: _told(after, name) for name in names if _told(before, name) != _told(after, name)}


def fed_by(path: str, feeds: Mapping[str, Collection[str]]) -> set[str]:
    """Return the fields that the file feeds, by a table from patterns of paths."""
    return {
        field for pattern, names in feeds.items() if re.search(pattern, path) for field in names
    }


def absurdities(gpu: GpuReading) -> list[str]:
    """Return the fields of a reading that no machine could have."""
    total = gpu.memory_total_bytes
    parts = ("memory_used_bytes", "memory_free_bytes", "memory_reserved_bytes")
    numbers = {field.name: getattr(gpu, field.name) for field in fields(GpuReading)}
    wrong = [
        name
        for name, value in numbers.items()
        if isinstance(value, int | float)
        and not isinstance(value, bool)
        and name != "temperature_celsius"
        and not 0 <= value < 2**63  # NaN is neither
    ]
    wrong += [
        name
        for name, value in numbers.items()
        if name.endswith("_percent") and value is not None and not 0 <= value <= 100
    ]
    wrong += [
        name
        for name in parts
        if total is not None and numbers[name] is not None and numbers[name] > total
    ]
    if gpu.temperature_celsius is not None and not -100 <= gpu.temperature_celsius <= 300:
        wrong.append("temperature_celsius")
    return wrong


def unexplained(gpu: GpuReading) -> set[str]:
    """Return the fields that are not known, and do not say why."""
    without_reason = {"parent_uid", "cuda_index", "index", "memory_free_bound_by"}
    silent = {
        field.name
        for field in fields(GpuReading)
        if getattr(gpu, field.name) is None and field.name not in gpu.unknown
    }
    return silent - without_reason


def _told(gpu: GpuReading, name: str) -> Any:
    value = getattr(gpu, name)
    return gpu.unknown.get(name) if value is None else value


def _is_file(entry: Any) -> bool:
    return isinstance(entry, str) or "base64" in entry
