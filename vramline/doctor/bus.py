"""Checks on the PCI bus: which kernel driver has each GPU, and whether it is of use."""

from dataclasses import replace

from vramline.doctor import surroundings
from vramline.doctor.findings import Case, Finding, Findings, Status
from vramline.doctor.makers import (
    INTEL,
    MAKERS,
    SILENT_DRIVERS,
    Maker,
    SilentDriver,
)
from vramline.machine.files import names_in, read
from vramline.readers.pci import DEVICES, PciGpu
from vramline.readings import MemoryPool

BUS = "PCI bus"

GPUS = "{gpus}"
"""Stands in a finding for the GPUs that it is of."""

NO_MODESET = "nomodeset"
SIMPLE_FRAMEBUFFER = "/sys/bus/platform/drivers/simple-framebuffer"


def bus(case: Case) -> Findings:
    """Each maker's GPUs on the PCI bus. Those of which the same is to be said are told at once."""
    for maker in MAKERS:
        alike: dict[Finding, list[str]] = {}
        for gpu in case.on_bus[maker.vendor]:
            alike.setdefault(_judged(case, maker, gpu), []).append(gpu.address)
        for finding, addresses in alike.items():
            several = f"the {maker.name} GPU{'' if len(addresses) == 1 else 's'} at "
            gpus = ("" if finding.status is Status.OK else several) + ", ".join(addresses)
            mend = (
                f"on the host: {finding.mend}" if finding.mend and case.container else finding.mend
            )
            yield replace(finding, found=finding.found.replace(GPUS, gpus), mend=mend)


def is_minor(case: Case, maker: Maker, address: str) -> bool:
    """Tell whether the machine can do well without this GPU, as it sits in the processor.

    Intel's sits at one address (https://docs.kernel.org/gpu/i915.html). AMD's has the
    host's memory, and is minor beside a GPU that has its own.
    """
    if maker.vendor == INTEL and address.endswith(":00:02.0"):
        return True
    own = [
        gpu.pci_address
        for gpu in case.snapshot.gpus
        if gpu.memory_pool is MemoryPool.VRAM and gpu.memory_total_bytes is not None
    ]
    shared = [
        gpu.pci_address
        for gpu in case.snapshot.gpus
        if gpu.memory_pool is not MemoryPool.VRAM and gpu.vendor == maker.vendor
    ]
    return bool(own) and address in shared


def _judged(case: Case, maker: Maker, gpu: PciGpu) -> Finding:
    if gpu.driver in maker.drivers:
        found = f"{GPUS}: bound to the driver {gpu.driver}"
        return Finding(check=BUS, status=Status.OK, found=found)
    if gpu.driver is None:
        return _undriven(case, maker, gpu)
    if gpu.is_kept:
        return Finding(
            check=BUS,
            status=Status.NOTE,
            found=f"{gpu.driver} keeps {GPUS} for virtual machines",
            meaning="programs on this system cannot use it",
            mend=f"take its ids off the options of {gpu.driver} (kernel command line, "
            "/etc/modprobe.d), and reboot",
        )
    silent = SILENT_DRIVERS.get(gpu.driver)
    return Finding(
        check=BUS,
        status=Status.NOTE if silent else Status.PROBLEM,
        found=f"{gpu.driver} drives {GPUS}",
        meaning=silent.meaning if silent else f"{gpu.driver} tells nothing of its memory",
        mend=_better_driver(case, silent, gpu) if silent else maker.drive,
    )


def _undriven(case: Case, maker: Maker, gpu: PciGpu) -> Finding:
    by_firmware = names_in(case.machine, SIMPLE_FRAMEBUFFER)
    drawn = any(name.startswith("simple-framebuffer.") for name in by_firmware)
    # NVIDIA's driver takes a card all the same.
    forbidden = maker.in_kernel and NO_MODESET in surroundings.kernel_options(case.machine)
    meaning = (
        f"the kernel was started with {NO_MODESET}, which keeps Linux' graphics drivers away"
        if forbidden
        else maker.undriven
    )
    return Finding(
        check=BUS,
        status=Status.NOTE if is_minor(case, maker, gpu.address) else Status.PROBLEM,
        found=f"no kernel driver has taken {GPUS}",
        meaning=meaning + ("; the picture is the firmware's (simpledrm)" if drawn else ""),
        mend=f"take {NO_MODESET} off the kernel's command line, and reboot "
        "(on Ubuntu: in /etc/default/grub, then sudo update-grub)"
        if forbidden
        else maker.drive,
    )


def _better_driver(case: Case, silent: SilentDriver, gpu: PciGpu) -> str | None:
    try:
        device_id = int(read(case.machine, f"{DEVICES}/{gpu.address}/device"), 16)
    except ValueError:
        return silent.otherwise
    for mend, ranges in silent.better:
        if any(first <= device_id <= last for first, last in ranges):
            return mend
    return silent.otherwise


LINUX_CHECKS = (bus,)
