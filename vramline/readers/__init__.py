"""The readers: the only place where hardware is read.

A vendor is one module, or package, in this folder, with ``open_reader(machine)``,
and one name in ``VENDORS``.
"""

from collections.abc import Mapping
from importlib import import_module

from vramline.machine import Machine
from vramline.readers.base import GpuReader

LINUX, MACOS, WINDOWS = "linux", "darwin", "win32"

VENDORS: Mapping[str, frozenset[str]] = {
    "nvidia": frozenset({LINUX, WINDOWS}),
    "amd": frozenset({LINUX}),
    "intel": frozenset({LINUX}),
    "apple": frozenset({MACOS}),
    "windows": frozenset({WINDOWS}),
}
"""Every reader of ours, in the order in which snapshots list them, and where it can read.

``apple`` and ``windows`` ask a system that tells of every vendor's GPUs: each of
their readings names its own.
"""

FALLBACK_VENDORS = ("nvidia", "amd")
"""The vendors that gpu-tracker can be asked about where no reader of ours answers."""


def vendors_on(platform: str) -> tuple[str, ...]:
    """Return the readers that can find something on a platform, as ``sys.platform`` names it."""
    return tuple(vendor for vendor, platforms in VENDORS.items() if platform in platforms)


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
