"""Says what is wrong with a machine's GPUs and their drivers, and what mends it.

Nothing is opened that is not open already: the driver's part comes from a
snapshot, the rest from files that wake no GPU.
"""

from importlib.metadata import PackageNotFoundError, version

from vramline.doctor import (
    bus,
    containers,
    cuda,
    driver,
    gpus,
    memory,
    nodes,
    processes,
    python,
    rocm,
    vendors,
    wsl,
)
from vramline.doctor.findings import Finding, Status, VersionOf, gather
from vramline.machine import Machine
from vramline.readings import Snapshot

__all__ = ["Finding", "Status", "examine", "installed_version"]

CHECKS = (
    *python.CHECKS,
    *vendors.CHECKS,
    *gpus.CHECKS,
    *memory.CHECKS,
    *processes.CHECKS,
    *cuda.CHECKS,
    *rocm.CHECKS,
)
LINUX_CHECKS = (
    *python.LINUX_CHECKS,
    *vendors.LINUX_CHECKS,
    *bus.LINUX_CHECKS,
    *driver.LINUX_CHECKS,
    *nodes.LINUX_CHECKS,
    *containers.LINUX_CHECKS,
    *wsl.LINUX_CHECKS,
    *gpus.LINUX_CHECKS,
    *memory.LINUX_CHECKS,
    *processes.LINUX_CHECKS,
)
"""Each takes the case, and gives no finding where it does not apply."""

_ORDER = tuple(Status)


def installed_version(distribution: str) -> str | None:
    """Return the version of an installed Python distribution, ``None`` where there is none."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def examine(
    machine: Machine,
    snapshot: Snapshot,
    *,
    version_of: VersionOf = installed_version,
    took_seconds: float = 0.0,
) -> list[Finding]:
    """Return what there is to say, problems first.

    *took_seconds* is how long the snapshot took.
    """
    case = gather(machine, snapshot, version_of, took_seconds)
    checks = [*CHECKS, *(LINUX_CHECKS if machine.platform == "linux" else ())]
    findings = [finding for check in checks for finding in check(case)]
    return sorted(findings, key=lambda finding: _ORDER.index(finding.status))
