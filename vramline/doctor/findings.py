"""What the checks look at, and what they give."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from vramline.doctor import surroundings
from vramline.doctor.makers import MAKERS, NVIDIA, Maker, maker_of, vendor_name
from vramline.machine import Machine
from vramline.readers.drm import Card, find_cards
from vramline.readers.pci import PciGpu, find_gpus
from vramline.readings import GpuReading, Snapshot

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
        on_bus: Each maker's GPUs, as Linux sees them on the PCI bus.
        cards: Those of each maker whose drivers come with Linux, as its drivers have them.
        container: What kind of container this is, where it is one.
        wsl: Whether this is Linux under Windows (WSL 2).
    """

    machine: Machine
    snapshot: Snapshot
    version_of: VersionOf
    took_seconds: float
    on_bus: Mapping[str, Sequence[PciGpu]]
    cards: Mapping[str, Sequence[Card]]
    container: str | None
    wsl: bool

    @property
    def environ(self) -> Mapping[str, str]:
        return self.machine.environ

    @property
    def looks_at_host(self) -> bool:
        """Whether another system is looked at than the one that this process runs in."""
        return self.machine.process != "self"

    def gpus(self, vendor: str = NVIDIA) -> list[GpuReading]:
        """Return the vendor's whole GPUs, without those whose driver tells nothing."""
        gpus = self.snapshot.gpus
        whole = [gpu for gpu in gpus if gpu.vendor == vendor and gpu.parent_uid is None]
        return [gpu for gpu in whole if not gpu.is_silent]

    def driven(self, maker: Maker) -> list[str]:
        """Return the addresses of the maker's GPUs that have a driver which tells figures."""
        on_bus = self.on_bus.get(maker.vendor, ())
        return [gpu.address for gpu in on_bus if gpu.driver in maker.drivers]

    def failed(self, text: str) -> bool:
        """Tell whether the NVIDIA driver failed with *text*."""
        return text in self.snapshot.failures.get(NVIDIA, "")

    def look_in_log(self, vendor: str, then: str = "") -> str | None:
        """Return how to find what the vendor's driver said, and what to do *then*."""
        maker = maker_of(vendor)
        steps = [maker.log] if maker and self.machine.platform == "linux" else []
        return ", then ".join([*steps, *([then] if then else [])]) or None

    def newer_driver(self, vendor: str) -> str:
        """Return how to get a newer driver."""
        if self.machine.platform == "darwin":
            return "update macOS"
        maker = maker_of(vendor)
        if maker and self.machine.platform == "linux":
            return maker.newer
        return f"update {vendor_name(vendor)}'s driver"


Findings = Iterator[Finding]


def gather(
    machine: Machine, snapshot: Snapshot, version_of: VersionOf, took_seconds: float
) -> Case:
    """Put together what the checks look at."""
    makers = MAKERS if machine.platform == "linux" else ()
    return Case(
        machine=machine,
        snapshot=snapshot,
        version_of=version_of,
        took_seconds=took_seconds,
        on_bus={maker.vendor: find_gpus(machine, maker.pci_id) for maker in makers},
        cards={
            maker.vendor: find_cards(machine, maker.drivers) for maker in makers if maker.in_kernel
        },
        container=surroundings.container(machine),
        wsl=surroundings.is_wsl(machine),
    )


def title(gpu: GpuReading) -> str:
    """Return what a person calls the GPU."""
    where = gpu.pci_address or gpu.uid
    if gpu.index is None:
        return f"GPU {gpu.name}" if gpu.name else f"{vendor_name(gpu.vendor)} GPU at {where}"
    return f"GPU {gpu.index} ({gpu.name or f'{vendor_name(gpu.vendor)} at {where}'})"
