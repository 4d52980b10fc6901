"""The cgroups above a process, and how much memory and processor time they allow it.

https://docs.kernel.org/admin-guide/cgroup-v2.html
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
https://man7.org/linux/man-pages/man7/cgroup_namespaces.7.html

Versions 1 and 2 may be there at once, with each controller in one of them.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from vramline.machine import Machine
from vramline.readers.causes import count, read_text
from vramline.readers.host.memory import Bound
from vramline.readings import Cause

UNLIMITED_BYTES = 2**62
"""Version 1 writes "no limit" as the largest multiple of a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cgroup:
    """One cgroup.

    Attributes:
        folder: Where its files lie.
        path: Its name under the mount. ``/`` is the one that is mounted.
        version: 1 or 2, which differ in the names of their files.
    """

    folder: str
    path: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ancestry:
    """A process's own cgroup and each visible one above it, by what they limit, nearest first."""

    memory: tuple[Cgroup, ...] = ()
    cpu: tuple[Cgroup, ...] = ()


class Cgroups:
    """Finds the cgroups above the machine's process.

    They are remembered until the process is moved, as the list of mounts that
    tells where they lie may be long.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._found: tuple[str, Ancestry] | None = None

    def find(self) -> Ancestry | Cause:
        """Return the cgroups, or why they are not known."""
        folder = f"/proc/{self._machine.process}"
        memberships = read_text(self._machine, f"{folder}/cgroup")
        if memberships is Cause.NOT_SUPPORTED:
            return Ancestry()  # A kernel without cgroups limits nobody.
        if isinstance(memberships, Cause):
            return memberships
        remembered = self._found
        if remembered and remembered[0] == memberships:
            return remembered[1]
        mounts = read_text(self._machine, f"{folder}/mountinfo")
        found = mounts if isinstance(mounts, Cause) else _ancestry(memberships, mounts)
        if isinstance(found, Ancestry):
            self._found = (memberships, found)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mount:
    version: int
    controllers: frozenset[str]
    point: str
    root: str


def _ancestry(memberships: str, mounts: str) -> Ancestry | Cause:
    paths = _parse_memberships(memberships)
    mounted = _parse_mounts(mounts)
    if isinstance(paths, Cause):
        return paths
    if isinstance(mounted, Cause):
        return mounted
    return Ancestry(memory=_above("memory", paths, mounted), cpu=_above("cpu", paths, mounted))


def _parse_memberships(text: str) -> dict[str, str] | Cause:
    """Return the process's path by controller, and under ``""`` its path in version 2."""
    paths = {}
    for line in text.split("\n"):
        if not line:
            continue
        parts = line.split(":", 2)
        if len(parts) != 3 or not parts[2].startswith("/"):
            return Cause.GARBLED
        paths.update(dict.fromkeys(parts[1].split(","), parts[2]))
    return paths


def _parse_mounts(text: str) -> list[_Mount] | Cause:
    """Return the mounts of cgroups. https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html"""
    mounts = []
    for line in text.split("\n"):
        if not line:
            continue
        before, _, after = line.partition(" - ")
        place, kind = before.split(" "), after.split(" ")
        if len(place) < 6 or len(kind) < 3:
            return Cause.GARBLED
        if kind[0] in ("cgroup", "cgroup2"):
            mount = _Mount(
                version=2 if kind[0] == "cgroup2" else 1,
                controllers=frozenset(kind[2].split(",")),
                point=_unescaped(place[4]),
                root=_unescaped(place[3]),
            )
            mounts.append(mount)
    return mounts


def _unescaped(name: str) -> str:
    return re.sub(r"\\([0-3][0-7]{2})", lambda digits: chr(int(digits[1], 8)), name)


def _above(controller: str, paths: dict[str, str], mounts: list[_Mount]) -> tuple[Cgroup, ...]:
    # A controller that version 1 has is not in version 2's tree.
    version = 1 if controller in paths else 2
    path = paths.get(controller, paths.get(""))
    if path is None:
        return ()
    fitting = [
        mount
        for mount in mounts
        if mount.version == version and (version == 2 or controller in mount.controllers)
    ]
    own = [
        _cgroups(mount, names)
        for mount in fitting
        if (names := _names_below(mount.root, path)) is not None
    ]
    # A namespace's own mount may come after an inherited one that shows less of the way.
    farther = (_cgroups(mount, []) for mount in fitting if _lies_above(mount.root, path))
    return max(own, key=len) if own else next(farther, ())


def _cgroups(mount: _Mount, names: list[str]) -> tuple[Cgroup, ...]:
    paths = ["/" + "/".join(names[:depth]) for depth in range(len(names), -1, -1)]
    return tuple(
        Cgroup(folder=(mount.point + path).rstrip("/"), path=path, version=mount.version)
        for path in paths
    )


def _names_below(root: str, path: str) -> list[str] | None:
    """Return the names that lead from a mount's root down to *path*, if they are told."""
    above, own = _names(root), _names(path)
    below = own[len(above) :]
    return below if own[: len(above)] == above and ".." not in below else None


