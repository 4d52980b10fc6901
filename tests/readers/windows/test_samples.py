from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.machines import recorded
from tests.readers.breakage import unexplained
from tests.readers.windows.machines import (
    FIRST,
    HALO_READING,
    HALO_SHARED,
    NAVI_READING,
    NEVER,
    REGISTERED,
    SENSORS,
    ampere,
    halo,
    navi,
    two_gpus,
)
from vramline.machine import RecordedMachine
from vramline.machine.capture import CapturingMachine
from vramline.machine.masking import Masks
from vramline.machine.writing import Header, to_text
from vramline.readers.windows import open_reader
from vramline.readings import Cause, GpuProcess, GpuReading, MemoryBound, MemoryPool, ProcessKind
from vramline.units import GIB, MIB


def test_a_card_is_read_whole_at_the_second_look() -> None:
    windows = navi()
    reader = open_reader(windows.machine(names={612: "dwm.exe"}))
    [first] = reader.read("0000:03:00.0")
    windows.now += 1.0
    [second] = reader.read("0000:03:00.0")
    reader.close()

    assert NAVI_READING.processes
    at_first: dict[str, Any] = {
        "utilization_percent": None,
        "processes": NAVI_READING.processes[:2],
    }
    assert first == replace(NAVI_READING, **at_first, unknown={**NEVER, **FIRST})
    assert second == NAVI_READING
    assert windows.asked[-1] == ("close",)


def test_a_card_is_described_without_being_asked() -> None:
    windows = navi()
    reader = open_reader(windows.machine())
    asked = len(windows.asked)

    described = reader.describe("0000:03:00.0", Cause.TIMEOUT)

    lasting = ("cuda_version", "compute_capability", "memory_bandwidth_bytes_per_second")
    assert reader.devices() == ("0000:03:00.0",)
    assert (described.name, described.pci_address) == ("AMD Radeon RX 5700 XT", "0000:03:00.0")
    assert {described.unknown[name] for name in lasting} == {Cause.NOT_SUPPORTED}
    assert described.unknown["memory_used_bytes"] is Cause.TIMEOUT
    assert unexplained(described) == set()
    assert len(windows.asked) == asked


def test_a_large_carve_out_is_a_gpus_own_memory_and_the_third_luid_is_no_gpu() -> None:
    windows = halo(carve_out=96 * GIB, shared=16 * GIB)
    reader = open_reader(windows.machine(total=32 * GIB, available=20 * GIB))

    assert [gpu for key in reader.devices() for gpu in reader.read(key)] == [HALO_READING]


SMALL_HALO_READING = replace(
    HALO_READING,
    memory_pool=MemoryPool.UNIFIED,
    memory_total_bytes=127 * GIB,
    memory_used_bytes=27 * GIB,
    memory_free_bytes=63 * GIB - HALO_SHARED,
    memory_free_bound_by=MemoryBound.SHARED_LIMIT,
    processes=(
        GpuProcess(pid=70, memory_bytes=4 * GIB, kind=ProcessKind.GRAPHICS),
        GpuProcess(pid=71, memory_bytes=2 * GIB, kind=ProcessKind.GRAPHICS),
    ),
)


def later(first: GpuReading) -> GpuReading:
    """Return what an idle GPU's second look has."""
    unknown = {name: cause for name, cause in first.unknown.items() if name not in FIRST}
    return replace(first, utilization_percent=0.0, unknown=unknown)


def test_a_small_carve_out_leaves_the_hosts_memory_to_models() -> None:
    windows = halo(carve_out=512 * MIB, shared=63 * GIB)
    reader = open_reader(windows.machine(total=127 * GIB, available=100 * GIB))

    assert reader.read("0000:c5:00.0") == [SMALL_HALO_READING]


def test_what_the_host_has_available_bounds_a_shared_pool() -> None:
    windows = halo(carve_out=512 * MIB, shared=63 * GIB)
    reader = open_reader(windows.machine(total=127 * GIB, available=9 * GIB))

    [gpu] = reader.read("0000:c5:00.0")

    assert (gpu.memory_free_bytes, gpu.memory_free_bound_by) == (9 * GIB, MemoryBound.HOST)


def test_each_engine_counts_for_its_own_gpu() -> None:
    windows = two_gpus()
    reader = open_reader(windows.machine())
    keys = reader.devices()
    for key in keys:
        reader.read(key)
    windows.now += 1

    intel, nvidia = (reader.read(key)[0] for key in keys)

    assert keys == ("0000:00:02.0", "0000:01:00.0")
    assert (intel.vendor, intel.index, intel.utilization_percent) == ("intel", 0, 7.5)
    assert (nvidia.vendor, nvidia.index, nvidia.utilization_percent) == ("nvidia", 0, 40.0)
    assert intel.processes == (GpuProcess(pid=14904, memory_bytes=0, kind=ProcessKind.GRAPHICS),)


def test_intels_128_mib_are_no_memory_of_its_own() -> None:
    intel, nvidia = (
        gpu
        for reader in [open_reader(two_gpus().machine())]
        for key in reader.devices()
        for gpu in reader.read(key)
    )

    assert (intel.memory_pool, nvidia.memory_pool) == (MemoryPool.UNIFIED, MemoryPool.VRAM)
    assert intel.memory_free_bytes == 8 * GIB - 200 * MIB
    assert nvidia.memory_free_bytes == 2 * GIB - 300 * MIB


