from pathlib import Path
from typing import Any

from tests.readers.nvidia.machines import AVAILABLE, TOTAL, machine
from tests.standin import StandIn
from vramline.readers.nvidia import open_reader
from vramline.readings import (
    Cause,
    FrozenDict,
    GpuProcess,
    GpuReading,
    MemoryBound,
    MemoryPool,
    ProcessKind,
)
from vramline.units import MIB

MACHINES = Path(__file__).resolve().parents[2] / "data" / "nvidia"


def read(nvml: StandIn, name: str) -> tuple[GpuReading, ...]:
    nvml.load((MACHINES / f"{name}.txt").read_text())
    reader = open_reader(machine())
    readings = [gpu for device in reader.devices() for gpu in reader.read(device)]
    arranged = reader.arrange(readings)
    reader.close()
    return arranged


def unknown(**causes: tuple[str, ...]) -> FrozenDict[str, Cause]:
    return FrozenDict({name: Cause(cause) for cause, names in causes.items() for name in names})


def test_a_geforce_keeps_a_reserve_that_is_neither_used_nor_free(nvml: StandIn) -> None:
    (gpu,) = read(nvml, "rtx3080_595")

    assert gpu == GpuReading(
        uid="GPU-19d6d965-2acc-f646-00f8-4c76979aabb4",
        vendor="nvidia",
        name="NVIDIA GeForce RTX 3080",
        index=0,
        pci_address="0000:0c:00.0",
        cuda_index=0,
        driver_version="595.58.03",
        cuda_version="13.2",
        compute_capability="8.6",
        memory_total_bytes=10240 * MIB,
        memory_used_bytes=9184 * MIB,
        memory_free_bytes=660 * MIB,
        memory_reserved_bytes=397 * MIB,
        memory_bandwidth_bytes_per_second=760_080_000_000,
        utilization_percent=65.0,
        memory_utilization_percent=45.0,
        temperature_celsius=27.0,
        power_watts=139.62,
        power_limit_watts=320.0,
        clock_mhz=1950.0,
        memory_clock_mhz=9251.0,
        fan_percent=0.0,
        throttle=(),
        processes=(),
    )


def test_an_a100_that_is_cut_has_no_load_and_its_instances_have_their_own_memory(
    nvml: StandIn,
) -> None:
    gpu, first, last = read(nvml, "a100_mig_535")

    assert gpu == GpuReading(
        uid="GPU-513536b6-7d19-9063-b049-1e69664bb298",
        vendor="nvidia",
        name="NVIDIA A100-SXM4-80GB",
        index=0,
        pci_address="0000:01:00.0",
        visible=False,
        driver_version="535.54.03",
        cuda_version="12.2",
        compute_capability="8.0",
        memory_total_bytes=81920 * MIB,
        memory_used_bytes=50 * MIB,
        memory_free_bytes=80999 * MIB,
        memory_reserved_bytes=869 * MIB,
        memory_bandwidth_bytes_per_second=2_039_040_000_000,
        temperature_celsius=27.0,
        power_watts=67.03,
        power_limit_watts=500.0,
        clock_mhz=1275.0,
        memory_clock_mhz=1593.0,
        throttle=(),
        processes=(),
        unknown=unknown(
            not_supported=("utilization_percent", "memory_utilization_percent", "fan_percent")
        ),
    )
    assert (first.visible, last.visible) == (True, True)
    assert [(each.index, each.parent_uid) for each in (first, last)] == [(0, gpu.uid), (3, gpu.uid)]
    assert first == GpuReading(
        uid=first.uid,
        vendor="nvidia",
        name="NVIDIA A100-SXM4-80GB MIG 1g.20gb",
        index=0,
        pci_address="0000:01:00.0",
        parent_uid=gpu.uid,
        driver_version="535.54.03",
        cuda_version="12.2",
        compute_capability="8.0",
        memory_total_bytes=19968 * MIB,
        memory_used_bytes=12 * MIB,
        memory_free_bytes=19955 * MIB,
        memory_reserved_bytes=0,
        processes=(),
        unknown=unknown(
            on_parent=(
                "memory_bandwidth_bytes_per_second",
                "utilization_percent",
                "memory_utilization_percent",
                "temperature_celsius",
                "power_watts",
                "power_limit_watts",
                "clock_mhz",
                "memory_clock_mhz",
                "fan_percent",
                "throttle",
            )
        ),
    )


