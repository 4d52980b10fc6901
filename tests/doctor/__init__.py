"""What the tests of the checks share: a machine with an NVIDIA GPU, and its examination."""

from collections.abc import Mapping
from typing import Any

from tests.snapshots import a_snapshot
from vramline.doctor import Finding, examine
from vramline.machine import RecordedMachine
from vramline.readings import Snapshot

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


def found(
    check: str,
    entries: Entries | None = None,
    *,
    snapshot: Snapshot | None = None,
    environ: Mapping[str, str] | None = None,
    platform: str = "linux",
    versions: Mapping[str, str] = INSTALLED,
    took_seconds: float = 0.4,
) -> list[Finding]:
    """What the examination of a machine finds under the name *check*."""
    findings = examine(
        RecordedMachine(entries or {}, platform=platform, environ=environ),
        snapshot or a_snapshot(),
        version_of=versions.get,
        took_seconds=took_seconds,
    )
    return [finding for finding in findings if finding.check == check]
