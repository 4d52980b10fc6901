"""Checks on what CUDA makes of the environment.

https://docs.nvidia.com/cuda/cuda-programming-guide/05-appendices/environment-variables.html
"""

from collections.abc import Sequence

from vramline.doctor.findings import Case, Finding, Findings, Status, title
from vramline.doctor.makers import NVIDIA
from vramline.readers.nvidia.visible import (
    ORDER,
    PREFIXES,
    VARIABLE,
    Mig,
    cuda_places,
    order_is_known,
)
from vramline.readings import GpuReading

MEND = f"unset {VARIABLE}, or name in it what `vramline` lists"


def visible_devices(case: Case) -> Findings:
    """Which GPUs the environment hides from CUDA, and whether it means to."""
    value = case.environ.get(VARIABLE)
    of_nvidia = [gpu for gpu in case.snapshot.gpus if gpu.vendor == NVIDIA]
    gpus = [gpu for gpu in of_nvidia if not gpu.is_silent]
    if value is None or not gpus:
        return
    entries = [entry.strip() for entry in value.split(",")]
    shown = [gpu for gpu in gpus if gpu.visible]
    if entries[0] in ("", "-1"):
        yield _finding(
            Status.NOTE, f"{value!r} hides every GPU from CUDA", mend=f"unset {VARIABLE}"
        )
    elif len(set(entries)) < len(entries):
        meaning = "CUDA then shows no GPU at all"
        yield _finding(Status.PROBLEM, f"{value!r} names a GPU twice", meaning, MEND)
    elif (wrong := _first_wrong(entries, gpus)) is None:
        yield _finding(Status.NOTE, f"{value!r} shows CUDA {_names(shown)}")
    elif wrong.startswith(PREFIXES) and not all(gpu.uid.startswith(PREFIXES) for gpu in gpus):
        meaning = "a GPU that sleeps, or is read without NVML, does not tell its name in CUDA"
        yield _finding(Status.NOTE, f"{value!r}: whether {wrong!r} is here is not known", meaning)
    else:
        meaning = "CUDA leaves out that entry and all after it: it shows " + _names(shown)
        yield _finding(Status.PROBLEM, f"{value!r}: {wrong!r} is no GPU here", meaning, MEND)


def order(case: Case) -> Findings:
    """Whether CUDA's numbers are the ones shown here."""
    gpus = [gpu for gpu in case.gpus() if gpu.name is not None]
    if gpus and not order_is_known(gpus, case.environ):
        yield Finding(
            check=ORDER,
            status=Status.NOTE,
            found="the GPUs are of different models",
            meaning="CUDA puts the fastest first: its cuda:0 may be another GPU than GPU 0 here",
            mend=f"export {ORDER}=PCI_BUS_ID",
        )


def _finding(
    status: Status, found: str, meaning: str | None = None, mend: str | None = None
) -> Finding:
    return Finding(check=VARIABLE, status=status, found=found, meaning=meaning, mend=mend)


def _first_wrong(entries: Sequence[str], gpus: Sequence[GpuReading]) -> str | None:
    """Return the first entry that names no GPU. ``-1`` is a way to end the list."""
    for count, entry in enumerate(entries, 1):
        if entry == "-1" or entry.startswith("MIG-GPU-"):  # an older name: not known here
            return None
        so_far = {VARIABLE: ",".join(entries[:count])}
        if len(cuda_places(gpus, so_far, Mig())) < count:
            return entry
    return None


def _names(gpus: Sequence[GpuReading]) -> str:
    return ", ".join(title(gpu) for gpu in gpus) or "none"


CHECKS = (visible_devices, order)
