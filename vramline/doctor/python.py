"""Checks on what is installed for Python."""

import re

from vramline.doctor.findings import NVIDIA, NVIDIA_ON_BUS, Case, Finding, Findings, Status
from vramline.readers.pci import find_gpus

BINDING = "Python binding"
LAST_RESORT = "gpu-tracker"

MEND_BINDING = "pip uninstall -y pynvml && pip install --force-reinstall nvidia-ml-py"

_OF_PYNVML = {
    # It holds a package pynvml/, which Python prefers to nvidia-ml-py's pynvml.py.
    11: (Status.PROBLEM, "it hides the maintained module pynvml, which is nvidia-ml-py's"),
    # Its metadata asks for nvidia-ml-py<13, and it holds no module pynvml of its own.
    12: (Status.NOTE, "it is deprecated, and holds nvidia-ml-py below version 13"),
    # https://pypi.org/project/pynvml/13.0.1/: a .pth file that hooks into every import.
    13: (
        Status.NOTE,
        "it is deprecated: it slows every start of Python, and warns at `import pynvml`",
    ),
}


def binding(case: Case) -> Findings:
    """NVIDIA's module pynvml, and the distribution of that name that gets in its way."""
    if case.machine.platform == "darwin":
        return
    ours, other = case.version_of("nvidia-ml-py"), case.version_of("pynvml")
    if other is not None:
        status, meaning = _OF_PYNVML[min(max(_major(other), 11), 13)]
        found = f"the distribution pynvml {other} is installed"
        yield Finding(check=BINDING, status=status, found=found, meaning=meaning, mend=MEND_BINDING)
    if ours is not None:
        yield Finding(check=BINDING, status=Status.OK, found=f"nvidia-ml-py {ours}")
    elif not case.machine.has_library("pynvml"):
        yield Finding(
            check=BINDING,
            status=Status.PROBLEM if case.on_bus or case.wsl else Status.NOTE,
            found="nvidia-ml-py is not installed",
            meaning="no NVIDIA GPU can be read without it",
            mend="pip install nvidia-ml-py",
        )


def last_resort(case: Case) -> Findings:
    """gpu-tracker, where it is all that could still read a GPU."""
    stands_in = any(gpu.uid.startswith(f"{LAST_RESORT}:") for gpu in case.snapshot.gpus)
    vendors = {NVIDIA: NVIDIA_ON_BUS, "amd": "0x1002"}
    unread = [
        vendor
        for vendor, number in vendors.items()
        if not case.gpus(vendor) and find_gpus(case.machine, number)
    ]
    installed = case.version_of(LAST_RESORT)
    if stands_in:
        yield Finding(
            check=LAST_RESORT,
            status=Status.NOTE,
            found=f"GPUs are read by {LAST_RESORT} {installed or ''}".rstrip(),
            meaning="it tells the sum over all GPUs of a vendor, and nothing of each",
        )
    elif unread and installed is None:
        yield Finding(
            check=LAST_RESORT,
            status=Status.NOTE,
            found=f"{LAST_RESORT}, the last resort for GPUs that cannot be read, is not installed",
            meaning="it may read them through nvidia-smi or amd-smi where those work",
            mend="pip install 'vramline[gpu-tracker]'",
        )
    elif unread:
        yield Finding(
            check=LAST_RESORT,
            status=Status.NOTE,
            found=f"{LAST_RESORT} {installed} was asked, and could not read the GPUs either",
        )


def _major(version: str) -> int:
    digits = re.match(r"\d+", version)
    return int(digits[0]) if digits else 0


CHECKS = (binding,)
LINUX_CHECKS = (last_resort,)
