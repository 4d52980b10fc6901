"""Several readers of one vendor, as one."""

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import chain

from vramline.readers.base import GpuReader
from vramline.readings import Cause, GpuReading


class JoinedReader:
    """Reads what several readers read, in their order.

    What ends the reading for one of them ends it for all: they are then opened anew
    together, as a device may have gone from one to another.

    Args:
        readers: Of different devices. Each numbers its own, from where the one
            before it ends.
    """

    def __init__(self, readers: Sequence[GpuReader]) -> None:
        self._readers = tuple(readers)
        self._owners: dict[str, int] = {}

    def devices(self) -> Sequence[str]:
        return tuple(
            f"{place}/{device}"
            for place, reader in enumerate(self._readers)
            for device in reader.devices()
        )

    def read(self, device: str) -> Sequence[GpuReading]:
        place, own_name = self._find(device)
        readings = self._readers[place].read(own_name)
        self._owners.update((gpu.uid, place) for gpu in readings)
        return readings

    def describe(self, device: str, cause: Cause) -> GpuReading:
        place, own_name = self._find(device)
        gpu = self._readers[place].describe(own_name, cause)
        self._owners[gpu.uid] = place
        return gpu

    def arrange(self, readings: Sequence[GpuReading]) -> tuple[GpuReading, ...]:
        shares: list[list[GpuReading]] = [[] for _ in self._readers]
        for gpu in readings:
            shares[self._owners.get(gpu.uid, 0)].append(gpu)
        parts = zip(self._readers, shares, strict=True)
        return tuple(chain.from_iterable(reader.arrange(share) for reader, share in parts))

    def close(self) -> None:
        with ExitStack() as stack:  # that one fails keeps none of the others open
            for reader in self._readers:
                stack.callback(reader.close)

    def _find(self, device: str) -> tuple[int, str]:
        place, _, own_name = device.partition("/")
        return int(place), own_name
