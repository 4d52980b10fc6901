"""One Intel GPU, as its driver tells of it."""

import errno
from collections.abc import Sequence
from dataclasses import dataclass

from vramline.machine import Machine
from vramline.readers.causes import cause_of, settle
from vramline.readers.clients import Clients, Usage, processes
from vramline.readers.drm import Card, driver_version, is_asleep
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
from vramline.readers.pci_names import name_of
from vramline.readers.processes import Processes
from vramline.readers.rest import Rest
from vramline.readers.shared_memory import SharedMemory
from vramline.readers.unread import unread
from vramline.readings import Cause, GpuReading, GpuState, MemoryPool

VENDOR = "intel"
REST_SECONDS = 12.0
"""How long a GPU that nobody uses is left alone: i915 waits 10 s (intel_runtime_pm.c), xe 1 s
(xe_pm.c)."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What every GPU of one reader is read with."""

    machine: Machine
    processes: Processes
    clients: Clients
    shared_memory: SharedMemory


class Gpu:
    """One GPU, and what is known of it from before."""

    def __init__(self, site: Site, card: Card, index: int) -> None:
        self._site = site
        self._identity = _identity(site.machine, card, index)
        self._faults = 0
        self._parts: tuple[Gts, Sensors] | None = None
        self._engines = Engines(site.machine.clock)
        self._rest = Rest(site.machine, card.device, REST_SECONDS, in_doubt=False)
        self._has_own_memory: bool | None = None
        self._known = settle(GpuReading, self._identity)
        self.card = card
        self.is_lost = False
        """It answered nothing when it was last read."""

    def read(self) -> GpuReading:
        """Read the GPU, as far as its state lets it be read."""
        if is_asleep(self._site.machine, self.card):
            self._forget()
            self.is_lost = False
            return unread(self._known, GpuState.ASLEEP, Cause.ASLEEP)
        return self._rest.reading() or self._ask()

    def describe(self, cause: Cause) -> GpuReading:
        """Return what is known of the GPU without asking it."""
        state = GpuState.LOST if self.is_lost else GpuState.ACTIVE
        return unread(self._known, state, cause)

    def _forget(self) -> None:
        """Begin every rate anew, as after a sleep."""
        self._rest.end()
        self._engines.forget()
        for part in self._parts or ():
            part.forget()

    def _ask(self) -> GpuReading:
        """Ask the driver."""
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
        self.is_lost = self._is_gone([regions, *told.values()])
        if self.is_lost:
            self._forget()
            self._parts = None
            return self.describe(Cause.LOST)
        usage = self._site.clients.of(self.card)
        own = self._owns_memory(regions, sensors=has_sensors)
        told |= self._memory(regions, usage, own=own)
        # All regions of an integrated GPU lie in the host's memory.
        counts = _is_own if own else _is_any
        told["processes"] = processes(usage, self._site.processes, counts)
        if told["utilization_percent"] is Cause.NOT_SUPPORTED:
            told["utilization_percent"] = self._engines.busy_percent(usage)
        self._known = settle(GpuReading, {**self._identity, **told})
        in_use = isinstance(usage, Usage) and bool(usage.clients)
        self._rest.begin(self._known, is_idle=not in_use)
        return self._known

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

    def _is_gone(self, told: list[object]) -> bool:
        # A first sample is an answer too.
        if any(type(each) is not Cause or each is Cause.FIRST_SAMPLE for each in told):
            return False
        return self._faults > 0 or not self._is_there()

    def _is_there(self) -> bool:
        try:
            return bool(self._site.machine.list(self.card.device))
        except OSError:
            return False

    def _owns_memory(self, regions: Sequence[Region] | Cause, *, sensors: bool) -> bool:
        """Tell whether it has memory of its own: for good, once the driver has told its regions."""
        if self._has_own_memory is not None:
            return self._has_own_memory
        own = has_own_memory(self._site.machine, self.card, regions, sensors=sensors)
        if not isinstance(regions, Cause):
            self._has_own_memory = own
        return own

    def _memory(
        self, regions: Sequence[Region] | Cause, usage: Usage | Cause, *, own: bool
    ) -> dict[str, object]:
        if own:
            return own_memory(self._site.machine, self.card, regions)
        return hosts_memory(self._site.shared_memory, self.card, regions, _mapped(usage))


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