def _lies_above(root: str, path: str) -> bool:
    """Tell whether a mount's root is above *path* by names that are not told.

    Both are as seen from the process's cgroup namespace: a root of ``/../..``
    lies two above it.
    """
    above = _names(root)
    return set(above) == {".."} and _names(path).count("..") < len(above)


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name]


@dataclass(frozen=True, slots=True, kw_only=True)
class _MemoryFiles:
    limits: tuple[str, ...]
    usage: str
    reclaimable: tuple[str, ...]


# Both lists of the page cache count as room, as they do in the kernel's own MemAvailable:
# a file that is read twice, or mapped, as a model is, moves to the active one.
# https://docs.kernel.org/filesystems/proc.html#meminfo
_MEMORY_FILES = {
    1: _MemoryFiles(
        limits=("memory.limit_in_bytes",),
        usage="memory.usage_in_bytes",
        # Without "total_" the keys leave out the cgroups below.
        reclaimable=("total_inactive_file", "total_active_file"),
    ),
    2: _MemoryFiles(
        limits=("memory.max", "memory.high"),
        usage="memory.current",
        reclaimable=("inactive_file", "active_file", "slab_reclaimable"),
    ),
}


def memory_bounds(
    machine: Machine, groups: Sequence[Cgroup], total_bytes: int | Cause
) -> list[Bound] | Cause:
    """Return the limits below the machine's total, nearest first."""
    ceiling = UNLIMITED_BYTES if isinstance(total_bytes, Cause) else total_bytes
    bounds = []
    for group in groups:
        limit = _memory_limit(machine, group)
        if isinstance(limit, Cause):
            return limit
        if limit < ceiling:
            room = _room(machine, group, limit)
            bounds.append(Bound(limit_bytes=limit, source=group.path, available_bytes=room))
    return bounds


def _memory_limit(machine: Machine, group: Cgroup) -> int | Cause:
    lowest = UNLIMITED_BYTES
    for name in _MEMORY_FILES[group.version].limits:
        text = read_text(machine, f"{group.folder}/{name}")
        # The root of version 2, and a cgroup without the controller, have no such file.
        if text is Cause.NOT_SUPPORTED or text.strip() == "max":
            continue
        limit = text if isinstance(text, Cause) else count(text)
        if isinstance(limit, Cause):
            return limit
        lowest = min(lowest, limit)
    return lowest


def _room(machine: Machine, group: Cgroup, limit: int) -> int | Cause:
    files = _MEMORY_FILES[group.version]
    text = read_text(machine, f"{group.folder}/{files.usage}")
    usage = text if isinstance(text, Cause) else count(text)
    if isinstance(usage, Cause):
        return usage
    stat = read_text(machine, f"{group.folder}/memory.stat")
    cache = stat if isinstance(stat, Cause) else _reclaimable(stat, files.reclaimable)
    if isinstance(cache, Cause):
        return cache
    # The counters are not read at one moment: cache may have grown past usage.
    return max(0, limit - max(0, usage - cache))


def _reclaimable(stat: str, names: Sequence[str]) -> int | Cause:
    values = dict(line.partition(" ")[::2] for line in stat.split("\n"))
    if names[0] not in values:
        return Cause.GARBLED
    total = 0
    for name in names:
        value = count(values.get(name, "0"))  # Kernels before 4.6 lack slab_reclaimable.
        if isinstance(value, Cause):
            return value
        total += value
    return total


def cpu_quota(machine: Machine, groups: Sequence[Cgroup]) -> float | Cause:
    """Return the lowest quota in processors, infinite where none is set."""
    lowest = math.inf
    for group in groups:
        quota = _quota_1(machine, group) if group.version == 1 else _quota_2(machine, group)
        if isinstance(quota, Cause):
            return quota
        lowest = min(lowest, quota)
    return lowest


def _quota_1(machine: Machine, group: Cgroup) -> float | Cause:
    quota = read_text(machine, f"{group.folder}/cpu.cfs_quota_us")
    if quota is Cause.NOT_SUPPORTED or quota.strip() == "-1":
        return math.inf
    if isinstance(quota, Cause):
        return quota
    period = read_text(machine, f"{group.folder}/cpu.cfs_period_us")
    return period if isinstance(period, Cause) else _share(quota, period)


def _quota_2(machine: Machine, group: Cgroup) -> float | Cause:
    text = read_text(machine, f"{group.folder}/cpu.max")
    if text is Cause.NOT_SUPPORTED or text.startswith("max "):
        return math.inf
    if isinstance(text, Cause):
        return text
    quota, _, period = text.partition(" ")
    return _share(quota, period)


def _share(quota: str, period: str) -> float | Cause:
    allowed, of = count(quota), count(period)
    if isinstance(allowed, Cause) or isinstance(of, Cause):
        return Cause.GARBLED
    return allowed / of if allowed and of else Cause.GARBLED
