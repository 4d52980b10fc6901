import errno
from dataclasses import replace
from typing import Any

import pytest

from tests.readers.intel.machines import (
    TOTAL,
    Stage,
    client,
    files,
    machine,
    refusing,
    render_node,
    xe,
)
from vramline.errors import ReadError, ReaderUnavailableError
from vramline.machine import RecordedMachine
from vramline.readers.intel import open_reader
from vramline.readings import Cause, GpuReading, GpuState, MemoryPool
from vramline.units import GIB

B580 = "/sys/class/drm/card1/device"
STATUS = f"{B580}/power/runtime_status"
USAGE = f"{B580}/power/runtime_usage"
BDF = "0000:09:00.0"
NODE = render_node(BDF)
REGIONS = xe((0, TOTAL, 0), (1, 12 * GIB, GIB))


# Opening.


@pytest.mark.parametrize(
    ("driver", "reason"),
    [
        (None, "an Intel GPU is at 0000:00:02.0, but no driver has taken it: load xe or i915"),
        ("vfio-pci", "the Intel GPU at 0000:00:02.0 is bound to vfio-pci, which reports nothing"),
    ],
)
def test_a_gpu_without_its_driver_is_named(driver: str | None, reason: str) -> None:
    folder = "/sys/bus/pci/devices/0000:00:02.0"
    entries: dict[str, Any] = {f"{folder}/vendor": "0x8086\n", f"{folder}/class": "0x030000\n"}
    if driver is not None:
        entries[f"{folder}/driver"] = {"symlink": f"../../../../bus/pci/drivers/{driver}"}

    with pytest.raises(ReaderUnavailableError, match=reason):
        open_reader(RecordedMachine(entries))


def test_a_machine_without_an_intel_gpu_says_so() -> None:
    with pytest.raises(ReaderUnavailableError, match="no Intel GPU"):
        open_reader(RecordedMachine({}))


def test_connectors_are_no_cards() -> None:
    connector = {"/sys/class/drm/card1-DP-1/device/uevent": files("b580")[f"{B580}/uevent"]}

    assert open_reader(machine("b580", connector)).devices() == (BDF,)


def test_opening_touches_nothing_that_wakes_a_card() -> None:
    stage = Stage("b580", {STATUS: "suspended\n", **NODE}, ioctl=REGIONS)

    open_reader(stage.machine)

    below = {path.rsplit("/", 1)[-1] for path in stage.asked if path.startswith(B580)}
    assert below <= {"uevent", "revision", "vendor", "device", "driver"}
    assert not any(path.startswith("/dev/") for path in stage.asked)


# Sleeping.


@pytest.mark.parametrize("status", ["suspended", "suspending"])
def test_of_a_card_that_sleeps_nothing_but_its_state_is_read(status: str) -> None:
    in_use = client(5, f"drm-client-id: 1\ndrm-pdev: {BDF}\n")
    stage = Stage("b580", {STATUS: f"{status}\n", **NODE, **in_use}, ioctl=REGIONS)
    reader = open_reader(stage.machine)
    stage.asked.clear()

    (gpu,) = reader.read(BDF)

    assert stage.asked == [STATUS]
    assert (gpu.state, gpu.name, gpu.driver_version) == (
        GpuState.ASLEEP,
        "Intel Arc B580",
        "6.17.0",
    )
    assert gpu.unknown["memory_total_bytes"] == Cause.ASLEEP


@pytest.mark.parametrize("status", ["active\n", "resuming\n", "unsupported\n", None, ""])
def test_in_doubt_a_card_is_awake(status: str | None) -> None:
    (gpu,) = open_reader(machine("b580", {STATUS: status, **NODE}, ioctl=REGIONS)).read(BDF)

    assert (gpu.state, gpu.memory_total_bytes) == (GpuState.ACTIVE, 12 * GIB)


# Letting it fall asleep.


def resting(stage: Stage) -> list[bool]:
    """Read once a second, and tell of each time whether the card was left alone."""
    reader = open_reader(stage.machine)
    left_alone = []
    for _ in range(16):
        stage.asked.clear()
        reader.read(BDF)
        power = {STATUS, USAGE, f"{B580}/power/control"}
        left_alone.append(set(stage.asked) <= power)
        stage.change({})
    return left_alone


