"""What each process has allocated on AMD's GPUs through ROCm, as the kernel's KFD tells it.

https://github.com/torvalds/linux/blob/master/drivers/gpu/drm/amd/amdkfd/kfd_process.c

Every user may read these files, and none of those that are read here asks a GPU.
(``sdma_*`` beside them do.)
"""

import re
from collections.abc import Mapping, Sequence

from vramline.machine import Machine
from vramline.readers.causes import LARGEST_COUNT, cause_of
from vramline.readers.clients.descriptors import has_hosts_pids
from vramline.readings import Cause

PROCESSES = "/sys/class/kfd/kfd/proc"

_NUMBER = re.compile(r"[0-9]{1,19}")


def kfd_memory(machine: Machine, gpu_ids: Sequence[int]) -> Mapping[int, int] | Cause:
    """Return the bytes that each process, by pid, holds on the GPU with these numbers.

    KFD has the pids that the kernel itself has. In a container they are not those of
    its processes, and could be taken for others: then this is ``no_permission``.
    """
    try:
        pids = [int(name) for name in machine.list(PROCESSES) if _NUMBER.fullmatch(name)]
    except OSError as error:
        return cause_of(error)
    if not has_hosts_pids(machine):
        return Cause.NO_PERMISSION
    held = {pid: _held(machine, f"{PROCESSES}/{pid}", gpu_ids) for pid in pids}
    return {pid: bytes_held for pid, bytes_held in held.items() if bytes_held is not None}


def _held(machine: Machine, process: str, gpu_ids: Sequence[int]) -> int | None:
    """Return the bytes of a process: since Linux 7.0 it may have several contexts."""
    try:
        contexts = [name for name in machine.list(process) if name.startswith("context_")]
    except OSError:
        return None  # it has ended
    folders = [process, *(f"{process}/{context}" for context in contexts)]
    files = [f"{folder}/vram_{gpu_id}" for folder in folders for gpu_id in gpu_ids]
    told = [size for file in files if (size := _size(machine, file)) is not None]
    total = sum(told)
    return total if told and total <= LARGEST_COUNT else None


def _size(machine: Machine, file: str) -> int | None:
    try:
        return _count(machine.read(file))
    except OSError:
        return None


def _count(text: str) -> int | None:
    digits = text.strip()
    return int(digits) if _NUMBER.fullmatch(digits) else None
