"""What the checks look at, and what they give."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from vramline.doctor import surroundings
from vramline.machine import Machine
from vramline.readers.pci import PciGpu, find_gpus
from vramline.readings import GpuReading, Snapshot

NVIDIA = "nvidia"
NVIDIA_ON_BUS = "0x10de"
LOOK_FOR_XIDS = "sudo dmesg | grep -iE 'xid|nvrm'"

VersionOf = Callable[[str], str | None]
"""Gives the version of an installed Python distribution, ``None`` where there is none."""


class Status(StrEnum):
    """How bad it is."""

    PROBLEM = "problem"
    """Something does not work that should."""
    NOTE = "note"
    """It is as it should be, or may be; it explains what is seen."""
    OK = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found.

    Attributes:
        check: What was looked at, in a few words.
        meaning: What that does to somebody who uses the machine.
        mend: What to run, or to do, about it.
    """

    check: str
    status: Status
    found: str
    meaning: str | None = None
    mend: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The machine that is examined.

    Attributes:
        took_seconds: How long the snapshot took.
        on_bus: NVIDIA's GPUs, as Linux sees them on the PCI bus.
        container: What kind of container this is, where it is one.
        wsl: Whether this is Linux under Windows (WSL 2).
    """

    machine: Machine
    snapshot: Snapshot
    version_of: VersionOf
    took_seconds: float
    on_bus: Sequence[PciGpu]
    container: str | None
    wsl: bool

    @property
    def environ(self) -> Mapping[str, str]:
        return self.machine.environ

    def gpus(self, vendor: str = NVIDIA) -> list[GpuReading]:
        """Return the vendor's whole GPUs."""
        gpus = self.snapshot.gpus
        return [gpu for gpu in gpus if gpu.vendor == vendor and gpu.parent_uid is None]

    def failed(self, text: str) -> bool:
        """Tell whether the NVIDIA driver failed with *text*."""
        return text in self.snapshot.failures.get(NVIDIA, "")


Findings = Iterator[Finding]


def gather(
    machine: Machine, snapshot: Snapshot, version_of: VersionOf, took_seconds: float
) -> Case:
    """Put together what the checks look at."""
    return Case(
        machine=machine,
        snapshot=snapshot,
        version_of=version_of,
        took_seconds=took_seconds,
        on_bus=find_gpus(machine, NVIDIA_ON_BUS) if machine.platform == "linux" else [],
        container=surroundings.container(machine),
        wsl=surroundings.is_wsl(machine),
    )


def title(gpu: GpuReading) -> str:
    """Return what a person calls the GPU."""
    name = gpu.name or gpu.pci_address or gpu.uid
    return f"GPU {name}" if gpu.index is None else f"GPU {gpu.index} ({name})"
