"""Macs, as ``ioreg``, ``sysctl`` and psutil tell of them."""

import plistlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from vramline.machine import RecordedMachine
from vramline.readers.apple import open_reader
from vramline.readers.apple.memory import SYSCTL
from vramline.readers.apple.registry import ACCELERATORS, CARDS
from vramline.readings import GpuReading
from vramline.units import GIB

DATA = Path(__file__).resolve().parents[2] / "data" / "apple"

TOTAL = 32 * GIB
AVAILABLE = 20 * GIB

MACOS_15 = "iogpu.wired_limit_mb: 0\nkern.osproductversion: 15.6\n"
MACOS_26 = "iogpu.wired_limit_mb: 0\nkern.osproductversion: 26.4\n"

AGX: Mapping[str, Any] = {
    "IOObjectClass": "AGXAcceleratorG15X",
    "IORegistryEntryID": 4294968000,
    "model": "Apple M3 Max",
    "PerformanceStatistics": {
        "Device Utilization %": 7,
        "Alloc system memory": 2 * GIB,
        "In use system memory": GIB,
    },
}
RADEON: Mapping[str, Any] = {
    "IOObjectClass": "AMDRadeonX6000_AMDNavi21GraphicsAccelerator",
    "IORegistryEntryID": 4294968001,
    "PerformanceStatistics": {
        "GPU Activity(%)": 64,
        "Device Utilization %": 50,
        "vramUsedBytes": 3 * GIB,
        "vramFreeBytes": 5 * GIB,
        "Temperature(C)": 71,
        "Total Power(W)": 138,
        "Core Clock(MHz)": 2100,
        "Memory Clock(MHz)": 1000,
        "Fan Speed(%)": 40,
        "Fan Speed(RPM)": 1200,
    },
}


def recorded(name: str) -> str:
    return (DATA / f"{name}.plist").read_text(encoding="utf-8")


def printed(*entries: Mapping[str, Any]) -> str:
    return plistlib.dumps(list(entries)).decode()


def with_stats(entry: Mapping[str, Any], **stats: object) -> dict[str, Any]:
    """Return the entry with other figures; ``None`` is one that is not there."""
    known = {**entry["PerformanceStatistics"], **stats}
    figures = {key: value for key, value in known.items() if value is not None}
    return {**entry, "PerformanceStatistics": figures}


def psutil(total: int, available: int) -> ModuleType:
    module = ModuleType("psutil")
    memory = SimpleNamespace(total=total, available=available)
    vars(module).update(
        Error=OSError,
        AccessDenied=PermissionError,
        virtual_memory=lambda: memory,
        swap_memory=lambda: SimpleNamespace(total=0, used=0),
    )
    return module


class Mac(RecordedMachine):
    """A Mac whose programs' answers may change, and which remembers what was run."""

    def __init__(
        self,
        answers: Mapping[tuple[str, ...], str | Exception],
        *,
        libraries: Mapping[str, ModuleType],
        clock: Callable[[], float],
    ) -> None:
        super().__init__({}, platform="darwin", libraries=libraries, clock=clock)
        self.answers = dict(answers)
        self.runs: list[tuple[str, ...]] = []

    def run(self, command: Sequence[str], *, timeout_seconds: float) -> str:
        self.runs.append(tuple(command))
        answer = self.answers[tuple(command)]
        if isinstance(answer, Exception):
            raise answer
        return answer


def mac(
    accelerators: str | Exception,
    *,
    total: int | None = TOTAL,
    available: int = AVAILABLE,
    sysctl: str | Exception = MACOS_15,
    cards: str | Exception = "",
    clock: Callable[[], float] = lambda: 0.0,
) -> Mac:
    """Return a Mac with those answers; without a *total* it has no psutil."""
    return Mac(
        {ACCELERATORS: accelerators, CARDS: cards, SYSCTL: sysctl},
        libraries={} if total is None else {"psutil": psutil(total, available)},
        clock=clock,
    )


def read(machine: RecordedMachine) -> tuple[GpuReading, ...]:
    reader = open_reader(machine)
    readings = [gpu for device in reader.devices() for gpu in reader.read(device)]
    arranged = reader.arrange(readings)
    reader.close()
    return arranged
