"""What a person is told for the names that readings have."""

from vramline.readings import Cause, GpuState, MemoryBound, MemoryPool

CAUSES = {
    Cause.NOT_SUPPORTED: "not supported by this {device}",
    Cause.DRIVER_TOO_OLD: "this driver is too old to tell",
    Cause.DRIVER_EXPOSES_NOTHING: "this driver tells nothing of this {device}",
    Cause.NO_PERMISSION: "this user or container may not ask",
    Cause.ASLEEP: "the {device} is asleep, and asking would wake it",
    Cause.LOST: "the {device} fell off the bus, or needs a reset",
    Cause.TIMEOUT: "the driver did not answer in time",
    Cause.FIRST_SAMPLE: "takes two looks, and this was the first",
    Cause.ON_PARENT: "told of the whole {device} only",
    Cause.GARBLED: "the answer makes no sense",
    Cause.DRIVER_ERROR: "the driver answered with an error",
}

FIELDS = {
    "memory_total_bytes": "memory",
    "memory_used_bytes": "memory",
    "memory_available_bytes": "free memory",
    "memory_free_bytes": "free memory",
    "utilization_percent": "utilisation",
    "cpu_percent": "utilisation",
    "temperature_celsius": "temperature",
    "power_watts": "power",
    "power_limit_watts": "power limit",
    "processes": "processes",
}
"""The fields that the table shows. Those with the same words are told once."""

POOLS = {
    MemoryPool.VRAM: "",
    MemoryPool.GTT: "memory lent by the host",
    MemoryPool.UNIFIED: "memory shared with the host",
}

STATES = {GpuState.ACTIVE: "", GpuState.ASLEEP: "asleep", GpuState.LOST: "lost"}

BOUNDS = {
    MemoryBound.HOST: "",
    MemoryBound.CGROUP: "limited by a cgroup",
    MemoryBound.GTT: "limited by GTT",
    MemoryBound.WIRED_LIMIT: "limited by macOS",
    MemoryBound.SHARED_LIMIT: "limited by Windows",
}
"""What keeps the free memory from being all that the host has."""

HIDDEN = {"nvidia": "hidden by CUDA_VISIBLE_DEVICES", "amd": "hidden from ROCm"}

SILENT = "its driver tells nothing"
SILENT_BUT = "its driver tells nothing else"

_VENDORS = {
    "nvidia": "NVIDIA",
    "amd": "AMD",
    "intel": "Intel",
    "apple": "Apple",
    "qualcomm": "Qualcomm",
}
_READERS = {"windows": "Display adapters"}
"""A reader that is not of one vendor, and what it reads."""


def vendor_name(vendor: str) -> str:
    """Return what a person calls a vendor of readings, or a reader."""
    return _VENDORS.get(vendor) or _READERS.get(vendor) or vendor.replace("pci:", "PCI vendor ")


def printable(text: str) -> str:
    """Return *text* without what would move the cursor: names of processes are anybody's to set."""
    return "".join(each if each.isprintable() else "?" for each in text)
