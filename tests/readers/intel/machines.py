"""Recorded Intel machines with a host round them, and their drivers' answers to an ioctl."""

import errno
import os
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from tests.machines import entries_of
from vramline.machine import Machine, RecordedMachine
from vramline.readers.intel import open_reader
from vramline.readings import Cause, FrozenDict, GpuReading
from vramline.units import GIB, KIB

TOTAL = 64 * GIB
AVAILABLE = 48 * GIB
KTHREADD = "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0\n"
PCI_IDS = """8086  Intel Corporation
\t0bd5  Ponte Vecchio XT (2 Tile) [Data Center GPU Max 1550]
\t4692  AlderLake-S GT1
\t56a1  DG2 [Arc A750]
\t56a5  DG2 [Arc A380]
\t5917  UHD Graphics 620
\t9a49  TigerLake-LP GT2 [Iris Xe Graphics]
\te20b  Battlemage G21 [Arc B580]
\te223  Battlemage G31 [Arc Pro B70]
8087  Intel Corp.
"""
HOST: Mapping[str, Any] = {
    "/proc/meminfo": (
        f"MemTotal: {TOTAL // KIB} kB\nMemFree: {GIB // KIB} kB\n"
        f"MemAvailable: {AVAILABLE // KIB} kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"
    ),
    "/proc/2/stat": KTHREADD,
    "/proc/2/fd": {"dir": []},
    "/proc/stat": "cpu  100 0 100 800 0 0 0 0 0 0\nbtime 1700000000\n",
    "/proc/sys/kernel/osrelease": "6.17.0\n",
    "/proc/self/status": "Name:\tpython\nCpus_allowed_list:\t0-7\n",
    "/proc/self/cgroup": "0::/\n",
    "/proc/self/mountinfo": "25 20 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
    "/usr/share/hwdata/pci.ids": PCI_IDS,
}

Ioctl = Callable[[str, int, bytes], bytes]
Figures = tuple[int, int, int]
"""Of a region: 1 where it is on the device, the total, and used (xe) or not used (i915)."""


class Clock:
    """Tells the time that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def files(name: str, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a recorded machine's files with a host's; ``None`` takes one away."""
    entries = {**HOST, **entries_of(f"intel/{name}"), **(changes or {})}
    return {path: entry for path, entry in entries.items() if entry is not None}


def render_node(slot: str) -> dict[str, Any]:
    """Return the files of a render node, which the recordings of LACT leave out."""
    return {"/sys/class/drm/renderD128/device/uevent": f"PCI_SLOT_NAME={slot}\n"}


def client(
    pid: int, fdinfo: str, *, node: str = "/dev/dri/renderD128", name: str = "ollama"
) -> dict[str, Any]:
    """Return the files of a process that has a card open."""
    return {
        f"/proc/{pid}/stat": f"{pid} ({name}) S 1 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 500 0 0\n",
        f"/proc/{pid}/status": "Uid:\t1000\t1000\t1000\t1000\n",
        f"/proc/{pid}/fd/7": {"symlink": node},
        f"/proc/{pid}/fdinfo/7": fdinfo,
    }


def xe(*regions: Figures) -> Ioctl:
    """Answer as xe does."""

    def answer(path: str, request: int, memory: bytes) -> bytes:
        extensions, query, size, _, *reserved = struct.unpack_from("<QIIQQQ", memory)
        if (request, query, extensions, *reserved) != (0xC0286440, 1, 0, 0, 0):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        data = struct.pack("<II", len(regions), 0) + _rows(regions)
        head = struct.pack("<QIIQQQ", 0, 1, len(data), 40 if size else 0, 0, 0)
        if size == 0:
            return head
        if (size, len(memory)) != (len(data), 40 + len(data)):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return head + data

    return answer


def i915(*regions: Figures) -> Ioctl:
    """Answer as i915 does."""

    def answer(path: str, request: int, memory: bytes) -> bytes:
        items, flags, _, query, length, item_flags, _ = struct.unpack_from("<IIQQiIQ", memory)
        if (request, items, flags, query, item_flags) != (0xC0106479, 1, 0, 4, 0):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        data = struct.pack("<I12x", len(regions)) + _rows(regions)
        told = len(data) if length in (0, len(data)) else -errno.EINVAL
        head = struct.pack("<IIQQiIQ", 1, 0, 16, 4, told, 0, 40 if length else 0)
        return head + data if length == len(data) else head + memory[40:]

    return answer


def refusing(number: int) -> Ioctl:
    """Fail with that error."""

    def answer(path: str, request: int, memory: bytes) -> bytes:
        raise OSError(number, os.strerror(number), path)

    return answer


def _rows(regions: Iterable[Figures]) -> bytes:
    return b"".join(
        struct.pack("<HHIQQ64x", kind, instance, 4096, total, last)
        for instance, (kind, total, last) in enumerate(regions)
    )


def machine(
    name: str,
    changes: Mapping[str, Any] | None = None,
    *,
    ioctl: Ioctl | None = None,
    clock: Callable[[], float] | None = None,
) -> RecordedMachine:
    return RecordedMachine(files(name, changes), ioctl=ioctl, clock=clock or Clock())


def read(machine: RecordedMachine, device: str | None = None) -> GpuReading:
    """Read one device once: the first, unless it is named."""
    reader = open_reader(machine)
    (gpu,) = reader.read(device or reader.devices()[0])
    return gpu


def unknown(**causes: tuple[str, ...]) -> FrozenDict[str, Cause]:
    return FrozenDict({name: Cause(cause) for cause, names in causes.items() for name in names})


class Stage:
    """A machine whose files a test changes between two looks, and that notes what was asked."""

    def __init__(
        self, name: str, changes: Mapping[str, Any] | None = None, *, ioctl: Ioctl | None = None
    ) -> None:
        self.clock = Clock()
        self.asked: list[str] = []
        self._name = name
        self._changes = dict(changes or {})
        self._ioctl = ioctl
        self._machine = self._made()

    @property
    def machine(self) -> Machine:
        return cast(Machine, self)

    def change(self, changes: Mapping[str, Any], *, after: float = 1.0) -> None:
        """Let seconds go by, and put other files in the place of some."""
        self._changes.update(changes)
        self._machine = self._made()
        self.clock.now += after

    def answer(self, ioctl: Ioctl) -> None:
        self._ioctl = ioctl
        self._machine = self._made()

    def _made(self) -> RecordedMachine:
        return machine(self._name, self._changes, ioctl=self._ioctl, clock=self.clock)

    def __getattr__(self, name: str) -> Any:
        given = getattr(self._machine, name)
        if name not in {"read", "read_bytes", "list", "readlink", "may_open", "ioctl"}:
            return given

        def ask(path: str, *arguments: Any) -> Any:
            self.asked.append(path)
            return given(path, *arguments)

        return ask
