from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vramline.readings import (
    Cause,
    FrozenDict,
    GpuProcess,
    GpuReading,
    GpuState,
    MemoryBound,
    MemoryPool,
    ProcessKind,
)
from vramline.sampler.joining import FILLED, MEMORY, one_each
from vramline.units import GIB, MIB

# A GeForce under Windows' display driver model: NVML tells all but what its processes hold.

NVML = GpuReading(
    uid="GPU-5b1c",
    vendor="nvidia",
    name="NVIDIA GeForce RTX 4070",
    index=0,
    pci_address="0000:01:00.0",
    cuda_index=0,
    driver_version="610.43",
    cuda_version="13.1",
    compute_capability="8.9",
    memory_total_bytes=12 * GIB,
    memory_used_bytes=2 * GIB,
    memory_free_bytes=10 * GIB,
    memory_reserved_bytes=300 * MIB,
    utilization_percent=7.0,
    power_watts=21.5,
    processes=(
        GpuProcess(pid=40, start_time=5.0, name="ollama.exe", kind=ProcessKind.COMPUTE),
        GpuProcess(pid=41, start_time=6.0, memory_bytes=77),
        GpuProcess(pid=42),
        GpuProcess(pid=43, start_time=8.0),
        GpuProcess(pid=44, start_time=9.0),
    ),
    unknown=FrozenDict(
        fan_percent=Cause.NOT_SUPPORTED,
        temperature_celsius=Cause.TIMEOUT,
        throttle=Cause.DRIVER_TOO_OLD,
        clock_mhz=Cause.NOT_SUPPORTED,
        memory_clock_mhz=Cause.NOT_SUPPORTED,
    ),
)
DXGI = GpuReading(
    uid="0000:01:00.0",
    vendor="nvidia",
    name="NVIDIA GeForce RTX 4070 by its other name",
    index=0,
    pci_address="0000:01:00.0",
    driver_version="32.0.16.1043",
    memory_total_bytes=11 * GIB,
    memory_used_bytes=1 * GIB,
    memory_free_bytes=10 * GIB,
    utilization_percent=9.0,
    temperature_celsius=44.0,
    fan_percent=31.0,
    clock_mhz=210.0,
    processes=(
        GpuProcess(pid=40, start_time=5.0, memory_bytes=900 * MIB, kind=ProcessKind.GRAPHICS),
        GpuProcess(pid=41, start_time=6.0, memory_bytes=5 * MIB),
        GpuProcess(pid=42, start_time=7.0, memory_bytes=20 * MIB),
        GpuProcess(pid=43, start_time=8.5, memory_bytes=30 * MIB),
        GpuProcess(pid=44, start_time=9.0, memory_bytes=13 * GIB),
        GpuProcess(pid=99, memory_bytes=1 * MIB),
    ),
    unknown=FrozenDict(
        memory_clock_mhz=Cause.ASLEEP,
        power_watts=Cause.NOT_SUPPORTED,
        throttle=Cause.NOT_SUPPORTED,
    ),
)
RADEON = GpuReading(uid="0000:03:00.0", vendor="amd", index=0, pci_address="0000:03:00.0")
ADRENO = GpuReading(
    uid="qualcomm:1:0", vendor="qualcomm", unknown=FrozenDict(pci_address=Cause.NOT_SUPPORTED)
)


def test_what_the_first_does_not_know_comes_from_the_second() -> None:
    joined = one_each([[NVML], [RADEON, DXGI, ADRENO]])

    assert joined == (
        replace(
            NVML,
            temperature_celsius=44.0,
            fan_percent=31.0,
            clock_mhz=210.0,
            processes=(
                GpuProcess(
                    pid=40,
                    start_time=5.0,
                    name="ollama.exe",
                    memory_bytes=900 * MIB,
                    kind=ProcessKind.COMPUTE,
                ),
                GpuProcess(pid=41, start_time=6.0, memory_bytes=77),
                GpuProcess(pid=42, memory_bytes=20 * MIB),
                GpuProcess(pid=43, start_time=8.0),  # another process by now
                GpuProcess(pid=44, start_time=9.0),  # more than there is
            ),
            unknown=FrozenDict(throttle=Cause.DRIVER_TOO_OLD, memory_clock_mhz=Cause.NOT_SUPPORTED),
        ),
        RADEON,
        ADRENO,
    )


def test_other_devices_stay_as_they_are_and_in_order() -> None:
    another = replace(NVML, uid="GPU-77", pci_address="0000:02:00.0")

    assert one_each([[NVML, another], [], [RADEON], [ADRENO]]) == (NVML, another, RADEON, ADRENO)
    assert one_each([]) == ()