def test_a_card_that_nobody_holds_is_left_alone_until_it_would_have_fallen_asleep() -> None:
    stage = Stage("b580", {USAGE: "0\n", **NODE}, ioctl=REGIONS)

    # Two looks for the rates, and then one every twelve seconds.
    assert resting(stage) == [False] * 2 + [True] * 11 + [False] + [True] * 2


@pytest.mark.parametrize(
    "changes",
    [
        {USAGE: "1\n"},
        {USAGE: None},  # not every kernel tells
        {USAGE: "0\n", f"{B580}/power/control": "on\n"},
        {USAGE: "0\n", **client(5, f"drm-client-id: 1\ndrm-pdev: {BDF}\n")},
    ],
    ids=["held", "not told", "may not sleep", "open"],
)
def test_any_other_card_is_read_each_time(changes: dict[str, Any]) -> None:
    stage = Stage("b580", {**NODE, **changes}, ioctl=REGIONS)

    assert resting(stage) == [False] * 16


def test_what_is_given_meanwhile_says_how_old_it_is() -> None:
    stage = Stage("b580", {USAGE: "0\n", **NODE}, ioctl=REGIONS)
    reader = open_reader(stage.machine)
    reader.read(BDF)
    stage.change({})
    (fresh,) = reader.read(BDF)
    stage.change({}, after=3.0)

    assert reader.read(BDF) == [replace(fresh, age_seconds=3.0)]


def test_one_that_is_taken_up_meanwhile_is_read_at_once() -> None:
    stage = Stage("b580", {USAGE: "0\n", **NODE}, ioctl=REGIONS)
    reader = open_reader(stage.machine)
    for changes in ({}, {}, {USAGE: "2\n"}):
        reader.read(BDF)
        stage.change(changes)

    (gpu,) = reader.read(BDF)

    assert gpu.age_seconds == 0.0


# Losing it.


def gone() -> dict[str, None]:
    return dict.fromkeys(path for path in files("b580") if path.startswith(B580))


OTHER = "/sys/class/drm/card2/device"
SECOND_CARD = {
    f"{OTHER}/uevent": "DRIVER=xe\nPCI_ID=8086:E20B\nPCI_SLOT_NAME=0000:0c:00.0\n",
    f"{OTHER}/tile0/gt0/freq0/act_freq": "700\n",
}


def test_a_card_that_was_taken_out_is_lost_and_the_other_is_read_on() -> None:
    stage = Stage("b580", {**NODE, **SECOND_CARD}, ioctl=REGIONS)
    reader = open_reader(stage.machine)
    reader.read(BDF)
    stage.change({**gone(), **dict.fromkeys(NODE)})
    stage.answer(refusing(errno.ENOENT))

    (gpu,) = reader.read(BDF)
    (other,) = reader.read("0000:0c:00.0")

    assert (gpu.state, gpu.unknown["memory_total_bytes"]) == (GpuState.LOST, Cause.LOST)
    assert (other.state, other.clock_mhz) == (GpuState.ACTIVE, 700.0)
    assert reader.describe(BDF, Cause.TIMEOUT).state == GpuState.LOST


@pytest.mark.parametrize("number", ["EIO", "ENODEV", "ENXIO"])
def test_a_card_that_answers_with_errors_only_is_lost(number: str) -> None:
    stage = Stage("b580", {**NODE, **SECOND_CARD}, ioctl=REGIONS)
    reader = open_reader(stage.machine)
    reader.read(BDF)
    hwmon = ("_input", "power1_cap", "fan1_max")
    driver = [path for path in files("b580") if "/tile0/" in path or path.endswith(hwmon)]
    stage.change({path: {"errno": number} for path in driver})
    stage.answer(refusing(getattr(errno, number)))

    (gpu,) = reader.read(BDF)

    assert (gpu.state, gpu.unknown["temperature_celsius"]) == (GpuState.LOST, Cause.LOST)


def test_a_card_that_was_gone_at_first_and_recovers_is_read_on() -> None:
    stage = Stage("b580", {**NODE, **SECOND_CARD}, ioctl=REGIONS)
    reader = open_reader(stage.machine)
    there = {path: files("b580")[path] for path in gone()}
    stage.change(gone())
    stage.answer(refusing(errno.ENODEV))
    reader.read(BDF)
    stage.change(there)
    stage.answer(REGIONS)

    (gpu,) = reader.read(BDF)

    assert (gpu.state, gpu.temperature_celsius, gpu.clock_mhz) == (GpuState.ACTIVE, 54.0, 0.0)
    assert reader.describe(BDF, Cause.TIMEOUT).state == GpuState.ACTIVE


