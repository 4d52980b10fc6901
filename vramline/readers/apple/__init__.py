"""The GPUs of a Mac, through the IO registry: Apple's own, AMD's, Intel's and NVIDIA's. macOS only.

Apple documents the registry and ``ioreg``, which prints it, but not what GPU drivers put
there. This is written from public reports of real machines, linked where they are used.
There is no figure here for Apple's GPUs but load and memory: temperature, power and clock
need private interfaces (https://github.com/vladkens/macmon), and a process's share of the
GPU is told as time, not as memory.

https://developer.apple.com/library/archive/documentation/DeviceDrivers/Conceptual/IOKitFundamentals/TheRegistry/TheRegistry.html
"""

from collections.abc import Sequence

from vramline.errors import ReadError, ReaderUnavailableError
from vramline.machine import Machine
from vramline.readers.apple import accelerators, registry
from vramline.readers.base import GpuReader
from vramline.readers.unread import unread
from vramline.readings import Cause, GpuReading, GpuState

DEVICE = "ioreg"


def open_reader(machine: Machine) -> GpuReader:
    """Look for GPUs in the IO registry.

    Raises ``ReaderUnavailableError`` on other systems and where there is none, and
    ``ReadError`` where the registry cannot be read.
    """
    if machine.platform != "darwin":
        raise ReaderUnavailableError("the GPUs of a Mac are read on macOS only")
    entries = registry.accelerators(machine)
    return MacReader(machine, entries)


class MacReader:
    """Reads all the GPUs of a Mac at once.

    They are one device here, with several readings: one run of ``ioreg`` tells of all of
    them, and where it hangs there is nobody else to ask.
    """

    def __init__(self, machine: Machine, entries: Sequence[registry.Entry]) -> None:
        self._machine = machine
        self._mac = accelerators.Mac(machine)
        self._known = self._mac.known(entries)

    def devices(self) -> Sequence[str]:
        return (DEVICE,)

    def read(self, device: str) -> Sequence[GpuReading]:
        try:
            entries = registry.accelerators(self._machine)
        except ReaderUnavailableError as error:  # it was there when the reader was opened
            raise ReadError(str(error)) from error
        return self._mac.read(entries)

    def describe(self, device: str, cause: Cause) -> GpuReading:
        return unread(self._known, GpuState.ACTIVE, cause)

    def arrange(self, readings: Sequence[GpuReading]) -> tuple[GpuReading, ...]:
        return tuple(readings)

    def close(self) -> None:
        """Nothing is held open between reads."""