def test_processes_that_only_the_second_knows_are_taken_whole() -> None:
    unknown = FrozenDict({**NVML.unknown, "processes": Cause.NOT_SUPPORTED})
    [gpu] = one_each([[replace(NVML, processes=None, unknown=unknown)], [DXGI]])

    assert gpu.processes == DXGI.processes
    assert "processes" not in gpu.unknown


# Memory


def without_memory(cause: Cause, **known: int) -> GpuReading:
    nothing: dict[str, Any] = dict.fromkeys(MEMORY)
    lost = {name: cause for name in MEMORY if name not in known}
    return replace(NVML, **{**nothing, **known}, unknown=FrozenDict({**NVML.unknown, **lost}))


def test_memory_that_the_first_knows_nothing_of_is_taken_whole_with_its_pool() -> None:
    other = replace(
        DXGI,
        memory_pool=MemoryPool.UNIFIED,
        memory_free_bound_by=MemoryBound.SHARED_LIMIT,
        unknown=FrozenDict({**DXGI.unknown, "memory_reserved_bytes": Cause.NOT_SUPPORTED}),
    )

    [gpu] = one_each([[without_memory(Cause.TIMEOUT)], [other]])

    assert [getattr(gpu, name) for name in MEMORY] == [11 * GIB, 1 * GIB, 10 * GIB, None]
    assert (gpu.memory_pool, gpu.memory_free_bound_by) == (
        MemoryPool.UNIFIED,
        MemoryBound.SHARED_LIMIT,
    )
    assert {name: gpu.unknown[name] for name in MEMORY if name in gpu.unknown} == {
        "memory_reserved_bytes": Cause.NOT_SUPPORTED
    }
    assert gpu.processes
    assert gpu.processes[0].memory_bytes == 900 * MIB


def test_memory_that_the_first_knows_in_part_is_not_mixed() -> None:
    partly = without_memory(Cause.NO_PERMISSION, memory_total_bytes=12 * GIB)

    [gpu] = one_each([[partly], [DXGI]])

    assert [getattr(gpu, name) for name in MEMORY] == [12 * GIB, None, None, None]
    assert gpu.unknown["memory_used_bytes"] is Cause.NO_PERMISSION


def test_what_processes_hold_of_another_pool_is_not_taken() -> None:
    other = replace(DXGI, memory_pool=MemoryPool.UNIFIED)
    unlisted = replace(NVML, processes=None)

    assert one_each([[NVML], [other]])[0].processes == NVML.processes
    assert one_each([[unlisted], [other]])[0].processes is None
    assert one_each([[NVML], [other]])[0].memory_pool is MemoryPool.VRAM


# Devices that cannot be asked


@pytest.mark.parametrize("state", [GpuState.ASLEEP, GpuState.LOST])
def test_a_gpu_that_sleeps_or_is_lost_is_not_made_an_awake_one(state: GpuState) -> None:
    away = replace(without_memory(Cause.ASLEEP), state=state, processes=None)

    assert one_each([[away], [DXGI]]) == (away,)
    assert one_each([[NVML], [replace(DXGI, state=state)]]) == (NVML,)


# Instances, and several at one address


def test_mig_instances_stay_beside_their_gpu() -> None:
    instance = replace(NVML, uid="MIG-1", parent_uid=NVML.uid, processes=None, clock_mhz=None)
    report = [NVML, instance, replace(instance, uid="MIG-2")]

    gpu, *instances = one_each([report, [DXGI]])

    assert gpu.clock_mhz == 210.0
    assert instances == report[1:]


def test_what_is_filled_is_the_gpu_and_no_instance_of_it() -> None:
    instance = replace(NVML, uid="MIG-1", parent_uid=NVML.uid, processes=None, clock_mhz=None)

    first, gpu = one_each([[instance, NVML], [DXGI]])

    assert first == instance
    assert gpu.clock_mhz == 210.0


def test_of_two_gpus_at_one_address_the_first_is_filled() -> None:
    twin = replace(NVML, uid="twin")

    first, second = one_each([[NVML, twin], [DXGI]])

    assert (first.clock_mhz, second) == (210.0, twin)


def test_instances_of_a_gpu_that_is_known_already_are_known_with_it() -> None:
    instance = replace(DXGI, uid="part", parent_uid=DXGI.uid, fan_percent=99.0)

    assert one_each([[NVML], [instance, DXGI]]) == one_each([[NVML], [DXGI]])


def test_within_a_report_nothing_is_joined() -> None:
    twin = replace(RADEON, uid="twin")

    assert one_each([[RADEON, twin]]) == (RADEON, twin)


# A reader that does not know yet where its GPUs sit, as its driver hangs


def hung(index: int) -> GpuReading:
    return GpuReading(
        uid=f"nvidia:{index}",
        vendor="nvidia",
        index=index,
        unknown=FrozenDict(pci_address=Cause.TIMEOUT, name=Cause.TIMEOUT, clock_mhz=Cause.TIMEOUT),
    )


