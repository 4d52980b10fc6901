from dataclasses import replace
from typing import Any

import pytest

from tests.readers.windows.machines import (
    COUNTED,
    NAVI,
    NAVI_READING,
    NAVI_USED,
    NEVER,
    PLACE,
    SENSORS,
    engine,
    holder,
    instance,
    navi,
    second_look,
)
from tests.readers.windows.standin import array, collection
from vramline.errors import ReadError
from vramline.machine import RecordedMachine
from vramline.readers.windows import open_reader
from vramline.readings import Cause, GpuProcess, GpuState, ProcessKind
from vramline.units import GIB


@pytest.mark.parametrize(
    ("broken", "cause"),
    [
        (array(status=0xC0000BB8), Cause.NOT_SUPPORTED),
        (array(status=0xC0000BB9), Cause.NOT_SUPPORTED),
        (array(status=0xC0000BDB), Cause.NO_PERMISSION),
        (array(status=0xC0000BBB), Cause.DRIVER_ERROR),
        ({}, Cause.DRIVER_ERROR),
        (None, Cause.DRIVER_ERROR),
    ],
)
def test_without_counters_there_still_is_the_card(broken: Any, cause: Cause) -> None:
    arrays = dict.fromkeys(
        ("adapter_dedicated", "adapter_shared", "process_local", "process_non_local", "engine")
    )
    gpu = second_look(navi(collections=[dict.fromkeys(arrays, broken)]))

    lost: dict[str, Any] = dict.fromkeys(COUNTED)
    unknown = {**NEVER, **dict.fromkeys(COUNTED, cause)}
    assert gpu == replace(NAVI_READING, **lost, unknown=unknown)


@pytest.mark.parametrize("failure", [OSError("no pdh.dll"), AttributeError("an old pdh.dll")])
def test_counters_that_cannot_be_opened_cost_what_they_count(failure: Exception) -> None:
    windows = navi()
    native = windows.native()
    vars(native)["open_counters"] = windows._noted("open_counters", lambda: failure)
    machine = RecordedMachine({}, libraries={"vramline.native.windows": native})
    reader = open_reader(machine)

    [gpu] = reader.read("0000:03:00.0")
    reader.close()

    expected = Cause.DRIVER_ERROR if isinstance(failure, OSError) else Cause.NOT_SUPPORTED
    assert [gpu.unknown[name] for name in COUNTED] == [expected] * 4


def test_one_counter_that_fails_costs_its_own_fields_only() -> None:
    windows = navi()
    for each in windows.collections:
        each["engine"] = array(status=0xC0000BBB)

    gpu = second_look(windows)

    assert NAVI_READING.processes
    assert gpu == replace(
        NAVI_READING,
        utilization_percent=None,
        processes=NAVI_READING.processes[:2],
        unknown={**NEVER, "utilization_percent": Cause.DRIVER_ERROR},
    )


@pytest.mark.parametrize(
    ("engines", "busy"),
    [
        (array(zeros=30), 0.0),
        (array(), 0.0),
        (array(status=0x800007D1), 0.0),
        ({**array(), "instances": 30}, Cause.FIRST_SAMPLE),
        (array(status=0xC0000BBA), Cause.FIRST_SAMPLE),
        (array((engine(1, 0xBEEF, 0, "3D"), 50.0)), 0.0),
    ],
)
def test_an_idle_gpu_is_at_zero_and_no_rate_is_no_zero(engines: Any, busy: float | Cause) -> None:
    windows = navi()
    windows.collections[1]["engine"] = engines

    gpu = second_look(windows)

    told = gpu.unknown.get("utilization_percent")
    assert (gpu.utilization_percent if told is None else told) == busy


def test_an_engine_is_as_busy_as_all_its_processes_and_no_busier_than_it_can_be() -> None:
    windows = navi()
    windows.collections[1]["engine"] = array(
        *((engine(pid, NAVI, 3, "Copy"), 45.0) for pid in (1, 2, 3)),
        (engine(1, NAVI, 0, "3D"), 90.0),
    )

    assert second_look(windows).utilization_percent == 100.0


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("3D", ProcessKind.GRAPHICS),
        ("Cuda", ProcessKind.COMPUTE),
        ("Compute_0", ProcessKind.COMPUTE),
        ("High Priority Compute", ProcessKind.COMPUTE),
        ("", ProcessKind.GRAPHICS),
    ],
)
def test_what_a_process_runs_tells_its_kind(name: str, kind: ProcessKind) -> None:
    windows = navi()
    windows.collections[1]["engine"] = array((f"{engine(70, NAVI, 1, name)}_part_2", 5.0))

    processes = second_look(windows).processes

    assert processes
    assert {each.pid: each.kind for each in processes}[70] is kind


def test_a_process_may_compute_and_draw() -> None:
    windows = navi()
    windows.collections[1]["engine"] = array(
        (engine(70, NAVI, 0, "3D"), 1.0), (engine(70, NAVI, 1, "Cuda"), 5.0)
    )

    processes = second_look(windows).processes

    assert processes
    assert processes[0] == GpuProcess(pid=70, memory_bytes=0, kind=ProcessKind.COMPUTE_AND_GRAPHICS)


