"""What Linux tells of the devices on the PCI bus, without waking any of them.

https://docs.kernel.org/power/runtime_pm.html
"""

from dataclasses import dataclass

from vramline.machine import Machine

DEVICES = "/sys/bus/pci/devices"
DISPLAY_CLASSES = ("0x0300", "0x0302", "0x0380")
"""VGA, 3D and other display controllers, as the first digits of ``class``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PciGpu:
    """A display controller on the bus, and the kernel driver bound to it."""

    address: str
    driver: str | None


def find_gpus(machine: Machine, vendor_id: str) -> list[PciGpu]:
    """Return the vendor's GPUs (``0x10de`` is NVIDIA), by address; none where there is no sysfs."""
    try:
        addresses = machine.list(DEVICES)
    except OSError:
        return []
    return [
        PciGpu(address=address, driver=_driver(machine, address))
        for address in addresses
        if _read(machine, address, "vendor") == vendor_id
        and _read(machine, address, "class")[:6] in DISPLAY_CLASSES
    ]


def is_asleep(machine: Machine, address: str) -> bool:
    """Tell whether the device is suspended. Where that cannot be told it counts as awake.

    Reading the state wakes nothing. Without runtime power management the file is
    missing, or says ``unsupported``.
    """
    return _read(machine, address, "power/runtime_status") in ("suspended", "suspending")


def normal_address(address: str) -> str:
    """Return ``00000000:01:00.0``, as NVML writes it, as the kernel does: ``0000:01:00.0``."""
    domain, _, rest = address.strip().lower().partition(":")
    return f"{int(domain, 16):04x}:{rest}"


def _driver(machine: Machine, address: str) -> str | None:
    try:
        return machine.readlink(f"{DEVICES}/{address}/driver").rsplit("/", 1)[-1]
    except OSError:
        return None


def _read(machine: Machine, address: str, name: str) -> str:
    try:
        return machine.read(f"{DEVICES}/{address}/{name}").strip()
    except OSError:
        return ""
