"""One Intel GPU, as its driver tells of it."""

import errno
from collections.abc import Sequence
from dataclasses import dataclass

from vramline.machine import Machine
from vramline.readers.causes import cause_of, settle
from vramline.readers.clients import Clients, Usage, processes
from vramline.readers.drm import Card, driver_version
from vramline.readers.intel.engines import Engines
from vramline.readers.intel.gts import Gts
from vramline.readers.intel.memory import (
    has_own_memory,
    hosts_memory,
    may_be_integrated,
    own_memory,
)
from vramline.readers.intel.regions import Region, read_regions
from vramline.readers.intel.sensors import Sensors
from vramline.readers.processes import Processes
from vramline.readers.shared_memory import SharedMemory
from vramline.readers.silent import name_of
from vramline.readings import Cause, GpuProcess, GpuReading, MemoryPool

VENDOR = "intel"

OWN_REGIONS = ("vram", "local", "stolen-local")
"""What the names of the regions in a card's own memory begin with: xe's, and i915's."""

_GONE = frozenset({errno.EIO, errno.ENODEV, errno.ENXIO})

_TOLD_BY_NEITHER = (
    "cuda_version",
    "compute_capability",
    "memory_bandwidth_bytes_per_second",
    "memory_utilization_percent",
    "memory_clock_mhz",
)


class GpuGoneError(Exception):
    """The driver tells nothing of the device any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What every GPU of one reader is read with."""

    machine: Machine
    processes: Processes
    clients: Clients
    shared_memory: SharedMemory


class Gpu:
    """One GPU. Only ``card`` may be asked for while it sleeps.

    Attributes:
        card: Where it is.
        known: What was last read of it.
        seen_in_use: Whether a client of it was seen then.
    """

    def __init__(self, site: Site, card: Card, index: int) -> None:
        self._site = site
        self._identity = _identity(site.machine, card, index)
        self._faults = 0
        self._parts: tuple[Gts, Sensors] | None = None
        self._engines = Engines(site.machine.clock)
        self.card = card
        self.known = settle(GpuReading, self._identity)
        self.seen_in_use = False

    def forget(self) -> None:
        """Begin every rate anew after a sleep."""
        self._engines.forget()
        for part in self._parts or ():
            part.forget()

    def read(self) -> GpuReading:
        """Ask the driver. Raises ``GpuGoneError``."""
        gts, sensors = self._found()
        self._faults = 0
        has_sensors = sensors.find()
        regions = read_regions(self._site.machine, self.card, self._explain)
        told: dict[str, object] = {
            "utilization_percent": gts.busy_percent(),
            "clock_mhz": gts.clock_mhz(),
            "throttle": gts.throttle(),
            **sensors.figures(),
        }
        self._check_gone([regions, *told.values()])
        usage = self._site.clients.of(self.card)
        own = has_own_memory(self._site.machine, self.card, regions, sensors=has_sensors)
        told |= self._memory(regions, usage, own=own)
        told["processes"] = self._holders(usage, own=own)
        if told["utilization_percent"] is Cause.NOT_SUPPORTED:
            told["utilization_percent"] = self._engines.busy_percent(usage)
        self.seen_in_use = isinstance(usage, Usage) and bool(usage.clients)
        self.known = settle(GpuReading, {**self._identity, **told})
        return self.known

    def _found(self) -> tuple[Gts, Sensors]:
        if self._parts is None:
            machine = self._site.machine
            self._parts = (
                Gts(machine, self.card, self._explain),
                Sensors(machine, self.card, self._explain),
            )
        return self._parts

    def _explain(self, error: OSError) -> Cause:
        self._faults += error.errno in _GONE
        return cause_of(error)

    def _check_gone(self, told: list[object]) -> None:
        # A first sample is an answer too.
        if any(type(each) is not Cause or each is Cause.FIRST_SAMPLE for each in told):
            return
        if self._faults or not self._is_there():
            self._parts = None
            self._engines.forget()
            raise GpuGoneError

    def _is_there(self) -> bool:
        try:
            return bool(self._site.machine.list(self.card.device))
        except OSError:
            return False

    def _memory(
        self, regions: Sequence[Region] | Cause, usage: Usage | Cause, *, own: bool
    ) -> dict[str, object]:
        if own:
            return own_memory(self._site.machine, self.card, regions)
        return hosts_memory(self._site.shared_memory, self.card, regions, _mapped(usage))

    def _holders(self, usage: Usage | Cause, *, own: bool) -> tuple[GpuProcess, ...] | Cause:
        if isinstance(usage, Cause):
            return usage
        # All regions of an integrated GPU lie in the host's memory.
        counts = _is_own if own else _is_any
        holders = processes(usage, self._site.processes, counts)
        # To see none among those that may be seen is not to know that there are none.
        return holders if holders or usage.complete else Cause.NO_PERMISSION


def _identity(machine: Machine, card: Card, index: int) -> dict[str, object]:
    return {
        **dict.fromkeys(_TOLD_BY_NEITHER, Cause.NOT_SUPPORTED),
        "uid": card.address,
        "vendor": VENDOR,
        "name": name_of(machine, card, "Intel") or Cause.NOT_SUPPORTED,
        "index": index,
        "pci_address": card.address,
        "driver_version": driver_version(machine, card.driver) or Cause.NOT_SUPPORTED,
        "memory_pool": MemoryPool.UNIFIED if may_be_integrated(card) else MemoryPool.VRAM,
    }


def _mapped(usage: Usage | Cause) -> int:
    if isinstance(usage, Cause):
        return 0
    return sum(client.memory.get("gtt", 0) for client in usage.clients)


def _is_own(region: str) -> bool:
    return region.startswith(OWN_REGIONS)


def _is_any(_region: str) -> bool:
    return True