SECOND = replace(DXGI, uid="0000:02:00.0", pci_address="0000:02:00.0")


def test_the_only_gpu_of_a_vendor_is_the_one_whose_place_is_not_known() -> None:
    [gpu, other] = one_each([[hung(0)], [RADEON, DXGI], [replace(DXGI, uid="third")]])

    assert (gpu.uid, gpu.pci_address, gpu.name) == ("nvidia:0", "0000:01:00.0", DXGI.name)
    assert (gpu.clock_mhz, gpu.memory_total_bytes) == (210.0, 11 * GIB)
    assert other == RADEON


def test_the_instances_of_that_gpu_go_with_it() -> None:
    instance = replace(DXGI, uid="part", parent_uid=DXGI.uid)

    assert one_each([[hung(0)], [DXGI, instance]]) == one_each([[hung(0)], [DXGI]])


def test_of_several_it_is_not_guessed_which_is_which() -> None:
    assert one_each([[hung(0), hung(1)], [DXGI, SECOND]]) == (hung(0), hung(1))
    assert one_each([[hung(0), hung(1)], [DXGI]]) == (hung(0), hung(1))


def test_more_than_the_first_reader_has_are_devices_of_their_own() -> None:
    assert one_each([[hung(0)], [DXGI, SECOND]]) == (hung(0), DXGI, SECOND)


def test_those_whose_place_is_known_are_not_counted() -> None:
    [first, second] = one_each([[NVML, hung(1)], [DXGI, SECOND]])

    assert first.clock_mhz == 210.0
    assert second.pci_address == "0000:02:00.0"


def test_a_gpu_on_no_bus_is_not_mistaken_for_a_card() -> None:
    board = replace(ADRENO, uid="tegra:0", vendor="nvidia")

    assert one_each([[board], [DXGI]]) == (board, DXGI)


# Whatever the readers say

ADDRESSES = st.sampled_from([None, "0000:01:00.0", "0000:02:00.0", "0000:03:00.0"])


@st.composite
def readings(draw: st.DrawFn, uid: str) -> GpuReading:
    numbers = st.none() | st.integers(0, 9)
    values: dict[str, Any] = {name: draw(numbers) for name in (*FILLED, *MEMORY)}
    values["pci_address"] = draw(ADDRESSES)
    causes = st.sampled_from([Cause.NOT_SUPPORTED, Cause.TIMEOUT])
    return GpuReading(
        uid=uid,
        vendor=draw(st.sampled_from(["amd", "nvidia"])),
        parent_uid=draw(st.sampled_from([None, None, None, "0.0"])),
        state=draw(st.sampled_from(GpuState)),
        memory_pool=draw(st.sampled_from(MemoryPool)),
        processes=draw(
            st.none()
            | st.lists(
                st.builds(GpuProcess, pid=st.integers(0, 2), memory_bytes=numbers), max_size=2
            ).map(tuple)
        ),
        **values,
        unknown=FrozenDict({name: draw(causes) for name, value in values.items() if value is None}),
    )


@st.composite
def reports(draw: st.DrawFn) -> list[list[GpuReading]]:
    sizes = draw(st.lists(st.integers(0, 3), max_size=3))
    return [
        [draw(readings(uid=f"{place}.{number}")) for number in range(size)]
        for place, size in enumerate(sizes)
    ]


@given(reports())
def test_no_device_is_there_twice_and_nothing_known_is_overwritten(
    given_reports: list[list[GpuReading]],
) -> None:
    joined = one_each(given_reports)
    before = {each.uid: each for report in given_reports for each in report}

    uids = [each.uid for each in joined]
    assert uids == [uid for uid in before if uid in set(uids)]
    assert uids[: len(given_reports[0]) if given_reports else 0] == [
        each.uid for report in given_reports[:1] for each in report
    ]
    owners: dict[str, str] = {}
    for each in joined:
        report = each.uid.partition(".")[0]
        if each.pci_address is not None and each.parent_uid is None:
            assert owners.setdefault(each.pci_address, report) == report
        old = before[each.uid]
        kept = [field.name for field in fields(GpuReading) if field.name != "unknown"]
        for name in set(kept) - {"processes", "memory_pool", "memory_free_bound_by"}:
            assert getattr(old, name) in (None, getattr(each, name))
        if old.memory_total_bytes is not None:
            assert each.memory_pool is old.memory_pool
        for process, same in zip(old.processes or (), each.processes or (), strict=False):
            assert process.memory_bytes in (None, same.memory_bytes)
        silent = {name for name in (*FILLED, *MEMORY) if getattr(each, name) is None}
        assert each.unknown.keys() == silent
