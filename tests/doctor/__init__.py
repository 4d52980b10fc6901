"""What the tests of the checks share: GPUs in a machine, and its examination."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.snapshots import a_gpu, a_snapshot
from vramline.doctor import Finding, examine
from vramline.machine import RecordedMachine
from vramline.machine.recording import Recording
from vramline.readings import GpuReading, MemoryBound, MemoryPool, Snapshot
from vramline.units import GIB

PCI = "/sys/bus/pci/devices"
Entries = Mapping[str, str | Mapping[str, Any]]

INSTALLED = {"nvidia-ml-py": "13.615.71"}
LOADED = {"/sys/module/nvidia/version": "580.65.06\n"}
NODES = {"/dev/nvidiactl": "", "/dev/nvidia0": "", "/dev/null": ""}


def on_bus(
    address: str = "0000:01:00.0", driver: str | None = "nvidia", vendor: str = "0x10de"
) -> dict[str, str | Mapping[str, Any]]:
    """A GPU on the PCI bus, and the kernel driver bound to it."""
    entries: dict[str, str | Mapping[str, Any]] = {
        f"{PCI}/{address}/vendor": f"{vendor}\n",
        f"{PCI}/{address}/class": "0x030000\n",
    }
    if driver is not None:
        link = {"symlink": f"../../../../bus/pci/drivers/{driver}"}
        entries[f"{PCI}/{address}/driver"] = link
    return entries


def a_card(
    driver: str = "amdgpu", address: str = "0000:03:00.0", number: int = 0
) -> dict[str, str | Mapping[str, Any]]:
    """A card that one of Linux' own drivers has, on the bus and under ``/sys/class/drm``."""
    vendor = "0x1002" if driver in ("amdgpu", "radeon") else "0x8086"
    uevent = f"DRIVER={driver}\nPCI_ID={vendor[2:]}:1234\nPCI_SLOT_NAME={address}\n"
    drm = "/sys/class/drm"
    return {
        **on_bus(address, driver, vendor),
        f"{drm}/card{number}/device/uevent": uevent,
        f"{drm}/renderD{128 + number}/device/uevent": uevent,
    }


def an_amd_gpu(**changes: Any) -> GpuReading:
    """One with memory of its own."""
    known: dict[str, Any] = {
        "uid": "GPU-5c88007d4c5e4aad",
        "vendor": "amd",
        "name": "AMD Radeon RX 7900 XTX",
        "pci_address": "0000:03:00.0",
        "driver_version": "6.12.10",
        "cuda_version": None,
        "power_limit_watts": 303.0,
    }
    return replace(a_gpu(0), **{**known, **changes})


def an_amd_apu(**changes: Any) -> GpuReading:
    """One that has a part of the host's memory."""
    known: dict[str, Any] = {
        "uid": "0000:c4:00.0",
        "name": "AMD Radeon 890M",
        "pci_address": "0000:c4:00.0",
        "memory_pool": MemoryPool.GTT,
        "memory_total_bytes": 16 * GIB,
        "memory_used_bytes": 4 * GIB,
        "memory_free_bytes": 12 * GIB,
        "memory_free_bound_by": MemoryBound.GTT,
    }
    return an_amd_gpu(**{**known, **changes})


def an_intel_gpu(**changes: Any) -> GpuReading:
    """One with memory of its own."""
    known: dict[str, Any] = {
        "uid": "0000:03:00.0",
        "vendor": "intel",
        "name": "Intel Arc B580",
        "memory_total_bytes": 12 * GIB,
        "memory_used_bytes": 2 * GIB,
        "memory_free_bytes": 10 * GIB,
    }
    return an_amd_gpu(**{**known, **changes})


def found(
    check: str,
    entries: Entries | None = None,
    *,
    snapshot: Snapshot | None = None,
    environ: Mapping[str, str] | None = None,
    platform: str = "linux",
    process: str = "self",
    versions: Mapping[str, str] = INSTALLED,
    took_seconds: float = 0.4,
) -> list[Finding]:
    """What the examination of a machine finds under the name *check*."""
    findings = examine(
        RecordedMachine(
            entries or {},
            platform=platform,
            environ=environ,
            recording=Recording(process=process),
        ),
        snapshot or a_snapshot(),
        version_of=versions.get,
        took_seconds=took_seconds,
    )
    return [finding for finding in findings if finding.check == check]
