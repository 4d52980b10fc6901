"""Checks on the processes that are listed with a GPU, and on those that are not."""

from vramline.doctor import surroundings
from vramline.doctor.findings import Case, Finding, Findings, Status, title
from vramline.doctor.makers import maker_of
from vramline.readings import Cause, GpuReading, MemoryPool
from vramline.units import GIB, format_bytes

PROCESSES = "processes"

MUCH_BYTES = GIB
"""A desktop, and what a driver keeps for itself, take less than this."""

SHOW_ALL = {"Docker": "docker run --pid=host ...", "Podman": "podman run --pid=host ..."}
AS_ROOT = 'sudo "$(command -v vramline)"'


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
                mend=SHOW_ALL.get(case.container or ""),
            )


def unseen(case: Case) -> Findings:
    """GPUs that processes use which could not be looked at.

    Linux' own drivers tell who uses a card under ``/proc``, and there only of this
    user's processes, and of those in this PID namespace.
    https://docs.kernel.org/gpu/drm-usage-stats.html
    """
    sees_all = surroundings.sees_all_processes(case.machine)
    if sees_all and surroundings.is_root(case.machine):
        return
    here = "container" if case.container else "PID namespace"
    for gpu in case.snapshot.gpus:
        if found := _unseen(gpu):
            yield Finding(
                check=PROCESSES,
                status=Status.NOTE,
                found=found,
                meaning="processes of other users cannot be looked at"
                if sees_all
                else f"processes outside this {here} cannot be seen",
                mend=AS_ROOT if sees_all else SHOW_ALL.get(case.container or ""),
            )


def told_apart(gpu: GpuReading) -> tuple[str, ...]:
    """Return the fields of which these checks say why they are not known."""
    fields = ("processes", "utilization_percent")
    is_refused = gpu.unknown.get(fields[0]) is Cause.NO_PERMISSION
    return fields if is_refused and _is_told_by_proc(gpu) else ()


def _unseen(gpu: GpuReading) -> str | None:
    if told_apart(gpu):
        return f"who uses {title(gpu)} cannot be seen"
    used = gpu.memory_used_bytes
    if not _is_told_by_proc(gpu) or gpu.memory_pool is MemoryPool.UNIFIED or used is None:
        return None
    unseen_bytes = used - sum(process.memory_bytes or 0 for process in gpu.processes or ())
    if gpu.processes is None or unseen_bytes < MUCH_BYTES:
        return None
    return f"{format_bytes(unseen_bytes)} on {title(gpu)} is held by processes that are not listed"


def _is_told_by_proc(gpu: GpuReading) -> bool:
    maker = maker_of(gpu.vendor)
    return maker is not None and maker.in_kernel


CHECKS = (strangers,)
LINUX_CHECKS = (unseen,)
