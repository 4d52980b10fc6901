"""What is told of a device that was not asked, or did not answer."""

from dataclasses import replace
from typing import Any

from vramline.readings import Cause, FrozenDict, GpuReading, GpuState

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

FOR_GOOD = frozenset({Cause.NOT_SUPPORTED, Cause.DRIVER_EXPOSES_NOTHING})


def unread(known: GpuReading, state: GpuState, cause: Cause) -> GpuReading:
    """Return what is known of the device from before; *cause* is why there is nothing new."""
    unknown = dict.fromkeys(MOMENTARY, cause)
    for name in LASTING:
        if getattr(known, name) is None:
            before = known.unknown.get(name, cause)
            unknown[name] = before if before in FOR_GOOD else cause
    nothing: dict[str, Any] = dict.fromkeys((*MOMENTARY, "memory_free_bound_by"))
    return replace(known, state=state, unknown=FrozenDict(unknown), age_seconds=0.0, **nothing)
