"""How much model this machine can carry right now, and a warning before it runs out."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from vramline.errors import (
        ReadError,
        ReaderUnavailableError,
        RecordingError,
        VramlineError,
    )
    from vramline.machine import LiveMachine, Machine, RecordedMachine
    from vramline.readings import (
        Cause,
        GpuProcess,
        GpuReading,
        GpuState,
        HostReading,
        MemoryBound,
        MemoryPool,
        ProcessKind,
        Snapshot,
    )
    from vramline.sampler import Deadlines, Sampler
    from vramline.sampler import take_snapshot as snapshot

_HOMES = {
    "vramline.errors": ("ReadError", "ReaderUnavailableError", "RecordingError", "VramlineError"),
    "vramline.machine": ("LiveMachine", "Machine", "RecordedMachine"),
    "vramline.readings": (
        "Cause",
        "GpuProcess",
        "GpuReading",
        "GpuState",
        "HostReading",
        "MemoryBound",
        "MemoryPool",
        "ProcessKind",
        "Snapshot",
    ),
    "vramline.sampler": ("Deadlines", "Sampler", "snapshot"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}
_OTHER_NAMES = {"snapshot": "take_snapshot"}

__all__ = [
    "Cause",
    "Deadlines",
    "GpuProcess",
    "GpuReading",
    "GpuState",
    "HostReading",
    "LiveMachine",
    "Machine",
    "MemoryBound",
    "MemoryPool",
    "ProcessKind",
    "ReadError",
    "ReaderUnavailableError",
    "RecordedMachine",
    "RecordingError",
    "Sampler",
    "Snapshot",
    "VramlineError",
    "snapshot",
]


def __getattr__(name: str) -> Any:
    """Load a public name on first use: ``import vramline`` itself loads next to nothing."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_HOME_OF[name]), _OTHER_NAMES.get(name, name))
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
