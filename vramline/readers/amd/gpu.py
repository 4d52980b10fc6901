"""One card that amdgpu drives."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vramline.machine import Machine
from vramline.readers.amd.files import Files
from vramline.readers.amd.memory import Memory
from vramline.readers.amd.sensors import Sensors
from vramline.readers.amd.topology import Topology, bandwidth
from vramline.readers.causes import settle
from vramline.readers.clients import Clients, kfd_memory, processes
from vramline.readers.drm import Card, driver_version, is_asleep
from vramline.readers.processes import Processes
from vramline.readers.rest import Rest
from vramline.readers.shared_memory import SharedMemory
from vramline.readers.unread import MOMENTARY, unread
from vramline.readings import Cause, GpuReading, GpuState

VENDOR = "amd"
REST_SECONDS = 10.0
"""How long an idle card is left alone. The driver lets it sleep 5 s after it was last used
(``pm_runtime_set_autosuspend_delay`` in amdgpu_drv.c)."""
UNCHANGED_WHILE_IDLE = ("memory_total_bytes", "memory_used_bytes")

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What every card of one reader is read with."""

    machine: Machine
    shared_memory: SharedMemory
    clients: Clients
    processes: Processes
    topology: Topology


class Gpu:
    """One card, and what is known of it from before."""

    def __init__(self, site: Site, card: Card, identity: Mapping[str, object]) -> None:
        self._site = site
        self.card = card
        self._files = Files(site.machine, card)
        self._memory = Memory(self._files, site.shared_memory)
        self._sensors = Sensors(site.machine, card, self._files)
        self._identity = {
            **identity,
            "vendor": VENDOR,
            "pci_address": card.address,
            "driver_version": driver_version(site.machine, card.driver) or Cause.NOT_SUPPORTED,
            "cuda_version": Cause.NOT_SUPPORTED,
            "compute_capability": Cause.NOT_SUPPORTED,
        }
        self._rest = Rest(site.machine, card.device, REST_SECONDS, in_doubt=True)
        self._bandwidth: int | Cause | None = None
        self._known = settle(GpuReading, self._identity)
        self.is_lost = False
        """It answered nothing when it was last read."""

    @property
    def uid(self) -> str:
        """Which card it is, across reboots."""
        return str(self._identity["uid"])

    def read(self) -> GpuReading:
        """Read the card, as far as its state lets it be read."""
        if is_asleep(self._site.machine, self.card):
            return self._asleep(self._memory_figures())
        resting = self._at_rest()
        if resting is not None:
            return resting
        sensors = self._sensors.figures()
        memory = self._memory_figures()  # after the sensors, which tell an APU
        self.is_lost = self._is_lost(sensors, memory)
        if self.is_lost:
            self._rest.end()
            return self.describe(Cause.LOST)
        if _none_known(sensors) and Cause.ASLEEP in sensors.values():
            return self._asleep(memory)
        reading = self._settle({**sensors, **memory, "processes": self._processes()})
        self._known = reading
        self._rest.begin(reading, is_idle=self._is_idle(reading))
        return reading

    def describe(self, cause: Cause) -> GpuReading:
        """Return what is known of the card without asking it."""
        state = GpuState.LOST if self.is_lost else GpuState.ACTIVE
        return replace(unread(self._known, state, cause), memory_pool=self._memory.pool)

    def _memory_figures(self) -> Figures:
        return self._memory.figures(is_apu=self._sensors.is_apu is True)

    def _asleep(self, memory: Figures) -> GpuReading:
        """Return the reading of a card that sleeps: its memory can be asked all the same."""
        self._rest.end()
        self._sensors.forget()
        self.is_lost = False
        return self._settle(
            {**dict.fromkeys(MOMENTARY, Cause.ASLEEP), **memory, "state": GpuState.ASLEEP}
        )

    def _settle(self, figures: Figures) -> GpuReading:
        asleep = figures.get("state") is GpuState.ASLEEP
        peak = self._peak_bandwidth(asleep=asleep)
        return settle(
            GpuReading,
            {**self._identity, "memory_bandwidth_bytes_per_second": peak, **figures},
        )

    # Whether it may be asked.

    def _at_rest(self) -> GpuReading | None:
        """Return the last reading while the card is left alone: while its memory is as it was."""
        last = self._rest.reading()
        if last is None:
            return None
        memory = self._memory_figures()
        is_same = all(getattr(last, name) == memory[name] for name in UNCHANGED_WHILE_IDLE)
        return last if is_same else None

    def _is_idle(self, reading: GpuReading) -> bool:
        # An APU does not suspend alone.
        return (
            reading.utilization_percent == 0
            and not reading.processes
            and self._sensors.is_apu is False
        )

    def _is_lost(self, sensors: Figures, memory: Figures) -> bool:
        """Tell whether the card answers nothing any more: it was pulled out, or is in a reset."""
        total = memory["memory_total_bytes"]
        if not (_none_known(sensors) and isinstance(total, Cause)):
            return False
        if Cause.ASLEEP in sensors.values():
            return False
        return total in (Cause.LOST, Cause.DRIVER_ERROR) or self._files.are_gone()

    # What is not the driver's to tell of one moment.

    def _processes(self) -> object:
        held = self._held_through_kfd()
        return processes(
            self._site.clients.of(self.card),
            self._site.processes,
            self._memory.regions().__contains__,
            None if isinstance(held, Cause) else held,
        )

    def _held_through_kfd(self) -> Mapping[int, int] | Cause:
        nodes = self._site.topology.at(self.card.address)
        if isinstance(nodes, Cause) or not nodes:
            return Cause.NOT_SUPPORTED
        return kfd_memory(self._site.machine, [node.gpu_id for node in nodes])

    def _peak_bandwidth(self, *, asleep: bool) -> int | Cause:
        told = self._sensors.bandwidth
        if not isinstance(told, Cause):
            return told
        if self._bandwidth is None:
            if asleep:
                return Cause.ASLEEP
            self._bandwidth = self._bandwidth_by_topology()
        return self._bandwidth

    def _bandwidth_by_topology(self) -> int | Cause:
        nodes = self._site.topology.at(self.card.address)
        if isinstance(nodes, Cause):
            return nodes
        return bandwidth(self._site.machine, nodes[0]) if nodes else Cause.NOT_SUPPORTED


def _none_known(figures: Figures) -> bool:
    return all(type(figure) is Cause for figure in figures.values())
