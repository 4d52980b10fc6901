"""The readers: the only place where hardware is read.

A vendor is one module, or package, in this folder, with ``open_reader(machine)``,
and one name in ``VENDORS``.
"""

from importlib import import_module

from vramline.machine import Machine
from vramline.readers.base import GpuReader

VENDORS = ("nvidia",)
"""Every vendor with a reader of ours, in the order in which snapshots list them."""

FALLBACK_VENDORS = ("nvidia", "amd")
"""The vendors that gpu-tracker can be asked about where no reader of ours answers."""


def open_reader(vendor: str, machine: Machine) -> GpuReader:
    """Open the vendor's reader, and load its module only now.

    Raises ``ReaderUnavailableError`` where nothing of the vendor is here, and
    ``ReadError`` where it is and cannot be read.
    """
    reader: GpuReader = import_module(f"vramline.readers.{vendor}").open_reader(machine)
    return reader


def open_fallback(vendor: str, machine: Machine) -> GpuReader:
    """Open gpu-tracker as the vendor's reader. Raises as ``open_reader`` does."""
    from vramline.readers import gpu_tracker

    return gpu_tracker.open_reader(machine, vendor)
