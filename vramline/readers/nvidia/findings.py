"""What one device said, on its way to becoming a reading.

Until then a figure that is not known is its ``Cause``.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from vramline.readers.causes import settle
from vramline.readers.nvidia.gauges import Gauge
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
    "name",
    "pci_address",
    "driver_version",
    "cuda_version",
    "compute_capability",
    "memory_bandwidth_bytes_per_second",
)
"""Of such a device these may be known from before."""

Figures = dict[str, Any]


def ask_all(gauges: Iterable[Gauge]) -> Figures:
    """Return the figures that the gauges tell, by field."""
    figures: Figures = {}
    for gauge in gauges:
        answer = gauge.ask()
        if isinstance(answer, Cause):
            figures.update(dict.fromkeys(gauge.row.fields, answer))
        else:
            figures.update(zip(gauge.row.fields, answer, strict=True))
    return figures


def reading(
    figures: Figures, *, uid: str, index: int | None, parent_uid: str | None = None
) -> GpuReading:
    """Return the figures as a reading; *uid* stands in where the device did not tell its own."""
    if isinstance(figures["uid"], Cause):
        figures["uid"] = uid
    return settle(
        GpuReading, figures | {"vendor": VENDOR, "index": index, "parent_uid": parent_uid}
    )


def unread(known: GpuReading, state: GpuState, cause: Cause) -> GpuReading:
    """Return what is known of a device that was not asked, or did not answer."""
    unknown = dict.fromkeys(MOMENTARY, cause)
    unknown |= {name: cause for name in LASTING if getattr(known, name) is None}
    nothing: dict[str, Any] = dict.fromkeys(MOMENTARY)
    return replace(known, state=state, unknown=FrozenDict(unknown), age_seconds=0.0, **nothing)
