"""What every reader offers."""

from collections.abc import Sequence
from typing import Protocol

from vramline.readings import Cause, GpuReading


class GpuReader(Protocol):
    """Reads one vendor's GPUs.

    A vendor's module has ``open_reader(machine) -> GpuReader``, which raises
    ``ReaderUnavailableError`` where there is nothing of the vendor to be read,
    and ``ReadError`` where there is and it cannot be read.

    Each device is read by a call of its own, so that one that hangs holds up
    no other: ``read`` may be called for several devices at a time, each from a
    thread of its own, and never twice at a time for the same one.
    """

    def devices(self) -> Sequence[str]:
        """Return a key for each device, in the vendor's order. Asks no driver."""

    def read(self, device: str) -> Sequence[GpuReading]:
        """Read one device: the GPU, and then the instances that it is cut into.

        A value that is not known is ``None`` in it, with its cause. Raises
        ``ReadError`` where nothing of the vendor can be read any more.
        """

    def describe(self, device: str, cause: Cause) -> GpuReading:
        """Return what is known of a device without asking it; *cause* is why not more."""

    def arrange(self, readings: Sequence[GpuReading]) -> tuple[GpuReading, ...]:
        """Settle what only the list of all the readings can tell, such as CUDA's numbers."""

    def close(self) -> None:
        """Give back what is held. No other call is under way."""
