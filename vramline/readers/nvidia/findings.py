"""What one device said, on its way to becoming a reading.

Until then a figure that is not known is its ``Cause``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from vramline.machine import Machine
from vramline.readers.causes import settle
from vramline.readers.nvidia import VENDOR
from vramline.readers.nvidia.gauges import Gauge
from vramline.readers.nvidia.visible import Visibility
from vramline.readers.processes import Processes
from vramline.readers.shared_memory import SharedMemory
from vramline.readings import Cause, GpuReading

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
    shared_memory: SharedMemory


def reading(site: Site, figures: Figures, *, uid: str, **place: int | str | None) -> GpuReading:
    """Return the figures as a reading; *uid* stands in where the device did not tell its own."""
    if type(figures["uid"]) is Cause:
        figures["uid"] = uid
    visible, cuda_index = site.visibility.of(figures["uid"])
    figures.update(vendor=VENDOR, visible=visible, cuda_index=cuda_index, **place)
    return settle(GpuReading, figures)