def test_one_collection_serves_all_gpus_of_a_round() -> None:
    windows = two_gpus()
    reader = open_reader(windows.machine())
    counts = []
    for pause in (0.0, 0.05, 0.2, 0.0):
        windows.now += pause
        for key in reader.devices():
            reader.read(key)
        counts.append(windows.asked.count(("collect",)))

    assert counts == [1, 1, 2, 2]


def test_a_clock_that_went_back_is_no_reason_to_wait() -> None:
    windows = two_gpus()
    reader = open_reader(windows.machine())
    reader.read("0000:01:00.0")
    windows.now = 5.0
    reader.read("0000:01:00.0")

    assert windows.asked.count(("collect",)) == 2


@pytest.mark.parametrize(
    ("registered", "total"),
    [
        (REGISTERED, 10737418240),
        ([*REGISTERED, REGISTERED[1]], 10737418240),
        ([*REGISTERED, {"device": r"PCI\VEN_10DE&DEV_2206", "memory_bytes": 5}], None),
        (REGISTERED[:1], None),
    ],
)
def test_the_registry_tells_what_dxgi_does_not(
    registered: list[dict[str, Any]], total: int | None
) -> None:
    [gpu] = open_reader(ampere(registered).machine()).read("0000:03:00.0")

    assert gpu.memory_total_bytes == total
    assert gpu.memory_used_bytes == GIB
    assert gpu.memory_free_bytes == (None if total is None else total - GIB)
    assert unexplained(gpu) == set()


def test_the_registry_is_not_asked_about_a_gpu_that_has_told() -> None:
    windows = navi(registered=REGISTERED)

    open_reader(windows.machine())

    assert ("registered",) not in windows.asked


def test_without_a_time_of_its_own_the_machines_clock_counts() -> None:
    windows = two_gpus()
    native = windows.native()
    del native.seconds
    now = iter([5.0, 5.5, 6.0, 6.5])
    machine = RecordedMachine(
        {}, libraries={"vramline.native.windows": native}, clock=lambda: next(now)
    )
    reader = open_reader(machine)
    reader.read("0000:01:00.0")

    assert reader.read("0000:01:00.0")[0].utilization_percent == 40.0


# The same machines as `vramline capture` has them

GTX_1050_READING = GpuReading(
    uid="0000:01:00.0",
    vendor="nvidia",
    name="NVIDIA GeForce GTX 1050",
    index=0,
    pci_address="0000:01:00.0",
    memory_total_bytes=2 * GIB,
    memory_used_bytes=300 * MIB,
    memory_free_bytes=2 * GIB - 300 * MIB,
    utilization_percent=40.0,
    processes=(GpuProcess(pid=9524, memory_bytes=0, kind=ProcessKind.GRAPHICS),),
    unknown={**NEVER, **SENSORS, "driver_version": Cause.NOT_SUPPORTED},
)
HD_630_READING = replace(
    GTX_1050_READING,
    uid="0000:00:02.0",
    vendor="intel",
    name="Intel(R) HD Graphics 630",
    pci_address="0000:00:02.0",
    memory_pool=MemoryPool.UNIFIED,
    memory_total_bytes=16 * GIB,
    memory_used_bytes=7 * GIB,
    memory_free_bytes=8 * GIB - 200 * MIB,
    memory_free_bound_by=MemoryBound.SHARED_LIMIT,
    utilization_percent=7.5,
    processes=(GpuProcess(pid=14904, memory_bytes=0, kind=ProcessKind.GRAPHICS),),
)
AMPERE_READING = replace(
    GTX_1050_READING,
    uid="0000:03:00.0",
    name="NVIDIA GeForce RTX 3080",
    pci_address="0000:03:00.0",
    memory_total_bytes=10737418240,
    memory_used_bytes=GIB,
    memory_free_bytes=10737418240 - GIB,
    utilization_percent=0.0,
    processes=(),
)


@pytest.mark.parametrize(
    ("name", "readings"),
    [
        ("rx5700xt", [NAVI_READING]),
        ("strix_halo_96g", [later(HALO_READING)]),
        ("strix_halo_512m", [later(SMALL_HALO_READING)]),
        ("hd630_gtx1050", [HD_630_READING, GTX_1050_READING]),
        ("rtx3080_registry", [AMPERE_READING]),
    ],
)
def test_a_recorded_machine_is_read_whole(name: str, readings: list[GpuReading]) -> None:
    reader = open_reader(recorded(f"windows/{name}"))
    for key in reader.devices():
        reader.read(key)

    assert [gpu for key in reader.devices() for gpu in reader.read(key)] == readings
    reader.close()


def test_what_was_captured_is_read_the_same() -> None:
    windows = navi()
    captured = CapturingMachine(windows.machine(names={612: "dwm.exe"}))
    reader = open_reader(captured)
    live = [list(reader.read("0000:03:00.0"))]
    windows.now += 1
    live.append(list(reader.read("0000:03:00.0")))
    reader.close()

    header = Header(version="0", taken_at=datetime(2026, 1, 1, tzinfo=UTC))
    replayed = open_reader(RecordedMachine.from_dict(to_text(captured.to_dict(header, Masks()))))

    masked = [list(replayed.read("0000:03:00.0")) for _ in live]
    assert [gpu.utilization_percent for each in masked for gpu in each] == [None, 8.5394926071167]
    assert [without_people(each) for each in masked] == [without_people(each) for each in live]


def without_people(readings: list[GpuReading]) -> list[GpuReading]:
    """Return the readings without the names that a recording masks."""
    return [
        replace(gpu, processes=tuple(replace(each, user=None) for each in gpu.processes or ()))
        for gpu in readings
    ]