def test_memory_that_windows_counts_without_end_is_not_passed_on() -> None:
    windows = navi()
    for each in windows.collections:
        each["adapter_dedicated"] = array((instance(NAVI), 9 * GIB))
        each["process_local"] = array((holder(612, NAVI), 10 * 2**40))

    gpu = second_look(windows)

    assert gpu.unknown["memory_used_bytes"] is Cause.GARBLED
    assert gpu.unknown["memory_free_bytes"] is Cause.GARBLED
    assert gpu.processes
    assert gpu.processes[0] == GpuProcess(
        pid=612,
        start_time=1700000612.0,
        name="dwm.exe",
        user="PC\\user",
        kind=ProcessKind.GRAPHICS,
    )


def test_a_gpu_that_the_counters_do_not_know_has_no_false_zeros() -> None:
    windows = navi(collections=[collection(adapter_dedicated=array((instance(0xBEEF), 5)))])

    gpu = second_look(windows)

    assert [gpu.unknown[name] for name in COUNTED] == [Cause.NOT_SUPPORTED] * 4


def test_linked_cards_are_one_adapter() -> None:
    windows = navi()
    for each in windows.collections:
        each["adapter_dedicated"] = array((instance(NAVI, 0), GIB), (instance(NAVI, 1), 2 * GIB))

    assert second_look(windows).memory_used_bytes == 3 * GIB


@pytest.mark.parametrize(
    ("performance", "limits", "changes"),
    [
        (None, {"max_fan_rpm": 3372}, dict.fromkeys(SENSORS, Cause.NOT_SUPPORTED)),
        (
            {"temperature": 0, "fan_rpm": 0, "memory_frequency": 0},
            {"max_fan_rpm": 3372},
            {
                "temperature_celsius": Cause.NOT_SUPPORTED,
                "fan_percent": 0.0,
                "memory_clock_mhz": Cause.NOT_SUPPORTED,
                "clock_mhz": 168.0,
            },
        ),
        (
            {"temperature": 2**32 - 1, "fan_rpm": 2**32 - 1, "memory_frequency": 2**64 - 1},
            None,
            {
                "temperature_celsius": Cause.GARBLED,
                "fan_percent": Cause.NOT_SUPPORTED,
                "memory_clock_mhz": Cause.GARBLED,
                "clock_mhz": 168.0,
            },
        ),
        (
            {"temperature": 991, "fan_rpm": 5000, "memory_frequency": 875_500_000},
            {"max_fan_rpm": 3372},
            {
                "temperature_celsius": 99.1,
                "fan_percent": 100.0,
                "memory_clock_mhz": 875.5,
                "clock_mhz": 168.0,
            },
        ),
    ],
)
def test_what_the_sensors_say(performance: Any, limits: Any, changes: dict[str, Any]) -> None:
    speed = None if performance is None else {"frequency": 168_000_000}
    windows = navi(
        lasting={NAVI: PLACE},
        present={NAVI: {"performance": performance, "engine": speed, "limits": limits}},
    )

    gpu = second_look(windows)

    told = {name: gpu.unknown.get(name, getattr(gpu, name)) for name in SENSORS}
    assert told == changes


@pytest.mark.parametrize("failure", [OSError("no gdi32.dll"), AttributeError("an old gdi32.dll")])
def test_a_kernel_that_does_not_answer_costs_what_it_tells(failure: Exception) -> None:
    windows = navi(lasting={NAVI: failure}, present={NAVI: failure})
    key = "amd:731f:00000000:0"

    gpu = second_look(windows, key)

    unknown = {
        **NEVER,
        **SENSORS,
        "pci_address": Cause.NOT_SUPPORTED,
        "driver_version": Cause.NOT_SUPPORTED,
    }
    lost: dict[str, Any] = dict.fromkeys(unknown)
    assert gpu == replace(NAVI_READING, uid=key, **lost, unknown=unknown)


def test_the_second_gpu_of_a_laptop_is_left_alone_while_it_runs_nothing() -> None:
    kind = {"kind": {"bits": 1 << 4}}
    windows = navi(lasting={NAVI: {**PLACE, **kind}}, integrated={})
    reader = open_reader(windows.machine())
    at_first = reader.read("0000:03:00.0")[0]
    windows.now += 1
    working = reader.read("0000:03:00.0")[0]
    windows.collections[0]["engine"] = array(zeros=50)
    windows.now += 1
    idle = reader.read("0000:03:00.0")[0]

    assert [gpu.state for gpu in (at_first, working, idle)] == [GpuState.ACTIVE] * 3
    assert [gpu.temperature_celsius for gpu in (at_first, working, idle)] == [None, 57.0, None]
    assert {idle.unknown[name] for name in SENSORS} == {Cause.ASLEEP}
    assert idle.memory_used_bytes == NAVI_USED
    assert windows.asked.count(("present", NAVI)) == 1


def test_a_gpu_that_windows_numbered_anew_is_looked_for_again() -> None:
    windows = navi()
    reader = open_reader(windows.machine())
    reader.read("0000:03:00.0")
    windows.collections = [collection(adapter_dedicated=array((instance(0xBEEF), 5)))]
    windows.now += 1

    [gpu] = reader.read("0000:03:00.0")
    windows.kernel["lasting"][NAVI] = {"status": 0xC000000D}

    assert gpu.unknown["memory_used_bytes"] is Cause.NOT_SUPPORTED
    with pytest.raises(ReadError, match=r"0000:03:00\.0 is not where it was"):
        reader.read("0000:03:00.0")
