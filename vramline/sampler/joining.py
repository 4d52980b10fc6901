"""One device, one reading, however many readers see it.

On Windows a GPU of NVIDIA's is in NVML and in DXGI. NVML knows it best, and leaves out
what Windows' memory manager keeps to itself; the other reader fills that in.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vramline.readers.unread import FOR_GOOD
from vramline.readings import FrozenDict, GpuProcess, GpuReading, GpuState

FILLED = (
    "name",
    "pci_address",
    "driver_version",
    "cuda_version",
    "compute_capability",
    "memory_bandwidth_bytes_per_second",
    "utilization_percent",
    "memory_utilization_percent",
    "temperature_celsius",
    "power_watts",
    "power_limit_watts",
    "clock_mhz",
    "memory_clock_mhz",
    "fan_percent",
    "throttle",
)
"""The fields that one reading may take from another, each for itself."""

MEMORY = (
    "memory_total_bytes",
    "memory_used_bytes",
    "memory_free_bytes",
    "memory_reserved_bytes",
)
"""These only together, and where none of them is known: figures of two accounts, or of
two pools, add up to nonsense."""


def one_each(reports: Iterable[Sequence[GpuReading]]) -> tuple[GpuReading, ...]:
    """Return every device's reading once, in order.

    A reading with the PCI address of one from an earlier report is the same
    device's: the earlier one stays, and gets what it does not know. Within a
    report nothing is joined, as MIG instances sit where their GPU sits. A GPU that
    sleeps, or is lost, gets nothing: no figures from elsewhere make it an awake one.

    While a reader has not learnt where its GPUs sit, as when the driver hangs from
    the start, as many or fewer of the same vendor in a later report are those.

    Args:
        reports: What each reader gave, the one that knows its devices best first.
    """
    told = [report for report in reports if report]
    if len(told) < 2:  # as on most machines: there is nothing to join
        return tuple(told[0]) if told else ()
    joined = _Joined()
    for report in told:
        joined.add(report)
    return tuple(joined.readings)


@dataclass(slots=True)
class _Joined:
    """What the reports so far come to.

    Attributes:
        places: Where in the list the GPU at each address is.
    """

    readings: list[GpuReading] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)

    def add(self, report: Sequence[GpuReading]) -> None:
        """Add a report. Its readings are of other devices than each other."""
        known = [each for each in report if each.pci_address in self.places]
        others = [each for each in report if each.pci_address not in self.places]
        for reading in known:
            if _is_gpu(reading):
                self._fill(self.places[reading.pci_address or ""], reading)
        self.readings.extend(self._without_vague(others))
        for place, each in enumerate(self.readings):
            if each.pci_address is not None and _is_gpu(each):
                self.places.setdefault(each.pci_address, place)

    def _without_vague(self, report: Sequence[GpuReading]) -> list[GpuReading]:
        """Leave out what must be among the GPUs whose places are not known."""
        seen: set[str] = set()
        for vendor in dict.fromkeys(each.vendor for each in report):
            gpus = [each for each in report if _is_gpu(each) and each.vendor == vendor]
            vague = [
                place
                for place, each in enumerate(self.readings)
                if each.vendor == vendor and _is_vague(each)
            ]
            if len(gpus) <= len(vague):
                seen |= {each.uid for each in gpus}
                if len(gpus) == len(vague) == 1:
                    self._fill(vague[0], gpus[0])
        return [each for each in report if not {each.uid, each.parent_uid} & seen]

    def _fill(self, place: int, other: GpuReading) -> None:
        self.readings[place] = filled(self.readings[place], other)


def _is_gpu(reading: GpuReading) -> bool:
    """Tell whether it is a GPU, and no instance of one."""
    return reading.parent_uid is None


def _is_vague(reading: GpuReading) -> bool:
    """Tell whether it is a GPU whose place on the bus will be known later."""
    place_unknown = reading.unknown.get("pci_address")
    return _is_gpu(reading) and place_unknown is not None and place_unknown not in FOR_GOOD


def filled(reading: GpuReading, other: GpuReading) -> GpuReading:
    """Return *reading*, with what it does not know from *other*, which is of the same device."""
    if reading.state is not GpuState.ACTIVE or other.state is not GpuState.ACTIVE:
        return reading
    new: dict[str, Any] = {
        name: getattr(other, name) for name in FILLED if getattr(reading, name) is None
    }
    causes = dict(reading.unknown)
    if all(getattr(reading, name) is None for name in MEMORY):
        new |= _memory_of(other)
        causes |= {
            name: other.unknown[name] for name in MEMORY if name in new.keys() & other.unknown
        }
    if new.get("memory_pool", reading.memory_pool) is other.memory_pool:
        total = new.get("memory_total_bytes", reading.memory_total_bytes)
        new["processes"] = _processes(reading.processes, other.processes, total)
    new = {name: value for name, value in new.items() if value is not None}
    unknown = FrozenDict({name: cause for name, cause in causes.items() if name not in new})
    return replace(reading, **new, unknown=unknown)


def _memory_of(other: GpuReading) -> dict[str, Any]:
    if all(getattr(other, name) is None for name in MEMORY):
        return {}
    return {name: getattr(other, name) for name in (*MEMORY, "memory_pool", "memory_free_bound_by")}


def _processes(
    known: tuple[GpuProcess, ...] | None, others: tuple[GpuProcess, ...] | None, total: int | None
) -> tuple[GpuProcess, ...] | None:
    """Return the processes, each with its memory where only the other reader knows it."""
    if known is None or others is None:
        return others if known is None else known
    by_pid = {each.pid: each for each in others}
    return tuple(_with_memory(each, by_pid.get(each.pid), total) for each in known)


def _with_memory(process: GpuProcess, other: GpuProcess | None, total: int | None) -> GpuProcess:
    if process.memory_bytes is not None or other is None or other.memory_bytes is None:
        return process
    # A pid is used again, and the older of two readings may be of the process before.
    started = (process.start_time, other.start_time)
    is_another = None not in started and started[0] != started[1]
    if is_another or (total is not None and other.memory_bytes > total):
        return process
    return replace(process, memory_bytes=other.memory_bytes)
