"""The AMD reader: each card by its PCI address, those of amdgpu before those of radeon."""

from collections.abc import Sequence
from dataclasses import replace

from vramline.machine import Machine
from vramline.readers.amd import DRIVER, OLD_DRIVER, identity
from vramline.readers.amd.gpu import VENDOR, Gpu, Site
from vramline.readers.amd.topology import Topology
from vramline.readers.amd.visible import shown_uids
from vramline.readers.clients import Clients
from vramline.readers.drm import Card
from vramline.readers.lost import check_lost
from vramline.readers.processes import Processes
from vramline.readers.shared_memory import SharedMemory
from vramline.readers.silent import SilentCards
from vramline.readings import Cause, GpuReading


class AmdReader:
    """Reads the cards that were found when it was opened."""

    def __init__(self, machine: Machine, cards: Sequence[Card]) -> None:
        self._machine = machine
        told = [card for card in cards if card.driver == DRIVER]
        silent = [card for card in cards if card.driver == OLD_DRIVER]
        self._topology = Topology(machine)
        site = Site(
            machine=machine,
            topology=self._topology,
            shared_memory=SharedMemory(machine),
            clients=Clients(machine, told),
            processes=Processes(machine),
        )
        uids = identity.uids(machine, told)
        self._gpus = {
            card.address: Gpu(
                site,
                card,
                {
                    "uid": uids[card.address],
                    "index": index,
                    "name": identity.name(machine, card) or Cause.NOT_SUPPORTED,
                },
            )
            for index, card in enumerate(told)
        }
        self._silent = SilentCards(machine, VENDOR, "AMD", silent, first_index=len(told))
        self._places: Sequence[str] | None = None

    def devices(self) -> Sequence[str]:
        return (*self._gpus, *self._silent.devices())

    def read(self, device: str) -> Sequence[GpuReading]:
        gpu = self._gpus.get(device)
        if gpu is None:
            return self._silent.read(device)
        reading = gpu.read()
        if gpu.is_lost:
            is_last = all(each.is_lost for each in self._gpus.values())
            is_last = is_last and not self._silent.devices()
            check_lost(self._machine, gpu.card, {DRIVER}, "AMD", is_last=is_last)
        return [reading]

    def describe(self, device: str, cause: Cause) -> GpuReading:
        gpu = self._gpus.get(device)
        return self._silent.describe(device, cause) if gpu is None else gpu.describe(cause)

    def arrange(self, readings: Sequence[GpuReading]) -> tuple[GpuReading, ...]:
        shown = shown_uids(self._in_rocms_order(), self._machine.environ)
        if shown is None:
            return tuple(readings)
        return tuple(_seen(gpu, visible=gpu.uid in shown) for gpu in readings)

    def close(self) -> None:
        """Nothing is held open between reads."""

    def _in_rocms_order(self) -> Sequence[str]:
        """Return the uids of the GPUs that ROCm has, by address where it does not tell."""
        if self._places is None:
            nodes = self._topology.nodes()
            addresses = (
                list(self._gpus) if isinstance(nodes, Cause) else [each.address for each in nodes]
            )
            self._places = [
                self._gpus[address].uid for address in addresses if address in self._gpus
            ]
        return self._places


def _seen(gpu: GpuReading, *, visible: bool) -> GpuReading:
    return gpu if gpu.visible is visible else replace(gpu, visible=visible)
