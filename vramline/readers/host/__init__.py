"""The host itself: processors, memory, swap, what cgroups leave of them, and pressure."""

from collections.abc import Callable
from dataclasses import fields

from vramline.machine import Machine
from vramline.readers.causes import settle
from vramline.readers.host import linux, portable
from vramline.readers.host.cgroups import Ancestry, Cgroups, memory_bounds
from vramline.readers.host.cpu import CpuRate
from vramline.readers.host.memory import HostMemory, memory_figures
from vramline.readings import Cause, HostReading

__all__ = ["Cgroups", "HostMemory", "HostReader", "read_memory"]

_PRESSURE = tuple(field.name for field in fields(HostReading) if field.name.startswith("pressure_"))


class HostReader:
    """Reads the host. Any number of threads may read at once.

    Args:
        clock: Tells the seconds between two looks at the processors' counters: the
            machine's own clock, unless another is given.
    """

    def __init__(self, machine: Machine, *, clock: Callable[[], float] | None = None) -> None:
        self._machine = machine
        self._cgroups = Cgroups(machine)
        self._cpu = CpuRate(clock or machine.clock)

    def read(self) -> HostReading:
        """Read everything once. What fails costs the fields that come from it, and never raises.

        The first reading has no ``cpu_percent``.
        """
        figures = self._linux() if self._machine.platform == "linux" else self._portable()
        return settle(HostReading, figures)

    def _linux(self) -> dict[str, object]:
        found = self._cgroups.find()
        return {
            "cpu_percent": self._cpu.percent(linux.cpu_times(self._machine)),
            "cores": linux.cores(self._machine, found),
            **_linux_memory(self._machine, found),
            **linux.pressure(self._machine),
        }

    def _portable(self) -> dict[str, object]:
        return {
            "cpu_percent": self._cpu.percent(portable.cpu_times(self._machine)),
            "cores": portable.cores(self._machine),
            **memory_figures(portable.system_memory(self._machine), bounds=()),
            **dict.fromkeys(_PRESSURE, Cause.NOT_SUPPORTED),
        }


def read_memory(machine: Machine, *, cgroups: Cgroups | None = None) -> HostMemory:
    """Return the host's memory, as this process may use it.

    Whoever asks often hands over the same *cgroups* each time, and so spares
    the machine the search for them.
    """
    if machine.platform != "linux":
        return settle(HostMemory, memory_figures(portable.system_memory(machine), bounds=()))
    return settle(HostMemory, _linux_memory(machine, (cgroups or Cgroups(machine)).find()))


def _linux_memory(machine: Machine, found: Ancestry | Cause) -> dict[str, object]:
    system = linux.system_memory(machine)
    if isinstance(found, Cause):
        return memory_figures(system, found)
    return memory_figures(system, memory_bounds(machine, found.memory, system.total_bytes))
