"""The names of counters' instances, and what their values come to for each adapter.

``luid_0xHIGH_0xLOW_phys_N`` is an adapter, with ``pid_N_`` before it a process on it, and
with ``_eng_N_engtype_NAME`` behind it one of its engines. Newer Windows may add ``_part_N``.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from vramline.readers.causes import LARGEST_COUNT
from vramline.readings import ProcessKind

Memory = Mapping[int, int]
Processes = Mapping[int, Mapping[int, int]]

_ADAPTER = r"luid_0x(?P<high>[0-9a-f]{1,8})_0x(?P<low>[0-9a-f]{1,8})_phys_(?P<physical>[0-9]{1,5})"
_PROCESS = rf"pid_(?P<pid>[0-9]{{1,10}})_{_ADAPTER}"
_ENGINE = rf"{_PROCESS}_eng_(?P<engine>[0-9]{{1,5}})_engtype_(?P<type>.*?)"
_ADAPTERS, _PROCESSES, _ENGINES = (
    re.compile(rf"{pattern}(?:_part_[0-9]{{1,5}})?", re.ASCII | re.IGNORECASE)
    for pattern in (_ADAPTER, _PROCESS, _ENGINE)
)


def adapter_bytes(items: Any) -> dict[int, int]:
    """Return how much of a memory each adapter uses, by LUID. Linked ones are one."""
    parts = {found.group(): (_luid(found), count) for found, count in _counts(items, _ADAPTERS)}
    total: dict[int, int] = defaultdict(int)
    for luid, count in parts.values():
        total[luid] += count
    return dict(total)


def process_bytes(items: Any) -> dict[int, dict[int, int]]:
    """Return how much of a memory each process holds, by the adapter's LUID."""
    parts = {
        found.group(): (_luid(found), int(found["pid"]), count)
        for found, count in _counts(items, _PROCESSES)
    }
    total: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for luid, pid, count in parts.values():
        total[luid][pid] += count
    return {luid: dict(each) for luid, each in total.items()}


def engine_percents(items: Any) -> tuple[dict[int, float], dict[int, dict[int, ProcessKind]]]:
    """Return how busy each adapter is, and what runs on it for which process, by LUID.

    An adapter is as busy as the busiest of its engines is with all processes together, as
    Task Manager has it.
    """
    engines: dict[tuple[int, str], float] = defaultdict(float)
    running: dict[int, dict[int, set[bool]]] = defaultdict(lambda: defaultdict(set))
    for found, percent in _percents(items):
        luid = _luid(found)
        engines[luid, f"{found['physical']}:{found['engine']}"] += percent
        running[luid][int(found["pid"])].add(_computes(found["type"]))
    busiest: dict[int, float] = defaultdict(float)
    for (luid, _), percent in engines.items():
        busiest[luid] = min(max(busiest[luid], percent), 100.0)
    return dict(busiest), {
        luid: {pid: _kind(uses) for pid, uses in each.items()} for luid, each in running.items()
    }


def _counts(items: Any, pattern: re.Pattern[str]) -> Iterator[tuple[re.Match[str], int]]:
    for found, value in _matching(items, pattern):
        if type(value) is int and 0 <= value <= LARGEST_COUNT:
            yield found, value


def _percents(items: Any) -> Iterator[tuple[re.Match[str], float]]:
    for found, value in _matching(items, _ENGINES):
        if type(value) in (int, float) and math.isfinite(value) and value > 0:
            yield found, min(float(value), 100.0)


def _matching(items: Any, pattern: re.Pattern[str]) -> Iterator[tuple[re.Match[str], Any]]:
    for item in items if isinstance(items, list | tuple) else ():
        if isinstance(item, list | tuple) and len(item) == 2 and isinstance(item[0], str):
            found = pattern.fullmatch(item[0])
            if found:
                yield found, item[1]


def _luid(found: re.Match[str]) -> int:
    return int(found["high"], 16) << 32 | int(found["low"], 16)


def _computes(engine_type: str) -> bool:
    return engine_type.lower().startswith(("compute", "cuda", "high priority compute"))


def _kind(computes: set[bool]) -> ProcessKind:
    if len(computes) == 2:
        return ProcessKind.COMPUTE_AND_GRAPHICS
    return ProcessKind.COMPUTE if True in computes else ProcessKind.GRAPHICS
