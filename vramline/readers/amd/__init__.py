"""AMD GPUs on Linux, through the files of the drivers amdgpu and radeon. No library is needed.

https://docs.kernel.org/gpu/amdgpu/driver-misc.html
https://docs.kernel.org/gpu/amdgpu/thermal.html
"""

from vramline.errors import ReadError, ReaderUnavailableError
from vramline.machine import Machine
from vramline.readers.base import GpuReader
from vramline.readers.drm import find_cards
from vramline.readers.pci import find_gpus

PCI_VENDOR = "0x1002"
DRIVER, OLD_DRIVER = "amdgpu", "radeon"


def open_reader(machine: Machine) -> GpuReader:
    """Look for cards that amdgpu or radeon drives. None of them is woken.

    Raises ``ReaderUnavailableError`` where there is no AMD GPU, and
    ``ReadError`` where there is one without its driver.
    """
    if machine.platform != "linux":
        raise ReaderUnavailableError("the drivers that this reads are Linux's")
    cards = find_cards(machine, {DRIVER, OLD_DRIVER})
    if cards:
        from vramline.readers.amd.reader import AmdReader  # most machines have no use for it

        return AmdReader(machine, cards)
    gpus = find_gpus(machine, PCI_VENDOR)
    for gpu in gpus:
        if gpu.driver is None:
            raise ReadError(
                f"the AMD GPU at {gpu.address} has no driver: load the kernel module amdgpu"
            )
    if not gpus:
        raise ReaderUnavailableError("no AMD GPU")
    if gpus[0].is_kept:
        raise ReaderUnavailableError(
            f"the AMD GPU at {gpus[0].address} is bound to {gpus[0].driver}, for a virtual machine"
        )
    raise ReadError(
        f"the AMD GPU at {gpus[0].address} is bound to {gpus[0].driver}, "
        "but there is no card of it under /sys/class/drm"
    )
