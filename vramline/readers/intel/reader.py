"""The Intel reader: which GPUs there are, and when they are left alone."""

from collections.abc import Sequence
from dataclasses import replace

from vramline.errors import ReadError
from vramline.machine import Machine
from vramline.readers.clients import Clients
from vramline.readers.drm import Card, find_cards, is_asleep
from vramline.readers.intel.gpu import Gpu, GpuGoneError, Site
from vramline.readers.pci import read
from vramline.readers.processes import Processes
from vramline.readers.shared_memory import SharedMemory
from vramline.readers.unread import unread
from vramline.readings import Cause, GpuReading, GpuState

DRIVERS = frozenset({"i915", "xe"})

REST_SECONDS = 12.0
"""How long a GPU that nobody uses is left alone. Each look begins its wait for sleep anew: i915
waits 10 s (intel_runtime_pm.c), xe 1 s (xe_pm.c)."""


class IntelReader:
    """Reads the GPUs that were found when it was opened.

    Args:
        cards: By address.
    """

    def __init__(self, machine: Machine, cards: Sequence[Card]) -> None:
        self._machine = machine
        site = Site(
            machine=machine,
            processes=Processes(machine),
            clients=Clients(machine, cards),
            shared_memory=SharedMemory(machine),
        )
        self._gpus = {card.address: Gpu(site, card, index) for index, card in enumerate(cards)}
        self._read_at: dict[str, float] = {}
        self._lost: set[str] = set()

    def devices(self) -> Sequence[str]:
        return tuple(self._gpus)

    def describe(self, device: str, cause: Cause) -> GpuReading:
        state = GpuState.LOST if device in self._lost else GpuState.ACTIVE
        return unread(self._gpus[device].known, state, cause)

    def arrange(self, readings: Sequence[GpuReading]) -> tuple[GpuReading, ...]:
        return tuple(readings)

    def close(self) -> None:
        """Nothing is held open between reads."""

    def read(self, device: str) -> Sequence[GpuReading]:
        gpu = self._gpus[device]
        if is_asleep(self._machine, gpu.card):
            gpu.forget()
            self._read_at.pop(device, None)
            return [unread(gpu.known, GpuState.ASLEEP, Cause.ASLEEP)]
        now = self._machine.clock()
        if self._may_rest(device, now):
            return [replace(gpu.known, age_seconds=now - self._read_at[device])]
        try:
            reading = gpu.read()
        except GpuGoneError:
            return [self._missed(device)]
        self._lost.discard(device)
        self._read_at[device] = now
        return [reading]

    def _may_rest(self, device: str, now: float) -> bool:
        """Tell whether the GPU would fall asleep if it was not asked.

        By how many hold it awake, which the kernel's power management counts
        itself, so that reading it wakes nothing. Not every kernel tells.
        """
        gpu = self._gpus[device]
        if now - self._read_at.get(device, float("-inf")) >= REST_SECONDS or gpu.seen_in_use:
            return False
        if Cause.FIRST_SAMPLE in gpu.known.unknown.values():
            return False
        power = f"{gpu.card.device}/power"
        return (
            read(self._machine, f"{power}/runtime_usage") == "0"
            and read(self._machine, f"{power}/control") == "auto"
        )

    def _missed(self, device: str) -> GpuReading:
        """Return that the GPU is lost. Raises ``ReadError`` where all are to be looked for anew."""
        self._lost.add(device)
        self._read_at.pop(device, None)
        cards = {card.address: card for card in find_cards(self._machine, DRIVERS)}
        if not cards:
            raise ReadError("no Intel GPU is there any more: lost, or without its driver")
        gpu = self._gpus[device]
        if cards.get(device, gpu.card) != gpu.card:
            raise ReadError(f"the Intel GPU at {device} is back: all are looked for again")
        return unread(gpu.known, GpuState.LOST, Cause.LOST)
