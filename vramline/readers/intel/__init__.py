"""Intel GPUs, through the files and the ioctls of the drivers xe and i915. Linux only.

https://docs.kernel.org/gpu/xe/index.html and https://docs.kernel.org/gpu/i915.html
"""

from vramline.errors import ReaderUnavailableError
from vramline.machine import Machine
from vramline.readers.base import GpuReader
from vramline.readers.drm import find_cards
from vramline.readers.pci import find_gpus

PCI_VENDOR = "0x8086"
DRIVERS = frozenset({"i915", "xe"})


def open_reader(machine: Machine) -> GpuReader:
    """Look for cards that xe or i915 has taken. Wakes none of them.

    Raises ``ReaderUnavailableError`` where there is none.
    """
    cards = find_cards(machine, DRIVERS)
    if not cards:
        raise ReaderUnavailableError(_why_none(machine))
    from vramline.readers.intel.reader import IntelReader  # most machines have no use for it

    return IntelReader(machine, cards)


def _why_none(machine: Machine) -> str:
    on_bus = find_gpus(machine, PCI_VENDOR)
    if not on_bus:
        return "no Intel GPU"
    gpu = on_bus[0]
    if gpu.driver is None:
        return f"an Intel GPU is at {gpu.address}, but no driver has taken it: load xe or i915"
    return f"the Intel GPU at {gpu.address} is bound to {gpu.driver}, which reports nothing"