def a_gpu(**told: Any) -> GpuReading:
    """Return a reading with what a report tells, and with the stand-in's own figures."""
    values: dict[str, Any] = {
        "uid": "GPU-00000000-0000-4000-8000-000000000000",
        "vendor": "nvidia",
        "index": 0,
        "cuda_index": 0,
        "clock_mhz": 1800.0,
        "memory_clock_mhz": 10001.0,
        "throttle": (),
        "processes": (),
    }
    return GpuReading(**{**values, **told})


def test_a_virtual_gpu_has_no_temperature_and_no_power(nvml: StandIn) -> None:
    assert read(nvml, "vgpu_v100d_550") == (
        a_gpu(
            name="GRID V100D-8C",
            pci_address="0000:00:06.0",
            driver_version="550.54.15",
            cuda_version="12.4",
            compute_capability="7.0",
            memory_total_bytes=8192 * MIB,
            memory_used_bytes=0,
            memory_free_bytes=8192 * MIB,
            memory_reserved_bytes=0,
            utilization_percent=0.0,
            memory_utilization_percent=0.0,
            unknown=unknown(
                not_supported=(
                    "temperature_celsius",
                    "power_watts",
                    "power_limit_watts",
                    "fan_percent",
                    "memory_bandwidth_bytes_per_second",
                )
            ),
        ),
    )


def test_under_wsl_a_process_is_told_without_its_memory(nvml: StandIn) -> None:
    assert read(nvml, "wsl2_rtx4050_610") == (
        a_gpu(
            name="NVIDIA GeForce RTX 4050 Laptop GPU",
            pci_address="0000:01:00.0",
            driver_version="610.43.02",
            cuda_version="13.3",
            compute_capability="8.9",
            memory_total_bytes=6141 * MIB,
            memory_used_bytes=1278 * MIB,
            memory_free_bytes=(6141 - 1278) * MIB,
            memory_reserved_bytes=0,
            memory_bandwidth_bytes_per_second=192_024_000_000,
            utilization_percent=1.0,
            memory_utilization_percent=10.0,
            temperature_celsius=64.0,
            power_watts=18.0,
            power_limit_watts=98.0,
            processes=(GpuProcess(pid=32, memory_bytes=None, kind=ProcessKind.GRAPHICS),),
            unknown=unknown(not_supported=("fan_percent",)),
        ),
    )


def test_an_orin_is_a_name_and_the_hosts_memory(nvml: StandIn) -> None:
    (gpu,) = read(nvml, "orin_540")

    assert (gpu.name, gpu.memory_pool) == ("Orin (nvgpu)", MemoryPool.UNIFIED)
    assert (gpu.memory_total_bytes, gpu.memory_free_bytes) == (TOTAL, AVAILABLE)
    assert gpu.unknown == unknown(
        not_supported=(
            "pci_address",
            "compute_capability",
            "memory_bandwidth_bytes_per_second",
            "utilization_percent",
            "memory_utilization_percent",
            "temperature_celsius",
            "power_watts",
            "power_limit_watts",
            "clock_mhz",
            "memory_clock_mhz",
            "fan_percent",
            "throttle",
            "memory_reserved_bytes",
            "processes",
        )
    )


def test_a_gb10_has_the_hosts_memory_and_tells_what_processes_hold(nvml: StandIn) -> None:
    assert read(nvml, "gb10_580") == (
        a_gpu(
            name="NVIDIA GB10",
            pci_address="000f:01:00.0",
            driver_version="580.126.09",
            cuda_version="13.0",
            compute_capability="12.1",
            memory_pool=MemoryPool.UNIFIED,
            memory_total_bytes=TOTAL,
            memory_used_bytes=TOTAL - AVAILABLE,
            memory_free_bytes=AVAILABLE,
            memory_free_bound_by=MemoryBound.HOST,
            utilization_percent=0.0,
            memory_utilization_percent=0.0,
            temperature_celsius=50.0,
            power_watts=11.0,
            processes=(
                GpuProcess(pid=5459, memory_bytes=2079 * MIB),
                GpuProcess(pid=8099, memory_bytes=338 * MIB, kind=ProcessKind.GRAPHICS),
            ),
            unknown=unknown(
                not_supported=(
                    "power_limit_watts",
                    "fan_percent",
                    "memory_bandwidth_bytes_per_second",
                    "memory_reserved_bytes",
                )
            ),
        ),
    )
