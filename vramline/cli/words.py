"""What a person is told for the names that readings have."""

from vramline.readings import Cause, GpuState, MemoryPool

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
    "name": "name",
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

VENDORS = {"nvidia": "NVIDIA", "amd": "AMD", "intel": "Intel", "apple": "Apple"}


def printable(text: str) -> str:
    """Return *text* without what would move the cursor: names of processes are anybody's to set."""
    return "".join(each if each.isprintable() else "?" for each in text)
