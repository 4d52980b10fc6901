"""What the snapshot says of each vendor, and the boards that have a GPU of their own."""

from vramline.doctor.findings import Case, Finding, Findings, Status
from vramline.doctor.makers import vendor_name
from vramline.readers.files import read
from vramline.readers.tegra import is_tegra
from vramline.sampler.guard import NOT_OPENED

JETSON = "Jetson"

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
LINUX_CHECKS = (jetson,)
