import plistlib
from datetime import datetime
from subprocess import CalledProcessError, TimeoutExpired
from typing import Any

import pytest

from tests.readers.apple.machines import AGX, RADEON, mac, printed, read, with_stats
from tests.readers.breakage import unexplained
from vramline.errors import ReadError, ReaderUnavailableError
from vramline.machine import RecordedMachine
from vramline.readers.apple import DEVICE, open_reader
from vramline.readers.apple.memory import SYSCTL
from vramline.readers.apple.registry import ACCELERATORS, CARDS
from vramline.readings import Cause, GpuReading, GpuState, MemoryPool
from vramline.units import GIB

BOMB = """<?xml version="1.0"?>
<!DOCTYPE plist [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>
<plist version="1.0"><array><string>&c;</string></array></plist>"""

FAILURES = [
    (TimeoutExpired(ACCELERATORS, 3.0), "ioreg did not answer within 3 s"),
    (
        CalledProcessError(1, ACCELERATORS, "", "usage\nioreg: error: can't obtain I/O Kit\n"),
        "ioreg ended with status 1; ioreg: error: can't obtain I/O Kit",
    ),
    (CalledProcessError(70, ACCELERATORS), "ioreg ended with status 70"),
    (PermissionError(13, "Operation not permitted"), "ioreg cannot be started: .*permitted"),
    (printed(AGX)[:-40], "ioreg's answer is no property list"),
    ("\0", "ioreg's answer is no property list"),
    (BOMB, "ioreg's answer is no property list: XML entity declarations are not supported"),
    ("<plist><date>today</date></plist>", "ioreg's answer is no property list"),
    ("<plist><key>a</key></plist>", "ioreg's answer is no property list"),
    ("<plist><integer>1</integer></plist>", "ioreg printed no list of entries"),
]


def one(entry: dict[str, Any]) -> GpuReading:
    (gpu,) = read(mac(printed(entry)))
    return gpu


@pytest.mark.parametrize("platform", ["linux", "win32"])
def test_on_other_systems_nothing_is_started(platform: str) -> None:
    machine = RecordedMachine(
        {}, platform=platform, programs={ACCELERATORS: AssertionError("it was started")}
    )

    with pytest.raises(ReaderUnavailableError, match="on macOS only"):
        open_reader(machine)


def test_a_mac_without_ioreg_has_nothing_to_be_read() -> None:
    with pytest.raises(ReaderUnavailableError, match="there is no /usr/sbin/ioreg"):
        open_reader(RecordedMachine({}, platform="darwin"))


@pytest.mark.parametrize("output", ["", "\n", printed(), plistlib.dumps(["no entry"]).decode()])
def test_a_registry_without_a_gpu_has_nothing_to_be_read(output: str) -> None:
    with pytest.raises(ReaderUnavailableError, match="no GPU in the IO registry"):
        open_reader(mac(output))


@pytest.mark.parametrize(("outcome", "message"), FAILURES)
def test_a_registry_that_cannot_be_read_is_a_read_error(
    outcome: str | Exception, message: str
) -> None:
    with pytest.raises(ReadError, match=message):
        open_reader(mac(outcome))


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        *FAILURES,
        ("", "no GPU in the IO registry"),
        (FileNotFoundError(2, "No such file"), "there is no /usr/sbin/ioreg"),
    ],
)
def test_what_fails_later_is_a_read_error_and_the_next_reading_is_whole(
    outcome: str | Exception, message: str
) -> None:
    machine = mac(printed(AGX))
    reader = open_reader(machine)

    machine.answers[ACCELERATORS] = outcome
    with pytest.raises(ReadError, match=message):
        reader.read("ioreg")

    machine.answers[ACCELERATORS] = printed(AGX)
    assert [gpu.utilization_percent for gpu in reader.read("ioreg")] == [7.0]


def test_a_gpu_is_described_without_being_asked() -> None:
    reader = open_reader(mac(printed(AGX)))

    described = reader.describe("ioreg", Cause.TIMEOUT)

    assert reader.devices() == ("ioreg",)
    assert (described.uid, described.name, described.vendor) == ("apple:0", "Apple M3 Max", "apple")
    assert described.memory_pool is MemoryPool.UNIFIED
    assert described.unknown["memory_total_bytes"] is Cause.TIMEOUT
    assert described.unknown["pci_address"] is Cause.NOT_SUPPORTED
    assert unexplained(described) == set()


