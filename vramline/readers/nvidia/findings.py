"""What one device said, on its way to becoming a reading.

Until then a figure that is not known is its ``Cause``.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from vramline.machine import Machine
from vramline.readers.causes import settle
from vramline.readers.host.cgroups import Cgroups
from vramline.readers.nvidia.gauges import Gauge
from vramline.readers.nvidia.visible import Visibility
from vramline.readers.processes import Processes
from vramline.readings import Cause, FrozenDict, GpuReading, GpuState

VENDOR = "nvidia"

MOMENTARY = (
    "memory_total_bytes",
    "memory_used_bytes",
    "memory_free_bytes",
    "memory_reserved_bytes",
    "utilization_percent",
    "memory_utilization_percent",
    "temperature_celsius",
    "power_watts",
    "power_limit_watts",
    "clock_mhz",
    "memory_clock_mhz",
    "fan_percent",
    "throttle",
    "processes",
)
"""The fields that hold at one moment only: of a device that cannot be asked none is known."""

LASTING = (
    "index",
    "name",
    "pci_address",
    "driver_version",
    "cuda_version",
    "compute_capability",
    "memory_bandwidth_bytes_per_second",
)
"""Of such a device these may be known from before."""

Figures = dict[str, Any]


class Panel:
    """Several gauges of one device. What has settled for the session is not asked again."""

    def __init__(self, gauges: Iterable[Gauge]) -> None:
        self._settled: Figures = {}
        self._gauges = tuple(gauges)

    def figures(self) -> Figures:
        """Return what the gauges tell now, by field."""
        figures = self._settled.copy()
        for gauge in self._gauges:
            answer = gauge.ask()
            if type(answer) is Cause:
                figures.update(dict.fromkeys(gauge.fields, answer))
            else:
                figures.update(zip(gauge.fields, answer, strict=True))
            if gauge.settled is not None:
                self._settle(gauge, figures)
        return figures

    def _settle(self, gauge: Gauge, figures: Figures) -> None:
        self._settled.update((field, figures[field]) for field in gauge.fields)
        self._gauges = tuple(other for other in self._gauges if other is not gauge)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What every device of one reader is read with."""

    nvml: ModuleType
    machine: Machine
    processes: Processes
    visibility: Visibility
    cgroups: Cgroups


def reading(site: Site, figures: Figures, *, uid: str, **place: int | str | None) -> GpuReading:
    """Return the figures as a reading; *uid* stands in where the device did not tell its own."""
    if type(figures["uid"]) is Cause:
        figures["uid"] = uid
    visible, cuda_index = site.visibility.of(figures["uid"])
    figures.update(vendor=VENDOR, visible=visible, cuda_index=cuda_index, **place)
    return settle(GpuReading, figures)


def unread(known: GpuReading, state: GpuState, cause: Cause) -> GpuReading:
    """Return what is known of a device that was not asked, or did not answer."""
    unknown = dict.fromkeys(MOMENTARY, cause)
    unknown |= {name: cause for name in LASTING if getattr(known, name) is None}
    nothing: dict[str, Any] = dict.fromkeys(MOMENTARY)
    return replace(known, state=state, unknown=FrozenDict(unknown), age_seconds=0.0, **nothing)
