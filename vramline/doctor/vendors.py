"""What the snapshot says of each vendor, and the boards that have a GPU of their own."""

from vramline.doctor import surroundings
from vramline.doctor.findings import Case, Finding, Findings, Status
from vramline.doctor.makers import vendor_name
from vramline.machine.files import read
from vramline.readers.pci_names import LISTS
from vramline.readers.tegra import is_tegra
from vramline.readers.unread import FOR_GOOD
from vramline.sampler.guard import NOT_OPENED

JETSON = "Jetson"
NAMES = "names"

_READERS = {"windows": "display adapters"}
"""A reader that is not of one vendor, and what it reads."""


def vendors(case: Case) -> Findings:
    """What went wrong with each vendor, what is not here, and what is."""
    for vendor, failure in case.snapshot.failures.items():
        hangs = NOT_OPENED in failure
        yield Finding(
            check=_check(vendor),
            status=Status.PROBLEM,
            found=failure,
            meaning="a call into the driver hangs" if hangs else None,
            mend=case.look_in_log(vendor, then="reboot") if hangs else None,
        )
    for vendor, reason in case.snapshot.absent.items():
        yield Finding(check=_check(vendor), status=Status.NOTE, found=reason)
    for vendor in dict.fromkeys(gpu.vendor for gpu in case.snapshot.gpus):
        if gpus := case.gpus(vendor):
            of_driver = f", driver {gpus[0].driver_version}" if gpus[0].driver_version else ""
            of_cuda = f", CUDA up to {gpus[0].cuda_version}" if gpus[0].cuda_version else ""
            found = f"{len(gpus)} found{of_driver}{of_cuda}"
            yield Finding(check=_check(vendor), status=Status.OK, found=found)


def names(case: Case) -> Findings:
    """GPUs whose driver tells no name, and which the system's list of PCI ids does not have."""
    nameless = [gpu for gpu in case.snapshot.gpus if gpu.unknown.get("name") in FOR_GOOD]
    count = sum(gpu.pci_address is not None for gpu in nameless)
    if not count:
        return
    has_list = any(surroundings.exists(case.machine, path) for path in LISTS)
    yield Finding(
        check=NAMES,
        status=Status.NOTE,
        found=f"{count} GPU{' has' if count == 1 else 's have'} no name here",
        meaning="the system's list of PCI names is older than the card"
        if has_list
        else "the driver tells a number, and this system has no list of PCI names",
        mend="sudo update-pciids" if has_list else "sudo apt install pci.ids (elsewhere: hwdata)",
    )


def jetson(case: Case) -> Findings:
    """NVIDIA's boards, whose GPU is a part of the processor.

    https://docs.nvidia.com/jetson/
    """
    model = read(case.machine, "/proc/device-tree/model").strip("\0 \n")
    if case.gpus() and is_tegra(case.machine):
        yield Finding(
            check=JETSON,
            status=Status.NOTE,
            found=f"this is a board of NVIDIA's{f' ({model})' if model else ''}: "
            "its GPU is read from the board's own files",
            meaning="the driver's library NVML tells little of a GPU in the processor, "
            "and nothing before JetPack 6",
        )


def _check(vendor: str) -> str:
    return _READERS.get(vendor) or f"{vendor_name(vendor)} GPUs"


CHECKS = (vendors,)
LINUX_CHECKS = (names, jetson)
