"""How much model this machine can carry right now, and a warning before it runs out."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from vramline.errors import (
        ModelFormatError,
        ReadError,
        ReaderUnavailableError,
        RecordingError,
        VramlineError,
    )
    from vramline.fit.amounts import Amount, Item, Part
    from vramline.fit.estimate import estimate
    from vramline.fit.estimate import lay_out_any as lay_out
    from vramline.fit.files import read_model
    from vramline.fit.model import Model
    from vramline.fit.need import MemoryNeed
    from vramline.fit.plan.candidates import candidate_of
    from vramline.fit.plan.planning import plan
    from vramline.fit.plan.values import Plan
    from vramline.fit.plan.wish import Wish
    from vramline.fit.settings import (
        Backend,
        Device,
        FlashAttention,
        Runner,
        Settings,
        settings_of,
    )
    from vramline.fit.tensor_types import TensorType
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
    "vramline.errors": (
        "ModelFormatError",
        "ReadError",
        "ReaderUnavailableError",
        "RecordingError",
        "VramlineError",
    ),
    "vramline.fit.amounts": ("Amount", "Item", "Part"),
    "vramline.fit.estimate": ("estimate", "lay_out"),
    "vramline.fit.files": ("read_model",),
    "vramline.fit.model": ("Model",),
    "vramline.fit.need": ("MemoryNeed",),
    "vramline.fit.plan.candidates": ("candidate_of",),
    "vramline.fit.plan.planning": ("plan",),
    "vramline.fit.plan.values": ("Plan",),
    "vramline.fit.plan.wish": ("Wish",),
    "vramline.fit.settings": (
        "Backend",
        "Device",
        "FlashAttention",
        "Runner",
        "Settings",
        "settings_of",
    ),
    "vramline.fit.tensor_types": ("TensorType",),
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
_OTHER_NAMES = {"lay_out": "lay_out_any", "snapshot": "take_snapshot"}

__all__ = [
    "Amount",
    "Backend",
    "Cause",
    "Deadlines",
    "Device",
    "FlashAttention",
    "GpuProcess",
    "GpuReading",
    "GpuState",
    "HostReading",
    "Item",
    "LiveMachine",
    "Machine",
    "MemoryBound",
    "MemoryNeed",
    "MemoryPool",
    "Model",
    "ModelFormatError",
    "Part",
    "Plan",
    "ProcessKind",
    "ReadError",
    "ReaderUnavailableError",
    "RecordedMachine",
    "RecordingError",
    "Runner",
    "Sampler",
    "Settings",
    "Snapshot",
    "TensorType",
    "VramlineError",
    "Wish",
    "candidate_of",
    "estimate",
    "lay_out",
    "plan",
    "read_model",
    "settings_of",
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
