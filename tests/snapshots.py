"""Snapshots built by hand, for what shows them or judges by them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from vramline.readings import (
    Cause,
    FrozenDict,
    GpuProcess,
    GpuReading,
    GpuState,
    HostReading,
    Snapshot,
)
from vramline.units import GIB

FIGURES = (
    "memory_total_bytes",
    "memory_used_bytes",
    "memory_free_bytes",
    "utilization_percent",
    "temperature_celsius",
    "power_watts",
    "power_limit_watts",
    "throttle",
    "processes",
)

HOST = HostReading(
    cpu_percent=12.3,
    cores=8.0,
    memory_total_bytes=32 * GIB,
    memory_used_bytes=14 * GIB,
    memory_available_bytes=17 * GIB,
    memory_percent=43.75,
    swap_total_bytes=0,
    swap_used_bytes=0,
)


def a_gpu(index: int, **changes: Any) -> GpuReading:
    """A healthy GPU, apart from the changes."""
    gpu = GpuReading(
        uid=f"GPU-{index}",
        vendor="nvidia",
        name="NVIDIA GeForce RTX 4090",
        index=index,
        pci_address=f"0000:{index + 1:02x}:00.0",
        driver_version="580.65.06",
        cuda_version="13.0",
        memory_total_bytes=24 * GIB,
        memory_used_bytes=2 * GIB,
        memory_free_bytes=43 * GIB // 2,
        utilization_percent=25.0,
        temperature_celsius=41.0,
        power_watts=60.4,
        power_limit_watts=450.0,
        throttle=(),
        processes=(),
    )
    return replace(gpu, **changes)


def without(gpu: GpuReading, cause: Cause, *fields: str, **changes: Any) -> GpuReading:
    """The same without these fields, or without any figure, for that cause."""
    names = fields or FIGURES
    nothing: dict[str, Any] = dict.fromkeys(names)
    unknown = FrozenDict({**gpu.unknown, **dict.fromkeys(names, cause)})
    return replace(gpu, unknown=unknown, **nothing, **changes)


def asleep(index: int, **changes: Any) -> GpuReading:
    return without(a_gpu(index, **changes), Cause.ASLEEP, state=GpuState.ASLEEP)


def lost(index: int, **changes: Any) -> GpuReading:
    return without(a_gpu(index, **changes), Cause.LOST, state=GpuState.LOST)


def an_instance(place: int, parent: GpuReading, **changes: Any) -> GpuReading:
    """A MIG instance of *parent*."""
    instance = without(
        a_gpu(place),
        Cause.ON_PARENT,
        "utilization_percent",
        "temperature_celsius",
        "power_watts",
        "power_limit_watts",
        "throttle",
        uid=f"MIG-{place}",
        name=f"{parent.name} MIG 3g.40gb",
        parent_uid=parent.uid,
    )
    return replace(instance, **changes)


def a_process(pid: int, memory_bytes: int | None, **changes: Any) -> GpuProcess:
    process = GpuProcess(pid=pid, name="python", user="alice", memory_bytes=memory_bytes)
    return replace(process, **changes)


def a_snapshot(
    *gpus: GpuReading,
    host: HostReading = HOST,
    absent: Mapping[str, str] | None = None,
    failures: Mapping[str, str] | None = None,
) -> Snapshot:
    return Snapshot(
        taken_at=datetime(2026, 1, 2, tzinfo=UTC),
        host=host,
        gpus=gpus,
        absent=FrozenDict(absent or {}),
        failures=FrozenDict(failures or {}),
    )
