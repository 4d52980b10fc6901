"""Checks on NVIDIA's driver: its kernel module, its library, its device nodes."""

import re

from vramline.doctor import surroundings
from vramline.doctor.findings import Case, Finding, Findings, Status
from vramline.doctor.nodes import NODES
from vramline.machine.files import names_in, read
from vramline.readers.nvidia.errors import (
    LIB_RM_VERSION_MISMATCH,
    LIBRARY_NOT_FOUND,
    why_closed,
)

VERSIONS = "driver versions"

RELOAD = (
    "reboot; or, while no program uses a GPU: "
    "sudo rmmod nvidia_uvm nvidia_drm nvidia_modeset nvidia && sudo modprobe nvidia"
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
            found=f"the kernel module {module} is loaded, and its library is not installed"
            + (" where vramline runs" if case.looks_at_host else ""),
            meaning="NVIDIA's GPUs are read through libnvidia-ml",
            # The host's own library cannot be loaded from here, even where its files are seen.
            mend="start this container with access to the GPU"
            if case.looks_at_host
            else f"sudo apt install libnvidia-compute-{module.partition('.')[0]} on Ubuntu, "
            "libnvidia-ml1 on Debian, nvidia-driver-cuda-libs on Fedora",
        )
    else:
        same = " and library" if module in libraries else ""
        yield Finding(check=VERSIONS, status=Status.OK, found=f"kernel module{same} {module}")


def nodes(case: Case) -> Findings:
    """The files in /dev that the driver is reached through. They are not opened."""
    present = names_in(case.machine, "/dev")
    if not present or module_version(case) is None:
        return
    ours = [name for name in present if re.fullmatch(r"nvidia(ctl|\d+)", name)]
    refused = [
        f"/dev/{name}" for name in ours if not surroundings.may_open(case.machine, f"/dev/{name}")
    ]
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
    version = read(case.machine, "/sys/module/nvidia/version")
    if version:
        return version
    text = read(case.machine, "/proc/driver/nvidia/version")
    found = re.search(r"Module.*?\s(\d+\.\d[\d.]*)\s", text)
    return found[1] if found else None


LINUX_CHECKS = (versions, nodes)