def test_one_run_of_ioreg_tells_of_every_gpu() -> None:
    machine = mac(printed(RADEON, AGX))
    reader = open_reader(machine)
    machine.runs.clear()

    assert [gpu.uid for gpu in reader.read("ioreg")] == ["amd:0", "apple:0"]
    assert machine.runs == [ACCELERATORS, SYSCTL]


def test_a_radeon_tells_its_load_its_memory_and_its_sensors() -> None:
    gpu = one(dict(RADEON))

    assert (gpu.uid, gpu.vendor, gpu.name) == ("amd:0", "amd", "AMD Navi21")
    assert gpu.utilization_percent == 64.0
    assert gpu.memory_pool is MemoryPool.VRAM
    assert (gpu.memory_total_bytes, gpu.memory_used_bytes, gpu.memory_free_bytes) == (
        8 * GIB,
        3 * GIB,
        5 * GIB,
    )
    assert (gpu.temperature_celsius, gpu.power_watts, gpu.fan_percent) == (71.0, 138.0, 40.0)
    assert (gpu.clock_mhz, gpu.memory_clock_mhz) == (2100.0, 1000.0)


def test_two_cards_of_a_make_have_the_places_at_which_they_stand() -> None:
    other = {**RADEON, "IORegistryEntryID": 4294968002}

    assert [(gpu.uid, gpu.index) for gpu in read(mac(printed(RADEON, AGX, other)))] == [
        ("amd:0", 0),
        ("apple:0", 0),
        ("amd:1", 1),
    ]


@pytest.mark.parametrize(
    ("driver", "vendor", "name"),
    [
        ("AGXAcceleratorG17X", "apple", "Apple G17X"),
        ("AppleParavirtGPU", "apple", "Apple Paravirt"),
        ("AMDRadeonX4000_AMDBaffinGraphicsAccelerator", "amd", "AMD Baffin"),
        ("IntelAccelerator", "intel", "Intel GPU"),
        ("AppleIntelHD5000Graphics", "intel", "Intel HD5000"),
        ("nvAccelerator", "nvidia", "NVIDIA GPU"),
        ("", "apple", "Apple GPU"),
    ],
)
def test_the_drivers_class_tells_whose_gpu_it_is(driver: str, vendor: str, name: str) -> None:
    gpu = one({"IOObjectClass": driver, "PerformanceStatistics": {}})

    assert (gpu.vendor, gpu.name) == (vendor, name)


def test_a_name_may_be_bytes_that_end_in_nul() -> None:
    assert one({**AGX, "model": b"Apple M3 Max\0"}).name == "Apple M3 Max"


@pytest.mark.parametrize(("told", "percent"), [(0, 0.0), (100, 100.0), (308, 100.0), (42.5, 42.5)])
def test_a_load_past_full_is_full(told: float, percent: float) -> None:
    gpu = one(with_stats(AGX, **{"Device Utilization %": told}))

    assert gpu.utilization_percent == percent


NO_NUMBERS = [True, "7", b"7", datetime(2026, 1, 1), [7], {"value": 7}, float("nan"), float("inf")]  # noqa: DTZ001


@pytest.mark.parametrize("value", [-1, 1001, 2**64 - 1, *NO_NUMBERS])
def test_a_load_that_is_none_is_garbled(value: object) -> None:
    gpu = one(with_stats(AGX, **{"Device Utilization %": value}))

    assert (gpu.utilization_percent, gpu.unknown["utilization_percent"]) == (None, Cause.GARBLED)
    assert gpu.memory_total_bytes is not None


@pytest.mark.parametrize("value", [-1, 2**63, 1.0, *NO_NUMBERS])
def test_memory_that_is_none_is_garbled(value: object) -> None:
    shared = one(with_stats(AGX, **{"Alloc system memory": value}))
    own = one(with_stats(RADEON, vramFreeBytes=value))

    assert (shared.memory_free_bytes, shared.memory_free_bound_by) == (None, None)
    assert shared.unknown["memory_free_bytes"] is Cause.GARBLED
    assert shared.utilization_percent == 7.0
    assert own.unknown["memory_free_bytes"] is Cause.GARBLED
    assert own.memory_used_bytes == 3 * GIB


def test_more_used_and_free_than_there_is_makes_no_sense() -> None:
    fields = ("memory_total_bytes", "memory_used_bytes", "memory_free_bytes")
    gpu = one(with_stats(RADEON, vramUsedBytes=2**62, vramFreeBytes=2**62))

    assert [gpu.unknown.get(name) for name in fields] == [Cause.GARBLED] * 3


