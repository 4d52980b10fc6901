"""Which processes have a card's device file open.

https://man7.org/linux/man-pages/man5/proc_pid_fd.5.html

Nothing of this touches a card: a link under ``/proc/PID/fd`` only names a file.
"""

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass

from vramline.machine import Machine

INITIAL_PID_NAMESPACE = "pid:[4026531836]"
"""``PID_NS_INIT_INO`` in https://github.com/torvalds/linux/blob/master/include/uapi/linux/nsfs.h"""
KTHREADD = 2
"""The parent of all kernel threads has this pid, and is seen in the initial namespace alone."""
PF_KTHREAD = 0x00200000
"""In the flags of https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: a kernel thread."""

_NUMBER = re.compile(r"[0-9]{1,10}")
GONE = (FileNotFoundError, ProcessLookupError)
"""A process has ended, or a file was closed, since it was listed."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Descriptor:
    """One open file of one process."""

    pid: int
    number: int

    @property
    def link(self) -> str:
        return f"/proc/{self.pid}/fd/{self.number}"

    @property
    def fdinfo(self) -> str:
        return f"/proc/{self.pid}/fdinfo/{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """One look through ``/proc``.

    Attributes:
        by_file: The descriptors of each device file.
        complete: Whether there can be no others.
    """

    by_file: Mapping[str, tuple[Descriptor, ...]]
    complete: bool


def look_through(machine: Machine, files: Container[str]) -> Survey:
    """Return who has one of *files* open. Raises ``OSError`` where there is no ``/proc``."""
    found: dict[str, list[Descriptor]] = {}
    refused: list[int] = []
    for pid in _numbers(machine, "/proc"):
        try:
            for number, file in _open_files(machine, f"/proc/{pid}/fd"):
                if file in files:
                    found.setdefault(file, []).append(Descriptor(pid=pid, number=number))
        except GONE:
            continue
        except OSError:
            refused.append(pid)
    return Survey(
        by_file={file: tuple(descriptors) for file, descriptors in found.items()},
        complete=_sees_every_process(machine)
        and not any(_may_hold_a_card(machine, pid) for pid in refused),
    )


def has_hosts_pids(machine: Machine) -> bool:
    """Tell whether pids here are those that the kernel itself has. In doubt they are not."""
    try:
        return machine.readlink(f"/proc/{machine.process}/ns/pid") == INITIAL_PID_NAMESPACE
    except OSError:
        return _sees_every_process(machine)


def _open_files(machine: Machine, folder: str) -> Iterator[tuple[int, str]]:
    for number in _numbers(machine, folder):
        try:
            yield number, machine.readlink(f"{folder}/{number}")
        except GONE:
            continue


def _numbers(machine: Machine, folder: str) -> list[int]:
    return [int(name) for name in machine.list(folder) if _NUMBER.fullmatch(name)]


def _sees_every_process(machine: Machine) -> bool:
    """Tell whether processes are hidden here neither by a PID namespace nor by ``hidepid``.

    In a container's namespace pid 2 is an ordinary process, or none. With ``hidepid``
    it cannot be seen by those to whom others' processes are hidden, which the
    mount's options alone do not tell (``gid=`` and capabilities make exceptions).
    https://man7.org/linux/man-pages/man5/proc.5.html
    """
    try:
        return _is_kernel_thread(machine, KTHREADD)
    except OSError:
        return False


def _may_hold_a_card(machine: Machine, pid: int) -> bool:
    """Tell whether a process that may not be looked into could have a card open.

    A kernel thread, which is refused to all but root, has nothing open. The first
    other one settles the look, and that is mostly pid 1.
    """
    try:
        return not _is_kernel_thread(machine, pid)
    except GONE:
        return False
    except OSError:
        return True


def _is_kernel_thread(machine: Machine, pid: int) -> bool:
    # A name may hold spaces and parentheses: only the last one closes it.
    fields = machine.read(f"/proc/{pid}/stat").rpartition(")")[2].split(None, 7)
    try:
        return bool(int(fields[6]) & PF_KTHREAD)
    except (ValueError, IndexError):
        return False
