"""What Linux tells of the devices on the PCI bus, without waking any of them.

https://docs.kernel.org/power/runtime_pm.html
"""

import re
from dataclasses import dataclass

from vramline.machine import Machine
from vramline.machine.files import read

DEVICES = "/sys/bus/pci/devices"
DISPLAY_CLASSES = ("0x0300", "0x0302", "0x0380")
"""VGA, 3D and other display controllers, as the first digits of ``class``."""
ACCELERATOR_CLASSES = {"0x1002": "0x1200"}
"""By vendor, what its GPUs without a display may be instead: AMD's are from MI300 on, and amdgpu
takes every device of AMD's that is one (``pciidlist`` in
https://github.com/torvalds/linux/blob/master/drivers/gpu/drm/amd/amdgpu/amdgpu_drv.c). Intel's
of that class are no GPUs."""

ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", re.IGNORECASE)
"""``domain:bus:device.function``, as the kernel writes it, and NVML."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PciGpu:
    """A display controller on the bus, and the kernel driver bound to it."""

    address: str
    driver: str | None

    @property
    def is_kept(self) -> bool:
        """Whether its driver keeps devices for virtual machines, which is done on purpose.

        https://docs.kernel.org/driver-api/vfio.html
        """
        driver = self.driver or ""
        return "vfio" in driver or driver in ("pci-stub", "pciback", "xen-pciback")


def find_gpus(machine: Machine, vendor_id: str) -> list[PciGpu]:
    """Return the vendor's GPUs (``0x10de`` is NVIDIA), by address; none where there is no sysfs."""
    try:
        addresses = machine.list(DEVICES)
    except OSError:
        return []
    classes = (*DISPLAY_CLASSES, ACCELERATOR_CLASSES.get(vendor_id))
    return [
        PciGpu(address=address, driver=_driver(machine, address))
        for address in addresses
        if ADDRESS.fullmatch(address)
        and read(machine, f"{DEVICES}/{address}/vendor") == vendor_id
        and read(machine, f"{DEVICES}/{address}/class")[:6] in classes
    ]


def is_asleep(machine: Machine, address: str) -> bool:
    """Tell whether the device at *address* is suspended."""
    return is_suspended(machine, f"{DEVICES}/{address}")


def is_suspended(machine: Machine, device: str) -> bool:
    """Tell whether the device with that folder is suspended. In doubt it counts as awake.

    Reading the state wakes nothing. Without runtime power management the file is
    missing, or says ``unsupported``.
    """
    return read(machine, f"{device}/power/runtime_status") in ("suspended", "suspending")


def normal_address(address: str) -> str:
    """Return ``00000000:01:00.0``, as NVML writes it, as the kernel does: ``0000:01:00.0``.

    Raises ``ValueError`` for what is no address.
    """
    if not ADDRESS.fullmatch(address.strip()):
        raise ValueError(f"no PCI address: {address!r}")
    domain, _, rest = address.strip().lower().partition(":")
    return f"{int(domain, 16):04x}:{rest}"


def _driver(machine: Machine, address: str) -> str | None:
    try:
        return machine.readlink(f"{DEVICES}/{address}/driver").rsplit("/", 1)[-1]
    except OSError:
        return None


def read_id(machine: Machine, path: str, *, digits: int = 4) -> str | None:
    """Return the number in a file such as ``vendor``: its hex digits, in lower case."""
    found = re.fullmatch(r"0x([0-9a-f]{1,4})", read(machine, path).lower())
    return found[1].zfill(digits) if found else None