def test_a_card_that_comes_back_under_another_name_has_all_looked_for_again() -> None:
    stage = Stage("b580", {**NODE, **SECOND_CARD}, ioctl=REGIONS)
    reader = open_reader(stage.machine)
    uevent = files("b580")[f"{B580}/uevent"]
    stage.change({**gone(), "/sys/class/drm/card3/device/uevent": uevent})
    stage.answer(refusing(errno.ENODEV))

    with pytest.raises(ReadError, match="back"):
        reader.read(BDF)


def test_when_none_is_left_nothing_can_be_read() -> None:
    stage = Stage("b580", NODE, ioctl=REGIONS)
    reader = open_reader(stage.machine)
    stage.change({**gone(), **dict.fromkeys(NODE)})
    stage.answer(refusing(errno.ENOENT))

    with pytest.raises(ReadError, match="no Intel GPU"):
        reader.read(BDF)


def test_a_card_that_tells_nothing_but_is_there_is_not_lost() -> None:
    (gpu,) = open_reader(machine("uhd620")).read("0000:00:02.0")

    assert gpu.state == GpuState.ACTIVE


def test_a_first_look_at_a_counter_is_an_answer() -> None:
    counter = {"/sys/class/drm/card1/power/rc6_residency_ms": "5\n", **render_node("0000:00:02.0")}

    (gpu,) = open_reader(machine("uhd620", counter, ioctl=refusing(errno.EIO))).read("0000:00:02.0")

    assert gpu.state == GpuState.ACTIVE


def test_what_failed_at_an_earlier_look_is_not_held_against_it() -> None:
    stage = Stage("uhd620", render_node("0000:00:02.0"), ioctl=refusing(errno.EIO))
    reader = open_reader(stage.machine)
    with pytest.raises(ReadError):
        reader.read("0000:00:02.0")
    stage.answer(refusing(errno.EACCES))

    (gpu,) = reader.read("0000:00:02.0")

    assert gpu.state is GpuState.ACTIVE


def test_the_pool_stays_when_the_driver_does_not_tell_it_for_a_while() -> None:
    # A virtual machine may have an integrated GPU anywhere on its bus.
    files = {
        "/sys/class/drm/card0/device/uevent": (
            "DRIVER=xe\nPCI_ID=8086:9A49\nPCI_SLOT_NAME=0000:05:00.0\n"
        ),
        **render_node("0000:05:00.0"),
    }
    stage = Stage("tigerlake", files, ioctl=xe((0, TOTAL, 0)))
    reader = open_reader(stage.machine)
    (before,) = reader.read("0000:05:00.0")
    stage.answer(refusing(errno.EBUSY))

    (gpu,) = reader.read("0000:05:00.0")

    assert (before.memory_pool, gpu.memory_pool) == (MemoryPool.UNIFIED, MemoryPool.UNIFIED)
    assert gpu.memory_total_bytes == before.memory_total_bytes


# Without asking.


def test_a_card_is_described_from_what_was_known() -> None:
    reader = open_reader(machine("b580", NODE, ioctl=REGIONS))

    before = reader.describe(BDF, Cause.TIMEOUT)
    reader.read(BDF)
    after = reader.describe(BDF, Cause.TIMEOUT)

    assert before == after
    assert (after.name, after.index, after.unknown["cuda_version"]) == (
        "Intel Arc B580",
        0,
        Cause.NOT_SUPPORTED,
    )
    assert after.unknown["memory_total_bytes"] == Cause.TIMEOUT


def test_a_list_without_the_names_leaves_the_name_unknown() -> None:
    (gpu,) = open_reader(machine("b580", {"/usr/share/hwdata/pci.ids": None})).read(BDF)

    assert gpu.unknown["name"] == Cause.NOT_SUPPORTED


def test_the_readings_stay_as_they_are_when_they_are_arranged() -> None:
    gpu = GpuReading(uid=BDF, vendor="intel")

    assert open_reader(machine("b580")).arrange([gpu]) == (gpu,)
