"""Checks on what is installed for Python."""

import re

from vramline.doctor.findings import Case, Finding, Findings, Status
from vramline.doctor.makers import MAKERS

BINDING = "Python binding"
LAST_RESORT = "gpu-tracker"

_NVIDIA = MAKERS[0]

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
            status=Status.PROBLEM if case.driven(_NVIDIA) or case.wsl else Status.NOTE,
            found="nvidia-ml-py is not installed",
            meaning="of an NVIDIA GPU only what Windows tells is known: no power, no CUDA"
            if case.machine.platform == "win32"
            else "no NVIDIA GPU of a PC or a server can be read without it",
            mend="pip install nvidia-ml-py",
        )


def last_resort(case: Case) -> Findings:
    """gpu-tracker, where it is all that could still read a GPU.

    It can where the kernel's driver works, and this package's own reader does not.
    """
    stands_in = any(gpu.uid.startswith(f"{LAST_RESORT}:") for gpu in case.snapshot.gpus)
    unread = [
        maker
        for maker in MAKERS
        if maker.program and case.driven(maker) and not case.gpus(maker.vendor)
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
        names = " and ".join(maker.name for maker in unread)
        programs = " or ".join(maker.program for maker in unread if maker.program)
        yield Finding(
            check=LAST_RESORT,
            status=Status.NOTE,
            found=f"{names} GPUs are here, and could not be read; {LAST_RESORT}, "
            "which may stand in, is not installed",
            meaning=f"it asks {programs}, and helps where that works",
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
