"""Checks on each GPU that was found."""

from collections.abc import Iterable

from vramline.doctor import memory, processes
from vramline.doctor.findings import Case, Finding, Findings, Status, title
from vramline.machine.files import read
from vramline.readers.nvidia.reader import may_suspend
from vramline.readers.pci import DEVICES
from vramline.readings import Cause, GpuReading, GpuState

SLEEP = "sleep"
OPENING = "opening the driver"
MIG = "MIG"
ANSWERS = "answers"
VALUES = "values"

SLOW_SECONDS = 2.0
"""Two looks at a driver that somebody keeps open take well under a second."""


_WORDS = {
    Cause.NO_PERMISSION: "refused to this user",
    Cause.DRIVER_TOO_OLD: "unknown to this old driver",
    Cause.DRIVER_ERROR: "answered with an error",
    Cause.GARBLED: "answered with nonsense",
}


def lost(case: Case) -> Findings:
    """GPUs that fell off the bus."""
    for gpu in _in_state(case, GpuState.LOST):
        yield Finding(
            check=ANSWERS,
            status=Status.PROBLEM,
            found=f"{title(gpu)} is lost",
            meaning="it fell off the bus (power, heat, its slot), or needs a reset",
            mend=case.look_in_log(gpu.vendor, then="reboot"),
        )


def silent(case: Case) -> Findings:
    """GPUs whose driver hangs."""
    for gpu in case.snapshot.gpus:
        timed_out = Cause.TIMEOUT in gpu.unknown.values()
        # An old reading alone is none: an idle GPU is left alone so that it can sleep.
        if timed_out or (gpu.age_seconds and gpu.vendor in case.snapshot.failures):
            yield Finding(
                check=ANSWERS,
                status=Status.PROBLEM,
                found=f"{title(gpu)} does not answer",
                meaning="a call into the driver hangs; what is shown of it is old or not known",
                mend=case.look_in_log(gpu.vendor, then="reboot"),
            )


def asleep(case: Case) -> Findings:
    """GPUs that are suspended, which is well."""
    for gpu in _in_state(case, GpuState.ASLEEP):
        yield Finding(
            check=SLEEP,
            status=Status.NOTE,
            found=f"{title(gpu)} is asleep",
            meaning="it saves power, and wakes when a program uses it; vramline leaves it asleep"
            + (", and reads of it what wakes nothing" if gpu.memory_used_bytes is not None else ""),
        )


def sleepless(case: Case) -> Findings:
    """GPUs that may suspend while they are idle, and never did.

    https://docs.kernel.org/power/runtime_pm.html
    """
    for gpu in _in_state(case, GpuState.ACTIVE):
        if gpu.pci_address is None or not may_suspend(case.machine, gpu.pci_address):
            continue
        power = f"{DEVICES}/{gpu.pci_address}/power"
        if read(case.machine, f"{power}/control") == "on":
            yield Finding(
                check=SLEEP,
                status=Status.NOTE,
                found=f"{title(gpu)} could sleep while idle, and the kernel is told to keep it on",
                meaning="it draws power that a battery could keep",
                mend=f"echo auto | sudo tee {power}/control",
            )
        elif read(case.machine, f"{power}/runtime_suspended_time") == "0":
            yield Finding(
                check=SLEEP,
                status=Status.NOTE,
                found=f"{title(gpu)} could sleep while idle, and never did since it was started",
                meaning="some program, often a desktop or a monitor, keeps it open",
                mend="sudo fuser -v /dev/nvidia*",
            )


def opening(case: Case) -> Findings:
    """A driver that starts anew for each program.

    https://docs.nvidia.com/deploy/driver-persistence/
    """
    gpus = case.gpus()
    if case.took_seconds < SLOW_SECONDS or not gpus or case.snapshot.failures:
        return
    if any(gpu.pci_address and may_suspend(case.machine, gpu.pci_address) for gpu in gpus):
        return  # it starts anew because it sleeps
    on_host = "on the host: " if case.container else ""
    yield Finding(
        check=OPENING,
        status=Status.NOTE,
        found=f"it took {case.took_seconds:.0f} s",
        meaning="while nobody holds it the driver stops, and starts for the next program",
        mend=f"{on_host}sudo systemctl enable --now nvidia-persistenced",
    )


def instances(case: Case) -> Findings:
    """GPUs that are cut into MIG instances."""
    for gpu in case.gpus():
        count = sum(each.parent_uid == gpu.uid for each in case.snapshot.gpus)
        if count:
            yield Finding(
                check=MIG,
                status=Status.NOTE,
                found=f"{title(gpu)} is cut into {count} MIG instance{'' if count == 1 else 's'}",
                meaning="a CUDA program gets one instance, and cannot use the GPU as a whole",
            )


def values(case: Case) -> Findings:
    """Values that could be had, and could not be read."""
    for gpu in case.snapshot.gpus:
        told = (*memory.told_apart(gpu), *processes.told_apart(gpu))
        for cause, words in _WORDS.items():
            fields = [name for name, why in gpu.unknown.items() if why is cause]
            if untold := [name for name in fields if name not in told]:
                yield Finding(
                    check=VALUES,
                    status=Status.NOTE,
                    found=f"{title(gpu)}: {', '.join(untold)} {words}",
                    mend=_mend(case, gpu.vendor, cause),
                )


def _mend(case: Case, vendor: str, cause: Cause) -> str | None:
    if cause is Cause.NO_PERMISSION:
        user = "administrator" if case.machine.platform == "win32" else "root"
        return f"run it as {user}, or ask who administers this machine"
    if cause is Cause.DRIVER_ERROR:
        return case.look_in_log(vendor)
    return case.newer_driver(vendor)


def _in_state(case: Case, state: GpuState) -> Iterable[GpuReading]:
    return (gpu for gpu in case.snapshot.gpus if gpu.state is state)


CHECKS = (lost, silent, instances, values)
LINUX_CHECKS = (asleep, sleepless, opening)
