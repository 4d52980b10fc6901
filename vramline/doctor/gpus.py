"""Checks on each GPU that was found."""

from collections.abc import Iterable

from vramline.doctor import surroundings
from vramline.doctor.findings import LOOK_FOR_XIDS, Case, Finding, Findings, Status, title
from vramline.readers.nvidia.reader import may_suspend
from vramline.readers.pci import DEVICES
from vramline.readings import Cause, GpuReading, GpuState, MemoryPool

SLEEP = "sleep"
OPENING = "opening the driver"
MEMORY = "memory"
MIG = "MIG"
ANSWERS = "answers"
PROCESSES = "processes"
VALUES = "values"

SLOW_SECONDS = 2.0
"""Two looks at a driver that somebody keeps open take well under a second."""


_MEND = {
    Cause.NO_PERMISSION: "run it as root, or ask who administers this machine",
    Cause.DRIVER_TOO_OLD: "update NVIDIA's driver",
    Cause.DRIVER_ERROR: LOOK_FOR_XIDS,
    Cause.GARBLED: "update NVIDIA's driver",
}
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
            mend=f"{LOOK_FOR_XIDS}, then reboot",
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
                mend=f"{LOOK_FOR_XIDS}, then reboot",
            )


def asleep(case: Case) -> Findings:
    """GPUs that are suspended, which is well."""
    for gpu in _in_state(case, GpuState.ASLEEP):
        yield Finding(
            check=SLEEP,
            status=Status.NOTE,
            found=f"{title(gpu)} is asleep",
            meaning="it saves power, and wakes when a program uses it; vramline leaves it asleep",
        )


def sleepless(case: Case) -> Findings:
    """GPUs that may suspend while they are idle, and never did.

    https://docs.kernel.org/power/runtime_pm.html
    """
    for gpu in _in_state(case, GpuState.ACTIVE):
        if gpu.pci_address is None or not may_suspend(case.machine, gpu.pci_address):
            continue
        power = f"{DEVICES}/{gpu.pci_address}/power"
        if surroundings.read(case.machine, f"{power}/control").strip() == "on":
            yield Finding(
                check=SLEEP,
                status=Status.NOTE,
                found=f"{title(gpu)} could sleep while idle, and the kernel is told to keep it on",
                meaning="it draws power that a battery could keep",
                mend=f"echo auto | sudo tee {power}/control",
            )
        elif surroundings.read(case.machine, f"{power}/runtime_suspended_time").strip() == "0":
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


def shared_memory(case: Case) -> Findings:
    """GPUs that have no memory of their own."""
    for gpu in case.snapshot.gpus:
        if gpu.memory_pool is not MemoryPool.VRAM:
            yield Finding(
                check=MEMORY,
                status=Status.NOTE,
                found=f"{title(gpu)} has the host's memory",
                meaning="its figures are the host's: a model counts once, not against both",
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


def strangers(case: Case) -> Findings:
    """Processes that hold memory and cannot be named from here."""
    for gpu in case.snapshot.gpus:
        unnamed = [process for process in gpu.processes or () if process.name is None]
        if unnamed:
            yield Finding(
                check=PROCESSES,
                status=Status.NOTE,
                found=f"{len(unnamed)} of {len(gpu.processes or ())} on {title(gpu)} "
                "cannot be named",
                meaning="they run outside this container"
                if case.container
                else "they ended just now, or this user may not see them",
                mend="docker run --pid=host ..." if case.container == "Docker" else None,
            )


def values(case: Case) -> Findings:
    """Values that could be had, and could not be read."""
    for gpu in case.snapshot.gpus:
        for cause, words in _WORDS.items():
            fields = [field for field, why in gpu.unknown.items() if why is cause]
            if fields:
                yield Finding(
                    check=VALUES,
                    status=Status.NOTE,
                    found=f"{title(gpu)}: {', '.join(fields)} {words}",
                    mend=_MEND[cause],
                )


def _in_state(case: Case, state: GpuState) -> Iterable[GpuReading]:
    return (gpu for gpu in case.snapshot.gpus if gpu.state is state)


CHECKS = (lost, silent, shared_memory, instances, strangers, values)
LINUX_CHECKS = (asleep, sleepless, opening)
