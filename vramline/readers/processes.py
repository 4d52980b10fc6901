"""Who a process is: its name, user, start and container. Asked by every reader that names pids.

https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
"""

import re
from dataclasses import dataclass
from typing import Any

from vramline.machine import Machine
from vramline.readers.causes import count
from vramline.readings import Cause

TICKS_PER_SECOND = 100
"""USER_HZ, the unit of start times in /proc: 100 on every architecture with a GPU driver."""
MOST_KEPT = 4096
COMM_LENGTH = 15
"""The kernel cuts a process's short name off here."""

_CONTAINER = re.compile(r"(?<![0-9a-f])([0-9a-f]{12})[0-9a-f]{52}(?![0-9a-f])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a process is; each part is ``None`` where this user, or this container, cannot see it."""

    start_time: float | None = None
    name: str | None = None
    user: str | None = None
    container: str | None = None


UNSEEN = Identity()


class Processes:
    """Tells who a process is, and remembers it for as long as the pid is the same process's."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._boot_time: float | None = None
        self._known: dict[int, tuple[object, Identity]] = {}

    def identify(self, pid: int) -> Identity:
        """Return who *pid* is now. Never raises."""
        if self._machine.platform == "linux":
            return self._identify_by_proc(pid)
        return self._identify_by_psutil(pid)

    def _identify_by_proc(self, pid: int) -> Identity:
        try:
            # A name may hold spaces and parentheses: only the last one closes it.
            head, _, tail = self._machine.read(f"/proc/{pid}/stat").rpartition(")")
            ticks = count(tail.split(None, 20)[19])
        except (OSError, IndexError):
            return UNSEEN
        if isinstance(ticks, Cause):
            return UNSEEN
        known = self._known.get(pid)
        if known is None or known[0] != (ticks, head):  # the name in it may change as well
            known = ((ticks, head), self._look_up(pid, head.partition("(")[2], ticks))
            self._keep(pid, known)
        return known[1]

    def _keep(self, pid: int, known: tuple[object, Identity]) -> None:
        if len(self._known) >= MOST_KEPT:
            self._known.clear()
        self._known[pid] = known

    def _look_up(self, pid: int, comm: str, ticks: float) -> Identity:
        started = self._started()
        return Identity(
            start_time=None if started is None else started + ticks / TICKS_PER_SECOND,
            name=self._full_name(pid, comm),
            user=self._user(pid),
            container=self._container(pid),
        )

    def _started(self) -> float | None:
        if self._boot_time is None:
            line = re.search(r"^btime (\S+)$", self._read("/proc/stat"), re.MULTILINE)
            seconds = count(line[1]) if line else Cause.NOT_SUPPORTED
            self._boot_time = None if isinstance(seconds, Cause) else float(seconds)
        return self._boot_time

    def _full_name(self, pid: int, comm: str) -> str:
        if len(comm) < COMM_LENGTH:
            return comm
        program = self._read(f"/proc/{pid}/cmdline").partition("\0")[0].rsplit("/", 1)[-1]
        return program if program.startswith(comm) else comm

    def _user(self, pid: int) -> str | None:
        line = re.search(r"^Uid:\s+(\d{1,10})\b", self._read(f"/proc/{pid}/status"), re.MULTILINE)
        return self._machine.user_name(int(line[1])) if line else None

    def _container(self, pid: int) -> str | None:
        for line in self._read(f"/proc/{pid}/cgroup").splitlines():
            if found := _CONTAINER.search(line):
                return found[1]
        return None

    def _read(self, path: str) -> str:
        try:
            return self._machine.read(path)
        except OSError:
            return ""

    def _identify_by_psutil(self, pid: int) -> Identity:
        try:
            psutil = self._machine.library("psutil")
        except ImportError:
            return UNSEEN
        try:
            process = psutil.Process(pid)
            started = process.create_time()
            known = self._known.get(pid)
            if known is None or known[0] != started:
                identity = Identity(
                    start_time=started, name=process.name(), user=_owner(psutil, process)
                )
                self._keep(pid, known := (started, identity))
            return known[1]
        except (psutil.Error, OSError, AttributeError):  # a recording may lack the question
            return UNSEEN


def _owner(psutil: Any, process: Any) -> str | None:
    try:
        return str(process.username())
    except (psutil.Error, KeyError):  # another user's, or one whose user is gone
        return None
