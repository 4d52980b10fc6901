"""Checks on NVIDIA's driver: its kernel module, its library, its device nodes."""

import re

from vramline.doctor import surroundings
from vramline.doctor.findings import LOOK_FOR_XIDS, NVIDIA, Case, Finding, Findings, Status
from vramline.readers.nvidia.errors import (
    LIB_RM_VERSION_MISMATCH,
    LIBRARY_NOT_FOUND,
    why_closed,
)
from vramline.sampler.guard import NOT_OPENED

BUS = "PCI bus"
VERSIONS = "driver versions"
NODES = "device nodes"

INSTALL = "install NVIDIA's driver, and reboot (on Ubuntu: sudo ubuntu-drivers install)"
RELOAD = (
    "reboot; or, while no program uses a GPU: "
    "sudo rmmod nvidia_uvm nvidia_drm nvidia_modeset nvidia && sudo modprobe nvidia"
)

_NAMES = {"nvidia": "NVIDIA", "amd": "AMD"}


def vendors(case: Case) -> Findings:
    """What the snapshot says of each vendor."""
    for vendor, failure in case.snapshot.failures.items():
        name = _NAMES.get(vendor, vendor)
        hangs = NOT_OPENED in failure
        yield Finding(
            check=f"{name} GPUs",
            status=Status.PROBLEM,
            found=failure,
            meaning="a call into the driver hangs" if hangs else None,
            mend=f"{LOOK_FOR_XIDS}, then reboot" if hangs else None,
        )
    for vendor, reason in case.snapshot.absent.items():
        yield Finding(check=f"{_NAMES.get(vendor, vendor)} GPUs", status=Status.NOTE, found=reason)
    if gpus := case.gpus():
        of_driver = f", driver {gpus[0].driver_version}" if gpus[0].driver_version else ""
        of_cuda = f", CUDA up to {gpus[0].cuda_version}" if gpus[0].cuda_version else ""
        yield Finding(
            check="NVIDIA GPUs",
            status=Status.OK,
            found=f"{len(gpus)} found{of_driver}{of_cuda}",
        )


def bus(case: Case) -> Findings:
    """NVIDIA's GPUs on the PCI bus, and which kernel driver has each."""
    driven = [gpu.address for gpu in case.on_bus if gpu.driver == NVIDIA]
    if driven:
        found = f"{', '.join(driven)}: bound to the driver nvidia"
        yield Finding(check=BUS, status=Status.OK, found=found)
    for gpu in case.on_bus:
        if gpu.driver is None:
            yield Finding(
                check=BUS,
                status=Status.PROBLEM,
                found=f"the NVIDIA GPU at {gpu.address} has no kernel driver",
                meaning="the driver is not installed, not loaded, or not built for this kernel",
                mend=f"sudo modprobe nvidia; if that fails, {INSTALL}",
            )
        elif gpu.driver in ("vfio-pci", "pci-stub"):
            yield Finding(
                check=BUS,
                status=Status.NOTE,
                found=f"the NVIDIA GPU at {gpu.address} is kept for a virtual machine, "
                f"by {gpu.driver}",
                meaning="programs on this system cannot use it",
                mend="take its ids off the options of vfio-pci (kernel command line, "
                "/etc/modprobe.d), and reboot",
            )
        elif gpu.driver != NVIDIA:
            yield Finding(
                check=BUS,
                status=Status.PROBLEM,
                found=f"the NVIDIA GPU at {gpu.address} is bound to {gpu.driver}",
                meaning=f"{gpu.driver} tells nothing of its memory, and runs no CUDA program",
                mend=INSTALL,
            )


def versions(case: Case) -> Findings:
    """The kernel module's version, against the library's: they must be the same."""
    module = module_version(case)
    if module is None:
        return
    libraries = surroundings.library_versions(case.machine)
    differ = case.failed(why_closed(LIB_RM_VERSION_MISMATCH))
    # Another library may have been loaded than the ones that were found.
    if differ or (libraries and module not in libraries and not case.gpus()):
        others = [each for each in libraries if each != module]
        yield Finding(
            check=VERSIONS,
            status=Status.PROBLEM,
            found=f"the kernel module is {module}, the library "
            + (f"libnvidia-ml is {', '.join(others)}" if others else "libnvidia-ml is not"),
            meaning="the driver was updated, and the module from before is still loaded",
            mend="start the container anew" if case.container else RELOAD,
        )
    elif case.failed(why_closed(LIBRARY_NOT_FOUND)) and not case.container:
        yield Finding(
            check=VERSIONS,
            status=Status.PROBLEM,
            found=f"the kernel module {module} is loaded, and its library is not installed",
            meaning="NVIDIA's GPUs are read through libnvidia-ml",
            mend=f"sudo apt install libnvidia-compute-{module.partition('.')[0]} on Ubuntu, "
            "libnvidia-ml1 on Debian, nvidia-driver-cuda-libs on Fedora",
        )
    else:
        same = " and library" if module in libraries else ""
        yield Finding(check=VERSIONS, status=Status.OK, found=f"kernel module{same} {module}")


def nodes(case: Case) -> Findings:
    """The files in /dev that the driver is reached through. They are not opened."""
    present = surroundings.names_in(case.machine, "/dev")
    if not present or module_version(case) is None:
        return
    ours = [name for name in present if re.fullmatch(r"nvidia(ctl|\d+)", name)]
    refused = [f"/dev/{name}" for name in ours if not _may_open(case, f"/dev/{name}")]
    if refused:
        yield Finding(
            check=NODES,
            status=Status.PROBLEM,
            found=f"this user may not read and write {', '.join(refused)}",
            meaning="the driver refuses every question",
            # Debian gives them to the group video.
            mend="ls -l /dev/nvidia* shows who may; if it is a group: "
            "sudo usermod -aG video $USER, and log in again",
        )
    # In a container only what was passed is there: that is another check's.
    elif "nvidiactl" not in ours and not case.container:
        yield Finding(
            check=NODES,
            status=Status.PROBLEM,
            found="there is no /dev/nvidiactl",
            meaning="the kernel module is loaded, and cannot be reached",
            # https://man.archlinux.org/man/nvidia-modprobe.1.en
            mend="sudo nvidia-modprobe -c 0 -u",
        )
    elif ours:
        found = f"this user may use {', '.join(f'/dev/{name}' for name in ours)}"
        yield Finding(check=NODES, status=Status.OK, found=found)


def module_version(case: Case) -> str | None:
    """Return the version of NVIDIA's kernel module, ``None`` where it is not loaded."""
    version = surroundings.read(case.machine, "/sys/module/nvidia/version").strip()
    if version:
        return version
    text = surroundings.read(case.machine, "/proc/driver/nvidia/version")
    found = re.search(r"Module.*?\s(\d+\.\d[\d.]*)\s", text)
    return found[1] if found else None


def _may_open(case: Case, path: str) -> bool:
    try:
        return case.machine.may_open(path)
    except OSError:
        return False


CHECKS = (vendors,)
LINUX_CHECKS = (bus, versions, nodes)
