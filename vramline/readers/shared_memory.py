"""What a model could take on a device whose memory is the host's, and what limits that.

The one place that decides it, for every vendor. A model in such a pool counts
once: against the device or against the host, never against both.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from vramline.machine import Machine
from vramline.readers.causes import all_known
from vramline.readers.host import read_memory
from vramline.readers.host.cgroups import Cgroups
from vramline.readers.host.memory import HostMemory
from vramline.readings import Cause, MemoryBound, MemoryPool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A part of the host's memory with a size of its own, as the driver accounts for it."""

    kind: MemoryPool
    total_bytes: int | Cause
    used_bytes: int | Cause


class SharedMemory:
    """The host's memory as a device that shares it may use it."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._cgroups = Cgroups(machine)

    def host(self) -> HostMemory:
        """Return the host's memory, as this process may use it."""
        return read_memory(self._machine, cgroups=self._cgroups)

    def figures(
        self,
        limits: Mapping[MemoryBound, int | Cause] | None = None,
        *,
        pool: Pool | None = None,
    ) -> dict[str, object]:
        """Return a reading's memory fields. A figure that is not known is its cause.

        Args:
            limits: What each limit of the device still leaves, in bytes.
            pool: Where the driver keeps a pool apart. Else it is all of the
                host's memory.
        """
        host = self.host()
        free, bound = _least(host, limits or {})
        return {
            "memory_pool": MemoryPool.UNIFIED if pool is None else pool.kind,
            "memory_total_bytes": _known(host, "memory_total_bytes")
            if pool is None
            else pool.total_bytes,
            "memory_used_bytes": _known(host, "memory_used_bytes")
            if pool is None
            else pool.used_bytes,
            "memory_free_bytes": free,
            "memory_free_bound_by": bound,
            "memory_reserved_bytes": Cause.NOT_SUPPORTED,
        }


def room(total: int | Cause, used: int | Cause) -> int | Cause:
    """Return what a limit of *total* bytes leaves when *used* of them are taken."""
    parts = all_known([total, used])
    return parts if isinstance(parts, Cause) else max(0, parts[0] - parts[1])


def _least(
    host: HostMemory, limits: Mapping[MemoryBound, int | Cause]
) -> tuple[int, MemoryBound] | tuple[Cause, None]:
    """Return what is free, and what it is bound by: the host where others leave as much."""
    bound = MemoryBound.HOST if host.available_source is None else MemoryBound.CGROUP
    rooms = {bound: _known(host, "memory_available_bytes"), **limits}
    known = all_known(rooms.values())
    if isinstance(known, Cause):
        return known, None
    least = min(known)
    return least, list(rooms)[known.index(least)]


def _known(host: HostMemory, field: str) -> int | Cause:
    value: int | None = getattr(host, field)
    return host.unknown.get(field, Cause.NOT_SUPPORTED) if value is None else value