@pytest.mark.parametrize(("told", "cause"), [(None, Cause.NOT_SUPPORTED), (7, Cause.GARBLED)])
def test_without_a_table_of_figures_the_hosts_memory_is_left(told: object, cause: Cause) -> None:
    entry = {key: value for key, value in AGX.items() if key != "PerformanceStatistics"}
    gpu = one(entry if told is None else {**entry, "PerformanceStatistics": told})

    assert gpu.unknown["utilization_percent"] is cause
    assert gpu.unknown["memory_free_bytes"] is cause
    assert (gpu.memory_total_bytes, gpu.memory_used_bytes) == (32 * GIB, 12 * GIB)


@pytest.mark.parametrize("off", [True, 1])
def test_a_gpu_that_is_switched_off_is_asleep_and_keeps_its_name(off: object) -> None:
    gpu = one({**RADEON, "AGCInfo": {"poweredOffByAGC": off}})

    assert (gpu.state, gpu.name) == (GpuState.ASLEEP, "AMD Navi21")
    assert gpu.unknown["utilization_percent"] is Cause.ASLEEP
    assert gpu.unknown["memory_total_bytes"] is Cause.ASLEEP
    assert gpu.unknown["driver_version"] is Cause.NOT_SUPPORTED
    assert unexplained(gpu) == set()


@pytest.mark.parametrize("power", [{}, {"poweredOffByAGC": False}, {"poweredOffByAGC": 0}, 7])
def test_any_other_gpu_is_awake(power: object) -> None:
    assert one({**RADEON, "AGCInfo": power}).state is GpuState.ACTIVE


@pytest.mark.parametrize(
    ("figure", "field"),
    [
        ("Temperature(C)", "temperature_celsius"),
        ("Total Power(W)", "power_watts"),
        ("Core Clock(MHz)", "clock_mhz"),
        ("Memory Clock(MHz)", "memory_clock_mhz"),
        ("Fan Speed(%)", "fan_percent"),
    ],
)
def test_a_sensor_costs_its_own_field_only(figure: str, field: str) -> None:
    before = one(dict(RADEON))
    absent = one(with_stats(RADEON, **{figure: None}))
    garbled = one(with_stats(RADEON, **{figure: 10**9}))

    assert dict(absent.unknown) == {**before.unknown, field: Cause.NOT_SUPPORTED}
    assert dict(garbled.unknown) == {**before.unknown, field: Cause.GARBLED}


def test_a_temperature_of_128_degrees_is_a_sensor_that_is_not_there() -> None:
    gpu = one(with_stats(RADEON, **{"Temperature(C)": 128}))

    assert gpu.unknown["temperature_celsius"] is Cause.GARBLED


def test_where_a_card_draws_power_a_still_fan_and_an_idle_clock_are_measured() -> None:
    idle = {"GPU Activity(%)": 0, "Core Clock(MHz)": 0, "Fan Speed(%)": 0}
    gpu = one(with_stats(RADEON, **idle))

    assert (gpu.utilization_percent, gpu.clock_mhz, gpu.fan_percent) == (0.0, 0.0, 0.0)


def test_a_card_that_is_plugged_in_later_is_looked_up_then_and_once() -> None:
    machine = mac(printed(AGX))
    reader = open_reader(machine)
    reader.read(DEVICE)
    entry = {"vendor-id": b"\x02\x10\0\0", "VRAM,totalMB": 16384, "model": b"Radeon RX 6900 XT\0"}
    machine.answers[CARDS] = printed(entry)
    machine.answers[ACCELERATORS] = printed(AGX, RADEON)

    readings = [reader.read(DEVICE)[-1] for _ in range(2)]

    assert [(gpu.name, gpu.memory_total_bytes) for gpu in readings] == [
        ("Radeon RX 6900 XT", 16 * GIB)
    ] * 2
    assert machine.runs.count(CARDS) == 1


def test_a_card_that_is_gone_leaves_the_other_gpu_and_the_last_one_ends_the_reading() -> None:
    machine = mac(printed(AGX, RADEON))
    reader = open_reader(machine)
    before = reader.read(DEVICE)
    machine.answers[ACCELERATORS] = printed(AGX)

    assert reader.read(DEVICE) == before[:1]

    machine.answers[ACCELERATORS] = ""
    with pytest.raises(ReadError, match="no GPU in the IO registry"):
        reader.read(DEVICE)
