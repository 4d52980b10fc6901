"""How much memory is left: of the machine, and of each cgroup that binds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vramline.readers.causes import LARGEST_COUNT, all_known
from vramline.readings import NOTHING_UNKNOWN, Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class HostMemory:
    """The memory part of a ``HostReading``, whose docstring explains the fields."""

    memory_total_bytes: int | None = None
    memory_available_bytes: int | None = None
    available_source: str | None = None
    memory_used_bytes: int | None = None
    memory_percent: float | None = None
    memory_limit_bytes: int | None = None
    limit_source: str | None = None
    swap_total_bytes: int | None = None
    swap_used_bytes: int | None = None
    unknown: Mapping[str, Cause] = NOTHING_UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemMemory:
    """What the system says of the whole machine. A value that is not known is its cause."""

    total_bytes: int | Cause
    available_bytes: int | Cause
    swap_total_bytes: int | Cause
    swap_used_bytes: int | Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A cgroup's limit on memory.

    Attributes:
        source: The cgroup's path, as it appears under its mount.
        available_bytes: What the cgroup has left under the limit, page cache included.
    """

    limit_bytes: int
    source: str
    available_bytes: int | Cause


def memory_figures(system: SystemMemory, bounds: Sequence[Bound] | Cause) -> dict[str, object]:
    """Return the memory fields of a reading. A figure that is not known is its cause."""
    system = _without_absurdities(system)
    lowest = bounds if isinstance(bounds, Cause) else _lowest(bounds)
    available, available_source = _available(system, bounds)
    return {
        "memory_total_bytes": system.total_bytes,
        "memory_available_bytes": available,
        "available_source": available_source,
        "memory_used_bytes": difference(system.total_bytes, system.available_bytes),
        "memory_percent": _percent(system, bounds),
        "memory_limit_bytes": lowest.limit_bytes if isinstance(lowest, Bound) else lowest,
        "limit_source": lowest.source if isinstance(lowest, Bound) else lowest,
        "swap_total_bytes": system.swap_total_bytes,
        "swap_used_bytes": system.swap_used_bytes,
    }


def difference(whole: int | Cause, part: int | Cause) -> int | Cause:
    """Return what is left of *whole* without *part*, negative where they contradict each other."""
    if isinstance(whole, Cause):
        return whole
    if isinstance(part, Cause):
        return part
    return whole - part


def _without_absurdities(system: SystemMemory) -> SystemMemory:
    total, swap_total = system.total_bytes, system.swap_total_bytes
    return SystemMemory(
        total_bytes=total if isinstance(total, Cause) or total > 0 else Cause.GARBLED,
        available_bytes=_part(system.available_bytes, total),
        swap_total_bytes=_part(swap_total, LARGEST_COUNT),
        swap_used_bytes=_part(system.swap_used_bytes, swap_total),
    )


def _part(part: int | Cause, whole: int | Cause) -> int | Cause:
    if isinstance(part, Cause) or isinstance(whole, Cause):
        return part
    return part if 0 <= part <= whole else Cause.GARBLED


def _lowest(bounds: Sequence[Bound]) -> Bound | None:
    return min(bounds, key=lambda bound: bound.limit_bytes, default=None)


def _available(
    system: SystemMemory, bounds: Sequence[Bound] | Cause
) -> tuple[int, str | None] | tuple[Cause, Cause]:
    """Return what is available, and the cgroup that leaves no more."""
    if isinstance(bounds, Cause):
        return bounds, bounds
    rooms = all_known([system.available_bytes, *(bound.available_bytes for bound in bounds)])
    if isinstance(rooms, Cause):
        return rooms, rooms
    least = min(rooms)
    return least, None if least == rooms[0] else bounds[rooms.index(least) - 1].source


def _percent(system: SystemMemory, bounds: Sequence[Bound] | Cause) -> float | Cause:
    if isinstance(bounds, Cause):
        return bounds
    machine = _fullness(system.total_bytes, system.available_bytes)
    groups = [_fullness(bound.limit_bytes, bound.available_bytes) for bound in bounds]
    percents = all_known([machine, *groups])
    return percents if isinstance(percents, Cause) else max(percents)


def _fullness(whole: int | Cause, available: int | Cause) -> float | Cause:
    used = difference(whole, available)
    if isinstance(used, Cause) or isinstance(whole, Cause):
        return used
    return 100.0 * used / whole if whole else 100.0
