"""The Intel reader: each card by its PCI address."""

from collections.abc import Sequence

from vramline.machine import Machine
from vramline.readers.clients import Clients
from vramline.readers.drm import Card
from vramline.readers.intel import DRIVERS
from vramline.readers.intel.gpu import Gpu, Site
from vramline.readers.lost import check_lost
from vramline.readers.processes import Processes
from vramline.readers.shared_memory import SharedMemory
from vramline.readings import Cause, GpuReading


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

    def devices(self) -> Sequence[str]:
        return tuple(self._gpus)

    def read(self, device: str) -> Sequence[GpuReading]:
        gpu = self._gpus[device]
        reading = gpu.read()
        if gpu.is_lost:
            is_last = all(each.is_lost for each in self._gpus.values())
            check_lost(self._machine, gpu.card, DRIVERS, "Intel", is_last=is_last)
        return [reading]

    def describe(self, device: str, cause: Cause) -> GpuReading:
        return self._gpus[device].describe(cause)

    def arrange(self, readings: Sequence[GpuReading]) -> tuple[GpuReading, ...]:
        return tuple(readings)

    def close(self) -> None:
        """Nothing is held open between reads."""
